//! What names a buffer: inodes, never descriptors nor handle numbers. Then strangers' buffers, which have a reservation in the kernel
//! and no control file until we give them one, and drivers that leave the kernel's reservation empty.
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

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};

use common::{
    Other, Parts, alone, copy, hear, hear_parts, image, keeps_descriptors, lease, millis, parent, refusal, role, say,
    soon,
};
use handover::backend::linux::{Card, Implicit, attaches_fences};
use handover::import::{Foreign, foreign, metadata_of};
use handover::{
    Access, Device, ExportFlags, Handle, Kind, Layout, Order, Region, Stage, Surface, acquire, export, import,
    try_acquire,
};
use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::{prime, vgem};
use handover_sys::memfd::{self, Seals};
use handover_sys::sync_file::{self, Status};
use handover_sys::v4l2::{self, BufferFlags, BufferType, Caps, Memory};
use handover_sys::{file, udmabuf as sys_udmabuf};
use kernel::{Gpu, backends, raw_udmabuf, skip, surface, udmabuf};

const BOTH: ExportFlags = ExportFlags::READ.union(ExportFlags::WRITE);

fn whole(surface: &Surface, access: Access) -> [handover::Wish<'_>; 1] {
    [(surface, access, Region::WHOLE)]
}

fn is_busy(buffer: impl AsFd, direction: Direction) -> bool {
    let fences = dma_buf::export_sync_file(buffer, direction).unwrap();
    sync_file::status(fences).unwrap() == Status::Pending
}

fn stranger(buffer: &OwnedFd, layout: &Layout, access: Access) -> Surface {
    foreign(Foreign::DmaBuf(copy(buffer)), layout, Device::PLAIN, access).unwrap()
}

#[test]
fn one_buffer_has_one_handle_which_is_closed_once() {
    let _turn = alone();
    let Some(gpu) = Gpu::open() else { return };
    for backend in backends().iter().filter(|backend| !backend.name().contains("virtio")) {
        let ours = surface(backend);
        let first = gpu.0.import(&ours).unwrap();
        // By another descriptor, and after it has been a buffer of the device already.
        let second = gpu.0.import_dma_buf(copy(ours.pixels_fd()).as_fd()).unwrap();
        let third = gpu.0.import_dma_buf(first.export_dma_buf().unwrap().as_fd()).unwrap();
        let gem = gpu.0.gem(&first).unwrap();
        assert!([&second, &third].iter().all(|handle| gpu.0.gem(handle).unwrap() == gem), "{}", backend.name());
        drop((first, third));
        assert!(prime::export(&gpu.0, gem, prime::Access::ReadWrite).is_ok(), "one of three is left");
        drop(second.clone());
        drop(second);
        let closed = prime::export(&gpu.0, gem, prime::Access::ReadWrite).unwrap_err();
        assert_eq!(closed.raw_os_error(), Some(2), "{}: closed with the last", backend.name());
    }
}

/// The kernel gives out the lowest free number: after a close it names the next buffer.
#[test]
fn a_recycled_number_is_never_taken_for_the_buffer_it_named() {
    let _turn = alone();
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (first, second) = (surface(&backend), surface(&backend));
    let number = gpu.0.gem(&gpu.0.import(&first).unwrap()).unwrap();
    let recycled = gpu.0.import(&second).unwrap();
    assert_eq!(gpu.0.gem(&recycled).unwrap(), number, "the number is free again");
    let again = gpu.0.import(&first).unwrap();
    assert_ne!(gpu.0.gem(&again).unwrap(), number);
    let fence = vgem::attach(&gpu.vgem(), number, Direction::WRITE).unwrap();
    assert!(is_busy(second.pixels_fd(), Direction::READ) && !is_busy(first.pixels_fd(), Direction::READ));
    vgem::signal(&gpu.vgem(), fence).unwrap();
    // Buffers that come and go, under numbers and descriptors that are always the same.
    drop((recycled, again));
    let (mut numbers, mut inodes) = (HashSet::new(), HashSet::new());
    keeps_descriptors("a hundred imports", || {
        for _ in 0..100 {
            let ours = surface(&backend);
            let handle = gpu.0.import(&ours).unwrap();
            numbers.insert(gpu.0.gem(&handle).unwrap());
            inodes.insert(ours.id().memory);
            let exported = handle.export_dma_buf().unwrap();
            assert_eq!(file::identity(&exported).unwrap(), ours.id().memory, "another buffer under this handle");
            assert_eq!(metadata_of(exported.as_fd()).unwrap(), Some(ours.metadata().unwrap()));
        }
    });
    assert_eq!(numbers.len(), 1, "the numbers were not recycled, and this showed nothing");
    assert!(inodes.len() > 1);
}

