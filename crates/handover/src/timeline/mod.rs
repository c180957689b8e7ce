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

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, OnceLock};

use handover_model::{Blocked, Stage};

pub use crate::backend::linux::Reached;
use crate::error::{Error, Kind, Result};
use crate::fence::event::Listener;
use crate::fence::{Fence, Status, new_context};
use crate::surface::lock;
use chain::Content;
use file::Written;
pub(crate) use promise::Registered;
pub use promise::{Awaiting, Promise, Which, wait};
pub use remote::Reader;
pub(crate) use remote::RemotePoint;

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

#[derive(Debug)]
pub(crate) struct Inner {
    context: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    content: Content,
    /// Who waits for a submission: the point, the fence that stood behind it when it came, and the end of the wait.
    awaited: Vec<Awaited>,
    /// Once it has left the process.
    page: Option<Written>,
    /// The owner has dropped it: nothing more will be submitted.
    closed: bool,
    /// Changes with the content, but for the ends of points.
    version: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub(crate) point: u64,
    pub(crate) picked: Arc<OnceLock<Fence>>,
    pub(crate) submitted: Fence,
}

impl Default for Inner {
    fn default() -> Self {
        Self { context: new_context(), state: Mutex::default() }
    }
}

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
            let (whole, version) = {
                let state = lock(&self.0.state);
                state.check_rising(point)?;
                (state.content.whole(self.0.context, point, fence), state.version)
            };
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
    /// [`Kind::Invalid`]: it holds one fence as a whole, which has no number. [`Kind::Os`]: no descriptor or no /proc.
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
            state.page = Some(Written::create(content.completed(), content.submitted(), content.failed())?);
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

impl State {
    fn push(&mut self, point: u64, whole: Fence) {
        self.version += 1;
        self.content.push(point, whole);
    }

    /// To readers elsewhere every point below a complete one is complete.
    fn check_rising(&self, point: u64) -> Result<()> {
        let last = self.content.submitted();
        if self.page.is_none() || point > last {
            return Ok(());
        }
        Err(Error::new(Stage::Release, Kind::Invalid)
            .asked(format!("point {point} of a timeline"))
            .found(format!("that point {last} was submitted before, and readers in other processes"))
            .why("to them every point below a complete one is complete")
            .help("rising points, or a timeline for each line of work"))
    }

    /// What was submitted ends with its fences; only then is the page closed to readers.
    fn close_if_over(&self) {
        if self.closed
            && self.content.is_complete()
            && let Some(page) = &self.page
        {
            page::close(page);
        }
    }
}

impl Inner {
    /// Hears of the end of this point's fence, which somebody looks after.
    fn follow(this: &Arc<Self>, whole: &Fence) {
        let inner = Arc::clone(this);
        whole.listen(Listener::new(move |_| inner.advance()));
    }

    /// Some fence has ended: how far are we?
    fn advance(&self) {
        let mut state = lock(&self.state);
        while let Some((point, error)) = state.content.advance() {
            if let Some(page) = &state.page {
                page::complete(page, point, error.as_ref().map(errno_of));
            }
        }
        state.close_if_over();
    }

    /// Looks at what pends. A fence that is found to have ended tells its listeners, [`advance`](Self::advance) among them, so no
    /// lock is held.
    pub(crate) fn refresh(&self) {
        let pending = lock(&self.state).content.pending();
        // In order: one that pends is behind all that follow.
        let _ = pending.iter().find(|fence| !fence.has_ended());
        self.advance();
    }

    fn fence(&self, point: u64) -> Result<Fence> {
        self.refresh();
        let state = lock(&self.state);
        state.content.fence(point).ok_or_else(|| match state.closed {
            true => closed(point),
            false => unsubmitted(point, state.content.submitted()),
        })
    }

    /// The end of the wait for a submission, and what was submitted.
    fn await_submission(&self, point: u64) -> Awaited {
        let mut state = lock(&self.state);
        let submitted = Fence::new(new_context(), 1);
        let awaited = Awaited { point, picked: Arc::default(), submitted };
        if let Some(fence) = state.content.fence(point) {
            let _ = awaited.picked.set(fence);
            awaited.submitted.signal(Ok(()));
        } else if state.closed {
            awaited.submitted.signal(Err(closed(point)));
        } else {
            // Whoever gave up has dropped its half.
            state.awaited.retain(|awaited| awaited.submitted.is_shared());
            state.awaited.push(awaited.clone());
        }
        awaited
    }

    /// Picks fences for those whose point is there now; gives the ends of their waits, to be signalled without the lock.
    fn met(&self, state: &mut State) -> Vec<Fence> {
        let mut met = Vec::new();
        let State { content, awaited, .. } = state;
        awaited.retain(|awaited| match content.fence(awaited.point) {
            Some(fence) => {
                let _ = awaited.picked.set(fence);
                met.push(awaited.submitted.clone());
                false
            }
            None => true,
        });
        met
    }

    fn check_local(&self, state: &State, asked: &'static str) -> Result<()> {
        if state.page.is_none() {
            return Ok(());
        }
        Err(Error::new(Stage::Release, Kind::Unsupported)
            .asked(asked)
            .found("one that has left the process")
            .why("its readers could not tell it from a lie: to them points only grow")
            .help("a new timeline"))
    }
}

/// "Input/output error", for fences that failed without an errno.
const EIO: u32 = 5;

fn errno_of(error: &Error) -> u32 {
    error.errno().and_then(|errno| u32::try_from(errno).ok()).unwrap_or(EIO)
}

fn unsubmitted(point: u64, submitted: u64) -> Error {
    Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
        .asked(format!("the fence of point {point}"))
        .found(format!("a timeline submitted up to {submitted}"))
        .why("a fence stands for work that was submitted, so that it surely ends")
        .help("wait until the point is submitted")
}

fn closed(point: u64) -> Error {
    Error::new(Stage::Acquire, Kind::PeerGone)
        .asked(format!("point {point} of a timeline"))
        .found("that its writer has dropped it")
}
