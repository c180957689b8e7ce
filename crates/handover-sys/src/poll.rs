//! Waiting for descriptors, with an absolute deadline.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::clock::Monotonic;

bitflags::bitflags! {
    /// What to wait for at a descriptor.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Interest: u8 {
        /// Data to read, a connection to accept, a process that ended (`POLLIN`).
        const READ = 1;
        /// Room to write (`POLLOUT`).
        const WRITE = 2;
    }

    /// What was found at a descriptor.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Ready: u8 {
        /// Data to read (`POLLIN`).
        const READ = 1;
        /// Room to write (`POLLOUT`).
        const WRITE = 2;
        /// The other end is gone (`POLLHUP`); data may still be there to read.
        const HANGUP = 4;
        /// The descriptor is in error or no descriptor (`POLLERR`, `POLLNVAL`).
        const ERROR = 8;
    }
}

/// One descriptor to wait for, and what was found there.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'fd> {
    /// The descriptor.
    pub fd: BorrowedFd<'fd>,
    /// What to wait for; hang-up and error are always reported.
    pub interest: Interest,
    /// Written by [`poll`]: what was found, empty where nothing.
    pub ready: Ready,
}

impl<'fd> Entry<'fd> {
    /// Waits for `interest` at `fd`.
    #[must_use]
    pub fn new(fd: BorrowedFd<'fd>, interest: Interest) -> Self {
        Self { fd, interest, ready: Ready::empty() }
    }
}

/// The common size of a set, served without allocating.
const ON_STACK: usize = 32;

/// Waits until one of `entries` is ready or `deadline` has come (`None`: for ever). Returns how many are ready;
/// 0 means the deadline. A deadline in the past looks and returns.
///
/// Call: `ppoll`. Permission: none. May block: until the deadline. Retries: none; `EINTR` goes on waiting for what is
/// left. Errors: `EINVAL` (more entries than `RLIMIT_NOFILE`), `ENOMEM`.
pub fn poll(entries: &mut [Entry<'_>], deadline: Option<Monotonic>) -> io::Result<usize> {
    if entries.len() > ON_STACK {
        let mut table: Vec<PollFd<'_>> = entries.iter().map(kernel_entry).collect();
        return poll_table(entries, &mut table, deadline);
    }
    let Some(first) = entries.first().copied() else {
        return poll_table(&mut [], &mut [], deadline);
    };
    let mut table: [PollFd<'_>; ON_STACK] =
        std::array::from_fn(|index| kernel_entry(entries.get(index).unwrap_or(&first)));
    let (used, _) = table.split_at_mut(entries.len());
    poll_table(entries, used, deadline)
}

/// Waits until `fd` can be read, has hung up or is in error: `true`. `false`: the deadline.
///
/// Call, permission, blocking, retries: as [`poll`].
pub fn wait_readable(fd: impl AsFd, deadline: Option<Monotonic>) -> io::Result<bool> {
    poll(&mut [Entry::new(fd.as_fd(), Interest::READ)], deadline).map(|ready| ready > 0)
}

fn kernel_entry<'fd>(entry: &Entry<'fd>) -> PollFd<'fd> {
    let mut events = PollFlags::empty();
    events.set(PollFlags::IN, entry.interest.contains(Interest::READ));
    events.set(PollFlags::OUT, entry.interest.contains(Interest::WRITE));
    PollFd::from_borrowed_fd(entry.fd, events)
}

fn poll_table(entries: &mut [Entry<'_>], table: &mut [PollFd<'_>], deadline: Option<Monotonic>) -> io::Result<usize> {
    let count = loop {
        let left = deadline.map(|at| Monotonic::timespec_of(at.0.saturating_sub(Monotonic::now().0)));
        match rustix::event::poll(table, left.as_ref()) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    for (entry, found) in entries.iter_mut().zip(table.iter()) {
        let found = found.revents();
        entry.ready = Ready::empty();
        entry.ready.set(Ready::READ, found.contains(PollFlags::IN));
        entry.ready.set(Ready::WRITE, found.contains(PollFlags::OUT));
        entry.ready.set(Ready::HANGUP, found.contains(PollFlags::HUP));
        entry.ready.set(Ready::ERROR, found.intersects(PollFlags::ERR | PollFlags::NVAL));
    }
    Ok(count)
}
