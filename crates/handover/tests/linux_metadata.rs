//! Metadata of surfaces in dma-bufs: in no message, and found from the descriptor alone, whoever carried it and whatever became of
//! it on the way.
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

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Noise, Other, Parts, alone, at, copy, hear, keeps_descriptors, parent, role, say, soon};
use handover::backend::linux::{Card, Dumb};
use handover::import::{Foreign, foreign, metadata_of};
use handover::{Access, Backend, Block, Device, ExportFlags, Metadata, Surface, Word, Writers, export, import};
use handover_sys::dma_buf::Direction;
use handover_sys::map::{Mapping, Populate, ReadMapping};
use handover_sys::{dma_buf, dma_heap, file, socket};
use kernel::{Gpu, backends, need, raw_udmabuf, skip, surface, surfaces, udmabuf};

const READ: ExportFlags = ExportFlags::READ;
const WRITE: ExportFlags = ExportFlags::WRITE;
const WRITERS: [Writers; 3] = [Writers::Me, Writers::Named(1), Writers::Open];

fn metadata(word: u64, block: &[u8]) -> Metadata {
    Metadata { word: Word(word), block: Block::new(block).unwrap() }
}

/// A value that shows in word and block which it is.
fn pattern(value: u64) -> Metadata {
    metadata(value, &Noise::new(value).bytes(8 + 8 * (value as usize % 32)))
}

fn exported(surface: &Surface, flags: ExportFlags) -> Parts {
    Parts::of(export(surface, flags, soon()).unwrap().handle)
}

/// Every source with every kind of writers: what maps and exports differently.
fn each() -> impl Iterator<Item = (String, Surface)> {
    let all = backends().into_iter().flat_map(|backend| WRITERS.map(|writers| (Arc::clone(&backend), writers)));
    all.map(|(backend, writers)| (format!("{}, {writers:?}", backend.name()), surfaces(&backend, 1, writers).remove(0)))
}

#[test]
fn no_byte_of_it_is_in_any_message() {
    let _turn = alone();
    for (what, ours) in each() {
        let (plain, mut noise) = (exported(&ours, READ).bytes, Noise::new(9));
        let secret = metadata(noise.next(), &noise.bytes(256));
        ours.set_metadata(&secret).unwrap();
        let parts = exported(&ours, READ);
        let mut captured = vec![plain.clone(), parts.bytes.clone()];
        captured.extend(export(&ours, WRITE, soon()).map(|exported| Parts::of(exported.handle).bytes));
        // Set by a consumer, before and after the producer takes it over into the trailer.
        let theirs = import(parts.handle(), Device::PLAIN).unwrap();
        theirs.set_metadata(&secret).unwrap();
        captured.push(exported(&ours, READ).bytes);
        // Imported as a stranger's, whose handle describes the same memory.
        let layout = *ours.layout();
        let again = foreign(Foreign::DmaBuf(copy(ours.pixels_fd())), &layout, Device::PLAIN, Access::Read).unwrap();
        captured.push(exported(&again, READ).bytes);
        assert_eq!(plain, captured[1], "{what}: metadata changed the message");
        // What anybody can read of the buffer in /proc is no message, and says nothing either.
        captured.push(format!("{:?}", dma_buf::info(ours.pixels_fd()).unwrap()).into_bytes());
        let needles: Vec<[u8; 4]> = [secret.word.0.to_le_bytes().to_vec(), secret.block.stored().to_vec()]
            .iter()
            .flat_map(|bytes| bytes.windows(4).map(|w| [w[0], w[1], w[2], w[3]]).collect::<Vec<_>>())
            .collect();
        for bytes in &captured {
            assert!(!bytes.windows(4).any(|window| needles.iter().any(|needle| window == needle)), "{what}");
        }
    }
}

/// A process that is sent bare descriptors and says what it finds behind them.
struct Stranger(Other);

impl Stranger {
    fn start() -> Self {
        Self(Other::start("stranger"))
    }

    fn finds(&self, pixels: impl AsFd) -> String {
        socket::send(&self.0.socket, b"?", &[pixels.as_fd()], false).unwrap();
        self.0.hear()
    }
}

fn said(metadata: &Metadata) -> String {
    format!("{:?}", Some(metadata))
}

#[test]
fn a_bare_descriptor_tells_another_process_what_the_producer_set() {
    let _turn = alone();
    let stranger = Stranger::start();
    for (what, ours) in each() {
        let pixels = exported(&ours, READ).pixels;
        assert_eq!(stranger.finds(&pixels), said(&ours.metadata().unwrap()), "{what}: fresh");
        for value in [1, 31, 32, 0xffff_ffff_ffff, 5] {
            ours.set_metadata(&pattern(value)).unwrap();
            assert_eq!(stranger.finds(&pixels), said(&pattern(value)), "{what}: set");
        }
        ours.set_metadata(&metadata(8, &[])).unwrap();
        assert_eq!(stranger.finds(&pixels), said(&metadata(8, &[])), "{what}: cleared");
        keeps_descriptors(&what, || metadata_of(pixels.as_fd()).unwrap());
    }
}

