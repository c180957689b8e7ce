//! Surfaces in buffers of amdgpu, and metadata that its driver keeps. On a stand-in for the device, which is written after the
//! kernel's source and not held against a card; the dma-bufs are real ones, of udmabuf.
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
#[path = "../../handover-sys/tests/common/standin.rs"]
mod standin;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use common::{Other, Parts, bytes_of, copy, image, keeps_descriptors, lease, refusal, soon};
use handover::backend::linux::amdgpu::{CreateFlags, Domains};
use handover::backend::linux::{Amdgpu, Card, Kfd};
use handover::backend::software::reservation::layout;
use handover::import::{metadata_of, metadata_on};
use handover::{
    Access, Backend, Block, Device, ExportFlags, Kind, MemoryKind, Metadata, Order, ReadOnly, Surface, Word, Writers,
    export, import,
};
use handover_model::layout::Constraints;
use handover_sys::drm::{self, Gem, amdgpu, prime};
use handover_sys::map::{Mapping, Populate};
use handover_sys::{dma_buf, file, udmabuf};
use kernel::skip;
use standin::{Standin, with_devices};

const ENOMEM: i32 = 12;
const EPERM: i32 = 1;

/// Runs the test again with the stand-in's devices, if its dma-bufs can be had.
fn on_devices(test: &str, body: impl FnOnce(&Standin)) {
    match udmabuf::open() {
        Ok(_) => with_devices(test, body),
        Err(error) => skip("udmabuf", &error.to_string()),
    }
}

/// A fresh open file of the node.
fn device(devices: &Standin, name: &str) -> Amdgpu {
    Amdgpu::of(Card::open(devices.node(name)).unwrap()).unwrap()
}

fn surface(device: &Amdgpu) -> Surface {
    let backend: Arc<dyn Backend> = Arc::new(device.clone());
    kernel::surface(&backend)
}

fn some(value: u64) -> Metadata {
    let bytes: Vec<u8> = (0..40).map(|i| (value as u8).wrapping_add(i) | 1).collect();
    Metadata { word: Word(value), block: Block::new(&bytes).unwrap() }
}

fn handle(surface: &Surface) -> Parts {
    Parts::of(export(surface, ExportFlags::READ | ExportFlags::WRITE, soon()).unwrap().handle)
}

/// A stranger who has opened the node and got the dma-buf: Mesa, for example.
struct Stranger {
    node: amdgpu::File<'static>,
    gem: Gem,
}

impl Stranger {
    fn of(devices: &Standin, dma_buf: impl AsFd) -> Self {
        let node = drm::open(devices.node("navi21")).unwrap();
        let node = amdgpu::File::shared(Arc::new(node)).unwrap();
        let gem = prime::import(&node, dma_buf).unwrap();
        Self { node, gem }
    }

    fn metadata(&self) -> Metadata {
        let found = amdgpu::metadata(&self.node, self.gem).unwrap();
        Metadata { word: Word(found.tiling), block: Block::new(found.block()).unwrap() }
    }

    fn set(&self, metadata: &Metadata) {
        let metadata = amdgpu::Metadata::new(0, metadata.word.0, metadata.block.stored()).unwrap();
        amdgpu::set_metadata(&self.node, self.gem, &metadata).unwrap();
    }
}

#[test]
fn a_surface_in_memory_of_amdgpu_works_as_any_other() {
    on_devices("a_surface_in_memory_of_amdgpu_works_as_any_other", |devices| {
        let device = device(devices, "navi21");
        assert_eq!((device.name().as_str(), device.order()), ("buffers of amdgpu", Order::AmongPeers));
        let ours = surface(&device);
        assert_eq!((ours.memory_kind(), ours.read_only()), (MemoryKind::DmaBuf, ReadOnly::Unenforced));
        assert_eq!(dma_buf::size(ours.pixels_fd()).unwrap(), 64 * 48 * 4, "pixels to the last byte");
        let theirs = import(handle(&ours).handle(), Device::PLAIN).unwrap();
        let picture: Vec<u32> = (0..64 * 48).collect();
        lease(&ours, Access::Write).write(&ours).unwrap().write_image(0, &bytes_of(&picture), 64 * 4).unwrap();
        assert_eq!(image(&theirs), picture);
    });
}

