//! A scenario of `explain`, run for real: each owner is a process, each engine a queue, each buffer a surface, and what `explain`
//! computes is measured.
//!
//! # Contract
//!
//! Everything is submitted in the listed order while a gate holds all jobs back; when it opens, at time 0, they run. A job sleeps for
//! its duration and draws over it: its pixels say whose they are. A reader must find those of the last true writer, when it starts and
//! when it ends; what is left in the end must be the last writer's; no job may start before all that it truly depends on has ended.
//! Anything else is a *hazard*, and told by name. Of cells whose writers are in no order with a reader (`after` promises that it does
//! not matter) nothing is expected, and how many those are is told. Times of all processes are on one clock (`CLOCK_MONOTONIC`).
//!
//! What a scenario file has for this alone stands in `[run]`:
//!
//! ```toml
//! [run]
//! sync = "implicit"        # or "explicit": for all owners who say nothing else
//! policy = "honest"        # or "always-write", "skip-own-owner", "none"
//! regions = "declared"     # or "whole"
//! border = "compositor"    # an explicit owner who imports for implicit ones and releases for explicit ones
//! rows = ["A"]             # buffers whose regions are interleaved rows; those of others are tiles
//!
//! [[run.owner]]
//! name = "encoder"
//! sync = "implicit"
//! ```

mod conduct;
mod gate;
mod hazards;
mod load;
mod message;
mod needs;
mod picture;
mod plan;
mod predict;
mod rehearse;
mod report;
mod settings;
mod stamp;
mod surfaces;
mod table;
mod thread;
mod threads;
mod truth;
mod waits;
mod worker;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use signal_hook::consts::SIGINT;

pub use load::{Text, find};
pub use settings::{Duty, Overrides};
pub use worker::main;

use crate::explain::{Graph, Program, Scenario};
use crate::run::outputs::WAITS;
use crate::run::{FAILED, Outputs, REFUSED, REPORT, SIGNALLED};
use crate::signals::Signals;
use conduct::{Ended, Outcome, conduct};
use load::Loaded;
use plan::Plan;
use predict::{Prediction, name};
use report::Report;
use settings::Settings;

/// The scenarios that the program carries to be run, by name.
///
/// `tiles` and `fields` are several writers and independent readers in one buffer; `blend` is a buffer for each writer, and
/// `single-buffer` explicit writers in one. `implicit-client` has an explicit compositor, `stream` two implicit encoders between
/// explicit participants. `threads` is many threads that export and import.
pub const SHIPPED: [(&str, &str); 7] = [
    ("tiles", include_str!("../../pipelines/tiles.toml")),
    ("fields", include_str!("../../pipelines/fields.toml")),
    ("blend", include_str!("../../pipelines/blend.toml")),
    ("single-buffer", include_str!("../../pipelines/single-buffer.toml")),
    ("implicit-client", include_str!("../../pipelines/implicit-client.toml")),
    ("stream", include_str!("../../pipelines/stream.toml")),
    ("threads", include_str!("../../pipelines/threads.toml")),
];

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// A scenario file, or the name of a shipped one.
    pub scenario: PathBuf,
    /// What it holds.
    pub text: Text,
    /// What it says about synchronisation, instead of the file.
    pub overrides: Overrides,
    /// Where the report goes.
    pub out: PathBuf,
    /// The report alone, on standard output.
    pub json: bool,
    /// May messages have colours?
    pub colours: bool,
}

/// A run, decided.
#[derive(Debug)]
struct Prepared {
    scenario: Scenario,
    program: Program,
    graph: Graph,
    settings: Settings,
    /// In one unit of the file's durations.
    nanoseconds: u64,
    plan: Plan,
    prediction: Option<Prediction>,
}

