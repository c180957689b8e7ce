//! Allwinner: tiles of 32 × 32 bytes, in every plane.
//!
//! Origin: GStreamer 1.26.2 `video-tile.c`; inside a tile bytes lie in rows.

use super::Tiling;
use super::block::Block;
use super::order::Order;

const TILE: Order = Order::of("x0 x1 x2 x3 x4 y0 y1 y2 y3 y4");
const PAGE: u64 = 4096;

/// The one tiling of Allwinner.
pub(super) fn tiling(bytes_log2: u32) -> Tiling {
    Tiling { align: PAGE, ..Tiling::rows("Allwinner 32x32", Block::of_bytes(bytes_log2, 5, 5, TILE)) }
}
