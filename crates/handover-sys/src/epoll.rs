//! Several descriptors behind one that `poll` understands.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::poll::Interest;

/// Makes an epoll descriptor that watches nothing yet. It is readable while any descriptor added to it is.
///
/// Call: `epoll_create1(EPOLL_CLOEXEC)`. Permission: none. May block: no. Retries: none. Errors: `EMFILE`, `ENFILE`.
///
/// ```
/// use handover_sys::{clock::Monotonic, epoll, eventfd, poll};
/// let (all, one) = (epoll::create()?, eventfd::create()?);
/// epoll::add(&all, &one, poll::Interest::READ)?;
/// assert!(!poll::wait_readable(&all, Some(Monotonic(0)))?);
/// eventfd::signal(&one)?;
/// assert!(poll::wait_readable(&all, Some(Monotonic(0)))?);
/// # std::io::Result::Ok(())
/// ```
pub fn create() -> io::Result<OwnedFd> {
    Ok(epoll::create(CreateFlags::CLOEXEC)?)
}

/// Watches `fd`, until its last descriptor is closed.
///
/// Call: `epoll_ctl(EPOLL_CTL_ADD)`. Permission: none further. May block: no. Retries: none. Errors: `EEXIST`, `EPERM` (a
/// file that cannot be polled), `ENOSPC` (`max_user_watches`), `ENOMEM`.
pub fn add(epoll: impl AsFd, fd: impl AsFd, interest: Interest) -> io::Result<()> {
    let mut events = EventFlags::empty();
    events.set(EventFlags::IN, interest.contains(Interest::READ));
    events.set(EventFlags::OUT, interest.contains(Interest::WRITE));
    Ok(epoll::add(epoll, fd, EventData::new_u64(0), events)?)
}

/// Watches `fd` no longer. It can be added again.
///
/// Call: `epoll_ctl(EPOLL_CTL_DEL)`. Permission: none further. May block: no. Retries: none. Errors: `ENOENT` (it was not watched).
///
/// ```
/// use handover_sys::{clock::Monotonic, epoll, eventfd, poll};
/// let (all, one) = (epoll::create()?, eventfd::create()?);
/// eventfd::signal(&one)?;
/// epoll::add(&all, &one, poll::Interest::READ)?;
/// epoll::remove(&all, &one)?;
/// assert!(!poll::wait_readable(&all, Some(Monotonic(0)))?);
/// epoll::add(&all, &one, poll::Interest::READ)?;
/// assert!(poll::wait_readable(&all, Some(Monotonic(0)))?);
/// # std::io::Result::Ok(())
/// ```
pub fn remove(epoll: impl AsFd, fd: impl AsFd) -> io::Result<()> {
    Ok(epoll::delete(epoll, fd)?)
}
