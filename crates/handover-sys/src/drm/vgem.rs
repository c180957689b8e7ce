//! vgem: fences that a program signals itself, on any buffer that the node imports. For tests.
//!
//! Source: `drivers/gpu/drm/vgem/vgem_fence.c` of the kernel.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::Gem;
use super::driver::Witness;
use crate::dma_buf::Direction;
use crate::ioctl::{self, Retry};
use crate::uapi::vgem as uapi;

/// What the driver calls itself.
const DRIVER: &str = "vgem";

/// An open file of the driver vgem, of a card or a render node: what the calls here take, for on a file of another driver their
/// numbers mean other structs, some with addresses that the kernel would write to.
#[derive(Clone, Debug)]
pub struct File<'fd>(Witness<'fd>);

impl<'fd> File<'fd> {
    /// Asks an open file for its driver. Made once and kept, it costs the calls nothing.
    ///
    /// Call: `DRM_IOCTL_VERSION`. Permission: the open node, of either kind. May block: no. Retries: none. Errors: `ENODEV` (of
    /// another driver), `ENOTTY` (not a DRM node).
    pub fn of(fd: &'fd impl AsFd) -> io::Result<Self> {
        Witness::borrowed(fd, DRIVER).map(Self)
    }
}

impl File<'static> {
    /// The same, of a file that the witness keeps open.
    ///
    /// Call, permission, blocking, retries, errors: as [`of`](File::of).
    pub fn shared(file: Arc<OwnedFd>) -> io::Result<Self> {
        Witness::shared(file, DRIVER).map(Self)
    }
}

impl AsFd for File<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A fence in one open file of vgem. It ends by [`signal`], when the file is closed, and after ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence(pub u32);

/// Adds a pending fence to the buffer: a writer's where `direction` has WRITE, a reader's otherwise.
///
/// Call: `DRM_IOCTL_VGEM_FENCE_ATTACH`. Permission: the open node, of either kind. May block: no. Since: 4.8. Retries: none.
/// Errors: `EBUSY` (a pending fence conflicts: a writer's meets all, a reader's meets writers'), `EINVAL` (no direction),
/// `ENOENT` (no such buffer), `ENOMEM`.
pub fn attach(file: &File<'_>, gem: Gem, direction: Direction) -> io::Result<Fence> {
    let flags = if direction.contains(Direction::WRITE) {
        uapi::FENCE_WRITE
    } else if direction.contains(Direction::READ) {
        0
    } else {
        return Err(Errno::INVAL.into());
    };
    let mut argument = uapi::FenceAttach { handle: gem.0, flags, out_fence: 0, pad: 0 };
    // SAFETY: the struct, which vgem takes under this number, has no pointer.
    unsafe { ioctl::call(file, &uapi::FENCE_ATTACH, &mut argument, Retry::Drm) }?;
    Ok(Fence(argument.out_fence))
}

/// Ends the fence.
///
/// Call: `DRM_IOCTL_VGEM_FENCE_SIGNAL`. Permission: the open node that attached it. May block: no. Since: 4.8.
/// Retries: none. Errors: `ENOENT` (no such fence, or signalled before), `ETIMEDOUT` (its ten seconds are over).
pub fn signal(file: &File<'_>, fence: Fence) -> io::Result<()> {
    let mut argument = uapi::FenceSignal { fence: fence.0, flags: 0 };
    // SAFETY: the struct, which vgem takes under this number, has no pointer.
    unsafe { ioctl::call(file, &uapi::FENCE_SIGNAL, &mut argument, Retry::Drm) }.map(drop)
}
