//! Who may write a surface: which exports each `Writers` refuses when, and READ attacked from another process of the same
//! user. `READ_ONLY.md` is made of what is measured here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::{Other, Parts, copy, hear, hear_parts, image, lease, parent, refusal, role, say, soon, surface};
use handover::export::writer_mapped;
use handover::{
    Access, Deadline, Device, ExportFlags, Handle, Kind, ReadOnly, Region, Surface, Writers, acquire, export, import,
};
use handover_sys::file::{self, Reopen};
use handover_sys::map::{self, Mapping, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};

const READ: ExportFlags = ExportFlags::READ;
const WRITE: ExportFlags = ExportFlags::WRITE;
const CLASSES: [Writers; 4] = [Writers::Me, Writers::Named(1), Writers::Named(2), Writers::Open];
const SIZE: (u32, u32) = (32, 16);

/// What an export of this kind answers now.
fn answer(surface: &Surface, flags: ExportFlags) -> String {
    match export(surface, flags, soon()) {
        Ok(exported) if flags == READ => format!("goes out, {}", exported.handle.read_only()),
        Ok(_) => "goes out".into(),
        Err(error) => format!("refused: {}", error.kind().word()),
    }
}

/// A writer in another process: it has mapped when this returns.
fn writer(surface: &Surface) -> Other {
    let other = Other::start("writer");
    Parts::of(export(surface, WRITE, soon()).unwrap().handle).send(&other.socket);
    assert_eq!(other.hear(), "mapped");
    other
}

/// A surface of this class that is ready for READ exports, with its writers.
fn ready(writers: Writers) -> (Surface, Vec<Other>) {
    let ours = surface(Device::PLAIN, SIZE, writers);
    let count = if let Writers::Named(count) = writers { count } else { 0 };
    let others: Vec<Other> = (0..count).map(|_| writer(&ours)).collect();
    for mapped in 1..=count {
        assert_eq!(writer_mapped(&ours).unwrap(), mapped == count);
    }
    (ours, others)
}

/// The table of exports: class, moment, READ, WRITE.
fn exports() -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    for class in CLASSES {
        let ours = surface(Device::PLAIN, SIZE, class);
        let mut row = |moment: String| {
            rows.push([format!("`{class:?}`"), moment, answer(&ours, READ), answer(&ours, WRITE)]);
        };
        let Writers::Named(count) = class else {
            row("at any time".into());
            continue;
        };
        for out in 0..=count {
            // Trying WRITE is what hands the next one out.
            row(format!("{out} of {count} WRITE handles out, 0 mapped"));
        }
        for mapped in 1..=count {
            writer_mapped(&ours).unwrap();
            row(format!("{mapped} of {count} mapped"));
        }
    }
    rows
}

/// What an attack came to: `None` if it worked.
type Found = Option<i32>;

fn errno<T>(result: std::io::Result<T>) -> Found {
    result.err().map(|error| error.raw_os_error().unwrap_or(-1))
}

fn word(found: Found) -> String {
    match found {
        None => "works".into(),
        Some(1) => "EPERM".into(),
        Some(9) => "EBADF".into(),
        Some(13) => "EACCES".into(),
        Some(16) => "EBUSY".into(),
        Some(22) => "EINVAL".into(),
        Some(other) => format!("errno {other}"),
    }
}

/// What somebody with this descriptor may try: a name, and what it came to.
fn attacks(pixels: &OwnedFd) -> Vec<(&'static str, String)> {
    let size = file::size(pixels).unwrap();
    let length = size as usize;
    let bytes = || File::from(copy(pixels));
    let write_mapping = || Mapping::new(pixels, length, Populate::Later);
    let read_mapping = ReadMapping::new(pixels, length, Populate::Later).unwrap();
    let removed = match write_mapping() {
        Ok(mapping) => errno(map::remove_pages(&mapping)),
        Err(error) => error.raw_os_error(),
    };
    let path = format!("/proc/self/fd/{}", pixels.as_raw_fd());
    vec![
        (
            "new writable mapping",
            word(errno(write_mapping().map(|m| assert!(m.pixels_mut(0..8).unwrap().set_u8(0, 66))))),
        ),
        ("`mprotect` of a read mapping to writable", word(errno(map::try_upgrade(&read_mapping)))),
        ("`pwrite`", word(errno(bytes().write_all_at(b"attack", 8)))),
        ("`fallocate(PUNCH_HOLE)`", word(errno(file::punch_hole(pixels, 0, 4096)))),
        ("`madvise(MADV_REMOVE)`, with a writable mapping first", word(removed)),
        ("`F_ADD_SEALS`", word(errno(memfd::add_seals(pixels, Seals::FUTURE_WRITE)))),
        ("`ftruncate` to nothing", word(errno(bytes().set_len(0)))),
        ("`ftruncate` to more", word(errno(bytes().set_len(size + 4096)))),
        ("`open` with `O_TRUNC` through /proc", word(errno(File::options().write(true).truncate(true).open(path)))),
    ]
}

