//! C1 to C11 on the library's fences, which queues make; and what a report lists of a queue's submissions (C23).

use std::sync::mpsc::{Sender, channel};

use handover::{
    Access, Bytes, Deadline, Device, Error, Fence, Kind, Options, Queue, Region, Stage, Status, Surface, allocate,
};
use handover_sys::poll;

use crate::soon;

pub(crate) fn surface() -> Surface {
    allocate::buffer(Device::PLAIN, Bytes(4096), &Options::default()).unwrap().remove(0)
}

fn submit(queue: &Queue, surface: &Surface, access: Access) -> (Fence, Sender<handover::Result<()>>) {
    let (end, ended) = channel();
    let set = [(surface, access, Region::WHOLE)];
    // Where the test has gone without a word, so has whoever the job worked for.
    let job =
        move |_: &handover::Lease| ended.recv().unwrap_or_else(|_| Err(Error::new(Stage::Access, Kind::Cancelled)));
    (queue.submit(&set, &[], soon(), job).unwrap(), end)
}

#[test]
fn c1_c2_c6_a_fence_pends_and_then_ends_once() {
    let (surface, queue) = (surface(), Queue::new("engine").unwrap());
    let (fence, end) = submit(&queue, &surface, Access::Write);
    assert_eq!(fence.status(), Status::Pending);
    assert!(fence.wait(Deadline::now()).unwrap_err().is_timeout());
    end.send(Ok(())).unwrap();
    fence.wait(soon()).unwrap();
    fence.wait(Deadline::now()).unwrap();
    let ended = fence.status();
    assert!(matches!(ended, Status::Done(_)));
    let (later, end) = submit(&queue, &surface, Access::Write);
    end.send(Ok(())).unwrap();
    later.wait(soon()).unwrap();
    assert_eq!(fence.status(), ended, "status and time stay");
}

#[test]
fn c3_an_error_ends_a_fence_and_stays() {
    let (surface, queue) = (surface(), Queue::new("engine").unwrap());
    let (fence, end) = submit(&queue, &surface, Access::Write);
    end.send(Err(Error::new(Stage::Access, Kind::Os).with_errno(5))).unwrap();
    assert_eq!(fence.wait(soon()).unwrap_err().errno(), Some(5));
    for _ in 0..2 {
        let Status::Failed(_, error) = fence.status() else { panic!("{:?}", fence.status()) };
        assert_eq!(error.errno(), Some(5));
    }
}

/// Descriptors are the library's callbacks.
#[test]
fn c4_c5_who_asked_before_the_end_is_told_and_who_asks_later_knows_at_once() {
    let (surface, queue) = (surface(), Queue::new("engine").unwrap());
    let (fence, end) = submit(&queue, &surface, Access::Read);
    let before = fence.descriptor().unwrap();
    drop(fence.descriptor().unwrap());
    assert!(!poll::wait_readable(&before, Deadline::now().at()).unwrap());
    end.send(Ok(())).unwrap();
    assert!(poll::wait_readable(&before, soon().at()).unwrap());
    let after = fence.descriptor().unwrap();
    assert!(poll::wait_readable(&after, Deadline::now().at()).unwrap());
}

#[test]
fn c7_no_wake_is_lost_between_asking_and_ending() {
    let (surface, queue) = (surface(), Queue::new("engine").unwrap());
    for _ in 0..300 {
        let (fence, end) = submit(&queue, &surface, Access::Write);
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| fence.wait(soon()))).collect();
            let poller = scope.spawn(|| poll::wait_readable(fence.descriptor().unwrap(), soon().at()));
            end.send(Ok(())).unwrap();
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap().unwrap());
            assert!(poller.join().unwrap().unwrap());
        });
    }
}

#[test]
fn c9_fences_have_an_order_within_their_queue_only() {
    let (surface, one, other) = (surface(), Queue::new("one").unwrap(), Queue::new("other").unwrap());
    let (first, end_first) = submit(&one, &surface, Access::Read);
    let (second, end_second) = submit(&one, &surface, Access::Read);
    let (beside, end_beside) = submit(&other, &surface, Access::Read);
    assert_eq!((first.context(), second.context()), (one.context(), one.context()));
    assert!(first.seq() < second.seq() && beside.context() != first.context());
    end_beside.send(Ok(())).unwrap();
    beside.wait(soon()).unwrap();
    end_second.send(Ok(())).unwrap();
    assert!(second.wait(Deadline::now()).unwrap_err().is_timeout(), "the one before it has not ended");
    end_first.send(Ok(())).unwrap();
    second.wait(soon()).unwrap();
    assert_ne!(first.status(), Status::Pending);
}

#[test]
fn c11_a_queue_that_goes_ends_whatever_it_published() {
    let (surface, queue) = (surface(), Queue::new("engine").unwrap());
    let (well, end_well) = submit(&queue, &surface, Access::Write);
    let (ill, end_ill) = submit(&queue, &surface, Access::Write);
    end_well.send(Ok(())).unwrap();
    well.wait(soon()).unwrap();
    drop(end_ill);
    drop(queue);
    assert!(matches!(well.status(), Status::Done(_)));
    assert!(matches!(ill.status(), Status::Failed(..)));
    assert!(surface.pending().is_empty());
}

/// The earlier submission of a queue is over when the later is, so a report leaves it out, unless the later one is weaker.
#[test]
fn c23_a_later_submission_of_a_queue_stands_for_an_earlier_one() {
    let (surface, queue) = (surface(), Queue::new("engine").unwrap());
    let accesses = [Access::Read, Access::Read, Access::Write, Access::Write, Access::Read];
    let jobs: Vec<_> = accesses.map(|access| submit(&queue, &surface, access)).into();
    let listed: Vec<_> = surface.pending().iter().map(|entry| (entry.context, entry.seq, entry.usage)).collect();
    let context = queue.context();
    assert_eq!(listed, [(context, 4, Access::Write.usage()), (context, 5, Access::Read.usage())]);
    jobs.iter().for_each(|(_, end)| end.send(Ok(())).unwrap());
    jobs.iter().for_each(|(fence, _)| fence.wait(soon()).unwrap());
    assert!(surface.pending().is_empty());
}

/// Entries are used again, so their places in the table say nothing of the order.
#[test]
fn c23_pending_work_is_listed_in_the_order_in_which_it_will_run() {
    let (surface, queue) = (surface(), Queue::new("engine").unwrap());
    let [(first, end_first), (second, end_second)] = [Access::Write; 2].map(|access| submit(&queue, &surface, access));
    end_first.send(Ok(())).unwrap();
    first.wait(soon()).unwrap();
    let (third, end_third) = submit(&queue, &surface, Access::Read);
    let listed: Vec<_> = surface.pending().iter().map(|entry| entry.seq).collect();
    assert_eq!(listed, [second.seq(), third.seq()]);
    [end_second, end_third].iter().for_each(|end| end.send(Ok(())).unwrap());
    third.wait(soon()).unwrap();
}

/// C9, C23: leases of the CPU belong to no queue, so none stands for another.
#[test]
fn c23_leases_are_listed_one_by_one() {
    let surface = surface();
    let set = [(&surface, Access::Read, Region::WHOLE)];
    let leases: Vec<_> = (0..3).map(|_| handover::acquire(&set, soon()).unwrap().wait().unwrap()).collect();
    assert_eq!(surface.pending().len(), 3);
    drop(leases);
    assert!(surface.pending().is_empty());
}
