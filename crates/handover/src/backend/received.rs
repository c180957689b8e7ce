//! What a received descriptor is: found out by tests that cannot block on anything a stranger can send.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;

use handover_model::{Result, Stage};
use handover_sys::memfd::{self, Seals};
use handover_sys::{dma_buf, file};

use super::memory::MemoryKind;
use crate::error::{Error, Kind, os};

/// What a received descriptor is, by tests that cannot block on anything a stranger can send.
pub(crate) fn kind(stage: Stage, file: BorrowedFd<'_>) -> Result<MemoryKind> {
    // All dma-bufs live in one file system of the kernel's own, and nothing else does. Which one, the first of them tells that
    // was found out the long way, at four times the price.
    static DMA_BUFS: OnceLock<u64> = OnceLock::new();
    let device = file::device(file).ok();
    if device.is_some() && device == DMA_BUFS.get().copied() {
        return Ok(MemoryKind::DmaBuf);
    }
    if memfd::seals(file).is_ok() {
        return Ok(MemoryKind::Memfd);
    }
    // Without /proc, or a descriptor to read it by, it may still be one: no reason to call it something else.
    if dma_buf::is_dma_buf(file).map_err(os(stage, "look in /proc what a descriptor is"))? {
        if let Some(device) = device {
            DMA_BUFS.get_or_init(|| device);
        }
        return Ok(MemoryKind::DmaBuf);
    }
    let found = file::link_text(file).map_err(os(stage, "look in /proc what a descriptor is"))?;
    Err(Error::new(stage, Kind::Malformed)
        .asked("a memfd or a dma-buf")
        .found(found)
        .why("pixels live in one of these two")
        .help("send the descriptors of the handle in their order: pixels, then control file"))
}

/// The seals of a memfd of ordinary pages, or why it is none. Cannot block on anything a stranger can send.
///
/// A memfd of huge pages has seals as well, and lives in another file system. A page of it that some holder punched out may
/// not come back, and whoever touches it then gets SIGBUS: no seal helps against that.
pub(crate) fn seals(stage: Stage, file: BorrowedFd<'_>) -> Result<Seals> {
    static OURS: OnceLock<u64> = OnceLock::new();
    let seals = memfd::seals(file).map_err(|error| {
        os(stage, "read the seals of a memfd")(error).why("a memfd is wanted here, and this is none")
    })?;
    let device = |file: BorrowedFd<'_>| {
        file::identity(file).map(|identity| identity.device).map_err(os(stage, "read the identity of a memfd"))
    };
    let ours = match OURS.get() {
        Some(ours) => *ours,
        None => {
            let file = memfd::create("handover-probe", 0).map_err(os(stage, "make a memfd to compare with"))?;
            let ours = device(file.as_fd())?;
            *OURS.get_or_init(|| ours)
        }
    };
    if device(file)? == ours {
        return Ok(seals);
    }
    Err(Error::new(stage, Kind::Malformed)
        .asked("a memfd of ordinary pages")
        .found("a sealed file of another file system")
        .why("pages of it can vanish under us, as huge pages do"))
}
