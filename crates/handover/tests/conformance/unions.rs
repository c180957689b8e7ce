//! C12, C16 to C18 and C60 to C65 on the library's unions, whoever ends their leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use handover::fence::Cancel;
use handover::timeline::{Reader, Timeline};
use handover::{Access, Deadline, Fence, Kind, Queue, Region, Status};
use handover_sys::poll::wait_readable;

use crate::soon;
use crate::sources::{Pending, Source, each_source, now};

fn union(fences: &[&Fence]) -> Fence {
    Fence::union(&fences.iter().map(|&fence| fence.clone()).collect::<Vec<_>>())
}

fn pends(fence: &Fence) -> bool {
    fence.status() == Status::Pending
}

/// Places of the leaves, to compare unions by.
fn places(fence: &Fence) -> Vec<(u64, u64)> {
    fence.leaves().iter().map(|leaf| (leaf.context(), leaf.seq())).collect()
}

/// A queue's jobs share a context; each ends when its sender says so.
fn jobs(count: usize) -> (Queue, Vec<(Fence, std::sync::mpsc::Sender<()>)>) {
    let (queue, surface) = (Queue::new("engine").unwrap(), crate::fences::surface());
    let read = [(&surface, Access::Read, Region::WHOLE)];
    let jobs = (0..count).map(|_| {
        let (end, ended) = std::sync::mpsc::channel();
        let job = move |_: &handover::Lease| {
            let _ = ended.recv();
            Ok(())
        };
        (queue.submit(&read, &[], soon(), job).unwrap(), end)
    });
    let jobs = jobs.collect();
    (queue, jobs)
}

#[test]
fn c12_c16_a_union_pends_until_all_its_leaves_end_and_has_each_once() {
    each_source(|source| {
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let pending = source.many::<3>();
            let [one, two, three] = pending.each_ref().map(|pending| &pending.fence);
            let nested = union(&[&union(&[one, two]), &union(&[two, three]), &union(&[&union(&[three, one]), two])]);
            assert_eq!(nested.leaves().len(), 3, "{source:?}");
            assert!(nested.leaves().iter().all(|leaf| leaf.leaves().len() == 1), "leaves are no unions");
            let readable = nested.descriptor().unwrap();
            let mut pending = pending.map(Some);
            for index in order {
                assert!(pends(&nested) && !wait_readable(&readable, now().at()).unwrap(), "{source:?}");
                assert!(nested.wait(Deadline::after(Duration::from_millis(2))).unwrap_err().is_timeout());
                let _ended: Fence = pending[index].take().unwrap().end();
            }
            nested.wait(soon()).unwrap();
            assert!(wait_readable(&readable, soon().at()).unwrap());
        }
    });
}

/// An array of the kernel's keeps the first error in time, and so does a union, also where the others end well.
#[test]
fn c12_r19_the_first_error_is_the_unions_and_ends_nothing_early() {
    for source in [Source::Queue, Source::Point] {
        for order in [[0, 1], [1, 0]] {
            let pending = source.many::<3>();
            let union = union(&pending.each_ref().map(|pending| &pending.fence));
            let [first, second, last] = pending;
            let mut failing = [Some(first), Some(second)];
            for index in order {
                let _ended: Fence = failing[index].take().unwrap().fail(5 + index as i32);
                assert!(pends(&union), "an error does not end it");
                std::thread::sleep(Duration::from_millis(1));
            }
            let _ended: Fence = last.end();
            assert_eq!(union.wait(soon()).unwrap_err().errno(), Some(5 + order[0] as i32), "{source:?}");
            // What failed before a union was made is told all the same.
            let later = source.pending();
            let with_failed = Fence::union(&[union.clone(), later.fence.clone()]);
            let _ended: Fence = later.end();
            assert_eq!(with_failed.wait(soon()).unwrap_err().errno(), Some(5 + order[0] as i32));
        }
    }
}

#[test]
fn c17_c63_c64_ended_leaves_are_told_and_the_next_union_drops_them() {
    each_source(|source| {
        let [one, two] = source.many();
        let both = union(&[&one.fence, &two.fence]);
        let _ended: Fence = one.end();
        let states: Vec<_> = both.leaves().iter().map(pends).collect();
        assert!(pends(&both) && states.contains(&true) && states.contains(&false), "each leaf is told");
        let again = union(&[&both, &both]);
        assert_eq!(places(&again), places(&two.fence));
        let _ended: Fence = two.end();
        again.wait(soon()).unwrap();
        both.wait(soon()).unwrap();
    });
}

