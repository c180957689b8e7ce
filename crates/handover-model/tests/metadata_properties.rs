//! Any word, any block, any caller: no panic; and what is valid comes back as it went in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::metadata::amdgpu::{
    ArrayMode, BlockSize, Caller, ChipConfig, Dcc, DccPlane, Description, Descriptor, Extra, FormatNumbers, Gfx6Word,
    Gfx9Word, Gfx12Word, ImageType, Layout, Level, MacroTile, Outcome, Producer, Reader, Swizzle, TilingWord,
    determine, from_modifier, read,
};
use handover_model::metadata::registry::{Query, Registry};
use handover_model::{Block, Bytes, Metadata, Modifier, Word};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

fn level() -> impl Strategy<Value = Level> {
    proptest::sample::select(&Level::ALL[..])
}

/// PCI IDs of every level, and one that nobody knows.
fn pci_id() -> impl Strategy<Value = u16> {
    proptest::sample::select(
        &[0x6798, 0x67b0, 0x67df, 0x687f, 0x15dd, 0x731f, 0x73bf, 0x744c, 0x150e, 0x7550, 0x74a0, 0xfffe][..],
    )
}

/// Random bytes, and bytes behind the header of a known device, which get further.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let headed = (pci_id(), 0_u16..4, 0_u16..4, proptest::collection::vec(any::<u8>(), 0..=248));
    let headed = headed.prop_map(|(pci_id, version, flags, rest)| {
        let first = u32::from(version) | u32::from(flags) << 16;
        let second = 0x1002_0000 | u32::from(pci_id);
        [&first.to_le_bytes()[..], &second.to_le_bytes()[..], &rest[..]].concat()
    });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..=256), headed]
}

/// Random words, and words with most bits 0.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0_u64..0x80_0000,
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| a & b & (1 << 63 | 0x7_ffff_ffff_ffff))
    ]
}

fn caller() -> impl Strategy<Value = Caller> {
    let sizes = (any::<u32>(), any::<u32>(), 0_u32..20, 0_u32..20, 0_u8..16);
    let bytes = (any::<u64>(), any::<u64>(), any::<u64>(), 0_u64..2);
    (sizes, bytes, proptest::option::of(any::<u64>())).prop_map(|(sizes, bytes, modifier)| Caller {
        modifier: modifier.map(Modifier),
        offset: Bytes(bytes.3),
        width: sizes.0,
        height: sizes.1,
        levels: sizes.2,
        samples: sizes.3,
        image: ImageType(sizes.4),
        buffer: Bytes(bytes.0),
        surface: Bytes(bytes.1),
        dcc: Bytes(bytes.2),
    })
}

/// A word that its level defines.
fn tiling_word() -> impl Strategy<Value = TilingWord> {
    let log2 = |most: u32| (0..=most).prop_map(|log2| 1_u32 << log2);
    let tile = (log2(6), log2(3), log2(3), log2(3), log2(3));
    let gfx6 = (
        proptest::sample::select(&[1_u8, 2, 4, 13][..]),
        proptest::sample::select(&[0_u8, 5, 12, 17][..]),
        0_u8..5,
        tile,
    );
    let gfx6 = gfx6.prop_map(|(mode, pipes, micro, (split, bank_width, bank_height, aspect, banks))| {
        let mode = ArrayMode(mode);
        let tile = MacroTile { split_bytes: split * 64, bank_width, bank_height, aspect, banks: banks * 2 };
        TilingWord::Gfx6(Gfx6Word::new(mode, pipes, micro, mode.is_macro_tiled().then_some(tile)).unwrap())
    });
    let size = || (0_u64..3).prop_map(|number| BlockSize::of(number).unwrap());
    let levels =
        proptest::sample::select(&[Level::Gfx9, Level::Gfx10, Level::Gfx10_3, Level::Gfx11, Level::Gfx11_5][..]);
    let swizzle = (levels, proptest::sample::select(&[0_u8, 3, 9, 10, 18, 25, 26, 27, 28, 31][..]));
    let gfx9 = (swizzle, 0_u64..1 << 24, 0_u16..1 << 14, any::<[bool; 3]>(), size(), size());
    let gfx9 = gfx9.prop_map(|((level, mode), offset, pitch, flags, compressed, uncompressed)| {
        TilingWord::Gfx9(Gfx9Word {
            swizzle: Swizzle::new(level, mode).unwrap(),
            dcc_offset: Bytes(offset * 256),
            dcc_pitch_max: pitch,
            independent_64b: flags[0],
            independent_128b: flags[1],
            max_compressed_block: compressed,
            max_uncompressed_block: uncompressed,
            scanout: flags[2],
        })
    });
    let gfx12 = (0_u8..8, size(), 0_u8..8, 0_u8..64, any::<[bool; 2]>());
    let gfx12 = gfx12.prop_map(|(mode, block, number, data, flags)| {
        TilingWord::Gfx12(Gfx12Word {
            swizzle: Swizzle::new(Level::Gfx12, mode).unwrap(),
            max_compressed_block: block,
            dcc_number_type: number,
            dcc_data_format: data,
            write_compress_disable: flags[0],
            scanout: flags[1],
        })
    });
    prop_oneof![gfx6, gfx9, gfx12]
}

