//! What a descriptor is: identity, size, access mode, and a fresh description of the same file.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FallocateFlags, FileType, Mode, OFlags, StatxFlags};

/// Which file this is, whatever descriptor leads to it.
///
/// An inode number is unique only while someone holds the file: whoever keeps an `Identity` as a key keeps a
/// descriptor beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// `st_dev`: the file system.
    pub device: u64,
    /// `st_ino`: the inode in it.
    pub inode: u64,
}

/// The access mode of a fresh description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopen {
    /// `O_RDONLY`
    ReadOnly,
    /// `O_RDWR`
    ReadWrite,
}

/// Which file `fd` leads to.
///
/// Call: `fstat`. Permission: any open descriptor. May block: no on memory and anonymous inodes, as long as the server
/// likes on a network or FUSE file. Retries: none.
pub fn identity(fd: impl AsFd) -> io::Result<Identity> {
    let stat = rustix::fs::fstat(fd)?;
    // The widths of these fields differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    Ok(Identity { device: stat.st_dev as u64, inode: stat.st_ino as u64 })
}

/// [`identity`] and [`size`] in one call.
///
/// Call: `fstat`. Permission: any open descriptor. May block: as [`identity`]. Retries: none.
pub fn identity_and_size(fd: impl AsFd) -> io::Result<(Identity, u64)> {
    let stat = rustix::fs::fstat(fd)?;
    // The widths of these fields differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    let identity = Identity { device: stat.st_dev as u64, inode: stat.st_ino as u64 };
    Ok((identity, u64::try_from(stat.st_size).map_err(|_| rustix::io::Errno::OVERFLOW)?))
}

/// The device that the file of `fd` lives on, in a way that waits for no server. Only to be compared with another answer of this
/// function: each file system of the kernel's own, that of dma-bufs for example, is one device.
///
/// Call: `statx(AT_EMPTY_PATH | AT_STATX_DONT_SYNC)`. Permission: any open descriptor. May block: no. Retries: none. Errors:
/// `ENOSYS` (a filter that forbids the call).
pub fn device(fd: impl AsFd) -> io::Result<u64> {
    let how = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = rustix::fs::statx(fd, c"", how, StatxFlags::empty())?;
    Ok(u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor))
}

/// The size of the file in bytes.
///
/// Never by `lseek`: the offset belongs to the description, which every process that received it shares.
///
/// Call: `fstat`. Permission: any open descriptor. May block: as [`identity`]. Retries: none.
pub fn size(fd: impl AsFd) -> io::Result<u64> {
    u64::try_from(rustix::fs::fstat(fd)?.st_size).map_err(|_| rustix::io::Errno::OVERFLOW.into())
}

/// The size of a regular file or memfd, which bounds what may be touched of a mapping of it; `None` for anything else.
///
/// Call: `fstat`. Permission: any open descriptor. May block: as [`identity`]. Retries: none.
pub fn regular_size(fd: impl AsFd) -> io::Result<Option<u64>> {
    let stat = rustix::fs::fstat(fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    u64::try_from(stat.st_size).map(Some).map_err(|_| rustix::io::Errno::OVERFLOW.into())
}

/// The major numbers of the nodes whose offsets name buffers: DRM, V4L2 (`Documentation/admin-guide/devices.txt`).
const OFFSETS_ARE_NAMES: [u32; 2] = [226, 81];

/// Whether an offset of this file leads to memory of the file and to no other: not so of character devices, except those
/// that give offsets as names of buffers.
pub(crate) fn takes_offset(fd: impl AsFd) -> io::Result<bool> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
        || OFFSETS_ARE_NAMES.contains(&rustix::fs::major(stat.st_rdev)))
}

/// A fresh description of the same file: own offset, own access mode, own OFD locks.
///
/// Call: `open("/proc/self/fd/N")`. Permission: that of the file's mode for this user; the access mode of `fd` itself
/// does not limit it. May block: not on a memfd; a FIFO is opened without waiting for its other end. Retries: none.
/// Errors: `EACCES` (mode), `ENXIO` (a dma-buf or socket cannot be reopened), `ENOENT` (no /proc), `EMFILE`.
pub fn reopen(fd: impl AsFd, mode: Reopen) -> io::Result<OwnedFd> {
    let access = match mode {
        Reopen::ReadOnly => OFlags::RDONLY,
        Reopen::ReadWrite => OFlags::RDWR,
    };
    // O_NONBLOCK has no effect on memory, and keeps a FIFO that poses as a surface from stopping us here.
    let flags = access | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    // Borrowed, not passed on: `fd` may be owned, and its number must not be free before it is opened again.
    let path = path_of(fd.as_fd());
    Ok(rustix::io::retry_on_intr(|| rustix::fs::open(path.as_str(), flags, Mode::empty()))?)
}

