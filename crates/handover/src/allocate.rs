//! Allocate: an agreement becomes surfaces, with memory, layout, metadata and a reservation.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use handover_model::{
    Access, Bytes, Cells, Compression, ExportState, Extent, Format, Layout, Modifier, ReadOnly, Stage,
};

use crate::backend::memory::Memory;
use crate::backend::software::pool::Pool;
use crate::backend::software::sealing::{Sealing, Writers};
use crate::backend::{Backend, Software};
use crate::device::amdgpu::Made;
use crate::device::{Device, has_display_dcc};
use crate::error::{Error, Kind, Result};
use crate::import::{strangers, strangers_exports};
use crate::negotiate::Agreement;
use crate::surface::{Exports, Inner, Side, Surface};

/// What an allocation decides beyond the agreement.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many surfaces; they share one pool, and with it the fate of its control file. 1 to 1024.
    pub surfaces: u32,
    /// Who will write them. Decides when the kernel starts to refuse new writers.
    pub writers: Writers,
    /// What regions are made of. See [`Cells::new`].
    pub cells: Cells,
    /// May the device compress? It still decides by the export flags.
    pub compression: Compression,
    /// Where the memory comes from.
    pub backend: Arc<dyn Backend>,
    /// What a display has to do with them.
    pub display: Display,
    /// The least that must keep the holder of a READ handle from writing; `None`: whatever the memory gives.
    pub read_only: Option<ReadOnly>,
}

impl Default for Options {
    /// One surface of the software backend, written by its allocator alone, no regions, compressed where the device can.
    fn default() -> Self {
        Self {
            surfaces: 1,
            writers: Writers::Me,
            cells: Cells::none(),
            compression: Compression::Possible,
            backend: Arc::new(Software),
            display: Display::None,
            read_only: None,
        }
    }
}

/// What a display has to do with a surface. On chips of AMD's it decides what [`implicit`] makes, what metadata says, and what an export
/// without EXPLICIT_FLUSH does. GFX8 has no such choice: its tiles are always those of a display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Display {
    /// Nothing.
    #[default]
    None,
    /// It can read the layout (Mesa: `is_displayable`).
    CanRead,
    /// The surface was made for it (`PIPE_BIND_SCANOUT`), and it may show it while it is drawn.
    Scanout,
}

/// Makes surfaces of an agreement on a device.
///
/// # Errors
/// [`Kind::Unsupported`]: the device cannot make the modifier. [`Kind::Invalid`]: counts or sizes out of bounds.
/// [`Kind::Os`]: no memory, no descriptors.
///
/// ```
/// use handover::{Device, Extent, Format, SurfaceUsages, allocate, negotiate};
/// let clip = Device::BLOCKS.offer("clip", &[Format::XRGB8888], SurfaceUsages::WRITE);
/// let viewer = Device::BLOCKS.offer("viewer", &[Format::XRGB8888], SurfaceUsages::READ);
/// let agreement = negotiate(Extent::new(64, 64)?, &[clip, viewer])?;
/// let surfaces = allocate(Device::BLOCKS, &agreement, &Default::default())?;
/// assert_eq!(surfaces.len(), 1);
/// # Ok::<(), handover::Error>(())
/// ```
pub fn allocate(device: Device, agreement: &Agreement, options: &Options) -> Result<Vec<Surface>> {
    let Some(format) = agreement.format else {
        return Err(Error::new(Stage::Allocate, Kind::Invalid)
            .asked("an image of an agreement on a byte buffer")
            .help("allocate::buffer"));
    };
    if !device.makes(agreement.modifier) {
        return Err(Error::new(Stage::Allocate, Kind::Unsupported)
            .asked(format!("a surface with {}", agreement.modifier))
            .found(format!("device {device}"))
            .why("it does not make that layout"));
    }
    let layout = match agreement.modifier {
        Modifier::LINEAR => Layout::linear(format, agreement.extent, agreement.constraints())?,
        Modifier::SIM_BLOCKS => Layout::blocks(format, agreement.extent, options.compression, agreement.constraints())?,
        modifier => Layout::tiled(format, agreement.extent, modifier, agreement.constraints())?,
    };
    device.check_size(&layout, Stage::Allocate)?;
    make(device, &layout, Shared::ByModifier, options)
}

