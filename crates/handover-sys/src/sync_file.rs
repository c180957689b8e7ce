//! sync_files: sets of fences that are bound to end, behind one descriptor that `poll` can wait for.
//!
//! Source: `drivers/dma-buf/sync_file.c` of the kernel.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::clock::Monotonic;
use crate::file;
use crate::ioctl::{self, Retry};
use crate::uapi::sync_file as uapi;

/// How far a fence, or all fences of a file together, have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not ended.
    Pending,
    /// Ended well.
    Signalled,
    /// Ended with this errno, positive.
    Failed(i32),
}

impl Status {
    fn from_kernel(status: i32) -> Self {
        match status {
            0 => Self::Pending,
            // i32::MIN has no positive; no errno is that large.
            ..0 => Self::Failed(status.saturating_neg()),
            1.. => Self::Signalled,
        }
    }
}

/// One fence of a sync_file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The timeline. Means nothing, and may change once the fence has ended (rule C66).
    pub timeline: String,
    /// The driver. Means nothing either.
    pub driver: String,
    /// How far it has come.
    pub status: Status,
    /// When it ended.
    pub timestamp: Option<Monotonic>,
}

/// A sync_file and its fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The name of [`merge`], or one that the kernel made of driver and numbers. Not to be parsed (rule C66).
    pub name: String,
    /// All fences together: the first error, if one ended with one.
    pub status: Status,
    /// The fences; never none.
    pub fences: Vec<Fence>,
}

/// Whether `fd` is a sync_file, asked in a way that no descriptor of a stranger can make wait.
///
/// Call: `readlink("/proc/self/fd/N")`. No path has this text: paths begin with a slash. Permission: any open descriptor.
/// May block: no. Since: 4.7. Retries: none. Errors: `ENOENT` (no /proc).
pub fn is_sync_file(fd: impl AsFd) -> io::Result<bool> {
    Ok(matches!(file::link_text(fd)?.as_str(), "anon_inode:sync_file" | "anon_inode:[sync_file]"))
}

/// How far all fences together have come.
///
/// Call: `SYNC_IOC_FILE_INFO` with room for no fence. Permission: any open descriptor. May block: no. Since: 4.7.
/// Retries: none. Errors: `ENOTTY` (not a sync_file).
pub fn status(fd: impl AsFd) -> io::Result<Status> {
    head(fd).map(|head| Status::from_kernel(head.status))
}

/// How many fences there are. One that has ended still counts.
///
/// Call, permission, blocking, since, errors: as [`status`].
pub fn count(fd: impl AsFd) -> io::Result<u32> {
    head(fd).map(|head| head.num_fences)
}

/// Name, status and every fence.
///
/// Call: `SYNC_IOC_FILE_INFO`, for the count and then for the fences. Permission: any open descriptor. May block: no.
/// Since: 4.7. Retries: none. Errors: `ENOTTY` (not a sync_file), `ENOMEM`.
pub fn info(fd: impl AsFd) -> io::Result<Info> {
    let fd = fd.as_fd();
    let mut room = head(fd)?.num_fences;
    loop {
        let mut fences = vec![uapi::FenceInfo::default(); usize::try_from(room).map_err(|_| Errno::OVERFLOW)?];
        let mut argument = uapi::FileInfo {
            num_fences: room,
            sync_fence_info: ioctl::address_mut(&mut fences),
            ..uapi::FileInfo::default()
        };
        // SAFETY: sync_fence_info is the address of `num_fences` elements of that struct, borrowed for writing.
        match unsafe { ioctl::call(fd, &uapi::FILE_INFO, &mut argument, Retry::Interrupted) } {
            Ok(_) => {}
            // A chain is counted as it stands; where it grew a node since the count, the room is too small.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let now = head(fd)?.num_fences;
                if now <= room {
                    return Err(error);
                }
                room = now;
                continue;
            }
            Err(error) => return Err(error),
        }
        fences.truncate(usize::try_from(argument.num_fences).unwrap_or(usize::MAX));
        return Ok(Info {
            name: ioctl::text(&argument.name),
            status: Status::from_kernel(argument.status),
            fences: fences.iter().map(fence).collect(),
        });
    }
}

/// A new sync_file that ends when both have ended: of each timeline the latest fence, and none that has ended already.
///
/// Call: `SYNC_IOC_MERGE`. Permission: any open descriptors. May block: no. Since: 4.7. Retries: none. Errors: `ENOENT`
/// (`b` is not a sync_file), `ENOTTY` (`a` is not), `EINVAL` (`name`: over 31 bytes, a NUL), `EMFILE`, `ENOMEM`.
pub fn merge(a: impl AsFd, b: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let mut argument =
        uapi::MergeData { name: ioctl::name(name)?, fd2: ioctl::named(&b), fence: -1, ..uapi::MergeData::default() };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(a, &uapi::MERGE, &mut argument, Retry::Interrupted) }?;
    // SAFETY: the call made it, close-on-exec, for us.
    unsafe { ioctl::own(argument.fence) }
}

/// Tells the producers when the fences are wanted, so that a clock can be raised in time. A hint without any effect on
/// results (rule C19).
///
/// Call: `SYNC_IOC_SET_DEADLINE`. Permission: any open descriptor. May block: no. Since: 6.4. Retries: none.
/// Errors: `ENOTTY` (older kernel, or not a sync_file).
pub fn set_deadline(fd: impl AsFd, deadline: Monotonic) -> io::Result<()> {
    let mut argument = uapi::SetDeadline { deadline_ns: deadline.0, pad: 0 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::SET_DEADLINE, &mut argument, Retry::Interrupted) }.map(drop)
}

fn head(fd: impl AsFd) -> io::Result<uapi::FileInfo> {
    let mut argument = uapi::FileInfo::default();
    // SAFETY: with num_fences 0 the kernel does not follow the pointer.
    unsafe { ioctl::call(fd, &uapi::FILE_INFO, &mut argument, Retry::Interrupted) }?;
    Ok(argument)
}

fn fence(fence: &uapi::FenceInfo) -> Fence {
    Fence {
        timeline: ioctl::text(&fence.obj_name),
        driver: ioctl::text(&fence.driver_name),
        status: Status::from_kernel(fence.status),
        timestamp: (fence.timestamp_ns != 0).then_some(Monotonic(fence.timestamp_ns)),
    }
}
