//! The control file, byte by byte: a header page, then one 4 KiB block a surface.
//!
//! | where | field | who writes |
//! |---|---|---|
//! | header +0 | magic, abi, feature bits, surfaces (u64 each) | the allocator, before the first send |
//! | header +64 | `participant[64]`: generation u64, pid u64 (for messages only) | the holder of lock byte *i* |
//! | block +0 | `clock`, `high` (entries ever used) | anyone, only upwards |
//! | block +64 | `event` u32; +72 `armed` u64 (bit = entry) | wakers / waiters |
//! | block +128 | `meta_cur` = generation<<8 \| slot; `content_gen`; `frame` | metadata setter / producer / holder of a WRITE lease |
//! | block +152 | `failures`: how often a write ended badly; 0 saves every reader a look at all entries | who ends such an entry |
//! | block +256 | `word[64]` | the owner; a reaper by exact compare-exchange |
//! | block +768 | `mask[64]`; +1280 `context[64]`; +1792 `seq[64]`; +2304 `result[64]` u32 | the owner, while CLAIMED |
//! | block +2560 | `meta[4]`: owner, word, flags, length, 256 bytes, 384 bytes apart | the slot's claimer |
//!
//! Everything a consumer needs that never changes travels in the handle's message, not here.

/// First eight bytes of every control file: "handover" in ASCII.
pub const MAGIC: u64 = u64::from_le_bytes(*b"handover");
/// Version of this layout. A different one is refused.
pub const ABI: u64 = 1;
/// Feature bits this version understands. Any other bit set is refused.
pub const FEATURES: u64 = 0;
/// Size of the header and of each block, in bytes.
pub const PAGE: usize = 4096;
/// Entries in a block.
pub const ENTRIES: usize = 64;
/// Participants in a pool.
pub const PARTICIPANTS: usize = 64;
/// Entries one participant may use of a surface: a courtesy, kept by each for itself.
pub const ENTRIES_EACH: u32 = 16;
/// Surfaces in a pool: a bound on what a message can make an importer map (4 MiB of blocks).
pub const SURFACES: u32 = handover_model::wire::MAX_SURFACES;
/// Metadata slots in a block.
pub const SLOTS: usize = 4;

/// Offsets in the header.
pub mod header {
    /// [`MAGIC`](super::MAGIC).
    pub const MAGIC: usize = 0;
    /// [`ABI`](super::ABI).
    pub const ABI: usize = 8;
    /// Feature bits.
    pub const FEATURES: usize = 16;
    /// How many blocks follow.
    pub const SURFACES: usize = 24;

    /// Generation of participant `owner`: how often the index was joined.
    pub const fn generation(owner: u8) -> usize {
        64 + 16 * (owner & 63) as usize
    }

    /// Process of participant `owner`, as it says.
    pub const fn pid(owner: u8) -> usize {
        generation(owner) + 8
    }
}

/// Where the block of one surface begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block(usize);

impl Block {
    /// The block of surface `index`.
    pub const fn of(index: u32) -> Self {
        Self(PAGE + PAGE * index as usize)
    }
    /// Highest ticket given, in units of 64 ns.
    pub const fn clock(self) -> usize {
        self.0
    }
    /// Entries ever used: a scan stops here.
    pub const fn high(self) -> usize {
        self.0 + 8
    }
    /// The futex word.
    pub const fn event(self) -> usize {
        self.0 + 64
    }
    /// One bit an entry that somebody sleeps for.
    pub const fn armed(self) -> usize {
        self.0 + 72
    }
    /// Current metadata: generation<<8 | slot.
    pub const fn meta_current(self) -> usize {
        self.0 + 128
    }
    /// How often the layout behind the pixels changed.
    pub const fn content_generation(self) -> usize {
        self.0 + 136
    }
    /// Which frame of a stream the pixels hold.
    pub const fn frame(self) -> usize {
        self.0 + 144
    }
    /// How often an entry for writing ended badly.
    pub const fn failures(self) -> usize {
        self.0 + 152
    }
    /// State of entry `e`.
    pub const fn word(self, e: u8) -> usize {
        self.0 + 256 + 8 * (e & 63) as usize
    }
    /// Region mask of entry `e`.
    pub const fn mask(self, e: u8) -> usize {
        self.0 + 768 + 8 * (e & 63) as usize
    }
    /// Fence context of entry `e`.
    pub const fn context(self, e: u8) -> usize {
        self.0 + 1280 + 8 * (e & 63) as usize
    }
    /// Sequence number of entry `e` in its context.
    pub const fn seq(self, e: u8) -> usize {
        self.0 + 1792 + 8 * (e & 63) as usize
    }
    /// Error of entry `e`: 0, or a positive errno.
    pub const fn result(self, e: u8) -> usize {
        self.0 + 2304 + 4 * (e & 63) as usize
    }
    /// Metadata slot `slot`: owner, word, flags, length (u64 each), then 256 bytes.
    pub const fn slot(self, slot: u8) -> usize {
        self.0 + 2560 + 384 * (slot & 3) as usize
    }
}

/// Length of the control file of a pool with this many surfaces, in bytes.
pub const fn file_size(surfaces: u32) -> u64 {
    (PAGE as u64) * (1 + surfaces as u64)
}

const _: () = {
    let block = Block::of(0);
    assert!(header::pid(63) + 8 <= PAGE);
    assert!(block.failures() + 8 <= block.word(0));
    assert!(block.word(63) + 8 == block.mask(0));
    assert!(block.mask(63) + 8 == block.context(0));
    assert!(block.context(63) + 8 == block.seq(0));
    assert!(block.seq(63) + 8 == block.result(0));
    assert!(block.result(63) + 4 == block.slot(0));
    assert!(block.slot(3) + 384 == Block::of(1).clock());
};
