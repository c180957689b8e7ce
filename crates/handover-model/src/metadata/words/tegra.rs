//! tegra: a mode, and a value that the mode defines.
//!
//! Source: `tegra_drm.h` (DRM_TEGRA_GEM_TILING_MODE_*); the modifiers: `drm_fourcc.h` (NVIDIA).

use alloc::format;
use alloc::vec::Vec;

use super::malformed;
use crate::metadata::field::{Bits, Place};
use crate::metadata::registry::{Codec, Decoded, Query};
use crate::{Modifier, Result};

const MODE: Bits = Bits::new("MODE", 31, 0);
const VALUE: Bits = Bits::new("VALUE", 63, 32);

/// The codec of tegra's mode and value.
#[derive(Debug, Clone, Copy)]
pub struct Tegra;

impl Codec for Tegra {
    fn name(&self) -> &'static str {
        "tegra"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        query.driver == Some(self.name())
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let raw = query.metadata.word.0;
        let found = || format!("the tegra word {raw:#018x}");
        let value = VALUE.get(raw);
        let (summary, modifier) = match MODE.get(raw) {
            0 | 1 if value != 0 => {
                return Err(malformed(found(), format!("{VALUE} are {value}, and modes 0 and 1 have none")));
            }
            0 => ("linear (pitch)".into(), Modifier::LINEAR),
            1 => ("tiles of 16x16 bytes".into(), Modifier(0x0300_0000_0000_0001)),
            2 if value <= 5 => {
                let rows = 8_u64.wrapping_shl(value as u32);
                (format!("blocks of {rows} rows"), Modifier(0x0300_0000_0000_0010 | value))
            }
            2 => return Err(malformed(found(), format!("{VALUE} are {value}: 0 to 5 are log2 of GOBs in a block"))),
            mode => {
                return Err(malformed(found(), format!("{MODE} are {mode}; 0, 1 and 2 are pitch, tiled and block")));
            }
        };
        let fields = Vec::from([
            MODE.show(Place::Word, raw, summary.as_str()),
            VALUE.show(Place::Word, raw, "log2 of GOBs in a block, in mode 2"),
        ]);
        Ok(Decoded::new(summary, fields, Ok(modifier)))
    }
}
