//! AMDGPU's metadata on another device: what determines a layout, and each thing that leaves it open, by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::metadata::amdgpu::{
    BlockSize, ChipConfig, Dcc, Description, Layout, Level, Producer, TexelFormat, TilingWord, determine,
    from_modifier, to_modifier,
};
use handover_model::metadata::registry::{Image, Query, Registry};
use handover_model::{Block, Bytes, Error, Kind, Metadata, Modifier, Word};

/// Vega10, scanout, no DCC, one level.
const VEGA10: [u32; 10] = [1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0];
const VEGA10_WORD: u64 = 0x8000_0800_0000_001a;
const VEGA10_MODIFIER: Modifier = Modifier(0x0200_0000_0480_1a01);

fn metadata(word: u64, dwords: &[u32]) -> Metadata {
    let bytes: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    Metadata { word: Word(word), block: Block::new(&bytes).unwrap() }
}

fn refused(metadata: &Metadata, producer: &Producer) -> Error {
    determine(metadata, None, Some(Bytes(4)), producer).unwrap_err()
}

/// PAL's block of a two-dimensional image with 64K_D_X, and what one changed dword of its own part does.
fn pal(change: Option<(usize, u32)>) -> [u32; 64] {
    let mut dwords = [0; 64];
    (dwords[32], dwords[33], dwords[37], dwords[47], dwords[48]) = (64, 32, 26, 1, 1);
    dwords[49] = 1 | 1 << 8 | 1 << 17;
    if let Some((index, value)) = change {
        dwords[index] = value;
    }
    dwords
}

#[test]
fn a_modifier_is_one_plain_level() {
    let vega = |change: fn(&mut [u32; 10])| {
        let mut dwords = VEGA10;
        change(&mut dwords);
        metadata(VEGA10_WORD, &dwords)
    };
    let rows: [(Metadata, &str); 5] = [
        (vega(|dwords| dwords[5] |= 9 << 16), "LAST_LEVEL 9"),
        (vega(|dwords| dwords[5] |= 13 << 28), "TYPE 13 (2D_ARRAY)"),
        (vega(|dwords| dwords[6] |= 3), "DEPTH 3"),
        (vega(|dwords| dwords[5] |= 14 << 28), "TYPE 15"),
        // A chain of levels that Mesa wrote.
        (
            metadata(
                0x8000_087f_e000_001a,
                &[1, 0x1002_687f, 0, 0x00a0_0000, 0x407f_c1ff, 0x91a9_0fac, 0x005f_e000, 0x9000_0000, 0, 0],
            ),
            "LAST_LEVEL 9",
        ),
    ];
    for (metadata, name) in rows {
        let error = refused(&metadata, &Producer { plain_image: true, ..Producer::default() });
        assert!(*error.kind() == Kind::Unsupported && error.to_string().contains(name), "{error}");
    }

    // A word alone needs the caller's word for it; a linear one does not.
    let alone = metadata(VEGA10_WORD, &[]);
    let vega10 = Producer { pci_id: Some(0x687f), ..Producer::default() };
    assert!(refused(&alone, &vega10).to_string().contains("plain_2d"));
    let said = determine(&alone, None, Some(Bytes(4)), &Producer { plain_image: true, ..vega10 }).unwrap();
    assert_eq!(said.layout, Layout::Modifier(VEGA10_MODIFIER));
    let linear = determine(&metadata(0x8000_0800_0000_0000, &[]), None, None, &vega10).unwrap();
    assert_eq!(linear.layout, Layout::Modifier(Modifier::LINEAR));
    let query = Query::new(&alone).from_driver("amdgpu");
    let modifier = |known: &[(&str, u64)]| Registry::new().identify(&query.with(known)).unwrap().1.modifier;
    assert!(modifier(&[("pci_id", 0x687f)]).unwrap_err().to_string().contains("plain_2d"));
    assert_eq!(modifier(&[("pci_id", 0x687f), ("plain_2d", 1)]).unwrap(), VEGA10_MODIFIER);
}

#[test]
fn a_pretended_chip_a_short_block_and_two_configurations() {
    let mut pretended = [0; 11];
    pretended[..10].copy_from_slice(&VEGA10);
    (pretended[0], pretended[10]) = (2 << 16 | 3, 12);
    let nothing = Producer::default();
    assert!(refused(&metadata(VEGA10_WORD, &pretended), &nothing).to_string().contains("FAMILY_OVERRIDDEN"));
    let cut = Description::decode(Level::Gfx9, &metadata(0, &pretended[..10]).block).unwrap_err();
    assert_eq!(*cut.kind(), Kind::Truncated);

    // The second dword is a PCI ID only where the block is one of Mesa's.
    let mut unknown = VEGA10;
    unknown[0] = 4;
    for dwords in [&VEGA10[..9], &unknown[..]] {
        assert!(refused(&metadata(VEGA10_WORD, dwords), &nothing).to_string().contains("PCI ID of the producer"));
    }

    let other = ChipConfig::parse(Level::Gfx9, 0x2400_0042).unwrap();
    let vega10 = metadata(VEGA10_WORD, &VEGA10);
    let error = refused(&vega10, &Producer { config: Some(other), ..nothing });
    assert_eq!(*error.kind(), Kind::Malformed);
    assert!(error.to_string().contains("0x04000042") && error.to_string().contains("0x08104042"), "{error}");
    let same = ChipConfig::of_pci(0x687f).unwrap();
    assert!(determine(&vega10, None, None, &Producer { config: Some(same), ..nothing }).is_ok());
}

