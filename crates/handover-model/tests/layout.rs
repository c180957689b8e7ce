//! Layouts: the rules of linear and tiled ones, and what a peer may not allege.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use handover_model::layout::blocks::{Blocks, CompressionState};
use handover_model::{
    Bytes, Cell, Cells, Compression, Constraints, Elements, Extent, Format, Kind, Layout, Modifier, PlaneLayout, Px,
};
use handover_model::{Rect, Result};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn extent() -> impl Strategy<Value = Extent> {
    (1..200_u32, 1..200_u32).prop_filter_map("legal", |(w, h)| Extent::new(w, h).ok())
}

fn format() -> impl Strategy<Value = Format> {
    proptest::sample::select(Format::ALL)
}

fn constraints() -> impl Strategy<Value = Constraints> {
    let align = || proptest::sample::select(vec![1_u64, 3, 4, 24, 32, 64, 100, 256, 4096]).prop_map(Bytes);
    (align(), align()).prop_map(|(stride_align, offset_align)| Constraints { stride_align, offset_align })
}

fn allege(layout: &Layout, planes: &[PlaneLayout], memory: Bytes) -> Result<Layout> {
    Layout::from_allegation(layout.format(), layout.extent(), layout.modifier(), planes, memory)
}

fn plane(offset: u64, stride: u64, size: u64) -> PlaneLayout {
    PlaneLayout { offset: Bytes(offset), stride: Bytes(stride), size: Bytes(size) }
}

#[test]
fn linear_layouts_by_hand() {
    let extent = Extent::new(7, 5).unwrap();
    let layout = Layout::linear(Format::YUV420, extent, Constraints::NONE).unwrap();
    assert_eq!(layout.planes(), [plane(0, 7, 35), plane(35, 4, 12), plane(47, 4, 12)]);
    assert_eq!(layout.size(), Bytes(59));
    assert_eq!(layout.element_offset(2, Elements(3), 2), Some(Bytes(47 + 8 + 3)));
    assert_eq!(layout.element_offset(2, Elements(4), 2), None);
    assert_eq!(layout.element_offset(3, Elements(0), 0), None);

    let aligned = Constraints { stride_align: Bytes(256), offset_align: Bytes(4096) };
    let layout = Layout::linear(Format::XRGB8888, Extent::new(720, 404).unwrap(), aligned).unwrap();
    assert_eq!(layout.planes(), [plane(0, 3072, 3072 * 404)]);

    // Half floats have 8 bytes a pixel: an offset alignment of 12 means 24 for them.
    let odd = Constraints { stride_align: Bytes(12), offset_align: Bytes(1) };
    let layout = Layout::linear(Format::ABGR16161616F, Extent::new(2, 1).unwrap(), odd).unwrap();
    assert_eq!(layout.planes(), [plane(0, 24, 24)]);
}

#[test]
fn alignments_that_cannot_be_are_refused() {
    let extent = Extent::new(7, 5).unwrap();
    for align in [0, u64::MAX, u64::MAX / 2] {
        let wrong = Constraints { stride_align: Bytes(align), offset_align: Bytes(1) };
        assert_eq!(*Layout::linear(Format::NV12, extent, wrong).unwrap_err().kind(), Kind::Invalid);
        let tiled = Layout::blocks(Format::XRGB8888, extent, Compression::Possible, wrong);
        assert_eq!(*tiled.unwrap_err().kind(), Kind::Invalid);
        let wrong = Constraints { stride_align: Bytes(1), offset_align: Bytes(align) };
        let tiled = Layout::blocks(Format::XRGB8888, extent, Compression::Possible, wrong);
        match tiled {
            Ok(tiled) => assert_eq!(tiled.planes()[1].offset, Bytes(align)),
            Err(error) => assert!(align != u64::MAX / 2 && *error.kind() == Kind::Invalid, "{error}"),
        }
    }
}

