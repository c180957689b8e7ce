//! The compression plane decides what is seen: flipping one byte of it changes the picture, in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{Parts, bytes_of, image, lease, refusal, soon, surface, try_image};
use handover::{Access, Device, Elements, ExportFlags, Kind, Stage, Surface, Writers, export, flush, import};
use handover_sys::file;
use handover_sys::map::{Mapping, Populate};

const READ: ExportFlags = ExportFlags::READ;
const SIZE: (u32, u32) = (20, 12);
/// 3 × 2 tiles of 8 × 8 pixels, 256 bytes each; then a byte a tile.
const STATES: usize = 6 * 256;
const EXPANDED: u8 = 0;
const CLEARED: u8 = 1;
const SINGLE: u8 = 2;
const PUBLIC: u32 = 0xff00_0000;

/// A surface, an import of it on each device that decodes, and the memory as any writer of it could map it.
struct Shared {
    ours: Surface,
    theirs: [Surface; 2],
    memory: Mapping,
}

impl Shared {
    fn new() -> Self {
        let ours = surface(Device::BLOCKS, SIZE, Writers::Open);
        assert_eq!(ours.layout().plane(1).unwrap().offset.get(), STATES as u64);
        let parts = Parts::of(export(&ours, READ, soon()).unwrap().handle);
        let theirs =
            [Device::BLOCKS, Device::PLAIN.with_blocks_decoder()].map(|device| import(parts.handle(), device).unwrap());
        let writable = file::reopen(&parts.pixels, file::Reopen::ReadWrite).unwrap();
        let size = file::size(&writable).unwrap() as usize;
        Self { ours, theirs, memory: Mapping::new(&writable, size, Populate::Later).unwrap() }
    }

    fn state(&self, tile: usize) -> u8 {
        self.memory.pixels(0..self.memory.len()).unwrap().get_u8(STATES + tile).unwrap()
    }

    fn set_state(&self, tile: usize, state: u8) {
        assert!(self.memory.pixels_mut(0..self.memory.len()).unwrap().set_u8(STATES + tile, state));
    }

    fn sides(&self) -> impl Iterator<Item = &Surface> {
        std::iter::once(&self.ours).chain(&self.theirs)
    }
}

/// Every pixel different, but for the first tile, which has one colour.
fn picture() -> Vec<u32> {
    (0..20 * 12).map(|i| if i % 20 < 8 && i / 20 < 8 { 0xcafe } else { 0x0100_0000 + i }).collect()
}

fn draw(surface: &Surface) {
    let held = lease(surface, Access::Write);
    held.write(surface).unwrap().write_image(0, &bytes_of(&picture()), 80).unwrap();
    held.release().unwrap();
}

#[test]
fn a_picture_survives_its_compression() {
    let shared = Shared::new();
    draw(&shared.ours);
    assert_eq!((shared.state(0), shared.state(1), shared.state(5)), (SINGLE, EXPANDED, EXPANDED));
    // Only the first pixel of the single tile is stored: a reader that ignored the plane would not see the other 63.
    assert_eq!(shared.memory.pixels(0..64).unwrap().get_u32(4), Some(0));
    shared.sides().for_each(|side| assert_eq!(image(side), picture()));
}

#[test]
fn flipping_one_byte_of_the_plane_changes_the_picture() {
    let shared = Shared::new();
    draw(&shared.ours);
    // Compressed, said to be stored: 63 pixels that were never written show.
    for (tile, from, to) in [(0, SINGLE, EXPANDED), (0, SINGLE, CLEARED), (1, EXPANDED, SINGLE), (4, EXPANDED, CLEARED)]
    {
        assert_eq!(shared.state(tile), from);
        shared.set_state(tile, to);
        for side in shared.sides() {
            let seen = image(side);
            let differs: Vec<usize> = (0..seen.len()).filter(|i| seen[*i] != picture()[*i]).collect();
            let (left, top) = (tile % 3 * 8, tile / 3 * 8);
            let inside = |i: &usize| (left..left + 8).contains(&(i % 20)) && (top..top + 8).contains(&(i / 20));
            assert!(!differs.is_empty() && differs.iter().all(inside), "tile {tile} {from} -> {to}: {differs:?}");
            if to == CLEARED {
                assert!(differs.iter().all(|i| seen[*i] == PUBLIC));
            }
        }
        shared.set_state(tile, from);
    }
    shared.sides().for_each(|side| assert_eq!(image(side), picture()));
}

#[test]
fn a_byte_that_means_nothing_is_an_error_and_only_for_its_tile() {
    let shared = Shared::new();
    draw(&shared.ours);
    for byte in 3..=255 {
        shared.set_state(4, byte);
        for side in shared.sides() {
            let error = refusal("an impossible byte", try_image(side));
            assert_eq!((error.stage(), error.kind()), (Stage::Access, &Kind::Malformed), "{error}");
        }
        let held = lease(&shared.theirs[0], Access::Read);
        let mut row = [0; 8 * 4];
        held.read(&shared.theirs[0]).unwrap().read(0, Elements(0), 9, &mut row).unwrap();
        assert_eq!(row, *bytes_of(&picture()[9 * 20..9 * 20 + 8]));
    }
    // Whoever has to decode it says so as well: flush, a write of a part of the tile, an export that decompresses.
    let held = lease(&shared.ours, Access::Write);
    assert_eq!(*refusal("flush", flush(&held, &shared.ours)).kind(), Kind::Malformed);
    let view = held.write(&shared.ours).unwrap();
    assert_eq!(*refusal("write", view.write(0, Elements(9), 9, &[1; 4])).kind(), Kind::Malformed);
    drop(view);
    held.release().unwrap();
    assert_eq!(*refusal("export", export(&shared.ours, ExportFlags::WRITE, soon())).kind(), Kind::Malformed);
    assert!(shared.ours.metadata().unwrap() == shared.theirs[0].metadata().unwrap());
    // A whole image replaces every tile, and heals it.
    draw(&shared.ours);
    shared.sides().for_each(|side| assert_eq!(image(side), picture()));
    assert!(export(&shared.ours, ExportFlags::WRITE, soon()).unwrap().decision.changed);
    assert_eq!(image(&shared.ours), picture());
}

#[test]
fn a_part_of_a_compressed_tile_is_written_into_its_colour() {
    let shared = Shared::new();
    for colour in [0x11, 0x22] {
        let held = lease(&shared.ours, Access::Write);
        let view = held.write(&shared.ours).unwrap();
        view.clear(colour).unwrap();
        view.write(0, Elements(7), 7, &bytes_of(&[1, 2])).unwrap();
        drop(view);
        held.release().unwrap();
        let mut expected = vec![colour; 20 * 12];
        expected[7 * 20 + 7] = 1;
        expected[7 * 20 + 8] = 2;
        shared.sides().for_each(|side| assert_eq!(image(side), expected));
        assert_eq!([0, 1, 2, 5].map(|tile| shared.state(tile)), [EXPANDED, EXPANDED, SINGLE, SINGLE]);
    }
}

#[test]
fn without_compression_the_plane_is_nobodys() {
    let shared = Shared::new();
    draw(&shared.ours);
    drop(export(&shared.ours, ExportFlags::WRITE, soon()).unwrap());
    for tile in 0..6 {
        shared.set_state(tile, 0xee);
    }
    assert_eq!(image(&shared.ours), picture());
    let again = import(export(&shared.ours, READ, soon()).unwrap().handle, Device::BLOCKS).unwrap();
    assert_eq!(image(&again), picture());
}
