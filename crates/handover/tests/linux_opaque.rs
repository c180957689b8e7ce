//! Surfaces that a driver made, and whose layout only a driver knows: adopted, exported, imported, waited for; never read by the
//! CPU. A udmabuf poses as the driver's buffer.
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

use std::os::fd::OwnedFd;
use std::sync::Arc;

use common::{Parts, alone, at, keeps_descriptors, lease, millis, refusal, refused, soon};
use handover::import::{Foreign, foreign, metadata_of};
use handover::{
    Access, Bytes, Cell, Cells, Device, Elements, ExportFlags, Extent, Format, Kind, Layout, MemoryKind, Metadata,
    Modifier, Options, PlaneLayout, ReadOnly, Rect, Region, Result, Stage, Surface, Writers, acquire, allocate, export,
    flush, import, try_acquire,
};
use handover_sys::dma_buf::Direction;
use handover_sys::memfd;
use kernel::{Gpu, duplicate, raw_udmabuf, udmabuf};

/// `DRM_FORMAT_MOD_QCOM_COMPRESSED` of `drm_fourcc.h`.
/// Qualcomm's, of which no public source says how its bytes lie.
const COMPRESSED: Modifier = Modifier(0x0500_0000_0000_0001);
const SIZE: u64 = 16_384;
const SAYS: &[&str] = &["QCOM COMPRESSED", "only a driver knows how they lie", "LINEAR"];

/// Two planes, one over the other, as colours and their compression are with some drivers.
fn layout(modifier: Modifier) -> Layout {
    let planes = [(0, 512, 16_384), (8192, 64, 4096)].map(|(offset, stride, size)| PlaneLayout {
        offset: Bytes(offset),
        stride: Bytes(stride),
        size: Bytes(size),
    });
    let extent = Some(Extent::new(64, 32).unwrap());
    Layout::from_allegation(Some(Format::XRGB8888), extent, modifier, &planes, Bytes(SIZE)).unwrap()
}

fn linear() -> Layout {
    let plane = PlaneLayout { offset: Bytes(0), stride: Bytes(256), size: Bytes(256 * 32) };
    let extent = Some(Extent::new(64, 32).unwrap());
    Layout::from_allegation(Some(Format::XRGB8888), extent, Modifier::LINEAR, &[plane], Bytes(SIZE)).unwrap()
}

fn buffers(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| raw_udmabuf(SIZE, &[])).collect()
}

fn open() -> Options {
    Options { writers: Writers::Open, ..Options::default() }
}

fn adopt(layout: &Layout, count: usize) -> Result<Vec<Surface>> {
    allocate::adopt(Device::DRIVER, layout, buffers(count), &open())
}

/// Every way to the pixels ends with the same words.
fn assert_no_pixels(surface: &Surface) {
    let held = lease(surface, Access::Read);
    refused("read", Stage::Access, &Kind::Unsupported, None, SAYS, || held.read(surface).map(|_| ()));
    drop(held);
    let held = lease(surface, Access::Write);
    refused("write", Stage::Access, &Kind::Unsupported, None, SAYS, || held.write(surface).map(|_| ()));
}

