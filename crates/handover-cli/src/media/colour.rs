//! I420 to and from XRGB8888.
//!
//! BT.601, limited range (luma 16 to 235, chroma 16 to 240). It is what players assume of a small picture whose stream
//! says nothing, which is how the clips and the encoders here come; our own files also say it, in `colr` and in the SPS.
//! The coefficients are those of ITU-R BT.601 scaled to 65536, so that an entry is off by no more than rounding.

use super::I420;

/// Bytes of a pixel of XRGB8888 and its kin.
pub const PIXEL: usize = 4;

const HALF: i32 = 1 << 15;

/// Writes row `row` of the picture as XRGB8888; x is 255. A row that is not there, and pixels beyond the width of either,
/// are left alone.
pub fn to_xrgb_row(picture: &I420, row: usize, xrgb: &mut [u8]) {
    let (width, chroma) = (picture.width(), picture.chroma_width());
    let line = |plane: &[u8], row: usize, width: usize| -> Option<std::ops::Range<usize>> {
        let start = row.checked_mul(width)?;
        let end = start.checked_add(width)?;
        (end <= plane.len()).then_some(start..end)
    };
    let Some(y) = line(picture.y(), row, width).and_then(|range| picture.y().get(range)) else { return };
    let range = line(picture.u(), row / 2, chroma);
    let Some(u) = range.clone().and_then(|range| picture.u().get(range)) else { return };
    let Some(v) = range.and_then(|range| picture.v().get(range)) else { return };

    // Two pixels share their chroma; in pairs the compiler turns the loop into vectors.
    for (((out, y), u), v) in xrgb.chunks_mut(2 * PIXEL).zip(y.chunks(2)).zip(u).zip(v) {
        let (u, v) = (i32::from(*u) - 128, i32::from(*v) - 128);
        let (red, green, blue) = (104_597 * v + HALF, -25_675 * u - 53_279 * v + HALF, 132_201 * u + HALF);
        for (out, y) in out.as_chunks_mut::<PIXEL>().0.iter_mut().zip(y) {
            let y = 76_309 * (i32::from(*y) - 16);
            *out = [clamp((y + blue) >> 16), clamp((y + green) >> 16), clamp((y + red) >> 16), 255];
        }
    }
}

/// Takes rows `2 * pair` and `2 * pair + 1` of the picture from XRGB8888 rows. Chroma is the mean of its two by two
/// pixels; at an odd right edge of its two. For the last row of an odd height give the same row twice.
///
/// A pair that is not there, and pixels beyond the width of either, are left alone.
pub fn from_xrgb_rows(picture: &mut I420, pair: usize, top: &[u8], bottom: &[u8]) {
    let (width, chroma) = (picture.width(), picture.chroma_width());
    let [y, u, v] = picture.planes_mut();
    let Some(luma) = pair.checked_mul(2 * width).and_then(|at| y.get_mut(at..)) else { return };
    let Some(u) = pair.checked_mul(chroma).and_then(|at| u.get_mut(at..)) else { return };
    let Some(v) = pair.checked_mul(chroma).and_then(|at| v.get_mut(at..)) else { return };

    for (row, pixels) in luma.chunks_exact_mut(width).zip([top, bottom]) {
        for (y, [blue, green, red, _]) in row.iter_mut().zip(pixels.as_chunks::<PIXEL>().0) {
            let sum = 16_829 * i32::from(*red) + 33_039 * i32::from(*green) + 6_416 * i32::from(*blue);
            *y = clamp((sum + (16 << 16) + HALF) >> 16);
        }
    }
    let blocks = top.chunks(2 * PIXEL).zip(bottom.chunks(2 * PIXEL)).take(chroma);
    for (((top, bottom), u), v) in blocks.zip(u).zip(v) {
        // An odd edge has half a block: its two pixels count twice, so that the divisor stays four.
        let (top, bottom) = (top.as_chunks::<PIXEL>().0, bottom.as_chunks::<PIXEL>().0);
        let [a, b, c, d] = match (top, bottom) {
            ([a, b, ..], [c, d, ..]) => [a, b, c, d],
            ([a, ..], [c, ..]) => [a, a, c, c],
            _ => continue,
        };
        let mean = |i: fn(&[u8; PIXEL]) -> u8| [a, b, c, d].into_iter().map(|pixel| i32::from(i(pixel))).sum::<i32>();
        let (blue, green, red) = (mean(|p| p[0]), mean(|p| p[1]), mean(|p| p[2]));
        let half = (128 << 18) + (1 << 17);
        *u = clamp((-9_714 * red - 19_070 * green + 28_784 * blue + half) >> 18);
        *v = clamp((28_784 * red - 24_103 * green - 4_681 * blue + half) >> 18);
    }
}

/// The whole picture as XRGB8888, rows without padding.
pub fn to_xrgb(picture: &I420) -> Vec<u8> {
    let stride = picture.width() * PIXEL;
    let mut xrgb = vec![0; stride * picture.height()];
    for (row, out) in xrgb.chunks_exact_mut(stride).enumerate() {
        to_xrgb_row(picture, row, out);
    }
    xrgb
}

/// Takes the whole picture from XRGB8888 rows without padding. Rows beyond the height of either are left alone.
pub fn from_xrgb(picture: &mut I420, xrgb: &[u8]) {
    let (stride, height) = (picture.width() * PIXEL, picture.height());
    for (pair, rows) in xrgb.chunks(2 * stride).take(height.div_ceil(2)).enumerate() {
        let (top, bottom) = rows.split_at(stride.min(rows.len()));
        from_xrgb_rows(picture, pair, top, if bottom.len() < stride { top } else { bottom });
    }
}

fn clamp(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}
