//! The pixels of the simulated device `blocks`: tiles, and one byte a tile that says whether they are stored at all.
//!
//! Clearing is fast and private: it marks tiles as cleared and keeps the colour in the producer. What a consumer would
//! make of such a tile is the metadata's clear colour, which never changes. *Resolving* therefore turns cleared tiles into
//! single-colour ones, which describe themselves. That is all `flush` does, and why leaving it out shows.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use handover_model::layout::blocks::{Blocks, CompressionState};
use handover_model::{Bytes, Elements, Layout, Px, Resolve, Stage};
use handover_sys::map::{Pixels, PixelsMut};

use super::{At, outside};
use crate::error::{Error, Kind, Result};

/// The clear colour in the metadata of every surface: opaque black, as XRGB8888 and ARGB8888 have it.
pub(crate) const DEFAULT_CLEAR: u32 = 0xff00_0000;

const EDGE: u32 = 8;
const TILE_PIXELS: usize = 64;

/// How one side of a tiled surface reads and writes it.
#[derive(Debug)]
pub(crate) struct Codec {
    blocks: Blocks,
    width: u32,
    height: u32,
    compressed: AtomicBool,
    /// The colour of cleared tiles: the producer's private one, or for a consumer that of the metadata.
    clear: AtomicU32,
    /// Has a tile been cleared since the last resolve?
    dirty: AtomicBool,
    tracking: AtomicBool,
}

impl Codec {
    pub(crate) fn of(layout: &Layout, clear: u32) -> Result<Self> {
        let (Some(blocks), Some(extent)) = (Blocks::of(layout), layout.extent()) else {
            return Err(Error::new(Stage::Access, Kind::Unreachable).found(format!("{} for blocks", layout.modifier())));
        };
        Ok(Self {
            blocks,
            width: extent.width().get(),
            height: extent.height().get(),
            compressed: AtomicBool::new(layout.has_compression()),
            clear: AtomicU32::new(clear),
            dirty: AtomicBool::new(false),
            tracking: AtomicBool::new(false),
        })
    }

    pub(super) fn is_tracking(&self) -> bool {
        self.tracking.load(Ordering::SeqCst) && self.is_dirty()
    }

