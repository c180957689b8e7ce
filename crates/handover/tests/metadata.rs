//! Metadata: set and get by anybody with a handle, never torn, never in a message, and a copy behind the pixels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Noise, Other, Parts, alone, copy, hear, hear_parts, keeps_descriptors, lease, parent, role, say, soon, surface,
};
use handover::import::metadata_of;
use handover::{
    Access, Block, Device, ExportFlags, Handle, Header, Kind, Metadata, Region, Surface, Word, Writers, acquire,
    export, import,
};
use handover_model::Stage;
use handover_model::wire::{Message, Roles};
use handover_sys::map::{Mapping, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};
use handover_sys::{clock::Monotonic, file, poll};

const READ: ExportFlags = ExportFlags::READ;

fn metadata(word: u64, block: &[u8]) -> Metadata {
    Metadata { word: Word(word), block: Block::new(block).unwrap() }
}

/// A pattern that shows from each part which value it belongs to.
fn pattern(value: u64) -> Metadata {
    let length = 8 + 8 * (value as usize % 32);
    let bytes: Vec<u8> = std::iter::repeat_n(value.to_le_bytes(), 32).flatten().take(length).collect();
    metadata(value, &bytes)
}

fn is_whole(found: &Metadata) -> bool {
    *found == pattern(found.word.0)
}

fn pixels(surface: &Surface) -> Parts {
    Parts::of(export(surface, READ, soon()).unwrap().handle)
}

#[test]
fn more_than_256_bytes_are_refused_and_change_nothing() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (16, 16), Writers::Me);
    let before = metadata(1, &[7; 256]);
    ours.set_metadata(&before).unwrap();
    for length in [257, 258, 512, 4096, 65_536, 65_792] {
        let error = Block::new(&vec![9; length]).unwrap_err();
        assert_eq!(*error.kind(), Kind::Invalid, "{error}");
        assert!(error.to_string().contains("256"), "{error}");
    }
    assert_eq!(ours.metadata().unwrap(), before);
}

#[test]
fn size_0_clears_and_bytes_past_the_size_read_as_zero() {
    let _turn = alone();
    let ours = surface(Device::BLOCKS, (16, 16), Writers::Me);
    let theirs = import(pixels(&ours).handle(), Device::BLOCKS).unwrap();
    for surface in [&ours, &theirs] {
        surface.set_metadata(&metadata(u64::MAX, &[0xff; 256])).unwrap();
        for length in [255, 100, 9, 8, 1] {
            surface.set_metadata(&metadata(3, &vec![0xee; length])).unwrap();
            let found = theirs.metadata().unwrap();
            assert_eq!((found.block.len(), found.word), (length, Word(3)));
            assert!(found.block.as_bytes()[..length].iter().all(|byte| *byte == 0xee));
            assert!(found.block.as_bytes()[length..].iter().all(|byte| *byte == 0), "{length}");
        }
        surface.set_metadata(&metadata(5, &[])).unwrap();
        let found = ours.metadata().unwrap();
        assert!(found.block.is_empty() && found.block.header().is_none() && found.word == Word(5));
        assert_eq!(found.block.as_bytes(), &[0; 256]);
    }
}

/// A READ handle is enough to set metadata, in this process or another; whoever set last wins, on both sides.
#[test]
fn anybody_with_a_handle_sets_it_and_the_last_one_wins() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (16, 16), Writers::Me);
    let parts = pixels(&ours);
    let theirs = import(parts.handle(), Device::PLAIN).unwrap();
    for round in 0..1000 {
        let (setter, reader) = if round % 2 == 0 { (&ours, &theirs) } else { (&theirs, &ours) };
        setter.set_metadata(&pattern(round)).unwrap();
        assert_eq!(reader.metadata().unwrap(), pattern(round));
    }
    let other = Other::start("setter");
    parts.send(&other.socket);
    assert_eq!(other.hear(), "set");
    assert_eq!(ours.metadata().unwrap(), pattern(0xabcd));
    ours.set_metadata(&pattern(0xdcba)).unwrap();
    other.tell("look");
    assert_eq!(other.hear(), format!("{:?}", pattern(0xdcba)));
}

