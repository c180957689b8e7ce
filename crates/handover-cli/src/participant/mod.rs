//! A participant: one process of a pipeline, started by the parent as `handover participant`.
//!
//! # Contract with the parent
//!
//! Standard input is a SEQPACKET socket. The parent sends the [`Job`] with the status page, then one
//! message with one descriptor for each stream; later perhaps a word to stop. The participant sends [`Event`]s and ends
//! with [`Event::Done`] or [`Event::Failed`]. When the parent hangs up, the participant is gone at once: nobody is left
//! to hear of its results.
//!
//! Streams are set up in one order that all participants share (producers first, then readers), so that no two can wait
//! for each other. An `opengl` answers its computes first, one after the other in the order of its job, and sets up its streams then: a
//! compute reads nobody else and has nothing of its own to hand out, so nobody waits for one meanwhile.

pub mod account;
mod camera;
mod compose;
mod content;
mod desk;
mod encoder;
pub mod event;
mod input;
mod interop;
pub mod job;
mod output;
mod pixels;
mod preview;
mod private;
mod program;
mod screen;
mod source;
pub mod status;
mod video_output;
mod vulkan;
mod window;

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use handover::negotiate::SurfaceUsages;
use handover::transport::{Channel, Traffic};
use handover::{Deadline, Stage};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use desk::{Desk, micros, timed};
use event::{Event, InputTally};
use input::Input;
use interop::Links;
pub(crate) use interop::SUMMARY;
use job::{BadJob, Job, Paint, Work};
use output::Output;
use status::Notes;
use vulkan::Studio;

/// The hidden subcommand.
pub const COMMAND: &str = "participant";

/// Why a participant could not do its part.
#[derive(Debug)]
pub struct Failure {
    /// Where, if the error knows better than the notes.
    stage: Option<Stage>,
    message: String,
}

type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { stage: None, message: message.into() }
    }

    fn at(stage: Stage, message: impl Into<String>) -> Self {
        Self { stage: Some(stage), message: message.into() }
    }
}

impl From<handover::Error> for Failure {
    fn from(error: handover::Error) -> Self {
        Self { stage: Some(error.stage()), message: error.to_string() }
    }
}

impl From<crate::media::Error> for Failure {
    fn from(error: crate::media::Error) -> Self {
        // Whoever decodes, encodes or draws is at work on pixels.
        Self { stage: Some(Stage::Access), message: error.to_string() }
    }
}

impl From<BadJob> for Failure {
    fn from(BadJob(field): BadJob) -> Self {
        Self::new(format!("the {field} of the job means nothing here; is the parent another version?"))
    }
}

/// What the pictures of a preview of this name are called.
pub fn preview_files(participant: &str) -> [String; 3] {
    preview::FILES.map(|which| preview::file_name(participant, which))
}

/// What the picture of a screen of this name is called.
pub fn screen_file(participant: &str) -> String {
    screen::file_name(participant)
}

/// The whole life of a participant, with the control socket as standard input.
pub fn main() -> ExitCode {
    let started = start();
    let (control, mut desk, job, sockets) = match started {
        Ok(started) => started,
        Err(failure) => {
            eprintln!("handover participant: {}; it is started by `handover run`, not by hand", failure.message);
            return ExitCode::from(2);
        }
    };
    let result = work(&job, sockets, &mut desk).and_then(|()| desk.send_times());
    let (event, code) = match result {
        Ok(()) => (Event::Done(Box::new(std::mem::take(&mut desk.tally))), ExitCode::SUCCESS),
        Err(failure) => {
            let stage = failure.stage.unwrap_or(desk.current_stage());
            (Event::Failed { stage: stage.word().into(), message: failure.message }, ExitCode::FAILURE)
        }
    };
    // A parent that is gone hears nothing, and needs nothing.
    let _ = desk.tell(&event);
    drop(control);
    code
}

type Started = (Arc<Channel>, Desk, Job, Vec<OwnedFd>);

fn start() -> Result<Started> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| Failure::new(error.to_string()))?;
    let control = Arc::new(Channel::from_fd(socket, Default::default())?);
    end_with_parent(control.peer().pid).map_err(Failure::new)?;
    let hung_up = || Failure::new("the parent hung up");
    let (bytes, descriptors) = control.receive_bytes(1, Deadline::Never)?.ok_or_else(hung_up)?;
    let job: Job = serde_json::from_slice(&bytes).map_err(|error| Failure::new(format!("no job: {error}")))?;
    let page = descriptors.into_iter().next().ok_or_else(|| Failure::new("no status page"))?;
    let mut sockets = Vec::new();
    while sockets.len() < job.inputs.len() + job.outputs.len() {
        let (_, descriptors) = control.receive_bytes(1, Deadline::Never)?.ok_or_else(hung_up)?;
        sockets.push(descriptors.into_iter().next().ok_or_else(|| Failure::new("a stream without its socket"))?);
    }
    let stop = Arc::new(AtomicBool::new(false));
    watch(Arc::clone(&control), Arc::clone(&stop))?;
    let desk = Desk::new(Arc::clone(&control), stop, Notes::on(page));
    Ok((control, desk, job, sockets))
}

/// A participant that is stopped hears nothing; the kernel ends it with its parent all the same. What went wrong, in words.
pub(crate) fn end_with_parent(parent: u32) -> Result<(), String> {
    let failed = |error: rustix::io::Errno| format!("the end of the parent cannot be followed: {error}");
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    // It may have ended before that. The pair of sockets is of its making.
    let lives = getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
    if lives { Ok(()) } else { Err("the parent is gone".into()) }
}

