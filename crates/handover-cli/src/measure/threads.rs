//! Threads that read one buffer by export, submit and import, run for real (S7): honestly, and with an import that says "write".

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::message::{Policy as Says, Submit, Sync, Thread, Touch};
use super::plan::{Plan, Step, Surface, Worker};
use super::report::Report;
use super::settings::Settings;
use super::truth::Truth;
use super::{Arguments, Prepared, account, interrupted, perform, tell};
use crate::columns::{Align, columns};
use crate::explain::{Access, Buffer, Graph, Job, Outcome as Predicted, Policy, Program, Scenario, Threads};
use crate::run::Outputs;
use crate::signals::Signals;

/// Threads of one process: a reservation holds so many entries of it.
const EACH: u32 = 16;
/// All of them, and the write: a reservation holds no more.
const MOST: u32 = 63;

/// Each number of threads, in each of the two ways.
pub(super) struct Runs(Vec<Run>);

struct Run {
    threads: u32,
    policy: Policy,
    predicted: Option<Predicted>,
    run: Prepared,
}

/// The report.
#[derive(Debug, Serialize)]
struct Measured {
    scenario: String,
    title: String,
    version: &'static str,
    /// As the report of one run: the worst of all.
    ended: &'static str,
    runs: Vec<One>,
}

/// One of them.
#[derive(Debug, Serialize)]
struct One {
    threads: u32,
    /// What each thread exports and imports as: "READ / WRITE".
    export_import: &'static str,
    /// What `explain` says: the mean of random interleavings, the longest of them, and with a lock around the three steps.
    predicted_mean_ms: f64,
    predicted_max_ms: f64,
    predicted_locked_ms: f64,
    #[serde(flatten)]
    report: Report,
}

/// # Errors
/// In words: there are more threads than a reservation holds.
pub(super) fn prepare(scenario: &Scenario, threads: &Threads, nanoseconds: u64) -> Result<Runs, String> {
    if let Some(count) = threads.counts.iter().find(|count| **count > MOST) {
        return Err(format!("{count} threads import a fence each, and a reservation holds {MOST} beside the write"));
    }
    let honest = Policy { export_writes: false, import_writes: false };
    let pessimistic = Policy { import_writes: true, ..honest };
    let ways = threads.counts.iter().flat_map(|count| [(*count, honest), (*count, pessimistic)]);
    let runs = ways.map(|(count, policy)| {
        let program = program(threads, count);
        let graph = Graph::of(&program);
        let plan = plan(&program, &graph, policy, nanoseconds);
        let owners = plan.workers.iter().map(|worker| (worker.sync, worker.policy)).collect();
        let settings = Settings { owners, regions: false, border: None, rows: Vec::new(), without: Vec::new() };
        let scenario = scenario.clone();
        let run = Prepared { scenario, program, graph, settings, nanoseconds, plan, prediction: None };
        // It takes a while: nothing has started, and no signal is held back.
        let predicted = Threads { counts: vec![count], ..threads.clone() }.outcomes(policy).into_iter().next();
        Run { threads: count, policy, predicted, run }
    });
    Ok(Runs(runs.collect()))
}

/// A write, and a read for each thread: their true dependencies.
fn program(threads: &Threads, count: u32) -> Program {
    let processes = count.div_ceil(EACH);
    let job = |name: String, engine: usize, owner: usize, duration: u64| Job {
        name,
        engine,
        owner,
        group: None,
        duration,
        accesses: vec![Access { buffer: 0, regions: 1, writes: engine == 0 }],
        after: None,
    };
    let readers = (1..=count).map(|number| {
        job(format!("thread {number}"), number as usize, 1 + ((number - 1) / EACH) as usize, threads.read)
    });
    Program {
        engines: std::iter::once("writer".to_owned()).chain((1..=count).map(|n| format!("thread {n}"))).collect(),
        buffers: vec![Buffer { name: "A".into(), regions: Vec::new(), ring: 1 }],
        owners: std::iter::once("writer".to_owned()).chain((1..=processes).map(|n| format!("readers-{n}"))).collect(),
        jobs: std::iter::once(job("write".into(), 0, 0, threads.write)).chain(readers).collect(),
        frames: 1,
        ..Program::default()
    }
}

