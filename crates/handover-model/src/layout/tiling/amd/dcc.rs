//! Delta colour compression (DCC): the planes behind the main one.
//!
//! Origin: Mesa 25.0.7 `ac_surface.c` and the sizes that `ac_surface_modifier_test.c` asserts. The content of the planes is not public.

use alloc::vec::Vec;

use crate::layout::tiling::block::power;
use crate::layout::tiling::compressed::{append, near_square};
use crate::layout::tiling::placed::Grid;
use crate::layout::tiling::refuse;
use crate::modifier::amd::{Amd, Dcc as Bits, Version};
use crate::{Bytes, PlaneLayout, Result};

/// A byte of DCC covers 256 bytes.
const COVERED_LOG2: u32 = 8;
/// A plane that is not aligned to pipes is counted in blocks that cover 1 MiB.
const LEAST_LOG2: u32 = 20;

/// The planes that DCC has in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::layout::tiling) struct Dcc {
    version: Version,
    is_xor: bool,
    retile: bool,
    pipe_align: bool,
    /// log2 of the pipes; on GFX9, of the render backends.
    spread: u32,
}

impl Dcc {
    pub(super) const fn of(amd: Amd, bits: Bits) -> Self {
        let spread = match amd.version {
            Version::Gfx9 => bits.rb,
            // With as many packers as pipes, a pipe counts twice.
            Version::Gfx10RbPlus | Version::Gfx11 if amd.packers == amd.pipe_xor_bits && amd.pipe_xor_bits > 1 => {
                amd.pipe_xor_bits + 1
            }
            _ => amd.pipe_xor_bits,
        };
        let Amd { version, tile, .. } = amd;
        Self { version, is_xor: tile.is_xor(), retile: bits.retile, pipe_align: bits.pipe_align, spread }
    }

    /// The plane for the display if there are two (or if it is the only one), then the one aligned to pipes. GFX12 keeps DCC outside
    /// the buffer.
    pub(in crate::layout::tiling) fn add_planes(
        self,
        grid: &Grid,
        planes: &mut Vec<PlaneLayout>,
    ) -> Result<Option<()>> {
        if self.version == Version::Gfx12 {
            return Ok(Some(()));
        }
        if !self.is_xor && (self.retile || self.pipe_align) {
            return Err(refuse("how DCC is spread over pipes is only in the modifiers of swizzle modes *_X"));
        }
        let gfx9 = self.version == Version::Gfx9;
        let page = if gfx9 { 1 << 16 } else { 1 << 12 };
        let display = self.retile || !self.pipe_align;
        if display && add(grid, LEAST_LOG2, page, page, planes).is_none() {
            return Ok(None);
        }
        if self.retile || self.pipe_align {
            let (block_log2, align) = if gfx9 {
                (18 + self.spread, page)
            } else {
                (16 + self.spread, page.max(256u64.checked_shl(self.spread).unwrap_or(page)))
            };
            let size_unit = if gfx9 { page } else { 1 };
            return Ok(add(grid, block_log2.max(LEAST_LOG2), align, size_unit, planes));
        }
        Ok(Some(()))
    }
}

/// Adds a plane of blocks that cover 2^`block_log2` bytes of the main one.
fn add(grid: &Grid, block_log2: u32, align: u64, size_unit: u64, planes: &mut Vec<PlaneLayout>) -> Option<()> {
    let (width_log2, height_log2) = near_square(block_log2, grid.block.bytes_log2);
    let columns = grid.width.div_ceil(power(width_log2));
    let rows = grid.height.div_ceil(power(height_log2));
    let stride = Bytes(u64::from(columns)).checked_mul(u64::from(power(width_log2)))?;
    let size = Bytes(u64::from(columns)).checked_mul(u64::from(rows))?;
    let size = size.checked_mul(1u64.checked_shl(block_log2 - COVERED_LOG2)?)?.align_up(Bytes(size_unit))?;
    append(planes, Bytes(align), stride, size)
}
