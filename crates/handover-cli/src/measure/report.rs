//! The report of a scenario that ran: what stands in `report.json`. Times in milliseconds from the opening of the gate.

use serde::Serialize;

use super::Prepared;
use super::conduct::{Death, Ended, Held, Outcome};
use super::hazards::{Hazard, hazards};
use super::plan::Step;
use super::predict::{FalseWait, Prediction, name};
use super::waits::{Wait, ready, waits};
use crate::explain::Recorded;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Name of the scenario.
    pub(super) scenario: String,
    pub(super) title: String,
    /// Version of the program.
    pub(super) version: &'static str,
    pub(super) owners: Vec<Owner>,
    /// "declared" or "whole".
    pub(super) regions: &'static str,
    /// Who stands between explicit and implicit owners.
    pub(super) border: Option<String>,
    /// Duties that were left out.
    pub(super) without: Vec<&'static str>,
    /// "complete", "hazards" (complete, and somebody found wrong pixels), "interrupted" or "failed".
    pub(super) ended: &'static str,
    pub(super) dead: Option<Death>,
    /// Of the jobs that ran.
    pub(super) makespan_ms: f64,
    /// The longest path over true dependencies and the order of engines, with the durations of the file.
    pub(super) critical_path_ms: f64,
    /// The one over the other. `null`: the run is not complete.
    pub(super) ratio: Option<f64>,
    /// What the same steps take in virtual time. `null`: somebody leaves out what keeps others safe.
    pub(super) predicted: Option<Predicted>,
    /// All jobs of the scenario, whether they ran or not.
    pub(super) jobs: Vec<Job>,
    /// Who waited beyond what it truly depends on, as it was measured.
    pub(super) waits: Vec<Wait>,
    /// What they touch, so that `explain` can read this report.
    pub(super) graph: Recorded,
    /// Somebody found pixels that were not those of the last true writer, or started before what it depends on had ended.
    pub(super) hazards: Vec<Hazard>,
    /// How many more pixels were wrong than are told.
    pub(super) more_hazards: usize,
    /// Reads, cell by cell, of which nothing can be expected: some writer is in no order with them.
    pub(super) unchecked_reads: usize,
    /// Cells whose last writer is not certain.
    pub(super) unchecked_cells: usize,
    /// Jobs of implicit owners whose fence is in no reservation: nobody waits for them (a driver that attaches nothing).
    pub(super) unattached: Vec<String>,
    /// What each reservation held when all was submitted and nothing had begun.
    pub(super) held: Vec<Holding>,
    /// What was done to submit, step by step.
    pub(super) steps: Vec<Taken>,
}

/// An owner is a process.
#[derive(Debug, Serialize)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) sync: &'static str,
    pub(super) policy: &'static str,
}

/// What `explain` says.
#[derive(Debug, Serialize)]
pub(super) struct Predicted {
    pub(super) model: String,
    pub(super) makespan_ms: f64,
    /// Waits that no true dependency asks for, with the time that they took here.
    pub(super) false_waits: Vec<FalseWait>,
}

/// One job.
#[derive(Debug, Serialize)]
pub(super) struct Job {
    pub(super) job: String,
    pub(super) owner: String,
    pub(super) engine: String,
    /// `null`: it was not heard of; so with all other times.
    pub(super) submitted_ms: Option<f64>,
    /// When its queue was free and all that it truly depends on had ended.
    pub(super) ready_ms: Option<f64>,
    /// `null`: it did not run.
    pub(super) started_ms: Option<f64>,
    pub(super) ended_ms: Option<f64>,
    /// When its fence ended and its entries were gone.
    pub(super) released_ms: Option<f64>,
    /// From ready to started.
    pub(super) waited_ms: Option<f64>,
    pub(super) predicted_ready_ms: Option<f64>,
    pub(super) predicted_start_ms: Option<f64>,
    pub(super) predicted_end_ms: Option<f64>,
    pub(super) failed: Option<String>,
}

/// What one reservation held, by usage.
#[derive(Debug, Serialize)]
pub(super) struct Holding {
    pub(super) buffer: String,
    #[serde(flatten)]
    pub(super) held: Held,
    /// Does an implicit participant find anything?
    pub(super) visible: bool,
}

/// One step.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    pub(super) by: String,
    /// "submit W1", "import W1 as write", "release for W2".
    pub(super) step: String,
    pub(super) held: Vec<Holding>,
}

