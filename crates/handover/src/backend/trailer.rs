//! The trailer: the last page of the pixels' file, which describes them to whoever holds nothing but its descriptor.
//!
//! | where | field |
//! |---|---|
//! | +0 | "hndovrmd" |
//! | +8, +16 | inode and size of the file, so that a copy of the bytes is not taken for the original |
//! | +24 | how often it was set, 0 for never; modulo 8, the slot that holds it |
//! | +64 | eight slots, 384 bytes apart: word, length of the block (u64 each), 256 bytes of block |
//!
//! All words are little-endian. One process writes it, the producer, one set after the other: first the next slot, then the
//! count. A reader copies a slot and looks at the count again. A producer that dies half-way leaves the current slot whole.
//! Where a control file is at hand too, that one wins.
//!
//! It is kept from the first time on that the descriptor may leave: by an export, by [`Surface::pixels_fd`](crate::Surface::pixels_fd), or
//! into a card. Before, its page is not touched: that would be a page fault a surface.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use handover_model::{Block, Error, Kind, Metadata, Result, Stage, Word};
use handover_sys::file;
use handover_sys::map::{Mapping, Populate, ReadMapping};
use handover_sys::memfd::Seals;

use super::memory::{MemoryKind, PAGE};
use super::received;
use crate::error::os;

const MAGIC: u64 = u64::from_le_bytes(*b"hndovrmd");
const INODE: usize = 8;
const SIZE: usize = 16;
const COUNT: usize = 24;
/// From the start of a slot.
const LENGTH: usize = 8;
const BLOCK: usize = 16;
/// A set takes a fraction of a microsecond: no honest producer outruns a reader this often.
const TRIES: u32 = 1000;

/// With two slots, a reader whose copy takes longer than two sets would never come to an end.
const SLOTS: u64 = 8;

const fn slot(count: u64) -> usize {
    64 + 384 * (count % SLOTS) as usize
}

/// Sets the trailer of a whole mapping of the file with this inode. Calls must not overlap.
pub(super) fn write(map: &Mapping, inode: u64, metadata: &Metadata) {
    let start = map.len().saturating_sub(PAGE as usize);
    let words = map.words64();
    let word = |at: usize| words.get((start + at) / 8);
    let store = |at: usize, value: u64| {
        if let Some(word) = word(at) {
            word.store(value.to_le(), Relaxed);
        }
    };
    let Some(count) = word(COUNT) else { return };
    let next = u64::from_le(count.load(Relaxed)).wrapping_add(1).max(1);
    // Pairs with a reader's fence: one that sees a store to this slot also sees that the slot is no longer current.
    fence(SeqCst);
    let slot = slot(next);
    store(slot, metadata.word.0);
    store(slot + LENGTH, metadata.block.len() as u64);
    for (i, bytes) in metadata.block.as_bytes().as_chunks::<8>().0.iter().enumerate() {
        store(slot + BLOCK + 8 * i, u64::from_le_bytes(*bytes));
    }
    store(0, MAGIC);
    store(INODE, inode);
    store(SIZE, map.len() as u64);
    count.store(next.to_le(), Release);
}

/// What the pixels behind a bare descriptor say of themselves: `None` if they are not ours.
///
/// # Errors
/// [`Kind::Contended`]: it changed as often as it was looked at.
pub(crate) fn read(file: BorrowedFd<'_>) -> Result<Option<Metadata>> {
    let stage = Stage::Import;
    // A file that could shrink under the mapping is not one of ours. A dma-buf cannot.
    let is_fixed = received::kind(stage, file).and_then(|kind| match kind {
        MemoryKind::Memfd => received::seals(stage, file).map(|seals| seals.contains(Seals::SHRINK)),
        MemoryKind::DmaBuf => Ok(true),
    });
    let is_fixed = match is_fixed {
        Ok(is_fixed) => is_fixed,
        Err(error) if *error.kind() == Kind::Malformed => false,
        Err(error) => return Err(error),
    };
    if !is_fixed {
        return Ok(None);
    }
    let size = file::size(file).map_err(os(stage, "read the size of the pixels"))?;
    let Some(length) = usize::try_from(size).ok().filter(|_| size % PAGE == 0 && size > PAGE) else {
        return Ok(None);
    };
    let inode = file::identity(file).map_err(os(stage, "read the identity of the pixels"))?.inode;
    let map = match ReadMapping::new(file, length, Populate::Later) {
        Ok(map) => map,
        // A dma-buf whose exporter lets no CPU in is none of ours.
        Err(error) if is_unmappable(&error) => return Ok(None),
        Err(error) => return Err(os(stage, "map the pixels")(error)),
    };
    let start = length.saturating_sub(PAGE as usize);
    let load = |at: usize| map.load64_relaxed(start + at).map_or(0, u64::from_le);
    for _ in 0..TRIES {
        let count = load(COUNT);
        fence(Acquire);
        let (head, slot) = ([load(0), load(INODE), load(SIZE)], slot(count));
        let (word, block_length) = (load(slot), load(slot + LENGTH));
        let block: [u64; 32] = std::array::from_fn(|i| load(slot + BLOCK + 8 * i));
        fence(Acquire);
        // The set that reuses our slot begins when the count has come this far.
        if load(COUNT).wrapping_sub(count) >= SLOTS - 1 {
            continue;
        }
        if count == 0 || head != [MAGIC, inode, size] {
            return Ok(None);
        }
        let bytes = block.map(u64::to_le_bytes);
        let stored = usize::try_from(block_length).ok().and_then(|length| bytes.as_flattened().get(..length));
        return Ok(stored.and_then(|bytes| Block::new(bytes).ok()).map(|block| Metadata { word: Word(word), block }));
    }
    Err(Error::new(stage, Kind::Contended)
        .asked("the metadata behind the pixels")
        .found(format!("it changed {TRIES} times while it was being read")))
}

fn is_unmappable(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) || error.raw_os_error() == Some(ENODEV)
}

/// "No such device": what `mmap` answers for a file that cannot be mapped.
const ENODEV: i32 = 19;
