//! DRM nodes: what they are and can do, the handles that live in one open file, and the calls on them.
//!
//! Every function takes the open file of a node; those of one driver ([`amdgpu`], [`vgem`]) take a witness that it is of that driver,
//! since the same number is another call elsewhere. A handle ([`Gem`], [`Syncobj`]) is a number valid in that open file only, not
//! in another one of the same node; the functions cannot tell, so whoever holds both keeps them together.
//! [`is_same_file`] says whether two descriptors are one open file.
//!
//! Nearly all requests are repeated on `EINTR` and `EAGAIN`, as libdrm does; where that is not so, the card says it.
#![allow(unsafe_code)]

pub mod prime;
pub mod syncobj;
pub mod vgem;

pub mod amdgpu;
mod driver;
pub mod dumb;
pub mod mode;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::file;
use crate::ioctl::{self, Retry};
use crate::uapi::drm as uapi;

const FOLDER: &str = "/dev/dri";

/// A GEM buffer object in one open DRM file. Not closed by itself: [`prime::close`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gem(pub u32);

/// A synchronisation object in one open DRM file. Not destroyed by itself: [`syncobj::destroy`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Syncobj(pub u32);

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `card*`: everything, with mode setting for the one who is master.
    Card,
    /// `renderD*`: rendering and sharing, for whoever may open it.
    Render,
}

/// A node of `/dev/dri`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it is.
    pub path: PathBuf,
    /// What it is for.
    pub kind: Kind,
    /// The minor device number.
    pub minor: u32,
}

/// The driver behind a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Raised when the driver breaks its users.
    pub major: i32,
    /// Raised when the driver can do more.
    pub minor: i32,
    /// Raised for anything else.
    pub patch: i32,
    /// `amdgpu`, `i915`, `virtio_gpu`, `vgem`.
    pub name: String,
    /// For people.
    pub description: String,
}

/// What a driver can be asked about (`DRM_CAP_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
#[non_exhaustive]
pub enum Cap {
    /// Makes dumb buffers. 1 or 0, as are all without a remark.
    DumbBuffer = 0x1,
    /// The depth to give dumb buffers, in bits a pixel.
    DumbPreferredDepth = 0x3,
    /// Reading from a dumb buffer is slow: draw elsewhere and copy.
    DumbPreferShadow = 0x4,
    /// Bit 0: imports dma-bufs. Bit 1: exports them.
    Prime = 0x5,
    /// Time stamps are of `CLOCK_MONOTONIC`.
    TimestampMonotonic = 0x6,
    /// Flips in the middle of a frame, by the legacy call.
    AsyncPageFlip = 0x7,
    /// Pixels, the width of a cursor that works.
    CursorWidth = 0x8,
    /// Pixels, the height of a cursor that works.
    CursorHeight = 0x9,
    /// Framebuffers take modifiers.
    Addfb2Modifiers = 0x10,
    /// Flip events say which CRTC they are of.
    CrtcInVblankEvent = 0x12,
    /// Has synchronisation objects: [`syncobj`].
    Syncobj = 0x13,
    /// They can be timelines.
    SyncobjTimeline = 0x14,
    /// Flips in the middle of a frame, by atomic commits.
    AtomicAsyncPageFlip = 0x15,
}

/// What a program can tell a driver that it understands (`DRM_CLIENT_CAP_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
#[non_exhaustive]
pub enum ClientCap {
    /// Primary and cursor planes are listed too.
    UniversalPlanes = 2,
    /// Atomic commits and their properties. Implies [`ClientCap::UniversalPlanes`].
    Atomic = 3,
    /// Aspect ratios in modes.
    AspectRatio = 4,
    /// Connectors that write into buffers. After [`ClientCap::Atomic`].
    WritebackConnectors = 5,
}

