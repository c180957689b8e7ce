//! The participant `window`: shows its producer's surfaces in a window of the Wayland compositor that runs.

use std::time::{Duration, Instant};

use handover::Deadline;
use handover_wayland::client::{Client, Event, Options, Window};

use super::account::counted;
use super::desk::{Desk, micros};
use super::input::{Input, Taking};
use super::job::Job;
use super::{Failure, Result};

/// A compositor that is silent for so long is broken. Longer than any driver's fence lives.
const PATIENCE: Duration = Duration::from_secs(30);

/// A compositor asks for no frames of a window that nobody can see. Then one goes there this often, so that nobody else waits for it.
const UNSEEN: Duration = Duration::from_secs(1);

/// Shows every frame of the one input, as fast as the compositor wants them. A surface is released when the compositor is done with it.
pub(super) fn window(job: &Job, title: Option<&str>, inputs: &mut [Input], desk: &mut Desk) -> Result<()> {
    let [input] = inputs else { return Ok(()) };
    // What the compositor takes is in a file of its own, and of what a buffer is the kernel tells in one: no pixels are read.
    let (window, bytes) = counted(|| open(title.unwrap_or(&job.name)));
    let mut window = window?;
    desk.file_bytes += bytes;
    while let Some((taking, fence)) = input.take_with_fence(desk)? {
        let (shown, bytes) = counted(|| window.show(taking, fence, Deadline::after(PATIENCE)));
        desk.file_bytes += bytes;
        shown?;
        wait(&mut window, input, desk)?;
        desk.tally.shown += 1;
        desk.frame_done(desk.tally.shown);
    }
    desk.frames_done();
    for taking in window.close(Deadline::after(PATIENCE))? {
        input.done(taking, desk)?;
    }
    Ok(())
}

fn open(title: &str) -> handover::Result<Window<Taking>> {
    let client = Client::connect(Deadline::after(PATIENCE))?;
    // Explicit synchronisation, where the compositor has it and its device keeps timelines.
    let device = client.feedback().main_device.filter(|_| client.has_explicit_sync());
    let card = device.and_then(|device| device.open().ok());
    let options = Options { title: title.into(), app_id: "handover".into(), card, ..Options::default() };
    Window::open(client, &options, Deadline::after(PATIENCE))
}

/// Until the compositor asks for the next frame. What it returns meanwhile goes back.
fn wait(window: &mut Window<Taking>, input: &mut Input, desk: &mut Desk) -> Result<()> {
    let started = Instant::now();
    let until = Deadline::after(UNSEEN);
    loop {
        // With all surfaces there, the producer has none left to draw in.
        let deadline = if window.shown() < input.surfaces().len() { until } else { Deadline::after(PATIENCE) };
        let event = window.next(deadline);
        match event? {
            Some(Event::Returned(taking)) => input.done(taking, desk)?,
            Some(Event::Close) => return Err(Failure::new("its window was closed")),
            Some(Event::Frame) => break,
            Some(_) => {}
            None if until.has_passed() => break,
            None => return Err(Failure::new("the compositor keeps every surface and shows none")),
        }
    }
    desk.tally.time.device += micros(started.elapsed());
    Ok(())
}
