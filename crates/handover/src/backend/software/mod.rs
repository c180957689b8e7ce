//! The embedded backend: surfaces in sealed memfds, reservations in a control file. It runs everywhere.
//!
//! | file | what |
//! |---|---|
//! | `reservation/` | tickets, entries, waits, releases, metadata slots: the protocol, over any atomics |
//! | `control` | the sealed, locked, mapped control file under it |
//! | `pool` | the pools this process takes part in, each joined once |
//! | `sealing` | when a surface may still be written, and by whom |
//! | `poll` | descriptors for poll loops, served by one thread a process |

pub mod control;
pub(crate) mod poll;
pub(crate) mod pool;
pub mod reservation;
pub(crate) mod sealing;

use handover_model::{Layout, ReadOnly};

use super::memory::Memory;
use super::{Allocated, Backend, Order};
use crate::error::Result;
use sealing::{Sealing, Writers};

/// Sealed memfds. It needs nothing of the machine, and no device can use what it makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Software;

impl Backend for Software {
    fn name(&self) -> String {
        "software".into()
    }

    fn order(&self) -> Order {
        Order::Atomic
    }

    fn read_only(&self, writers: Writers) -> ReadOnly {
        match writers {
            Writers::Me | Writers::Named(_) => ReadOnly::Sealed,
            Writers::Open => ReadOnly::Descriptor,
        }
    }

    fn allocate(&self, layout: &Layout, writers: Writers) -> Result<Allocated> {
        let memory = Memory::memfd(layout.size())?;
        Sealing::seal(writers, memory.file())?;
        Ok(Allocated { memory })
    }
}
