//! What READ means on dma-bufs: every allocator attacked from another process, and what each promises compared with what was
//! measured. `READ_ONLY_LINUX.md` is made here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;
#[path = "common/kernel.rs"]
mod kernel;

use std::fs::{File, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use common::{Other, Parts, copy, hear_parts, image, lease, parent, refusal, role, say, soon};
use handover::backend::linux::Card;
use handover::export::writer_mapped;
use handover::{
    Access, Backend, Deadline, Device, ExportFlags, Handle, Kind, ReadOnly, Region, Stage, Surface, Writers, acquire,
    export, import,
};
use handover_sys::drm::{dumb, prime};
use handover_sys::file::{self, Reopen};
use handover_sys::map::{self, Mapping, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};
use kernel::{backends, is_complete, options, surfaces, try_surfaces, udmabuf};

const READ: ExportFlags = ExportFlags::READ;
const WRITE: ExportFlags = ExportFlags::WRITE;
const WRITERS: [Writers; 3] = [Writers::Me, Writers::Named(1), Writers::Open];
/// The drivers whose nodes the attacker uses.
const NODES: [&str; 2] = ["vgem", "virtio_gpu"];
const WORKS: &str = "works";

fn outcome<T>(result: std::io::Result<T>) -> String {
    let Err(error) = result else { return WORKS.into() };
    match error.raw_os_error() {
        Some(1) => "EPERM".into(),
        Some(2) => "ENOENT".into(),
        Some(6) => "ENXIO".into(),
        Some(9) => "EBADF".into(),
        Some(13) => "EACCES".into(),
        Some(19) => "ENODEV".into(),
        Some(22) => "EINVAL".into(),
        Some(29) => "ESPIPE".into(),
        Some(95) => "EOPNOTSUPP".into(),
        other => format!("errno {}", other.unwrap_or(-1)),
    }
}

/// A new writable mapping, written through.
fn write_mapping(pixels: &OwnedFd, length: usize) -> std::io::Result<Mapping> {
    let map = Mapping::new(pixels, length, Populate::Later)?;
    assert!(map.pixels_mut(0..8).unwrap().set_u8(0, 66));
    Ok(map)
}

/// What somebody with this descriptor may try: a name, and what it came to. Names with "write" are ways to write.
fn attacks(pixels: &OwnedFd) -> Vec<(String, String)> {
    let size = file::size(pixels).unwrap();
    let length = usize::try_from(size).unwrap();
    let bytes = || File::from(copy(pixels));
    let read_mapping = ReadMapping::new(pixels, length, Populate::Later).unwrap();
    let path = format!("/proc/self/fd/{}", pixels.as_raw_fd());
    let reopen = || file::reopen(pixels, Reopen::ReadWrite).map(drop);
    let mut found = vec![
        ("write through a new mapping".to_owned(), outcome(write_mapping(pixels, length))),
        ("write after `mprotect` of a read mapping".into(), outcome(map::try_upgrade(&read_mapping))),
        ("write with `pwrite`".into(), outcome(bytes().write_all_at(b"attack", 8))),
        ("write with `fallocate(PUNCH_HOLE)`".into(), outcome(file::punch_hole(pixels, 0, 4096))),
        (
            "write with `madvise(MADV_REMOVE)` on a writable mapping".into(),
            outcome(write_mapping(pixels, length).and_then(|map| map::remove_pages(&map))),
        ),
        ("`F_ADD_SEALS`".into(), outcome(memfd::add_seals(pixels, Seals::FUTURE_WRITE))),
        ("`ftruncate` to nothing".into(), outcome(bytes().set_len(0))),
        ("`ftruncate` to more".into(), outcome(bytes().set_len(size + 4096))),
        ("write after `open` for reading and writing in /proc/self/fd".into(), outcome(reopen())),
        (
            "`open` with `O_TRUNC` in /proc/self/fd".into(),
            outcome(File::options().write(true).truncate(true).open(path)),
        ),
        ("`fchmod` to 0777".into(), outcome(bytes().set_permissions(Permissions::from_mode(0o777)))),
        ("write after `fchmod` and `open`".into(), outcome(reopen())),
    ];
    for driver in NODES {
        let card = Card::of_driver(driver).unwrap();
        let gem = prime::import(&card, pixels);
        let through = |what: &str, attack: &dyn Fn(handover_sys::drm::Gem) -> std::io::Result<()>| {
            let outcome = gem.as_ref().map_or("not imported".to_owned(), |gem| outcome(attack(*gem)));
            (format!("{driver}: {what}"), outcome)
        };
        found.extend([
            (
                format!("{driver}: import"),
                outcome(gem.as_ref().map_err(|error| std::io::Error::from_raw_os_error(error.raw_os_error().unwrap()))),
            ),
            through("import, export for writing, write through a new mapping", &|gem| {
                write_mapping(&prime::export(&card, gem, prime::Access::ReadWrite)?, length).map(drop)
            }),
            through("import, write through a mapping of the node", &|gem| {
                let map = Mapping::new_at(&card, dumb::map_offset(&card, gem)?, length)?;
                assert!(map.pixels_mut(0..8).unwrap().set_u8(0, 67));
                Ok(())
            }),
        ]);
    }
    found
}

/// One allocation under attack.
struct Attacked {
    writers: Writers,
    says: ReadOnly,
    /// Name of the attack, and what it came to.
    rows: Vec<(String, String)>,
    changed: bool,
    writes_on: bool,
}

fn attack(backend: &Arc<dyn Backend>, writers: Writers) -> Attacked {
    let ours = surfaces(backend, 1, writers).remove(0);
    let fill = |value: u32| {
        let held = lease(&ours, Access::Write);
        held.write(&ours).unwrap().clear(value).unwrap();
    };
    fill(0x7777_7777);
    let other = Other::start("attacker");
    let handle = export(&ours, READ, soon()).unwrap().handle;
    let says = handle.read_only();
    Parts::of(handle).send(&other.socket);
    let line = |line: &str| line.split_once('=').map(|(name, found)| (name.to_owned(), found.to_owned())).unwrap();
    let rows = other.hear().lines().map(line).collect();
    let changed = image(&ours).iter().any(|pixel| *pixel != 0x7777_7777);
    fill(0x1111_1111);
    let writes_on = image(&ours).iter().all(|pixel| *pixel == 0x1111_1111);
    Attacked { writers, says, rows, changed, writes_on }
}

impl Attacked {
    /// The class that these results deserve.
    fn measured(&self) -> ReadOnly {
        let works = |way: &str| self.rows.iter().any(|(name, found)| name.contains(way) && found == WORKS);
        let through_descriptor = |(name, found): &(String, String)| name.starts_with("write") && found == WORKS;
        match self.rows.iter().any(through_descriptor) {
            true => ReadOnly::Unenforced,
            false if works("write") => ReadOnly::Descriptor,
            false => ReadOnly::Sealed,
        }
    }

    fn column(&self) -> Vec<String> {
        let mut column = vec![self.says.to_string()];
        column.extend(self.rows.iter().map(|(_, found)| found.clone()));
        column.push(if self.changed { "changed" } else { "unchanged" }.into());
        column.push(if self.writes_on { WORKS } else { "fails" }.into());
        column
    }
}

fn table(head: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head) + &line(&vec!["---".to_owned(); head.len()]);
    rows.into_iter().for_each(|row| text += &line(&row));
    text
}

