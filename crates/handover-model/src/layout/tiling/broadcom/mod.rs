//! Broadcom: T tiles of VC4, UIF of V3D, SAND columns of the video decoder. None of them is XOR-linear all through.
//!
//! T and UIF share the *utile*: 64 bytes in rows.

pub(super) mod sand;
pub(super) mod t;
pub(super) mod uif;

use super::order::Order;
use super::{Parameters, Tiling, refuse};
use crate::Result;
use crate::modifier::broadcom::Broadcom;

/// Where a plane may begin.
const PAGE: u64 = 4096;

/// The tiling of a Broadcom modifier.
pub(super) fn tiling(broadcom: Broadcom, bytes_log2: u32, parameters: &Parameters) -> Result<Tiling> {
    let (column_log2, column_height) = match broadcom {
        Broadcom::Vc4T => return t::tiling(bytes_log2),
        Broadcom::Uif => return Ok(uif::tiling(bytes_log2)),
        Broadcom::Sand32 { column_height } => (5, column_height),
        Broadcom::Sand64 { column_height } => (6, column_height),
        Broadcom::Sand128 { column_height } => (7, column_height),
        Broadcom::Sand256 { column_height } => (8, column_height),
    };
    let Some(column_height) = u32::try_from(column_height).ok().filter(|height| *height > 0) else {
        return Err(refuse("bits 55:8 PARAM are the column height, which is 1 to 2^32 - 1 rows"));
    };
    Ok(sand::tiling(bytes_log2, column_log2, column_height, parameters.sand_first_row.unwrap_or(0)))
}

/// log2 of the edges of a utile of VC4 and of V3D.
const VC4: [(u32, u32); 4] = [(3, 3), (3, 2), (2, 2), (1, 2)];
const V3D: [(u32, u32); 5] = [(3, 3), (3, 2), (2, 2), (2, 1), (1, 1)];

/// The order inside a utile.
fn utile((width_log2, height_log2): (u32, u32)) -> Order {
    Order::EMPTY.columns(0..width_log2).rows(0..height_log2)
}
