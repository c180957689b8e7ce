//! Mappings: what is refused, what two of them share, and views that never leave their range.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::sync::atomic::Ordering;

use common::errno;
use handover_sys::file::{self, Reopen};
use handover_sys::map::{Mapping, Pixels, PixelsMut, Populate, ReadMapping};
use handover_sys::{memfd, socket};

const SIZE: usize = 3 * 4096 + 100;

fn both() -> (Mapping, ReadMapping) {
    let fd = memfd::create("map", SIZE as u64).expect("memfd");
    let mapping = Mapping::new(&fd, SIZE, Populate::Now).expect("map");
    (mapping, ReadMapping::new(&fd, SIZE, Populate::Later).expect("map"))
}

#[test]
fn refusals() {
    let fd = memfd::create("map", 4096).expect("memfd");
    let readable = file::reopen(&fd, Reopen::ReadOnly).expect("reopen");
    let (socket, _other) = socket::pair().expect("pair");
    let map = |fd: &std::os::fd::OwnedFd, len| errno(Mapping::new(fd, len, Populate::Later));
    assert_eq!(map(&fd, 4096), None);
    assert_eq!(map(&fd, 4097), Some(libc::EINVAL), "past the end: a touch would be a SIGBUS");
    assert_eq!(map(&fd, 0), Some(libc::EINVAL));
    assert_eq!(map(&fd, usize::MAX), Some(libc::EINVAL));
    assert_eq!(map(&readable, 4096), Some(libc::EACCES));
    assert_eq!(map(&socket, 4096), Some(libc::ENODEV));
    assert_eq!(errno(ReadMapping::new(&readable, 4096, Populate::Now)), None);
    assert_eq!(errno(ReadMapping::new(&readable, 8192, Populate::Now)), Some(libc::EINVAL));
}

#[test]
fn words_are_shared_between_mappings() {
    let (mapping, reader) = both();
    assert_eq!((mapping.len(), reader.len()), (SIZE, SIZE));
    assert_eq!((mapping.words64().len(), mapping.words32().len()), (SIZE / 8, SIZE / 4));
    mapping.words64()[512].store(0x0123_4567_89AB_CDEF, Ordering::Release);
    assert_eq!(reader.load64_relaxed(4096), Some(0x0123_4567_89AB_CDEF));
    mapping.words32()[3].store(42, Ordering::Release);
    assert_eq!(reader.word32(12).expect("word").load_relaxed(), 42);
    let last = SIZE / 8 * 8 - 8;
    assert_eq!(reader.load64_relaxed(last), Some(0));
    for outside in [last + 8, last + 1, 4, SIZE, usize::MAX, usize::MAX - 7] {
        assert_eq!(reader.load64_relaxed(outside), None, "{outside}");
    }
    for outside in [1, 2, SIZE, usize::MAX, usize::MAX - 3] {
        assert!(reader.word32(outside).is_none(), "{outside}");
    }
}

#[test]
fn views_stay_in_their_range() {
    let (mapping, reader) = both();
    assert!(mapping.pixels_mut(0..SIZE).is_some() && mapping.pixels(SIZE..SIZE).is_some());
    assert!(mapping.pixels(0..SIZE + 1).is_none() && reader.pixels(SIZE..usize::MAX).is_none());
    assert!(mapping.pixels_mut(std::ops::Range { start: 9, end: 8 }).is_none());

    let view = mapping.pixels_mut(100..200).expect("view");
    assert!(view.fill(0, 100, 1));
    let mut hundred = [0; 100];
    for (at, length, inside) in [
        (0, 100, true),
        (100, 0, true),
        (99, 1, true),
        (0, 101, false),
        (100, 1, false),
        (usize::MAX, 1, false),
        (usize::MAX, 0, false),
    ] {
        let mut into = vec![9; length];
        assert_eq!(view.read(at, &mut into), inside, "read {length} at {at}");
        assert!(into.iter().all(|&byte| byte == if inside { 1 } else { 9 }), "read {length} at {at}");
        assert_eq!(view.write(at, &vec![1; length]), inside, "write {length} at {at}");
        assert_eq!(view.fill(at, length, 1), inside, "fill {length} at {at}");
    }
    assert!(view.read(0, &mut hundred) && hundred == [1; 100]);
    let whole = reader.pixels(0..SIZE).expect("whole");
    assert_eq!(
        (whole.get_u8(99), whole.get_u8(100), whole.get_u8(199), whole.get_u8(200)),
        (Some(0), Some(1), Some(1), Some(0))
    );
}

