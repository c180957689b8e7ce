//! The whole way between two processes: a parent that produces, a child that consumes, every word, and what the carrier saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::stdin;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use handover::stream::{Consumer, Delivery, Producer};
use handover::transport::{Channel, Trust};
use handover::{
    Deadline, Device, ExportFlags, Extent, Format, Options, ReadOnly, Resolve, SurfaceUsages, allocate, flush,
    negotiate,
};

const FRAMES: u64 = 10_000;
const EXTENT: (u32, u32) = (40, 24);
const CHILD: &str = "HANDOVER_TEST_CONSUMER";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn colour(frame: u64) -> u32 {
    0xff00_0000 | (frame as u32).wrapping_mul(0x9e37_79b1) >> 8
}

#[test]
fn ten_thousand_frames_between_two_processes_leave_no_descriptor_behind() {
    if std::env::var_os(CHILD).is_some() {
        return consume();
    }
    let formats = [Format::XRGB8888];
    let ours = Device::BLOCKS.offer("producer", &formats, SurfaceUsages::WRITE);
    let theirs = Device::PLAIN.with_blocks_decoder().offer("consumer", &formats, SurfaceUsages::READ);
    let agreement = negotiate(Extent::new(EXTENT.0, EXTENT.1).unwrap(), &[ours, theirs]).unwrap();
    let surfaces = allocate(Device::BLOCKS, &agreement, &Options { surfaces: 3, ..Options::default() }).unwrap();
    let mut producer = Producer::new(surfaces).unwrap();

    let (here, there) = Channel::pair().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ten_thousand_frames_between_two_processes_leave_no_descriptor_behind", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::from(OwnedFd::from(there)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let flags = ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH;
    let (_, decision) = producer.add(here, flags, Delivery::Fifo, soon()).unwrap();
    assert_eq!(decision.resolve, Resolve::ByFlush);

    let before = handover_sys::file::open_count().unwrap();
    let handshake = producer.traffic();
    for frame in 1..=FRAMES {
        let draft = producer.next(soon()).unwrap().expect("the consumer is gone");
        assert_eq!(draft.frame(), frame);
        draft.lease().write(draft.surface()).unwrap().clear(colour(frame)).unwrap();
        flush(draft.lease(), draft.surface()).unwrap();
        producer.publish(draft).unwrap();
    }
    producer.finish(soon()).unwrap();
    let traffic = producer.traffic();
    assert_eq!(traffic.sent_descriptors, handshake.sent_descriptors, "descriptors travel once, not with frames");
    assert!((traffic.sent_bytes - handshake.sent_bytes) / FRAMES < 64, "indices travel, not pixels");
    assert_eq!(handover_sys::file::open_count().unwrap(), before);
    assert!(child.wait().unwrap().success());
}

fn consume() {
    let channel = Channel::from_fd(stdin().as_fd().try_clone_to_owned().unwrap(), Trust::SameUser).unwrap();
    let device = Device::PLAIN.with_blocks_decoder();
    let mut consumer = Consumer::connect(channel, device, Delivery::Fifo, soon()).unwrap();
    assert!(consumer.surfaces().iter().all(|surface| surface.read_only() == ReadOnly::Sealed));
    let before = handover_sys::file::open_count().unwrap();
    let mut frames = 0;
    while let Some(frame) = consumer.next(soon()).unwrap() {
        frames += 1;
        assert_eq!(frame.number(), frames);
        let lease = frame.acquire(soon()).unwrap();
        let mut image = vec![0; (EXTENT.0 * EXTENT.1 * 4) as usize];
        lease.read(frame.surface()).unwrap().read_image(0, &mut image, EXTENT.0 as usize * 4).unwrap();
        assert!(image.chunks(4).all(|pixel| pixel == colour(frames).to_le_bytes()), "frame {frames}");
    }
    assert_eq!(frames, FRAMES);
    assert_eq!(handover_sys::file::open_count().unwrap(), before);
}