/// Needs no lease, and no lease is waited for: fences never protect metadata.
#[test]
fn metadata_waits_for_nobody() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (16, 16), Writers::Me);
    let held = lease(&ours, Access::Write);
    ours.set_metadata(&pattern(1)).unwrap();
    assert_eq!(ours.metadata().unwrap(), pattern(1));
    held.release().unwrap();
}

/// Two seconds of three setters (two processes) against three readers (two processes), on both surfaces of a pool.
#[test]
fn no_read_is_ever_torn() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (16, 16), Writers::Me);
    let parts = pixels(&ours);
    let theirs = import(parts.handle(), Device::PLAIN).unwrap();
    ours.set_metadata(&pattern(0)).unwrap();
    let other = Other::start("setter and reader");
    parts.send(&other.socket);
    assert_eq!(other.hear(), "ready");
    other.tell("go");
    let (end, reads) = (Instant::now() + Duration::from_secs(2), AtomicU64::new(0));
    thread::scope(|scope| {
        for (seed, surface) in [(1, &ours), (2, &theirs)] {
            scope.spawn(move || {
                let mut noise = Noise::new(seed);
                while Instant::now() < end {
                    surface.set_metadata(&pattern(noise.next())).unwrap();
                }
            });
        }
        for surface in [&ours, &theirs] {
            let reads = &reads;
            scope.spawn(move || {
                while Instant::now() < end {
                    let found = surface.metadata().unwrap();
                    assert!(is_whole(&found), "torn: {found:?}");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    other.tell("stop");
    let theirs: u64 = other.hear().parse().unwrap();
    assert!(reads.load(Ordering::Relaxed) > 1000 && theirs > 100, "{reads:?}, {theirs}");
}

/// The bytes of every message that could carry it, searched for any eight bytes of word or block.
#[test]
fn no_byte_of_it_is_in_any_message() {
    let _turn = alone();
    for device in [Device::PLAIN, Device::BLOCKS] {
        let ours = surface(device, (50, 20), Writers::Open);
        let own = ours.metadata().unwrap();
        let mut noise = Noise::new(9);
        let secret = metadata(noise.next(), &noise.bytes(256));
        // A handle exported while it is set, and the handle of a plain surface whose metadata the device wrote.
        let device_made = pixels(&ours).bytes;
        ours.set_metadata(&secret).unwrap();
        let mut captured = vec![device_made.clone(), pixels(&ours).bytes];
        captured.push(Parts::of(export(&ours, ExportFlags::WRITE, soon()).unwrap().handle).bytes);
        assert_eq!(captured[0][..28], captured[1][..28], "metadata changed the message");
        assert_eq!(captured[0][30..], captured[1][30..], "metadata changed the message");
        for message in [
            Message::Hello { version: 1, roles: Roles::all() },
            Message::Mapped { index: 0 },
            Message::Frame { index: 0, frame: 1 },
            Message::Released { index: 0, frame: 1 },
            Message::End,
            Message::Refused { stage: Stage::Import, text: "no".into() },
        ] {
            captured.push(message.encode());
        }
        let needles: Vec<[u8; 4]> = [secret.word.0.to_le_bytes().to_vec(), secret.block.stored().to_vec()]
            .iter()
            .flat_map(|bytes| bytes.windows(4).map(|w| [w[0], w[1], w[2], w[3]]).collect::<Vec<_>>())
            .collect();
        for bytes in &captured {
            assert!(!bytes.windows(4).any(|window| needles.iter().any(|needle| window == needle)), "{device}");
        }
        // Nor the header that the device itself wrote.
        let header: Header = own.block.header().unwrap();
        let [first, second] = header.dwords().map(u32::to_le_bytes);
        let head = [first, second].concat();
        assert!(!device_made.windows(8).any(|window| window == head), "{device}: header in the message");
    }
}

#[test]
fn a_bare_descriptor_tells_what_the_producer_set() {
    let _turn = alone();
    for (device, writers) in
        [(Device::PLAIN, Writers::Me), (Device::BLOCKS, Writers::Open), (Device::BLOCKS, Writers::Named(0))]
    {
        let ours = surface(device, (50, 20), writers);
        let parts = pixels(&ours);
        let bare = |what: &str| keeps_descriptors(what, || metadata_of(parts.pixels.as_fd()).unwrap());
        assert_eq!(bare("fresh"), Some(ours.metadata().unwrap()));
        for value in [1, 31, 32, 0xffff_ffff_ffff, 5] {
            ours.set_metadata(&pattern(value)).unwrap();
            assert_eq!(bare("set"), Some(pattern(value)));
        }
        ours.set_metadata(&metadata(8, &[])).unwrap();
        assert_eq!(bare("cleared"), Some(metadata(8, &[])));
        // What a consumer set is in the control file, and follows at the producer's next export.
        let theirs = import(parts.handle(), Device::PLAIN);
        if let Ok(theirs) = theirs {
            theirs.set_metadata(&pattern(77)).unwrap();
            drop(pixels(&ours));
            assert_eq!(bare("after export"), Some(pattern(77)));
        }
    }
}

#[test]
fn a_descriptor_that_leaves_without_an_export_tells_what_was_set_before_and_after() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (50, 20), Writers::Open);
    ours.set_metadata(&pattern(31)).unwrap();
    let bare = ours.pixels_fd().try_clone_to_owned().unwrap();
    assert_eq!(metadata_of(bare.as_fd()).unwrap(), Some(pattern(31)));
    ours.set_metadata(&pattern(32)).unwrap();
    assert_eq!(metadata_of(bare.as_fd()).unwrap(), Some(pattern(32)));
}

#[test]
fn a_bare_descriptor_tells_of_a_dropped_compression() {
    let _turn = alone();
    let ours = surface(Device::BLOCKS, (50, 20), Writers::Open);
    let parts = pixels(&ours);
    let before = metadata_of(parts.pixels.as_fd()).unwrap();
    drop(export(&ours, ExportFlags::WRITE, soon()).unwrap());
    let after = metadata_of(parts.pixels.as_fd()).unwrap();
    assert_ne!(before, after);
    assert_eq!(after, Some(ours.metadata().unwrap()));
}

#[test]
fn a_copy_of_the_bytes_is_not_taken_for_the_original() {
    let _turn = alone();
    let ours = surface(Device::BLOCKS, (50, 20), Writers::Me);
    let parts = pixels(&ours);
    let size = file::size(&parts.pixels).unwrap();
    let original = ReadMapping::new(&parts.pixels, size as usize, Populate::Later).unwrap();
    let mut bytes = vec![0; size as usize];
    assert!(original.pixels(0..size as usize).unwrap().read(0, &mut bytes));
    let sealed = |size: u64, bytes: &[u8]| {
        let file = memfd::create("copy", size).unwrap();
        let map = Mapping::new(&file, size as usize, Populate::Later).unwrap();
        assert!(map.pixels_mut(0..size as usize).unwrap().write(size as usize - bytes.len(), bytes));
        memfd::add_seals(&file, Seals::SHRINK | Seals::GROW).unwrap();
        file
    };
    assert!(metadata_of(parts.pixels.as_fd()).unwrap().is_some());
    assert_eq!(metadata_of(sealed(size, &bytes).as_fd()).unwrap(), None, "a copy");
    assert_eq!(metadata_of(sealed(size + 4096, &bytes).as_fd()).unwrap(), None, "a longer copy");
    assert_eq!(metadata_of(sealed(8192, &[0]).as_fd()).unwrap(), None, "zeros");
    let unsealed = memfd::create("unsealed", size).unwrap();
    let (pipe, _writer) = std::io::pipe().unwrap();
    let directory: OwnedFd = std::fs::File::open("/").unwrap().into();
    for (what, stranger) in [("unsealed", &unsealed), ("a pipe", &pipe.into()), ("a directory", &directory)] {
        assert_eq!(keeps_descriptors(what, || metadata_of(stranger.as_fd()).unwrap()), None, "{what}");
    }
    assert_eq!(metadata_of(parts.control.as_fd()).unwrap(), None, "a control file");

    // Noise in the trailer of a surface that anybody may write: something or nothing, and never a crash.
    let open = surface(Device::BLOCKS, (50, 20), Writers::Open);
    let writer = Parts::of(export(&open, ExportFlags::WRITE, soon()).unwrap().handle);
    let map = Mapping::new(&writer.pixels, size as usize, Populate::Later).unwrap();
    let trailer = map.pixels_mut(size as usize - 4096..size as usize).unwrap();
    let mut noise = Noise::new(11);
    for _ in 0..5000 {
        assert!(trailer.write(24 + noise.below(4064), &noise.next().to_le_bytes()));
        let _ = metadata_of(writer.pixels.as_fd());
    }
}

/// A stranger who reads the trailer while the producer sets metadata gets one or the other, and both copies end equal.
#[test]
fn the_trailer_is_never_torn_and_never_left_behind() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (16, 16), Writers::Me);
    ours.set_metadata(&pattern(0)).unwrap();
    let parts = pixels(&ours);
    let end = Instant::now() + Duration::from_millis(1500);
    let set_until = |end: Instant, seed| {
        let mut noise = Noise::new(seed);
        while Instant::now() < end {
            ours.set_metadata(&pattern(noise.next())).unwrap();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| set_until(end, 1));
        scope.spawn(|| {
            while Instant::now() < end {
                let found = metadata_of(parts.pixels.as_fd()).unwrap().unwrap();
                assert!(is_whole(&found), "torn: {found:?}");
            }
        });
    });
    for round in 0..200 {
        let end = Instant::now() + Duration::from_millis(1);
        thread::scope(|scope| {
            for thread in 0..2 {
                let set_until = &set_until;
                scope.spawn(move || set_until(end, 2 * round + thread));
            }
        });
        assert_eq!(metadata_of(parts.pixels.as_fd()).unwrap().unwrap(), ours.metadata().unwrap(), "round {round}");
    }
}

