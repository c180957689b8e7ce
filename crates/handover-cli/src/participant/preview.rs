//! The participant `preview`: pictures of the first, the middle and the last frame.

use std::path::{Path, PathBuf};

use super::Result;
use super::desk::{Desk, timed};
use super::input::{Input, Taken};
use super::job::{FilePath, Job};
use crate::draw::{Canvas, Pixels};
use crate::media::png;

/// What the three files of a preview are called, behind its name.
pub(super) const FILES: [&str; 3] = ["first", "middle", "last"];

/// The file of one picture.
pub(super) fn file_name(participant: &str, which: &str) -> String {
    format!("{participant}-{which}.png")
}

/// Reads every frame of the one input. If frames end before the run does, the last one that came is the last.
pub(super) fn preview(job: &Job, directory: FilePath, inputs: &mut [Input], desk: &mut Desk) -> Result<()> {
    let [input] = inputs else { return Ok(()) };
    let directory = PathBuf::from(directory);
    let [first, middle, last] = FILES.map(|which| directory.join(file_name(&job.name, which)));
    let halfway = job.frames.div_ceil(2);
    while input.next(desk)? == Taken::Frame {
        desk.tally.shown += 1;
        let frame = desk.tally.shown;
        if frame == 1 {
            write(&first, input.pixels(), desk)?;
        }
        if frame == halfway {
            write(&middle, input.pixels(), desk)?;
        }
        desk.frame_done(frame);
    }
    desk.frames_done();
    if desk.tally.shown > 0 {
        write(&last, input.pixels(), desk)?;
    }
    Ok(())
}

fn write(path: &Path, pixels: &Pixels, desk: &mut Desk) -> Result<()> {
    timed(&mut desk.tally.time.encoder, || png::write(path, pixels.extent(), pixels.bytes()))?;
    Ok(())
}
