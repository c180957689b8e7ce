//! Acquire: a place in line on every surface of a set, then exclusion by fences. Mapping is another word, `access`.
//!
//! # Contract
//!
//! [`acquire`] takes the place at once; what is left is to wait, by [`Acquire::wait`], by [`Acquire::poll`] with
//! [`Acquire::descriptor`] in a poll loop, or not at all: dropping it leaves the line. Two sets that share
//! surfaces are ordered the same way on all of them, whatever order they are named in. A thread that already holds a lease
//! and acquires another can deadlock with one that does it the other way round: the deadline ends that, and the error
//! names both holders.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use handover_model::{Access, Region, Stage, reservation};

use crate::backend::linux::SyncFile;
use crate::backend::software::reservation::Trouble;
use crate::backend::software::reservation::working_set::{self, Member as _};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::lease::{Lease, Part, Parts, Share};
use crate::surface::Surface;
use crate::waiting::{WaitDescriptor, Waiting};

/// One wish: a surface, what to do with it, and in which of its cells.
pub type Wish<'a> = (&'a Surface, Access, Region);

/// CPU access belongs to no fence context.
const NO_FENCE: (u64, u64) = (reservation::NO_CONTEXT, 0);

/// A place in line. Becomes a [`Lease`]; dropped, it leaves the line.
#[derive(Debug)]
#[must_use = "dropping an Acquire leaves the line"]
pub struct Acquire {
    /// `None` once it became a lease.
    share: Option<Arc<Share>>,
    waiting: Waiting,
    deadline: Deadline,
    descriptor: Option<WaitDescriptor>,
}

/// Takes a place in line for CPU access to all of `set`. Waits only if a reservation is full, and not beyond `deadline`,
/// which also bounds [`Acquire::wait`].
///
/// # Errors
/// [`Kind::Full`] at the deadline, [`Kind::Unsupported`] for WRITE on a READ import, [`Kind::LayoutChanged`],
/// [`Kind::Spoiled`], [`Kind::Invalid`] for an empty set.
pub fn acquire(set: &[Wish<'_>], deadline: Deadline) -> Result<Acquire> {
    let (share, waiting) = line_up(check(set, true)?, deadline, Stage::Acquire)?;
    Ok(Acquire { share: Some(share), waiting, deadline, descriptor: None })
}

/// CPU access to all of `set` if nobody is in the way now; takes no place in line otherwise.
pub fn try_acquire(set: &[Wish<'_>]) -> Result<Option<Lease>> {
    // Look before taking a place: even a place given back at once would make others wait for a moment.
    let mut parts = check(set, true)?;
    let is_busy = |part: &Part| {
        let (reservation, wish) = (part.reservation(), &part.wish);
        // Who only ever tries waits for nobody, and nobody else may: without this look the dead would keep a surface.
        let is_in_the_way = || reservation.sweep(wish.surface) == 0 || reservation.would_wait(wish);
        reservation.would_wait(wish) && is_in_the_way()
    };
    if parts.iter().any(is_busy) || !Waiting::kernel_is_idle(&parts)? {
        return Ok(None);
    }
    match try_line_up(&mut parts, NO_FENCE) {
        Ok((share, mut waiting)) => match waiting.look(&share)? {
            true => Lease::granted(share, waiting.failed()).map(Some),
            false => Ok(None),
        },
        Err((_, Trouble::Full(_))) => Ok(None),
        Err((_, trouble)) => Err(trouble.at(Stage::Acquire)),
    }
}

impl Acquire {
    /// Waits until every entry before ours has ended.
    ///
    /// # Errors
    /// [`Kind::Timeout`] names whose entries were in the way and what this process holds meanwhile. Nothing is granted and
    /// the place in line is given up.
    #[inline]
    pub fn wait(mut self) -> Result<Lease> {
        let Some(share) = self.share.take() else {
            return Err(Error::new(Stage::Acquire, Kind::Unreachable));
        };
        self.waiting.wait(&share, self.deadline, Stage::Acquire)?;
        Lease::granted(share, self.waiting.failed())
    }

    /// Waits for the control file's entries only, and collects what pends in the kernel for a device to wait for: the first
    /// step of collect, submit, attach. `None`: nothing pends.
    ///
    /// The lease is for the device. Give the fence to it as the in-fence of its job, and release the lease
    /// [after](Lease::release_after) the job's own fence. Whoever touches the pixels with the CPU instead
    /// [waits](Lease::wait) first.
    ///
    /// The fence may carry an error of the work before: what it ends with is for who waits for it to see.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn collect(mut self) -> Result<(Lease, Option<SyncFile>)> {
        let Some(share) = self.share.take() else {
            return Err(Error::new(Stage::Acquire, Kind::Unreachable));
        };
        self.waiting.wait_for_entries(&share, self.deadline, Stage::Acquire)?;
        self.collected(share)
    }

    /// As [`collect`](Self::collect), for a poll loop: `None` if the entries are not over yet. [`descriptor`](Self::descriptor)
    /// becomes readable when they are. After an error, or what it was asked for, there is nothing more to come.
    pub fn poll_collect(&mut self) -> Result<Option<(Lease, Option<SyncFile>)>> {
        let Some(share) = &self.share else { return Err(already_a_lease()) };
        if self.waiting.entries_are_over(share) {
            return self.share.take().map(|share| self.collected(share)).transpose();
        }
        if let Err(error) = share.check_device(Stage::Acquire) {
            self.leave();
            return Err(error);
        }
        if self.deadline.has_passed() {
            let error = self.waiting.timed_out(share, Stage::Acquire);
            self.leave();
            return Err(error);
        }
        Ok(None)
    }

    fn collected(&mut self, share: Arc<Share>) -> Result<(Lease, Option<SyncFile>)> {
        let fence = self.waiting.collect(&share, self.deadline).inspect_err(|_| share.withdraw())?;
        let lease = Lease::granted(share, self.waiting.failed())?;
        Ok((if fence.is_some() { lease.for_device() } else { lease }, fence))
    }

    /// Leaves the line.
    fn leave(&mut self) {
        if let Some(share) = self.share.take() {
            share.withdraw();
        }
    }

    /// The lease if it is our turn, `None` if not yet. After an error or a lease there is nothing more to come.
    pub fn poll(&mut self) -> Result<Option<Lease>> {
        match self.is_over() {
            Ok(true) => self.share.take().map(|share| Lease::granted(share, self.waiting.failed())).transpose(),
            Ok(false) => Ok(None),
            Err(error) => {
                self.leave();
                Err(error)
            }
        }
    }

    fn is_over(&mut self) -> Result<bool> {
        let Some(share) = &self.share else { return Err(already_a_lease()) };
        share.check_device(Stage::Acquire)?;
        let is_watched = self.descriptor.as_ref().is_some_and(WaitDescriptor::is_watched);
        let is_over = self.waiting.look(share)? || (!is_watched && self.waiting.look_after_the_dead(share)?);
        if let Some(descriptor) = &mut self.descriptor {
            descriptor.follow(&self.waiting)?;
        }
        if !is_over && self.deadline.has_passed() {
            return Err(self.waiting.timed_out(share, Stage::Acquire));
        }
        Ok(is_over)
    }

    /// A descriptor that becomes readable when [`Acquire::poll`] is worth calling: our turn has come, or the deadline. Made at
    /// the first call.
    pub fn descriptor(&mut self) -> Result<BorrowedFd<'_>> {
        let Some(share) = &self.share else { return Err(already_a_lease()) };
        let descriptor = match self.descriptor.take() {
            Some(descriptor) => descriptor,
            None => WaitDescriptor::start(share, &self.waiting, self.deadline)?,
        };
        let descriptor: &WaitDescriptor = self.descriptor.insert(descriptor);
        Ok(descriptor.as_fd())
    }

    /// The descriptor itself, for an event loop that wants to own it.
    pub fn owned_descriptor(&mut self) -> Result<OwnedFd> {
        let fd = self.descriptor()?;
        fd.try_clone_to_owned().map_err(crate::error::os(Stage::Acquire, "duplicate a poll descriptor"))
    }

    /// Leaves the line.
    pub fn cancel(self) {}
}

