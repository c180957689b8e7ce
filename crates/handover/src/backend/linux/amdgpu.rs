//! Buffers of an amdgpu device, and the metadata that its driver keeps with every one of them.
//!
//! # Contract: who keeps the metadata
//!
//! The driver has a word and a block for each buffer, the same for everyone who imports it on that device, whatever program that is
//! (`amdgpu_gem.c:amdgpu_gem_metadata_ioctl`). A surface made here has its metadata there and nowhere else: none in the control file,
//! which only says so, and no trailer behind the pixels. Reading and setting take a GEM handle, so such a surface holds one.
//!
//! - A consumer that has the device open imports with [`Amdgpu::import`] and shares the metadata. One that has not can use the
//!   surface; its metadata answers [`Kind::Unsupported`].
//! - On another device a buffer is a new one, whose word is 0 and whose block is empty (`amdgpu_dma_buf.c`). That means
//!   "unknown" here and is never taken for linear.
//! - The driver's `flags` beside the word, of which none are defined, are set to 0 as Mesa does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handover_model::{Block, Bytes, Layout, Metadata, Modifier, ReadOnly, Stage, Word};
use handover_sys::drm::{amdgpu, prime};
use handover_sys::{file, kfd};

pub use handover_sys::drm::amdgpu::{CreateFlags, Domains};

use super::{Card, KmsHandle};
use crate::backend::memory::{Memory, PAGE};
use crate::backend::{Allocated, Backend, Order};
use crate::error::{Error, Kind, Result, os};
use crate::import::{Options, import_with};
use crate::{Device, Handle, Surface, Writers};

/// "Invalid argument": what a driver answers to a buffer that it cannot use or does not know.
const EINVAL: i32 = 22;

/// An amdgpu device as a source of memory: linear surfaces only, since tiling is laid out by drivers in user space.
#[derive(Debug, Clone)]
pub struct Amdgpu {
    card: Card,
    domains: Domains,
    flags: CreateFlags,
}

impl Amdgpu {
    /// Buffers of this card or render node, in memory of the system that the device sees.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: it is a node of another driver.
    pub fn of(card: Card) -> Result<Self> {
        card.amdgpu(Stage::Allocate)?;
        Ok(Self { card, domains: Domains::GTT, flags: CreateFlags::CPU_ACCESS_REQUIRED })
    }

    /// The same device; its buffers lie in `domains` and are made with `flags`, and always so that the CPU can reach them.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: domains that no surface can lie in, or flags that keep the CPU out.
    pub fn with(self, domains: Domains, flags: CreateFlags) -> Result<Self> {
        let refused = |found: String, why: &'static str| {
            Err(Error::new(Stage::Allocate, Kind::Invalid).asked("buffers for surfaces").found(found).why(why))
        };
        if domains.is_empty() || !(Domains::GTT | Domains::VRAM).contains(domains) {
            return refused(format!("{domains:?}"), "surfaces lie in GTT, in VRAM, or in either");
        }
        if flags.contains(CreateFlags::NO_CPU_ACCESS) {
            return refused(format!("{flags:?}"), "the pixels of a surface are mapped");
        }
        Ok(Self { domains, flags: flags | CreateFlags::CPU_ACCESS_REQUIRED, ..self })
    }

    /// The open node.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// [`import`](crate::import()) by a consumer on this device: the metadata of what an [`Amdgpu`] allocated is then the driver's
    /// own, for this side too. Any other surface is imported as everywhere.
    ///
    /// # Errors
    /// As [`import`](crate::import()); [`Kind::Unsupported`]: the driver keeps the metadata, and not on this device.
    pub fn import(&self, handle: Handle, device: Device) -> Result<Surface> {
        import_with(handle, device, &Options { amdgpu: Some(self), ..Options::default() })
    }

    /// What the driver keeps with the buffer behind a dma-buf, whoever made it and set it. `None`: nothing, for it is
    /// another device's or another driver's, or nobody ever said.
    ///
    /// # Errors
    /// [`Kind::Malformed`]: no dma-buf. [`Kind::Os`]: the device is gone, or there is no memory or handle left.
    pub fn metadata_of(&self, dma_buf: BorrowedFd<'_>) -> Result<Option<Metadata>> {
        match self.card.import_dma_buf(dma_buf) {
            Ok(buffer) => known(&buffer),
            Err(error) if error.errno() == Some(EINVAL) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The handle through which the driver tells the metadata of these pixels, which its producer left to the driver.
    pub(crate) fn keeper_of(&self, pixels: BorrowedFd<'_>) -> Result<KmsHandle> {
        let buffer = self.card.import_dma_buf(pixels)?;
        // An allocation sets the header at once, and a buffer that is new to this device has nothing.
        match known(&buffer)? {
            Some(_) => Ok(buffer),
            None => Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked("the metadata of a surface in memory of amdgpu")
                .found(format!("none on {}", self.card.path().display()))
                .why("the driver keeps it on the device that made the buffer; it does not follow to another one")
                .help("open the producer's device; or import without one, and use the layout of the handle")),
        }
    }
}

