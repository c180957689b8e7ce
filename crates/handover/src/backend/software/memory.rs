//! Pixels: a memfd and its mapping, with the [trailer](super::trailer) behind them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock};

use handover_model::{Access, Bytes, Metadata, Result, Stage};
use handover_sys::file::{self, Identity};
use handover_sys::map::{Mapping, Pixels, PixelsMut, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};

use super::trailer;
use crate::error::{Error, Kind, os};
use crate::surface::lock;

/// Size of the trailer, and the unit of every size.
pub(super) const PAGE: u64 = 4096;
const TRAILER: usize = PAGE as usize;

/// The memory of one surface in this process.
#[derive(Debug)]
pub(crate) struct Memory {
    file: OwnedFd,
    map: Map,
    identity: Identity,
    /// Held by whoever sets metadata.
    setting: Mutex<()>,
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
        let too_large =
            || Error::new(stage, Kind::Invalid).asked(format!("{pixels} of pixels")).why("no file is so large");
        let size = pixels.align_up(Bytes(PAGE)).and_then(|size| size.checked_add(Bytes(PAGE))).ok_or_else(too_large)?;
        let length = usize::try_from(size.get()).map_err(|_| too_large())?;
        let file =
            memfd::create("handover-pixels", size.get()).map_err(os(stage, format!("make a memfd of {size}")))?;
        let map = Mapping::new(file.as_fd(), length, Populate::Later).map_err(os(stage, "map the pixels"))?;
        map.dont_fork().map_err(os(stage, "keep the pixels from forked children"))?;
        let identity = file::identity(&file).map_err(os(stage, "read the identity of the pixels"))?;
        Ok(Self { file, map: Map::Write(map), identity, setting: Mutex::default() })
    }

    /// Memory behind a received descriptor. First what cannot block on anything a stranger can send, then the rest.
    pub(crate) fn import(file: OwnedFd, pixels: Bytes, access: Access) -> Result<Self> {
        let stage = Stage::Import;
        let seals = seals(stage, file.as_fd()).map_err(|error| {
            error.help("send the descriptors of the handle in their order: pixels, then control file")
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
        Ok(Self { file, map, identity, setting: Mutex::default() })
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

    /// Sets the trailer to what `set` gives. Setters take turns over both, so that the last one wins in both places.
    pub(crate) fn set_trailer(&self, set: impl FnOnce() -> Result<Metadata>) -> Result<()> {
        let _turn = lock(&self.setting);
        let metadata = set()?;
        if let Map::Write(map) = &self.map {
            trailer::write(map, self.identity.inode, &metadata);
        }
        Ok(())
    }
}

/// The seals of a memfd of ordinary pages, or why it is none. Cannot block on anything a stranger can send.
///
/// A memfd of huge pages has seals as well, and lives in another file system. A page of it that some holder punched out may
/// not come back, and whoever touches it then gets SIGBUS: no seal helps against that.
pub(crate) fn seals(stage: Stage, file: BorrowedFd<'_>) -> Result<Seals> {
    static OURS: OnceLock<u64> = OnceLock::new();
    let seals = memfd::seals(file).map_err(|error| {
        os(stage, "read the seals of a memfd")(error).why("surfaces are memfds here, and this is none")
    })?;
    let device = |file: BorrowedFd<'_>| {
        file::identity(file).map(|identity| identity.device).map_err(os(stage, "read the identity of a memfd"))
    };
    let ours = match OURS.get() {
        Some(ours) => *ours,
        None => {
            let file = memfd::create("handover-probe", 0).map_err(os(stage, "make a memfd to compare with"))?;
            let ours = device(file.as_fd())?;
            *OURS.get_or_init(|| ours)
        }
    };
    if device(file)? == ours {
        return Ok(seals);
    }
    Err(Error::new(stage, Kind::Malformed)
        .asked("a memfd of ordinary pages")
        .found("a sealed file of another file system")
        .why("pages of it can vanish under us, as huge pages do"))
}
