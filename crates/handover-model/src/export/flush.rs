//! What AMDGPU's `flush` writes out, by generation, and what a shared surface may not do any more.
//!
//! `flush` makes readable what the shared metadata does not describe: clear colours that only the producer knows, and a display's
//! copy of DCC that lags behind. It does not decompress: a consumer of the same chip reads DCC, and every other one either made the
//! export drop it or never sees it. Source: Mesa 25.0.7, `si_blit.c:si_flush_resource`, `si_clear.c`, `si_state.c`.

use alloc::vec::Vec;
use core::fmt;

use super::amdgpu::{HandleUsage, Texture};
use crate::metadata::amdgpu::Level;

/// What happened since the last flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dirty {
    /// Some level was cleared or drawn to with compression.
    pub colour: bool,
    /// The surface was drawn to since its display DCC was made.
    pub display: bool,
}

/// One pass of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Several samples: resolve FMASK, over all levels that are dirty.
    DecompressFmask,
    /// Write clear colours into the pixels, over all levels that are dirty.
    EliminateFastClears,
    /// Make the display's DCC of the renderer's.
    RetileDisplayDcc,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DecompressFmask => "resolve FMASK",
            Self::EliminateFastClears => "eliminate fast clears",
            Self::RetileDisplayDcc => "retile the display's DCC",
        })
    }
}

/// The passes of a flush, in order. Empty: there is nothing that the metadata does not describe.
///
/// ```
/// use handover_model::export::amdgpu::Texture;
/// use handover_model::export::flush::{Dirty, Pass, passes};
/// use handover_model::metadata::amdgpu::Level;
/// let shown = Texture { dcc: true, display_dcc: true, ..Texture::new(Level::Gfx10_3) };
/// let dirty = Dirty { colour: true, display: true };
/// assert_eq!(passes(&shown, dirty), [Pass::EliminateFastClears, Pass::RetileDisplayDcc]);
/// assert!(passes(&Texture { dcc: true, ..Texture::new(Level::Gfx12) }, dirty).is_empty());
/// ```
pub fn passes(texture: &Texture, dirty: Dirty) -> Vec<Pass> {
    let mut passes = Vec::new();
    if texture.level == Level::Gfx12 || !(texture.cmask || texture.dcc) {
        return passes;
    }
    // From GFX11 on the words that a clear leaves behind describe themselves.
    if dirty.colour && texture.level < Level::Gfx11 {
        passes.push(if texture.samples > 1 { Pass::DecompressFmask } else { Pass::EliminateFastClears });
    }
    if texture.display_dcc && dirty.display {
        passes.push(Pass::RetileDisplayDcc);
    }
    passes
}

/// What the producer may still do with a surface that it shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Afterwards {
    /// Clear through CMASK: the clear colour is not exported, so only while a flush is promised.
    pub cmask_clears: bool,
    /// Clear through DCC with colours that need elimination: as above.
    pub dcc_clears_of_any_colour: bool,
    /// Clear through DCC with colours that DCC itself encodes: as above on chips that do not encode constants.
    pub dcc_clears_of_constants: bool,
    /// Retile the display's DCC at the end of every submission, since nobody will call flush.
    pub retile_each_submission: bool,
    /// Replace its memory by other memory.
    pub replace_memory: bool,
}

/// What a surface may do under these usages of all its exports; `None` while it is not shared.
pub fn afterwards(texture: &Texture, usage: Option<HandleUsage>) -> Afterwards {
    let promised = usage.is_none_or(|usage| usage.contains(HandleUsage::EXPLICIT_FLUSH));
    Afterwards {
        cmask_clears: promised,
        dcc_clears_of_any_colour: promised,
        dcc_clears_of_constants: promised || texture.constant_encode,
        retile_each_submission: !promised && texture.display_dcc,
        replace_memory: usage.is_none(),
    }
}
