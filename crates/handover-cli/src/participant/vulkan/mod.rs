//! Participants that draw by Vulkan: a client that renders a scene, and a compositor.
//!
//! # Contract
//!
//! No CPU waits for the device. What pends on an input goes to the device with the job; the fence of the job's end goes into the
//! reservations of what it wrote and of what it read, before either is handed on. A surface that is free is waited for as everywhere.
//! Only at the end is the last job waited for.

mod studio;

use handover::Access;
use handover::Stage;
use handover_vulkan::paint::Layer;

use super::desk::{Desk, timed};
use super::input::Input;
use super::job::Job;
use super::output::Output;
use super::{Ends, Result};
pub(super) use studio::Studio;

/// Renders a scene that moves, with the number of the frame.
pub(super) fn scene(job: &Job, index: u32, output: &mut Output, studio: &mut Studio, desk: &mut Desk) -> Result<()> {
    for frame in 0..job.frames {
        let Some(draft) = output.draft(true, desk)? else { break };
        desk.stage(Stage::Access);
        let target = studio.image(draft.surface())?;
        // The scene shows six digits of it.
        let number = u32::try_from(frame).unwrap_or(u32::MAX);
        let submitted = timed(&mut desk.tally.time.cpu, || {
            studio.submit(&[(&target, Access::Write)], &[], |painter, recorder| {
                painter.scene(recorder, &target, number, index)
            })
        })?;
        output.publish_after(draft, &submitted, desk)?;
        studio.went(submitted);
        desk.frame_done(frame + 1);
    }
    desk.frames_done();
    studio.finish()
}

/// Lays its inputs over each other, the first one at the bottom, all from the top left. Round after round, until an input ends or
/// nobody reads.
pub(super) fn layers(ends: &mut Ends, studio: &mut Studio, desk: &mut Desk) -> Result<()> {
    while round(ends, studio, desk)? {}
    desk.frames_done();
    studio.finish()
}

fn round(Ends { inputs, output, .. }: &mut Ends, studio: &mut Studio, desk: &mut Desk) -> Result<bool> {
    let Some(draft) = output.draft(true, desk)? else { return Ok(false) };
    let (mut takings, mut fences) = (Vec::new(), Vec::new());
    for input in inputs.iter_mut() {
        let Some((taking, fence)) = input.take_with_fence(desk)? else { break };
        takings.push(taking);
        fences.extend(fence);
    }
    if takings.len() < inputs.len() {
        for (input, taking) in inputs.iter_mut().zip(takings) {
            input.done(taking, desk)?;
        }
        return Ok(false);
    }
    desk.stage(Stage::Access);
    let target = studio.image(draft.surface())?;
    let pictures = takings.iter().map(|taking| studio.image(taking.surface())).collect::<Result<Vec<_>>>()?;
    let submitted = timed(&mut desk.tally.time.cpu, || {
        let mut set = vec![(&target, Access::Write)];
        set.extend(pictures.iter().map(|picture| (picture, Access::Read)));
        let layers: Vec<Layer<'_>> = pictures
            .iter()
            .map(|image| {
                let extent = image.extent();
                Layer { image, at: (0, 0), size: (extent.width, extent.height) }
            })
            .collect();
        studio.submit(&set, &fences, |painter, recorder| painter.compose(recorder, &target, &layers))
    })?;
    let released: Result<()> = inputs
        .iter_mut()
        .zip(takings)
        .try_for_each(|(input, taking): (&mut Input, _)| input.done_after(taking, &submitted, desk));
    desk.tally.shown += 1;
    output.publish_after(draft, &submitted, desk)?;
    studio.went(submitted);
    released?;
    desk.frame_done(desk.tally.shown);
    Ok(true)
}
