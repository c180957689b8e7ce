//! What lies above a block: how the blocks of an image follow each other.

use super::block::Block;
use super::placed::{Grid, Row};
use crate::{Bytes, Result};

/// How blocks follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Above {
    /// In rows, as many as the stride says.
    Rows,
    /// The same for micro tiles of AMD GFX8, whose smallest stride follows two more rules.
    MicroTiles(MicroTiles),
}

/// What addrlib demands of the stride of an image in micro tiles, beyond what their addresses need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MicroTiles {
    /// The stride is a multiple of this.
    pub(super) stride_unit: u64,
    /// The size is a multiple of this.
    pub(super) size_unit: u64,
}

impl Above {
    /// Does a block tell the whole layout?
    pub(super) const fn is_regular(&self) -> bool {
        matches!(self, Self::Rows | Self::MicroTiles(_))
    }

    /// How many classes of rows there are.
    pub(super) const fn classes(&self) -> u8 {
        1
    }

    /// Is there room for so many rows?
    pub(super) fn fits(&self, _height: u32) -> Result<()> {
        Ok(())
    }

    /// The block of an image of this size.
    pub(super) fn block(&self, block: &Block, _width: u32, _height: u32) -> Block {
        *block
    }

    /// Rows of an image of this size, padding included.
    pub(super) fn rows(&self, block: &Block, _width: u32, height: u32) -> Option<u32> {
        height.checked_next_multiple_of(block.height())
    }

    /// The smallest stride for a row of so many bytes.
    pub(super) fn smallest_stride(&self, row: Bytes, unit: u64, rows: u32) -> Option<Bytes> {
        let Self::MicroTiles(MicroTiles { stride_unit, size_unit }) = self else {
            return row.align_up(Bytes(unit));
        };
        let mut stride = row.align_up(Bytes(*stride_unit))?;
        // Both units are powers of two, so that this ends after size_unit / stride_unit steps.
        while !stride.checked_mul(u64::from(rows))?.is_aligned(Bytes(*size_unit)) {
            stride = stride.checked_add(Bytes(*stride_unit))?;
        }
        Some(stride)
    }

    /// Blocks of a row.
    pub(super) fn blocks(&self, block: &Block, _width: u32, stride: Bytes) -> Option<u32> {
        u32::try_from(stride.get() / u64::from(block.row_bytes())).ok()
    }

    /// Where a row lies.
    pub(super) fn row(&self, grid: &Grid, y: u32) -> Row {
        let block = &grid.block;
        let base = u64::from(y >> block.height_log2).saturating_mul(grid.row_of_blocks());
        Row { base, xor: block.row(y), class: 0 }
    }

    /// What a column gives to the address.
    pub(super) fn column(&self, grid: &Grid, _class: u8, x: u32) -> u32 {
        let block = &grid.block;
        (x >> block.width_log2).saturating_mul(block.bytes()).saturating_add(block.column(x))
    }

    /// One more than the greatest column entry, rounded up so that every `xor` of a row stays below it.
    pub(super) fn span(&self, grid: &Grid) -> u64 {
        grid.row_of_blocks()
    }

    /// Bytes in all.
    pub(super) fn size(&self, grid: &Grid) -> Option<u64> {
        grid.row_of_blocks().checked_mul(u64::from(grid.rows >> grid.block.height_log2))
    }
}
