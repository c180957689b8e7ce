//! The pools this process takes part in. Each is joined once, however many of its surfaces are imported.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};

use handover_model::{Block, Metadata, Result, Stage, Word};
use handover_sys::file::{self, Identity};

use super::control::Control;
use super::reservation::{Reservation, Slot, Trouble};
use crate::backend::linux::scoped::Scoped;
use crate::error::os;
use crate::surface::lock;

/// Our membership of one pool. The last surface that holds it gives the place back.
#[derive(Debug)]
pub(crate) struct Pool {
    reservation: Reservation<Control>,
    identity: Identity,
    /// Fences in the kernel's reservations that this process attached for some cells.
    pub(crate) scoped: Scoped,
}

/// The pools that one process is in.
#[derive(Debug)]
struct Known {
    /// The mappings do not survive a fork: a forked child is in none of its parent's pools.
    process: u32,
    /// An inode number names a pool only while somebody holds the file. The weak references do not, so an entry counts
    /// only if it can still be upgraded, and then its pool holds the descriptor.
    pools: Vec<(Identity, Weak<Pool>)>,
}

static KNOWN: Mutex<Known> = Mutex::new(Known { process: 0, pools: Vec::new() });

impl Known {
    /// Those that are still in use, by this very process.
    fn living(&mut self) -> &mut Vec<(Identity, Weak<Pool>)> {
        let process = std::process::id();
        if std::mem::replace(&mut self.process, process) != process {
            self.pools.clear();
        }
        self.pools.retain(|(_, pool)| pool.strong_count() > 0);
        &mut self.pools
    }
}

impl Pool {
    /// Makes a pool of this many surfaces.
    pub(crate) fn create(surfaces: u32) -> Result<Arc<Self>> {
        let reservation = Control::create(surfaces)?;
        let identity = file::identity(reservation.platform().file())
            .map_err(os(Stage::Allocate, "read the identity of a control file"))?;
        let pool = Arc::new(Self { reservation, identity, scoped: Scoped::default() });
        let mut known = lock(&KNOWN);
        let pools = known.living();
        pools.push((identity, Arc::downgrade(&pool)));
        Ok(pool)
    }

    /// The pool behind a received control file: the one we are in already, or joined now.
    pub(crate) fn join(file: OwnedFd, surfaces: u32) -> Result<Arc<Self>> {
        let identity =
            file::identity(file.as_fd()).map_err(os(Stage::Import, "read the identity of a control file"))?;
        // Held over the join, so that two imports at once do not take two places. Joining does not wait.
        let mut known = lock(&KNOWN);
        let pools = known.living();
        let found = pools.iter().find(|(known, _)| *known == identity).and_then(|(_, pool)| pool.upgrade());
        if let Some(pool) = found.filter(|pool| pool.surfaces() == surfaces) {
            return Ok(pool);
        }
        let reservation = Control::join(Stage::Import, file, Some(surfaces))?;
        let pool = Arc::new(Self { reservation, identity, scoped: Scoped::default() });
        pools.push((identity, Arc::downgrade(&pool)));
        Ok(pool)
    }

    pub(crate) fn reservation(&self) -> &Reservation<Control> {
        &self.reservation
    }

    pub(crate) fn surfaces(&self) -> u32 {
        self.reservation.platform().surfaces()
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// `None`: it is not here, the driver of the memory keeps it.
    pub(crate) fn metadata(&self, surface: u32) -> std::result::Result<Option<Metadata>, Trouble> {
        let slot = self.reservation.metadata(surface)?;
        if slot.flags & Slot::KEPT_BY_DRIVER != 0 {
            return Ok(None);
        }
        let mut bytes = [0; 256];
        for (to, from) in bytes.chunks_exact_mut(8).zip(slot.block) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        let block = bytes.get(..slot.length as usize).and_then(|bytes| Block::new(bytes).ok());
        let block = block.ok_or(Trouble::Spoiled("meta.length"))?;
        Ok(Some(Metadata { word: Word(slot.word), block }))
    }

    /// Says to all who join that the driver of the memory keeps the metadata.
    pub(crate) fn leave_metadata_to_driver(&self, surface: u32) -> std::result::Result<(), Trouble> {
        self.reservation.set_metadata(surface, &Slot { flags: Slot::KEPT_BY_DRIVER, ..Slot::EMPTY })
    }

    pub(crate) fn set_metadata(&self, surface: u32, metadata: &Metadata) -> std::result::Result<(), Trouble> {
        let mut block = [0; 32];
        for (to, from) in block.iter_mut().zip(metadata.block.as_bytes().chunks_exact(8)) {
            *to = from.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        }
        let length = metadata.block.len() as u64;
        self.reservation.set_metadata(surface, &Slot { word: metadata.word.0, flags: 0, length, block })
    }
}
