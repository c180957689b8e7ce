//! Vivante: tiles of 4 × 4 elements, and supertiles of 64 × 64 in one of two orders.
//!
//! Origin: Mesa 25.0.7 `etnaviv_tiling.c`, etna_viv `doc/hardware.md`, WebKit `VivanteSuperTiledTexture` (the second order). Strides count
//! the bytes of a row of elements, not of a row of tiles.

use super::block::Block;
use super::compressed::Compressed;
use super::order::Order;
use super::parameters::{Parameters, SupertileOrder};
use super::{Tiling, missing, refuse};
use crate::Result;
use crate::modifier::vivante::{Tiling as Tile, Vivante};

const TILE: Order = Order::of("x0 x1 y0 y1");
const TWO_BY_FOUR: Order = Order::of("x0 x1 y0 y1 x2 y2 y3 x3 x4 x5 y4 y5");
const Z_ORDER: Order = Order::of("x0 x1 y0 y1 x2 y2 x3 y3 x4 y4 x5 y5");
const LINE: u64 = 64;

/// The tiling of a Vivante modifier.
pub(super) fn tiling(vivante: Vivante, bytes_log2: u32, parameters: &Parameters) -> Result<Tiling> {
    let plain = match vivante.tiling {
        Tile::Tiled if bytes_log2 > 3 => return Err(refuse("tiles of Vivante are for elements of 1 to 8 bytes")),
        Tile::Tiled => Tiling::rows("Vivante tiled", Block::new(bytes_log2, 2, 2, TILE)),
        Tile::SuperTiled if !(1..=2).contains(&bytes_log2) => {
            return Err(refuse("supertiles are known for elements of 2 and 4 bytes only"));
        }
        Tile::SuperTiled => {
            let (name, order) = match parameters.vivante_supertile {
                Some(SupertileOrder::TwoByFour) => ("Vivante supertiled, groups of 2x4", TWO_BY_FOUR),
                Some(SupertileOrder::ZOrder) => ("Vivante supertiled, z-order", Z_ORDER),
                None => {
                    return Err(missing("vivante_supertile", "chips order a supertile in two ways under one modifier"));
                }
            };
            Tiling::rows(name, Block::new(bytes_log2, 6, 6, order))
        }
        Tile::SplitTiled | Tile::SplitSuperTiled => {
            return Err(refuse("every second tile is at a second base address, which no modifier says"));
        }
    };
    let compressed = vivante.tile_status.map(|_| Compressed::Unknown);
    Ok(Tiling { align: LINE, compressed, ..plain })
}
