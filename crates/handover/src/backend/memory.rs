//! Pixels: a descriptor and its mapping, with the [trailer](super::trailer) behind them where the memory is ours.
//!
//! Two kinds. A memfd is sealed, and nobody but the CPU knows it. A dma-buf has a reservation in the kernel, which devices see, and
//! CPU access to it stands between `DMA_BUF_SYNC_START` and `_END`, for coherency and nothing else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock};

use handover_model::{Access, Bytes, Metadata, Result, Stage};
use handover_sys::dma_buf::{self, Direction};
use handover_sys::file::{self, Identity};
use handover_sys::map::{Mapping, Pixels, PixelsMut, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};

use super::linux::KmsHandle;
use super::trailer;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, os};
use crate::surface::lock;

/// Size of the trailer, and the unit of every size.
pub(crate) const PAGE: u64 = 4096;

/// How long CPU access may be interrupted before it begins.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The memory of one surface in this process.
#[derive(Debug)]
pub(crate) struct Memory {
    file: OwnedFd,
    kind: MemoryKind,
    map: Map,
    identity: Identity,
    /// Bytes in front of the trailer, if there is one, else all.
    capacity: Bytes,
    /// The buffer in the device whose driver keeps the metadata, if one does.
    keeper: Option<KmsHandle>,
    /// Held by whoever sets metadata.
    setting: Mutex<()>,
}

/// What the pixels' descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryKind {
    /// A sealed memfd of the software backend.
    Memfd,
    /// A dma-buf, whoever made it.
    DmaBuf,
}

#[derive(Debug)]
enum Map {
    Write(Mapping),
    Read(ReadMapping),
}

impl Map {
    fn length(&self) -> usize {
        match self {
            Self::Write(map) => map.len(),
            Self::Read(map) => map.len(),
        }
    }
}

/// CPU access to a dma-buf, begun. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Bracket<'a> {
    file: BorrowedFd<'a>,
    direction: Direction,
}

impl Drop for Bracket<'_> {
    fn drop(&mut self) {
        // An exporter whose device has gone may refuse; the pixels are as coherent as they will ever be.
        let _ = dma_buf::sync_end(self.file, self.direction);
    }
}

impl Memory {
    /// How many bytes to ask of an allocator for these pixels and the trailer behind them.
    pub(crate) fn size_with_trailer(pixels: Bytes) -> Result<Bytes> {
        pixels.align_up(Bytes(PAGE)).and_then(|size| size.checked_add(Bytes(PAGE))).ok_or_else(|| too_large(pixels))
    }

    /// New memory for so many bytes of pixels, mapped for writing and not sealed yet.
    pub(crate) fn memfd(pixels: Bytes) -> Result<Self> {
        let stage = Stage::Allocate;
        let size = Self::size_with_trailer(pixels)?;
        let length = usize::try_from(size.get()).map_err(|_| too_large(pixels))?;
        let file =
            memfd::create("handover-pixels", size.get()).map_err(os(stage, format!("make a memfd of {size}")))?;
        let map = Mapping::new(file.as_fd(), length, Populate::Later).map_err(os(stage, "map the pixels"))?;
        Self::of(stage, file, MemoryKind::Memfd, Map::Write(map), Bytes(size.get() - PAGE))
    }

    /// The memory behind a new dma-buf of our own, whose last page is the trailer's. `map`: where the dma-buf itself cannot be
    /// mapped for writing.
    pub(crate) fn dma_buf(file: OwnedFd, map: Option<Mapping>) -> Result<Self> {
        let stage = Stage::Allocate;
        let size = dma_buf::size(&file).map_err(os(stage, "read the size of a dma-buf"))?;
        let length = usize::try_from(size).map_err(|_| too_large(Bytes(size)))?;
        let map = match map {
            Some(map) => map,
            None => Mapping::new(&file, length, Populate::Later).map_err(os(stage, "map a dma-buf"))?,
        };
        Self::of(stage, file, MemoryKind::DmaBuf, Map::Write(map), Bytes(size.saturating_sub(PAGE)))
    }

    /// The memory behind a new dma-buf of our own whose metadata its driver keeps: pixels to the last byte.
    pub(crate) fn kept_by_driver(file: OwnedFd, keeper: KmsHandle) -> Result<Self> {
        let stage = Stage::Allocate;
        let size = dma_buf::size(&file).map_err(os(stage, "read the size of a dma-buf"))?;
        let length = usize::try_from(size).map_err(|_| too_large(Bytes(size)))?;
        let map = Mapping::new(&file, length, Populate::Later).map_err(os(stage, "map a dma-buf"))?;
        let memory = Self::of(stage, file, MemoryKind::DmaBuf, Map::Write(map), Bytes(size))?;
        Ok(memory.with_keeper(keeper))
    }

