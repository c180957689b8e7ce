//! A window: surfaces go in with what is held for them, and what is held comes back.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use handover::backend::linux::{Card, Held, SyncFile};
use handover::{Access, Deadline, Error, Extent, Kind, Result, Stage, Surface};
use handover_sys::dma_buf::Direction;
use handover_sys::poll;
use wayland_client::Proxy;
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_dmabuf_feedback_v1::ZwpLinuxDmabufFeedbackV1;
use wayland_protocols::xdg::shell::client::xdg_surface::XdgSurface;
use wayland_protocols::xdg::shell::client::xdg_toplevel::XdgToplevel;

use super::buffers::Buffers;
use super::explicit::Sync;
use super::feedback::Feedback;
use super::inbox::{self, Frame, Heard};
use super::{Client, late};
use crate::fences;

/// How long a drop waits for what the compositor still has.
const LAST_RELEASE: Duration = Duration::from_millis(250);

/// What a window is to be.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// For people.
    pub title: String,
    /// For the compositor to know the program by, as in the name of its desktop file.
    pub app_id: String,
    /// As large as the screen. Else the surfaces decide.
    pub fullscreen: bool,
    /// Where to keep timelines, for explicit synchronisation. `None`: implicit.
    pub card: Option<Card>,
}

/// What happened to a window.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<H> {
    /// The compositor is done with a surface: what was held for it.
    Returned(H),
    /// A good time to draw the next frame.
    Frame,
    /// A frame was on the screen.
    Presented(Presented),
    /// A frame was not on the screen, since another came before its time.
    Discarded,
    /// The compositor wishes this extent; `None`: whatever the window likes.
    Configured(Option<Extent>),
    /// What the compositor takes has changed: see [`Window::feedback`], negotiate, and call [`Window::renegotiate`].
    Feedback,
    /// The user wishes the window closed.
    Close,
}

/// When a frame was on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// The clock of `at` (`CLOCK_MONOTONIC` is 1).
    pub clock: u32,
    /// Nanoseconds of that clock.
    pub at: u64,
    /// Nanoseconds to the next frame; 0: unknown.
    pub refresh: u32,
    /// Count of the screen's refreshes; 0: unknown.
    pub sequence: u64,
}

/// A window of a compositor. See the [contract](super).
#[derive(Debug)]
pub struct Window<H: Held> {
    buffers: Buffers<H>,
    sync: Sync,
    feedback_object: Option<ZwpLinuxDmabufFeedbackV1>,
    toplevel: XdgToplevel,
    shell_surface: XdgSurface,
    surface: WlSurface,
    feedback: Feedback,
    events: VecDeque<Event<H>>,
    awaits_frame: bool,
    is_ended: bool,
    client: Client,
}

impl<H: Held> Window<H> {
    /// Opens a window, and waits until the compositor has configured it.
    ///
    /// # Errors
    /// [`Kind::Timeout`]; [`Kind::PeerGone`]; [`Kind::Malformed`]: what it says of formats contradicts itself.
    pub fn open(client: Client, options: &Options, deadline: Deadline) -> Result<Self> {
        let queue = client.handle();
        let globals = &client.globals;
        let surface = globals.compositor.create_surface(&queue, ());
        let shell_surface = globals.shell.get_xdg_surface(&surface, &queue, ());
        let toplevel = shell_surface.get_toplevel(&queue, ());
        toplevel.set_title(options.title.clone());
        toplevel.set_app_id(options.app_id.clone());
        if options.fullscreen {
            toplevel.set_fullscreen(None);
        }
        let feedback_object = (globals.dmabuf.version() >= 4)
            .then(|| globals.dmabuf.get_surface_feedback(&surface, &queue, inbox::Feedback::Surface));
        let sync = Sync::new(globals.timelines.as_ref(), options.card.as_ref(), &surface, &queue);
        surface.commit();
        let buffers = Buffers::new(client.as_fd())?;
        let feedback = client.feedback().clone();
        let events = VecDeque::new();
        client.flush(deadline)?;
        let mut window = Self {
            buffers,
            sync,
            feedback_object,
            toplevel,
            shell_surface,
            surface,
            feedback,
            events,
            awaits_frame: false,
            is_ended: false,
            client,
        };
        loop {
            if let Some(Heard::Configure { serial, wish }) =
                window.client.inbox.hear_first(|heard| matches!(heard, Heard::Configure { .. }))
            {
                window.configure(serial, wish);
                break;
            }
            if !window.client.wait(deadline)? {
                return Err(late("the first configuration of a window", "silence"));
            }
        }
        // Its feedback is on the way, and is wanted before the first buffer.
        window.client.round_trip(deadline)?;
        while let Some(Heard::Feedback(feedback)) =
            window.client.inbox.hear_first(|heard| matches!(heard, Heard::Feedback(_)))
        {
            window.feedback = feedback?;
        }
        Ok(window)
    }

