//! Surfaces through Wayland, at both ends, in pure Rust.
//!
//! [`client`] shows surfaces in a window of a compositor: the compositor's feedback becomes an [`Offer`](handover::Offer) to negotiate
//! with, a leased surface becomes a `wl_buffer`, and the lease comes back when the compositor is done. [`server`] is a small
//! compositor that draws nothing: it takes what clients show and hands it to its caller as surfaces.
//!
//! | protocol | client | server |
//! |---|---|---|
//! | `linux-dmabuf-v1` | versions 3 to 5 | version 5 |
//! | `linux-drm-syncobj-v1` | where both sides can | with a card |
//! | `xdg-shell` | one toplevel | toplevels; popups never appear |
//! | `presentation-time` | where it is there | version 1 |
//! | `wl_shm` | no | copied out |
//!
//! Whom a side waits for is told by the kernel: with implicit synchronisation by the buffer's own reservation, with explicit
//! synchronisation by points of timelines, whose fences each end puts into that reservation before it passes a surface on. So
//! [`acquire`](handover::acquire()) is all that a user of either end has to call.

#![forbid(unsafe_code)]

pub mod client;
mod device;
mod fences;
pub mod server;
mod table;

pub use device::DeviceId;
