//! Qualcomm `TILED3`: macrotiles of 2 KiB, spread over channels and DRAM banks.
//!
//! Origin: Mesa 25.0.7 `fd6_tiled_memcpy.cc`. Blocks have 256 bytes; a macrotile is two blocks wide and four high. The address of a
//! block is the XOR of a part that the column gives and one that the row gives; the bank swizzle XORs row bits far above.

use super::above::Above;
use super::block::{Block, power};
use super::order::Order;
use super::parameters::{self, Parameters};
use super::placed::{Grid, Row};
use super::{Tiling, invalid, missing, refuse};
use crate::Result;
use crate::modifier::qualcomm::Qualcomm;

/// Edges of a block (log2) and bytes that a stride is a multiple of, by the size of an element.
const BLOCKS: [(u32, u32, u64); 5] = [(5, 3, 128), (5, 2, 256), (4, 2, 256), (3, 2, 512), (2, 2, 1024)];
/// Column bits of a block that come after the first two rounds of column and row.
const FIRST: Order = Order::of("x0 y0 x1 y1");
/// log2 of the bytes of a block.
const BLOCK_LOG2: u32 = 8;
/// log2 of the blocks of a macrotile, one above the other.
const MACRO_ROWS_LOG2: u32 = 2;

/// The tiling of a Qualcomm modifier.
pub(super) fn tiling(qualcomm: Qualcomm, bytes_log2: u32, parameters: &Parameters) -> Result<Tiling> {
    match qualcomm {
        Qualcomm::Tiled3 => {}
        Qualcomm::Tiled2 => return Err(refuse("no public source says how the bytes of TILED2 lie")),
        Qualcomm::Compressed => return Err(refuse("it is compressed (UBWC), and only its devices find a pixel")),
    }
    let Some(chip) = parameters.qualcomm else {
        return Err(missing("qualcomm", "where a block lies depends on the banks and channels of the chip's memory"));
    };
    if !(13..=16).contains(&chip.highest_bank_bit) {
        return Err(invalid("qualcomm.highest_bank_bit is 13 to 16"));
    }
    if chip.bank_swizzle_levels > 7 {
        return Err(invalid("qualcomm.bank_swizzle_levels has 3 bits"));
    }
    if !matches!(chip.macrotile_channels, 4 | 8) {
        return Err(invalid("qualcomm.macrotile_channels is 4 or 8"));
    }
    let (width_log2, height_log2, stride_unit) = BLOCKS.get(bytes_log2 as usize).copied().unwrap_or_default();
    let order = FIRST.columns(2..width_log2).rows(2..height_log2);
    let block = Block::new(bytes_log2, width_log2, height_log2, order);
    let align = 64 << bytes_log2.min(2);
    Ok(Tiling { above: Above::Macrotiles(chip), stride_unit, align, ..Tiling::rows("Qualcomm TILED3", block) })
}

/// Rows of an image, padding included: whole macrotiles.
pub(super) fn rows(block: &Block, height: u32) -> Option<u32> {
    height.checked_next_multiple_of(power(block.height_log2 + MACRO_ROWS_LOG2))
}

const fn bit(value: u32, index: u32) -> u32 {
    (value >> index) & 1
}

pub(super) fn row(grid: &Grid, chip: parameters::Qualcomm, y: u32) -> Row {
    let block = &grid.block;
    let down = y >> block.height_log2;
    let mut place = (bit(down, 0) * 6) ^ (bit(down, 1) * 3);
    if chip.macrotile_channels == 8 && block.bytes_log2 < 4 {
        place ^= down & 4;
    }
    let banks = (down & bank_mask(grid, chip)) << (chip.highest_bank_bit - 3);
    let macro_row = u64::from(down >> MACRO_ROWS_LOG2);
    let base = macro_row.saturating_mul(grid.row_of_blocks() << MACRO_ROWS_LOG2);
    Row { base, xor: (place << BLOCK_LOG2) ^ banks ^ block.row(y), class: 0 }
}

/// The row bits that are mixed into bank bits: those for which the stride is a multiple of what the bank spans.
fn bank_mask(grid: &Grid, chip: parameters::Qualcomm) -> u32 {
    // With elements of one byte the demands on the stride are doubled.
    let doubled = u32::from(grid.block.bytes_log2 == 0);
    let even = |log2: u32| grid.blocks.is_multiple_of(power(chip.highest_bank_bit - log2 + doubled));
    let level = |index: u32| bit(chip.bank_swizzle_levels, index - 1) == 1;
    let mut mask = 0;
    for (index, row_bit, log2) in [(2, 4, 10), (3, 8, 9), (1, 16, 8)] {
        if level(index) && even(log2) {
            mask |= row_bit;
        }
    }
    mask
}

pub(super) fn column(grid: &Grid, chip: parameters::Qualcomm, x: u32) -> u32 {
    let block = &grid.block;
    let across = x >> block.width_log2;
    let mut place = (bit(across, 0) * 7) ^ ((across >> 1) << 3);
    if block.bytes_log2 < 4 {
        place ^= across & if chip.macrotile_channels == 8 { 6 } else { 2 };
    }
    place.saturating_mul(block.bytes()).saturating_add(block.column(x))
}

/// A row of macrotiles.
pub(super) fn span(grid: &Grid) -> u64 {
    grid.row_of_blocks() << MACRO_ROWS_LOG2
}
