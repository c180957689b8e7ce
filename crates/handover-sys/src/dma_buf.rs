//! dma-bufs: what they are, the CPU bracket, and the fences in their reservation.
//!
//! Source: `drivers/dma-buf/dma-buf.c` and `Documentation/driver-api/dma-buf.rst` of the kernel.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::file;
use crate::ioctl::{self, Retry};
use crate::uapi::dma_buf as uapi;

bitflags::bitflags! {
    /// What an access does. Which fences it meets follows: readers wait for writers, writers for everybody.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Direction: u32 {
        /// It reads.
        const READ = uapi::SYNC_READ;
        /// It writes.
        const WRITE = uapi::SYNC_WRITE;
    }
}

/// What `/proc` tells about one dma-buf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The inode, as in [`file::Identity`]: names the buffer and its reservation.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// References to the file: descriptors, mappings, imports, armed polls. The question itself is not counted.
    pub count: u64,
    /// Who made it: `udmabuf`, `drm`, `system`.
    pub exporter: String,
    /// What [`set_name`] gave it. Whoever holds the buffer can write this.
    pub name: Option<String>,
}

/// Whether `fd` is a dma-buf, asked in a way that no descriptor of a stranger can make wait.
///
/// The link text alone would do for honest senders. A file of that name at the root of a sender's own mount namespace has
/// the same text, so what looks like a dma-buf must have the exporter in its fdinfo as well.
///
/// Call: `readlink("/proc/self/fd/N")`, then a read of `/proc/self/fdinfo/N`. Permission: any open descriptor.
/// May block: no. Since: 5.3. Retries: none. Errors: `ENOENT` (no /proc), `EMFILE`.
///
/// ```
/// let plain = handover_sys::memfd::create("plain", 4096)?;
/// assert!(!handover_sys::dma_buf::is_dma_buf(&plain)?);
/// # std::io::Result::Ok(())
/// ```
pub fn is_dma_buf(fd: impl AsFd) -> io::Result<bool> {
    let fd = fd.as_fd();
    if !file::link_text(fd)?.starts_with("/dmabuf:") {
        return Ok(false);
    }
    Ok(fdinfo(fd)?.lines().any(|line| line.starts_with("exp_name:")))
}

/// The size in bytes.
///
/// Never by `lseek`, which a dma-buf would answer as well: on the memfd of a stranger who says it is a dma-buf, that moves
/// an offset which others share.
///
/// Call: `fstat`. Permission: any open descriptor. May block: no on a dma-buf. Since: 5.3. Retries: none.
pub fn size(fd: impl AsFd) -> io::Result<u64> {
    file::size(fd)
}

/// Begins an access by the CPU: waits for the implicit fences that `direction` meets, then makes caches coherent.
///
/// Adds no fence: it keeps neither a second writer nor a job submitted later away.
///
/// Call: `DMA_BUF_IOCTL_SYNC(START)`. Permission: any open descriptor. May block: for ever, on fences that do not end;
/// whoever has a deadline polls first. Since: 4.6. Retries: `EINTR` and `EAGAIN` are the caller's, who has the deadline
/// to look at; the bracket has not begun. Errors: `EINVAL` (no direction), `ENOTTY` (not a dma-buf).
pub fn sync_start(fd: impl AsFd, direction: Direction) -> io::Result<()> {
    sync(fd, uapi::SYNC_START | direction.bits(), Retry::Never)
}

/// Ends an access by the CPU that [`sync_start`] began with the same `direction`.
///
/// Call: `DMA_BUF_IOCTL_SYNC(END)`. Permission: any open descriptor. May block: never on fences. Since: 4.6.
/// Retries: none; an interrupted end is repeated here, since nobody could go on with half a bracket. Errors: `EINVAL`
/// (no direction; udmabuf: no start before), `ENOTTY` (not a dma-buf).
pub fn sync_end(fd: impl AsFd, direction: Direction) -> io::Result<()> {
    sync(fd, uapi::SYNC_END | direction.bits(), Retry::Drm)
}

fn sync(fd: impl AsFd, flags: u32, retry: Retry) -> io::Result<()> {
    let mut argument = uapi::Sync { flags: u64::from(flags) };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::SYNC, &mut argument, retry) }.map(drop)
}

/// Names the buffer, for people who look at `/proc`. The last name wins, and any holder may give one.
///
/// Call: `DMA_BUF_SET_NAME_B`. Permission: any open descriptor. May block: no. Since: 5.3. Retries: none.
/// Errors: `EINVAL` (over 31 bytes, a NUL), `ENOTTY` (not a dma-buf).
pub fn set_name(fd: impl AsFd, name: &str) -> io::Result<()> {
    let mut argument = ioctl::name(name)?;
    // SAFETY: the argument is the text itself, which ends with a NUL inside the array.
    unsafe { ioctl::call(fd, &uapi::SET_NAME_B, &mut argument, Retry::Interrupted) }.map(drop)
}