#[test]
fn surfaces_of_one_pool_have_their_own() {
    let _turn = alone();
    let all = common::surfaces(Device::PLAIN, handover::Format::R8, (8, 8), 4, Writers::Me);
    for (index, surface) in (0..).zip(&all) {
        surface.set_metadata(&pattern(index)).unwrap();
    }
    for (index, surface) in (0..).zip(&all) {
        assert_eq!(surface.metadata().unwrap(), pattern(index));
        assert_eq!(import(pixels(surface).handle(), Device::PLAIN).unwrap().metadata().unwrap(), pattern(index));
    }
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let socket = parent();
    let parts = hear_parts(socket.as_fd());
    let handle = Handle::from_parts(&parts.bytes, vec![copy(&parts.pixels), copy(&parts.control)]).unwrap();
    let surface = import(handle, Device::PLAIN).unwrap();
    if role == "setter" {
        surface.set_metadata(&pattern(0xabcd)).unwrap();
        say(&socket, "set");
        hear(socket.as_fd());
        return say(&socket, &format!("{:?}", surface.metadata().unwrap()));
    }
    // Of no use, but a lease held meanwhile must not matter.
    let _lease = acquire(&[(&surface, Access::Read, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    say(&socket, "ready");
    hear(socket.as_fd());
    let (mut noise, mut reads) = (Noise::new(3), 0_u64);
    while !poll::wait_readable(&socket, Some(Monotonic(0))).unwrap() {
        surface.set_metadata(&pattern(noise.next())).unwrap();
        assert!(is_whole(&surface.metadata().unwrap()), "torn");
        reads += 1;
    }
    // Unread, it would reset the connection when we leave, and take the answer along.
    hear(socket.as_fd());
    say(&socket, &reads.to_string());
}
