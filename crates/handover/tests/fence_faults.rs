//! Fences where something goes wrong or comes at the worst time: found by review, each kept as a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::time::Duration;

use handover::queue::{Habits, MemoryJob, Policy, Sync, UserQueue};
use handover::release::Releases;
use handover::timeline::{Reached, Reader, Timeline, Which, wait};
use handover::{
    Access, Bytes, Deadline, Device, Fence, Kind, Lease, Options, Queue, Region, Surface, acquire, allocate, export,
    import,
};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn surface() -> Surface {
    let options = Options { writers: handover::Writers::Open, ..Options::default() };
    allocate::buffer(Device::PLAIN, Bytes(4096), &options).unwrap().remove(0)
}

/// A share that follows a point which is there already is given back within the call.
#[test]
fn r14_a_share_that_follows_a_submitted_point_is_given_back() {
    for keep_another in [false, true] {
        let mut releases = Releases::new();
        let reader = Reader::new(releases.to_fd().unwrap()).unwrap();
        let encoder = Timeline::new();
        encoder.signal(1).unwrap();
        let theirs = Reader::new(encoder.to_fd().unwrap()).unwrap();
        let (schedule, share) = releases.schedule().unwrap();
        let other = keep_another.then(|| share.share());
        share.follow(&theirs.point(1)).unwrap();
        other.into_iter().for_each(|share| share.done(&Fence::signalled()).unwrap());
        schedule.promise(&reader).unwrap().wait(soon()).unwrap();
        assert!(releases.schedule().is_ok());
    }
}

/// A fence of another timeline's page that ends between its last look and the next submission is found within that submission, which
/// tells this very timeline.
#[test]
fn a_submission_that_finds_an_end_does_not_meet_itself() {
    let theirs = Timeline::new();
    let reader = Reader::new(theirs.to_fd().unwrap()).unwrap();
    let ours = [Timeline::new(), Timeline::new()];
    for round in 1..200 {
        theirs.submit(round * 2, &Fence::signalled()).unwrap();
        let fence = reader.point(round * 2).fence().unwrap();
        // Both, in opposite orders: one fence shared by two timelines.
        std::thread::scope(|scope| {
            for order in [[0, 1], [1, 0]] {
                let (ours, fence) = (&ours, fence.clone());
                scope.spawn(move || order.map(|which| ours[which].submit(round, &fence).unwrap()));
            }
        });
    }
    ours.iter().for_each(|timeline| timeline.point(199).wait(soon()).unwrap());
}

/// C83: a lower point that comes after the higher ones is not taken for one that has ended.
#[test]
fn c83_a_lower_point_that_comes_late_is_waited_for() {
    let (timeline, queue, surface) = (Timeline::new(), Queue::new("late").unwrap(), surface());
    timeline.signal(10).unwrap();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let job = move |_: &Lease| {
        let _ = gone.recv();
        Ok(())
    };
    let fence = queue.submit(&[(&surface, Access::Write, Region::WHOLE)], &[], soon(), job).unwrap();
    timeline.submit(5, &fence).unwrap();
    assert!(timeline.point(5).wait(Deadline::after(Duration::from_millis(30))).unwrap_err().is_timeout());
    assert_eq!(timeline.completed(), 10);
    drop(go);
    timeline.point(5).wait(soon()).unwrap();
}

/// R5, R11: an engine that panicked stays so when its queue is dropped.
#[test]
fn r5_a_value_of_a_dropped_queue_whose_engine_panicked_is_not_waited_for() {
    let mut queue = UserQueue::new("compute", |_| panic!("the engine of a test")).unwrap();
    let values = [queue.submit(1).unwrap(), queue.submit(2).unwrap()];
    drop(queue);
    values.iter().for_each(|value| assert_eq!(*value.wait(soon()).unwrap_err().kind(), Kind::PeerGone));
}