/// A block that its level can store.
fn description() -> impl Strategy<Value = (Description, u16)> {
    let image = (level(), 1_u32..=16384, 1_u32..=16384, 8_u8..16, 0_u8..16, 0_u8..32);
    let rest = (any::<[bool; 4]>(), 1_u64..1 << 32, 0_u64..3, 1_u32..=16384, 0_u16..4, any::<u16>());
    let extra = proptest::option::of(proptest::collection::vec((any::<u32>(), any::<u32>()), 0..4));
    (image, rest, extra, any::<u64>()).prop_map(|(image, rest, planes, modifier)| {
        let (level, width, height, kind, last_level, tiling) = image;
        let (flags, units, block, pitch, debug, pci_id) = rest;
        let has_offset = !matches!(level, Level::Gfx6 | Level::Gfx7 | Level::Gfx12);
        let enabled = flags[0] && level >= Level::Gfx8;
        let old = level < Level::Gfx9;
        let aligned = enabled && (Level::Gfx9..=Level::Gfx11_5).contains(&level);
        let size = level == Level::Gfx12 || (enabled && level >= Level::Gfx10);
        let descriptor = Descriptor {
            level,
            image: ImageType(kind),
            width,
            height,
            depth_field: if tiling == 0 { 0 } else { pci_id & 0x1fff },
            last_array: if old { pci_id & 0x1fff } else { 0 },
            last_level,
            format: if level < Level::Gfx10 {
                FormatNumbers::Split { data: tiling, num: last_level }
            } else {
                FormatNumbers::Unified(u16::from(tiling) * 4)
            },
            dst_sel: [kind & 7, tiling & 7, last_level & 7, 7],
            bc_swizzle: if old { 0 } else { kind & 7 },
            tiling,
            pitch: (level <= Level::Gfx9).then_some(pitch),
            dcc: Dcc {
                enabled,
                offset: Bytes(if has_offset { units * 256 } else { 0 }),
                alpha_is_on_msb: flags[1] && enabled && level < Level::Gfx12,
                pipe_aligned: flags[2] && aligned,
                rb_aligned: flags[3] && aligned && level == Level::Gfx9,
                max_compressed_block: if size { BlockSize::of(block).unwrap() } else { BlockSize::B64 },
            },
        };
        let levels = if descriptor.image.is_multisampled() { 1 } else { u64::from(last_level) + 1 };
        let planes = planes.unwrap_or_default();
        let pairs = planes.iter().map(|(offset, stride)| (Bytes(u64::from(*offset)), Bytes(u64::from(*stride))));
        let extra = match planes.first() {
            Some((_, stride)) if planes.len() == 1 => Extra::Stride(Bytes(u64::from(*stride))),
            _ => Extra::Planes(Modifier(modifier), pairs.collect()),
        };
        let description = Description {
            pci_id,
            descriptor,
            level_offsets: if old { (0..levels).map(|level| Bytes(level * 4096)).collect() } else { Vec::new() },
            extra: (debug & 1 != 0 && !old).then_some(extra),
            overridden: (debug & 2 != 0).then_some(u32::from(pci_id)),
        };
        (description, debug)
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn anything_can_be_read(
        level in level(), pci_id in pci_id(), word in word(), bytes in bytes(), caller in caller(), register in any::<u32>(),
        plain_image in any::<bool>(),
    ) {
        let reading = read(&Reader { pci_id, level }, &caller, Word(word), &bytes);
        prop_assert_eq!(reading.dcc_offset.is_some(), reading.outcome.keeps_dcc());
        if let (Some(offset), Outcome::Keep) = (reading.dcc_offset, reading.outcome) {
            prop_assert!(offset.checked_add(caller.dcc).unwrap() <= caller.buffer);
        }
        prop_assert!(!reading.outcome.to_string().is_empty());

        let block = Block::new(&bytes).unwrap();
        let metadata = Metadata { word: Word(word), block };
        if let Ok(description) = Description::decode(level, &block) {
            prop_assert!(description.fields(&block).len() > 20);
            let _ = description.encode();
        }
        let config = ChipConfig::parse(level, register).ok();
        let producer = Producer { pci_id: Some(pci_id), level: Some(level), config, constant_encode: Some(false), plain_image };
        for bytes_per_element in [None, Some(Bytes(4))] {
            if let Ok(found) = determine(&metadata, None, bytes_per_element, &producer)
                && let Layout::Modifier(modifier) = found.layout
            {
                prop_assert!(modifier.parse().is_ok(), "{modifier:?} of {metadata:?}");
            }
        }
        let registry = Registry::new();
        for driver in [None, Some("amdgpu"), Some("radeon"), Some("i915"), Some("nouveau"), Some("tegra"), Some("vc4"), Some("msm")] {
            let parameters = [("pci_id", u64::from(pci_id)), ("gb_addr_config", u64::from(register))];
            let query = Query { driver, ..Query::new(&metadata).with(&parameters) };
            match registry.identify(&query) {
                Ok((_, decoded)) => prop_assert!(!decoded.summary.is_empty()),
                Err(error) => prop_assert!(error.to_string().len() > 10),
            }
        }
    }

    #[test]
    fn a_word_that_parses_is_the_word_it_was(level in level(), word in word()) {
        if let Ok(parsed) = TilingWord::parse(level, Word(word)) {
            prop_assert_eq!(parsed.word().unwrap(), Word(word));
            prop_assert!(parsed.fields().len() >= 6);
        }
    }

    #[test]
    fn a_valid_word_comes_back(word in tiling_word()) {
        let level = word.swizzle().map_or(Level::Gfx8, Swizzle::level);
        prop_assert_eq!(TilingWord::parse(level, word.word().unwrap()).unwrap(), word);
    }

    #[test]
    fn a_valid_block_comes_back((description, debug) in description()) {
        let version = if debug == 0 { 1 } else { 3 };
        let block = description.encode_version(version, debug).unwrap();
        prop_assert_eq!(Description::decode(description.descriptor.level, &block).unwrap(), description.clone());
        let plain = description.encode().unwrap();
        prop_assert_eq!(plain.dword(0), Some(1));
        prop_assert_eq!(Description::decode(description.descriptor.level, &plain).unwrap().descriptor, description.descriptor);
    }

    #[test]
    fn any_modifier_gives_a_word_or_a_reason(
        level in level(), modifier in any::<u64>(), version in 0_u64..6, plane in proptest::option::of(0_u32..20000),
    ) {
        let plane = plane.map(|pitch| DccPlane { offset: Bytes(u64::from(pitch) * 256), pitch: Some(pitch) });
        let amd = 2 << 56 | (modifier & 0xf_ffff_ff00) | version;
        for modifier in [modifier, amd] {
            if let Ok(word) = from_modifier(level, Modifier(modifier), None, plane, false) {
                let swizzle = word.swizzle().unwrap();
                prop_assert_eq!(u64::from(swizzle.mode()), modifier >> 8 & 0x1f);
            }
        }
    }
}
