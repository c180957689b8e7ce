//! A fence: the end of one submission. It will come, or its owner is dead.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::eventfd;

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::surface::lock;

/// How far a fence is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Submitted and not ended.
    Pending,
    /// Ended well, at this time.
    Done(Monotonic),
    /// Ended with an error, at this time. An error ends a fence like success does; it does not block anybody (S22).
    Failed(Monotonic, Error),
}

/// The end of one submission of a [`Queue`](crate::Queue). Clones are the same fence.
#[derive(Debug, Clone)]
pub struct Fence(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: u64,
    seq: u64,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    status: Status,
    listeners: Vec<OwnedFd>,
}

impl Fence {
    pub(crate) fn new(context: u64, seq: u64) -> Self {
        let state = State { status: Status::Pending, listeners: Vec::new() };
        Self(Arc::new(Inner { context, seq, state: Mutex::new(state), ended: Condvar::new() }))
    }

    /// Signals once (C2); later calls change nothing.
    pub(crate) fn signal(&self, result: Result<()>) {
        let mut state = lock(&self.0.state);
        if state.status != Status::Pending {
            return;
        }
        let now = Monotonic::now();
        state.status = match result {
            Ok(()) => Status::Done(now),
            Err(error) => Status::Failed(now, error),
        };
        for listener in state.listeners.drain(..) {
            // A full counter is readable already.
            let _ = eventfd::signal(listener.as_fd());
        }
        drop(state);
        self.0.ended.notify_all();
    }

    /// Fences of one context end in the order of their sequence numbers; there is no order across contexts (C9).
    pub fn context(&self) -> u64 {
        self.0.context
    }

    /// Place in the context, from 1.
    pub fn seq(&self) -> u64 {
        self.0.seq
    }

    /// Pending (C1), done or failed.
    pub fn status(&self) -> Status {
        lock(&self.0.state).status.clone()
    }

    /// Waits for the end; gives the error the work ended with, if any.
    ///
    /// # Errors
    /// [`Kind::Timeout`] at the deadline (C6), else whatever the job said.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        let mut state = lock(&self.0.state);
        loop {
            match &state.status {
                Status::Done(_) => return Ok(()),
                Status::Failed(_, error) => return Err(error.clone()),
                Status::Pending if deadline.has_passed() => {
                    return Err(Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
                        .asked(format!("the end of job {} of queue {:#x}", self.0.seq, self.0.context))
                        .found("it has not ended before the deadline"));
                }
                Status::Pending => {}
            }
            // The queue that signals lives in this process: its death is ours. An hour stands for "until it ends".
            let left = deadline
                .at()
                .map_or(Duration::from_secs(3600), |at| Duration::from_nanos(at.0.saturating_sub(Monotonic::now().0)));
            state = match self.0.ended.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// A descriptor that becomes readable at the end. Each call makes one.
    pub fn descriptor(&self) -> Result<OwnedFd> {
        let ours = eventfd::create().map_err(os(Stage::Acquire, "make an eventfd"))?;
        let theirs = ours.try_clone().map_err(os(Stage::Acquire, "duplicate an eventfd"))?;
        let mut state = lock(&self.0.state);
        if state.status == Status::Pending {
            state.listeners.push(ours);
        } else {
            eventfd::signal(ours.as_fd()).map_err(os(Stage::Acquire, "signal an eventfd"))?;
        }
        Ok(theirs)
    }
}
