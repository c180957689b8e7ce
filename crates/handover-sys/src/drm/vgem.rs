//! vgem: fences that a program signals itself, on any buffer that the node imports. For tests.
//!
//! Source: `drivers/gpu/drm/vgem/vgem_fence.c` of the kernel.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::Gem;
use crate::dma_buf::Direction;
use crate::ioctl::{self, Retry};
use crate::uapi::vgem as uapi;

/// A fence in one open file of vgem. It ends by [`signal`], when the file is closed, and after ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence(pub u32);

/// Adds a pending fence to the buffer: a writer's where `direction` has WRITE, a reader's otherwise.
///
/// Call: `DRM_IOCTL_VGEM_FENCE_ATTACH`. Permission: the open node, of either kind. May block: no. Since: 4.8. Retries: none.
/// Errors: `EBUSY` (a pending fence conflicts: a writer's meets all, a reader's meets writers'), `EINVAL` (no direction; not
/// vgem), `ENOENT` (no such buffer), `ENOTTY` (not a DRM node), `ENOMEM`.
pub fn attach(fd: impl AsFd, gem: Gem, direction: Direction) -> io::Result<Fence> {
    let flags = if direction.contains(Direction::WRITE) {
        uapi::FENCE_WRITE
    } else if direction.contains(Direction::READ) {
        0
    } else {
        return Err(Errno::INVAL.into());
    };
    let mut argument = uapi::FenceAttach { handle: gem.0, flags, out_fence: 0, pad: 0 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::FENCE_ATTACH, &mut argument, Retry::Drm) }?;
    Ok(Fence(argument.out_fence))
}

/// Ends the fence.
///
/// Call: `DRM_IOCTL_VGEM_FENCE_SIGNAL`. Permission: the open node that attached it. May block: no. Since: 4.8.
/// Retries: none. Errors: `ENOENT` (no such fence, or signalled before), `ETIMEDOUT` (its ten seconds are over),
/// `EINVAL` (not vgem), `ENOTTY` (not a DRM node).
pub fn signal(fd: impl AsFd, fence: Fence) -> io::Result<()> {
    let mut argument = uapi::FenceSignal { fence: fence.0, flags: 0 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::FENCE_SIGNAL, &mut argument, Retry::Drm) }.map(drop)
}
