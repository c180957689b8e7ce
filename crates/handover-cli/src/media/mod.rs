//! Videos and pictures: MP4 files, H.264, I420 and XRGB8888 pixels, PNG.
//!
//! Pixels of packed formats are bytes in memory order, four a pixel: blue, green, red, x (or alpha), which is what
//! `XRGB8888` and `ARGB8888` of `drm_fourcc.h` are on a little-endian machine and what a mapped surface is read into.

pub mod colour;
pub mod h264;
pub mod mp4;
pub mod png;

mod error;
mod i420;
mod rate;

pub use error::{Error, Kind, Result};
pub use i420::I420;
pub use rate::Rate;
