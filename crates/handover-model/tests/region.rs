//! Cells and regions against sets of pixels, counted one by one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use handover_model::layout::tiling;
use handover_model::{
    Bytes, Cell, Cells, Compression, Constraints, Elements, Extent, Format, Kind, Layout, Modifier, Px, Rect, Region,
};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn rect(x: u32, y: u32, width: u32, height: u32) -> Cell {
    Cell::Rect(Rect::new(x, y, Extent::new(width, height).unwrap()).unwrap())
}

fn linear(format: Format, width: u32, height: u32) -> Layout {
    Layout::linear(format, Extent::new(width, height).unwrap(), Constraints::NONE).unwrap()
}

fn tiled(width: u32, height: u32) -> Layout {
    let extent = Extent::new(width, height).unwrap();
    Layout::blocks(Format::XRGB8888, extent, Compression::Possible, Constraints::NONE).unwrap()
}

#[test]
fn masks() {
    let (a, b) = (Region::from_bits(0b0110), Region::from_bits(0b1000));
    assert!(!a.overlaps(b) && a.overlaps(Region::WHOLE) && a.union(b).covers(a) && !a.covers(a.union(b)));
    assert_eq!(Region::from_bits(0), Region::WHOLE);
    assert_eq!(Region::default(), Region::WHOLE);
    assert_eq!((Region::WHOLE.to_string(), a.to_string()), ("whole".into(), "cells 0x6".into()));
}

#[test]
fn overlap_names_both_cells() {
    let layout = linear(Format::XRGB8888, 64, 64);
    let error = Cells::new(&layout, vec![rect(0, 0, 8, 8), rect(32, 0, 8, 8), rect(39, 7, 8, 8)]).unwrap_err();
    assert_eq!(*error.kind(), Kind::Invalid);
    let text = error.to_string();
    assert!(text.contains("cell 1, rectangle 8x8 px at (32, 0), and cell 2, rectangle 8x8 px at (39, 7)"), "{text}");
}

#[test]
fn kinds_of_cells_meet_as_documented() {
    let layout = linear(Format::NV12, 64, 64);
    let fits = |cells: &[Cell]| Cells::new(&layout, cells.to_vec()).is_ok();
    assert!(fits(&[Cell::Plane(0), Cell::Plane(1)]));
    assert!(!fits(&[Cell::Plane(1), Cell::Plane(1)]));
    assert!(!fits(&[Cell::Plane(2)]));
    assert!(!fits(&[Cell::Plane(1), rect(0, 0, 2, 2)]));
    assert!(fits(&[Cell::View(0), Cell::View(9)]));
    assert!(!fits(&[Cell::View(9), Cell::View(9)]));
    assert!(!fits(&[Cell::View(0), Cell::Plane(0)]));
    assert!(!fits(&[Cell::View(0), rect(0, 0, 2, 2)]));
    assert!(!fits(&[Cell::Rows { start: 0, step: 2 }, Cell::View(0)]));
    assert!(!fits(&[Cell::Rows { start: 0, step: 2 }, Cell::Plane(0)]));
    assert!(fits(&[Cell::Rows { start: 0, step: 2 }, Cell::Rows { start: 1, step: 2 }]));
    // Write units of NV12 have two rows: 32 rows of them.
    assert!(fits(&[Cell::Rows { start: 31, step: 1 }, rect(0, 0, 64, 62)]));
    assert!(!fits(&[Cell::Rows { start: 30, step: 1 }, rect(0, 0, 64, 62)]));
    assert!(!fits(&[Cell::Rows { start: 32, step: 1 }]));
    assert!(!fits(&[Cell::Rows { start: 0, step: 0 }]));
    assert!(!fits(&[Cell::Rows { start: 0, step: 16385 }]));
}

/// 0, 3, 6 and 1, 6: the first row in common is the first one below a surface of 6 rows.
#[test]
fn rows_meet_on_the_surface_or_not_at_all() {
    let cells = vec![Cell::Rows { start: 0, step: 3 }, Cell::Rows { start: 1, step: 5 }];
    assert!(Cells::new(&linear(Format::R8, 1, 6), cells.clone()).is_ok());
    assert!(Cells::new(&linear(Format::R8, 1, 7), cells).is_err());
}

