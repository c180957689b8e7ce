//! The nouns of handover: what a surface is, what parties offer, what metadata says, who waits for whom, what goes over a wire.
//!
//! Pure: no operating system, no unsafe, no panic on any input. The verbs live in `handover`.
//!
//! - Sizes: [`Px`], [`Bytes`], [`Elements`], [`Extent`], [`Rect`].
//! - Pixels in memory: [`Format`], [`Modifier`], [`Layout`].
//! - Between parties: [`negotiate`], [`export`], [`import`], [`metadata`], [`wire`].
//! - In time: [`Usage`], [`Region`], [`reservation`].
//! - When it fails: [`Error`], with the [`Stage`] it stopped at.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod error;
pub mod export;
pub mod format;
pub mod import;
pub mod layout;
pub mod metadata;
pub mod modifier;
pub mod negotiate;
mod read_only;
pub mod region;
pub mod reservation;
mod stage;
mod units;
mod usage;
pub mod wire;

pub use error::{Blocked, Error, Holder, Kind, Result, Text};
pub use export::{Compression, Decision, ExportFlags, ExportState, Outcome, Resolve, decide};
pub use format::{Format, FormatPlane, Fourcc};
pub use layout::{Constraints, Layout, PlaneLayout};
pub use metadata::{BLOCK_BYTES, Block, Header, Metadata, Word};
pub use modifier::Modifier;
pub use negotiate::{Agreement, Conflict, Offer, OfferEntry, SurfaceUsages};
pub use read_only::ReadOnly;
pub use region::{Cell, Cells, Region};
pub use stage::Stage;
pub use units::{Bytes, Elements, Extent, Px, Rect};
pub use usage::{Access, Usage};
pub use wire::{Message, SurfaceMessage};
