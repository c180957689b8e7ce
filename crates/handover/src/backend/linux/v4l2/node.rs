//! Nodes: which there are, which way they go, and what keeps them from being used.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use handover_model::{Access, Stage};
use handover_sys::poll::Interest;
use handover_sys::v4l2::{self, BufferType, Caps};

use crate::error::{Error, Kind, Result, os};

/// Which way pixels go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The device fills surfaces: a camera, a grabber.
    Capture,
    /// The device reads surfaces: a video output.
    Output,
}

impl Direction {
    pub(super) const fn access(self) -> Access {
        match self {
            Self::Capture => Access::Write,
            Self::Output => Access::Read,
        }
    }

    /// What a poll on the node says when a buffer is done.
    pub(super) const fn interest(self) -> Interest {
        match self {
            Self::Capture => Interest::READ,
            Self::Output => Interest::WRITE,
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Capture => "video capture",
            Self::Output => "video output",
        }
    }
}

/// The nodes of this machine that have a queue which goes this way, in the order of their numbers. Whether it takes dma-bufs is found
/// by [`VideoQueue::set_layout`](super::VideoQueue::set_layout).
///
/// # Errors
/// [`Kind::Unsupported`]: there is none; the error tells what there is, and what keeps nodes from being opened.
pub fn nodes(direction: Direction) -> Result<Vec<PathBuf>> {
    let all = v4l2::nodes().map_err(os(Stage::Negotiate, "list the video nodes"))?;
    let mut found = Vec::new();
    let mut others = Vec::new();
    for path in all {
        match open(&path).and_then(|(file, ..)| queue_kind(&file, &path, direction)) {
            Ok(_) => found.push(path),
            Err(error) => others.push(error.to_string()),
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let others = if others.is_empty() { "no video node at all".into() } else { others.join("; ") };
    Err(Error::new(Stage::Negotiate, Kind::Unsupported)
        .asked(format!("a node for {}", direction.words()))
        .found(others)
        .help(
            "plug in a device, or `modprobe vivid` for a virtual one; membership in the group `video` opens the nodes",
        ))
}

pub(super) fn open(path: &Path) -> Result<(OwnedFd, v4l2::Capability)> {
    let file = v4l2::open(path).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "membership in the group `video`",
            _ => "a driver for the device; `modprobe vivid` makes a virtual one",
        };
        os(Stage::Negotiate, format!("open {}", path.display()))(error).help(help)
    })?;
    let capability =
        v4l2::query_capability(&file).map_err(os(Stage::Negotiate, format!("ask {} what it is", path.display())))?;
    Ok((file, capability))
}

/// The queue of this direction, if the node has one.
pub(super) fn queue_kind(file: &OwnedFd, path: &Path, direction: Direction) -> Result<BufferType> {
    let capability = v4l2::query_capability(file).map_err(os(Stage::Negotiate, "ask a video node what it is"))?;
    let refused = |why: &'static str| {
        Err(Error::new(Stage::Negotiate, Kind::Unsupported)
            .asked(format!("{} with {}", direction.words(), path.display()))
            .found(format!("{} ({})", capability.card, capability.driver))
            .why(why))
    };
    let (single, multiple) = match direction {
        Direction::Capture => ((Caps::CAPTURE, BufferType::Capture), (Caps::CAPTURE_MPLANE, BufferType::CaptureMplane)),
        Direction::Output => ((Caps::OUTPUT, BufferType::Output), (Caps::OUTPUT_MPLANE, BufferType::OutputMplane)),
    };
    let kind = [single, multiple].into_iter().find(|(cap, _)| capability.caps.contains(*cap)).map(|(_, kind)| kind);
    match kind {
        None => refused("it does not go that way"),
        Some(_) if !capability.caps.contains(Caps::STREAMING) => refused("it has no queues"),
        Some(kind) => Ok(kind),
    }
}
