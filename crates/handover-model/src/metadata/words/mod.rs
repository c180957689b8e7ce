//! What other drivers of the kernel keep with a buffer: the codecs of their words, one file a driver.
//!
//! Where a driver keeps two numbers of 32 bits, the first is the low half of our [`Word`](crate::Word).
//!
//! | driver | low half | high half | ioctl |
//! |---|---|---|---|
//! | radeon | tiling_flags | pitch | GEM_GET_TILING |
//! | i915 | stride, with the mode in its low 7 bits | bit-6 swizzle | GET_TILING |
//! | nouveau | tile_mode | tile_flags | GEM_INFO |
//! | tegra | mode | value | GEM_GET_TILING |
//! | vc4 | a modifier (all 64 bits) | | GET_TILING |
//! | msm | nothing; its block holds a modifier | | GEM_INFO, GET_METADATA |
//!
//! None of them carries a header, so a consumer has to know the driver; or a writer adds a header and nothing more, whose vendor then
//! says whose word it is (i915 and nouveau), be it 0: nouveau's kind 0 is pitch, which is linear, since it is fixed when the buffer is
//! made; i915's mode 0 is what every buffer has that nobody set, X or Y tiles being all that can be set, and stays unknown. xe, virtio-gpu, etnaviv, v3d, lima, panfrost and panthor keep
//! nothing of the kind: for them there are modifiers. Source: Linux 6.12, `include/uapi/drm/*_drm.h`.

mod i915;
mod msm;
mod nouveau;
mod radeon;
mod tegra;
mod vc4;

use alloc::string::String;

pub use i915::I915;
pub use msm::Msm;
pub use nouveau::Nouveau;
pub use radeon::Radeon;
pub use tegra::Tegra;
pub use vc4::Vc4;

use super::registry::Query;
use crate::{Error, Header, Kind, Stage, Text};

/// Is it this driver's word: by the driver's name, or by a bare header of the vendor whose chips it drives?
fn by_driver_or_vendor(query: &Query<'_>, driver: &str, vendor_id: u16) -> bool {
    let block = &query.metadata.block;
    let bare = block.header().filter(|_| block.len() == Header::BYTES);
    match query.driver {
        Some(known) => known == driver,
        None => bare.is_some_and(|header| header.vendor_id == vendor_id),
    }
}

/// Why there is no modifier that is certain.
fn no_modifier(why: impl Into<Text>) -> Error {
    Error::new(Stage::Import, Kind::Unsupported).asked("a modifier for this word").why(why)
}

fn malformed(found: String, why: impl Into<Text>) -> Error {
    Error::new(Stage::Import, Kind::Malformed).found(found).why(why)
}
