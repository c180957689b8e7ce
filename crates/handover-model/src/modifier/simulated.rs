//! The layouts of simulated devices. Vendor byte and numbers are ours.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

codes! {
    /// A layout of a simulated device.
    Simulated {
        /// [`Modifier::SIM_BLOCKS`]: compressed with a second plane, plain with one. The modifier alone does not say which.
        Blocks = 1,
    }
}

const LAYOUT: BitField = BitField::new("LAYOUT", 55, 0);
pub(super) const FIELDS: &[BitField] = &[LAYOUT];
pub(super) const WORDS: &[Word] = &[Word::of(&["BLOCKS"], LAYOUT, 1)];

impl Simulated {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        LAYOUT.code(modifier, Self::from_code, "simulated devices have layout 1 only")
    }
}
