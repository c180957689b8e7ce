//! Awkward habits of devices: what an offer does not tell shows when somebody tries, is told to whoever comes after, and hangs nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;

use common::{
    Other, PATIENCE, Parts, alone, hear, hear_parts, keeps_descriptors, lease, parent, refusal, role, say, soon,
};
use handover::backend::Software;
use handover::negotiate::{Agreement, Party, Proven, answer, prove};
use handover::{
    Access, Backend, Bytes, Device, ExportFlags, Extent, Format, Habit, Kind, Lease, Offer, Options, Queue, Region,
    Result, Stage, Surface, SurfaceUsages, Writers, acquire, allocate, export, flush, import, negotiate, try_acquire,
};

const SMALL: (u32, u32) = (64, 64);
const REAL: (u32, u32) = (640, 480);
const LARGE: Habit = Habit::CompressesBelow(Bytes(512 * 1024));

fn offers(producer: Device, consumer: Device) -> [Offer; 2] {
    let offer = |device: Device, party, usages| device.offer(party, &[Format::XRGB8888], usages);
    [offer(producer, "producer", SurfaceUsages::RENDER), offer(consumer, "consumer", SurfaceUsages::READ)]
}

fn agree(offers: &[Offer], size: (u32, u32)) -> Agreement {
    negotiate(Extent::new(size.0, size.1).unwrap(), offers).unwrap()
}

fn options() -> Options {
    Options { writers: Writers::Open, ..Options::default() }
}

/// The agreement tried by a consumer in a process of its own, on this device.
fn tried(agreement: &Agreement, producer: Device, consumer: &str, access: Access) -> Result<Proven> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_process", "--nocapture"]).env("HANDOVER_TEST_ROLE", format!("try {consumer}"));
    let mut parties = [Party { name: "consumer".into(), access, command }];
    let software: Arc<dyn Backend> = Arc::new(Software);
    prove(producer, agreement, &options(), &[software], &mut parties, PATIENCE)
}

fn buffer(device: Device) -> Surface {
    allocate::buffer(device, Bytes(4096), &options()).unwrap().remove(0)
}

fn write(surface: &Surface) -> Result<()> {
    acquire(&[(surface, Access::Write, Region::WHOLE)], soon())?.wait()?.release()
}

#[test]
fn names_with_habits_are_read_back_and_offers_do_not_tell_them() {
    for device in [Device::NAVI21, Device::PLAIN.with_decoder(), Device::PLAIN.with_blocks_decoder()] {
        for habit in [LARGE, Habit::FirstSubmissionFails, Habit::LostAfter(3)] {
            let awkward = device.with_habit(habit);
            assert_eq!((Device::from_name(&awkward.name()), awkward.habit()), (Some(awkward), Some(habit)));
            assert_eq!(offers(awkward, awkward), offers(device, device), "{awkward}");
        }
    }
    assert_eq!(Device::NAVI21.with_habit(Habit::LostAfter(3)).name(), "navi21+lost-after=3");
    for name in ["navi21+lost-after", "navi21+lost-after=-1", "navi21+lost-after=03", "navi21+lost-after=1+decode", "+"]
    {
        assert_eq!(Device::from_name(name), None, "{name}");
    }
}

/// An agreement that held at one size does not at the real one, on either side: the proof at that size says so, and the next best holds.
#[test]
fn compression_only_below_a_size_is_found_by_a_proof_at_the_real_size() {
    let _alone = alone();
    let (able, awkward) = (Device::NAVI21, Device::NAVI21.with_habit(LARGE));
    for (producer, consumer, who) in [(awkward, able, "its allocator"), (able, awkward, "consumer")] {
        let mut offers = offers(producer, consumer);
        let small = agree(&offers, SMALL);
        assert!(small.modifier.parse().unwrap().is_compressed());
        assert!(tried(&small, producer, &consumer.name(), Access::Read).unwrap().refused.is_empty());

        let real = agree(&offers, REAL);
        assert_eq!(real.modifier, small.modifier, "the offers are the same");
        let error = refusal("a proof", tried(&real, producer, &consumer.name(), Access::Read));
        let Kind::Conflict(conflict) = error.kind() else { panic!("{error}") };
        assert_eq!((conflict.field, conflict.right.0.as_str()), ("memory", who));
        assert!(conflict.right.1.contains("compresses only what has less than 524288"), "{conflict}");

        offers[0].entries.retain(|entry| !entry.modifier.parse().unwrap().is_compressed());
        let next = agree(&offers, REAL);
        assert!(!next.modifier.parse().unwrap().is_compressed());
        assert_eq!(tried(&next, producer, &consumer.name(), Access::Read).unwrap().agreement, next);
    }
    // Without a modifier nothing was promised: the driver leaves compression out by itself.
    let implicit = |size: (u32, u32)| {
        let extent = Extent::new(size.0, size.1).unwrap();
        allocate::implicit(awkward, Format::XRGB8888, extent, &options()).unwrap().remove(0)
    };
    assert!(implicit(SMALL).layout().has_compression() && !implicit(REAL).layout().has_compression());
}

