//! Threads that read one buffer by export, submit and import, in random interleavings.
//!
//! No step of the three is atomic with another, so what a thread waits for depends on whose imports came before its export. A thread
//! that exports for writing waits for readers it has no quarrel with; one that imports as a writer makes all later ones wait for it.
//! Submitting changes nothing that others see: each thread has two steps.

use super::program::Threads;

/// What threads say on export and on import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Exports for writing too: waits for readers.
    pub export_writes: bool,
    /// Imports as a writer: later readers wait for it.
    pub import_writes: bool,
}

impl Policy {
    /// The honest one first.
    pub const ALL: [Self; 4] = [
        Self { export_writes: false, import_writes: false },
        Self { export_writes: false, import_writes: true },
        Self { export_writes: true, import_writes: false },
        Self { export_writes: true, import_writes: true },
    ];

    /// "READ / WRITE": export, then import.
    pub fn name(self) -> &'static str {
        match (self.export_writes, self.import_writes) {
            (false, false) => "READ / READ (honest)",
            (false, true) => "READ / WRITE",
            (true, false) => "WRITE / READ",
            (true, true) => "RW / RW",
        }
    }
}

/// The makespans of one number of threads under one policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// How many threads.
    pub threads: u32,
    /// Mean over random interleavings.
    pub mean: f64,
    /// The longest of them.
    pub max: u64,
    /// With export to import in one critical section.
    pub locked: u64,
}

impl Threads {
    /// The longest path: the write, and one read.
    pub fn critical_path(&self) -> u64 {
        self.write.saturating_add(self.read)
    }

    /// The makespans under one policy, for each number of threads. The same seed gives the same interleavings.
    pub fn outcomes(&self, policy: Policy) -> Vec<Outcome> {
        self.counts.iter().map(|count| self.outcome(*count, policy)).collect()
    }

    fn outcome(&self, threads: u32, policy: Policy) -> Outcome {
        let mut random = Random(self.seed);
        let (mut sum, mut max) = (0_u128, 0);
        for _ in 0..self.interleavings {
            let makespan = self.makespan(threads, policy, &mut |left| random.below(left));
            sum += u128::from(makespan);
            max = max.max(makespan);
        }
        // Whoever is first in the list takes all of its steps before the next one starts.
        let locked = self.makespan(threads, policy, &mut |_| 0);
        Outcome { threads, mean: sum as f64 / f64::from(self.interleavings.max(1)), max, locked }
    }

    /// `next` chooses among so many threads that have steps left.
    fn makespan(&self, threads: u32, policy: Policy, next: &mut dyn FnMut(usize) -> usize) -> u64 {
        // What a reader, and what a writer, would wait for.
        let (mut writes, mut all) = (self.write, self.write);
        let mut last = self.write;
        let mut left: Vec<Option<u64>> = vec![None; threads as usize];
        while !left.is_empty() {
            let chosen = next(left.len()).min(left.len() - 1);
            match left.get(chosen).copied().flatten() {
                None => {
                    let start = if policy.export_writes { all } else { writes };
                    if let Some(thread) = left.get_mut(chosen) {
                        *thread = Some(start);
                    }
                }
                Some(start) => {
                    let end = start.saturating_add(self.read);
                    (last, all) = (last.max(end), all.max(end));
                    if policy.import_writes {
                        writes = writes.max(end);
                    }
                    left.swap_remove(chosen);
                }
            }
        }
        last
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        // The upper half of the product is even enough for bounds this small.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
