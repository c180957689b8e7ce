//! Acquire on dma-bufs: entries of the control file first, then the fences of the kernel. Fences come from vgem.
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

use std::os::fd::AsFd;

use common::{Other, lease, millis, refusal, soon};
use handover::{Access, Deadline, ExportFlags, Region, acquire, export, import, try_acquire};
use handover_sys::dma_buf::Direction;
use handover_sys::poll;
use kernel::{Gpu, backends, fence_of, surface, udmabuf};

const NOW: Option<handover_sys::clock::Monotonic> = Some(handover_sys::clock::Monotonic(0));

fn whole(surface: &handover::Surface, access: Access) -> [handover::Wish<'_>; 1] {
    [(surface, access, Region::WHOLE)]
}

/// C21, C26: under a WRITE fence no reader starts.
#[test]
fn c21_under_a_devices_write_nobody_starts_and_at_its_end_all_do() {
    let Some(gpu) = Gpu::open() else { return };
    for backend in backends() {
        let surface = surface(&backend);
        let job = gpu.submit(surface.pixels_fd(), Direction::WRITE);
        for access in [Access::Read, Access::Write] {
            assert!(try_acquire(&whole(&surface, access)).unwrap().is_none(), "{}", backend.name());
            let error = refusal("wait", acquire(&whole(&surface, access), millis(30)).unwrap().wait());
            assert!(error.is_timeout() && error.to_string().contains("vgem"), "{}: {error}", backend.name());
        }
        let mut reader = acquire(&whole(&surface, Access::Read), soon()).unwrap();
        assert!(reader.poll().unwrap().is_none());
        job.end();
        assert!(reader.poll().unwrap().is_some(), "{}", backend.name());
        drop(lease(&surface, Access::Write));
    }
}

/// C24: under a READ fence all readers start and no writer does.
#[test]
fn c24_under_a_devices_read_readers_start_and_writers_wait() {
    let Some(gpu) = Gpu::open() else { return };
    for backend in backends() {
        let surface = surface(&backend);
        let job = gpu.submit(surface.pixels_fd(), Direction::READ);
        let readers: Vec<_> = (0..3).map(|_| lease(&surface, Access::Read)).collect();
        drop(readers);
        assert!(refusal("write", acquire(&whole(&surface, Access::Write), millis(30)).unwrap().wait()).is_timeout());
        job.end();
        drop(lease(&surface, Access::Write));
    }
}

#[test]
fn a_poll_descriptor_follows_from_entries_to_kernel_fences() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let surface = surface(&backend);
    let job = gpu.submit(surface.pixels_fd(), Direction::READ);
    let first = lease(&surface, Access::Read);
    let mut second = acquire(&whole(&surface, Access::Write), soon()).unwrap();
    let ready = |second: &mut handover::Acquire| poll::wait_readable(second.descriptor().unwrap(), NOW).unwrap();
    assert!(!ready(&mut second) && second.poll().unwrap().is_none());
    first.release().unwrap();
    // The entries are over: the poll thread says so, and the next look goes on to the kernel.
    assert!(poll::wait_readable(second.descriptor().unwrap(), soon().at()).unwrap());
    assert!(second.poll().unwrap().is_none());
    assert!(!ready(&mut second), "the fence pends");
    job.end();
    assert!(ready(&mut second) && second.poll().unwrap().is_some());
}

#[test]
fn a_fence_that_ended_early_does_not_keep_a_poll_descriptor_readable() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (one, two) = (surface(&backend), surface(&backend));
    for first_ends_first in [true, false] {
        let [first, second] = [&one, &two].map(|surface| gpu.submit(surface.pixels_fd(), Direction::WRITE));
        let (early, late) = if first_ends_first { (first, second) } else { (second, first) };
        let set = [(&one, Access::Read, Region::WHOLE), (&two, Access::Read, Region::WHOLE)];
        let mut both = acquire(&set, soon()).unwrap();
        assert!(both.poll().unwrap().is_none());
        assert!(!poll::wait_readable(both.descriptor().unwrap(), NOW).unwrap());
        early.end();
        assert!(poll::wait_readable(both.descriptor().unwrap(), soon().at()).unwrap());
        assert!(both.poll().unwrap().is_none());
        assert!(!poll::wait_readable(both.descriptor().unwrap(), NOW).unwrap(), "{first_ends_first}");
        late.end();
        assert!(poll::wait_readable(both.descriptor().unwrap(), NOW).unwrap() && both.poll().unwrap().is_some());
    }
}

