//! What the protocol takes from the machine: atomics, fences, sleep, wake, time, and who is alive.
//!
//! One trait, so that the same protocol code runs over a shared mapping, over a heap in tests, and under a model
//! checker whose atomics do not fit a shared-memory layout.

use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use handover_sys::clock::Monotonic;

/// An atomic integer of a [`Platform`].
pub trait Atomic<T: Copy> {
    /// As [`AtomicU64::load`].
    fn load(&self, order: Ordering) -> T;
    /// As [`AtomicU64::store`].
    fn store(&self, value: T, order: Ordering);
    /// As [`AtomicU64::compare_exchange`].
    fn compare_exchange(&self, current: T, new: T, success: Ordering, failure: Ordering) -> Result<T, T>;
    /// As [`AtomicU64::fetch_or`].
    fn fetch_or(&self, bits: T, order: Ordering) -> T;
    /// As [`AtomicU64::fetch_and`].
    fn fetch_and(&self, bits: T, order: Ordering) -> T;
    /// As [`AtomicU64::fetch_add`].
    fn fetch_add(&self, value: T, order: Ordering) -> T;
}

macro_rules! atomic {
    ($atomic:ty, $int:ty) => {
        impl Atomic<$int> for $atomic {
            #[inline]
            fn load(&self, order: Ordering) -> $int {
                self.load(order)
            }
            #[inline]
            fn store(&self, value: $int, order: Ordering) {
                self.store(value, order);
            }
            #[inline]
            fn compare_exchange(
                &self,
                current: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$int, $int> {
                self.compare_exchange(current, new, success, failure)
            }
            #[inline]
            fn fetch_or(&self, bits: $int, order: Ordering) -> $int {
                self.fetch_or(bits, order)
            }
            #[inline]
            fn fetch_and(&self, bits: $int, order: Ordering) -> $int {
                self.fetch_and(bits, order)
            }
            #[inline]
            fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                self.fetch_add(value, order)
            }
        }
    };
}
atomic!(AtomicU64, u64);
atomic!(AtomicU32, u32);

/// The machine under the protocol.
///
/// Offsets are bytes from the start of the control file. The protocol computes them from surface indices that were
/// checked when the surface was made, and from entry indices below its entry count; an offset outside the file is a
/// bug of the protocol.
pub trait Platform {
    /// 64-bit atomics.
    type U64: Atomic<u64>;
    /// 32-bit atomics.
    type U32: Atomic<u32>;

    /// The 64-bit word at this offset.
    fn u64(&self, at: usize) -> &Self::U64;
    /// The 32-bit word at this offset.
    fn u32(&self, at: usize) -> &Self::U32;
    /// A memory fence.
    fn fence(&self, order: Ordering);
    /// One step of a spin.
    fn pause(&self);
    /// Sleeps while the 32-bit word at `at` holds `expected`, until a wake with one of `bits`, or until the deadline.
    /// May return early for no reason.
    fn sleep(&self, at: usize, expected: u32, bits: NonZeroU32, until: Monotonic);
    /// Wakes every sleeper on `at` that shares a bit with `bits`.
    fn wake(&self, at: usize, bits: NonZeroU32);
    /// `CLOCK_MONOTONIC`.
    fn now(&self) -> Monotonic;
    /// `CLOCK_MONOTONIC_COARSE`: cheaper, up to a tick behind.
    fn coarse(&self) -> Monotonic;
    /// Does somebody hold the lock byte of this participant?
    fn is_alive(&self, owner: u8) -> bool;
}