/// The import is good; who tries a submission before relying on it finds out.
#[test]
fn a_submission_that_fails_after_a_good_import_is_found_by_a_proof() {
    let _alone = alone();
    let consumer = Device::NAVI21.with_habit(Habit::FirstSubmissionFails);
    let agreement = agree(&offers(Device::NAVI21, consumer), SMALL);
    let error = keeps_descriptors("a proof", || {
        refusal("a proof", tried(&agreement, Device::NAVI21, &consumer.name(), Access::Read))
    });
    let Kind::Conflict(conflict) = error.kind() else { panic!("{error}") };
    assert_eq!(conflict.right.0, "consumer");
    assert!(conflict.right.1.contains("the first submission") && conflict.right.1.contains("errno 5"), "{conflict}");
}

/// Without a proof it is an error like any: the next reader learns that the content is torn, and nobody waits.
#[test]
fn a_submission_that_fails_without_a_proof_is_told_to_whoever_comes_after() {
    let _alone = alone();
    for how in ["job", "lease"] {
        let ours = buffer(Device::PLAIN);
        let other = Other::start(&format!("fail {how}"));
        Parts::of(export(&ours, ExportFlags::READ | ExportFlags::WRITE, soon()).unwrap().handle).send(&other.socket);
        let told = other.hear();
        assert!(told.contains("its import was good") && told.contains("errno 5"), "{how}: {told}");
        let held = lease(&ours, Access::Read);
        assert_eq!(held.torn_by(), Some(5), "{how}");
        held.release().unwrap();
        other.tell("again");
        assert_eq!(other.hear(), "written", "only the first one fails");
        assert!(!lease(&ours, Access::Read).is_torn(), "{how}");
    }
}

/// The device of another process is lost while a job of its waits for us, and we for that job: we are told at once.
#[test]
fn who_waits_for_a_device_that_is_lost_is_woken_and_told() {
    let _alone = alone();
    let ours = buffer(Device::PLAIN);
    let other = Other::start("lost");
    Parts::of(export(&ours, ExportFlags::READ | ExportFlags::WRITE, soon()).unwrap().handle).send(&other.socket);
    let held = lease(&ours, Access::Read);
    other.tell("submit");
    assert_eq!(other.hear(), "pending");
    let behind = acquire(&[(&ours, Access::Read, Region::WHOLE)], soon()).unwrap();
    other.tell("lose");
    // Ours is still held: the job ends with its device and not with us.
    let after = behind.wait().unwrap();
    assert_eq!(after.torn_by(), Some(19));
    assert_eq!(other.hear(), "pending job: device lost, reading with another device: good");
    drop((held, after));
    write(&ours).unwrap();
    assert!(!lease(&ours, Access::Read).is_torn(), "our own device writes it anew");
    other.tell("end");
    assert_eq!(other.hear(), "nothing left");
}

/// Jobs on one queue: those before the loss end well, those after it with an error, and none is left waiting.
#[test]
fn jobs_before_the_loss_end_well_and_all_later_ones_with_an_error() {
    let _alone = alone();
    let device = Device::PLAIN.with_habit(Habit::LostAfter(20));
    let (ours, queue) = (buffer(device), Queue::new("engine").unwrap());
    let job = || queue.submit(&[(&ours, Access::Write, Region::WHOLE)], &[], soon(), |_| Ok(()));
    let mut fences = Vec::new();
    for _ in 0..30 {
        // Once it is lost, a submission is refused at once.
        match job() {
            Ok(fence) => fences.push(fence),
            Err(error) => assert_eq!(*error.kind(), Kind::DeviceLost, "{error}"),
        }
    }
    assert!(fences.len() > 20);
    for (index, fence) in fences.iter().enumerate() {
        let ended = fence.wait(soon()).map_err(|error| error.kind().clone());
        assert_eq!(ended, if index < 20 { Ok(()) } else { Err(Kind::DeviceLost) }, "job {index}");
    }
}

