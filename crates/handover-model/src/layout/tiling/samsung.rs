//! Samsung: tiles of 64 × 32 bytes that run in a Z over pairs of rows, and tiles of 16 × 16 bytes in rows.
//!
//! Origin: GStreamer 1.26.2 `video-tile.c` (`gst_video_tile_get_index`); inside a tile bytes lie in rows.

use super::above::Above;
use super::block::Block;
use super::order::Order;
use super::parameters::{Parameters, Plane};
use super::placed::{Grid, Row};
use super::{Tiling, missing, refuse};
use crate::Result;
use crate::modifier::samsung::Samsung;

const TILE_64_32: Order = Order::of("x0 x1 x2 x3 x4 x5 y0 y1 y2 y3 y4");
const TILE_16_16: Order = Order::of("x0 x1 x2 x3 y0 y1 y2 y3");
const PAGE: u64 = 4096;
/// Tiles of a row come in pairs.
const PAIR: u64 = 128;

/// The tiling of a Samsung modifier.
pub(super) fn tiling(samsung: Samsung, bytes_log2: u32, parameters: &Parameters) -> Result<Tiling> {
    match samsung {
        Samsung::Tile64x32 => {
            let block = Block::of_bytes(bytes_log2, 6, 5, TILE_64_32);
            let tiling = Tiling::rows("Samsung 64x32", block);
            Ok(Tiling { above: Above::ZFlipZ, stride_unit: PAIR, align: PAGE, ..tiling })
        }
        Samsung::Tile16x16 => match parameters.plane {
            Some(Plane::Luma) => {
                let block = Block::of_bytes(bytes_log2, 4, 4, TILE_16_16);
                Ok(Tiling { align: PAGE, ..Tiling::rows("Samsung 16x16, luma", block) })
            }
            Some(Plane::Chroma) => Err(refuse("no public source says how the tiles of its chroma plane lie")),
            None => Err(missing("plane", "only the luma plane of this layout is public")),
        },
    }
}

/// The classes: even rows of tiles, odd rows, and the last one if it has no partner.
const EVEN: u8 = 0;
const ODD: u8 = 1;
const ALONE: u8 = 2;

fn tile_rows(grid: &Grid) -> u32 {
    grid.rows >> grid.block.height_log2
}

/// All rows begin where their pair begins, or the pair before where there is none: so no row reaches beyond the plane.
pub(super) fn row(grid: &Grid, y: u32) -> Row {
    let tile_row = y >> grid.block.height_log2;
    let class = match tile_row % 2 {
        0 if tile_row + 1 == tile_rows(grid) => ALONE,
        0 => EVEN,
        _ => ODD,
    };
    let first = if class == EVEN { tile_row } else { tile_row.saturating_sub(1) };
    Row { base: u64::from(first).saturating_mul(grid.row_of_blocks()), xor: grid.block.row(y), class }
}

pub(super) fn column(grid: &Grid, class: u8, x: u32) -> u32 {
    let block = &grid.block;
    let tile = x >> block.width_log2;
    let index = match class {
        EVEN => tile.saturating_add(tile.saturating_add(2) & !3),
        ODD => tile.saturating_add(2).saturating_add(tile & !3),
        _ if tile_rows(grid) == 1 => tile,
        _ => tile.saturating_add(grid.blocks),
    };
    index.saturating_mul(block.bytes()).saturating_add(block.column(x))
}

pub(super) fn span(grid: &Grid) -> u64 {
    grid.row_of_blocks().saturating_mul(if tile_rows(grid) == 1 { 1 } else { 2 })
}
