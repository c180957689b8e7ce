//! AMDGPU's metadata away from its home: wrong fields named, chips, modifiers, other devices, and PAL's form.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::metadata::amdgpu::pal::{Form, PalBlock};
use handover_model::metadata::amdgpu::{
    Chip, ChipConfig, Dcc, Description, Descriptor, ImageType, Layout, Level, Producer, TilingWord, determine,
    from_modifier, to_modifier,
};
use handover_model::metadata::registry::{Query, Registry};
use handover_model::{Block, Bytes, Kind, Metadata, Modifier, Word};

fn block(dwords: &[u32]) -> Block {
    let bytes: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    Block::new(&bytes).unwrap()
}

fn described(dwords: &[u32]) -> Description {
    Description::decode_by_id(&block(dwords)).unwrap()
}

/// Vega10, scanout, no DCC.
const VEGA10: [u32; 10] = [1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0];
const VEGA10_WORD: u64 = 0x8000_0800_0000_001a;
/// Navi21, scanout, DCC at 0x87c000 and the display's at 0x870000.
const NAVI21: [u32; 10] = [1, 0x1002_73bf, 0, 0xc380_0000, 0x810d_c1df, 0x99b0_0f2e, 0, 0x0040_0000, 0xc069_0000, 0x87];
const NAVI21_WORD: u64 = 0x8000_18ff_e010_e01b;

