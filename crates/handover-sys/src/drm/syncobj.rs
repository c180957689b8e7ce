//! Synchronisation objects: containers of one fence, or of a timeline of fences, that can be waited for before anything was
//! submitted.
//!
//! There is one kind of object. It becomes a timeline by what is put into it, and a binary import, [`signal`] or [`reset`]
//! throws the timeline away. A point is complete when its own fence and every earlier point's are; a gap means the next
//! point above. Point 0 means "not a timeline" everywhere.
//!
//! Source: `drivers/gpu/drm/drm_syncobj.c` of the kernel. Node and permission, of every function: an open node of either
//! kind whose driver says [`Cap::Syncobj`](super::Cap::Syncobj), and for points
//! [`Cap::SyncobjTimeline`](super::Cap::SyncobjTimeline). Errors of every function: `EOPNOTSUPP` (the driver has none;
//! vgem), `ENOTTY` (not a DRM node).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::Syncobj;
use crate::clock::Monotonic;
use crate::file;
use crate::ioctl::{self, Retry};
use crate::uapi::syncobj as uapi;

bitflags::bitflags! {
    /// What a wait asks for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Wait: u32 {
        /// All of them; any one otherwise.
        const ALL = uapi::WAIT_ALL;
        /// One that has no fence yet is waited for; an error otherwise, even where any one would do.
        const FOR_SUBMIT = uapi::WAIT_FOR_SUBMIT;
        /// To have a fence is enough. Includes [`Wait::FOR_SUBMIT`].
        const AVAILABLE = uapi::WAIT_AVAILABLE;
        /// The deadline of the wait is passed on to the producers as the instant at which the fences are wanted
        /// (not in Linux 6.1, in 6.12). Needs a deadline.
        const DEADLINE = uapi::WAIT_DEADLINE;
    }
}

/// Makes an object: empty, or with a fence that has ended.
///
/// Call: `DRM_IOCTL_SYNCOBJ_CREATE`. May block: no. Since: 4.12. Retries: none. Errors: `ENOMEM`.
pub fn create(fd: impl AsFd, signalled: bool) -> io::Result<Syncobj> {
    let flags = if signalled { uapi::CREATE_SIGNALED } else { 0 };
    let mut argument = uapi::Create { handle: 0, flags };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::CREATE, &mut argument, Retry::Drm) }?;
    Ok(Syncobj(argument.handle))
}

/// Gives the handle back. The object lives while descriptors or other handles have it; with the last of them go the eventfds
/// registered by [`eventfd`], which then never fire (rule C89).
///
/// Call: `DRM_IOCTL_SYNCOBJ_DESTROY`. May block: no. Since: 4.12. Retries: none. Errors: `EINVAL` (no such handle).
pub fn destroy(fd: impl AsFd, syncobj: Syncobj) -> io::Result<()> {
    let mut argument = uapi::Destroy { handle: syncobj.0, pad: 0 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::DESTROY, &mut argument, Retry::Drm) }.map(drop)
}

/// The whole object as a descriptor, for another open file or process. It shows nothing to `poll`.
///
/// Call: `DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD`. May block: no. Since: 4.12. Retries: none. Errors: `EINVAL` (no such handle),
/// `EMFILE`, `ENOMEM`.
pub fn to_fd(fd: impl AsFd, syncobj: Syncobj) -> io::Result<OwnedFd> {
    handle_to_fd(fd, syncobj, 0, 0)
}

/// A new handle of the object behind a descriptor of [`to_fd`]. Each call makes another one: no call says whether two handles
/// are one object.
///
/// Call: `DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE`. May block: no. Since: 4.12. Retries: none. Errors: `EINVAL` (not a syncobj).
pub fn from_fd(fd: impl AsFd, syncobj: impl AsFd) -> io::Result<Syncobj> {
    fd_to_handle(fd, &syncobj, 0, Syncobj(0), 0)
}

/// Whether `fd` is a descriptor of [`to_fd`], asked in a way that no descriptor of a stranger can make wait.
///
/// Call: `readlink("/proc/self/fd/N")`. No path has this text: paths begin with a slash. May block: no. Retries: none.
/// Errors: `ENOENT` (no /proc).
pub fn is_syncobj(fd: impl AsFd) -> io::Result<bool> {
    Ok(matches!(file::link_text(fd)?.as_str(), "anon_inode:syncobj_file" | "anon_inode:[syncobj_file]"))
}

