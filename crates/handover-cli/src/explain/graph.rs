//! A program unrolled: every job of every frame, and its true dependencies.

use super::program::Program;
use super::schedule::Wait;

/// No buffer: a dependency that the program names.
pub(crate) const NAMED: u32 = u32::MAX;

/// Every job of every frame, in the order of submission. Jobs, buffers and engines are numbers.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(crate) jobs: Vec<Node>,
    /// Of one job by buffer, each once.
    uses: Vec<Use>,
    /// Of one job by buffer, those that the program names last.
    dependencies: Vec<Dependency>,
    /// Of each buffer: its number in the program, and a bit for each region.
    pub(crate) buffers: Vec<(u32, u64)>,
    pub(crate) engines: usize,
    passing: u64,
}

/// One job of one frame.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Number of the job in the program.
    pub(crate) job: u32,
    pub(crate) frame: u32,
    pub(crate) engine: u32,
    pub(crate) owner: u32,
    pub(crate) group: Option<u32>,
    pub(crate) duration: u64,
    uses: (u32, u32),
    dependencies: (u32, u32),
}

/// What one job does to one buffer. Both sets of regions may have bits in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) buffer: u32,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

/// A true dependency: this job must not start before `on` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) on: u32,
    /// The buffer whose content passes, or [`NAMED`].
    pub(crate) buffer: u32,
}

impl Graph {
    /// Unrolls a program.
    pub fn of(program: &Program) -> Self {
        let mut firsts = Vec::new();
        let mut buffers = Vec::new();
        for (number, buffer) in program.buffers.iter().enumerate() {
            firsts.push((buffers.len() as u32, buffer.ring.max(1)));
            buffers.extend((0..buffer.ring.max(1)).map(|_| (number as u32, buffer.whole())));
        }
        let mut graph = Self {
            jobs: Vec::new(),
            uses: Vec::new(),
            dependencies: Vec::new(),
            buffers,
            engines: program.engines.len(),
            passing: program.passing,
        };
        let mut truth = Truth::of(&graph.buffers, graph.engines);
        // Of each buffer: the last job that used it, and where that stands. A job may have thousands of accesses.
        let mut latest = vec![(u32::MAX, 0_usize); graph.buffers.len()];
        for frame in 0..program.frames {
            for (number, job) in program.jobs.iter().enumerate() {
                let this = graph.jobs.len() as u32;
                let first_use = graph.uses.len();
                for access in &job.accesses {
                    let Some((first, ring)) = firsts.get(access.buffer) else { continue };
                    let buffer = first + frame % ring;
                    let (reads, writes) = if access.writes { (0, access.regions) } else { (access.regions, 0) };
                    let Some(known) = latest.get_mut(buffer as usize) else { continue };
                    match graph.uses.get_mut(known.1).filter(|_| known.0 == this) {
                        Some(same) => (same.reads, same.writes) = (same.reads | reads, same.writes | writes),
                        None => {
                            *known = (this, graph.uses.len());
                            graph.uses.push(Use { buffer, reads, writes });
                        }
                    }
                }
                if let Some(uses) = graph.uses.get_mut(first_use..) {
                    uses.sort_unstable_by_key(|used| used.buffer);
                }
                let first_dependency = graph.dependencies.len();
                let uses = graph.uses.get(first_use..).unwrap_or_default();
                truth.submit(this, job.engine as u32, job.after.is_some(), uses, &mut graph.dependencies);
                let before = this - number as u32;
                let named = job.after.iter().flatten().map(|on| Dependency { on: before + *on as u32, buffer: NAMED });
                graph.dependencies.extend(named);
                graph.jobs.push(Node {
                    job: number as u32,
                    frame,
                    engine: job.engine as u32,
                    owner: job.owner as u32,
                    group: job.group.map(|group| group as u32),
                    duration: job.duration,
                    uses: (first_use as u32, graph.uses.len() as u32),
                    dependencies: (first_dependency as u32, graph.dependencies.len() as u32),
                });
            }
        }
        graph
    }

    pub(crate) fn uses(&self, node: &Node) -> &[Use] {
        self.uses.get(node.uses.0 as usize..node.uses.1 as usize).unwrap_or_default()
    }

    pub(crate) fn dependencies(&self, node: &Node) -> &[Dependency] {
        self.dependencies.get(node.dependencies.0 as usize..node.dependencies.1 as usize).unwrap_or_default()
    }

    /// What a job does to one buffer.
    pub(super) fn used(&self, node: &Node, buffer: u32) -> Option<&Use> {
        let uses = self.uses(node);
        uses.binary_search_by_key(&buffer, |used| used.buffer).ok().and_then(|index| uses.get(index))
    }

