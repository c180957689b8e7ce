//! The layout of the simulated device `blocks`: 8×8 tiles, and a compression plane with one byte a tile.
//!
//! No real device has it. It exists so that tiling, compression, flush and foreign decoding can be exercised without one.
//!
//! - Formats of one plane with 4 bytes a pixel.
//! - Plane 0: tiles of 8×8 pixels, 256 bytes each, in rows of tiles from the top left; the pixels of a tile in rows too.
//!   Its stride is that of the padded plane, 32 bytes a tile. The last column and row of tiles are whole even if the
//!   surface ends inside them.
//! - Plane 1, unless compression was dropped: one [`CompressionState`] byte a tile, in the order of the tiles. Its stride is
//!   the number of tiles in a row.

use alloc::format;

use super::{Constraints, Layout, PlaneLayout, Refusal};
use crate::export::Compression;
use crate::units::lcm;
use crate::{Bytes, Error, Extent, Format, Kind, Modifier, Px, Rect, Result, Stage};

/// Edge of a tile.
pub const TILE_EDGE: Px = Px(8);
/// Size of a tile in plane 0.
pub const TILE_BYTES: Bytes = Bytes(256);
/// Size of a pixel.
pub const PIXEL_BYTES: Bytes = Bytes(4);
/// Bytes of one row of pixels of a tile; the unit of the stride.
const TILE_ROW: Bytes = Bytes(32);

/// What the byte of a tile in the compression plane says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CompressionState {
    /// All 64 pixels are stored.
    Expanded = 0,
    /// All pixels have the clear colour, which is not in the tile: the producer's private one. A consumer that meets it has
    /// only the metadata's clear colour; `flush` therefore turns the tile into one of a single colour.
    Cleared = 1,
    /// All pixels have one colour, stored as the first pixel of the tile.
    Single = 2,
}

impl CompressionState {
    /// The state of this byte.
    ///
    /// # Errors
    /// `Malformed` for a byte that means nothing: whoever wrote it did not know the compression plane.
    pub fn from_byte(byte: u8) -> Result<Self> {
        Ok(match byte {
            0 => Self::Expanded,
            1 => Self::Cleared,
            2 => Self::Single,
            _ => {
                return Err(Error::new(Stage::Access, Kind::Malformed)
                    .found(format!("the byte {byte:#04x} in a compression plane"))
                    .why("a tile is expanded (0), cleared (1) or of a single colour (2)"));
            }
        })
    }

    /// The byte of this state.
    pub const fn byte(self) -> u8 {
        self as u8
    }
}

impl Layout {
    /// The smallest tiled layout that meets the constraints, with a compression plane if compression is possible. The
    /// stride alignment holds for plane 0; the stride of plane 1 follows from it.
    ///
    /// # Errors
    /// `Unsupported` if the format is not one of 4 bytes a pixel in one plane; `Invalid` if an alignment is 0 or so large
    /// that the size overflows.
    pub fn blocks(format: Format, extent: Extent, compression: Compression, constraints: Constraints) -> Result<Self> {
        let asked = || format!("SIM_BLOCKS {format}, {extent}");
        check_format(format)
            .map_err(|refusal| refusal.into_error(Stage::Allocate, Kind::Unsupported).asked(asked()))?;
        let (pixels, states) = planes(extent, constraints).ok_or_else(|| {
            Error::new(Stage::Allocate, Kind::Invalid)
                .asked(asked())
                .why("an alignment is at least 1 byte, and the count of tiles has to fit 32 bits")
        })?;
        let both = [pixels, states];
        let planes = match compression {
            Compression::None => both.get(..1).unwrap_or_default(),
            Compression::Possible => &both,
        };
        Self::checked(Some((format, extent)), Modifier::SIM_BLOCKS, planes, Bytes(u64::MAX))
            .map_err(|refusal| refusal.into_error(Stage::Allocate, Kind::Unreachable).asked(asked()))
    }
}

fn planes(extent: Extent, constraints: Constraints) -> Option<(PlaneLayout, PlaneLayout)> {
    let columns = u64::from(extent.width().get().div_ceil(TILE_EDGE.get()));
    let rows = u64::from(extent.height().get().div_ceil(TILE_EDGE.get()));
    let stride_align = Bytes(lcm(TILE_ROW.get(), constraints.stride_align.get())?);
    let offset_align = Bytes(lcm(1, constraints.offset_align.get())?);
    let stride = TILE_ROW.checked_mul(columns)?.align_up(stride_align)?;
    let columns = Bytes(stride.get() / TILE_ROW.get());
    let tiles = columns.checked_mul(rows)?;
    u32::try_from(tiles.get()).ok()?;
    let size = TILE_BYTES.checked_mul(tiles.get())?;
    let pixels = PlaneLayout { offset: Bytes::ZERO, stride, size };
    let states = PlaneLayout { offset: size.align_up(offset_align)?, stride: columns, size: tiles };
    states.end()?;
    Some((pixels, states))
}

/// Can a format be laid out so?
pub fn supports(format: Format) -> bool {
    matches!(format.planes(), [plane] if plane.bytes_per_element == PIXEL_BYTES)
}

fn check_format(format: Format) -> Result<(), Refusal> {
    if supports(format) {
        return Ok(());
    }
    Err(Refusal::Unsupported(format!("{format} does not have one plane of 4 bytes a pixel")))
}