#[test]
fn the_compression_plane_is_no_cell() {
    // It belongs to the pixels it describes: one write unit of `blocks` is a tile and its byte.
    assert!(Cells::new(&tiled(64, 64), vec![Cell::Plane(0)]).is_ok());
    assert!(Cells::new(&tiled(64, 64), vec![Cell::Plane(1)]).is_err());
}

#[test]
fn edges_lie_on_the_write_unit_or_on_the_surface_edge() {
    let layout = tiled(61, 61);
    let fits = |cell| Cells::new(&layout, vec![cell]);
    assert!(fits(rect(56, 56, 5, 5)).is_ok());
    assert!(fits(rect(8, 16, 8, 24)).is_ok());
    assert!(fits(rect(56, 56, 6, 5)).is_err());
    let error = fits(rect(8, 16, 8, 23)).unwrap_err();
    assert!(error.to_string().contains("the write unit of 8x8 px"), "{error}");
}

#[test]
fn cells_of_real_layouts_lie_on_their_write_units() {
    let extent = Extent::new(256, 128).unwrap();
    let unit = |modifier| {
        let layout = Layout::tiled(Format::XRGB8888, extent, Modifier(modifier), Constraints::NONE).unwrap();
        (layout, layout.write_unit())
    };
    // A pixel shares no byte with another, however its tile is laid out.
    for modifier in [0x0100_0000_0000_0001, 0x0200_0000_0480_1a01, 0x0300_0000_0060_6014] {
        assert_eq!(unit(modifier).1, (Px(1), Px(1)), "{modifier:#x}");
    }
    // A byte of DCC covers 256 bytes, a byte of CCS lies with those of four tiles.
    let (dcc, written) = unit(0x0200_0000_2096_bb03);
    assert_eq!(written, (Px(8), Px(8)));
    assert!(Cells::new(&dcc, vec![rect(8, 8, 8, 16), rect(248, 120, 8, 8)]).is_ok());
    let refused = Cells::new(&dcc, vec![rect(4, 8, 8, 16)]).unwrap_err();
    assert!(refused.to_string().contains("write unit of 8x8 px"), "{refused}");
    // The 256 bytes of GFX10 at 2 bytes are two squares of 8, side by side and one below the other.
    let layout = Layout::tiled(Format::RGB565, extent, Modifier(0x0200_0000_0080_1b02), Constraints::NONE).unwrap();
    assert_eq!(layout.write_unit(), (Px(1), Px(1)));
    let navi10 = Modifier(0x0200_0000_0080_1b02 | 1 << 13 | 1 << 15 | 1 << 16);
    if let Ok(tiling) = tiling::Tiling::of(navi10, Bytes(2), &tiling::Parameters::default()) {
        assert_eq!(tiling.write_unit(), (Elements(16), 16), "{tiling}");
    }
    let (_, (wide, high)) = unit(0x0100_0000_0000_0006);
    assert!(wide.get() >= 32 && high.get() >= 32, "{wide} {high}");
}

#[test]
fn buffers_have_views_only() {
    let layout = Layout::buffer(Bytes(4096)).unwrap();
    assert!(Cells::new(&layout, vec![Cell::View(0), Cell::View(1)]).is_ok());
    assert!(Cells::new(&layout, vec![rect(0, 0, 1, 1)]).is_err());
    assert!(Cells::new(&layout, vec![Cell::Rows { start: 0, step: 2 }]).is_err());
}

#[test]
fn at_most_64_cells() {
    let layout = linear(Format::XRGB8888, 128, 1);
    let cells = |count| Cells::new(&layout, (0..count).map(|x| rect(x, 0, 1, 1)).collect());
    assert!(cells(65).is_err());
    let cells = cells(64).unwrap();
    assert_eq!(cells.len(), 64);
    assert_eq!(cells.region(&[0, 63]).unwrap().bits(), 1 | 1 << 63);
    assert_eq!(cells.region(&(0..64).collect::<Vec<_>>()).unwrap(), Region::WHOLE);
    assert!(cells.region(&[64]).is_err());
    assert!(cells.region(&[usize::MAX]).is_err());
    assert!(cells.region(&[]).is_err());
    assert!(Cells::none().is_empty() && Cells::none().region(&[0]).is_err());
}

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        (0..40_u32, 0..40_u32, 1..40_u32, 1..40_u32).prop_map(|(x, y, w, h)| rect(x, y, w, h)),
        (0..4_u32, 0..4_u32, 1..5_u32, 1..5_u32).prop_map(|(x, y, w, h)| rect(x * 8, y * 8, w * 8, h * 8)),
        (0..20_u32, 1..20_u32).prop_map(|(start, step)| Cell::Rows { start, step }),
    ]
}

