//! Export: a surface and flags become a handle and a decision about compression. The flags are all the producer learns.

use handover_model::export::decide;
use handover_model::wire::SurfaceMessage;
use handover_model::{Decision, ExportFlags, ReadOnly, Region, Stage, Usage};
use handover_sys::file::{self, Reopen};

use crate::acquire::line_up;
use crate::backend::software::sealing::Sealing;
use crate::deadline::Deadline;
use crate::device::Codec;
use crate::error::{Error, Kind, Result, os};
use crate::handle::Handle;
use crate::lease::Part;
use crate::surface::{Exports, Side, Surface, lock};

/// A handle to send, and what the producer decided.
#[derive(Debug)]
pub struct Exported {
    /// To be carried to the consumer.
    pub handle: Handle,
    /// Kept or dropped, why, and who resolves.
    pub decision: Decision,
}

/// Makes a handle for a consumer that will do what `flags` say.
///
/// An export that drops compression rewrites the content: it waits for everybody who uses the surface, not beyond
/// `deadline`, and makes earlier imports answer [`Kind::LayoutChanged`]. Every other export waits for nobody.
///
/// # Errors
/// [`Kind::Invalid`] for neither READ nor WRITE, or on an imported surface; [`Kind::Sealed`] and
/// [`Kind::WritersPending`] by the surface's [`Writers`](crate::Writers); [`Kind::Timeout`].
pub fn export(surface: &Surface, flags: ExportFlags, deadline: Deadline) -> Result<Exported> {
    let writes = flags.contains(ExportFlags::WRITE);
    // Whatever can refuse comes before the rewrite, which cannot be taken back.
    let (handle, decision) = {
        let mut exports = producer(surface, "an export of")?;
        let (_, decision) = decide(exports.state, flags)?;
        let handle = make_handle(surface, flags, &exports.sealing)?;
        exports.sealing.admit(writes)?;
        (handle, decision)
    };
    if let Err(error) = rewrite(surface, decision, deadline) {
        producer(surface, "an export of")?.sealing.take_back(writes);
        return Err(error);
    }
    let mut exports = producer(surface, "an export of")?;
    // Once more: another thread may have exported meanwhile. Rewriting twice changes nothing.
    let (state, now) = decide(exports.state, flags)?;
    exports.state = state;
    if let Codec::Blocks(codec) = &surface.0.codec {
        codec.set_resolve(now.resolve);
    }
    Ok(Exported { handle, decision: Decision { changed: decision.changed, resolve_now: decision.resolve_now, ..now } })
}

/// One of the writers named at allocation says that it has mapped the surface. The last one seals it; gives whether it is
/// sealed now.
pub fn writer_mapped(surface: &Surface) -> Result<bool> {
    producer(surface, "a count of the writers of")?.sealing.writer_mapped(surface.0.memory.file())
}

fn producer<'a>(surface: &'a Surface, what: &str) -> Result<std::sync::MutexGuard<'a, Exports>> {
    match &surface.0.side {
        Side::Producer(exports) => Ok(lock(exports)),
        Side::Consumer { .. } => Err(Error::new(Stage::Export, Kind::Invalid)
            .asked(format!("{what} an imported surface"))
            .why("only its producer knows what else was promised about it")
            .help("pass on the handle you got, before importing it")),
    }
}

/// Content changes under consumers: a kernel entry on the whole surface, which waits for every user and whom all wait for.
fn rewrite(surface: &Surface, decision: Decision, deadline: Deadline) -> Result<()> {
    if !decision.changed && !decision.resolve_now {
        return Ok(());
    }
    let whole = Part::new(surface, Usage::Kernel, Region::WHOLE, false);
    let (share, mut waiting) = line_up(vec![whole], deadline, Stage::Export)?;
    waiting.wait(&share, deadline, Stage::Export)?;
    let pixels = surface.0.memory.pixels_mut().ok_or_else(|| Error::new(Stage::Export, Kind::Unreachable))?;
    if !decision.changed {
        surface.0.codec.resolve(&pixels)?;
    } else if let Codec::Blocks(codec) = &surface.0.codec {
        codec.decompress(&pixels)?;
        surface.set_metadata(&surface.0.device.describe(&surface.0.layout.without_compression())?)?;
        let generation = surface.0.pool.reservation().bump_content_generation(surface.0.index);
        surface.0.content_generation.store(generation, std::sync::atomic::Ordering::Release);
    }
    share.end().map_err(|trouble| trouble.at(Stage::Export))
}

fn make_handle(surface: &Surface, flags: ExportFlags, sealing: &Sealing) -> Result<Handle> {
    let inner = &surface.0;
    let writes = flags.contains(ExportFlags::WRITE);
    let read_only = if writes { ReadOnly::Unenforced } else { sealing.read_only() };
    let pixels = match read_only {
        ReadOnly::Descriptor => file::reopen(inner.memory.file(), Reopen::ReadOnly)
            .map_err(os(Stage::Export, "open the pixels read-only through /proc/self/fd"))?,
        _ => file::duplicate(inner.memory.file()).map_err(os(Stage::Export, "duplicate the pixels' descriptor"))?,
    };
    Ok(Handle {
        message: SurfaceMessage {
            pool: inner.pool.identity().inode,
            index: inner.index,
            surfaces: inner.pool.surfaces(),
            layout: inner.layout,
            memory: inner.memory.capacity(),
            cells: inner.cells.clone(),
            access: flags,
            read_only,
        },
        pixels,
        control: inner.pool.reservation().platform().fresh_description()?,
    })
}
