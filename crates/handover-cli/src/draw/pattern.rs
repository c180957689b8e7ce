//! A moving test card, so that the clients of a pipeline without a clip can be told apart.

use super::{Area, Canvas, font};

/// Far apart, and so in luma too: a client shown in another's place is seen in a grey picture as well.
const COLOURS: [u32; 8] =
    [0xff20_4080, 0xffc0_5020, 0xff30_9040, 0xffb0_a020, 0xff70_3090, 0xff20_a0a0, 0xffc0_6090, 0xff60_6060];
const LIGHT: u32 = 0xfff0_f0f0;
const DARK: u32 = 0xff10_1010;

/// Squares of the board in pixels.
const SQUARE: u32 = 32;

/// The colour of client `index`; the eight repeat.
pub fn colour(index: u32) -> u32 {
    COLOURS.get(index as usize % COLOURS.len()).copied().unwrap_or(LIGHT)
}

/// The edge of the square of grain, if the canvas is large enough.
const GRAIN: u32 = 64;

/// Draws frame `frame` of client `index`: a board in its colour, a bar that moves four pixels a frame, its index and
/// the frame number, and in the last corner a square whose pixels all differ a little.
pub fn pattern(frame: u64, index: u32, canvas: &mut impl Canvas) {
    let extent = canvas.extent();
    let (width, height) = (extent.width().get(), extent.height().get());
    let colour = colour(index);
    canvas.fill(Area::whole(extent), colour);
    // Half as bright, alpha kept.
    let dim = (colour >> 1) & 0x007f_7f7f | 0xff00_0000;
    for y in (0..height).step_by(SQUARE as usize) {
        let odd = (y / SQUARE % 2) * SQUARE;
        for x in (odd..width).step_by(2 * SQUARE as usize) {
            canvas.fill(Area { x, y, width: SQUARE, height: SQUARE }, dim);
        }
    }

    let thickness = (width / 20).max(1);
    // Every client starts elsewhere, so that no two look alike in grey.
    let travelled = u128::from(frame) * 4 + u128::from(index) * u128::from(width / 8);
    let x = (travelled % u128::from(width)) as u32;
    canvas.fill(Area { x, y: 0, width: thickness, height }, LIGHT);

    let dot = (height / 80).max(1);
    let label = format!("{index}");
    let box_height = (font::GLYPH_HEIGHT + 4) * dot;
    let number = format!("FRAME {frame}");
    let box_width = font::width(&label, 2 * dot).max(font::width(&number, dot)) + 4 * dot;
    canvas.fill(Area { x: 0, y: 0, width: box_width, height: 2 * box_height + 2 * dot }, DARK);
    font::text(canvas, 2 * dot, 2 * dot, 2 * dot, LIGHT, &label);
    font::text(canvas, 2 * dot, box_height + 6 * dot, dot, LIGHT, &number);
    grain(canvas, dim);
}

/// All else is made of squares of several pixels: a decoder that took neighbours for each other drew the same card.
fn grain(canvas: &mut impl Canvas, colour: u32) {
    let extent = canvas.extent();
    let (width, height) = (extent.width().get(), extent.height().get());
    let edge = GRAIN.min(width / 4).min(height / 4);
    for y in height - edge..height {
        for x in width - edge..width {
            let mixed = x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b);
            let noise = (mixed ^ mixed >> 15).wrapping_mul(0x2c1b_3c6d) >> 8;
            canvas.set(x, y, colour ^ (noise & 0x0007_0707));
        }
    }
}