/// The rule of the tiled layout for planes whose place in memory was checked before.
pub(super) fn check(format: Format, extent: Extent, planes: &[PlaneLayout]) -> Result<(), Refusal> {
    check_format(format)?;
    let (pixels, states) = match planes {
        [pixels] => (pixels, None),
        [pixels, states] => (pixels, Some(states)),
        _ => return Err(Refusal::Malformed(format!("{} planes; SIM_BLOCKS has 1 or 2", planes.len()))),
    };
    let least = TILE_ROW.checked_mul(u64::from(extent.width().get().div_ceil(TILE_EDGE.get())));
    if !pixels.stride.is_aligned(TILE_ROW) || Some(pixels.stride) < least {
        let stride = pixels.stride;
        return Err(Refusal::Malformed(format!(
            "plane 0 has a stride of {stride}; it is 32 bytes for each tile of a row"
        )));
    }
    let columns = Bytes(pixels.stride.get() / TILE_ROW.get());
    let tiles = columns.checked_mul(u64::from(extent.height().get().div_ceil(TILE_EDGE.get())));
    let Some(tiles) = tiles.filter(|tiles| u32::try_from(tiles.get()).is_ok()) else {
        return Err(Refusal::Malformed("the count of tiles does not fit 32 bits".into()));
    };
    if TILE_BYTES.checked_mul(tiles.get()) != Some(pixels.size) {
        let size = pixels.size;
        return Err(Refusal::Malformed(format!("plane 0 has {size}; {} tiles are not that", tiles.get())));
    }
    match states {
        Some(states) if (states.stride, states.size) != (columns, tiles) => {
            let PlaneLayout { stride, size, .. } = states;
            Err(Refusal::Malformed(format!(
                "plane 1 has a stride of {stride} and {size}; it is one byte a tile, {columns} a row, {tiles} in all"
            )))
        }
        _ => Ok(()),
    }
}

/// The addresses of a tiled layout. Every function gives `None` outside the surface.
///
/// ```
/// use handover_model::export::Compression;
/// use handover_model::layout::{Constraints, blocks::Blocks};
/// use handover_model::{Bytes, Extent, Format, Layout, Px};
/// let layout = Layout::blocks(Format::XRGB8888, Extent::new(20, 9)?, Compression::Possible, Constraints::NONE)?;
/// let blocks = Blocks::of(&layout).unwrap();
/// assert_eq!((blocks.columns(), blocks.rows()), (3, 2));
/// assert_eq!(blocks.tile_of(Px(9), Px(8)), Some(4));
/// assert_eq!(blocks.pixel_offset(Px(9), Px(8)), Some(Bytes(4 * 256 + 4)));
/// assert_eq!(blocks.compression_offset(4), Some(Bytes(6 * 256 + 4)));
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    extent: Extent,
    columns: u32,
    rows: u32,
    pixels: Bytes,
    states: Option<Bytes>,
}

impl Blocks {
    /// The addresses of this layout, if it is a tiled one.
    pub fn of(layout: &Layout) -> Option<Self> {
        let extent = layout.extent().filter(|_| layout.modifier() == Modifier::SIM_BLOCKS)?;
        let pixels = layout.plane(0)?;
        Some(Self {
            extent,
            columns: u32::try_from(pixels.stride.get() / TILE_ROW.get()).ok()?,
            rows: extent.height().get().div_ceil(TILE_EDGE.get()),
            pixels: pixels.offset,
            states: layout.plane(1).map(|states| states.offset),
        })
    }

    /// Tiles in a row, padding included.
    pub const fn columns(&self) -> u32 {
        self.columns
    }

    /// Rows of tiles.
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// Tiles in all, padding included.
    pub const fn tiles(&self) -> u32 {
        self.columns.saturating_mul(self.rows)
    }

    /// The tile that holds this pixel.
    pub fn tile_of(&self, x: Px, y: Px) -> Option<u32> {
        if x >= self.extent.width() || y >= self.extent.height() {
            return None;
        }
        let row = y.get() / TILE_EDGE.get();
        row.checked_mul(self.columns)?.checked_add(x.get() / TILE_EDGE.get())
    }

    /// First byte of a pixel, counted from the start of the memory. Valid content is there only if the tile is expanded.
    pub fn pixel_offset(&self, x: Px, y: Px) -> Option<Bytes> {
        let tile = self.tile_offset(self.tile_of(x, y)?)?;
        let (column, row) = (x.get() % TILE_EDGE.get(), y.get() % TILE_EDGE.get());
        let within = TILE_ROW.checked_mul(u64::from(row))?.checked_add(PIXEL_BYTES.checked_mul(u64::from(column))?)?;
        tile.checked_add(within)
    }

    /// First byte of a tile.
    pub fn tile_offset(&self, tile: u32) -> Option<Bytes> {
        if tile >= self.tiles() {
            return None;
        }
        self.pixels.checked_add(TILE_BYTES.checked_mul(u64::from(tile))?)
    }

    /// The pixels of a tile that lie on the surface. `None` also for a tile of padding.
    pub fn tile_rect(&self, tile: u32) -> Option<Rect> {
        let (column, row) = (tile.checked_rem(self.columns)?, tile.checked_div(self.columns)?);
        let (x, y) = (column.checked_mul(TILE_EDGE.get())?, row.checked_mul(TILE_EDGE.get())?);
        let width = self.extent.width().get().checked_sub(x)?.min(TILE_EDGE.get());
        let height = self.extent.height().get().checked_sub(y)?.min(TILE_EDGE.get());
        Rect::new(x, y, Extent::new(width, height).ok()?).ok()
    }

    /// The compression byte of a tile. `None` also if compression was dropped.
    pub fn compression_offset(&self, tile: u32) -> Option<Bytes> {
        if tile >= self.tiles() {
            return None;
        }
        self.states?.checked_add(Bytes(u64::from(tile)))
    }
}
