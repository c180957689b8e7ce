//! Where surfaces live and who keeps their fences. One folder a backend.
//!
//! # What a backend owes
//!
//! - **Memory** that a handle's descriptors carry, whose size nobody can change under a mapping.
//! - **A reservation** for every surface, in which each access and each submission has an entry: entries that conflict are
//!   ordered the same way on all surfaces they share, an entry ends with its work or with its owner, and a wait ends at its
//!   deadline.
//! - **Metadata**, a word and a block, set and read by anybody who holds the handle, never torn.
//! - **The truth about READ**: what keeps its holder from writing, as [`ReadOnly`](crate::ReadOnly) says.
//! - **Poll descriptors** for whatever can be waited for.
//!
//! A capability that a backend advertises works; every other answers [`Kind::Unsupported`](crate::Kind::Unsupported).

pub mod software;
