//! Allwinner: the tiles of its video decoders.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

codes! {
    /// A layout of Allwinner's video decoders (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_ALLWINNER_TILED`).
    Allwinner {
        /// `TILED`: tiles of 32 × 32 bytes in rows, in every plane.
        Tiled = 1,
    }
}

const LAYOUT: BitField = BitField::new("LAYOUT", 55, 0);
pub(super) const FIELDS: &[BitField] = &[LAYOUT];
pub(super) const WORDS: &[Word] = &[Word::of(&["TILED"], LAYOUT, 1)];

impl Allwinner {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        LAYOUT.code(modifier, Self::from_code, "Allwinner has layout 1 only")
    }
}
