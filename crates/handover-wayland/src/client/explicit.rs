//! Explicit synchronisation: two points a commit, and the protocol's errors out of reach.
//!
//! # Contract
//!
//! The protocol ends the connection for each of these. None can be written here:
//!
//! | error | why it cannot happen |
//! |---|---|
//! | `surface_exists`, `no_surface` | [`Sync`] is made once, with its window, and ends before the window's surface |
//! | `invalid_timeline` | a descriptor comes from [`Timeline::to_fd`] and from nowhere else |
//! | `no_acquire_point`, `no_release_point` | [`Sync::attach`] is the only place that attaches a buffer, and it sets both |
//! | `no_buffer` | it is also the only place that sets a point |
//! | `unsupported_buffer` | a [`WlBuffer`] is made from linux-dmabuf and from nothing else |
//! | `conflicting_points` | acquire and release points are of different timelines |
//!
//! The acquire point is submitted, or signalled, before the commit is sent: a compositor never waits for a promise of ours (U7).

use handover::backend::linux::{Card, Reached, Registration, SyncFile, Timeline};
use handover::{Error, Kind, Result, Stage};
use std::os::fd::AsFd;
use wayland_client::QueueHandle;
use wayland_client::protocol::wl_buffer::WlBuffer;
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_manager_v1::WpLinuxDrmSyncobjManagerV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_surface_v1::WpLinuxDrmSyncobjSurfaceV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_timeline_v1::WpLinuxDrmSyncobjTimelineV1;

use super::inbox::Inbox;

/// How a window's commits are synchronised.
#[derive(Debug)]
pub(super) enum Sync {
    /// By the reservation of each buffer. `why` not the other way, in words.
    Implicit { why: String },
    /// By points of timelines.
    Explicit(Explicit),
}

#[derive(Debug)]
pub(super) struct Explicit {
    object: WpLinuxDrmSyncobjSurfaceV1,
    manager: WpLinuxDrmSyncobjManagerV1,
    card: Card,
    acquire: Line,
}

/// A timeline that the compositor knows, and the last point of it that was given away.
#[derive(Debug)]
struct Line {
    timeline: Timeline,
    object: WpLinuxDrmSyncobjTimelineV1,
    last: u64,
}

impl Line {
    fn new(manager: &WpLinuxDrmSyncobjManagerV1, card: &Card, queue: &QueueHandle<Inbox>) -> Result<Self> {
        let timeline = Timeline::new(card)?;
        let object = manager.import_timeline(timeline.to_fd()?.as_fd(), queue, ());
        Ok(Self { timeline, object, last: 0 })
    }

    fn next(&mut self) -> Result<u64> {
        self.last = self.last.checked_add(1).ok_or_else(|| Error::new(Stage::Access, Kind::Unreachable))?;
        Ok(self.last)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.object.destroy();
    }
}

/// The release timeline of one buffer.
#[derive(Debug)]
pub(super) struct ReleaseLine(Line);

/// A point that the compositor will signal when it is done with a buffer.
#[derive(Debug)]
pub(super) struct ReleasePoint {
    point: u64,
    /// Readable when a fence stands behind the point, or when the kernel cannot take that fence over, when it has ended.
    pub(super) event: Registration,
}

impl Sync {
    /// Explicit, where the compositor has it, a card was given, and its driver keeps timelines.
    pub(super) fn new(
        manager: Option<&WpLinuxDrmSyncobjManagerV1>,
        card: Option<&Card>,
        surface: &WlSurface,
        queue: &QueueHandle<Inbox>,
    ) -> Self {
        let (manager, card) = match (manager, card) {
            (Some(manager), Some(card)) => (manager, card),
            (None, _) => return Self::Implicit { why: "the compositor has no linux-drm-syncobj-v1".into() },
            (_, None) => return Self::Implicit { why: "no card was given to keep timelines".into() },
        };
        match Line::new(manager, card, queue) {
            Ok(acquire) => Self::Explicit(Explicit {
                object: manager.get_surface(surface, queue, ()),
                manager: manager.clone(),
                card: card.clone(),
                acquire,
            }),
            Err(error) => Self::Implicit { why: error.to_string() },
        }
    }

    /// What a new buffer needs.
    pub(super) fn release_line(&self, queue: &QueueHandle<Inbox>) -> Result<Option<ReleaseLine>> {
        match self {
            Self::Implicit { .. } => Ok(None),
            Self::Explicit(explicit) => {
                Line::new(&explicit.manager, &explicit.card, queue).map(|line| Some(ReleaseLine(line)))
            }
        }
    }

    /// Attaches a buffer to the next commit, with both points of it where there are any. `fence`: what the compositor has to wait for.
    /// `watch`: is given the event of the release point.
    pub(super) fn attach(
        &mut self,
        surface: &WlSurface,
        buffer: &WlBuffer,
        line: Option<&mut ReleaseLine>,
        fence: Option<&SyncFile>,
        watch: impl FnOnce(&Registration) -> Result<()>,
    ) -> Result<Option<ReleasePoint>> {
        let release = match (self, line) {
            (Self::Implicit { .. }, None) => None,
            (Self::Explicit(explicit), Some(line)) => Some(explicit.set_points(line, fence, watch)?),
            _ => return Err(Error::new(Stage::Access, Kind::Unreachable)),
        };
        surface.attach(Some(buffer), 0, 0);
        Ok(release)
    }
}

impl Explicit {
    /// Nothing is sent before everything that can fail has been done: points without a buffer would be an error.
    fn set_points(
        &mut self,
        line: &mut ReleaseLine,
        fence: Option<&SyncFile>,
        watch: impl FnOnce(&Registration) -> Result<()>,
    ) -> Result<ReleasePoint> {
        let release = line.0.next()?;
        let event = line.0.timeline.descriptor(release, Reached::Available)?;
        watch(&event)?;
        let acquire = self.acquire.next()?;
        match fence {
            Some(fence) => self.acquire.timeline.submit(acquire, fence)?,
            None => self.acquire.timeline.signal(acquire)?,
        }
        let halves = |point: u64| ((point >> 32) as u32, point as u32);
        let (high, low) = halves(acquire);
        self.object.set_acquire_point(&self.acquire.object, high, low);
        let (high, low) = halves(release);
        self.object.set_release_point(&line.0.object, high, low);
        Ok(ReleasePoint { point: release, event })
    }
}

impl Drop for Explicit {
    fn drop(&mut self) {
        self.object.destroy();
    }
}

impl ReleaseLine {
    /// The fence behind a point. `None`: nobody has submitted it yet.
    pub(super) fn fence(&self, release: &ReleasePoint) -> Result<Option<SyncFile>> {
        if self.0.timeline.submitted()? < release.point {
            return Ok(None);
        }
        self.0.timeline.fence(release.point).map(Some)
    }

    /// Has the point ended?
    pub(super) fn is_complete(&self, release: &ReleasePoint) -> Result<bool> {
        Ok(self.0.timeline.completed()? >= release.point)
    }

    /// From now on its event is the point's end.
    pub(super) fn wait_for_end(&self, release: &mut ReleasePoint) -> Result<()> {
        release.event = self.0.timeline.descriptor(release.point, Reached::Complete)?;
        Ok(())
    }
}