/// Makes surfaces of this format whose layout is `device`'s own choice, shared without a modifier: what drivers do for window systems that
/// carry none. The handle says format, extent and stride; a consumer learns the layout from the metadata, or refuses.
///
/// Compression, unless [`Options::compression`] forbids it, lasts until an export drops it ([`export`](mod@crate::export)).
///
/// # Errors
/// [`Kind::Unsupported`]: the metadata of this device says nothing of layouts, the format has several planes, or the options have cells.
/// Those of [`allocate`].
///
/// ```
/// use handover::{Device, Extent, Format, Modifier, allocate};
/// let surfaces = allocate::implicit(Device::VEGA10, Format::XRGB8888, Extent::new(640, 480)?, &Default::default())?;
/// assert!(surfaces[0].modifier().parse()?.is_compressed());
/// # Ok::<(), handover::Error>(())
/// ```
pub fn implicit(device: Device, format: Format, extent: Extent, options: &Options) -> Result<Vec<Surface>> {
    let Some(layout) = device.implicit(format, extent, options.compression, options.display)? else {
        return Err(Error::new(Stage::Allocate, Kind::Unsupported)
            .asked(format!("a surface of {format} without a modifier"))
            .found(format!("device {device}"))
            .why("its metadata says nothing of the layout of such a surface")
            .help("an agreement on a modifier"));
    };
    if !options.cells.as_slice().is_empty() {
        return Err(Error::new(Stage::Allocate, Kind::Unsupported)
            .asked("cells in a surface without a modifier")
            .why("a handle that does not say the layout cannot say where cells lie in it")
            .help("an agreement on a modifier"));
    }
    make(device, &layout, Shared::Implicitly, options)
}

/// Makes byte buffers of so many bytes: surfaces without a format.
pub fn buffer(device: Device, size: Bytes, options: &Options) -> Result<Vec<Surface>> {
    make(device, &Layout::buffer(size)?, Shared::ByModifier, options)
}

/// Makes surfaces of dma-bufs that a driver made: images of Vulkan, buffers of gbm or of a media library. Of the options, the
/// backend, the compression and the count do not matter: memory and layout are what they are.
///
/// They share one pool, as what [`allocate`] makes does. Their metadata is in the control file alone, and at first empty: pixels
/// reach to the last byte of a driver's buffer, and what a driver keeps with it is the driver's.
///
/// # Errors
/// [`Kind::Malformed`]: no dma-buf, or smaller than the layout. [`Kind::Unsupported`]: a layout that `device` cannot read, or a
/// weaker class of READ than required. [`Kind::Invalid`]: none, or too many.
pub fn adopt(device: Device, layout: &Layout, buffers: Vec<OwnedFd>, options: &Options) -> Result<Vec<Surface>> {
    device.check_alive(Stage::Allocate)?;
    Cells::new(layout, options.cells.as_slice().to_vec())?;
    if !device.takes_strangers(layout.modifier()) {
        return Err(Error::new(Stage::Allocate, Kind::Unsupported)
            .asked(format!("a driver's buffer with {}", layout.modifier()))
            .found(format!("device {device}"))
            .help("Device::DRIVER, for a device whose driver decodes it"));
    }
    let pool = Pool::create(u32::try_from(buffers.len()).unwrap_or(u32::MAX))?;
    let one = |(index, buffer)| {
        let memory = strangers(buffer, layout, device, Access::Write).map_err(|error| error.at(Stage::Allocate))?;
        let exports = strangers_exports(&memory, options.writers);
        check_read_only(options.read_only, exports.sealing.read_only(), "a driver's buffer")?;
        let (cells, pool) = (options.cells.clone(), Arc::clone(&pool));
        produced(Produced { device, layout: *layout, cells, memory, pool, index, exports })
    };
    (0..).zip(buffers).map(one).collect()
}

