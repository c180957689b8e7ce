//! A promise: a point that somebody may submit. Awaiting that makes a fence of it; nothing else does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::eventfd;

use super::state::{Awaited, Inner, unsubmitted};
use super::{Reached, Reader};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::fence::event::Listener;
use crate::fence::{Cancel, Fence};
use crate::surface::lock;

/// A point of a timeline, submitted or not.
///
/// It is not a [`Fence`] and goes nowhere a fence goes: work that waits for it would wait for somebody's good will.
///
/// ```compile_fail
/// # use handover::{Queue, Deadline, timeline::Timeline};
/// # let (queue, timeline) = (Queue::new("one").unwrap(), Timeline::new());
/// // A promise among the fences a job waits for: mismatched types.
/// queue.submit(&[], &[timeline.point(1)], Deadline::Never, |_| Ok(()));
/// ```
#[derive(Debug, Clone)]
pub struct Promise {
    of: Of,
    point: u64,
}

#[derive(Debug, Clone)]
enum Of {
    Here(Arc<Inner>),
    There(Reader),
}

/// A wait for a submission, under way. Whoever drops it has given up.
struct Submission {
    ended: Fence,
    picked: Picked,
}

#[derive(Clone)]
enum Picked {
    Here(Arc<OnceLock<Fence>>),
    There(Promise),
}

/// A descriptor that becomes readable when a point has come so far, or never will. Dropped, it takes its registration back.
#[derive(Debug)]
pub struct Awaiting {
    descriptor: Arc<OwnedFd>,
    _registered: Registered,
}

/// Keeps what calls, until the call.
#[derive(Debug)]
pub(crate) struct Registered {
    _submission: Fence,
    _end: Arc<OnceLock<Fence>>,
    _wanted: Arc<()>,
}

impl AsFd for Awaiting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Promise {
    pub(super) fn local(of: Arc<Inner>, point: u64) -> Self {
        Self { of: Of::Here(of), point }
    }

    pub(super) fn remote(of: Reader, point: u64) -> Self {
        Self { of: Of::There(of), point }
    }

    /// The number of the point.
    pub fn number(&self) -> u64 {
        self.point
    }

    /// The fence, if the point was submitted.
    ///
    /// # Errors
    /// [`Kind::Timeout`]: it was not. [`Kind::PeerGone`]: and it never will be.
    pub fn fence(&self) -> Result<Fence> {
        match &self.of {
            Of::Here(inner) => inner.fence(self.point),
            Of::There(reader) => match reader.at(self.point, Reached::Available).look() {
                Some((Ok(()), _)) => Ok(Fence::of_point(reader.at(self.point, Reached::Complete))),
                Some((Err(error), _)) => Err(error),
                None => Err(unsubmitted(self.point, reader.submitted())),
            },
        }
    }

    /// Waits until somebody has submitted the point; gives its fence, which will end.
    ///
    /// # Errors
    /// [`Kind::Timeout`] says how far the timeline is. [`Kind::PeerGone`]: its writer is gone, or has closed it.
    pub fn wait_submitted(&self, deadline: Deadline) -> Result<Fence> {
        self.submitted(|ended| ended.wait(deadline))
    }

    /// As [`wait_submitted`](Self::wait_submitted), and gives up when told so. The point itself goes on (R10).
    ///
    /// # Errors
    /// As [`wait_submitted`](Self::wait_submitted), and [`Kind::Cancelled`].
    pub fn wait_submitted_unless(&self, cancel: &Cancel, deadline: Deadline) -> Result<Fence> {
        self.submitted(|ended| ended.wait_unless(cancel, deadline))
    }

    fn submitted(&self, wait: impl FnOnce(&Fence) -> Result<()>) -> Result<Fence> {
        let submission = self.await_submission();
        wait(&submission.ended).map_err(|error| match (&self.of, error.is_timeout()) {
            (Of::There(reader), true) => reader.at(self.point, Reached::Available).timed_out(),
            (Of::Here(inner), true) => unsubmitted(self.point, lock(&inner.state).content.submitted()),
            (_, false) => error,
        })?;
        submission.picked.fence()
    }

