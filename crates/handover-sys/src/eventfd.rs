//! Event descriptors: a wake-up that `poll` can see.
//!
//! For one process, or for two that trust each other: any holder can read the wake away.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::EventfdFlags;
use rustix::io::Errno;

/// Makes an eventfd, not signalled.
///
/// Call: `eventfd2(0, EFD_CLOEXEC | EFD_NONBLOCK)`. Permission: none. May block: no. Retries: none. Errors: `EMFILE`.
pub fn create() -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes `fd` readable.
///
/// Call: `write`. Permission: none further. May block: no for a descriptor of [`create`]. Retries: none; a counter that
/// is full (`EAGAIN`) is signalled already and counts as success.
pub fn signal(fd: impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd();
    match rustix::io::retry_on_intr(|| rustix::io::write(fd, &1u64.to_ne_bytes())) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes all signals and says how many there were; zero where there was none.
///
/// Call: `read`. Permission: none further. May block: no for a descriptor of [`create`]. Retries: none.
pub fn drain(fd: impl AsFd) -> io::Result<u64> {
    let fd = fd.as_fd();
    let mut count = [0u8; 8];
    match rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut count)) {
        Ok(_) => Ok(u64::from_ne_bytes(count)),
        Err(Errno::AGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
