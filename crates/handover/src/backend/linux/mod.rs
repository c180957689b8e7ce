//! The kernel's own devices: dma-bufs, with a reservation that devices see.
//!
//! # Contract: two sources
//!
//! A surface of this backend has a control file, as every surface has, and beside it the reservation (`dma_resv`) that the kernel
//! keeps with the dma-buf. The control file knows who among handover's peers uses the surface, by regions, and who has died. The
//! kernel's reservation knows what devices still do, whoever gave it to them.
//!
//! - **acquire** waits for the control file's entries first, then for what [`EXPORT_SYNC_FILE`] finds. An entry is held from
//!   acquire to release, so what its owner submitted is in the kernel's reservation when the entry ends. A dead entry means "ask
//!   the kernel": the work of the dead may still run.
//! - **release** of a device's work is [`Lease::release_after`](crate::Lease::release_after): `IMPORT_SYNC_FILE`, then the end of
//!   the entry.
//! - What the CPU does ends with its entry and never becomes a fence in the kernel: a kernel's fence must end without the help of
//!   any process.
//! - Regions order those who share the control file. The kernel has one reservation for the whole buffer and always gets
//!   the union: its drivers, and every stranger, still serialise over the whole. What one process attached itself for some cells, it
//!   leaves out for others where the kernel shows that nothing else pends (`scoped`).
//! - [`Order::AmongPeers`](super::Order::AmongPeers): the entry closes the race between export and import (S16) among peers. A stranger who has
//!   the dma-buf by another way can still slip between.
//!
//! A participant whose device knows no fences (V4L2) holds a lease from before it queues the buffer until after it gets it back
//! (S19): that is all the bracket it needs, since acquire waits on the CPU.
//!
//! | file | what |
//! |---|---|
//! | `udmabuf`, `heap`, `dumb` | sources of memory |
//! | `amdgpu` | a source of memory whose driver keeps the metadata |
//! | `card` | an open DRM node: handles of buffers, kept by identity |
//! | `held` | what keeps a lease while a device without fences has the buffer |
//! | `implicit` | whether a driver attaches fences by itself |
//! | `probe` | what this machine can do, found by trying |
//! | `scoped` | which of the kernel's fences were meant for some cells only |
//! | `scanout` | surfaces on a screen, by atomic commits with fences both ways |
//! | `sync_file` | a kernel fence |
//! | `timeline` | points that a driver keeps, submitted or not yet |
//! | `v4l2` | surfaces that a camera fills or a video output reads |
//!
//! [`EXPORT_SYNC_FILE`]: handover_sys::dma_buf::export_sync_file
#![doc = include_str!("../../../READ_ONLY_LINUX.md")]
#![doc = ""]
#![doc = include_str!("../../../DRIVERS.md")]

pub mod amdgpu;
mod card;
mod dumb;
mod heap;
mod held;
mod implicit;
pub mod probe;
pub mod scanout;
pub(crate) mod scoped;
pub mod sync_file;
mod timeline;
mod udmabuf;
pub mod v4l2;

pub use amdgpu::{Amdgpu, Kfd};
pub use card::{Card, KmsHandle};
pub use dumb::Dumb;
pub use heap::Heap;
pub use held::Held;
pub use implicit::{Implicit, attaches_fences};
pub use sync_file::SyncFile;
pub use timeline::{Reached, Registration, Timeline};
pub use udmabuf::Udmabuf;
