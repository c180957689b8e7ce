//! `handover run`: from the command line to the exit code.
//!
//! # Contract
//!
//! Whatever can be refused is refused before the first process starts, with one message and [`REFUSED`], and leaves no
//! directory behind. Then the supervisor ([`Outcome`]) runs the plan. When it ends, well or not, videos and pictures are whole up to
//! the last frame, `report.json` says what happened, and no process, socket, file or shared memory is left.

mod allocations;
mod budget;
mod content;
mod interop;
mod jobs;
mod memory;
mod offers;
mod other_device;
pub(crate) mod outputs;
mod place;
mod plan;
pub(crate) mod process;
mod progress;
mod record;
mod report;
mod short;
mod sizes;
mod story;
mod supervise;
mod table;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use signal_hook::consts::SIGINT;

pub use allocations::Allocated;
pub use budget::MEMORY;
pub use content::Different;
pub use interop::Interop;
pub use other_device::OtherDevice;
pub use outputs::{Outputs, REPORT};
pub use place::{Backend, Hardware};
pub use plan::{Edge, Party, Plan, Refusal};
pub use report::Report;
pub use supervise::{Cause, Death, GRACE, Outcome};

use crate::measure::{self, Overrides};
use crate::media;
use crate::media::h264::Frames;
use crate::media::mp4::Clip;
use crate::participant::job::FilePath;
use crate::picture::fences::Trace;
use crate::pipeline::{Kind, LoadError, Pipeline};
use progress::Progress;
use record::Record;

/// A participant died, failed or got fewer frames than there were, or results could not be written.
pub const FAILED: u8 = 1;
/// Refused before anything started.
pub const REFUSED: u8 = 2;
/// Ended by a signal: this and its number, as shells count.
pub const SIGNALLED: u8 = 128;

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// A pipeline file, or the name of a shipped one; `None` for the default.
    pub pipeline: Option<PathBuf>,
    /// The clip; `None` for the one the program carries.
    pub input: Option<PathBuf>,
    /// Stop after so many frames.
    pub frames: Option<u64>,
    /// Where surfaces live; `None`: in software, unless the pipeline has devices of the kernel's.
    pub backend: Option<Backend>,
    /// What is shared where a reader is another device than the producer; `None`: what negotiation gives.
    pub other_device: Option<OtherDevice>,
    /// The bit of every address that decoders get wrong, to show that this shows.
    pub flip_decoder_bit: Option<u32>,
    /// Where the results go.
    pub out: PathBuf,
    /// Have the kernel's fences in the picture of who waited for whom?
    pub trace: bool,
    /// The report alone, on standard output.
    pub json: bool,
    /// May messages have colours?
    pub colours: bool,
    /// What is said about the synchronisation of a scenario.
    pub overrides: Overrides,
}

