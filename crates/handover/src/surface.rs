//! A surface in this process: its memory, its layout, its place in a reservation, and what this side may do with it.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use handover_model::import::amdgpu::Step;
use handover_model::metadata::registry::Registry;
use handover_model::reservation::{self, Entry};
use handover_model::{
    Access, Bytes, Cells, ExportFlags, ExportState, Format, Layout, Metadata, Modifier, ReadOnly, Region, Stage,
};
use handover_sys::file::Identity;

use crate::backend::Order;
use crate::backend::linux::amdgpu;
use crate::backend::memory::{Memory, MemoryKind};
use crate::backend::software::pool::Pool;
use crate::backend::software::reservation::Trouble;
use crate::backend::software::sealing::Sealing;
use crate::device::amdgpu::{Arrival, Made};
use crate::device::{Codec, Device};
use crate::error::{Error, Kind, Result};

/// Memory with a layout, metadata and a reservation. Clones are the same surface.
///
/// Made by [`allocate`](crate::allocate()) and [`import`](crate::import()). Does not survive `fork`: a child must import.
#[derive(Debug, Clone)]
pub struct Surface(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) pool: Arc<Pool>,
    pub(crate) index: u32,
    pub(crate) layout: Layout,
    /// What the handle said: the same, unless metadata said more.
    pub(crate) handed: Layout,
    pub(crate) cells: Cells,
    pub(crate) memory: Memory,
    pub(crate) device: Device,
    /// How this side reads and writes the pixels.
    pub(crate) codec: Codec,
    /// What the import did by the rules of the device's own driver.
    pub(crate) import_steps: Vec<Step>,
    pub(crate) side: Side,
}

/// Which end of the hand-over this process is.
#[derive(Debug)]
pub(crate) enum Side {
    /// Allocated it: may export.
    Producer(Mutex<Exports>),
    /// Imported it. `terms`: what every look at its metadata goes by. `content_generation`: the one that its codec was made for.
    /// `first_fails`: a habit of the device.
    Consumer {
        read_only: ReadOnly,
        terms: Terms,
        may_write: bool,
        content_generation: AtomicU64,
        first_fails: AtomicBool,
    },
}

/// What an import was told beside layout and metadata, and what each later look at the metadata goes by as well.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Of its handle.
    pub(crate) flags: ExportFlags,
    /// How much memory the handle says there is. The file may have more, which is not the surface's.
    pub(crate) memory: Bytes,
    /// Who says what the metadata means.
    pub(crate) registry: Arc<Registry>,
}

impl Terms {
    /// What a device makes a codec by.
    pub(crate) fn arrival<'a>(&'a self, handed: &'a Layout, metadata: &'a Metadata) -> Arrival<'a> {
        Arrival { handed, metadata, memory: self.memory, flags: self.flags, registry: &self.registry }
    }
}

/// What the producer remembers of its exports. No consumer is named here: none is known.
#[derive(Debug)]
pub(crate) struct Exports {
    pub(crate) state: ExportState,
    pub(crate) sealing: Sealing,
    pub(crate) made: Made,
}

/// What a surface is, to those who compare: never a descriptor number, which is recycled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SurfaceId {
    /// The reservation: the control file's inode, and the index in it. The same pixels under another control file have
    /// another reservation (S23).
    pub reservation: (Identity, u32),
    /// The memory: the inode of the pixels.
    pub memory: Identity,
}

impl Surface {
    /// Planes, strides, offsets, size.
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// The format, or `None` for a byte buffer.
    pub fn format(&self) -> Option<Format> {
        self.0.layout.format()
    }

    /// The modifier of the layout.
    pub fn modifier(&self) -> Modifier {
        self.0.layout.modifier()
    }

    /// The cells that regions of this surface are made of, as the allocator declared them.
    pub fn cells(&self) -> &Cells {
        &self.0.cells
    }

