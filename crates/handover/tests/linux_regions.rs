//! Option C on the kernel's own objects: several writers in one dma-buf, readers of parts, and strangers who see the union.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "common/kernel.rs"]
mod kernel;

use std::time::Duration;

use handover::backend::linux::SyncFile;
use handover::{
    Access, Backend, Cell, Cells, Deadline, Device, Extent, Format, Options, Rect, Region, Surface, SurfaceUsages,
    Writers, acquire, allocate, negotiate, try_acquire,
};
use handover_sys::dma_buf::Direction;
use handover_sys::sync_file;
use kernel::{Gpu, Job, backends, fence_of, options, udmabuf};
use std::sync::Arc;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// A surface of four tiles.
fn tiles(backend: &Arc<dyn Backend>) -> Surface {
    let offer = |party, usages| Device::PLAIN.offer(party, &[Format::XRGB8888], usages);
    let offers = [offer("producer", SurfaceUsages::WRITE), offer("consumer", SurfaceUsages::READ)];
    let agreement = negotiate(Extent::new(64, 48).unwrap(), &offers).unwrap();
    let whole = allocate(Device::PLAIN, &agreement, &Options::default()).unwrap().remove(0);
    let quarter = Extent::new(32, 24).unwrap();
    let tile = |tile: u32| Cell::Rect(Rect::new(tile % 2 * 32, tile / 2 * 24, quarter).unwrap());
    let cells = Cells::new(whole.layout(), (0..4).map(tile).collect()).unwrap();
    let options = Options { cells, ..options(backend, 1, Writers::Open) };
    allocate(Device::PLAIN, &agreement, &options).unwrap().remove(0)
}

fn tile(surface: &Surface, tile: usize) -> Region {
    surface.cells().region(&[tile]).unwrap()
}

/// A device's write of one tile: collect, submit, attach.
fn write<'a>(gpu: &'a Gpu, scratch: &Surface, surface: &Surface, region: Region) -> (Job<'a>, SyncFile) {
    let (lease, before) = acquire(&[(surface, Access::Write, region)], soon()).unwrap().collect().unwrap();
    assert!(before.is_none(), "a writer of one tile waits for no other");
    let (job, fence) = gpu.job(scratch);
    lease.release_after(&fence).unwrap();
    (job, fence)
}

