//! Which strides AMDGPU takes from a caller.
//!
//! Source: Mesa 25.0.7, `ac_surface.c:ac_surface_get_pitch_align`, `ac_surface_override_offset_stride`.

use alloc::format;
use alloc::string::String;

use crate::metadata::amdgpu::Level;
use crate::{Bytes, Elements, Error, Kind, Result, Stage};

/// The layout that was computed, as far as strides depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Computed {
    /// The level that lays it out.
    pub level: Level,
    /// Rows of pixels?
    pub linear: bool,
    /// Has it three dimensions?
    pub three_dimensional: bool,
    /// Has it DCC or other metadata planes?
    pub has_metadata: bool,
    /// Levels.
    pub levels: u32,
    /// Layers.
    pub layers: u32,
    /// Bytes of an element.
    pub bytes_per_element: Bytes,
    /// Width of a tiled block in elements.
    pub block_width: Elements,
    /// Bytes of the pixels of a row.
    pub row: Bytes,
    /// The stride that was computed.
    pub stride: Bytes,
}

impl Computed {
    /// What a stride must be a multiple of. `None` if the caller's stride is not looked at: three dimensions, whose tiles take none
    /// at all from GFX9 on.
    pub fn alignment(&self) -> Option<Bytes> {
        let bytes = self.bytes_per_element;
        match (self.three_dimensional, self.linear, self.level) {
            (true, ..) => None,
            (_, true, Level::Gfx12) => Some(Bytes(128)),
            (_, true, Level::Gfx6 | Level::Gfx7 | Level::Gfx8) => Some(Bytes(bytes.get().saturating_mul(8).max(64))),
            (_, true, _) => Some(Bytes(256)),
            (_, false, _) => bytes.checked_mul(u64::from(self.block_width.get())),
        }
    }

    /// Must the stride be the computed one, and why?
    pub const fn fixed(&self) -> Option<&'static str> {
        if self.has_metadata {
            return Some("there is DCC, whose pitch follows from it");
        }
        if self.layers > 1 || self.levels > 1 {
            return Some("there are several layers or levels, which are laid out with it");
        }
        match self.level {
            Level::Gfx10 => Some("descriptors of GFX10 have no pitch"),
            Level::Gfx6 | Level::Gfx7 | Level::Gfx8 => None,
            _ if !self.linear => Some("tiled surfaces of GFX9 and later have no pitch of their own"),
            _ => None,
        }
    }

    /// The stride to go on with, where the caller says `asked`.
    ///
    /// # Errors
    /// `Invalid`, saying the rule, if this layout cannot have that stride.
    pub fn check(&self, asked: Bytes) -> Result<Bytes> {
        let refused =
            |why: String| Error::new(Stage::Import, Kind::Invalid).asked(format!("a stride of {asked}")).why(why);
        if self.three_dimensional && !self.linear && self.level >= Level::Gfx9 {
            return Err(refused(
                "tiles of three dimensions have no pitch alignment from GFX9 on, so no stride is taken".into(),
            ));
        }
        let Some(alignment) = self.alignment() else { return Ok(self.stride) };
        if !asked.is_aligned(alignment) {
            return Err(refused(format!("it must be a multiple of {alignment}")));
        }
        match self.fixed() {
            Some(why) if asked != self.stride => {
                Err(refused(format!("it must be {}: {why}", self.stride)).help(format!("{}", self.stride)))
            }
            _ if asked < self.row => Err(refused(format!("a row needs {}", self.row))),
            _ => Ok(asked),
        }
    }
}