#[test]
fn c50_identity_follows_the_buffer_whoever_carries_it() {
    let _turn = alone();
    let Some(gpu) = Gpu::open() else { return };
    for backend in backends() {
        let ours = surface(&backend);
        let identity = ours.id().memory;
        let parts = Parts::of(export(&ours, BOTH, soon()).unwrap().handle);
        assert_eq!(file::identity(&parts.pixels).unwrap(), identity, "exported");
        assert_eq!(file::identity(copy(&parts.pixels)).unwrap(), identity, "duplicated");
        let (here, there) = handover_sys::socket::pair().unwrap();
        parts.send(&here);
        let received = hear_parts(there.as_fd());
        assert_eq!(file::identity(&received.pixels).unwrap(), identity, "sent");
        let theirs = import(received.handle(), Device::PLAIN).unwrap();
        assert_eq!(theirs.id(), ours.id(), "imported");
        let handle = gpu.0.import(&ours).unwrap();
        assert_eq!(file::identity(handle.export_dma_buf().unwrap()).unwrap(), identity, "through a device");
    }
}

/// Two buffers over the same pages: two identities and two reservations.
#[test]
fn c50_the_same_pages_in_two_buffers_are_two() {
    let _turn = alone();
    let Some(gpu) = Gpu::open() else { return };
    let Some(backend) = udmabuf() else { return };
    let layout = *surface(&backend).layout();
    let size = layout.size().get();
    let pages = memfd::create("pages", size).unwrap();
    memfd::add_seals(&pages, Seals::SHRINK).unwrap();
    let node = sys_udmabuf::open().unwrap();
    let [first, second] = [0, 1].map(|_| sys_udmabuf::create(&node, &pages, 0, size).unwrap());
    let (ours, theirs) = (stranger(&first, &layout, Access::Write), stranger(&second, &layout, Access::Read));
    assert_ne!(ours.id().memory, theirs.id().memory);
    let held = lease(&ours, Access::Write);
    held.write(&ours).unwrap().clear(0x0102_0304).unwrap();
    held.release().unwrap();
    assert!(image(&theirs).iter().all(|pixel| *pixel == 0x0102_0304), "the same pages");
    let job = gpu.submit(&first, Direction::WRITE);
    assert!(try_acquire(&whole(&ours, Access::Read)).unwrap().is_none());
    assert!(try_acquire(&whole(&theirs, Access::Read)).unwrap().is_some(), "a fence on one is none on the other");
    assert_ne!(gpu.0.gem(&gpu.0.import(&ours).unwrap()).unwrap(), gpu.0.gem(&gpu.0.import(&theirs).unwrap()).unwrap());
    job.end();
}

/// S23: what differs is what peers know of each other; the kernel knows all of them.
#[test]
fn s23_two_control_files_over_one_buffer_share_the_kernels_fences() {
    let _turn = alone();
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (ours, scratch) = (surface(&backend), surface(&backend));
    let buffer = copy(ours.pixels_fd());
    let theirs = stranger(&buffer, ours.layout(), Access::Write);
    let others = stranger(&buffer, ours.layout(), Access::Write);
    let all = [&ours, &theirs, &others];
    assert!(all.iter().all(|surface| surface.id().memory == ours.id().memory));
    let reservations: HashSet<_> = all.iter().map(|surface| surface.id().reservation).collect();
    assert_eq!(reservations.len(), 3);
    assert!(all.iter().all(|surface| surface.order() == Order::AmongPeers));
    // A lease is an entry of one control file.
    let held = lease(&ours, Access::Write);
    drop(lease(&theirs, Access::Write));
    // Work that was attached under it is known to all.
    let (job, fence) = gpu.job(&scratch);
    held.release_after(&fence).unwrap();
    for surface in all {
        assert!(try_acquire(&whole(surface, Access::Read)).unwrap().is_none());
        let error = refusal("wait", acquire(&whole(surface, Access::Read), millis(20)).unwrap().wait());
        assert!(error.is_timeout() && error.to_string().contains("vgem"), "{error}");
    }
    job.end();
    all.iter().for_each(|surface| drop(lease(surface, Access::Write)));
}

#[test]
fn a_strangers_buffer_is_acquired_and_handed_on_to_a_peer() {
    let _turn = alone();
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let layout = *surface(&backend).layout();
    let buffer = raw_udmabuf(layout.size().get(), &[]);
    let ours = stranger(&buffer, &layout, Access::Write);
    assert!(ours.is_producer() && metadata_of(ours.pixels_fd()).unwrap().is_none());
    let held = lease(&ours, Access::Write);
    held.write(&ours).unwrap().clear(5).unwrap();
    held.release().unwrap();
    let peer = Other::start("peer");
    Parts::of(export(&ours, BOTH, soon()).unwrap().handle).send(&peer.socket);
    assert_eq!(peer.hear(), "holds, after 5");
    // The peer's lease is an entry here.
    let error = refusal("held", acquire(&whole(&ours, Access::Read), millis(30)).unwrap().wait());
    assert!(error.is_timeout() && error.to_string().contains("held by process"), "{error}");
    peer.tell("release");
    assert!(image(&ours).iter().all(|pixel| *pixel == 6));
    // The stranger's device is known to both through the kernel.
    let job = gpu.submit(&buffer, Direction::WRITE);
    peer.tell("try");
    assert_eq!(peer.hear(), "busy");
    assert!(try_acquire(&whole(&ours, Access::Read)).unwrap().is_none());
    job.end();
    peer.tell("try");
    assert_eq!(peer.hear(), "free");
}

