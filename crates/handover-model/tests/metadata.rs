//! Blocks, headers and the codec of the simulated devices.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::metadata::blocks::{BLOCKS_HEADER, BlocksMetadata, PLAIN_HEADER};
use handover_model::{Block, Bytes, Compression, Constraints, Extent, Format, Header, Kind, Layout, Metadata};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn layout(compression: Compression) -> Layout {
    Layout::blocks(Format::XRGB8888, Extent::new(720, 404).unwrap(), compression, Constraints::NONE).unwrap()
}

#[test]
fn more_than_256_bytes_are_refused() {
    assert_eq!(Block::new(&[7; 256]).unwrap().len(), 256);
    assert_eq!(*Block::new(&[7; 257]).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn bytes_past_the_length_read_as_zero() {
    let block = Block::new(&[0xff; 5]).unwrap();
    assert_eq!(block.stored(), [0xff; 5]);
    assert!(block.as_bytes()[5..].iter().all(|byte| *byte == 0));
    assert_eq!((block.dword(0), block.dword(1), block.dword(usize::MAX)), (Some(u32::MAX), None, None));
    assert!(Block::EMPTY.is_empty() && Metadata::default().block == Block::new(&[]).unwrap());
}

/// The header of a real block: Mesa on a Vega 10 (PCI ID 0x687f), version 1.
#[test]
fn headers_lie_as_amdgpu_has_them() {
    let block = Block::new(&[0x01, 0x00, 0x00, 0x00, 0x7f, 0x68, 0x02, 0x10]).unwrap();
    let header = Header { vendor_id: 0x1002, pci_id: 0x687f, version: 1, flags: 0 };
    assert_eq!(block.header(), Some(header));
    let mut written = Block::EMPTY;
    header.write_to(&mut written);
    assert_eq!(written, block);
    assert_eq!(Block::new(&[1; 7]).unwrap().header(), None);
    let flagged = Header { version: 3, flags: 2, ..header };
    assert_eq!(flagged.dwords()[0], 0x0002_0003);
}

#[test]
fn a_block_of_blocks_byte_by_byte() {
    let layout = layout(Compression::Possible);
    let described = BlocksMetadata::of(&layout, 0xff20_4060).unwrap();
    let block = described.encode().unwrap();
    let dwords: Vec<u32> = (0..).map_while(|index| block.dword(index)).collect();
    let offset = 90 * 51 * 256;
    assert_eq!(dwords, [1, 0xf0f0_0002, 720, 404, 0x3432_5258, offset, 0xff20_4060]);
    assert_eq!(block.len(), 28);
    assert_eq!(BlocksMetadata::decode(&block).unwrap(), described);
    assert_eq!(described.compression, Some(Bytes(u64::from(offset))));
}

#[test]
fn dropped_compression_is_followed_and_another_surface_is_not() {
    let handle = layout(Compression::Possible);
    let kept = BlocksMetadata::of(&handle, 1).unwrap();
    assert_eq!(kept.apply(&handle).unwrap(), handle);
    let dropped = BlocksMetadata::of(&handle.without_compression(), 1).unwrap();
    assert_eq!(dropped.encode().unwrap().dword(5), Some(0));
    assert_eq!(dropped.apply(&handle).unwrap(), handle.without_compression());
    // Compression does not come back, and nothing else may differ.
    assert!(kept.apply(&handle.without_compression()).is_err());
    let other = BlocksMetadata { format: Format::ARGB8888, ..kept };
    assert_eq!(*other.apply(&handle).unwrap_err().kind(), Kind::Malformed);
    let linear = Layout::linear(Format::XRGB8888, Extent::new(720, 404).unwrap(), Constraints::NONE).unwrap();
    assert!(kept.apply(&linear).is_err() && BlocksMetadata::of(&linear, 0).is_none());
}

#[test]
fn what_is_not_ours_is_refused_by_name() {
    let good = BlocksMetadata::of(&layout(Compression::Possible), 0).unwrap().encode().unwrap();
    let with = |header: Header| {
        let mut block = good;
        header.write_to(&mut block);
        block
    };
    let patched = |dword: usize, value: u32| {
        let mut bytes = good.stored().to_vec();
        bytes[4 * dword..4 * dword + 4].copy_from_slice(&value.to_le_bytes());
        Block::new(&bytes).unwrap()
    };
    let cases = [
        ("empty", Block::EMPTY, Kind::Unsupported, "0 bytes"),
        ("AMD", with(Header { vendor_id: 0x1002, ..BLOCKS_HEADER }), Kind::Unsupported, "an AMD device 1002:0002"),
        ("plain", PLAIN_HEADER.alone(), Kind::Unsupported, "plain (simulated) f0f0:0001"),
        ("unknown", with(Header { pci_id: 9, ..BLOCKS_HEADER }), Kind::Unsupported, "unknown simulated device"),
        ("version", with(Header { version: 2, ..BLOCKS_HEADER }), Kind::Unsupported, "version 2"),
        ("flags", with(Header { flags: 1, ..BLOCKS_HEADER }), Kind::Unsupported, "version 1 has no flags"),
        ("short", Block::new(&good.stored()[..27]).unwrap(), Kind::Malformed, "27 bytes"),
        ("long", Block::new(&[good.stored(), &[0]].concat()).unwrap(), Kind::Malformed, "29 bytes"),
        ("width", patched(2, 0), Kind::Malformed, "0x404 px"),
        ("height", patched(3, 16385), Kind::Malformed, "720x16385 px"),
        ("format", patched(4, 0x3130_3244), Kind::Unsupported, "D201"),
    ];
    for (name, block, kind, text) in cases {
        let error = BlocksMetadata::decode(&block).unwrap_err();
        assert_eq!(*error.kind(), kind, "{name}");
        assert!(error.to_string().contains(text), "{name}: {error}");
    }
    assert_eq!(PLAIN_HEADER.alone().header(), Some(PLAIN_HEADER));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn blocks_keep_their_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        match Block::new(&bytes) {
            Ok(block) => prop_assert_eq!(block.stored(), &bytes[..]),
            Err(_) => prop_assert!(bytes.len() > 256),
        }
    }

    /// Any block with the right header is decoded or refused, and what is decoded encodes to the same block.
    #[test]
    fn decoding_never_panics(tail in proptest::collection::vec(any::<u8>(), 0..248), small in any::<bool>()) {
        let [first, second] = BLOCKS_HEADER.dwords();
        let mut bytes = [first.to_le_bytes(), second.to_le_bytes()].concat();
        bytes.extend_from_slice(&tail);
        if small && bytes.len() >= 28 {
            bytes.truncate(28);
            bytes[10..12].fill(0);
            bytes[14..16].fill(0);
            bytes[16..20].copy_from_slice(b"AR24");
        }
        let block = Block::new(&bytes).unwrap();
        if let Ok(decoded) = BlocksMetadata::decode(&block) {
            prop_assert_eq!(decoded.encode().unwrap(), block);
        }
    }
}