    /// The true dependencies of a job over one buffer, or those that the program names ([`NAMED`]).
    pub(super) fn dependencies_over(&self, node: &Node, buffer: u32) -> &[Dependency] {
        let all = self.dependencies(node);
        let first = all.partition_point(|on| on.buffer < buffer);
        let end = all.partition_point(|on| on.buffer <= buffer);
        all.get(first..end).unwrap_or_default()
    }

    pub(crate) fn node(&self, job: u32) -> Option<&Node> {
        self.jobs.get(job as usize)
    }

    /// What it costs to pass this fence: nothing, unless it goes to another owner by hand.
    pub(super) fn passing(&self, node: &Node, wait: &Wait) -> u64 {
        let far = || self.node(wait.on).is_some_and(|on| on.owner != node.owner);
        if self.passing > 0 && wait.by_hand && far() { self.passing } else { 0 }
    }

    /// Jobs of all frames.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// How much there is to do to schedule it once: jobs, and what they use.
    pub(super) fn size(&self) -> usize {
        self.jobs.len() + self.uses.len()
    }

    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The longest path over true dependencies and the order of each engine: no schedule of these queues is shorter.
    pub fn critical_path(&self) -> u64 {
        let mut ends: Vec<u64> = Vec::with_capacity(self.jobs.len());
        let mut free = vec![0; self.engines];
        for node in &self.jobs {
            let Some(engine) = free.get_mut(node.engine as usize) else { continue };
            let end_of = |on: &Dependency| ends.get(on.on as usize).copied().unwrap_or(0);
            let start = self.dependencies(node).iter().map(end_of).fold(*engine, u64::max);
            *engine = start.saturating_add(node.duration);
            ends.push(*engine);
        }
        free.into_iter().max().unwrap_or(0)
    }
}

/// Derives true dependencies from accesses in the order of submission: a reader of a region depends on its writers, a writer on its
/// readers too.
struct Truth {
    /// Where the regions of each buffer begin.
    firsts: Vec<usize>,
    regions: Vec<Frontier>,
    /// Of each engine: the last question that it was an answer to, and where that answer lies.
    answers: Vec<(u64, usize)>,
    questions: u64,
}

/// Who touched a region last, each with its engine. Of one engine the latest is enough: it ends last.
#[derive(Default, Clone)]
struct Frontier {
    writers: Vec<(u32, u32)>,
    readers: Vec<(u32, u32)>,
}

impl Truth {
    fn of(buffers: &[(u32, u64)], engines: usize) -> Self {
        let mut count = 0;
        let mut firsts = Vec::with_capacity(buffers.len());
        for (_, whole) in buffers {
            firsts.push(count);
            count += whole.count_ones() as usize;
        }
        Self { firsts, regions: vec![Frontier::default(); count], answers: vec![(0, 0); engines], questions: 0 }
    }

    /// `named`: the job says itself what it depends on, and so promises that nothing else matters to it.
    fn submit(&mut self, job: u32, engine: u32, named: bool, uses: &[Use], dependencies: &mut Vec<Dependency>) {
        for used in uses {
            self.questions += 1;
            let Some(first) = self.firsts.get(used.buffer as usize) else { continue };
            for bit in bits(used.reads | used.writes) {
                let Some(region) = self.regions.get_mut(first + bit as usize) else { continue };
                let writes = used.writes & (1 << bit) != 0;
                if !named {
                    let readers = region.readers.iter().filter(|_| writes);
                    for (engine, on) in region.writers.iter().chain(readers) {
                        let Some(answer) = self.answers.get_mut(*engine as usize) else { continue };
                        match dependencies.get_mut(answer.1).filter(|_| answer.0 == self.questions) {
                            Some(known) => known.on = known.on.max(*on),
                            None => {
                                *answer = (self.questions, dependencies.len());
                                dependencies.push(Dependency { on: *on, buffer: used.buffer });
                            }
                        }
                    }
                }
                if !writes {
                    latest(&mut region.readers, engine, job);
                } else if named {
                    latest(&mut region.writers, engine, job);
                } else {
                    region.readers.clear();
                    region.writers.clear();
                    region.writers.push((engine, job));
                }
            }
        }
    }
}

fn latest(of: &mut Vec<(u32, u32)>, engine: u32, job: u32) {
    match of.iter_mut().find(|(same, _)| *same == engine) {
        Some((_, last)) => *last = job,
        None => of.push((engine, job)),
    }
}

/// The numbers of the bits that are set.
pub(crate) fn bits(mut set: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (set != 0).then(|| set.trailing_zeros())?;
        set &= set - 1;
        Some(bit)
    })
}
