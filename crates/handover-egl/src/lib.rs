//! Surfaces of handover as textures of OpenGL ES, by EGL, without a window.
//!
//! For any driver of OpenGL ES 2 or newer that takes dma-bufs by modifier. What a driver has is probed ([`Display::report`]); its
//! name and version decide nothing.
//!
//! | word | here |
//! |---|---|
//! | negotiate | [`Display::offer`]: formats and modifiers, as the driver says for this use |
//! | allocate, export | [`Display::texture`] and [`Display::export`]: a texture's memory, in a surface that is exported as any other |
//! | import | [`Display::import`], or [`Display::image`] of a surface that is here already |
//! | acquire, access, release | [`Display::run`] around an implicit world; [`Display::submit`] with fences in hand |
//! | flush | the end of every job: images never get the promise of an explicit flush, so the driver writes out at `glFlush` |
//!
//! What a job draws is the caller's: [`Display::proc_address`] feeds any binding of OpenGL ES, [`Image::texture`] and
//! [`Image::framebuffer`] are its names. [`Gl`] itself clears and copies, enough to show that it works.

#![deny(unsafe_code)]

mod display;
mod egl;
mod error;
mod format;
mod gl;
mod image;
mod job;
mod offer;
mod sync;
mod texture;

pub use display::{Display, Extension, Options, Report, Trial, list};
pub use gl::Gl;
pub use image::Image;
pub use job::Submitted;
pub use offer::Support;
pub use texture::Texture;

/// The example of the README, kept true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
