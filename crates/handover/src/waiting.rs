//! Whom a place in line waits for: first the entries of the control file, then, where the memory has a reservation in the kernel,
//! the fences there.
//!
//! In this order, because an entry is held from acquire to release: once those before ours are over, their owners' fences are
//! in the kernel's reservation, and whoever of them died left there what its device still does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::poll::Interest;
use handover_sys::{epoll, timer};

use crate::backend::linux::sync_file::SyncFile;
use crate::backend::software::control::Control;
use crate::backend::software::poll::Watch;
use crate::backend::software::reservation::working_set::Member as _;
use crate::backend::software::reservation::{Dependency, Outcome, Phase, Reservation, Word};
use crate::deadline::Deadline;
use crate::device::habits;
use crate::error::{Error, Holder, Kind, Result, os};
use crate::kernel_fences::{KernelFences, Pending};
use crate::lease::{Part, Share};
use crate::who_waits;

/// What has not ended yet of what was before us.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// With the index of the part whose surface it is.
    pub(crate) dependencies: Vec<(usize, Dependency)>,
    kernel: KernelFences,
}

impl Waiting {
    /// Of who waits for nothing, in the kernel neither.
    pub(crate) fn unasked() -> Self {
        Self { dependencies: Vec::new(), kernel: KernelFences { asked: true, ..KernelFences::default() } }
    }

    /// Is everything over? Drops what is.
    pub(crate) fn look(&mut self, share: &Share) -> Result<bool> {
        if !self.look_at_entries(share) {
            return Ok(false);
        }
        self.kernel.ask(share.parts())?;
        self.kernel.look()
    }

