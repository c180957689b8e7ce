//! Drawing in software: what the clients `overlay` and `pattern` show, and the blending of the compositor.
//!
//! Colours are `0xAARRGGBB` with the alpha multiplied in, as Wayland and KMS take `ARGB8888`: a channel is never larger
//! than alpha. Drawing replaces pixels; [`blend_row`] is the one that mixes.

mod blend;
mod canvas;
pub mod font;
mod overlay;
mod pattern;

pub use blend::blend_row;
pub use canvas::{Area, Canvas, Pixels};
pub use overlay::{clock, needle, overlay};
pub use pattern::{colour, pattern};