/// What a compositor does: it never waits on the CPU, and hands the fence on.
#[test]
fn a_poll_loop_collects_once_the_entries_are_over_whatever_pends_in_the_kernel() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let surface = surface(&backend);
    let job = gpu.submit(surface.pixels_fd(), Direction::READ);
    let first = lease(&surface, Access::Read);
    let mut second = acquire(&whole(&surface, Access::Write), soon()).unwrap();
    assert!(second.poll_collect().unwrap().is_none());
    assert!(!poll::wait_readable(second.descriptor().unwrap(), NOW).unwrap());
    first.release().unwrap();
    assert!(poll::wait_readable(second.descriptor().unwrap(), soon().at()).unwrap());
    let (lease, fence) = second.poll_collect().unwrap().expect("the entries are over");
    assert!(fence.is_some());
    assert!(refusal("wait", lease.wait(millis(20))).to_string().contains("vgem"));
    assert!(refusal("write", lease.write(&surface)).to_string().contains("Lease::wait"));
    job.end();
    lease.wait(soon()).unwrap();
    drop(lease.write(&surface).unwrap());
    assert_eq!(*refusal("again", second.poll_collect()).kind(), handover::Kind::Invalid);
}

/// Asking takes no place in line: nobody else waits because of it.
#[test]
fn who_only_tries_leaves_no_trace_while_a_device_works() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let surface = surface(&backend);
    let job = gpu.submit(surface.pixels_fd(), Direction::WRITE);
    for _ in 0..100 {
        assert!(try_acquire(&whole(&surface, Access::Write)).unwrap().is_none());
        assert!(surface.pending().is_empty());
    }
    job.end();
    assert!(try_acquire(&whole(&surface, Access::Write)).unwrap().is_some());
}

#[test]
fn a_poll_descriptor_becomes_readable_at_the_deadline() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let surface = surface(&backend);
    let job = gpu.submit(surface.pixels_fd(), Direction::WRITE);
    let mut reader = acquire(&whole(&surface, Access::Read), millis(40)).unwrap();
    assert!(reader.poll().unwrap().is_none());
    assert!(poll::wait_readable(reader.descriptor().unwrap(), soon().at()).unwrap());
    assert!(refusal("poll", reader.poll()).is_timeout());
    job.end();
}

/// Collect, submit, attach: what a renderer does with a driver that takes fences.
#[test]
fn a_device_that_takes_fences_is_never_waited_for_on_the_cpu() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (shared, scratch) = (surface(&backend), surface(&backend));
    let before = gpu.submit(shared.pixels_fd(), Direction::WRITE);
    let (lease, in_fence) = acquire(&whole(&shared, Access::Read), Deadline::now()).unwrap().collect().unwrap();
    let in_fence = in_fence.expect("the fence of the job before ours");
    assert!(refusal("wait", in_fence.wait(millis(1))).to_string().contains("vgem"));
    let (ours, out_fence) = gpu.job(&scratch);
    // The lease is the device's: no CPU has waited.
    assert!(refusal("read", lease.read(&shared)).to_string().contains("Lease::wait"));
    lease.release_after(&out_fence).unwrap();
    before.end();
    in_fence.wait(soon()).unwrap();
    // Ours reads: another reader starts, a writer does not.
    drop(common::lease(&shared, Access::Read));
    assert!(refusal("write", acquire(&whole(&shared, Access::Write), millis(30)).unwrap().wait()).is_timeout());
    // A stranger sees it as well (C101).
    assert!(!poll::wait_readable(fence_of(shared.pixels_fd(), Direction::WRITE).as_fd(), NOW).unwrap());
    ours.end();
    drop(common::lease(&shared, Access::Write));
}

/// The control file says "dead", and the kernel says what the dead one's device still does.
#[test]
fn s20_a_dead_entry_still_waits_for_the_kernels_fence() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (shared, scratch) = (surface(&backend), surface(&backend));
    let (ours, fence) = gpu.job(&scratch);
    let other = Other::start("holder");
    let handle = export(&shared, ExportFlags::READ | ExportFlags::WRITE, soon()).unwrap().handle;
    common::Parts::of(handle).send(&other.socket);
    assert_eq!(other.hear(), "holding");
    // Its device's job, as its driver would have attached it.
    handover_sys::dma_buf::import_sync_file(shared.pixels_fd(), Direction::WRITE, &fence).unwrap();
    let waiting = acquire(&whole(&shared, Access::Read), soon()).unwrap();
    drop(other);
    let (lease, pending) = waiting.collect().unwrap();
    assert!(lease.is_torn(), "its entry is dead");
    let pending = pending.expect("its job still runs");
    drop(lease);
    assert!(refusal("read", acquire(&whole(&shared, Access::Read), millis(50)).unwrap().wait()).is_timeout());
    ours.end();
    pending.wait(soon()).unwrap();
    drop(common::lease(&shared, Access::Read));
}

#[test]
fn child_process() {
    let Some(role) = common::role() else { return };
    assert_eq!(role, "holder");
    let socket = common::parent();
    let (bytes, descriptors) = common::hear(socket.as_fd());
    let surface = import(handover::Handle::from_parts(&bytes, descriptors).unwrap(), handover::Device::PLAIN).unwrap();
    let _held = lease(&surface, Access::Write);
    handover_sys::socket::send(&socket, b"holding", &[], false).unwrap();
    // Until the parent goes, or kills us.
    common::hear(socket.as_fd());
}
