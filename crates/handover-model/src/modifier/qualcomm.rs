//! Qualcomm: macrotiles, plain or compressed.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

codes! {
    /// A layout of Qualcomm's GPUs, displays and video units (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_QCOM_*`).
    Qualcomm {
        /// `COMPRESSED`: bandwidth compression (UBWC), macrotiles of mostly 4 × 4 tiles.
        Compressed = 1,
        /// `TILED2`: a tiling of the GPU's own memory.
        Tiled2 = 2,
        /// `TILED3`: the macrotiles of `COMPRESSED`, not compressed. Where a tile lies also depends on the banks of the
        /// memory, which the modifier does not say.
        Tiled3 = 3,
    }
}

const LAYOUT: BitField = BitField::new("LAYOUT", 55, 0);
pub(super) const FIELDS: &[BitField] = &[LAYOUT];
pub(super) const WORDS: &[Word] =
    &[Word::of(&["COMPRESSED"], LAYOUT, 1), Word::of(&["TILED2"], LAYOUT, 2), Word::of(&["TILED3"], LAYOUT, 3)];

impl Qualcomm {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        LAYOUT.code(modifier, Self::from_code, "Qualcomm has layouts 1 to 3")
    }
}
