//! msm: up to 128 bytes that user space defines. Mesa stores one modifier there.
//!
//! Source: `msm_drm.h` (MSM_INFO_SET_METADATA, MSM_INFO_GET_METADATA); Mesa 25.0.7, `freedreno_layout.h:fdl_metadata`. In Linux 6.12
//! GET returns 0 even if the copy failed (`msm_drv.c:msm_ioctl_gem_info_get_metadata`), so the length has to be checked.

use alloc::format;
use alloc::vec::Vec;

use super::malformed;
use crate::metadata::field::{Bits, Place};
use crate::metadata::registry::{Codec, Decoded, Query};
use crate::{Error, Kind, Modifier, Result, Stage};

const MOST_BYTES: usize = 128;
const LOW: Bits = Bits::new("MODIFIER_LO", 31, 0);
const HIGH: Bits = Bits::new("MODIFIER_HI", 31, 0);

/// The codec of what Mesa stores with msm's buffers.
#[derive(Debug, Clone, Copy)]
pub struct Msm;

impl Codec for Msm {
    fn name(&self) -> &'static str {
        "msm"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        query.driver == Some(self.name())
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let block = &query.metadata.block;
        if block.len() > MOST_BYTES {
            return Err(malformed(format!("{} bytes", block.len()), "msm keeps at most 128"));
        }
        let (Some(low), Some(high), 8) = (block.dword(0), block.dword(1), block.len()) else {
            return Err(Error::new(Stage::Import, Kind::Unsupported)
                .found(format!("{} bytes of msm metadata", block.len()))
                .why("user space defines them, and Mesa's have exactly 8: one modifier"));
        };
        let modifier = Modifier(u64::from(high) << 32 | u64::from(low));
        let fields = Vec::from([
            LOW.show(Place::Dword(0), u64::from(low), ""),
            HIGH.show(Place::Dword(1), u64::from(high), format!("{modifier}")),
        ]);
        let known = match modifier {
            Modifier::INVALID => Err(super::no_modifier("the block holds INVALID, which names no layout")),
            modifier => modifier.parse().map(|_| modifier),
        };
        let beyond = Vec::from([format!("the layout: {modifier}; msm has no word at all")]);
        Ok(Decoded::new(format!("a modifier: {modifier}"), fields, known).beyond_word(beyond))
    }
}