    /// What the compositor takes for this window now.
    pub fn feedback(&self) -> &Feedback {
        &self.feedback
    }

    /// `None` with explicit synchronisation; else why it is implicit.
    ///
    /// Implicit synchronisation relies on the driver of the compositor's device: not all wait for fences in a buffer's reservation. Who
    /// mistrusts it [waits](handover::Lease::wait) before showing.
    pub fn why_implicit(&self) -> Option<&str> {
        match &self.sync {
            Sync::Implicit { why } => Some(why),
            Sync::Explicit(_) => None,
        }
    }

    /// How many surfaces the compositor has.
    pub fn shown(&self) -> usize {
        self.buffers.out()
    }

    /// Shows a surface. The compositor waits for `fence`, which [`collect`](handover::Acquire::collect) gave with the lease; the CPU does
    /// not. `held` comes back as [`Event::Returned`]. [`Event::Frame`] and [`Event::Presented`] follow where the compositor sends them.
    ///
    /// Waits for the compositor's answer when the surface is shown for the first time, otherwise for nothing but room in the socket.
    ///
    /// # Errors
    /// [`Kind::Conflict`]: the compositor refuses the surface, and the error names device, format and modifier. [`Kind::Invalid`]: not
    /// one whole surface, or one that the compositor has. [`Kind::Unsupported`]: no dma-buf. [`Kind::Timeout`]; [`Kind::PeerGone`].
    /// `held` is dropped then, unless the compositor had got it already.
    pub fn show(&mut self, held: H, fence: Option<SyncFile>, deadline: Deadline) -> Result<()> {
        let surface = surface_of(&held)?;
        self.buffers.prepare(&surface, &mut self.client, &self.feedback, &self.sync, deadline)?;
        if let (Sync::Implicit { .. }, Some(fence)) = (&self.sync, &fence)
            && !fences::attach(&surface, fence, Direction::WRITE)?
        {
            // U8: nobody else will wait for it.
            fence.wait(deadline)?;
        }
        self.buffers.attach(&surface, held, fence.as_ref(), &self.surface, &mut self.sync)?;
        self.surface.damage_buffer(0, 0, i32::MAX, i32::MAX);
        let queue = self.client.handle();
        if !self.awaits_frame {
            self.surface.frame(&queue, Frame);
            self.awaits_frame = true;
        }
        if let Some(presentation) = &self.client.globals.presentation {
            presentation.feedback(&self.surface, &queue, ());
        }
        self.surface.commit();
        self.client.flush(deadline)
    }

    /// The next event. `None`: nothing has happened by the deadline.
    ///
    /// # Errors
    /// [`Kind::PeerGone`]: the compositor died or ended the connection; see [`take_held`](Self::take_held). [`Kind::Malformed`]: it sent
    /// nonsense for feedback, which leaves the one before in force.
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<Event<H>>> {
        loop {
            self.client.dispatch()?;
            while let Some(heard) = self.client.inbox.hear() {
                self.hear(heard)?;
            }
            if let Some(held) = self.buffers.next_released()? {
                self.events.push_back(Event::Returned(held));
            }
            self.client.flush(deadline)?;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let something = poll::wait_readable(self.buffers.epoll(), deadline.at())
                .map_err(|error| Error::new(Stage::Access, Kind::Os).asked("to wait").found(error.to_string()))?;
            if !something {
                return Ok(None);
            }
        }
    }

