//! The entries of a reservation at one moment, as a fence: what an access would have to wait for if it came now.

use std::sync::{Arc, Mutex};

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;

use super::{NextLook, Until};
use crate::backend::software::pool::Pool;
use crate::backend::software::reservation::{Dependency, Outcome, Phase, SLICE};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::surface::lock;
use crate::waiting::holder;
use crate::who_waits;

/// Entries of one surface, and how those that are over ended.
#[derive(Debug)]
pub(crate) struct Entries {
    pool: Arc<Pool>,
    state: Mutex<State>,
    next_look: NextLook,
}

#[derive(Debug)]
struct State {
    left: Vec<Dependency>,
    failed: Option<u32>,
}

/// "Owner died" (`errno(3)`).
const EOWNERDEAD: i32 = 130;

impl Entries {
    pub(super) fn new(pool: Arc<Pool>, left: Vec<Dependency>) -> Self {
        let next_look = NextLook::after_a_slice();
        Self { pool, state: Mutex::new(State { left, failed: None }), next_look }
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Those that have not ended. With `end_the_dead` their owners are looked at too: a lock query each, 0.3 µs.
    pub(crate) fn left(&self, end_the_dead: bool) -> Vec<Dependency> {
        let mut state = lock(&self.state);
        let State { left, failed } = &mut *state;
        left.retain_mut(|dependency| {
            if end_the_dead {
                self.pool.reservation().end_if_dead(dependency);
            }
            match self.pool.reservation().is_over(dependency) {
                None => true,
                Some(phase) => {
                    *failed = failed.or_else(|| self.pool.reservation().failure_of(dependency, phase?));
                    false
                }
            }
        });
        left.clone()
    }

    pub(super) fn look(&self) -> Option<(Result<()>, Monotonic)> {
        if !self.left(self.next_look.is_now()).is_empty() {
            return None;
        }
        let result = lock(&self.state).failed.map_or(Ok(()), |errno| Err(failed(errno)));
        Some((result, Monotonic::now()))
    }

    /// Each in turn, without a lock held.
    pub(super) fn wait(&self, until: &Until<'_>) {
        while let Some(mut dependency) = self.left(false).pop() {
            let slice = Monotonic::now().saturating_add(SLICE);
            let deadline = match (until.deadline, until.cancel) {
                (deadline, None) => deadline.at(),
                (Deadline::At(at), Some(_)) => Some(at.min(slice)),
                (Deadline::Never, Some(_)) => Some(slice),
            };
            let outcome = self.pool.reservation().wait(&mut dependency, deadline);
            match outcome {
                // The others may be the same owner's: a slice for each would add up.
                Outcome::Ended(Some(Phase::Dead)) => drop(self.left(true)),
                Outcome::TimedOut if until.is_over() => return,
                Outcome::Ended(_) | Outcome::TimedOut => {}
            }
        }
    }

    pub(super) fn describe(&self) -> String {
        let left = self.left(false);
        format!("{} entries of a reservation", left.len())
    }

    pub(super) fn blocked(&self) -> Blocked {
        let (left, reservation) = (self.left(false), self.pool.reservation());
        let by = left.iter().map(|dependency| holder(reservation, dependency.surface, dependency.word)).collect();
        let chains = left.iter().map(|dependency| who_waits::chain(reservation, dependency.word.owner()));
        let then = chains.max_by_key(Vec::len).unwrap_or_default();
        Blocked { by, then, holding: Vec::new() }
    }
}

fn failed(errno: u32) -> Error {
    let errno = i32::try_from(errno).unwrap_or(EOWNERDEAD);
    Error::new(Stage::Acquire, if errno == EOWNERDEAD { Kind::PeerGone } else { Kind::Os })
        .asked("the end of work in a reservation")
        .found(if errno == EOWNERDEAD { "that its owner died" } else { "that it failed" })
        .with_errno(errno)
}