fn attack_table(columns: &[Attacked]) -> String {
    let mut names = vec!["the handle says".to_owned()];
    names.extend(columns[0].rows.iter().map(|(name, _)| name.clone()));
    names.extend(["the pixels afterwards".to_owned(), "the producer itself writes".to_owned()]);
    let cells: Vec<Vec<String>> = columns.iter().map(Attacked::column).collect();
    let rows = names
        .into_iter()
        .enumerate()
        .map(|(row, name)| std::iter::once(name).chain(cells.iter().map(|column| column[row].clone())).collect());
    let head: Vec<String> = std::iter::once("attack".to_owned())
        .chain(columns.iter().map(|column| format!("`{:?}`", column.writers)))
        .collect();
    table(&head, rows)
}

/// What an export of this kind answers now.
fn answer(surface: &Surface, flags: ExportFlags) -> String {
    match export(surface, flags, soon()) {
        Ok(exported) if flags == READ => format!("goes out, {}", exported.handle.read_only()),
        Ok(_) => "goes out".into(),
        Err(error) => format!("refused: {}", error.kind().word()),
    }
}

/// Which exports go out when, of a surface in a udmabuf.
fn export_table(backend: &Arc<dyn Backend>) -> String {
    let mut rows = Vec::new();
    for writers in WRITERS {
        let ours = surfaces(backend, 1, writers).remove(0);
        let mut row = |moment: &str| {
            rows.push(vec![format!("`{writers:?}`"), moment.to_owned(), answer(&ours, READ), answer(&ours, WRITE)])
        };
        if writers != Writers::Named(1) {
            row("at any time");
            continue;
        }
        // Trying WRITE is what hands it out.
        row("0 of 1 WRITE handles out, 0 mapped");
        row("1 of 1 WRITE handles out, 0 mapped");
        writer_mapped(&ours).unwrap();
        row("1 of 1 mapped");
    }
    table(&["writers", "moment", "READ", "WRITE"].map(str::to_owned), rows)
}

