//! What lies above a block: how the blocks of an image follow each other.

use super::block::Block;
use super::broadcom::sand::Sand;
use super::broadcom::{t, uif};
use super::parameters::Qualcomm;
use super::placed::{Grid, Row};
use super::{apple, qualcomm, samsung};
use crate::{Bytes, Result};

/// How blocks follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Above {
    /// In rows, as many as the stride says.
    Rows,
    /// The same for micro tiles of AMD GFX8, whose smallest stride follows two more rules.
    MicroTiles(MicroTiles),
    /// In rows as wide as the image; the block of a small image is smaller (Apple).
    Twiddled,
    /// In rows that run to and fro (Broadcom T).
    ToAndFro,
    /// In columns four blocks wide (Broadcom UIF).
    Uif,
    /// In columns one block wide (Broadcom SAND).
    Columns(Sand),
    /// In a Z over pairs of rows (Samsung 64 × 32).
    ZFlipZ,
    /// In macrotiles spread over channels and banks (Qualcomm).
    Macrotiles(Qualcomm),
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
        matches!(self, Self::Rows | Self::MicroTiles(_) | Self::Twiddled)
    }

    /// How many classes of rows there are.
    pub(super) const fn classes(&self) -> u8 {
        match self {
            Self::ToAndFro | Self::Uif => 2,
            Self::ZFlipZ => 3,
            _ => 1,
        }
    }

    /// Is there room for so many rows?
    pub(super) fn fits(&self, height: u32) -> Result<()> {
        match self {
            Self::Columns(sand) => sand.fits(height),
            _ => Ok(()),
        }
    }

    /// The block of an image of this size.
    pub(super) fn block(&self, block: &Block, width: u32, height: u32) -> Block {
        match self {
            Self::Twiddled => apple::block(block, width, height),
            _ => *block,
        }
    }

    /// Rows of an image of this size, padding included.
    pub(super) fn rows(&self, block: &Block, height: u32) -> Option<u32> {
        match self {
            Self::Uif => uif::rows(block, height),
            Self::Columns(sand) => Some(sand.rows()),
            Self::Macrotiles(_) => qualcomm::rows(block, height),
            _ => height.checked_next_multiple_of(block.height()),
        }
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
    pub(super) fn blocks(&self, block: &Block, width: u32, stride: Bytes) -> Option<u32> {
        match self {
            Self::Twiddled => Some(width.div_ceil(block.width())),
            _ => u32::try_from(stride.get() / u64::from(block.row_bytes())).ok(),
        }
    }

    /// Where a row lies.
    pub(super) fn row(&self, grid: &Grid, y: u32) -> Row {
        match self {
            Self::Rows | Self::MicroTiles(_) | Self::Twiddled => {
                let block = &grid.block;
                let base = u64::from(y >> block.height_log2).saturating_mul(grid.row_of_blocks());
                Row { base, xor: block.row(y), class: 0 }
            }
            Self::ToAndFro => t::row(grid, y),
            Self::Uif => uif::row(grid, y),
            Self::Columns(sand) => sand.row(grid, y),
            Self::ZFlipZ => samsung::row(grid, y),
            Self::Macrotiles(chip) => qualcomm::row(grid, *chip, y),
        }
    }

    /// What a column gives to the address.
    pub(super) fn column(&self, grid: &Grid, class: u8, x: u32) -> u32 {
        match self {
            Self::Rows | Self::MicroTiles(_) | Self::Twiddled => {
                let block = &grid.block;
                (x >> block.width_log2).saturating_mul(block.bytes()).saturating_add(block.column(x))
            }
            Self::ToAndFro => t::column(grid, class, x),
            Self::Uif => uif::column(grid, class, x),
            Self::Columns(sand) => sand.column(grid, x),
            Self::ZFlipZ => samsung::column(grid, class, x),
            Self::Macrotiles(chip) => qualcomm::column(grid, *chip, x),
        }
    }

    /// More than every column entry, and a multiple of a power of two that is more than every `xor`.
    pub(super) fn span(&self, grid: &Grid) -> u64 {
        match self {
            Self::Rows | Self::MicroTiles(_) | Self::Twiddled | Self::ToAndFro => grid.row_of_blocks(),
            Self::Uif => uif::span(grid),
            Self::Columns(sand) => sand.span(grid),
            Self::ZFlipZ => samsung::span(grid),
            Self::Macrotiles(_) => qualcomm::span(grid),
        }
    }

    /// Bytes in all.
    pub(super) fn size(&self, grid: &Grid) -> Option<u64> {
        match self {
            Self::Twiddled => apple::size(grid),
            _ => grid.row_of_blocks().checked_mul(u64::from(grid.rows >> grid.block.height_log2)),
        }
    }
}