    /// Waits until the point is complete, submitted or not yet.
    ///
    /// # Errors
    /// As [`wait_submitted`](Self::wait_submitted); and whatever the work behind it ended with.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        match &self.of {
            // One sleep: whether it was submitted meanwhile does not matter.
            Of::There(reader) => reader.at(self.point, Reached::Complete).wait_for(deadline),
            Of::Here(_) => self.wait_submitted(deadline)?.wait(deadline),
        }
    }

    /// A descriptor that becomes readable when the point has come so far, or never will (C88): then ask for its
    /// [fence](Self::fence). Each call makes one.
    ///
    /// # Errors
    /// [`Kind::Os`]: no descriptor left, or no thread.
    pub fn descriptor(&self, reached: Reached) -> Result<Awaiting> {
        let descriptor = Arc::new(eventfd::create().map_err(os(Stage::Acquire, "make an eventfd"))?);
        // Weak: what is called is forgotten at the next registration only, and must not keep the descriptor until then.
        let theirs = Arc::downgrade(&descriptor);
        let registered = self.on_reached(reached, move |_| {
            if let Some(descriptor) = theirs.upgrade() {
                // A full counter is readable already.
                let _ = eventfd::signal(&*descriptor);
            }
        })?;
        Ok(Awaiting { descriptor, _registered: registered })
    }

    /// Calls when the point has come so far, or never will, unless what this gives is dropped before. The call must not wait.
    pub(crate) fn on_reached(
        &self,
        reached: Reached,
        call: impl FnOnce(&Result<()>) + Send + 'static,
    ) -> Result<Registered> {
        let Submission { ended, picked } = self.await_submission();
        let (end, wanted) = (Arc::new(OnceLock::new()), Arc::new(()));
        let registered =
            Registered { _submission: ended.clone(), _end: Arc::clone(&end), _wanted: Arc::clone(&wanted) };
        let theirs = Arc::downgrade(&wanted);
        let submitted = move |result: &Result<()>| {
            let Some(wanted) = theirs.upgrade() else { return };
            let fence = result.clone().and_then(|()| picked.fence());
            match fence {
                Err(error) => call(&Err(error)),
                Ok(_) if reached == Reached::Available => call(&Ok(())),
                Ok(fence) => {
                    let fence = end.get_or_init(|| fence);
                    match fence.watch() {
                        Ok(()) => fence.listen(Listener::while_held(&wanted, call)),
                        Err(error) => call(&Err(error)),
                    }
                }
            }
        };
        ended.on_end(Listener::while_held(&wanted, submitted))?;
        Ok(registered)
    }

    fn await_submission(&self) -> Submission {
        match &self.of {
            Of::Here(inner) => {
                let Awaited { picked, submitted, .. } = inner.await_submission(self.point);
                Submission { ended: submitted, picked: Picked::Here(picked) }
            }
            Of::There(reader) => {
                let ended = Fence::of_point(reader.at(self.point, Reached::Available));
                Submission { ended, picked: Picked::There(self.clone()) }
            }
        }
    }
}

impl Picked {
    /// The fence that stood behind the point when it was submitted (C75).
    fn fence(&self) -> Result<Fence> {
        match self {
            Self::Here(picked) => picked.get().cloned().ok_or_else(|| Error::new(Stage::Acquire, Kind::Unreachable)),
            Self::There(promise) => promise.fence(),
        }
    }
}

/// How many of several points a wait needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    /// Every one.
    All,
    /// The first that comes.
    Any,
}

/// Waits for points, submitted or not; gives the index of the one that ended an [any](Which::Any)-wait, else 0 (C77). Of no points
/// nothing is waited for (C72).
///
/// Each point is waited for as it was first found: what becomes of its timeline meanwhile does not matter (C75).
///
/// # Errors
/// [`Kind::Timeout`] at the deadline. That of the point that ended the wait; for all, the first by index.
pub fn wait(points: &[Promise], which: Which, reached: Reached, deadline: Deadline) -> Result<usize> {
    if points.is_empty() {
        return Ok(0);
    }
    let gate = Arc::new(Gate::default());
    let register = |(index, point): (usize, &Promise)| {
        let theirs = Arc::clone(&gate);
        point.on_reached(reached, move |result| theirs.open(index, result.clone()))
    };
    let _registered = points.iter().enumerate().map(register).collect::<Result<Vec<_>>>()?;
    let needed = if which == Which::All { points.len() } else { 1 };
    let Some(mut reached) = gate.wait(needed, deadline) else {
        return Err(Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
            .asked(format!("{} of {} points", if which == Which::All { "all" } else { "any" }, points.len()))
            .found("too few of them at the deadline"));
    };
    if which == Which::All {
        reached.sort_by_key(|(index, _)| *index);
        return reached.into_iter().try_for_each(|(_, result)| result).map(|()| 0);
    }
    let first = reached.into_iter().next();
    first.map_or(Err(Error::new(Stage::Acquire, Kind::Unreachable)), |(index, result)| result.map(|()| index))
}

/// Where those who wait for several meet those who end them.
#[derive(Debug, Default)]
struct Gate {
    reached: Mutex<Vec<(usize, Result<()>)>>,
    changed: Condvar,
}

impl Gate {
    fn open(&self, index: usize, result: Result<()>) {
        lock(&self.reached).push((index, result));
        self.changed.notify_all();
    }

    fn wait(&self, needed: usize, deadline: Deadline) -> Option<Vec<(usize, Result<()>)>> {
        let mut reached = lock(&self.reached);
        while reached.len() < needed {
            if deadline.has_passed() {
                return None;
            }
            let left = deadline.at().map_or(Duration::from_secs(3600), |at| at.saturating_since(Monotonic::now()));
            reached = match self.changed.wait_timeout(reached, left) {
                Ok((reached, _)) => reached,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        Some(std::mem::take(&mut *reached))
    }
}