    fn look_at_entries(&mut self, share: &Share) -> bool {
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
    pub(crate) fn look_after_the_dead(&mut self, share: &Share) -> Result<bool> {
        match self.look_after_the_dead_entries(share) {
            true => self.look(share),
            false => Ok(false),
        }
    }

    fn look_after_the_dead_entries(&mut self, share: &Share) -> bool {
        if let Some((part, dependency)) = self.dependencies.last()
            && let Some(reservation) = share.reservation(*part)
        {
            reservation.end_if_dead(dependency);
        }
        self.look_at_entries(share)
    }

    /// Waits for each in turn. On a time-out the places in line are given up.
    #[inline]
    pub(crate) fn wait(&mut self, share: &Share, deadline: Deadline, stage: Stage) -> Result<()> {
        self.wait_for_entries(share, deadline, stage)?;
        if !share.has_dma_buf() {
            return Ok(());
        }
        match self.wait_for_fences(share, deadline) {
            Ok(Some(())) => Ok(()),
            Ok(None) => {
                let error = self.timed_out(share, stage);
                share.withdraw();
                Err(error)
            }
            Err(error) => {
                share.withdraw();
                Err(error.at(stage))
            }
        }
    }

    fn wait_for_fences(&mut self, share: &Share, deadline: Deadline) -> Result<Option<()>> {
        self.kernel.ask(share.parts())?;
        self.kernel.wait(deadline)
    }

    /// For a lease that was granted to a device: waits on the CPU for what pends in the kernel now.
    pub(crate) fn wait_after_all(share: &Share, deadline: Deadline) -> Result<()> {
        let mut waiting = Self::default();
        match waiting.wait_for_fences(share, deadline)? {
            Some(()) => Ok(()),
            None => Err(waiting.timed_out(share, Stage::Access)),
        }
    }

    /// Would nobody have to wait for a fence of the kernel? Takes no place.
    pub(crate) fn kernel_is_idle(parts: &[Part]) -> Result<bool> {
        for part in parts.iter().filter(|part| part.surface.0.memory.is_dma_buf()) {
            if Pending::before(part)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Are the entries over? Drops those that are.
    pub(crate) fn entries_are_over(&mut self, share: &Share) -> bool {
        self.look_at_entries(share) || self.look_after_the_dead_entries(share)
    }

    /// Waits for entries alone. What pends in the kernel is left to who can wait for it there.
    pub(crate) fn wait_for_entries(&mut self, share: &Share, deadline: Deadline, stage: Stage) -> Result<()> {
        while let Some((part, dependency)) = self.dependencies.last_mut() {
            let Some(reservation) = share.reservation(*part) else {
                return Err(Error::new(stage, Kind::Unreachable));
            };
            match reservation.wait(dependency, habits::look_again(share.parts(), deadline).at()) {
                // The others may be the same owner's: a slice for each would add up.
                Outcome::Ended(Some(Phase::Dead)) => self.end_the_dead(share),
                Outcome::Ended(_) => {}
                Outcome::TimedOut if !deadline.has_passed() => {
                    share.check_device(stage)?;
                    continue;
                }
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

    /// The kernel's fences as one, for a device to wait for; `None` if nothing pends.
    pub(crate) fn collect(&mut self, share: &Share, deadline: Deadline) -> Result<Option<SyncFile>> {
        let fence = self.kernel.collect(share.parts())?;
        // What cannot be passed to a device: the CPU waits.
        if !self.kernel.pending.is_empty() && self.kernel.wait(deadline)?.is_none() {
            let error = self.timed_out(share, Stage::Acquire);
            share.withdraw();
            return Err(error);
        }
        Ok(fence)
    }

    /// Errno that work in the kernel failed with, of what was waited for.
    pub(crate) fn failed(&self) -> Option<u32> {
        self.kernel.failed
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
                    let then = who_waits::chain(reservation, holder.owner);
                    blocked.then = if then.len() > blocked.then.len() { then } else { blocked.then };
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
        let pending: Vec<String> = self.kernel.pending.iter().map(Pending::describe).collect();
        let found = match pending.as_slice() {
            [] => "work in the way that did not end before the deadline".into(),
            pending => format!("{} in the kernel that did not end before the deadline", pending.join(", ")),
        };
        Error::new(stage, Kind::Timeout(blocked)).asked(share.describe()).found(found)
    }
}

/// Who owns the entry of this word, in words for an error.
pub(crate) fn holder(reservation: &Reservation<Control>, surface: u32, word: Word) -> Holder {
    Holder {
        pid: reservation.pid_of(word.owner()),
        owner: word.owner(),
        surface,
        usage: word.usage().word(),
        lease: word.is_lease(),
    }
}

/// The descriptor of one wait. Entries are watched by the poll thread, kernel fences by the kernel itself.
#[derive(Debug)]
pub(crate) enum WaitDescriptor {
    /// No part has a reservation in the kernel.
    Entries(Watch),
    /// An epoll descriptor that stands for whichever of both is on.
    Both {
        all: OwnedFd,
        /// The deadline; in `all`, as long as it is open.
        _timer: OwnedFd,
        /// `None` once the entries are over, and `all` holds the kernel's fences.
        watch: Option<Watch>,
    },
}

impl WaitDescriptor {
    pub(crate) fn start(share: &Share, waiting: &Waiting, deadline: Deadline) -> Result<Self> {
        if !share.has_dma_buf() {
            return Watch::start(share, &waiting.dependencies, deadline).map(Self::Entries);
        }
        let stage = Stage::Acquire;
        let all = epoll::create().map_err(os(stage, "make an epoll descriptor"))?;
        let timer = timer::create(deadline.at().unwrap_or(Monotonic(u64::MAX))).map_err(os(stage, "make a timer"))?;
        epoll::add(&all, &timer, Interest::READ).map_err(os(stage, "watch a timer"))?;
        let watch = Watch::start(share, &waiting.dependencies, deadline)?;
        epoll::add(&all, &watch, Interest::READ).map_err(os(stage, "watch an eventfd"))?;
        let mut this = Self::Both { all, _timer: timer, watch: Some(watch) };
        this.follow(waiting)?;
        Ok(this)
    }

    /// Once the entries are over, fences make the descriptor readable. One that ended is closed by the look that saw it, and
    /// leaves the epoll descriptor by that.
    pub(crate) fn follow(&mut self, waiting: &Waiting) -> Result<()> {
        let Self::Both { all, watch, .. } = self else { return Ok(()) };
        if !waiting.kernel.asked || watch.is_none() {
            return Ok(());
        }
        for pending in &waiting.kernel.pending {
            let entry = pending.entry();
            epoll::add(&*all, entry.fd, entry.interest).map_err(os(Stage::Acquire, "watch a kernel fence"))?;
        }
        *watch = None;
        Ok(())
    }

    /// Does the poll thread look after the dead for us?
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self, Self::Entries(_) | Self::Both { watch: Some(_), .. })
    }
}

impl AsFd for WaitDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Entries(watch) => watch.as_fd(),
            Self::Both { all, .. } => all.as_fd(),
        }
    }
}
