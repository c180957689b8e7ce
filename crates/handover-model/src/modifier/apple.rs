//! Apple: the twiddled tiles of its GPUs.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

codes! {
    /// A layout of Apple's GPUs (source: `drm_fourcc.h`, "Apple GPU-tiled layouts"). Strides mean nothing in either.
    Apple {
        /// `GPU_TILED`: tiles of 16 KiB in rows, Morton order inside.
        GpuTiled = 1,
        /// `GPU_TILED_COMPRESSED`: the same, compressed, with a section of metadata behind the body.
        GpuTiledCompressed = 2,
    }
}

const LAYOUT: BitField = BitField::new("LAYOUT", 55, 0);
pub(super) const FIELDS: &[BitField] = &[LAYOUT];
pub(super) const WORDS: &[Word] =
    &[Word::of(&["GPU_TILED"], LAYOUT, 1), Word::of(&["GPU_TILED_COMPRESSED"], LAYOUT, 2)];

impl Apple {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        LAYOUT.code(modifier, Self::from_code, "Apple has layouts 1 and 2")
    }
}