/// All of it. Messages go to standard error, the summary or the report to standard output.
pub fn measure(arguments: &Arguments) -> ExitCode {
    let ready = match prepare(arguments) {
        Ok(ready) => ready,
        Err(message) => return refuse(&message),
    };
    let outputs = Outputs::prepare_for(&arguments.out, Vec::new(), Vec::new(), &[&arguments.scenario]);
    let outputs = match outputs {
        Ok(outputs) => outputs,
        Err(message) => return refuse(&format!("error: {message}")),
    };
    // Once for all runs: between two of them nobody else would hear a signal.
    let signals = Signals::register().map_err(|error| format!("signals cannot be heard: {error}"));
    let played = signals.and_then(|mut signals| match &ready {
        Ready::Jobs(run) => play(arguments, run, &outputs, &mut signals),
        Ready::Threads(runs) => threads::play(arguments, runs, &outputs, &mut signals),
    });
    match played {
        Ok(code) => code,
        Err(message) => {
            outputs.leave_nothing();
            anstream::eprintln!("error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

fn refuse(message: &str) -> ExitCode {
    anstream::eprintln!("{message}");
    ExitCode::from(REFUSED)
}

/// What runs.
enum Ready {
    Jobs(Box<Prepared>),
    Threads(threads::Runs),
}

/// Everything that can be refused before the first process starts.
fn prepare(arguments: &Arguments) -> Result<Ready, String> {
    let (scenario, loaded) = load::load(&arguments.text).map_err(|error| error.render(arguments.colours))?;
    let name = scenario.name.clone();
    let refused = |message: String| format!("error: {name}: {message}");
    let help = "what helps: unit = \"ms\" (or \"us\", \"s\")";
    let nanoseconds = match scenario.unit.as_str() {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "" => return Err(refused(format!("its durations are of no unit\n  {help}"))),
        other => return Err(refused(format!("its durations are in {other:?}\n  {help}"))),
    };
    match loaded {
        Loaded::Jobs(mut settings, program) => {
            settings.override_with(&arguments.overrides, &program).map_err(refused)?;
            let graph = Graph::of(&program);
            let plan = plan::plan(&program, &graph, &settings, nanoseconds).map_err(refused)?;
            let prediction = predict::predict(&program, &graph, &settings, &plan);
            Ok(Ready::Jobs(Box::new(Prepared { program, graph, settings, nanoseconds, plan, prediction, scenario })))
        }
        Loaded::Threads(_) if !arguments.overrides.is_empty() => Err(refused(
            "it has threads, which run each way; --sync, --regions, --policy and --without are for jobs".into(),
        )),
        Loaded::Threads(threads) => {
            threads::prepare(&scenario, &threads, nanoseconds).map(Ready::Threads).map_err(refused)
        }
    }
}

/// Runs what was prepared.
///
/// # Errors
/// In words: something could not be started.
fn perform(run: &Prepared, signals: &mut Signals) -> Result<Outcome, String> {
    let surfaces = surfaces::allocate(&run.plan)?;
    let sum = run.graph.jobs.iter().fold(0_u64, |sum, node| sum.saturating_add(node.duration));
    conduct(&run.plan, &surfaces, Duration::from_nanos(sum.saturating_mul(run.nanoseconds)), signals)
}

fn play(arguments: &Arguments, run: &Prepared, outputs: &Outputs, signals: &mut Signals) -> Result<ExitCode, String> {
    let outcome = perform(run, signals)?;
    let report = Report::of(run, &outcome);
    let directory = outputs.directory();
    let picture = directory.join(WAITS);
    std::fs::write(&picture, picture::draw(&report))
        .map_err(|error| format!("{} cannot be written: {error}", picture.display()))?;
    tell(arguments, &report, directory, |directory| table::summary(&report, directory))?;
    Ok(account(run, &report, &outcome, directory))
}

/// Writes the report, and shows what people or programs want to see.
fn tell(
    arguments: &Arguments,
    report: &impl Serialize,
    directory: &Path,
    text: impl Fn(&str) -> String,
) -> Result<(), String> {
    let json = serde_json::to_string_pretty(report).map_err(|error| format!("the report: {error}"))?;
    let path = directory.join(REPORT);
    std::fs::write(&path, format!("{json}\n"))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    // Whoever closed the pipe has seen enough; the report is in its file.
    let _ = if arguments.json {
        writeln!(std::io::stdout(), "{json}")
    } else {
        write!(anstream::stdout(), "{}", text(&directory.display().to_string()))
    };
    Ok(())
}

/// Somebody wants no more.
fn interrupted(signal: i32, directory: &Path) -> ExitCode {
    let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
    anstream::eprintln!("interrupted by {name}; what was heard up to there is in {}", directory.display());
    ExitCode::from(SIGNALLED.saturating_add(u8::try_from(signal).unwrap_or(SIGINT as u8)))
}

/// What went wrong, on standard error, and the exit code.
fn account(run: &Prepared, report: &Report, outcome: &Outcome, directory: &Path) -> ExitCode {
    for job in &report.unattached {
        anstream::eprintln!("warning: {job} attached no fence: nobody will wait for it");
    }
    for hazard in &report.hazards {
        anstream::eprintln!("hazard: {hazard}");
    }
    if report.more_hazards > 0 {
        anstream::eprintln!("hazard: and {} more", report.more_hazards);
    }
    for job in report.jobs.iter().filter(|job| job.failed.is_some()) {
        anstream::eprintln!("error: {} failed: {}", job.job, job.failed.as_deref().unwrap_or_default());
    }
    match &outcome.ended {
        Ended::Death(death) => {
            let (name, pid, how, jobs) = (&death.name, death.pid, &death.how, death.jobs);
            anstream::eprintln!("error: {name} (process {pid}) {how}, after {jobs} jobs");
        }
        Ended::Late(open) => {
            let open = open.iter().map(|(owner, job)| format!("{owner} ({})", name(&run.program, &run.graph, *job)));
            let open = open.collect::<Vec<_>>().join(", ");
            anstream::eprintln!(
                "error: not all jobs ended in time; the workers were killed; open, each with its first job: {open}"
            );
        }
        Ended::Signal(signal) => return interrupted(*signal, directory),
        Ended::Complete => {}
    }
    if report.ended == "complete" { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}