fn peer(socket: &OwnedFd) {
    let theirs = import(hear_parts(socket.as_fd()).handle(), Device::PLAIN).unwrap();
    assert!(!theirs.is_producer() && metadata_of(theirs.pixels_fd()).unwrap().is_none());
    let found = image(&theirs)[0];
    let held = lease(&theirs, Access::Write);
    say(socket, &format!("holds, after {found}"));
    hear(socket.as_fd());
    held.write(&theirs).unwrap().clear(6).unwrap();
    held.release().unwrap();
    for _ in 0..2 {
        hear(socket.as_fd());
        let lease = try_acquire(&whole(&theirs, Access::Read)).unwrap();
        say(socket, if lease.is_some() { "free" } else { "busy" });
    }
}

/// A stranger's buffer that is only read can be handed on for reading, and for nothing else.
#[test]
fn a_strangers_buffer_imported_for_reading_gives_no_writers() {
    let _turn = alone();
    let Some(backend) = udmabuf() else { return };
    let layout = *surface(&backend).layout();
    let buffer = raw_udmabuf(layout.size().get(), &[]);
    let ours = stranger(&buffer, &layout, Access::Read);
    assert_eq!(*refusal("WRITE", try_acquire(&whole(&ours, Access::Write))).kind(), Kind::Unsupported);
    assert_eq!(*refusal("WRITE", export(&ours, ExportFlags::WRITE, soon())).kind(), Kind::Sealed);
    let handle: Handle = export(&ours, ExportFlags::READ, soon()).unwrap().handle;
    drop(lease(&import(handle, Device::PLAIN).unwrap(), Access::Read));
}

/// A capture queue of vivid and how many bytes a picture takes.
fn camera() -> Option<(OwnedFd, u64)> {
    for path in v4l2::nodes().unwrap() {
        let node = v4l2::open(&path).unwrap();
        let what = v4l2::query_capability(&node).unwrap();
        if what.driver == "vivid" && what.caps.contains(Caps::CAPTURE | Caps::STREAMING) {
            let Ok(format) = v4l2::format(&node, BufferType::Capture) else { continue };
            return Some((node, u64::from(format.planes[0].size)));
        }
    }
    skip("vivid", "no camera of vivid");
    None
}

#[test]
fn u4_a_driver_that_attaches_no_fence_is_told_from_one_that_does() {
    let _turn = alone();
    let (Some(gpu), Some((camera, size))) = (Gpu::open(), camera()) else { return };
    let buffer = raw_udmabuf(size.next_multiple_of(4096), &[]);
    for direction in [Direction::READ, Direction::WRITE] {
        let (job, seen) = attaches_fences(buffer.as_fd(), || Ok(gpu.submit(&buffer, direction))).unwrap();
        assert_eq!(seen, Implicit::Attached, "vgem");
        let error = refusal("busy before", attaches_fences(buffer.as_fd(), || Ok(())));
        assert_eq!((error.stage(), error.kind()), (Stage::Acquire, &Kind::Invalid), "{error}");
        job.end();
    }
    assert_eq!(attaches_fences(buffer.as_fd(), || Ok(())).unwrap().1, Implicit::NothingSeen, "no job at all");
    // V4L2 never does (S19): the camera has the buffer, and nobody can tell by it.
    let kind = BufferType::Capture;
    v4l2::request_buffers(&camera, kind, Memory::DmaBuf, 1).unwrap();
    let queue = || {
        v4l2::queue_dma_buf(&camera, kind, 0, &buffer, u32::try_from(size).unwrap(), 0).unwrap();
        Ok(())
    };
    assert_eq!(attaches_fences(buffer.as_fd(), queue).unwrap().1, Implicit::NothingSeen, "vivid");
    let queued = v4l2::query_buffer(&camera, kind, Memory::DmaBuf, 0).unwrap();
    assert!(queued.flags.contains(BufferFlags::QUEUED));
    let failed =
        refusal("a submission that fails", attaches_fences(buffer.as_fd(), || gpu.0.gem(&elsewhere(&gpu, &buffer))));
    assert_eq!(*failed.kind(), Kind::Invalid, "its own error: {failed}");
    let plain = memfd::create("plain", 4096).unwrap();
    let error = refusal("no dma-buf", attaches_fences(plain.as_fd(), || Ok(())));
    assert_eq!((error.kind(), error.errno()), (&Kind::Os, Some(25)), "{error}");
}

/// A handle of another open file of the same node.
fn elsewhere(gpu: &Gpu, buffer: &OwnedFd) -> handover::backend::linux::KmsHandle {
    Card::open(gpu.0.path()).unwrap().import_dma_buf(buffer.as_fd()).unwrap()
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    assert_eq!(role, "peer");
    peer(&parent());
}
