//! Which driver an open file is of, as a witness.
//!
//! DRM leaves the numbers from 0x40 on to each driver. A number that one driver fills a flat struct for makes another one follow
//! addresses in it: whoever sends one has to know the driver, not to hope for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

/// An open file that was asked for its driver once. It cannot become another file: a borrowed descriptor stays open and the same
/// while the witness lives, and so does one that is shared.
#[derive(Clone, Debug)]
pub(super) struct Witness<'fd>(Descriptor<'fd>);

#[derive(Clone, Debug)]
enum Descriptor<'fd> {
    Borrowed(BorrowedFd<'fd>),
    Shared(Arc<OwnedFd>),
}

impl<'fd> Witness<'fd> {
    /// `fd` is asked for its descriptor here and never again: an implementation of `AsFd` may answer as it likes.
    pub(super) fn borrowed(fd: &'fd impl AsFd, driver: &str) -> io::Result<Self> {
        Self(Descriptor::Borrowed(fd.as_fd())).checked(driver)
    }

    pub(super) fn shared(file: Arc<OwnedFd>, driver: &str) -> io::Result<Self> {
        Self(Descriptor::Shared(file)).checked(driver)
    }

    fn checked(self, driver: &str) -> io::Result<Self> {
        if super::version(&self)?.name == driver { Ok(self) } else { Err(Errno::NODEV.into()) }
    }
}

impl AsFd for Witness<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Descriptor::Borrowed(file) => *file,
            Descriptor::Shared(file) => file.as_fd(),
        }
    }
}
