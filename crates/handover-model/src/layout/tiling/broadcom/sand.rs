//! SAND: columns of 32 to 256 bytes, each from the top of the picture to its bottom, the planes one below the other in the same columns.
//!
//! Origin: `drm_fourcc.h`, and rpi-ffmpeg's `av_rpi_sand_to_planar_y`. Offsets count from row 0 of the columns, so that those of all planes are in one
//! piece of memory: a plane whose rows begin at `sand_first_row` has its offset in them.

use alloc::format;

use super::PAGE;
use crate::Result;
use crate::layout::tiling::Tiling;
use crate::layout::tiling::above::Above;
use crate::layout::tiling::block::Block;
use crate::layout::tiling::order::Order;
use crate::layout::tiling::placed::{self, Grid, Row};

/// Rows of a column, and the first of this plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::layout::tiling) struct Sand {
    column_height: u32,
    first_row: u32,
}

/// Columns of 2^`column_log2` bytes.
pub(super) fn tiling(bytes_log2: u32, column_log2: u32, column_height: u32, first_row: u32) -> Tiling {
    let width_log2 = column_log2.saturating_sub(bytes_log2);
    let block = Block::new(bytes_log2, width_log2, 0, Order::EMPTY.columns(0..width_log2));
    let above = Above::Columns(Sand { column_height, first_row });
    let name = format!("Broadcom SAND{} with columns of {column_height} rows", 1 << column_log2);
    Tiling { above, align: PAGE, ..Tiling::rows(name, block) }
}

impl Sand {
    /// Do the columns hold so many rows?
    pub(in crate::layout::tiling) fn fits(self, height: u32) -> Result<()> {
        let Self { column_height, first_row } = self;
        match first_row.checked_add(height) {
            Some(end) if end <= column_height => Ok(()),
            _ => Err(placed::invalid(format!("{height} rows from row {first_row} on are more than a column has"))),
        }
    }

    pub(in crate::layout::tiling) const fn rows(self) -> u32 {
        self.column_height
    }

    pub(in crate::layout::tiling) fn row(self, grid: &Grid, y: u32) -> Row {
        let down = u64::from(self.first_row).saturating_add(u64::from(y));
        Row { base: down.saturating_mul(u64::from(grid.block.bytes())), xor: 0, class: 0 }
    }

    pub(in crate::layout::tiling) fn column(self, grid: &Grid, x: u32) -> u32 {
        let block = &grid.block;
        let start = (x >> block.width_log2).saturating_mul(block.bytes()).saturating_mul(self.column_height);
        start.saturating_add(block.column(x))
    }

    pub(in crate::layout::tiling) fn span(self, grid: &Grid) -> u64 {
        let column = u64::from(grid.block.bytes());
        let before = u64::from(grid.blocks.saturating_sub(1)).saturating_mul(column);
        before.saturating_mul(u64::from(self.column_height)).saturating_add(column)
    }
}
