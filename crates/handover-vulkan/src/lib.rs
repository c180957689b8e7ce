//! Surfaces of handover as images of Vulkan.
//!
//! For any driver of Vulkan 1.1 or newer that shares memory as dma-bufs by modifier. What a driver has is probed
//! ([`Gpu::report`]); its name and version decide nothing.
//!
//! | word | here |
//! |---|---|
//! | negotiate | [`Gpu::offer`]: formats and modifiers, as the driver says for this use |
//! | allocate, export | [`Gpu::allocate`]: memory of the device, in surfaces that are exported as any other |
//! | import | [`Gpu::import`], or [`Gpu::image`] of a surface that is here already |
//! | acquire, access, release | [`Gpu::run`] around an implicit world; [`Gpu::submit`] with fences in hand |
//! | flush | the end of every job: images go to the outside, and what the driver kept to itself is written out |
//!
//! What a job records is the caller's: [`Recorder::raw`] and [`Gpu::device`] are those of `ash`. [`paint`] is a small painter of
//! our own, enough to show that it works.

#![deny(unsafe_code)]

mod error;
pub mod format;
mod gpu;
mod image;
mod job;
mod offer;
pub mod paint;
mod record;
mod sync;

pub use ash;
pub use gpu::{Complaint, Complaints, Extension, Gpu, Options, Report, list};
pub use image::Image;
pub use job::Submitted;
pub use offer::Support;
pub use record::Recorder;
pub use sync::TimelineSemaphore;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
