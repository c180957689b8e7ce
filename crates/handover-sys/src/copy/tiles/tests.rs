//! Both ways of moving against the map itself, element by element.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

use super::{Job, TileMap, TileRow, Window, detile, portable, tile};

/// Blocks of 16 × 16 elements in rows, four in a row; bits of the address in a block from an element up, as coordinate bits: below
/// 16 of x, from 16 on of y.
struct Case {
    name: &'static str,
    element: usize,
    run: usize,
    bits: &'static [u32],
    /// Flipped by the third bit of the block row, so that blocks are not all the same.
    flip: u32,
}

const X: [u32; 6] = [1, 2, 4, 8, 16, 32];
const Y: [u32; 6] = [1 << 16, 2 << 16, 4 << 16, 8 << 16, 16 << 16, 32 << 16];

const CASES: &[Case] = &[
    Case { name: "raster", element: 4, run: 16, bits: &[X[0], X[1], X[2], X[3], Y[0], Y[1], Y[2], Y[3]], flip: 0 },
    Case {
        name: "rows of 16 bytes",
        element: 4,
        run: 4,
        bits: &[X[0], X[1], Y[0], Y[1], X[2], Y[2], X[3], Y[3]],
        flip: 0x140,
    },
    Case { name: "pairs", element: 4, run: 2, bits: &[X[0], Y[0], X[1], Y[1], X[2], Y[2], X[3], Y[3]], flip: 0x88 },
    Case {
        name: "interleaved",
        element: 4,
        run: 1,
        bits: &[X[0] | Y[0], Y[0], X[1] | Y[1], Y[1], X[2] | Y[2], Y[2], X[3] | Y[3], Y[3]],
        flip: 0,
    },
    Case {
        name: "lines unlike each other",
        element: 4,
        run: 4,
        bits: &[X[0], X[1], Y[0], Y[1] | X[2], X[2] | Y[2], Y[2], X[3], Y[3]],
        flip: 0x30,
    },
    Case { name: "bytes alone", element: 1, run: 1, bits: &[X[0], Y[0], X[1], Y[1], X[2], Y[2], X[3], Y[3]], flip: 0 },
    Case { name: "one byte", element: 1, run: 4, bits: &[X[0], X[1], Y[0], Y[1], X[2], Y[2], X[3], Y[3]], flip: 0x20 },
    Case { name: "two bytes", element: 2, run: 1, bits: &[Y[0], X[0], X[1], Y[1], X[2], Y[2], X[3], Y[3]], flip: 0x40 },
    Case {
        name: "eight bytes",
        element: 8,
        run: 1,
        bits: &[Y[0], X[0], X[1], Y[1], X[2], Y[2], X[3], Y[3]],
        flip: 0x100,
    },
    Case {
        name: "sixteen bytes, with bits from outside the block",
        element: 16,
        run: 1,
        bits: &[X[0], Y[0], X[1], Y[1] | X[4], X[2] | Y[4], Y[2] | X[5], X[3], Y[3]],
        flip: 0,
    },
];

impl Case {
    fn map(&self, width: u32, height: u32) -> TileMap {
        let shift = self.element.trailing_zeros();
        let gather = |coordinate: u32| {
            let bit = |(at, mask): (u32, &u32)| ((coordinate & mask).count_ones() & 1) << at;
            (shift..).zip(self.bits).map(bit).sum::<u32>()
        };
        let block = 256 * self.element as u32;
        let column = |x: u32| gather(x) + x / 16 * block;
        let row = |y: u32| TileRow {
            base: u64::from(y / 16 * width.div_ceil(16) * block),
            xor: gather(y << 16) ^ if (y / 16) & 1 == 1 { self.flip } else { 0 },
            class: 0,
        };
        let rows: Vec<_> = (0..height).map(row).collect();
        TileMap::new(self.element, self.run, &rows, vec![(0..width).map(column).collect()]).unwrap()
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|index| (index.wrapping_mul(0x9E37_79B9) >> 24) as u8 | 1).collect()
}

type Way = fn(&[AtomicU8], &TileMap, Window, &mut [u8], usize, bool);

/// As [`detile`] and [`tile`], by the way that every processor has.
fn by_words(shared: &[AtomicU8], map: &TileMap, window: Window, rows: &mut [u8], stride: usize, into: bool) {
    assert!(map.end() <= shared.len() && window.fits(map, stride, rows.len()));
    let job = Job { tiled: shared.as_ptr().cast_mut().cast(), rows: rows.as_mut_ptr(), stride, map, window };
    match into {
        // SAFETY: the window and its rows fit, as just asserted; both sides are this test's own.
        true => unsafe { portable::tile(&job) },
        // SAFETY: as above.
        false => unsafe { portable::detile(&job) },
    }
}

fn by_the_fastest(shared: &[AtomicU8], map: &TileMap, window: Window, rows: &mut [u8], stride: usize, into: bool) {
    assert!(if into { tile(shared, map, window, rows, stride) } else { detile(shared, map, window, rows, stride) });
}

