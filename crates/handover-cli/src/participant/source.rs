//! Participants that make frames from nothing: `clip`, `overlay`, `pattern`.

use std::path::PathBuf;

use super::Result;
use super::desk::{Desk, timed};
use super::job::{FilePath, Job};
use super::output::Output;
use crate::draw;
use crate::media::colour::to_xrgb_row;
use crate::media::h264::Frames;
use crate::media::mp4::Clip;

/// Decodes the clip, one picture a frame, as fast as the readers take them.
pub(super) fn clip(job: &Job, input: Option<FilePath>, output: &mut Output, desk: &mut Desk) -> Result<()> {
    let clip = match input {
        Some(path) => Clip::open(&PathBuf::from(path))?,
        None => Clip::from_bytes(Clip::DEFAULT_NAME, Clip::DEFAULT)?,
    };
    let mut pictures = Frames::new(&clip)?;
    let result = each_frame(job.frames, output, desk, |output, desk, _| {
        let Some(picture) = timed(&mut desk.tally.time.cpu, || pictures.next()).transpose()? else { return Ok(false) };
        timed(&mut desk.tally.time.cpu, || {
            let stride = output.pixels().stride();
            for (row, xrgb) in output.pixels().bytes_mut().chunks_exact_mut(stride).enumerate() {
                to_xrgb_row(&picture, row, xrgb);
            }
        });
        Ok(true)
    });
    desk.file_bytes += clip.file_bytes();
    result
}

/// Draws a moving scale, the number of the frame and a clock on nothing.
pub(super) fn overlay(job: &Job, output: &mut Output, desk: &mut Desk) -> Result<()> {
    let rate = job.rate()?;
    each_frame(job.frames, output, desk, |output, desk, frame| {
        timed(&mut desk.tally.time.cpu, || draw::overlay(frame, rate, output.pixels()));
        Ok(true)
    })
}

/// Draws a moving test card.
pub(super) fn pattern(job: &Job, index: u32, output: &mut Output, desk: &mut Desk) -> Result<()> {
    each_frame(job.frames, output, desk, |output, desk, frame| {
        timed(&mut desk.tally.time.cpu, || draw::pattern(frame, index, output.pixels()));
        Ok(true)
    })
}

/// For every frame, from 0: room, drawing, handing over. `draw` gives whether there was something to draw.
fn each_frame(
    frames: u64,
    output: &mut Output,
    desk: &mut Desk,
    mut draw: impl FnMut(&mut Output, &mut Desk, u64) -> Result<bool>,
) -> Result<()> {
    for frame in 0..frames {
        let Some(room) = output.room(desk)? else { break };
        if !draw(output, desk, frame)? {
            desk.tally.ended_at = Some(frame);
            break;
        }
        output.submit(room, desk)?;
        desk.frame_done(frame + 1);
    }
    desk.frames_done();
    Ok(())
}
