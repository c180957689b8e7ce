//! What a hostile holder of a mapping may try, for the tests that show what the kernel answers.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{Advice, MprotectFlags};

use super::{Mapping, ReadMapping, Region};

/// Tries to make a read-only mapping writable, and makes it read-only again where that worked.
///
/// Call: `mprotect(PROT_READ | PROT_WRITE)`, `mprotect(PROT_READ)`. Permission: that of the description at the time of
/// the `mmap`. May block: no. Retries: none. Errors: `EACCES` (the file was sealed before it was mapped, or the
/// description is read-only).
pub fn try_upgrade(mapping: &ReadMapping) -> io::Result<()> {
    let region = &mapping.0;
    // SAFETY: mprotect(2) on exactly this region; more rights take nothing away from those who read it.
    unsafe { rustix::mm::mprotect(region.address(), region.length, MprotectFlags::READ | MprotectFlags::WRITE) }?;
    // SAFETY: as above; nobody writes through a `ReadMapping`, so nobody loses a right that is in use.
    Ok(unsafe { rustix::mm::mprotect(region.address(), region.length, MprotectFlags::READ) }?)
}

/// Tries to throw away the pages behind a writable mapping; where that works they read as zero for every holder.
///
/// Call: `madvise(MADV_REMOVE)`. Permission: a writable shared mapping. May block: no on memory. Retries: none.
/// Errors: `EPERM` (sealed with WRITE or FUTURE_WRITE), `EINVAL` (locked pages).
pub fn remove_pages(mapping: &Mapping) -> io::Result<()> {
    let region = &mapping.0;
    // SAFETY: madvise(2): the range is exactly this region and stays mapped; its content becomes zero, which is one of
    // the races that contract "shared memory" 3 allows for.
    Ok(unsafe { rustix::mm::madvise(region.address(), region.length, Advice::LinuxRemove) }?)
}

/// Makes a second mapping of the same pages with the rights of the first, and without a descriptor.
///
/// Call: `mremap(old_size = 0, MREMAP_MAYMOVE)`. Permission: a shared mapping. May block: no. Retries: none.
/// Errors: `ENOMEM`.
pub fn alias(mapping: &Mapping) -> io::Result<Mapping> {
    let region = &mapping.0;
    // SAFETY: mremap(2): an old size of 0 on a shared mapping leaves the old one as it is and takes unused addresses.
    let base = unsafe { rustix::mm::mremap(region.address(), 0, region.length, rustix::mm::MremapFlags::MAYMOVE) }?;
    let base = NonNull::new(base.cast::<u8>()).ok_or(Errno::NOMEM)?;
    Ok(Mapping(Region { base, length: region.length }))
}

/// Takes the right to write from a writable mapping and gives it back.
///
/// Call: `mprotect(PROT_READ)`, `mprotect(PROT_READ | PROT_WRITE)`. Permission: as [`try_upgrade`]. May block: no.
/// Retries: none.
///
/// Takes the mapping by value, so that nobody stores while the right is gone.
pub fn give_up_and_regain(mapping: Mapping) -> io::Result<Mapping> {
    let region = &mapping.0;
    // SAFETY: mprotect(2) on exactly this region, which nobody borrows because we own the mapping.
    unsafe { rustix::mm::mprotect(region.address(), region.length, MprotectFlags::READ) }?;
    // SAFETY: as above; where this fails the mapping is dropped with the error and nobody stores through it.
    unsafe { rustix::mm::mprotect(region.address(), region.length, MprotectFlags::READ | MprotectFlags::WRITE) }?;
    Ok(mapping)
}
