//! Timelines under test: what can be done to one, what it says, and the rules of that in their plainest form.

use super::Refusal;

/// Timelines that a subject has.
pub(crate) const LINES: usize = 2;
/// Points that are asked for: the whole, the first ones, a gap, and one that nobody reaches.
pub(crate) const PROBES: [u64; 7] = [0, 1, 2, 3, 5, 8, 40];

/// What is done to timelines. Files are those of the [`Subject`](super::Subject).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineOp {
    /// The file's fences as a point; point 0 is the whole.
    Submit { file: usize, line: usize, point: u64 },
    /// A point that the CPU completes.
    Signal { line: usize, point: u64 },
    /// Back to nothing.
    Reset { line: usize },
    /// What a point stands for as a point of the other.
    Transfer { from: usize, of: u64, point: u64 },
    /// A file of what a point stands for.
    Take { line: usize, point: u64 },
}

/// What one timeline says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Highest complete point, and highest submitted.
    pub(crate) completed: u64,
    pub(crate) submitted: u64,
    /// Of each of [`PROBES`]: is it available, is it complete?
    pub(crate) points: [(bool, bool); PROBES.len()],
}

/// One timeline by the rules: fences in the order in which they were submitted, each under its point, the whole under 0.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chain {
    nodes: Vec<(u64, Vec<usize>)>,
    /// A point came below another: the kernel blurs what was before it (C83).
    is_blurred: bool,
}

impl Chain {
    pub(crate) fn submit(&mut self, point: u64, fences: Vec<usize>) {
        if point == 0 {
            *self = Self::default();
        }
        let last = self.submitted();
        self.is_blurred |= point > 0 && point <= last;
        self.nodes.push((point.max(last), fences));
    }

    /// As [`submit`](Self::submit) by somebody to whom point 0 is a point below the others.
    pub(crate) fn append(&mut self, point: u64, fences: Vec<usize>) {
        self.nodes.push((point.max(self.submitted()), fences));
    }

    /// The fences of a point by somebody who forgets those before.
    pub(crate) fn alone(&self, point: u64) -> Result<Vec<usize>, Refusal> {
        let own = if point == 0 { self.nodes.last() } else { self.nodes.iter().find(|(of, _)| *of >= point) };
        own.map(|(_, fences)| fences.clone()).ok_or(Refusal::Unsubmitted)
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_blurred(&self) -> bool {
        self.is_blurred
    }

    /// Does a fence that was the whole stand before the points? To the kernel's query it is not there, to its waits it is (measured on
    /// 6.12).
    pub(crate) fn stands_on_a_whole(&self) -> bool {
        self.nodes.len() > 1 && self.nodes.first().is_some_and(|(point, _)| *point == 0)
    }

    fn submitted(&self) -> u64 {
        self.nodes.last().map_or(0, |(point, _)| *point)
    }

    /// The fences that a point stands for: its own, or of the next above, and of all before (C82, C87).
    pub(crate) fn of(&self, point: u64) -> Result<Vec<usize>, Refusal> {
        let found = match point {
            0 => self.nodes.len().checked_sub(1),
            _ => self.nodes.iter().position(|(of, _)| *of >= point),
        };
        let last = found.ok_or(Refusal::Unsubmitted)?;
        Ok(self.nodes[..=last].iter().flat_map(|(_, fences)| fences.iter().copied()).collect())
    }

    pub(crate) fn look(&self, pends: impl Fn(usize) -> bool) -> Line {
        let has_ended = |(_, fences): &&(u64, Vec<usize>)| !fences.iter().any(|&fence| pends(fence));
        let completed = self.nodes.iter().take_while(has_ended).last().map_or(0, |(point, _)| *point);
        let points = PROBES.map(|point| match self.of(point) {
            Ok(fences) => (true, !fences.into_iter().any(&pends)),
            Err(_) => (false, false),
        });
        Line { completed, submitted: self.submitted(), points }
    }
}
