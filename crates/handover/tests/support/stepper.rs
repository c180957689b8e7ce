//! A control file that counts the protocol's operations on it and kills its process before a given one.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::platform::Platform;
use handover_sys::clock::Monotonic;
use handover_sys::process::{self, Pidfd, Signal};

use super::Random;

/// Every access to a word, every fence, sleep, wake and lock query is an operation. Between two of them no state that
/// others can see changes more than once.
#[derive(Debug)]
pub(crate) struct Stepper {
    control: Control,
    /// Operations left to live for.
    left: AtomicU64,
    /// How far our clock is ahead of the true one, in nanoseconds.
    ahead: AtomicU64,
    /// Where it lingers now and then before an operation; `None`: nowhere.
    lingers: Option<Mutex<Random>>,
}

impl Stepper {
    /// Dies before operation number `at`, counted from 0.
    pub(crate) fn new(control: Control, at: u64) -> Self {
        Self { control, left: AtomicU64::new(at), ahead: AtomicU64::new(0), lingers: None }
    }

    /// As [`new`](Self::new), and stays up to 200 µs before one operation in a hundred: what takes nanoseconds is then long
    /// enough for others to come in between.
    pub(crate) fn lingering(control: Control, at: u64, random: Random) -> Self {
        Self { lingers: Some(Mutex::new(random)), ..Self::new(control, at) }
    }

    /// The control file itself: operations on it are not counted.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    fn step(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            die();
        }
        let Some(random) = &self.lingers else { return };
        let mut random = random.lock().expect("no thread panics in here");
        if random.below(100) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(200)));
        }
    }
}

/// SIGKILL, to this process, now.
pub(crate) fn die() -> ! {
    let own = Pidfd::open(process::own_pid()).expect("pidfd of this process");
    process::kill(&own, Signal::Kill).expect("kill this process");
    unreachable!("SIGKILL cannot be survived");
}

impl Platform for Stepper {
    type U64 = AtomicU64;
    type U32 = AtomicU32;

    fn u64(&self, at: usize) -> &AtomicU64 {
        self.step();
        self.control.u64(at)
    }
    fn u32(&self, at: usize) -> &AtomicU32 {
        self.step();
        self.control.u32(at)
    }
    fn fence(&self, order: Ordering) {
        self.step();
        self.control.fence(order);
    }
    fn pause(&self) {
        // A spin ends after its first round, so that it is a few operations and not a few hundred.
        self.ahead.fetch_add(1000, Ordering::Relaxed);
    }
    fn sleep(&self, at: usize, expected: u32, bits: NonZeroU32, until: Monotonic) {
        self.step();
        self.control.sleep(at, expected, bits, until);
    }
    fn wake(&self, at: usize, bits: NonZeroU32) {
        self.step();
        self.control.wake(at, bits);
    }
    fn now(&self) -> Monotonic {
        Monotonic(self.control.now().0 + self.ahead.load(Ordering::Relaxed))
    }
    fn coarse(&self) -> Monotonic {
        self.control.coarse()
    }
    fn is_alive(&self, owner: u8) -> bool {
        self.step();
        self.control.is_alive(owner)
    }
}
