//! Scan-out: surfaces on a screen of a card, by atomic commits with fences both ways.
//!
//! # Contract
//!
//! [`Scanout::show`] takes a lease, alone or in something that keeps it ([`Held`]), and the fence that
//! [`Acquire::collect`](crate::Acquire::collect) gave with it. The screen waits for that fence (`IN_FENCE_FD`), the CPU does not.
//! [`Scanout::next`] waits until the surface is on the screen (`OUT_FENCE_PTR`) and gives back what was shown before: only then does
//! the screen read it no more.
//!
//! A surface has one framebuffer for as long as the [`Scanout`] lives, found by its identity and never by a descriptor's number.
//! What the screen showed before comes back by [`Scanout::restore`], or when the `Scanout` is dropped.
//!
//! A card has one master at a time, who alone may set modes. Whoever opens a card that has none becomes it, so those who only
//! allocate call [`Card::leave_screens`].

mod restore;
mod route;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use handover_model::{Access, Extent, Stage};
use handover_sys::drm::mode::{self, AtomicRequest, Flags, Framebuffer, FramebufferPlane};
use handover_sys::drm::{self, Cap};

use super::held::{Held, surface_of};
use super::{Card, KmsHandle, SyncFile};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::surface::{Surface, SurfaceId};
use restore::Before;
use route::Route;

/// How long a commit of somebody else's may keep the CRTC busy before ours is refused.
const BUSY: Duration = Duration::from_secs(1);

/// How often the CRTC is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(1);

const EBUSY: i32 = 16;

/// One screen of a card, ours to show surfaces on.
#[derive(Debug)]
pub struct Scanout<H: Held> {
    card: Card,
    route: Route,
    /// Does the card take modifiers with framebuffers?
    takes_modifiers: bool,
    framebuffers: HashMap<SurfaceId, Shown>,
    request: AtomicRequest,
    before: Option<Before>,
    /// The mode is set.
    is_on: bool,
    showing: Option<H>,
    /// Committed, and what says when it is on the screen.
    coming: Option<(H, SyncFile)>,
}

/// A surface that the card knows.
#[derive(Debug)]
struct Shown {
    id: u32,
    _handle: KmsHandle,
    /// Keeps the identity: an inode is unique only while somebody has the file.
    _surface: Surface,
}

impl<H: Held> Scanout<H> {
    /// Takes the first screen that is connected, in its preferred mode, or in the first of exactly this extent.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the card has no display or no atomic commits, no screen is connected, or it has no mode of this
    /// extent. [`Kind::Os`]: this open file is not the card's master and cannot become it.
    pub fn open(card: Card, extent: Option<Extent>) -> Result<Self> {
        let route = Route::find(&card, extent)?;
        become_master(&card)?;
        let before = Before::of(&card, &route)?;
        let request = AtomicRequest::new(&card).map_err(os(Stage::Negotiate, "make an atomic request"))?;
        let takes_modifiers = drm::capability(&card, Cap::Addfb2Modifiers).is_ok_and(|answer| answer == 1);
        Ok(Self {
            card,
            route,
            takes_modifiers,
            framebuffers: HashMap::new(),
            request,
            before: Some(before),
            is_on: false,
            showing: None,
            coming: None,
        })
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Name of the connector: `HDMI-A-1`, `Virtual-1`.
    pub fn connector(&self) -> &str {
        &self.route.name
    }

    /// Width and height of the mode, which surfaces must have.
    pub fn extent(&self) -> Extent {
        self.route.extent
    }

    /// Asks the driver whether it would show this surface. Nothing changes on the screen.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    pub fn test(&mut self, surface: &Surface) -> Result<()> {
        let framebuffer = self.framebuffer(surface)?;
        self.fill(framebuffer, None, false)?;
        self.request.commit(Flags::TEST_ONLY | Flags::ALLOW_MODESET, 0).map(drop).map_err(refused(&self.card))
    }

