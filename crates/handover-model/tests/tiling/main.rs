//! Tiled layouts: no address twice, none outside, the form of movers is the form of offsets, refusals name what is missing, and no
//! input panics. The addresses themselves are checked against other people's drivers by `cargo xtask golden`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod anything;
mod layouts;
mod refusals;

use std::collections::HashSet;

use handover_model::layout::tiling::{Placed, Tiling};
use handover_model::{Bytes, Elements, Modifier};

use layouts::{known, tilings};

/// Small images, tall and wide ones, and one beyond a block of every layout but the largest.
const IMAGES: [(u32, u32); 6] = [(1, 1), (3, 70), (130, 5), (67, 45), (40, 140), (150, 100)];

#[test]
fn every_element_has_an_address_of_its_own_inside_the_plane() {
    let tilings = tilings();
    assert!(tilings.len() > 300, "{} tilings", tilings.len());
    for tiling in &tilings {
        for (width, height) in IMAGES {
            let placed = tiling.place(Elements(width), height, None).expect("a small image");
            let mut seen = HashSet::new();
            for y in 0..height {
                for x in 0..width {
                    let offset = placed.offset(Elements(x), y).unwrap().get();
                    let element = tiling.bytes_per_element().get();
                    assert!(offset % element == 0, "{tiling} {width}x{height}: ({x}, {y}) at {offset}");
                    assert!(
                        offset + element <= placed.size().get(),
                        "{tiling} {width}x{height}: ({x}, {y}) at {offset}"
                    );
                    assert!(seen.insert(offset), "{tiling} {width}x{height}: ({x}, {y}) at {offset} as another");
                }
            }
            assert_eq!(placed.offset(Elements(width), 0), None);
            assert_eq!(placed.offset(Elements(0), height), None);
        }
    }
}

/// What movers rely on, see the contract of the module.
fn keeps_the_contract(placed: &Placed) {
    let (tiling, run) = (placed.tiling(), placed.run().get());
    let element = tiling.bytes_per_element().get();
    assert!(run.is_power_of_two());
    let classes: Vec<Vec<u32>> = (0..placed.classes()).map(|class| placed.columns(class).collect()).collect();
    for columns in &classes {
        assert_eq!(columns.len() as u32, placed.width().get().div_ceil(run));
        assert!(columns.iter().all(|entry| u64::from(*entry) < placed.span()), "{tiling}");
    }
    for y in 0..placed.height() {
        let row = placed.row(y).unwrap();
        let power = placed.span() & placed.span().wrapping_neg();
        assert!(u64::from(row.xor) < power, "{tiling}: row {y} has xor {} and span {}", row.xor, placed.span());
        assert!(row.base + placed.span() <= placed.size().get(), "{tiling}: row {y}");
        for x in 0..placed.width().get() {
            let entry = classes[usize::from(row.class)][(x / run) as usize];
            let address = row.base + u64::from(entry ^ row.xor) + u64::from(x % run) * element;
            assert_eq!(placed.offset(Elements(x), y), Some(Bytes(address)), "{tiling}: ({x}, {y})");
        }
    }
    assert_eq!(placed.row(placed.height()), None);
}

#[test]
fn rows_and_columns_give_the_offsets_for_every_stride() {
    for tiling in &tilings() {
        for (width, height) in IMAGES {
            let smallest = tiling.place(Elements(width), height, None).unwrap();
            keeps_the_contract(&smallest);
            let wider = smallest.stride().get() * 3;
            keeps_the_contract(&tiling.place(Elements(width), height, Some(Bytes(wider))).unwrap());
        }
    }
}

#[test]
fn uif_swaps_pages_and_samsung_ends_alone() {
    // Heights for which the irregular layouts take their other ways: a multiple of 32 blocks, and one, two and three rows of tiles.
    let uif = Tiling::of(Modifier(0x0700_0000_0000_0006), Bytes(4), &known()).unwrap();
    for height in [223, 256, 300] {
        keeps_the_contract(&uif.place(Elements(200), height, None).unwrap());
    }
    assert_eq!(uif.place(Elements(200), 223, None).unwrap().rows(), 256);
    let samsung = Tiling::of(Modifier(0x0400_0000_0000_0001), Bytes(1), &known()).unwrap();
    for height in [32, 64, 96, 97] {
        keeps_the_contract(&samsung.place(Elements(500), height, None).unwrap());
    }
}
