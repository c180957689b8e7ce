//! Timelines: numbered points that one party completes in order, and that others may wait for before anybody has submitted them.
//!
//! # Contract
//!
//! **One writer.** Whoever will signal a timeline makes it: a producer the one that says "drawn", each consumer the one that says
//! "released", one a surface, since releases come in any order and points must not (R13). Everybody else
//! [reads](Reader), and cannot do anything else: the kernel refuses.
//!
//! **Submitted, then complete.** A point that was submitted has a [`Fence`] behind it and will end. One that was not is a
//! [`Promise`]: it becomes a fence by being submitted, and a wait for that needs a deadline, since nobody need ever do it (R7, R8).
//! A point is complete when its own fence and those of all points below have ended; a point that was left out is complete with
//! the next one above (C82).
//!
//! **Snapshots.** Whoever has found the fence of a point keeps it, whatever becomes of the timeline (C75, R17).
//!
//! **The end.** A dropped timeline, a writer that died: points that were submitted end with their fences, all others with
//! [`Kind::PeerGone`] (R11). (The kernel's own timelines tell nobody, C89.)
//!
//! **Within a process** a timeline is more: points may come in any order, point 0 is the object as a whole, which can be
//! [replaced](Timeline::replace) and [reset](Timeline::reset), and points can be [transferred](Timeline::transfer). Once it has
//! [left](Timeline::to_fd) the process, its numbers only grow and those are [`Kind::Unsupported`]: a reader elsewhere could not
//! tell a reset from a lie.

mod chain;
mod file;
pub mod page;
mod promise;
mod remote;
mod state;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use handover_model::Stage;

pub use crate::backend::linux::Reached;
use crate::error::{Error, Kind, Result};
use crate::fence::{Fence, Status};
use crate::surface::lock;
use chain::Content;
use file::Written;
pub(crate) use promise::Registered;
pub use promise::{Awaiting, Promise, Which, wait};
pub use remote::Reader;
pub(crate) use remote::RemotePoint;
use state::{Inner, closed};

/// A timeline that this process writes.
///
/// ```
/// use std::time::Duration;
/// use handover::{Deadline, Fence};
/// use handover::timeline::{Reader, Timeline};
/// let drawn = Timeline::new();
/// let theirs = Reader::new(drawn.to_fd()?)?; // in another process
/// let promise = theirs.point(1);
/// assert!(promise.fence().unwrap_err().is_timeout(), "nobody has submitted it");
/// drawn.submit(1, &Fence::signalled())?;
/// promise.wait_submitted(Deadline::after(Duration::from_secs(1)))?.wait(Deadline::Never)?;
/// assert_eq!(theirs.completed(), 1);
/// # Ok::<(), handover::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Timeline(Arc<Inner>);

impl Timeline {
    /// A new timeline, at 0. It has no descriptor and no memory of its own before it leaves the process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Submits a point: it is complete when `fence` has ended and every point below is. With an error if the fence, or one
    /// that was still under way when the point was submitted, ended so.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the timeline has left the process, and the point is not above the last. [`Kind::Unsupported`]: point 0
    /// of such a timeline.
    pub fn submit(&self, point: u64, fence: &Fence) -> Result<()> {
        if point == 0 {
            return self.replace(fence);
        }
        loop {
            // Ends are found and told without the lock: whoever is told may be this very timeline.
            self.0.refresh();
            let _ = fence.has_ended();
            let (before, place, version) = {
                let state = lock(&self.0.state);
                state.check_rising(point)?;
                let (before, place) = state.content.before(point);
                (before, place, state.version)
            };
            let all: Vec<Fence> = before.into_iter().chain([fence.clone()]).collect();
            let whole = Fence::union_at(Some((self.0.context, place)), &all);
            // Before anybody is told of the point: if nobody can look after it, it is not submitted.
            whole.watch()?;
            let mut state = lock(&self.0.state);
            if state.version != version {
                continue;
            }
            let is_pending = whole.status_as_seen() == Status::Pending;
            if let Some(page) = state.page.as_ref().filter(|_| is_pending) {
                page::submit(page, point);
            }
            state.push(point, whole.clone());
            let met = self.0.met(&mut state);
            drop(state);
            met.into_iter().for_each(|submitted| submitted.signal(Ok(())));
            Inner::follow(&self.0, &whole);
            return Ok(());
        }
    }

