//! What `explain` says of a program under the rules that its participants follow here.

use serde::Serialize;

use super::message::{Policy, Sync};
use super::plan::Plan;
use super::rehearse::rehearse;
use super::settings::Settings;
use crate::explain::{Access, Contract, Graph, Model, NAMED, Program, Rules, Trust, bits, walk};

/// The schedule in virtual time, with the durations of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Prediction {
    /// What the rules are called.
    pub(super) model: String,
    pub(super) makespan: u64,
    /// Of each job: when it is ready, starts and ends.
    pub(super) spans: Vec<[u64; 3]>,
    pub(super) waits: Vec<FalseWait>,
}

/// A wait that no true dependency asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct FalseWait {
    #[serde(skip)]
    pub(super) jobs: (u32, u32),
    /// Who waits.
    pub(super) waiter: String,
    /// For whom.
    pub(super) on: String,
    /// Over which buffer. `null`: a fence that the scenario names.
    pub(super) buffer: Option<String>,
    /// Over which of its regions; none are all.
    pub(super) regions: Vec<String>,
    /// "write after read": what both were taken for, the waiter first.
    pub(super) usage: &'static str,
    /// From when the waiter was ready to the end of the other, in the unit of the scenario.
    pub(super) time: u64,
    /// The same as it was measured, in milliseconds.
    pub(super) measured_ms: Option<f64>,
}

/// The rules that all participants may follow together. `None`: no model says that.
fn rules(settings: &Settings) -> Option<(String, Rules)> {
    let explicit = settings.owners.iter().filter(|(sync, _)| *sync == Sync::Explicit).count();
    let mut policies: Vec<Policy> =
        settings.owners.iter().filter(|(sync, _)| *sync == Sync::Implicit).map(|(_, policy)| *policy).collect();
    policies.sort_by_key(|policy| *policy as u8);
    policies.dedup();
    let named = |model: Model| Some((format!("{} {}", model.name(), model.title()), model.rules()));
    let honest = if settings.regions { Model::Regions } else { Model::Shared };
    match (explicit, policies.as_slice()) {
        (_, []) => named(Model::Explicit),
        (0, [Policy::Honest]) => named(honest),
        (0, [Policy::AlwaysWrite]) => named(Model::Exclusive),
        (0, [Policy::SkipOwnOwner]) => named(Model::Owners),
        // Who always writes is somebody who writes.
        (0, [Policy::Honest, Policy::AlwaysWrite]) => {
            Some((format!("{} with owners who always write", honest.name()), honest.rules()))
        }
        (_, [Policy::Honest]) => {
            let rules = Rules { trust: Trust::Group, regions: settings.regions, ..Model::Classes.rules() };
            Some((format!("{}, its group the explicit owners", Model::Classes.name()), rules))
        }
        _ => None,
    }
}

/// The program as its participants say it: who always writes writes, and explicit owners are a group.
fn said(program: &Program, settings: &Settings) -> Program {
    let mut said = program.clone();
    let mixed = settings.owners.iter().any(|(sync, _)| *sync == Sync::Explicit)
        && settings.owners.iter().any(|(sync, _)| *sync == Sync::Implicit);
    for job in &mut said.jobs {
        let Some((sync, policy)) = settings.owners.get(job.owner) else { continue };
        if mixed {
            job.group = (*sync == Sync::Explicit).then_some(0);
        }
        if (*sync, *policy) == (Sync::Implicit, Policy::AlwaysWrite) {
            let whole = |access: &Access| program.buffers.get(access.buffer).map_or(1, |buffer| buffer.whole());
            job.accesses
                .iter_mut()
                .for_each(|access| *access = Access { regions: whole(access), writes: true, ..*access });
        }
    }
    said
}

/// What happens if every job takes just its duration: the plan's own steps in virtual time. Where a model of `explain` gives the same
/// starts it has the model's name. `None`: somebody leaves out what keeps others safe, and no time can be promised.
pub(super) fn predict(program: &Program, graph: &Graph, settings: &Settings, plan: &Plan) -> Option<Prediction> {
    if !settings.without.is_empty() || settings.owners.iter().any(|(_, policy)| *policy == Policy::None) {
        return None;
    }
    let turns = rehearse(plan, graph);
    let starts = |rules: Rules| {
        let mut spans = Vec::with_capacity(graph.len());
        walk(&Graph::of(&said(program, settings)), &|_| rules, &Contract::HONEST, &mut |step| {
            spans.push((step.start, step.end));
        });
        spans
    };
    let same = |rules: Rules| starts(rules).into_iter().eq(turns.iter().map(|turn| (turn.start, turn.end)));
    let model = rules(settings).filter(|(_, rules)| same(*rules));
    let mut prediction = Prediction {
        model: model.map_or_else(|| "the rules of each owner".to_owned(), |(model, _)| model),
        makespan: turns.iter().map(|turn| turn.end).max().unwrap_or(0),
        spans: turns.iter().map(|turn| [turn.ready, turn.start, turn.end]).collect(),
        waits: Vec::new(),
    };
    for (job, turn) in (0..).zip(&turns) {
        for held in &turn.waits {
            let end = turns.get(held.on as usize).map_or(0, |on| on.end);
            if end <= turn.ready {
                continue;
            }
            let whole = graph.buffers.get(held.surface as usize).filter(|_| held.surface != NAMED);
            let buffer = whole.and_then(|(number, _)| program.buffers.get(*number as usize));
            let regions = held.regions & whole.map_or(0, |(_, whole)| *whole);
            let all = buffer.is_none_or(|buffer| regions == buffer.whole());
            let regions = bits(if all { 0 } else { regions });
            prediction.waits.push(FalseWait {
                jobs: (job, held.on),
                waiter: name(program, graph, job),
                on: name(program, graph, held.on),
                buffer: buffer.map(|buffer| buffer.name.clone()),
                regions: regions.filter_map(|bit| buffer?.regions.get(bit as usize).cloned()).collect(),
                usage: usage(held.writes, held.on_writes),
                time: end - turn.ready,
                measured_ms: None,
            });
        }
    }
    prediction.waits.sort_by_key(|wait| (std::cmp::Reverse(wait.time), wait.jobs));
    Some(prediction)
}

fn usage(writes: bool, on_writes: bool) -> &'static str {
    match (writes, on_writes) {
        (true, true) => "write after write",
        (true, false) => "write after read",
        (false, true) => "read after write",
        (false, false) => "read after read",
    }
}

/// "W1", or "W1 #3" where there are several frames, counted from 0.
pub(super) fn name(program: &Program, graph: &Graph, job: u32) -> String {
    let Some(node) = graph.node(job) else { return format!("job {job}") };
    let name = program.jobs.get(node.job as usize).map_or("?", |job| job.name.as_str());
    if program.frames > 1 { format!("{name} #{}", node.frame) } else { name.to_owned() }
}
