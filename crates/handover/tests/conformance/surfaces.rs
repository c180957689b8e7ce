//! What crosses objects, on surfaces of the library: identity, many locks, participants without fences, and fences of the CPU.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::mpsc::channel;

use handover::backend::Software;
use handover::backend::linux::Udmabuf;
use handover::{
    Access, Backend, Bytes, Deadline, Device, ExportFlags, Options, Queue, Region, Surface, acquire, allocate, export,
    import, try_acquire,
};
use handover_sys::dma_buf::{self, Direction};

use crate::{skip, soon};

fn surfaces(backend: Arc<dyn Backend>, count: u32) -> Vec<Surface> {
    let options = Options { surfaces: count, backend, ..Options::default() };
    allocate::buffer(Device::PLAIN, Bytes(4096), &options).unwrap()
}

/// The same check on memfds and on dma-bufs.
fn each(count: u32, check: impl Fn(&str, &[Surface])) {
    check("software", &surfaces(Arc::new(Software), count));
    if let Some(udmabuf) = udmabuf() {
        check("linux", &surfaces(udmabuf, count));
    }
}

fn udmabuf() -> Option<Arc<dyn Backend>> {
    Udmabuf::open()
        .map(|backend| Arc::new(backend) as Arc<dyn Backend>)
        .map_err(|error| skip("udmabuf", &error.to_string()))
        .ok()
}

fn whole(surface: &Surface, access: Access) -> [handover::Wish<'_>; 1] {
    [(surface, access, Region::WHOLE)]
}

#[test]
fn c35_many_surfaces_in_any_order_by_many_threads_never_deadlock() {
    each(4, |_, surfaces| {
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                scope.spawn(move || {
                    for round in 0..60 {
                        let at = |place: usize| &surfaces[(thread + place * [1, 3][(thread + round) % 2]) % 4];
                        let access = |place: usize| [Access::Write, Access::Read][(round + place) % 3 / 2];
                        let set: Vec<_> = (0..3).map(|place| (at(place), access(place), Region::WHOLE)).collect();
                        acquire(&set, soon()).unwrap().wait().unwrap().release().unwrap();
                    }
                });
            }
        });
    });
}

#[test]
fn c44_descriptors_do_not_outlive_exec() {
    let is_closed = |fd: std::os::fd::BorrowedFd<'_>| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        u32::from_str_radix(flags.trim(), 8).unwrap() & 0o2_000_000 != 0
    };
    each(1, |_, surfaces| {
        assert!(is_closed(surfaces[0].pixels_fd()));
        let (_, descriptors) = export(&surfaces[0], ExportFlags::READ, soon()).unwrap().handle.into_parts();
        assert!(descriptors.iter().all(|fd| is_closed(fd.as_fd())));
        let lease = acquire(&whole(&surfaces[0], Access::Write), soon()).unwrap().wait().unwrap();
        let mut next = acquire(&whole(&surfaces[0], Access::Read), soon()).unwrap();
        assert!(is_closed(next.descriptor().unwrap()));
        let queue = Queue::new("engine").unwrap();
        let fence = queue.submit_lease(&lease, &[], soon(), |_| Ok(())).unwrap();
        assert!(is_closed(fence.descriptor().unwrap().as_fd()));
    });
}

#[test]
fn c50_a_surface_stays_itself_on_its_way_and_two_are_two() {
    each(2, |backend, surfaces| {
        let exported = export(&surfaces[0], ExportFlags::READ, soon()).unwrap();
        let theirs = import(exported.handle, Device::PLAIN).unwrap();
        assert_eq!(theirs.id(), surfaces[0].id(), "{backend}");
        assert_ne!(surfaces[1].id(), surfaces[0].id(), "{backend}");
        let held = acquire(&whole(&surfaces[0], Access::Write), soon()).unwrap().wait().unwrap();
        assert!(try_acquire(&whole(&theirs, Access::Read)).unwrap().is_none(), "{backend}");
        assert!(try_acquire(&whole(&surfaces[1], Access::Write)).unwrap().is_some(), "{backend}");
        drop(held);
    });
}

/// R7: a fence of the kernel ends without the help of any process, and a job of a queue does not.
#[test]
fn c103_no_job_of_a_cpu_becomes_a_fence_of_the_kernel() {
    let Some(udmabuf) = udmabuf() else { return };
    let surface = surfaces(udmabuf, 1).remove(0);
    let queue = Queue::new("engine").unwrap();
    let (end, ended) = channel::<()>();
    let job = move |_: &handover::Lease| ended.recv().map_err(|_| unreachable!("the test says when"));
    let fence = queue.submit(&whole(&surface, Access::Write), &[], soon(), job).unwrap();
    assert!(dma_buf::is_idle(surface.pixels_fd(), Direction::all()).unwrap());
    assert!(try_acquire(&whole(&surface, Access::Read)).unwrap().is_none(), "peers wait all the same");
    end.send(()).unwrap();
    fence.wait(soon()).unwrap();
    assert!(dma_buf::is_idle(surface.pixels_fd(), Direction::all()).unwrap());
}

/// S19: a device that knows no fences (V4L2) is given the buffer under a lease, from before it is queued until it is back.
#[test]
fn c106_who_has_no_fences_holds_a_lease_and_is_waited_for_by_it() {
    each(1, |backend, surfaces| {
        let surface = &surfaces[0];
        let queued = acquire(&whole(surface, Access::Write), soon()).unwrap().wait().unwrap();
        if backend == "linux" {
            assert!(dma_buf::is_idle(surface.pixels_fd(), Direction::all()).unwrap(), "nothing is added");
        }
        // Idle as the buffer looks, nobody is told that it is.
        assert_eq!(surface.pending().len(), 1);
        assert!(try_acquire(&whole(surface, Access::Read)).unwrap().is_none(), "{backend}");
        assert!(acquire(&whole(surface, Access::Read), Deadline::now()).unwrap().wait().unwrap_err().is_timeout());
        queued.release().unwrap();
        assert!(try_acquire(&whole(surface, Access::Read)).unwrap().is_some());
    });
}
