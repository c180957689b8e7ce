//! From a scenario to what is done, step by step: who submits what, after whom, and what goes over the border between explicit and
//! implicit participants. Pure: nothing has started.
//!
//! # The border
//!
//! An implicit job finds in the reservation what explicit ones did only if somebody imported it; that happens before the first
//! implicit job that needs it, and not earlier. An explicit job learns what implicit ones do by an export. Each explicit owner does
//! both for itself, unless one stands at the border for all: then that one imports what the others gave it, and its releases,
//! each the union of what it exports and of its own fences, are all that the others wait for before they write again.

use std::collections::{BTreeMap, BTreeSet};

use super::message::{After, Command, Line, Part, Policy, Submit, Sync, Thread, Touch};
use super::needs;
use super::settings::{Duty, Settings};
use super::truth::Truth;
use crate::explain::{Graph, NAMED, Program};

/// What is done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) workers: Vec<Worker>,
    pub(super) surfaces: Vec<Surface>,
    pub(super) steps: Vec<Step>,
    pub(super) truth: Truth,
    /// Reads, cell by cell, of which nothing can be expected.
    pub(super) unchecked: usize,
}

/// One process: an owner.
#[derive(Debug, Default)]
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) sync: Sync,
    pub(super) policy: Policy,
    /// By number and name.
    pub(super) engines: Vec<(u32, String)>,
    pub(super) releases: BTreeSet<u32>,
    /// Timelines of others that it needs.
    pub(super) lines: BTreeSet<Line>,
    /// Its surfaces, and may it write them?
    pub(super) surfaces: BTreeMap<u32, bool>,
}

/// One buffer of a ring.
#[derive(Debug)]
pub(super) struct Surface {
    pub(super) name: String,
    pub(super) regions: usize,
    pub(super) rows: bool,
}

/// One step, and which worker takes it.
#[derive(Debug)]
pub(super) enum Step {
    Submit(usize, Submit),
    /// `job` is the one whose fence it is.
    Import {
        by: usize,
        job: u32,
        of: After,
        on: Touch,
    },
    /// `for_job` is the one that waits for it.
    Release {
        by: usize,
        for_job: u32,
        export: Vec<Touch>,
        after: Vec<After>,
        surface: u32,
        point: u64,
    },
    /// A thread that exports, submits and imports.
    Thread(usize, Thread),
}

impl Worker {
    /// What it is told first.
    pub(super) fn part(&self, deadline: u64) -> Part {
        Part {
            name: self.name.clone(),
            sync: self.sync,
            policy: self.policy,
            engines: self.engines.clone(),
            releases: self.releases.iter().copied().collect(),
            surfaces: self.surfaces.len() as u32,
            lines: self.lines.len() as u32,
            deadline,
        }
    }
}

impl Step {
    /// Who takes it, what that one is told, and which surfaces it concerns.
    pub(super) fn command(&self) -> (usize, Command, Vec<u32>) {
        match self {
            Self::Submit(by, submit) => {
                let mut concerned: Vec<u32> = submit.set.iter().map(|touch| touch.surface).collect();
                concerned.dedup();
                (*by, Command::Submit(submit.clone()), concerned)
            }
            Self::Import { by, of, on, .. } => (*by, Command::Import { of: *of, on: *on }, vec![on.surface]),
            Self::Release { by, export, after, surface, point, .. } => {
                let (export, after, surface, point) = (export.clone(), after.clone(), *surface, *point);
                (*by, Command::Release { export, after, surface, point }, vec![surface])
            }
            Self::Thread(by, thread) => (*by, Command::Thread(*thread), vec![thread.surface]),
        }
    }

    /// The job that it is taken for.
    pub(super) fn job(&self) -> u32 {
        match self {
            Self::Submit(_, submit) => submit.job,
            Self::Import { job, .. } => *job,
            Self::Release { for_job, .. } => *for_job,
            Self::Thread(_, thread) => thread.number,
        }
    }
}

