//! Simulated chips in dma-bufs: a CPU reads what its codec knows, compressed or without a modifier, whoever keeps the memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/kernel.rs"]
mod kernel;

use std::sync::Arc;

use common::{alone, lease, soon};
use handover::import::{Foreign, foreign};
use handover::{Access, Device, ExportFlags, Extent, Format, Kind, Options, Writers, allocate, export, import};
use kernel::backends;

const SIZE: (u32, u32) = (200, 120);

#[test]
fn compressed_surfaces_without_a_modifier_go_through_dma_bufs() {
    let _turn = alone();
    let extent = Extent::new(SIZE.0, SIZE.1).unwrap();
    let content: Vec<u8> = (0..SIZE.0 * SIZE.1 * 4).map(|at| if at < 40_000 { 9 } else { (at * 7) as u8 }).collect();
    for backend in backends() {
        for device in [Device::VEGA10, Device::NAVI21, Device::TIGERLAKE] {
            let options = Options { backend: Arc::clone(&backend), writers: Writers::Open, ..Options::default() };
            let ours = match allocate::implicit(device, Format::XRGB8888, extent, &options) {
                Ok(mut ours) => ours.remove(0),
                Err(error) => {
                    // A card lays out its own buffers, in rows.
                    assert!(error.to_string().contains("dumb buffers are linear"), "{error}");
                    assert!(backend.name().contains("dumb"), "{}", backend.name());
                    continue;
                }
            };
            let held = lease(&ours, Access::Write);
            held.write(&ours).unwrap().write_image(0, &content, SIZE.0 as usize * 4).unwrap();
            held.release().unwrap();
            let flags = ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH;
            let theirs = import(export(&ours, flags, soon()).unwrap().handle, device).unwrap();
            let held = lease(&theirs, Access::Read);
            let mut seen = vec![0; content.len()];
            held.read(&theirs).unwrap().read_image(0, &mut seen, SIZE.0 as usize * 4).unwrap();
            assert!(seen == content, "{device} in {}", backend.name());

            // Of a stranger's buffer with the same modifier nobody here knows the compression: it is a real chip's.
            let buffer = Foreign::DmaBuf(ours.pixels_fd().try_clone_to_owned().unwrap());
            let stranger = foreign(buffer, ours.layout(), device, Access::Read);
            match ours.layout().has_compression() {
                true => assert_eq!(*stranger.unwrap_err().kind(), Kind::Unsupported, "{device}"),
                false => assert!(stranger.is_ok(), "{device}"),
            }
        }
    }
}