impl Backend for Amdgpu {
    fn name(&self) -> String {
        format!("buffers of {}", self.card.driver())
    }

    fn order(&self) -> Order {
        Order::AmongPeers
    }

    /// Exported for reading and writing: the producer maps the one description that everybody gets.
    fn read_only(&self, _writers: Writers) -> ReadOnly {
        ReadOnly::Unenforced
    }

    fn allocate(&self, layout: &Layout, _writers: Writers) -> Result<Allocated> {
        let stage = Stage::Allocate;
        if layout.modifier() != Modifier::LINEAR {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("a buffer of amdgpu with {}", layout.modifier()))
                .why("tiling is laid out by the driver in user space, which is not ours")
                .help("negotiate LINEAR, or import what that driver exports"));
        }
        // The surface keeps a number, and closes it in the end: elsewhere in the file somebody may have it by then.
        if self.card.is_shared() {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("a buffer of amdgpu in {}", self.card.path().display()))
                .found("an open file that is shared")
                .why("there the numbers of buffers are closed by somebody else, who does not know of this one")
                .help("allocate from a card of its own: Card::open"));
        }
        let Bytes(size) = layout.size();
        let gem = amdgpu::gem_create(self.card.amdgpu(stage)?, size, PAGE, self.domains, self.flags)
            .map_err(os(stage, format!("make a buffer of {} on {}", layout.size(), self.card.path().display())))?;
        let exported = prime::export(&self.card, gem, prime::Access::ReadWrite).and_then(|dma_buf| {
            let buffer = file::identity(&dma_buf)?;
            Ok((dma_buf, buffer))
        });
        let (dma_buf, buffer) = exported.map_err(|error| {
            // The number would only leak; a second refusal would say no more than the first.
            let _ = prime::close(&self.card, gem);
            os(stage, "export a buffer of amdgpu")(error)
        })?;
        let memory = Memory::kept_by_driver(dma_buf, self.card.adopt(gem, buffer))?;
        Ok(Allocated { memory })
    }
}

/// The metadata that the driver keeps with a buffer.
pub(crate) fn metadata(buffer: &KmsHandle) -> Result<Metadata> {
    let stage = Stage::Import;
    let kept = amdgpu::metadata(buffer.card().amdgpu(stage)?, buffer.card().gem(buffer)?)
        .map_err(os(stage, "read the metadata of a buffer of amdgpu"))?;
    Ok(Metadata { word: Word(kept.tiling), block: Block::new(kept.block()).map_err(|error| error.at(stage))? })
}

/// Replaces it.
pub(crate) fn set_metadata(buffer: &KmsHandle, metadata: &Metadata) -> Result<()> {
    let stage = Stage::Export;
    let kept = amdgpu::Metadata::new(0, metadata.word.0, metadata.block.stored())
        .ok_or_else(|| Error::new(stage, Kind::Unreachable).why("a block has at most 256 bytes, here and there"))?;
    amdgpu::set_metadata(buffer.card().amdgpu(stage)?, buffer.card().gem(buffer)?, &kept)
        .map_err(os(stage, "set the metadata of a buffer of amdgpu"))
}

/// `None` for what a buffer has that nobody told anything about.
fn known(buffer: &KmsHandle) -> Result<Option<Metadata>> {
    Ok(Some(metadata(buffer)?).filter(|metadata| *metadata != Metadata::default()))
}

/// The compute driver of AMD, which knows the buffers of every amdgpu device of the machine.
#[derive(Debug)]
pub struct Kfd(OwnedFd);

impl Kfd {
    /// Opens its node.
    ///
    /// # Errors
    /// [`Kind::Os`]: there is none, or this user may not open it.
    pub fn open() -> Result<Self> {
        kfd::open().map(Self).map_err(|error| {
            os(Stage::Import, format!("open {}", kfd::PATH))(error).help(
                "a kernel with CONFIG_HSA_AMD on a machine with an AMD device, and membership in the group `render`",
            )
        })
    }

    /// Takes a node that somebody else opened.
    pub fn of(file: OwnedFd) -> Self {
        Self(file)
    }

    /// The block kept with the buffer behind a dma-buf, on whatever amdgpu device it was made; empty where nobody set one.
    /// `None`: no amdgpu device made it. The word is not told this way, so a block alone says whose layout it is and not
    /// all of it.
    pub fn block_of(&self, dma_buf: BorrowedFd<'_>) -> Result<Option<Block>> {
        match kfd::dma_buf_info(self.0.as_fd(), dma_buf) {
            Ok(info) => Block::new(&info.metadata).map(Some).map_err(|error| error.at(Stage::Import)),
            Err(error) if error.raw_os_error() == Some(EINVAL) => Ok(None),
            Err(error) => Err(os(Stage::Import, "ask KFD for the metadata of a dma-buf")(error)),
        }
    }
}
