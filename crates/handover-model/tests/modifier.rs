//! Modifiers: numbers, words and typed values agree with each other, and what the header reserves is refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::modifier::amd::{self, Amd};
use handover_model::modifier::arm::{Afbc, Arm, BlockSize};
use handover_model::modifier::broadcom::Broadcom;
use handover_model::modifier::intel::Intel;
use handover_model::modifier::nvidia::{Compression, Generation, Nvidia, SectorLayout};
use handover_model::modifier::vivante::{self, Vivante};
use handover_model::modifier::{BitField, Parsed};
use handover_model::{Kind, Modifier, Stage};
use proptest::prelude::*;

const TABLE: &str = include_str!("data/modifiers.tsv");

/// Number, our words, expression of the header.
fn table() -> impl Iterator<Item = (Modifier, &'static str, &'static str)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [number, words, _, _, expression] = cells[..] else { panic!("{line}") };
        (Modifier(u64::from_str_radix(&number[2..], 16).unwrap()), words, expression)
    })
}

/// Vendor bytes of the header, ours, and one of nobody's.
const VENDORS: [u64; 15] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0xf0, 0xee];

#[test]
fn every_known_modifier_is_the_same_as_number_words_and_value() {
    let mut seen = 0;
    for (modifier, words, expression) in table() {
        seen += 1;
        assert_eq!(modifier.to_string(), words);
        assert_eq!(words.parse(), Ok(modifier), "{words}");
        assert_eq!(format!("{:#x}", modifier.0).parse(), Ok(modifier), "{words}");
        assert_eq!(modifier.parse().unwrap().modifier(), modifier, "{words}");
        // A macro without parameters is a name, too.
        if expression.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            assert_eq!(expression.parse(), Ok(modifier));
        }
    }
    assert!(seen > 190, "{seen}: the table has moved");
}

#[test]
fn values_by_hand() {
    let navi21_scanout = Amd {
        version: amd::Version::Gfx10RbPlus,
        tile: amd::Tile::Sw64KRX,
        dcc: Some(amd::Dcc {
            retile: true,
            pipe_align: false,
            independent_64b: true,
            independent_128b: true,
            max_compressed_block: amd::MaxBlock::B64,
            constant_encode: true,
            rb: 0,
            pipe: 0,
        }),
        pipe_xor_bits: 4,
        bank_xor_bits: 0,
        packers: 4,
    };
    let afbc = Afbc {
        block_size: BlockSize::B32x8,
        ytr: true,
        split: false,
        sparse: true,
        cbr: false,
        tiled: false,
        sc: false,
        db: false,
        bch: false,
        usm: false,
    };
    let blackwell = Nvidia::BlockLinear2D {
        block_height_log2: 1,
        page_kind: 6,
        generation: Generation::Turing,
        sector_layout: SectorLayout::Gb20x8Bpp,
        compression: Compression::None,
    };
    let super_tiled = Vivante {
        tiling: vivante::Tiling::SuperTiled,
        tile_status: Some(vivante::TileStatus::Bytes128Bits4),
        dec400: true,
    };
    let cases = [
        (0x0, Parsed::Linear, false),
        (0x00ff_ffff_ffff_ffff, Parsed::Invalid, false),
        (0x0100_0000_0000_0009, Parsed::Intel(Intel::Tile4), false),
        (0x0100_0000_0000_0010, Parsed::Intel(Intel::Tile4LnlCcs), true),
        (0x0200_0000_2093_7b03, Parsed::Amd(navi21_scanout), true),
        (0x0300_0000_0420_6011, Parsed::Nvidia(blackwell), false),
        (0x0613_0000_0000_0002, Parsed::Vivante(super_tiled), true),
        (0x0700_0000_0006_6004, Parsed::Broadcom(Broadcom::Sand128 { column_height: 1632 }), false),
        (0x0800_0000_0000_0052, Parsed::Arm(Arm::Afbc(afbc)), true),
        (0x0810_0000_0000_0002, Parsed::Arm(Arm::Interleaved64K), false),
    ];
    for (number, value, is_compressed) in cases {
        assert_eq!(Modifier(number).parse().as_ref(), Ok(&value), "{number:#x}");
        assert_eq!(value.modifier(), Modifier(number), "{value:?}");
        assert_eq!(Modifier::from(value), Modifier(number), "{value:?}");
        assert_eq!(value.is_compressed(), is_compressed, "{value:?}");
    }
}