#[test]
fn an_opaque_surface_goes_from_driver_to_driver_and_no_cpu_finds_a_pixel() {
    let _turn = alone();
    if udmabuf().is_none() {
        return;
    }
    let ours = adopt(&layout(COMPRESSED), 3).unwrap();
    assert_eq!(ours.len(), 3);
    for (index, surface) in (0..).zip(&ours) {
        assert_eq!((surface.index(), surface.memory_kind()), (index, MemoryKind::DmaBuf));
        assert_eq!((surface.layout(), surface.memory_size()), (&layout(COMPRESSED), Bytes(SIZE)));
        assert_eq!(surface.metadata().unwrap(), Metadata::default(), "nobody has said anything");
    }
    let flags = ExportFlags::READ | ExportFlags::WRITE;
    let theirs = import(export(&ours[1], flags, soon()).unwrap().handle, Device::DRIVER).unwrap();
    assert!(theirs.layout().is_opaque() && theirs.layout() == ours[1].layout());
    // Reservation and metadata are those of the pool, as of any surface.
    let held = lease(&theirs, Access::Write);
    assert!(try_acquire(&[(&ours[1], Access::Read, Region::WHOLE)]).unwrap().is_none());
    assert!(try_acquire(&[(&ours[0], Access::Write, Region::WHOLE)]).unwrap().is_some());
    drop(held);
    assert_no_pixels(&ours[1]);
    assert_no_pixels(&theirs);
    assert_eq!(flush(&lease(&ours[1], Access::Write), &ours[1]).unwrap(), 0, "flush is the driver's");
    assert_eq!(metadata_of(theirs.pixels_fd()).unwrap(), None, "pixels reach to the last byte: there is no trailer");
    // For READ alone it stays so.
    let reader = import(export(&ours[0], ExportFlags::READ, soon()).unwrap().handle, Device::DRIVER).unwrap();
    let error = refusal("WRITE", acquire(&[(&reader, Access::Write, Region::WHOLE)], soon()));
    assert_eq!(*error.kind(), Kind::Unsupported, "{error}");
}

#[test]
fn devices_that_are_simulated_refuse_what_only_a_driver_knows() {
    let _turn = alone();
    if udmabuf().is_none() {
        return;
    }
    let ours = adopt(&layout(COMPRESSED), 1).unwrap().remove(0);
    let parts = Parts::of(export(&ours, ExportFlags::READ, soon()).unwrap().handle);
    let shared = layout(COMPRESSED);
    for device in [Device::PLAIN, Device::BLOCKS, Device::PLAIN.with_blocks_decoder()] {
        let name = device.name();
        let says = &["QCOM COMPRESSED", name.as_str()];
        refused("import", Stage::Import, &Kind::Unsupported, None, says, || import(parts.handle(), device));
        let as_foreign = || foreign(Foreign::DmaBuf(raw_udmabuf(SIZE, &[])), &shared, device, Access::Read);
        refused("foreign", Stage::Import, &Kind::Unsupported, None, says, as_foreign);
        let adopted = || allocate::adopt(device, &shared, buffers(1), &open());
        refused("adopt", Stage::Allocate, &Kind::Unsupported, None, &["QCOM COMPRESSED", "Device::DRIVER"], adopted);
    }
    // Without a modifier, or with a number of nobody's, not even a driver.
    for modifier in [Modifier::INVALID.0, 0xf000_0000_0000_0002] {
        let forged = parts
            .forge(&parts.patched(at::MODIFIER, &modifier.to_le_bytes()))
            .and_then(|handle| import(handle, Device::DRIVER));
        let error = refusal("a modifier", forged);
        assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Unsupported), "{error}");
    }
    let stranger = foreign(Foreign::DmaBuf(raw_udmabuf(SIZE, &[])), &shared, Device::DRIVER, Access::Write).unwrap();
    assert_no_pixels(&stranger);
}

#[test]
fn planes_beyond_the_buffer_are_refused_though_nobody_knows_the_layout() {
    let _turn = alone();
    if udmabuf().is_none() {
        return;
    }
    let ours = adopt(&layout(COMPRESSED), 1).unwrap().remove(0);
    let parts = Parts::of(export(&ours, ExportFlags::READ, soon()).unwrap().handle);
    for (what, field) in [("offset", at::OFFSET), ("size", at::SIZE), ("offset of the second", at::OFFSET + at::PLANE)]
    {
        for value in [SIZE + 1, u64::MAX, 1 << 63] {
            let bytes = parts.patched(field, &value.to_le_bytes());
            let arrives = || parts.forge(&bytes).and_then(|handle| import(handle, Device::DRIVER));
            refused(what, Stage::Import, &Kind::Malformed, None, &[], arrives);
        }
    }
    // Consistent in itself, and the memory is alleged.
    let mut bytes = parts.patched(at::MEMORY, &(1_u64 << 20).to_le_bytes());
    bytes[at::SIZE..at::SIZE + 8].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    let arrives = || parts.forge(&bytes).and_then(|handle| import(handle, Device::DRIVER));
    refused("memory", Stage::Import, &Kind::Malformed, None, &[], arrives);
    let small = || allocate::adopt(Device::DRIVER, &layout(COMPRESSED), vec![raw_udmabuf(8192, &[])], &open());
    refused("a small buffer", Stage::Allocate, &Kind::Malformed, None, &[], small);
}

