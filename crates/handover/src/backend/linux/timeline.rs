//! Timelines that a driver keeps (syncobj): points that may be waited for before anybody has submitted them.
//!
//! A point has two states that matter: *available*, when a fence stands behind it and so it will end, and *complete*. Only an
//! available point becomes a [`SyncFile`]: a fence must not depend on what some process has yet to do.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};

use handover_model::{Blocked, Stage};
use handover_sys::drm::syncobj::{self, Wait};
use handover_sys::drm::{self, Cap, Syncobj};
use handover_sys::{eventfd, file};

use super::{Card, SyncFile};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::surface::lock;

/// A timeline in an open DRM file. Others get it by its [descriptor](Timeline::to_fd); they hold the same object.
///
/// One party signals it, in rising order, and it is the one that made it: a point below the last blurs what
/// [`completed`](Timeline::completed) says (C83). Use one timeline a buffer for releases, which come in any order.
#[derive(Debug)]
pub struct Timeline {
    card: Card,
    syncobj: Syncobj,
    /// The kernel drops a registration with the object and never tells (C89), so we write to these when we go.
    registered: Mutex<Vec<Weak<OwnedFd>>>,
}

/// A wait for a point of a [`Timeline`]. It is readable when the point has been reached, or when the timeline was dropped.
///
/// Dropping it gives the wait back, reached or not: its descriptor is closed, and an epoll that watched it forgets it. A duplicate of
/// the descriptor that outlives it does not hear of the timeline's end.
#[derive(Debug)]
pub struct Registration(Arc<OwnedFd>);

