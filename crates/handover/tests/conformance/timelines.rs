//! C13 to C15, C79 to C87, C90, C91 and C100 on every kind of timeline: the library's own, the same read as another process reads it,
//! and a driver's.
//!
//! Where they differ on purpose: a timeline that left its process takes rising points only and stands for nothing as a whole, and
//! a driver's is only ever used so here.

use std::time::Duration;

use handover::timeline::{Reached, Reader, Timeline};
use handover::{Access, Deadline, Fence, Kind, Region, Status, try_acquire};

use crate::line::{Line, There, each};
use crate::soon;
use crate::sources::{Source, now};

/// C13, C80: whatever ends first, a point is complete with all below it, and what is said never falls.
#[test]
fn c13_c80_a_point_is_complete_with_all_below_it_in_any_order_of_ends() {
    const ORDERS: [[u64; 5]; 5] = [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [1, 3, 2, 5, 4], [3, 1, 5, 2, 4], [2, 1, 4, 3, 5]];
    each(|new, source| {
        for order in ORDERS {
            let line = new();
            let mut pending = source.many::<5>().map(Some);
            for (point, pending) in (1..).zip(pending.iter().flatten()) {
                line.submit(point, &pending.fence).unwrap();
            }
            let mut ended = [false; 6];
            ended[0] = true;
            line.comes_to((0, 5));
            for point in order {
                let _ended: Fence = pending[point as usize - 1].take().unwrap().end();
                ended[point as usize] = true;
                let prefix = ended.iter().take_while(|ended| **ended).count() as u64 - 1;
                line.comes_to((prefix, 5));
                for point in 1..=5 {
                    assert_eq!(line.is_complete(point), point <= prefix, "{} {source:?} {order:?}", line.name());
                }
            }
        }
    });
}

/// C14, C82: exact, the next higher, the future; C15: the answers are the same once what has ended is forgotten.
#[test]
fn c14_c15_c82_a_gap_is_the_next_point_above_and_the_future_has_no_fence() {
    each(|new, source| {
        let line = new();
        let [first, second] = source.many();
        line.submit(3, &first.fence).unwrap();
        line.submit(8, &second.fence).unwrap();
        for point in [1, 2, 3, 4, 7, 8] {
            assert!(line.fence(point).unwrap().status() == Status::Pending && !line.is_complete(point));
            line.wait(point, Reached::Available, now()).unwrap();
        }
        let future = line.fence(9).unwrap_err();
        assert!(future.is_timeout() && future.to_string().contains("submitted up to 8"), "{future}");
        assert!(line.wait(9, Reached::Available, Deadline::after(Duration::from_millis(5))).unwrap_err().is_timeout());
        line.wait(0, Reached::Complete, now()).ok();
        let below = line.fence(2).unwrap();
        let _ended: Fence = first.end();
        below.wait(soon()).unwrap();
        line.comes_to((3, 8));
        for _ in 0..2 {
            for point in 1..=8 {
                assert_eq!(line.fence(point).unwrap().has_ended(), point <= 3, "{} {point}", line.name());
            }
        }
        // From the CPU, above what pends (C82).
        line.signal(10).unwrap();
        assert!(line.progress() == (3, 10) && !line.is_complete(9));
        let _ended: Fence = second.end();
        line.comes_to((10, 10));
        line.wait(7, Reached::Complete, soon()).unwrap();
        assert!(line.fence(1).unwrap().has_ended() && line.fence(11).is_err());
    });
}

#[test]
fn c79_a_timeline_with_nothing_in_it_has_no_fence() {
    each(|new, _| {
        let line = new();
        assert_eq!(line.progress(), (0, 0));
        assert!(line.fence(1).unwrap_err().is_timeout());
        line.signal(1).unwrap();
        line.fence(1).unwrap().wait(soon()).unwrap();
    });
}