#[test]
fn a_buffer_has_neither_format_nor_extent() {
    let buffer = Layout::buffer(Bytes(1000)).unwrap();
    assert_eq!((buffer.format(), buffer.extent()), (None, None));
    assert_eq!((buffer.modifier(), buffer.size()), (Modifier::LINEAR, Bytes(1000)));
    assert_eq!(buffer.planes(), [plane(0, 1000, 1000)]);
    assert_eq!(buffer.write_unit(), (Px(1), Px(1)));
    assert_eq!(allege(&buffer, buffer.planes(), Bytes(1000)).unwrap(), buffer);
    assert!(Layout::buffer(Bytes(0)).is_err());
    assert!(Layout::buffer(Bytes(u64::MAX)).is_err());
}

#[test]
fn write_units() {
    let extent = Extent::new(64, 64).unwrap();
    let linear = |format| Layout::linear(format, extent, Constraints::NONE).unwrap().write_unit();
    assert_eq!(linear(Format::XRGB8888), (Px(1), Px(1)));
    assert_eq!(linear(Format::NV12), (Px(2), Px(2)));
    assert_eq!(linear(Format::NV16), (Px(2), Px(1)));
    let blocks = Layout::blocks(Format::XRGB8888, extent, Compression::Possible, Constraints::NONE).unwrap();
    assert_eq!(blocks.write_unit(), (Px(8), Px(8)));
    assert_eq!(blocks.without_compression().write_unit(), (Px(8), Px(8)));
}

#[test]
fn a_tiled_layout_by_hand() {
    let extent = Extent::new(20, 9).unwrap();
    let layout = Layout::blocks(Format::ARGB8888, extent, Compression::Possible, Constraints::NONE).unwrap();
    assert_eq!(layout.planes(), [plane(0, 96, 1536), plane(1536, 3, 6)]);
    assert!(layout.has_compression());
    let plain = layout.without_compression();
    assert_eq!(plain, Layout::blocks(Format::ARGB8888, extent, Compression::None, Constraints::NONE).unwrap());
    assert_eq!(plain.planes(), [plane(0, 96, 1536)]);

    let blocks = Blocks::of(&layout).unwrap();
    assert_eq!(blocks.pixel_offset(Px(19), Px(8)), Some(Bytes(5 * 256 + 3 * 4)));
    assert_eq!(blocks.pixel_offset(Px(20), Px(8)), None);
    assert_eq!(blocks.pixel_offset(Px(7), Px(7)), Some(Bytes(252)));
    assert_eq!(blocks.compression_offset(5), Some(Bytes(1541)));
    assert_eq!(blocks.compression_offset(6), None);
    assert_eq!(blocks.tile_rect(5), Some(Rect::new(16, 8, Extent::new(4, 1).unwrap()).unwrap()));
    assert_eq!(Blocks::of(&plain).unwrap().compression_offset(0), None);
    assert_eq!(Blocks::of(&Layout::linear(Format::ARGB8888, extent, Constraints::NONE).unwrap()), None);

    let unfit = Layout::blocks(Format::NV12, extent, Compression::None, Constraints::NONE).unwrap_err();
    assert_eq!(*unfit.kind(), Kind::Unsupported);
}

#[test]
fn only_three_bytes_mean_something_in_a_compression_plane() {
    for byte in 0..=255 {
        match CompressionState::from_byte(byte) {
            Ok(state) => assert!(byte < 3 && state.byte() == byte),
            Err(error) => assert!(byte > 2 && *error.kind() == Kind::Malformed),
        }
    }
}

