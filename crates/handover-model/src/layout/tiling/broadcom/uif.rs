//! UIF of V3D: blocks of 2 × 2 utiles in columns four blocks wide, as high as the image.
//!
//! Origin: Mesa 25.0.7 `v3d_tiling.c` and `v3d_resource.c` (padding). A page of a DRAM bank holds 16 blocks of a column; where the height is a
//! multiple of two such pages, odd columns swap them, so that neighbours lie in different banks.

use super::{PAGE, V3D, utile};
use crate::layout::tiling::Tiling;
use crate::layout::tiling::above::Above;
use crate::layout::tiling::block::Block;
use crate::layout::tiling::placed::{Grid, Row};

/// log2 of the blocks side by side in a column.
const COLUMN_LOG2: u32 = 2;
/// Bytes of a column's row of blocks.
const ROW_BYTES: u32 = 1 << (8 + COLUMN_LOG2);
/// Blocks of a column in one page of a bank, and in two.
const BANK: u32 = 16;
const BANKS: u32 = 32;
/// A column shall not end this close to the border of two pages.
const MARGIN: u32 = 6;

/// UIF for elements of any size.
pub(super) fn tiling(bytes_log2: u32) -> Tiling {
    let (width_log2, height_log2) = V3D.get(bytes_log2 as usize).copied().unwrap_or_default();
    let order = utile((width_log2, height_log2)).columns(width_log2..width_log2 + 1).rows(height_log2..height_log2 + 1);
    let block = Block::new(bytes_log2, width_log2 + 1, height_log2 + 1, order);
    let stride_unit = u64::from(block.row_bytes()) << COLUMN_LOG2;
    Tiling { above: Above::Uif, stride_unit, align: PAGE, ..Tiling::rows("Broadcom UIF", block) }
}

/// Rows of an image, padding included.
pub(in crate::layout::tiling) fn rows(block: &Block, height: u32) -> Option<u32> {
    let blocks = height.div_ceil(block.height());
    let over = blocks % BANKS;
    let padding = match over {
        0 => 0,
        _ if over < MARGIN && blocks < BANKS => 0,
        _ if over < MARGIN => MARGIN - over,
        _ if over > BANKS - MARGIN => BANKS - over,
        _ => 0,
    };
    blocks.checked_add(padding)?.checked_mul(block.height())
}

fn swaps(grid: &Grid) -> bool {
    (grid.rows >> grid.block.height_log2).is_multiple_of(BANKS)
}

fn column_bytes(grid: &Grid) -> u64 {
    u64::from(grid.rows >> grid.block.height_log2).saturating_mul(u64::from(ROW_BYTES))
}

/// Where odd columns swap pages, the class is the page that the row lies in, and the columns choose it instead of the row.
pub(in crate::layout::tiling) fn row(grid: &Grid, y: u32) -> Row {
    let block = &grid.block;
    let mut down = y >> block.height_log2;
    let mut class = 0;
    if swaps(grid) {
        class = u8::from(down & BANK != 0);
        down &= !BANK;
    }
    Row { base: u64::from(down).saturating_mul(u64::from(ROW_BYTES)), xor: block.row(y), class }
}

pub(in crate::layout::tiling) fn column(grid: &Grid, class: u8, x: u32) -> u32 {
    let block = &grid.block;
    let across = x >> block.width_log2;
    let column = across >> COLUMN_LOG2;
    let page = if swaps(grid) && (column % 2 == 1) != (class == 1) { BANK * ROW_BYTES } else { 0 };
    let bytes = u32::try_from(column_bytes(grid)).unwrap_or(u32::MAX);
    let start =
        column.saturating_mul(bytes).saturating_add((across % (1 << COLUMN_LOG2)).saturating_mul(block.bytes()));
    start.saturating_add(page).saturating_add(block.column(x))
}

pub(in crate::layout::tiling) fn span(grid: &Grid) -> u64 {
    let before = u64::from((grid.blocks >> COLUMN_LOG2).saturating_sub(1)).saturating_mul(column_bytes(grid));
    let page = if swaps(grid) { BANK * ROW_BYTES } else { 0 };
    before.saturating_add(u64::from(page + ROW_BYTES))
}
