//! `handover explain`: what synchronisation costs, computed.
//!
//! A [`Scenario`] says which jobs run on which engines and what they touch. [`Graph`] unrolls it and derives the true dependencies.
//! A [`Model`] decides who waits for whom; [`schedule`] lets the jobs run in virtual time. What a job waits for beyond its true
//! dependencies is false ([`FalseWait`]), and [`Change`]s that would remove it are applied and scheduled again.
//!
//! ```toml
//! name = "S8"                # short
//! title = "two images"       # what it shows
//! unit = "ms"                # of durations, for people; default: none
//! frames = 10                # how often all jobs are submitted, one frame after the other; default 1
//! passing = 0                # how long it takes to pass a fence to another owner by hand; default 0
//!
//! [[engine]]                 # an in-order queue; without any, those that jobs name
//! name = "gpu"
//!
//! [[buffer]]
//! name = "A"
//! regions = ["X", "Y"]       # disjoint parts, at most 64; default: one, the whole
//! ring = 2                   # frame n uses buffer n modulo 2; default 1; [1, 2, 3] tries each
//!
//! [[job]]                    # in the order of submission
//! name = "WX"
//! engine = "gpu"             # default: one of its own, called as the job is
//! duration = 4
//! accesses = [{ buffer = "A", region = "X", access = "write" }]  # without a region: the whole
//! owner = "client"           # for a driver: an open file; default: called as the engine is
//! group = "painter"          # jobs of one group order themselves (M2); default: none
//! after = []                 # what it truly depends on, by names of earlier jobs; default: what accesses say
//! ```
//!
//! A job that says `after` promises that nothing else matters to it, whatever it touches. Instead of jobs a scenario can have
//! `[threads]`, with `counts`, `write`, `read`, `interleavings` and `seed`: each exports the fences of one buffer, submits a read and
//! imports its fence, in random interleavings.
//!
//! The report of a run is a scenario too: its jobs take as long as they did. Of a pipeline's report each participant is a job that takes
//! the mean of its work for a frame.
//!
//! # Contract
//!
//! Everything is submitted at 0, in the listed order, to in-order queues. No model starts a job before all that it truly depends on
//! has ended. Nothing here knows a makespan: each is computed.

mod all;
mod changes;
mod cycle;
mod file;
mod graph;
mod json;
mod limits;
mod load;
mod picture;
mod program;
mod recorded;
mod report;
mod reservation;
mod resolve;
mod rules;
mod runs;
mod schedule;
mod shipped;
mod svg;
mod threads;
mod waits;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::run::{FAILED, REFUSED};
use json::Explained;

pub use all::Row;
pub use changes::{Change, Kind, Tried};
pub use graph::Graph;
pub(crate) use graph::{NAMED, bits};
pub use program::{Access, Buffer, Job, Program, Scenario, Threads, Variant, Work};
pub(crate) use recorded::Recorded;
pub use report::Explanation;
#[doc(hidden)]
pub use rules::Contract;
pub use rules::{Model, Rules, Trust};
#[doc(hidden)]
pub use schedule::schedule_under;
pub(crate) use schedule::walk;
pub use schedule::{Schedule, schedule};
pub use shipped::SHIPPED;
pub(crate) use shipped::shipped;
pub use threads::{Outcome, Policy};
pub use waits::{FalseWait, Findings, Truth};

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// A scenario file, or the name of a shipped one. `None`: all shipped ones, as a table.
    pub scenario: Option<PathBuf>,
    /// Print JSON.
    pub json: bool,
    /// Where the picture goes.
    pub svg: Option<PathBuf>,
    /// Colours on standard error.
    pub colours: bool,
}

/// Explains, on standard output.
pub fn explain(arguments: &Arguments) -> ExitCode {
    let outcome = match &arguments.scenario {
        Some(path) => match Scenario::load(path) {
            Ok(scenario) => one(&scenario, path, arguments),
            Err(error) => return refuse(&error.render(arguments.colours)),
        },
        None => all(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused(text)) => refuse(&format!("error: {text}")),
        Err(Failure::Failed(text)) => {
            anstream::eprintln!("error: {text}");
            ExitCode::from(FAILED)
        }
    }
}

enum Failure {
    Refused(String),
    Failed(String),
}

fn refuse(text: &str) -> ExitCode {
    anstream::eprintln!("{text}");
    ExitCode::from(REFUSED)
}

fn one(scenario: &Scenario, path: &Path, arguments: &Arguments) -> Result<(), Failure> {
    match &scenario.work {
        Work::Threads(threads) => {
            if arguments.svg.is_some() {
                return Err(Failure::Refused(format!(
                    "{} has threads, not jobs: there is no schedule to draw",
                    scenario.name
                )));
            }
            if arguments.json {
                return print_json(&Explained::threads(scenario, threads));
            }
            print(&all::threads_text(scenario, threads));
        }
        Work::Jobs(variants) => {
            if let Some(svg) = arguments.svg.as_ref().filter(|svg| picture::same_file(svg, path)) {
                let text = format!("the picture {} would replace the input {}", svg.display(), path.display());
                return Err(Failure::Refused(text));
            }
            let explanations: Vec<Explanation> = variants.iter().map(Explanation::of).collect();
            if let Some(path) = &arguments.svg {
                let drawn = svg::draw(scenario, &explanations);
                let failed = |error| Failure::Failed(format!("the picture {}: {error}", path.display()));
                picture::write(path, &drawn).map_err(failed)?;
            }
            if arguments.json {
                return print_json(&Explained::programs(scenario, &explanations));
            }
            explanations.iter().for_each(|explanation| print(&explanation.text(scenario)));
        }
    }
    Ok(())
}

fn all(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.svg.is_some() {
        return Err(Failure::Refused("--svg draws one scenario; which one?".into()));
    }
    let mut scenarios = Vec::new();
    for (name, text) in SHIPPED {
        let broken = |error| Failure::Failed(format!("the program carries a broken scenario: {error}"));
        scenarios.push(Scenario::parse(text, name).map_err(broken)?);
    }
    if !arguments.json {
        print(&all::text(&scenarios));
        return Ok(());
    }
    let explained = scenarios.iter().map(|scenario| match &scenario.work {
        Work::Threads(_) => Vec::new(),
        Work::Jobs(variants) => variants.iter().map(Explanation::of).collect::<Vec<_>>(),
    });
    let explained: Vec<Vec<Explanation>> = explained.collect();
    let values = scenarios.iter().zip(&explained).map(|(scenario, explanations)| match &scenario.work {
        Work::Threads(threads) => Explained::threads(scenario, threads),
        Work::Jobs(_) => Explained::programs(scenario, explanations),
    });
    print_json(&values.collect::<Vec<_>>())
}

/// Whoever closed the pipe has seen enough.
fn print(text: &str) {
    let _ = write!(anstream::stdout(), "{text}");
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    json::print(value).map_err(|error| Failure::Failed(format!("standard output: {error}")))
}
