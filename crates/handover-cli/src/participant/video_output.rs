//! The participant `output`: a V4L2 device reads its producer's surfaces where they are.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use handover::Deadline;
use handover::backend::linux::v4l2::{Direction, VideoQueue};

use super::Result;
use super::desk::{Desk, micros};
use super::input::{Input, Taking};
use super::job::FilePath;

/// Surfaces that the device has at once. It goes on showing the last, so with fewer than two none comes back.
const QUEUED: usize = 2;

/// A device that gives no surface back for so long is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets the device read every frame of the one input.
pub(super) fn output(node: FilePath, inputs: &mut [Input], desk: &mut Desk) -> Result<()> {
    let [input] = inputs else { return Ok(()) };
    let mut queue: VideoQueue<Taking> = VideoQueue::open(PathBuf::from(node), Direction::Output)?;
    let mut is_started = false;
    while let Some(taking) = input.take(desk)? {
        if !is_started && queue.queued() == 0 {
            let surfaces = u32::try_from(input.surfaces().len()).unwrap_or(u32::MAX);
            queue.set_layout(taking.surface().layout(), surfaces)?;
        }
        queue.queue(taking)?;
        if queue.queued() < QUEUED {
            continue;
        }
        if !std::mem::replace(&mut is_started, true) {
            queue.start()?;
        }
        finish_one(&mut queue, input, desk)?;
    }
    desk.frames_done();
    // What it still shows it has read.
    for taking in queue.stop()? {
        count(input, taking, desk)?;
    }
    Ok(())
}

fn finish_one(queue: &mut VideoQueue<Taking>, input: &mut Input, desk: &mut Desk) -> Result<()> {
    let started = Instant::now();
    let done = queue.next(Deadline::after(PATIENCE));
    desk.tally.time.device += micros(started.elapsed());
    count(input, done?.held, desk)
}

fn count(input: &mut Input, taking: Taking, desk: &mut Desk) -> Result<()> {
    input.done(taking, desk)?;
    desk.tally.shown += 1;
    desk.frame_done(desk.tally.shown);
    Ok(())
}
