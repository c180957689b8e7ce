//! Release: an entry ends, its sleepers wake; and the same for entries whose owner cannot do it any more.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};

use super::attach::Entry;
use super::layout::Block;
use super::platform::{Atomic as _, Platform};
use super::wait::wake_bit;
use super::{Phase, Reservation, Trouble, Word};

impl<P: Platform, const N: usize> Reservation<P, N> {
    /// Ends an attached entry well, or with an error (a positive errno). All data stores of the work come before.
    ///
    /// [`Trouble::Spoiled`]: the entry was no longer ours; nothing was changed.
    pub fn release(&self, entry: &Entry, error: Option<u32>) -> Result<(), Trouble> {
        let phase = self.set_result(entry, error);
        if self.end(entry, phase) { Ok(()) } else { Err(Trouble::Spoiled("word")) }
    }

    /// Says how an entry that is still ours will have ended; gives the phase to end it with.
    pub(super) fn set_result(&self, entry: &Entry, error: Option<u32>) -> Phase {
        let Some(errno) = error else { return Phase::Done };
        self.platform.u32(Block::of(entry.surface).result(entry.index)).store(errno, Relaxed);
        Phase::Failed
    }

    /// Leaves the line before the work began.
    pub fn withdraw(&self, entry: &Entry) -> Result<(), Trouble> {
        if self.end(entry, Phase::Cancelled) { Ok(()) } else { Err(Trouble::Spoiled("word")) }
    }

    pub(super) fn end(&self, entry: &Entry, phase: Phase) -> bool {
        let ours = self.end_silently(entry, phase);
        if ours {
            self.ring(entry.surface, entry.index);
        }
        ours
    }

    /// Ends an entry and wakes nobody yet: `fence(SeqCst)` and [`ring_after_fence`](Self::ring_after_fence) must follow.
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
    pub fn ring_after_fence(&self, entry: &Entry) {
        self.ring_index(entry.surface, entry.index);
    }

    /// One bit an entry, not one flag: a waker would clear a flag that sleepers with another bit still need.
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
            Phase::Pending => word.with_phase(Phase::Dead),
            Phase::Claimed | Phase::Choosing => Word(0),
            _ => return,
        };
        let at = self.platform.u64(Block::of(surface).word(index));
        if at.compare_exchange(word.0, to.0, AcqRel, Relaxed).is_ok() {
            self.ring(surface, index);
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
        let left: Vec<_> =
            self.live_entries(surface).filter(|(_, word, _)| !self.lives(word.owner())).collect();
        for &(index, word, _) in &left {
            self.reap(surface, index, word);
        }
        left.len()
    }
}
