//! Pixels: a memfd, its mapping, and behind them a trailer page that describes them to whoever holds nothing else.
//!
//! The trailer is the last page of the file: "hndovrmd", the inode and the size of the file (so that a copy of the bytes
//! is not taken for the original), the tiling word, the block's length, the block. The producer keeps it; where a control
//! file is at hand too, that one wins.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handover_model::{Access, Block, Bytes, Metadata, Result, Stage, Word};
use handover_sys::file::{self, Identity};
use handover_sys::map::{Mapping, Pixels, PixelsMut, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};

use crate::error::{Error, Kind, os};

const PAGE: u64 = 4096;
const TRAILER: usize = PAGE as usize;
const TRAILER_MAGIC: &[u8; 8] = b"hndovrmd";
/// magic, inode, size, word, length, block.
const TRAILER_USED: usize = 8 * 5 + 256;

/// The memory of one surface in this process.
#[derive(Debug)]
pub(crate) struct Memory {
    file: OwnedFd,
    map: Map,
    identity: Identity,
}

#[derive(Debug)]
enum Map {
    Write(Mapping),
    Read(ReadMapping),
}

impl Memory {
    /// New memory for so many bytes of pixels, mapped for writing and not sealed yet.
    pub(crate) fn allocate(pixels: Bytes) -> Result<Self> {
        let stage = Stage::Allocate;
        let too_large = || Error::new(stage, Kind::Invalid).asked(format!("{pixels} of pixels")).why("no file is so large");
        let size = pixels.align_up(Bytes(PAGE)).and_then(|size| size.checked_add(Bytes(PAGE))).ok_or_else(too_large)?;
        let length = usize::try_from(size.get()).map_err(|_| too_large())?;
        let file = memfd::create("handover-pixels", size.get()).map_err(os(stage, format!("make a memfd of {size}")))?;
        let map = Mapping::new(file.as_fd(), length, Populate::Later).map_err(os(stage, "map the pixels"))?;
        map.dont_fork().map_err(os(stage, "keep the pixels from forked children"))?;
        let identity = file::identity(&file).map_err(os(stage, "read the identity of the pixels"))?;
        Ok(Self { file, map: Map::Write(map), identity })
    }

    /// Memory behind a received descriptor. First what cannot block on anything a stranger can send, then the rest.
    pub(crate) fn import(file: OwnedFd, pixels: Bytes, access: Access) -> Result<Self> {
        let stage = Stage::Import;
        let seals = memfd::seals(&file).map_err(|error| {
            os(stage, "read the seals of the pixels")(error)
                .why("pixels of this backend are a memfd, and this is none")
                .help("send the descriptors of the handle in their order: pixels, then control file")
        })?;
        let refused = |found: String, why: &'static str| {
            Err(Error::new(stage, Kind::Malformed).asked(format!("a memfd for {pixels}")).found(found).why(why))
        };
        if !seals.contains(Seals::SHRINK) {
            return refused(format!("a memfd sealed only {seals:?}"), "its sender could shrink it under us");
        }
        let size = file::size(&file).map_err(os(stage, "read the size of the pixels"))?;
        let Some(length) = usize::try_from(size).ok().filter(|_| size % PAGE == 0 && size > PAGE) else {
            return refused(format!("{size} bytes"), "it is not whole pages with a trailer");
        };
        if Bytes(size - PAGE) < pixels {
            return refused(format!("{}", Bytes(size - PAGE)), "the layout reaches beyond it");
        }
        let map = match access {
            Access::Read => {
                let map = ReadMapping::new(&file, length, Populate::Later).map_err(os(stage, "map the pixels"))?;
                map.dont_fork().map(|()| Map::Read(map))
            }
            Access::Write => {
                let map = Mapping::new(&file, length, Populate::Later).map_err(|error| {
                    os(stage, "map the pixels for writing")(error).help("ask the producer for a WRITE handle")
                })?;
                map.dont_fork().map(|()| Map::Write(map))
            }
        };
        let map = map.map_err(os(stage, "keep the pixels from forked children"))?;
        let identity = file::identity(&file).map_err(os(stage, "read the identity of the pixels"))?;
        Ok(Self { file, map, identity })
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    fn length(&self) -> usize {
        match &self.map {
            Map::Write(map) => map.len(),
            Map::Read(map) => map.len(),
        }
    }

    /// Bytes in front of the trailer.
    pub(crate) fn capacity(&self) -> Bytes {
        Bytes(self.length().saturating_sub(TRAILER) as u64)
    }

    pub(crate) fn is_mapped_for(&self, access: Access) -> bool {
        access == Access::Read || matches!(self.map, Map::Write(_))
    }

    /// All pixels, to read.
    pub(crate) fn pixels(&self) -> Option<Pixels<'_>> {
        let range = 0..self.length().saturating_sub(TRAILER);
        match &self.map {
            Map::Write(map) => map.pixels(range),
            Map::Read(map) => map.pixels(range),
        }
    }

    /// All pixels, to write.
    pub(crate) fn pixels_mut(&self) -> Option<PixelsMut<'_>> {
        match &self.map {
            Map::Write(map) => map.pixels_mut(0..self.length().saturating_sub(TRAILER)),
            Map::Read(_) => None,
        }
    }

    /// Brings the trailer up to date.
    pub(crate) fn write_trailer(&self, metadata: &Metadata) {
        let Map::Write(map) = &self.map else { return };
        let start = map.len().saturating_sub(TRAILER);
        let Some(page) = map.pixels_mut(start..map.len()) else { return };
        let words = [self.identity.inode, map.len() as u64, metadata.word.0, metadata.block.len() as u64];
        let mut bytes = Vec::with_capacity(TRAILER_USED);
        bytes.extend_from_slice(TRAILER_MAGIC);
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.extend_from_slice(metadata.block.as_bytes());
        // One page holds it, as the constant above says.
        let _ = page.write(0, &bytes);
    }
}

/// What the pixels behind a bare descriptor say of themselves: `None` if they are not ours, or were never exported.
pub(crate) fn read_trailer(file: BorrowedFd<'_>) -> Result<Option<Metadata>> {
    let stage = Stage::Import;
    // A file that could shrink under the mapping is not one of ours.
    if !memfd::seals(file).is_ok_and(|seals| seals.contains(Seals::SHRINK)) {
        return Ok(None);
    }
    let size = file::size(file).map_err(os(stage, "read the size of the pixels"))?;
    let Some(length) = usize::try_from(size).ok().filter(|_| size % PAGE == 0 && size > PAGE) else {
        return Ok(None);
    };
    let map = ReadMapping::new(file, length, Populate::Later).map_err(os(stage, "map the pixels"))?;
    let mut bytes = [0; TRAILER_USED];
    let start = length - TRAILER;
    if !map.pixels(start..length).is_some_and(|page| page.read(0, &mut bytes)) {
        return Ok(None);
    }
    let identity = file::identity(file).map_err(os(stage, "read the identity of the pixels"))?;
    let (head, block) = bytes.split_at(40);
    let word = |i: usize| {
        let at = head.get(8 * i..8 * i + 8).and_then(|bytes| bytes.first_chunk::<8>());
        at.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let is_ours = head.starts_with(TRAILER_MAGIC) && word(1) == identity.inode && word(2) == size;
    let block = usize::try_from(word(4)).ok().and_then(|length| block.get(..length)).and_then(|b| Block::new(b).ok());
    Ok(block.filter(|_| is_ours).map(|block| Metadata { word: Word(word(3)), block }))
}
