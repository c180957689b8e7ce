//! Drawing: what is seen, where it moves, and that no canvas is too small.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use handover::Extent;
use handover_cli::draw::{Area, Canvas, Pixels, blend_row, clock, colour, font, needle, overlay, pattern};
use handover_cli::media::Rate;

fn canvas(width: u32, height: u32) -> Pixels {
    Pixels::new(Extent::new(width, height).unwrap())
}

#[test]
fn an_overlay_is_transparent_above_its_strip() {
    let mut pixels = canvas(720, 404);
    // What an earlier frame left in the surface goes.
    pixels.fill(Area::whole(pixels.extent()), 0xffff_ffff);
    overlay(30, Rate::DEFAULT, &mut pixels);
    let strip = 404 - 404 / 8;
    for y in 0..404 {
        let row = pixels.row(y).unwrap();
        assert_eq!(row.iter().all(|byte| *byte == 0), y < strip, "row {y}");
    }
    // Premultiplied: no channel above alpha.
    assert!(pixels.bytes().chunks(4).all(|pixel| pixel[..3].iter().all(|channel| *channel <= pixel[3])));
}

#[test]
fn the_needle_moves_and_the_clock_goes() {
    let extent = Extent::new(720, 404).unwrap();
    let mut columns: Vec<u32> = (0..100).map(|frame| needle(frame, Rate::DEFAULT, extent)).collect();
    assert!(columns.iter().all(|column| *column < 720));
    columns.dedup();
    assert_eq!(columns.len(), 100);
    assert!(columns.is_sorted());
    assert_eq!(needle(100, Rate::DEFAULT, extent), 0);

    let ntsc: Rate = "30000/1001".parse().unwrap();
    assert_eq!(
        [0, 24, 25, 1500].map(|frame| clock(frame, Rate::DEFAULT)),
        ["0:00.00", "0:00.24", "0:01.00", "1:00.00"]
    );
    assert_eq!([29, 30, 31].map(|frame| clock(frame, ntsc)), ["0:00.29", "0:01.00", "0:01.01"]);
    assert!(!clock(u64::MAX, Rate::DEFAULT).is_empty());

    let mut earlier = canvas(720, 404);
    overlay(10, Rate::DEFAULT, &mut earlier);
    let mut later = canvas(720, 404);
    overlay(11, Rate::DEFAULT, &mut later);
    assert_ne!(earlier, later);
}

#[test]
fn patterns_differ_by_client_and_frame() {
    let draw = |frame, index| {
        let mut pixels = canvas(320, 180);
        pattern(frame, index, &mut pixels);
        pixels
    };
    assert_ne!(draw(0, 0), draw(0, 1));
    assert_ne!(draw(0, 0), draw(1, 0));
    assert_eq!(draw(5, 2), draw(5, 2));
    assert_eq!(colour(1), colour(9));
    assert!(draw(3, 3).bytes().chunks(4).all(|pixel| pixel[3] == 255));
}

/// What readers of tiled surfaces are checked by: a picture in which pixels change places is another picture.
#[test]
fn no_two_pixels_that_lie_apart_by_a_power_of_two_can_change_places_unseen() {
    let mut pixels = canvas(640, 360);
    pattern(3, 0, &mut pixels);
    for (dx, dy) in (0..8).flat_map(|bit| [(1 << bit, 0), (0, 1 << bit), (1 << bit, 1 << bit)]) {
        let moved = |x: u32, y: u32| pixels.get(x ^ dx, y ^ dy);
        let same = (0..640).all(|x| (0..360).all(|y| moved(x, y).is_none() || moved(x, y) == pixels.get(x, y)));
        assert!(!same, "{dx}, {dy}");
    }
}

#[test]
fn no_canvas_is_too_small_and_no_number_too_large() {
    for (width, height) in [(1, 1), (1, 300), (300, 1), (7, 5), (23, 24), (16384, 2)] {
        let mut pixels = canvas(width, height);
        for frame in [0, 1, u64::MAX] {
            overlay(frame, Rate::DEFAULT, &mut pixels);
            pattern(frame, u32::MAX, &mut pixels);
        }
        font::text(&mut pixels, u32::MAX, u32::MAX, u32::MAX, 0xffff_ffff, "0:1/A?");
        pixels.set(width, 0, 1);
        pixels.set(0, u32::MAX, 1);
        pixels.fill(Area { x: 1, y: 1, width: u32::MAX, height: u32::MAX }, 5);
    }
}

/// The font, as people see it.
#[test]
fn letters_are_readable() {
    let mut pixels = canvas(font::width("4K", 1), font::GLYPH_HEIGHT);
    font::text(&mut pixels, 0, 0, 1, 1, "4k");
    let shown: Vec<String> = pixels
        .bytes()
        .chunks(pixels.stride())
        .map(|row| row.chunks(4).map(|pixel| if pixel[0] == 1 { '#' } else { '.' }).collect())
        .collect();
    assert_eq!(
        shown,
        ["...#..#...#", "..##..#..#.", ".#.#..#.#..", "#..#..##...", "#####.#.#..", "...#..#..#.", "...#..#...#"]
    );
}

#[test]
fn blending_is_exact() {
    for alpha in [0, 1, 127, 128, 254, 255_u32] {
        for target in 0..=255_u32 {
            for source in [0, alpha / 2, alpha] {
                let mut row = [target as u8, target as u8, target as u8, 9];
                blend_row(&mut row, &[source as u8, source as u8, source as u8, alpha as u8]);
                let expected = f64::from(source) + f64::from(target) * f64::from(255 - alpha) / 255.0;
                assert!((f64::from(row[0]) - expected).abs() <= 0.5, "{alpha} {target} {source}: {row:?} {expected}");
            }
        }
    }
    // Channels above alpha are wrong, and saturate.
    let mut row = [200, 200, 200, 255];
    blend_row(&mut row, &[255, 255, 255, 0]);
    assert_eq!(row, [255; 4]);
    // The shorter row decides.
    blend_row(&mut row[..3], &[1; 400]);
    blend_row(&mut row, &[]);
    assert_eq!(row, [255; 4]);
}

#[test]
fn the_trait_fills_without_help() {
    /// Has only what a canvas must have.
    struct Counter(Extent, u32);
    impl Canvas for Counter {
        fn extent(&self) -> Extent {
            self.0
        }
        fn set(&mut self, x: u32, y: u32, _: u32) {
            assert!(x < self.0.width().get() && y < self.0.height().get());
            self.1 += 1;
        }
    }
    let mut counter = Counter(Extent::new(10, 4).unwrap(), 0);
    counter.fill(Area { x: 8, y: 3, width: 100, height: 100 }, 1);
    assert_eq!(counter.1, 2);
}