/// C17: neither the order of the arguments nor how they are nested changes the answer.
#[test]
fn c17_c61_of_one_context_the_latest_stands_for_all_in_any_order() {
    let (_queue, jobs) = jobs(3);
    let other = Source::Queue.pending();
    let [one, two, three] = [0, 1, 2].map(|index: usize| &jobs[index].0);
    let wanted = places(&union(&[three, &other.fence]));
    for fences in [
        union(&[one, two, three, &other.fence]),
        union(&[three, &other.fence, one]),
        union(&[&union(&[two, &other.fence]), &union(&[three, one])]),
        union(&[&union(&[&union(&[three, &other.fence]), one]), two, two]),
    ] {
        assert_eq!(places(&fences), wanted);
    }
    assert_eq!(places(&union(&[one, two])), places(two), "several of one timeline are the last of them");
    jobs.iter().for_each(|(_, end)| end.send(()).unwrap());
    let _ended: Fence = other.end();
}

#[test]
fn c18_a_union_of_nothing_pending_has_ended_at_the_latest_time() {
    each_source(|source| {
        let ended = source.many::<3>().map(Pending::end);
        let at = |fence: &Fence| match fence.status() {
            Status::Done(at) => at,
            other => panic!("{source:?}: {other:?}"),
        };
        let last = ended.iter().map(at).max().unwrap();
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            assert_eq!(at(&union(&order.map(|index: usize| &ended[index]))), last);
        }
        assert!(Fence::union(&[]).has_ended());
    });
}

/// C61: three points of a timeline, whether it is ours or somebody else's, are the last of them.
#[test]
fn c61_three_points_of_one_timeline_end_with_the_last() {
    let timeline = Timeline::new();
    let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
    let pending = Source::Queue.many::<3>();
    for (point, pending) in (1..).zip(&pending) {
        timeline.submit(point, &pending.fence).unwrap();
    }
    let theirs = [2, 3, 1].map(|point| reader.point(point).fence().unwrap());
    let union = Fence::union(&theirs);
    assert_eq!(places(&union), places(&theirs[1]));
    let ours = Fence::union(&[2, 3, 1].map(|point| timeline.fence(point).unwrap()));
    assert_eq!(ours.leaves().len(), 3, "what stands behind the points");
    for pending in pending {
        assert!(pends(&union) && pends(&ours));
        let _ended: Fence = pending.end();
    }
    union.wait(soon()).unwrap();
    ours.wait(soon()).unwrap();
}

/// 1024 unions over 32 timelines, each compared with a map that keeps the largest point of each.
#[test]
fn c62_a_union_over_many_timelines_is_the_latest_of_each() {
    const LINES: u64 = 32;
    let behind = Source::Queue.pending();
    let timelines: Vec<_> = (0..LINES).map(|_| Timeline::new()).collect();
    let readers: Vec<_> = timelines.iter().map(|line| Reader::new(line.to_fd().unwrap()).unwrap()).collect();
    timelines.iter().for_each(|line| line.submit(1 << 20, &behind.fence).unwrap());
    let (mut random, mut all, mut map) = (1_u64, Fence::signalled(), BTreeMap::new());
    for step in 0..1024 {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let (line, point) = ((random >> 40) % LINES, 1 + (random >> 48) % 1000);
        let next = readers[line as usize].point(point).fence().unwrap();
        let latest = map.entry(next.context()).or_insert(0);
        *latest = point.max(*latest);
        let arguments = if step % 2 == 0 { [all, next] } else { [next, all] };
        all = Fence::union(&arguments);
        assert_eq!(places(&all), map.clone().into_iter().collect::<Vec<_>>());
    }
    assert_eq!(map.len() as u64, LINES);
    let _ended: Fence = behind.end();
    all.wait(soon()).unwrap();
}

/// Whoever waits for a union can give up; it goes on.
#[test]
fn r10_a_cancelled_wait_for_a_union_ends_and_signals_nothing() {
    each_source(|source| {
        let pending = source.many::<2>();
        let union = union(&pending.each_ref().map(|pending| &pending.fence));
        let cancel = Cancel::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| union.wait_unless(&cancel, Deadline::Never));
            std::thread::sleep(Duration::from_millis(5));
            cancel.cancel();
            assert_eq!(*waiter.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
        });
        assert!(pends(&union));
        pending.into_iter().for_each(|pending| drop(pending.end()));
        union.wait(soon()).unwrap();
    });
}

/// R7: only the kernel's fences are fences for a device; with one other among them there is none.
#[test]
fn r7_a_device_waits_for_what_devices_end_and_for_nothing_else() {
    let ours = Source::Queue.many::<2>();
    for fence in [&ours[0].fence, &union(&[&ours[0].fence, &ours[1].fence])] {
        assert_eq!(*fence.sync_file().unwrap_err().kind(), Kind::Unsupported);
    }
    let Some(driver) = crate::sources::driver() else { return };
    let theirs = driver.many::<2>();
    let both = union(&[&theirs[0].fence, &theirs[1].fence]);
    assert_eq!(handover_sys::sync_file::count(both.sync_file().unwrap()).unwrap(), 2);
    assert!(union(&[&theirs[0].fence, &ours[0].fence]).sync_file().is_err());
    ours.into_iter().chain(theirs).for_each(|pending| drop(pending.end()));
    both.wait(soon()).unwrap();
}
