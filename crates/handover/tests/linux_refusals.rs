//! What the linux backend refuses, and that each refusal says where, why and with which errno, and keeps no descriptor.
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

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use common::{Parts, alone, at, copy, keeps_descriptors, lease, refusal, refused, soon, surface as plain_surface};
use handover::backend::linux::{Card, Dumb, Heap, KmsHandle, SyncFile};
use handover::import::{Foreign, foreign, metadata_of};
use handover::{
    Access, Backend, Bytes, Device, ExportFlags, Handle, Kind, Layout, Region, Stage, Unattached, Writers, acquire,
    allocate, export, import, try_acquire,
};
use handover_sys::dma_buf::Direction;
use handover_sys::memfd::{self, Seals};
use handover_sys::{drm, eventfd, file, socket};
use kernel::{Gpu, is_complete, need, options, raw_udmabuf, surface, udmabuf};

const READ: ExportFlags = ExportFlags::READ;
const BOTH: ExportFlags = ExportFlags::READ.union(ExportFlags::WRITE);
const ENOENT: Option<i32> = Some(2);
const EACCES: Option<i32> = Some(13);
const ENODEV: Option<i32> = Some(19);
const EINVAL: Option<i32> = Some(22);
const ENOTTY: Option<i32> = Some(25);

fn dumb(driver: &str) -> Option<Arc<dyn Backend>> {
    need(driver, Card::of_driver(driver)).map(|card| Arc::new(Dumb::of(card)) as Arc<dyn Backend>)
}

/// Descriptors of everything that is neither a dma-buf nor a sealed memfd.
fn strangers() -> Vec<(&'static str, OwnedFd)> {
    let (reader, writer) = std::io::pipe().unwrap();
    let path = std::env::temp_dir().join(format!("handover-refusals-{}", std::process::id()));
    let regular = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    regular.set_len(65_536).unwrap();
    std::fs::remove_file(&path).unwrap();
    vec![
        ("the reading end of a pipe", reader.into()),
        ("the writing end of a pipe", writer.into()),
        ("a socket", socket::pair().unwrap().0),
        ("a disk file", regular.into()),
        ("an eventfd", eventfd::create().unwrap()),
        ("a memfd without seals", memfd::create("stranger", 65_536).unwrap()),
        ("a DRM node", drm::open(&drm::nodes().unwrap()[0].path).unwrap()),
        ("a device", File::options().read(true).write(true).open("/dev/zero").unwrap().into()),
    ]
}

#[test]
fn descriptors_of_another_kind_are_refused_in_every_place() {
    let _turn = alone();
    let Some(backend) = udmabuf() else { return };
    let ours = surface(&backend);
    let parts = Parts::of(export(&ours, BOTH, soon()).unwrap().handle);
    let arrives = |pixels: &OwnedFd, control: &OwnedFd| {
        import(Handle::from_parts(&parts.bytes, vec![copy(pixels), copy(control)])?, Device::PLAIN)
    };
    let sealed = memfd::create("sealed", 65_536).unwrap();
    memfd::add_seals(&sealed, Seals::SHRINK | Seals::GROW | Seals::SEAL).unwrap();
    let fence = dma_fence();
    for (what, stranger) in
        strangers().iter().map(|(what, stranger)| (*what, stranger)).chain([("a sync_file", &fence)])
    {
        refused(what, Stage::Import, &Kind::Malformed, None, &[], || arrives(stranger, &parts.control));
        // Some have no seals at all, which the kernel says; a memfd has too few.
        let error = keeps_descriptors(what, || refusal(what, arrives(&parts.pixels, stranger)));
        assert_eq!(
            (error.stage(), error.errno().is_some()),
            (Stage::Import, what != "a memfd without seals"),
            "{error}"
        );
        let as_buffer = || foreign(Foreign::DmaBuf(copy(stranger)), ours.layout(), Device::PLAIN, Access::Read);
        refused(what, Stage::Import, &Kind::Malformed, None, &[], as_buffer);
        assert_eq!(keeps_descriptors(what, || metadata_of(stranger.as_fd()).unwrap()), None, "{what}");
        if what != "a sync_file" {
            refused(what, Stage::Import, &Kind::Malformed, None, &["a sync_file"], || SyncFile::new(copy(stranger)));
        }
    }
    refused("a dma-buf for the control file", Stage::Import, &Kind::Os, EINVAL, &["memfd"], || {
        arrives(&parts.pixels, &parts.pixels)
    });
    refused("a control file for the pixels", Stage::Import, &Kind::Malformed, None, &[], || {
        arrives(&parts.control, &parts.control)
    });
    let as_buffer = || foreign(Foreign::DmaBuf(copy(&sealed)), ours.layout(), Device::PLAIN, Access::Read);
    refused("a memfd, said to be a dma-buf", Stage::Import, &Kind::Malformed, None, &["a memfd"], as_buffer);
    refused("a dma-buf, said to be a sync_file", Stage::Import, &Kind::Malformed, None, &["/dmabuf:"], || {
        SyncFile::new(copy(&parts.pixels))
    });
    // The refusals broke nothing.
    assert!(import(parts.handle(), Device::PLAIN).is_ok());
}

