//! The participant `camera`: a V4L2 device fills its surfaces, and each is published when the device is done with it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use handover::backend::linux::v4l2::{Direction, VideoQueue};
use handover::stream::Draft;
use handover::{Deadline, Stage};

use super::desk::{Desk, micros};
use super::job::{FilePath, Job};
use super::output::Output;
use super::{Failure, Result};

/// How long one wait for the device is, between looks whether to stop.
const SLICE: Duration = Duration::from_millis(100);

/// A camera that gives no picture for so long is broken. One picture a second is slow, and a machine may be slower.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets the device fill surfaces until the run has its frames, nobody reads, or it is to stop.
pub(super) fn camera(job: &Job, node: FilePath, output: &mut Output, desk: &mut Desk) -> Result<()> {
    let Some((layout, surfaces)) = output.layout() else {
        return Err(Failure::new("nobody shares the camera's surfaces, and it has no others"));
    };
    let mut queue: VideoQueue<Draft> = VideoQueue::open(PathBuf::from(node), Direction::Capture)?;
    queue.set_layout(&layout, surfaces)?;
    let rate = job.rate()?;
    queue.set_rate(rate.frames(), rate.seconds())?;
    let mut is_started = false;
    let mut sequence = None;
    let mut frames = 0;
    while frames < job.frames {
        // All that are free, so that a slow reader costs pictures only when it has the rest of the pool.
        while let Some(draft) = output.draft(queue.queued() == 0, desk)? {
            queue.queue(draft)?;
        }
        if queue.queued() == 0 {
            break;
        }
        if !std::mem::replace(&mut is_started, true) {
            queue.start()?;
        }
        let Some(done) = next(&mut queue, desk)? else { break };
        // Pictures for which there was no surface.
        let before = sequence.replace(done.sequence);
        desk.tally.dropped +=
            before.map_or(0, |before| u64::from(done.sequence.wrapping_sub(before).saturating_sub(1)));
        if done.is_damaged {
            desk.tally.dropped += 1;
            continue;
        }
        output.publish(done.held, desk)?;
        frames += 1;
        desk.frame_done(frames);
    }
    desk.frames_done();
    // Surfaces that the device still had go back unpublished.
    drop(queue.stop()?);
    Ok(())
}

/// The next picture. `None`: the run is to stop.
fn next(queue: &mut VideoQueue<Draft>, desk: &mut Desk) -> Result<Option<handover::backend::linux::v4l2::Done<Draft>>> {
    desk.stage(Stage::Access);
    let started = Instant::now();
    loop {
        match queue.next(Deadline::after(SLICE)) {
            Err(error) if error.is_timeout() && started.elapsed() < PATIENCE => {
                if desk.is_stopping() {
                    return Ok(None);
                }
            }
            done => {
                desk.tally.time.device += micros(started.elapsed());
                return Ok(Some(done?));
            }
        }
    }
}
