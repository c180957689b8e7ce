//! The schedule of a graph under rules, in virtual time.
//!
//! Everything is submitted at 0, in the listed order, to in-order queues. A job starts when its queue is free and all that its rules
//! make it wait for has ended. As every wait is for an earlier job, one pass in the order of submission gives every start.

use super::graph::{Dependency, Graph, NAMED, Node, Use, bits};
use super::reservation::{Fence, Fences, Trusts};
use super::rules::{Contract, Rules, Trust};

/// When each job ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Start and end of each job of the graph.
    pub spans: Vec<(u64, u64)>,
    /// When the last one ended.
    pub makespan: u64,
}

/// Why a job waits for another: one fence of one buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// For whom.
    pub(crate) on: u32,
    /// Over which buffer; [`NAMED`] if the program names the fence and no buffer.
    pub(crate) buffer: u32,
    /// Over which regions.
    pub(crate) regions: u64,
    /// How the waiter was taken to use it, and how the other.
    pub(crate) writes: bool,
    pub(crate) on_writes: bool,
    /// Does the program pass the fence by hand, and not the buffer?
    pub(crate) by_hand: bool,
}

/// A job as it is scheduled.
pub(crate) struct Step<'a> {
    /// Its number in the graph.
    pub(crate) job: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// When it could have started: its queue free, its true dependencies over.
    pub(crate) ready: u64,
    /// How much of the start is the passing of fences by hand.
    pub(crate) passing: u64,
    /// What it waited for, and when that ended. A fence of several buffers is there several times.
    pub(crate) waits: &'a [(Wait, u64)],
}

impl Schedule {
    /// True dependencies that the schedule breaks: who started before whom ended.
    pub fn violations(&self, graph: &Graph) -> Vec<(usize, usize)> {
        let mut violations = Vec::new();
        for (job, node) in graph.jobs.iter().enumerate() {
            let start = self.spans.get(job).map_or(0, |span| span.0);
            let broken = |on: &&Dependency| self.spans.get(on.on as usize).is_none_or(|(_, end)| *end > start);
            violations.extend(graph.dependencies(node).iter().filter(broken).map(|on| (job, on.on as usize)));
        }
        violations
    }
}

/// The schedule if every buffer has these rules.
pub fn schedule(graph: &Graph, rules: Rules) -> Schedule {
    schedule_under(graph, &|_| rules, &Contract::HONEST)
}

/// The schedule under rules for each buffer of the program, and a contract.
#[doc(hidden)]
pub fn schedule_under(graph: &Graph, rules: &dyn Fn(u32) -> Rules, contract: &Contract) -> Schedule {
    let mut spans = Vec::with_capacity(graph.len());
    let makespan = walk(graph, rules, contract, &mut |step| spans.push((step.start, step.end)));
    Schedule { spans, makespan }
}