/// What `/proc/self/fd/N` says: `/memfd:NAME (deleted)`, `/dmabuf:`, `pipe:[N]`, a path. Lossy where it is not UTF-8.
///
/// Call: `readlink`. Permission: any open descriptor. May block: no. Retries: none. Errors: `ENOENT` (no /proc).
pub fn link_text(fd: impl AsFd) -> io::Result<String> {
    Ok(rustix::fs::readlink(path_of(fd.as_fd()), Vec::new())?.to_string_lossy().into_owned())
}

/// Whether the description behind `fd` is open for writing. Says nothing about seals, nor about [`reopen`].
///
/// Call: `fcntl(F_GETFL)`. Permission: any open descriptor. May block: no. Retries: none.
pub fn is_writable(fd: impl AsFd) -> io::Result<bool> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(matches!(flags & OFlags::RWMODE, mode if mode == OFlags::RDWR || mode == OFlags::WRONLY))
}

/// Another descriptor, close-on-exec, of the same description: offset and OFD locks are shared with `fd`.
///
/// Call: `fcntl(F_DUPFD_CLOEXEC)`. Permission: any open descriptor. May block: no. Retries: none. Errors: `EMFILE`.
pub fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

/// Whether two descriptors lead to one description: the same `open`, which duplicates and descriptors sent over a socket
/// share. For a DRM node that is the question whether the handles of one are valid in the other.
///
/// Two descriptors of one inode may well be two descriptions; [`identity`] answers the other question.
///
/// Call: `kcmp(KCMP_FILE)`. Permission: none on oneself. May block: no. Since: 3.5, with `CONFIG_KCMP` (which DRM turns on
/// since 5.12). Retries: none. Errors: `ENOSYS` (not in this kernel), `EPERM` (a container's filter refuses the call).
pub fn is_same_description(a: impl AsFd, b: impl AsFd) -> io::Result<bool> {
    const KCMP_FILE: libc::c_int = 0;
    let (a, b) = (a.as_fd().as_raw_fd(), b.as_fd().as_raw_fd());
    let us = std::process::id();
    // SAFETY: kcmp(2) takes five integers, touches no memory of ours, and both descriptors are borrowed for the call.
    match unsafe { libc::syscall(libc::SYS_kcmp, us, us, KCMP_FILE, a, b) } {
        -1 => Err(io::Error::last_os_error()),
        order => Ok(order == 0),
    }
}

/// Gives `length` bytes from `at` back to the system; they read as zero afterwards. What a hostile holder may try.
///
/// Call: `fallocate(PUNCH_HOLE | KEEP_SIZE)`. Permission: `fd` is open for writing. May block: no on memory.
/// Retries: none. Errors: `EPERM` (sealed with WRITE or FUTURE_WRITE), `EBADF` (read-only).
pub fn punch_hole(fd: impl AsFd, at: u64, length: u64) -> io::Result<()> {
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let fd = fd.as_fd();
    Ok(rustix::io::retry_on_intr(|| rustix::fs::fallocate(fd, how, at, length))?)
}

/// How many descriptors this process has open.
///
/// Call: `stat` of `/proc/self/fd`, whose size it is since Linux 6.2; before, a listing of it, less the descriptor of the
/// listing. Permission: none. May block: no. Retries: none. Errors: `ENOENT` (no /proc), `EMFILE` (before Linux 6.2).
pub fn open_count() -> io::Result<usize> {
    if let Ok(count @ 1..) = usize::try_from(std::fs::metadata("/proc/self/fd")?.len()) {
        return Ok(count);
    }
    let mut count = 0usize;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        entry?;
        count += 1;
    }
    Ok(count.saturating_sub(1))
}

/// How many descriptors this process may have open; `None`: as many as it likes.
///
/// Call: `getrlimit(RLIMIT_NOFILE)`, the soft limit. Permission: none. May block: no. Retries: none.
///
/// ```
/// use handover_sys::file;
/// let open = file::open_count()? as u64;
/// assert!(file::open_limit().is_none_or(|limit| open <= limit));
/// # std::io::Result::Ok(())
/// ```
#[must_use]
pub fn open_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

fn path_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