    /// Index of the surface in its pool.
    pub fn index(&self) -> u32 {
        self.0.index
    }

    /// The device this side of the surface was opened on.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// Identity of reservation and memory.
    pub fn id(&self) -> SurfaceId {
        SurfaceId { reservation: (self.0.pool.identity(), self.0.index), memory: self.0.memory.identity() }
    }

    /// Memfd or dma-buf.
    pub fn memory_kind(&self) -> MemoryKind {
        self.0.memory.kind()
    }

    /// The descriptor of the pixels: a dma-buf for devices to import, or a memfd. Borrowed: importing it anywhere does not
    /// close it. Whoever gets it finds the metadata behind the pixels, as a stranger does after an export.
    pub fn pixels_fd(&self) -> BorrowedFd<'_> {
        self.file_to_leave()
    }

    /// Size of the file behind [`pixels_fd`](Self::pixels_fd): at least that of the layout.
    pub fn memory_size(&self) -> Bytes {
        self.0.memory.size()
    }

    /// Whom submissions to it are ordered with.
    pub fn order(&self) -> Order {
        if self.0.memory.is_dma_buf() { Order::AmongPeers } else { Order::Atomic }
    }

    /// Is this the producer's side?
    pub fn is_producer(&self) -> bool {
        matches!(self.0.side, Side::Producer(_))
    }

    /// What the driver of a chip of AMD's did at the import of this side, in order, each step with its reason
    /// ([`import`](mod@crate::import)). Empty on the producer's side, for byte buffers, and on other devices.
    pub fn import_steps(&self) -> &[Step] {
        &self.0.import_steps
    }

    /// What keeps holders of a READ handle from writing.
    pub fn read_only(&self) -> ReadOnly {
        match &self.0.side {
            Side::Producer(exports) => lock(exports).sealing.read_only(),
            Side::Consumer { read_only, .. } => *read_only,
        }
    }

    /// The 8-byte word and the 256-byte block, as whoever set them last left them. Never torn.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the driver of the memory keeps them, and this side was imported without its device.
    /// [`Kind::Spoiled`]: a peer scribbled over them.
    pub fn metadata(&self) -> Result<Metadata> {
        match self.0.memory.keeper() {
            Some(keeper) => amdgpu::metadata(keeper),
            None => match self.0.pool.metadata(self.0.index) {
                Ok(Some(metadata)) => Ok(metadata),
                Ok(None) if self.is_producer() => Err(Trouble::Spoiled("meta.flags").at(Stage::Import)),
                Ok(None) => Err(kept_by_driver(Stage::Import)),
                Err(trouble) => Err(trouble.at(Stage::Import)),
            },
        }
    }

    /// Replaces word and block. Anybody who holds a handle may; the last one wins. A block of length 0 clears it.
    ///
    /// A producer's copy behind the pixels follows, so that a stranger who holds only the pixel descriptor can decode it.
    ///
    /// # Errors
    /// As [`metadata`](Self::metadata).
    pub fn set_metadata(&self, metadata: &Metadata) -> Result<()> {
        if let Some(keeper) = self.0.memory.keeper() {
            return amdgpu::set_metadata(keeper, metadata);
        }
        // Set here, it would be seen by nobody who asks the driver. What else is wrong with the old one is no reason.
        if !self.is_producer() && matches!(self.0.pool.metadata(self.0.index), Ok(None)) {
            return Err(kept_by_driver(Stage::Export));
        }
        let set = || self.0.pool.set_metadata(self.0.index, metadata).map_err(|trouble| trouble.at(Stage::Export));
        match self.is_producer() {
            true => self.0.memory.set_metadata(|| set().map(|()| *metadata)),
            false => set(),
        }
    }

    /// Brings the producer's copy behind the pixels up to date with what others set.
    pub(crate) fn update_trailer(&self) -> Result<()> {
        if self.0.memory.keeper().is_some() {
            return Ok(());
        }
        self.0.memory.keep_trailer(|| self.metadata().map_err(|error| error.at(Stage::Export)))
    }

    /// The descriptor of the pixels, on its way to somebody who may pass it on: the producer's copy stands behind them from here on.
    pub(crate) fn file_to_leave(&self) -> BorrowedFd<'_> {
        if self.is_producer() && !self.0.memory.has_trailer() {
            // A peer may have spoiled the metadata; then there is nothing to copy, and what is behind the pixels says so.
            let _ = self.update_trailer();
        }
        self.0.memory.file()
    }

    /// Whose work is pending among those who share the surface's control file, in the order in which it will run. Of one
    /// queue's submissions, those that a later one stands for are left out, as the kernel does (C23).
    ///
    /// A snapshot for reports: [`acquire`](crate::acquire()) waits for the entries themselves. What an access would wait for is
    /// [`reservation::collect`](crate::reservation::collect) of this. Fences that devices have put into a dma-buf are the
    /// kernel's, and not here.
    pub fn pending(&self) -> Vec<Entry> {
        reservation::report(&self.0.pool.reservation().pending(self.0.index))
    }

    /// Which frame of a stream the pixels hold; 0 before the first.
    pub fn frame(&self) -> u64 {
        self.0.pool.reservation().frame(self.0.index)
    }

    #[inline]
    pub(crate) fn may(&self, access: Access) -> Result<()> {
        let refused = match (&self.0.side, access) {
            (Side::Consumer { may_write: false, .. }, Access::Write) => true,
            _ => !self.0.memory.is_for(access),
        };
        if refused { Err(read_only_handle()) } else { Ok(()) }
    }

    /// Is it made of cells that the surface has?
    #[inline]
    pub(crate) fn check_region(&self, region: Region) -> Result<()> {
        let known = region.is_whole() || self.0.cells.together().covers(region);
        if known { Ok(()) } else { Err(unknown_cells(region, self.0.cells.len())) }
    }

    /// Has the producer changed the layout since this side made its codec? The producer itself need not ask: it changed
    /// its codec with the layout, and a number that a peer scribbled must not keep it from its own surface.
    #[inline]
    pub(crate) fn check_content(&self) -> Result<()> {
        let Side::Consumer { content_generation, .. } = &self.0.side else { return Ok(()) };
        let now = self.0.pool.reservation().content_generation(self.0.index);
        if now == content_generation.load(Ordering::Acquire) { Ok(()) } else { Err(layout_changed(now)) }
    }
}

