//! Whom a place in line waits for: first the entries of the control file, then, where the memory has a reservation in the kernel,
//! the fences there.
//!
//! In this order, because an entry is held from acquire to release: once those before ours are over, their owners' fences are
//! in the kernel's reservation, and whoever of them died left there what its device still does.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handover_model::{Blocked, Stage, Usage};
use handover_sys::clock::Monotonic;
use handover_sys::dma_buf::{self, Direction};
use handover_sys::poll::{self, Entry, Interest};
use handover_sys::{epoll, timer};

use crate::backend::linux::sync_file::{Status, SyncFile};
use crate::backend::software::control::Control;
use crate::backend::software::poll::Watch;
use crate::backend::software::reservation::working_set::Member as _;
use crate::backend::software::reservation::{Dependency, Outcome, Phase, Reservation, Word};
use crate::deadline::Deadline;
use crate::error::{Error, Holder, Kind, Result, os};
use crate::lease::{Part, Share};

/// What has not ended yet of what was before us.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// With the index of the part whose surface it is.
    pub(crate) dependencies: Vec<(usize, Dependency)>,
    kernel: KernelFences,
}

/// The kernel's fences, once they have been asked for.
#[derive(Debug, Default)]
struct KernelFences {
    asked: bool,
    pending: Vec<Pending>,
    /// Errno of the first that failed.
    failed: Option<u32>,
}

/// One wait in the kernel.
#[derive(Debug)]
enum Pending {
    Fence(SyncFile),
    /// The buffer itself, on a kernel without sync_file: it can be polled and nothing else. In an epoll descriptor of its own, so
    /// that to close it ends the watch: a duplicate of the buffer's would stay in every set for as long as the surface lives.
    Buffer(OwnedFd),
}

impl Pending {
    fn entry(&self) -> Entry<'_> {
        let descriptor = match self {
            Self::Fence(fence) => fence.as_fd(),
            Self::Buffer(watch) => watch.as_fd(),
        };
        Entry::new(descriptor, Interest::READ)
    }

    fn is_over(&self, deadline: Option<Monotonic>) -> Result<bool> {
        poll::poll(&mut [self.entry()], deadline)
            .map(|ready| ready > 0)
            .map_err(os(Stage::Acquire, "wait for a kernel fence"))
    }

    fn describe(&self) -> String {
        match self {
            Self::Fence(fence) => fence.describe(),
            Self::Buffer(_) => "fences of the buffer".into(),
        }
    }
}

/// What the kernel calls this usage: whose fences must be waited for, and as what ours are attached.
pub(crate) const fn direction(usage: Usage) -> Direction {
    match usage {
        Usage::Read => Direction::READ,
        Usage::Kernel | Usage::Write | Usage::Bookkeep => Direction::WRITE,
    }
}

/// "Inappropriate ioctl": a kernel before 6.0, or one without sync_file.
pub(crate) const ENOTTY: i32 = 25;

impl KernelFences {
    /// Asks once: what pends now is what is before us.
    fn ask(&mut self, parts: &[Part]) -> Result<()> {
        if self.asked {
            return Ok(());
        }
        for part in parts.iter().filter(|part| part.surface.0.memory.is_dma_buf()) {
            let (buffer, direction) = (part.surface.0.memory.file(), direction(part.wish.usage));
            // The usual answer, at the price of one call and no descriptor.
            if dma_buf::is_idle(buffer, direction).map_err(os(Stage::Acquire, "look for fences of a dma-buf"))? {
                continue;
            }
            let pending = match dma_buf::export_sync_file(buffer, direction) {
                Ok(fence) => Pending::Fence(SyncFile::of(fence)),
                Err(error) if error.raw_os_error() == Some(ENOTTY) => {
                    let interest = if direction == Direction::READ { Interest::READ } else { Interest::WRITE };
                    let watch = epoll::create().map_err(os(Stage::Acquire, "make an epoll descriptor"))?;
                    epoll::add(&watch, buffer, interest).map_err(os(Stage::Acquire, "watch a dma-buf"))?;
                    Pending::Buffer(watch)
                }
                Err(error) => return Err(os(Stage::Acquire, "export the fences of a dma-buf")(error)),
            };
            self.pending.push(pending);
        }
        self.asked = true;
        Ok(())
    }

    /// Drops all that are over, wherever they stand: one that stayed would keep a poll descriptor readable.
    fn look(&mut self) -> Result<bool> {
        for pending in std::mem::take(&mut self.pending) {
            if pending.is_over(Some(Monotonic(0)))? {
                self.end(pending)?;
            } else {
                self.pending.push(pending);
            }
        }
        Ok(self.pending.is_empty())
    }

    /// Each in turn. `None`: the deadline came first.
    fn wait(&mut self, deadline: Deadline) -> Result<Option<()>> {
        while let Some(last) = self.pending.last() {
            if !last.is_over(deadline.at())? {
                return Ok(None);
            }
            if let Some(over) = self.pending.pop() {
                self.end(over)?;
            }
        }
        Ok(Some(()))
    }

    /// An error ends a fence as success does, and is told to who comes next (S22).
    fn end(&mut self, over: Pending) -> Result<()> {
        if let Pending::Fence(fence) = over
            && let Status::Failed(errno) = fence.status()?
        {
            self.failed = self.failed.or(u32::try_from(errno).ok());
        }
        Ok(())
    }
}

impl Waiting {
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
            let idle = dma_buf::is_idle(part.surface.0.memory.file(), direction(part.wish.usage));
            if !idle.map_err(os(Stage::Acquire, "look for fences of a dma-buf"))? {
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

    /// The kernel's fences as one, for a device to wait for; `None` if nothing pends.
    pub(crate) fn collect(&mut self, share: &Share, deadline: Deadline) -> Result<Option<SyncFile>> {
        self.kernel.ask(share.parts())?;
        let mut fences = Vec::new();
        for pending in std::mem::take(&mut self.kernel.pending) {
            match pending {
                Pending::Fence(fence) => fences.push(fence),
                // It cannot be passed to a device, so the CPU waits.
                Pending::Buffer(_) if pending.is_over(deadline.at())? => {}
                Pending::Buffer(_) => self.kernel.pending.push(pending),
            }
        }
        if !self.kernel.pending.is_empty() {
            let error = self.timed_out(share, Stage::Acquire);
            share.withdraw();
            return Err(error);
        }
        SyncFile::union(fences)
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

fn holder(reservation: &Reservation<Control>, surface: u32, word: Word) -> Holder {
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
