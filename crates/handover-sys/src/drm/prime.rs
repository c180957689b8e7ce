//! PRIME: buffers of one DRM file as dma-bufs, and dma-bufs as buffers of a DRM file.
//!
//! Source: `drivers/gpu/drm/drm_prime.c` of the kernel.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::Gem;
use crate::ioctl::{self, Retry};
use crate::uapi::drm as uapi;

/// What the holder of an exported descriptor may map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading. Binds mappings by the CPU only: a device that imports the buffer may write.
    ReadOnly,
    /// For reading and writing.
    ReadWrite,
}

/// The buffer as a dma-buf. Every export of one buffer, and of what was imported, is the same dma-buf: it keeps the access
/// that the first export gave it while that lives.
///
/// Call: `DRM_IOCTL_PRIME_HANDLE_TO_FD`. Permission: the open node, of either kind. May block: on the driver's locks.
/// Since: 3.3. Retries: none. Errors: `ENOENT` (no such handle), `ENOSYS` or `EOPNOTSUPP` (the driver exports nothing),
/// `ENOTTY` (not a DRM node), `EMFILE`, `ENOMEM`.
pub fn export(fd: impl AsFd, gem: Gem, access: Access) -> io::Result<OwnedFd> {
    let flags = match access {
        Access::ReadOnly => uapi::CLOEXEC,
        Access::ReadWrite => uapi::CLOEXEC | uapi::RDWR,
    };
    let mut argument = uapi::PrimeHandle { handle: gem.0, flags, fd: -1 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::PRIME_HANDLE_TO_FD, &mut argument, Retry::Drm) }?;
    // SAFETY: the call made it for us, close-on-exec by the flag.
    unsafe { ioctl::own(argument.fd) }
}

/// The dma-buf as a buffer of this open file. A dma-buf imported twice has the same handle, and one [`close`] ends both:
/// whoever imports counts.
///
/// Call: `DRM_IOCTL_PRIME_FD_TO_HANDLE`. Permission: the open node, of either kind. May block: on the driver's locks, and
/// while the exporter brings pages in. Since: 3.3. Retries: none. Errors: `EINVAL` (not a dma-buf, or one that the driver
/// cannot use), `ENODEV` (virtio-gpu: not its own), `ENOSYS` or `EOPNOTSUPP` (the driver imports nothing), `ENOTTY` (not a
/// DRM node), `ENOMEM`.
pub fn import(fd: impl AsFd, dma_buf: impl AsFd) -> io::Result<Gem> {
    let mut argument = uapi::PrimeHandle { handle: 0, flags: 0, fd: ioctl::named(&dma_buf) };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::PRIME_FD_TO_HANDLE, &mut argument, Retry::Drm) }?;
    Ok(Gem(argument.handle))
}

/// Gives the handle back. The buffer lives while a dma-buf, a framebuffer or a job has it.
///
/// Call: `DRM_IOCTL_GEM_CLOSE`. Permission: the open node, of either kind. May block: on the driver's locks. Retries: none.
/// Errors: `EINVAL` (no such handle), `ENOTTY` (not a DRM node).
pub fn close(fd: impl AsFd, gem: Gem) -> io::Result<()> {
    let mut argument = uapi::GemClose { handle: gem.0, pad: 0 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::GEM_CLOSE, &mut argument, Retry::Drm) }.map(drop)
}
