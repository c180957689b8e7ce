//! Time as a descriptor.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::clock::Monotonic;

/// Makes a descriptor that becomes readable at `at` and stays so; at once if that is past.
///
/// Call: `timerfd_create(CLOCK_MONOTONIC)`, `timerfd_settime(TFD_TIMER_ABSTIME)`. Permission: none. May block: no. Retries: none.
/// Errors: `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn create(at: Monotonic) -> io::Result<OwnedFd> {
    let timer =
        rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
    // All zero would disarm it.
    let it_value = Monotonic::timespec_of(at.0.max(1));
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &once)?;
    Ok(timer)
}
