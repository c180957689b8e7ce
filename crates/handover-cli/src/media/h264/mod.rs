//! H.264 through openh264: access units in, pictures out, and the other way.

mod annex_b;
mod decode;
mod encode;

pub use annex_b::{NalUnits, PARAMETERS, START_CODE, nal_units, unit_type};
pub use decode::{Decoder, Frames};
pub use encode::{AccessUnit, Encoder};