impl AsFd for Registration {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How far a point must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reached {
    /// A fence stands behind it: it will end.
    Available,
    /// It and every point below have ended.
    Complete,
}

impl Reached {
    const fn flags(self) -> Wait {
        match self {
            Self::Available => Wait::AVAILABLE,
            Self::Complete => Wait::FOR_SUBMIT,
        }
    }
}

/// "Timer expired": a wait's deadline.
const ETIME: i32 = 62;

impl Timeline {
    /// A new timeline, at 0.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the driver keeps none.
    pub fn new(card: &Card) -> Result<Self> {
        let stage = Stage::Release;
        let has = drm::capability(card, Cap::SyncobjTimeline);
        if has.map_err(os(stage, format!("ask {} for timelines", card.driver())))? == 0 {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("a timeline of {}", card.driver()))
                .why("the driver keeps no synchronisation objects")
                .help("a node of another driver: a timeline need not be of the device that uses it"));
        }
        let syncobj = syncobj::create(card, false).map_err(os(stage, "make a timeline"))?;
        Ok(Self::of(card, syncobj))
    }

    /// The timeline behind a descriptor of [`to_fd`](Self::to_fd), which may come from another process or another node. It stays
    /// open.
    pub fn from_fd(card: &Card, timeline: impl AsFd) -> Result<Self> {
        let syncobj = syncobj::from_fd(card, timeline.as_fd()).map_err(|error| {
            let found = file::link_text(timeline.as_fd()).unwrap_or_else(|_| "a descriptor of another kind".into());
            os(Stage::Import, format!("take a timeline into {}", card.driver()))(error).found(found)
        })?;
        Ok(Self::of(card, syncobj))
    }

    fn of(card: &Card, syncobj: Syncobj) -> Self {
        Self { card: card.clone(), syncobj, registered: Mutex::default() }
    }

    /// A descriptor of the timeline, to send.
    pub fn to_fd(&self) -> Result<OwnedFd> {
        syncobj::to_fd(&self.card, self.syncobj).map_err(os(Stage::Export, "export a timeline"))
    }

    /// Submits a point: it is complete when `fence` has ended and every point below is. `fence` stays open.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: point 0, which is complete from the beginning.
    pub fn submit(&self, point: u64, fence: &SyncFile) -> Result<()> {
        check(point)?;
        let stage = Stage::Release;
        // The kernel before 7 takes a fence into a whole object only; from there it can be moved to a point.
        let whole = syncobj::create(&self.card, false).map_err(os(stage, "make a synchronisation object"))?;
        let moved = syncobj::import_sync_file(&self.card, whole, fence)
            .and_then(|()| syncobj::transfer(&self.card, (whole, 0), (self.syncobj, point), Wait::empty()))
            .map_err(|error| os(stage, format!("submit point {point}"))(error));
        let destroyed = syncobj::destroy(&self.card, whole).map_err(os(stage, "destroy a synchronisation object"));
        moved.and(destroyed)
    }

    /// Ends a point from the CPU. It is complete when every point below is.
    pub fn signal(&self, point: u64) -> Result<()> {
        check(point)?;
        syncobj::timeline_signal(&self.card, &[self.syncobj], &[point])
            .map_err(os(Stage::Release, format!("signal point {point}")))
    }

    /// The highest complete point.
    pub fn completed(&self) -> Result<u64> {
        self.query(false)
    }

    /// The highest point that was submitted.
    pub fn submitted(&self) -> Result<u64> {
        self.query(true)
    }

    fn query(&self, submitted: bool) -> Result<u64> {
        let mut points = [0];
        syncobj::query(&self.card, &[self.syncobj], &mut points, submitted)
            .map_err(os(Stage::Acquire, "ask a timeline how far it is"))?;
        Ok(points[0])
    }

    /// The fence behind a point, with those of every point below (C87).
    ///
    /// # Errors
    /// [`Kind::Timeout`]: nobody has submitted it yet, so there is none; wait until it is [`Reached::Available`].
    pub fn fence(&self, point: u64) -> Result<SyncFile> {
        let stage = Stage::Acquire;
        let whole = syncobj::create(&self.card, false).map_err(os(stage, "make a synchronisation object"))?;
        let fence = match syncobj::transfer(&self.card, (self.syncobj, point), (whole, 0), Wait::empty()) {
            Ok(()) => syncobj::export_sync_file(&self.card, whole)
                .map(SyncFile::of)
                .map_err(os(stage, format!("export the fence of point {point}"))),
            // Not a matter of what the driver can do: it may be there at the next look.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                Err(Error::new(stage, Kind::Timeout(Blocked::default()))
                    .asked(format!("the fence of point {point}"))
                    .found(format!("a timeline submitted up to {}", self.submitted().unwrap_or(0)))
                    .why("a fence stands for work that was submitted, so that it surely ends")
                    .help("wait until the point is available"))
            }
            Err(error) => Err(os(stage, format!("find the fence of point {point}"))(error)),
        };
        let destroyed = syncobj::destroy(&self.card, whole).map_err(os(stage, "destroy a synchronisation object"));
        let fence = fence?;
        destroyed.map(|()| fence)
    }

    /// Waits for a point, submitted or not. Point 0 is complete from the beginning.
    ///
    /// # Errors
    /// [`Kind::Timeout`] says how far the timeline is. Whoever should submit may be dead: there is no other sign of that, so with
    /// [`Deadline::Never`] this may wait without end.
    pub fn wait(&self, point: u64, reached: Reached, deadline: Deadline) -> Result<()> {
        if point == 0 {
            // The kernel takes it for the object as a whole, and would wait for a fence in it.
            return Ok(());
        }
        match syncobj::timeline_wait(&self.card, &[self.syncobj], &[point], reached.flags(), deadline.at()) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(ETIME) => {
                Err(Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
                    .asked(format!("point {point} of a timeline of {}", self.card.driver()))
                    .found(format!("complete up to {}, submitted up to {}", self.completed()?, self.submitted()?)))
            }
            Err(error) => Err(os(Stage::Acquire, format!("wait for point {point}"))(error)),
        }
    }

    /// A descriptor that becomes readable when the point has been reached, or when this timeline is dropped: then ask again, and
    /// find out why. Each call makes one. The kernel keeps some bytes for it until the point is reached or the timeline is gone.
    ///
    /// # Errors
    /// [`Kind::Os`] before Linux 6.6.
    pub fn descriptor(&self, point: u64, reached: Reached) -> Result<Registration> {
        check(point)?;
        let stage = Stage::Acquire;
        let flags = match reached {
            Reached::Available => Wait::AVAILABLE,
            Reached::Complete => Wait::empty(),
        };
        let eventfd = Arc::new(eventfd::create().map_err(os(stage, "make an eventfd"))?);
        syncobj::eventfd(&self.card, self.syncobj, point, flags, &*eventfd)
            .map_err(os(stage, format!("register for point {point}")))?;
        let mut registered = lock(&self.registered);
        registered.retain(|known| known.strong_count() > 0);
        registered.push(Arc::downgrade(&eventfd));
        Ok(Registration(eventfd))
    }
}

fn check(point: u64) -> Result<()> {
    if point == 0 {
        return Err(Error::new(Stage::Release, Kind::Invalid)
            .asked("point 0 of a timeline")
            .why("it stands for the whole object, and would throw the timeline away"));
    }
    Ok(())
}

impl Drop for Timeline {
    fn drop(&mut self) {
        for eventfd in lock(&self.registered).drain(..).filter_map(|known| known.upgrade()) {
            // A full counter is readable already.
            let _ = eventfd::signal(&*eventfd);
        }
        // A node that vanished has destroyed it already.
        let _ = syncobj::destroy(&self.card, self.syncobj);
    }
}