/// Each reserved bit, in every known modifier: the refusal names the whole gap that the bit lies in.
#[test]
fn reserved_bits_one_by_one() {
    let mut seen = 0;
    for (modifier, words, ..) in table() {
        for bit in 0..56 {
            let flipped = Modifier(modifier.0 | 1 << bit);
            // The bits that say which fields there are: 4 of NVIDIA, the type of Arm.
            if flipped == modifier || flipped.fields() != modifier.fields() {
                continue;
            }
            if flipped.fields().iter().any(|field| field.mask() >> bit & 1 == 1) {
                continue;
            }
            seen += 1;
            let text = refusal(flipped);
            assert!(text.contains("reserved = "), "{words}, bit {bit}: {text}");
            let (range, _) = text.split_once(" reserved").unwrap();
            let range = range.rsplit(' ').next().unwrap();
            let (high, low) = range.split_once(':').unwrap_or((range, range));
            let (high, low): (u32, u32) = (high.parse().unwrap(), low.parse().unwrap());
            assert!((low..=high).contains(&bit), "{words}, bit {bit}: {text}");
        }
    }
    assert!(seen > 3500, "{seen}");
}

fn refusal(modifier: Modifier) -> String {
    let error = modifier.parse().expect_err(&modifier.to_string());
    assert_eq!((error.stage(), error.kind()), (Stage::Negotiate, &Kind::Malformed), "{error}");
    error.to_string()
}

