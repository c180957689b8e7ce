//! MediaTek 16L32S: tiles of 16 × 32 bytes of luma, 16 × 16 of chroma.
//!
//! Origin: GStreamer 1.26.2 `video-format.c` (`MT2110T` and its kin); inside a tile bytes lie in rows.

use super::block::Block;
use super::order::Order;
use super::parameters::{Parameters, Plane};
use super::{Tiling, missing, refuse};
use crate::Result;
use crate::modifier::mediatek::{Compression, MediaTek, TenBitLayout, Tile};

const LUMA: Order = Order::of("x0 x1 x2 x3 y0 y1 y2 y3 y4");
const CHROMA: Order = Order::of("x0 x1 x2 x3 y0 y1 y2 y3");
const PAGE: u64 = 4096;

/// The tiling of a MediaTek modifier.
pub(super) fn tiling(mediatek: MediaTek, bytes_log2: u32, parameters: &Parameters) -> Result<Tiling> {
    let MediaTek { tile, compression, ten_bit_layout } = mediatek;
    if tile == Tile::None {
        return Err(refuse("bits 3:0 TILE are 0: its planes are not tiled"));
    }
    if compression != Compression::None {
        return Err(refuse("it is compressed, and no public source says how its bytes lie"));
    }
    if ten_bit_layout != TenBitLayout::Packed {
        return Err(refuse("the low bits of its samples lie apart, and no public source says where"));
    }
    let (name, height_log2, order) = match parameters.plane {
        Some(Plane::Luma) => ("MediaTek 16L32S, luma", 5, LUMA),
        Some(Plane::Chroma) => ("MediaTek 16L32S, chroma", 4, CHROMA),
        None => return Err(missing("plane", "the tiles of luma and chroma differ")),
    };
    Ok(Tiling { align: PAGE, ..Tiling::rows(name, Block::of_bytes(bytes_log2, 4, height_log2, order)) })
}
