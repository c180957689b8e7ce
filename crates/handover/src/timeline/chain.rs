//! What a timeline holds: nothing, one fence as a whole, or a chain of points.

use std::collections::VecDeque;

use crate::error::Error;
use crate::fence::{Fence, Status};

/// How many ended points with an error are remembered: as many as the page of [`page`](super::page) can.
const ERRORS: usize = super::page::ERRORS as usize;

#[derive(Debug)]
pub(super) enum Content {
    /// One fence that is all of it (point 0).
    Whole(Fence),
    Chain {
        /// Highest complete point.
        completed: u64,
        /// Highest submitted point.
        submitted: u64,
        /// Those that have not ended when last looked, in the order of their submission. The fence of each is the union with all
        /// before, so they end in order.
        pending: VecDeque<Pending>,
        failed: VecDeque<(u64, Error)>,
    },
}

/// A point that has not ended when last looked.
#[derive(Debug)]
pub(super) struct Pending {
    /// The highest point up to it.
    line: u64,
    /// Its own number.
    point: u64,
    whole: Fence,
}

impl Default for Content {
    fn default() -> Self {
        Self::Chain { completed: 0, submitted: 0, pending: VecDeque::new(), failed: VecDeque::new() }
    }
}

impl Content {
    /// What stands before a point that is submitted now, and its place: the fence of a point is the union of this and its own. A
    /// point below the last stands in line behind it, and so is complete with it (C83).
    pub(super) fn before(&self, point: u64) -> (Option<Fence>, u64) {
        match self {
            Self::Whole(before) => (Some(before.clone()), point),
            Self::Chain { submitted, pending, .. } => {
                (pending.back().map(|last| last.whole.clone()), point.max(*submitted))
            }
        }
    }

    /// Appends a point and its fence. What was the whole is behind the first point.
    pub(super) fn push(&mut self, point: u64, whole: Fence) {
        if let Self::Whole(_) = self {
            *self = Self::default();
        }
        if let Self::Chain { submitted, pending, .. } = self {
            *submitted = point.max(*submitted);
            pending.push_back(Pending { line: *submitted, point, whole });
        }
    }

    /// Points that failed, with their errnos, as far as they are remembered.
    pub(super) fn failed(&self) -> Vec<(u64, u32)> {
        match self {
            Self::Whole(_) => Vec::new(),
            Self::Chain { failed, .. } => {
                failed.iter().map(|(point, error)| (*point, super::state::errno_of(error))).collect()
            }
        }
    }

    /// Completes a point above all others when nothing pends: what signals do most of the time. `false`: it is not so.
    pub(super) fn complete(&mut self, point: u64) -> bool {
        match self {
            Self::Chain { completed, submitted, pending, .. } if pending.is_empty() && point > *submitted => {
                (*completed, *submitted) = (point, point);
                true
            }
            _ => false,
        }
    }

    /// Takes the first point off that is known to have ended; gives how far that completes the timeline, and the point and error
    /// where it failed.
    pub(super) fn advance(&mut self) -> Option<(u64, Option<(u64, Error)>)> {
        let Self::Chain { completed, pending, failed, .. } = self else { return None };
        let error = match pending.front()?.whole.status_as_seen() {
            Status::Pending => return None,
            Status::Done(_) => None,
            Status::Failed(_, error) => Some(error),
        };
        let Pending { line, point, .. } = pending.pop_front()?;
        *completed = line.max(*completed);
        let error = error.map(|error| (point, error));
        if let Some(error) = &error {
            if failed.len() >= ERRORS {
                failed.pop_front();
            }
            failed.push_back(error.clone());
        }
        Some((*completed, error))
    }

    /// The first in line that has not ended when last looked.
    pub(super) fn front(&self) -> Option<Fence> {
        match self {
            Self::Whole(_) => None,
            Self::Chain { pending, .. } => pending.front().map(|first| first.whole.clone()),
        }
    }

    /// Is a point under way that came below one that was complete? Readers elsewhere would take it for complete.
    pub(super) fn has_late_point(&self) -> bool {
        matches!(self, Self::Chain { completed, pending, .. } if pending.front().is_some_and(|first| first.line <= *completed))
    }

    /// The fence of a point: its own, or that of the next one above (C82). `None`: nobody has submitted it.
    pub(super) fn fence(&self, point: u64) -> Option<Fence> {
        match self {
            Self::Whole(fence) => (point == 0).then(|| fence.clone()),
            // The whole is the last point, if there ever was one.
            Self::Chain { submitted: 0, .. } => None,
            Self::Chain { pending, .. } if point == 0 => {
                Some(pending.back().map_or_else(Fence::signalled, |last| last.whole.clone()))
            }
            Self::Chain { completed, failed, pending, .. } if point <= *completed => {
                // A lower point that came later pends behind the higher ones.
                let later = pending.iter().rev().find(|late| late.line <= *completed).map(|late| late.whole.clone());
                let error = failed.iter().find(|(seq, _)| *seq == point).map(|(_, error)| error.clone());
                Some(later.unwrap_or_else(|| error.map_or_else(Fence::signalled, Fence::failed)))
            }
            Self::Chain { pending, .. } => {
                let found = pending.iter().find(|found| found.line >= point)?.line;
                pending.iter().rev().find(|last| last.line == found).map(|last| last.whole.clone())
            }
        }
    }

    pub(super) fn completed(&self) -> u64 {
        if let Self::Chain { completed, .. } = self { *completed } else { 0 }
    }

    pub(super) fn submitted(&self) -> u64 {
        if let Self::Chain { submitted, .. } = self { *submitted } else { 0 }
    }

    /// Has everything ended that was submitted?
    pub(super) fn is_complete(&self) -> bool {
        !matches!(self, Self::Chain { pending, .. } if !pending.is_empty())
    }
}
