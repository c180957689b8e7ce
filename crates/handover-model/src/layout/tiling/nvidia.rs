//! NVIDIA: block-linear layouts from Tegra K1 and Fermi to Blackwell, and the tiles of the first Tegras.
//!
//! A GOB ("group of bytes") has 64 bytes by 8 rows; a block is one GOB wide and a power of two of them high. Origin: Mesa `nil/copy.rs`
//! (25.0.7, and main for Fermi and Blackwell), tegra_swizzle 0.4.0 (Tegra). On Fermi to Volta the order is that of raw memory;
//! a mapping of the BAR with a page kind shows plain rows.

use alloc::format;

use super::block::Block;
use super::compressed::Compressed;
use super::order::Order;
use super::{Tiling, refuse};
use crate::Result;
use crate::modifier::nvidia::{Compression, Generation, Nvidia, SectorLayout};

const TEGRA: Order = Order::of("x0 x1 x2 x3 y0 x4 y1 y2 x5");
const FERMI: Order = Order::of("x0 x1 x2 x3 y0 1^y1^x4 x4^y2 y2 x5");
const TURING: Order = Order::of("x0 x1 x2 x3 y0 y1 x4 y2 x5");
const BLACKWELL_1: Order = Order::of("x0 x1 x2 y0 y1 y2 x3 x4 x5");
const BLACKWELL_2: Order = Order::of("x0 x1 x2 x3 y0 y1 y2 x4 x5");
const TEGRA_TILE: Order = Order::of("x0 x1 x2 x3 y0 y1 y2 y3");

/// log2 of the rows of a GOB.
const GOB_ROWS: u32 = 3;
/// log2 of its bytes a row.
const GOB_ROW_LOG2: u32 = 6;
/// The highest block, 32 GOBs.
const HIGHEST: u32 = 5;
/// The page kinds of plain colour buffers: Fermi to Volta, then Turing and later.
const FERMI_GENERIC: u32 = 0xfe;
const TURING_GENERIC: u32 = 6;

/// The tiling of an NVIDIA modifier.
pub(super) fn tiling(nvidia: Nvidia, bytes_log2: u32) -> Result<Tiling> {
    let Nvidia::BlockLinear2D { block_height_log2, page_kind, generation, sector_layout, compression } = nvidia else {
        return Ok(Tiling::rows("NVIDIA Tegra tiles", Block::of_bytes(bytes_log2, 4, 4, TEGRA_TILE)));
    };
    if block_height_log2 > HIGHEST {
        return Err(refuse(format!("bits 3:0 HEIGHT are {block_height_log2}, and hardware goes up to {HIGHEST}")));
    }
    let (generic, name, gob) = match (generation, sector_layout, bytes_log2) {
        (Generation::G80, ..) => {
            return Err(refuse("bits 21:20 GENERATION are 1, and no public source says how GOBs of G80 lie in memory"));
        }
        (Generation::Fermi, SectorLayout::Tegra, _) => (FERMI_GENERIC, "Tegra", TEGRA),
        (Generation::Fermi, SectorLayout::Desktop, _) => (FERMI_GENERIC, "Fermi", FERMI),
        (Generation::Turing, SectorLayout::Desktop, _) => (TURING_GENERIC, "Turing", TURING),
        (Generation::Turing, SectorLayout::Gb20x8Bpp, 0) => (TURING_GENERIC, "Blackwell", BLACKWELL_1),
        (Generation::Turing, SectorLayout::Gb20x16Bpp, 1) => (TURING_GENERIC, "Blackwell", BLACKWELL_2),
        (Generation::Turing, SectorLayout::Gb20x8Bpp | SectorLayout::Gb20x16Bpp, _) => {
            return Err(refuse("the sector layout (bit 22, then bits 27:26) is 2 for 1 byte and 3 for 2 bytes only"));
        }
        _ => return Err(refuse("the sector layout (bit 22, then bits 27:26) is on no chip of this generation")),
    };
    let generic_too = generic == FERMI_GENERIC && page_kind == 0;
    if page_kind != generic && !generic_too {
        return Err(refuse(format!(
            "bits 19:12 KIND are {page_kind:#x}, and only colour of kind {generic:#x} is public"
        )));
    }
    let order = gob.rows(GOB_ROWS..GOB_ROWS + block_height_log2);
    let block = Block::of_bytes(bytes_log2, GOB_ROW_LOG2, GOB_ROWS + block_height_log2, order);
    let (gobs, plural) = (1 << block_height_log2, if block_height_log2 == 0 { "" } else { "s" });
    let mut tiling = Tiling::rows(format!("NVIDIA block-linear {name}, blocks of {gobs} GOB{plural}"), block);
    if compression != Compression::None {
        tiling.compressed = Some(Compressed::Unknown);
    }
    Ok(tiling)
}
