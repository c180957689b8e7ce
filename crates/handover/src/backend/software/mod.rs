//! The embedded backend: surfaces in sealed memfds, reservations in a control file. It runs everywhere.
//!
//! | file | what |
//! |---|---|
//! | `reservation/` | tickets, entries, waits, releases, metadata slots: the protocol, over any atomics |
//! | `control` | the sealed, locked, mapped control file under it |
//! | `pool` | the pools this process takes part in, each joined once |
//! | `memory` | pixels: a memfd and its mapping |
//! | `trailer` | the page behind them that describes them to whoever holds nothing else |
//! | `sealing` | when a surface may still be written, and by whom |
//! | `poll` | descriptors for poll loops, served by one thread a process |

pub mod control;
pub(crate) mod memory;
pub(crate) mod poll;
pub(crate) mod pool;
pub mod reservation;
pub(crate) mod sealing;
pub(crate) mod trailer;
