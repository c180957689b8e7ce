//! Import: a received handle is an allegation; what passes every check here becomes a surface.
//!
//! First what cannot block on anything a stranger may send (the seals of a memfd), only then sizes, mappings, contents.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use handover_model::{Access, ExportFlags, Metadata, ReadOnly, Stage};
use handover_sys::file;
use handover_sys::memfd::{self, Seals};

use crate::backend::software::memory::Memory;
use crate::backend::software::pool::Pool;
use crate::backend::software::trailer;
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
    if !may_write && message.read_only == ReadOnly::Descriptor && file::is_writable(&pixels).unwrap_or(true) {
        return refused("a descriptor that can be written through".into(), "the handle says it was opened read-only");
    }
    let access = if may_write { Access::Write } else { Access::Read };
    let memory = Memory::import(pixels, message.layout.size(), access)?;
    if memory.capacity() < message.memory {
        return refused(format!("{}", memory.capacity()), "the handle says there is more");
    }
    let pool = Pool::join(control, message.surfaces)?;
    if pool.identity().inode != message.pool {
        return refused(format!("pool {}", pool.identity().inode), "the message belongs to another control file");
    }
    // The generation first: metadata that changes after it is read is then noticed at the next acquire.
    let content_generation = pool.reservation().content_generation(message.index);
    let metadata = pool.metadata(message.index).map_err(|trouble| trouble.at(Stage::Import))?;
    let (codec, layout) = device.decoder(&message.layout, &metadata)?;
    Ok(Surface(Arc::new(Inner {
        pool,
        index: message.index,
        layout,
        cells: message.cells,
        memory,
        device,
        codec,
        side: Side::Consumer {
            read_only: message.read_only,
            may_write,
            content_generation: AtomicU64::new(content_generation),
        },
    })))
}

/// Looks again at what the producer wrote, after an acquire answered [`Kind::LayoutChanged`]. Views of leases that are out
/// stay valid: the producer changes the content only when nobody uses it.
///
/// # Errors
/// [`Kind::Unsupported`]: what the producer writes now cannot be decoded here. Nothing to do for the producer itself.
pub fn refresh(surface: &Surface) -> Result<()> {
    let Side::Consumer { content_generation, .. } = &surface.0.side else { return Ok(()) };
    let now = surface.0.pool.reservation().content_generation(surface.0.index);
    let (codec, _) = surface.0.device.decoder(&surface.0.layout, &surface.metadata()?)?;
    surface.0.codec.adopt(&codec);
    content_generation.store(now, Ordering::Release);
    Ok(())
}

/// The metadata of pixels of which only the descriptor arrived, through a carrier that knows nothing of handover. `None`:
/// they are not ours, or their producer never said.
pub fn metadata_of(pixels: BorrowedFd<'_>) -> Result<Option<Metadata>> {
    trailer::read(pixels)
}

fn is_sealed(pixels: BorrowedFd<'_>) -> bool {
    memfd::seals(pixels).is_ok_and(|seals| seals.contains(Seals::FUTURE_WRITE | Seals::SHRINK))
}
