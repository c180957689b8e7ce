//! The metadata of a surface: four slots, one current, so that a setter killed half-way leaves the old block whole.
//!
//! No sequence lock: a killed writer would leave it odd for ever.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::layout::{Block, SLOTS};
use super::platform::{Atomic as _, Platform};
use super::{Reservation, TRIES, Trouble};

/// What a slot holds: the 8-byte word, flags, and up to 256 bytes; the rest is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The tiling word.
    pub word: u64,
    /// Flags of the setter: 0, or [`Slot::KEPT_BY_DRIVER`].
    pub flags: u64,
    /// Length of the block in bytes, at most 256.
    pub length: u64,
    /// The block as 32 little-endian words.
    pub block: [u64; 32],
}

impl Slot {
    /// Never set: word 0, no block.
    pub const EMPTY: Self = Self { word: 0, flags: 0, length: 0, block: [0; 32] };

    /// The flag of a slot whose word and block mean nothing: the driver of the memory keeps them.
    pub const KEPT_BY_DRIVER: u64 = 1;
}

/// Rounds over the slots before a setter rests between two, and for how long.
const SPINS: u32 = 100;
const REST: std::time::Duration = std::time::Duration::from_micros(100);

const OWNER: usize = 0;
const WORD: usize = 8;
const FLAGS: usize = 16;
const LENGTH: usize = 24;
const BLOCK: usize = 32;

/// A slot's owner field: 0 is nobody, else the generation over the index plus one.
fn owned_by(owner: u8, generation: u64) -> u64 {
    (generation << 8) | (u64::from(owner & 63) + 1)
}

impl<P: Platform, const N: usize> Reservation<P, N> {
    /// The current metadata, whole. [`Slot::EMPTY`] before the first set.
    pub fn metadata(&self, surface: u32) -> Result<Slot, Trouble> {
        let block = Block::of(surface);
        let current = self.platform.u64(block.meta_current());
        for _ in 0..TRIES {
            let before = current.load(Acquire);
            if before == 0 {
                return Ok(Slot::EMPTY);
            }
            let at = block.slot(slot_of(before));
            let load = |offset: usize| self.platform.u64(at + offset).load(Relaxed);
            let slot = Slot {
                word: load(WORD),
                flags: load(FLAGS),
                length: load(LENGTH),
                block: std::array::from_fn(|i| load(BLOCK + 8 * i)),
            };
            self.platform.fence(SeqCst);
            if current.load(Relaxed) == before {
                return if slot.length <= 256 { Ok(slot) } else { Err(Trouble::Spoiled("meta.length")) };
            }
        }
        Err(Trouble::Contended("meta_cur"))
    }

    /// Replaces the metadata. The last setter wins; a reader sees one block or the other, never a mixture.
    pub fn set_metadata(&self, surface: u32, value: &Slot) -> Result<(), Trouble> {
        let block = Block::of(surface);
        let current = self.platform.u64(block.meta_current());
        let slot = self.claim_slot(block)?;
        let at = block.slot(slot);
        let store = |offset: usize, value: u64| self.platform.u64(at + offset).store(value, Relaxed);
        // Pairs with the fence of a reader that still copies this slot: if it sees one of our stores, it also sees that
        // the slot is no longer current.
        self.platform.fence(SeqCst);
        store(WORD, value.word);
        store(FLAGS, value.flags);
        store(LENGTH, value.length.min(256));
        for (i, &word) in value.block.iter().enumerate() {
            store(BLOCK + 8 * i, word);
        }
        self.platform.fence(SeqCst);
        let mut before = current.load(Acquire);
        for _ in 0..TRIES {
            let generation = (before >> 8).wrapping_add(1);
            match current.compare_exchange(before, (generation << 8) | u64::from(slot), AcqRel, Acquire) {
                Ok(_) => {
                    // Ownership ends with publication, not with the next set: the next setter may die before it could
                    // free this slot for us.
                    self.platform.u64(at + OWNER).store(0, Release);
                    return Ok(());
                }
                Err(now) => before = now,
            }
        }
        self.platform.u64(at + OWNER).store(0, Release);
        Err(Trouble::Contended("meta_cur"))
    }

    /// Takes a slot that is not current. With more setters at once than spare slots, waits for one of them to finish:
    /// a set is a few hundred nanoseconds, and a dead setter's slot is taken from it.
    fn claim_slot(&self, block: Block) -> Result<u8, Trouble> {
        let mine = owned_by(self.owner, self.generation);
        let current = self.platform.u64(block.meta_current());
        for round in 0..TRIES {
            for slot in 0..SLOTS as u8 {
                let now = current.load(Acquire);
                if now != 0 && slot_of(now) == slot {
                    continue;
                }
                let owner = self.platform.u64(block.slot(slot) + OWNER);
                let seen = owner.load(Acquire);
                let abandoned = seen != 0 && round > 0 && !self.slot_owner_lives(seen);
                if (seen == 0 || abandoned) && owner.compare_exchange(seen, mine, AcqRel, Relaxed).is_ok() {
                    // Claimed and published by somebody between our two looks: it is current, leave it.
                    let now = current.load(SeqCst);
                    if now != 0 && slot_of(now) == slot {
                        owner.store(0, Release);
                        continue;
                    }
                    return Ok(slot);
                }
            }
            // Three setters at once are honest; one of them may just be off its processor.
            match round {
                0..SPINS => self.platform.pause(),
                _ => self.platform.sleep(
                    block.event(),
                    self.platform.u32(block.event()).load(Relaxed),
                    std::num::NonZeroU32::MIN,
                    self.platform.now().saturating_add(REST),
                ),
            }
        }
        Err(Trouble::Contended("meta.owner"))
    }

    fn slot_owner_lives(&self, owner: u64) -> bool {
        let index = (owner as u8).wrapping_sub(1) & 63;
        self.lives(index) && self.generation_of(index) == owner >> 8
    }

    /// Frees the slots that an earlier holder of this index claimed and never published.
    pub(super) fn free_slots_of(&self, surface: u32, owner: u8) {
        let block = Block::of(surface);
        let now = self.platform.u64(block.meta_current()).load(Acquire);
        for slot in (0..SLOTS as u8).filter(|&slot| now == 0 || slot_of(now) != slot) {
            let at = self.platform.u64(block.slot(slot) + OWNER);
            let seen = at.load(Acquire);
            if seen != 0 && (seen as u8).wrapping_sub(1) & 63 == owner {
                // Exact: a slot that changes hands meanwhile is its new owner's.
                let _ = at.compare_exchange(seen, 0, AcqRel, Relaxed);
            }
        }
    }
}

fn slot_of(current: u64) -> u8 {
    current as u8 & 3
}
