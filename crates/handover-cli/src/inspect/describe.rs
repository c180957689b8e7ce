//! What a buffer's producer wrote behind its pixels, read through a descriptor of another process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use handover::{Block, Device, Extent, Format, Fourcc, Metadata, import};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
use serde::Serialize;

use super::{Key, Kind};

/// What the producer said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The producer's device.
    pub device: &'static str,
    /// Its PCI vendor and device.
    pub id: Option<String>,
    /// Version of its metadata.
    pub version: Option<u16>,
    /// Format and size of the picture, where the device writes them.
    pub picture: Option<Picture>,
    /// The tiling word, whose meaning the device defines.
    pub word: u64,
    /// Bytes of the block.
    pub block_bytes: usize,
}

/// The content of a surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// The format.
    pub format: String,
    /// Width and height in pixels.
    pub extent: (u32, u32),
    /// Has it a compression plane?
    pub compressed: bool,
}

impl From<&Metadata> for Description {
    fn from(metadata: &Metadata) -> Self {
        let header = metadata.block.header();
        Self {
            device: header.map_or("an unknown device", |header| header.device_name()),
            id: header.map(|header| format!("{:04x}:{:04x}", header.vendor_id, header.pci_id)),
            version: header.map(|header| header.version),
            picture: picture(&metadata.block),
            word: metadata.word.0,
            block_bytes: metadata.block.len(),
        }
    }
}

/// What a block of the simulated device `blocks` says: header, width, height, format, offset of the compression plane. A block
/// of anybody else says nothing here.
fn picture(block: &Block) -> Option<Picture> {
    if block.header() != Device::BLOCKS.header() {
        return None;
    }
    let (extent, format) = (Extent::new(block.dword(2)?, block.dword(3)?).ok()?, Fourcc(block.dword(4)?));
    Some(Picture {
        format: Format::from_fourcc(format)?.to_string(),
        extent: (extent.width().get(), extent.height().get()),
        compressed: block.dword(5)? != 0,
    })
}

/// Can there be metadata of ours behind it? Only what lies in pages of the system is asked: to map a stranger's video memory
/// can move it, and looking must change nothing.
pub(super) fn can_have(key: Key, exporter: Option<&str>) -> bool {
    match key.kind {
        Kind::Pixels => true,
        Kind::Control => false,
        Kind::DmaBuf => matches!(exporter, Some("udmabuf" | "system")),
    }
}

/// `Ok(None)`: it has no metadata of ours, or is gone.
///
/// # Errors
/// The process may be seen, but its descriptors not be used.
pub(super) fn describe(pid: u32, descriptor: i32, key: Key) -> io::Result<Option<Description>> {
    let Some(duplicate) = duplicate(pid, descriptor, key)? else { return Ok(None) };
    // A block that changes all the time, or cannot be mapped, says nothing.
    Ok(import::metadata_of(duplicate.as_fd()).ok().flatten().as_ref().map(Description::from))
}

/// The same file as descriptor `descriptor` of `pid`; `None` if that leads elsewhere by now.
fn duplicate(pid: u32, descriptor: i32, key: Key) -> io::Result<Option<OwnedFd>> {
    let fetched = Pid::from_raw(pid.cast_signed()).ok_or(Errno::SRCH).and_then(|pid| {
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        rustix::process::pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty())
    });
    match fetched {
        Ok(file) => Ok(is(&file, key).then_some(file)),
        Err(Errno::SRCH | Errno::BADF) => Ok(None),
        // To fetch takes the right to attach a debugger, to open only the right to look: Yama tells them apart. A dma-buf
        // cannot be opened by name.
        Err(_) if key.kind == Kind::Pixels => reopen(pid, descriptor, key),
        Err(error) => Err(error.into()),
    }
}

/// Looks before it opens: the number may lead to a device by now, which notices an open.
fn reopen(pid: u32, descriptor: i32, key: Key) -> io::Result<Option<OwnedFd>> {
    let path = format!("/proc/{pid}/fd/{descriptor}");
    let place = match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
        place => place?,
    };
    if !is(&place, key) {
        return Ok(None);
    }
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place));
    Ok(Some(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))
}

fn is(file: &OwnedFd, key: Key) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| stat.st_ino == key.inode)
}
