//! What is refused and how that is said; what compressed layouts say of themselves; names.

use handover_model::layout::tiling::{Gfx8, Parameters, Plane, Qualcomm, Tiling};
use handover_model::{Bytes, Elements, Kind, Modifier, PlaneLayout};

use crate::layouts::{ADRENO, TONGA, known};

#[test]
fn refusals_name_what_is_missing_or_wrong() {
    let none = Parameters::default();
    let with = |change: fn(&mut Parameters)| {
        let mut parameters = known();
        change(&mut parameters);
        parameters
    };
    let cases = [
        (0x0500_0000_0000_0003, 4, none, "qualcomm"),
        (0x0600_0000_0000_0002, 4, none, "vivante_supertile"),
        (0x0b00_0000_0000_0001, 1, none, "plane"),
        (0x0400_0000_0000_0002, 1, none, "plane"),
        (Modifier::INVALID.0, 4, none, "amd_gfx8"),
        (Modifier::LINEAR.0, 4, none, "linear"),
        (0x0100_0000_0000_0002, 3, none, "1, 2, 4, 8 or 16 bytes"),
        (0x0700_0000_0000_0006, 3, none, "1, 2, 4, 8 or 16 bytes"),
        (0x0200_0000_0000_0901, 16, none, "1 to 8 bytes"),
        (0x0200_0000_0000_1902, 4, none, "64K_S_X on GFX10"),
        (0x0200_0000_3880_1b03, 4, none, "PACKERS 7"),
        (0x0700_0000_0000_0001, 16, none, "1 to 8 bytes"),
        (0x0700_0000_0000_0004, 1, none, "column height"),
        (0x0700_0000_0000_6004, 1, with(|p| p.plane = Some(Plane::Chroma)), "sand_first_row"),
        (0x0300_0000_0010_6010, 4, none, "G80"),
        (0x0300_0000_0060_6016, 4, none, "HEIGHT are 6"),
        (0x0300_0000_0420_6010, 4, none, "sector layout"),
        (0x0300_0000_0060_8010, 4, none, "KIND are 0x8"),
        (0x0500_0000_0000_0001, 4, none, "UBWC"),
        (0x0600_0000_0000_0003, 4, none, "second base address"),
        (0x0600_0000_0000_0002, 8, known(), "2 and 4 bytes"),
        (0x0800_0000_0000_0001, 4, none, "decoder"),
        (0x0c00_0000_0000_0002, 4, none, "compressed"),
        (0xf000_0000_0000_0001, 4, none, "simulated"),
        (0x0100_0000_0000_0009, 4, with(|p| p.intel_bit6 = Some(true)), "intel_bit6"),
        (
            0x0500_0000_0000_0003,
            4,
            with(|p| p.qualcomm = Some(Qualcomm { highest_bank_bit: 40, ..ADRENO })),
            "13 to 16",
        ),
        (Modifier::INVALID.0, 4, with(|p| p.amd_gfx8 = Some(Gfx8 { pipe_config: 3, ..TONGA })), "pipe_config 3"),
        (Modifier::INVALID.0, 4, with(|p| p.amd_gfx8 = Some(Gfx8 { pipes: 4, ..TONGA })), "has 8 pipes"),
        (Modifier::INVALID.0, 4, with(|p| p.amd_gfx8 = Some(Gfx8 { banks: 12, ..TONGA })), "amd_gfx8.banks"),
        (Modifier::INVALID.0, 4, with(|p| p.amd_gfx8 = Some(Gfx8 { tile_split: Bytes(64), ..TONGA })), "tile_split"),
    ];
    for (modifier, bytes, parameters, expected) in cases {
        let error = Tiling::of(Modifier(modifier), Bytes(bytes), &parameters).expect_err(expected);
        assert!(matches!(error.kind(), Kind::Unsupported | Kind::Invalid), "{error}");
        assert!(error.to_string().contains(expected), "{modifier:#x}: {error}");
    }
}