/// The fence that the object has now, as a sync_file: a snapshot that a later reset does not reach (rule C78).
///
/// Call: `DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD(EXPORT_SYNC_FILE)`. May block: no. Since: 4.12. Retries: none. Errors: `EINVAL`
/// (no such handle, or an empty object), `EMFILE`, `ENOMEM`.
pub fn export_sync_file(fd: impl AsFd, syncobj: Syncobj) -> io::Result<OwnedFd> {
    handle_to_fd(fd, syncobj, uapi::SYNC_FILE, 0)
}

/// The fence of one point, with every earlier one that is pending (rule C87).
///
/// Call: `DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD(EXPORT_SYNC_FILE | TIMELINE)`. May block: no. Since: later than 6.12
/// (`EINVAL` there; works in 7.3); before, the way is [`transfer`] to another object and [`export_sync_file`].
/// Retries: none. Errors: `EINVAL` (no such handle, nothing submitted there), `EMFILE`, `ENOMEM`.
pub fn export_point_sync_file(fd: impl AsFd, syncobj: Syncobj, point: u64) -> io::Result<OwnedFd> {
    handle_to_fd(fd, syncobj, uapi::SYNC_FILE | uapi::TIMELINE, point)
}

/// Puts the fences of a sync_file into the object, in the place of what it had.
///
/// Call: `DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE(IMPORT_SYNC_FILE)`. May block: no. Since: 4.12. Retries: none. Errors: `EINVAL`
/// (not a sync_file), `ENOENT` (no such handle).
pub fn import_sync_file(fd: impl AsFd, syncobj: Syncobj, sync_file: impl AsFd) -> io::Result<()> {
    fd_to_handle(fd, &sync_file, uapi::SYNC_FILE, syncobj, 0).map(drop)
}

/// Adds the fences of a sync_file to the timeline as `point`.
///
/// Call: `DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE(IMPORT_SYNC_FILE | TIMELINE)`. May block: no. Since: later than 6.12
/// (`EINVAL` there; works in 7.3); before, the way is [`import_sync_file`] into another object and [`transfer`].
/// Retries: none. Errors: `EINVAL` (not a sync_file), `ENOENT` (no such handle), `ENOMEM`.
pub fn import_point_sync_file(fd: impl AsFd, syncobj: Syncobj, point: u64, sync_file: impl AsFd) -> io::Result<()> {
    fd_to_handle(fd, &sync_file, uapi::SYNC_FILE | uapi::TIMELINE, syncobj, point).map(drop)
}

/// Waits until the fences of `syncobjs` have ended, all or any as `flags` say, or until `deadline` (`None`: for ever; one in
/// the past looks once). Gives the index that was ready, which means something without [`Wait::ALL`] only.
///
/// A fence once seen is kept: a reset or another fence does not reach a wait that is under way (rule C75). No object: 0.
///
/// Call: `DRM_IOCTL_SYNCOBJ_WAIT`. May block: until the deadline. Since: 4.13. Retries: none; `EINTR`, and an `ETIME` before the
/// instant, go on towards it. Errors: `ETIME` (the deadline), `EINVAL` (an empty object without [`Wait::FOR_SUBMIT`];
/// [`Wait::AVAILABLE`]; an unknown flag, or [`Wait::DEADLINE`] without one), `ENOENT` (no such handle), `ENOMEM`.
pub fn wait(fd: impl AsFd, syncobjs: &[Syncobj], flags: Wait, deadline: Option<Monotonic>) -> io::Result<usize> {
    let mut argument = uapi::Wait {
        handles: ioctl::address(syncobjs),
        timeout_nsec: timeout(deadline),
        count_handles: length(syncobjs)?,
        flags: flags.bits(),
        deadline_nsec: hint(flags, deadline)?,
        ..uapi::Wait::default()
    };
    let fd = fd.as_fd();
    not_before(deadline, || {
        // SAFETY: handles is the address of count_handles numbers, borrowed for reading.
        unsafe { ioctl::call(fd, &uapi::WAIT, &mut argument, Retry::Drm) }
    })?;
    index(argument.first_signaled)
}

