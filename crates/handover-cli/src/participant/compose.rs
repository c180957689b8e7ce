//! Participants that make one frame of several: `compositor` and `blend`.

use super::desk::{Desk, timed};
use super::input::{Input, Taken};
use super::{Ends, Result};
use crate::draw::{Area, Canvas, Pixels, blend_row};
use crate::media::colour::PIXEL;

/// Opaque black: what shows where nothing lies.
pub(super) const BACKGROUND: u32 = 0xff00_0000;

/// Lays the inputs over each other, the first one at the bottom, all from the top left.
pub(super) fn compositor(ends: &mut Ends, desk: &mut Desk) -> Result<()> {
    compose(ends, desk, |canvas, _, input| place(canvas, (0, 0), input))
}

/// Puts the inputs side by side, `columns` in a row, each in a tile of this width and height.
pub(super) fn blend(columns: u32, (width, height): (u32, u32), ends: &mut Ends, desk: &mut Desk) -> Result<()> {
    compose(ends, desk, |canvas, index, input| {
        let columns = columns.max(1) as usize;
        let at = |tile: usize, edge: u32| edge as usize * tile;
        place(canvas, (at(index % columns, width), at(index / columns, height)), input);
    })
}

/// Round after round, until an input ends or nobody reads.
fn compose(ends: &mut Ends, desk: &mut Desk, mut put: impl FnMut(&mut Pixels, usize, &Pixels)) -> Result<()> {
    while round(ends, desk, &mut put)? {}
    desk.frames_done();
    Ok(())
}

/// One frame of each input, and one of ours. `false` if that could not be.
fn round(ends: &mut Ends, desk: &mut Desk, put: &mut impl FnMut(&mut Pixels, usize, &Pixels)) -> Result<bool> {
    let Some(room) = ends.output.room(desk)? else { return Ok(false) };
    timed(&mut desk.tally.time.cpu, || {
        let canvas = ends.output.pixels();
        canvas.fill(Area::whole(canvas.extent()), BACKGROUND);
    });
    for (index, input) in ends.inputs.iter_mut().enumerate() {
        if Input::next(input, desk)? == Taken::End {
            return Ok(false);
        }
        timed(&mut desk.tally.time.cpu, || put(ends.output.pixels(), index, input.pixels()));
    }
    desk.tally.shown += 1;
    ends.output.submit(room, desk)?;
    desk.frame_done(desk.tally.shown);
    Ok(true)
}

/// Blends a picture over the canvas, its top left at column and row `at`; what reaches beyond is cut off.
pub(super) fn place(canvas: &mut Pixels, (x, y): (usize, usize), picture: &Pixels) {
    let (to_stride, from_stride) = (canvas.stride(), picture.stride());
    let rows = canvas.bytes_mut().chunks_exact_mut(to_stride).skip(y);
    for (to, from) in rows.zip(picture.bytes().chunks_exact(from_stride)) {
        if let Some(to) = to.get_mut(x * PIXEL..) {
            let length = to.len().min(from.len());
            if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
                blend_row(to, from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::place;
    use crate::draw::{Area, Canvas, Pixels};
    use handover::Extent;

    #[test]
    fn a_picture_is_cut_off_at_the_edges_of_the_canvas() {
        let mut canvas = Pixels::new(Extent::new(4, 3).unwrap());
        let mut tile = Pixels::new(Extent::new(3, 3).unwrap());
        tile.fill(Area::whole(tile.extent()), 0xffff_ffff);
        place(&mut canvas, (2, 1), &tile);
        let white = |x, y| canvas.get(x, y) == Some(0xffff_ffff);
        assert!((0..4).all(|x| (0..3).all(|y| white(x, y) == (x >= 2 && y >= 1))));
    }
}