    /// Is the compression plane in use?
    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed.load(Ordering::Relaxed)
    }

    pub(super) fn set_compressed(&self, compressed: bool) {
        self.compressed.store(compressed, Ordering::Relaxed);
    }

    /// Has a tile been cleared since the last resolve?
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::SeqCst)
    }

    /// What an export decided.
    pub(crate) fn set_resolve(&self, resolve: Resolve) {
        // Sequentially consistent, as `dirty`: an export stores this and looks at that, the end of a submission the other
        // way round, and one of the two must see the other.
        self.tracking.store(resolve == Resolve::ByTracking, Ordering::SeqCst);
    }

    fn state(&self, pixels: &Pixels<'_>, tile: u32) -> Result<CompressionState> {
        if !self.is_compressed() {
            return Ok(CompressionState::Expanded);
        }
        let byte = self.blocks.compression_offset(tile).and_then(to_usize).and_then(|at| pixels.get_u8(at));
        CompressionState::from_byte(byte.ok_or_else(|| broken(tile))?)
    }

    fn set_state(&self, pixels: &PixelsMut<'_>, tile: u32, state: CompressionState) -> Result<()> {
        if !self.is_compressed() {
            return Ok(());
        }
        let at = self.blocks.compression_offset(tile).and_then(to_usize);
        if at.is_some_and(|at| pixels.set_u8(at, state.byte())) { Ok(()) } else { Err(broken(tile)) }
    }

    fn first_pixel(&self, pixels: &Pixels<'_>, tile: u32) -> Result<u32> {
        self.blocks.tile_offset(tile).and_then(to_usize).and_then(|at| pixels.get_u32(at)).ok_or_else(|| broken(tile))
    }

    /// The one colour of a tile, or `None` if its pixels are stored.
    fn colour(&self, pixels: &Pixels<'_>, tile: u32) -> Result<Option<u32>> {
        Ok(match self.state(pixels, tile)? {
            CompressionState::Expanded => None,
            CompressionState::Single => Some(self.first_pixel(pixels, tile)?),
            CompressionState::Cleared => Some(self.clear.load(Ordering::Relaxed)),
        })
    }

    /// Calls `run(tile, byte offset in memory, bytes of the run)` for each tile that a run of one row touches.
    fn runs(
        &self,
        at: At,
        length: usize,
        mut run: impl FnMut(u32, usize, std::ops::Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let refused = || outside(at, Bytes(length as u64));
        let count = (length / 4) as u32;
        let end = at.x.get().checked_add(count).filter(|end| *end <= self.width).ok_or_else(refused)?;
        if at.plane != 0 || !length.is_multiple_of(4) || at.y >= self.height {
            return Err(refused());
        }
        let mut x = at.x.get();
        while x < end {
            let next = ((x / EDGE + 1) * EDGE).min(end);
            let (px, py) = (Px(x), Px(at.y));
            let tile = self.blocks.tile_of(px, py).ok_or_else(refused)?;
            let start = self.blocks.pixel_offset(px, py).and_then(to_usize).ok_or_else(refused)?;
            let from = (x - at.x.get()) as usize * 4;
            run(tile, start, from..from + (next - x) as usize * 4)?;
            x = next;
        }
        Ok(())
    }

    pub(super) fn read(&self, pixels: &Pixels<'_>, at: At, into: &mut [u8]) -> Result<()> {
        let length = into.len();
        self.runs(at, length, |tile, start, range| {
            let into = into.get_mut(range).unwrap_or_default();
            match self.colour(pixels, tile)? {
                None => {
                    if !pixels.read(start, into) {
                        return Err(broken(tile));
                    }
                }
                Some(colour) => into.chunks_exact_mut(4).for_each(|pixel| pixel.copy_from_slice(&colour.to_le_bytes())),
            }
            Ok(())
        })
    }

    pub(super) fn write(&self, pixels: &PixelsMut<'_>, at: At, from: &[u8]) -> Result<()> {
        self.runs(at, from.len(), |tile, start, range| {
            self.expand(pixels, tile)?;
            if pixels.write(start, from.get(range).unwrap_or_default()) { Ok(()) } else { Err(broken(tile)) }
        })
    }

    pub(super) fn read_image(&self, pixels: &Pixels<'_>, into: &mut [u8], stride: usize) -> Result<()> {
        let row_bytes = self.image(into.len(), stride)?;
        for (y, row) in into.chunks_mut(stride).take(self.height as usize).enumerate() {
            let at = At { plane: 0, x: Elements(0), y: y as u32 };
            self.read(pixels, at, row.get_mut(..row_bytes).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Tile by tile, so that a tile of one colour is stored as one pixel.
    pub(super) fn write_image(&self, pixels: &PixelsMut<'_>, from: &[u8], stride: usize) -> Result<()> {
        self.image(from.len(), stride)?;
        for tile in 0..self.blocks.tiles() {
            let Some(rect) = self.blocks.tile_rect(tile) else { continue };
            let (x, y) = (rect.x().get() as usize, rect.y().get() as usize);
            let row_bytes = rect.extent().width().get() as usize * 4;
            let mut content = [[0; EDGE as usize * 4]; EDGE as usize];
            for (row, into) in content.iter_mut().take(rect.extent().height().get() as usize).enumerate() {
                let start = (y + row) * stride + x * 4;
                let (Some(from), Some(into)) = (from.get(start..start + row_bytes), into.get_mut(..row_bytes)) else {
                    return Err(broken(tile));
                };
                into.copy_from_slice(from);
            }
            self.write_tile(pixels, tile, rect, content.as_flattened())?;
        }
        Ok(())
    }

    fn write_tile(&self, pixels: &PixelsMut<'_>, tile: u32, rect: handover_model::Rect, content: &[u8]) -> Result<()> {
        let at = self.blocks.tile_offset(tile).and_then(to_usize).ok_or_else(|| broken(tile))?;
        let first = content.get(..4).unwrap_or_default();
        let whole = rect.extent().width().get() == EDGE && rect.extent().height().get() == EDGE;
        let single = whole && content.chunks_exact(4).all(|pixel| pixel == first);
        let (state, stored) = match single && self.is_compressed() {
            true => (CompressionState::Single, first),
            false => (CompressionState::Expanded, content),
        };
        if !pixels.write(at, stored) {
            return Err(broken(tile));
        }
        self.set_state(pixels, tile, state)
    }

    /// Bytes of a row, if an image of this length and stride holds the surface.
    fn image(&self, length: usize, stride: usize) -> Result<usize> {
        let row_bytes = self.width as usize * 4;
        let needed = stride.checked_mul(self.height as usize - 1).and_then(|bytes| bytes.checked_add(row_bytes));
        if stride < row_bytes || needed.is_none_or(|needed| needed > length) {
            return Err(outside(At { plane: 0, x: Elements(0), y: 0 }, Bytes(length as u64))
                .help("pass an image that has every row of the plane"));
        }
        Ok(row_bytes)
    }

    /// Marks every tile as cleared; without compression, writes the colour.
    pub(super) fn clear(&self, pixels: &PixelsMut<'_>, pixel: u32) -> Result<()> {
        if !self.is_compressed() {
            let content = pixel.to_le_bytes().repeat(TILE_PIXELS);
            return (0..self.blocks.tiles()).try_for_each(|tile| self.store_tile(pixels, tile, &content));
        }
        self.clear.store(pixel, Ordering::Relaxed);
        self.dirty.store(true, Ordering::SeqCst);
        (0..self.blocks.tiles()).try_for_each(|tile| self.set_state(pixels, tile, CompressionState::Cleared))
    }

    /// Turns cleared tiles into single-colour ones. Gives how many.
    pub(super) fn resolve(&self, pixels: &PixelsMut<'_>) -> Result<u32> {
        if !self.is_compressed() {
            return Ok(0);
        }
        let colour = self.clear.load(Ordering::Relaxed).to_le_bytes();
        let mut resolved = 0;
        for tile in 0..self.blocks.tiles() {
            if self.state(&pixels.as_pixels(), tile)? == CompressionState::Cleared {
                self.store_tile(pixels, tile, &colour)?;
                self.set_state(pixels, tile, CompressionState::Single)?;
                resolved += 1;
            }
        }
        self.dirty.store(false, Ordering::Relaxed);
        Ok(resolved)
    }

    /// Stores every pixel and gives up the compression plane. Gives how many tiles were not stored before.
    pub(crate) fn decompress(&self, pixels: &PixelsMut<'_>) -> Result<u32> {
        let mut expanded = 0;
        for tile in 0..self.blocks.tiles() {
            expanded += u32::from(self.expand(pixels, tile)?);
        }
        self.compressed.store(false, Ordering::Relaxed);
        Ok(expanded)
    }

    fn expand(&self, pixels: &PixelsMut<'_>, tile: u32) -> Result<bool> {
        let Some(colour) = self.colour(&pixels.as_pixels(), tile)? else {
            return Ok(false);
        };
        self.store_tile(pixels, tile, &colour.to_le_bytes().repeat(TILE_PIXELS))?;
        self.set_state(pixels, tile, CompressionState::Expanded)?;
        Ok(true)
    }

    fn store_tile(&self, pixels: &PixelsMut<'_>, tile: u32, content: &[u8]) -> Result<()> {
        let at = self.blocks.tile_offset(tile).and_then(to_usize);
        if at.is_some_and(|at| pixels.write(at, content)) { Ok(()) } else { Err(broken(tile)) }
    }
}

fn to_usize(bytes: Bytes) -> Option<usize> {
    usize::try_from(bytes.get()).ok()
}

/// The layout was checked against the memory at import: a tile outside is our bug.
fn broken(tile: u32) -> Error {
    Error::new(Stage::Access, Kind::Unreachable).found(format!("tile {tile} outside its surface"))
}