    /// Commits a surface to the screen, which waits for `fence` before it reads. Returns at once.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: not one whole surface of the mode's extent, or the one before is not on the screen yet
    /// ([`next`](Self::next)). [`Kind::Os`]: the card refuses the surface or is gone. `held` is dropped then: the screen does not
    /// read it.
    pub fn show(&mut self, held: H, fence: Option<SyncFile>) -> Result<()> {
        if self.coming.is_some() {
            return Err(Error::new(Stage::Access, Kind::Invalid)
                .asked("another surface on the screen")
                .found("one that is still on its way there")
                .help("wait for it with Scanout::next first"));
        }
        let surface = surface_of(&held, Access::Read, "a screen")?;
        let framebuffer = self.framebuffer(&surface)?;
        self.fill(framebuffer, fence, true)?;
        let flags = if self.is_on { Flags::NONBLOCK } else { Flags::NONBLOCK | Flags::ALLOW_MODESET };
        let patience = Deadline::after(BUSY);
        let committed = loop {
            match self.request.commit(flags, 0) {
                // The console's last commit may be under way when a screen changes hands.
                Err(error) if error.raw_os_error() == Some(EBUSY) && !patience.has_passed() => {
                    std::thread::sleep(AGAIN)
                }
                other => break other,
            }
        };
        // The in-fence is closed with it.
        self.request.clear();
        let committed = committed.map_err(refused(&self.card))?;
        let flip = committed.out_fences.into_iter().next();
        let (_, flip) = flip.ok_or_else(|| Error::new(Stage::Access, Kind::Unreachable))?;
        self.is_on = true;
        self.coming = Some((held, SyncFile::of(flip)));
        Ok(())
    }

    /// Waits until the committed surface is on the screen, and gives back what was there before it. Without a commit under way:
    /// `None` at once.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: not yet. It stays under way, and can be waited for again.
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<H>> {
        let Some((_, flip)) = &self.coming else { return Ok(None) };
        match flip.wait(deadline) {
            Err(error) if error.is_timeout() => {
                return Err(error.help("the fence that the commit waits for, or the screen, has not come"));
            }
            // A commit that fails in the end has ended all the same: the card does not read the buffer before it any more.
            _ => {}
        }
        let Some((held, _)) = self.coming.take() else { return Ok(None) };
        Ok(self.showing.replace(held))
    }

    /// Becomes readable when [`next`](Self::next) would not wait. `None`: nothing is under way.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.coming.as_ref().map(|(_, flip)| flip.as_fd())
    }

    /// What is on the screen now.
    pub fn showing(&self) -> Option<&H> {
        self.showing.as_ref()
    }

    /// Gives the screen back as it was found, or turns it off if nothing was shown. Gives what was held for the surfaces that were
    /// on it or on their way.
    ///
    /// # Errors
    /// [`Kind::Os`]: the card refuses, and keeps what it shows until this file is closed. One that is gone shows nothing.
    pub fn restore(mut self) -> Result<Vec<H>> {
        self.take_down()?;
        let coming = self.coming.take().map(|(held, _)| held);
        Ok(self.showing.take().into_iter().chain(coming).collect())
    }

    fn take_down(&mut self) -> Result<()> {
        let Some(before) = self.before.take() else { return Ok(()) };
        let restored = if self.is_on { before.restore(&self.card, &mut self.request) } else { Ok(()) };
        for (_, shown) in self.framebuffers.drain() {
            // Those that cannot be removed go with the open file.
            let _ = mode::remove_framebuffer(&self.card, shown.id);
        }
        let _ = self.route.close(&self.card);
        restored
    }

    /// The framebuffer of a surface, made when it is first shown.
    fn framebuffer(&mut self, surface: &Surface) -> Result<u32> {
        if let Some(known) = self.framebuffers.get(&surface.id()) {
            return Ok(known.id);
        }
        let layout = surface.layout();
        let refused = |found: String, why: &'static str| {
            Error::new(Stage::Import, Kind::Invalid)
                .asked(format!("surface {} on {}", surface.index(), self.route.name))
                .found(found)
                .why(why)
        };
        let (Some(format), Some(extent)) = (layout.format(), layout.extent()) else {
            return Err(refused("a byte buffer".into(), "a screen shows images"));
        };
        if extent != self.route.extent {
            return Err(refused(extent.to_string(), "a plane that cannot scale needs the extent of the mode")
                .help(format!("a surface of {}", self.route.extent)));
        }
        let handle = self.card.import(surface)?;
        let gem = self.card.gem(&handle)?;
        let narrow = |bytes: u64| {
            u32::try_from(bytes).map_err(|_| refused(format!("{bytes} B"), "a framebuffer counts bytes in 32 bits"))
        };
        let plane = |plane: &handover_model::PlaneLayout| {
            Ok(FramebufferPlane { gem, pitch: narrow(plane.stride.get())?, offset: narrow(plane.offset.get())? })
        };
        let planes = layout.planes().iter().map(plane).collect::<Result<Vec<_>>>()?;
        let framebuffer = Framebuffer {
            width: extent.width().get(),
            height: extent.height().get(),
            format: format.fourcc().0,
            modifier: self.takes_modifiers.then_some(layout.modifier().0),
            planes: &planes,
        };
        let id = mode::add_framebuffer2(&self.card, &framebuffer).map_err(|error| {
            os(
                Stage::Import,
                format!("make a framebuffer of {} {} on {}", format.name(), layout.modifier(), self.card.driver()),
            )(error)
            .why("the card shows only formats, modifiers and strides of its own")
            .help("dumb buffers of this card (Dumb), in a format of its planes")
        })?;
        self.framebuffers.insert(surface.id(), Shown { id, _handle: handle, _surface: surface.clone() });
        Ok(id)
    }

    /// The properties of one commit.
    fn fill(&mut self, framebuffer: u32, fence: Option<SyncFile>, flips: bool) -> Result<()> {
        self.request.clear();
        let fence = fence.map(SyncFile::into_fd);
        let set = if self.is_on {
            self.route.flip(&mut self.request, framebuffer)
        } else {
            self.route.turn_on(&self.card, &mut self.request, framebuffer)
        };
        let with_fences = set.and_then(|()| self.route.fences(&mut self.request, fence, flips));
        with_fences.map_err(os(Stage::Access, "prepare an atomic commit"))
    }
}

