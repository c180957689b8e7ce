//! Export: a surface and flags become a handle and a decision about compression. The flags are all the producer learns.

pub use handover_model::export::amdgpu::Step;
use handover_model::wire::SurfaceMessage;
use handover_model::{
    Access, Decision, ExportFlags, ExportState, Layout, Modifier, PlaneLayout, ReadOnly, Region, Resolve, Stage, Usage,
};
use handover_sys::file::{self, Reopen};
use handover_sys::map::PixelsMut;

use crate::acquire::line_up;
use crate::allocate::Shared;
use crate::backend::MemoryKind;
use crate::deadline::Deadline;
use crate::device::amdgpu::Planned;
use crate::device::{Codec, tiled};
use crate::error::{Error, Kind, Result, os};
use crate::handle::Handle;
use crate::lease::{Part, Parts, Share};
use crate::surface::{Exports, Side, Surface, lock};

/// A handle to send, and what the producer decided.
#[derive(Debug)]
pub struct Exported {
    /// To be carried to the consumer.
    pub handle: Handle,
    /// Kept or dropped, why, and who resolves.
    pub decision: Decision,
    /// What the driver of a chip of AMD's does at this export, in order, each with its reason. Empty for other devices.
    pub steps: Vec<Step>,
}

/// Makes a handle for a consumer that will do what `flags` say.
///
/// An export that drops compression rewrites the content: it waits for everybody who uses the surface, this process
/// included, not beyond `deadline`, and makes earlier imports answer [`Kind::LayoutChanged`]. So does the first export without
/// EXPLICIT_FLUSH if there is something unresolved, except that the layout stays. Every other export waits for nobody.
///
/// What is dropped, a device decides by the flags alone; a chip of AMD's by the plan of its driver, which also knows displays
/// ([`Options::display`](crate::Options::display)). Of that plan [`Exported::steps`] tells every step. Those on fast clears and on a display's DCC find
/// nothing to do from the second export without EXPLICIT_FLUSH on: every submission ends with them by then.
///
/// # Errors
/// [`Kind::Invalid`] for neither READ nor WRITE, or on an imported surface; [`Kind::Sealed`] and
/// [`Kind::WritersPending`] by the surface's [`Writers`](crate::Writers); [`Kind::Timeout`].
pub fn export(surface: &Surface, flags: ExportFlags, deadline: Deadline) -> Result<Exported> {
    surface.0.device.check_alive(Stage::Export)?;
    let writes = flags.contains(ExportFlags::WRITE);
    // Whatever can refuse comes before the rewrite, which cannot be taken back.
    let handle = {
        let mut exports = producer(surface, "an export of")?;
        let planned = exports.plan(surface, flags)?;
        let handle = make_handle(surface, flags, &exports)?;
        surface.update_trailer()?;
        exports.sealing.admit(writes)?;
        let rewrites = planned.decision.changed || (planned.decision.resolve_now && is_dirty(surface));
        if !rewrites {
            exports.settle(surface, planned.state);
            let (decision, steps) = planned.told();
            return Ok(Exported { handle, decision, steps });
        }
        handle
    };
    match rewrite(surface, flags, deadline) {
        Ok(planned) => {
            let (decision, steps) = planned.told();
            Ok(Exported { handle, decision, steps })
        }
        Err(error) => {
            let mut exports = producer(surface, "an export of")?;
            exports.sealing.take_back(writes);
            // Tracking may have begun for this export alone.
            let state = exports.state;
            exports.settle(surface, state);
            Err(error)
        }
    }
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

impl Exports {
    fn plan(&self, surface: &Surface, flags: ExportFlags) -> Result<Planned> {
        surface.0.device.plan_export(&surface.0.layout, self.made, self.state, flags)
    }

    fn settle(&mut self, surface: &Surface, state: ExportState) {
        self.state = state;
        if let Codec::Tiled(codec) = &surface.0.codec {
            codec.set_resolve(state.resolve());
        }
    }
}

/// Content changes under consumers: a kernel entry on the whole surface, which waits for every user and whom all wait for.
///
/// Decided again under that entry, and settled before it ends: whoever draws next already tracks what this export told the
/// producer to track, and of several exports at once one drops the compression.
fn rewrite(surface: &Surface, flags: ExportFlags, deadline: Deadline) -> Result<Planned> {
    let whole = Parts::One([Part::new(surface, Usage::Kernel, Region::WHOLE, false)]);
    let (share, mut waiting) = line_up(whole, deadline, Stage::Export)?;
    waiting.wait(&share, deadline, Stage::Export)?;
    share.grant();
    let pixels = surface.0.memory.pixels_mut().ok_or_else(|| surface.0.memory.unreachable(Stage::Export))?;
    let bracket = surface.0.memory.begin(Access::Write)?;
    let mut exports = producer(surface, "an export of")?;
    let planned = exports.plan(surface, flags)?;
    if let Codec::Tiled(codec) = &surface.0.codec {
        planned.steps.iter().try_for_each(|step| carry_out(step, surface, &exports, codec, &pixels))?;
    }
    exports.settle(surface, planned.state);
    drop(exports);
    drop(bracket);
    Share::end_last(share).map_err(|trouble| trouble.at(Stage::Export))?;
    Ok(planned)
}

/// What a step does to a surface that nobody else uses.
fn carry_out(
    step: &Step,
    surface: &Surface,
    exports: &Exports,
    codec: &tiled::Codec,
    pixels: &PixelsMut<'_>,
) -> Result<()> {
    match step {
        Step::DropDcc(_) => codec.decompress(pixels).map(drop),
        Step::EliminateFastClears => codec.resolve(pixels).map(drop),
        Step::RetileDisplayDcc => codec.retile(pixels).map(drop),
        // Allocation wrote what holds until DCC is dropped. What stays, the decision says.
        Step::WriteMetadata(_) if codec.is_compressed() => Ok(()),
        Step::DccStays(..) => Ok(()),
        // Of the first export too, if that is the one that dropped it.
        Step::WriteMetadata(_) => {
            let plain = surface.0.layout.without_compression();
            surface.set_metadata(&surface.0.device.describe(&plain, exports.made.display)?)?;
            surface.0.pool.reservation().bump_content_generation(surface.0.index);
            Ok(())
        }
        // Surfaces have memory of their own, no CMASK, and the chips are older than GFX12.
        Step::PlaneOnly | Step::Move(_) | Step::MoveUncompressed(_) | Step::DiscardCmask => {
            Err(Error::new(Stage::Export, Kind::Unreachable).found(step.to_string()))
        }
    }
}

/// Is there something that only we know, now that we have begun to track? In this order: whatever ends from here on is
/// resolved at its end, and what ended before shows.
fn is_dirty(surface: &Surface) -> bool {
    match &surface.0.codec {
        Codec::Tiled(codec) => {
            codec.set_resolve(Resolve::ByTracking);
            codec.is_dirty() || codec.is_stale()
        }
        Codec::Linear(_) | Codec::Opaque(_) => false,
    }
}

/// The layout without the compression plane, once an export has dropped it.
fn current_layout(surface: &Surface) -> Layout {
    match &surface.0.codec {
        Codec::Tiled(codec) if !codec.is_compressed() => surface.0.layout.without_compression(),
        _ => surface.0.layout,
    }
}

/// What the handle says of the layout.
fn told(surface: &Surface, shared: Shared) -> Result<Layout> {
    let layout = current_layout(surface);
    match (shared, layout.plane(0)) {
        (Shared::Implicitly, Some(pixels)) => {
            // Compression data is the metadata's to tell; it lies inside.
            let whole = PlaneLayout { size: surface.0.layout.size(), ..pixels };
            let (format, extent, size) = (layout.format(), layout.extent(), whole.size);
            Layout::from_allegation(format, extent, Modifier::INVALID, &[whole], size)
                .map_err(|error| error.at(Stage::Export))
        }
        _ => Ok(layout),
    }
}

fn make_handle(surface: &Surface, flags: ExportFlags, exports: &Exports) -> Result<Handle> {
    let (inner, sealing) = (&surface.0, &exports.sealing);
    let writes = flags.contains(ExportFlags::WRITE);
    let read_only = if writes { ReadOnly::Unenforced } else { sealing.read_only() };
    let pixels = match read_only {
        // A dma-buf cannot be reopened: its one description has the mode of its first export.
        ReadOnly::Descriptor if inner.memory.kind() == MemoryKind::Memfd => {
            file::reopen(inner.memory.file(), Reopen::ReadOnly)
                .map_err(os(Stage::Export, "open the pixels read-only through /proc/self/fd"))?
        }
        _ => file::duplicate(inner.memory.file()).map_err(os(Stage::Export, "duplicate the pixels' descriptor"))?,
    };
    Ok(Handle {
        message: SurfaceMessage {
            pool: inner.pool.identity().inode,
            index: inner.index,
            surfaces: inner.pool.surfaces(),
            layout: told(surface, exports.made.shared)?,
            memory: inner.memory.capacity(),
            cells: inner.cells.clone(),
            access: flags,
            read_only,
        },
        pixels,
        control: inner.pool.reservation().platform().fresh_description()?,
    })
}
