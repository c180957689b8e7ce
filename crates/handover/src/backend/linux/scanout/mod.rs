//! Scan-out: surfaces on a screen of a card, by atomic commits with fences both ways.
//!
//! # Contract
//!
//! [`Scanout::show`] takes a lease, alone or in something that keeps it ([`Held`]), and the fence that
//! [`Acquire::collect`](crate::Acquire::collect) gave with it. The screen waits for that fence (`IN_FENCE_FD`), the CPU does not.
//! [`Scanout::next`] waits until the surface is on the screen (`OUT_FENCE_PTR`) and gives back what was shown before: only then does
//! the screen read it no more.
//!
//! A surface has one framebuffer, found by its identity and never by a descriptor's number. It goes at the next [`Scanout::show`] or
//! [`Scanout::next`] after the last other holder of the surface has dropped it.
//!
//! What the screen showed before comes back by [`Scanout::restore`], or when the `Scanout` is dropped. A commit that waits for its
//! fence cannot be taken back, so both wait for it first. Dropping does not wait for long: it leaves a late commit to a thread, and
//! the reservation says "busy" until that one has given the screen back.
//!
//! A card has one master at a time, who alone may set modes. Whoever opens a card that has none becomes it, so those who only
//! allocate call [`Card::leave_screens`].

mod framebuffer;
mod restore;
mod route;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use handover_model::{Access, Blocked, Extent, Stage};
use handover_sys::drm;
use handover_sys::drm::mode::{self, AtomicRequest, Committed, Flags};

use super::held::{Held, surface_of};
use super::sync_file::Status;
use super::{Card, SyncFile};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::surface::Surface;
use framebuffer::Framebuffers;
use restore::{Before, Ending};
use route::Route;

/// How often a CRTC that is busy is asked again.
const AGAIN: Duration = Duration::from_millis(1);

/// How long a drop waits for the last commit before it leaves that to a thread.
const LAST_FLIP: Duration = Duration::from_secs(1);

const EBUSY: i32 = 16;

/// One screen of a card, ours to show surfaces on.
#[derive(Debug)]
pub struct Scanout<H: Held> {
    card: Card,
    route: Route,
    framebuffers: Framebuffers,
    request: AtomicRequest,
    /// `None`: the screen was given back.
    before: Option<Before>,
    /// We asked to become the card's master, so we stop being it in the end.
    took_master: bool,
    /// The mode is set.
    is_on: bool,
    showing: Option<H>,
    /// Committed, and what says when it is on the screen. Every driver gives that; one that did not would have the buffer all the
    /// same.
    coming: Option<(H, Option<SyncFile>)>,
}

