//! What went wrong: pixels that were not those of the last true writer, and jobs that did not wait for what they depend on.

use serde::Serialize;

use super::Prepared;
use super::conduct::Outcome;
use super::message::{Ran, Seen, UNFINISHED};
use super::predict::name;
use crate::explain::{NAMED, bits};

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Hazard {
    /// Who found wrong pixels, or did not wait.
    pub(super) job: String,
    /// `null`: a dependency that the scenario names.
    pub(super) buffer: Option<String>,
    pub(super) region: Option<String>,
    /// "read": it should have found another's pixels. "write": its own were overwritten. "order": it started too early.
    pub(super) access: &'static str,
    /// "start" or "end" of the job, or "last": when all had ended.
    pub(super) at: &'static str,
    /// Whose pixels they should be, or which job should have ended.
    pub(super) expected: String,
    /// Whose they were.
    pub(super) found: Vec<String>,
    /// How long too early it started.
    pub(super) early_ms: Option<f64>,
}

/// All of a run: the broken order first, as it does not depend on who looked when.
pub(super) fn hazards(run: &Prepared, outcome: &Outcome) -> Vec<Hazard> {
    let mut ran: Vec<&Ran> = outcome.ran.values().collect();
    ran.sort_by_key(|ran| ran.job);
    let mut hazards: Vec<Hazard> = ran.iter().flat_map(|ran| broken(run, outcome, ran)).collect();
    for ran in ran {
        let of_job = |seen: &Seen| wrong(run, ran.job, seen, if seen.at_end { "end" } else { "start" });
        hazards.extend(ran.hazards.iter().map(of_job));
    }
    let last = |seen: &Seen| wrong(run, seen.expected.saturating_sub(1), seen, "last");
    hazards.extend(outcome.left.iter().map(last));
    hazards
}

/// True dependencies of a job that had not ended when it started, by the stamps of both.
fn broken(run: &Prepared, outcome: &Outcome, ran: &Ran) -> Vec<Hazard> {
    let Some(node) = run.graph.node(ran.job).filter(|_| ran.started > 0) else { return Vec::new() };
    let early = run.graph.dependencies(node).iter().filter_map(|on| {
        // Who failed has no stamp, and is told as that.
        let ended = outcome.ran.get(&on.on).map(|on| on.ended).filter(|ended| *ended > ran.started)?;
        Some((on.on, on.buffer, ended - ran.started))
    });
    let hazard = |(on, buffer, early): (u32, u32, u64)| Hazard {
        job: name(&run.program, &run.graph, ran.job),
        buffer: run.plan.surfaces.get(buffer as usize).filter(|_| buffer != NAMED).map(|of| of.name.clone()),
        region: None,
        access: "order",
        at: "start",
        expected: name(&run.program, &run.graph, on),
        found: Vec::new(),
        early_ms: Some(early as f64 / 1e6),
    };
    early.map(hazard).collect()
}

fn wrong(run: &Prepared, job: u32, seen: &Seen, at: &'static str) -> Hazard {
    let whose = |pixel: u32| match (pixel & !UNFINISHED).checked_sub(1) {
        None => "nobody".to_owned(),
        Some(job) if pixel & UNFINISHED != 0 => format!("{}, unfinished", name(&run.program, &run.graph, job)),
        Some(job) => name(&run.program, &run.graph, job),
    };
    let buffer = run.graph.buffers.get(seen.surface as usize);
    let buffer = buffer.and_then(|(number, _)| run.program.buffers.get(*number as usize));
    let region = bits(1_u64.checked_shl(seen.cell).unwrap_or(0)).next();
    Hazard {
        job: name(&run.program, &run.graph, job),
        buffer: run.plan.surfaces.get(seen.surface as usize).map(|surface| surface.name.clone()),
        region: region.and_then(|bit| buffer?.regions.get(bit as usize).cloned()),
        access: if seen.own { "write" } else { "read" },
        at,
        expected: whose(seen.expected),
        found: seen.found.iter().map(|pixel| whose(*pixel)).collect(),
        early_ms: None,
    }
}

impl std::fmt::Display for Hazard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let region = self.region.as_ref().map_or(String::new(), |region| format!(", {region}"));
        let (job, at, expected) = (&self.job, &self.at, &self.expected);
        let buffer = self.buffer.as_deref().unwrap_or_default();
        let found = self.found.join("; ");
        match (self.access, self.at) {
            ("order", _) => {
                let early = self.early_ms.unwrap_or(0.0);
                let over = if buffer.is_empty() { "by name".to_owned() } else { format!("over {buffer}") };
                write!(f, "{job} started {early:.3} ms before {expected} ended, on which it depends {over}")
            }
            ("write", "last") => {
                write!(f, "{job} wrote {buffer}{region} last, and in the end there were pixels of {found}")
            }
            ("write", _) => write!(f, "{job} wrote {buffer}{region}, and at its {at} there were pixels of {found}"),
            _ => write!(
                f,
                "{job} read {buffer}{region}: at its {at} there were pixels of {found}, not only of {expected}"
            ),
        }
    }
}
