//! Fences of every kind as one: unions, fences out of reservations and into them, cancelled waits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use handover::fence::Cancel;
use handover::timeline::{Reached, Reader, Which, wait};
use handover::{
    Access, Bytes, Deadline, Device, Error, Fence, Kind, Options, Queue, Region, Stage, Status, Surface, Timeline,
    acquire, allocate, try_acquire,
};
use handover_sys::poll::wait_readable;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn surface() -> Surface {
    allocate::buffer(Device::PLAIN, Bytes(4096), &Options::default()).expect("a surface").remove(0)
}

/// A job that ends when it is told how.
fn job(queue: &Queue) -> (Fence, Sender<handover::Result<()>>) {
    let (end, ended) = channel();
    let (surface, queue) = (surface(), queue);
    let job = move |_: &handover::Lease| {
        ended.recv().unwrap_or_else(|_| Err(Error::new(Stage::Access, Kind::Cancelled).with_errno(125)))
    };
    (queue.submit(&[(&surface, Access::Write, Region::WHOLE)], &[], soon(), job).expect("a job"), end)
}

fn queues<const N: usize>() -> [Queue; N] {
    std::array::from_fn(|_| Queue::new("engine").expect("a queue"))
}

#[test]
fn c12_c16_c17_a_union_ends_with_the_last_of_its_leaves_and_has_each_once() {
    let queues: [Queue; 3] = queues();
    let (fences, ends): (Vec<_>, Vec<_>) = queues.iter().map(job).unzip();
    let nested = Fence::union(&[Fence::union(&fences[..2]), Fence::union(&fences[1..])]);
    assert_eq!(nested.leaves().len(), 3);
    let readable = nested.descriptor().unwrap();
    for (index, end) in ends.iter().enumerate() {
        assert_eq!(nested.status(), Status::Pending);
        assert!(!wait_readable(&readable, Deadline::now().at()).unwrap());
        end.send(Ok(())).unwrap();
        fences[index].wait(soon()).unwrap();
    }
    assert!(wait_readable(&readable, soon().at()).unwrap());
    nested.wait(Deadline::now()).unwrap();
}

#[test]
fn c18_a_union_of_what_has_ended_ended_with_the_last_of_them() {
    let [queue] = queues();
    let (fence, end) = job(&queue);
    end.send(Ok(())).unwrap();
    fence.wait(soon()).unwrap();
    let union = Fence::union(&[fence.clone(), fence.clone()]);
    assert_eq!(union.status(), fence.status());
    assert!(matches!(Fence::union(&[]).status(), Status::Done(_)));
}

#[test]
fn r19_an_error_of_any_leaf_is_the_unions() {
    let [one, other] = queues();
    let ((first, end_first), (second, end_second)) = (job(&one), job(&other));
    let union = Fence::union(&[first, second]);
    end_first.send(Err(Error::new(Stage::Access, Kind::Os).with_errno(5))).unwrap();
    assert!(union.wait(Deadline::now()).unwrap_err().is_timeout());
    end_second.send(Ok(())).unwrap();
    assert_eq!(union.wait(soon()).unwrap_err().errno(), Some(5));
}

#[test]
fn r10_a_cancelled_wait_ends_and_signals_nothing() {
    let [queue] = queues();
    let (fence, end) = job(&queue);
    let cancel = Cancel::default();
    let waiter = std::thread::spawn({
        let (fence, cancel) = (fence.clone(), cancel.clone());
        move || fence.wait_unless(&cancel, Deadline::Never)
    });
    cancel.cancel();
    assert_eq!(*waiter.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
    assert_eq!(fence.status(), Status::Pending);
    end.send(Ok(())).unwrap();
    fence.wait(soon()).unwrap();
}

#[test]
fn c41_c42_an_exported_fence_is_a_snapshot() {
    let surface = surface();
    assert!(surface.export_fence(Access::Write, Region::WHOLE).unwrap().has_ended());
    let held = acquire(&[(&surface, Access::Read, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    assert!(surface.export_fence(Access::Read, Region::WHOLE).unwrap().has_ended());
    let export = surface.export_fence(Access::Write, Region::WHOLE).unwrap();
    let readable = export.descriptor().unwrap();
    let later = acquire(&[(&surface, Access::Read, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    assert_eq!(export.status(), Status::Pending);
    assert!(export.wait(Deadline::now()).unwrap_err().to_string().contains("read lease"));
    held.release().unwrap();
    assert!(wait_readable(&readable, soon().at()).unwrap());
    export.wait(soon()).unwrap();
    drop(later);
}

#[test]
fn c24_an_imported_fence_stops_whom_its_access_says_until_it_ends() {
    let (surface, [queue]) = (surface(), queues());
    for access in [Access::Read, Access::Write] {
        let (fence, end) = job(&queue);
        surface.import_fence(&fence, access, Region::WHOLE, soon()).unwrap();
        drop(fence);
        let idle = |access| try_acquire(&[(&surface, access, Region::WHOLE)]).unwrap().is_some();
        assert_eq!((idle(Access::Read), idle(Access::Write)), (access == Access::Read, false));
        end.send(Ok(())).unwrap();
        acquire(&[(&surface, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap().release().unwrap();
    }
}

#[test]
fn s17_a_point_becomes_a_fence_by_being_submitted() {
    let timeline = Timeline::new();
    let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
    let [queue] = queues();
    for point in [timeline.point(3), reader.point(3)] {
        assert!(point.fence().unwrap_err().is_timeout());
    }
    let waiter = std::thread::spawn({
        let point = reader.point(3);
        move || point.wait_submitted(soon())
    });
    let awaiting = reader.point(3).descriptor(Reached::Complete).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    let (fence, end) = job(&queue);
    timeline.submit(3, &fence).unwrap();
    let theirs = waiter.join().unwrap().unwrap();
    assert_eq!((theirs.status(), reader.completed(), reader.submitted()), (Status::Pending, 0, 3));
    assert!(!wait_readable(&awaiting, Deadline::now().at()).unwrap());
    end.send(Ok(())).unwrap();
    theirs.wait(soon()).unwrap();
    assert!(wait_readable(&awaiting, soon().at()).unwrap());
    assert_eq!((reader.completed(), timeline.completed()), (3, 3));
    assert_eq!(wait(&[reader.point(4), reader.point(2)], Which::Any, Reached::Complete, soon()).unwrap(), 1);
    drop(timeline);
    assert_eq!(*reader.point(4).wait(soon()).unwrap_err().kind(), Kind::PeerGone);
}
