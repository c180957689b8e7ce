//! What ends a wait besides what it waits for: a deadline, and somebody who gives it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use handover_sys::clock::Monotonic;

use crate::backend::software::reservation::SLICE;
use crate::deadline::Deadline;

/// Gives up waits from another thread. A wait that is given up grants nothing and signals nothing.
///
/// ```
/// use handover::fence::Cancel;
/// let cancel = Cancel::default();
/// let theirs = cancel.clone();
/// std::thread::spawn(move || theirs.cancel()).join().unwrap();
/// assert!(cancel.is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends every wait that heeds this, within a slice of 20 ms, and those that begin later at once.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Was it cancelled?
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What ends a wait besides what it waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until<'a> {
    pub(crate) deadline: Deadline,
    pub(crate) cancel: Option<&'a Cancel>,
}

impl Until<'_> {
    pub(crate) fn is_over(&self) -> bool {
        self.cancel.is_some_and(Cancel::is_cancelled) || self.deadline.has_passed()
    }
}

impl From<Deadline> for Until<'_> {
    fn from(deadline: Deadline) -> Self {
        Self { deadline, cancel: None }
    }
}

/// When to look next whether the owner of something lives, for whoever only ever asks: once a slice.
#[derive(Debug, Default)]
pub(crate) struct NextLook(AtomicU64);

impl NextLook {
    /// Not before a slice has passed.
    pub(crate) fn after_a_slice() -> Self {
        Self(AtomicU64::new(Monotonic::coarse().saturating_add(SLICE).0))
    }

    /// Is it time? Then the next is a slice from now.
    pub(crate) fn is_now(&self) -> bool {
        let now = Monotonic::coarse();
        let is_now = now.0 >= self.0.load(Ordering::Relaxed);
        if is_now {
            self.0.store(now.saturating_add(SLICE).0, Ordering::Relaxed);
        }
        is_now
    }
}