#[test]
fn reserved_values_are_refused_by_the_name_of_their_field() {
    let cases: [(u64, &str); 47] = [
        (0x0000_0000_0000_0001, "VALUE"),
        (0x0100_0000_0000_0000, "bits 55:0 LAYOUT = 0x0"),
        (0x0100_0000_0000_0012, "Intel has layouts 1 to 17"),
        (0x0200_0000_0000_0900, "bits 7:0 TILE_VERSION = 0x0"),
        (0x0200_0000_0000_0906, "bits 7:0 TILE_VERSION = 0x6"),
        (0x0200_0000_0000_0001, "bits 12:8 TILE = 0x0"),
        (0x0200_0000_0000_1f03, "bits 12:8 TILE = 0x1f"),
        (0x0200_0000_0000_0505, "GFX12 has 1 (256B_2D)"),
        (0x0200_0000_0000_0305 | 9 << 8, "bits 12:8 TILE = 0xb"),
        (0x0200_0000_0080_5b02, "bit 14 DCC_RETILE = 0x1; refused because it needs bit 13 DCC"),
        (0x0200_0000_0084_1b02, "bits 19:18 DCC_MAX_COMPRESSED_BLOCK = 0x1"),
        (0x0200_0000_008c_3b02, "bits 19:18 DCC_MAX_COMPRESSED_BLOCK = 0x3"),
        (0x0200_0000_0080_fb02, "bit 15 DCC_PIPE_ALIGN = 0x1; refused because bit 14 DCC_RETILE excludes it"),
        (0x0200_0000_0001_2305, "bit 16 DCC_INDEPENDENT_64B = 0x1; refused because DCC of GFX12"),
        (0x0200_0000_0020_0901, "bits 23:21 PIPE_XOR_BITS = 0x1"),
        (0x0200_0000_0020_0305, "bits 23:21 PIPE_XOR_BITS = 0x1"),
        (0x0200_0000_0100_0901, "bits 26:24 BANK_XOR_BITS = 0x1; refused because only the swizzle modes *_X"),
        (0x0200_0000_0580_1b02, "bits 26:24 BANK_XOR_BITS = 0x5; refused because only GFX9"),
        (0x0200_0000_0880_1b02, "bits 29:27 PACKERS = 0x1; refused because only GFX10_RBPLUS and GFX11"),
        (0x0200_0000_0800_0a04, "bits 29:27 PACKERS = 0x1; refused because only the swizzle modes *_X"),
        (0x0200_0000_4440_1901, "bits 32:30 RB = 0x1; refused because it needs bit 13 DCC"),
        (0x0200_0000_4080_3b02, "bits 32:30 RB = 0x1; refused because only GFX9"),
        (0x0200_0004_0440_3901, "bits 35:33 PIPE = 0x2; refused because it needs DCC_RETILE or DCC_PIPE_ALIGN"),
        (0x0300_0000_0000_0002, "without bit 4 BLOCK_LINEAR, NVIDIA has layout 1 only"),
        (0x0300_0000_0030_0010, "bits 21:20 GENERATION = 0x3"),
        (0x0300_0000_0286_0010, "bits 25:23 COMPRESSION = 0x5"),
        (0x0300_0000_0806_0010, "bits 27:26 SECTOR (high bits) = 0x2"),
        (0x0300_0000_0000_0016, "bits 3:0 HEIGHT = 0x6"),
        (0x0400_0000_0000_0003, "Samsung has layouts 1 and 2"),
        (0x0500_0000_0000_0004, "Qualcomm has layouts 1 to 3"),
        (0x0600_0000_0000_0005, "bits 47:0 TILING = 0x5"),
        (0x0601_0000_0000_0000, "bits 47:0 TILING = 0x0"),
        (0x0605_0000_0000_0001, "bits 51:48 TS = 0x5"),
        (0x0610_0000_0000_0001, "bits 55:52 COMP = 0x1; refused because DEC400 needs a tile status"),
        (0x0621_0000_0000_0001, "bits 55:52 COMP = 0x2"),
        (0x0700_0000_0000_0007, "bits 7:0 TYPE = 0x7"),
        (0x0700_0000_0000_0106, "bits 55:8 PARAM = 0x1; refused because UIF"),
        (0x0800_0000_0000_0005, "bits 3:0 AFBC_BLOCK_SIZE = 0x5"),
        (0x0810_0000_0000_0003, "bits 51:0 MISC = 0x3"),
        (0x0820_0000_0000_0100, "bits 3:0 AFRC_CU_SIZE_P0 = 0x0"),
        (0x0820_0000_0000_0041, "bits 7:4 AFRC_CU_SIZE_P12 = 0x4"),
        (0x0830_0000_0000_0001, "bits 55:52 TYPE = 0x3"),
        (0x0900_0000_0000_0000, "Allwinner has layout 1 only"),
        (0x0a00_0000_0000_0003, "bits 7:0 LAYOUT = 0x3"),
        (0x0b00_0000_0000_0201, "bits 11:8 COMPRESS = 0x2"),
        (0x0b00_0000_0003_0001, "bits 19:16 10BIT_LAYOUT = 0x3"),
        (0x0c00_0000_0000_0003, "Apple has layouts 1 and 2"),
    ];
    for (number, said) in cases {
        let text = refusal(Modifier(number));
        assert!(text.contains(said), "{number:#018x}: {text}");
        assert!(text.contains(&format!("{number:#018x}")), "{text}");
    }
}

#[test]
fn an_unknown_vendor_is_another_error() {
    let error = Modifier(0xee00_0000_0000_0002).parse().unwrap_err();
    assert_eq!(*error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("bits 63:56 VENDOR = 0xee"), "{error}");
    assert_eq!(Modifier(0xee00_0000_0000_0002).fields(), &[]);
}

#[test]
fn other_spellings() {
    let cases = [
        ("DRM_FORMAT_MOD_LINEAR", 0),
        ("DRM_FORMAT_MOD_NONE", 0),
        ("DRM_FORMAT_MOD_INVALID", 0x00ff_ffff_ffff_ffff),
        ("DRM_FORMAT_MOD_GENERIC_16_16_TILE", 0x0400_0000_0000_0002),
        ("X_TILED", 0x0100_0000_0000_0001),
        ("VIVANTE_TILED", 0x0600_0000_0000_0001),
        ("AMD_GFX9,GFX9_64K_S_X,DCC,DCC_RETILE,PIPE_XOR_BITS=2,BANK_XOR_BITS=0,RB=1,PIPE_2", 0x0200_0004_4040_7901),
        ("BLOCK_SIZE=16x16,MODE=YTR|SPARSE", 0x0800_0000_0000_0051),
        ("16BX2_BLOCK_FOUR_GOB", 0x0300_0000_0000_0012),
        ("  INTEL 4_TILED ", 0x0100_0000_0000_0009),
        ("SIM_BLOCKS", 0xf000_0000_0000_0001),
        ("SIMULATED 0x7", 0xf000_0000_0000_0007),
        ("vendor 0xee 0x2", 0xee00_0000_0000_0002),
        ("0xFFFFFFFFFFFFFFFF", u64::MAX),
    ];
    for (text, number) in cases {
        assert_eq!(text.parse(), Ok(Modifier(number)), "{text}");
    }
}

