//! Locks of an open file description on one byte far behind the end of the file: who is alive.
//!
//! Such a lock belongs to the description. It goes when the last descriptor *and the last mapping* made through that
//! description are gone, by whatever death. A description that was sent is shared by sender and receiver, both would
//! own its locks, and neither death would ever show: lock through [`file::reopen`](crate::file::reopen) only.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Where the bytes begin: behind every size a surface can have, so that no other user's lock is in the way.
const FIRST_BYTE: libc::off_t = 1 << 40;

/// Takes the lock on byte `2⁴⁰ + byte` for the description of `fd`. `false`: another description has it.
///
/// Taking it again through the same description succeeds and changes nothing.
///
/// Call: `fcntl(F_OFD_SETLK, F_WRLCK)`. Permission: `fd` is open for writing. May block: no. Retries: none.
/// Errors: `EBADF` (read-only), `ENOLCK`.
pub fn try_lock(fd: impl AsFd, byte: u32) -> io::Result<bool> {
    let mut lock = one_byte(libc::F_WRLCK, byte);
    match control(fd, libc::F_OFD_SETLK, &mut lock) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the lock on byte `2⁴⁰ + byte` back; nothing happens where the description has none.
///
/// Call: `fcntl(F_OFD_SETLK, F_UNLCK)`. Permission: any open descriptor. May block: no. Retries: none.
pub fn unlock(fd: impl AsFd, byte: u32) -> io::Result<()> {
    control(fd, libc::F_OFD_SETLK, &mut one_byte(libc::F_UNLCK, byte))
}

/// Whether *another* description holds byte `2⁴⁰ + byte`. A lock of this one does not show.
///
/// Call: `fcntl(F_OFD_GETLK)`, 0.3 µs. Permission: any open descriptor, a read-only one too. May block: no.
/// Retries: none.
pub fn is_locked(fd: impl AsFd, byte: u32) -> io::Result<bool> {
    let mut lock = one_byte(libc::F_WRLCK, byte);
    control(fd, libc::F_OFD_GETLK, &mut lock)?;
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

fn one_byte(kind: libc::c_int, byte: u32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: FIRST_BYTE + libc::off_t::from(byte),
        l_len: 1,
        // OFD locks require 0 here: a process is not what owns them.
        l_pid: 0,
    }
}

fn control(fd: impl AsFd, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: fcntl(2): the three OFD commands take a pointer to one `struct flock`, read it and may write it during
    // the call; `lock` is exclusively borrowed for exactly that long and `fd` is open because it is borrowed.
    let result = unsafe { libc::fcntl(fd, command, std::ptr::from_mut(lock)) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
