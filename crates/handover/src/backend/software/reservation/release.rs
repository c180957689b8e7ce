//! Release: an entry ends, its sleepers wake; and the same for entries whose owner cannot do it any more.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use handover_model::{Region, Usage};

use super::attach::{Dependency, Entry};
use super::layout::Block;
use super::platform::{Atomic as _, Platform};
use super::wait::wake_bit;
use super::{Phase, Reservation, Word};

/// "Owner died" (`errno(3)`).
const EOWNERDEAD: u32 = 130;

impl<P: Platform, const N: usize> Reservation<P, N> {
    /// Before an entry of ours fails: says which cells it wrote, where it stood for more. All its stores are behind it.
    pub(super) fn narrow(&self, entry: &Entry, region: Region) {
        self.platform.u64(Block::of(entry.surface).mask(entry.index)).store(region.bits(), Release);
    }

    /// Says how an entry that is still ours will have ended; gives the phase to end it with.
    #[inline]
    pub(super) fn set_result(&self, entry: &Entry, error: Option<u32>) -> Phase {
        let Some(errno) = error else { return Phase::Done };
        self.count_failure(entry.surface, entry.word);
        self.platform.u32(Block::of(entry.surface).result(entry.index)).store(errno, Relaxed);
        Phase::Failed
    }

    pub(super) fn end(&self, entry: &Entry, phase: Phase) -> bool {
        let ours = self.end_silently(entry, phase);
        if ours {
            self.ring(entry.surface, entry.index);
        }
        ours
    }

    /// Ends an entry and wakes nobody yet: `fence(SeqCst)` and [`ring_after_fence`](Self::ring_after_fence) must follow.
    #[inline]
    pub(super) fn end_silently(&self, entry: &Entry, phase: Phase) -> bool {
        let to = if phase == Phase::Free { Word(0) } else { entry.word.with_phase(phase) };
        let at = self.platform.u64(Block::of(entry.surface).word(entry.index));
        at.compare_exchange(entry.word.0, to.0, AcqRel, Relaxed).is_ok()
    }

    pub(super) fn ring(&self, surface: u32, index: u8) {
        self.platform.fence(SeqCst);
        self.ring_index(surface, index);
    }

    /// Wakes whoever sleeps for this entry. Between the change of its word and this lies `fence(SeqCst)`: a sleeper that
    /// armed the entry before it is seen here, one that arms later sees the change.
    #[inline]
    pub fn ring_after_fence(&self, entry: &Entry) {
        self.ring_index(entry.surface, entry.index);
    }

    /// One bit an entry, not one flag: a waker would clear a flag that sleepers with another bit still need.
    #[inline]
    fn ring_index(&self, surface: u32, index: u8) {
        let block = Block::of(surface);
        let armed = self.platform.u64(block.armed());
        let bit = 1 << (index & 63);
        if armed.load(Relaxed) & bit != 0 {
            armed.fetch_and(!bit, SeqCst);
            self.platform.u32(block.event()).fetch_add(1, SeqCst);
            self.platform.wake(block.event(), wake_bit(index));
        }
    }

    /// Ends an entry for an owner that is gone: exactly this word, or nothing.
    pub(super) fn reap(&self, surface: u32, index: u8, word: Word) {
        let to = match word.phase() {
            Phase::Pending => {
                self.count_failure(surface, word);
                word.with_phase(Phase::Dead)
            }
            Phase::Claimed | Phase::Choosing => Word(0),
            _ => return,
        };
        let at = self.platform.u64(Block::of(surface).word(index));
        if at.compare_exchange(word.0, to.0, AcqRel, Relaxed).is_ok() {
            self.ring(surface, index);
        }
    }

    /// Before the entry ends: a reader that sees it ended sees the count.
    fn count_failure(&self, surface: u32, word: Word) {
        if word.usage() <= Usage::Write {
            self.platform.u64(Block::of(surface).failures()).fetch_add(1, SeqCst);
        }
    }

    /// The errno that an entry ended with, where it ended so and that can still be seen.
    pub fn failure_of(&self, ended: &Dependency, phase: Phase) -> Option<u32> {
        let block = Block::of(ended.surface);
        match phase {
            Phase::Dead => Some(EOWNERDEAD),
            Phase::Failed => {
                let errno = self.platform.u32(block.result(ended.index)).load(Acquire).max(1);
                // Somebody else's by now: then that is his.
                let word = Word(self.platform.u64(block.word(ended.index)).load(Relaxed));
                (word.phase() == Phase::Failed && word.is_same_entry(ended.word)).then_some(errno)
            }
            _ => None,
        }
    }

    /// The failed and dead writes before `entry` in its region: (index, word, their region).
    fn failures_before(&self, entry: &Entry, region: Region) -> impl Iterator<Item = (u8, Word, Region)> + '_ {
        let block = Block::of(entry.surface);
        let mine = entry.word;
        let none = self.platform.u64(block.failures()).load(Acquire) == 0;
        let high = if none { 0 } else { self.high(block) };
        (0..high).filter_map(move |index| {
            let word = Word(self.platform.u64(block.word(index)).load(Acquire));
            let theirs = Region::from_bits(self.platform.u64(block.mask(index)).load(Acquire));
            let failed = word.phase().is_failure() && word.usage() <= Usage::Write && word.is_before(mine);
            (failed && theirs.overlaps(region)).then_some((index, word, theirs))
        })
    }

    /// The errno of a write before `entry` that ended badly and has not been written over since: its content may be torn.
    /// `EOWNERDEAD` for a dead owner's. Lost only if all other entries of the surface were in use at once.
    #[inline]
    pub fn failure_before(&self, entry: &Entry, region: Region) -> Option<u32> {
        self.failures_before(entry, region).last().map(|(index, word, _)| match word.phase() {
            Phase::Dead => EOWNERDEAD,
            _ => self.platform.u32(Block::of(entry.surface).result(index)).load(Relaxed).max(1),
        })
    }

    /// A write that ends well takes away the failures it has written over. Its entry has not ended yet.
    #[inline]
    pub(super) fn forget_failures(&self, entry: &Entry, region: Region) {
        for (index, word, theirs) in self.failures_before(entry, region) {
            if region.covers(theirs) {
                // Exact: an entry that was re-used meanwhile is somebody else's.
                let at = self.platform.u64(Block::of(entry.surface).word(index));
                let _ = at.compare_exchange(word.0, 0, AcqRel, Relaxed);
            }
        }
    }

    /// Ends what an earlier holder of our index left on this surface.
    pub(super) fn end_left_over(&self, surface: u32) {
        let block = Block::of(surface);
        for index in 0..N as u8 {
            let word = Word(self.platform.u64(block.word(index)).load(Acquire));
            if word.owner() == self.owner && word.phase().is_live() {
                self.reap(surface, index, word);
            }
        }
        self.free_slots_of(surface, self.owner);
    }

    /// Ends everything on this surface whose owner is gone, without waiting for any of it. Gives how many.
    pub fn sweep(&self, surface: u32) -> usize {
        let left: Vec<_> = self.live_entries(surface).filter(|(_, word, _)| !self.lives(word.owner())).collect();
        for &(index, word, _) in &left {
            self.reap(surface, index, word);
        }
        left.len()
    }
}
