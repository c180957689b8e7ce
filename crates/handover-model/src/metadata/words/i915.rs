//! i915: tiling mode and stride, for GPUs that have fence registers. Newer ones have modifiers alone, and with them every layout that
//! is neither X nor Y: a mode of 0 says that no fence register was asked for, and not that the surface is linear.
//!
//! Source: `i915_drm.h` (I915_TILING_*, I915_BIT_6_SWIZZLE_*); Linux, `i915_gem_tiling.c`.

use alloc::format;
use alloc::vec::Vec;

use super::{by_driver_or_vendor, malformed, no_modifier};
use crate::metadata::field::{Bits, Place};
use crate::metadata::registry::{Codec, Decoded, Query};
use crate::{Modifier, Result};

const MODE: Bits = Bits::new("TILING_MODE", 6, 0);
const STRIDE: Bits = Bits::new("STRIDE", 31, 7);
const SWIZZLE: Bits = Bits::new("BIT_6_SWIZZLE", 34, 32);
const RESERVED: Bits = Bits::new("(reserved)", 63, 35);
const SWIZZLES: [&str; 8] =
    ["none", "bit 9", "bits 9, 10", "bits 9, 11", "bits 9, 10, 11", "unknown", "bits 9, 17", "bits 9, 10, 17"];

/// The codec of i915's word.
#[derive(Debug, Clone, Copy)]
pub struct I915;

impl Codec for I915 {
    fn name(&self) -> &'static str {
        "i915"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        by_driver_or_vendor(query, self.name(), 0x8086)
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let raw = query.metadata.word.0;
        let found = || format!("the i915 word {raw:#018x}");
        if RESERVED.get(raw) != 0 {
            return Err(malformed(found(), format!("{RESERVED} are not 0")));
        }
        let (mode, modifier) = match MODE.get(raw) {
            0 => ("unknown: everything newer than X and Y is by modifier", None),
            1 => ("X tiles", Some(Modifier(0x0100_0000_0000_0001))),
            2 => ("Y tiles", Some(Modifier(0x0100_0000_0000_0002))),
            other => return Err(malformed(found(), format!("{MODE} are {other}; 0, 1 and 2 are none, X and Y"))),
        };
        let stride = STRIDE.get(raw) << 7;
        let swizzle = SWIZZLES.get(SWIZZLE.get(raw) as usize).copied().unwrap_or_default();
        let fields = Vec::from([
            MODE.show(Place::Word, raw, mode),
            STRIDE.show(Place::Word, raw, format!("{stride} bytes")),
            SWIZZLE.show(Place::Word, raw, format!("address bit 6 XOR: {swizzle}")),
        ]);
        let modifier = match modifier {
            None => Err(no_modifier(format!("{MODE} are 0, which is {mode}")).help("the modifier of the surface")),
            Some(_) if SWIZZLE.get(raw) != 0 => Err(no_modifier(
                "address bit 6 is swizzled by other bits, which the modifier of these tiles does not say",
            )),
            Some(modifier) => Ok(modifier),
        };
        Ok(Decoded::new(format!("{mode}, stride {stride} bytes"), fields, modifier))
    }
}