impl<H: Held> Scanout<H> {
    /// Takes the first screen that is connected, in its preferred mode, or in the first of exactly this extent.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the card has no display or no atomic commits, no screen is connected, or it has no mode of this
    /// extent. [`Kind::Os`]: this open file is not the card's master and cannot become it.
    pub fn open(card: Card, extent: Option<Extent>) -> Result<Self> {
        let route = Route::find(&card, extent)?;
        let took_master = become_master(&card)?;
        let found = Before::of(&card, &route).and_then(|before| {
            let request = AtomicRequest::new(&card).map_err(os(Stage::Negotiate, "make an atomic request"))?;
            Ok((before, request))
        });
        let (before, request) = found.inspect_err(|_| {
            if took_master {
                // The error that is told came first.
                let _ = mode::drop_master(&card);
            }
        })?;
        Ok(Self {
            framebuffers: Framebuffers::new(&card),
            card,
            route,
            request,
            before: Some(before),
            took_master,
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
    /// [`Kind::Invalid`]: not a surface of the mode's extent, or the screen was given back. [`Kind::Os`]: the card refuses it, or is
    /// gone.
    pub fn test(&mut self, surface: &Surface) -> Result<()> {
        let framebuffer = self.framebuffer(surface)?;
        self.fill(framebuffer, None, false)?;
        self.request.commit(Flags::TEST_ONLY | Flags::ALLOW_MODESET, 0).map(drop).map_err(refused(&self.card))
    }

    /// Commits a surface to the screen, which waits for `fence` before it reads. Waits for nothing but a commit of somebody else's on
    /// the same screen, the console's last one for example, and for that until `deadline`.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: not one whole surface of the mode's extent, the one before is not on the screen yet
    /// ([`next`](Self::next)), or the screen was given back. [`Kind::Timeout`]: somebody else's commit is still under way.
    /// [`Kind::Os`]: the card refuses the surface or is gone. `held` is dropped then: the screen does not read it.
    pub fn show(&mut self, held: H, fence: Option<SyncFile>, deadline: Deadline) -> Result<()> {
        if self.coming.is_some() {
            return Err(Error::new(Stage::Access, Kind::Invalid)
                .asked("another surface on the screen")
                .found("one that is still on its way there")
                .help("wait for it with Scanout::next first"));
        }
        let surface = surface_of(&held, Access::Read, "a screen")?;
        let framebuffer = self.framebuffer(&surface)?;
        self.fill(framebuffer, fence, true)?;
        let committed = self.commit(deadline);
        // The in-fence is closed with it.
        self.request.clear();
        let flip = committed?.out_fences.into_iter().next();
        // The screen reads it from now on, whatever came back.
        self.is_on = true;
        self.coming = Some((held, flip.map(|(_, flip)| SyncFile::of(flip))));
        Ok(())
    }

    fn commit(&mut self, deadline: Deadline) -> Result<Committed> {
        let flags = if self.is_on { Flags::NONBLOCK } else { Flags::NONBLOCK | Flags::ALLOW_MODESET };
        loop {
            match self.request.commit(flags, 0) {
                Err(error) if error.raw_os_error() == Some(EBUSY) && !deadline.has_passed() => {
                    std::thread::sleep(AGAIN);
                }
                Err(error) if error.raw_os_error() == Some(EBUSY) => {
                    return Err(Error::new(Stage::Access, Kind::Timeout(Blocked::default()))
                        .asked(format!("a surface on {}", self.route.name))
                        .found("a commit of somebody else's that is still under way at the deadline")
                        .with_errno(EBUSY));
                }
                other => return other.map_err(refused(&self.card)),
            }
        }
    }

    /// Waits until the committed surface is on the screen, and gives back what was there before it. Without a commit under way:
    /// `None` at once.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: not yet. [`Kind::Os`]: it cannot be found out. The commit stays under way, and can be waited for again.
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<H>> {
        self.wait_for_flip(deadline)?;
        let Some((held, _)) = self.coming.take() else { return Ok(None) };
        let before = self.showing.replace(held);
        self.framebuffers.sweep(&self.card);
        Ok(before)
    }

    fn wait_for_flip(&self, deadline: Deadline) -> Result<()> {
        let Some((_, flip)) = &self.coming else { return Ok(()) };
        let flip = flip.as_ref().ok_or_else(|| {
            Error::new(Stage::Access, Kind::Unreachable)
                .asked(format!("the end of a commit on {}", self.card.driver()))
                .found("a driver that gave no fence for it")
        })?;
        match flip.wait(deadline) {
            Err(error) if error.is_timeout() => {
                Err(error.help("the fence that the commit waits for, or the screen, has not come"))
            }
            // A commit that fails in the end has ended all the same: the card does not read the buffer before it any more.
            Err(_) if matches!(flip.status(), Ok(Status::Failed(_))) => Ok(()),
            other => other,
        }
    }

    /// Becomes readable when [`next`](Self::next) would not wait. `None`: nothing is under way.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.coming.as_ref().and_then(|(_, flip)| flip.as_ref()).map(SyncFile::as_fd)
    }

    /// What is on the screen now.
    pub fn showing(&self) -> Option<&H> {
        self.showing.as_ref()
    }

    /// Gives the screen back as it was found, or turns it off if nothing was shown or what was shown is gone with its owner. Gives
    /// what was held for the surfaces that were on it or on their way. Nothing can be shown through it afterwards.
    ///
    /// Waits until `deadline` for the commit that is under way: the kernel can neither take it back nor put another one before it.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: that commit still waits for its fence. Nothing was changed, and this can be called again.
    /// [`Kind::Os`]: the card refuses. The framebuffers are removed all the same, which turns off what shows them, and what was held
    /// is kept until the drop. A card that is gone shows nothing, and is no error.
    pub fn restore(&mut self, deadline: Deadline) -> Result<Vec<H>> {
        self.wait_for_flip(deadline).map_err(|error| error.at(Stage::Release))?;
        if let Some(ending) = self.ending() {
            ending.run(&mut self.request)?;
        }
        let coming = self.coming.take().map(|(held, _)| held);
        Ok(self.showing.take().into_iter().chain(coming).collect())
    }

    /// What is left to do, once.
    fn ending(&mut self) -> Option<Ending> {
        let before = self.before.take()?;
        Some(Ending {
            card: self.card.clone(),
            before,
            is_on: self.is_on,
            framebuffers: std::mem::take(&mut self.framebuffers),
            blob: self.route.take_blob(),
            leaves: self.took_master,
        })
    }

    fn framebuffer(&mut self, surface: &Surface) -> Result<u32> {
        if self.before.is_none() {
            return Err(Error::new(Stage::Access, Kind::Invalid)
                .asked(format!("surface {} on {}", surface.index(), self.route.name))
                .found("a screen that was given back")
                .help("open it again"));
        }
        self.framebuffers.sweep(&self.card);
        self.framebuffers.of(surface, &self.card, &self.route)
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
        // Before the leases end, with the fields.
        let Some(ending) = self.ending() else { return };
        if self.wait_for_flip(Deadline::after(LAST_FLIP)).is_ok() {
            // A screen that cannot be given back goes dark with its framebuffers.
            let _ = ending.run(&mut self.request);
            return;
        }
        let coming = self.coming.take();
        let held = self.showing.iter().chain(coming.iter().map(|(held, _)| held));
        let shares = held.map(|held| Arc::clone(held.lease().share())).collect();
        ending.run_later(coming.and_then(|(_, flip)| flip), shares);
    }
}

fn refused(card: &Card) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let what = format!("show a surface on {}", card.driver());
    move |error| os(Stage::Access, what)(error).why("the card refuses it, or is gone")
}

/// Whether it had to be asked for: opening a card that has no master is enough.
fn become_master(card: &Card) -> Result<bool> {
    let asked = |what: &str| os(Stage::Negotiate, format!("{what} {}", card.path().display()));
    if mode::is_master(card).map_err(asked("ask who is master of"))? {
        return Ok(false);
    }
    mode::set_master(card).map(|()| true).map_err(|error| {
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
