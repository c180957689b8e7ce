//! Where surfaces live and who keeps their fences. One folder a backend.
//!
//! # What a backend owes
//!
//! - **Memory** that a handle's descriptors carry, whose size nobody can change under a mapping.
//! - **A reservation** for every surface, in which each access and each submission has an entry: entries that conflict are
//!   ordered the same way on all surfaces they share, an entry ends with its work or with its owner, and a wait ends at its
//!   deadline. How far that order reaches, [`Order`] says.
//! - **Metadata**, a word and a block, set and read by anybody who holds the handle, never torn.
//! - **The truth about READ**: what keeps its holder from writing, as [`ReadOnly`] says.
//! - **Poll descriptors** for whatever can be waited for.
//!
//! A capability that a backend advertises works; every other answers [`Kind::Unsupported`](crate::Kind::Unsupported).
//!
//! Every surface has a control file, whatever its memory: entries, metadata and liveness among handover peers are the same on
//! every backend. What differs is the memory, and whether the kernel keeps a second reservation with it ([`linux`]).

pub mod linux;
pub(crate) mod memory;
pub(crate) mod received;
pub mod software;
pub(crate) mod trailer;

use std::fmt::Debug;

use handover_model::{Layout, ReadOnly};

use crate::error::Result;
pub use memory::MemoryKind;
pub use software::Software;
use software::sealing::Writers;

/// A source of memory for surfaces. Chosen in [`Options`](crate::allocate::Options); made in [`software`] and [`linux`].
///
/// Nobody outside can implement it: what [`Allocated`] holds is the library's own.
pub trait Backend: Debug + Send + Sync {
    /// Its name, with the device if there is one: "software", "udmabuf", "heap system", "dumb buffers of virtio_gpu".
    fn name(&self) -> String;

    /// How far the order of submissions reaches.
    fn order(&self) -> Order;

    /// What READ handles of its surfaces get, if so many write them.
    fn read_only(&self, writers: Writers) -> ReadOnly;

    /// Memory for a surface of this layout.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::Kind::Unsupported): it cannot make such a layout. [`Kind::Os`](crate::Kind::Os).
    fn allocate(&self, layout: &Layout, writers: Writers) -> Result<Allocated>;
}

/// Memory that a [`Backend`] made.
#[derive(Debug)]
pub struct Allocated {
    pub(crate) memory: memory::Memory,
}

/// Whom a submission is ordered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// With everybody: nobody can use the surface but through its control file. Conflicting submissions have one order.
    Atomic,
    /// With all who share the control file. A stranger who got the dma-buf by another way is waited for, and waits for our kernel
    /// fences, but his submission between our look and our attach is ordered with neither (S16).
    AmongPeers,
}
