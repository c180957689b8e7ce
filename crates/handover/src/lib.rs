//! Share GPU surfaces between processes and devices on Linux: the right layout, the right metadata, the right fence.
//!
//! Eight words, each a module: once for a surface [`negotiate`](mod@negotiate), [`allocate`](mod@allocate),
//! [`export`](mod@export), [`import`](mod@import); for every frame [`acquire`](mod@acquire), [`access`], [`flush`](mod@flush),
//! [`release`]. *Acquire* is exclusion, by fences; *access* is mapping. Most bugs of the field live where these are one.
//!
//! Around them: [`stream`] passes frames again and again, [`transport`] carries handles between processes that have no
//! other carrier, [`backend`] is where surfaces live and who keeps their fences, [`tiles`] moves pixels
//! between files and tiled layouts.
//!
//! What this library does not do: schedule work on real devices, convert pixels, or talk to a window system.

#![forbid(unsafe_code)]

pub mod access;
pub mod acquire;
pub mod allocate;
pub mod backend;
mod deadline;
mod device;
mod error;
pub mod export;
pub mod fence;
pub mod flush;
mod handle;
pub mod import;
pub mod interop;
mod kernel_fences;
mod lease;
pub mod negotiate;
pub mod queue;
pub mod release;
pub mod stream;
mod surface;
pub mod tiles;
pub mod timeline;
pub mod transport;
mod waiting;
mod who_waits;

pub use access::{View, ViewMut};
pub use acquire::{Acquire, Wish, acquire, try_acquire};
pub use allocate::{Options, allocate};
pub use backend::software::sealing::Writers;
pub use backend::{Backend, MemoryKind, Order};
pub use deadline::Deadline;
pub use device::{Device, Habit};
pub use error::{Blocked, Error, Holder, Kind, Result};
pub use export::{Exported, export};
pub use fence::{Fence, Status};
pub use flush::flush;
pub use handle::Handle;
pub use handover_model::layout;
pub use handover_model::metadata;
pub use handover_model::reservation;
pub use handover_model::{
    Access, Block, Bytes, Cell, Cells, Compression, Decision, Elements, ExportFlags, Extent, Format, Fourcc, Header,
    Layout, Metadata, Modifier, PlaneLayout, Px, ReadOnly, Rect, Region, Resolve, Stage, Usage, Word,
};
pub use handover_sys::clock::Monotonic;
pub use handover_sys::file::Identity;
pub use import::import;
pub use lease::Lease;
pub use negotiate::{Agreement, Conflict, Offer, SurfaceUsages, negotiate};
pub use queue::Queue;
pub use release::Unattached;
pub use surface::{Surface, SurfaceId};
pub use timeline::{Promise, Timeline};

/// The example of the README, kept true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
