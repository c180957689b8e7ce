//! Amlogic: the compressed frames of its video units.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

/// Amlogic's lossless frame compression (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_AMLOGIC_FBC`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amlogic {
    /// How header and body lie.
    pub layout: Layout,
    /// Superblocks are packed to what 8 bits a component need.
    pub memory_saving: bool,
}

codes! {
    /// How header and body lie.
    Layout {
        /// Superblocks of 64 × 32, and a header; readable by every unit that knows the format.
        Basic = 1,
        /// The header holds addresses of an IOMMU: neither mappable nor meaningful elsewhere.
        Scatter = 2,
    }
}

const LAYOUT: BitField = BitField::new("LAYOUT", 7, 0);
const MEM_SAVING: BitField = BitField::new("OPTION_MEM_SAVING", 8, 8);
pub(super) const FIELDS: &[BitField] = &[LAYOUT, MEM_SAVING];

pub(super) const WORDS: &[Word] = &[
    Word::always(&["FBC"]),
    Word::of(&["BASIC", "LAYOUT=BASIC"], LAYOUT, 1),
    Word::of(&["SCATTER", "LAYOUT=SCATTER"], LAYOUT, 2),
    Word::of(&["MEM_SAVING", "OPTIONS=MEM_SAVING"], MEM_SAVING, 1).after_comma(),
    Word::of(&["OPTIONS=0"], MEM_SAVING, 0).only_read(),
];

impl Amlogic {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        let layout = LAYOUT.code(modifier, Layout::from_code, "Amlogic has layouts 1 (basic) and 2 (scatter)")?;
        Ok(Self { layout, memory_saving: MEM_SAVING.is_set(modifier) })
    }

    pub(super) const fn bits(self) -> u64 {
        LAYOUT.put(self.layout.code()) | MEM_SAVING.put(self.memory_saving as u64)
    }
}