/// The plan of a program.
///
/// # Errors
/// In words: it needs more than a run can have.
pub(super) fn plan(program: &Program, graph: &Graph, settings: &Settings, nanoseconds: u64) -> Result<Plan, String> {
    needs::check_size(program, graph, nanoseconds)?;
    let engines = owners_of_engines(program)?;
    let workers = program.owners.iter().zip(&settings.owners).enumerate().map(|(number, (name, (sync, policy)))| {
        let name_of = |engine: u32| program.engines.get(engine as usize).cloned().unwrap_or_default();
        let own = engines.iter().filter(|(_, owner)| **owner == number).map(|(engine, _)| (*engine, name_of(*engine)));
        Worker {
            name: name.clone(),
            sync: *sync,
            policy: if settings.does(Duty::Attach) || *sync == Sync::Explicit { *policy } else { Policy::None },
            engines: own.collect(),
            releases: BTreeSet::new(),
            lines: BTreeSet::new(),
            surfaces: BTreeMap::new(),
        }
    });
    if let Some(job) = program.jobs.iter().find(|job| job.accesses.is_empty()) {
        return Err(format!("{} touches no buffer: what runs here touches at least one", job.name));
    }
    let mut planner = Planner {
        graph,
        settings,
        nanoseconds,
        points: points(graph),
        imported: BTreeSet::new(),
        released: BTreeMap::new(),
        plan: Plan {
            workers: workers.collect(),
            surfaces: surfaces(program, graph, settings),
            steps: Vec::new(),
            truth: Truth::of(graph),
            unchecked: 0,
        },
    };
    (0..graph.len()).for_each(|job| planner.job(job as u32));
    let mut plan = planner.plan;
    plan.collect_needs();
    plan.check_entries()?;
    plan.check_messages(program, graph)?;
    Ok(plan)
}

/// A queue lives in one process.
fn owners_of_engines(program: &Program) -> Result<BTreeMap<u32, usize>, String> {
    let mut owners = BTreeMap::new();
    for job in &program.jobs {
        let owner = *owners.entry(job.engine as u32).or_insert(job.owner);
        if owner != job.owner {
            let name = |names: &[String], number: usize| names.get(number).cloned().unwrap_or_default();
            return Err(format!(
                "the engine {} has jobs of {} and of {}: to run, each owner has engines of its own",
                name(&program.engines, job.engine),
                name(&program.owners, owner),
                name(&program.owners, job.owner)
            ));
        }
    }
    Ok(owners)
}

fn surfaces(program: &Program, graph: &Graph, settings: &Settings) -> Vec<Surface> {
    let mut seen = 0;
    let mut last = NAMED;
    let surface = |(number, _): &(u32, u64)| {
        seen = if *number == last { seen + 1 } else { 0 };
        last = *number;
        let buffer = program.buffers.get(*number as usize);
        let ring = buffer.map_or(1, |buffer| buffer.ring);
        let name = buffer.map_or_else(String::new, |buffer| buffer.name.clone());
        Surface {
            name: if ring > 1 { format!("{name}[{seen}]") } else { name },
            regions: buffer.map_or(0, |buffer| buffer.regions.len()),
            rows: settings.rows.contains(&(*number as usize)),
        }
    };
    graph.buffers.iter().map(surface).collect()
}

/// The place of each job on the timeline of its engine.
fn points(graph: &Graph) -> Vec<u64> {
    let mut next = vec![0; graph.engines];
    let point = |engine: u32| {
        next.get_mut(engine as usize).map_or(0, |next: &mut u64| {
            *next += 1;
            *next
        })
    };
    graph.jobs.iter().map(|node| node.engine).map(point).collect()
}

struct Planner<'a> {
    graph: &'a Graph,
    settings: &'a Settings,
    nanoseconds: u64,
    points: Vec<u64>,
    /// Jobs and surfaces that are over the border.
    imported: BTreeSet<(u32, u32)>,
    /// Releases of each surface so far.
    released: BTreeMap<u32, u64>,
    plan: Plan,
}

/// How a job takes part: who it is of, and on which side.
#[derive(Clone, Copy)]
struct Who {
    job: u32,
    owner: usize,
    engine: u32,
    explicit: bool,
}