#[test]
fn strides_are_checked_by_a_rule_that_the_refusal_says() {
    let cases = [
        (0x0100_0000_0000_0001, 600, "a multiple of 512 bytes"),
        (0x0100_0000_0000_0002, 384, "at least a row of 400 bytes"),
        (0x0100_0000_0000_0006, 640, "a multiple of 512 bytes"),
        (0x0200_0000_0000_0901, 768, "a multiple of 512 bytes"),
        (0x0300_0000_0060_6014, 420, "a multiple of 64 bytes"),
        (0x0700_0000_0000_0006, 416, "a multiple of 128 bytes"),
        (0x0c00_0000_0000_0001, 399, "at least a row of 400 bytes"),
    ];
    for (modifier, stride, expected) in cases {
        let tiling = Tiling::of(Modifier(modifier), Bytes(4), &known()).unwrap();
        let error = tiling.place(Elements(100), 100, Some(Bytes(stride))).expect_err(expected);
        assert_eq!(error.kind(), &Kind::Invalid);
        assert!(error.to_string().contains(expected), "{tiling}: {error}");
    }
    let sand = Tiling::of(Modifier(0x0700_0000_0000_6004), Bytes(1), &known()).unwrap();
    assert!(sand.place(Elements(100), 97, None).unwrap_err().to_string().contains("more than a column has"));
}

#[test]
fn compressed_layouts_say_so_and_know_their_planes() {
    let plane = |offset, stride, size| PlaneLayout { offset: Bytes(offset), stride: Bytes(stride), size: Bytes(size) };
    let cases = [
        // Generation 12 with clear colour: 64 bytes for four tiles, then a page further 64 bytes of colour.
        (
            0x0100_0000_0000_0008,
            (Elements(32), 32),
            vec![plane(0, 1536, 196_608), plane(196_608, 192, 768), plane(200_704, 64, 64)],
        ),
        // DG2: compression data outside the buffer, the colour inside.
        (0x0100_0000_0000_000c, (Elements(32), 32), vec![plane(0, 1536, 196_608), plane(196_608, 64, 64)]),
        // GFX12: compression data outside the buffer.
        (0x0200_0000_0008_2305, (Elements(8), 8), vec![plane(0, 1536, 196_608)]),
    ];
    for (modifier, unit, planes) in cases {
        let tiling = Tiling::of(Modifier(modifier), Bytes(4), &Parameters::default()).unwrap();
        assert!(tiling.is_compressed());
        assert_eq!(tiling.write_unit(), unit, "{tiling}");
        assert_eq!(tiling.place(Elements(302), 106, None).unwrap().planes().unwrap(), planes, "{tiling}");
    }
    let unknown = Tiling::of(Modifier(0x0100_0000_0000_0004), Bytes(4), &Parameters::default()).unwrap();
    assert!(unknown.place(Elements(8), 8, None).unwrap().planes().is_err());
    let plain = Tiling::of(Modifier(0x0100_0000_0000_0002), Bytes(4), &Parameters::default()).unwrap();
    assert!(!plain.is_compressed());
    assert_eq!(plain.write_unit(), (Elements(1), 1));
}

#[test]
fn names_are_words() {
    let cases = [
        (0x0100_0000_0000_0002, "Intel Y, 4 bytes"),
        (0x0100_0000_0000_000d, "Intel Tile4 with CCS, 4 bytes"),
        (0x0200_0000_0000_0901, "AMD GFX9 64K_S, 4 bytes"),
        (0x0200_0000_2080_1b03, "AMD GFX10_RBPLUS 64K_R_X, 4 bytes"),
        (0x0300_0000_0060_6014, "NVIDIA block-linear Turing, blocks of 16 GOBs, 4 bytes"),
        (0x0700_0000_0000_6004, "Broadcom SAND128 with columns of 96 rows, 4 bytes"),
        (Modifier::INVALID.0, "AMD GFX8 2D thin, 4 bytes"),
    ];
    for (modifier, name) in cases {
        assert_eq!(Tiling::of(Modifier(modifier), Bytes(4), &known()).unwrap().to_string(), name);
    }
}
