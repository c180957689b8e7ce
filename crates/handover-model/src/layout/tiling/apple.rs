//! Apple: tiles of 16 KiB, column and row bits in turn, in rows that follow from the width alone.
//!
//! Origin: Mesa 25.0.7 `asahi/layout` (ail). The stride says nothing, and is passed as the bytes of a row.

use super::above::Above;
use super::block::{Block, power};
use super::compressed::near_square;
use super::order::{AddressBit, Order};
use super::placed::Grid;
use super::{Tiling, refuse};
use crate::Result;
use crate::modifier::apple::Apple;

/// log2 of the bytes of a tile.
const TILE_LOG2: u32 = 14;
/// The size is a multiple of a cache line.
const LINE: u64 = 128;

/// The tiling of an Apple modifier.
pub(super) fn tiling(apple: Apple, bytes_log2: u32) -> Result<Tiling> {
    if apple == Apple::GpuTiledCompressed {
        return Err(refuse("it is compressed, and no public source says how its bytes lie"));
    }
    let (width_log2, height_log2) = near_square(TILE_LOG2, bytes_log2);
    let block = Block::new(bytes_log2, width_log2, height_log2, in_turn(width_log2 + height_log2));
    Ok(Tiling { above: Above::Twiddled, stride_unit: 1, align: LINE, ..Tiling::rows("Apple GPU-tiled", block) })
}

fn in_turn(count: u32) -> Order {
    (0..count).fold(Order::EMPTY, |order, bit| {
        order.then(if bit % 2 == 0 { AddressBit::x(bit / 2) } else { AddressBit::y(bit / 2) })
    })
}

/// The tile of an image of this size. One narrower or lower than a tile has a square tile, which may be higher than the usual one.
pub(super) fn block(tile: &Block, width: u32, height: u32) -> Block {
    if width >= tile.width() && height >= tile.height() {
        return *tile;
    }
    let edge_log2 = width.min(height).next_power_of_two().trailing_zeros();
    Block::new(tile.bytes_log2, edge_log2, edge_log2, in_turn(2 * edge_log2))
}

/// Bytes of all tiles; of an image smaller than a tile, those of a rectangle whose edges are powers of two.
pub(super) fn size(grid: &Grid) -> Option<u64> {
    let bytes_log2 = grid.block.bytes_log2;
    let (width_log2, height_log2) = near_square(TILE_LOG2, bytes_log2);
    let bytes = if grid.width < power(width_log2) || grid.height < power(height_log2) {
        let width = u64::from(grid.width.checked_next_power_of_two()?);
        let height = u64::from(grid.height.checked_next_power_of_two()?);
        width.checked_mul(height)?.checked_mul(1 << bytes_log2)?
    } else {
        grid.row_of_blocks().checked_mul(u64::from(grid.rows >> grid.block.height_log2))?
    };
    bytes.checked_next_multiple_of(LINE)
}
