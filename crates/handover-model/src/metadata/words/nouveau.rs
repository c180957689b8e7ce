//! nouveau: tile mode and storage kind, fixed when the buffer is made.
//!
//! Source: `nouveau_drm.h` (struct drm_nouveau_gem_info; NOUVEAU_GEM_TILE_*).

use alloc::format;
use alloc::vec::Vec;

use super::{by_driver_or_vendor, no_modifier};
use crate::metadata::field::{Bits, Place};
use crate::metadata::registry::{Codec, Decoded, Query};
use crate::{Modifier, Result};

const TILE_MODE: Bits = Bits::new("TILE_MODE", 31, 0);
const NONCONTIG: Bits = Bits::new("NONCONTIG", 35, 35);
const KIND: Bits = Bits::new("KIND", 47, 40);
const COMPRESSION: Bits = Bits::new("COMPRESSION", 49, 48);

/// The codec of nouveau's two words.
#[derive(Debug, Clone, Copy)]
pub struct Nouveau;

impl Codec for Nouveau {
    fn name(&self) -> &'static str {
        "nouveau"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        by_driver_or_vendor(query, self.name(), 0x10de)
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let raw = query.metadata.word.0;
        let (mode, kind) = (TILE_MODE.get(raw), KIND.get(raw));
        let fields = Vec::from([
            TILE_MODE.show(Place::Word, raw, "as the generation defines it"),
            NONCONTIG.show(Place::Word, raw, "pages need not be contiguous"),
            KIND.show(Place::Word, raw, if kind == 0 { "pitch: linear" } else { "as the generation defines it" }),
            COMPRESSION.show(Place::Word, raw, "NV50 alone"),
        ]);
        if kind == 0 && mode == 0 {
            return Ok(Decoded::new("linear (kind 0)", fields, Ok(Modifier::LINEAR)));
        }
        let missing = "the chip's generation is missing: tile_mode and kind mean other blocks on each";
        let summary = format!("kind {kind:#04x}, tile mode {mode:#x}");
        Ok(Decoded::new(summary, fields, Err(no_modifier(missing).help("the chipset of the producer's device"))))
    }
}
