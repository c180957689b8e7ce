//! Instants of `CLOCK_MONOTONIC`: the one clock of every deadline and every ticket.
//!
//! `std::time::Instant` runs on the same clock but keeps its number to itself, and a ticket in a control file must
//! mean the same in every process.

use std::time::Duration;

use rustix::thread::ClockId;
use rustix::time::{Timespec, clock_gettime};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// An instant of `CLOCK_MONOTONIC`, in nanoseconds since boot (suspend not counted).
///
/// The number means the same in all processes of one machine and one time namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Now, to the nanosecond.
    ///
    /// Call: `clock_gettime(CLOCK_MONOTONIC)`, from the vDSO. Permission: none. May block: no. Retries: none.
    #[must_use]
    pub fn now() -> Self {
        Self::from_timespec(clock_gettime(ClockId::Monotonic))
    }

    /// Now, to the tick of the kernel (1 to 10 ms behind), at a third of the price of [`Monotonic::now`].
    ///
    /// Call: `clock_gettime(CLOCK_MONOTONIC_COARSE)`, from the vDSO. Permission: none. May block: no. Retries: none.
    #[must_use]
    pub fn coarse() -> Self {
        Self::from_timespec(clock_gettime(ClockId::MonotonicCoarse))
    }

    /// The instant `by` later, or `None` past the year 2554.
    ///
    /// ```
    /// # use handover_sys::clock::Monotonic;
    /// # use std::time::Duration;
    /// assert_eq!(Monotonic(5).checked_add(Duration::from_micros(1)), Some(Monotonic(1005)));
    /// assert_eq!(Monotonic(u64::MAX).checked_add(Duration::from_nanos(1)), None);
    /// ```
    #[must_use]
    pub fn checked_add(self, by: Duration) -> Option<Self> {
        let nanoseconds = u64::try_from(by.as_nanos()).ok()?;
        self.0.checked_add(nanoseconds).map(Self)
    }

    /// The instant `by` later, or the last one there is.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        self.checked_add(by).unwrap_or(Self(u64::MAX))
    }

    /// How long after `earlier` this is; zero where `earlier` is the later one.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    fn from_timespec(at: Timespec) -> Self {
        // Neither field is negative on this clock; a clamp is cheaper to prove than to argue.
        let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(at.tv_nsec).unwrap_or(0);
        Self(seconds.saturating_mul(NANOSECONDS_PER_SECOND).saturating_add(nanoseconds))
    }

    /// The kernel's form of a span or an instant of so many nanoseconds.
    pub(crate) fn timespec_of(nanoseconds: u64) -> Timespec {
        // u64::MAX / 10^9 fits in 35 bits, the remainder in 30: neither cast can lose anything.
        Timespec {
            tv_sec: (nanoseconds / NANOSECONDS_PER_SECOND) as _,
            tv_nsec: (nanoseconds % NANOSECONDS_PER_SECOND) as _,
        }
    }
}
