//! Import: a received handle is an allegation; what passes every check here becomes a surface.
//!
//! First what cannot block on anything a stranger may send (the seals of a memfd), only then sizes, mappings, contents.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use handover_model::{Access, ExportFlags, Metadata, ReadOnly, Stage};
use handover_sys::memfd::{self, Seals};

use crate::backend::software::memory::{self, Memory};
use crate::backend::software::pool::Pool;
use crate::device::Device;
use crate::error::{Error, Kind, Result};
use crate::handle::Handle;
use crate::surface::{Inner, Side, Surface};

/// Checks a handle and makes it a surface of this process, read and written by the rules of `device`.
///
/// # Errors
/// [`Kind::Malformed`], [`Kind::Spoiled`]: the handle is not what it says. [`Kind::Unsupported`]: this device cannot decode
/// the producer's layout, or the versions differ. [`Kind::Full`]: the pool has no place for another participant.
pub fn import(handle: Handle, device: Device) -> Result<Surface> {
    let Handle { message, pixels, control } = handle;
    let refused = |found: String, why: &'static str| {
        Err(Error::new(Stage::Import, Kind::Malformed)
            .asked(format!("surface {} of {}", message.index, message.surfaces))
            .found(found)
            .why(why))
    };
    if message.index >= message.surfaces {
        return refused(format!("index {}", message.index), "the pool has no such surface");
    }
    let may_write = message.access.contains(ExportFlags::WRITE);
    if !may_write && message.read_only == ReadOnly::Sealed && !is_sealed(pixels.as_fd()) {
        return refused("pixels that anybody may still write".into(), "the handle says they are sealed");
    }
    let access = if may_write { Access::Write } else { Access::Read };
    let memory = Memory::import(pixels, message.layout.size(), access)?;
    let pool = Pool::join(control, message.surfaces)?;
    if pool.identity().inode != message.pool {
        return refused(format!("pool {}", pool.identity().inode), "the message belongs to another control file");
    }
    // The generation first: metadata that changes after it is read is then noticed at the next acquire.
    let content_generation = pool.reservation().content_generation(message.index);
    let metadata = pool.metadata(message.index).map_err(|trouble| trouble.at(Stage::Import))?;
    let codec = device.decoder(&message.layout, &metadata)?;
    Ok(Surface(Arc::new(Inner {
        pool,
        index: message.index,
        layout: message.layout,
        cells: message.cells,
        memory,
        device,
        codec,
        content_generation: AtomicU64::new(content_generation),
        side: Side::Consumer { read_only: message.read_only, may_write },
    })))
}

/// The metadata of pixels of which only the descriptor arrived, through a carrier that knows nothing of handover. `None`:
/// they are not ours, or their producer never said.
pub fn metadata_of(pixels: BorrowedFd<'_>) -> Result<Option<Metadata>> {
    memory::read_trailer(pixels)
}

fn is_sealed(pixels: BorrowedFd<'_>) -> bool {
    memfd::seals(pixels).is_ok_and(|seals| seals.contains(Seals::FUTURE_WRITE | Seals::SHRINK))
}