/// R19: a reader that comes after a failure is told too.
#[test]
fn r19_failures_before_the_timeline_left_reach_its_readers() {
    let timeline = Timeline::new();
    timeline.fail(3, 5).unwrap();
    timeline.signal(4).unwrap();
    let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
    assert_eq!(reader.point(3).wait(soon()).unwrap_err().errno(), Some(5));
    reader.point(4).wait(soon()).unwrap();
}

/// R5: who only polls notices that the writer has gone.
#[test]
fn r5_polling_alone_notices_a_writer_that_has_gone() {
    let timeline = Timeline::new();
    let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
    drop(timeline);
    let deadline = soon();
    while reader.point(1).fence().unwrap_err().is_timeout() {
        assert!(!deadline.has_passed());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A wait that timed out leaves nothing behind: waits again and again take no descriptor and no memory with them.
#[test]
fn waits_that_time_out_take_their_registrations_back() {
    let (timeline, queue, surface) = (Timeline::new(), Queue::new("busy").unwrap(), surface());
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let job = move |_: &Lease| {
        let _ = gone.recv();
        Ok(())
    };
    let fence = queue.submit(&[(&surface, Access::Write, Region::WHOLE)], &[], soon(), job).unwrap();
    timeline.submit(1, &fence).unwrap();
    let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
    let points = [timeline.point(1), timeline.point(2), reader.point(1), reader.point(2)];
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let once = || {
        for reached in [Reached::Available, Reached::Complete] {
            drop(points.each_ref().map(|point| point.descriptor(reached).unwrap()));
            assert!(wait(&points, Which::All, reached, Deadline::now()).unwrap_err().is_timeout());
        }
    };
    once();
    let before = open();
    (0..50).for_each(|_| once());
    // Other tests of this program open some at the same time.
    assert!(open() < before + 50, "{} descriptors, {before} before", open());
    drop(go);
    fence.wait(soon()).unwrap();
}

/// A reader that says it writes mends nothing that a failed writer has torn.
#[test]
fn s22_a_reader_that_says_it_writes_does_not_hide_a_failure() {
    let surface = surface();
    acquire(&[(&surface, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap().release_failed(5).unwrap();
    let habits = Habits { sync: Sync::Implicit, policy: Policy::AlwaysWrite };
    let reader = Queue::with_habits("reader", habits).unwrap();
    for result in [Ok(()), Err(handover::Error::new(handover::Stage::Access, Kind::Os).with_errno(28))] {
        let read = [(&surface, Access::Read, Region::WHOLE)];
        let _ = reader.submit(&read, &[], soon(), move |_| result).unwrap().wait(soon());
        let lease = acquire(&read, soon()).unwrap().wait().unwrap();
        assert_eq!(lease.torn_by(), Some(5), "of the writer, not of the reader");
    }
}

/// S14: whatever its habits, a queue moves no memory under running work, and its jobs wait for the move.
#[test]
fn s14_moves_of_a_queue_that_skips_its_own_are_ordered_all_the_same() {
    let surface = surface();
    let skip = Habits { sync: Sync::Implicit, policy: Policy::SkipOwnOwner };
    let explicit = Habits { sync: Sync::Explicit, policy: Policy::Honest };
    let queues = [explicit, skip, skip].map(|habits| Queue::with_habits("engine", habits).unwrap());
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let job = move |_: &Lease| {
        let _ = gone.recv();
        Ok(())
    };
    let set = [(&surface, Access::Write, Region::WHOLE)];
    let running = queues[0].submit(&set, &[], soon(), job).unwrap();
    let moved = queues[1].submit_memory(MemoryJob::Move, &[&surface], &[], soon(), |_| Ok(())).unwrap();
    let after = queues[2].submit(&set, &[], soon(), |_| Ok(())).unwrap();
    for waiting in [&moved, &after] {
        assert!(waiting.wait(Deadline::after(Duration::from_millis(50))).unwrap_err().is_timeout());
    }
    drop(go);
    [running, moved, after].iter().for_each(|fence| fence.wait(soon()).unwrap());
}

/// What was imported keeps its fence.
#[test]
fn a_fence_that_was_dropped_still_ends_what_it_was_imported_into() {
    let (surface, other) = (surface(), surface());
    let imported =
        import(export(&surface, handover::ExportFlags::READ, soon()).unwrap().handle, Device::PLAIN).unwrap();
    let held = acquire(&[(&surface, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    let export = imported.export_fence(Access::Read, Region::WHOLE).unwrap();
    other.import_fence(&export, Access::Write, Region::WHOLE, soon()).unwrap();
    drop(export);
    let mut waiting = acquire(&[(&other, Access::Read, Region::WHOLE)], soon()).unwrap();
    assert!(waiting.poll().unwrap().is_none());
    held.release().unwrap();
    drop(waiting.wait().unwrap());
}

/// C83: a lower point that comes late and fails is the one that failed; while it is under way the timeline cannot leave, since readers
/// elsewhere would take it for complete.
#[test]
fn c83_a_late_point_that_fails_is_the_one_that_failed() {
    let (timeline, queue, surface) = (Timeline::new(), Queue::new("late").unwrap(), surface());
    timeline.signal(5).unwrap();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let job = move |_: &Lease| {
        let _ = gone.recv();
        Err(handover::Error::new(handover::Stage::Access, Kind::Os).with_errno(28))
    };
    let fence = queue.submit(&[(&surface, Access::Write, Region::WHOLE)], &[], soon(), job).unwrap();
    timeline.submit(3, &fence).unwrap();
    assert_eq!(*timeline.to_fd().unwrap_err().kind(), Kind::Invalid);
    drop(go);
    assert!(fence.wait(soon()).is_err());
    assert_eq!(timeline.completed(), 5);
    let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
    for point in [timeline.point(3), reader.point(3)] {
        assert_eq!(point.wait(soon()).unwrap_err().errno(), Some(28));
    }
    for point in [timeline.point(5), reader.point(5)] {
        point.wait(soon()).unwrap();
    }
}

/// Whoever dropped what waits for a point holds no descriptor of it any more, without anybody asking anew.
#[test]
fn dropped_waits_hold_no_descriptor() {
    let timeline = Timeline::new();
    let point = timeline.point(2);
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    drop((0..300).map(|_| point.descriptor(Reached::Complete).unwrap()).collect::<Vec<_>>());
    assert!(open() < before + 150, "{} descriptors, {before} before", open());
}

/// A job that said more than it did tears what it wrote, and a write of that mends it.
#[test]
fn s22_what_an_always_writing_driver_tore_is_what_it_wrote() {
    use handover::{Cell, Cells, Extent, Format, Rect, SurfaceUsages, negotiate};
    let offer = Device::PLAIN.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(64, 48).unwrap(), &[offer]).unwrap();
    let whole = allocate(Device::PLAIN, &agreement, &Options::default()).unwrap().remove(0);
    let half = |x| Cell::Rect(Rect::new(x, 0, Extent::new(32, 48).unwrap()).unwrap());
    let cells = Cells::new(whole.layout(), vec![half(0), half(32)]).unwrap();
    let surface = allocate(Device::PLAIN, &agreement, &Options { cells, ..Options::default() }).unwrap().remove(0);
    let cell = |index: usize| surface.cells().region(&[index]).unwrap();
    let writer = Queue::with_habits("w", Habits { sync: Sync::Implicit, policy: Policy::AlwaysWrite }).unwrap();
    let fails = |_: &Lease| Err(handover::Error::new(handover::Stage::Access, Kind::Os).with_errno(28));
    let failed = writer.submit(&[(&surface, Access::Write, cell(0))], &[], soon(), fails).unwrap();
    assert!(failed.wait(soon()).is_err());
    let torn =
        |index: usize| acquire(&[(&surface, Access::Read, cell(index))], soon()).unwrap().wait().unwrap().torn_by();
    assert_eq!((torn(0), torn(1)), (Some(28), None));
    acquire(&[(&surface, Access::Write, cell(0))], soon()).unwrap().wait().unwrap().release().unwrap();
    assert_eq!((torn(0), torn(1)), (None, None));
}
