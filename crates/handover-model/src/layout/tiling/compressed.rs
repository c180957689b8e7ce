//! Compressed layouts: what a byte of compression data covers, and the planes it lies in.

use alloc::vec::Vec;

use super::amd::Dcc;
use super::block::Block;
use super::intel::Ccs;
use super::placed::Grid;
use super::refuse;
use crate::{Bytes, Elements, PlaneLayout, Result};

/// Where the compression data of a layout lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compressed {
    /// AMD delta colour compression.
    Dcc(Dcc),
    /// Intel colour control surface.
    Ccs(Ccs),
    /// No public source says.
    Unknown,
}

impl Compressed {
    /// What one byte of compression data covers, in elements.
    pub(super) fn write_unit(&self, block: &Block) -> (Elements, u32) {
        match self {
            Self::Dcc(_) => covered(block),
            Self::Ccs(_) => (Elements(block.width()), block.height()),
            Self::Unknown => (Elements(u32::MAX), u32::MAX),
        }
    }

    /// Adds the planes behind the main one.
    pub(super) fn add_planes(&self, grid: &Grid, stride: Bytes, planes: &mut Vec<PlaneLayout>) -> Result<()> {
        let too_large = || super::invalid("the planes do not fit 64 bits");
        match self {
            Self::Dcc(dcc) => dcc.add_planes(grid, planes)?.ok_or_else(too_large),
            Self::Ccs(ccs) => ccs.add_planes(grid, stride, planes)?.ok_or_else(too_large),
            Self::Unknown => Err(refuse("no public source says how large its compression data is")),
        }
    }
}

/// The smallest rectangle of powers of two that holds all the elements of 256 bytes, which one byte of DCC describes. They are no
/// rectangle themselves where a higher bit of the address mixes in a low bit of a coordinate (GFX10 at 1 and 2 bytes).
fn covered(block: &Block) -> (Elements, u32) {
    let first = block.row(0);
    let (mut columns, mut rows) = (0, 0);
    for y in 0..block.height() {
        let row = block.row(y) ^ first;
        for x in 0..block.width() {
            if (block.column(x) ^ row) < 256 {
                (columns, rows) = (columns | x, rows | y);
            }
        }
    }
    let edge = |bits: u32| bits.saturating_add(1).checked_next_power_of_two().unwrap_or(u32::MAX);
    (Elements(edge(columns)), edge(rows))
}

/// Puts a plane behind those there are, at a multiple of `align`.
pub(super) fn append(planes: &mut Vec<PlaneLayout>, align: Bytes, stride: Bytes, size: Bytes) -> Option<()> {
    let end = planes.last().map_or(Some(Bytes::ZERO), |plane| plane.end())?;
    let plane = PlaneLayout { offset: end.align_up(align)?, stride, size };
    plane.end()?;
    planes.push(plane);
    Some(())
}

/// Edges of the rectangle of 2^`log2` bytes that is square or twice as wide as high, in elements.
pub(super) const fn near_square(log2: u32, bytes_log2: u32) -> (u32, u32) {
    let elements = log2.saturating_sub(bytes_log2);
    (elements.div_ceil(2), elements / 2)
}
