//! The page of a timeline that left its process: one writer's numbers, which everybody else maps read-only.
//!
//! | where | field | |
//! |---|---|---|
//! | +0 | magic, abi, feature bits (u64 each) | before the first send |
//! | +64 | `submitted` u64, `completed` u64 | only grow |
//! | +80 | `event` u32 | raised after every change, to sleep on |
//! | +88 | `closed` u64 | not 0: nothing more will be submitted |
//! | +128 | `error[64]` u64: point (low 52 bits), errno (12) | at index point mod 64, before `completed` |
//!
//! # Contract
//!
//! **One writer.** The file is sealed against every mapping but the writer's (`F_SEAL_FUTURE_WRITE`), and against changes of size.
//!
//! **Order.** Data, then `error`, then `completed`, then `event`, then a wake. A reader loads `event`, then the others, then sleeps
//! on `event` as it was: whatever changed in between ends that sleep at once, also where the low words of two points are equal.
//!
//! **Death.** The writer holds a lock byte through a description of its own, which goes with its address space. Readers cannot
//! store poison: *poisoned* is derived, a point not completed of a timeline that is closed or whose writer is gone.
//!
//! A reader can take the byte after that, and make the dead look alive to the others: then deadlines help, as against a stopped one.
//!
//! **Lies.** One load a decision. A `completed` that falls poisons the reader that saw it. A stopped writer looks alive, and one
//! that says *submitted* and never completes is indistinguishable from a slow one: only deadlines help (R3, R20).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use handover_sys::clock::Monotonic;

use crate::backend::software::reservation::SLICE;

/// First eight bytes: "timeline" in ASCII.
pub const MAGIC: u64 = u64::from_le_bytes(*b"timeline");
/// Version of this page. A different one is refused.
pub const ABI: u64 = 1;
/// Feature bits this version understands.
pub const FEATURES: u64 = 0;
/// Size of the file, in bytes.
pub const SIZE: usize = 4096;
/// How many errors the page remembers: each until a point fails that is some multiple of this further.
pub const ERRORS: u64 = 64;

/// Offsets in the page.
pub mod at {
    /// [`MAGIC`](super::MAGIC).
    pub const MAGIC: usize = 0;
    /// [`ABI`](super::ABI).
    pub const ABI: usize = 8;
    /// Feature bits.
    pub const FEATURES: usize = 16;
    /// Highest submitted point.
    pub const SUBMITTED: usize = 64;
    /// Highest point that is complete, with all below.
    pub const COMPLETED: usize = 72;
    /// Raised after every change.
    pub const EVENT: usize = 80;
    /// Not 0: nothing more will be submitted.
    pub const CLOSED: usize = 88;

    /// Where the error of a point would be.
    pub const fn error(point: u64) -> usize {
        128 + 8 * (point % super::ERRORS) as usize
    }
}

const POINT_BITS: u32 = 52;
const POINT_MASK: u64 = (1 << POINT_BITS) - 1;

/// What readers take from the machine: loads, sleep, time, and whether the writer lives.
pub trait Words {
    /// The 64-bit word at this offset, relaxed.
    fn load64(&self, at: usize) -> u64;
    /// The 32-bit word at this offset, relaxed.
    fn load32(&self, at: usize) -> u32;
    /// A memory fence.
    fn fence(&self, order: Ordering);
    /// Sleeps while the 32-bit word at `at` holds `expected`, until a wake or the time. May return early for no reason.
    fn sleep(&self, at: usize, expected: u32, until: Monotonic);
    /// `CLOCK_MONOTONIC`.
    fn now(&self) -> Monotonic;
    /// Does somebody hold the writer's lock byte?
    fn writer_lives(&self) -> bool;
}

/// What the writer does besides.
pub trait WriteWords {
    /// Stores a 64-bit word, released.
    fn store64(&self, at: usize, value: u64);
    /// Raises the 32-bit word at `at` by one, released, and wakes all who sleep on it.
    fn ring(&self, at: usize);
}

/// Says that a point is submitted. The caller sees to it that points only grow.
pub fn submit(words: &impl WriteWords, point: u64) {
    words.store64(at::SUBMITTED, point);
    words.ring(at::EVENT);
}

/// Says that everything up to a point is complete, and which point failed of it (a positive errno below 4096). A point that nobody was
/// told of before is submitted by that: readers take a complete point for a submitted one.
pub fn complete(words: &impl WriteWords, completed: u64, failed: Option<(u64, u32)>) {
    if let Some((point, errno)) = failed {
        fail(words, point, errno);
    }
    words.store64(at::COMPLETED, completed);
    words.ring(at::EVENT);
}