/// What handles say of the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shared {
    /// The modifier and all planes.
    ByModifier,
    /// The stride: the rest is in the metadata.
    Implicitly,
}

fn make(device: Device, layout: &Layout, shared: Shared, options: &Options) -> Result<Vec<Surface>> {
    device.check_alive(Stage::Allocate)?;
    // The cells again, on the layout that they are for.
    Cells::new(layout, options.cells.as_slice().to_vec())?;
    if has_display_dcc(layout.modifier()) && !options.cells.as_slice().is_empty() {
        return Err(Error::new(Stage::Allocate, Kind::Unsupported)
            .asked(format!("cells in a surface with {}", layout.modifier()))
            .why("the compression data for a display is made of the whole surface, and two who draw side by side would both make it")
            .help("a modifier without DCC_RETILE, or no cells"));
    }
    check_class(options)?;
    let pool = Pool::create(options.surfaces)?;
    (0..options.surfaces).map(|index| make_one(device, layout, shared, options, &pool, index)).collect()
}

/// Does the memory keep READ handles from writing as well as the caller requires?
fn check_class(options: &Options) -> Result<()> {
    check_read_only(options.read_only, options.backend.read_only(options.writers), &options.backend.name())
}

fn check_read_only(required: Option<ReadOnly>, class: ReadOnly, memory: &str) -> Result<()> {
    match required {
        // The classes are numbered from the strongest on.
        Some(required) if class.bits() > required.bits() => Err(Error::new(Stage::Allocate, Kind::Unsupported)
            .asked(format!("memory whose READ handles are {required}"))
            .found(format!("{memory}, where they are {class}"))
            .why("what the kernel enforces of READ depends on the memory")
            .help("the software backend with Writers::Me or Writers::Named, or a weaker class")),
        _ => Ok(()),
    }
}

fn make_one(
    device: Device,
    layout: &Layout,
    shared: Shared,
    options: &Options,
    pool: &Arc<Pool>,
    index: u32,
) -> Result<Surface> {
    let memory = options.backend.allocate(layout, options.writers)?.memory;
    let sealing = Sealing::new(options.writers, options.backend.read_only(options.writers), memory.kind());
    let compression = match shared {
        _ if !layout.has_compression() => Compression::None,
        // With SIM_BLOCKS the planes say whether it is compressed, not the modifier.
        Shared::ByModifier if layout.modifier() != Modifier::SIM_BLOCKS => Compression::Promised,
        _ => Compression::Possible,
    };
    let surface = produced(Produced {
        device,
        layout: *layout,
        cells: options.cells.clone(),
        memory,
        pool: Arc::clone(pool),
        index,
        exports: Exports {
            state: ExportState::new(compression),
            sealing,
            made: Made { display: options.display, shared },
        },
    })?;
    if surface.0.memory.keeper().is_some() {
        surface.0.pool.leave_metadata_to_driver(index).map_err(|trouble| trouble.at(Stage::Allocate))?;
    }
    surface.set_metadata(&device.describe(layout, options.display)?).map_err(|error| error.at(Stage::Allocate))?;
    Ok(surface)
}

/// What the producer's side of a surface is made of.
pub(crate) struct Produced {
    pub(crate) device: Device,
    pub(crate) layout: Layout,
    pub(crate) cells: Cells,
    pub(crate) memory: Memory,
    pub(crate) pool: Arc<Pool>,
    pub(crate) index: u32,
    pub(crate) exports: Exports,
}

/// A surface that may be exported. Its metadata is what its pool says.
pub(crate) fn produced(made: Produced) -> Result<Surface> {
    let Produced { device, layout, cells, memory, pool, index, exports } = made;
    let codec = device.own_codec(&layout)?;
    let side = Side::Producer(Mutex::new(exports));
    let import_steps = Vec::new();
    let inner = Inner { pool, index, layout, handed: layout, cells, memory, device, codec, import_steps, side };
    Ok(Surface(Arc::new(inner)))
}
