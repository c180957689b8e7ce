//! Samsung: the tiles of video decoders.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

codes! {
    /// A layout of Samsung's video decoders (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_SAMSUNG_*`).
    Samsung {
        /// `64_32_TILE`: NV12MT, tiles of 64 × 32 in a Z over pairs of rows.
        Tile64x32 = 1,
        /// `16_16_TILE`, also `GENERIC_16_16_TILE`: tiles of 16 × 16 in rows.
        Tile16x16 = 2,
    }
}

const LAYOUT: BitField = BitField::new("LAYOUT", 55, 0);
pub(super) const FIELDS: &[BitField] = &[LAYOUT];
pub(super) const WORDS: &[Word] = &[Word::of(&["64_32_TILE"], LAYOUT, 1), Word::of(&["16_16_TILE"], LAYOUT, 2)];

impl Samsung {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        LAYOUT.code(modifier, Self::from_code, "Samsung has layouts 1 and 2")
    }
}