/// One test, since the page and the promises stand on the same measurement, which takes a while.
#[test]
fn the_page_and_the_handles_say_what_is_measured() {
    let Some(udmabuf) = udmabuf().filter(|_| is_complete()) else { return };
    let mut text = format!(
        "# What READ means on dma-bufs\n\n\
         Measured by `crates/handover/tests/linux_sealing.rs` in the guest of `cargo xtask vm`, which fails where this page and\n\
         the kernel disagree. After a change run it there with `env HANDOVER_BLESS=FILE`, and copy the file here.\n\n\
         A dma-buf has one open file, whose mode its first export fixes and which cannot be opened again: read-only *per\n\
         export* does not exist, and there is nothing to seal.\n\n\
         ## Which exports go out\n\n\
         Of a surface in a udmabuf; without a seal to come no reader need wait for the writers.\n\n{}\n\
         ## READ attacked\n\n\
         By another process of the same user, who may open the nodes, and was sent a READ handle over a socket. An errno: the\n\
         kernel refused. A mapping of the node is one under the offset of `DRM_IOCTL_MODE_MAP_DUMB`.\n",
        export_table(&udmabuf)
    );
    for backend in backends() {
        let columns = WRITERS.map(|writers| attack(&backend, writers));
        text += &format!("\n### {}\n\n{}", backend.name(), attack_table(&columns));
        for column in &columns {
            let what = format!("{}, {:?}: {:?}", backend.name(), column.writers, column.rows);
            assert_eq!((column.says, column.measured()), (backend.read_only(column.writers), column.says), "{what}");
            assert_eq!(column.changed, column.says != ReadOnly::Sealed, "{what}");
            assert!(column.writes_on, "{what}");
            for (name, found) in &column.rows {
                let fixed = ["F_ADD_SEALS", "ftruncate", "open"].iter().any(|attack| name.contains(attack));
                assert!(!fixed || found != WORKS, "{name}: {what}");
            }
        }
    }
    if let Some(file) = std::env::var_os("HANDOVER_BLESS") {
        std::fs::write(file, &text).unwrap();
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("READ_ONLY_LINUX.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, text, "READ_ONLY_LINUX.md is not what was measured");
}

#[test]
fn a_required_class_is_refused_or_met_by_another_allocator() {
    if !is_complete() {
        return;
    }
    let mut all = backends();
    all.push(Arc::new(handover::backend::Software));
    for (writers, required) in WRITERS.iter().flat_map(|writers| ReadOnly::ALL.map(|required| (*writers, required))) {
        let mut first = None;
        for backend in &all {
            let class = backend.read_only(writers);
            let allocated =
                try_surfaces(&handover::Options { read_only: Some(required), ..options(backend, 1, writers) });
            if class.bits() <= required.bits() {
                assert_eq!(allocated.unwrap()[0].read_only(), class, "{}", backend.name());
                first = first.or_else(|| Some(backend.name()));
                continue;
            }
            let error = refusal("a weaker class", allocated);
            assert_eq!((error.stage(), error.kind()), (Stage::Allocate, &Kind::Unsupported), "{error}");
            let text = error.to_string();
            let named = [backend.name(), required.to_string(), class.to_string(), "what helps".into()];
            assert!(named.iter().all(|part| text.contains(part.as_str())), "{text}");
        }
        let expected = match (required, writers) {
            (ReadOnly::Sealed, Writers::Open) => None,
            (ReadOnly::Sealed, _) | (ReadOnly::Descriptor, Writers::Named(_) | Writers::Open) => Some("software"),
            (ReadOnly::Descriptor, Writers::Me) => Some("dumb buffers of vgem"),
            (ReadOnly::Unenforced, _) => Some("udmabuf"),
        };
        assert_eq!(first.as_deref(), expected, "{required} with {writers:?}");
    }
}

/// The library keeps to READ where the kernel does not.
#[test]
fn a_read_import_is_refused_write_whatever_the_kernel_enforces() {
    for backend in backends() {
        for writers in WRITERS {
            let ours = surfaces(&backend, 1, writers).remove(0);
            let theirs = import(export(&ours, READ, soon()).unwrap().handle, Device::PLAIN).unwrap();
            assert_eq!(theirs.read_only(), backend.read_only(writers), "{}", backend.name());
            let error = refusal("WRITE", acquire(&[(&theirs, Access::Write, Region::WHOLE)], Deadline::now()));
            assert_eq!(*error.kind(), Kind::Unsupported, "{error}");
        }
    }
}

/// A handle that promises more than its descriptor keeps, or asks for more than it gives.
#[test]
fn a_handle_that_lies_about_its_class_is_refused() {
    for backend in backends() {
        let ours = surfaces(&backend, 1, Writers::Open).remove(0);
        let parts = Parts::of(export(&ours, READ, soon()).unwrap().handle);
        for class in [ReadOnly::Sealed, ReadOnly::Descriptor] {
            let bytes = parts.patched(common::at::READ_ONLY, &[class.bits()]);
            let error = refusal("a lie", import(parts.forge(&bytes).unwrap(), Device::PLAIN));
            assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Malformed), "{class}: {error}");
        }
        let ours = surfaces(&backend, 1, Writers::Me).remove(0);
        let parts = Parts::of(export(&ours, READ, soon()).unwrap().handle);
        let bytes = parts.patched(common::at::ACCESS, &[WRITE.bits()]);
        let forged = import(parts.forge(&bytes).unwrap(), Device::PLAIN);
        if backend.read_only(Writers::Me) == ReadOnly::Descriptor {
            let error = refusal("WRITE made of READ", forged);
            assert_eq!((error.kind(), error.errno()), (&Kind::Os, Some(13)), "{error}");
        } else {
            assert!(forged.is_ok(), "{}: unenforced is what the handle says", backend.name());
        }
    }
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    assert_eq!(role, "attacker");
    let socket = parent();
    let parts = hear_parts(socket.as_fd());
    let handle = Handle::from_parts(&parts.bytes, vec![copy(&parts.pixels), copy(&parts.control)]).unwrap();
    // Imported as an honest consumer would, then attacked.
    let _surface = import(handle, Device::PLAIN).unwrap();
    let lines: Vec<String> = attacks(&parts.pixels).iter().map(|(name, found)| format!("{name}={found}")).collect();
    say(&socket, &lines.join("\n"));
}