#[test]
fn nothing_and_pal_are_not_linear() {
    let vega10 = Producer { pci_id: Some(0x687f), plain_image: true, ..Producer::default() };
    let mut unknown = VEGA10;
    unknown[0] = 9;
    for dwords in [&[][..], &VEGA10[..9], &unknown[..], &pal(Some((37, 0)))[..]] {
        let error = refused(&metadata(0, dwords), &vega10);
        assert!(error.to_string().contains("not linear"), "{error}");
    }
    let read = determine(&metadata(VEGA10_WORD, &pal(None)), None, Some(Bytes(4)), &vega10).unwrap();
    assert_eq!(read.layout, Layout::Modifier(VEGA10_MODIFIER));
    for (change, name) in [
        ((37, 25), "SWIZZLE_MODE of the word is 26, of the block 25"),
        ((48, 2), "ARRAY_SIZE 2"),
        ((47, 4), "DEPTH 4"),
        ((49, 3 | 1 << 8 | 1 << 17), "MIPS 3"),
        ((49, 1 | 1 << 8 | 4 << 17), "SAMPLES 4"),
        ((46, 3), "PIPE_BANK_XOR"),
    ] {
        let error = refused(&metadata(VEGA10_WORD, &pal(Some(change))), &vega10);
        assert!(error.to_string().contains(name), "{error}");
    }
    let thick = TilingWord::parse(Level::Gfx6, Word(4 << 12)).unwrap_err();
    assert!(thick.to_string().contains("MICRO_TILE_MODE are 4"), "{thick}");
    assert!(TilingWord::parse(Level::Gfx7, Word(4 << 12)).is_ok());
}

#[test]
fn second_planes_and_counts_that_a_modifier_holds() {
    let config = ChipConfig::parse(Level::Gfx9, 0x2400_0042).unwrap();
    let word = TilingWord::parse(Level::Gfx9, Word(0x8000_08ff_e010_e019)).unwrap();
    let mut image = Description::decode(Level::Gfx9, &metadata(0, &VEGA10).block).unwrap().descriptor;
    image.dcc = Dcc { enabled: true, pipe_aligned: true, ..Dcc::default() };
    for (offset, planes) in [(0x88_0000, 2), (0, 1), (1 << 32, 1)] {
        image.dcc.offset = Bytes(offset);
        let (modifier, dcc) = to_modifier(&word, Some(Bytes(4)), Some(&image), Some(&config), Some(false)).unwrap();
        assert_eq!((dcc.len(), modifier.0 >> 14 & 1), (planes, planes as u64 - 1), "{offset:#x}");
    }
    let wide = ChipConfig { pipes: 7, shader_engines: 3, ..config };
    let word = TilingWord::parse(Level::Gfx9, Word(VEGA10_WORD)).unwrap();
    let error = to_modifier(&word, Some(Bytes(4)), None, Some(&wide), None).unwrap_err();
    assert!(error.to_string().contains("bits 23:21 PIPE_XOR_BITS"), "{error}");
}

/// What Mesa stores of surfaces without DCC.
#[test]
fn words_without_dcc_have_the_blocks_of_their_level() {
    for (level, modifier, scanout, expected) in [
        (Level::Gfx9, 0x0200_0000_0480_1901, false, 0x0000_0800_0000_0019),
        (Level::Gfx10, 0x0200_0000_0080_1b02, true, 0x8000_3000_0000_001b),
        (Level::Gfx10_3, 0, false, 0x8000_3000_0000_0000),
        (Level::Gfx11_5, 0, false, 0x8000_5000_0000_0000),
    ] {
        let word = from_modifier(level, Modifier(modifier), None, None, scanout).unwrap();
        assert_eq!(word.word().unwrap(), Word(expected), "{level}");
    }
    let pages = from_modifier(Level::Gfx12, Modifier::LINEAR, None, None, false).unwrap();
    assert!(
        !pages.is_scanout() && matches!(pages, TilingWord::Gfx12(word) if word.max_compressed_block == BlockSize::B64)
    );
    // The format is written without DCC too; sRGB has a number of its own here.
    for (name, expected) in [("B8G8R8X8_UNORM", 0xa00), ("B8G8R8A8_SRGB", 0xac0), ("R16G16B16A16_FLOAT", 0xce0)] {
        let texel = TexelFormat::named(name);
        assert!(texel.is_some(), "{name}");
        let word = from_modifier(Level::Gfx12, Modifier::LINEAR, texel, None, false).unwrap();
        assert_eq!(word.word().unwrap(), Word(expected), "{name}");
    }
}

#[test]
fn the_image_for_importers_to_compare() {
    let image = |metadata: &Metadata| {
        let query = Query::new(metadata).from_driver("amdgpu").with(&[("gfx", 90)]);
        Registry::new().identify(&query).unwrap().1.image
    };
    let plain =
        Image { width: 1920, height: 1080, levels: 1, layers: 1, samples: 1, bytes_per_element: Some(Bytes(4)) };
    assert_eq!(image(&metadata(VEGA10_WORD, &VEGA10)), Some(plain));
    let mut cube = VEGA10;
    cube[5] = cube[5] & 0x0fff_ffff | 11 << 28;
    assert_eq!(image(&metadata(VEGA10_WORD, &cube)), Some(Image { layers: 6, ..plain }));
    let said = Image { width: 64, height: 32, bytes_per_element: None, ..plain };
    assert_eq!(image(&metadata(VEGA10_WORD, &pal(None))), Some(said));
    assert_eq!(image(&metadata(VEGA10_WORD, &[])), None);
}
