//! The release of a surface by several users: one point for the union of them all, and nobody forgets his share.
//!
//! # Contract
//!
//! **One timeline a buffer.** Buffers come back in any order and points must not, so each has [`Releases`] of its own (R13). Its
//! consumer makes them, since it is the one that signals; the producer [reads](crate::timeline::Reader).
//!
//! **The union.** A frame's release is complete when every user's work is (R14, S3): with the last [`Share`], never before.
//!
//! **A share is used.** It is given back with a fence, or by following a point of its user's own timeline. Dropped otherwise, or
//! when that user dies, it completes with an error; the producer is told, and not blocked.
//!
//! **The buffer that nobody consumes.** A frame travels as [`Schedule::Unscheduled`] until a consumer promises its release. The
//! producer waits for what was promised, and for nothing else (R15).

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use handover_model::Stage;

use crate::error::{Error, Kind, Result};
use crate::fence::Fence;
use crate::surface::lock;
use crate::timeline::{Promise, Reached, Reader, Timeline};

/// The releases of one buffer, frame after frame.
///
/// ```
/// use handover::release::{Releases, Schedule};
/// use handover::timeline::Reader;
/// use handover::{Deadline, Fence};
/// let mut releases = Releases::new();
/// let producers = Reader::new(releases.to_fd()?)?;
/// let (schedule, screen) = releases.schedule()?;
/// let encoder = screen.share();
/// encoder.done(&Fence::signalled())?;
/// let Some(release) = schedule.promise(&producers) else { unreachable!() };
/// assert!(release.fence().is_err(), "the screen still has its share");
/// screen.done(&Fence::signalled())?;
/// release.wait(Deadline::Never)?;
/// # Ok::<(), handover::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Releases {
    timeline: Arc<Timeline>,
    scheduled: u64,
}

/// What a frame says of its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Schedule {
    /// Nobody has promised one: the buffer is the producer's, to use again whenever it likes.
    #[default]
    Unscheduled,
    /// Promised at this point of the buffer's release timeline.
    At(u64),
}

impl Schedule {
    /// What the producer waits for before it uses the buffer again; `None`: for nothing.
    pub fn promise(self, releases: &Reader) -> Option<Promise> {
        match self {
            Self::Unscheduled => None,
            Self::At(point) => Some(releases.point(point)),
        }
    }
}

/// One user's part of a frame's release.
#[derive(Debug)]
#[must_use = "a share that is dropped releases the surface with an error"]
pub struct Share(Option<Arc<Gathering>>);

/// The shares of one frame. Whoever lets go of it last submits the release.
#[derive(Debug)]
struct Gathering {
    timeline: Arc<Timeline>,
    point: u64,
    is_submitted: bool,
    fences: Mutex<Vec<Fence>>,
    /// Keeps the waits for users in other processes.
    followed: Mutex<Vec<crate::timeline::Registered>>,
}

/// "Operation canceled" (`errno(3)`).
const ECANCELED: i32 = 125;

impl Releases {
    /// The releases of a buffer nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The timeline, for the producer to [read](Reader).
    ///
    /// # Errors
    /// As [`Timeline::to_fd`].
    pub fn to_fd(&self) -> Result<OwnedFd> {
        self.timeline.to_fd()
    }

    /// Promises the release of the frame the buffer holds now; gives what to tell the producer, and the first user's share.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the frame before it has not been released.
    pub fn schedule(&mut self) -> Result<(Schedule, Share)> {
        if self.timeline.submitted() < self.scheduled {
            return Err(Error::new(Stage::Release, Kind::Invalid)
                .asked(format!("release {} of a buffer", self.scheduled + 1))
                .found(format!("that release {} has not come", self.scheduled))
                .why("a buffer holds one frame at a time")
                .help("give the shares back first"));
        }
        self.scheduled += 1;
        let gathering = Gathering {
            timeline: Arc::clone(&self.timeline),
            point: self.scheduled,
            is_submitted: false,
            fences: Mutex::default(),
            followed: Mutex::default(),
        };
        Ok((Schedule::At(self.scheduled), Share(Some(Arc::new(gathering)))))
    }
}

impl Share {
    /// A share for one more user.
    pub fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// Gives the share back: this user's work ends with the fence. An error of it is told to the producer.
    ///
    /// # Errors
    /// Those of [`Timeline::submit`], to whoever gives the last share back. The release then completes with an error.
    pub fn done(self, fence: &Fence) -> Result<()> {
        self.end(fence.clone())
    }

    /// Gives the share to a user in another process: it is done when he has submitted that point of a timeline of his own and its
    /// work has ended. His death completes it with an error.
    ///
    /// # Errors
    /// [`Kind::Os`]: no thread to look after it. The share is then dropped, and the release completes with an error.
    pub fn follow(self, promise: &Promise) -> Result<()> {
        // Held meanwhile: the call may come at once, and give the last share back.
        let Some(gathering) = self.0.clone() else { return Ok(()) };
        let theirs = promise.clone();
        let registered = promise.on_reached(Reached::Available, move |result| {
            let fence = result.clone().and_then(|()| theirs.fence());
            // Trouble with the page of the timeline is told by the release itself.
            let _ = self.end(fence.unwrap_or_else(Fence::failed));
        })?;
        lock(&gathering.followed).push(registered);
        Ok(())
    }

    fn end(mut self, fence: Fence) -> Result<()> {
        self.0.take().map_or(Ok(()), |gathering| Gathering::give_back(gathering, fence))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(gathering) = self.0.take() {
            let error = Error::new(Stage::Release, Kind::Cancelled)
                .asked(format!("release {} of a buffer", gathering.point))
                .found("that a user dropped his share of it")
                .with_errno(ECANCELED);
            // Nobody is left here to be told.
            let _ = Gathering::give_back(gathering, Fence::failed(error));
        }
    }
}

impl Gathering {
    fn give_back(this: Arc<Self>, fence: Fence) -> Result<()> {
        lock(&this.fences).push(fence);
        Arc::into_inner(this).map_or(Ok(()), |mut last| last.submit())
    }

    fn submit(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_submitted, true) {
            return Ok(());
        }
        let fences = std::mem::take(&mut *lock(&self.fences));
        self.timeline.submit(self.point, &Fence::union(&fences))
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        // Nobody is left here to be told.
        let _ = self.submit();
    }
}
