//! Participants differ: what each habit of a queue makes others see, and makes itself wait for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use handover::queue::{Habits, Policy, Sync};
use handover::{
    Access, Bytes, Deadline, Device, Fence, Lease, Options, Queue, Region, Surface, Usage, Writers, allocate, export,
    import, reservation,
};
use handover::{ExportFlags, try_acquire};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn surface() -> Surface {
    let options = Options { writers: Writers::Open, ..Options::default() };
    allocate::buffer(Device::PLAIN, Bytes(4096), &options).expect("a surface").remove(0)
}

fn queue(sync: Sync, policy: Policy) -> Queue {
    Queue::with_habits("engine", Habits { sync, policy }).expect("a queue")
}

/// A job that tells when it began, and ends when it is told to.
struct Running {
    fence: Fence,
    began: std::sync::mpsc::Receiver<()>,
    end: Sender<()>,
}

impl Running {
    fn new(queue: &Queue, surface: &Surface, access: Access, after: &[Fence]) -> Self {
        let ((tell, began), (end, ended)) = (channel(), channel());
        let job = move |_: &Lease| {
            let _ = tell.send(());
            let _ = ended.recv();
            Ok(())
        };
        let fence = queue.submit(&[(surface, access, Region::WHOLE)], after, soon(), job).expect("a job");
        Self { fence, began, end }
    }

    /// Has it begun, or does it within some time in which every job would that need not wait?
    fn begins(&self) -> bool {
        self.began.recv_timeout(Duration::from_millis(100)).is_ok()
    }

    fn finish(self) {
        let _ = self.end.send(());
        self.fence.wait(soon()).expect("the end");
    }
}

/// S4: two readers of an honest driver overlap, those of a driver that always writes do not.
#[test]
fn s4_readers_that_say_they_write_run_one_after_the_other() {
    for (policy, overlap) in [(Policy::Honest, true), (Policy::AlwaysWrite, false)] {
        let surface = surface();
        let (one, other) = (queue(Sync::Implicit, policy), queue(Sync::Implicit, policy));
        let first = Running::new(&one, &surface, Access::Read, &[]);
        let second = Running::new(&other, &surface, Access::Read, &[]);
        assert!(first.begins());
        assert_eq!(second.begins(), overlap, "{policy:?}");
        first.finish();
        second.finish();
    }
}

/// S4: of one owner reads run in parallel, of two they do not: the policy that S2 and S2b are told apart by.
#[test]
fn s4_skip_own_owner_serialises_owners_and_not_jobs_of_one() {
    let surface = surface();
    let exported = export(&surface, ExportFlags::READ, soon()).unwrap();
    let (own, other) = (queue(Sync::Implicit, Policy::SkipOwnOwner), queue(Sync::Implicit, Policy::SkipOwnOwner));
    let first = Running::new(&own, &surface, Access::Read, &[]);
    let second = Running::new(&other, &surface, Access::Read, &[]);
    assert!(first.begins() && second.begins(), "of one owner");
    // Another participant of the pool, as another process would be.
    let (_, [_, control]) = exported.handle.into_parts();
    let stranger = handover::backend::software::control::Control::join(handover::Stage::Import, control, None).unwrap();
    let wish = handover::backend::software::reservation::Attach {
        surface: surface.index(),
        usage: Usage::Read,
        region: Region::WHOLE,
        lease: false,
        context: 1,
        seq: 1,
    };
    let place = handover::backend::software::reservation::working_set::attach(&[(&stranger, wish)]).unwrap();
    assert!(place.dependencies.is_empty(), "an honest reader waits for none of them");
    let beside = queue(Sync::Implicit, Policy::SkipOwnOwner);
    let third = Running::new(&beside, &surface, Access::Read, &[]);
    assert!(!third.begins(), "of another owner");
    first.finish();
    second.finish();
    assert!(third.began.try_recv().is_err());
    drop(stranger);
    third.finish();
}

/// S14: what an explicit participant does, no implicit one sees; who moves the memory does.
#[test]
fn s14_explicit_work_is_seen_by_who_moves_the_memory_and_by_nobody_else() {
    let surface = surface();
    let explicit = queue(Sync::Explicit, Policy::Honest);
    let job = Running::new(&explicit, &surface, Access::Write, &[]);
    assert!(job.begins());
    assert!(try_acquire(&[(&surface, Access::Write, Region::WHOLE)]).unwrap().is_some());
    assert!(surface.export_fence(Access::Write, Region::WHOLE).unwrap().has_ended());
    let pending = surface.pending();
    assert_eq!(reservation::collect(&pending, Usage::Read).count(), 0);
    assert_eq!(reservation::collect(&pending, Usage::Bookkeep).count(), 1);
    job.finish();
}

/// Explicit participants wait for what they are given, and for nothing in the reservation.
#[test]
fn s12_explicit_jobs_wait_for_the_fences_they_are_given() {
    let surface = surface();
    let (one, other) = (queue(Sync::Explicit, Policy::Honest), queue(Sync::Explicit, Policy::Honest));
    let write = Running::new(&one, &surface, Access::Write, &[]);
    let after = Running::new(&other, &surface, Access::Read, std::slice::from_ref(&write.fence));
    let third = queue(Sync::Explicit, Policy::Honest);
    let beside = Running::new(&third, &surface, Access::Read, &[]);
    assert!(write.begins() && beside.begins() && !after.begins());
    write.finish();
    after.finish();
    beside.finish();
}

/// U4: a participant that attaches nothing is not waited for; the probe that finds it is a look at the reservation while its job
/// runs.
#[test]
fn u4_a_participant_that_attaches_nothing_is_seen_by_nobody() {
    let surface = surface();
    let silent = queue(Sync::Implicit, Policy::None);
    let job = Running::new(&silent, &surface, Access::Write, &[]);
    assert!(job.begins());
    assert!(surface.pending().is_empty());
    assert!(try_acquire(&[(&surface, Access::Write, Region::WHOLE)]).unwrap().is_some());
    job.finish();
}

/// A reader that says it writes still may not write, and does not touch pixels at its end.
#[test]
fn what_is_said_to_others_gives_no_right() {
    let surface = surface();
    let imported = import(export(&surface, ExportFlags::READ, soon()).unwrap().handle, Device::PLAIN).unwrap();
    let reader = queue(Sync::Implicit, Policy::AlwaysWrite);
    let (theirs, set) = (imported.clone(), [(&imported, Access::Read, Region::WHOLE)]);
    let job = move |lease: &Lease| lease.write(&theirs).map(drop);
    let refused = reader.submit(&set, &[], soon(), job).unwrap().wait(soon()).unwrap_err();
    assert_eq!(*refused.kind(), handover::Kind::Invalid, "{refused}");
}
