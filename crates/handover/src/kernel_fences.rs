//! The kernel's fences that stand before a part: asked for once, then waited for on the CPU or handed to a device.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handover_model::{Stage, Usage};
use handover_sys::clock::Monotonic;
use handover_sys::dma_buf::{self, Direction};
use handover_sys::epoll;
use handover_sys::poll::{self, Entry, Interest};

use crate::backend::linux::sync_file::{Status, SyncFile};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::fence::Fence;
use crate::lease::Part;

/// The kernel's fences, once they have been asked for.
#[derive(Debug, Default)]
pub(crate) struct KernelFences {
    pub(crate) asked: bool,
    pub(crate) pending: Vec<Pending>,
    /// Errno of the first that failed.
    pub(crate) failed: Option<u32>,
}

/// One wait in the kernel.
#[derive(Debug)]
pub(crate) enum Pending {
    Fence(SyncFile),
    /// The buffer itself, on a kernel without sync_file: it can be polled and nothing else. In an epoll descriptor of its own, so
    /// that to close it ends the watch: a duplicate of the buffer's would stay in every set for as long as the surface lives.
    Buffer(OwnedFd),
}

impl Pending {
    /// What the kernel has in the way of this part now; `None` of nothing, or of memory that the kernel keeps no reservation with.
    #[inline]
    pub(crate) fn before(part: &Part) -> Result<Option<Self>> {
        let memory = &part.surface.0.memory;
        // Explicitly synchronised work waits for the fences it was given. (What moves the memory the kernel waits for itself.)
        if !memory.is_dma_buf() || part.wish.usage == Usage::Bookkeep {
            return Ok(None);
        }
        let found = Self::of(memory.file(), direction(part.wish.usage))?;
        match found {
            Some(Self::Fence(all)) if !part.wish.region.is_whole() && !part.surface.0.pool.scoped.is_empty() => {
                let mine = (part.wish.usage, part.wish.region);
                Ok(part.surface.0.pool.scoped.narrow(part.wish.surface, mine, all).map(Self::Fence))
            }
            found => Ok(found),
        }
    }

    /// What a dma-buf's reservation holds in this direction's way.
    #[inline]
    pub(crate) fn of(buffer: BorrowedFd<'_>, direction: Direction) -> Result<Option<Self>> {
        // The usual answer, at the price of one call and no descriptor.
        if dma_buf::is_idle(buffer, direction).map_err(os(Stage::Acquire, "look for fences of a dma-buf"))? {
            return Ok(None);
        }
        match dma_buf::export_sync_file(buffer, direction) {
            Ok(fence) => Ok(Some(Self::Fence(SyncFile::of(fence)))),
            Err(error) if error.raw_os_error() == Some(ENOTTY) => {
                let interest = if direction == Direction::READ { Interest::READ } else { Interest::WRITE };
                let watch = epoll::create().map_err(os(Stage::Acquire, "make an epoll descriptor"))?;
                epoll::add(&watch, buffer, interest).map_err(os(Stage::Acquire, "watch a dma-buf"))?;
                Ok(Some(Self::Buffer(watch)))
            }
            Err(error) => Err(os(Stage::Acquire, "export the fences of a dma-buf")(error)),
        }
    }

    /// The same as a fence of the library's.
    pub(crate) fn into_fence(self, stage: Stage) -> Result<Fence> {
        match self {
            Self::Fence(file) => Ok(file.into()),
            Self::Buffer(_) => Err(Error::new(stage, Kind::Unsupported)
                .asked("the fences of a dma-buf")
                .why("this kernel has no export of sync_files")
                .help("Linux 6.0 or later; here, acquire the surface")),
        }
    }

    pub(crate) fn entry(&self) -> Entry<'_> {
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

    pub(crate) fn describe(&self) -> String {
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
    pub(crate) fn ask(&mut self, parts: &[Part]) -> Result<()> {
        if self.asked {
            return Ok(());
        }
        for part in parts {
            self.pending.extend(Pending::before(part)?);
        }
        self.asked = true;
        Ok(())
    }

    /// All of them as one, but for those that only a CPU can wait for, which stay. Asks if nobody has: each fence goes from the
    /// kernel to the device without a list in between.
    pub(crate) fn collect(&mut self, parts: &[Part]) -> Result<Option<SyncFile>> {
        let (mut union, mut rest) = (None::<SyncFile>, Vec::new());
        let mut add = |pending| -> Result<()> {
            match pending {
                Pending::Fence(next) => {
                    union = Some(match union.take() {
                        Some(before) => before.merge(&next)?,
                        None => next,
                    });
                }
                Pending::Buffer(_) => rest.push(pending),
            }
            Ok(())
        };
        std::mem::take(&mut self.pending).into_iter().try_for_each(&mut add)?;
        if !self.asked {
            for part in parts {
                Pending::before(part)?.map_or(Ok(()), &mut add)?;
            }
            self.asked = true;
        }
        self.pending = rest;
        Ok(union)
    }

    /// Drops all that are over, wherever they stand: one that stayed would keep a poll descriptor readable.
    pub(crate) fn look(&mut self) -> Result<bool> {
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
    pub(crate) fn wait(&mut self, deadline: Deadline) -> Result<Option<()>> {
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
