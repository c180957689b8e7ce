//! Streams whose frames a device still draws when they are published.
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

use std::thread;

use common::{alone, millis, refusal, soon};
use handover::backend::linux::SyncFile;
use handover::stream::{Consumer, Delivery, Producer};
use handover::transport::Channel;
use handover::{Access, Device, Elements, ExportFlags, Kind, Region, Surface, Writers, acquire};
use handover_sys::sync_file::Status;
use kernel::{Gpu, surface, surfaces, udmabuf};

/// A producer and its consumer, both in this thread.
fn stream(surfaces: Vec<Surface>) -> (Producer, Consumer) {
    let mut producer = Producer::new(surfaces).unwrap();
    let (ours, theirs) = Channel::pair().unwrap();
    let connects = thread::spawn(move || Consumer::connect(theirs, Device::PLAIN, Delivery::Fifo, soon()).unwrap());
    producer.add(ours, ExportFlags::READ, Delivery::Fifo, soon()).unwrap();
    (producer, connects.join().unwrap())
}

fn fence(gpu: &Gpu, scratch: &Surface) -> SyncFile {
    let (job, fence) = gpu.job(scratch);
    job.end();
    fence
}

#[test]
fn readers_of_a_frame_wait_for_the_device_that_draws_it() {
    let _turn = alone();
    let (Some(gpu), Some(memory)) = (Gpu::open(), udmabuf()) else { return };
    let scratch = surface(&memory);
    let (mut producer, mut consumer) = stream(surfaces(&memory, 2, Writers::Open));
    let draft = producer.next(soon()).unwrap().unwrap();
    draft.lease().write(draft.surface()).unwrap().write(0, Elements(0), 0, &[9, 8, 7, 6]).unwrap();
    let (job, fence) = gpu.job(&scratch);
    let published = producer.publish_after(draft, &fence).unwrap();
    assert_eq!((published.frame, published.sent), (1, 1));
    assert_eq!(fence.status().unwrap(), Status::Pending, "publishing waits for nobody, and the fence stays open");

    let frame = consumer.next(soon()).unwrap().unwrap();
    assert_eq!(frame.number(), 1);
    // A device takes the fence along.
    let wish = [(frame.surface(), Access::Read, Region::WHOLE)];
    let (lease, before) = acquire(&wish, soon()).unwrap().collect().unwrap();
    assert_eq!(before.unwrap().status().unwrap(), Status::Pending);
    drop(lease);
    // A CPU waits.
    assert!(refusal("a reader", frame.acquire(millis(50))).is_timeout());
    job.end();
    let lease = frame.acquire(soon()).unwrap();
    let mut pixel = [0; 4];
    lease.read(frame.surface()).unwrap().read(0, Elements(0), 0, &mut pixel).unwrap();
    assert_eq!(pixel, [9, 8, 7, 6]);
    drop((lease, frame));

    // Frames go on, drawn by devices or not.
    for number in 2..=7 {
        let draft = producer.next(soon()).unwrap().unwrap();
        match number % 2 {
            0 => producer.publish(draft).unwrap(),
            _ => producer.publish_after(draft, &self::fence(&gpu, &scratch)).unwrap(),
        };
        let frame = consumer.next(soon()).unwrap().unwrap();
        assert_eq!(frame.number(), number);
        drop(frame.acquire(soon()).unwrap());
    }
    let ends = thread::spawn(move || consumer.next(soon()).unwrap().is_none());
    producer.finish(soon()).unwrap();
    assert!(ends.join().unwrap());
}

#[test]
fn a_frame_that_takes_no_fence_comes_back_and_is_published_later() {
    let _turn = alone();
    let (Some(gpu), Some(memory)) = (Gpu::open(), udmabuf()) else { return };
    let scratch = surface(&memory);
    // Memory without a reservation of the kernel's.
    let plain = common::surfaces(Device::PLAIN, handover::Format::XRGB8888, (64, 48), 2, Writers::Open);
    let (mut producer, mut consumer) = stream(plain);
    let draft = producer.next(soon()).unwrap().unwrap();
    let (job, fence) = gpu.job(&scratch);
    let undrawn = producer.publish_after(draft, &fence).unwrap_err();
    assert_eq!(*undrawn.error.kind(), Kind::Unsupported, "{undrawn}");
    assert!(undrawn.to_string().contains("memfd"), "{undrawn}");
    // Still drafted, and still held.
    assert!(consumer.next(millis(30)).is_err_and(|error| error.is_timeout()));
    let surface = undrawn.draft.surface().clone();
    assert!(handover::try_acquire(&[(&surface, Access::Write, Region::WHOLE)]).unwrap().is_none());
    job.end();
    fence.wait(soon()).unwrap();
    let published = producer.publish(undrawn.draft).unwrap();
    let frame = consumer.next(soon()).unwrap().unwrap();
    assert_eq!((frame.number(), published.sent), (published.frame, 1));
    drop(frame.acquire(soon()).unwrap());
}

#[test]
fn a_draft_of_another_producer_comes_back_too() {
    let _turn = alone();
    let (Some(gpu), Some(memory)) = (Gpu::open(), udmabuf()) else { return };
    let scratch = surface(&memory);
    let (mut one, _reader) = stream(surfaces(&memory, 1, Writers::Open));
    let (mut other, _other_reader) = stream(surfaces(&memory, 1, Writers::Open));
    let draft = one.next(soon()).unwrap().unwrap();
    let undrawn = other.publish_after(draft, &fence(&gpu, &scratch)).unwrap_err();
    assert_eq!(*undrawn.error.kind(), Kind::Invalid, "{undrawn}");
    assert_eq!(one.publish(undrawn.draft).unwrap().sent, 1);
}
