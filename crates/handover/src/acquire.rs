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

use handover_model::{Access, Region, Stage};

use crate::backend::software::control::Control;
use crate::backend::software::poll::Watch;
use crate::backend::software::reservation::working_set::{self, Member as _};
use crate::backend::software::reservation::{Dependency, Outcome, Phase, Reservation, Trouble, Word};
use crate::deadline::Deadline;
use crate::error::{Blocked, Error, Holder, Kind, Result};
use crate::lease::{Lease, Part, Share};
use crate::surface::Surface;

/// One wish: a surface, what to do with it, and in which of its cells.
pub type Wish<'a> = (&'a Surface, Access, Region);

/// CPU access belongs to no fence context.
const NO_FENCE: (u64, u64) = (0, 0);

/// A place in line. Becomes a [`Lease`]; dropped, it leaves the line.
#[derive(Debug)]
#[must_use = "dropping an Acquire leaves the line"]
pub struct Acquire {
    /// `None` once it became a lease.
    share: Option<Arc<Share>>,
    waiting: Waiting,
    deadline: Deadline,
    watch: Option<Watch>,
}

/// The entries before ours that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// With the index of the part whose surface it is.
    pub(crate) dependencies: Vec<(usize, Dependency)>,
}

/// Takes a place in line for CPU access to all of `set`. Waits only if a reservation is full, and not beyond `deadline`,
/// which also bounds [`Acquire::wait`].
///
/// # Errors
/// [`Kind::Full`] at the deadline, [`Kind::Unsupported`] for WRITE on a READ import, [`Kind::LayoutChanged`],
/// [`Kind::Spoiled`], [`Kind::Invalid`] for an empty set.
pub fn acquire(set: &[Wish<'_>], deadline: Deadline) -> Result<Acquire> {
    let (share, waiting) = line_up(check(set, true)?, deadline, Stage::Acquire)?;
    Ok(Acquire { share: Some(share), waiting, deadline, watch: None })
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
    if parts.iter().any(is_busy) {
        return Ok(None);
    }
    match try_line_up(&mut parts, NO_FENCE) {
        Ok((share, mut waiting)) => match waiting.look(&share) {
            true => Lease::granted(share).map(Some),
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
        Lease::granted(share)
    }

    /// The lease if it is our turn, `None` if not yet. After an error or a lease there is nothing more to come.
    pub fn poll(&mut self) -> Result<Option<Lease>> {
        let Some(share) = &self.share else {
            return Err(Error::new(Stage::Acquire, Kind::Invalid).why("this Acquire has already become a lease"));
        };
        let is_over = self.waiting.look(share) || (self.watch.is_none() && self.waiting.look_after_the_dead(share));
        if !is_over {
            if self.deadline.has_passed() {
                let error = self.waiting.timed_out(share, Stage::Acquire);
                share.withdraw();
                self.share = None;
                return Err(error);
            }
            return Ok(None);
        }
        match self.share.take() {
            Some(share) => Lease::granted(share).map(Some),
            None => Ok(None),
        }
    }

    /// A descriptor that becomes readable when [`Acquire::poll`] is worth calling: our turn has come, or the deadline. Made at
    /// the first call.
    pub fn descriptor(&mut self) -> Result<BorrowedFd<'_>> {
        let Some(share) = &self.share else {
            return Err(Error::new(Stage::Acquire, Kind::Invalid).why("this Acquire has already become a lease"));
        };
        let watch = match self.watch.take() {
            Some(watch) => watch,
            None => Watch::start(share, &self.waiting.dependencies, self.deadline)?,
        };
        let watch: &Watch = self.watch.insert(watch);
        Ok(watch.as_fd())
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
        if let Some(share) = &self.share {
            share.withdraw();
        }
    }
}

impl Waiting {
    /// Are all over? Drops those that are.
    pub(crate) fn look(&mut self, share: &Share) -> bool {
        while let Some((part, dependency)) = self.dependencies.last_mut() {
            if share.reservation(*part).and_then(|reservation| reservation.is_over(dependency)).is_none() {
                return false;
            }
            self.dependencies.pop();
        }
        true
    }

    /// For who polls without the poll thread, which looks every slice: ends what is in the way if its owner is gone, and
    /// looks again. One lock query, 0.3 µs.
    fn look_after_the_dead(&mut self, share: &Share) -> bool {
        if let Some((part, dependency)) = self.dependencies.last()
            && let Some(reservation) = share.reservation(*part)
        {
            reservation.end_if_dead(dependency);
        }
        self.look(share)
    }

    /// Waits for each in turn. On a time-out the places in line are given up.
    pub(crate) fn wait(&mut self, share: &Share, deadline: Deadline, stage: Stage) -> Result<()> {
        while let Some((part, dependency)) = self.dependencies.last_mut() {
            let Some(reservation) = share.reservation(*part) else {
                return Err(Error::new(stage, Kind::Unreachable));
            };
            match reservation.wait(dependency, deadline.at()) {
                // The others may be the same owner's: a slice for each would add up.
                Outcome::Ended(Some(Phase::Dead)) => self.end_the_dead(share),
                Outcome::Ended(_) => {}
                Outcome::TimedOut => {
                    let error = self.timed_out(share, stage);
                    share.withdraw();
                    return Err(error);
                }
            }
            self.dependencies.pop();
        }
        Ok(())
    }

    fn end_the_dead(&self, share: &Share) {
        for (part, dependency) in &self.dependencies {
            if let Some(reservation) = share.reservation(*part) {
                reservation.end_if_dead(dependency);
            }
        }
    }

    /// The error that names both sides: whom we wait for, and what we hold.
    pub(crate) fn timed_out(&self, share: &Share, stage: Stage) -> Error {
        let mut blocked = Blocked::default();
        for (part, dependency) in &self.dependencies {
            if let Some(reservation) = share.reservation(*part) {
                let holder = holder(reservation, dependency.surface, dependency.word);
                if !blocked.by.contains(&holder) {
                    blocked.by.push(holder);
                }
            }
        }
        for part in share.parts() {
            let reservation = part.reservation();
            for surface in 0..part.surface.0.pool.surfaces() {
                let held = reservation.live_entries(surface).filter(|(index, word, _)| {
                    word.owner() == reservation.owner() && word.is_lease() && !share.has(surface, *index)
                });
                for (_, word, _) in held {
                    let holder = holder(reservation, surface, word);
                    if !blocked.holding.contains(&holder) {
                        blocked.holding.push(holder);
                    }
                }
            }
        }
        Error::new(stage, Kind::Timeout(blocked))
            .asked(share.describe())
            .found("work in the way that did not end before the deadline")
    }
}

fn holder(reservation: &Reservation<Control>, surface: u32, word: Word) -> Holder {
    Holder {
        pid: reservation.pid_of(word.owner()),
        owner: word.owner(),
        surface,
        usage: word.usage().word(),
        lease: word.is_lease(),
    }
}

/// What may be said of a set before anything is attached; the set in the reservation's terms.
#[inline]
pub(crate) fn check(set: &[Wish<'_>], lease: bool) -> Result<Vec<Part>> {
    if set.is_empty() {
        return Err(Error::new(Stage::Acquire, Kind::Invalid)
            .asked("an empty set")
            .why("there is nothing to wait for"));
    }
    for (surface, access, region) in set {
        surface.may(*access)?;
        surface.check_region(*region)?;
        surface.check_content()?;
    }
    Ok(set.iter().map(|&(surface, access, region)| Part::new(surface, access.usage(), region, lease)).collect())
}

/// A refused attach: what it met, and the position of the part that met it.
pub(crate) type Refusal = (usize, Trouble);

/// Attaches a set that has no fence; waits while a reservation is full, not beyond the deadline.
#[inline]
pub(crate) fn line_up(mut parts: Vec<Part>, deadline: Deadline, stage: Stage) -> Result<(Arc<Share>, Waiting)> {
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
pub(crate) fn try_line_up(parts: &mut Vec<Part>, (context, seq): (u64, u64)) -> Result<(Arc<Share>, Waiting), Refusal> {
    for part in parts.iter_mut() {
        part.wish.context = context;
        part.wish.seq = seq;
    }
    let mut waiting = Waiting::default();
    working_set::attach_members(parts, &mut waiting.dependencies)?;
    Ok((Share::new(std::mem::take(parts)), waiting))
}