/// C81, C83: in a process a lower point is taken and lowers nothing; once a timeline has left, it is refused and changes nothing.
#[test]
fn c81_c83_a_lower_point_lowers_nothing() {
    each(|new, source| {
        let line = new();
        line.signal(10).unwrap();
        match line.name() {
            "there" => assert_eq!(*line.signal(5).unwrap_err().kind(), Kind::Invalid),
            _ => line.signal(5).unwrap(),
        }
        line.comes_to((10, 10));
        let line = new();
        let pending = source.many::<5>();
        let points = [1, 5, 3, 6, 7];
        let mut last = 0;
        for (point, pending) in points.into_iter().zip(&pending) {
            let lower = point < last;
            match line.submit(point, &pending.fence) {
                Err(error) => assert!(lower && line.name() == "there" && *error.kind() == Kind::Invalid),
                Ok(()) => assert!(!lower || line.name() != "there"),
            }
            last = point.max(last);
            assert_eq!(line.progress(), (0, last));
        }
        let mut before = 0;
        for (index, pending) in pending.into_iter().enumerate() {
            let _ended: Fence = pending.end();
            let wanted = [1, 5, 5, 6, 7][index];
            // While 3 pends behind 5, both answers are right; the kernel says nothing of what is before a lower point until that
            // has ended.
            let is_blurred = index == 1 || (index == 0 && line.name() == "driver");
            if !is_blurred {
                line.comes_to((wanted, 7));
                line.wait(wanted, Reached::Complete, soon()).unwrap();
            }
            let complete = line.progress().0;
            assert!(before <= complete && complete <= wanted, "{}", line.name());
            before = complete;
        }
        line.wait(3, Reached::Complete, now()).unwrap();
    });
}

/// C84, C85: point 0 is the timeline as a whole, and putting a fence there throws the points away. Of one that left the process
/// there is no whole.
#[test]
fn c84_c85_point_zero_is_the_whole() {
    let (timeline, pending) = (Timeline::new(), Source::Queue.pending());
    assert!(timeline.point(0).fence().unwrap_err().is_timeout());
    timeline.submit(4, &pending.fence).unwrap();
    assert_eq!(timeline.point(0).fence().unwrap().status(), Status::Pending, "of all its points");
    timeline.signal(0).unwrap();
    assert_eq!((timeline.completed(), timeline.submitted()), (0, 0));
    assert!(timeline.point(0).fence().unwrap().has_ended() && timeline.fence(4).is_err());
    timeline.point(0).wait(now()).unwrap();
    assert_eq!(*timeline.to_fd().unwrap_err().kind(), Kind::Invalid);
    timeline.submit(0, &pending.fence).unwrap();
    assert_eq!(timeline.fence(0).unwrap().status(), Status::Pending);
    timeline.signal(2).unwrap();
    assert_eq!((timeline.completed(), timeline.submitted()), (0, 2), "what was the whole is before the first point");
    timeline.reset().unwrap();
    let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
    for refused in [timeline.signal(0), timeline.replace(&pending.fence), timeline.reset()] {
        assert_eq!(*refused.unwrap_err().kind(), Kind::Unsupported);
    }
    reader.point(0).wait(now()).unwrap();
    let _ended: Fence = pending.end();
}

#[test]
fn c86_a_transfer_copies_what_a_point_stands_for() {
    let (from, [first, second]) = (There::new(), Source::Queue.many());
    from.submit(1, &first.fence).unwrap();
    for source in [from.0.point(1), from.1.point(1)] {
        let (points, whole) = (Timeline::new(), Timeline::new());
        points.transfer(7, &source).unwrap();
        whole.transfer(0, &source).unwrap();
        assert_eq!((points.completed(), points.submitted()), (0, 7));
        assert_eq!(whole.fence(0).unwrap().status(), Status::Pending);
        assert!(points.transfer(8, &from.1.point(2)).unwrap_err().is_timeout(), "nobody has submitted it");
        assert!(points.transfer(8, &from.0.point(2)).unwrap_err().is_timeout());
        assert_eq!(points.submitted(), 7);
    }
    // The kernel's transfer that waits for a submission, by the clock of the caller.
    let promise = from.1.point(2);
    assert!(promise.wait_submitted(Deadline::after(Duration::from_millis(5))).unwrap_err().is_timeout());
    let to = Timeline::new();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| to.submit(1, &promise.wait_submitted(soon())?));
        from.submit(2, &second.fence).unwrap();
        waiter.join().unwrap().unwrap();
    });
    assert_eq!(to.completed(), 0);
    let _ended: Fence = first.end();
    let _ended: Fence = second.end();
    to.point(1).wait(soon()).unwrap();
}

