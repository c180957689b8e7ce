//! Import: a received handle is an allegation; what passes every check here becomes a surface.
//!
//! First what cannot block on anything a stranger may send (the seals of a memfd), only then sizes, mappings, contents.
//!
//! On a chip of AMD's the import of an image that the chip can make follows its driver's steps ([`Surface::import_steps`]): the layout is
//! computed here, from the modifier or, without one, the metadata; stride and further planes have to be those, and all of it has to end within
//! the buffer. Of the driver's rule two things are refused that it lets through: it takes a plane that begins elsewhere, without a modifier,
//! for linear, which is a guess; and it rewrites the producer's metadata where DCC for a display came without the promise of a flush, which
//! an honest export has dropped.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

pub use handover_model::import::amdgpu::Step;
use handover_model::metadata::registry::Registry;
use handover_model::{
    Access, Cells, Compression, ExportFlags, ExportState, Layout, Metadata, ReadOnly, Resolve, Stage,
};
use handover_sys::file;
use handover_sys::memfd::{self, Seals};

use crate::allocate::{Display, Produced, Shared, produced};
use crate::backend::linux::{self, Amdgpu, Card, KmsHandle};
use crate::backend::memory::{Memory, MemoryKind};
use crate::backend::received;
use crate::backend::software::pool::Pool;
use crate::backend::software::sealing::{Sealing, Writers};
use crate::backend::trailer;
use crate::device::amdgpu::Made;
use crate::device::{Codec, Device};
use crate::error::{Error, Kind, Result};
use crate::handle::Handle;
use crate::surface::{Exports, Inner, Side, Surface, Terms};

/// Checks a handle and makes it a surface of this process, read and written by the rules of `device`.
///
/// # Errors
/// [`Kind::Malformed`], [`Kind::Spoiled`]: the handle is not what it says. [`Kind::Unsupported`]: this device cannot decode
/// the producer's layout, or the versions differ. [`Kind::Full`]: the pool has no place for another participant.
pub fn import(handle: Handle, device: Device) -> Result<Surface> {
    import_with(handle, device, &Options::default())
}

/// What an import goes by beside the handle and the device.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Who is asked what the metadata of a surface without a modifier says. The surface keeps it for [`refresh`].
    pub registry: Arc<Registry>,
    /// The device whose driver keeps the metadata of its buffers, where that is open here: see [`Amdgpu::import`].
    pub amdgpu: Option<&'a Amdgpu>,
}

impl Default for Options<'_> {
    /// The codecs of this library, and no device.
    fn default() -> Self {
        static OWN: LazyLock<Arc<Registry>> = LazyLock::new(Arc::default);
        Self { registry: Arc::clone(&OWN), amdgpu: None }
    }
}