    /// Completes a point, by the CPU. It is complete when every point below is.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn signal(&self, point: u64) -> Result<()> {
        let mut state = lock(&self.0.state);
        if !state.content.complete(point) {
            drop(state);
            return self.submit(point, &Fence::signalled());
        }
        state.version += 1;
        if let Some(page) = &state.page {
            page::complete(page, point, None);
        }
        let met = self.0.met(&mut state);
        drop(state);
        met.into_iter().for_each(|submitted| submitted.signal(Ok(())));
        Ok(())
    }

    /// Completes a point with an error: whoever waits for it is told, and not blocked (R19).
    ///
    /// `errno`: as in `errno(3)`; 1 to 4095 reach readers in other processes.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn fail(&self, point: u64, errno: i32) -> Result<()> {
        let error =
            Error::new(Stage::Release, Kind::Os).asked(format!("point {point} of a timeline")).with_errno(errno);
        self.submit(point, &Fence::failed(error.found("that its writer failed")))
    }

    /// Throws the timeline away and is that fence as a whole (C85): what point 0 stands for.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: it has left the process.
    pub fn replace(&self, fence: &Fence) -> Result<()> {
        let mut state = lock(&self.0.state);
        self.0.check_local(&state, "a timeline replaced by one fence")?;
        state.version += 1;
        state.content = Content::Whole(fence.clone());
        let met = self.0.met(&mut state);
        drop(state);
        met.into_iter().for_each(|submitted| submitted.signal(Ok(())));
        Ok(())
    }

    /// Empties it: nothing is submitted. Whoever has found a fence keeps it, whoever waits for a submission goes on (C76).
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: it has left the process.
    pub fn reset(&self) -> Result<()> {
        let mut state = lock(&self.0.state);
        self.0.check_local(&state, "a timeline reset")?;
        state.version += 1;
        state.content = Content::default();
        Ok(())
    }

    /// Submits what a point of another timeline stands for as a point of this one (C86). Point 0: as a whole.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: nobody has submitted the point there. Else as [`submit`](Self::submit).
    pub fn transfer(&self, point: u64, from: &Promise) -> Result<()> {
        self.submit(point, &from.fence()?)
    }

    /// A point, submitted or not.
    pub fn point(&self, point: u64) -> Promise {
        Promise::local(Arc::clone(&self.0), point)
    }

    /// The fence behind a point, with those of every point below (C87). Point 0: of all of them.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: nobody has submitted it yet, so there is none.
    pub fn fence(&self, point: u64) -> Result<Fence> {
        self.0.fence(point)
    }

    /// The highest complete point. Never falls but by [`reset`](Self::reset) and [`replace`](Self::replace) (C80).
    pub fn completed(&self) -> u64 {
        self.0.refresh();
        lock(&self.0.state).content.completed()
    }

    /// The highest submitted point (C81).
    pub fn submitted(&self) -> u64 {
        lock(&self.0.state).content.submitted()
    }

    /// A descriptor of the timeline for others to [read](Reader). Whoever holds it can read it and no more.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: it holds one fence as a whole, which has no number; or a late point is under way. [`Kind::Os`]: no descriptor or no /proc.
    pub fn to_fd(&self) -> Result<OwnedFd> {
        self.0.refresh();
        let mut state = lock(&self.0.state);
        if matches!(state.content, Content::Whole(_)) {
            return Err(Error::new(Stage::Export, Kind::Invalid)
                .asked("a descriptor of a timeline")
                .found("one fence as a whole")
                .why("readers elsewhere know points only")
                .help("reset it first"));
        }
        if state.page.is_none() {
            let content = &state.content;
            if content.has_late_point() {
                return Err(Error::new(Stage::Export, Kind::Invalid)
                    .asked("a descriptor of a timeline")
                    .found("a point under way below one that is complete")
                    .why("to readers elsewhere every point below a complete one is complete")
                    .help("wait for it first"));
            }
            state.page = Some(Written::create(content.completed(), content.submitted(), content.failed())?);
            state.version += 1;
        }
        match &state.page {
            Some(page) => page.descriptor(),
            None => Err(Error::new(Stage::Export, Kind::Unreachable)),
        }
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.closed = true;
        let awaited = std::mem::take(&mut state.awaited);
        state.close_if_over();
        drop(state);
        for awaited in awaited {
            awaited.submitted.signal(Err(closed(awaited.point)));
        }
    }
}