#[test]
fn what_cannot_be_adopted_is_refused() {
    let _turn = alone();
    if udmabuf().is_none() {
        return;
    }
    let shared = layout(COMPRESSED);
    let adopt_one =
        |buffer: OwnedFd, options: &Options| allocate::adopt(Device::DRIVER, &shared, vec![buffer], options);
    let memory = || memfd::create("no dma-buf", SIZE).unwrap();
    refused("a memfd", Stage::Allocate, &Kind::Malformed, None, &[], || adopt_one(memory(), &open()));
    refused("none", Stage::Allocate, &Kind::Invalid, None, &[], || adopt(&shared, 0).map(|_| ()));
    let strict = Options { read_only: Some(ReadOnly::Sealed), ..open() };
    let says = &["a driver's buffer", "READ"];
    refused("a class", Stage::Allocate, &Kind::Unsupported, None, says, || adopt_one(raw_udmabuf(SIZE, &[]), &strict));
    let half = Rect::new(0, 0, Extent::new(32, 32).unwrap()).unwrap();
    let plain = linear();
    let cells = Cells::new(&plain, vec![Cell::Rect(half)]).unwrap();
    let cut = Options { cells, ..open() };
    refused("cells", Stage::Allocate, &Kind::Invalid, None, &["write unit"], || {
        adopt_one(raw_udmabuf(SIZE, &[]), &cut)
    });
}

#[test]
fn a_linear_buffer_of_a_driver_is_read_and_written_as_any_other() {
    let _turn = alone();
    if udmabuf().is_none() {
        return;
    }
    let ours = adopt(&linear(), 2).unwrap().remove(1);
    lease(&ours, Access::Write).write(&ours).unwrap().write(0, Elements(3), 4, &[1, 2, 3, 4]).unwrap();
    for device in [Device::PLAIN, Device::DRIVER] {
        let theirs = import(export(&ours, ExportFlags::READ, soon()).unwrap().handle, device).unwrap();
        let mut pixel = [0; 4];
        lease(&theirs, Access::Read).read(&theirs).unwrap().read(0, Elements(3), 4, &mut pixel).unwrap();
        assert_eq!(pixel, [1, 2, 3, 4]);
    }
}

#[test]
fn an_opaque_surface_waits_for_devices_as_any_other() {
    let _turn = alone();
    let (Some(gpu), Some(_)) = (Gpu::open(), udmabuf()) else { return };
    let ours = adopt(&layout(COMPRESSED), 1).unwrap().remove(0);
    let job = gpu.submit(ours.pixels_fd(), Direction::WRITE);
    let wish = [(&ours, Access::Read, Region::WHOLE)];
    assert!(refusal("a reader", acquire(&wish, millis(30)).unwrap().wait()).is_timeout());
    let (held, fence) = acquire(&wish, soon()).unwrap().collect().unwrap();
    assert!(fence.is_some());
    held.release_after(&fence.unwrap()).unwrap();
    job.end();
    drop(acquire(&wish, soon()).unwrap().wait().unwrap());
}

#[test]
fn what_was_adopted_leaves_no_descriptor() {
    let _turn = alone();
    if udmabuf().is_none() {
        return;
    }
    keeps_descriptors("adopt, export, import, drop", || {
        for _ in 0..20 {
            let ours = adopt(&layout(COMPRESSED), 2).unwrap();
            let theirs = import(export(&ours[0], ExportFlags::READ, soon()).unwrap().handle, Device::DRIVER).unwrap();
            drop(Arc::new(theirs));
        }
    });
    keeps_descriptors("a mixed lot", || {
        let mixed = vec![raw_udmabuf(SIZE, &[]), duplicate(std::io::stdin())];
        refusal("a mixed lot", allocate::adopt(Device::DRIVER, &layout(COMPRESSED), mixed, &open()));
    });
}