#[test]
fn option_c_two_devices_write_two_tiles_and_a_reader_of_one_waits_for_one() {
    let (Some(gpu), Some(plain)) = (Gpu::open(), udmabuf()) else { return };
    for backend in backends() {
        let (surface, scratches) = (tiles(&backend), [tiles(&plain), tiles(&plain)]);
        let (first, _) = write(&gpu, &scratches[0], &surface, tile(&surface, 0));
        let (second, _) = write(&gpu, &scratches[1], &surface, tile(&surface, 1));
        let union = fence_of(surface.pixels_fd(), Direction::READ);
        assert_eq!(sync_file::count(&union).unwrap(), 2, "{}: a stranger gets both", backend.name());
        let mut reader = acquire(&[(&surface, Access::Read, tile(&surface, 0))], soon()).unwrap();
        assert!(reader.poll().unwrap().is_none(), "{}: tile 0 is being written", backend.name());
        assert!(try_acquire(&[(&surface, Access::Write, tile(&surface, 2))]).unwrap().is_some(), "nobody has tile 2");
        assert!(try_acquire(&[(&surface, Access::Read, Region::WHOLE)]).unwrap().is_none());
        first.end();
        assert!(reader.poll().unwrap().is_some(), "{}: tile 1 is none of the reader's", backend.name());
        assert!(try_acquire(&[(&surface, Access::Read, tile(&surface, 1))]).unwrap().is_none());
        second.end();
        let _ = acquire(&[(&surface, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    }
}

/// A stranger's fence is the whole buffer's: whoever finds one waits for the union.
#[test]
fn a_strangers_fence_makes_every_region_wait_for_the_union() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (surface, scratch) = (tiles(&backend), tiles(&backend));
    let (ours, _) = write(&gpu, &scratch, &surface, tile(&surface, 1));
    let free = |surface: &Surface| try_acquire(&[(surface, Access::Read, tile(surface, 0))]).unwrap().is_some();
    assert!(free(&surface));
    let (theirs, fence) = gpu.job(&tiles(&backend));
    handover_sys::dma_buf::import_sync_file(surface.pixels_fd(), Direction::WRITE, &fence).unwrap();
    assert!(!free(&surface));
    theirs.end();
    assert!(free(&surface), "what is left is ours");
    ours.end();
}

/// A whole access and a region meet, both ways.
#[test]
fn whole_and_region_meet() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (surface, scratch) = (tiles(&backend), tiles(&backend));
    let (job, _) = write(&gpu, &scratch, &surface, Region::WHOLE);
    for cell in 0..4 {
        assert!(try_acquire(&[(&surface, Access::Read, tile(&surface, cell))]).unwrap().is_none());
    }
    job.end();
    assert!(try_acquire(&[(&surface, Access::Read, tile(&surface, 3))]).unwrap().is_some());
}

/// One fence for the whole and for a tile: who has another tile waits for it too.
#[test]
fn a_fence_attached_twice_counts_for_both() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let scratch = tiles(&backend);
    for both in [[Region::WHOLE, Region::from_bits(1)], [Region::from_bits(1), Region::from_bits(2)]] {
        let surface = tiles(&backend);
        let (job, fence) = gpu.job(&scratch);
        let set = [(&surface, Access::Read, both[0]), (&surface, Access::Write, both[1])];
        let (lease, _) = acquire(&set, soon()).unwrap().collect().unwrap();
        lease.release_after(&fence).unwrap();
        let free = |cell| try_acquire(&[(&surface, Access::Write, tile(&surface, cell))]).unwrap().is_some();
        assert_eq!([free(0), free(1), free(3)], [false, false, !both[0].is_whole()]);
        job.end();
        assert!(free(1));
    }
}

/// A union with something that failed before: the device's part is in the kernel for strangers, and the error reaches who comes next.
#[test]
fn a_union_of_a_failure_and_a_device_is_imported_whole() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let (surface, scratch) = (tiles(&backend), tiles(&backend));
    let timeline = handover::Timeline::new();
    timeline.fail(1, 28).unwrap();
    let (job, fence) = gpu.job(&scratch);
    let union = handover::Fence::union(&[timeline.fence(1).unwrap(), handover::Fence::from(fence)]);
    surface.import_fence(&union, Access::Write, Region::WHOLE, soon()).unwrap();
    assert!(sync_file::status(fence_of(surface.pixels_fd(), Direction::READ)).unwrap() == sync_file::Status::Pending);
    job.end();
    let next = acquire(&[(&surface, Access::Read, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    assert_eq!(next.torn_by(), Some(28));
}

/// Two devices' fences behind one point, whose only observer is another process's reader: no end is missed.
#[test]
fn a_point_over_two_devices_ends_for_a_reader_that_nobody_helps() {
    let (Some(gpu), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let scratches = [tiles(&backend), tiles(&backend)];
    let timeline = handover::Timeline::new();
    let reader = handover::timeline::Reader::new(timeline.to_fd().unwrap()).unwrap();
    for round in 1..40 {
        let (jobs, fences): (Vec<_>, Vec<_>) = scratches.iter().map(|scratch| gpu.job(scratch)).unzip();
        let fences: Vec<_> = fences.into_iter().map(handover::Fence::from).collect();
        timeline.submit(round, &handover::Fence::union(&fences)).unwrap();
        drop(fences);
        jobs.into_iter().for_each(Job::end);
        reader.point(round).wait(soon()).unwrap();
    }
}