#[test]
fn false_allegations_are_refused() {
    let extent = Extent::new(16, 16).unwrap();
    let nv12 = Layout::linear(Format::NV12, extent, Constraints::NONE).unwrap();
    let blocks = Layout::blocks(Format::XRGB8888, extent, Compression::Possible, Constraints::NONE).unwrap();
    assert_eq!(nv12.planes(), [plane(0, 16, 256), plane(256, 16, 128)]);
    assert_eq!(blocks.planes(), [plane(0, 64, 1024), plane(1024, 2, 4)]);
    let cases: &[(&str, &Layout, &[PlaneLayout], &str)] = &[
        ("no plane", &nv12, &[], "0 planes"),
        ("too many planes", &nv12, &[plane(0, 16, 256); 5], "5 planes"),
        ("a plane missing", &nv12, &[plane(0, 16, 256)], "linear NV12 has 2"),
        ("overlap", &nv12, &[plane(0, 16, 256), plane(255, 16, 128)], "before the end"),
        ("out of order", &nv12, &[plane(256, 16, 256), plane(0, 16, 128)], "before the end"),
        ("beyond the memory", &nv12, &[plane(0, 16, 256), plane(99_999, 16, 128)], "beyond the memory"),
        ("overflow", &nv12, &[plane(0, 16, 256), plane(u64::MAX, 16, 128)], "beyond the memory"),
        ("empty plane", &nv12, &[plane(0, 16, 256), plane(256, 16, 0)], "empty"),
        ("narrow", &nv12, &[plane(0, 15, 240), plane(256, 16, 128)], "a row has 16 bytes"),
        ("size is not rows", &nv12, &[plane(0, 16, 255), plane(256, 16, 128)], "16 rows"),
        ("half an element", &nv12, &[plane(0, 16, 256), plane(257, 16, 128)], "an element of 2 bytes"),
        ("stride overflow", &nv12, &[plane(0, u64::MAX / 4, 256), plane(256, 16, 128)], "16 rows"),
        ("tiled as if linear", &blocks, &[plane(0, 65, 1040)], "32 bytes for each tile"),
        ("tiled and narrow", &blocks, &[plane(0, 32, 512)], "32 bytes for each tile"),
        ("tiles missing", &blocks, &[plane(0, 64, 512)], "4 tiles are not that"),
        ("three planes", &blocks, &[plane(0, 64, 1024), plane(1024, 2, 4), plane(1028, 2, 4)], "has 1 or 2"),
        ("short compression plane", &blocks, &[plane(0, 64, 1024), plane(1024, 2, 3)], "one byte a tile"),
        ("wide compression plane", &blocks, &[plane(0, 64, 1024), plane(1024, 4, 4)], "one byte a tile"),
    ];
    for (name, layout, planes, why) in cases {
        let error = allege(layout, planes, Bytes(4096)).unwrap_err();
        assert_eq!(*error.kind(), Kind::Malformed, "{name}");
        assert!(error.to_string().contains(why), "{name}: {error}");
    }

    let refused = |format, extent, modifier| {
        let error = Layout::from_allegation(format, extent, modifier, nv12.planes(), Bytes(4096)).unwrap_err();
        error.kind().clone()
    };
    let image = (Some(Format::NV12), Some(extent));
    assert_eq!(refused(image.0, image.1, Modifier::INVALID), Kind::Unsupported);
    assert_eq!(refused(image.0, image.1, Modifier(0xf000_0000_0000_0002)), Kind::Unsupported);
    assert_eq!(refused(None, None, COMPRESSED), Kind::Malformed);
    assert_eq!(refused(image.0, image.1, Modifier::SIM_BLOCKS), Kind::Unsupported);
    assert_eq!(refused(image.0, None, Modifier::LINEAR), Kind::Malformed);
    assert_eq!(refused(None, image.1, Modifier::LINEAR), Kind::Malformed);
    assert_eq!(refused(None, None, Modifier::SIM_BLOCKS), Kind::Malformed);
    assert_eq!(refused(None, None, Modifier::LINEAR), Kind::Malformed);
}

/// `DRM_FORMAT_MOD_QCOM_COMPRESSED` of `drm_fourcc.h`.
/// Qualcomm's, of which no public source says how its bytes lie.
const COMPRESSED: Modifier = Modifier(0x0500_0000_0000_0001);

