//! What the report of a run says of the program that ran, so that it can be explained with the times it took.

use serde::{Deserialize, Serialize};

use super::graph::{Graph, NAMED, Use, bits};
use super::program::{Buffer, Program};

/// A program, unrolled: every job of every frame, and every buffer of every ring.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(super) buffers: Vec<RecordedBuffer>,
    /// In the order of submission.
    pub(super) jobs: Vec<RecordedJob>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RecordedBuffer {
    pub(super) name: String,
    pub(super) regions: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RecordedJob {
    pub(super) job: String,
    pub(super) group: Option<String>,
    pub(super) accesses: Vec<RecordedAccess>,
    /// What it truly depends on. `null`: what its accesses say.
    pub(super) after: Option<Vec<String>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RecordedAccess {
    pub(super) buffer: String,
    /// `null`: all of it.
    pub(super) region: Option<String>,
    /// "read" or "write".
    pub(super) access: String,
}

impl Recorded {
    /// The program of a graph; `name` says what a job of the graph is called in the report.
    pub(crate) fn of(program: &Program, graph: &Graph, name: impl Fn(u32) -> String) -> Self {
        let mut buffers: Vec<RecordedBuffer> = Vec::with_capacity(graph.buffers.len());
        let mut last = (NAMED, 0_u32);
        for (number, _) in &graph.buffers {
            last = (*number, if last.0 == *number { last.1 + 1 } else { 0 });
            let Some(buffer) = program.buffers.get(*number as usize) else { continue };
            let name = if buffer.ring > 1 { format!("{} #{}", buffer.name, last.1) } else { buffer.name.clone() };
            buffers.push(RecordedBuffer { name, regions: buffer.regions.clone() });
        }
        let jobs = (0..).zip(&graph.jobs).map(|(number, node)| {
            let job = program.jobs.get(node.job as usize);
            let named = graph.dependencies_over(node, NAMED).iter().map(|on| name(on.on));
            let uses = graph.uses(node).iter().filter_map(|used| {
                let (number, _) = graph.buffers.get(used.buffer as usize)?;
                let recorded = buffers.get(used.buffer as usize)?;
                Some(accesses(program.buffers.get(*number as usize)?, &recorded.name, used))
            });
            RecordedJob {
                job: name(number),
                group: node.group.and_then(|group| program.groups.get(group as usize)).cloned(),
                accesses: uses.flatten().collect(),
                after: job.and_then(|job| job.after.as_ref()).map(|_| named.collect()),
            }
        });
        let jobs = jobs.collect();
        Self { buffers, jobs }
    }
}

/// What one job does to one buffer.
fn accesses(buffer: &Buffer, name: &str, used: &Use) -> Vec<RecordedAccess> {
    let one = |region: Option<&String>, access: &str| RecordedAccess {
        buffer: name.to_owned(),
        region: region.cloned(),
        access: access.to_owned(),
    };
    let both = [(used.reads, "read"), (used.writes, "write")];
    let of = |(set, access): (u64, &'static str)| {
        if set == buffer.whole() {
            return vec![one(None, access)];
        }
        bits(set).map(|bit| one(buffer.regions.get(bit as usize), access)).collect()
    };
    both.into_iter().flat_map(of).collect()
}