/// As [`wait`], for a point of each: until it is complete, or with [`Wait::AVAILABLE`] until it was submitted.
///
/// Call: `DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT`. May block: until the deadline. Since: 5.2. Retries: none; `EINTR`, and an
/// `ETIME` before the instant, go on towards it. Errors: `ETIME` (the deadline), `EINVAL` (slices of different length;
/// nothing submitted at the point or above, without [`Wait::FOR_SUBMIT`]; an unknown flag, or [`Wait::DEADLINE`] without
/// one), `ENOENT` (no such handle), `ENOMEM`.
pub fn timeline_wait(
    fd: impl AsFd,
    syncobjs: &[Syncobj],
    points: &[u64],
    flags: Wait,
    deadline: Option<Monotonic>,
) -> io::Result<usize> {
    let mut argument = uapi::TimelineWait {
        handles: ioctl::address(syncobjs),
        points: ioctl::address(points),
        timeout_nsec: timeout(deadline),
        count_handles: common_length(syncobjs, points)?,
        flags: flags.bits(),
        deadline_nsec: hint(flags, deadline)?,
        ..uapi::TimelineWait::default()
    };
    let fd = fd.as_fd();
    not_before(deadline, || {
        // SAFETY: handles and points are addresses of count_handles numbers each, borrowed for reading.
        unsafe { ioctl::call(fd, &uapi::TIMELINE_WAIT, &mut argument, Retry::Drm) }
    })?;
    index(argument.first_signaled)
}

/// Empties the objects. Waits under way do not see it (rule C76).
///
/// Call: `DRM_IOCTL_SYNCOBJ_RESET`. May block: no. Since: 4.14. Retries: none. Errors: `EINVAL` (no object), `ENOENT` (no such
/// handle; none was changed), `ENOMEM`.
pub fn reset(fd: impl AsFd, syncobjs: &[Syncobj]) -> io::Result<()> {
    let mut argument = uapi::Array { handles: ioctl::address(syncobjs), count_handles: length(syncobjs)?, pad: 0 };
    // SAFETY: handles is the address of count_handles numbers, borrowed for reading.
    unsafe { ioctl::call(fd, &uapi::RESET, &mut argument, Retry::Drm) }.map(drop)
}

/// Puts a fence that has ended into each object, in the place of what it had.
///
/// Call: `DRM_IOCTL_SYNCOBJ_SIGNAL`. May block: no. Since: 4.14. Retries: none. Errors: as [`reset`].
pub fn signal(fd: impl AsFd, syncobjs: &[Syncobj]) -> io::Result<()> {
    let mut argument = uapi::Array { handles: ioctl::address(syncobjs), count_handles: length(syncobjs)?, pad: 0 };
    // SAFETY: handles is the address of count_handles numbers, borrowed for reading.
    unsafe { ioctl::call(fd, &uapi::SIGNAL, &mut argument, Retry::Drm) }.map(drop)
}

/// Adds to each timeline a point whose own fence has ended. It completes when all below it have.
///
/// Call: `DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL`. May block: no. Since: 5.2. Retries: none. Errors: `EINVAL` (no object, or slices
/// of different length), `ENOENT` (no such handle; none was changed), `ENOMEM`.
pub fn timeline_signal(fd: impl AsFd, syncobjs: &[Syncobj], points: &[u64]) -> io::Result<()> {
    let mut argument = uapi::TimelineArray {
        handles: ioctl::address(syncobjs),
        points: ioctl::address(points),
        count_handles: common_length(syncobjs, points)?,
        flags: 0,
    };
    // SAFETY: handles and points are addresses of count_handles numbers each, borrowed for reading.
    unsafe { ioctl::call(fd, &uapi::TIMELINE_SIGNAL, &mut argument, Retry::Drm) }.map(drop)
}

/// Writes into `points` how far each timeline has come: the highest point that is complete, or the highest that was submitted.
/// 0 for an object that is no timeline.
///
/// Call: `DRM_IOCTL_SYNCOBJ_QUERY`. May block: no. Since: 5.2; `last_submitted` by 5.10. Retries: none. Errors: `EINVAL` (no
/// object, or slices of different length), `ENOENT` (no such handle).
pub fn query(fd: impl AsFd, syncobjs: &[Syncobj], points: &mut [u64], last_submitted: bool) -> io::Result<()> {
    let mut argument = uapi::TimelineArray {
        count_handles: common_length(syncobjs, points)?,
        handles: ioctl::address(syncobjs),
        points: ioctl::address_mut(points),
        flags: if last_submitted { uapi::QUERY_LAST_SUBMITTED } else { 0 },
    };
    // SAFETY: handles and points are addresses of count_handles numbers each, borrowed for reading and for writing.
    unsafe { ioctl::call(fd, &uapi::QUERY, &mut argument, Retry::Drm) }.map(drop)
}