#[test]
fn c87_the_fence_of_a_point_holds_all_earlier_pending_ones() {
    each(|new, source| {
        let (line, [one, two]) = (new(), source.many());
        line.submit(1, &one.fence).unwrap();
        line.submit(2, &two.fence).unwrap();
        let fence = line.fence(2).unwrap();
        match line.name() {
            "here" => assert_eq!(fence.leaves().len(), 2),
            "driver" => assert_eq!(handover_sys::sync_file::count(fence.sync_file().unwrap()).unwrap(), 2),
            _ => {}
        }
        let _ended: Fence = two.end();
        assert!(fence.wait(Deadline::after(Duration::from_millis(5))).unwrap_err().is_timeout());
        let _ended: Fence = one.end();
        fence.wait(soon()).unwrap();
    });
}

#[test]
fn c90_through_descriptors_it_is_the_same_timeline() {
    let (timeline, pending) = (Timeline::new(), Source::Queue.pending());
    timeline.signal(1).unwrap();
    let readers = [timeline.to_fd(), timeline.to_fd()].map(|fd| Reader::new(fd.unwrap()).unwrap());
    let again = Reader::new(readers[0].to_fd().unwrap()).unwrap();
    timeline.submit(2, &pending.fence).unwrap();
    let all = [&readers[0], &readers[1], &again];
    all.iter().for_each(|reader| assert_eq!((reader.completed(), reader.submitted()), (1, 2)));
    let fences = all.map(|reader| reader.point(2).fence().unwrap());
    assert_eq!(Fence::union(&fences).leaves().len(), 1, "one context, however it was imported");
    let _ended: Fence = pending.end();
    fences.iter().for_each(|fence| fence.wait(soon()).unwrap());
}

#[test]
fn c91_r1_values_reach_the_last_of_64_bits_and_never_wrap() {
    each(|new, source| {
        let line = new();
        for point in [5, (1 << 31) - 1, 1 << 31, (1 << 31) + 10, 1 << 32, (1 << 63) + 5, u64::MAX] {
            line.signal(point).unwrap();
            assert_eq!(line.progress(), (point, point), "{}", line.name());
            line.wait(point, Reached::Complete, now()).unwrap();
            line.wait(1, Reached::Complete, now()).unwrap();
        }
        let (line, pending) = (new(), source.pending());
        line.submit(u64::MAX, &pending.fence).unwrap();
        assert!(!line.is_complete(1));
        let _ended: Fence = pending.end();
        line.wait(u64::MAX, Reached::Complete, soon()).unwrap();
    });
}

/// C100: as a fence of its own, a point keeps a surface busy until what is behind it has ended.
#[test]
fn c100_an_imported_point_keeps_a_surface_busy_until_its_end() {
    each(|new, source| {
        let (line, pending, surface) = (new(), source.pending(), crate::fences::surface());
        line.submit(2, &pending.fence).unwrap();
        surface.import_fence(&line.fence(1).unwrap(), Access::Write, Region::WHOLE, soon()).unwrap();
        let is_idle = || try_acquire(&[(&surface, Access::Read, Region::WHOLE)]).unwrap().is_some();
        assert!(!is_idle());
        let _ended: Fence = pending.end();
        handover::acquire(&[(&surface, Access::Read, Region::WHOLE)], soon())
            .unwrap()
            .wait()
            .unwrap()
            .release()
            .unwrap();
        assert!(is_idle());
    });
}