// Out of line: every acquire passes by both, and the making of an error would keep them from being inlined.

#[cold]
fn read_only_handle() -> Error {
    Error::new(Stage::Acquire, Kind::Unsupported)
        .asked("write access to an imported surface")
        .found("a handle that was exported for READ")
        .help("ask the producer to export it with WRITE")
}

#[cold]
fn kept_by_driver(stage: Stage) -> Error {
    Error::new(stage, Kind::Unsupported)
        .asked("the metadata of a surface in memory of amdgpu")
        .why("the driver keeps it with the buffer, and tells those who have its device open")
        .help("import with Amdgpu::import")
}

#[cold]
fn unknown_cells(region: Region, cells: usize) -> Error {
    Error::new(Stage::Acquire, Kind::Invalid)
        .asked(region.to_string())
        .found(format!("a surface with {cells} cells"))
        .why("a region is made of cells that the allocator declared")
        .help("Region::WHOLE, or Cells::region")
}

#[cold]
fn layout_changed(now: u64) -> Error {
    Error::new(Stage::Acquire, Kind::LayoutChanged)
        .asked("the content as it was imported")
        .found(format!("content generation {now}"))
        .why("an export with weaker flags made the producer change the layout behind the pixels")
        .help("import::refresh, or a new import of the handle")
}

/// A poisoned mutex here means a panic between two plain stores; what it guards is still consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