/// Every verb on a device that is lost says so; the same handles are good on another one; what was open is given back.
#[test]
fn every_verb_on_a_lost_device_says_so() {
    let _alone = alone();
    keeps_descriptors("a lost device", || {
        let device = Device::NAVI21.with_habit(Habit::LostAfter(2));
        let agreement = agree(&offers(device, Device::NAVI21), SMALL);
        let ours = allocate(device, &agreement, &options()).unwrap().remove(0);
        let handle = || Parts::of(export(&ours, ExportFlags::READ, soon()).unwrap().handle);
        let (sent, again) = (handle(), handle());
        let theirs = import(sent.handle(), Device::NAVI21).unwrap();
        write(&ours).unwrap();
        let held = lease(&ours, Access::Write);
        let error = refusal(
            "the third",
            acquire(&[(&ours, Access::Read, Region::WHOLE)], soon()).map(drop).and_then(|()| {
                let second = allocate::buffer(device, Bytes(4096), &options())?.remove(0);
                write(&second)
            }),
        );
        assert_eq!((error.kind(), error.errno()), (&Kind::DeviceLost, Some(19)), "{error}");
        let read = |lease: &Lease| lease.read(&ours).map(drop);
        let queue = Queue::new("engine").unwrap();
        let verbs: [(Stage, Result<()>); 11] = [
            (Stage::Negotiate, prove(device, &agreement, &options(), &[], &mut [], PATIENCE).map(drop)),
            (Stage::Allocate, allocate(device, &agreement, &options()).map(drop)),
            (Stage::Allocate, allocate::buffer(device, Bytes(64), &options()).map(drop)),
            (Stage::Export, export(&ours, ExportFlags::READ, soon()).map(drop)),
            (Stage::Import, import(again.handle(), device).map(drop)),
            (Stage::Acquire, acquire(&[(&ours, Access::Read, Region::WHOLE)], soon()).map(drop)),
            (Stage::Acquire, try_acquire(&[(&ours, Access::Read, Region::WHOLE)]).map(drop)),
            (Stage::Acquire, queue.submit(&[(&ours, Access::Read, Region::WHOLE)], &[], soon(), |_| Ok(())).map(drop)),
            (Stage::Access, read(&held)),
            (Stage::Flush, flush(&held, &ours).map(drop)),
            (Stage::Release, held.release()),
        ];
        for (stage, result) in verbs {
            let error = refusal(stage.word(), result);
            assert_eq!((error.stage(), error.kind()), (stage, &Kind::DeviceLost), "{error}");
            assert!(error.to_string().contains("navi21+lost-after=2 (simulated); found device lost"), "{error}");
        }
        // The lease that was held is over, and its write is said to be torn.
        let seen = lease(&theirs, Access::Read);
        assert_eq!(seen.torn_by(), Some(19));
        assert!(import(again.handle(), Device::NAVI21).is_ok());
    });
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let socket = parent();
    let submit = |queue: &Queue, surface: &Surface| {
        queue.submit(&[(surface, Access::Write, Region::WHOLE)], &[], soon(), |_| Ok(()))
    };
    match role.split_once(' ').unwrap_or((&role, "")) {
        ("try", device) => {
            let device = Device::from_name(device).unwrap();
            answer(device, |surface| {
                acquire(&[(surface, Access::Read, Region::WHOLE)], soon())?.wait()?.read(surface).map(drop)
            })
            .unwrap();
        }
        ("fail", how) => {
            let device = Device::PLAIN.with_habit(Habit::FirstSubmissionFails);
            let theirs = import(hear_parts(socket.as_fd()).handle(), device).unwrap();
            let queue = Queue::new("engine").unwrap();
            let once = || match how {
                "job" => submit(&queue, &theirs)?.wait(soon()),
                _ => write(&theirs),
            };
            say(&socket, &once().unwrap_err().to_string());
            hear(socket.as_fd());
            say(&socket, &once().map_or_else(|error| error.to_string(), |()| "written".into()));
        }
        _ => {
            let device = Device::PLAIN.with_habit(Habit::LostAfter(1));
            let before = handover_sys::file::open_count().unwrap();
            {
                let parts = hear_parts(socket.as_fd());
                let theirs = import(parts.handle(), device).unwrap();
                let own = allocate::buffer(device, Bytes(4096), &options()).unwrap().remove(0);
                let queue = Queue::new("engine").unwrap();
                hear(socket.as_fd());
                let pending = submit(&queue, &theirs).unwrap();
                say(&socket, "pending");
                hear(socket.as_fd());
                write(&own).unwrap();
                let lost = write(&own).unwrap_err();
                assert_eq!(*lost.kind(), Kind::DeviceLost, "{lost}");
                let told = pending.wait(soon()).unwrap_err();
                let plain = import(parts.handle(), Device::PLAIN).unwrap();
                let good = lease(&plain, Access::Read).read(&plain).is_ok();
                let good = if good { "good" } else { "bad" };
                say(&socket, &format!("pending job: {}, reading with another device: {good}", told.kind().word()));
                hear(socket.as_fd());
            }
            let left = handover_sys::file::open_count().unwrap() - before;
            say(&socket, &if left == 0 { "nothing left".to_owned() } else { format!("{left} descriptors left") });
        }
    }
}
