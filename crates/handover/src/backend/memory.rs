//! Pixels: a descriptor and its mapping, with the [trailer](super::trailer) behind them where the memory is ours.
//!
//! Two kinds. A memfd is sealed, and nobody but the CPU knows it. A dma-buf has a reservation in the kernel, which devices see, and
//! CPU access to it stands between `DMA_BUF_SYNC_START` and `_END`, for coherency and nothing else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use handover_model::{Access, Bytes, Layout, Metadata, Modifier, Result, Stage};
use handover_sys::dma_buf::{self, Direction};
use handover_sys::file::{self, Identity};
use handover_sys::map::{Mapping, Pixels, PixelsMut, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};

use super::linux::KmsHandle;
use super::received::{kind, seals};
use super::trailer;
use crate::deadline::Deadline;
use crate::device::opaque;
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
    /// All bytes of the file.
    size: Bytes,
    /// The buffer in the device whose driver keeps the metadata, if one does.
    keeper: Option<KmsHandle>,
    /// Held by whoever sets metadata.
    setting: Mutex<()>,
    /// Is the trailer kept? Not before the descriptor can leave: to write it brings in a page that nobody may ever ask for.
    has_trailer: AtomicBool,
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
    /// For devices only.
    Not {
        access: Access,
        why: NotMapped,
    },
}

impl Map {
    fn length(&self) -> usize {
        match self {
            Self::Write(map) => map.len(),
            Self::Read(map) => map.len(),
            Self::Not { .. } => 0,
        }
    }

    fn new(file: &OwnedFd, length: usize, access: Access) -> Result<Self> {
        let stage = Stage::Import;
        match access {
            Access::Read => {
                ReadMapping::new(file, length, Populate::Later).map(Self::Read).map_err(os(stage, "map the pixels"))
            }
            Access::Write => Mapping::new(file, length, Populate::Later).map(Self::Write).map_err(|error| {
                os(stage, "map the pixels for writing")(error).help("ask the producer for a WRITE handle")
            }),
        }
    }
}

/// Why the CPU cannot reach pixels that a device can.
#[derive(Debug, Clone, Copy)]
enum NotMapped {
    /// Nothing here could find a pixel in them.
    Opaque(Modifier),
    /// The driver does not map this memory: it lies where the CPU cannot reach.
    Refused(i32),
}