/// Only CPUs read the trailer, so nobody waits for a device.
#[test]
fn a_device_at_work_keeps_nobody_from_setting_and_finding_it() {
    let _turn = alone();
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let ours = surface(&backend);
    let job = gpu.submit(ours.pixels_fd(), Direction::WRITE);
    let start = Instant::now();
    ours.set_metadata(&pattern(3)).unwrap();
    assert_eq!(metadata_of(ours.pixels_fd()).unwrap(), Some(pattern(3)));
    assert!(start.elapsed() < Duration::from_secs(2), "it waited");
    job.end();
}

/// The program of `data/pass_descriptor.c`, or a skip.
fn carrier() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pass_descriptor.c");
    let program = std::env::temp_dir().join(format!("handover-pass-descriptor-{}", std::process::id()));
    match Command::new("cc").args(["-Wall", "-Werror", "-o"]).arg(&program).arg(&source).status() {
        Ok(status) => assert!(status.success(), "{source:?} does not compile: {status}"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip("cc", "no C compiler");
            return None;
        }
        Err(error) => panic!("cc: {error}"),
    }
    Some(program)
}

/// It runs, between our socket and that of a stranger.
struct Carried {
    child: Child,
    ours: OwnedFd,
    stranger: Stranger,
}

impl Carried {
    fn start(program: &Path) -> Self {
        let (ours, theirs) = socket::pair().unwrap();
        let stranger = Stranger::start();
        let out = copy(&stranger.0.socket);
        let child = Command::new(program).stdin(Stdio::from(theirs)).stdout(Stdio::from(out)).spawn().unwrap();
        Self { child, ours, stranger }
    }

    fn finds(&self, pixels: BorrowedFd<'_>) -> String {
        socket::send(&self.ours, b"?", &[pixels], false).unwrap();
        self.stranger.0.hear()
    }

