//! AMD: the swizzle modes of GFX9 to GFX12, and the tiles of GFX8.
//!
//! Origin: Mesa 25.0.7 addrlib and `ac_surface.c`; for GFX10 to GFX12 also the addrlib of AMD's PAL. A layout follows from the
//! modifier and the size of an element alone, never from the chip; its DCC bits change no address.

mod dcc;
mod gfx8;
mod gfx9;
mod table;

use alloc::format;

pub(super) use dcc::Dcc;
pub(super) use gfx8::tiling as gfx8;

use super::block::Block;
use super::compressed::{Compressed, near_square};
use super::order::Order;
use super::{Tiling, refuse};
use crate::Result;
use crate::modifier::amd::{Amd, Tile, Version};

/// Plain 64K blocks of GFX9 begin at any page.
const PAGE: u64 = 4096;

/// The tiling of an AMD modifier.
pub(super) fn tiling(amd: Amd, bytes_log2: u32) -> Result<Tiling> {
    if bytes_log2 > 3 {
        return Err(refuse("modifiers of AMD are for elements of 1 to 8 bytes"));
    }
    let block_log2 = amd.tile.block_bytes_log2();
    let (width_log2, height_log2) = near_square(block_log2, bytes_log2);
    let block = Block::new(bytes_log2, width_log2, height_log2, order(amd, bytes_log2)?);
    let with = if amd.dcc.is_some() { " with DCC" } else { "" };
    let name = format!("AMD {} {}{with}", version_name(amd.version), tile_name(amd.tile));
    let mut tiling = Tiling::rows(name, block);
    if amd.version == Version::Gfx9 && !amd.tile.is_xor() {
        tiling.align = PAGE;
    }
    tiling.compressed = amd.dcc.map(|dcc| Compressed::Dcc(Dcc::of(amd, dcc)));
    Ok(tiling)
}

fn order(amd: Amd, bytes_log2: u32) -> Result<Order> {
    let Amd { version, tile, pipe_xor_bits, bank_xor_bits, packers, .. } = amd;
    let block_log2 = tile.block_bytes_log2();
    let unknown = |what: &str| {
        let (version, tile) = (version_name(version), tile_name(tile));
        refuse(format!("the order of {tile} on {version} {what}is not known: no driver offers it"))
    };
    match (version, tile) {
        (Version::Gfx9, _) => {
            gfx9::order(tile, block_log2, bytes_log2, pipe_xor_bits, bank_xor_bits).ok_or_else(|| unknown(""))
        }
        // The header of the kernel says that these are the same as on GFX9, and gives GFX9 as their canonical version.
        (Version::Gfx10 | Version::Gfx10RbPlus, Tile::Sw64KS) => {
            gfx9::order(tile, block_log2, bytes_log2, 0, 0).ok_or_else(|| unknown(""))
        }
        (Version::Gfx10 | Version::Gfx10RbPlus, Tile::Sw64KD) if bytes_log2 != 2 => {
            gfx9::order(tile, block_log2, bytes_log2, 0, 0).ok_or_else(|| unknown(""))
        }
        (_, Tile::Sw64KRX | Tile::Sw256KRX) => table::order(version, tile, pipe_xor_bits, packers, bytes_log2)
            .ok_or_else(|| unknown(&format!("with PIPE_XOR_BITS {pipe_xor_bits} and PACKERS {packers} "))),
        (Version::Gfx11, Tile::Sw64KD) | (Version::Gfx12, _) => Ok(gfx9::standard_2d(block_log2, bytes_log2)),
        _ => Err(unknown("")),
    }
}

const fn version_name(version: Version) -> &'static str {
    match version {
        Version::Gfx9 => "GFX9",
        Version::Gfx10 => "GFX10",
        Version::Gfx10RbPlus => "GFX10_RBPLUS",
        Version::Gfx11 => "GFX11",
        Version::Gfx12 => "GFX12",
    }
}

const fn tile_name(tile: Tile) -> &'static str {
    match tile {
        Tile::Sw256B2D => "256B_2D",
        Tile::Sw4K2D => "4K_2D",
        Tile::Sw64K2D => "64K_2D",
        Tile::Sw256K2D => "256K_2D",
        Tile::Sw64KS => "64K_S",
        Tile::Sw64KD => "64K_D",
        Tile::Sw4KDX => "4K_D_X",
        Tile::Sw64KSX => "64K_S_X",
        Tile::Sw64KDX => "64K_D_X",
        Tile::Sw64KRX => "64K_R_X",
        Tile::Sw256KRX => "256K_R_X",
    }
}