/// Must the CPU reach the pixels?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cpu {
    /// They are of no use otherwise.
    Needed,
    /// A device uses them; some have memory that no CPU reaches.
    IfPossible,
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
        let file = memfd::create("handover-pixels", size.get())
            .map_err(|error| os(stage, format!("make a memfd of {size}"))(error))?;
        let (map, identity) = Mapping::whole(&file, Populate::Later).map_err(os(stage, "map the pixels"))?;
        Self::of(stage, (file, identity), MemoryKind::Memfd, Map::Write(map), Bytes(size.get() - PAGE), size)
    }

    /// The memory behind a new dma-buf of our own, whose last page is the trailer's. `map`: where the dma-buf itself cannot be
    /// mapped for writing.
    pub(crate) fn dma_buf(file: OwnedFd, map: Option<Mapping>) -> Result<Self> {
        let stage = Stage::Allocate;
        let (map, identity) = match map {
            Some(map) => (map, file::identity(&file).map_err(os(stage, "read the identity of a dma-buf"))?),
            None => Mapping::whole(&file, Populate::Later).map_err(os(stage, "map a dma-buf"))?,
        };
        let size = Bytes(map.len() as u64);
        let capacity = Bytes(size.get().saturating_sub(PAGE));
        Self::of(stage, (file, identity), MemoryKind::DmaBuf, Map::Write(map), capacity, size)
    }

    /// The memory behind a new dma-buf of our own whose metadata its driver keeps: pixels to the last byte.
    pub(crate) fn kept_by_driver(file: OwnedFd, keeper: KmsHandle) -> Result<Self> {
        let stage = Stage::Allocate;
        let (map, identity) = Mapping::whole(&file, Populate::Later).map_err(os(stage, "map a dma-buf"))?;
        let size = Bytes(map.len() as u64);
        let memory = Self::of(stage, (file, identity), MemoryKind::DmaBuf, Map::Write(map), size, size)?;
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
    pub(crate) fn import(
        file: OwnedFd,
        layout: &Layout,
        capacity: Option<Bytes>,
        access: Access,
        cpu: Cpu,
    ) -> Result<Self> {
        let pixels = layout.size();
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
        let look = file::identity_and_size(&file).map_err(os(stage, "read identity and size of the pixels"));
        let (identity, size) = look?;
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
        let map = if layout.is_opaque() && kind == MemoryKind::DmaBuf && cpu == Cpu::IfPossible {
            Map::Not { access, why: NotMapped::Opaque(layout.modifier()) }
        } else {
            match Map::new(&file, length, access) {
                Err(error) if cpu == Cpu::IfPossible && kind == MemoryKind::DmaBuf => {
                    Map::Not { access, why: NotMapped::Refused(error.errno().unwrap_or_default()) }
                }
                mapped => mapped?,
            }
        };
        Self::of(stage, (file, identity), kind, map, found, Bytes(size))
    }

    fn of(
        stage: Stage,
        (file, identity): (OwnedFd, Identity),
        kind: MemoryKind,
        map: Map,
        capacity: Bytes,
        size: Bytes,
    ) -> Result<Self> {
        let kept = match &map {
            Map::Write(map) => map.dont_fork(),
            Map::Read(map) => map.dont_fork(),
            Map::Not { .. } => Ok(()),
        };
        kept.map_err(os(stage, "keep the pixels from forked children"))?;
        let (setting, has_trailer) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { file, kind, map, identity, capacity, size, keeper: None, setting, has_trailer })
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

    /// All bytes of the file.
    pub(crate) fn size(&self) -> Bytes {
        self.size
    }

    /// Bytes of pixels.
    pub(crate) fn capacity(&self) -> Bytes {
        self.capacity
    }

    fn range(&self) -> std::ops::Range<usize> {
        0..usize::try_from(self.capacity.get()).unwrap_or(usize::MAX).min(self.map.length())
    }

    /// May this side do that?
    pub(crate) fn is_for(&self, access: Access) -> bool {
        access == Access::Read || matches!(self.map, Map::Write(_) | Map::Not { access: Access::Write, .. })
    }

    /// Why there are no pixels for the CPU.
    #[cold]
    pub(crate) fn unreachable(&self, stage: Stage) -> Error {
        match &self.map {
            Map::Not { why: NotMapped::Opaque(modifier), .. } => opaque(*modifier).at(stage),
            Map::Not { why: NotMapped::Refused(errno), .. } => Error::new(stage, Kind::Unsupported)
                .asked("pixels, by the CPU")
                .found("memory that its driver does not map")
                .with_errno(*errno)
                .help("let its device copy them into memory that the CPU reaches"),
            Map::Write(_) | Map::Read(_) => Error::new(stage, Kind::Unreachable),
        }
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
        match dma_buf::sync_start(&self.file, direction) {
            Ok(()) => Ok(Some(Bracket { file: self.file.as_fd(), direction })),
            Err(error) => self.begin_again(direction, error).map(Some),
        }
    }

    /// After a first try that failed.
    #[cold]
    fn begin_again(&self, direction: Direction, mut error: std::io::Error) -> Result<Bracket<'_>> {
        // Every fence of the kernel ends within about ten seconds; whoever is put off for longer is being played with.
        let patience = Deadline::after(PATIENCE);
        // A signal, or an exporter that was itself interrupted: nothing has begun.
        while matches!(error.kind(), std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock)
            && !patience.has_passed()
        {
            match dma_buf::sync_start(&self.file, direction) {
                Ok(()) => return Ok(Bracket { file: self.file.as_fd(), direction }),
                Err(again) => error = again,
            }
        }
        Err(os(Stage::Access, "begin CPU access to a dma-buf")(error))
    }

    /// All pixels, to read.
    pub(crate) fn pixels(&self) -> Option<Pixels<'_>> {
        match &self.map {
            Map::Write(map) => map.pixels(self.range()),
            Map::Read(map) => map.pixels(self.range()),
            Map::Not { .. } => None,
        }
    }

    /// All pixels, to write.
    pub(crate) fn pixels_mut(&self) -> Option<PixelsMut<'_>> {
        match &self.map {
            Map::Write(map) => map.pixels_mut(self.range()),
            Map::Read(_) | Map::Not { .. } => None,
        }
    }

    /// Runs `set`, and the trailer says what it gives, if it is kept already. Setters take turns over both, so that the last one
    /// wins in both places.
    pub(crate) fn set_metadata(&self, set: impl FnOnce() -> Result<Metadata>) -> Result<()> {
        let _turn = lock(&self.setting);
        let metadata = set()?;
        if self.has_trailer() {
            self.write_trailer(&metadata);
        }
        Ok(())
    }

    /// Has the descriptor been where it may leave this process?
    #[inline]
    pub(crate) fn has_trailer(&self) -> bool {
        self.has_trailer.load(Ordering::Acquire)
    }

    /// Brings the trailer up to date with what `get` gives; from here on it is kept.
    ///
    /// Only CPUs read the trailer of a dma-buf, all through mappings of one kind: it needs no bracket, and must not have one, since
    /// that would wait for the work of devices.
    pub(crate) fn keep_trailer(&self, get: impl FnOnce() -> Result<Metadata>) -> Result<()> {
        let _turn = lock(&self.setting);
        self.write_trailer(&get()?);
        self.has_trailer.store(true, Ordering::Release);
        Ok(())
    }

    fn write_trailer(&self, metadata: &Metadata) {
        if let Map::Write(map) = &self.map
            && (self.capacity.get() as usize) < map.len()
        {
            trailer::write(map, self.identity.inode, metadata);
        }
    }
}

fn too_large(pixels: Bytes) -> Error {
    Error::new(Stage::Allocate, Kind::Invalid).asked(format!("{pixels} of pixels")).why("no file is so large")
}
