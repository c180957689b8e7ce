//! A front buffer: a surface that its consumer has already, drawn into again without a swap. What a chip clears fast it keeps to itself,
//! so the consumer sees the metadata's clear colour until the producer flushes, and the right one from then on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::stdin;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use handover::transport::{Channel, Trust};
use handover::{
    Access, Deadline, Device, ExportFlags, Extent, Format, Handle, Lease, Options, Region, Resolve, Surface,
    SurfaceUsages, acquire, allocate, export, flush, import, negotiate,
};

const CHILD: &str = "HANDOVER_TEST_FRONT_BUFFER";
const NAME: &str = "a_consumer_sees_a_fast_clear_once_it_is_flushed";
const EXTENT: (u32, u32) = (300, 200);

/// Chips that compress.
const CHIPS: [Device; 3] = [Device::VEGA10, Device::NAVI21, Device::TIGERLAKE];

const DRAWN: u32 = 0xff20_4080;
const CLEARED: u32 = 0xffc0_5020;
/// What the metadata of every surface says of blocks that were cleared.
const STALE: u32 = 0xff00_0000;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn lease(surface: &Surface, access: Access) -> Lease {
    acquire(&[(surface, access, Region::WHOLE)], soon()).unwrap().wait().unwrap()
}

fn make(device: Device) -> Surface {
    let formats = [Format::XRGB8888];
    let ours = device.offer("application", &formats, SurfaceUsages::WRITE);
    let theirs = device.offer("server", &formats, SurfaceUsages::READ);
    let agreement = negotiate(Extent::new(EXTENT.0, EXTENT.1).unwrap(), &[ours, theirs]).unwrap();
    assert!(agreement.modifier.parse().unwrap().is_compressed(), "{device}: {}", agreement.modifier);
    allocate(device, &agreement, &Options::default()).unwrap().remove(0)
}

/// Asks the other process what it sees now.
fn seen_by(child: &Channel) -> u32 {
    child.send_bytes(b"look", &[], soon()).unwrap();
    let (answer, _) = child.receive_bytes(0, soon()).unwrap().expect("the consumer is gone");
    u32::from_le_bytes(answer.try_into().unwrap())
}

#[test]
fn a_consumer_sees_a_fast_clear_once_it_is_flushed() {
    if let Ok(chip) = std::env::var(CHILD) {
        return consume(Device::from_name(&chip).unwrap());
    }
    for device in CHIPS {
        let surface = make(device);
        let held = lease(&surface, Access::Write);
        let picture = DRAWN.to_le_bytes().repeat((EXTENT.0 * EXTENT.1) as usize);
        held.write(&surface).unwrap().write_image(0, &picture, EXTENT.0 as usize * 4).unwrap();
        held.release().unwrap();

        let (here, there) = Channel::pair().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, device.name())
            .stdin(Stdio::from(OwnedFd::from(there)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let exported = export(&surface, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, soon()).unwrap();
        assert_eq!(exported.decision.resolve, Resolve::ByFlush, "{device}");
        let (message, [pixels, control]) = exported.handle.into_parts();
        here.send_bytes(&message, &[pixels.as_fd(), control.as_fd()], soon()).unwrap();
        assert_eq!(seen_by(&here), DRAWN, "{device}: what was drawn before the export");

        let held = lease(&surface, Access::Write);
        held.write(&surface).unwrap().clear(CLEARED).unwrap();
        held.release().unwrap();
        assert_eq!(seen_by(&here), STALE, "{device}: cleared and not flushed");

        let held = lease(&surface, Access::Write);
        assert!(flush(&held, &surface).unwrap() > 0, "{device}");
        held.release().unwrap();
        assert_eq!(seen_by(&here), CLEARED, "{device}: flushed");

        let held = lease(&surface, Access::Write);
        assert_eq!(flush(&held, &surface).unwrap(), 0, "{device}: a second flush finds nothing");
        held.release().unwrap();
        drop(here);
        assert!(child.wait().unwrap().success(), "{device}");
    }
}

/// The other process: tells the one colour of the surface whenever it is asked.
fn consume(device: Device) {
    let channel = Channel::from_fd(stdin().as_fd().try_clone_to_owned().unwrap(), Trust::SameUser).unwrap();
    let (message, descriptors) = channel.receive_bytes(2, soon()).unwrap().expect("the producer is gone");
    let surface = import(Handle::from_parts(&message, descriptors).unwrap(), device).unwrap();
    while channel.receive_bytes(0, soon()).unwrap().is_some() {
        let held = lease(&surface, Access::Read);
        let mut image = vec![0; (EXTENT.0 * EXTENT.1 * 4) as usize];
        held.read(&surface).unwrap().read_image(0, &mut image, EXTENT.0 as usize * 4).unwrap();
        held.release().unwrap();
        let (pixels, _) = image.as_chunks::<4>();
        assert!(pixels.iter().all(|pixel| *pixel == pixels[0]), "{device}: not one colour");
        channel.send_bytes(&pixels[0], &[], soon()).unwrap();
    }
}