impl Drop for Acquire {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cold]
fn already_a_lease() -> Error {
    Error::new(Stage::Acquire, Kind::Invalid).why("this Acquire has already become a lease")
}

/// What may be said of a set before anything is attached; the set in the reservation's terms.
#[inline]
pub(crate) fn check(set: &[Wish<'_>], lease: bool) -> Result<Parts> {
    if set.is_empty() {
        return Err(Error::new(Stage::Acquire, Kind::Invalid)
            .asked("an empty set")
            .why("there is nothing to wait for"));
    }
    for (surface, access, region) in set {
        surface.0.device.check_alive(Stage::Acquire)?;
        surface.may(*access)?;
        surface.check_region(*region)?;
        surface.check_content()?;
    }
    Ok(Parts::of(set, lease))
}

/// A refused attach: what it met, and the position of the part that met it.
pub(crate) type Refusal = (usize, Trouble);

/// Attaches a set that has no fence; waits while a reservation is full, not beyond the deadline.
#[inline]
pub(crate) fn line_up(mut parts: Parts, deadline: Deadline, stage: Stage) -> Result<(Arc<Share>, Waiting)> {
    loop {
        match try_line_up(&mut parts, NO_FENCE) {
            Ok(lined) => return Ok(lined),
            Err(refusal) => make_room(&parts, refusal, deadline, stage)?,
        }
    }
}

/// After a refused attach: waits until something changes on the surface that was full. Any other refusal is final, and so
/// is that one at the deadline.
pub(crate) fn make_room(parts: &[Part], (position, trouble): Refusal, deadline: Deadline, stage: Stage) -> Result<()> {
    match (trouble, parts.get(position)) {
        (Trouble::Full(index), Some(part)) if !deadline.has_passed() => {
            part.reservation().wait_for_room(index, deadline.at());
            Ok(())
        }
        _ => Err(trouble.at(stage)),
    }
}

/// Attaches a set once, as this place (context and sequence number) of a fence context. On an error nothing is taken,
/// and `parts` is as before; otherwise the share has them.
#[inline]
pub(crate) fn try_line_up(parts: &mut Parts, (context, seq): (u64, u64)) -> Result<(Arc<Share>, Waiting), Refusal> {
    for part in parts.iter_mut() {
        part.wish.context = context;
        part.wish.seq = seq;
    }
    let mut waiting = Waiting::default();
    working_set::attach_members(parts, &mut waiting.dependencies)?;
    Ok((Share::new(std::mem::take(parts)), waiting))
}
