//! The participant `screen`: shows its producer's surfaces on a screen of a card, and writes a picture of the last one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use handover::Deadline;
use handover::backend::linux::scanout::Scanout;
use handover::backend::linux::{Card, Held};

use super::Result;
use super::desk::{Desk, micros, timed};
use super::input::{Input, Taking};
use super::job::{FilePath, Job};
use crate::media::png;

/// A flip that takes so long will not come. Longer than any driver's fence lives.
const PATIENCE: Duration = Duration::from_secs(20);

/// The picture of the last frame.
pub(super) fn file_name(participant: &str) -> String {
    format!("{participant}-last.png")
}

/// Shows every frame of the one input. The surface of a frame is released when the next one is on the screen. The last one stays for
/// `linger`; then comes back what was there before.
pub(super) fn screen(
    job: &Job,
    node: FilePath,
    linger: Duration,
    directory: FilePath,
    inputs: &mut [Input],
    desk: &mut Desk,
) -> Result<()> {
    let [input] = inputs else { return Ok(()) };
    let card = Card::open(PathBuf::from(node))?;
    let mut screen: Scanout<Taking> = Scanout::open(card, Some(input.extent()))?;
    while let Some((taking, fence)) = input.take_with_fence(desk)? {
        screen.show(taking, fence, Deadline::after(PATIENCE))?;
        let started = Instant::now();
        let before = screen.next(Deadline::after(PATIENCE));
        desk.tally.time.device += micros(started.elapsed());
        desk.tally.shown += 1;
        desk.frame_done(desk.tally.shown);
        if let Some(before) = before? {
            input.done(before, desk)?;
        }
    }
    desk.frames_done();
    if let Some(last) = screen.showing() {
        // What the screen waited for, this process has not.
        last.lease().wait(Deadline::after(PATIENCE))?;
        input.copy_out(last.lease(), last.surface(), desk)?;
        let path = PathBuf::from(directory).join(file_name(&job.name));
        timed(&mut desk.tally.time.encoder, || png::write(&path, input.extent(), input.pixels().bytes()))?;
        desk.hold(linger);
    }
    for taking in screen.restore(Deadline::after(PATIENCE))? {
        input.done(taking, desk)?;
    }
    Ok(())
}
