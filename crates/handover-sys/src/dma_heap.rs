//! dma-heaps: dma-bufs from memory that the kernel keeps for devices.
//!
//! Source: `drivers/dma-buf/dma-heap.c` of the kernel.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::ioctl::{self, Retry};
use crate::uapi::dma_heap as uapi;

const FOLDER: &str = "/dev/dma_heap";

/// The heaps of this machine, in order of their names; none where the kernel has no heaps.
///
/// Call: a listing of `/dev/dma_heap`. Permission: none. May block: no. Since: 5.6, with `CONFIG_DMABUF_HEAPS`.
/// Retries: none.
pub fn names() -> io::Result<Vec<String>> {
    let folder = match std::fs::read_dir(FOLDER) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in folder {
        // A name that is not UTF-8 is no heap: the kernel's are plain words.
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Opens the heap `name`, one of [`names`].
///
/// Call: `open("/dev/dma_heap/NAME", O_RDWR | O_CLOEXEC)`. Permission: that of the node; on most systems root's alone.
/// May block: no. Since: 5.6. Retries: none. Errors: `EINVAL` (`name` is a path), `ENOENT` (no such heap), `EACCES`,
/// `EMFILE`.
pub fn open(name: &str) -> io::Result<OwnedFd> {
    if name.contains('/') || matches!(name, "" | "." | "..") {
        return Err(Errno::INVAL.into());
    }
    let path = format!("{FOLDER}/{name}");
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::io::retry_on_intr(|| rustix::fs::open(path.as_str(), flags, Mode::empty()))?)
}

/// A dma-buf of at least `size` bytes, all zero, rounded up to pages, open for reading and writing.
///
/// Call: `DMA_HEAP_IOCTL_ALLOC`. Permission: the open heap. May block: while pages are allocated. Since: 5.6.
/// Retries: none. Errors: `EINVAL` (no size), `ENOTTY` (`heap` is not one), `EMFILE`, `ENOMEM`.
pub fn allocate(heap: impl AsFd, size: u64) -> io::Result<OwnedFd> {
    let fd_flags = (OFlags::RDWR | OFlags::CLOEXEC).bits();
    let mut argument = uapi::AllocationData { len: size, fd: 0, fd_flags, heap_flags: 0 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(heap, &uapi::ALLOC, &mut argument, Retry::Interrupted) }?;
    // SAFETY: the call made it for us, close-on-exec by the flag.
    unsafe { ioctl::own(argument.fd) }
}
