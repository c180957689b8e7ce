//! Import of descriptors that are not what the handle says: strangers, memfds without their seals, forged control files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use common::{Parts, alone, at, copy, keeps_descriptors, lease, refusal, soon, surface};
use handover::backend::software::reservation::layout::{ABI, FEATURES, MAGIC, file_size, header};
use handover::{Access, Device, Error, ExportFlags, Handle, Kind, ReadOnly, Stage, Surface, Writers, export, import};
use handover_sys::file::{self, Reopen};
use handover_sys::memfd::{self, Seals};
use handover_sys::{eventfd, socket};

const GOOD: Seals = Seals::SHRINK.union(Seals::GROW).union(Seals::SEAL);
/// `O_PATH` of `asm-generic/fcntl.h`: a descriptor of nothing but a name.
const O_PATH: i32 = 0o10_000_000;

fn parts(surface: &Surface, flags: ExportFlags) -> Parts {
    Parts::of(export(surface, flags, soon()).unwrap().handle)
}

fn refused(what: &str, bytes: &[u8], pixels: &OwnedFd, control: &OwnedFd) -> Error {
    let start = Instant::now();
    let error = keeps_descriptors(what, || {
        let handle = Handle::from_parts(bytes, vec![copy(pixels), copy(control)]).unwrap();
        refusal(what, import(handle, Device::BLOCKS))
    });
    assert!(start.elapsed() < Duration::from_secs(5), "{what}: blocked");
    assert_eq!(error.stage(), Stage::Import, "{what}: {error}");
    assert_ne!(*error.kind(), Kind::Unreachable, "{what}: {error}");
    error
}

fn memory(size: u64, seals: Seals) -> OwnedFd {
    let file = memfd::create("forged", size).unwrap();
    memfd::add_seals(&file, seals).unwrap();
    file
}

/// Descriptors of everything that is not a memfd.
fn strangers() -> Vec<(&'static str, OwnedFd)> {
    let (reader, writer) = std::io::pipe().unwrap();
    let (ours, _theirs) = socket::pair().unwrap();
    let path = std::env::temp_dir().join(format!("handover-stranger-{}", std::process::id()));
    let mut regular = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    regular.write_all(&[0; 65_536]).unwrap();
    let name = File::options().read(true).custom_flags(O_PATH).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    vec![
        ("the reading end of a pipe", reader.into()),
        ("the writing end of a pipe", writer.into()),
        ("a socket", ours),
        ("a regular file", regular.into()),
        ("the name of a file", name.into()),
        ("a directory", File::open("/").unwrap().into()),
        ("a file of /proc", File::open("/proc/self/status").unwrap().into()),
        ("a device", File::options().read(true).write(true).open("/dev/zero").unwrap().into()),
        ("an eventfd", eventfd::create().unwrap()),
    ]
}

#[test]
fn what_is_no_memfd_is_refused_in_either_place() {
    let _turn = alone();
    for device in [Device::PLAIN, Device::BLOCKS] {
        let ours = surface(device, (50, 20), Writers::Open);
        for flags in [ExportFlags::READ, ExportFlags::WRITE] {
            let parts = parts(&ours, flags);
            for (what, stranger) in strangers() {
                let error = refused(what, &parts.bytes, &stranger, &parts.control);
                let expected = if error.errno().is_some() { Kind::Os } else { Kind::Malformed };
                assert_eq!(*error.kind(), expected, "{what} for pixels: {error}");
                let error = refused(what, &parts.bytes, &parts.pixels, &stranger);
                assert_eq!(*error.kind(), Kind::Os, "{what} for the control file: {error}");
            }
        }
    }
}

#[test]
fn pixels_without_their_seals_or_their_size_are_refused() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (64, 64), Writers::Open);
    let size = file::size(&parts(&ours, ExportFlags::READ).pixels).unwrap();
    for flags in [ExportFlags::READ, ExportFlags::WRITE] {
        let parts = parts(&ours, flags);
        // As the handle says: of an open surface, READ travels with a descriptor that does not write.
        let memory = |size, seals| match flags {
            ExportFlags::READ => file::reopen(memory(size, seals), Reopen::ReadOnly).unwrap(),
            _ => memory(size, seals),
        };
        for seals in [Seals::empty(), Seals::GROW, Seals::GROW | Seals::SEAL, Seals::GROW | Seals::FUTURE_WRITE] {
            let error = refused("a memfd that can shrink", &parts.bytes, &memory(size, seals), &parts.control);
            assert_eq!(*error.kind(), Kind::Malformed, "{error}");
        }
        for size in [0, 1, 4095, 4096, 8192, size - 4096, size - 1, size + 1] {
            let error = refused("a memfd of another size", &parts.bytes, &memory(size, GOOD), &parts.control);
            assert_eq!(*error.kind(), Kind::Malformed, "{size}: {error}");
        }
        // So large that no address space holds it.
        let error = refused("a memfd too large to map", &parts.bytes, &memory(1 << 62, GOOD), &parts.control);
        assert_eq!(*error.kind(), Kind::Os, "{error}");
    }
    // What cannot be written is no WRITE handle.
    let parts = parts(&ours, ExportFlags::WRITE);
    let error = refused("sealed", &parts.bytes, &memory(size, GOOD | Seals::FUTURE_WRITE), &parts.control);
    assert_eq!((error.kind(), error.errno()), (&Kind::Os, Some(1)), "{error}");
    let readable = file::reopen(&parts.pixels, Reopen::ReadOnly).unwrap();
    let error = refused("read-only", &parts.bytes, &readable, &parts.control);
    assert_eq!((error.kind(), error.errno()), (&Kind::Os, Some(13)), "{error}");
}

