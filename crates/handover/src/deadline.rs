//! Until when a wait may last. There is no wait without one of these.

use std::time::Duration;

use handover_sys::clock::Monotonic;

/// An absolute time on `CLOCK_MONOTONIC`, or [`Deadline::Never`], which must be spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Not later than this.
    At(Monotonic),
    /// As long as the others live: a wait still ends when the owner of what it waits for dies.
    Never,
}

impl Deadline {
    /// So long from now.
    ///
    /// ```
    /// use std::time::Duration;
    /// use handover::Deadline;
    /// assert!(!Deadline::after(Duration::from_secs(1)).has_passed());
    /// assert!(Deadline::now().has_passed());
    /// ```
    pub fn after(duration: Duration) -> Self {
        Self::At(Monotonic::now().saturating_add(duration))
    }

    /// Already passed: look once, do not wait.
    pub fn now() -> Self {
        Self::At(Monotonic(0))
    }

    /// Has it passed?
    pub fn has_passed(self) -> bool {
        self.at().is_some_and(|at| at <= Monotonic::now())
    }

    /// The time, if there is one.
    pub fn at(self) -> Option<Monotonic> {
        match self {
            Self::At(at) => Some(at),
            Self::Never => None,
        }
    }
}
