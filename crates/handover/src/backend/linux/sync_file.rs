//! A kernel fence in a descriptor: a snapshot of work that was submitted, so it ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handover_model::{Blocked, Stage};
use handover_sys::{file, poll, sync_file};

pub use handover_sys::sync_file::{Info, Status};

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};

/// The end of work that a device was given. Any device can wait for it, and the CPU.
///
/// Only a kernel makes one: what a CPU does has a software fence, which never becomes a `SyncFile` (a kernel fence must end
/// without the help of any process; `Documentation/driver-api/dma-buf.rst`, "Indefinite DMA Fences").
#[derive(Debug)]
#[must_use = "a fence that nobody waits for or passes on orders nothing"]
pub struct SyncFile(OwnedFd);

impl SyncFile {
    /// Takes a descriptor that a driver or a peer gave.
    ///
    /// # Errors
    /// [`Kind::Malformed`]: it is something else, which the error names.
    pub fn new(file: OwnedFd) -> Result<Self> {
        let stage = Stage::Import;
        // By its name first: a request to a stranger's file may do anything, and wait for as long as a FUSE server likes.
        if !sync_file::is_sync_file(&file).map_err(os(stage, "look in /proc what a descriptor is"))? {
            let found = file::link_text(&file).map_err(os(stage, "look in /proc what a descriptor is"))?;
            return Err(Error::new(stage, Kind::Malformed)
                .asked("a sync_file")
                .found(found)
                .why("only a driver makes a fence of the kernel")
                .help("SYNC_IOC_MERGE, or an export of a dma-buf or a syncobj, gives one"));
        }
        sync_file::status(&file).map_err(os(stage, "read the status of a sync_file"))?;
        Ok(Self(file))
    }

    /// What the kernel itself just made.
    pub(crate) fn of(file: OwnedFd) -> Self {
        Self(file)
    }

    /// Pending, signalled, or failed with an errno.
    pub fn status(&self) -> Result<Status> {
        sync_file::status(&self.0).map_err(os(Stage::Acquire, "read the status of a sync_file"))
    }

    /// Name, status and leaves. Names mean nothing and may change (C66).
    pub fn info(&self) -> Result<Info> {
        sync_file::info(&self.0).map_err(os(Stage::Acquire, "read what a sync_file holds"))
    }

    /// Is some of it pending? By poll: the status of several fences is 0 for ever on some kernels.
    pub(crate) fn is_pending(&self) -> bool {
        poll::wait_readable(&self.0, Some(handover_sys::clock::Monotonic(0))).map_or(true, |ended| !ended)
    }

    /// How many fences there are. One that has ended since it was made still counts.
    pub(crate) fn count(&self) -> Result<u32> {
        sync_file::count(&self.0).map_err(os(Stage::Acquire, "count the fences of a sync_file"))
    }

    /// Waits on the CPU.
    ///
    /// # Errors
    /// [`Kind::Timeout`] names the drivers whose work is pending; [`Kind::Os`] with the errno that the work failed with.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        if !poll::wait_readable(&self.0, deadline.at()).map_err(os(Stage::Acquire, "wait for a sync_file"))? {
            return Err(Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
                .asked("the end of a device's work")
                .found(format!("{} still pending at the deadline", self.describe())));
        }
        match self.status()? {
            Status::Failed(errno) => Err(failed(errno)),
            Status::Signalled | Status::Pending => Ok(()),
        }
    }

    /// One fence that ends with the later of both. Neither is consumed.
    pub fn merge(&self, other: &Self) -> Result<Self> {
        sync_file::merge(&self.0, &other.0, "handover").map(Self).map_err(os(Stage::Acquire, "merge two sync_files"))
    }

    /// One fence that ends with the last of all; `None` of none.
    pub fn union(fences: Vec<Self>) -> Result<Option<Self>> {
        let mut all = fences.into_iter();
        let Some(first) = all.next() else { return Ok(None) };
        all.try_fold(first, |union, next| union.merge(&next)).map(Some)
    }

    /// Who has not ended yet, in words for an error.
    pub(crate) fn describe(&self) -> String {
        let Ok(info) = self.info() else { return "a fence that cannot be read".into() };
        let pending = info.fences.iter().filter(|fence| fence.status == Status::Pending);
        let mut drivers: Vec<&str> = pending.map(|fence| fence.driver.as_str()).collect();
        drivers.dedup();
        match drivers.as_slice() {
            [] => "no fence".into(),
            drivers => format!("work of {}", drivers.join(", ")),
        }
    }

    /// The same fence in another descriptor, for a driver that keeps the one it is given.
    pub fn try_clone(&self) -> Result<Self> {
        self.0.try_clone().map(Self).map_err(os(Stage::Acquire, "duplicate a sync_file"))
    }

    /// The descriptor, to pass on.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

/// The error of whoever waits for work that failed with this errno.
pub(crate) fn failed(errno: i32) -> Error {
    Error::new(Stage::Acquire, Kind::Os).asked("the end of a device's work").found("that it failed").with_errno(errno)
}

impl AsFd for SyncFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
