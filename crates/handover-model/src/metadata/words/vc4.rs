//! vc4: a modifier, of the two that its display reads.
//!
//! Source: `vc4_drm.h` (struct drm_vc4_set_tiling); Linux, `vc4_bo.c:vc4_set_tiling_ioctl`.

use alloc::format;
use alloc::vec::Vec;

use super::malformed;
use crate::metadata::field::{Bits, Place};
use crate::metadata::registry::{Codec, Decoded, Query};
use crate::{Modifier, Result};

const MODIFIER: Bits = Bits::new("MODIFIER", 63, 0);
const T_TILED: Modifier = Modifier(0x0700_0000_0000_0001);

/// The codec of vc4's modifier.
#[derive(Debug, Clone, Copy)]
pub struct Vc4;

impl Codec for Vc4 {
    fn name(&self) -> &'static str {
        "vc4"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        query.driver == Some(self.name())
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let raw = query.metadata.word.0;
        let (summary, modifier) = match Modifier(raw) {
            Modifier::LINEAR => ("linear", Modifier::LINEAR),
            T_TILED => ("T tiles", T_TILED),
            other => {
                return Err(malformed(
                    format!("the modifier {other} in vc4's word"),
                    "the kernel takes LINEAR and T tiles",
                ));
            }
        };
        Ok(Decoded::new(summary, Vec::from([MODIFIER.show(Place::Word, raw, summary)]), Ok(modifier)))
    }
}