/// [`import`], with codecs of the caller's: how a surface without a modifier is read whose producer this library does not know.
///
/// A codec that names a modifier names the whole layout; the format, the extent and the stride are those of the handle. What it says is
/// checked as what the codecs here say, and refused where it does not fit into the memory.
///
/// # Errors
/// As [`import`]; those of the codec; [`Kind::Unsupported`], naming the vendor, where no codec knows the metadata.
///
/// ```
/// use std::sync::Arc;
/// use handover::import::{Options, import_with};
/// use handover::metadata::registry::{Codec, Decoded, Query, Registry};
/// use handover::{Block, Deadline, Device, ExportFlags, Extent, Format, Metadata, Modifier, Word, allocate, export};
///
/// /// The buffers of a vendor whose word is a modifier.
/// struct Acme;
/// impl Codec for Acme {
///     fn name(&self) -> &'static str {
///         "acme"
///     }
///     fn knows(&self, query: &Query<'_>) -> bool {
///         query.metadata.block.header().is_some_and(|header| header.vendor_id == 0xacce)
///     }
///     fn decode(&self, query: &Query<'_>) -> handover::Result<Decoded> {
///         Ok(Decoded::new("acme", Vec::new(), Ok(Modifier(query.metadata.word.0))))
///     }
/// }
///
/// # let extent = Extent::new(64, 64)?;
/// # let ours = allocate::implicit(Device::TIGERLAKE, Format::XRGB8888, extent, &Default::default())?.remove(0);
/// # let acme = Block::new(&[1, 0, 0, 0, 7, 0, 0xce, 0xac])?;
/// # ours.set_metadata(&Metadata { word: Word(ours.modifier().0), block: acme })?;
/// # let handle = || export(&ours, ExportFlags::READ, Deadline::Never).map(|exported| exported.handle);
/// # let (received, again) = (handle()?, handle()?);
/// let mut registry = Registry::new();
/// registry.register(Box::new(Acme));
/// let options = Options { registry: Arc::new(registry), ..Options::default() };
/// let theirs = import_with(received, Device::PLAIN.with_decoder(), &options)?;
/// # assert_eq!(theirs.modifier(), ours.modifier());
/// assert!(handover::import(again, Device::PLAIN.with_decoder()).unwrap_err().to_string().contains("acce:0007"));
/// # Ok::<(), handover::Error>(())
/// ```
pub fn import_with(handle: Handle, device: Device, options: &Options<'_>) -> Result<Surface> {
    device.check_alive(Stage::Import)?;
    let Handle { message, pixels, control } = handle;
    let refused = |found: String, why: &'static str| {
        Err(Error::new(Stage::Import, Kind::Malformed)
            .asked(format!("surface {} of {}", message.index, message.surfaces))
            .found(found)
            .why(why))
    };
    if message.index >= message.surfaces {
        return refused(format!("index {}", message.index), "the pool has no such surface");
    }
    let may_write = message.access.contains(ExportFlags::WRITE) && !device.only_reads();
    if !may_write && message.read_only == ReadOnly::Sealed && !is_sealed(pixels.as_fd()) {
        return refused("pixels that anybody may still write".into(), "the handle says they are sealed");
    }
    if !may_write && message.read_only == ReadOnly::Descriptor && file::is_writable(&pixels).unwrap_or(true) {
        return refused("a descriptor that can be written through".into(), "the handle says it was opened read-only");
    }
    let access = if may_write { Access::Write } else { Access::Read };
    let mut memory = Memory::import(pixels, &message.layout, Some(message.memory), access, device.needs_cpu())?;
    let pool = Pool::join(control, message.surfaces)?;
    if pool.identity().inode != message.pool {
        return refused(format!("pool {}", pool.identity().inode), "the message belongs to another control file");
    }
    // The generation first: metadata that changes after it is read is then noticed at the next acquire.
    let content_generation = pool.reservation().content_generation(message.index);
    let metadata = pool.metadata(message.index).map_err(|trouble| trouble.at(Stage::Import))?;
    let metadata = match (metadata, options.amdgpu) {
        (Some(metadata), _) => metadata,
        (None, Some(amdgpu)) => {
            let keeper = amdgpu.keeper_of(memory.file())?;
            let metadata = linux::amdgpu::metadata(&keeper)?;
            memory = memory.with_keeper(keeper);
            metadata
        }
        // Whatever cannot be read without it is refused by the decoder.
        (None, None) => Metadata::default(),
    };
    let terms = Terms { flags: message.access, memory: message.memory, registry: Arc::clone(&options.registry) };
    let (codec, layout, import_steps) = device.decoder(&terms.arrival(&message.layout, &metadata))?;
    if let (Codec::Tiled(codec), true) = (&codec, may_write) {
        // Nobody flushes for a consumer, so what it draws is written out when its submission ends.
        codec.set_resolve(Resolve::ByTracking);
    }
    Ok(Surface(Arc::new(Inner {
        pool,
        index: message.index,
        layout,
        handed: message.layout,
        cells: message.cells,
        memory,
        device,
        codec,
        import_steps,
        side: Side::Consumer {
            read_only: message.read_only,
            terms,
            may_write,
            content_generation: AtomicU64::new(content_generation),
            first_fails: device.first_fails(),
        },
    })))
}

/// Looks again at what the producer wrote, after an acquire answered [`Kind::LayoutChanged`]. Views of leases that are out
/// stay valid: the producer changes the content only when nobody uses it.
///
/// # Errors
/// [`Kind::Unsupported`]: what the producer writes now cannot be decoded here. Nothing to do for the producer itself.
pub fn refresh(surface: &Surface) -> Result<()> {
    surface.0.device.check_alive(Stage::Import)?;
    let Side::Consumer { content_generation, terms, .. } = &surface.0.side else { return Ok(()) };
    let now = surface.0.pool.reservation().content_generation(surface.0.index);
    let metadata = surface.metadata()?;
    let (codec, layout, _) = surface.0.device.decoder(&terms.arrival(&surface.0.handed, &metadata))?;
    if layout != surface.0.layout && layout != surface.0.layout.without_compression() {
        return Err(Error::new(Stage::Import, Kind::Unsupported)
            .asked(format!("another look at a surface of {}", surface.0.layout.modifier()))
            .found(format!("metadata of {}", layout.modifier()))
            .why("only its compression may go while it is shared"));
    }
    surface.0.codec.adopt(&codec);
    content_generation.store(now, Ordering::Release);
    Ok(())
}

