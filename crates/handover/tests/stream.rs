//! Streams inside one process, each end on its own thread: every frame, the newest frame, and ends that vanish.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::thread;
use std::time::{Duration, Instant};

use handover::stream::{Consumer, Delivery, Producer};
use handover::transport::Channel;
use handover::{
    Deadline, Device, ExportFlags, Extent, Format, Kind, Options, SurfaceUsages, allocate, flush, negotiate,
};

const READ: ExportFlags = ExportFlags::READ.union(ExportFlags::EXPLICIT_FLUSH);

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn producer(surfaces: u32) -> Producer {
    let offer = |party, usages| Device::BLOCKS.offer(party, &[Format::XRGB8888], usages);
    let offers = [offer("producer", SurfaceUsages::WRITE), offer("consumer", SurfaceUsages::READ)];
    let agreement = negotiate(Extent::new(64, 32).unwrap(), &offers).unwrap();
    let options = Options { surfaces, ..Options::default() };
    Producer::new(allocate(Device::BLOCKS, &agreement, &options).unwrap()).unwrap()
}

fn draw(producer: &mut Producer, colour: u32) {
    let draft = producer.next(soon()).unwrap().unwrap();
    draft.lease().write(draft.surface()).unwrap().clear(colour).unwrap();
    flush(draft.lease(), draft.surface()).unwrap();
    producer.publish(draft).unwrap();
}

fn colour(consumer: &mut Consumer) -> Option<u32> {
    let frame = consumer.next(soon()).unwrap()?;
    let lease = frame.acquire(soon()).unwrap();
    let mut pixel = [0; 4];
    lease.read(frame.surface()).unwrap().read(0, handover::Elements(5), 7, &mut pixel).unwrap();
    Some(u32::from_le_bytes(pixel))
}

#[test]
fn every_fifo_consumer_gets_every_frame_in_order_and_no_descriptor_travels_with_one() {
    let mut producer = producer(3);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (ours, theirs) = Channel::pair().unwrap();
            let reader = thread::spawn(move || {
                let mut consumer = Consumer::connect(theirs, Device::BLOCKS, Delivery::Fifo, soon()).unwrap();
                let mut seen = Vec::new();
                while let Some(colour) = colour(&mut consumer) {
                    seen.push(colour);
                }
                assert_eq!(consumer.traffic().received_descriptors, 6, "two a surface, once");
                seen
            });
            producer.add(ours, READ, Delivery::Fifo, soon()).unwrap();
            reader
        })
        .collect();
    let colours: Vec<u32> = (1..=100).collect();
    colours.iter().for_each(|colour| draw(&mut producer, *colour));
    producer.finish(soon()).unwrap();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), colours);
    }
}

#[test]
fn a_slow_mailbox_consumer_never_blocks_the_producer_and_gets_the_newest_frame() {
    let mut producer = producer(3);
    let (ours, theirs) = Channel::pair().unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let reader = thread::spawn(move || {
        let mut consumer = Consumer::connect(theirs, Device::BLOCKS, Delivery::Mailbox, soon()).unwrap();
        let first = consumer.next(soon()).unwrap().unwrap();
        let lease = first.acquire(soon()).unwrap();
        wait.recv().unwrap();
        drop((lease, first));
        let newest = colour(&mut consumer).unwrap();
        (newest, consumer.skipped(), colour(&mut consumer))
    });
    producer.add(ours, ExportFlags::READ, Delivery::Mailbox, soon()).unwrap();
    draw(&mut producer, 1);
    thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    (2..=50).for_each(|colour| draw(&mut producer, colour));
    assert!(started.elapsed() < Duration::from_secs(5));
    producer.finish(soon()).unwrap();
    go.send(()).unwrap();
    let (newest, skipped, end) = reader.join().unwrap();
    assert_eq!((newest, skipped, end), (50, 48, None));
}

#[test]
fn a_consumer_that_vanishes_holds_nothing_and_the_last_one_ends_the_stream() {
    let mut producer = producer(2);
    let (ours, theirs) = Channel::pair().unwrap();
    let reader = thread::spawn(move || {
        let mut consumer = Consumer::connect(theirs, Device::BLOCKS, Delivery::Fifo, soon()).unwrap();
        let held = consumer.next(soon()).unwrap().unwrap();
        (consumer, held)
    });
    let (id, _) = producer.add(ours, READ, Delivery::Fifo, soon()).unwrap();
    draw(&mut producer, 1);
    draw(&mut producer, 2);
    let full = producer.next(Deadline::after(Duration::from_millis(50))).unwrap_err();
    assert!(full.is_timeout(), "{full}");
    assert!(producer.try_next().unwrap().is_none());
    drop(reader.join().unwrap());
    thread::sleep(Duration::from_millis(10));
    assert!(producer.next(soon()).unwrap().is_none());
    assert_eq!(producer.gone(), [id]);
}

#[test]
fn a_producer_that_vanishes_is_told_from_one_that_ended() {
    for ends in [true, false] {
        let mut producer = producer(2);
        let (ours, theirs) = Channel::pair().unwrap();
        let reader = thread::spawn(move || {
            let mut consumer = Consumer::connect(theirs, Device::BLOCKS, Delivery::Fifo, soon()).unwrap();
            consumer.next(soon()).map(|frame| frame.is_some()).map_err(|error| error.kind().clone())
        });
        producer.add(ours, READ, Delivery::Fifo, soon()).unwrap();
        if ends {
            producer.finish(soon()).unwrap();
        }
        drop(producer);
        let expected = if ends { Ok(false) } else { Err(Kind::PeerGone) };
        assert_eq!(reader.join().unwrap(), expected);
    }
}

#[test]
fn a_later_export_that_drops_compression_loses_no_frame_of_earlier_consumers() {
    let options = Options { surfaces: 2, writers: handover::Writers::Open, ..Options::default() };
    let offers = [Device::BLOCKS.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE)];
    let agreement = negotiate(Extent::new(64, 32).unwrap(), &offers).unwrap();
    let mut producer = Producer::new(allocate(Device::BLOCKS, &agreement, &options).unwrap()).unwrap();
    let connect = |theirs| {
        thread::spawn(move || {
            let mut consumer = Consumer::connect(theirs, Device::BLOCKS, Delivery::Fifo, soon()).unwrap();
            let mut seen = Vec::new();
            while let Some(colour) = colour(&mut consumer) {
                seen.push(colour);
            }
            seen
        })
    };
    let (ours, theirs) = Channel::pair().unwrap();
    let first = connect(theirs);
    producer.add(ours, READ, Delivery::Fifo, soon()).unwrap();
    let (ours, theirs) = Channel::pair().unwrap();
    let second = connect(theirs);
    let (_, decision) = producer.add(ours, ExportFlags::READ | ExportFlags::WRITE, Delivery::Fifo, soon()).unwrap();
    assert_eq!(decision.compression, handover_model::export::Outcome::Dropped);
    (1..=5).for_each(|colour| draw(&mut producer, colour));
    producer.finish(soon()).unwrap();
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]));
}
