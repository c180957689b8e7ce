//! A few frames from the middle of a run, for the picture of who waited for whom.

use std::ops::RangeInclusive;

use super::plan::Plan;
use crate::participant::event::Times;
use crate::picture::fences::KernelFence;
use crate::picture::{Lane, Span, Story};

/// Frames in a picture: enough for a pool to run empty and fill again, few enough to be read.
const FRAMES: u64 = 6;

/// Spans kept of each participant; a run of more frames has its picture from among the first ones.
const MOST: usize = 4096;

/// What was told so far.
#[derive(Debug)]
pub(super) struct Pages {
    spans: Vec<Vec<Span>>,
}

impl Pages {
    pub(super) fn of(plan: &Plan) -> Self {
        Self { spans: vec![Vec::new(); plan.parties.len()] }
    }

    /// What one participant told. `producer`: whose frames one of its inputs has.
    pub(super) fn take(&mut self, index: usize, times: &Times, producer: impl Fn(usize) -> Option<usize>) {
        let Some(spans) = self.spans.get_mut(index) else { return };
        let drawn = times.submitted.iter().map(|drawn| Span {
            frame: drawn.frame,
            producer: index,
            asked: drawn.asked,
            from: drawn.from,
            to: drawn.to,
        });
        let held = times.held.iter().filter_map(|held| {
            let producer = producer(held.input)?;
            Some(Span { frame: held.frame, producer, asked: held.asked, from: held.from, to: held.to })
        });
        let room = MOST.saturating_sub(spans.len());
        spans.extend(drawn.chain(held).take(room));
    }

    /// The picture's content.
    pub(super) fn story(&self, plan: &Plan, fences: Option<Vec<KernelFence>>) -> Story {
        let shown = self.middle();
        let lanes = plan.parties.iter().zip(&self.spans).map(|(party, spans)| Lane {
            name: party.participant.name.clone(),
            what: format!("{} on {}", party.participant.kind.word(), party.device_text()),
            spans: spans.iter().filter(|span| shown.contains(&span.frame)).copied().collect(),
        });
        Story { title: plan.name.clone(), lanes: lanes.collect(), fences }
    }

    /// Frames around the middle of what is known. Numbers of a mailbox have gaps, and streams may differ; their middle is near.
    fn middle(&self) -> RangeInclusive<u64> {
        let last = self.spans.iter().flatten().map(|span| span.frame).max().unwrap_or(0);
        let first = (last / 2).saturating_sub(FRAMES / 2).max(1);
        first..=first.saturating_add(FRAMES - 1)
    }
}
