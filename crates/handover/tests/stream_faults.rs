//! Streams that go wrong: drafts dropped and mixed up, ends that disagree, a slow reader beside a fast one, a death with frames
//! on their way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::thread;
use std::time::{Duration, Instant};

use handover::stream::{Consumer, Delivery, MAX_SURFACES, Producer};
use handover::transport::Channel;
use handover::{Deadline, Device, ExportFlags, Extent, Format, Kind, Options, SurfaceUsages, allocate, negotiate};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn producer(surfaces: u32) -> Producer {
    let offer = Device::PLAIN.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(16, 16).unwrap(), &[offer]).unwrap();
    let options = Options { surfaces, ..Options::default() };
    Producer::new(allocate(Device::PLAIN, &agreement, &options).unwrap()).unwrap()
}

/// A consumer on a thread of its own, which does `work` and gives what it gives.
fn join<T: Send + 'static>(
    producer: &mut Producer,
    delivery: Delivery,
    work: impl FnOnce(Consumer) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let (ours, theirs) = Channel::pair().unwrap();
    let consumer = thread::spawn(move || work(Consumer::connect(theirs, Device::PLAIN, delivery, soon()).unwrap()));
    producer.add(ours, ExportFlags::READ, delivery, soon()).unwrap();
    consumer
}

