//! Changes that would remove false waits. Each is applied, and everything is scheduled again.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::program::{Access, Buffer, Program};
use super::rules::{Contract, Model, Rules, Trust};
use super::schedule::walk;
use super::waits::{Findings, Truth};

/// Jobs and uses of buffers that may be scheduled to try changes, for one model. A scenario with many of them tries fewer.
const BUDGET: usize = 1_000_000;
/// Changes that are tried for one model, however small it is.
const MOST: usize = 20;

/// What could be changed about one buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Readers say that they read.
    HonestRead,
    /// Writers order themselves and import their results, instead of writing one after the other.
    ImportInsteadOfWrite,
    /// Its regions become buffers.
    Split,
    /// Its regions are told apart.
    Regions,
    /// Everybody names the fences it waits for.
    Explicit,
}

impl Kind {
    /// What to do, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Self::HonestRead => "honest read",
            Self::ImportInsteadOfWrite => "import instead of write",
            Self::Split => "split the buffer",
            Self::Regions => "regions",
            Self::Explicit => "explicit",
        }
    }

    /// What that means for a buffer of this name.
    pub fn means(self, buffer: &str) -> String {
        match self {
            Self::HonestRead => format!("whoever only reads {buffer} says so"),
            Self::ImportInsteadOfWrite => {
                format!("the writers of {buffer} order themselves, and import their fences as writes")
            }
            Self::Split => format!("each region of {buffer} becomes a buffer"),
            Self::Regions => format!("users of {buffer} say which regions they touch"),
            Self::Explicit => format!("users of {buffer} pass the fences they wait for by hand"),
        }
    }
}

/// A change, and what it brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What is changed.
    pub kind: Kind,
    /// Of which buffer: index into the program's.
    pub buffer: usize,
    /// The makespan with it.
    pub makespan: u64,
    /// The makespan before, less that. Negative: it is slower.
    pub gain: i64,
}

/// The changes that were tried under one model, the best first, and the number of those that were not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    /// Those that were tried.
    pub changes: Vec<Change>,
    /// How many others there would have been.
    pub left_out: usize,
}

/// Tries what would remove the false waits that a model has.
pub(super) fn tries(program: &Program, graph: &Graph, model: Model, findings: &Findings) -> Tried {
    let rules = model.rules();
    let mut wanted: Vec<(usize, Kind)> = Vec::new();
    let mut seen = BTreeSet::new();
    // The most expensive waits come first, and so do the changes of their buffers.
    for wait in &findings.waits {
        let Some((number, buffer)) = wait.buffer.and_then(|number| Some((number, program.buffers.get(number)?))) else {
            continue;
        };
        let apart = wait.truth == Truth::Apart && buffer.regions.len() > 1 && !rules.regions;
        let both_write =
            wait.usages == (true, true) && wait.truth != Truth::BothRead && rules.trust != Trust::Everybody;
        let kinds = [
            (Kind::HonestRead, wait.truth == Truth::BothRead && !rules.shared_reads),
            (Kind::ImportInsteadOfWrite, both_write),
            (Kind::Split, apart),
            (Kind::Regions, apart),
            (Kind::Explicit, rules.trust != Trust::Everybody),
        ];
        let fitting = kinds.into_iter().filter(|(_, fits)| *fits).map(|(kind, _)| (number, kind));
        wanted.extend(fitting.filter(|change| seen.insert(*change)));
    }
    let room = (BUDGET / graph.size().max(1)).clamp(1, MOST);
    let left_out = wanted.len().saturating_sub(room);
    let mut changes: Vec<Change> = wanted
        .into_iter()
        .take(room)
        .map(|(buffer, kind)| {
            let makespan = apply(program, graph, rules, buffer, kind);
            let gain =
                i64::try_from(findings.makespan).unwrap_or(i64::MAX) - i64::try_from(makespan).unwrap_or(i64::MAX);
            Change { kind, buffer, makespan, gain }
        })
        .collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.gain));
    Tried { changes, left_out }
}

/// The makespan with one change.
fn apply(program: &Program, graph: &Graph, rules: Rules, buffer: usize, kind: Kind) -> u64 {
    let changed = match kind {
        Kind::HonestRead => Rules { shared_reads: true, ..rules },
        Kind::ImportInsteadOfWrite => Rules { writers: true, ..rules },
        Kind::Regions => Rules { regions: true, ..rules },
        Kind::Explicit => Rules { trust: Trust::Everybody, ..rules },
        Kind::Split => {
            let graph = Graph::of(&split(program, buffer));
            return walk(&graph, &|_| rules, &Contract::HONEST, &mut |_| {});
        }
    };
    let rules_of = |number: u32| if number as usize == buffer { changed } else { rules };
    walk(graph, &rules_of, &Contract::HONEST, &mut |_| {})
}

/// The program with a buffer for each region of one of its buffers. The first takes its place, the others come last.
fn split(program: &Program, number: usize) -> Program {
    let mut program = program.clone();
    let Some(whole) = program.buffers.get_mut(number) else { return program };
    let regions = std::mem::take(&mut whole.regions);
    let (name, ring) = (whole.name.clone(), whole.ring);
    let others = program.buffers.len();
    let part = |region: &String| Buffer { name: format!("{name}.{region}"), regions: Vec::new(), ring };
    program.buffers.extend(regions.iter().skip(1).map(part));
    if let (Some(whole), Some(first)) = (program.buffers.get_mut(number), regions.first()) {
        whole.name = format!("{name}.{first}");
    }
    let place = |bit: u32| if bit == 0 { number } else { others + bit as usize - 1 };
    for job in &mut program.jobs {
        let accesses = std::mem::take(&mut job.accesses);
        for access in accesses {
            if access.buffer == number {
                let parts = super::graph::bits(access.regions);
                job.accesses.extend(parts.map(|bit| Access { buffer: place(bit), regions: 1, writes: access.writes }));
            } else {
                job.accesses.push(access);
            }
        }
    }
    program
}