impl Planner<'_> {
    fn who(&self, job: u32) -> Option<Who> {
        let node = self.graph.node(job)?;
        let owner = node.owner as usize;
        Some(Who { job, owner, engine: node.engine, explicit: self.settings.is_explicit(owner) })
    }

    fn job(&mut self, job: u32) {
        let (Some(me), Some(node)) = (self.who(job), self.graph.node(job)) else { return };
        let mut after = Vec::new();
        // Surfaces that the border looks after, with the jobs of its own that count.
        let mut releases: BTreeMap<u32, Vec<After>> = BTreeMap::new();
        let mut exports: BTreeSet<u32> = BTreeSet::new();
        for on in self.graph.dependencies(node) {
            let Some(other) = self.who(on.on).filter(|other| other.engine != me.engine) else { continue };
            if on.buffer == NAMED {
                self.wait_for(me, other, &mut after);
            } else if me.explicit {
                let border = self.settings.border.filter(|border| *border != me.owner);
                match border.filter(|border| !other.explicit || (other.owner == *border && self.writes(job, on.buffer)))
                {
                    Some(border) => {
                        let own = releases.entry(on.buffer).or_default();
                        if other.owner == border && self.settings.does(Duty::Merge) {
                            own.push(After::Own(other.job));
                        }
                    }
                    None if other.explicit => self.wait_for(me, other, &mut after),
                    None => {
                        exports.insert(on.buffer);
                    }
                }
            } else if other.explicit {
                self.import(other, on.buffer);
            } else if other.owner == me.owner && self.policy(me.owner) == Policy::SkipOwnOwner {
                // What it would wait for of its own is all that its reservation does not say.
                self.wait_for(me, other, &mut after);
            }
        }
        let set = self.set(job);
        for (surface, own) in releases {
            let point = self.release(me, surface, own);
            if self.settings.does(Duty::Release) {
                after.push(point);
            }
        }
        if self.settings.does(Duty::Export) {
            after.extend(set.iter().filter(|touch| exports.contains(&touch.surface)).copied().map(After::Export));
        }
        if !me.explicit && !self.settings.does(Duty::Attach) {
            // It waits as it would, and attaches nothing.
            after.extend(set.iter().copied().map(After::Export));
        }
        let (reads, unchecked) = self.plan.truth.reads(self.graph, job);
        self.plan.unchecked += unchecked;
        let writes = self.plan.truth.writes(self.graph, job);
        let duration = node.duration.saturating_mul(self.nanoseconds);
        let submit = Submit { job, engine: me.engine, set, after, reads, writes, duration };
        self.plan.steps.push(Step::Submit(me.owner, submit));
    }

    fn policy(&self, owner: usize) -> Policy {
        self.settings.owners.get(owner).map_or(Policy::Honest, |(_, policy)| *policy)
    }

    fn wait_for(&self, me: Who, other: Who, after: &mut Vec<After>) {
        if self.settings.does(Duty::Waits) {
            after.push(self.fence(me.owner, other));
        }
    }

    /// The fence of a job, for a worker.
    fn fence(&self, owner: usize, of: Who) -> After {
        let point = self.points.get(of.job as usize).copied().unwrap_or(0);
        if of.owner == owner { After::Own(of.job) } else { After::Point(Line::Engine(of.engine), point) }
    }

    /// The fence of an explicit job goes into the reservation, once.
    fn import(&mut self, of: Who, surface: u32) {
        if !self.settings.does(Duty::Import) || !self.imported.insert((of.job, surface)) {
            return;
        }
        let by = self.settings.border.unwrap_or(of.owner);
        let fence = self.fence(by, of);
        for on in self.set(of.job).into_iter().filter(|on| on.surface == surface) {
            self.plan.steps.push(Step::Import { by, job: of.job, of: fence, on });
        }
    }

    /// The border says when everybody has done with a surface.
    fn release(&mut self, me: Who, surface: u32, after: Vec<After>) -> After {
        let point = self.released.entry(surface).or_default();
        *point += 1;
        let point = *point;
        let mut export = if self.settings.does(Duty::Export) { self.set(me.job) } else { Vec::new() };
        export.retain(|touch| touch.surface == surface);
        let by = self.settings.border.unwrap_or(me.owner);
        self.plan.steps.push(Step::Release { by, for_job: me.job, export, after, surface, point });
        After::Point(Line::Release(surface), point)
    }

    fn writes(&self, job: u32, surface: u32) -> bool {
        self.touch(job, surface).is_some_and(|touch| touch.writes)
    }

    /// All that a job does to a surface, as one access.
    fn touch(&self, job: u32, surface: u32) -> Option<Touch> {
        let used = self.graph.uses(self.graph.node(job)?).iter().find(|used| used.buffer == surface)?;
        let region = self.region(surface, used.reads | used.writes);
        Some(Touch { surface, region, writes: used.writes != 0 })
    }

    /// As it is said: all ones if regions are not told apart, or if it is all of them.
    fn region(&self, surface: u32, cells: u64) -> u64 {
        let whole = self.graph.buffers.get(surface as usize).is_none_or(|(_, whole)| cells == *whole);
        if whole || !self.settings.regions { u64::MAX } else { cells }
    }

    /// What a job says it touches. A surface of which it reads some cells and writes others is there twice, where cells are told apart.
    fn set(&self, job: u32) -> Vec<Touch> {
        let Some(node) = self.graph.node(job) else { return Vec::new() };
        let mut set = Vec::new();
        for used in self.graph.uses(node) {
            let reads = used.reads & !used.writes;
            if self.settings.regions && reads != 0 && used.writes != 0 {
                set.push(Touch { surface: used.buffer, region: reads, writes: false });
                set.push(Touch { surface: used.buffer, region: used.writes, writes: true });
            } else {
                set.extend(self.touch(job, used.buffer));
            }
        }
        set
    }
}
