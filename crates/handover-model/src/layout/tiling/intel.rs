//! Intel: X, Y, Yf and Tile4, and the main planes of their compressed variants.
//!
//! Origin: Mesa 25.0.7 `isl_tiled_memcpy.c`, Intel gmmlib `CpuSwizzleBlt.c` (Yf), Linux i915 `intel_fb.c` (stride rules). Orders
//! count bytes of a row.

use alloc::format;
use alloc::vec::Vec;

use super::block::Block;
use super::compressed::{Compressed, append};
use super::order::Order;
use super::placed::Grid;
use super::{Parameters, Tiling, refuse};
use crate::modifier::intel::{Intel, Tiling as Tile};
use crate::{Bytes, PlaneLayout, Result};

const X: Order = Order::of("x0 x1 x2 x3 x4 x5 x6 x7 x8 y0 y1 y2");
const Y: Order = Order::of("x0 x1 x2 x3 y0 y1 y2 y3 y4 x4 x5 x6");
const TILE4: Order = Order::of("x0 x1 x2 x3 y0 y1 x4 x5 y2 x6 y3 y4");
const YF_1: Order = Order::of("x0 x1 x2 x3 y0 y1 y2 y3 y4 x4 y5 x5");
const YF_2_4: Order = Order::of("x0 x1 x2 x3 y0 y1 y2 x4 y3 x5 y4 x6");
const YF_8_16: Order = Order::of("x0 x1 x2 x3 y0 y1 x4 x5 y2 x6 y3 x7");

/// Four tiles share a cache line of the compression data.
const TILES_A_LINE: u64 = 4;
/// Offsets of planes are multiples of a page.
const PAGE: u64 = 4096;

/// The tiling of an Intel modifier.
pub(super) fn tiling(intel: Intel, bytes_log2: u32, parameters: &Parameters) -> Result<Tiling> {
    let (tile, mut block) = match intel.tiling() {
        Tile::X => ("X", Block::of_bytes(bytes_log2, 9, 3, X)),
        Tile::Y => ("Y", Block::of_bytes(bytes_log2, 7, 5, Y)),
        Tile::Four => ("Tile4", Block::of_bytes(bytes_log2, 7, 5, TILE4)),
        Tile::Yf => (
            "Yf",
            match bytes_log2 {
                0 => Block::of_bytes(bytes_log2, 6, 6, YF_1),
                1 | 2 => Block::of_bytes(bytes_log2, 7, 5, YF_2_4),
                _ => Block::of_bytes(bytes_log2, 8, 4, YF_8_16),
            },
        ),
    };
    let mut swizzled = "";
    if parameters.intel_bit6 == Some(true) {
        swizzled = " with bit 6 swizzled";
        // The controller mixes address bits into bit 6; all of them are bits of a tile.
        match intel {
            Intel::XTiled => block.mix(6, &[9, 10]),
            Intel::YTiled => block.mix(6, &[9]),
            _ => return Err(refuse("machines that swizzle bit 6 (intel_bit6) have no tiles but X and Y")),
        }
    }
    let mut tiling = Tiling::rows(format!("Intel {tile}{}{swizzled}", Ccs::of(intel).map_or("", Ccs::words)), block);
    if let Some(ccs) = Ccs::of(intel) {
        if !matches!(ccs, Ccs::Gen9) {
            tiling.stride_unit = tiling.stride_unit.saturating_mul(TILES_A_LINE);
        }
        tiling.compressed = Some(Compressed::Ccs(ccs));
    }
    Ok(tiling)
}

/// Where the colour control surface lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ccs {
    /// A plane whose shape no source here gives.
    Gen9,
    /// A plane behind the main one, and perhaps one with the clear colour.
    Plane {
        /// Is there a clear colour?
        clear: bool,
    },
    /// Outside the buffer; a clear colour may still be inside.
    Outside {
        /// Is there a clear colour?
        clear: bool,
    },
}

impl Ccs {
    const fn of(intel: Intel) -> Option<Self> {
        Some(match intel {
            Intel::XTiled | Intel::YTiled | Intel::YfTiled | Intel::Tile4 => return None,
            Intel::YTiledCcs | Intel::YfTiledCcs => Self::Gen9,
            Intel::YTiledGen12RcCcs | Intel::YTiledGen12McCcs => Self::Plane { clear: false },
            Intel::Tile4MtlRcCcs | Intel::Tile4MtlMcCcs => Self::Plane { clear: false },
            Intel::YTiledGen12RcCcsCc | Intel::Tile4MtlRcCcsCc => Self::Plane { clear: true },
            Intel::Tile4Dg2RcCcsCc => Self::Outside { clear: true },
            Intel::Tile4Dg2RcCcs | Intel::Tile4Dg2McCcs => Self::Outside { clear: false },
            Intel::Tile4LnlCcs | Intel::Tile4BmgCcs => Self::Outside { clear: false },
        })
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Gen9 | Self::Plane { clear: false } => " with CCS",
            Self::Plane { clear: true } => " with CCS and clear colour",
            Self::Outside { clear: false } => " with CCS outside the buffer",
            Self::Outside { clear: true } => " with CCS outside the buffer and clear colour",
        }
    }

    /// 64 bytes for four tiles side by side, in rows; then 64 bytes for the clear colour (`drm_fourcc.h`, `intel_fb.c`).
    pub(super) fn add_planes(self, grid: &Grid, stride: Bytes, planes: &mut Vec<PlaneLayout>) -> Result<Option<()>> {
        let clear = match self {
            Self::Gen9 => return Err(refuse("no source here gives the shape of the CCS plane of generation 9")),
            Self::Plane { clear } => {
                let stride = Bytes(stride.get() / 8);
                let rows = u64::from(grid.rows >> grid.block.height_log2);
                let added = stride.checked_mul(rows).and_then(|size| append(planes, Bytes(PAGE), stride, size));
                if added.is_none() {
                    return Ok(None);
                }
                clear
            }
            Self::Outside { clear } => clear,
        };
        Ok(if clear { append(planes, Bytes(PAGE), Bytes(64), Bytes(64)) } else { Some(()) })
    }
}
