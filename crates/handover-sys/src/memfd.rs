//! Anonymous files in memory and the seals on them.
//!
//! A seal belongs to the inode and is for ever: no holder of any descriptor, the producer included, can take it back.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

bitflags::bitflags! {
    /// What may no longer be done to a memfd (`F_SEAL_*` of `include/uapi/linux/fcntl.h`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Seals: u32 {
        /// No further seal can be added.
        const SEAL = 0x0001;
        /// The file cannot become shorter: no holder can make a mapping of it raise `SIGBUS`.
        const SHRINK = 0x0002;
        /// The file cannot become longer.
        const GROW = 0x0004;
        /// The content cannot change. Refused (`EBUSY`) while a writable mapping exists.
        const WRITE = 0x0008;
        /// No new way to write: writable mappings that exist go on working (since Linux 5.1).
        const FUTURE_WRITE = 0x0010;
    }
}

/// Makes a memfd of `size` bytes, all zero, that can be sealed.
///
/// The `name` (at most 249 bytes, no NUL) shows in `/proc/PID/fd` and `/proc/PID/maps` and means nothing else.
/// The file is not executable where the kernel can promise that (`MFD_NOEXEC_SEAL`, since Linux 6.3), which leaves
/// every seal of [`Seals`] open.
///
/// Call: `memfd_create`, `ftruncate`. Permission: none. May block: no; no page is allocated before it is touched.
/// Retries: none. Errors: `EINVAL` (name), `EMFILE`, `ENFILE`, `ENOMEM`, `EFBIG` or `EINVAL` (size).
///
/// ```
/// use handover_sys::memfd::{self, Seals};
/// let file = memfd::create("pixels", 4096)?;
/// memfd::add_seals(&file, Seals::SHRINK | Seals::GROW)?;
/// assert_eq!(memfd::seals(&file)?, Seals::SHRINK | Seals::GROW);
/// # std::io::Result::Ok(())
/// ```
pub fn create(name: &str, size: u64) -> io::Result<OwnedFd> {
    let common = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, common | MemfdFlags::NOEXEC_SEAL) {
        // Before 6.3 the flag is unknown; a bad name fails the second time as well.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, common)?,
        other => other?,
    };
    rustix::io::retry_on_intr(|| rustix::fs::ftruncate(&file, size))?;
    Ok(file)
}

/// Adds seals to the inode behind `fd`; those already there stay.
///
/// Call: `fcntl(F_ADD_SEALS)`. Permission: `fd` is open for writing. May block: no. Retries: none.
/// Errors: `EPERM` (sealed with [`Seals::SEAL`], or `fd` is read-only), `EBUSY` ([`Seals::WRITE`] while a writable
/// mapping exists), `EINVAL` (not a memfd).
pub fn add_seals(fd: impl AsFd, seals: Seals) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(fd, SealFlags::from_bits_retain(seals.bits()))?)
}

/// The seals on the inode behind `fd`. Seals unknown to [`Seals`] (`F_SEAL_EXEC`) are left out.
///
/// The first question to put to a descriptor of unknown origin: it cannot block and it tells pipes, sockets, disk
/// files and devices (`EINVAL`) from memory. A plain file of a tmpfs answers too, with [`Seals::SEAL`] alone.
///
/// Call: `fcntl(F_GET_SEALS)`. Permission: any open descriptor. May block: no. Retries: none.
/// Errors: `EINVAL` (not a memfd), `EBADF` (an `O_PATH` descriptor).
pub fn seals(fd: impl AsFd) -> io::Result<Seals> {
    Ok(Seals::from_bits_truncate(rustix::fs::fcntl_get_seals(fd)?.bits()))
}