#[test]
fn drafts_have_numbers_of_their_own_and_a_dropped_one_goes_back() {
    let mut producer = producer(3);
    let seen = join(&mut producer, Delivery::Fifo, |mut consumer| {
        let mut numbers = Vec::new();
        while let Some(frame) = consumer.next(soon()).unwrap() {
            frame.acquire(soon()).unwrap().release().unwrap();
            numbers.push(frame.number());
        }
        numbers
    });
    let (first, second) = (producer.next(soon()).unwrap().unwrap(), producer.next(soon()).unwrap().unwrap());
    assert_ne!(first.frame(), second.frame());
    drop(first);
    producer.publish(second).unwrap();
    for _ in 0..5 {
        let draft = producer.next(soon()).unwrap().unwrap();
        producer.publish(draft).unwrap();
    }
    producer.finish(soon()).unwrap();
    assert_eq!(seen.join().unwrap(), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_draft_of_another_producer_is_refused() {
    let (mut one, mut other) = (producer(2), producer(2));
    let hold = |mut consumer: Consumer| consumer.next(soon()).unwrap().is_none();
    let readers = [join(&mut one, Delivery::Fifo, hold), join(&mut other, Delivery::Fifo, hold)];
    let draft = one.next(soon()).unwrap().unwrap();
    assert_eq!(*other.publish(draft).unwrap_err().kind(), Kind::Invalid);
    one.finish(soon()).unwrap();
    other.finish(soon()).unwrap();
    assert!(readers.into_iter().all(|reader| reader.join().unwrap()));
}

#[test]
fn ends_that_disagree_about_delivery_are_told_at_once() {
    let mut producer = producer(2);
    let (ours, theirs) = Channel::pair().unwrap();
    let consumer =
        thread::spawn(move || Consumer::connect(theirs, Device::PLAIN, Delivery::Mailbox, soon()).map(|_| ()));
    assert!(producer.add(ours, ExportFlags::READ, Delivery::Fifo, soon()).is_err());
    assert!(consumer.join().unwrap().is_err());
    assert_eq!(producer.consumers(), 0);
}

#[test]
fn a_slow_mailbox_reader_does_not_hold_up_a_producer_with_a_fast_fifo_reader() {
    let mut producer = producer(3);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let slow = join(&mut producer, Delivery::Mailbox, move |mut consumer| {
        let frame = consumer.next(soon()).unwrap().unwrap();
        let lease = frame.acquire(soon()).unwrap();
        wait.recv().unwrap();
        lease.release().unwrap();
    });
    let fast = join(&mut producer, Delivery::Fifo, |mut consumer| {
        let mut frames = 0;
        while let Some(frame) = consumer.next(soon()).unwrap() {
            frame.acquire(soon()).unwrap().release().unwrap();
            frames += 1;
        }
        frames
    });
    let started = Instant::now();
    for _ in 0..200 {
        let draft = producer.next(soon()).unwrap().unwrap();
        producer.publish(draft).unwrap();
        if producer.consumers() == 2 && started.elapsed() < Duration::from_millis(50) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    producer.finish(soon()).unwrap();
    assert_eq!(fast.join().unwrap(), 200);
    go.send(()).unwrap();
    slow.join().unwrap();
}

#[test]
fn frames_on_their_way_arrive_although_their_producer_is_gone_with_releases_unread() {
    let mut producer = producer(4);
    let (published, may_read) = std::sync::mpsc::channel::<()>();
    let consumer = join(&mut producer, Delivery::Fifo, move |mut consumer| {
        let first = consumer.next(soon()).unwrap().unwrap();
        // The producer never hears of this release.
        first.release().unwrap();
        may_read.recv().unwrap();
        let mut numbers = Vec::new();
        let end = loop {
            match consumer.next(soon()) {
                Ok(Some(frame)) => numbers.push(frame.number()),
                Ok(None) => break Kind::Cancelled,
                Err(error) => break error.kind().clone(),
            }
        };
        (numbers, end)
    });
    let drafts: Vec<_> = (0..4).map(|_| producer.try_next().unwrap().unwrap()).collect();
    for draft in drafts {
        producer.publish(draft).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    drop(producer);
    published.send(()).unwrap();
    assert_eq!(consumer.join().unwrap(), (vec![2, 3, 4], Kind::PeerGone));
}

#[test]
fn the_largest_stream_fits_its_sockets_and_a_larger_one_is_refused() {
    let mut producer = producer(MAX_SURFACES as u32);
    let all = MAX_SURFACES as u64;
    let (taken, may_go_on) = std::sync::mpsc::channel::<()>();
    let consumer = join(&mut producer, Delivery::Fifo, move |mut consumer| {
        thread::sleep(Duration::from_millis(50));
        // Every frame waits in one queue, then every release in the other.
        let frames: Vec<_> = (0..all).map(|_| consumer.next(soon()).unwrap().unwrap()).collect();
        frames.into_iter().for_each(|frame| frame.release().unwrap());
        taken.send(()).unwrap();
        (0..all).filter(|_| consumer.next(soon()).unwrap().is_some()).count() as u64
    });
    for round in 0..2 {
        for _ in 0..all {
            let draft = producer.next(soon()).unwrap().unwrap();
            producer.publish(draft).unwrap();
        }
        if round == 0 {
            may_go_on.recv().unwrap();
        }
    }
    assert_eq!(consumer.join().unwrap(), all);
    let offer = Device::PLAIN.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(1, 1).unwrap(), &[offer]).unwrap();
    let options = Options { surfaces: MAX_SURFACES as u32 + 1, ..Options::default() };
    let surfaces = allocate(Device::PLAIN, &agreement, &options).unwrap();
    assert_eq!(*Producer::new(surfaces).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_mailbox_whose_queue_was_full_is_told_of_the_last_frame_at_the_end() {
    let mut producer = producer(3);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let reader = join(&mut producer, Delivery::Mailbox, move |mut consumer| {
        wait.recv().unwrap();
        let mut last = 0;
        while let Some(frame) = consumer.next(soon()).unwrap() {
            last = frame.number();
        }
        last
    });
    let mut dropped = 0;
    let mut last = 0;
    while dropped < 10 {
        let draft = producer.next(soon()).unwrap().unwrap();
        let published = producer.publish(draft).unwrap();
        (dropped, last) = (dropped + published.dropped, published.frame);
    }
    go.send(()).unwrap();
    producer.finish(soon()).unwrap();
    assert_eq!(reader.join().unwrap(), last);
}
