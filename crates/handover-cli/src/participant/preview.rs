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

/// Reads every frame of the one input. The middle is the first frame that comes from half of the run on; a mailbox may pass
/// over any one of them. A stream that ends by itself before that (its producer reads a mailbox) has its last frame for a
/// middle. If frames end before the run does, the last one that came is the last.
pub(super) fn preview(job: &Job, directory: FilePath, inputs: &mut [Input], desk: &mut Desk) -> Result<()> {
    let [input] = inputs else { return Ok(()) };
    let directory = PathBuf::from(directory);
    let [first, middle, last] = FILES.map(|which| directory.join(file_name(&job.name, which)));
    let halfway = job.frames.div_ceil(2);
    let mut middle = Some(middle);
    while input.next(desk)? == Taken::Frame {
        desk.tally.shown += 1;
        if desk.tally.shown == 1 {
            write(&first, input.pixels(), desk)?;
        }
        // Counting what was shown lost the middle of a mailbox. A frame that is known to be that far is: those that never
        // reached us are not in the sum.
        let (tally, _) = input.tally();
        if let Some(middle) = middle.take_if(|_| tally.taken + tally.skipped >= halfway) {
            write(&middle, input.pixels(), desk)?;
        }
        desk.frame_done(desk.tally.shown);
    }
    desk.frames_done();
    if desk.tally.shown > 0 {
        let middle = middle.filter(|_| !desk.is_stopping());
        for path in middle.iter().chain([&last]) {
            write(path, input.pixels(), desk)?;
        }
    }
    Ok(())
}

fn write(path: &Path, pixels: &Pixels, desk: &mut Desk) -> Result<()> {
    timed(&mut desk.tally.time.encoder, || png::write(path, pixels.extent(), pixels.bytes()))?;
    Ok(())
}