/// All of it. Messages go to standard error, the summary or the report to standard output.
pub fn run(arguments: &Arguments) -> ExitCode {
    let scenario = arguments.pipeline.as_deref().and_then(|path| Some((path, measure::find(path)?)));
    if let Some((scenario, text)) = scenario {
        return run_scenario(arguments, scenario, text);
    }
    if !arguments.overrides.is_empty() {
        return refuse("error: --sync, --regions, --policy and --without are for scenarios, which have jobs");
    }
    let (plan, clip) = match prepare(arguments) {
        Ok(prepared) => prepared,
        Err(message) => return refuse(&message),
    };
    // Open until the run has ended: its participant reads this file, whatever takes the path meanwhile.
    let input = clip.as_ref().and_then(Clip::file).map(by_descriptor).filter(|path| path.exists());
    let named = [arguments.pipeline.as_deref(), arguments.input.as_deref(), input.as_deref()];
    let inputs: Vec<&Path> = named.into_iter().flatten().collect();
    let outputs = match Outputs::prepare(&arguments.out, &plan, &inputs) {
        Ok(outputs) => outputs,
        Err(message) => return refuse(&format!("error: {message}")),
    };
    match play(arguments, &plan, input.as_deref().or(arguments.input.as_deref()), &outputs) {
        Ok(code) => code,
        Err(message) => {
            outputs.mend();
            outputs.leave_nothing();
            anstream::eprintln!("error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

/// A file with jobs instead of participants.
fn run_scenario(arguments: &Arguments, scenario: &Path, text: measure::Text) -> ExitCode {
    let Arguments { input, frames, backend, other_device, flip_decoder_bit, trace, .. } = arguments;
    let given = [
        ("--input", input.is_some()),
        ("--frames", frames.is_some()),
        ("--backend", backend.is_some()),
        ("--other-device", other_device.is_some()),
        ("--flip-decoder-bit", flip_decoder_bit.is_some()),
        ("--trace", *trace),
    ];
    if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
        return refuse(&format!(
            "error: {option} is for pipelines; {} is a scenario, which has jobs",
            scenario.display()
        ));
    }
    measure::measure(&measure::Arguments {
        scenario: scenario.to_path_buf(),
        text,
        overrides: arguments.overrides.clone(),
        out: arguments.out.clone(),
        json: arguments.json,
        colours: arguments.colours,
    })
}

fn refuse(message: &str) -> ExitCode {
    anstream::eprintln!("{message}");
    ExitCode::from(REFUSED)
}

/// Everything that can be refused before the first process starts. The plan, and the clip that it was made for.
fn prepare(arguments: &Arguments) -> Result<(Plan, Option<Clip>), String> {
    let pipeline = Pipeline::load(arguments.pipeline.as_deref()).map_err(|error| {
        let text = error.render(arguments.colours);
        match error {
            LoadError::Wrong(_) => text,
            _ => format!("{text}; shipped scenarios {}", measure::SHIPPED.map(|(name, _)| name).join(", ")),
        }
    })?;
    let clip = clip(&pipeline, arguments.input.as_deref())?;
    let refused = |refusal: Refusal| format!("error: {refusal}");
    let mut plan =
        Plan::with_other_device(&pipeline, clip.as_ref(), arguments.frames, arguments.other_device).map_err(refused)?;
    plan.flip_decoder_bit = arguments.flip_decoder_bit;
    if plan.flip_decoder_bit.is_some() && !plan.parties.iter().any(|party| party.device.has_decoder()) {
        return Err(format!("error: --flip-decoder-bit: nobody in {} has a decoder; --other-device decode", plan.name));
    }
    budget::allow_descriptors(&plan).map_err(refused)?;
    plan.place(arguments.backend).map_err(refused)?;
    interop::rehearse(&plan).map_err(refused)?;
    if let Some(clip) = &clip {
        check_first_picture(clip).map_err(|error| format!("error: {error}"))?;
    }
    Ok((plan, clip))
}

/// An index can be right and the frames behind it noise.
fn check_first_picture(clip: &Clip) -> media::Result<()> {
    let none = || media::Error::new(media::Kind::Malformed, clip.name(), "no picture comes out of its frames");
    Frames::new(clip)?.next().ok_or_else(none)?.map(drop)
}

/// The name by which participants can open a file that is open here.
fn by_descriptor(file: &File) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

fn clip(pipeline: &Pipeline, input: Option<&Path>) -> Result<Option<Clip>, String> {
    if !pipeline.participants.iter().any(|participant| participant.kind == Kind::Clip) {
        return match input {
            Some(input) => {
                Err(format!("error: the pipeline {} has no clip to decode {} with", pipeline.name, input.display()))
            }
            None => Ok(None),
        };
    }
    let clip = match input {
        Some(path) => Clip::open(path),
        None => Clip::from_bytes(Clip::DEFAULT_NAME, Clip::DEFAULT),
    };
    clip.map(Some).map_err(|error| format!("error: {error}"))
}

fn play(arguments: &Arguments, plan: &Plan, input: Option<&Path>, outputs: &Outputs) -> Result<ExitCode, String> {
    let input = input.map(FilePath::from);
    let mut record = Record::of(plan)?;
    let trace = arguments.trace.then(Trace::start).transpose().map_err(untraceable)?;
    let progress = Progress::new(plan.frames, arguments.json);
    let started = Instant::now();
    let outcome =
        supervise::supervise(plan, input.as_ref(), &FilePath::from(outputs.directory()), &mut record, &progress);
    progress.clear();
    let outcome = outcome?;
    let seconds = started.elapsed().as_secs_f64();
    if outcome.cause.is_some() {
        outputs.mend();
    }
    let fences = trace.map(Trace::stop).transpose().map_err(untraceable)?;
    let path = outputs.directory().join(outputs::WAITS);
    std::fs::write(&path, record.story(plan, fences).svg())
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let report = Report::of(plan, &mut record, &outcome, outputs, seconds);
    tell(arguments, &report, &outcome, outputs)?;
    Ok(match outcome.cause {
        Some(Cause::Signal(signal)) => {
            ExitCode::from(SIGNALLED.saturating_add(u8::try_from(signal).unwrap_or(SIGINT as u8)))
        }
        None if report.short.is_empty() && report.different.is_empty() => ExitCode::SUCCESS,
        Some(Cause::Death) | None => ExitCode::from(FAILED),
    })
}

fn untraceable(error: std::io::Error) -> String {
    format!(
        "the kernel's fences cannot be traced: {error}\n  it takes root, tracefs (`mount -t tracefs tracefs /sys/kernel/tracing`) and \
         a kernel with CONFIG_FTRACE; without --trace the picture has everything else"
    )
}

/// Writes the report, and shows what people or programs want to see.
fn tell(arguments: &Arguments, report: &Report, outcome: &Outcome, outputs: &Outputs) -> Result<(), String> {
    let json = serde_json::to_string_pretty(report).map_err(|error| format!("the report: {error}"))?;
    let path = outputs.directory().join(REPORT);
    std::fs::write(&path, format!("{json}\n"))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let shown = if arguments.json {
        writeln!(std::io::stdout(), "{json}")
    } else {
        write!(anstream::stdout(), "{}", table::summary(report, &outputs.directory().display().to_string()))
    };
    // Whoever closed the pipe has seen enough; the report is in its file.
    let _ = shown;
    for death in &outcome.dead {
        anstream::eprintln!("error: {death}");
    }
    for short in &report.short {
        anstream::eprintln!("error: {short}");
    }
    for different in &report.different {
        anstream::eprintln!("error: {different}");
    }
    if !outcome.killed.is_empty() {
        anstream::eprintln!("error: did not stop in time and were killed: {}", outcome.killed.join(", "));
    }
    if let Some(signal) = outcome.signal {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        anstream::eprintln!("interrupted by {name}; results up to there are in {}", outputs.directory().display());
    }
    Ok(())
}