#[test]
fn metadata_is_the_drivers_own_and_lies_nowhere_else() {
    on_devices("metadata_is_the_drivers_own_and_lies_nowhere_else", |devices| {
        let ours = surface(&device(devices, "navi21"));
        let stranger = Stranger::of(devices, ours.pixels_fd());
        assert_eq!(ours.metadata().unwrap().block.header(), Device::PLAIN.header(), "set by allocate");
        for value in [7, u64::MAX, 0] {
            ours.set_metadata(&some(value)).unwrap();
            assert_eq!((stranger.metadata(), ours.metadata().unwrap()), (some(value), some(value)));
        }
        stranger.set(&some(12));
        assert_eq!(ours.metadata().unwrap(), some(12), "the last one wins, whoever it is");
        ours.set_metadata(&Metadata { word: Word(3), block: Block::EMPTY }).unwrap();
        assert_eq!(stranger.metadata(), Metadata { word: Word(3), block: Block::EMPTY });

        ours.set_metadata(&some(12)).unwrap();
        let parts = handle(&ours);
        let secret = some(12).block;
        let has_secret = |bytes: &[u8]| bytes.windows(40).any(|window| window == secret.stored());
        assert!(!has_secret(&parts.bytes), "in the message");
        assert!(
            !has_secret(&std::fs::read(format!("/proc/self/fd/{}", fd(&parts.control))).unwrap()),
            "in the control file"
        );
        assert_eq!(metadata_of(parts.pixels.as_fd()).unwrap(), None, "behind the pixels");
    });
}

fn fd(file: &OwnedFd) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(file)
}

#[test]
fn a_consumer_on_the_device_shares_the_metadata() {
    on_devices("a_consumer_on_the_device_shares_the_metadata", |devices| {
        let ours = surface(&device(devices, "navi21"));
        let other = Other::start("consumer");
        handle(&ours).send(&other.socket);
        common::say(&other.socket, &devices.node("navi21").display().to_string());
        assert_eq!(other.hear(), Device::PLAIN.header().unwrap().to_string());
        assert_eq!(ours.metadata().unwrap(), some(21), "set by the other process");
        // Imported where it was made: the same open file, one handle, and each may go first.
        let same = device_of(&ours, devices);
        drop(same);
        assert_eq!(ours.metadata().unwrap(), some(21));
    });
}

/// An import of `ours` on an open file of its own.
fn device_of(ours: &Surface, devices: &Standin) -> Surface {
    device(devices, "navi21").import(handle(ours).handle(), Device::PLAIN).unwrap()
}

#[test]
fn child_process() {
    let Some(role) = common::role() else { return };
    assert_eq!(role, "consumer");
    let socket = common::parent();
    let parts = common::hear_parts(socket.as_fd());
    let node = String::from_utf8(common::hear(socket.as_fd()).0).unwrap();
    let device = Amdgpu::of(Card::open(node).unwrap()).unwrap();
    let surface = device.import(parts.handle(), Device::PLAIN).unwrap();
    let header = surface.metadata().unwrap().block.header().unwrap();
    surface.set_metadata(&some(21)).unwrap();
    common::say(&socket, &header.to_string());
}

#[test]
fn a_consumer_without_the_device_uses_the_surface_and_is_told_who_has_the_metadata() {
    on_devices("a_consumer_without_the_device_uses_the_surface_and_is_told_who_has_the_metadata", |devices| {
        let ours = surface(&device(devices, "navi21"));
        ours.set_metadata(&some(5)).unwrap();
        let parts = handle(&ours);
        let theirs = import(parts.handle(), Device::PLAIN).unwrap();
        let results = [theirs.metadata().map(drop), theirs.set_metadata(&some(6))];
        for error in results.map(|result| refusal("metadata", result)) {
            assert_eq!(*error.kind(), Kind::Unsupported);
            assert!(error.to_string().contains("Amdgpu::import"), "{error}");
        }
        assert_eq!(ours.metadata().unwrap(), some(5));
        drop(lease(&theirs, Access::Write));

        let elsewhere = device(devices, "navi22");
        let error = refusal("another device", elsewhere.import(parts.handle(), Device::PLAIN));
        assert!(*error.kind() == Kind::Unsupported && error.to_string().contains("navi22"), "{error}");
        let refuses = device(devices, "refuses");
        assert_eq!(*refusal("no such memory", refuses.import(parts.handle(), Device::PLAIN)).kind(), Kind::Os);
    });
}

#[test]
fn an_import_on_the_device_of_what_is_not_its_own_is_an_ordinary_one() {
    on_devices("an_import_on_the_device_of_what_is_not_its_own_is_an_ordinary_one", |devices| {
        let ours = kernel::surface(&kernel::udmabuf().unwrap());
        ours.set_metadata(&some(8)).unwrap();
        let theirs = device(devices, "navi21").import(handle(&ours).handle(), Device::PLAIN).unwrap();
        assert_eq!(theirs.metadata().unwrap(), some(8), "the control file has it");
        theirs.set_metadata(&some(9)).unwrap();
        assert_eq!(ours.metadata().unwrap(), some(9));
    });
}