fn opaque(planes: &[PlaneLayout], memory: Bytes) -> Result<Layout> {
    let extent = Extent::new(100, 20).unwrap();
    Layout::from_allegation(Some(Format::XRGB8888), Some(extent), COMPRESSED, planes, memory)
}

#[test]
fn of_an_opaque_layout_only_the_bounds_are_known() {
    // Fewer rows than the format wants, planes over each other and out of order: only a driver knows better.
    let planes = [plane(8192, 512, 8192), plane(0, 64, 4096), plane(4096, 0, 8192)];
    let layout = opaque(&planes, Bytes(16_384)).unwrap();
    assert!(layout.is_opaque() && !layout.has_compression());
    assert_eq!((layout.planes(), layout.size()), (&planes[..], Bytes(16_384)), "to the end of what reaches furthest");
    assert_eq!(layout.without_compression(), layout);
    assert_eq!(layout.element_offset(0, Elements(0), 0), None, "nobody here finds a pixel");
    assert_eq!(Blocks::of(&layout), None);
    let cases: &[(&str, &[PlaneLayout], &str)] = &[
        ("beyond the memory", &[plane(8192, 512, 8193)], "beyond the memory"),
        ("a later plane beyond the memory", &[plane(0, 1, 1), plane(16_384, 1, 1)], "beyond the memory"),
        ("overflow", &[plane(1, 1, u64::MAX)], "beyond the memory"),
        ("empty", &[plane(0, 512, 0)], "empty"),
        ("no plane", &[], "0 planes"),
        ("too many planes", &[plane(0, 1, 1); 5], "5 planes"),
    ];
    for (name, planes, why) in cases {
        let error = opaque(planes, Bytes(16_384)).unwrap_err();
        assert_eq!(*error.kind(), Kind::Malformed, "{name}");
        assert!(error.to_string().contains(why), "{name}: {error}");
    }
    let known = Layout::linear(Format::XRGB8888, Extent::new(8, 8).unwrap(), Constraints::NONE).unwrap();
    assert!(!known.is_opaque() && !Layout::buffer(Bytes(8)).unwrap().is_opaque());
    assert!(
        !Layout::blocks(Format::XRGB8888, known.extent().unwrap(), Compression::None, Constraints::NONE)
            .unwrap()
            .is_opaque()
    );
}

#[test]
fn an_opaque_layout_is_written_as_a_whole() {
    let layout = opaque(&[plane(0, 512, 16_384)], Bytes(16_384)).unwrap();
    assert_eq!(layout.write_unit(), (Px(100), Px(20)));
    let cell = |x, y, width, height| {
        let rect = Rect::new(x, y, Extent::new(width, height).unwrap()).unwrap();
        Cells::new(&layout, vec![Cell::Rect(rect)])
    };
    assert!(cell(0, 0, 100, 20).is_ok(), "all of it");
    for (x, y, width, height) in [(0, 0, 50, 20), (0, 0, 100, 10), (96, 16, 4, 4)] {
        let error = cell(x, y, width, height).unwrap_err();
        assert!(*error.kind() == Kind::Invalid && error.to_string().contains("write unit"), "{error}");
    }
    // A row of write units is all of it, and so is the one plane of this format.
    for cell in [Cell::Rows { start: 0, step: 2 }, Cell::Plane(0), Cell::View(7)] {
        assert!(Cells::new(&layout, vec![cell]).is_ok(), "{cell:?}");
    }
    assert!(Cells::new(&layout, vec![Cell::Rows { start: 0, step: 2 }, Cell::Rows { start: 1, step: 2 }]).is_err());
    // Planes of chroma may lie over those of luma, or share a plane of compression.
    let planes = [plane(0, 128, 8192), plane(4096, 128, 4096)];
    let extent = layout.extent();
    let chroma = Layout::from_allegation(Some(Format::NV12), extent, COMPRESSED, &planes, Bytes(8192)).unwrap();
    for index in [0, 1] {
        let error = Cells::new(&chroma, vec![Cell::Plane(index)]).unwrap_err();
        assert!(error.to_string().contains("only a driver"), "{error}");
    }
}