    fn end(mut self) {
        drop(self.ours);
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn a_descriptor_passed_by_a_program_that_knows_nothing_of_us_decodes_to_it() {
    let _turn = alone();
    let Some(program) = carrier() else { return };
    let carried = Carried::start(&program);
    for (what, ours) in each() {
        assert_eq!(carried.finds(ours.pixels_fd()), said(&ours.metadata().unwrap()), "{what}");
        ours.set_metadata(&pattern(77)).unwrap();
        assert_eq!(carried.finds(ours.pixels_fd()), said(&pattern(77)), "{what}: set anew");
    }
    carried.end();
    std::fs::remove_file(program).unwrap();
}

/// A device that takes the buffer, and gives it on, gives on the same one.
#[test]
fn an_import_by_a_device_and_its_export_decode_to_it() {
    let _turn = alone();
    let Some(gpu) = Gpu::open() else { return };
    let stranger = Stranger::start();
    for (what, ours) in each() {
        let by_device = || gpu.0.import(&ours).unwrap().export_dma_buf().unwrap();
        let exported = by_device();
        assert_eq!(file::identity(&exported).unwrap(), ours.id().memory, "{what}");
        assert_eq!(stranger.finds(&exported), said(&ours.metadata().unwrap()), "{what}");
        ours.set_metadata(&pattern(78)).unwrap();
        assert_eq!(stranger.finds(&exported), said(&pattern(78)), "{what}: set anew");
        assert_eq!(stranger.finds(by_device()), said(&pattern(78)), "{what}: exported anew");
    }
}

#[test]
fn what_another_process_set_is_behind_the_descriptor_after_the_next_export() {
    let _turn = alone();
    for (what, ours) in each() {
        let (parts, before) = (exported(&ours, READ), ours.metadata().unwrap());
        let theirs = import(parts.handle(), Device::PLAIN).unwrap();
        theirs.set_metadata(&pattern(5)).unwrap();
        assert_eq!(metadata_of(parts.pixels.as_fd()).unwrap(), Some(before), "{what}");
        drop(exported(&ours, READ));
        assert_eq!(metadata_of(parts.pixels.as_fd()).unwrap(), Some(pattern(5)), "{what}");
    }
}

/// Whoever may write the pixels may write the trailer; who holds the handle asks the control file.
#[test]
fn the_control_file_wins_over_the_trailer() {
    let _turn = alone();
    for backend in backends() {
        let ours = surface(&backend);
        ours.set_metadata(&pattern(1)).unwrap();
        let parts = exported(&ours, WRITE);
        let size = usize::try_from(file::size(&parts.pixels).unwrap()).unwrap();
        let map = Mapping::new(&parts.pixels, size, Populate::Later).unwrap();
        // All slots at once: the word of each is its first.
        let trailer = map.pixels_mut(size - 4096..size).unwrap();
        (0..8).for_each(|slot| assert!(trailer.write(64 + 384 * slot, &666_u64.to_le_bytes())));
        assert_eq!(metadata_of(parts.pixels.as_fd()).unwrap().unwrap().word, Word(666), "{}", backend.name());
        assert_eq!(ours.metadata().unwrap(), pattern(1));
        let theirs = import(parts.handle(), Device::PLAIN).unwrap();
        assert_eq!(theirs.metadata().unwrap(), pattern(1));
        // The producer's next word on it is whole again.
        drop(exported(&ours, READ));
        assert_eq!(metadata_of(parts.pixels.as_fd()).unwrap(), Some(pattern(1)), "{}", backend.name());
        let mut noise = Noise::new(11);
        for _ in 0..300 {
            assert!(trailer.write(24 + noise.below(4064), &noise.next().to_le_bytes()));
            let _ = metadata_of(parts.pixels.as_fd());
        }
        assert_eq!(import(parts.handle(), Device::PLAIN).unwrap().metadata().unwrap(), pattern(1));
    }
}

#[test]
fn a_strangers_buffer_and_a_copy_of_ours_say_nothing() {
    let _turn = alone();
    let Some(backend) = udmabuf() else { return };
    let none = |what: &str, buffer: &OwnedFd| {
        assert_eq!(keeps_descriptors(what, || metadata_of(buffer.as_fd()).unwrap()), None, "{what}");
    };
    none("a page", &raw_udmabuf(4096, &[]));
    none("two pages", &raw_udmabuf(8192, &[]));
    if let Ok(system) = dma_heap::open("system") {
        none("a heap's", &dma_heap::allocate(&system, 65_536).unwrap());
    }
    for source in backends() {
        let ours = surface(&source);
        let size = file::size(ours.pixels_fd()).unwrap();
        let original = ReadMapping::new(ours.pixels_fd(), size as usize, Populate::Later).unwrap();
        let mut bytes = vec![0; size as usize];
        assert!(original.pixels(0..size as usize).unwrap().read(0, &mut bytes));
        assert!(metadata_of(ours.pixels_fd()).unwrap().is_some());
        none(&format!("a copy of {}", source.name()), &raw_udmabuf(size, &bytes));
        none(&format!("a longer copy of {}", source.name()), &raw_udmabuf(size + 4096, &bytes));
        // As an import of a stranger's it gets metadata of its own, which the bytes say nothing of.
        let buffer = Foreign::DmaBuf(raw_udmabuf(size, &bytes));
        let foreign = foreign(buffer, ours.layout(), Device::PLAIN, Access::Read).unwrap();
        assert!(foreign.metadata().unwrap().block.is_empty());
    }
    // Pixels to the last byte: nobody's trailer is written into a stranger's buffer.
    let ours = surface(&backend);
    let size = ours.layout().size().get();
    let bytes = Noise::new(4).bytes(size as usize);
    let buffer = raw_udmabuf(size, &bytes);
    let stranger = foreign(Foreign::DmaBuf(copy(&buffer)), ours.layout(), Device::PLAIN, Access::Write).unwrap();
    stranger.set_metadata(&pattern(9)).unwrap();
    let parts = exported(&stranger, WRITE);
    let peer = import(parts.handle(), Device::PLAIN).unwrap();
    assert_eq!(peer.metadata().unwrap(), pattern(9));
    let map = ReadMapping::new(&buffer, size as usize, Populate::Later).unwrap();
    let mut after = vec![0; size as usize];
    assert!(map.pixels(0..size as usize).unwrap().read(0, &mut after));
    assert!(after == bytes, "something was written into a stranger's pixels");
    assert_eq!(metadata_of(buffer.as_fd()).unwrap(), None);
}

/// A surface's memory is found with the rights of its descriptor alone: one opened for reading does.
#[test]
fn a_descriptor_that_does_not_write_is_enough() {
    let _turn = alone();
    let Some(card) = need("vgem", Card::of_driver("vgem")) else { return };
    let backend: Arc<dyn Backend> = Arc::new(Dumb::of(card));
    let ours = surfaces(&backend, 1, Writers::Me).remove(0);
    assert!(!file::is_writable(ours.pixels_fd()).unwrap());
    ours.set_metadata(&pattern(12)).unwrap();
    assert_eq!(Stranger::start().finds(ours.pixels_fd()), said(&pattern(12)));
    assert_eq!(exported(&ours, READ).bytes[at::READ_ONLY], handover::ReadOnly::Descriptor.bits());
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    assert_eq!(role, "stranger");
    let socket = parent();
    loop {
        // It ends with its parent, which closes the socket or kills it.
        let (bytes, descriptors) = hear(socket.as_fd());
        assert_eq!(descriptors.len(), 1);
        assert_eq!(bytes, b"?", "a carrier's byte says nothing");
        say(&socket, &format!("{:?}", metadata_of(descriptors[0].as_fd()).unwrap().as_ref()));
    }
}
