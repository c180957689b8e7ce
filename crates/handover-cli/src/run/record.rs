//! What participants told while they ran: exports, times, counts.

use std::collections::{BTreeMap, HashMap};

use hdrhistogram::Histogram;

use super::plan::Plan;
use super::story::Pages;
use crate::participant::event::{Allocation, Event, Exported, Exports, Held, Tally, Times};
use crate::picture::Story;
use crate::picture::fences::KernelFence;

/// Frames of one producer whose readers have perhaps not all released them. Readers are apart by no more than a pool and
/// a batch of times; an older frame is complete.
const WINDOW: usize = 4096;

/// Intervals kept of each participant that holds frames on purpose.
const HOLDS: usize = 32;

/// The highest latency that can be told apart from longer ones, in nanoseconds: ten minutes.
const LONGEST: u64 = 600_000_000_000;

/// Everything heard of one participant.
#[derive(Debug)]
pub(super) struct Heard {
    /// The surfaces that it allocated.
    pub(super) allocations: Vec<Allocation>,
    /// What its exports decided.
    pub(super) exports: Vec<Exported>,
    /// What it exported to computes.
    pub(super) interop: Vec<Exports>,
    /// Its counts; `None` if it did not come to its end.
    pub(super) tally: Option<Tally>,
    /// The first intervals in which it held frames, if the pipeline makes it hold them.
    pub(super) holds: Vec<Held>,
    /// The most readers that held one frame at the same time.
    pub(super) at_once: usize,
    /// Submit to the last release, in nanoseconds.
    latency: Histogram<u64>,
    /// Frames that are not settled, by number.
    open: BTreeMap<u64, Open>,
}

/// One frame, as far as it is known.
#[derive(Debug, Default)]
struct Open {
    submitted: Option<u64>,
    /// When each reader had it: from, to.
    held: Vec<(u64, u64)>,
}

impl Open {
    /// The most intervals that have a moment in common.
    fn at_once(&self) -> usize {
        let at = |moment: u64| self.held.iter().filter(|(from, to)| (*from..*to).contains(&moment)).count();
        self.held.iter().map(|(from, _)| at(*from)).max().unwrap_or(0)
    }
}

/// Everything heard in a run.
#[derive(Debug)]
pub(super) struct Record {
    heard: Vec<Heard>,
    /// Reader and input → producer. Only shared surfaces are released.
    producers: HashMap<(usize, usize), usize>,
    holds: Vec<bool>,
    pages: Pages,
}

impl Record {
    pub(super) fn of(plan: &Plan) -> Result<Self, String> {
        let mut producers = HashMap::new();
        let mut heard = Vec::new();
        for index in 0..plan.parties.len() {
            let (inputs, _) = plan.streams_of(index);
            producers.extend(inputs.iter().enumerate().map(|(input, edge)| ((index, input), edge.producer)));
            let latency =
                Histogram::new_with_bounds(1, LONGEST, 3).map_err(|error| format!("no histogram: {error}"))?;
            heard.push(Heard {
                allocations: Vec::new(),
                exports: Vec::new(),
                interop: Vec::new(),
                tally: None,
                holds: Vec::new(),
                at_once: 0,
                latency,
                open: BTreeMap::new(),
            });
        }
        let holds = plan.parties.iter().map(|party| !party.participant.hold.is_zero()).collect();
        Ok(Self { heard, producers, holds, pages: Pages::of(plan) })
    }

    pub(super) fn take(&mut self, index: usize, event: Event) {
        match event {
            Event::Times(times) => self.take_times(index, times),
            Event::Allocated(surfaces) => {
                if let Some(heard) = self.heard.get_mut(index) {
                    heard.allocations.extend(surfaces);
                }
            }
            Event::Exported(exported) => {
                if let Some(heard) = self.heard.get_mut(index) {
                    heard.exports.push(exported);
                }
            }
            Event::Interop(exports) => {
                if let Some(heard) = self.heard.get_mut(index) {
                    heard.interop.push(exports);
                }
            }
            Event::Done(tally) => {
                if let Some(heard) = self.heard.get_mut(index) {
                    heard.tally = Some(*tally);
                }
            }
            // Failures are the supervisor's.
            Event::Failed { .. } => {}
        }
    }

    /// What a few frames in the middle did.
    pub(super) fn story(&self, plan: &Plan, fences: Option<Vec<KernelFence>>) -> Story {
        self.pages.story(plan, fences)
    }

    fn take_times(&mut self, index: usize, times: Times) {
        self.pages.take(index, &times, |input| self.producers.get(&(index, input)).copied());
        if let Some(heard) = self.heard.get_mut(index) {
            for drawn in &times.submitted {
                heard.open.entry(drawn.frame).or_default().submitted = Some(drawn.to);
            }
            if self.holds.get(index) == Some(&true) {
                let room = HOLDS.saturating_sub(heard.holds.len());
                heard.holds.extend(times.held.iter().take(room));
            }
        }
        for held in times.held {
            let producer = self.producers.get(&(index, held.input));
            if let Some(heard) = producer.and_then(|producer| self.heard.get_mut(*producer)) {
                heard.open.entry(held.frame).or_default().held.push((held.from, held.to));
            }
        }
        self.heard.iter_mut().for_each(|heard| heard.settle(WINDOW));
    }

    /// No more will come.
    pub(super) fn close(&mut self) -> &[Heard] {
        self.heard.iter_mut().for_each(|heard| heard.settle(0));
        &self.heard
    }
}

impl Heard {
    /// Records the latency of all frames but the newest few.
    fn settle(&mut self, keep: usize) {
        while self.open.len() > keep {
            let Some((_, frame)) = self.open.pop_first() else { return };
            self.at_once = self.at_once.max(frame.at_once());
            let released = frame.held.iter().map(|(_, to)| *to).max();
            // A frame without a release was dropped by every reader, or its readers died with it.
            if let (Some(submitted), Some(released)) = (frame.submitted, released) {
                self.latency.saturating_record(released.saturating_sub(submitted).max(1));
            }
        }
    }

    /// Latency from submit to the last release at a quantile, in microseconds. `None`: no frame was released.
    pub(super) fn latency(&self, quantile: f64) -> Option<f64> {
        (!self.latency.is_empty()).then(|| self.latency.value_at_quantile(quantile) as f64 / 1000.0)
    }
}