    /// Becomes readable when [`next`](Self::next) with a deadline that has passed is worth calling, until it gives `None`. So it is
    /// after every [`show`](Self::show), which may have read what it did not wait for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.buffers.epoll()
    }

    /// What was agreed before holds no longer: buffers that exist are used no more. Those that the compositor has go when they come
    /// back. A surface that is shown again gets a new one.
    pub fn renegotiate(&mut self) {
        self.buffers.retire();
    }

    /// Forgets the buffer of a surface that will not be shown again. If the compositor has it, it goes when it comes back.
    pub fn forget(&mut self, surface: &Surface) {
        self.buffers.forget(surface);
    }

    /// Everything that is held for surfaces the compositor has. For the end: when it is gone, nobody else gives it back.
    pub fn take_held(&mut self) -> Vec<H> {
        let mut held = self.buffers.take_all();
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Returned(returned) => held.push(returned),
                other => self.events.push_back(other),
            }
        }
        held
    }

    /// Ends the window, waits until the compositor has returned every surface, and gives back what was held.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: some are still with it. The leases end with the window then.
    pub fn close(mut self, deadline: Deadline) -> Result<Vec<H>> {
        self.hide(deadline)
    }

    fn hide(&mut self, deadline: Deadline) -> Result<Vec<H>> {
        self.end();
        let mut returned = Vec::new();
        while self.buffers.out() > 0 {
            match self.next(deadline) {
                Ok(Some(Event::Returned(held))) => returned.push(held),
                Ok(Some(_)) => {}
                Ok(None) => return Err(late("the surfaces of a window", "some that the compositor has not returned")),
                Err(error) if *error.kind() == Kind::PeerGone => break,
                Err(error) => return Err(error),
            }
        }
        returned.extend(self.take_held());
        Ok(returned)
    }

    /// Takes the window apart. Not all compositors let go of a buffer while its surface is there, though it shows nothing.
    fn end(&mut self) {
        if std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        self.surface.attach(None, 0, 0);
        self.surface.commit();
        if let Some(feedback) = &self.feedback_object {
            feedback.destroy();
        }
        // Its object ends before the surface that it belongs to. Points of commits before this are signalled all the same.
        self.sync = Sync::Implicit { why: "the window is closed".into() };
        self.toplevel.destroy();
        self.shell_surface.destroy();
        self.surface.destroy();
    }

    fn hear(&mut self, heard: Heard) -> Result<()> {
        match heard {
            Heard::Released(number) => self.events.extend(self.buffers.released(number).map(Event::Returned)),
            Heard::Configure { serial, wish } => self.configure(serial, wish),
            Heard::Close => self.events.push_back(Event::Close),
            Heard::Frame => {
                self.awaits_frame = false;
                self.events.push_back(Event::Frame);
            }
            Heard::Presented(presented) => self.events.push_back(Event::Presented(presented)),
            Heard::Discarded => self.events.push_back(Event::Discarded),
            Heard::Feedback(feedback) => {
                let feedback = feedback?;
                if feedback != self.feedback {
                    self.feedback = feedback;
                    self.events.push_back(Event::Feedback);
                }
            }
        }
        Ok(())
    }

    fn configure(&mut self, serial: u32, (width, height): (i32, i32)) {
        self.shell_surface.ack_configure(serial);
        let edge = |pixels: i32| u32::try_from(pixels).ok().filter(|pixels| *pixels > 0);
        let wish = edge(width).zip(edge(height)).and_then(|(width, height)| Extent::new(width, height).ok());
        self.events.push_back(Event::Configured(wish));
    }
}

impl<H: Held> Drop for Window<H> {
    fn drop(&mut self) {
        if self.buffers.out() > 0 {
            // What it does not return in time it reads while it is drawn anew: a torn frame of a window that goes.
            let _ = self.hide(Deadline::after(LAST_RELEASE));
        }
        self.end();
        // To a compositor that is gone there is nothing to send.
        let _ = self.client.flush(Deadline::now());
    }
}

/// The one surface of what is held.
fn surface_of(held: &impl Held) -> Result<Surface> {
    let mut surfaces = held.lease().surfaces();
    match (surfaces.next(), surfaces.next()) {
        (Some((surface, _, region)), None) if region.is_whole() => Ok(surface.clone()),
        _ => Err(Error::new(Stage::Access, Kind::Invalid)
            .asked(format!("{} access of a compositor to one surface", Access::Read.word()))
            .found("a lease of several surfaces, or of a part of one")
            .help("acquire the whole of that surface alone")),
    }
}
