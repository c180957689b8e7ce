//! Vivante: tiles, supertiles, both split over two pipes, with tile status and compression.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

/// A layout of Vivante's GPUs (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_VIVANTE_*` and `VIVANTE_MOD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vivante {
    /// Where pixels lie.
    pub tiling: Tiling,
    /// The separate buffer that says which tiles are cleared or compressed, if there is one.
    pub tile_status: Option<TileStatus>,
    /// DEC400 compression; the tile status then tells compressed sizes.
    pub dec400: bool,
}

codes! {
    /// The tiling of the colour buffer.
    Tiling {
        /// `TILED`: tiles of 4 × 4 pixels in rows.
        Tiled = 1,
        /// `SUPER_TILED`: supertiles of 64 × 64 pixels. The order inside differs among chips and is not in the modifier.
        SuperTiled = 2,
        /// `SPLIT_TILED`: as `TILED`, every second tile at a second base address.
        SplitTiled = 3,
        /// `SPLIT_SUPER_TILED`: as `SUPER_TILED`, every second tile at a second base address.
        SplitSuperTiled = 4,
    }
}

codes! {
    /// Bytes of colour buffer for an entry of the status buffer, and bits of that entry.
    TileStatus {
        /// 64 bytes, 4 bits.
        Bytes64Bits4 = 1,
        /// 64 bytes, 2 bits.
        Bytes64Bits2 = 2,
        /// 128 bytes, 4 bits.
        Bytes128Bits4 = 3,
        /// 256 bytes, 4 bits.
        Bytes256Bits4 = 4,
    }
}

const TILING: BitField = BitField::new("TILING", 47, 0);
const TS: BitField = BitField::new("TS", 51, 48);
const COMP: BitField = BitField::new("COMP", 55, 52);
pub(super) const FIELDS: &[BitField] = &[TILING, TS, COMP];

pub(super) const WORDS: &[Word] = &[
    Word::of(&["TILED"], TILING, 1),
    Word::of(&["SUPER_TILED"], TILING, 2),
    Word::of(&["SPLIT_TILED"], TILING, 3),
    Word::of(&["SPLIT_SUPER_TILED"], TILING, 4),
    Word::of(&["TS=64B_4"], TS, 1).after_comma(),
    Word::of(&["TS=64B_2"], TS, 2).after_comma(),
    Word::of(&["TS=128B_4"], TS, 3).after_comma(),
    Word::of(&["TS=256B_4"], TS, 4).after_comma(),
    Word::of(&["DEC400", "COMP=DEC400"], COMP, 1).after_comma(),
];

impl Vivante {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        let tiling = TILING.code(modifier, Tiling::from_code, "Vivante has tilings 1 to 4")?;
        let tile_status = if TS.is_set(modifier) {
            Some(TS.code(modifier, TileStatus::from_code, "Vivante has tile status 0 (none) to 4")?)
        } else {
            None
        };
        let dec400 = match COMP.value(modifier) {
            0 => false,
            1 if tile_status.is_some() => true,
            1 => return Err(COMP.refuse(modifier, "DEC400 needs a tile status, and TS is 0")),
            _ => return Err(COMP.refuse(modifier, "Vivante has compression 0 (none) and 1 (DEC400)")),
        };
        Ok(Self { tiling, tile_status, dec400 })
    }

    pub(super) const fn bits(self) -> u64 {
        let tile_status = match self.tile_status {
            Some(status) => status.code(),
            None => 0,
        };
        TILING.put(self.tiling.code()) | TS.put(tile_status) | COMP.put(self.dec400 as u64)
    }
}