#[test]
fn a_wrong_word_names_its_field() {
    for (level, word, name) in [
        (Level::Gfx8, 3 << 4, "bits 8:4 PIPE_CONFIG are 3"),
        (Level::Gfx8, 7 << 9, "bits 11:9 TILE_SPLIT are 7"),
        (Level::Gfx8, 5 << 12, "bits 14:12 MICRO_TILE_MODE are 5"),
        (Level::Gfx8, 1 << 23, "bits 63:23"),
        (Level::Gfx6, 5, "bits 3:0 ARRAY_MODE are 5"),
        (Level::Gfx9, 12, "SWIZZLE_MODE 12 to 15"),
        (Level::Gfx10, 29, "SWIZZLE_MODE 29 and 30"),
        (Level::Gfx10_3, 3 << 45, "bits 46:45 DCC_MAX_COMPRESSED_BLOCK_SIZE are 3"),
        (Level::Gfx11, 3 << 47, "bits 48:47 DCC_MAX_UNCOMPRESSED_BLOCK_SIZE are 3"),
        (Level::Gfx11_5, 1 << 49, "bits 62:49"),
        (Level::Gfx12, 3 << 3, "bits 4:3 DCC_MAX_COMPRESSED_BLOCK are 3"),
        (Level::Gfx12, 1 << 15, "bits 62:15"),
    ] {
        let error = TilingWord::parse(level, Word(word)).unwrap_err();
        assert_eq!(*error.kind(), Kind::Malformed);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_descriptor_that_does_not_fit_names_its_field() {
    let navi = described(&NAVI21);
    let vega = described(&VEGA10);
    type Change = fn(&mut Description);
    let rows: [(&Description, Change, &str); 7] = [
        (&vega, |block| block.descriptor.width = 16385, "bits 13:0 WIDTH"),
        (&vega, |block| block.descriptor.pitch = None, "PITCH"),
        (&navi, |block| block.descriptor.height = 65537, "bits 29:14 HEIGHT"),
        (&navi, |block| block.descriptor.pitch = Some(2048), "PITCH_MSB"),
        (&navi, |block| block.descriptor.dcc.offset = Bytes(300), "META_DATA_ADDRESS"),
        (&navi, |block| block.descriptor.tiling = 32, "bits 24:20 SW_MODE"),
        (&navi, |block| block.level_offsets.push(Bytes(0)), "levels"),
    ];
    for (good, change, name) in rows {
        let mut wrong = good.clone();
        change(&mut wrong);
        let error = wrong.encode().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn chips_by_pci_id() {
    assert_eq!(Chip::all().iter().map(|chip| chip.ids().len()).sum::<usize>(), 340);
    for (id, name, level) in [
        (0x6798, "Tahiti", Level::Gfx6),
        (0x67b0, "Hawaii", Level::Gfx7),
        (0x67df, "Polaris10", Level::Gfx8),
        (0x15dd, "Raven or Raven2", Level::Gfx9),
        (0x731f, "Navi10", Level::Gfx10),
        (0x163f, "VanGogh", Level::Gfx10_3),
        (0x744c, "Navi31", Level::Gfx11),
        (0x150e, "Strix", Level::Gfx11_5),
        (0x7550, "Navi48", Level::Gfx12),
    ] {
        let chip = Chip::of(id).unwrap();
        assert_eq!((chip.name, chip.level), (name, level));
    }
    for (index, chip) in Chip::all().iter().enumerate() {
        for id in chip.ids() {
            let first = Chip::all().iter().position(|other| other.ids().contains(id));
            assert_eq!(first, Some(index), "{id:#06x} stands twice");
        }
    }
    assert_eq!(Chip::of(0xfffe), None);
}

/// The five examples of words and their modifiers, and what has to be known for each.
#[test]
fn words_and_modifiers() {
    let retile = |render: u64| {
        let mut image = described(&NAVI21).descriptor;
        image.dcc.offset = Bytes(render);
        image
    };
    let plain = |image: &Descriptor| {
        let mut image = *image;
        image.dcc = Dcc::default();
        image
    };
    let gfx12 = described(&[1, 0x1002_7550, 0, 0xc054_0000, 0x010d_c1df, 0x9830_0f2e, 0, 0x0040_0000, 0x0022_8000, 0]);
    let rows = [
        (Level::Gfx10_3, NAVI21_WORD, 0x0200_0000_2093_7b03, Some(0x444), retile(0x87_c000), true, 2),
        (Level::Gfx9, VEGA10_WORD, 0x0200_0000_0480_1a01, Some(0x2a11_4042), plain(&retile(0)), false, 0),
        (Level::Gfx9, 0x8000_08ff_e010_e019, 0x0200_0004_4041_7901, Some(0x2400_0042), retile(0x88_0000), false, 2),
        (Level::Gfx10, 0x8000_3000_0000_001b, 0x0200_0000_0080_1b02, Some(0x0010_0044), plain(&retile(0)), true, 0),
        (Level::Gfx12, 0x8000_0000_0000_0a0b, 0x0200_0000_0004_2305, None, gfx12.descriptor, true, 0),
    ];
    for (level, word, modifier, register, image, encode, planes) in rows {
        let word = TilingWord::parse(level, Word(word)).unwrap();
        let config = register.map(|register| ChipConfig::parse(level, register).unwrap());
        let found = to_modifier(&word, Some(Bytes(4)), Some(&image), config.as_ref(), Some(encode)).unwrap();
        assert_eq!((found.0, found.1.len()), (Modifier(modifier), planes), "{level}");
        let back = from_modifier(level, found.0, None, found.1.first().copied(), true).unwrap();
        assert_eq!(back.swizzle(), word.swizzle());
        assert!(back.is_scanout());
    }
}

#[test]
fn a_modifier_needs_what_it_needs() {
    let word = TilingWord::parse(Level::Gfx10_3, Word(NAVI21_WORD)).unwrap();
    let image = described(&NAVI21).descriptor;
    let config = ChipConfig::parse(Level::Gfx10_3, 0x444).unwrap();
    for (image, config, encode, missing) in [
        (Some(&image), None, Some(true), "GB_ADDR_CONFIG"),
        (None, Some(&config), Some(true), "the block"),
        (Some(&image), Some(&config), None, "constant_encode"),
    ] {
        let error = to_modifier(&word, None, image, config, encode).unwrap_err();
        assert_eq!(*error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains(missing), "{error}");
    }
    let other = ChipConfig::parse(Level::Gfx11, 0x545).unwrap();
    assert!(to_modifier(&word, None, Some(&image), Some(&other), Some(true)).is_err());
    for (level, mode, kept) in [(Level::Gfx10_3, 9, true), (Level::Gfx10, 10, false), (Level::Gfx9, 10, true)] {
        let word = TilingWord::parse(level, Word(mode)).unwrap();
        assert_eq!(to_modifier(&word, None, None, None, None).is_ok(), kept, "a D order needs the size of a pixel");
    }
    let z = TilingWord::parse(Level::Gfx9, Word(24)).unwrap();
    assert!(to_modifier(&z, None, None, None, None).unwrap_err().to_string().contains("depth"));
    for (modifier, name) in [
        (0x0100_0000_0000_0001, "bits 63:56 vendor"),
        (0x0200_1000_0080_1b03, "bits 55:36"),
        (0x0200_0000_0080_1b04, "bits 7:0 TILE_VERSION"),
        (0x0200_0000_0000_0d03, "bits 12:8 TILE"),
        (0x0200_0000_000c_3b03, "bits 19:18 DCC_MAX_COMPRESSED_BLOCK"),
        (0x0200_0000_0000_3b03, "DCC is set"),
    ] {
        let error = from_modifier(Level::Gfx10_3, Modifier(modifier), None, None, false).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn another_device_reads_what_is_determined_and_nothing_else() {
    let navi21 = Metadata { word: Word(NAVI21_WORD), block: block(&NAVI21) };
    let nothing = Producer::default();
    let refused = determine(&navi21, None, None, &nothing).unwrap_err();
    assert!(refused.to_string().contains("GB_ADDR_CONFIG"), "{refused}");
    let config = ChipConfig::parse(Level::Gfx10_3, 0x444).unwrap();
    let read = determine(&navi21, None, None, &Producer { config: Some(config), ..nothing }).unwrap();
    assert_eq!((read.layout, read.compressed), (Layout::Modifier(Modifier(0x0200_0000_2093_7b03)), Some(true)));
    assert_eq!(read.dcc.iter().map(|plane| plane.offset.get()).collect::<Vec<_>>(), [0x87_0000, 0x87_c000]);

    // The PCI ID of a Vega10 gives its configuration.
    let vega10 = Metadata { word: Word(VEGA10_WORD), block: block(&VEGA10) };
    let read = determine(&vega10, None, None, &nothing).unwrap();
    assert_eq!((read.layout, read.compressed), (Layout::Modifier(Modifier(0x0200_0000_0480_1a01)), Some(false)));

    let mut other = VEGA10;
    other[1] = 0x10de_687f;
    let mut unknown = VEGA10;
    unknown[1] = 0x1002_fffe;
    let rows = [
        (Metadata::default(), "unknown, and not linear"),
        (Metadata { word: vega10.word, ..Metadata::default() }, "PCI ID of the producer"),
        (Metadata { block: block(&other), ..vega10 }, "another vendor"),
        (Metadata { block: block(&unknown), ..vega10 }, "GFX level of the producer"),
        (Metadata { word: Word(0), ..vega10 }, "SWIZZLE_MODE of the word is 0"),
        (Metadata { word: Word(0x0000_08ff_e010_e01a), ..vega10 }, "COMPRESSION_EN of the block says the opposite"),
    ];
    for (metadata, why) in rows {
        let refused = determine(&metadata, None, None, &nothing).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    let with = determine(&Metadata::default(), Some(Modifier::LINEAR), None, &nothing).unwrap();
    assert_eq!((with.layout, with.compressed), (Layout::Modifier(Modifier::LINEAR), Some(false)));
    assert!(determine(&Metadata::default(), Some(Modifier::INVALID), None, &nothing).is_err());

    let b = [1, 0x1002_67df, 0, 0x00a0_0000, 0x410d_c77f, 0x90e0_0f2e, 0x00ff_e000, 0, 0x0060_0000, 0x9000, 0];
    let polaris = Metadata { word: Word(0x0074_16c4), block: block(&b) };
    let read = determine(&polaris, None, None, &nothing).unwrap();
    assert!(matches!(read.layout, Layout::Tiles(word) if word.macro_tile().is_some()));
    assert_eq!((read.compressed, read.dcc.len()), (Some(true), 1));
    let lost = determine(&Metadata { word: Word(0), ..polaris }, None, None, &nothing).unwrap_err();
    assert!(lost.to_string().contains("ARRAY_MODE 1"), "{lost}");
}

#[test]
fn pal_and_its_mixed_form() {
    let mut dwords = [0; 64];
    (dwords[32], dwords[33], dwords[34], dwords[37]) = (1024, 768, 4096, 27);
    dwords[49] = 1 | 1 << 8 | 1 << 17;
    let pal = block(&dwords);
    assert_eq!(Form::of(&pal), Form::Pal);
    let read = PalBlock::decode(&pal).unwrap();
    assert_eq!((read.width, read.height, read.pitch_bytes, read.swizzle_mode), (1024, 768, 4096, 27));
    assert_eq!((read.levels(), read.samples()), (1, 1));

    dwords[..10].copy_from_slice(&[1, 0x1002_73bf, 0, 0xc000_0000, 0x00bf_c0ff, 0, 0, 0, 0x4028_0000, 0x30]);
    let mixed = block(&dwords);
    assert_eq!(Form::of(&mixed), Form::PalWithMesa);
    let header = Description::decode(Level::Gfx10_3, &mixed).unwrap().descriptor;
    assert_eq!((header.width, header.height, header.dcc.offset), (1024, 768, Bytes(0x30_4000)));
    assert_eq!((header.image, header.tiling), (ImageType(0), 0));

    // An XOR that only PAL's part knows: no modifier can say it.
    dwords[46] = 3;
    let metadata = Metadata { word: Word(27), block: block(&dwords) };
    let refused = determine(&metadata, None, None, &Producer::default()).unwrap_err();
    assert!(refused.to_string().contains("PIPE_BANK_XOR"), "{refused}");
    let (_, decoded) = Registry::new().identify(&Query::new(&metadata).from_driver("amdgpu")).unwrap();
    assert!(decoded.fields.iter().any(|field| field.name == "PIPE_BANK_XOR_0" && field.value == 3));
}