#[test]
fn names_that_mean_nothing_say_why() {
    let cases = [
        ("", "no vendor has such a name"),
        ("TILED", "it could be each of VIVANTE TILED, ALLWINNER TILED"),
        ("INTEL Z_TILED", "INTEL has no word Z_TILED; it has X_TILED Y_TILED"),
        ("INTEL X_TILED Y_TILED", "Y_TILED contradicts a word before it"),
        ("AMD GFX9 64K_S_X, pipe_xor=8", "AMD has no word pipe_xor=8"),
        ("AMD GFX9 64K_S_X, pipe_xor=1, pipe_xor=2", "pipe_xor=2 contradicts a word before it"),
        ("AMD GFX10 64K_R_X, bank_xor=5", "bits 26:24 BANK_XOR_BITS = 0x5"),
        ("AMD", "no vendor has such a name"),
        ("MTK ", "no vendor has such a name"),
        ("MTK_ ,", "it says no layout"),
        ("INTEL 0x100000000000000", "56 bits of the vendor's were meant"),
        ("0x", "a hexadecimal number of up to 64 bits was meant"),
        ("0x+1", "a hexadecimal number"),
        ("0x10000000000000000", "a hexadecimal number"),
        ("vendor 0x1ee 0x2", "a vendor byte and 56 bits"),
    ];
    for (text, said) in cases {
        let error = text.parse::<Modifier>().expect_err(text);
        assert_eq!(error.stage(), Stage::Negotiate);
        assert!(error.to_string().contains(said), "{text}: {error}");
    }
}

#[test]
fn fields_lie_apart_and_read_what_stands_there() {
    for (modifier, words, ..) in table() {
        let mut seen = 0_u64;
        for field in modifier.fields() {
            assert_eq!(seen & field.mask(), 0, "{words}: {field}");
            assert_eq!(field.value(modifier), modifier.0 >> field.low & field.max(), "{words}: {field}");
            seen |= field.mask();
        }
        assert_eq!(modifier.value() & !seen, 0, "{words}");
    }
    let dcc = BitField { name: "DCC", high: 13, low: 13 };
    assert_eq!((dcc.to_string(), dcc.mask()), ("bit 13 DCC".to_owned(), 0x2000));
}

/// Numbers with a known vendor and small values in its fields, so that many are legal.
fn likely() -> impl Strategy<Value = Modifier> {
    let field = prop_oneof![3 => 0..4_u64, 1 => any::<u64>()];
    (proptest::sample::select(&VENDORS[..]), any::<u64>(), proptest::collection::vec(field, 16)).prop_map(
        |(vendor, kind, values)| {
            let like = Modifier(vendor << 56 | kind & 0x0030_0000_0000_0010);
            let bits = like.fields().iter().zip(values).map(|(field, value)| (value & field.max()) << field.low);
            Modifier(bits.fold(vendor << 56, |all, bits| all | bits))
        },
    )
}

fn holds_both_ways(modifier: Modifier) {
    if let Ok(value) = modifier.parse() {
        assert_eq!(value.modifier(), modifier, "{value:?}");
    }
    assert_eq!(modifier.to_string().parse(), Ok(modifier), "{modifier}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_number_holds_both_ways(number in any::<u64>()) {
        holds_both_ways(Modifier(number));
    }

    #[test]
    fn likely_numbers_hold_both_ways(modifier in likely()) {
        holds_both_ways(modifier);
    }

    /// Read, or refused, without a panic; what was read holds both ways.
    #[test]
    fn any_text_is_read_or_refused(text in "([A-Z]{3,8}[ _])?([A-Za-z0-9_=,| ]|GFX9|DCC|0x|pipe_xor=|TILED|\\PC){0,24}") {
        if let Ok(modifier) = text.parse::<Modifier>() {
            holds_both_ways(modifier);
        }
    }
}
