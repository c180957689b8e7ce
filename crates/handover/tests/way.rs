//! The whole way of one surface inside one process: every word once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::time::Duration;

use handover::{
    Access, Deadline, Device, ExportFlags, Extent, Format, Kind, Options, Queue, Region, Resolve, Surface,
    SurfaceUsages, acquire, allocate, export, flush, import, negotiate, try_acquire,
};

const GREEN: u32 = 0xff00_ff00;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn surface(device: Device, consumer: Device) -> Surface {
    let producer = device.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let consumer = consumer.offer("consumer", &[Format::XRGB8888], SurfaceUsages::READ);
    let agreement = negotiate(Extent::new(50, 20).unwrap(), &[producer, consumer]).unwrap();
    allocate(device, &agreement, &Options::default()).unwrap().remove(0)
}

fn image(surface: &Surface) -> Vec<u8> {
    let lease = acquire(&[(surface, Access::Read, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    let mut image = vec![0; 50 * 20 * 4];
    lease.read(surface).unwrap().read_image(0, &mut image, 200).unwrap();
    image
}

#[test]
fn a_surface_goes_all_the_way() {
    for (device, consumer) in [(Device::PLAIN, Device::PLAIN), (Device::BLOCKS, Device::PLAIN.with_blocks_decoder())] {
        let ours = surface(device, consumer);
        let exported = export(&ours, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, soon()).unwrap();
        let theirs = import(exported.handle, consumer).unwrap();
        assert_eq!(ours.id(), theirs.id());

        let lease = acquire(&[(&ours, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
        assert!(try_acquire(&[(&theirs, Access::Read, Region::WHOLE)]).unwrap().is_none());
        lease.write(&ours).unwrap().clear(GREEN).unwrap();
        flush(&lease, &ours).unwrap();
        lease.release().unwrap();

        assert!(image(&theirs).chunks(4).all(|pixel| pixel == GREEN.to_le_bytes()), "{device}");
    }
}

#[test]
fn leaving_out_flush_changes_the_picture() {
    let ours = surface(Device::BLOCKS, Device::BLOCKS);
    let exported = export(&ours, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, soon()).unwrap();
    assert_eq!(exported.decision.resolve, Resolve::ByFlush);
    let theirs = import(exported.handle, Device::BLOCKS).unwrap();
    let lease = acquire(&[(&ours, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    lease.write(&ours).unwrap().clear(GREEN).unwrap();
    lease.release().unwrap();
    assert!(image(&theirs).chunks(4).all(|pixel| pixel != GREEN.to_le_bytes()));
    assert!(image(&ours).chunks(4).all(|pixel| pixel == GREEN.to_le_bytes()));
}

#[test]
fn a_job_holds_its_share_after_the_lease_is_dropped() {
    let ours = surface(Device::PLAIN, Device::PLAIN);
    let queue = Queue::new("engine").unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let lease = acquire(&[(&ours, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    let fence = queue.submit_lease(&lease, &[], soon(), move |_| wait.recv().map_err(|_| unreachable!())).unwrap();
    drop(lease);
    assert!(try_acquire(&[(&ours, Access::Read, Region::WHOLE)]).unwrap().is_none());
    go.send(()).unwrap();
    fence.wait(soon()).unwrap();
    assert!(try_acquire(&[(&ours, Access::Read, Region::WHOLE)]).unwrap().is_some());
}

#[test]
fn a_nested_acquire_ends_at_its_deadline_and_names_both_holders() {
    let ours = surface(Device::PLAIN, Device::PLAIN);
    let _held = acquire(&[(&ours, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    let deadline = Deadline::after(Duration::from_millis(50));
    let error = acquire(&[(&ours, Access::Read, Region::WHOLE)], deadline).unwrap().wait().unwrap_err();
    let Kind::Timeout(blocked) = error.kind() else { panic!("{error}") };
    assert_eq!((blocked.by.len(), blocked.holding.len()), (1, 1), "{error}");
    assert_eq!(blocked.by[0].pid, std::process::id());
}

#[test]
fn a_poll_descriptor_wakes_when_the_turn_comes() {
    let ours = surface(Device::PLAIN, Device::PLAIN);
    let held = acquire(&[(&ours, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    let mut next = acquire(&[(&ours, Access::Read, Region::WHOLE)], soon()).unwrap();
    let descriptor = next.owned_descriptor().unwrap();
    let brief = handover_sys::clock::Monotonic::now().saturating_add(Duration::from_millis(60));
    assert!(!handover_sys::poll::wait_readable(&descriptor, Some(brief)).unwrap());
    held.release().unwrap();
    assert!(handover_sys::poll::wait_readable(&descriptor, soon().at()).unwrap());
    assert!(next.poll().unwrap().is_some());
}
