//! A device that is lost while something is under way on it: what waits, what is held and what runs end as the contract of
//! [`handover::Habit`] says, and nobody's pixels change under him.
//!
//! A device is known by its value, so each test loses one of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::channel;

use common::{Parts, copy, lease, soon};
use handover::queue::{Bound, MemoryJob};
use handover::{
    Access, Bytes, Device, ExportFlags, Extent, Format, Habit, Kind, Lease, Options, Queue, Region, Result, Stage,
    Surface, SurfaceUsages, Writers, acquire, allocate, export, import, negotiate, try_acquire,
};

fn options() -> Options {
    Options { writers: Writers::Open, ..Options::default() }
}

fn buffer(device: Device) -> Surface {
    allocate::buffer(device, Bytes(4096), &options()).unwrap().remove(0)
}

fn write(surface: &Surface) -> Result<()> {
    acquire(&[(surface, Access::Write, Region::WHOLE)], soon())?.wait()?.release()
}

/// A job that loses its device in line fails without having had its turn: whoever has the turn keeps his pixels to himself.
#[test]
fn a_job_that_never_began_touches_no_pixel_of_the_lease_before_it() {
    let device = Device::NAVI21.with_habit(Habit::LostAfter(3));
    let formats = [Format::XRGB8888];
    let offers = [
        device.offer("producer", &formats, SurfaceUsages::RENDER),
        Device::NAVI21.offer("consumer", &formats, SurfaceUsages::READ),
    ];
    let agreement = negotiate(Extent::new(64, 64).unwrap(), &offers).unwrap();
    let (ours, second) = (allocate(device, &agreement, &options()).unwrap().remove(0), buffer(device));
    // Who exports without explicit flushes tracks: the end of a write resolves what it cleared.
    let sent = Parts::of(export(&ours, ExportFlags::READ, soon()).unwrap().handle);
    let (memory, at) = (File::from(copy(&sent.pixels)), ours.layout().plane(1).unwrap().offset.get());
    let states = || {
        let mut states = [0; 64];
        memory.read_exact_at(&mut states, at).unwrap();
        states
    };
    let held = lease(&ours, Access::Write);
    held.write(&ours).unwrap().clear(0xff12_3456).unwrap();
    let pending = states();
    let queue = Queue::new("engine").unwrap();
    let job = queue.submit(&[(&ours, Access::Write, Region::WHOLE)], &[], soon(), |_| panic!("not its turn")).unwrap();
    write(&second).unwrap();
    write(&second).unwrap();
    assert_eq!(*write(&second).unwrap_err().kind(), Kind::DeviceLost);
    assert_eq!(*job.wait(soon()).unwrap_err().kind(), Kind::DeviceLost);
    assert_eq!(states(), pending, "resolved under the lease that is still held");
    drop(held);
    assert_ne!(states(), pending, "resolved at the end of the lease that cleared");
}

/// The same surface on a device that lives.
fn peer(ours: &Surface) -> Surface {
    import(Parts::of(export(ours, ExportFlags::READ, soon()).unwrap().handle).handle(), Device::PLAIN).unwrap()
}

/// A job that was given a share of a lease ends with the device; the lease stays its holder's, and nobody comes in between.
#[test]
fn a_lease_that_was_submitted_is_held_until_it_is_given_up() {
    let device = Device::PLAIN.with_habit(Habit::LostAfter(1));
    let (ours, second, queue) = (buffer(device), buffer(device), Queue::new("engine").unwrap());
    let theirs = peer(&ours);
    let held = lease(&ours, Access::Write);
    let (elsewhere, other) = (buffer(Device::PLAIN), Queue::new("other").unwrap());
    let (end, ended) = channel::<()>();
    let before = other.submit(&[(&elsewhere, Access::Write, Region::WHOLE)], &[], soon(), move |_| {
        let _ = ended.recv();
        Ok(())
    });
    let before = before.unwrap();
    let job = queue.submit_lease(&held, &[before], soon(), |_| panic!("not its turn")).unwrap();
    write(&second).unwrap_err();
    assert_eq!(*job.wait(soon()).unwrap_err().kind(), Kind::DeviceLost);
    let read = || try_acquire(&[(&theirs, Access::Read, Region::WHOLE)]).unwrap();
    assert!(read().is_none());
    drop(held);
    assert_eq!(read().unwrap().torn_by(), Some(19));
    drop(end);
}

/// A device is lost while a job runs, which does not notice: its fence and its entry say the same.
#[test]
fn a_job_whose_device_is_lost_while_it_runs_fails_by_its_fence_and_by_its_entry() {
    let device = Device::PLAIN.with_habit(Habit::LostAfter(2));
    let (ours, second, queue) = (buffer(device), buffer(device), Queue::new("engine").unwrap());
    let theirs = Parts::of(export(&ours, ExportFlags::READ, soon()).unwrap().handle);
    let theirs = import(theirs.handle(), Device::PLAIN).unwrap();
    let ((tell, began), (end, ended)) = (channel(), channel::<()>());
    let job = queue.submit(&[(&ours, Access::Write, Region::WHOLE)], &[], soon(), move |_| {
        let _ = tell.send(());
        let _ = ended.recv();
        Ok(())
    });
    began.recv().unwrap();
    write(&second).unwrap();
    assert_eq!(*write(&second).unwrap_err().kind(), Kind::DeviceLost);
    drop(end);
    let error = job.unwrap().wait(soon()).unwrap_err();
    assert_eq!((error.kind(), error.errno()), (&Kind::DeviceLost, Some(19)), "{error}");
    assert_eq!(lease(&theirs, Access::Read).torn_by(), Some(19));
}

/// What would begin after the loss is refused at once, on whatever way it is submitted; who polls is told when he polls.
#[test]
fn nothing_is_submitted_to_a_lost_device_and_who_polls_is_told() {
    let device = Device::PLAIN.with_habit(Habit::LostAfter(4));
    let (ours, second, queue) = (buffer(device), buffer(device), Queue::new("engine").unwrap());
    let theirs = peer(&ours);
    let held = lease(&second, Access::Read);
    let reading = lease(&theirs, Access::Read);
    let set = [(&ours, Access::Write, Region::WHOLE)];
    let (mut polled, mut collected) = (acquire(&set, soon()).unwrap(), acquire(&set, soon()).unwrap());
    assert!(polled.poll().unwrap().is_none() && collected.poll_collect().unwrap().is_none());
    let other = buffer(device);
    (1..4).for_each(|_| write(&other).unwrap());
    write(&other).unwrap_err();
    let plain = buffer(Device::PLAIN);
    let mut bound = Bound::new();
    bound.bind(&ours);
    let job = |_: &Lease| -> Result<()> { panic!("its device is lost") };
    let named = [(&plain, Access::Read, Region::WHOLE)];
    let answers = [
        polled.poll().map(drop),
        collected.poll_collect().map(drop),
        queue.submit_memory(MemoryJob::Move, &[&ours], &[], soon(), job).map(drop),
        queue.submit_memory(MemoryJob::PageTables, &[&plain, &ours], &[], soon(), job).map(drop),
        queue.submit_bound(&bound, &named, &[], soon(), job).map(drop),
        queue.submit_lease(&held, &[], soon(), job).map(drop),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let error = answer.unwrap_err();
        assert_eq!((error.stage(), error.kind()), (Stage::Acquire, &Kind::DeviceLost), "{index}: {error}");
    }
    drop(reading);
    assert!(!lease(&theirs, Access::Read).is_torn(), "they left the line and wrote nothing");
}
