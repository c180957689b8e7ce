//! T tiles of VC4: 4 KiB, 8 × 8 utiles, whose rows run to and fro.
//!
//! Origin: Mesa 25.0.7 `vc4_tiling.c`. A tile has four subtiles of 4 × 4 utiles. Even rows of tiles run from left to right; odd rows run
//! back, and begin at the other end of each tile too.

use super::{PAGE, VC4, utile};
use crate::Result;
use crate::layout::tiling::above::Above;
use crate::layout::tiling::block::Block;
use crate::layout::tiling::order::AddressBit;
use crate::layout::tiling::placed::{Grid, Row};
use crate::layout::tiling::{Tiling, refuse};

/// In odd rows of tiles the address bit of 2 KiB is inverted.
const TURNED: u32 = 1 << 11;

/// T tiles for elements of 1 to 8 bytes.
pub(super) fn tiling(bytes_log2: u32) -> Result<Tiling> {
    let Some((width_log2, height_log2)) = VC4.get(bytes_log2 as usize).copied() else {
        return Err(refuse("T tiles are for elements of 1 to 8 bytes"));
    };
    let (right, below) = (AddressBit::x(width_log2 + 2), AddressBit::y(height_log2 + 2));
    let order = utile((width_log2, height_log2))
        .columns(width_log2..width_log2 + 2)
        .rows(height_log2..height_log2 + 2)
        .then(right.xor(below))
        .then(right);
    let block = Block::new(bytes_log2, width_log2 + 3, height_log2 + 3, order);
    Ok(Tiling { above: Above::ToAndFro, align: PAGE, ..Tiling::rows("Broadcom T", block) })
}

/// Class 1 are the rows that run back.
pub(in crate::layout::tiling) fn row(grid: &Grid, y: u32) -> Row {
    let block = &grid.block;
    let tile_row = y >> block.height_log2;
    let back = tile_row % 2 == 1;
    let base = u64::from(tile_row).saturating_mul(grid.row_of_blocks());
    Row { base, xor: block.row(y) ^ if back { TURNED } else { 0 }, class: u8::from(back) }
}

pub(in crate::layout::tiling) fn column(grid: &Grid, class: u8, x: u32) -> u32 {
    let block = &grid.block;
    let tile = x >> block.width_log2;
    let tile = if class == 0 { tile } else { grid.blocks.saturating_sub(1).saturating_sub(tile) };
    tile.saturating_mul(block.bytes()).saturating_add(block.column(x))
}
