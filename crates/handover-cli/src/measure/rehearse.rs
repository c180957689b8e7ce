//! The plan's own steps in virtual time: what reservations and fences would hold if every job took just its duration.
//!
//! All is submitted before anything ends, and every wait is for a job that was submitted earlier, so one pass gives every start.

use super::message::{After, Line, Policy, Sync, Touch};
use super::plan::{Plan, Step};
use crate::explain::{Graph, NAMED};

/// Why a job waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) on: u32,
    /// [`NAMED`]: a fence that it was given by name.
    pub(super) surface: u32,
    pub(super) regions: u64,
    /// How both were taken to use it.
    pub(super) writes: bool,
    pub(super) on_writes: bool,
}

/// A job in virtual time.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    /// When its queue was free and its true dependencies had ended.
    pub(super) ready: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) waits: Vec<Held>,
}

/// An access that pends in a reservation, as implicit participants see it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    job: u32,
    by: usize,
    touch: Touch,
}

struct Rehearsal<'a> {
    plan: &'a Plan,
    graph: &'a Graph,
    turns: Vec<Turn>,
    entries: Vec<Entry>,
    /// Jobs by engine, in the order of their points.
    engines: Vec<Vec<u32>>,
    /// What each point of the releases waits for.
    releases: Vec<(u32, u64, Vec<Held>)>,
}

/// Goes through all steps. Of each job its turn, in the unit of the scenario.
pub(super) fn rehearse(plan: &Plan, graph: &Graph) -> Vec<Turn> {
    let mut this = Rehearsal {
        plan,
        graph,
        turns: vec![Turn::default(); graph.len()],
        entries: Vec::new(),
        engines: vec![Vec::new(); graph.engines],
        releases: Vec::new(),
    };
    for step in &plan.steps {
        match step {
            Step::Submit(..) => this.submit(step),
            Step::Import { by, job, on, .. } => this.entries.push(Entry { job: *job, by: *by, touch: *on }),
            Step::Release { export, after, surface, point, .. } => {
                let looked = export.iter().map(|touch| After::Export(*touch));
                let mut all: Vec<Held> = looked.chain(after.iter().copied()).flat_map(|on| this.held(on)).collect();
                // The points of a timeline are reached in order.
                let before = this.releases.iter().filter(|(of, earlier, _)| of == surface && earlier < point);
                all.extend(before.flat_map(|(.., held)| held.clone()).collect::<Vec<_>>());
                this.releases.push((*surface, *point, all));
            }
            // These take their steps at once, each time in another order: `explain` looks at many.
            Step::Thread(..) => {}
        }
    }
    this.turns
}

impl Rehearsal<'_> {
    fn submit(&mut self, step: &Step) {
        let Step::Submit(by, submit) = step else { return };
        let (Some(worker), Some(node)) = (self.plan.workers.get(*by), self.graph.node(submit.job)) else { return };
        let said = submit.set.iter().map(|touch| match (worker.sync, worker.policy) {
            (Sync::Implicit, Policy::AlwaysWrite) => Touch { region: u64::MAX, writes: true, ..*touch },
            _ => *touch,
        });
        let said: Vec<Touch> = said.collect();
        let mut waits: Vec<Held> = submit.after.iter().flat_map(|after| self.held(*after)).collect();
        let asks = worker.sync == Sync::Implicit && worker.policy != Policy::None;
        if asks {
            let skips = worker.policy == Policy::SkipOwnOwner;
            for touch in &said {
                // Such a driver waits as if it wrote the whole, and for nothing of its own.
                let looks = if skips { Touch { region: u64::MAX, writes: true, ..*touch } } else { *touch };
                let theirs = self.entries.iter().filter(|entry| !skips || entry.by != *by);
                waits.extend(
                    theirs.filter_map(|entry| entry.held(looks)).map(|held| Held { writes: touch.writes, ..held }),
                );
            }
            for touch in &said {
                // A write that waited for all stands for them.
                let covered = if touch.writes && !skips { touch.region } else { 0 };
                let of_it = self.entries.iter_mut().filter(|entry| entry.touch.surface == touch.surface);
                of_it.for_each(|entry| entry.touch.region &= !covered);
            }
            self.entries.retain(|entry| entry.touch.region != 0);
            self.entries.extend(said.iter().map(|touch| Entry { job: submit.job, by: *by, touch: *touch }));
        }
        let mut once: Vec<Held> = Vec::new();
        for held in waits {
            let same = |known: &&mut Held| Held { regions: 0, ..**known } == Held { regions: 0, ..held };
            match once.iter_mut().find(same) {
                Some(known) => known.regions |= held.regions,
                None => once.push(held),
            }
        }
        let end_of = |on: u32| self.turns.get(on as usize).map_or(0, |turn| turn.end);
        let Some(queue) = self.engines.get_mut(node.engine as usize) else { return };
        let free = queue.last().map_or(0, |last| end_of(*last));
        queue.push(submit.job);
        let ready = self.graph.dependencies(node).iter().map(|on| end_of(on.on)).fold(free, u64::max);
        let start = once.iter().map(|held| end_of(held.on)).fold(free, u64::max);
        let end = start.saturating_add(node.duration);
        if let Some(turn) = self.turns.get_mut(submit.job as usize) {
            *turn = Turn { ready, start, end, waits: once };
        }
    }

    /// What is waited for by name or by an export at this moment.
    fn held(&self, after: After) -> Vec<Held> {
        let named = |on: u32| Held { on, surface: NAMED, regions: 0, writes: false, on_writes: false };
        match after {
            After::Own(job) => vec![named(job)],
            After::Point(Line::Engine(engine), point) => {
                let index = usize::try_from(point).ok().and_then(|point| point.checked_sub(1));
                let job = index.and_then(|index| self.engines.get(engine as usize)?.get(index));
                job.map(|job| named(*job)).into_iter().collect()
            }
            After::Point(Line::Release(surface), point) => {
                let found = self.releases.iter().find(|(of, at, _)| (*of, *at) == (surface, point));
                found.map(|(.., held)| held.clone()).unwrap_or_default()
            }
            After::Export(touch) => self.entries.iter().filter_map(|entry| entry.held(touch)).collect(),
        }
    }
}

impl Entry {
    /// Does such an access wait for it?
    fn held(&self, touch: Touch) -> Option<Held> {
        let meets = self.touch.surface == touch.surface && self.touch.region & touch.region != 0;
        (meets && (self.touch.writes || touch.writes)).then_some(Held {
            on: self.job,
            surface: touch.surface,
            regions: self.touch.region & touch.region,
            writes: touch.writes,
            on_writes: self.touch.writes,
        })
    }
}
