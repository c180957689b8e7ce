//! Releases by several users: the union of their shares, whoever drops one, dies, or never promised any.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::time::Duration;

use handover::release::{Releases, Schedule};
use handover::timeline::Reader;
use handover::{Deadline, Fence, Kind, Timeline};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// A fence that ends when it is told to: the point of a timeline behind a gate.
fn pending() -> (Fence, std::sync::mpsc::Sender<()>) {
    let queue = handover::Queue::new("user").unwrap();
    let surface =
        handover::allocate::buffer(handover::Device::PLAIN, handover::Bytes(4096), &handover::Options::default())
            .unwrap()
            .remove(0);
    let (end, ended) = std::sync::mpsc::channel();
    let set = [(&surface, handover::Access::Write, handover::Region::WHOLE)];
    let fence = queue
        .submit(&set, &[], soon(), move |_| {
            let _ = ended.recv();
            Ok(())
        })
        .unwrap();
    std::thread::spawn(move || drop(queue));
    (fence, end)
}

/// S3, R14: in every order of three users the release comes with the last, and never before.
#[test]
fn r14_s3_the_release_is_the_union_of_all_shares_in_whatever_order_they_end() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut releases = Releases::new();
        let reader = Reader::new(releases.to_fd().unwrap()).unwrap();
        let (schedule, first) = releases.schedule().unwrap();
        let release = schedule.promise(&reader).unwrap();
        let (second, third) = (first.share(), first.share());
        let (fences, ends): (Vec<_>, Vec<_>) = (0..3).map(|_| pending()).unzip();
        for (share, fence) in [first, second, third].into_iter().zip(&fences) {
            assert!(release.fence().unwrap_err().is_timeout(), "somebody still has his share");
            share.done(fence).unwrap();
        }
        let fence = release.wait_submitted(soon()).unwrap();
        for user in order {
            assert!(!fence.has_ended());
            ends[user].send(()).unwrap();
            fences[user].wait(soon()).unwrap();
        }
        fence.wait(soon()).unwrap();
    }
}

#[test]
fn r11_a_dropped_share_releases_with_an_error_once_the_others_are_done() {
    let mut releases = Releases::new();
    let reader = Reader::new(releases.to_fd().unwrap()).unwrap();
    let (schedule, first) = releases.schedule().unwrap();
    let release = schedule.promise(&reader).unwrap();
    drop(first.share());
    assert!(release.fence().unwrap_err().is_timeout());
    first.done(&Fence::signalled()).unwrap();
    assert_eq!(release.wait(soon()).unwrap_err().errno(), Some(125));
    let (schedule, share) = releases.schedule().unwrap();
    share.done(&Fence::signalled()).unwrap();
    schedule.promise(&reader).unwrap().wait(soon()).unwrap();
}

/// A user in another process has a timeline of his own, and his share follows it.
#[test]
fn r14_a_share_follows_its_users_timeline_and_its_death() {
    let mut releases = Releases::new();
    let reader = Reader::new(releases.to_fd().unwrap()).unwrap();
    for dies in [false, true] {
        let encoder = Timeline::new();
        let theirs = Reader::new(encoder.to_fd().unwrap()).unwrap();
        let (schedule, screen) = releases.schedule().unwrap();
        let release = schedule.promise(&reader).unwrap();
        screen.share().follow(&theirs.point(1)).unwrap();
        screen.done(&Fence::signalled()).unwrap();
        assert!(release.wait(Deadline::after(Duration::from_millis(50))).unwrap_err().is_timeout());
        if !dies {
            encoder.signal(1).unwrap();
        }
        drop(encoder);
        assert_eq!(release.wait(soon()).is_err(), dies);
    }
}

#[test]
fn r15_what_nobody_promised_nobody_waits_for() {
    let releases = Releases::new();
    let reader = Reader::new(releases.to_fd().unwrap()).unwrap();
    assert!(Schedule::default().promise(&reader).is_none());
    assert_eq!(reader.submitted(), 0);
}

/// R13: two buffers come back in the other order, each on its own timeline.
#[test]
fn r13_each_buffer_has_a_timeline_of_its_own() {
    let mut buffers = [Releases::new(), Releases::new()];
    let readers = [0, 1].map(|index: usize| Reader::new(buffers[index].to_fd().unwrap()).unwrap());
    let [(first, one), (second, other)] = [0, 1].map(|index: usize| buffers[index].schedule().unwrap());
    assert_eq!(*buffers[0].schedule().unwrap_err().kind(), Kind::Invalid);
    other.done(&Fence::signalled()).unwrap();
    second.promise(&readers[1]).unwrap().wait(soon()).unwrap();
    assert!(first.promise(&readers[0]).unwrap().fence().unwrap_err().is_timeout());
    one.done(&Fence::signalled()).unwrap();
    first.promise(&readers[0]).unwrap().wait(soon()).unwrap();
}
