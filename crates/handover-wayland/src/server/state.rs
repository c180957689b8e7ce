//! What the compositor knows of its clients, and what goes on between their requests and the caller.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use handover::backend::linux::sync_file::Status;
use handover::backend::linux::{Reached, Registration, Timeline};
use handover::negotiate::Offer;
use handover::{Blocked, Deadline, Error, Kind, Result, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::dma_buf::Direction;
use handover_sys::eventfd;
use handover_sys::poll::Interest;
use handover_sys::{epoll, file};
use wayland_protocols::wp::linux_dmabuf::zv1::server::zwp_linux_dmabuf_v1::ZwpLinuxDmabufV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::server::wp_linux_drm_syncobj_manager_v1::WpLinuxDrmSyncobjManagerV1;
use wayland_protocols::wp::presentation_time::server::wp_presentation::WpPresentation;
use wayland_protocols::xdg::shell::server::xdg_toplevel::XdgToplevel;
use wayland_protocols::xdg::shell::server::xdg_wm_base::XdgWmBase;
use wayland_server::DisplayHandle;
use wayland_server::protocol::wl_compositor::WlCompositor;
use wayland_server::protocol::wl_output::WlOutput;
use wayland_server::protocol::wl_seat::WlSeat;
use wayland_server::protocol::wl_shm::WlShm;

use super::commit::{Committed, Deferred, How, Release};
use super::dmabuf::Offered;
use super::limit::Place;
use super::pace::{Audience, Pace};
use super::shm::Copies;
use super::{Event, Options, WindowId, lock, os};
use crate::fences;

/// Everything but the display.
#[derive(Debug)]
pub(super) struct State {
    pub(super) handle: DisplayHandle,
    pub(super) options: Options,
    pub(super) offered: Offered,
    pub(super) copies: Option<Copies>,
    pub(super) toplevels: Vec<(WindowId, XdgToplevel)>,
    events: Vec<Event>,
    waiting: VecDeque<Waiting>,
    deferred: Arc<Deferred>,
    pace: Pace,
    last_window: u64,
    serial: u32,
    epoll: OwnedFd,
}

/// A commit that has not been passed on.
#[derive(Debug)]
struct Waiting {
    committed: Committed,
    audience: Audience,
    acquire: Option<AcquirePoint>,
}

/// What a commit waits for.
#[derive(Debug)]
pub(super) struct AcquirePoint {
    timeline: Arc<Timeline>,
    point: u64,
    reached: Reached,
    /// Dropped with the wait, so that the kernel wakes nobody for it any more.
    event: Option<Registration>,
    deadline: Deadline,
    /// A client may have so many commits wait. Idle while there is no event.
    place: Place,
}

/// What became of a wait.
enum Outcome {
    Ready,
    NotYet,
    Refused(Error),
}

impl State {
    pub(super) fn new(handle: DisplayHandle, options: Options, epoll: &OwnedFd) -> Result<Self> {
        Ok(Self {
            offered: Offered::new(options.device, &options.offer)?,
            copies: options.copies.clone().map(Copies::new),
            pace: Pace::new(options.refresh),
            handle,
            options,
            toplevels: Vec::new(),
            events: Vec::new(),
            waiting: VecDeque::new(),
            deferred: Arc::default(),
            last_window: 0,
            serial: 0,
            epoll: file::duplicate(epoll).map_err(os("duplicate a descriptor"))?,
        })
    }

    pub(super) fn create_globals(&self) {
        self.handle.create_global::<Self, WlCompositor, ()>(5, ());
        self.handle.create_global::<Self, XdgWmBase, ()>(3, ());
        self.handle.create_global::<Self, WlOutput, ()>(3, ());
        self.handle.create_global::<Self, WlSeat, ()>(5, ());
        self.handle.create_global::<Self, ZwpLinuxDmabufV1, ()>(5, ());
        self.handle.create_global::<Self, WpPresentation, ()>(1, ());
        if self.copies.is_some() {
            self.handle.create_global::<Self, WlShm, ()>(1, ());
        }
        if let Some(card) = &self.options.timelines {
            self.handle.create_global::<Self, WpLinuxDrmSyncobjManagerV1, _>(1, card.clone());
        }
    }

    pub(super) fn next_window(&mut self) -> WindowId {
        self.last_window += 1;
        WindowId(self.last_window)
    }

    pub(super) fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    pub(super) fn refuse(&mut self, error: Error) {
        self.events.push(Event::Refused(error));
    }

    /// How a commit ends that was made now.
    pub(super) fn release(&self, surface: handover::Surface, how: How) -> Release {
        Release::new(surface, how, &self.handle, &self.deferred, self.options.patience)
    }

    /// The frame will not be seen. When to draw next is told all the same.
    pub(super) fn disappoint(&mut self, mut audience: Audience) {
        audience.discard();
        self.pace.add(audience);
    }

    fn forget_event(&mut self, window: WindowId) {
        self.events.retain(|event| !matches!(event, Event::Committed(committed) if committed.window == window));
    }

    /// A commit, to be passed on when its turn and its point have come.
    pub(super) fn commit(&mut self, committed: Committed, audience: Audience, acquire: Option<AcquirePoint>) {
        self.waiting.push_back(Waiting { committed, audience, acquire });
    }

    pub(super) fn acquire_point(&self, timeline: Arc<Timeline>, point: u64, mut place: Place) -> AcquirePoint {
        place.set_idle(true);
        let deadline = Deadline::after(self.options.patience);
        AcquirePoint { timeline, point, reached: Reached::Available, event: None, deadline, place }
    }

    /// The window shows nothing any more.
    pub(super) fn unmap(&mut self, window: WindowId) {
        self.drop_commits(window);
        self.events.push(Event::Gone(window));
    }

    pub(super) fn drop_commits(&mut self, window: WindowId) {
        let (dropped, kept) = std::mem::take(&mut self.waiting).into_iter().partition(|w| w.committed.window == window);
        self.waiting = kept;
        for Waiting { audience, .. } in Vec::from(dropped) {
            self.disappoint(audience);
        }
        self.forget_event(window);
    }

    pub(super) fn ask_to_close(&mut self, window: WindowId) {
        if let Some((_, toplevel)) = self.toplevels.iter().find(|(id, _)| *id == window) {
            toplevel.close();
        }
    }

    pub(super) fn set_offer(&mut self, offer: Offer) -> Result<()> {
        self.offered.change(self.options.device, &offer)?;
        self.options.offer = offer;
        Ok(())
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn has_deferred(&self) -> bool {
        !lock(&self.deferred).is_empty()
    }

    pub(super) fn wakes_at(&self) -> Option<Monotonic> {
        let patience = self.waiting.iter().filter_map(|waiting| waiting.acquire.as_ref()?.deadline.at()).min();
        [self.pace.wakes_at(), patience].into_iter().flatten().min()
    }

    /// Goes on with whatever time, or a point that was reached, lets go on.
    pub(super) fn advance(&mut self, now: Monotonic) {
        self.run_deferred(now);
        let mut blocked: Vec<WindowId> = Vec::new();
        let mut audiences: Vec<(WindowId, Audience)> = Vec::new();
        for mut waiting in std::mem::take(&mut self.waiting) {
            let window = waiting.committed.window;
            if blocked.contains(&window) {
                self.waiting.push_back(waiting);
                continue;
            }
            match waiting.look(&self.epoll) {
                Outcome::Ready => {
                    // A commit of the same window that is ready too is overtaken: nobody has seen it.
                    for (_, overtaken) in audiences.extract_if(.., |(own, _)| *own == window) {
                        self.disappoint(overtaken);
                    }
                    self.forget_event(window);
                    self.events.push(Event::Committed(waiting.committed));
                    audiences.push((window, waiting.audience));
                }
                Outcome::NotYet => {
                    blocked.push(window);
                    self.waiting.push_back(waiting);
                }
                Outcome::Refused(error) => {
                    self.disappoint(waiting.audience);
                    self.refuse(error);
                }
            }
        }
        for (_, audience) in audiences {
            self.pace.add(audience);
        }
        self.pace.advance(now);
    }

    fn run_deferred(&mut self, now: Monotonic) {
        let deferred = std::mem::take(&mut *lock(&self.deferred));
        for (ending, until) in deferred {
            if ending.is_in_use() && until > now {
                lock(&self.deferred).push((ending, until));
            } else {
                ending.run();
            }
        }
    }
}

impl Waiting {
    /// Has the turn come? The fence behind the point is in the surface's reservation then.
    fn look(&mut self, epoll: &OwnedFd) -> Outcome {
        let Some(acquire) = &mut self.acquire else { return Outcome::Ready };
        match acquire.look(&self.committed, epoll) {
            Ok(true) => Outcome::Ready,
            Ok(false) if acquire.deadline.has_passed() => Outcome::Refused(
                Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
                    .asked(format!("acquire point {} of a commit", acquire.point))
                    .found("that nobody had submitted it when patience was over")
                    .why("a compositor waits for work that was submitted, and for no promise of it"),
            ),
            Ok(false) => Outcome::NotYet,
            Err(error) => Outcome::Refused(error),
        }
    }
}

impl AcquirePoint {
    fn look(&mut self, committed: &Committed, epoll: &OwnedFd) -> Result<bool> {
        if self.point == 0 {
            return Ok(true);
        }
        // The kernel's word counts more than a look: a client may have reset its timeline since, and a descriptor that is readable
        // for ever while the look says no would keep the loop awake.
        let was_woken = self.event.as_ref().is_some_and(|event| eventfd::drain(event).is_ok_and(|count| count > 0));
        let is_reached = match self.reached {
            _ if was_woken => true,
            Reached::Available => self.timeline.submitted()? >= self.point,
            Reached::Complete => self.timeline.completed()? >= self.point,
        };
        if !is_reached {
            // Nothing is made for a wait that is over.
            if self.event.is_none() && !self.deadline.has_passed() {
                self.watch(epoll)?;
            }
            return Ok(false);
        }
        self.event = None;
        self.place.set_idle(true);
        if self.reached == Reached::Complete {
            return Ok(true);
        }
        let fence = self.timeline.fence(self.point)?;
        if fence.status()? != Status::Pending || fences::attach(committed.surface(), &fence, Direction::WRITE)? {
            return Ok(true);
        }
        // This kernel cannot take the fence over, so its end is waited for, here and not in the caller.
        self.reached = Reached::Complete;
        self.deadline = Deadline::Never;
        self.watch(epoll)?;
        Ok(false)
    }

    fn watch(&mut self, epoll: &OwnedFd) -> Result<()> {
        let event = self.timeline.descriptor(self.point, self.reached)?;
        epoll::add(epoll, &event, Interest::READ).map_err(os("wait for an acquire point"))?;
        self.event = Some(event);
        self.place.set_idle(false);
        Ok(())
    }
}
