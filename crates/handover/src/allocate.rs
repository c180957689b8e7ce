//! Allocate: an agreement becomes surfaces, with memory, layout, metadata and a reservation.

use std::sync::{Arc, Mutex};

use handover_model::{Bytes, Cells, Compression, ExportState, Layout, Modifier, Stage};

use crate::backend::software::memory::Memory;
use crate::backend::software::pool::Pool;
use crate::backend::software::sealing::{Sealing, Writers};
use crate::device::Device;
use crate::error::{Error, Kind, Result};
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
}

impl Default for Options {
    /// One surface, written by its allocator alone, no regions, compressed where the device can.
    fn default() -> Self {
        Self { surfaces: 1, writers: Writers::Me, cells: Cells::none(), compression: Compression::Possible }
    }
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
        _ => Layout::blocks(format, agreement.extent, options.compression, agreement.constraints())?,
    };
    make(device, &layout, options)
}

/// Makes byte buffers of so many bytes: surfaces without a format.
pub fn buffer(device: Device, size: Bytes, options: &Options) -> Result<Vec<Surface>> {
    make(device, &Layout::buffer(size)?, options)
}

fn make(device: Device, layout: &Layout, options: &Options) -> Result<Vec<Surface>> {
    // The cells again, on the layout that they are for.
    Cells::new(layout, options.cells.as_slice().to_vec())?;
    let pool = Pool::create(options.surfaces)?;
    (0..options.surfaces).map(|index| make_one(device, layout, options, &pool, index)).collect()
}

fn make_one(device: Device, layout: &Layout, options: &Options, pool: &Arc<Pool>, index: u32) -> Result<Surface> {
    let memory = Memory::allocate(layout.size())?;
    let sealing = Sealing::begin(options.writers, memory.file())?;
    let compression = if layout.has_compression() { Compression::Possible } else { Compression::None };
    let exports = Exports { state: ExportState::new(compression), sealing };
    let surface = Surface(Arc::new(Inner {
        pool: Arc::clone(pool),
        index,
        layout: *layout,
        cells: options.cells.clone(),
        memory,
        device,
        codec: device.own_codec(layout)?,
        side: Side::Producer(Mutex::new(exports)),
    }));
    surface.set_metadata(&device.describe(layout)?).map_err(|error| error.at(Stage::Allocate))?;
    Ok(surface)
}