fn check(case: &Case, map: &TileMap, window: Window, way: Way) {
    let stride = (window.width * case.element).next_multiple_of(16) + 16;
    let mut rows = pattern(stride * window.height);
    let shared: Vec<AtomicU8> = (0..map.end().next_multiple_of(4096)).map(|_| AtomicU8::new(0)).collect();
    way(&shared, map, window, &mut rows, stride, true);
    let mut expected = vec![0; shared.len()];
    for y in 0..window.height {
        for x in 0..window.width {
            let at = map.offset(window.x + x, window.y + y).unwrap();
            let from = y * stride + x * case.element;
            expected[at..at + case.element].copy_from_slice(&rows[from..from + case.element]);
        }
    }
    assert!(shared.iter().map(|byte| byte.load(Ordering::Relaxed)).eq(expected), "{}: in, {window:?}", case.name);

    let mut found = vec![0; rows.len()];
    way(&shared, map, window, &mut found, stride, false);
    for (y, (found, row)) in found.chunks(stride).zip(rows.chunks(stride)).enumerate() {
        let length = window.width * case.element;
        assert!(found[..length] == row[..length], "{}: out, {window:?}, row {y}", case.name);
        assert!(found[length..].iter().all(|&byte| byte == 0), "{}: wrote between rows", case.name);
    }
}

#[test]
fn windows_of_every_shape_are_moved_both_ways() {
    for case in CASES {
        for map in [case.map(61, 45), case.map(61, 45).with_blocks(16, 16)] {
            for (x, y, width, height) in [
                (0, 0, 61, 45),
                (0, 0, 1, 1),
                (60, 44, 1, 1),
                (1, 1, 3, 2),
                (3, 0, 30, 45),
                (16, 16, 32, 16),
                (5, 7, 0, 3),
            ] {
                let window = Window { x, y, width, height };
                check(case, &map, window, by_words);
                check(case, &map, window, by_the_fastest);
            }
        }
    }
}

/// Large enough to go past the cache, at every alignment of the left edge and of the rows.
#[test]
fn what_is_large_is_moved_both_ways() {
    for case in CASES {
        let width = (3 << 20) / 1024 / case.element as u32;
        for map in [case.map(width, 1100), case.map(width, 1100).with_blocks(16, 16)] {
            for left in [0, 4, 5] {
                let window = Window { x: left, y: 3, width: width as usize - left, height: 1090 };
                check(case, &map, window, by_the_fastest);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let map = CASES[0].map(61, 45);
    let shared: Vec<AtomicU8> = (0..map.end()).map(|_| AtomicU8::new(0)).collect();
    let whole = Window::whole(&map);
    let mut rows = vec![0; 61 * 4 * 45];
    assert!(detile(&shared, &map, whole, &mut rows, 61 * 4));
    assert!(!detile(&shared[1..], &map, whole, &mut rows, 61 * 4), "the map reaches beyond the memory");
    assert!(!detile(&shared, &map, whole, &mut rows[1..], 61 * 4), "the rows are too short");
    assert!(!detile(&shared, &map, whole, &mut rows, 61 * 4 - 1), "rows overlap");
    assert!(!detile(&shared, &map, Window { x: 1, ..whole }, &mut rows, 61 * 4), "the window leaves the image");
    assert!(!detile(&shared, &map, Window { y: usize::MAX, ..whole }, &mut rows, 61 * 4));
    assert!(!tile(&shared, &map, Window { height: usize::MAX, ..whole }, &rows, usize::MAX));
    assert!(TileMap::new(3, 1, &[], vec![vec![0]]).is_none(), "no element has three bytes");
    assert!(TileMap::new(4, 2, &[], vec![vec![0, 8]]).is_none(), "no run");
    assert!(TileMap::new(4, 1, &[TileRow { base: 0, xor: 0, class: 1 }], vec![vec![0]]).is_none(), "no such class");
    assert!(TileMap::new(4, 1, &[TileRow { base: u64::MAX, xor: 0, class: 0 }], vec![vec![0]]).is_none());
    assert!(
        TileMap::new(4, 1, &[TileRow { base: 0, xor: 2, class: 0 }], vec![vec![0]]).is_none(),
        "between two elements"
    );
}

/// Alike in whole blocks and unlike in the last, cut one: tried, so no block is believed, and nothing is written where no element is.
#[test]
fn a_cut_block_that_is_unlike_the_others_is_found() {
    let rows: Vec<_> = (0..18_800).map(|y| TileRow { base: 0, xor: y % 4 * 32, class: 0 }).collect();
    let columns = vec![0, 16, 128, 144, 256, 256, 256];
    let map = TileMap::new(16, 1, &rows, vec![columns]).unwrap().with_blocks(4, 4);
    let shared: Vec<AtomicU8> = (0..map.end() + 512).map(|_| AtomicU8::new(0xee)).collect();
    let image = pattern(7 * 16 * rows.len());
    assert!(tile(&shared[..map.end()], &map, Window::whole(&map), &image, 7 * 16));
    assert!(shared[map.end()..].iter().all(|byte| byte.load(Ordering::Relaxed) == 0xee), "wrote past the end");

    let rows: Vec<_> =
        (0..10).map(|y| TileRow { base: if y < 8 { 0 } else { 64 }, xor: y % 4 * 4, class: 0 }).collect();
    let map = TileMap::new(1, 1, &rows, vec![vec![0, 1, 2, 3]]).unwrap();
    assert!(map.clone().with_blocks(4, 4).blocks.is_some(), "a cut row of blocks elsewhere is like the others");
    let mut rows = rows;
    rows[9].base = 80;
    let map = TileMap::new(1, 1, &rows, vec![vec![0, 1, 2, 3]]).unwrap();
    assert!(map.with_blocks(4, 4).blocks.is_none(), "one of its rows lies elsewhere");
}

#[test]
fn blocks_are_found_where_they_are() {
    for case in CASES {
        let blocks = case.map(61, 45).with_blocks(16, 16).blocks;
        assert!(blocks.is_some() || case.name.contains("from outside"), "{}", case.name);
    }
}
