//! The format table against codes, sizes and subsampling written down by hand from Linux, `include/uapi/drm/drm_fourcc.h`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover_model::{Bytes, Extent, Format, Fourcc, Kind, Modifier};

/// Name, code as bytes in memory, code as a number, alpha, and for each plane: bytes an element, horizontal and vertical
/// subsampling.
type Golden = (&'static str, &'static [u8; 4], u32, bool, &'static [(u64, u32, u32)]);

const GOLDEN: &[Golden] = &[
    ("XRGB8888", b"XR24", 0x3432_5258, false, &[(4, 1, 1)]),
    ("ARGB8888", b"AR24", 0x3432_5241, true, &[(4, 1, 1)]),
    ("ABGR8888", b"AB24", 0x3432_4241, true, &[(4, 1, 1)]),
    ("XBGR8888", b"XB24", 0x3432_4258, false, &[(4, 1, 1)]),
    ("RGB565", b"RG16", 0x3631_4752, false, &[(2, 1, 1)]),
    ("XRGB2101010", b"XR30", 0x3033_5258, false, &[(4, 1, 1)]),
    ("ARGB2101010", b"AR30", 0x3033_5241, true, &[(4, 1, 1)]),
    ("ABGR16161616F", b"AB4H", 0x4834_4241, true, &[(8, 1, 1)]),
    ("R8", b"R8  ", 0x2020_3852, false, &[(1, 1, 1)]),
    ("R16", b"R16 ", 0x2036_3152, false, &[(2, 1, 1)]),
    ("GR88", b"GR88", 0x3838_5247, false, &[(2, 1, 1)]),
    ("NV12", b"NV12", 0x3231_564e, false, &[(1, 1, 1), (2, 2, 2)]),
    ("NV16", b"NV16", 0x3631_564e, false, &[(1, 1, 1), (2, 2, 1)]),
    ("P010", b"P010", 0x3031_3050, false, &[(2, 1, 1), (4, 2, 2)]),
    ("YUV420", b"YU12", 0x3231_5559, false, &[(1, 1, 1), (1, 2, 2), (1, 2, 2)]),
    ("YVU420", b"YV12", 0x3231_5659, false, &[(1, 1, 1), (1, 2, 2), (1, 2, 2)]),
];

#[test]
fn the_table_is_the_golden_one() {
    assert_eq!(Format::ALL.len(), GOLDEN.len());
    for (name, chars, code, alpha, planes) in GOLDEN {
        let format: Format = name.parse().unwrap();
        assert_eq!(format.name(), *name);
        assert_eq!(format.fourcc(), Fourcc(*code), "{name}");
        assert_eq!(&format.fourcc().0.to_le_bytes(), *chars, "{name}");
        assert_eq!(Fourcc::from_chars(**chars), Fourcc(*code), "{name}");
        assert_eq!(Format::from_fourcc(Fourcc(*code)), Some(format), "{name}");
        assert_eq!(format.has_alpha(), *alpha, "{name}");
        let own = format
            .planes()
            .iter()
            .map(|plane| (plane.bytes_per_element.get(), plane.horizontal_subsampling, plane.vertical_subsampling));
        assert_eq!(own.collect::<Vec<_>>(), *planes, "{name}");
    }
}

#[test]
fn codes_are_shown_and_read_as_people_write_them() {
    assert_eq!(Format::R8.fourcc().to_string(), "R8");
    assert_eq!("R8".parse::<Fourcc>().unwrap(), Format::R8.fourcc());
    assert_eq!(Fourcc(0x8000_0001).to_string(), "0x80000001");
    for format in Format::ALL {
        assert_eq!(format.fourcc().to_string().parse::<Fourcc>().unwrap(), format.fourcc());
    }
    for wrong in ["", "XR244", "ä", "\u{7f}", "日本"] {
        assert!(wrong.parse::<Fourcc>().is_err(), "{wrong:?}");
    }
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = "xrgb8888".parse::<Format>().unwrap_err();
    assert_eq!(*error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("one of XRGB8888, ARGB8888"), "{error}");
}

#[test]
fn odd_extents_round_chroma_up() {
    let odd = Extent::new(7, 5).unwrap();
    let sizes = |format: Format| -> Vec<(u32, u32)> {
        (0..4).filter_map(|plane| format.plane_extent(plane, odd)).map(|(wide, rows)| (wide.get(), rows)).collect()
    };
    assert_eq!(sizes(Format::NV12), [(7, 5), (4, 3)]);
    assert_eq!(sizes(Format::NV16), [(7, 5), (4, 5)]);
    assert_eq!(sizes(Format::YUV420), [(7, 5), (4, 3), (4, 3)]);
    assert_eq!(sizes(Format::RGB565), [(7, 5)]);
    assert_eq!(Format::P010.planes()[1].bytes_per_element, Bytes(4));
}

#[test]
fn modifiers_split_into_vendor_and_value() {
    assert_eq!(Modifier::INVALID.0, 0x00ff_ffff_ffff_ffff);
    assert_eq!((Modifier::SIM_BLOCKS.vendor(), Modifier::SIM_BLOCKS.value()), (Modifier::SIM_VENDOR, 1));
    let amd = Modifier(0x0200_0000_0000_0a01);
    assert_eq!((amd.vendor_name(), amd.value()), (Some("AMD"), 0xa01));
    assert_eq!(Modifier(0xee00_0000_0000_0002).to_string(), "vendor 0xee 0x2");
    assert_eq!(Modifier::INVALID.to_string(), "INVALID (implicit)");
}