/// A thread that hears the parent: a message means stop, silence for ever means gone.
fn watch(control: Arc<Channel>, stop: Arc<AtomicBool>) -> Result<()> {
    let listen = move || {
        while let Ok(Some(_)) = control.receive_bytes(0, Deadline::Never) {
            stop.store(true, Ordering::Relaxed);
        }
        std::process::exit(1);
    };
    let thread = std::thread::Builder::new().name("parent".into()).spawn(listen);
    thread.map(drop).map_err(|error| Failure::new(format!("no thread: {error}")))
}

/// Both sides of a participant, connected.
struct Ends {
    inputs: Vec<Input>,
    output: Output,
    links: Links,
}

impl Ends {
    fn traffic(&self) -> Traffic {
        self.inputs.iter().fold(self.output.traffic() + self.links.traffic(), |sum, input| sum + input.traffic())
    }
}

fn work(job: &Job, mut sockets: Vec<OwnedFd>, desk: &mut Desk) -> Result<()> {
    let hold = Duration::from_millis(job.hold_ms);
    let device = job.device()?;
    let mut studio = match &job.work {
        Work::Vulkan { gpu, .. } => Some(Studio::open(gpu.as_deref())?),
        _ => None,
    };
    let outputs = sockets.split_off(job.inputs.len().min(sockets.len()));
    let mut turns: Vec<_> = job.inputs.iter().zip(sockets).enumerate().collect();
    turns.sort_by_key(|(_, (input, _))| input.turn);
    let (mut inputs, mut links) = (Vec::new(), Links::default());
    for (index, (input, socket)) in turns {
        let producer = input.producer.clone();
        if input.interop {
            if !links.import(job, input, socket, desk)? {
                desk.tally.inputs.push(InputTally { producer, gone: true, ..InputTally::default() });
                return Ok(());
            }
            continue;
        }
        let Some(input) = Input::connect(index, input, socket, device, hold, desk)? else {
            // A producer that died before it could hand anything over: its death is its own to be told.
            desk.tally.inputs.push(InputTally { producer, gone: true, ..InputTally::default() });
            return Ok(());
        };
        if let Some(studio) = &mut studio {
            studio.meet(&producer, input.surfaces(), SurfaceUsages::SAMPLE)?;
        }
        inputs.push(input);
    }
    inputs.sort_by_key(Input::index);
    let (importers, readers) = job.outputs.iter().zip(outputs).partition(|(output, _)| output.interop);
    // They read nobody else, so nobody waits for them meanwhile.
    links.export(job, importers, desk)?;
    let mut ends = Ends { inputs, output: Output::new(job, readers, studio.as_mut(), desk)?, links };
    desk.begin_streaming(ends.traffic());
    // Clips are opened and codecs made first; no surface is waited for yet.
    desk.stage(Stage::Access);
    let result = match (&job.work, &mut studio) {
        (Work::Vulkan { paint, .. }, Some(studio)) => {
            let result = match paint {
                Paint::Scene { index } => vulkan::scene(job, *index, &mut ends.output, studio, desk),
                Paint::Layers => vulkan::layers(&mut ends, studio, desk),
            };
            desk.file_bytes += studio.file_bytes();
            desk.tally.vulkan = Some(studio.account());
            result
        }
        (work, _) => play(job, work, &mut ends, desk),
    };
    // An error keeps the stage where it arose.
    let result = result.map_err(|failure| Failure { stage: failure.stage.or(Some(desk.current_stage())), ..failure });
    // What was made so far reaches its readers even if the rest could not be made.
    desk.stage(Stage::Release);
    let finished = timed(&mut desk.tally.time.peer, || ends.output.finish());
    desk.end_streaming(ends.traffic());
    settle(&ends, desk);
    result.and(finished)
}

/// What a participant does once its streams stand, without a device of Vulkan.
fn play(job: &Job, work: &Work, ends: &mut Ends, desk: &mut Desk) -> Result<()> {
    match work {
        Work::Clip { input } => source::clip(job, input.clone(), &mut ends.output, desk),
        Work::Overlay => source::overlay(job, &mut ends.output, desk),
        Work::Pattern { index } => source::pattern(job, *index, &mut ends.output, desk),
        Work::Compositor => compose::compositor(ends, desk),
        Work::Blend { columns, tile } => compose::blend(*columns, *tile, ends, desk),
        Work::OpenGl(scene) => interop::opengl(job, scene, &mut ends.links, &mut ends.output, desk),
        Work::Compute { .. } => interop::compute(ends.links.imported(), desk),
        Work::Encoder { bitrate, file } => encoder::encode(job, *bitrate, file.clone(), &mut ends.inputs, desk),
        Work::Preview { directory } => preview::preview(job, directory.clone(), &mut ends.inputs, desk),
        Work::Camera { node } => camera::camera(job, node.clone(), &mut ends.output, desk),
        Work::Output { node } => video_output::output(node.clone(), &mut ends.inputs, desk),
        Work::Screen { node, linger_ms, directory } => {
            let linger = Duration::from_millis(*linger_ms);
            screen::screen(job, node.clone(), linger, directory.clone(), &mut ends.inputs, desk)
        }

        Work::Window { title } => window::window(job, title.as_deref(), &mut ends.inputs, desk),
        Work::Program { command } => program::program(job, command, &mut ends.output, desk),
        Work::Vulkan { .. } => Err(Failure::new("no device of Vulkan")),
    }
}

/// Adds what the streams counted to the tally.
fn settle(ends: &Ends, desk: &mut Desk) {
    let (pool_empty, fence) = ends.output.waited();
    desk.tally.time.pool_empty += pool_empty;
    desk.tally.time.fence += fence;
    ends.links.settle(desk);
    for input in &ends.inputs {
        let (tally, waited) = input.tally();
        desk.tally.inputs.push(tally);
        desk.tally.time.peer += micros(waited.peer);
        desk.tally.time.fence += micros(waited.fence);
    }
}
