//! What a modifier does not say: facts of a chip or of a driver, each with a type. Nothing here is ever guessed.

use crate::Bytes;

/// What else is known of the surface. Everything is optional; a layout that needs what is not there is refused, and the
/// refusal names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parameters {
    /// Layouts of AMD GFX8 have no modifier. Used with [`Modifier::INVALID`](crate::Modifier::INVALID) only.
    pub amd_gfx8: Option<Gfx8>,
    /// The bank constants of a Qualcomm chip, for `TILED3`.
    pub qualcomm: Option<Qualcomm>,
    /// The order inside a supertile, for Vivante `SUPER_TILED`.
    pub vivante_supertile: Option<SupertileOrder>,
    /// Does the memory controller swizzle address bit 6? A property of machines with Intel graphics up to generation 7; from
    /// generation 8 on none does, which is what an absent value says.
    pub intel_bit6: Option<bool>,
    /// Which plane of a video picture this is, for the tiles of codecs whose planes are tiled differently.
    pub plane: Option<Plane>,
    /// The row of each column at which this plane begins, for Broadcom SAND: the chroma plane lies below the luma plane in the
    /// same columns. Absent: row 0, but of a chroma plane it must be said. Offsets count from row 0.
    pub sand_first_row: Option<u32>,
}

/// A plane of a video picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plane {
    /// Brightness.
    Luma,
    /// Colour difference, both samples in one plane.
    Chroma,
}

/// The order of the elements in a Vivante supertile (64 × 64). The modifier is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SupertileOrder {
    /// Groups of 2 × 4 tiles, as `drm_fourcc.h` words it.
    TwoByFour,
    /// Column and row bits in turn, all the way up, as chips of the i.MX series do.
    ZOrder,
}

/// How a Qualcomm chip spreads addresses over DRAM banks (kernel: `MSM_PARAM_HIGHEST_BANK_BIT`, `MSM_PARAM_UBWC_SWIZZLE`,
/// `MSM_PARAM_MACROTILE_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Qualcomm {
    /// The highest address bit that selects a bank: 13 to 16.
    pub highest_bank_bit: u32,
    /// Which levels of the bank swizzle are on: bit 0 is level 1, bit 2 is level 3.
    pub bank_swizzle_levels: u32,
    /// Channels of a macrotile: 4 or 8.
    pub macrotile_channels: u32,
}

/// A layout of AMD GFX8, as the tiling word of a buffer and the tile tables of the chip give it (Mesa, addrlib:
/// `ADDR_TILEINFO`). Each number is a count, not the code of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gfx8 {
    /// What lies above a micro tile of 8 × 8 elements.
    pub array_mode: ArrayMode,
    /// The order inside a micro tile.
    pub micro_tile: MicroTile,
    /// How column and row bits choose a pipe, as the register field `PIPE_CONFIG` codes it. 2D only, as all that follows.
    pub pipe_config: u32,
    /// Pipes.
    pub pipes: u32,
    /// Banks: 2, 4, 8 or 16.
    pub banks: u32,
    /// Micro tiles of a bank, side by side.
    pub bank_width: u32,
    /// Micro tiles of a bank, one above the other.
    pub bank_height: u32,
    /// Macro tiles are this much wider than square.
    pub macro_aspect: u32,
    /// Where a micro tile would be split over slices; one that is larger than this is refused.
    pub tile_split: Bytes,
}

/// What lies above the micro tiles of GFX8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArrayMode {
    /// Micro tiles, row after row (`1D_TILED_THIN1`).
    Tiled1D,
    /// Macro tiles spread over pipes and banks, row after row (`2D_TILED_THIN1`).
    Tiled2D,
}

/// The order of the elements in a micro tile of GFX8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MicroTile {
    /// For scan-out: rows of 16 bytes where they fit.
    Display,
    /// Column and row bits in turn.
    Thin,
}
