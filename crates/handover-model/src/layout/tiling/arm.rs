//! Arm: blocks of 16 × 16 elements in the order of Mali, alone or in tiles of 64 KiB.
//!
//! Origin: Mesa 25.0.7 `pan_tiling.c`; the tiles of 64 KiB stand in the kernel's `drm_fourcc.h` alone. AFBC and AFRC are compressed all through: only their
//! decoder finds a pixel.

use super::block::Block;
use super::compressed::near_square;
use super::order::Order;
use super::{Tiling, refuse};
use crate::Result;
use crate::modifier::arm::Arm;

const U_ORDER: Order = Order::of("x0^y0 y0 x1^y1 y1 x2^y2 y2 x3^y3 y3");
/// log2 of an edge of a block.
const EDGE: u32 = 4;
/// Blocks begin at a cache line.
const LINE: u64 = 64;

/// The tiling of an Arm modifier.
pub(super) fn tiling(arm: Arm, bytes_log2: u32) -> Result<Tiling> {
    match arm {
        Arm::BlockUInterleaved16x16 => {
            let block = Block::new(bytes_log2, EDGE, EDGE, U_ORDER);
            Ok(Tiling { align: LINE, ..Tiling::rows("Arm 16x16 u-interleaved", block) })
        }
        Arm::Interleaved64K => {
            let (width_log2, height_log2) = near_square(16, bytes_log2);
            let order = U_ORDER.columns(EDGE..width_log2).rows(EDGE..height_log2);
            Ok(Tiling::rows("Arm 64K interleaved", Block::new(bytes_log2, width_log2, height_log2, order)))
        }
        Arm::Afbc(_) | Arm::Afrc(_) => Err(refuse("it is compressed all through, and only a decoder finds a pixel")),
    }
}
