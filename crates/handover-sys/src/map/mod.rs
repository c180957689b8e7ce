//! Shared mappings of a file: words for control data, a volatile view for pixels.
//!
//! The rules that make these sound are the crate's contract "shared memory".
#![allow(unsafe_code)]

mod pixels;
mod probe;

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

use crate::{file, futex};

pub use pixels::{Pixels, PixelsMut};
pub use probe::{alias, give_up_and_regain, remove_pages, try_upgrade};

/// When the pages of a mapping are brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Populate {
    /// All of them before the call returns (`MAP_POPULATE`): no page fault later.
    Now,
    /// Each at its first touch.
    Later,
}

/// The beginning of a file, mapped for reading and writing, shared with whoever maps it too. Dropping it unmaps.
///
/// The mapping keeps the *description* it was made through alive, and with it that description's OFD locks, after the
/// descriptor is closed.
#[derive(Debug)]
pub struct Mapping(Region);

/// The beginning of a file, mapped for reading only. It has no store, no exchange and no way to get one.
#[derive(Debug)]
pub struct ReadMapping(Region);

impl Mapping {
    /// Maps the first `len` bytes of `fd`.
    ///
    /// Call: `fstat`, `mmap(PROT_READ | PROT_WRITE, MAP_SHARED)`. Permission: `fd` is open for reading and writing and
    /// not sealed against writing. May block: while pages are allocated ([`Populate::Now`]). Retries: none.
    /// Errors: `EPERM` (sealed), `EACCES` (read-only descriptor), `EINVAL` (`len` is 0, or past the end of a regular
    /// file: touching such a page would be a `SIGBUS`), `ENODEV` (pipe, socket), `ENOMEM`.
    pub fn new(fd: impl AsFd, len: usize, populate: Populate) -> io::Result<Self> {
        Region::new(fd, 0, len, ProtFlags::READ | ProtFlags::WRITE, populate).map(Self)
    }

    /// Maps all of `fd`, as long as it is now; tells which file it is.
    ///
    /// Call: `fstat`, `mmap(PROT_READ | PROT_WRITE, MAP_SHARED)`. Permission, blocking, retries, errors: as [`Mapping::new`].
    pub fn whole(fd: impl AsFd, populate: Populate) -> io::Result<(Self, file::Identity)> {
        let fd = fd.as_fd();
        let (identity, size) = file::identity_and_size(fd)?;
        let length = usize::try_from(size).map_err(|_| Errno::INVAL)?;
        let map = Region::map(fd, 0, length, ProtFlags::READ | ProtFlags::WRITE, populate)?;
        Ok((Self(map), identity))
    }

    /// Maps `len` bytes from `offset`, a multiple of the page size: a part of a file, or a buffer of a DRM or V4L2 node under the
    /// offset that the node has named for it ([`drm::dumb::map_offset`](crate::drm::dumb::map_offset),
    /// [`v4l2::query_buffer`](crate::v4l2::query_buffer)). A node's buffer cannot be mapped past its end (`EINVAL`).
    ///
    /// Other character devices are refused (`ENODEV`) under an offset: what lies there may be any memory of the machine, this
    /// process's own too (`/dev/mem`).
    ///
    /// Call, permission, blocking, retries, errors: as [`Mapping::new`]; also `EINVAL` (an offset between two pages, or one that
    /// names no buffer), `EACCES` (a GEM handle of another open file).
    pub fn new_at(fd: impl AsFd, offset: u64, len: usize) -> io::Result<Self> {
        Region::new(fd, offset, len, ProtFlags::READ | ProtFlags::WRITE, Populate::Later).map(Self)
    }

    /// Bytes mapped, as asked for.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a mapping of no bytes cannot be made")]
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Keeps the mapping from being inherited over `fork`: a child that held it would keep the description, and so the
    /// locks, of a dead parent.
    ///
    /// Call: `madvise(MADV_DONTFORK)`. Permission: none. May block: no. Retries: none.
    pub fn dont_fork(&self) -> io::Result<()> {
        self.0.dont_fork()
    }

    /// The mapping as 64-bit words, as many as fit. See the crate's contract, "shared memory" 2.
    #[must_use]
    pub fn words64(&self) -> &[AtomicU64] {
        let (start, count) = (self.0.base.as_ptr().cast::<AtomicU64>(), self.0.length / size_of::<AtomicU64>());
        // SAFETY: contract "shared memory" 1 and 2: count·8 bytes lie inside the region, which is page-aligned and
        // writable, lives as long as the borrow of self, and is only ever reached by atomics or by opaque moves.
        unsafe { slice::from_raw_parts(start, count) }
    }

    /// The mapping as 32-bit words, as many as fit. See the crate's contract, "shared memory" 2.
    #[must_use]
    pub fn words32(&self) -> &[AtomicU32] {
        self.0.words32()
    }

    /// The bytes of `range` to read; `None` where it leaves the mapping.
    #[must_use]
    pub fn pixels(&self, range: Range<usize>) -> Option<Pixels<'_>> {
        self.0.bytes().get(range).map(Pixels::new)
    }

    /// The bytes of `range` to read and write; `None` where it leaves the mapping.
    ///
    /// Exclusive access to pixels is a matter of fences between processes, which no borrow can express: `&self` is
    /// enough.
    #[must_use]
    pub fn pixels_mut(&self, range: Range<usize>) -> Option<PixelsMut<'_>> {
        self.0.bytes().get(range).map(PixelsMut::new)
    }
}