proptest! {
    #![proptest_config(config())]

    /// Every element lies inside its plane and no byte belongs to two.
    #[test]
    fn linear_addresses_are_disjoint(format in format(), extent in extent(), constraints in constraints()) {
        let layout = Layout::linear(format, extent, constraints).unwrap();
        prop_assert_eq!(allege(&layout, layout.planes(), layout.size()).unwrap(), layout);
        prop_assert!(allege(&layout, layout.planes(), Bytes(layout.size().get() - 1)).is_err());
        let mut next = 0;
        for (index, (place, shape)) in layout.planes().iter().zip(format.planes()).enumerate() {
            prop_assert!(place.stride.is_aligned(constraints.stride_align));
            prop_assert!(place.offset.is_aligned(constraints.offset_align));
            let (wide, rows) = format.plane_extent(index, extent).unwrap();
            for row in 0..rows {
                for column in 0..wide.get() {
                    let at = layout.element_offset(index, Elements(column), row).unwrap().get();
                    prop_assert!(at >= next);
                    next = at + shape.bytes_per_element.get();
                }
            }
            prop_assert!(next <= place.end().unwrap().get());
        }
        prop_assert!(next <= layout.size().get());
    }

    /// Every pixel has four bytes of its own inside its tile, and every tile a byte of its own in the compression plane.
    #[test]
    fn tiled_addresses_are_disjoint(extent in extent(), constraints in constraints()) {
        let layout = Layout::blocks(Format::XRGB8888, extent, Compression::Possible, constraints).unwrap();
        prop_assert_eq!(allege(&layout, layout.planes(), layout.size()).unwrap(), layout);
        prop_assert!(layout.planes()[0].stride.is_aligned(constraints.stride_align));
        prop_assert!(layout.planes()[1].offset.is_aligned(constraints.offset_align));
        let blocks = Blocks::of(&layout).unwrap();
        let mut seen = BTreeSet::new();
        for y in 0..extent.height().get() {
            for x in 0..extent.width().get() {
                let at = blocks.pixel_offset(Px(x), Px(y)).unwrap().get();
                let tile = blocks.tile_of(Px(x), Px(y)).unwrap();
                prop_assert_eq!(Bytes(at / 256 * 256), blocks.tile_offset(tile).unwrap());
                let rect = blocks.tile_rect(tile).unwrap();
                prop_assert!(rect.overlaps(Rect::new(x, y, Extent::new(1, 1).unwrap()).unwrap()));
                prop_assert!(at.is_multiple_of(4) && at + 4 <= layout.planes()[0].end().unwrap().get() && seen.insert(at));
            }
        }
        for tile in 0..blocks.tiles() {
            let at = blocks.compression_offset(tile).unwrap();
            prop_assert!(at >= layout.planes()[1].offset && at < layout.size());
        }
        let area: u64 = (0..blocks.tiles()).filter_map(|tile| blocks.tile_rect(tile)).map(|rect| {
            u64::from(rect.extent().width().get()) * u64::from(rect.extent().height().get())
        }).sum();
        prop_assert_eq!(area, seen.len() as u64);
    }

    /// Whatever numbers a peer sends: an answer, and if it is yes, every plane is inside the memory.
    #[test]
    fn wild_allegations_never_panic(
        format in proptest::option::of(format()),
        extent in proptest::option::of(extent()),
        modifier in prop_oneof![Just(0), Just(Modifier::SIM_BLOCKS.0), any::<u64>()],
        planes in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..6),
        memory in any::<u64>(),
    ) {
        let planes: Vec<_> = planes.into_iter().map(|(offset, stride, size)| plane(offset, stride, size)).collect();
        if let Ok(layout) = Layout::from_allegation(format, extent, Modifier(modifier), &planes, Bytes(memory)) {
            prop_assert!(layout.size() <= Bytes(memory));
        }
    }
}