    /// The same memory, whose metadata is read and set through `keeper`.
    pub(crate) fn with_keeper(self, keeper: KmsHandle) -> Self {
        Self { keeper: Some(keeper), ..self }
    }

    /// The buffer in the device whose driver keeps the metadata. `None`: the control file has it.
    pub(crate) fn keeper(&self) -> Option<&KmsHandle> {
        self.keeper.as_ref()
    }

    /// Memory behind a received descriptor. First what cannot block on anything a stranger can send, then the rest.
    ///
    /// `pixels`: what the layout needs. `capacity`: what the handle says there is in front of the trailer; without one the
    /// buffer is a stranger's and has no trailer.
    pub(crate) fn import(file: OwnedFd, pixels: Bytes, capacity: Option<Bytes>, access: Access) -> Result<Self> {
        let stage = Stage::Import;
        let kind = kind(stage, file.as_fd())?;
        let refused = |found: String, why: &'static str| {
            Err(Error::new(stage, Kind::Malformed).asked(format!("memory for {pixels}")).found(found).why(why))
        };
        if kind == MemoryKind::Memfd {
            let seals = seals(stage, file.as_fd())?;
            if !seals.contains(Seals::SHRINK) {
                return refused(format!("a memfd sealed only {seals:?}"), "its sender could shrink it under us");
            }
        }
        let size = match kind {
            MemoryKind::Memfd => file::size(&file),
            MemoryKind::DmaBuf => dma_buf::size(&file),
        };
        let size = size.map_err(os(stage, "read the size of the pixels"))?;
        let found = match capacity {
            // A dma-buf that its producer got from a stranger has pixels to the last byte.
            Some(said) if kind == MemoryKind::DmaBuf && Bytes(size.saturating_sub(PAGE)) < said => Bytes(size),
            Some(_) if size % PAGE != 0 || size <= PAGE => {
                return refused(format!("{size} bytes"), "it is not whole pages with a trailer");
            }
            Some(_) => Bytes(size - PAGE),
            None => Bytes(size),
        };
        if found < pixels {
            return refused(format!("{found}"), "the layout reaches beyond it");
        }
        if capacity.is_some_and(|said| found < said) {
            return refused(format!("{found}"), "the handle says there is more");
        }
        let Ok(length) = usize::try_from(size) else {
            return refused(format!("{size} bytes"), "no mapping is so large");
        };
        let map = match access {
            Access::Read => {
                ReadMapping::new(&file, length, Populate::Later).map(Map::Read).map_err(os(stage, "map the pixels"))?
            }
            Access::Write => Mapping::new(&file, length, Populate::Later).map(Map::Write).map_err(|error| {
                os(stage, "map the pixels for writing")(error).help("ask the producer for a WRITE handle")
            })?,
        };
        Self::of(stage, file, kind, map, found)
    }

    fn of(stage: Stage, file: OwnedFd, kind: MemoryKind, map: Map, capacity: Bytes) -> Result<Self> {
        let kept = match &map {
            Map::Write(map) => map.dont_fork(),
            Map::Read(map) => map.dont_fork(),
        };
        kept.map_err(os(stage, "keep the pixels from forked children"))?;
        let identity = file::identity(&file).map_err(os(stage, "read the identity of the pixels"))?;
        Ok(Self { file, kind, map, identity, capacity, keeper: None, setting: Mutex::default() })
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(crate) fn kind(&self) -> MemoryKind {
        self.kind
    }

    /// Has it a reservation in the kernel, which devices see?
    #[inline]
    pub(crate) fn is_dma_buf(&self) -> bool {
        self.kind == MemoryKind::DmaBuf
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Bytes of pixels.
    pub(crate) fn capacity(&self) -> Bytes {
        self.capacity
    }

    fn range(&self) -> std::ops::Range<usize> {
        0..usize::try_from(self.capacity.get()).unwrap_or(usize::MAX).min(self.map.length())
    }

    pub(crate) fn is_mapped_for(&self, access: Access) -> bool {
        access == Access::Read || matches!(self.map, Map::Write(_))
    }

    /// Begins CPU access: the kernel makes what devices wrote visible to the CPU. `None`: this memory needs no bracket.
    ///
    /// `acquire` has waited for the fences already. A stranger's submission since then makes this wait once more; it is a
    /// kernel's fence, so it ends.
    #[inline]
    pub(crate) fn begin(&self, access: Access) -> Result<Option<Bracket<'_>>> {
        if !self.is_dma_buf() {
            return Ok(None);
        }
        let direction = match access {
            Access::Read => Direction::READ,
            Access::Write => Direction::READ | Direction::WRITE,
        };
        // Every fence of the kernel ends within about ten seconds; whoever is put off for longer is being played with.
        let patience = Deadline::after(PATIENCE);
        loop {
            match dma_buf::sync_start(&self.file, direction) {
                Ok(()) => return Ok(Some(Bracket { file: self.file.as_fd(), direction })),
                // A signal, or an exporter that was itself interrupted: nothing has begun.
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock)
                        && !patience.has_passed() => {}
                Err(error) => return Err(os(Stage::Access, "begin CPU access to a dma-buf")(error)),
            }
        }
    }

    /// All pixels, to read.
    pub(crate) fn pixels(&self) -> Option<Pixels<'_>> {
        match &self.map {
            Map::Write(map) => map.pixels(self.range()),
            Map::Read(map) => map.pixels(self.range()),
        }
    }

    /// All pixels, to write.
    pub(crate) fn pixels_mut(&self) -> Option<PixelsMut<'_>> {
        match &self.map {
            Map::Write(map) => map.pixels_mut(self.range()),
            Map::Read(_) => None,
        }
    }

    /// Sets the trailer to what `set` gives. Setters take turns over both, so that the last one wins in both places.
    ///
    /// Only CPUs read the trailer of a dma-buf, all through mappings of one kind: it needs no bracket, and must not have one, since
    /// that would wait for the work of devices.
    pub(crate) fn set_trailer(&self, set: impl FnOnce() -> Result<Metadata>) -> Result<()> {
        let _turn = lock(&self.setting);
        let metadata = set()?;
        if let Map::Write(map) = &self.map
            && (self.capacity.get() as usize) < map.len()
        {
            trailer::write(map, self.identity.inode, &metadata);
        }
        Ok(())
    }
}