impl<H: Held> Drop for Scanout<H> {
    fn drop(&mut self) {
        // Before the leases end, with the fields. A screen that cannot be given back goes dark with the open file.
        let _ = self.take_down();
    }
}

fn refused(card: &Card) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let what = format!("show a surface on {}", card.driver());
    move |error| os(Stage::Access, what)(error).why("the card refuses it, or is gone")
}

fn become_master(card: &Card) -> Result<()> {
    let asked = |what: &str| os(Stage::Negotiate, format!("{what} {}", card.path().display()));
    if mode::is_master(card).map_err(asked("ask who is master of"))? {
        return Ok(());
    }
    mode::set_master(card).map_err(|error| {
        asked("become master of")(error)
            .why("another program shows on this card, most likely a display server")
            .help("stop it, or switch to a text console")
    })
}

impl Card {
    /// Gives up the screens that opening the card may have made ours: whoever opens a card that has no master becomes its master,
    /// and keeps others from setting modes. For those who only allocate or import.
    ///
    /// # Errors
    /// [`Kind::Os`]: the card is gone.
    pub fn leave_screens(&self) -> Result<()> {
        let failed = |error| os(Stage::Allocate, format!("leave the screens of {}", self.path().display()))(error);
        if mode::is_master(self).map_err(failed)? { mode::drop_master(self).map_err(failed) } else { Ok(()) }
    }
}

/// The first card of this machine with a screen that is connected.
///
/// # Errors
/// [`Kind::Unsupported`]: there is none; the error tells each card's reason.
pub fn card() -> Result<Card> {
    let nodes = drm::nodes().map_err(os(Stage::Negotiate, "list the DRM nodes"))?;
    let mut reasons = Vec::new();
    for node in nodes.into_iter().filter(|node| node.kind == drm::Kind::Card) {
        match Card::open(&node.path).and_then(|card| Route::find(&card, None).map(|_| card)) {
            Ok(card) => return Ok(card),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    let found = if reasons.is_empty() { "no card at all".into() } else { reasons.join("; ") };
    Err(Error::new(Stage::Negotiate, Kind::Unsupported)
        .asked("a card with a screen")
        .found(found)
        .help("plug in a screen; `handover devices` lists the nodes there are"))
}
