//! The picture of the client `overlay`: a strip with a scale, a frame number and a clock; nothing elsewhere.

use handover::Extent;

use super::{Area, Canvas, font};
use crate::media::Rate;

const CLEAR: u32 = 0;
/// Black at 60 %, premultiplied.
const STRIP: u32 = 0x9900_0000;
const WHITE: u32 = 0xffff_ffff;
const GREY: u32 = 0xffa0_a0a0;
const NEEDLE: u32 = 0xffff_4020;

/// The needle runs over the whole scale in this many seconds.
const SWEEP_SECONDS: u64 = 4;

/// Draws frame `frame` of the overlay: everything transparent, and at the bottom a strip of an eighth of the height (at
/// least 24 pixels) with the scale and its moving needle, the frame number on the left and the clock on the right.
pub fn overlay(frame: u64, rate: Rate, canvas: &mut impl Canvas) {
    let extent = canvas.extent();
    let (width, height) = (extent.width().get(), extent.height().get());
    canvas.fill(Area::whole(extent), CLEAR);

    let strip = (height / 8).max(24).min(height);
    let top = height - strip;
    canvas.fill(Area { x: 0, y: top, width, height: strip }, STRIP);
    scale(frame, rate, canvas, top, strip);

    let dot = (strip / 24).max(1);
    let baseline = (top + strip).saturating_sub((font::GLYPH_HEIGHT + 2) * dot);
    let number = format!("FRAME {frame}");
    font::text(canvas, 4 * dot, baseline, dot, WHITE, &number);
    let time = clock(frame, rate);
    let left = width.saturating_sub(font::width(&time, dot) + 4 * dot);
    font::text(canvas, left, baseline, dot, WHITE, &time);
}

/// Media time of a frame: minutes, seconds, frames since the last full second.
///
/// ```
/// use handover_cli::{draw::clock, media::Rate};
/// assert_eq!(clock(25 * 61 + 3, Rate::DEFAULT), "1:01.03");
/// ```
pub fn clock(frame: u64, rate: Rate) -> String {
    let second = rate.second_of(frame);
    let rest = frame.saturating_sub(rate.frame_at(second));
    format!("{}:{:02}.{rest:02}", second / 60, second % 60)
}

/// The column of the needle's middle.
pub fn needle(frame: u64, rate: Rate, extent: Extent) -> u32 {
    let sweep = rate.frame_at(SWEEP_SECONDS).max(1);
    let column = u128::from(frame % sweep) * u128::from(extent.width().get()) / u128::from(sweep);
    u32::try_from(column).unwrap_or(0)
}

/// A tick every tenth of a second, a longer one every half, the longest every second; and the needle.
fn scale(frame: u64, rate: Rate, canvas: &mut impl Canvas, top: u32, strip: u32) {
    let extent = canvas.extent();
    let width = extent.width().get();
    let ticks = 10 * SWEEP_SECONDS as u32;
    for tick in 0..ticks {
        let length = match tick {
            tick if tick % 10 == 0 => strip / 2,
            tick if tick % 5 == 0 => strip / 3,
            _ => strip / 5,
        };
        let x = (u64::from(tick) * u64::from(width) / u64::from(ticks)) as u32;
        canvas.fill(Area { x, y: top, width: 1, height: length }, GREY);
    }
    let thickness = (width / 240).max(1);
    let left = needle(frame, rate, extent).saturating_sub(thickness / 2);
    canvas.fill(Area { x: left, y: top, width: thickness, height: strip / 2 + 1 }, NEEDLE);
}
