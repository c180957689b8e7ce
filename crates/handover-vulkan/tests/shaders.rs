//! The compiled shaders are those of their source.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use naga::back::spv;
use naga::valid::{Capabilities, ValidationFlags, Validator};

const SOURCE: &str = include_str!("../shaders/paint.wgsl");

/// `HANDOVER_BLESS=1` writes them anew.
#[test]
fn shaders_are_those_of_their_source() {
    let module =
        naga::front::wgsl::parse_str(SOURCE).unwrap_or_else(|error| panic!("{}", error.emit_to_string(SOURCE)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::PUSH_CONSTANT).validate(&module).unwrap();
    // SPIR-V 1.0, which every version of Vulkan takes.
    let options = spv::Options { lang_version: (1, 0), flags: spv::WriterFlags::empty(), ..Default::default() };
    let words = spv::write_vec(&module, &info, &options, None).unwrap();
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/paint.spv");
    if std::env::var_os("HANDOVER_BLESS").is_some() {
        std::fs::write(path, &bytes).unwrap();
    }
    assert!(std::fs::read(path).unwrap() == bytes, "{path} is stale; HANDOVER_BLESS=1 cargo test -p handover-vulkan");
}
