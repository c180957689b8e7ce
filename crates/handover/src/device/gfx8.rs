//! Chips of AMD's before modifiers: which tiles they choose, and the word and index of each.
//!
//! What window systems get was asked for scan-out, so micro tiles are those of a display, macro tiles are never given up for small
//! images, and there is no DCC, which the display engine of GFX8 cannot read. The parameters are those that Mesa's addrlib chooses from
//! the chip's tile tables (Mesa 25.0.7, `ciaddrlib.cpp`; Linux, `gfx_v8_0.c:gfx_v8_0_tiling_mode_table_init`).

use handover_model::layout::tiling::{ArrayMode, Gfx8, MicroTile};
use handover_model::metadata::amdgpu::{ArrayMode as WordMode, Gfx6Word, TilingWord};
use handover_model::{Bytes, Format, Layout};

use crate::error::Result;

/// The tiles of a chip, by log2 of the bytes of an element.
pub(super) type Tiles = [Gfx8; 4];

/// Polaris10: the four macro modes differ in the tile split alone.
pub(super) const POLARIS10: Tiles = [polaris10(256), polaris10(256), polaris10(512), polaris10(1024)];

const fn polaris10(tile_split: u64) -> Gfx8 {
    Gfx8 {
        array_mode: ArrayMode::Tiled2D,
        micro_tile: MicroTile::Display,
        pipe_config: 12,
        pipes: 8,
        banks: 16,
        bank_width: 1,
        bank_height: 4,
        macro_aspect: 4,
        tile_split: Bytes(tile_split),
    }
}

/// The tiles for this format, if it has one plane and elements that the chip tiles.
pub(super) fn of(tiles: &Tiles, format: Format) -> Option<Gfx8> {
    let [plane] = format.planes() else { return None };
    let bytes = plane.bytes_per_element.get();
    let index = bytes.is_power_of_two().then(|| bytes.trailing_zeros() as usize)?;
    tiles.get(index).copied()
}

/// The word of a surface, and TILING_INDEX of its descriptor: the entry of GB_TILE_MODE that has these tiles.
pub(super) fn word(tiles: &Tiles, layout: &Layout) -> Result<(TilingWord, u8)> {
    let [first, ..] = tiles;
    Ok(match layout.gfx8() {
        Some(own) => (TilingWord::Gfx6(Gfx6Word::of_tiles(&own)?), 10),
        None => {
            // Linear surfaces have the pipe configuration too; no chip has more than 17.
            let pipe_config = first.pipe_config as u8;
            (TilingWord::Gfx6(Gfx6Word::new(WordMode::LINEAR_ALIGNED, pipe_config, 0, None)?), 8)
        }
    })
}

/// Where rows of a linear surface begin: at multiples of 64 elements, and of the 256 bytes that go to one pipe.
pub(super) fn linear_stride(format: Format) -> Bytes {
    let element = format.planes().iter().map(|plane| plane.bytes_per_element.get()).max().unwrap_or(1);
    Bytes((64 * element).max(256))
}