fn too_large(pixels: Bytes) -> Error {
    Error::new(Stage::Allocate, Kind::Invalid).asked(format!("{pixels} of pixels")).why("no file is so large")
}

/// What a received descriptor is, by tests that cannot block on anything a stranger can send.
pub(crate) fn kind(stage: Stage, file: BorrowedFd<'_>) -> Result<MemoryKind> {
    // All dma-bufs live in one file system of the kernel's own, and nothing else does. Which one, the first of them tells that
    // was found out the long way, at four times the price.
    static DMA_BUFS: OnceLock<u64> = OnceLock::new();
    let device = file::device(file).ok();
    if device.is_some() && device == DMA_BUFS.get().copied() {
        return Ok(MemoryKind::DmaBuf);
    }
    if memfd::seals(file).is_ok() {
        return Ok(MemoryKind::Memfd);
    }
    // Without /proc, or a descriptor to read it by, it may still be one: no reason to call it something else.
    if dma_buf::is_dma_buf(file).map_err(os(stage, "look in /proc what a descriptor is"))? {
        if let Some(device) = device {
            DMA_BUFS.get_or_init(|| device);
        }
        return Ok(MemoryKind::DmaBuf);
    }
    let found = file::link_text(file).map_err(os(stage, "look in /proc what a descriptor is"))?;
    Err(Error::new(stage, Kind::Malformed)
        .asked("a memfd or a dma-buf")
        .found(found)
        .why("pixels live in one of these two")
        .help("send the descriptors of the handle in their order: pixels, then control file"))
}

/// The seals of a memfd of ordinary pages, or why it is none. Cannot block on anything a stranger can send.
///
/// A memfd of huge pages has seals as well, and lives in another file system. A page of it that some holder punched out may
/// not come back, and whoever touches it then gets SIGBUS: no seal helps against that.
pub(crate) fn seals(stage: Stage, file: BorrowedFd<'_>) -> Result<Seals> {
    static OURS: OnceLock<u64> = OnceLock::new();
    let seals = memfd::seals(file).map_err(|error| {
        os(stage, "read the seals of a memfd")(error).why("a memfd is wanted here, and this is none")
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