fn pixels(layout: &Layout, cell: Cell) -> BTreeSet<(u32, u32)> {
    let extent = layout.extent().unwrap();
    let (width, height) = (extent.width().get(), extent.height().get());
    let unit = layout.write_unit().1.get();
    let inside = |x: u32, y: u32| match cell {
        Cell::Rect(r) => (r.x().0..r.right().0).contains(&x) && (r.y().0..r.bottom().0).contains(&y),
        Cell::Rows { start, step } => y / unit >= start && (y / unit - start).is_multiple_of(step),
        _ => true,
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).filter(|(x, y)| inside(*x, *y)).collect()
}

/// Legal: not empty, inside, and no write unit is cut in two.
fn legal(layout: &Layout, cell: Cell) -> bool {
    let own = pixels(layout, cell);
    let all = pixels(layout, Cell::View(0));
    let within = match cell {
        Cell::Rect(rect) => rect.within(layout.extent().unwrap()),
        _ => true,
    };
    let (wide, high) = (layout.write_unit().0.get(), layout.write_unit().1.get());
    let units = |set: &BTreeSet<(u32, u32)>| set.iter().map(|(x, y)| (x / wide, y / high)).collect::<BTreeSet<_>>();
    let rest: BTreeSet<_> = all.difference(&own).copied().collect();
    within && !own.is_empty() && units(&own).is_disjoint(&units(&rest))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cells_are_granted_exactly_if_legal_and_disjoint(
        which in 0..3,
        (width, height) in (1..48_u32, 1..48_u32),
        a in cell(),
        b in cell(),
    ) {
        let layout = match which {
            0 => linear(Format::XRGB8888, width, height),
            1 => linear(Format::NV12, width, height),
            _ => tiled(width, height),
        };
        prop_assert_eq!(Cells::new(&layout, vec![a]).is_ok(), legal(&layout, a), "{}", a);
        let disjoint = pixels(&layout, a).is_disjoint(&pixels(&layout, b));
        let wanted = legal(&layout, a) && legal(&layout, b) && disjoint;
        prop_assert_eq!(Cells::new(&layout, vec![a, b]).is_ok(), wanted, "{} and {}", a, b);
        prop_assert_eq!(Cells::new(&layout, vec![b, a]).is_ok(), wanted, "{} and {}", b, a);
    }

    /// Two sets of rows whose first common row may lie anywhere, or below the surface.
    #[test]
    fn rows_meet_exactly(
        height in 1..=Extent::MAX,
        (a, m) in (0..300_u32, 1..=400_u32),
        (b, n) in (0..300_u32, 1..=400_u32),
    ) {
        let layout = linear(Format::R8, 1, height);
        prop_assume!(a < height && b < height);
        let rows: BTreeSet<u32> = (a..height).step_by(m as usize).collect();
        let meet = (b..height).step_by(n as usize).any(|row| rows.contains(&row));
        let cells = vec![Cell::Rows { start: a, step: m }, Cell::Rows { start: b, step: n }];
        prop_assert_eq!(Cells::new(&layout, cells).is_ok(), !meet);
    }

    #[test]
    fn a_region_is_the_union_of_its_cells(indices in proptest::collection::vec(0..32_usize, 1..40)) {
        let layout = linear(Format::XRGB8888, 32, 1);
        let cells = Cells::new(&layout, (0..32).map(|x| rect(x, 0, 1, 1)).collect()).unwrap();
        let region = cells.region(&indices).unwrap();
        for index in 0..32 {
            prop_assert_eq!(region.overlaps(cells.region(&[index]).unwrap()), indices.contains(&index));
        }
    }
}