#[test]
fn metadata_is_found_from_the_dma_buf_alone() {
    on_devices("metadata_is_found_from_the_dma_buf_alone", |devices| {
        let [navi21, navi22, refuses, exhausted] =
            ["navi21", "navi22", "refuses", "exhausted"].map(|name| device(devices, name));
        let ours = surface(&navi22);
        ours.set_metadata(&some(30)).unwrap();
        let bare = copy(ours.pixels_fd());
        let find = |devices: &[&Amdgpu]| {
            let devices: Vec<Amdgpu> = devices.iter().copied().cloned().collect();
            keeps_descriptors("a search", || metadata_on(bare.as_fd(), &devices))
        };
        assert_eq!(find(&[]).unwrap(), None);
        assert_eq!(find(&[&navi21]).unwrap(), None, "word 0 and no block on another device: unknown");
        assert_eq!(find(&[&refuses]).unwrap(), None);
        assert_eq!(find(&[&navi22]).unwrap(), Some(some(30)));
        assert_eq!(find(&[&navi21, &refuses, &navi22]).unwrap(), Some(some(30)));
        assert_eq!(refusal("no memory", find(&[&exhausted, &navi22])).errno(), Some(ENOMEM));
        ours.set_metadata(&Metadata::default()).unwrap();
        assert_eq!(find(&[&navi22]).unwrap(), None, "cleared: unknown, not linear");

        let with_trailer = kernel::surface(&kernel::udmabuf().unwrap());
        with_trailer.set_metadata(&some(31)).unwrap();
        assert_eq!(metadata_on(with_trailer.pixels_fd(), &[exhausted]).unwrap(), Some(some(31)), "no device is asked");
        let stranger = kernel::raw_udmabuf(8192, b"nothing");
        assert_eq!(metadata_on(stranger.as_fd(), std::slice::from_ref(&navi21)).unwrap(), None);
        let plain = File::open(devices.kfd()).unwrap();
        assert_eq!(metadata_on(plain.as_fd(), &[navi21]).unwrap(), None, "no dma-buf at all");
    });
}

#[test]
fn kfd_knows_the_buffers_of_every_device_and_their_blocks() {
    on_devices("kfd_knows_the_buffers_of_every_device_and_their_blocks", |devices| {
        let kfd = Kfd::of(File::options().read(true).write(true).open(devices.kfd()).unwrap().into());
        for name in ["navi21", "polaris10"] {
            let ours = surface(&device(devices, name));
            ours.set_metadata(&some(40)).unwrap();
            assert_eq!(kfd.block_of(ours.pixels_fd()).unwrap(), Some(some(40).block));
            ours.set_metadata(&Metadata::default()).unwrap();
            assert_eq!(kfd.block_of(ours.pixels_fd()).unwrap(), Some(Block::EMPTY), "of amdgpu, and never set");
        }
        assert_eq!(kfd.block_of(kernel::raw_udmabuf(4096, b"").as_fd()).unwrap(), None, "of another driver");
        let no_kfd = Kfd::of(File::open("/dev/null").unwrap().into());
        assert_eq!(*refusal("another node", no_kfd.block_of(kernel::raw_udmabuf(4096, b"").as_fd())).kind(), Kind::Os);
    });
}

/// A handle in one open file has one number, and whoever goes last closes it.
#[test]
fn handles_are_closed_once_and_by_the_last_user() {
    on_devices("handles_are_closed_once_and_by_the_last_user", |devices| {
        let device = device(devices, "navi21");
        let next = || {
            let file = amdgpu::File::of(device.card()).unwrap();
            let gem = amdgpu::gem_create(&file, 4096, 4096, Domains::GTT, CreateFlags::empty()).unwrap();
            prime::close(device.card(), gem).unwrap();
            gem
        };
        let first = next();
        keeps_descriptors("allocate, import, drop", || {
            let ours = surface(&device);
            let imported = device.card().import(&ours).unwrap();
            assert_eq!(device.card().gem(&imported).unwrap(), first, "the number it was made under");
            drop(imported);
            assert!(ours.metadata().is_ok(), "the surface still has it");
            let theirs = device.import(handle(&ours).handle(), Device::PLAIN).unwrap();
            drop(ours);
            assert!(theirs.metadata().is_ok());
            assert_ne!(next(), first);
            drop(theirs);
            assert_eq!(next(), first);
        });
    });
}