/// Takes the fence of a point (0: the whole content) of `source` and adds it as a point to `target` (0: in the place of what it
/// had). Both are of this open file.
///
/// Call: `DRM_IOCTL_SYNCOBJ_TRANSFER`. May block: with [`Wait::FOR_SUBMIT`], until something was submitted, but at most five
/// seconds; no otherwise. Since: 5.2. Retries: `EINTR` with [`Wait::FOR_SUBMIT`] is the caller's, since the five seconds begin
/// anew. Errors: `EINVAL` (nothing submitted there; another flag), `ETIME` (five seconds), `ENOENT` (no such handle), `ENOMEM`.
pub fn transfer(fd: impl AsFd, source: (Syncobj, u64), target: (Syncobj, u64), flags: Wait) -> io::Result<()> {
    let mut argument = uapi::Transfer {
        src_handle: source.0.0,
        dst_handle: target.0.0,
        src_point: source.1,
        dst_point: target.1,
        flags: flags.bits(),
        pad: 0,
    };
    let retry = if flags.contains(Wait::FOR_SUBMIT) { Retry::Never } else { Retry::Drm };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::TRANSFER, &mut argument, retry) }.map(drop)
}

/// Has `eventfd` signalled once, when the point is complete, or with [`Wait::AVAILABLE`] when it was submitted; at once where
/// that is so already. A point that nobody has submitted may be waited for.
///
/// Call: `DRM_IOCTL_SYNCOBJ_EVENTFD`. May block: no. Since: 6.6. Retries: none. Errors: `EINVAL` (not an eventfd; another
/// flag), `ENOENT` (no such handle), `ENOTTY` or `EINVAL` (older kernel), `ENOMEM`.
pub fn eventfd(fd: impl AsFd, syncobj: Syncobj, point: u64, flags: Wait, eventfd: impl AsFd) -> io::Result<()> {
    let mut argument =
        uapi::Eventfd { handle: syncobj.0, flags: flags.bits(), point, fd: ioctl::named(&eventfd), pad: 0 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::EVENTFD, &mut argument, Retry::Drm) }.map(drop)
}

fn handle_to_fd(fd: impl AsFd, syncobj: Syncobj, flags: u32, point: u64) -> io::Result<OwnedFd> {
    let mut argument = uapi::Handle { handle: syncobj.0, flags, fd: -1, pad: 0, point };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::HANDLE_TO_FD, &mut argument, Retry::Drm) }?;
    // SAFETY: the call made it for us. There is no flag: it is always close-on-exec.
    unsafe { ioctl::own(argument.fd) }
}

fn fd_to_handle(fd: impl AsFd, other: &impl AsFd, flags: u32, syncobj: Syncobj, point: u64) -> io::Result<Syncobj> {
    let mut argument = uapi::Handle { handle: syncobj.0, flags, fd: ioctl::named(other), pad: 0, point };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::FD_TO_HANDLE, &mut argument, Retry::Drm) }?;
    Ok(Syncobj(argument.handle))
}

/// Repeats a wait that says `ETIME` before its instant. The kernel counts in ticks from the last one it has seen, and where
/// that one is late the wait ends early: by 226 µs in a guest of 6.12 with a busy processor.
fn not_before(deadline: Option<Monotonic>, mut wait: impl FnMut() -> io::Result<u32>) -> io::Result<u32> {
    loop {
        match wait() {
            Err(error)
                if error.raw_os_error() == Some(libc::ETIME) && deadline.is_none_or(|at| Monotonic::now() < at) => {}
            other => return other,
        }
    }
}

fn timeout(deadline: Option<Monotonic>) -> i64 {
    deadline.and_then(|at| i64::try_from(at.0).ok()).unwrap_or(i64::MAX)
}

fn hint(flags: Wait, deadline: Option<Monotonic>) -> io::Result<u64> {
    match deadline {
        _ if !flags.contains(Wait::DEADLINE) => Ok(0),
        Some(at) => Ok(at.0),
        None => Err(Errno::INVAL.into()),
    }
}

fn length(syncobjs: &[Syncobj]) -> io::Result<u32> {
    u32::try_from(syncobjs.len()).map_err(|_| Errno::INVAL.into())
}

fn common_length(syncobjs: &[Syncobj], points: &[u64]) -> io::Result<u32> {
    if syncobjs.len() != points.len() {
        return Err(Errno::INVAL.into());
    }
    length(syncobjs)
}

fn index(first: u32) -> io::Result<usize> {
    usize::try_from(first).map_err(|_| Errno::OVERFLOW.into())
}
