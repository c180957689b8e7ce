//! The state of a timeline that this process writes: what it holds, who waits for submissions, and the page others read.

use std::sync::{Arc, Mutex, OnceLock};

use handover_model::{Blocked, Stage};

use super::chain::Content;
use super::file::Written;
use super::page;
use crate::error::{Error, Kind, Result};
use crate::fence::event::Listener;
use crate::fence::{Fence, new_context};
use crate::surface::lock;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(super) context: u64,
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) content: Content,
    /// Who waits for a submission: the point, the fence that stood behind it when it came, and the end of the wait.
    pub(super) awaited: Vec<Awaited>,
    /// Once it has left the process.
    pub(super) page: Option<Written>,
    /// The owner has dropped it: nothing more will be submitted.
    pub(super) closed: bool,
    /// Changes with the content, but for the ends of points.
    pub(super) version: u64,
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

impl State {
    pub(super) fn push(&mut self, point: u64, whole: Fence) {
        self.version += 1;
        self.content.push(point, whole);
    }

    /// To readers elsewhere every point below a complete one is complete.
    pub(super) fn check_rising(&self, point: u64) -> Result<()> {
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
    pub(super) fn close_if_over(&self) {
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
    pub(super) fn follow(this: &Arc<Self>, whole: &Fence) {
        let inner = Arc::clone(this);
        whole.listen(Listener::new(move |_| inner.advance()));
    }

    /// Some fence has ended: how far are we?
    pub(super) fn advance(&self) {
        let mut state = lock(&self.state);
        while let Some((completed, error)) = state.content.advance() {
            if let Some(page) = &state.page {
                let error = error.map(|(point, error)| (point, errno_of(&error)));
                page::complete(page, completed, error);
            }
        }
        state.close_if_over();
    }

    /// Looks at what pends. A fence that is found to have ended tells its listeners, [`advance`](Self::advance) among them, so no
    /// lock is held.
    pub(crate) fn refresh(&self) {
        loop {
            // In order: one that pends is behind all that follow.
            let front = lock(&self.state).content.front();
            if front.is_none_or(|front| !front.has_ended()) {
                return;
            }
            self.advance();
        }
    }

    pub(super) fn fence(&self, point: u64) -> Result<Fence> {
        self.refresh();
        let state = lock(&self.state);
        state.content.fence(point).ok_or_else(|| match state.closed {
            true => closed(point),
            false => unsubmitted(point, state.content.submitted()),
        })
    }

    /// The end of the wait for a submission, and what was submitted.
    pub(super) fn await_submission(&self, point: u64) -> Awaited {
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
    pub(super) fn met(&self, state: &mut State) -> Vec<Fence> {
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

    pub(super) fn check_local(&self, state: &State, asked: &'static str) -> Result<()> {
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

pub(super) fn errno_of(error: &Error) -> u32 {
    error.errno().and_then(|errno| u32::try_from(errno).ok()).unwrap_or(EIO)
}

pub(super) fn unsubmitted(point: u64, submitted: u64) -> Error {
    Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
        .asked(format!("the fence of point {point}"))
        .found(format!("a timeline submitted up to {submitted}"))
        .why("a fence stands for work that was submitted, so that it surely ends")
        .help("wait until the point is submitted")
}

pub(super) fn closed(point: u64) -> Error {
    Error::new(Stage::Acquire, Kind::PeerGone)
        .asked(format!("point {point} of a timeline"))
        .found("that its writer has dropped it")
}