impl ReadMapping {
    /// Maps the first `len` bytes of `fd` for reading.
    ///
    /// Made before the file is sealed against writing, such a mapping can still be made writable by `mprotect`; made
    /// after it, it cannot. What decides is the seal, not this type.
    ///
    /// Call: `fstat`, `mmap(PROT_READ, MAP_SHARED)`. Permission: `fd` is open for reading. May block, retries, errors:
    /// as [`Mapping::new`], without `EPERM`.
    pub fn new(fd: impl AsFd, len: usize, populate: Populate) -> io::Result<Self> {
        Region::new(fd, 0, len, ProtFlags::READ, populate).map(Self)
    }

    /// Bytes mapped, as asked for.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a mapping of no bytes cannot be made")]
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// As [`Mapping::dont_fork`].
    ///
    /// Call: `madvise(MADV_DONTFORK)`. Permission: none. May block: no. Retries: none.
    pub fn dont_fork(&self) -> io::Result<()> {
        self.0.dont_fork()
    }

    /// The 64-bit word at byte offset `at`, a multiple of 8 inside the mapping; else `None`. `fence(Acquire)` after it
    /// orders what is read next.
    #[must_use]
    pub fn load64_relaxed(&self, at: usize) -> Option<u64> {
        let end = at.checked_add(size_of::<AtomicU64>())?;
        if end > self.0.length || !at.is_multiple_of(size_of::<AtomicU64>()) {
            return None;
        }
        let word = self.0.base.as_ptr().wrapping_add(at).cast::<AtomicU64>();
        // SAFETY: contract "shared memory" 1 and 4: inside the region and aligned, as just tested; the reference lives
        // for one relaxed load, which is what the language allows on memory mapped read-only.
        let word = unsafe { &*word };
        Some(word.load(Ordering::Relaxed))
    }

    /// The 32-bit word at byte offset `at`, a multiple of 4 inside the mapping, to load or to sleep on; else `None`.
    #[must_use]
    pub fn word32(&self, at: usize) -> Option<futex::Word<'_>> {
        if !at.is_multiple_of(size_of::<AtomicU32>()) {
            return None;
        }
        self.0.words32().get(at / size_of::<AtomicU32>()).map(futex::Word::new)
    }

    /// The bytes of `range`; `None` where it leaves the mapping.
    #[must_use]
    pub fn pixels(&self, range: Range<usize>) -> Option<Pixels<'_>> {
        self.0.bytes().get(range).map(Pixels::new)
    }
}

/// Mapped memory, whatever its protection. `length` > 0, page-aligned base, unmapped by `drop` and by nothing else.
#[derive(Debug)]
struct Region {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: a region is an address range that any thread may reach; munmap may be called from any thread.
unsafe impl Send for Region {}
// SAFETY: everything reachable through `&Region` is an atomic, or a move that other processes may race anyway
// (contract "shared memory" 2 and 3).
unsafe impl Sync for Region {}

impl Region {
    fn new(fd: impl AsFd, offset: u64, length: usize, protection: ProtFlags, populate: Populate) -> io::Result<Self> {
        let fd = fd.as_fd();
        let last = u64::try_from(length).ok().and_then(|length| offset.checked_add(length)).ok_or(Errno::INVAL)?;
        if let Some(end) = file::regular_size(fd)?
            && last > end
        {
            return Err(Errno::INVAL.into());
        }
        Self::map(fd, offset, length, protection, populate)
    }

    /// The caller has looked whether the file reaches so far.
    fn map(
        fd: BorrowedFd<'_>,
        offset: u64,
        length: usize,
        protection: ProtFlags,
        populate: Populate,
    ) -> io::Result<Self> {
        // The language has no slices above isize::MAX.
        if isize::try_from(length).is_err() || length == 0 {
            return Err(Errno::INVAL.into());
        }
        if offset != 0 && !file::takes_offset(fd)? {
            return Err(Errno::NODEV.into());
        }
        let mut flags = MapFlags::SHARED;
        flags.set(MapFlags::POPULATE, populate == Populate::Now);
        // SAFETY: mmap with a null hint and without MAP_FIXED takes unused addresses only, so no Rust object and no
        // other mapping is touched; the descriptor is borrowed for the call. What lies at the offset belongs to the file or
        // to a buffer of its node, as just tested.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), length, protection, flags, fd, offset) }?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(Errno::NOMEM)?;
        Ok(Self { base, length })
    }

    fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: contract "shared memory" 1 and 3: `length` bytes are mapped for as long as the borrow of self. Where
        // the region is read-only, no user of this slice stores: `ReadMapping` lends it as `Pixels` alone.
        unsafe { slice::from_raw_parts(self.base.as_ptr().cast(), self.length) }
    }

    fn words32(&self) -> &[AtomicU32] {
        let (start, count) = (self.base.as_ptr().cast::<AtomicU32>(), self.length / size_of::<AtomicU32>());
        // SAFETY: contract "shared memory" 1, 2 and 4: count·4 bytes lie inside the region, which is page-aligned and
        // lives as long as the borrow of self. Where it is read-only, `ReadMapping` lends a word as `Word` alone.
        unsafe { slice::from_raw_parts(start, count) }
    }

    fn address(&self) -> *mut c_void {
        self.base.as_ptr().cast()
    }

    fn dont_fork(&self) -> io::Result<()> {
        // SAFETY: madvise(2): MADV_DONTFORK changes what a later fork inherits and nothing about this memory; the range
        // is exactly this region.
        Ok(unsafe { rustix::mm::madvise(self.address(), self.length, Advice::LinuxDontFork) }?)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the region was mapped by mmap with this length (the kernel rounds both the same way), is unmapped
        // here alone, and no borrow of it outlives self.
        let unmapped = unsafe { rustix::mm::munmap(self.address(), self.length) };
        // munmap of a whole mapping fails on a bad range only, which `new` rules out.
        debug_assert!(unmapped.is_ok(), "munmap: {unmapped:?}");
    }
}