/// What an access in `direction` must wait for now, as a sync_file: a snapshot that later fences do not join.
///
/// An idle buffer gives a sync_file that is signalled. Export, submission and import are three steps and nothing makes
/// them one: whoever submits between them keeps others out.
///
/// Call: `DMA_BUF_IOCTL_EXPORT_SYNC_FILE`. Permission: any open descriptor. May block: no. Since: 6.0, with
/// `CONFIG_SYNC_FILE`. Retries: none. Errors: `EINVAL` (no direction), `ENOTTY` (older kernel, or not a dma-buf),
/// `EMFILE`, `ENOMEM`.
pub fn export_sync_file(fd: impl AsFd, direction: Direction) -> io::Result<OwnedFd> {
    let mut argument = uapi::ExportSyncFile { flags: direction.bits(), fd: -1 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::EXPORT_SYNC_FILE, &mut argument, Retry::Interrupted) }?;
    // SAFETY: the call made it, close-on-exec, for us.
    unsafe { ioctl::own(argument.fd) }
}

/// Adds the fences of `sync_file` to the buffer, each as a writer's where `direction` has WRITE, as a reader's otherwise.
///
/// Never refused for a conflict, and fences that have ended add nothing. The sync_file stays the caller's. Fences that are
/// there already are raised from READ to WRITE and never lowered.
///
/// Call: `DMA_BUF_IOCTL_IMPORT_SYNC_FILE`. Permission: any open descriptor. May block: no. Since: 6.0, with
/// `CONFIG_SYNC_FILE`. Retries: none. Errors: `EINVAL` (no direction, not a sync_file), `ENOTTY` (older kernel, or not a
/// dma-buf), `ENOMEM` (nothing was added).
pub fn import_sync_file(fd: impl AsFd, direction: Direction, sync_file: impl AsFd) -> io::Result<()> {
    let mut argument = uapi::ImportSyncFile { flags: direction.bits(), fd: ioctl::named(&sync_file) };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::IMPORT_SYNC_FILE, &mut argument, Retry::Interrupted) }.map(drop)
}

/// Whether an access in `direction` has nothing to wait for.
///
/// Asking a busy buffer arms a callback that pins it until the fence ends (rule C47). A second poller of the same direction
/// is told "not ready" until then, even if that fence ended for its purposes; [`export_sync_file`] and
/// [`status`](crate::sync_file::status) pin nothing.
///
/// Call: `ppoll` with time-out 0. Permission: any open descriptor. May block: no. Since: 3.17. Retries: none.
/// Errors: `EINVAL` (no direction), `EIO` (the descriptor reports an error).
pub fn is_idle(fd: impl AsFd, direction: Direction) -> io::Result<bool> {
    let wanted = if direction.contains(Direction::WRITE) {
        PollFlags::OUT
    } else if direction.contains(Direction::READ) {
        PollFlags::IN
    } else {
        return Err(Errno::INVAL.into());
    };
    let mut table = [PollFd::new(&fd, wanted)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut table, Some(&now)))?;
    let [entry] = &table;
    if entry.revents().intersects(PollFlags::ERR | PollFlags::NVAL) {
        return Err(Errno::IO.into());
    }
    Ok(entry.revents().contains(wanted))
}

/// What `/proc` tells about the buffer behind `fd`.
///
/// Call: a read of `/proc/self/fdinfo/N`. Permission: any open descriptor. May block: no. Since: 5.14. Retries: none.
/// Errors: `EINVAL` (not a dma-buf), `ENOENT` (no /proc), `EMFILE`.
pub fn info(fd: impl AsFd) -> io::Result<Info> {
    parse_fdinfo(&fdinfo(fd.as_fd())?).ok_or_else(|| Errno::INVAL.into())
}

/// Reads what `/proc/PID/fdinfo/N` says of a dma-buf; `None` for any other file, and before Linux 5.14 (no inode).
///
/// The name comes last and may hold line ends: all behind it is name, so nobody can name lines into existence.
///
/// ```
/// use handover_sys::dma_buf::parse_fdinfo;
/// let text = "pos:\t0\nflags:\t02000002\nmnt_id:\t12\nino:\t7\nsize:\t4096\ncount:\t4\nexp_name:\tdrm\nname:\tcamera\n";
/// let info = parse_fdinfo(text).expect("a dma-buf");
/// assert_eq!((info.inode, info.size, info.exporter.as_str()), (7, 4096, "drm"));
/// assert_eq!(info.name.as_deref(), Some("camera"));
/// assert_eq!(parse_fdinfo("pos:\t0\nflags:\t02\nmnt_id:\t12\nino:\t7\n"), None);
/// ```
#[must_use]
pub fn parse_fdinfo(text: &str) -> Option<Info> {
    let (mut inode, mut size, mut count, mut exporter, mut name) = (None, None, None, None, None);
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(text) = rest.strip_prefix("name:\t") {
            name = Some(text.strip_suffix('\n').unwrap_or(text).to_owned());
            break;
        }
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        match line.split_once(":\t") {
            Some(("ino", value)) => inode = value.parse().ok(),
            Some(("size", value)) => size = value.parse().ok(),
            Some(("count", value)) => count = value.parse().ok(),
            Some(("exp_name", value)) => exporter = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(Info { inode: inode?, size: size?, count: count?, exporter: exporter?, name })
}

fn fdinfo(fd: BorrowedFd<'_>) -> io::Result<String> {
    // The name in it is whatever a holder wrote, and need not be UTF-8.
    let bytes = std::fs::read(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
