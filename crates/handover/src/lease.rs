//! A lease: exclusion that was granted, in shares. An entry of the reservation ends with its last share.
//!
//! Submitting a lease to a queue gives the job a share. Dropping the lease then ends CPU access, never the job.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use handover_model::{Access, Region, Stage, Usage};

use crate::acquire::Wish;
use crate::backend::software::control::Control;
use crate::backend::software::reservation::layout::ENTRIES;
use crate::backend::software::reservation::working_set::{self, Member};
use crate::backend::software::reservation::{Attach, Entry, Reservation, Trouble};
use crate::deadline::Deadline;
use crate::device::habits;
use crate::error::{Error, Kind, Result};
use crate::surface::Surface;
use crate::waiting::Waiting;

/// "Input/output error", for work that failed without an errno.
const EIO: u32 = 5;

/// Granted access to a set of surfaces. Dropping it releases it.
#[derive(Debug)]
#[must_use = "a dropped lease is released at once"]
pub struct Lease {
    share: Arc<Share>,
    torn: Option<u32>,
    /// Granted to a device, which was given a fence to wait for; no CPU has waited for it.
    unwaited: AtomicBool,
}

/// One surface of a lease, or of a set on its way to one.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) surface: Surface,
    /// What was asked for.
    pub(crate) asked: (Usage, Region),
    /// What is attached: the same, but for those whose [habits](crate::queue::Habits) are others.
    pub(crate) wish: Attach,
    pub(crate) entry: Entry,
}

impl Part {
    /// A part that is not attached yet. `lease`: for CPU access, not for a job.
    #[inline]
    pub(crate) fn new(surface: &Surface, usage: Usage, region: Region, lease: bool) -> Self {
        let wish = Attach { surface: surface.0.index, usage, region, lease, context: 0, seq: 0 };
        Self { surface: surface.clone(), asked: (usage, region), wish, entry: Entry::NONE }
    }
}

impl Member<Control, ENTRIES> for Part {
    fn reservation(&self) -> &Reservation<Control> {
        self.surface.0.pool.reservation()
    }
    fn wish(&self) -> &Attach {
        &self.wish
    }
    fn entry(&self) -> &Entry {
        &self.entry
    }
    fn entry_mut(&mut self) -> &mut Entry {
        &mut self.entry
    }
    #[inline]
    fn writes(&self) -> Option<Region> {
        (self.asked.0 <= Usage::Write).then_some(self.asked.1)
    }
}

/// The parts of one set. One part, which is what most sets have, lies in place: a list of it would cost as much as its entry.
#[derive(Debug)]
pub(crate) enum Parts {
    One([Part; 1]),
    Many(Vec<Part>),
}

impl Parts {
    /// Those of a set, and more.
    pub(crate) fn and(self, more: impl Iterator<Item = Part>) -> Self {
        let mut parts = match self {
            Self::One(one) => Vec::from(one),
            Self::Many(parts) => parts,
        };
        parts.extend(more);
        Self::Many(parts)
    }

    /// The parts of a set that was checked.
    #[inline]
    pub(crate) fn of(set: &[Wish<'_>], lease: bool) -> Self {
        let part = |&(surface, access, region): &Wish<'_>| Part::new(surface, access.usage(), region, lease);
        match set {
            [wish] => Self::One([part(wish)]),
            set => Self::Many(set.iter().map(part).collect()),
        }
    }
}

impl Default for Parts {
    /// None.
    #[inline]
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Deref for Parts {
    type Target = [Part];

    #[inline]
    fn deref(&self) -> &[Part] {
        match self {
            Self::One(part) => part,
            Self::Many(parts) => parts,
        }
    }
}

impl DerefMut for Parts {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Part] {
        match self {
            Self::One(part) => part,
            Self::Many(parts) => parts,
        }
    }
}

/// The entries of one attach. Whoever drops the last reference ends them.
#[derive(Debug)]
pub(crate) struct Share {
    parts: Parts,
    /// Errno of the first failure; 0 is none.
    error: AtomicU32,
    /// Has the turn come? Work that never began touches no pixel at its end: they may be another's, who still has his turn.
    granted: AtomicBool,
    /// A job that lost its device before its turn: its entries end as failed. Other work that never began is withdrawn.
    fails_in_line: AtomicBool,
    /// No CPU touches the pixels: there is nothing that only we know.
    for_device: AtomicBool,
    ended: AtomicBool,
}

impl Share {
    #[inline]
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            error: AtomicU32::new(0),
            granted: AtomicBool::new(false),
            fails_in_line: AtomicBool::new(false),
            for_device: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// Of parts that were attached nowhere: there is nothing to end.
    pub(crate) fn unattached(parts: Parts) -> Arc<Self> {
        let share = Self::new(parts);
        share.ended.store(true, Ordering::Relaxed);
        share
    }

