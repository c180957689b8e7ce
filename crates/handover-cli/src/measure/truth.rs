//! What is true of a program, whoever synchronises how: which jobs are in order, and so whose pixels a cell must hold at a moment.
//!
//! Two jobs are in order if true dependencies and the order of engines lead from one to the other. Where a writer of a cell is in no
//! order with a job, the program promises that it does not matter (`after`), and nothing can be expected of the pixels.

use std::collections::BTreeMap;

use super::message::{Drawn, Look, mark};
use crate::explain::{Graph, bits};

/// The order of all jobs, and who writes which cell.
#[derive(Debug)]
pub(super) struct Truth {
    /// Of each job: a bit for each job that must have ended before it starts.
    before: Vec<Vec<u64>>,
    /// Of each surface and cell: all writers, in the order of submission.
    writers: BTreeMap<(u32, u32), Vec<u32>>,
}

impl Truth {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut before: Vec<Vec<u64>> = Vec::with_capacity(graph.len());
        let mut writers: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        let mut latest: Vec<Option<u32>> = vec![None; graph.engines];
        for (job, node) in (0..).zip(&graph.jobs) {
            let mut all = vec![0_u64; graph.len().div_ceil(64)];
            let latest = latest.get_mut(node.engine as usize);
            let queue = latest.and_then(|latest| latest.replace(job));
            for on in graph.dependencies(node).iter().map(|on| on.on).chain(queue) {
                if let Some(theirs) = before.get(on as usize) {
                    all.iter_mut().zip(theirs).for_each(|(all, theirs)| *all |= theirs);
                }
                if let Some(word) = all.get_mut(on as usize / 64) {
                    *word |= 1 << (on % 64);
                }
            }
            before.push(all);
            for used in graph.uses(node) {
                bits(used.writes).for_each(|cell| writers.entry((used.buffer, cell)).or_default().push(job));
            }
        }
        Self { before, writers }
    }

    /// Must one have ended when the other starts?
    pub(super) fn is_before(&self, one: u32, other: u32) -> bool {
        let word = self.before.get(other as usize).and_then(|before| before.get(one as usize / 64));
        word.is_some_and(|word| word >> (one % 64) & 1 == 1)
    }

    fn writers(&self, surface: u32, cell: u32) -> &[u32] {
        self.writers.get(&(surface, cell)).map_or(&[], Vec::as_slice)
    }

    /// Is every other writer of a cell in an order with this job?
    fn is_settled(&self, job: u32, surface: u32, cell: u32) -> bool {
        let ordered = |other: &u32| *other == job || self.is_before(*other, job) || self.is_before(job, *other);
        self.writers(surface, cell).iter().all(ordered)
    }

    /// The one of these that all others come before; 0 if there are none. `None`: they are in no such order.
    fn last_of(&self, writers: &[u32]) -> Option<u32> {
        let Some((last, others)) = writers.split_last() else { return Some(0) };
        others.iter().all(|other| self.is_before(*other, *last)).then(|| mark(*last))
    }

    /// The mark that a job must find in a cell when it starts. `None`: nothing can be expected.
    fn found(&self, job: u32, surface: u32, cell: u32) -> Option<u32> {
        if !self.is_settled(job, surface, cell) {
            return None;
        }
        let earlier = self.writers(surface, cell).iter().copied().filter(|other| self.is_before(*other, job));
        self.last_of(&earlier.collect::<Vec<_>>())
    }

    /// What a job must find, and how many of its reads nothing can be expected of.
    pub(super) fn reads(&self, graph: &Graph, job: u32) -> (Vec<Look>, usize) {
        let (mut looks, mut unchecked) = (Vec::new(), 0);
        for used in graph.node(job).map(|node| graph.uses(node)).unwrap_or_default() {
            for cell in bits(used.reads) {
                match self.found(job, used.buffer, cell) {
                    Some(expected) => {
                        // At its end a cell that it writes too is its own.
                        let at_end = used.writes >> cell & 1 == 0;
                        looks.push(Look { surface: used.buffer, cell, expected, at_end });
                    }
                    None => unchecked += 1,
                }
            }
        }
        (looks, unchecked)
    }

    /// What a job writes, with the cells that nobody else may touch meanwhile.
    pub(super) fn writes(&self, graph: &Graph, job: u32) -> Vec<Drawn> {
        let uses = graph.node(job).map(|node| graph.uses(node)).unwrap_or_default();
        let drawn = uses.iter().filter(|used| used.writes != 0).map(|used| {
            let settled = bits(used.writes).filter(|cell| self.is_settled(job, used.buffer, *cell));
            let checked = settled.fold(0, |set, cell| set | 1 << cell);
            Drawn { surface: used.buffer, cells: used.writes, checked }
        });
        drawn.collect()
    }

    /// Of each written cell of a surface whose last writer is certain: the cell, and the mark that stays.
    pub(super) fn left(&self, surface: u32) -> Vec<(u32, u32)> {
        let cells = self.writers.range((surface, 0)..=(surface, u32::MAX));
        cells.filter_map(|((_, cell), writers)| Some((*cell, self.last_of(writers)?))).collect()
    }

    /// Cells whose last writer is not certain.
    pub(super) fn unsettled(&self) -> usize {
        self.writers.values().filter(|writers| self.last_of(writers).is_none()).count()
    }
}
