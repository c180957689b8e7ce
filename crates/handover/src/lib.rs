//! Share GPU surfaces between processes and devices on Linux: the right layout, the right metadata, the right fence.

#![forbid(unsafe_code)]

pub mod access;
pub mod acquire;
pub mod allocate;
pub mod backend;
mod deadline;
mod device;
mod error;
pub mod export;
mod fence;
pub mod flush;
mod handle;
pub mod import;
mod lease;
pub mod negotiate;
mod queue;
pub mod release;
pub mod stream;
mod surface;
pub mod transport;

pub use access::{View, ViewMut};
pub use acquire::{Acquire, Wish, acquire, try_acquire};
pub use allocate::{Options, allocate};
pub use backend::software::sealing::Writers;
pub use deadline::Deadline;
pub use device::Device;
pub use error::{Blocked, Error, Holder, Kind, Result};
pub use export::{Exported, export};
pub use fence::{Fence, Status};
pub use flush::flush;
pub use handle::Handle;
pub use handover_model::{
    Access, Block, Bytes, Cell, Cells, Compression, Decision, Elements, ExportFlags, Extent, Format, Fourcc, Header, Layout,
    Metadata, Modifier, PlaneLayout, Px, ReadOnly, Rect, Region, Resolve, Stage, Usage, Word,
};
pub use import::import;
pub use lease::Lease;
pub use negotiate::{Agreement, Conflict, Offer, SurfaceUsages, negotiate};
pub use queue::Queue;
pub use surface::{Surface, SurfaceId};