fn plan(program: &Program, graph: &Graph, policy: Policy, nanoseconds: u64) -> Plan {
    let worker = |(number, name): (usize, &String)| Worker {
        name: name.clone(),
        sync: if number == 0 { Sync::Implicit } else { Sync::Explicit },
        policy: Says::Honest,
        engines: if number == 0 { vec![(0, name.clone())] } else { Vec::new() },
        ..Worker::default()
    };
    let truth = Truth::of(graph);
    let step = |(number, job): (usize, &Job)| {
        let (number, duration) = (number as u32, job.duration.saturating_mul(nanoseconds));
        if number > 0 {
            let Policy { export_writes, import_writes } = policy;
            return Step::Thread(job.owner, Thread { number, surface: 0, export_writes, import_writes, duration });
        }
        let set = vec![Touch { surface: 0, region: u64::MAX, writes: true }];
        let writes = truth.writes(graph, 0);
        Step::Submit(0, Submit { job: 0, engine: 0, set, after: Vec::new(), reads: Vec::new(), writes, duration })
    };
    let steps = program.jobs.iter().enumerate().map(step).collect();
    let mut plan = Plan {
        workers: program.owners.iter().enumerate().map(worker).collect(),
        surfaces: vec![Surface { name: "A".into(), regions: 0, rows: false }],
        steps,
        truth,
        unchecked: 0,
    };
    plan.collect_needs();
    plan
}

/// One run after the other, until one does not come to a good end.
pub(super) fn play(
    arguments: &Arguments,
    runs: &Runs,
    outputs: &Outputs,
    signals: &mut Signals,
) -> Result<ExitCode, String> {
    let (mut measured, mut code) = (Vec::new(), ExitCode::SUCCESS);
    let named = runs.0.first().map(|run| (run.run.scenario.name.clone(), run.run.scenario.title.clone()));
    let (scenario, title) = named.unwrap_or_default();
    let mut ended = "complete";
    for Run { threads, policy, predicted, run } in &runs.0 {
        // One that came between two runs.
        if let Some(signal) = signals.take().first() {
            code = interrupted(*signal, outputs.directory());
            ended = "interrupted";
            break;
        }
        let outcome = perform(run, signals)?;
        let report = Report::of(run, &outcome);
        let ms = |time: f64| time * run.nanoseconds as f64 / 1e6;
        let predicted = predicted.as_ref().map_or((0.0, 0, 0), |outcome| (outcome.mean, outcome.max, outcome.locked));
        code = account(run, &report, &outcome, outputs.directory());
        ended = report.ended;
        measured.push(One {
            threads: *threads,
            export_import: policy.name(),
            predicted_mean_ms: ms(predicted.0),
            predicted_max_ms: ms(predicted.1 as f64),
            predicted_locked_ms: ms(predicted.2 as f64),
            report,
        });
        if ended != "complete" {
            break;
        }
    }
    let measured = Measured { scenario, title, version: env!("CARGO_PKG_VERSION"), ended, runs: measured };
    tell(arguments, &measured, outputs.directory(), |directory| text(&measured, directory))?;
    Ok(code)
}

fn text(measured: &Measured, directory: &str) -> String {
    let mut text = format!("{} {}\n\n", measured.scenario, measured.title);
    let rows: Vec<[String; 7]> = measured
        .runs
        .iter()
        .map(|run| {
            let [makespan, mean, max, locked] =
                [run.report.makespan_ms, run.predicted_mean_ms, run.predicted_max_ms, run.predicted_locked_ms]
                    .map(|ms| format!("{ms:.1}"));
            let ratio = run.report.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
            [run.threads.to_string(), run.export_import.to_owned(), makespan, ratio, mean, max, locked]
        })
        .collect();
    let heads =
        ["threads", "export / import", "makespan", "of critical path", "predicted: mean", "longest", "with a lock"];
    for line in columns(&heads, &rows, &[Align::Right, Align::Left]) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "  in ms; predicted by explain, of random interleavings\n\nreport in {directory}");
    text
}
