//! Compression data of simulated devices: one byte for each 256 bytes of pixels.

use handover_model::layout::blocks::CompressionState;
use handover_model::{Bytes, Layout, Modifier, Stage};
use handover_sys::map::{Pixels, PixelsMut};

use super::has_display_dcc;
use crate::error::{Error, Kind, Result};

/// What one byte describes.
pub(super) const BLOCK: usize = 256;

/// Where the bytes for the pixels of plane 0 are.
#[derive(Debug, Clone, Copy)]
pub(super) struct States {
    begin: usize,
    pub(super) blocks: usize,
}

impl States {
    /// Those that are drawn by, and those for a display where the layout has them: AMD puts the display's plane first (Mesa 25.0.7,
    /// `ac_surface.c:ac_surface_get_plane_offset`). None if the layout is not compressed.
    pub(super) fn of(layout: &Layout) -> Result<(Option<Self>, Option<Self>)> {
        match layout.has_compression() {
            false => Ok((None, None)),
            true if has_display_dcc(layout.modifier()) => {
                Ok((Some(Self::of_plane(layout, 2)?), Some(Self::of_plane(layout, 1)?)))
            }
            true => Ok((Some(Self::of_plane(layout, 1)?), None)),
        }
    }

    /// What a peer alleges of the two planes is compared with what the layout makes of them.
    fn of_plane(layout: &Layout, index: usize) -> Result<Self> {
        let refused = |why: String| {
            Error::new(Stage::Import, Kind::Malformed)
                .asked(format!("the compression data of {}, plane {index}", layout.modifier()))
                .why(why)
        };
        let (Some(pixels), Some(states)) = (layout.plane(0), layout.plane(index)) else {
            return Err(refused("there is no such plane".into()));
        };
        let bytes = match layout.modifier() {
            Modifier::SIM_BLOCKS => pixels.size,
            _ => layout.placed(0)?.size(),
        };
        let blocks = Bytes(bytes.get().div_ceil(BLOCK as u64));
        if pixels.size < bytes || states.size < blocks {
            let (found, wanted) = (pixels.size, states.size);
            return Err(refused(format!("the planes have {found} and {wanted}; they need {bytes} and {blocks}")));
        }
        if pixels.end().is_none_or(|end| end > states.offset) {
            return Err(refused("it begins inside the pixels".into()));
        }
        let fits = |bytes: Bytes| usize::try_from(bytes.get()).map_err(|_| refused("no memory reaches so far".into()));
        Ok(Self { begin: fits(states.offset)?, blocks: fits(blocks)? })
    }

    pub(super) fn get(&self, pixels: &Pixels<'_>, block: usize) -> Result<CompressionState> {
        let byte = pixels.get_u8(self.begin + block).filter(|_| block < self.blocks);
        CompressionState::from_byte(byte.ok_or_else(|| broken(block))?)
    }

    pub(super) fn set(&self, pixels: &PixelsMut<'_>, block: usize, state: CompressionState) -> Result<()> {
        if pixels.set_u8(self.begin + block, state.byte()) { Ok(()) } else { Err(broken(block)) }
    }
}

/// The layout was checked against the memory at import: a block outside is our bug.
pub(super) fn broken(block: usize) -> Error {
    Error::new(Stage::Access, Kind::Unreachable).found(format!("block {block} outside its surface"))
}
