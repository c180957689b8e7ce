//! Who may still write a surface, and when the kernel starts to refuse everybody else.
//!
//! A seal belongs to the inode and is for ever, the producer included. So it comes as late as it must and as early as it
//! can: before any descriptor leaves (`Me`), after the last named writer has mapped (`Named`), or never (`Open`).

use std::os::fd::BorrowedFd;

use handover_model::{ReadOnly, Stage};
use handover_sys::memfd::{self, Seals};

use crate::backend::memory::MemoryKind;
use crate::error::{Error, Kind, Result, os};

/// Who will write a surface, said when it is allocated.
///
/// What the kernel makes of that depends on the memory. For the memfds of the software backend:
///
#[doc = include_str!("../../../READ_ONLY.md")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writers {
    /// The allocator alone. READ handles are [`ReadOnly::Sealed`]: the kernel refuses every new way to write.
    #[default]
    Me,
    /// The allocator and this many others. WRITE handles go out first; once all have said that they mapped, the surface is
    /// sealed and READ handles can go out.
    Named(u32),
    /// Anybody who is given a WRITE handle, at any time. READ handles are [`ReadOnly::Descriptor`].
    Open,
}

/// How far the sealing of one surface is.
#[derive(Debug)]
pub(crate) struct Sealing {
    writers: Writers,
    /// What the memory gives to READ handles. Only where it is `Sealed` or `Descriptor` of a memfd is there a seal at all.
    class: ReadOnly,
    is_memfd: bool,
    write_exports: u32,
    mapped: u32,
}

impl Sealing {
    /// Puts on the seals that can go on before any descriptor is sent. The producer has mapped already.
    pub(super) fn seal(writers: Writers, memory: BorrowedFd<'_>) -> Result<()> {
        let seals = match writers {
            Writers::Me => Seals::SHRINK | Seals::GROW | Seals::FUTURE_WRITE | Seals::SEAL,
            // SEAL must wait: it would keep us from adding FUTURE_WRITE later. Until then a hostile writer can add it
            // himself, which makes the next honest one fail to map: a refusal, not a hazard.
            Writers::Named(n) if n > 0 => Seals::SHRINK | Seals::GROW,
            Writers::Named(_) => Seals::SHRINK | Seals::GROW | Seals::FUTURE_WRITE | Seals::SEAL,
            Writers::Open => Seals::SHRINK | Seals::GROW | Seals::SEAL,
        };
        memfd::add_seals(memory, seals).map_err(os(Stage::Allocate, "seal the pixels"))
    }

    /// Nothing exported yet. `class`: what the backend says of its memory for these writers.
    pub(crate) fn new(writers: Writers, class: ReadOnly, kind: MemoryKind) -> Self {
        Self { writers, class, is_memfd: kind == MemoryKind::Memfd, write_exports: 0, mapped: 0 }
    }

    fn is_sealed(&self) -> bool {
        match self.writers {
            Writers::Me => true,
            Writers::Named(n) => self.mapped >= n,
            Writers::Open => false,
        }
    }

    /// What keeps holders of a READ handle from writing.
    pub(crate) fn read_only(&self) -> ReadOnly {
        self.class
    }

    /// May a handle with WRITE, or without, go out now? Counts it if so.
    pub(crate) fn admit(&mut self, write: bool) -> Result<()> {
        let refuse = |kind, found: String, why: &'static str, help: &'static str| {
            let asked = if write { "a WRITE handle" } else { "a READ handle" };
            Err(Error::new(Stage::Export, kind).asked(asked).found(found).why(why).help(help))
        };
        match (self.writers, write) {
            (Writers::Open, _) => Ok(()),
            (_, true) if self.is_sealed() => refuse(
                Kind::Sealed,
                if self.is_memfd { "a surface sealed against new writers" } else { "a surface with all its writers" }
                    .into(),
                if self.is_memfd {
                    "a seal is for ever, for its maker too"
                } else {
                    "it was allocated for no more of them"
                },
                "allocate with Writers::Named(n) or Writers::Open",
            ),
            (Writers::Named(n), true) if self.write_exports >= n => refuse(
                Kind::Sealed,
                format!("{n} WRITE handles already exported"),
                "the surface was allocated for that many writers",
                "allocate with more writers",
            ),
            // Without a seal to come, there is nothing that a reader must not be ahead of.
            (Writers::Named(_), false) if !self.is_memfd => Ok(()),
            (Writers::Named(n), false) if !self.is_sealed() => refuse(
                Kind::WritersPending,
                format!("{} of {n} writers mapped", self.mapped),
                "a read mapping made before the seal could still be turned into a writable one",
                "wait until each writer has acknowledged its mapping",
            ),
            _ => {
                self.write_exports += u32::from(write);
                Ok(())
            }
        }
    }

    /// An admitted handle did not go out after all.
    pub(crate) fn take_back(&mut self, write: bool) {
        self.write_exports = self.write_exports.saturating_sub(u32::from(write));
    }

    /// One more named writer has mapped; the last one seals the surface. Gives whether it is sealed now.
    pub(crate) fn writer_mapped(&mut self, memory: BorrowedFd<'_>) -> Result<bool> {
        if self.mapped >= self.write_exports {
            return Err(Error::new(Stage::Export, Kind::Invalid)
                .asked("one more writer that mapped the surface")
                .found(format!("{} exported for WRITE, {} acknowledged", self.write_exports, self.mapped)));
        }
        // Counted only once it is sealed: a hostile writer can add SEAL himself, which keeps us from adding the rest, and
        // READ handles would then go out that say they are sealed and are not.
        if self.is_memfd && matches!(self.writers, Writers::Named(n) if self.mapped + 1 >= n) {
            memfd::add_seals(memory, Seals::FUTURE_WRITE | Seals::SEAL).map_err(|error| {
                os(Stage::Export, "seal the pixels after the last writer")(error)
                    .help("a writer sealed them first; allocate anew, without it")
            })?;
        }
        self.mapped += 1;
        Ok(self.is_sealed())
    }
}