/// The nodes of this machine, cards first, each kind in order of its minors; none where there is no DRM.
///
/// Call: a listing of `/dev/dri` and a `stat` of each entry. Permission: none. May block: no. Retries: none.
pub fn nodes() -> io::Result<Vec<Node>> {
    let folder = match std::fs::read_dir(FOLDER) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut nodes = Vec::new();
    for entry in folder {
        let path = entry?.path();
        let Some(kind) = path.file_name().and_then(|name| name.to_str()).and_then(kind_of) else { continue };
        // A device may be unplugged between the listing and this.
        let Ok(found) = path.metadata() else { continue };
        if found.file_type().is_char_device() {
            nodes.push(Node { path, kind, minor: rustix::fs::minor(found.rdev()) });
        }
    }
    nodes.sort_by_key(|node| (node.kind, node.minor));
    Ok(nodes)
}

fn kind_of(name: &str) -> Option<Kind> {
    // `card0-HDMI-A-1` is not here but below /sys; anything with more than a number is none of ours.
    let (kind, number) = match name.strip_prefix("card") {
        Some(number) => (Kind::Card, number),
        None => (Kind::Render, name.strip_prefix("renderD")?),
    };
    number.parse::<u32>().is_ok().then_some(kind)
}

/// Opens a node.
///
/// Who opens a card that has no master becomes its master, and keeps a display server that starts later from its screens.
///
/// Call: `open(O_RDWR | O_CLOEXEC)`. Permission: that of the node. May block: while the device wakes up. Retries: none.
/// Errors: `ENOENT`, `EACCES`, `EMFILE`, `ENODEV` (unplugged).
pub fn open(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let path = path.as_ref();
    Ok(rustix::io::retry_on_intr(|| rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()))?)
}

/// The driver behind a node. A name is cut at 63 bytes, a description at 127.
///
/// Call: `DRM_IOCTL_VERSION`. Permission: the open node, of either kind. May block: no. Retries: none.
/// Errors: `ENOTTY` (not a DRM node).
pub fn version(fd: impl AsFd) -> io::Result<Version> {
    let (mut name, mut description) = ([0u8; 64], [0u8; 128]);
    let (name_len, desc_len) = (name.len() - 1, description.len() - 1);
    let mut argument = uapi::Version {
        name_len,
        name: name.as_mut_ptr().expose_provenance(),
        desc_len,
        desc: description.as_mut_ptr().expose_provenance(),
        ..uapi::Version::default()
    };
    // SAFETY: name and desc are addresses of arrays at least as long as said; the date has no room, and is not written.
    unsafe { ioctl::call(fd, &uapi::VERSION, &mut argument, Retry::Drm) }?;
    Ok(Version {
        major: argument.version_major,
        minor: argument.version_minor,
        patch: argument.version_patchlevel,
        name: ioctl::text(&name),
        description: ioctl::text(&description),
    })
}

/// What the driver says to `cap`. What it does not know counts as 0 nowhere: that is an error.
///
/// Call: `DRM_IOCTL_GET_CAP`. Permission: the open node, of either kind. May block: no. Retries: none. Errors: `EINVAL`
/// (not known to this kernel), `EOPNOTSUPP` (about mode setting, and the driver has none), `ENOTTY` (not a DRM node).
pub fn capability(fd: impl AsFd, cap: Cap) -> io::Result<u64> {
    let mut argument = uapi::GetCap { capability: cap as u64, value: 0 };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::GET_CAP, &mut argument, Retry::Drm) }?;
    Ok(argument.value)
}

/// Tells the driver, for this open file, that the program understands `cap` (1) or does not (0).
///
/// Call: `DRM_IOCTL_SET_CLIENT_CAP`. Permission: the open card. May block: no. Retries: none. Errors: `EINVAL` (not known to
/// this kernel, or a value other than 0 and 1), `EOPNOTSUPP` (the driver cannot; a render node), `ENOTTY`.
pub fn set_client_capability(fd: impl AsFd, cap: ClientCap, value: u64) -> io::Result<()> {
    let mut argument = uapi::SetClientCap { capability: cap as u64, value };
    // SAFETY: the struct has no pointer.
    unsafe { ioctl::call(fd, &uapi::SET_CLIENT_CAP, &mut argument, Retry::Drm) }.map(drop)
}

/// Whether the handles of one descriptor are valid in the other: whether both are one open file.
///
/// Call, permission, blocking, since, errors: as [`file::is_same_description`].
pub fn is_same_file(a: impl AsFd, b: impl AsFd) -> io::Result<bool> {
    file::is_same_description(a, b)
}