    /// Gives up a reference. The last one ends the entries and hears of trouble.
    pub(crate) fn end_last(this: Arc<Self>) -> Result<(), Trouble> {
        Self::end_on_device(this).0
    }

    /// The same, and beside it whether the devices are there: one look, so that what is told here is what the entries say.
    #[inline]
    pub(crate) fn end_on_device(this: Arc<Self>) -> (Result<(), Trouble>, Result<()>) {
        let on_device = habits::check(&this.parts, Stage::Release);
        let is_lost = on_device.is_err();
        (Arc::into_inner(this).map_or(Ok(()), |mut share| share.end(is_lost)), on_device)
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn reservation(&self, part: usize) -> Option<&Reservation<Control>> {
        self.parts.get(part).map(Part::reservation)
    }

    /// Has any surface of it a reservation in the kernel?
    #[inline]
    pub(crate) fn has_dma_buf(&self) -> bool {
        self.parts.iter().any(|part| part.surface.0.memory.is_dma_buf())
    }

    /// Is this entry one of ours? (Indices of one pool; good enough to print who else holds what.)
    pub(crate) fn has(&self, surface: u32, index: u8) -> bool {
        self.parts.iter().any(|part| part.entry.surface == surface && part.entry.index == index)
    }

    pub(crate) fn describe(&self) -> String {
        let part = |part: &Part| format!("{} access to surface {}", part.asked.0.word(), part.surface.index());
        self.parts.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// Leaves the line: the work never began.
    pub(crate) fn withdraw(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            // An entry that is no longer ours is gone already.
            let _ = working_set::withdraw(&self.parts);
        }
    }

    /// The turn has come.
    pub(crate) fn grant(&self) {
        self.granted.store(true, Ordering::Release);
    }

    /// The last access is a device's, or at least not this side's.
    pub(crate) fn leave_to_device(&self) {
        self.for_device.store(true, Ordering::Relaxed);
    }

    /// Marks the work as failed; the first error stays.
    pub(crate) fn fail(&self, errno: u32) {
        let _ = self.error.compare_exchange(0, errno.max(1), Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Marks it as failed with the errno of an error; `EIO` where that has none.
    pub(crate) fn fail_with(&self, error: &Error) {
        self.fail(error.errno().and_then(|errno| u32::try_from(errno).ok()).unwrap_or(EIO));
    }

    /// Are its devices there? A job that waits for its turn fails with its device; a lease only leaves the line.
    #[inline]
    pub(crate) fn check_device(&self, stage: Stage) -> Result<()> {
        habits::check(&self.parts, stage).inspect_err(|error| self.device_lost(error))
    }

    #[cold]
    fn device_lost(&self, error: &Error) {
        if self.granted.load(Ordering::Acquire) {
            // A lease that was submitted: others hold shares of it, and its entries end with the last.
        } else if self.parts.iter().all(|part| part.wish.lease) {
            self.withdraw();
        } else {
            self.fail_with(error);
            self.fails_in_line.store(true, Ordering::Release);
        }
    }

    /// Ends every entry. All parts are tried; the first trouble is told.
    fn end(&mut self, is_lost: bool) -> Result<(), Trouble> {
        if std::mem::replace(self.ended.get_mut(), true) {
            return Ok(());
        }
        let (had_its_turn, fails_in_line) = (*self.granted.get_mut(), *self.fails_in_line.get_mut());
        if !had_its_turn && !fails_in_line {
            return working_set::withdraw(&self.parts);
        }
        let error = match *self.error.get_mut() {
            0 => is_lost.then_some(habits::ENODEV.unsigned_abs()),
            error => Some(error),
        };
        let whole_write = |part: &&Part| part.asked.0 == Usage::Write && part.asked.1.is_whole();
        // A lease of some cells cannot clear, so it leaves nothing to resolve; and the others' cells are not its to touch.
        // Nor has a device's lease; and to look would wait for its work, here where nobody can say for how long.
        if had_its_turn && !*self.for_device.get_mut() {
            for part in self.parts.iter().filter(whole_write) {
                part.surface.0.codec.end_of_submission(&part.surface);
            }
        }
        working_set::release(&self.parts, error)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // A spoiled entry cannot be told to anybody here; `Lease::release` tells it.
        let is_lost = habits::check(&self.parts, Stage::Release).is_err();
        let _ = self.end(is_lost);
    }
}

impl Lease {
    /// The turn has come. The content is compared once more: the layout may have changed while we waited.
    ///
    /// `failed`: errno that a device's work before us failed with.
    pub(crate) fn granted(share: Arc<Share>, failed: Option<u32>) -> Result<Self> {
        let mut torn = failed;
        for part in share.parts() {
            part.surface.check_content()?;
            torn = torn.or_else(|| part.reservation().failure_before(&part.entry, part.asked.1));
        }
        share.grant();
        habits::begin(share.parts()).inspect_err(|error| share.fail_with(error))?;
        Ok(Self { share, torn, unwaited: AtomicBool::new(false) })
    }

    /// The same, for a device that has the fence.
    pub(crate) fn for_device(self) -> Self {
        Self { unwaited: AtomicBool::new(true), ..self.leave_to_device() }
    }

    /// The same, whose last access is a device's.
    pub(crate) fn leave_to_device(self) -> Self {
        self.share.leave_to_device();
        self
    }

    /// Waits on the CPU for what pends in the kernel, so that a lease that was [collected](crate::Acquire::collect) for a device may
    /// be used by the CPU, or by a device that knows no fences. Any other lease has nothing to wait for.
    ///
    /// # Errors
    /// [`Kind::Timeout`] names the drivers whose work pends. The lease stays as it is.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        if self.unwaited.load(Ordering::Relaxed) {
            Waiting::wait_after_all(&self.share, deadline)?;
            self.unwaited.store(false, Ordering::Relaxed);
            self.share.for_device.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// May somebody use the pixels who waits for no fence of the kernel?
    #[inline]
    pub(crate) fn check_waited(&self) -> Result<()> {
        if self.unwaited.load(Ordering::Relaxed) { Err(unwaited()) } else { Ok(()) }
    }

    /// Did the last writer of what we now hold die, or fail? Then the content may be torn, until somebody writes it anew.
    ///
    /// Of a device's work, only an error that this acquire itself waited for shows: the kernel forgets a fence when it has ended.
    pub fn is_torn(&self) -> bool {
        self.torn.is_some()
    }

    /// Why the content may be torn: the errno that the last writer failed with, or `EOWNERDEAD`.
    pub fn torn_by(&self) -> Option<u32> {
        self.torn
    }

    /// The surfaces of the lease, with what is allowed.
    pub fn surfaces(&self) -> impl Iterator<Item = (&Surface, Access, Region)> {
        // What is only bound is no access.
        self.share.parts().iter().filter(|part| part.asked.0 != Usage::Bookkeep).map(|part| {
            let access = if part.asked.0 == Usage::Write { Access::Write } else { Access::Read };
            (&part.surface, access, part.asked.1)
        })
    }

    pub(crate) fn share(&self) -> &Arc<Share> {
        &self.share
    }

    pub(crate) fn into_share(self) -> Arc<Share> {
        self.share
    }

    /// The part of this surface that allows the access.
    #[inline]
    pub(crate) fn part(&self, surface: &Surface, access: Access) -> Result<&Part> {
        let allows = |part: &&Part| {
            let usage = if access == Access::Read { Usage::Read } else { Usage::Write };
            Arc::ptr_eq(&part.surface.0, &surface.0) && part.asked.0 <= usage
        };
        self.share.parts().iter().find(allows).ok_or_else(|| self.not_for(surface, access))
    }

    #[cold]
    fn not_for(&self, surface: &Surface, access: Access) -> Error {
        Error::new(Stage::Access, Kind::Invalid)
            .asked(format!("{} access to surface {}", access.word(), surface.index()))
            .found(format!("a lease for {}", self.share.describe()))
            .help("acquire the surface with this access first")
    }
}

// Out of line, as the refusals of `surface` are: beside two calls of the kernel the making of an error is not what a view should cost.
#[cold]
fn unwaited() -> Error {
    Error::new(Stage::Access, Kind::Invalid)
        .asked("pixels of a lease that was collected for a device")
        .found("a fence of the kernel that only the device waits for")
        .help("Lease::wait first")
}
