//! The kernel's structs and request numbers, as its headers lay them out. One file a header.
//!
//! `tests/uapi.rs` compares every number, size and offset with a committed table, and with the C headers where a compiler
//! and the headers are installed. Nothing here calls anything.

pub mod dma_buf;
pub mod dma_heap;
pub mod drm;
pub mod sync_file;
pub mod syncobj;
pub mod udmabuf;
pub mod vgem;

pub mod amdgpu;
pub mod dumb;
pub mod event;
pub mod kfd;
pub mod mode;
pub mod v4l2;
pub mod v4l2_control;
