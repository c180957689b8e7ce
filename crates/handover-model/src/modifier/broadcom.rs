//! Broadcom: T tiles, SAND columns, UIF.

use super::bits::{BitField, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

/// A layout of Broadcom's GPUs and video decoders (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_BROADCOM_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broadcom {
    /// `VC4_T_TILED`: tiles of 4 KiB whose rows run to and fro.
    Vc4T,
    /// `SAND32`: columns 32 bytes wide.
    Sand32 {
        /// Rows from one column to the next, 48 bits; 0 where the modifier leaves it open.
        column_height: u64,
    },
    /// `SAND64`: columns 64 bytes wide.
    Sand64 {
        /// Rows from one column to the next, 48 bits; 0 where the modifier leaves it open.
        column_height: u64,
    },
    /// `SAND128`: columns 128 bytes wide, the one in use.
    Sand128 {
        /// Rows from one column to the next, 48 bits; 0 where the modifier leaves it open.
        column_height: u64,
    },
    /// `SAND256`: columns 256 bytes wide.
    Sand256 {
        /// Rows from one column to the next, 48 bits; 0 where the modifier leaves it open.
        column_height: u64,
    },
    /// `UIF`: blocks of 2 × 2 utiles in columns, of V3D.
    Uif,
}

const TYPE: BitField = BitField::new("TYPE", 7, 0);
const PARAM: BitField = BitField::new("PARAM", 55, 8);
pub(super) const FIELDS: &[BitField] = &[TYPE, PARAM];

pub(super) const WORDS: &[Word] = &[
    Word::of(&["VC4_T_TILED"], TYPE, 1),
    Word::of(&["SAND32"], TYPE, 2),
    Word::of(&["SAND64"], TYPE, 3),
    Word::of(&["SAND128"], TYPE, 4),
    Word::of(&["SAND256"], TYPE, 5),
    Word::of(&["UIF"], TYPE, 6),
    Word::number(&["column_height="], PARAM).after_comma(),
];

impl Broadcom {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        let column_height = PARAM.value(modifier);
        Ok(match TYPE.value(modifier) {
            1 => {
                PARAM.must_be_zero(modifier, "VC4_T_TILED takes no parameter")?;
                Self::Vc4T
            }
            2 => Self::Sand32 { column_height },
            3 => Self::Sand64 { column_height },
            4 => Self::Sand128 { column_height },
            5 => Self::Sand256 { column_height },
            6 => {
                PARAM.must_be_zero(modifier, "UIF takes no parameter")?;
                Self::Uif
            }
            _ => return Err(TYPE.refuse(modifier, "Broadcom has types 1 to 6")),
        })
    }

    pub(super) const fn bits(self) -> u64 {
        match self {
            Self::Vc4T => TYPE.put(1),
            Self::Sand32 { column_height } => TYPE.put(2) | PARAM.put(column_height),
            Self::Sand64 { column_height } => TYPE.put(3) | PARAM.put(column_height),
            Self::Sand128 { column_height } => TYPE.put(4) | PARAM.put(column_height),
            Self::Sand256 { column_height } => TYPE.put(5) | PARAM.put(column_height),
            Self::Uif => TYPE.put(6),
        }
    }
}
