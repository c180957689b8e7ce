//! Who waited beyond what it truly depends on, and for whom, as the stamps of the run say it. Nothing here knows what was predicted.

use serde::Serialize;

use super::Prepared;
use super::conduct::Outcome;
use super::message::{After, Line, Policy, Ran, Submit, Sync, Touch};
use super::plan::Step;
use super::predict::name;

/// A wait is told if it is longer: waking up, and a machine that has other things to do, take a while too.
const TOLERANCE: u64 = 3_000_000;
/// Who waited for a job starts so soon after its release, in nanoseconds.
const SOON: u64 = 3_000_000;

/// A job that was ready and did not start.
#[derive(Debug, Serialize)]
pub(super) struct Wait {
    pub(super) waiter: String,
    /// Whose entry or fence it was given, and who was released just before it started, without a true dependency. `null`: nobody.
    pub(super) on: Option<String>,
    /// From when it was ready to when it started.
    pub(super) measured_ms: f64,
}

/// When a job's queue was free and all that it truly depends on had ended; not before the gate opened. `None`: that was not heard.
pub(super) fn ready(run: &Prepared, outcome: &Outcome, job: u32) -> Option<u64> {
    let mut ready = outcome.zero;
    for on in before(run, job) {
        let ended = outcome.ran.get(&on).map(|ran| ran.ended).filter(|ended| *ended > 0);
        ready = ready.max(ended?);
    }
    (outcome.zero > 0).then_some(ready)
}

/// What it truly depends on, and the one before it in its queue.
fn before(run: &Prepared, job: u32) -> Vec<u32> {
    let Some(node) = run.graph.node(job) else { return Vec::new() };
    let queue = (0..job).rev().find(|other| run.graph.node(*other).is_some_and(|other| other.engine == node.engine));
    run.graph.dependencies(node).iter().map(|on| on.on).chain(queue).collect()
}

/// All of them, the longest first.
pub(super) fn waits(run: &Prepared, outcome: &Outcome) -> Vec<Wait> {
    let mut waits = Vec::new();
    for ran in outcome.ran.values().filter(|ran| ran.started > 0) {
        let Some(waited) = ready(run, outcome, ran.job).map(|ready| ran.started.saturating_sub(ready)) else {
            continue;
        };
        if waited > TOLERANCE {
            let on = cause(run, outcome, ran, ran.started - waited);
            waits.push((std::cmp::Reverse(waited), ran.job, on));
        }
    }
    waits.sort_unstable();
    let wait = |(waited, job, on): (std::cmp::Reverse<u64>, u32, Option<u32>)| Wait {
        waiter: name(&run.program, &run.graph, job),
        on: on.map(|on| name(&run.program, &run.graph, on)),
        measured_ms: waited.0 as f64 / 1e6,
    };
    waits.into_iter().map(wait).collect()
}

/// Who was released last before a job started, if that was while it waited, just before it started, and its fence was given to it.
fn cause(run: &Prepared, outcome: &Outcome, waiter: &Ran, ready: u64) -> Option<u32> {
    let needed = before(run, waiter.job);
    let held = outcome.ran.values().filter(|ran| ran.job != waiter.job && !needed.contains(&ran.job));
    let held = held.filter(|ran| ran.released > ready && ran.released <= waiter.started);
    let held = held.filter(|ran| waiter.started - ran.released <= SOON && is_given(run, waiter, ran));
    held.max_by_key(|ran| ran.released).map(|ran| ran.job)
}

/// Was a job given the fence of another: by name, or in a reservation?
fn is_given(run: &Prepared, waiter: &Ran, other: &Ran) -> bool {
    let find = |job: u32| {
        run.plan.steps.iter().find_map(|step| match step {
            Step::Submit(by, submit) if submit.job == job => Some((run.plan.workers.get(*by)?, submit)),
            _ => None,
        })
    };
    let (Some((by, submit)), Some((their, theirs))) = (find(waiter.job), find(other.job)) else {
        // Threads of one buffer export what was imported before.
        return waiter.submitted > other.submitted;
    };
    if waiter.job < other.job {
        return false;
    }
    let named = |after: &After| match after {
        After::Own(job) => *job == other.job,
        // The timeline of an engine holds what came before the point too.
        After::Point(Line::Engine(engine), point) => *engine == theirs.engine && point_of(run, theirs) <= *point,
        After::Point(Line::Release(_), _) | After::Export(_) => false,
    };
    let imported = |surface: u32| {
        let import =
            |step: &Step| matches!(step, Step::Import { job, on, .. } if *job == other.job && on.surface == surface);
        run.plan.steps.iter().any(import)
    };
    let always = |policy: Policy| policy == Policy::AlwaysWrite;
    let meets = |one: &Touch, two: &Touch| {
        one.surface == two.surface
            && (one.region & two.region != 0 || by.policy != Policy::Honest || always(their.policy))
            && (one.writes || two.writes || by.policy != Policy::Honest || always(their.policy))
            && (their.sync == Sync::Implicit || imported(two.surface))
    };
    submit.after.iter().any(named) || submit.set.iter().any(|one| theirs.set.iter().any(|two| meets(one, two)))
}

/// The place of a job on the timeline of its engine.
fn point_of(run: &Prepared, submit: &Submit) -> u64 {
    let same = |job: &u32| run.graph.node(*job).is_some_and(|node| node.engine == submit.engine);
    (0..=submit.job).filter(same).count() as u64
}
