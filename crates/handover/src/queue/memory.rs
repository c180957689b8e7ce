//! Work on memory itself, and everything a submission may touch: what a driver's memory manager puts into reservations.

use handover_model::{Region, Stage, Usage};

use super::{Lease, Queue};
use crate::acquire::{Wish, check};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::fence::Fence;
use crate::lease::{Part, Parts};
use crate::surface::Surface;

/// A job of a simulated device's memory manager. It is about the memory and not its content, so it concerns the whole surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemoryJob {
    /// Makes fresh memory valid. KERNEL: everybody waits for it, explicit participants too.
    Clear,
    /// Puts the content elsewhere. KERNEL; it waits for whatever uses the memory, explicit work too (S14), as far as it has
    /// entries: BOOKKEEP fences of devices only the kernel itself sees, and it waits for them (C33).
    Move,
    /// Writes entries of page tables. BOOKKEEP: only the memory manager waits for it.
    PageTables,
    /// Takes a mapping away and flushes the TLB. BOOKKEEP.
    Unmap,
}

impl MemoryJob {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Clear, Self::Move, Self::PageTables, Self::Unmap];

    /// What it is in a reservation.
    pub const fn usage(self) -> Usage {
        match self {
            Self::Clear | Self::Move => Usage::Kernel,
            Self::PageTables | Self::Unmap => Usage::Bookkeep,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Move => "move",
            Self::PageTables => "page table write",
            Self::Unmap => "unmap",
        }
    }
}

/// Everything a participant's submissions may touch, named or not: its bound memory. A driver attaches each submission to all
/// of it, so that none of it is moved or freed under the job.
///
/// An honest one attaches what a submission does not name as BOOKKEEP, which orders nobody. With
/// [`Policy::AlwaysWrite`](super::Policy::AlwaysWrite) a texture that everybody only reads becomes a lock over all (S13), and with
/// a heap that several queues share every one waits for every other (S15).
#[derive(Debug, Clone, Default)]
pub struct Bound(Vec<Surface>);

impl Bound {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a surface; one that is bound already stays.
    pub fn bind(&mut self, surface: &Surface) {
        if !self.has(surface) {
            self.0.push(surface.clone());
        }
    }

    /// Takes a surface out. Jobs that were submitted keep theirs.
    pub fn unbind(&mut self, surface: &Surface) {
        self.0.retain(|bound| bound.id() != surface.id());
    }

    /// The surfaces, in the order in which they were bound.
    pub fn surfaces(&self) -> &[Surface] {
        &self.0
    }

    fn has(&self, surface: &Surface) -> bool {
        self.0.iter().any(|bound| bound.id() == surface.id())
    }
}

impl Queue {
    /// As [`submit`](Self::submit), with a working set of all that is bound: the wishes of `set`, and BOOKKEEP on the rest.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_bound(
        &self,
        bound: &Bound,
        set: &[Wish<'_>],
        after: &[Fence],
        deadline: Deadline,
        job: impl FnOnce(&Lease) -> Result<()> + Send + 'static,
    ) -> Result<Fence> {
        bound.0.iter().try_for_each(|surface| surface.0.device.check_alive(Stage::Acquire))?;
        let rest = bound.0.iter().filter(|bound| !set.iter().any(|(surface, ..)| surface.id() == bound.id()));
        let rest = rest.map(|surface| Part::new(surface, Usage::Bookkeep, Region::WHOLE, false));
        self.submit_parts(check(set, false)?.and(rest), after, deadline, Box::new(job))
    }

    /// Submits work on the memory of these surfaces.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a surface that was imported: its memory is the producer's. [`Kind::DeviceLost`]. Else as [`submit`](Self::submit).
    pub fn submit_memory(
        &self,
        kind: MemoryJob,
        surfaces: &[&Surface],
        after: &[Fence],
        deadline: Deadline,
        job: impl FnOnce(&Lease) -> Result<()> + Send + 'static,
    ) -> Result<Fence> {
        if surfaces.is_empty() {
            return Err(Error::new(Stage::Acquire, Kind::Invalid)
                .asked("an empty set")
                .why("there is no memory in it"));
        }
        if let Some(imported) = surfaces.iter().find(|surface| !surface.is_producer()) {
            return Err(Error::new(Stage::Acquire, Kind::Unsupported)
                .asked(format!("a {} of surface {}", kind.word(), imported.index()))
                .found("an imported surface")
                .why("its memory is managed by the device that allocated it"));
        }
        surfaces.iter().try_for_each(|surface| surface.0.device.check_alive(Stage::Acquire))?;
        let part = |surface: &&Surface| Part::new(surface, kind.usage(), Region::WHOLE, false);
        self.submit_parts(Parts::Many(surfaces.iter().map(part).collect()), after, deadline, Box::new(job))
    }
}