#[test]
fn what_cannot_be_a_surface_is_refused_and_leaves_nothing() {
    on_devices("what_cannot_be_a_surface_is_refused_and_leaves_nothing", |devices| {
        let device = device(devices, "navi21");
        let flags = CreateFlags::VM_ALWAYS_VALID;
        let local = device.clone().with(Domains::VRAM, flags).unwrap();
        let linear =
            handover::Layout::linear(handover::Format::R8, handover::Extent::new(64, 64).unwrap(), Constraints::NONE)
                .unwrap();
        let tiled = handover::Layout::blocks(
            handover::Format::XRGB8888,
            handover::Extent::new(64, 64).unwrap(),
            handover::Compression::Possible,
            Constraints::NONE,
        )
        .unwrap();
        keeps_descriptors("refused allocations", || {
            let error = refusal("a buffer of one process", local.allocate(&linear, Writers::Me));
            assert_eq!(error.errno(), Some(EPERM));
            let error = refusal("a tiled one", device.allocate(&tiled, Writers::Me));
            assert_eq!(*error.kind(), Kind::Unsupported);
        });
        let file = amdgpu::File::of(device.card()).unwrap();
        let gem = amdgpu::gem_create(&file, 1, 1, Domains::GTT, CreateFlags::empty()).unwrap();
        assert_eq!(gem, Gem(1), "the refused one was closed");
        let doorbell = device.clone().with(Domains::GTT, CreateFlags::VRAM_CONTIGUOUS).unwrap();
        let error = refusal("a flag of the kernel's own", doorbell.allocate(&linear, Writers::Me));
        assert!(*error.kind() == Kind::Os && error.to_string().contains("navi21"), "{error}");
        for (domains, flags) in [
            (Domains::empty(), CreateFlags::empty()),
            (Domains::GTT | Domains::OA, CreateFlags::empty()),
            (Domains::VRAM, CreateFlags::NO_CPU_ACCESS),
        ] {
            assert_eq!(*refusal("with", device.clone().with(domains, flags)).kind(), Kind::Invalid);
        }
        let made = device.clone().with(Domains::VRAM, CreateFlags::CPU_GTT_USWC).unwrap();
        let stranger = Stranger::of(devices, surface(&made).pixels_fd());
        let info = amdgpu::create_info(&stranger.node, stranger.gem).unwrap();
        assert_eq!(info.domains, Domains::VRAM);
        assert!(info.flags.contains(CreateFlags::CPU_GTT_USWC | CreateFlags::CPU_ACCESS_REQUIRED));
    });
}

/// Whoever else makes numbers there closes them; what they do not know of would never be closed.
#[test]
fn a_shared_file_is_for_imports() {
    on_devices("a_shared_file_is_for_imports", |devices| {
        let node = drm::open(devices.node("navi21")).unwrap();
        let shared = Amdgpu::of(Card::shared(copy(&node), devices.node("navi21")).unwrap()).unwrap();
        let backend: Arc<dyn Backend> = Arc::new(shared.clone());
        let options = kernel::options(&backend, 1, Writers::Open);
        let error = refusal("a buffer", kernel::try_surfaces(&options));
        assert!(*error.kind() == Kind::Unsupported && error.to_string().contains("Card::open"), "{error}");
        let ours = surface(&device(devices, "navi21"));
        let theirs = shared.import(handle(&ours).handle(), Device::PLAIN).unwrap();
        theirs.set_metadata(&some(4)).unwrap();
        assert_eq!(ours.metadata().unwrap(), some(4));
        drop(theirs);
        let number = prime::import(&node, ours.pixels_fd()).unwrap();
        prime::close(&node, number).expect("it was left to this file's other owner");
    });
}

#[test]
fn a_node_of_another_driver_is_refused() {
    let Some(card) = kernel::need("vgem", Card::of_driver("vgem")) else { return };
    let error = refusal("vgem", Amdgpu::of(card));
    assert!(*error.kind() == Kind::Unsupported && error.to_string().contains("vgem"), "{error}");
}

#[test]
fn a_machine_without_kfd_says_what_would_help() {
    if std::path::Path::new("/dev/kfd").exists() {
        return;
    }
    let error = refusal("kfd", Kfd::open());
    assert!(*error.kind() == Kind::Os && error.to_string().contains("CONFIG_HSA_AMD"), "{error}");
}

/// A peer who says of a surface that its metadata is the driver's: consumers lose it, its producer does not.
#[test]
fn a_scribbled_mark_keeps_the_producer_from_nothing() {
    let ours = common::surface(Device::PLAIN, (16, 16), Writers::Open);
    let parts = handle(&ours);
    let size = usize::try_from(file::size(&parts.control).unwrap()).unwrap();
    let control = Mapping::new(&parts.control, size, Populate::Now).unwrap();
    let block = layout::Block::of(0);
    for slot in 0..4 {
        control.words64()[(block.slot(slot) + 16) / 8].store(1, std::sync::atomic::Ordering::SeqCst);
    }
    assert_eq!(*refusal("metadata", ours.metadata()).kind(), Kind::Spoiled);
    let theirs = import(parts.handle(), Device::PLAIN).unwrap();
    assert_eq!(*refusal("metadata", theirs.metadata()).kind(), Kind::Unsupported);
    assert_eq!(*refusal("metadata", theirs.set_metadata(&some(2))).kind(), Kind::Unsupported);
    ours.set_metadata(&some(1)).unwrap();
    assert_eq!((ours.metadata().unwrap(), theirs.metadata().unwrap()), (some(1), some(1)));
}
