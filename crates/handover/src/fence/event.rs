//! The end of something, once, in this process: how it ended, who sleeps on it, and who is to be told.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use handover_sys::clock::Monotonic;

use super::{Status, Until};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::surface::lock;

/// Called at the end, once, by whichever thread finds it. It must not wait.
pub(crate) struct Listener {
    call: Call,
    /// While somebody holds this. `None`: whatever happens.
    wanted: Option<Weak<()>>,
}

type Call = Box<dyn FnOnce(&Result<()>) + Send>;

impl Listener {
    pub(crate) fn new(call: impl FnOnce(&Result<()>) + Send + 'static) -> Self {
        Self { call: Box::new(call), wanted: None }
    }

    /// Called only while `wanted` is held elsewhere, and forgotten after.
    pub(crate) fn while_held(wanted: &Arc<()>, call: impl FnOnce(&Result<()>) + Send + 'static) -> Self {
        Self { call: Box::new(call), wanted: Some(Arc::downgrade(wanted)) }
    }

    fn is_wanted(&self) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.strong_count() > 0)
    }

    fn tell(self, result: &Result<()>) {
        if self.is_wanted() {
            (self.call)(result);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

#[derive(Debug)]
pub(crate) struct Event {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    status: Status,
    listeners: Vec<Listener>,
    /// With more than so many, it is worth looking for those that were given back.
    sweep_at: usize,
}

impl Event {
    pub(crate) fn new(status: Status) -> Self {
        Self { state: Mutex::new(State { status, listeners: Vec::new(), sweep_at: 8 }), ended: Condvar::new() }
    }

    /// Ends it, once (C2): later calls change nothing.
    pub(crate) fn signal(&self, result: Result<()>, at: Monotonic) {
        let mut state = lock(&self.state);
        if state.status != Status::Pending {
            return;
        }
        state.status = match &result {
            Ok(()) => Status::Done(at),
            Err(error) => Status::Failed(at, error.clone()),
        };
        let listeners = std::mem::take(&mut state.listeners);
        drop(state);
        self.ended.notify_all();
        for listener in listeners {
            listener.tell(&result);
        }
    }

    pub(crate) fn status(&self) -> Status {
        lock(&self.state).status.clone()
    }

    /// Tells the listener at the end, or at once if that was before (C5).
    pub(crate) fn listen(&self, listener: Listener) {
        let mut state = lock(&self.state);
        let result = match &state.status {
            Status::Pending => {
                state.listeners.push(listener);
                // Now and then, so that it costs nothing: those that were given back.
                let mut given_back = Vec::new();
                if state.listeners.len() > state.sweep_at {
                    let (wanted, unwanted) =
                        std::mem::take(&mut state.listeners).into_iter().partition(Listener::is_wanted);
                    given_back = unwanted;
                    state.listeners = wanted;
                    state.sweep_at = 2 * state.listeners.len() + 8;
                }
                // What they own may be a fence itself, so not under the lock.
                drop(state);
                drop(given_back);
                return;
            }
            Status::Done(_) => Ok(()),
            Status::Failed(_, error) => Err(error.clone()),
        };
        drop(state);
        listener.tell(&result);
    }

    /// Sleeps until the end, the deadline, or a cancel; gives how far it is then.
    pub(crate) fn wait(&self, until: &Until<'_>) -> Status {
        let mut state = lock(&self.state);
        while state.status == Status::Pending && !until.is_over() {
            state = match self.ended.wait_timeout(state, until.next_look()) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.status.clone()
    }
}

impl Until<'_> {
    /// How long to sleep at the most, where whoever signals lives in this process: its death is ours.
    fn next_look(&self) -> Duration {
        const UNTIL_IT_ENDS: Duration = Duration::from_secs(3600);
        let left = match self.deadline {
            Deadline::At(at) => at.saturating_since(Monotonic::now()),
            Deadline::Never => UNTIL_IT_ENDS,
        };
        if self.cancel.is_some() { left.min(crate::backend::software::reservation::SLICE) } else { left }
    }
}
