//! What ends a wait besides what it waits for: a deadline, and somebody who gives it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
