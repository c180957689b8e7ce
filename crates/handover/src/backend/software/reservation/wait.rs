//! Wait: for one entry before ours, by spinning a little, then sleeping in slices with an eye on its owner.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use handover_sys::clock::Monotonic;

use super::attach::Dependency;
use super::layout::Block;
use super::platform::{Atomic as _, Platform};
use super::{Phase, Reservation, SLICE, SPIN, Word};

/// After so many waits in a row in which spinning was in vain, a wait sleeps at once. On one CPU the spin keeps the very
/// process from running that it waits for, and doubles the time of a wake.
const VAIN: u32 = 4;
/// Then one wait in so many spins after all, to notice that the times have changed. Together that is 31 ns a wait.
const TRY_AGAIN: u32 = 64;

/// How a wait for one entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The entry ended; how, where that can still be seen. `None`: its place has been taken by somebody later.
    Ended(Option<Phase>),
    /// The deadline passed first.
    TimedOut,
}

/// The futex bit of an entry.
pub(super) fn wake_bit(index: u8) -> NonZeroU32 {
    NonZeroU32::new(1 << (index & 31)).unwrap_or(NonZeroU32::MIN)
}

impl<P: Platform, const N: usize> Reservation<P, N> {
    /// Is the dependency over? Looks once; follows an owner that meanwhile chose a ticket before ours.
    pub fn is_over(&self, dependency: &mut Dependency) -> Option<Option<Phase>> {
        let at = self.platform.u64(Block::of(dependency.surface).word(dependency.index));
        let seen = Word(at.load(Acquire));
        if seen == dependency.word {
            return None;
        }
        // It may also have run and died since: only a submission that was there before us can have a smaller ticket.
        let followed = dependency.word.phase() == Phase::Choosing
            && seen.phase().has_ticket()
            && seen.owner() == dependency.word.owner()
            && seen.is_before(dependency.mine);
        if followed && seen.phase() == Phase::Pending {
            dependency.word = seen;
            return None;
        }
        Some((followed || seen.is_same_entry(dependency.word)).then(|| seen.phase()))
    }

    /// Waits until the dependency is over or the deadline passes. A time-out grants nothing.
    pub fn wait(&self, dependency: &mut Dependency, deadline: Option<Monotonic>) -> Outcome {
        if let Some(ended) = self.spin(dependency) {
            return Outcome::Ended(ended);
        }
        // Kept over early wakes: on a busy surface a sleep rarely lasts a whole slice, and the dead must be noticed there
        // too.
        let mut slice = self.platform.now().saturating_add(SLICE);
        loop {
            let expected = self.arm(dependency.surface, 1 << (dependency.index & 63));
            if let Some(ended) = self.is_over(dependency) {
                return Outcome::Ended(ended);
            }
            let now = self.platform.now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                // Deadlines shorter than a slice must not hide a death for ever.
                self.end_if_dead(dependency);
                return self.is_over(dependency).map_or(Outcome::TimedOut, Outcome::Ended);
            }
            let until = deadline.map_or(slice, |deadline| deadline.min(slice));
            let event = Block::of(dependency.surface).event();
            self.platform.sleep(event, expected, wake_bit(dependency.index), until);
            if let Some(ended) = self.is_over(dependency) {
                return Outcome::Ended(ended);
            }
            let now = self.platform.now();
            if now >= slice {
                self.end_if_dead(dependency);
                slice = now.saturating_add(SLICE);
            }
        }
    }

    /// Waits until an attach to a full surface may have room, for a slice at the most, and ends entries of the dead.
    pub fn wait_for_room(&self, surface: u32, deadline: Option<Monotonic>) {
        let expected = self.arm(surface, u64::MAX);
        let slice = self.platform.now().saturating_add(SLICE);
        if self.has_room(surface) {
            return;
        }
        let until = deadline.map_or(slice, |deadline| deadline.min(slice));
        self.platform.sleep(Block::of(surface).event(), expected, NonZeroU32::MAX, until);
        if !self.has_room(surface) {
            self.sweep(surface);
        }
    }

    /// Would an attach find an entry? By the same look at the same words, or its caller would spin between the two.
    fn has_room(&self, surface: u32) -> bool {
        let block = Block::of(surface);
        let free = |index| !Word(self.platform.u64(block.word(index)).load(Relaxed)).phase().is_live();
        self.may_take_more(block) && (0..N as u8).any(free)
    }

    /// Asks to be woken when one of these entries changes; gives the event count to sleep on. The caller looks at its
    /// condition again before it sleeps.
    ///
    /// The count is read before the bits are looked at. The other way round, a waker that takes our bit for an earlier
    /// change and then raises the count leaves us with its new count and no bit, asleep through the change we wait for.
    pub fn arm(&self, surface: u32, entries: u64) -> u32 {
        let block = Block::of(surface);
        let armed = self.platform.u64(block.armed());
        let expected = self.platform.u32(block.event()).load(Acquire);
        if armed.load(Relaxed) & entries != entries {
            armed.fetch_or(entries, SeqCst);
        }
        self.platform.fence(SeqCst);
        expected
    }

    /// Ends the entry a dependency points at if its owner is gone. One lock query, 0.3 µs.
    pub fn end_if_dead(&self, dependency: &Dependency) {
        let owner = dependency.word.owner();
        let alive = self.lives(owner) && self.generation_of(owner) == dependency.generation;
        if !alive {
            self.reap(dependency.surface, dependency.index, dependency.word);
        }
    }

    fn spin(&self, dependency: &mut Dependency) -> Option<Option<Phase>> {
        if let Some(ended) = self.is_over(dependency) {
            return Some(ended);
        }
        // Two threads may lose each other's count; it is a guess about the future either way.
        let in_vain = self.spun_in_vain.load(Relaxed);
        self.spun_in_vain.store(in_vain.wrapping_add(1), Relaxed);
        if in_vain >= VAIN && !in_vain.is_multiple_of(TRY_AGAIN) {
            return None;
        }
        let until = self.platform.now().saturating_add(SPIN);
        loop {
            for _ in 0..8 {
                if let Some(ended) = self.is_over(dependency) {
                    self.spun_in_vain.store(0, Relaxed);
                    return Some(ended);
                }
                self.platform.pause();
            }
            if self.platform.now() >= until {
                return None;
            }
        }
    }
}