/// A sync_file that is over.
fn dma_fence() -> OwnedFd {
    handover_sys::dma_buf::export_sync_file(raw_udmabuf(4096, &[]), Direction::READ).unwrap()
}

#[test]
fn sizes_offsets_and_modifiers_that_do_not_fit_are_refused() {
    let _turn = alone();
    let Some(udmabuf) = udmabuf() else { return };
    let ours = surface(&udmabuf);
    let layout = *ours.layout();
    let parts = Parts::of(export(&ours, BOTH, soon()).unwrap().handle);
    let arrives = |bytes: &[u8], pixels: &OwnedFd| {
        import(Handle::from_parts(bytes, vec![copy(pixels), copy(&parts.control)])?, Device::PLAIN)
    };
    let small = raw_udmabuf(8192, &[]);
    let size = file::size(&parts.pixels).unwrap();
    refused("a small dma-buf", Stage::Import, &Kind::Malformed, None, &["beyond"], || arrives(&parts.bytes, &small));
    refused("a small dma-buf of a stranger", Stage::Import, &Kind::Malformed, None, &["beyond"], || {
        foreign(Foreign::DmaBuf(copy(&small)), &layout, Device::PLAIN, Access::Read)
    });
    let more = parts.patched(at::MEMORY, &(size + 4096).to_le_bytes());
    refused("more than there is", Stage::Import, &Kind::Malformed, None, &["more"], || arrives(&more, &parts.pixels));
    for offset in [8, 4096, size, size + 1, u64::MAX - 64, u64::MAX] {
        let bytes = parts.patched(at::OFFSET, &offset.to_le_bytes());
        refused("a plane past the end", Stage::Import, &Kind::Malformed, None, &["plane"], || {
            arrives(&bytes, &parts.pixels)
        });
    }
    let extent = layout.extent().unwrap();
    let blocks = Layout::blocks(
        layout.format().unwrap(),
        extent,
        handover::Compression::None,
        handover_model::layout::Constraints::NONE,
    );
    let blocks = blocks.unwrap();
    refused("a stranger's tiles", Stage::Import, &Kind::Unsupported, None, &["LINEAR"], || {
        foreign(Foreign::DmaBuf(copy(&parts.pixels)), &blocks, Device::BLOCKS, Access::Read)
    });
    let Some(vgem) = dumb("vgem") else { return };
    for backend in [&udmabuf, &vgem] {
        // A device that makes tiles, on memory that takes them or not, and one that cannot read them.
        let offer = |party, usages| Device::BLOCKS.offer(party, &[layout.format().unwrap()], usages);
        let offers = [offer("a", handover::SurfaceUsages::WRITE), offer("b", handover::SurfaceUsages::READ)];
        let agreement = handover::negotiate(extent, &offers).unwrap();
        let made = || allocate(Device::BLOCKS, &agreement, &options(backend, 1, Writers::Me));
        if Arc::ptr_eq(backend, &vgem) {
            refused("tiles in dumb buffers", Stage::Allocate, &Kind::Unsupported, None, &["linear", "LINEAR"], made);
            continue;
        }
        let tiled = made().unwrap().remove(0);
        let flags = READ | ExportFlags::EXPLICIT_FLUSH;
        let parts = Parts::of(export(&tiled, flags, soon()).unwrap().handle);
        refused("tiles on a device without", Stage::Import, &Kind::Unsupported, None, &["plain"], || {
            import(parts.handle(), Device::PLAIN)
        });
    }
    let huge = || allocate::buffer(Device::PLAIN, Bytes(1 << 30), &options(&udmabuf, 1, Writers::Me));
    refused("a udmabuf past its limit", Stage::Allocate, &Kind::Os, EINVAL, &["size_limit_mb"], huge);
}

