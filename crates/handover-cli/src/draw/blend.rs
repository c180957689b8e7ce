//! Mixing one row over another.

use crate::media::colour::PIXEL;

/// Puts a row of premultiplied `ARGB8888` over a row of `XRGB8888`: each channel becomes `source + target * (255 - alpha) / 255`,
/// rounded. x becomes 255. The shorter row decides how many pixels are mixed.
///
/// A source whose channels exceed its alpha (which is wrong) saturates.
pub fn blend_row(target: &mut [u8], source: &[u8]) {
    for (target, source) in target.as_chunks_mut::<PIXEL>().0.iter_mut().zip(source.as_chunks::<PIXEL>().0) {
        let alpha = source[3];
        // Most of an overlay is one of these two.
        if alpha == 0 && source[..3] == [0, 0, 0] {
            continue;
        }
        if alpha == 255 {
            *target = *source;
            continue;
        }
        let rest = u32::from(255 - alpha);
        for (target, source) in target.iter_mut().zip(source) {
            let product = u32::from(*target) * rest + 128;
            // Exactly product / 255, rounded, for products of two bytes.
            *target = source.saturating_add(((product + (product >> 8)) >> 8) as u8);
        }
        target[3] = 255;
    }
}
