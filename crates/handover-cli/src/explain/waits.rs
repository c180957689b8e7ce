//! Waits that no true dependency asks for, and what they cost.
//!
//! A job is ready when its queue is free and all that it truly depends on has ended. As no model breaks a true dependency, what it
//! waits for beyond that moment is false: also along any chain of true dependencies there is no reason for it.

use std::collections::HashMap;

use super::graph::{Graph, NAMED};
use super::rules::{Contract, Rules};
use super::schedule::{Step, Wait, walk};

/// Jobs of one name that waited falsely for jobs of another, over one buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FalseWait {
    /// Who waited: index into the program's jobs.
    pub waiter: usize,
    /// For whom.
    pub on: usize,
    /// Over which buffer of the program. `None`: a fence that the program names.
    pub buffer: Option<usize>,
    /// Over which regions, as bits. All of the buffer if the rules do not tell them apart.
    pub regions: u64,
    /// Was the waiter taken for a writer, and the other?
    pub usages: (bool, bool),
    /// Why there was no need to.
    pub truth: Truth,
    /// How often.
    pub times: u64,
    /// How long in total: from when the waiter was ready to the end of what it waited for.
    pub total: u64,
    /// The longest of them.
    pub longest: u64,
}

/// What two jobs truly do to a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// Both only read it.
    BothRead,
    /// They touch different regions.
    Apart,
    /// They conflict, but the program says that neither depends on the other.
    Promised,
}

impl Truth {
    /// Why there was no need to wait.
    pub fn why(self) -> &'static str {
        match self {
            Self::BothRead => "both only read it",
            Self::Apart => "they touch different regions",
            Self::Promised => "the scenario says that neither depends on the other",
        }
    }
}

impl FalseWait {
    /// "write after read": what the rules took both for, the waiter first.
    pub fn usage(&self) -> &'static str {
        match self.usages {
            (true, true) => "write after write",
            (true, false) => "write after read",
            (false, true) => "read after write",
            (false, false) => "read after read",
        }
    }
}

/// What one set of rules does to a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// When the last job ended.
    pub makespan: u64,
    /// The false waits that cost time, the most expensive first.
    pub waits: Vec<FalseWait>,
    /// The time that jobs were held up in all, each by the last that it waited for.
    pub held: u64,
    /// The time that jobs waited in all for fences that were passed by hand, after what they stand for had ended.
    pub passing: u64,
    /// Start and end of each job.
    pub spans: Vec<(u64, u64)>,
}

/// Schedules the graph and finds the false waits that cost time.
pub(super) fn find(graph: &Graph, rules: &dyn Fn(u32) -> Rules) -> Findings {
    let mut found: HashMap<(u32, u32, u32, bool, bool), FalseWait> = HashMap::new();
    let (mut held, mut passing, mut spans) = (0_u64, 0_u64, Vec::with_capacity(graph.len()));
    let makespan = walk(graph, rules, &Contract::HONEST, &mut |step| {
        let awaited = step.start - step.passing;
        held = held.saturating_add(awaited.saturating_sub(step.ready));
        passing = passing.saturating_add(step.passing);
        spans.push((step.start, step.end));
        for (wait, end) in step.waits.iter().filter(|(_, end)| *end > step.ready) {
            note(graph, &step, wait, end - step.ready, &mut found);
        }
    });
    let mut waits: Vec<FalseWait> = found.into_values().collect();
    waits.sort_by_key(|wait| (std::cmp::Reverse(wait.total), wait.waiter, wait.on, wait.buffer, wait.usages));
    Findings { makespan, waits, held, passing, spans }
}

fn note(
    graph: &Graph,
    step: &Step<'_>,
    wait: &Wait,
    time: u64,
    found: &mut HashMap<(u32, u32, u32, bool, bool), FalseWait>,
) {
    let (Some(waiter), Some(on)) = (graph.node(step.job), graph.node(wait.on)) else { return };
    let buffer = graph.buffers.get(wait.buffer as usize).map_or(NAMED, |(number, _)| *number);
    let entry = found.entry((waiter.job, on.job, buffer, wait.writes, wait.on_writes)).or_insert_with(|| FalseWait {
        waiter: waiter.job as usize,
        on: on.job as usize,
        buffer: (buffer != NAMED).then_some(buffer as usize),
        regions: 0,
        usages: (wait.writes, wait.on_writes),
        truth: truth(graph, step.job, wait),
        times: 0,
        total: 0,
        longest: 0,
    });
    entry.regions |= wait.regions;
    entry.times += 1;
    entry.total = entry.total.saturating_add(time);
    entry.longest = entry.longest.max(time);
}

/// What the two jobs of a wait truly do to its buffer.
pub(super) fn truth(graph: &Graph, job: u32, wait: &Wait) -> Truth {
    let of = |job: u32| graph.used(graph.node(job)?, wait.buffer);
    let (Some(this), Some(other)) = (of(job), of(wait.on)) else { return Truth::Promised };
    if this.writes == 0 && other.writes == 0 {
        Truth::BothRead
    } else if this.writes & (other.reads | other.writes) == 0 && other.writes & this.reads == 0 {
        Truth::Apart
    } else {
        Truth::Promised
    }
}
