//! radeon, the driver before amdgpu: tiling flags and pitch.
//!
//! Source: `radeon_drm.h` (RADEON_TILING_*); Linux, `radeon_object.c:radeon_bo_set_tiling_flags`.

use alloc::format;
use alloc::vec::Vec;

use super::{malformed, no_modifier};
use crate::metadata::field::{Bits, Place};
use crate::metadata::registry::{Codec, Decoded, Query};
use crate::{Modifier, Result};

const MACRO: Bits = Bits::new("MACRO", 0, 0);
const MICRO: Bits = Bits::new("MICRO", 1, 1);
const SWAP_16BIT: Bits = Bits::new("SWAP_16BIT", 2, 2);
const SWAP_32BIT: Bits = Bits::new("SWAP_32BIT", 3, 3);
const SURFACE: Bits = Bits::new("SURFACE", 4, 4);
const MICRO_SQUARE: Bits = Bits::new("MICRO_SQUARE", 5, 5);
const BANK_WIDTH: Bits = Bits::new("EG_BANKW", 11, 8);
const BANK_HEIGHT: Bits = Bits::new("EG_BANKH", 15, 12);
const ASPECT: Bits = Bits::new("EG_MACRO_TILE_ASPECT", 19, 16);
const SPLIT: Bits = Bits::new("EG_TILE_SPLIT", 27, 24);
const STENCIL_SPLIT: Bits = Bits::new("EG_STENCIL_TILE_SPLIT", 31, 28);
const PITCH: Bits = Bits::new("PITCH", 63, 32);
const ALL: [Bits; 12] = [
    MACRO,
    MICRO,
    SWAP_16BIT,
    SWAP_32BIT,
    SURFACE,
    MICRO_SQUARE,
    BANK_WIDTH,
    BANK_HEIGHT,
    ASPECT,
    SPLIT,
    STENCIL_SPLIT,
    PITCH,
];

/// The codec of radeon's flags and pitch.
#[derive(Debug, Clone, Copy)]
pub struct Radeon;

impl Codec for Radeon {
    fn name(&self) -> &'static str {
        "radeon"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        query.driver == Some(self.name())
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let raw = query.metadata.word.0;
        let found = || format!("the radeon word {raw:#018x}");
        for bits in [BANK_WIDTH, BANK_HEIGHT, ASPECT] {
            if !matches!(bits.get(raw), 0 | 1 | 2 | 4 | 8) {
                return Err(malformed(found(), format!("{bits} are {}: 0, 1, 2, 4 and 8 are taken", bits.get(raw))));
            }
        }
        for bits in [SPLIT, STENCIL_SPLIT] {
            if bits.get(raw) > 6 {
                return Err(malformed(found(), format!("{bits} are {}: 0 to 6 are taken", bits.get(raw))));
            }
        }
        let fields: Vec<_> = ALL.into_iter().map(|bits| bits.show(Place::Word, raw, "")).collect();
        let (tiling, modifier) = match (MACRO.get(raw) != 0, MICRO.get(raw) != 0) {
            (false, false) => ("linear", Ok(Modifier::LINEAR)),
            (true, false) => ("macro tiles of linear rows", Err(())),
            (false, true) => ("micro tiles", Err(())),
            (true, true) => ("macro tiles of micro tiles", Err(())),
        };
        let modifier = modifier.map_err(|()| no_modifier("no modifier exists for the tiles of these chips"));
        // The processor sees swapped bytes, or a surface register detiles for it: its rows are not those of the memory.
        let seen = [SWAP_16BIT, SWAP_32BIT, SURFACE].into_iter().find(|bits| bits.get(raw) != 0);
        let modifier = match seen {
            Some(bits) => Err(no_modifier(format!("{bits} is set, which no modifier says"))),
            None => modifier,
        };
        Ok(Decoded::new(format!("{tiling}, pitch {}", PITCH.get(raw)), fields, modifier))
    }
}