#[test]
fn nodes_that_are_missing_or_something_else_are_refused() {
    let _turn = alone();
    if !is_complete() {
        return;
    }
    let import = Stage::Import;
    refused("no such card", import, &Kind::Os, ENOENT, &["/dev/dri/card99", "handover devices"], || {
        Card::open("/dev/dri/card99")
    });
    refused("no such path", import, &Kind::Os, ENOENT, &["/nowhere"], || Card::open("/nowhere"));
    refused("no DRM node", import, &Kind::Os, ENOTTY, &["/dev/null"], || Card::open("/dev/null"));
    refused("a driver", import, &Kind::Unsupported, None, &["nouveau", "vgem", "modprobe"], || {
        Card::of_driver("nouveau")
    });
    refused("no such heap", Stage::Allocate, &Kind::Os, ENOENT, &["none", "one of", "system"], || Heap::open("none"));
    refused("no heap", Stage::Allocate, &Kind::Os, EINVAL, &["../null"], || Heap::open("../null"));
    let render = drm::nodes().unwrap().into_iter().find(|node| node.kind == drm::Kind::Render).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Dumb::of(Card::open(&render.path).unwrap()));
    let made = || kernel::try_surfaces(&options(&backend, 1, Writers::Me));
    refused("dumb buffers of a render node", Stage::Allocate, &Kind::Os, EACCES, &["render node", "card"], made);
}

#[test]
fn handles_of_the_wrong_kind_are_refused_saying_why() {
    let _turn = alone();
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (ours, plain) = (surface(&backend), plain_surface(Device::PLAIN, (64, 48), Writers::Me));
    let layout = *ours.layout();
    let stranger = |buffer| foreign(buffer, &layout, Device::PLAIN, Access::Read);
    refused("flink", Stage::Import, &Kind::Unsupported, None, &["global", "guessed", "PRIME"], || {
        stranger(Foreign::Flink(1))
    });
    let other = Card::open(gpu.0.path()).unwrap();
    let handle: KmsHandle = gpu.0.import(&ours).unwrap();
    let words = ["another open file", "export it as a dma-buf"];
    refused("a handle of another file", Stage::Import, &Kind::Invalid, None, &words, || other.gem(&handle));
    refused("the same, as a buffer", Stage::Import, &Kind::Invalid, None, &words, || {
        stranger(Foreign::Kms(handle.clone(), other.clone()))
    });
    // In its own file it is as good as a descriptor.
    assert_eq!(stranger(Foreign::Kms(handle.clone(), gpu.0.clone())).unwrap().id().memory, ours.id().memory);
    refused("a memfd for a device", Stage::Import, &Kind::Unsupported, None, &["memfd", "linux"], || {
        gpu.0.import(&plain)
    });
    refused("a memfd as a dma-buf", Stage::Import, &Kind::Malformed, None, &["a dma-buf", "memfd"], || {
        gpu.0.import_dma_buf(plain.pixels_fd())
    });
    // No file is asked for its inode before it is known for a dma-buf: another one's server may let us wait.
    let null = std::fs::File::open("/dev/null").unwrap();
    refused("a stranger's file", Stage::Import, &Kind::Malformed, None, &["a memfd or a dma-buf", "/dev/null"], || {
        gpu.0.import_dma_buf(null.as_fd())
    });
    let held = lease(&plain, Access::Write);
    let fence = SyncFile::new(dma_fence()).unwrap();
    // The lease comes back with the refusal: the device still works.
    let Unattached { lease: held, error } = held.release_after(&fence).unwrap_err();
    refused("a fence on a memfd", Stage::Release, &Kind::Unsupported, None, &["memfd", "reservation"], || {
        Err::<(), _>(error.clone())
    });
    assert!(try_acquire(&[(&plain, Access::Read, Region::WHOLE)]).unwrap().is_none());
    held.release().unwrap();
    let both = acquire(&[(&ours, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    both.release_after(&fence).unwrap();
}

#[test]
fn virtio_gpu_refuses_a_udmabuf_and_takes_its_own() {
    let _turn = alone();
    let (Some(udmabuf), Some(dumb)) = (udmabuf(), dumb("virtio_gpu")) else { return };
    let card = Card::of_driver("virtio_gpu").unwrap();
    let ours = surface(&udmabuf);
    let words = ["virtio_gpu", "exporter", "Dumb"];
    refused("a udmabuf", Stage::Import, &Kind::Os, ENODEV, &words, || card.import(&ours));
    let ours = surface(&dumb);
    keeps_descriptors("its own", || drop(card.import(&ours).unwrap()));
}