impl Report {
    pub(super) fn of(run: &Prepared, outcome: &Outcome) -> Self {
        let Prepared { scenario, program, graph, settings, nanoseconds, plan, .. } = run;
        let file_ms = |time: u64| time.saturating_mul(*nanoseconds) as f64 / 1e6;
        let zero = outcome.zero;
        let ms = |at: u64| if at >= zero { (at - zero) as f64 / 1e6 } else { -((zero - at) as f64 / 1e6) };
        let prediction = run.prediction.as_ref();
        let jobs: Vec<Job> = (0..graph.len() as u32)
            .filter_map(|number| {
                let node = graph.node(number)?;
                let ran = outcome.ran.get(&number);
                let ready = ready(run, outcome, number);
                let started = ran.filter(|ran| ran.started > 0);
                let submitted = ran.map(|ran| ran.submitted).or_else(|| outcome.submitted.get(&number).copied());
                // Before the gate opens there is no time to count from.
                let ms = |at: u64| (zero > 0 && at > 0).then(|| ms(at));
                let predicted = prediction.and_then(|prediction| prediction.spans.get(number as usize));
                Some(Job {
                    job: name(program, graph, number),
                    owner: program.owners.get(node.owner as usize).cloned().unwrap_or_default(),
                    engine: program.engines.get(node.engine as usize).cloned().unwrap_or_default(),
                    submitted_ms: submitted.and_then(ms),
                    ready_ms: ready.and_then(ms),
                    started_ms: started.and_then(|ran| ms(ran.started)),
                    ended_ms: started.and_then(|ran| ms(ran.ended)),
                    released_ms: ran.and_then(|ran| ms(ran.released)),
                    waited_ms: started.and_then(|ran| Some(ran.started.saturating_sub(ready?) as f64 / 1e6)),
                    predicted_ready_ms: predicted.map(|[ready, ..]| file_ms(*ready)),
                    predicted_start_ms: predicted.map(|[_, start, _]| file_ms(*start)),
                    predicted_end_ms: predicted.map(|[.., end]| file_ms(*end)),
                    failed: ran.and_then(|ran| ran.failed.clone()),
                })
            })
            .collect();
        let hazards: Vec<Hazard> = hazards(run, outcome);
        let makespan_ms = jobs.iter().filter_map(|job| job.ended_ms).fold(0.0, f64::max);
        let critical_path_ms = file_ms(graph.critical_path());
        let failed = jobs.iter().any(|job| job.failed.is_some());
        let ended = match &outcome.ended {
            Ended::Signal(_) => "interrupted",
            Ended::Death(_) | Ended::Late(_) => "failed",
            Ended::Complete if failed => "failed",
            Ended::Complete if hazards.is_empty() => "complete",
            Ended::Complete => "hazards",
        };
        let ratio = if critical_path_ms > 0.0 { makespan_ms / critical_path_ms } else { 1.0 };
        Self {
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            version: env!("CARGO_PKG_VERSION"),
            owners: program
                .owners
                .iter()
                .zip(&settings.owners)
                .map(|(name, (sync, policy))| Owner { name: name.clone(), sync: sync.word(), policy: policy.word() })
                .collect(),
            regions: if settings.regions { "declared" } else { "whole" },
            border: settings.border.and_then(|border| program.owners.get(border)).cloned(),
            without: settings.without.iter().map(|duty| duty.word()).collect(),
            ended,
            dead: if let Ended::Death(death) = &outcome.ended { Some(death.clone()) } else { None },
            makespan_ms,
            critical_path_ms,
            ratio: (ended == "complete").then_some(ratio),
            predicted: prediction.map(|prediction| Predicted {
                model: prediction.model.clone(),
                makespan_ms: file_ms(prediction.makespan),
                false_waits: false_waits(run, outcome, prediction),
            }),
            jobs,
            waits: waits(run, outcome),
            graph: Recorded::of(program, graph, |job| name(program, graph, job)),
            hazards,
            more_hazards: outcome.ran.values().map(|ran| ran.more_hazards).sum(),
            unchecked_reads: plan.unchecked,
            unchecked_cells: plan.truth.unsettled(),
            unattached: outcome.unattached.iter().map(|job| name(program, graph, *job)).collect(),
            held: (0..).zip(&outcome.held).map(|(surface, held)| holding(run, surface, *held)).collect(),
            steps: outcome
                .steps
                .iter()
                .filter_map(|taken| {
                    let (by, step) = describe(run, plan.steps.get(taken.step)?);
                    let held = taken.held.iter().map(|(surface, held)| holding(run, *surface, *held)).collect();
                    Some(Taken { by, step, held })
                })
                .collect(),
        }
    }
}

/// Those that are predicted, with the time that each took here.
fn false_waits(run: &Prepared, outcome: &Outcome, prediction: &Prediction) -> Vec<FalseWait> {
    let measured = |(waiter, on): (u32, u32)| {
        let (waiter, on) = (outcome.ran.get(&waiter)?, outcome.ran.get(&on)?);
        let until = waiter.started.min(on.ended);
        (until > 0).then_some(())?;
        Some(until.saturating_sub(ready(run, outcome, waiter.job)?) as f64 / 1e6)
    };
    prediction.waits.iter().map(|wait| FalseWait { measured_ms: measured(wait.jobs), ..wait.clone() }).collect()
}

fn holding(run: &Prepared, surface: u32, held: Held) -> Holding {
    let buffer = run.plan.surfaces.get(surface as usize).map_or_else(String::new, |surface| surface.name.clone());
    Holding { buffer, held, visible: held.kernel + held.write + held.read > 0 }
}

fn describe(run: &Prepared, step: &Step) -> (String, String) {
    let (by, what) = match step {
        Step::Submit(by, submit) => (by, format!("submit {}", name(&run.program, &run.graph, submit.job))),
        Step::Import { by, job, on, .. } => {
            let usage = if on.writes { "write" } else { "read" };
            (by, format!("import {} as {usage}", name(&run.program, &run.graph, *job)))
        }
        Step::Release { by, for_job, .. } => (by, format!("release for {}", name(&run.program, &run.graph, *for_job))),
        Step::Thread(by, thread) => (by, format!("thread {}", thread.number)),
    };
    (run.plan.workers.get(*by).map_or_else(String::new, |worker| worker.name.clone()), what)
}
