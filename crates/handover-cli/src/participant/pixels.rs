//! Between the order of bytes in a surface and the one this program draws in.
//!
//! Drawing knows blue, green, red, alpha. `XBGR8888` and `ABGR8888` have red and blue the other way round, and what a
//! format without alpha keeps in its fourth byte is nobody's business.

use std::borrow::Cow;

use handover::Format;

use crate::media::colour::PIXEL;

/// Pixels that were read from a surface of this format, made fit for drawing.
pub(super) fn from_memory(format: Format, bytes: &mut [u8]) {
    swap(format, bytes);
    if !format.has_alpha() {
        bytes.as_chunks_mut::<PIXEL>().0.iter_mut().for_each(|pixel| pixel[3] = 255);
    }
}

/// Drawn pixels as a surface of this format has them.
pub(super) fn to_memory(format: Format, bytes: &[u8]) -> Cow<'_, [u8]> {
    if !is_swapped(format) {
        return Cow::Borrowed(bytes);
    }
    let mut swapped = bytes.to_vec();
    swap(format, &mut swapped);
    Cow::Owned(swapped)
}

fn swap(format: Format, bytes: &mut [u8]) {
    if is_swapped(format) {
        bytes.as_chunks_mut::<PIXEL>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
    }
}

fn is_swapped(format: Format) -> bool {
    format == Format::XBGR8888 || format == Format::ABGR8888
}

#[cfg(test)]
mod tests {
    use super::{from_memory, to_memory};
    use handover::Format;

    #[test]
    fn red_and_blue_change_places_for_the_bgr_formats_alone() {
        let drawn = [1, 2, 3, 4];
        assert_eq!(&*to_memory(Format::ARGB8888, &drawn), [1, 2, 3, 4]);
        assert_eq!(&*to_memory(Format::ABGR8888, &drawn), [3, 2, 1, 4]);
        for (format, alpha) in [(Format::ABGR8888, 4), (Format::XBGR8888, 255), (Format::XRGB8888, 255)] {
            let mut back = to_memory(format, &drawn).into_owned();
            from_memory(format, &mut back);
            assert_eq!(back, [1, 2, 3, alpha], "{format}");
        }
    }
}
