//! udmabuf: dma-bufs over the pages of memfds, without a device.
//!
//! Source: `drivers/dma-buf/udmabuf.c` of the kernel.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::ioctl::{self, Retry};
use crate::uapi::udmabuf as uapi;

/// The node.
pub const PATH: &str = "/dev/udmabuf";

/// A range of a memfd, for [`create_list`].
#[derive(Clone, Copy, Debug)]
pub struct Item<'fd> {
    /// The memfd, sealed as for [`create`].
    pub memfd: BorrowedFd<'fd>,
    /// Bytes, of whole pages.
    pub offset: u64,
    /// Bytes, of whole pages.
    pub size: u64,
}

/// Opens the node.
///
/// Call: `open("/dev/udmabuf", O_RDWR | O_CLOEXEC)`. Permission: that of the node; on most systems its group is `kvm`.
/// May block: no. Since: 4.20, with `CONFIG_UDMABUF`. Retries: none. Errors: `ENOENT` (no such driver), `EACCES`,
/// `EMFILE`.
pub fn open() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::io::retry_on_intr(|| rustix::fs::open(PATH, flags, Mode::empty()))?)
}

/// A dma-buf over `size` bytes of `memfd` from `offset`. It aliases the pages, and has a reservation of its own however
/// many are made over them (rule C50).
///
/// The memfd must be sealed with SHRINK and must not be with WRITE or FUTURE_WRITE.
///
/// Call: `UDMABUF_CREATE`. Permission: the open node. May block: while pages are allocated. Since: 4.20. Retries: none.
/// Errors: `EINVAL` (seals; offset or size not of whole pages, none, past the end, or past the driver's limit, 64 MiB on
/// 6.12), `EBADFD` (not a memfd), `ENOTTY` (`node` is not udmabuf), `EMFILE`, `ENOMEM`.
pub fn create(node: impl AsFd, memfd: impl AsFd, offset: u64, size: u64) -> io::Result<OwnedFd> {
    let mut argument = uapi::Create { memfd: number(&memfd)?, flags: uapi::CLOEXEC, offset, size };
    // SAFETY: the struct has no pointer.
    let fd = unsafe { ioctl::call(node, &uapi::CREATE, &mut argument, Retry::Interrupted) }?;
    // SAFETY: the call returned it, made for us, and close-on-exec by the flag.
    unsafe { ioctl::own(fd) }
}

/// A dma-buf over several ranges, one after the other.
///
/// Call: `UDMABUF_CREATE_LIST`. Permission, blocking, since, retries, errors: as [`create`], and `EINVAL` for more than
/// 1024 ranges or none.
pub fn create_list(node: impl AsFd, items: &[Item<'_>]) -> io::Result<OwnedFd> {
    let count = u32::try_from(items.len()).map_err(|_| Errno::INVAL)?;
    if items.is_empty() || items.len() > uapi::LIST_LIMIT {
        return Err(Errno::INVAL.into());
    }
    let mut argument = Box::new(uapi::CreateListItems {
        header: uapi::CreateList { flags: uapi::CLOEXEC, count },
        items: [uapi::CreateItem::default(); uapi::LIST_LIMIT],
    });
    for (slot, item) in argument.items.iter_mut().zip(items) {
        *slot = uapi::CreateItem { memfd: number(&item.memfd)?, pad: 0, offset: item.offset, size: item.size };
    }
    // SAFETY: the struct has no pointer, and `count` items of it are there.
    let fd = unsafe { ioctl::call(node, &uapi::CREATE_LIST, argument.as_mut(), Retry::Interrupted) }?;
    // SAFETY: the call returned it, made for us, and close-on-exec by the flag.
    unsafe { ioctl::own(fd) }
}

/// The struct has descriptors without a sign; none that is borrowed is negative.
fn number(fd: &impl AsFd) -> io::Result<u32> {
    u32::try_from(ioctl::named(fd)).map_err(|_| Errno::BADF.into())
}