/// A buffer that came without a handle of ours: through Wayland, PipeWire, V4L2, or a bare SCM_RIGHTS.
#[derive(Debug)]
pub enum Foreign {
    /// A dma-buf.
    DmaBuf(OwnedFd),
    /// A GEM handle, and the open DRM file to import it in. Who has a bare number, from gbm for example, gets the handle by
    /// [`Card::handle_of`].
    Kms(KmsHandle, Card),
    /// A global GEM name. Refused, always.
    Flink(u32),
}

/// Makes a surface of a stranger's buffer, whose layout the carrier told. Nothing in the buffer is taken for a description of it.
///
/// The surface has a control file of its own and can be exported to peers, who then share it; the stranger knows nothing of it and
/// is reached through the kernel's reservation alone. Two imports of one buffer are two control files, and one reservation in the
/// kernel (S23).
///
/// # Errors
/// [`Kind::Malformed`]: no dma-buf, or smaller than the layout. [`Kind::Unsupported`]: a flink name, or a layout that `device` cannot
/// read. [`Kind::Invalid`]: a GEM handle of another open file.
pub fn foreign(buffer: Foreign, layout: &Layout, device: Device, access: Access) -> Result<Surface> {
    device.check_alive(Stage::Import)?;
    let file = match buffer {
        Foreign::DmaBuf(file) => file,
        Foreign::Kms(handle, card) => {
            card.gem(&handle)?;
            handle.export_dma_buf()?
        }
        Foreign::Flink(name) => {
            return Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked(format!("the buffer of flink name {name}"))
                .why("a flink name is global, can be guessed, and says nothing about who may use it")
                .help("export the buffer as a dma-buf (PRIME) and send the descriptor"));
        }
    };
    if !device.takes_strangers(layout.modifier()) {
        return Err(Error::new(Stage::Import, Kind::Unsupported)
            .asked(format!("a stranger's buffer with {}", layout.modifier()))
            .found(format!("device {device}"))
            .why("only what a carrier tells is known of it, and that is not enough to decode this layout")
            .help("LINEAR, Device::DRIVER for a device that can decode it, or a handle of the producer's"));
    }
    let memory = strangers(file, layout, device, access)?;
    let writers = if access == Access::Write { Writers::Open } else { Writers::Named(0) };
    let exports = strangers_exports(&memory, writers);
    produced(Produced {
        device,
        layout: *layout,
        cells: Cells::none(),
        exports,
        memory,
        pool: Pool::create(1)?,
        index: 0,
    })
}

/// Memory behind a dma-buf that was made elsewhere.
pub(crate) fn strangers(file: OwnedFd, layout: &Layout, device: Device, access: Access) -> Result<Memory> {
    let memory = Memory::import(file, layout, None, access, device.needs_cpu())?;
    if memory.is_dma_buf() {
        return Ok(memory);
    }
    Err(Error::new(Stage::Import, Kind::Malformed).asked("a dma-buf").found("a memfd"))
}

/// What may be said of exports of memory that was made elsewhere.
pub(crate) fn strangers_exports(memory: &Memory, writers: Writers) -> Exports {
    let class =
        if file::is_writable(memory.file()).unwrap_or(true) { ReadOnly::Unenforced } else { ReadOnly::Descriptor };
    let sealing = Sealing::new(writers, class, memory.kind());
    let made = Made { display: Display::None, shared: Shared::ByModifier };
    Exports { state: ExportState::new(Compression::None), sealing, made }
}

/// The metadata of pixels of which only the descriptor arrived, through a carrier that knows nothing of handover. `None`:
/// they are not ours, or their producer never said.
pub fn metadata_of(pixels: BorrowedFd<'_>) -> Result<Option<Metadata>> {
    trailer::read(pixels)
}

/// The same, and where the pixels say nothing of themselves, what the drivers of these devices keep with the buffer. `None`: nobody
/// knows; that is never to be taken for linear.
///
/// # Errors
/// As [`Amdgpu::metadata_of`].
pub fn metadata_on(pixels: BorrowedFd<'_>, devices: &[Amdgpu]) -> Result<Option<Metadata>> {
    if let Some(metadata) = metadata_of(pixels)? {
        return Ok(Some(metadata));
    }
    if !matches!(received::kind(Stage::Import, pixels), Ok(MemoryKind::DmaBuf)) {
        return Ok(None);
    }
    for device in devices {
        if let Some(metadata) = device.metadata_of(pixels)? {
            return Ok(Some(metadata));
        }
    }
    Ok(None)
}

fn is_sealed(pixels: BorrowedFd<'_>) -> bool {
    memfd::seals(pixels).is_ok_and(|seals| seals.contains(Seals::FUTURE_WRITE | Seals::SHRINK))
}
