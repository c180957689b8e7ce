//! MP4 files (ISO/IEC 14496-12 and -15): reading the H.264 track of a clip, writing a fragmented file.
//!
//! The boxes' own bytes are the business of the crate mp4-atom. Which boxes are looked at, what they may claim and what
//! follows from it is decided here: a file is a stranger's until it is a [`Clip`].

mod atoms;
mod fragments;
mod header;
mod read;
mod samples;
mod source;
mod write;

pub use read::Clip;
pub use write::Writer;