/// The table of attacks: a row an attack, a column a class.
fn attacked() -> Vec<Vec<String>> {
    let mut columns = Vec::new();
    for class in CLASSES {
        let (ours, _writers) = ready(class);
        let held = lease(&ours, Access::Write);
        held.write(&ours).unwrap().clear(0x7777_7777).unwrap();
        held.release().unwrap();
        let before = image(&ours);
        let other = Other::start("attacker");
        Parts::of(export(&ours, READ, soon()).unwrap().handle).send(&other.socket);
        let mut column: Vec<(String, String)> = other
            .hear()
            .lines()
            .map(|line| line.split_once('=').map(|(name, found)| (name.to_owned(), found.to_owned())).unwrap())
            .collect();
        let changed = if image(&ours) == before { "unchanged" } else { "changed" };
        column.push(("the pixels afterwards".into(), changed.into()));
        let held = lease(&ours, Access::Write);
        let writes = held.write(&ours).unwrap().clear(0x1111_1111);
        held.release().unwrap();
        let sees = image(&ours).iter().all(|pixel| *pixel == 0x1111_1111);
        column
            .push(("the producer itself writes".into(), if writes.is_ok() && sees { "works" } else { "fails" }.into()));
        columns.push(column);
    }
    (0..columns[0].len())
        .map(|row| {
            let name = &columns[0][row].0;
            assert!(columns.iter().all(|column| column[row].0 == *name));
            std::iter::once(name.clone()).chain(columns.iter().map(|column| column[row].1.clone())).collect()
        })
        .collect()
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    text += &line(vec!["---".to_owned(); head.len()]);
    rows.into_iter().for_each(|row| text += &line(row));
    text
}

