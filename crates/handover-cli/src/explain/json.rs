//! The JSON of explanations. It goes out job by job: as a value, a hundred thousand jobs under six models take a gigabyte.

use std::io::{self, BufWriter, Write};

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::all::threads_value;
use super::program::{Scenario, Threads};
use super::report::{Explanation, regions};
use super::waits::{FalseWait, Findings};

/// A scenario and what was computed of it.
#[derive(Serialize)]
pub(super) struct Explained<'a> {
    name: &'a str,
    title: &'a str,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<Vec<ProgramJson<'a>>>,
}

#[derive(Serialize)]
struct ProgramJson<'a> {
    variant: &'a str,
    critical_path: u64,
    models: Vec<ModelJson<'a>>,
}

#[derive(Serialize)]
struct ModelJson<'a> {
    model: &'static str,
    title: &'static str,
    kind: &'static str,
    makespan: u64,
    held: u64,
    passing: u64,
    jobs: Jobs<'a>,
    false_waits: Waits<'a>,
    changes: Vec<ChangeJson<'a>>,
    changes_not_tried: usize,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    change: &'static str,
    buffer: Option<&'a str>,
    makespan: u64,
    gain: i64,
}

struct Jobs<'a>(&'a Explanation, &'a Findings);

#[derive(Serialize)]
struct JobJson<'a> {
    job: &'a str,
    frame: u32,
    engine: Option<&'a str>,
    start: u64,
    end: u64,
}

impl Serialize for Jobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(explanation, findings) = self;
        let jobs = explanation.graph.jobs.iter().zip(&findings.spans).map(|(node, (start, end))| JobJson {
            job: explanation.job(node.job as usize),
            frame: node.frame,
            engine: explanation.program.engines.get(node.engine as usize).map(String::as_str),
            start: *start,
            end: *end,
        });
        serializer.collect_seq(jobs)
    }
}

struct Waits<'a>(&'a Explanation, &'a [FalseWait]);

#[derive(Serialize)]
struct WaitJson<'a> {
    waiter: &'a str,
    on: &'a str,
    buffer: Option<&'a str>,
    regions: Option<Vec<&'a str>>,
    usage: &'static str,
    why_false: &'static str,
    times: u64,
    total: u64,
    longest: u64,
}

impl Serialize for Waits<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(explanation, waits) = self;
        let waits = waits.iter().map(|wait| {
            let buffer = wait.buffer.and_then(|number| explanation.program.buffers.get(number));
            WaitJson {
                waiter: explanation.job(wait.waiter),
                on: explanation.job(wait.on),
                buffer: buffer.map(|buffer| buffer.name.as_str()),
                regions: buffer.map(|buffer| regions(buffer, wait.regions)),
                usage: wait.usage(),
                why_false: wait.truth.why(),
                times: wait.times,
                total: wait.total,
                longest: wait.longest,
            }
        });
        serializer.collect_seq(waits)
    }
}

impl<'a> Explained<'a> {
    pub(super) fn threads(scenario: &'a Scenario, threads: &Threads) -> Self {
        Self { threads: Some(threads_value(threads)), ..Self::of(scenario) }
    }

    pub(super) fn programs(scenario: &'a Scenario, explanations: &'a [Explanation]) -> Self {
        Self { programs: Some(explanations.iter().map(ProgramJson::of).collect()), ..Self::of(scenario) }
    }

    fn of(scenario: &'a Scenario) -> Self {
        let Scenario { name, title, unit, .. } = scenario;
        Self { name, title, unit, threads: None, programs: None }
    }
}

impl<'a> ProgramJson<'a> {
    fn of(explanation: &'a Explanation) -> Self {
        let models = explanation.models.iter().map(|(model, findings, tried)| ModelJson {
            model: model.name(),
            title: model.title(),
            kind: model.kind(),
            makespan: findings.makespan,
            held: findings.held,
            passing: findings.passing,
            jobs: Jobs(explanation, findings),
            false_waits: Waits(explanation, &findings.waits),
            changes: tried
                .changes
                .iter()
                .map(|change| ChangeJson {
                    change: change.kind.title(),
                    buffer: explanation.program.buffers.get(change.buffer).map(|buffer| buffer.name.as_str()),
                    makespan: change.makespan,
                    gain: change.gain,
                })
                .collect(),
            changes_not_tried: tried.left_out,
        });
        Self { variant: &explanation.label, critical_path: explanation.critical_path, models: models.collect() }
    }
}

/// Writes it to standard output. Whoever closed the pipe has seen enough.
///
/// # Errors
/// Standard output takes no more for another reason.
pub(super) fn print(value: &impl Serialize) -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut output, value).map_err(io::Error::from);
    match written.and_then(|()| writeln!(output)).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is left has no reader; dropped as it is, it would be written once more.
            let _ = output.into_parts();
            Ok(())
        }
        other => other,
    }
}
