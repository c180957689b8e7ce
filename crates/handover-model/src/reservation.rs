//! The rules of a reservation as pure functions: who conflicts, who waits, what a query shows, what a report lists.
//!
//! They are the rules of the kernel's `dma_resv` (Linux, `drivers/dma-buf/dma-resv.c`), narrowed by [`Region`]s: an entry
//! for the whole surface meets every other, so whoever knows no regions sees exactly the kernel's behaviour.
//!
//! Rules carry the numbers of the project's conformance list (C20 to C28) and scenarios (S14, S21).

use alloc::vec::Vec;

use crate::{Region, Usage};

/// The context of work that belongs to no ordered line: what a CPU does under a lease. No entry of it stands for another.
/// The kernel counts its contexts from 1.
pub const NO_CONTEXT: u64 = 0;

/// One fence of a reservation, as its owner attached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The ordered line of work that the fence belongs to, or [`NO_CONTEXT`]. Only within one context is one fence later than
    /// another (C9).
    pub context: u64,
    /// Place in that line.
    pub seq: u64,
    /// What the work does.
    pub usage: Usage,
    /// The cells it touches.
    pub region: Region,
    /// Has the work ended?
    pub done: bool,
}

/// Must two entries of these classes follow one another? Symmetric.
///
/// Kernel work meets everything; a write meets writes and reads; reads run beside each other; bookkeeping meets kernel
/// work only.
pub const fn conflicts(a: Usage, b: Usage) -> bool {
    match (a, b) {
        (Usage::Kernel, _) | (_, Usage::Kernel) => true,
        (Usage::Bookkeep, _) | (_, Usage::Bookkeep) => false,
        (Usage::Read, Usage::Read) => false,
        (Usage::Write, _) | (_, Usage::Write) => true,
    }
}

/// Does the first entry, if it comes later, wait for the second? Symmetric, like [`conflicts`]: the ticket says who is
/// later.
///
/// Kernel work is about the memory, not about its content, and so concerns the whole surface whatever its region says.
///
/// ```
/// use handover_model::{Region, Usage, reservation::waits_for};
/// let (left, right) = (Region::from_bits(1), Region::from_bits(2));
/// assert!(!waits_for((Usage::Write, left), (Usage::Write, right)));
/// assert!(waits_for((Usage::Write, left), (Usage::Read, Region::WHOLE)));
/// assert!(waits_for((Usage::Read, left), (Usage::Kernel, right)));
/// ```
pub const fn waits_for(mine: (Usage, Region), theirs: (Usage, Region)) -> bool {
    let kernel = matches!(mine.0, Usage::Kernel) || matches!(theirs.0, Usage::Kernel);
    conflicts(mine.0, theirs.0) && (kernel || mine.1.overlaps(theirs.1))
}

/// The pending entries of this class and all lower ones (C20, C22), in slot order.
///
/// What an access waits for is `collect(entries, access.waits())` (C21). Several writes may be pending at once, and a reader
/// gets all of them (C26). Bookkeeping shows only to who asks for it (S14, C33).
pub fn collect(entries: &[Entry], class: Usage) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| !entry.done && entry.usage <= class)
}

/// As [`collect`], for an access to one region: what lies in it, what overlaps it, and what concerns the whole surface.
pub fn collect_region(entries: &[Entry], class: Usage, region: Region) -> impl Iterator<Item = &Entry> {
    collect(entries, class).filter(move |entry| entry.usage == Usage::Kernel || entry.region.overlaps(region))
}

/// Attaches an entry the way the kernel does (C23): it takes the first slot, in slot order, that is done, or that has the
/// same context, a class that is not lower, and a place that is not later. Otherwise a new slot.
///
/// A slot of the same context is taken only if the new region covers the old: otherwise a part of the surface would lose
/// its fence. Entries of [`NO_CONTEXT`] have no order, so none of them takes the slot of a pending one.
///
/// The earlier entry of a context can survive beside the later one, because the walk stops at the first slot that fits.
/// That is the kernel's behaviour and harmless for the order, but it shows in counts. A fence that is done already changes
/// nothing (C31).
pub fn attach(slots: &mut Vec<Entry>, new: Entry) {
    if new.done {
        return;
    }
    let replaced = slots.iter_mut().find(|old| {
        let same = new.context != NO_CONTEXT && old.context == new.context;
        let stronger = old.usage >= new.usage && old.seq <= new.seq && new.region.covers(old.region);
        old.done || (same && stronger)
    });
    match replaced {
        Some(slot) => *slot = new,
        None => slots.push(new),
    }
}

/// What the kernel would list after these entries were attached in this order: C23 for each pending one (C22).
///
/// The control file itself never merges entries, since someone may be waiting for the older one; only reports do.
///
/// ```
/// use handover_model::reservation::{Entry, report};
/// use handover_model::{Region, Usage};
/// let entry = |seq, usage| Entry { context: 7, seq, usage, region: Region::WHOLE, done: false };
/// // S21: a read, then a write of one context is one entry; a write, then a read is two.
/// assert_eq!(report(&[entry(1, Usage::Read), entry(2, Usage::Write)]).len(), 1);
/// assert_eq!(report(&[entry(1, Usage::Write), entry(2, Usage::Read)]).len(), 2);
/// ```
pub fn report(entries: &[Entry]) -> Vec<Entry> {
    let mut slots = Vec::new();
    for entry in entries {
        attach(&mut slots, *entry);
    }
    slots
}
