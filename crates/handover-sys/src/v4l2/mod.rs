//! V4L2: cameras, video outputs and codecs, which fill and read buffers in queues of their own.
//!
//! A queue of a node has a [`BufferType`] and buffers of one [`Memory`]. V4L2 neither waits for nor adds fences: whoever queues
//! a dma-buf has waited for its fences before, and nobody else may touch it until it is dequeued.
//!
//! Memory of the process's own (`USERPTR`) is left out: a device writing there is nothing that Rust can be told of. So are
//! overlays and everything else whose structs carry addresses.
#![allow(unsafe_code)]

mod control;
mod format;
mod queue;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::ioctl::{self, Retry};
use crate::uapi::v4l2;

pub use control::{
    Control, Input, control, controls, current_input, current_output, inputs, outputs, set_control, set_input,
    set_output,
};
pub use format::{
    Colour, Format, FormatDescription, Interval, PlaneFormat, format, formats, interval, set_format, set_interval,
};
pub use queue::{
    BufferFlags, Dequeued, DmaBufPlane, QueueCaps, Queued, Requested, dequeue, export_buffer, query_buffer,
    queue_dma_buf, queue_dma_buf_planes, queue_mmap, queue_mmap_planes, request_buffers, stream_off, stream_on,
};

/// As many planes as a picture has at most.
pub const MAX_PLANES: usize = v4l2::MAX_PLANES;

/// Which queue of a node (`V4L2_BUF_TYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferType {
    /// The device fills pictures, each in one buffer.
    Capture,
    /// The device reads pictures, each in one buffer.
    Output,
    /// The device fills pictures, a buffer for each plane.
    CaptureMplane,
    /// The device reads pictures, a buffer for each plane.
    OutputMplane,
}

impl BufferType {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Capture => 1,
            Self::Output => 2,
            Self::CaptureMplane => 9,
            Self::OutputMplane => 10,
        }
    }

    /// Whether pictures have a buffer for each plane.
    #[must_use]
    pub fn is_multi_planar(self) -> bool {
        matches!(self, Self::CaptureMplane | Self::OutputMplane)
    }
}

/// Whose memory the buffers of a queue are (`V4L2_MEMORY_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// The device's own, to be mapped or exported.
    Mmap,
    /// dma-bufs from elsewhere, named anew each time one is queued.
    DmaBuf,
}

impl Memory {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Mmap => 1,
            Self::DmaBuf => 4,
        }
    }
}

bitflags::bitflags! {
    /// What a node does (`V4L2_CAP_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Caps: u32 {
        /// [`BufferType::Capture`].
        const CAPTURE = 0x0000_0001;
        /// [`BufferType::Output`].
        const OUTPUT = 0x0000_0002;
        /// [`BufferType::CaptureMplane`].
        const CAPTURE_MPLANE = 0x0000_1000;
        /// [`BufferType::OutputMplane`].
        const OUTPUT_MPLANE = 0x0000_2000;
        /// Both ways, of several planes: a codec or converter.
        const M2M_MPLANE = 0x0000_4000;
        /// Both ways.
        const M2M = 0x0000_8000;
        /// `read` and `write`, which are not used here.
        const READWRITE = 0x0100_0000;
        /// Queues.
        const STREAMING = 0x0400_0000;
    }
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The driver: `vivid`, `uvcvideo`.
    pub driver: String,
    /// The device, for people.
    pub card: String,
    /// Where it sits: `platform:vivid-000`.
    pub bus: String,
    /// What this node does. Bits unknown to [`Caps`] are kept.
    pub caps: Caps,
}

/// The nodes `/dev/video*` in the order of their numbers, whether they can be opened or not.
///
/// Call: a listing of `/dev`. Permission: none. May block: no. Retries: none.
pub fn nodes() -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/dev")? {
        let name = entry?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix("video")).and_then(|number| number.parse::<u32>().ok());
        if let Some(number) = number {
            found.push((number, Path::new("/dev").join(&name)));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Opens a node for reading and writing, non-blocking, as [`dequeue`] wants it.
///
/// Call: `open`. Permission: the node's, often group `video`. May block: no; some drivers wake the device. Retries: none.
/// Errors: `ENOENT`, `EACCES`, `ENODEV` (unplugged), `EBUSY` (drivers of one user).
pub fn open(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let path = path.as_ref();
    Ok(rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?)
}

/// What the node is.
///
/// Call: `VIDIOC_QUERYCAP`. Permission: none besides the node's. May block: no. Retries: none. Errors: `ENOTTY` (not a V4L2 node).
pub fn query_capability(fd: impl AsFd) -> io::Result<Capability> {
    let mut capability = v4l2::Capability::default();
    // SAFETY: `struct v4l2_capability` holds no address.
    unsafe { ioctl::call(fd, &v4l2::QUERYCAP, &mut capability, Retry::Interrupted) }?;
    Ok(Capability {
        driver: ioctl::text(&capability.driver),
        card: ioctl::text(&capability.card),
        bus: ioctl::text(&capability.bus_info),
        caps: Caps::from_bits_retain(capability.device_caps),
    })
}