/// Goes through all jobs in the order of submission, and gives the makespan.
pub(crate) fn walk(
    graph: &Graph,
    rules: &dyn Fn(u32) -> Rules,
    contract: &Contract,
    sink: &mut dyn FnMut(Step<'_>),
) -> u64 {
    let mut buffers: Vec<State> =
        graph.buffers.iter().map(|(number, whole)| State::of(rules(*number), *whole)).collect();
    let mut free = vec![0; graph.engines];
    let mut ends: Vec<u64> = Vec::with_capacity(graph.len());
    let mut waits = Vec::new();
    for (job, node) in graph.jobs.iter().enumerate() {
        let job = job as u32;
        waits.clear();
        let named = graph.dependencies_over(node, NAMED).iter().filter(|_| contract.explicit_after);
        waits.extend(named.map(|on| (Wait::named(on.on), 0)));
        for used in graph.uses(node) {
            if let Some(state) = buffers.get_mut(used.buffer as usize) {
                state.submit(graph, job, node, used, contract, &mut waits);
            }
        }
        let Some(engine) = free.get_mut(node.engine as usize) else { continue };
        let end_of = |on: u32| ends.get(on as usize).copied().unwrap_or(0);
        waits.iter_mut().for_each(|(wait, end)| *end = end_of(wait.on));
        let awaited = waits.iter().map(|(_, end)| *end).fold(*engine, u64::max);
        let passed = waits.iter().map(|(wait, end)| end.saturating_add(graph.passing(node, wait)));
        let start = passed.fold(awaited, u64::max);
        let ready = graph.dependencies(node).iter().map(|on| end_of(on.on)).fold(*engine, u64::max);
        let end = start.saturating_add(node.duration);
        *engine = end;
        ends.push(end);
        sink(Step { job, start, end, ready, passing: start - awaited, waits: &waits });
    }
    free.into_iter().max().unwrap_or(0)
}

impl Wait {
    fn named(on: u32) -> Self {
        Self { on, buffer: NAMED, regions: 0, writes: false, on_writes: false, by_hand: true }
    }
}

/// One buffer under its rules.
struct State {
    rules: Rules,
    whole: u64,
    /// Of each region, or of the whole.
    fences: Vec<Fences>,
}

impl State {
    fn of(rules: Rules, whole: u64) -> Self {
        let count = if rules.regions { whole.count_ones() } else { 1 };
        Self { rules, whole, fences: vec![Fences::default(); count as usize] }
    }

    /// Collects what the job waits for, and attaches its fence, as one step.
    fn submit(
        &mut self,
        graph: &Graph,
        job: u32,
        node: &Node,
        used: &Use,
        contract: &Contract,
        waits: &mut Vec<(Wait, u64)>,
    ) {
        let trust = self.trust(node, used);
        if trust.is_some() && contract.named_fences {
            self.named(graph, node, used, trust, waits);
        }
        let mut touched = used.reads | used.writes;
        let mut writes = if contract.promotion { used.writes } else { used.writes & !used.reads };
        if !self.rules.shared_reads {
            writes = touched;
        }
        if !self.rules.regions {
            (touched, writes) = (1, u64::from(writes != 0));
        } else if touched == self.whole && touched > 1 && !contract.whole_union {
            touched &= touched >> 1;
        }
        let begin = waits.len();
        for bit in bits(touched) {
            let Some(fences) = self.fences.get(bit as usize) else { continue };
            let writes = writes & (1 << bit) != 0;
            let regions = if self.rules.regions { 1 << bit } else { self.whole };
            fences.collect(writes, trust, contract, &mut |fence| {
                let (on, buffer, on_writes) = (fence.job, used.buffer, fence.writes);
                waits.push((Wait { on, buffer, regions, writes, on_writes, by_hand: false }, 0));
            });
        }
        if self.rules.regions {
            merge(waits, begin);
        }
        for bit in bits(touched) {
            let Some(fences) = self.fences.get_mut(bit as usize) else { continue };
            fences.attach(node.engine, Fence { job, trust, writes: writes & (1 << bit) != 0 }, contract);
            if !contract.every_region {
                break;
            }
        }
    }

    /// Those who trust each other name their fences: exactly the true dependencies.
    fn named(&self, graph: &Graph, node: &Node, used: &Use, trust: Trusts, waits: &mut Vec<(Wait, u64)>) {
        for on in graph.dependencies_over(node, used.buffer) {
            let Some(other) = graph.node(on.on) else { continue };
            let Some(theirs) = graph.used(other, used.buffer) else { continue };
            if trust.trusts(self.trust(other, theirs)) {
                let regions = (used.reads | used.writes) & (theirs.reads | theirs.writes);
                let (writes, on_writes) = (used.writes & regions != 0, theirs.writes & regions != 0);
                waits.push((Wait { on: on.on, buffer: used.buffer, regions, writes, on_writes, by_hand: true }, 0));
            }
        }
    }

    /// Whom a job trusts that uses the buffer so.
    fn trust(&self, node: &Node, used: &Use) -> Trusts {
        let label = match self.rules.trust {
            Trust::Nobody => None,
            Trust::Owner => Some(node.owner),
            Trust::Group => node.group,
            Trust::Everybody => Some(0),
        };
        Trusts { label, writer: self.rules.writers && used.writes != 0 }
    }
}

/// Each region of a buffer may have brought the same fence: it is one wait.
fn merge(waits: &mut Vec<(Wait, u64)>, begin: usize) {
    let Some(new) = waits.get_mut(begin..).filter(|new| new.len() > 1) else { return };
    new.sort_by_key(|(wait, _)| (wait.on, wait.writes, wait.on_writes));
    let mut merged: Vec<(Wait, u64)> = Vec::with_capacity(new.len());
    for (wait, end) in new.iter() {
        let same = |last: &&mut (Wait, u64)| {
            (last.0.on, last.0.writes, last.0.on_writes) == (wait.on, wait.writes, wait.on_writes)
        };
        match merged.last_mut().filter(same) {
            Some((last, _)) => last.regions |= wait.regions,
            None => merged.push((*wait, *end)),
        }
    }
    waits.truncate(begin);
    waits.extend(merged);
}