/// Remembers the error of a point, before it is complete.
pub fn fail(words: &impl WriteWords, point: u64, errno: u32) {
    words.store64(at::error(point), u64::from(errno.clamp(1, 4095)) << POINT_BITS | point & POINT_MASK);
}

/// Says that nothing more will be submitted.
pub fn close(words: &impl WriteWords) {
    words.store64(at::CLOSED, 1);
    words.ring(at::EVENT);
}

/// How far a point is, as a reader finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nobody has submitted it.
    Unsubmitted,
    /// Submitted and not complete.
    Pending,
    /// Complete, with this errno if it failed.
    Complete(Option<u32>),
    /// It will never be: the timeline was closed, or its writer is gone.
    Poisoned,
    /// The numbers fell: somebody lied.
    Spoiled,
}

impl Look {
    /// Is there nothing to wait for, for whom a submission is enough or not?
    pub const fn is_over(self, submission_is_enough: bool) -> bool {
        match self {
            Self::Unsubmitted => false,
            Self::Pending => submission_is_enough,
            Self::Complete(_) | Self::Poisoned | Self::Spoiled => true,
        }
    }
}

/// What a reader remembers, to notice lies.
#[derive(Debug, Default)]
pub struct Memory {
    completed: AtomicU64,
    spoiled: AtomicBool,
    dead: AtomicBool,
}

impl Memory {
    /// Looks once.
    pub fn look(&self, words: &impl Words, point: u64) -> Look {
        if let Some(look) = self.look_at_completed(words, point) {
            return look;
        }
        if words.load64(at::CLOSED) != 0 || self.dead.load(Ordering::Acquire) {
            words.fence(Ordering::Acquire);
            // It may have been completed before the end, and after our first look.
            return self.look_at_completed(words, point).unwrap_or(Look::Poisoned);
        }
        if words.load64(at::SUBMITTED) >= point { Look::Pending } else { Look::Unsubmitted }
    }

    /// Looks whether the writer is gone; the next look will know. One lock query, 0.3 µs.
    pub fn look_at_writer(&self, words: &impl Words) {
        if !words.writer_lives() {
            self.dead.store(true, Ordering::Release);
        }
    }

    fn look_at_completed(&self, words: &impl Words, point: u64) -> Option<Look> {
        if self.spoiled.load(Ordering::Relaxed) {
            return Some(Look::Spoiled);
        }
        // What was seen is read before the page: another thread's newer number must not make ours look like a fall.
        let seen = self.completed.load(Ordering::Acquire);
        let completed = words.load64(at::COMPLETED);
        words.fence(Ordering::Acquire);
        if completed < seen {
            self.spoiled.store(true, Ordering::Relaxed);
            return Some(Look::Spoiled);
        }
        self.completed.fetch_max(completed, Ordering::AcqRel);
        if completed < point {
            return None;
        }
        let error = words.load64(at::error(point));
        let failed = error >> POINT_BITS != 0 && error & POINT_MASK == point & POINT_MASK;
        Some(Look::Complete(failed.then_some((error >> POINT_BITS) as u32)))
    }

    /// Waits until there is nothing to wait for, or until `is_given_up` says so, asked at least once a slice.
    pub fn wait(
        &self,
        words: &impl Words,
        point: u64,
        submission_is_enough: bool,
        deadline: Option<Monotonic>,
        is_given_up: impl Fn() -> bool,
    ) {
        let mut slice = words.now().saturating_add(SLICE);
        loop {
            let event = words.load32(at::EVENT);
            words.fence(Ordering::Acquire);
            if self.look(words, point).is_over(submission_is_enough) {
                return;
            }
            let now = words.now();
            let late = deadline.is_some_and(|deadline| deadline <= now);
            if now >= slice || late {
                // Deadlines shorter than a slice must not hide a death for ever.
                self.look_at_writer(words);
                if self.look(words, point).is_over(submission_is_enough) {
                    return;
                }
                slice = now.saturating_add(SLICE);
            }
            if late || is_given_up() {
                return;
            }
            words.sleep(at::EVENT, event, deadline.map_or(slice, |deadline| deadline.min(slice)));
        }
    }

    /// Highest complete and highest submitted point, as the page says now.
    pub fn query(&self, words: &impl Words) -> (u64, u64) {
        let completed = words.load64(at::COMPLETED);
        words.fence(Ordering::Acquire);
        (completed, words.load64(at::SUBMITTED).max(completed))
    }
}