#[test]
fn read_only_md_says_what_is_measured() {
    let exports = table(&["writers", "moment", "READ", "WRITE"], exports().into_iter().map(Vec::from));
    let attacks = table(&["attack", "`Me`", "`Named(1)`", "`Named(2)`", "`Open`"], attacked());
    let text = format!(
        "# What READ means\n\n\
         Measured by `crates/handover/tests/sealing.rs`, which fails where this page and the kernel disagree.\n\
         After a change: `HANDOVER_BLESS=1 cargo test -p handover --test sealing`.\n\n\
         ## Which exports go out\n\n\
         A WRITE export that goes out uses up one of the places of `Named(n)`.\n\n{exports}\n\
         ## READ attacked\n\n\
         By another process of the same user that was sent a READ handle over a socket. First through the descriptor it\n\
         received, then through one that it reopened for reading and writing in `/proc/self/fd`, which no mode prevents for\n\
         the same user. An errno: the kernel refused.\n\n{attacks}"
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("READ_ONLY.md");
    if std::env::var_os("HANDOVER_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, text, "READ_ONLY.md is not what was measured; look, then run this with HANDOVER_BLESS=1");
}

/// What the table may never say, blessed or not.
#[test]
fn sealed_classes_resist_every_attack() {
    for row in attacked() {
        let [name, sealed @ .., open] = row.as_slice() else { panic!("{row:?}") };
        let allowed = ["EPERM", "EACCES", "EBADF", "EINVAL", "unchanged"];
        if name == "the producer itself writes" || name == "reopen for reading and writing" {
            continue;
        }
        assert!(sealed.iter().all(|cell| allowed.contains(&cell.as_str())), "{row:?}");
        // Without a seal, size and seals are still fixed, and the descriptor as it was sent does not write.
        if name.contains("seals") || name.contains("SEALS") || name.contains("truncate") || name.starts_with("received")
        {
            assert_ne!(open, "works", "{row:?}");
        }
    }
}

#[test]
fn handles_say_how_far_read_is_enforced() {
    for class in CLASSES {
        let (ours, _writers) = ready(class);
        let handle = export(&ours, READ, soon()).unwrap().handle;
        let expected = if class == Writers::Open { ReadOnly::Descriptor } else { ReadOnly::Sealed };
        assert_eq!((handle.read_only(), ours.read_only()), (expected, expected), "{class:?}");
        let theirs = import(handle, Device::PLAIN).unwrap();
        assert_eq!(theirs.read_only(), expected, "{class:?}");
        let error = refusal("WRITE", acquire(&[(&theirs, Access::Write, Region::WHOLE)], Deadline::now()));
        assert_eq!(*error.kind(), Kind::Unsupported, "{error}");
    }
}

/// A seal refuses new ways to write. Who mapped before it writes on, and that is what the named writers are for.
#[test]
fn named_writers_write_on_after_the_seal_and_find_no_new_way() {
    let (ours, writers) = ready(Writers::Named(2));
    let theirs = import(export(&ours, READ, soon()).unwrap().handle, Device::PLAIN).unwrap();
    for (value, writer) in (1_u32..).zip(&writers) {
        writer.tell(&value.to_string());
        assert_eq!(writer.hear(), "written; anew: EPERM");
        assert!(image(&theirs).iter().all(|pixel| *pixel == value));
    }
}

#[test]
fn a_mapping_is_acknowledged_once_a_handle_out() {
    for class in [Writers::Me, Writers::Open, Writers::Named(0), Writers::Named(1)] {
        let ours = surface(Device::PLAIN, SIZE, class);
        assert_eq!(*refusal("nobody is out", writer_mapped(&ours)).kind(), Kind::Invalid, "{class:?}");
    }
    let (ours, _writers) = ready(Writers::Named(1));
    assert_eq!(*refusal("once too often", writer_mapped(&ours)).kind(), Kind::Invalid);
    let theirs = import(export(&ours, READ, soon()).unwrap().handle, Device::PLAIN).unwrap();
    refusal("an imported surface", writer_mapped(&theirs));
}

/// A writer that seals the file itself keeps the producer from doing it: no READ handle may then say that it is sealed.
#[test]
fn a_writer_that_seals_first_gets_no_reader() {
    let ours = surface(Device::PLAIN, SIZE, Writers::Named(1));
    let hostile = Parts::of(export(&ours, WRITE, soon()).unwrap().handle);
    memfd::add_seals(&hostile.pixels, Seals::SEAL).unwrap();
    for _ in 0..2 {
        let error = refusal("the seal", writer_mapped(&ours));
        assert_eq!((error.kind(), error.errno()), (&Kind::Os, Some(1)), "{error}");
        assert_eq!(*refusal("READ", export(&ours, READ, soon())).kind(), Kind::WritersPending);
    }
    // FUTURE_WRITE alone keeps the honest writer out, and what goes out afterwards is sealed in truth.
    let ours = surface(Device::PLAIN, SIZE, Writers::Named(2));
    let hostile = Parts::of(export(&ours, WRITE, soon()).unwrap().handle);
    let honest = export(&ours, WRITE, soon()).unwrap().handle;
    memfd::add_seals(&hostile.pixels, Seals::FUTURE_WRITE).unwrap();
    let error = refusal("a mapping", import(honest, Device::PLAIN));
    assert_eq!((error.kind(), error.errno()), (&Kind::Os, Some(1)), "{error}");
    writer_mapped(&ours).unwrap();
    assert!(writer_mapped(&ours).unwrap());
    let handle = export(&ours, READ, soon()).unwrap().handle;
    assert!(import(handle, Device::PLAIN).is_ok());
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let socket = parent();
    let parts = hear_parts(socket.as_fd());
    let handle = Handle::from_parts(&parts.bytes, vec![copy(&parts.pixels), copy(&parts.control)]).unwrap();
    if role == "writer" {
        let surface = import(handle, Device::PLAIN).unwrap();
        say(&socket, "mapped");
        let value: u32 = String::from_utf8(hear(socket.as_fd()).0).unwrap().parse().unwrap();
        let held = lease(&surface, Access::Write);
        held.write(&surface).unwrap().clear(value).unwrap();
        held.release().unwrap();
        let size = file::size(&parts.pixels).unwrap() as usize;
        let anew = errno(Mapping::new(&parts.pixels, size, Populate::Later));
        return say(&socket, &format!("written; anew: {}", word(anew)));
    }
    // Imported as an honest consumer would, then attacked.
    let _surface = import(handle, Device::PLAIN).unwrap();
    let mut lines: Vec<String> =
        attacks(&parts.pixels).iter().map(|(name, found)| format!("received: {name}={found}")).collect();
    let reopened = file::reopen(&parts.pixels, Reopen::ReadWrite);
    let found = match &reopened {
        Ok(_) => None,
        Err(error) => error.raw_os_error(),
    };
    lines.push(format!("reopen for reading and writing={}", word(found)));
    for (name, found) in attacks(&reopened.unwrap()) {
        lines.push(format!("reopened: {name}={found}"));
    }
    say(&socket, &lines.join("\n"));
}