#[test]
fn pixels_are_little_endian_at_any_alignment() {
    let (mapping, reader) = both();
    let (view, seen) = (mapping.pixels_mut(0..64).expect("view"), reader.pixels(0..64).expect("view"));
    for at in [0, 1, 2, 3, 60] {
        assert!(view.set_u32(at, 0x8040_2010));
        assert_eq!(
            (seen.get_u32(at), seen.get_u8(at), seen.get_u8(at + 3)),
            (Some(0x8040_2010), Some(0x10), Some(0x80))
        );
    }
    assert!(!view.set_u32(61, 0) && seen.get_u32(61).is_none());
    assert!(view.set_u8(63, 5) && !view.set_u8(64, 5) && seen.get_u8(63) == Some(5));
}

#[test]
fn rows() {
    let (mapping, _) = both();
    let view = mapping.pixels_mut(0..1000).expect("view");
    let rows: Vec<u8> = (0..60).collect();
    assert!(view.write_rows(10, 100, 20, 3, &rows));
    let mut back = vec![0; 60];
    assert!(view.read_rows(10, 100, 20, 3, &mut back) && back == rows);
    assert_eq!((view.get_u8(9), view.get_u8(30), view.get_u8(110)), (Some(0), Some(0), Some(20)), "between the rows");
    assert!(view.read_rows(10, 20, 20, 1, &mut back[..20]) && back[..20] == rows[..20], "one row, tight");
    // at, stride, row_bytes, rows: whether the last row still ends inside 1000 bytes.
    for (at, stride, row_bytes, count, inside) in [
        (0, 100, 100, 10, true),
        (0, 100, 10, 10, true),
        (90, 100, 10, 10, true),
        (91, 100, 10, 10, false),
        (0, usize::MAX, 10, 1, true),
        (0, usize::MAX, 10, 2, false),
        (0, usize::MAX / 2, 1, 3, false),
        (1001, 0, 0, 0, false),
        (0, 0, 0, 5, true),
        (995, 1, 6, 1, false),
    ] {
        let mut into = vec![0; row_bytes * count];
        assert_eq!(
            view.read_rows(at, stride, row_bytes, count, &mut into),
            inside,
            "read {at} {stride} {row_bytes} {count}"
        );
        assert_eq!(
            view.write_rows(at, stride, row_bytes, count, &into),
            inside,
            "write {at} {stride} {row_bytes} {count}"
        );
    }
    assert!(!view.read_rows(0, 100, 10, 3, &mut back), "60 bytes are not three rows of 10");
    assert!(!view.read_rows(0, 1, usize::MAX, 2, &mut back), "a product that overflows");
}

/// A race with a writer gives bytes of one or the other, and nothing that was never stored.
#[test]
fn a_racing_writer_tears_content_and_nothing_else() {
    let (mapping, reader) = both();
    std::thread::scope(|scope| {
        let writer = mapping.pixels_mut(0..SIZE).expect("whole");
        scope.spawn(move || {
            (0..2000).for_each(|round| assert!(writer.fill(0, SIZE, if round % 2 == 0 { 0 } else { 0xFF })))
        });
        let mut copy = vec![0; SIZE];
        for _ in 0..2000 {
            assert!(reader.pixels(0..SIZE).expect("whole").read(0, &mut copy));
            assert!(copy.iter().all(|&byte| byte == 0 || byte == 0xFF));
        }
    });
}

#[test]
fn mappings_and_views_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Mapping>();
    crosses::<ReadMapping>();
    crosses::<Pixels<'_>>();
    crosses::<PixelsMut<'_>>();
}

#[test]
fn a_part_is_mapped_under_its_offset() {
    let file = memfd::create("two pages", 8192).expect("memfd");
    let whole = Mapping::new(&file, 8192, Populate::Later).expect("map");
    let part = Mapping::new_at(&file, 4096, 4096).expect("map the second page");
    part.words32()[1].store(7, Ordering::Relaxed);
    assert_eq!(whole.words32()[1025].load(Ordering::Relaxed), 7);
    assert_eq!(errno(Mapping::new_at(&file, 4096, 4097)), Some(libc::EINVAL), "past the end");
    assert_eq!(errno(Mapping::new_at(&file, 8192, 4096)), Some(libc::EINVAL), "past the end");
    assert_eq!(errno(Mapping::new_at(&file, 1, 4096)), Some(libc::EINVAL), "between pages");
    assert_eq!(errno(Mapping::new_at(&file, u64::MAX - 4095, 4096)), Some(libc::EINVAL), "past all numbers");
}

/// Under an offset, a device may be any memory of the machine (/dev/mem).
#[test]
fn a_device_of_unknown_offsets_is_mapped_at_its_beginning_only() {
    let zero = std::fs::OpenOptions::new().read(true).write(true).open("/dev/zero").expect("open");
    Mapping::new_at(&zero, 0, 4096).expect("map");
    assert_eq!(errno(Mapping::new_at(&zero, 4096, 4096)), Some(libc::ENODEV));
}
