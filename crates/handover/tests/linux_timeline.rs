//! Timelines of a driver: submitted, available, complete; and the way between points, fences and buffers.
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

use common::{keeps_descriptors, millis, refusal, soon};
use handover::backend::linux::{Card, Reached, Timeline};
use handover::{Access, Deadline, Kind, Region, acquire};
use handover_sys::poll;
use kernel::{Gpu, need, surface, udmabuf};

fn card() -> Option<Card> {
    need("virtio_gpu", Card::of_driver("virtio_gpu"))
}

fn is_readable(descriptor: &impl AsFd) -> bool {
    poll::wait_readable(descriptor, Deadline::now().at()).unwrap()
}

/// C13, C80, C81, C82: a point completes with those below it, whatever the order.
#[test]
fn c80_a_point_is_complete_when_it_and_all_below_have_ended() {
    let _alone = common::alone();
    let (Some(card), Some(gpu), Some(memory)) = (card(), Gpu::open(), udmabuf()) else { return };
    let (one, two) = (surface(&memory), surface(&memory));
    let timeline = Timeline::new(&card).unwrap();
    assert_eq!((timeline.completed().unwrap(), timeline.submitted().unwrap()), (0, 0));
    let ((first, first_fence), (second, second_fence)) = (gpu.job(&one), gpu.job(&two));
    timeline.submit(1, &first_fence).unwrap();
    timeline.submit(2, &second_fence).unwrap();
    assert_eq!((timeline.completed().unwrap(), timeline.submitted().unwrap()), (0, 2));
    second.end();
    assert_eq!(timeline.completed().unwrap(), 0);
    assert!(refusal("wait", timeline.wait(2, Reached::Complete, millis(20))).to_string().contains("submitted up to 2"));
    // C87: the fence of point 2 holds that of point 1.
    let both = timeline.fence(2).unwrap();
    assert!(!is_readable(&both));
    first.end();
    both.wait(soon()).unwrap();
    timeline.wait(2, Reached::Complete, soon()).unwrap();
    timeline.signal(10).unwrap();
    // C82: a gap is the next point above.
    timeline.wait(7, Reached::Complete, soon()).unwrap();
    assert_eq!(timeline.completed().unwrap(), 10);
}

/// S17: there is no fence of work that nobody has submitted.
#[test]
fn s17_a_point_becomes_a_fence_by_being_submitted_and_not_before() {
    let _alone = common::alone();
    let Some(card) = card() else { return };
    let timeline = Timeline::new(&card).unwrap();
    let error = refusal("fence", timeline.fence(1));
    assert!(error.is_temporary() && error.to_string().contains("available"), "{error}");
    assert!(refusal("available", timeline.wait(1, Reached::Available, millis(20))).is_timeout());
    assert_eq!(*refusal("point 0", timeline.signal(0)).kind(), Kind::Invalid);
    let available = timeline.descriptor(1, Reached::Available).unwrap();
    assert!(!is_readable(&available));
    timeline.signal(1).unwrap();
    assert!(is_readable(&available));
    timeline.wait(1, Reached::Available, soon()).unwrap();
    timeline.fence(1).unwrap().wait(soon()).unwrap();
}

/// C88, C89: where the kernel is silent, the owner speaks.
#[test]
fn c89_who_waits_by_descriptor_is_told_when_the_timeline_goes() {
    let _alone = common::alone();
    let Some(card) = card() else { return };
    let timeline = Timeline::new(&card).unwrap();
    let never = timeline.descriptor(5, Reached::Complete).unwrap();
    drop(timeline);
    assert!(is_readable(&never));
}

/// C90, C100: a point travels as a descriptor, and its fence into a buffer.
#[test]
fn c100_a_point_of_another_open_file_keeps_a_buffer_busy_until_it_is_reached() {
    let _alone = common::alone();
    let (Some(card), Some(other), Some(gpu), Some(memory)) = (card(), card(), Gpu::open(), udmabuf()) else { return };
    assert!(!card.is_same_file(&other));
    let (shared, scratch) = (surface(&memory), surface(&memory));
    let producer = Timeline::new(&card).unwrap();
    let consumer = Timeline::from_fd(&other, producer.to_fd().unwrap()).unwrap();
    let (job, fence) = gpu.job(&scratch);
    producer.submit(1, &fence).unwrap();
    let write = [(&shared, Access::Write, Region::WHOLE)];
    let (lease, before) = acquire(&write, soon()).unwrap().collect().unwrap();
    assert!(before.is_none());
    lease.release_after(&consumer.fence(1).unwrap()).unwrap();
    assert!(refusal("acquire", acquire(&write, millis(30)).unwrap().wait()).is_timeout());
    job.end();
    drop(acquire(&write, soon()).unwrap().wait().unwrap());
    assert_eq!(consumer.completed().unwrap(), 1);
}

#[test]
fn drivers_without_timelines_say_so_and_nothing_leaks() {
    let _alone = common::alone();
    let (Some(card), Some(gpu)) = (card(), Gpu::open()) else { return };
    let error = refusal("vgem", Timeline::new(&gpu.0));
    assert!(*error.kind() == Kind::Unsupported && error.to_string().contains("vgem"), "{error}");
    let error = refusal("a pipe", Timeline::from_fd(&card, std::io::stdin()));
    assert!(error.errno().is_some(), "{error}");
    keeps_descriptors("timelines", || {
        let timeline = Timeline::new(&card).unwrap();
        timeline.wait(0, Reached::Complete, Deadline::Never).unwrap();
        let before = handover_sys::file::open_count().unwrap();
        for point in 1..100 {
            let descriptor = timeline.descriptor(point, Reached::Complete).unwrap();
            timeline.signal(point).unwrap();
            // As event loops do.
            assert_eq!(handover_sys::eventfd::drain(&descriptor).unwrap(), 1);
            drop(descriptor);
            assert!(handover_sys::file::open_count().unwrap() <= before + 1);
            drop(timeline.fence(point).unwrap());
        }
    });
}