#[test]
fn a_handle_that_says_sealed_over_pixels_that_are_not_is_refused() {
    let _turn = alone();
    let ours = surface(Device::BLOCKS, (50, 20), Writers::Open);
    let parts = parts(&ours, ExportFlags::READ);
    let bytes = parts.patched(at::READ_ONLY, &[ReadOnly::Sealed.bits()]);
    let error = refused("a lie about seals", &bytes, &parts.pixels, &parts.control);
    assert_eq!(*error.kind(), Kind::Malformed, "{error}");
    // "Read-only descriptor" over one that writes.
    let writable = file::reopen(&parts.pixels, Reopen::ReadWrite).unwrap();
    let error = refused("a lie about the descriptor", &parts.bytes, &writable, &parts.control);
    assert_eq!(*error.kind(), Kind::Malformed, "{error}");
    // The truth passes.
    assert!(import(parts.handle(), Device::BLOCKS).is_ok());
}

/// A control file with this head.
fn control(head: [u64; 4], size: u64, seals: Seals) -> OwnedFd {
    let file = File::from(memfd::create("forged-control", size).unwrap());
    for (field, value) in [header::MAGIC, header::ABI, header::FEATURES, header::SURFACES].into_iter().zip(head) {
        if size >= 4096 {
            file.write_all_at(&value.to_le_bytes(), field as u64).unwrap();
        }
    }
    memfd::add_seals(&file, seals).unwrap();
    file.into()
}

#[test]
fn forged_control_files_are_refused() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (50, 20), Writers::Me);
    let parts = parts(&ours, ExportFlags::READ);
    let good = [MAGIC, ABI, FEATURES, 1];
    let size = file_size(1);
    let mut rows: Vec<(String, OwnedFd, Kind)> = vec![
        ("no magic".into(), control([0, ABI, FEATURES, 1], size, GOOD), Kind::Spoiled),
        ("another magic".into(), control([MAGIC ^ 1, ABI, FEATURES, 1], size, GOOD), Kind::Spoiled),
        ("all zero".into(), control([0; 4], size, GOOD), Kind::Spoiled),
        ("all ones".into(), control([u64::MAX; 4], size, GOOD), Kind::Spoiled),
    ];
    for abi in [0, 2, u64::MAX] {
        rows.push((format!("abi {abi}"), control([MAGIC, abi, FEATURES, 1], size, GOOD), Kind::Unsupported));
    }
    for bit in [0, 1, 63] {
        let file = control([MAGIC, ABI, FEATURES | 1 << bit, 1], size, GOOD);
        rows.push((format!("feature bit {bit}"), file, Kind::Unsupported));
    }
    for surfaces in [0, 2, 1024, u64::MAX] {
        rows.push((
            format!("{surfaces} surfaces"),
            control([MAGIC, ABI, FEATURES, surfaces], size, GOOD),
            Kind::Spoiled,
        ));
    }
    for size in [0, 1, 4095, 4096, 8191, 8193, file_size(2), file_size(1024), file_size(1025), 1 << 40] {
        rows.push((format!("{size} bytes"), control(good, size, GOOD), Kind::Spoiled));
    }
    let seals = [
        Seals::empty(),
        Seals::SHRINK,
        Seals::SHRINK | Seals::GROW,
        Seals::GROW | Seals::SEAL,
        GOOD | Seals::FUTURE_WRITE,
        GOOD | Seals::WRITE,
    ];
    for seals in seals {
        rows.push((format!("sealed {seals:?}"), control(good, size, seals), Kind::Spoiled));
    }
    // Right in itself, but the message speaks of another.
    rows.push(("another pool's".into(), control(good, size, GOOD), Kind::Malformed));
    for (what, file, kind) in &rows {
        let error = refused(what, &parts.bytes, &parts.pixels, file);
        assert_eq!(error.kind(), kind, "{what}: {error}");
    }
    // The refusals took no place among the participants and broke nothing.
    assert!(import(parts.handle(), Device::PLAIN).is_ok());
}

/// S23: the same pixels with another control file are another reservation.
#[test]
fn s23_the_same_pixels_under_another_control_file_are_another_reservation() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (50, 20), Writers::Me);
    let parts = parts(&ours, ExportFlags::READ);
    let file = control([MAGIC, ABI, FEATURES, 1], file_size(1), GOOD);
    let inode = file::identity(&file).unwrap().inode;
    let bytes = parts.patched(at::POOL, &inode.to_le_bytes());
    let theirs = import(Handle::from_parts(&bytes, vec![copy(&parts.pixels), file]).unwrap(), Device::PLAIN).unwrap();
    assert_eq!(theirs.id().memory, ours.id().memory);
    assert_ne!(theirs.id().reservation, ours.id().reservation);
    let held = lease(&ours, Access::Write);
    drop(lease(&theirs, Access::Read));
    held.release().unwrap();
}

#[test]
fn a_control_file_opened_read_only_serves_as_well() {
    let _turn = alone();
    let ours = surface(Device::PLAIN, (50, 20), Writers::Me);
    let parts = parts(&ours, ExportFlags::READ);
    let control = file::reopen(parts.control.as_fd(), Reopen::ReadOnly).unwrap();
    // In the pool already: the same membership, whatever descriptor leads there.
    let handle = Handle::from_parts(&parts.bytes, vec![copy(&parts.pixels), control]).unwrap();
    assert_eq!(import(handle, Device::PLAIN).unwrap().id(), ours.id());
}
