//! The one door to `ioctl`: a request number that knows the struct it was made for.
//!
//! Numbers are computed from the struct, as the kernel's own macros do (`include/uapi/asm-generic/ioctl.h`), and compared
//! with an independent table by `tests/uapi.rs`: a struct of the wrong size cannot get the right number.
#![allow(unsafe_code)]

use std::ffi::c_ulong;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// A request number, and the struct that the kernel reads or writes under it.
#[derive(Debug)]
pub struct Request<T> {
    number: u32,
    argument: PhantomData<fn(T)>,
}

const WRITE: u32 = 1;
const READ: u32 = 2;

impl<T> Request<T> {
    /// `_IO`: no argument is read or written.
    pub(crate) const fn io(group: u8, number: u8) -> Self {
        Self::new(0, group, number, 0)
    }

    /// `_IOW`: the kernel reads the struct.
    pub(crate) const fn iow(group: u8, number: u8) -> Self {
        Self::new(WRITE, group, number, size_of::<T>())
    }

    /// `_IOR`: the kernel writes the struct.
    pub(crate) const fn ior(group: u8, number: u8) -> Self {
        Self::new(READ, group, number, size_of::<T>())
    }

    /// `_IOWR`: both.
    pub(crate) const fn iowr(group: u8, number: u8) -> Self {
        Self::new(READ | WRITE, group, number, size_of::<T>())
    }

    /// A number whose size field is not that of the struct: a list behind a header, or a pointer that is its own argument.
    pub(crate) const fn raw(number: u32) -> Self {
        Self { number, argument: PhantomData }
    }

    const fn new(direction: u32, group: u8, number: u8, size: usize) -> Self {
        assert!(size < 1 << 14, "14 bits hold the size");
        Self::raw(direction << 30 | (size as u32) << 16 | (group as u32) << 8 | number as u32)
    }

    /// The number, as in a trace.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }
}

/// What to do when the kernel breaks a call off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Give `EINTR` to the caller, who has a deadline to look at.
    Never,
    /// Repeat on `EINTR`: the call has done nothing, and repeating it asks for the same.
    Interrupted,
    /// Repeat on `EINTR` and on `EAGAIN`, which DRM gives for "interrupted, try again" (`drmIoctl` of libdrm does the same).
    Drm,
}

/// One ioctl. Gives what the call returned, 0 or more.
///
/// # Safety
/// Every pointer inside `argument` that the request makes the kernel follow names memory of the length that `argument` says,
/// readable or writable as the request needs, for the length of the call.
#[inline]
pub(crate) unsafe fn call<T>(fd: impl AsFd, request: &Request<T>, argument: &mut T, retry: Retry) -> io::Result<u32> {
    let fd = fd.as_fd();
    loop {
        // SAFETY: the request was made for `T`, so the kernel touches that struct and, by this function's own contract,
        // valid memory behind its pointers. The descriptor is borrowed for the call.
        let result =
            unsafe { libc::ioctl(fd.as_raw_fd(), request.number as c_ulong as _, std::ptr::from_mut(argument)) };
        if let Ok(result) = u32::try_from(result) {
            return Ok(result);
        }
        refused(retry)?;
    }
}

/// Why a call failed; nothing if it is to be repeated.
#[cold]
fn refused(retry: Retry) -> io::Result<()> {
    let error = io::Error::last_os_error();
    let again = match error.raw_os_error() {
        Some(libc::EINTR) => retry != Retry::Never,
        Some(libc::EAGAIN) => retry == Retry::Drm,
        _ => false,
    };
    if again { Ok(()) } else { Err(error) }
}

/// Takes the descriptor that a call has just returned, in whatever integer the kernel's struct has for it.
///
/// # Safety
/// The kernel made the descriptor for this very call: nobody else owns or closes it.
pub(crate) unsafe fn own(fd: impl TryInto<RawFd>) -> io::Result<OwnedFd> {
    let fd = fd.try_into().ok().filter(|fd| *fd >= 0).ok_or(Errno::BADF)?;
    // SAFETY: open, by what the kernel said, and ours alone, by this function's own contract; not negative.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor that is only named in a struct, as the signed field of most structs has it.
pub(crate) fn named(fd: &impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

/// The address of a slice that the kernel reads.
pub(crate) fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr().expose_provenance() as u64
}

/// The address of a slice that the kernel writes.
pub(crate) fn address_mut<T>(slice: &mut [T]) -> u64 {
    slice.as_mut_ptr().expose_provenance() as u64
}

/// The text in an array that the kernel filled: up to the first NUL, lossy where it is not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A name as the kernel reads it: at most `N` - 1 bytes and a NUL. `EINVAL` where it is longer or has a NUL inside.
pub(crate) fn name<const N: usize>(name: &str) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    match bytes.get_mut(..name.len()) {
        Some(room) if name.len() < N && !name.contains('\0') => room.copy_from_slice(name.as_bytes()),
        _ => return Err(Errno::INVAL.into()),
    }
    Ok(bytes)
}
