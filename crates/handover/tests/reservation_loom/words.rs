//! The words of the machine as one participant sees them: each operation is a step before which it may die, and has the ordering
//! that the flaw leaves it.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use handover::backend::software::reservation::platform::Atomic;
use handover::backend::software::reservation::{Phase, Word};
use loom::sync::atomic::{AtomicU32, AtomicU64};

use super::sites::{Doing, Flaw, Site};

/// What a word is for: which site an operation on it belongs to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Field {
    Clock,
    Entry,
    Mask,
    Other,
}

/// A word that loom watches, or one whose orderings nobody relies on: what it holds is carried by the entry's word.
pub(crate) enum Shared64 {
    Watched(AtomicU64, Field),
    Plain(Cell<u64>),
}

pub(crate) enum Shared32 {
    Event(AtomicU32),
    Plain(Cell<u32>),
}

/// Unwinds a participant from the operation before which it dies.
pub(crate) struct Died;

/// One participant's state that is nobody else's business.
pub(crate) struct Life {
    /// Operations left to live for.
    pub(crate) left: Cell<u64>,
    pub(crate) doing: Cell<Doing>,
    /// Fences since it began with what it is doing.
    pub(crate) fences: Cell<u32>,
    pub(crate) time: Cell<u64>,
    /// Slices left that end a sleep, and how many deaths it has had some for.
    pub(crate) slices: Cell<u32>,
    pub(crate) deaths: Cell<u32>,
    /// Has it ended an entry of its own?
    pub(crate) has_ended: Cell<bool>,
    pub(crate) flaw: Flaw,
}

impl Life {
    pub(crate) fn step(&self) {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            // No panic hook: this is no failure of a test.
            None => resume_unwind(Box::new(Died)),
        }
    }

    /// The ordering an operation gets: its own, or none at all where the flaw is.
    fn order(&self, site: Option<Site>, order: Ordering) -> Ordering {
        if site.is_some_and(|site| self.flaw.weakens(site)) { Ordering::Relaxed } else { order }
    }
}

pub(crate) struct View64(pub(crate) Rc<Shared64>, pub(crate) Rc<Life>);
pub(crate) struct View32(pub(crate) Rc<Shared32>, pub(crate) Rc<Life>);

impl Field {
    fn load(self, doing: Doing, order: Ordering) -> Option<Site> {
        match (self, doing) {
            _ if order == Ordering::Relaxed => None,
            (Self::Entry, Doing::Attaching) => Some(Site::CollectWord),
            (Self::Entry, Doing::Waiting) => Some(Site::AwaitWord),
            (Self::Mask, _) => Some(Site::LoadMask),
            _ => None,
        }
    }
    fn store(self, value: u64) -> Option<Site> {
        match self {
            Self::Entry if Word(value).phase() == Phase::Choosing => Some(Site::StoreChoosing),
            Self::Mask => Some(Site::StoreMask),
            _ => None,
        }
    }
    fn exchange(self, doing: Doing, value: u64) -> Option<Site> {
        match (self, doing) {
            (Self::Entry, _) if Word(value).phase() == Phase::Claimed => Some(Site::TakeWord),
            (Self::Entry, Doing::Waiting | Doing::Joining) => Some(Site::ReapWord),
            (Self::Entry, _) => Some(Site::EndWord),
            (Self::Clock, _) => Some(Site::RaiseClock),
            _ => None,
        }
    }
}

impl Atomic<u64> for View64 {
    fn load(&self, order: Ordering) -> u64 {
        self.1.step();
        match &*self.0 {
            Shared64::Watched(word, field) => word.load(self.1.order(field.load(self.1.doing.get(), order), order)),
            Shared64::Plain(word) => word.get(),
        }
    }
    fn store(&self, value: u64, order: Ordering) {
        self.1.step();
        match &*self.0 {
            // loom has no stores that are SeqCst: it is the fences that count.
            Shared64::Watched(word, field) => word.store(value, self.1.order(field.store(value), order)),
            Shared64::Plain(word) => word.set(value),
        }
    }
    fn compare_exchange(&self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.1.step();
        match &*self.0 {
            Shared64::Watched(word, field) => {
                let site = field.exchange(self.1.doing.get(), new);
                let done = word.compare_exchange(current, new, self.1.order(site, success), failure);
                if site == Some(Site::EndWord) && done.is_ok() {
                    self.1.has_ended.set(true);
                }
                done
            }
            Shared64::Plain(word) if word.get() == current => Ok(word.replace(new)),
            Shared64::Plain(word) => Err(word.get()),
        }
    }
    fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        self.1.step();
        match &*self.0 {
            Shared64::Watched(word, _) => word.fetch_or(bits, order),
            Shared64::Plain(word) => word.replace(word.get() | bits),
        }
    }
    fn fetch_and(&self, bits: u64, order: Ordering) -> u64 {
        self.1.step();
        match &*self.0 {
            Shared64::Watched(word, _) => word.fetch_and(bits, order),
            Shared64::Plain(word) => word.replace(word.get() & bits),
        }
    }
    fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.1.step();
        match &*self.0 {
            Shared64::Watched(word, _) => word.fetch_add(value, order),
            Shared64::Plain(word) => word.replace(word.get().wrapping_add(value)),
        }
    }
}

impl Atomic<u32> for View32 {
    fn load(&self, order: Ordering) -> u32 {
        self.1.step();
        match &*self.0 {
            Shared32::Event(word) => word.load(self.1.order(Some(Site::LoadEvent), order)),
            Shared32::Plain(word) => word.get(),
        }
    }
    fn store(&self, value: u32, order: Ordering) {
        self.1.step();
        match &*self.0 {
            Shared32::Event(word) => word.store(value, order),
            Shared32::Plain(word) => word.set(value),
        }
    }
    fn compare_exchange(&self, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        self.1.step();
        match &*self.0 {
            Shared32::Event(word) => word.compare_exchange(current, new, success, failure),
            Shared32::Plain(word) if word.get() == current => Ok(word.replace(new)),
            Shared32::Plain(word) => Err(word.get()),
        }
    }
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        self.1.step();
        match &*self.0 {
            Shared32::Event(word) => word.fetch_or(bits, order),
            Shared32::Plain(word) => word.replace(word.get() | bits),
        }
    }
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.1.step();
        match &*self.0 {
            Shared32::Event(word) => word.fetch_and(bits, order),
            Shared32::Plain(word) => word.replace(word.get() & bits),
        }
    }
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.1.step();
        match &*self.0 {
            Shared32::Event(word) => word.fetch_add(value, self.1.order(Some(Site::RaiseEvent), order)),
            Shared32::Plain(word) => word.replace(word.get().wrapping_add(value)),
        }
    }
}
