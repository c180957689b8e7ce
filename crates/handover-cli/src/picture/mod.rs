//! A picture of a few frames: who drew and read when, who waited, and for whom. An SVG, so that it can be looked at in any browser
//! and says more under the mouse.
//!
//! A row shows what one participant does with frames of one producer, in the colour of the frame. Before a box, hatched, is the time
//! that the participant waited for it, and an arrow comes from the end of what it waited for.

pub mod fences;
mod svg;

use fences::KernelFence;

/// What was seen of a run, or of a part of it. Times are nanoseconds on `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// Name of the pipeline.
    pub title: String,
    /// From the source to the sinks.
    pub lanes: Vec<Lane>,
    /// What the kernel's fences did meanwhile. `None`: nobody looked.
    pub fences: Option<Vec<KernelFence>>,
}

/// One participant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// What it is: kind and device.
    pub what: String,
    /// What it did, in any order.
    pub spans: Vec<Span>,
}

/// One frame in the hands of one participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number of the frame in its producer's stream.
    pub frame: u64,
    /// Whose frame it is: index of a lane. The participant's own index: it drew it.
    pub producer: usize,
    /// When it began to wait.
    pub asked: u64,
    /// When it had it.
    pub from: u64,
    /// When it gave it away.
    pub to: u64,
}

/// One wait that was seen to end by somebody's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Who waited: lane, and position among its spans.
    pub waiter: (usize, usize),
    /// For whom: lane, and position among its spans. Its end was the end of the wait.
    pub cause: (usize, usize),
    /// How long, in nanoseconds.
    pub time: u64,
}

/// Waits shorter than this are the price of asking, in nanoseconds.
const NOTHING: u64 = 50_000;

impl Story {
    /// Who waited for whom. A reader waits for the frame to be drawn; whoever draws waits for a surface that its readers gave back.
    pub fn waits(&self) -> Vec<Wait> {
        let mut waits = Vec::new();
        for (lane, position, span) in self.spans() {
            let time = span.from.saturating_sub(span.asked);
            if time < NOTHING {
                continue;
            }
            let cause = if span.producer == lane { self.last_release(lane, span) } else { self.drawing(span) };
            if let Some(cause) = cause {
                waits.push(Wait { waiter: (lane, position), cause, time });
            }
        }
        waits
    }

    fn spans(&self) -> impl Iterator<Item = (usize, usize, &Span)> {
        let numbered = |(lane, all): (usize, &'_ Lane)| (lane, all.spans.len());
        self.lanes.iter().enumerate().map(numbered).flat_map(move |(lane, count)| {
            (0..count).filter_map(move |position| Some((lane, position, self.lanes.get(lane)?.spans.get(position)?)))
        })
    }

    /// The drawing of the frame that a reader waited for, if it ended during the wait.
    fn drawing(&self, reading: &Span) -> Option<(usize, usize)> {
        let mut spans = self.spans();
        let (lane, position, _) = spans.find(|(lane, _, span)| {
            *lane == reading.producer
                && span.producer == *lane
                && span.frame == reading.frame
                && (reading.asked..=reading.from).contains(&span.to)
        })?;
        Some((lane, position))
    }

    /// The last reading of a frame of this producer that ended while it waited.
    fn last_release(&self, producer: usize, drawing: &Span) -> Option<(usize, usize)> {
        self.spans()
            .filter(|(lane, _, span)| {
                *lane != producer && span.producer == producer && (drawing.asked..=drawing.from).contains(&span.to)
            })
            .max_by_key(|(_, _, span)| span.to)
            .map(|(lane, position, _)| (lane, position))
    }

    /// The picture.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }
}
