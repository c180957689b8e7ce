//! Work on memory, working sets of everything that is bound, and queues that no reservation knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use handover::queue::{Bound, Habits, MemoryJob, Policy, Sync, UserQueue};
use handover::{
    Access, Bytes, Deadline, Device, ExportFlags, Fence, Kind, Lease, Options, Queue, Region, Surface, allocate,
    export, import, try_acquire,
};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn surfaces(surfaces: u32) -> Vec<Surface> {
    allocate::buffer(Device::PLAIN, Bytes(4096), &Options { surfaces, ..Options::default() }).unwrap()
}

/// A job that says it began and ends when told to.
type Gate = (Receiver<()>, Sender<()>, Box<dyn FnOnce(&Lease) -> handover::Result<()> + Send>);

fn gate() -> Gate {
    let ((tell, began), (end, ended)) = (channel(), channel());
    let job = move |_: &Lease| {
        let _ = tell.send(());
        let _ = ended.recv();
        Ok(())
    };
    (began, end, Box::new(job))
}

fn begins(began: &Receiver<()>) -> bool {
    began.recv_timeout(Duration::from_millis(100)).is_ok()
}

/// S14, C33: a move waits for explicit work that nobody else sees; everybody waits for the move.
#[test]
fn s14_a_move_waits_for_explicit_work_and_all_wait_for_the_move() {
    let surface = surfaces(1).remove(0);
    let explicit = Habits { sync: Sync::Explicit, policy: Policy::Honest };
    let (client, other) = (Queue::with_habits("client", explicit).unwrap(), Queue::with_habits("o", explicit).unwrap());
    let (manager, page_tables) = (Queue::new("manager").unwrap(), Queue::new("tables").unwrap());
    let set = [(&surface, Access::Write, Region::WHOLE)];
    let (drawing, end_drawing, draw) = gate();
    let (moving, end_moving, moved) = gate();
    let drawn = client.submit(&set, &[], soon(), draw).unwrap();
    assert!(begins(&drawing));
    let moved = manager.submit_memory(MemoryJob::Move, &[&surface], &[], soon(), moved).unwrap();
    assert!(!begins(&moving), "explicit work is under way");
    let after = other.submit(&set, &[], soon(), |_| Ok(())).unwrap();
    let tables = page_tables.submit_memory(MemoryJob::PageTables, &[&surface], &[], soon(), |_| Ok(())).unwrap();
    for waiting in [&after, &tables] {
        assert!(waiting.wait(Deadline::after(Duration::from_millis(50))).unwrap_err().is_timeout());
    }
    end_drawing.send(()).unwrap();
    drawn.wait(soon()).unwrap();
    assert!(begins(&moving));
    assert!(try_acquire(&[(&surface, Access::Read, Region::WHOLE)]).unwrap().is_none());
    end_moving.send(()).unwrap();
    for fence in [moved, after, tables] {
        fence.wait(soon()).unwrap();
    }
}

/// S14: page tables and TLB flushes order nobody but the memory manager.
#[test]
fn s14_bookkeeping_of_the_memory_manager_is_seen_by_no_access() {
    let surface = surfaces(1).remove(0);
    let (manager, user) = (Queue::new("manager").unwrap(), Queue::new("user").unwrap());
    for kind in [MemoryJob::PageTables, MemoryJob::Unmap] {
        let (began, end, job) = gate();
        let bookkeeping = manager.submit_memory(kind, &[&surface], &[], soon(), job).unwrap();
        assert!(begins(&began));
        let set = [(&surface, Access::Write, Region::WHOLE)];
        user.submit(&set, &[], soon(), |_| Ok(())).unwrap().wait(soon()).unwrap();
        end.send(()).unwrap();
        bookkeeping.wait(soon()).unwrap();
    }
}

#[test]
fn an_importers_memory_manager_has_nothing_to_say() {
    let surface = surfaces(1).remove(0);
    let imported = import(export(&surface, ExportFlags::READ, soon()).unwrap().handle, Device::PLAIN).unwrap();
    let manager = Queue::new("manager").unwrap();
    let refused = manager.submit_memory(MemoryJob::Move, &[&imported], &[], soon(), |_| Ok(())).unwrap_err();
    assert_eq!(*refused.kind(), Kind::Unsupported, "{refused}");
    assert_eq!(
        *manager.submit_memory(MemoryJob::Move, &[], &[], soon(), |_| Ok(())).unwrap_err().kind(),
        Kind::Invalid
    );
}

/// S13, S15: what is bound and not named orders nobody, unless the driver says that it writes all of it.
#[test]
fn s13_a_bound_texture_is_a_lock_only_to_who_says_it_writes_it() {
    for (policy, overlap) in [(Policy::Honest, true), (Policy::AlwaysWrite, false)] {
        let all = surfaces(3);
        let mut bound = Bound::new();
        all.iter().for_each(|surface| bound.bind(surface));
        bound.bind(&all[0]);
        assert_eq!(bound.surfaces().len(), 3);
        let habits = Habits { sync: Sync::Implicit, policy };
        let queues: Vec<_> = (0..2).map(|_| Queue::with_habits("draw", habits).unwrap()).collect();
        let mut jobs: Vec<(Receiver<()>, Sender<()>, Fence)> = Vec::new();
        for (queue, target) in queues.iter().zip(&all[1..]) {
            let (began, end, job) = gate();
            let set = [(target, Access::Write, Region::WHOLE), (&all[0], Access::Read, Region::WHOLE)];
            jobs.push((began, end, queue.submit_bound(&bound, &set, &[], soon(), job).unwrap()));
        }
        assert!(begins(&jobs[0].0));
        assert_eq!(begins(&jobs[1].0), overlap, "{policy:?}");
        for (_, end, fence) in jobs {
            let _ = end.send(());
            fence.wait(soon()).unwrap();
        }
        bound.unbind(&all[0]);
        assert_eq!(bound.surfaces().len(), 2);
    }
}

/// R7: a value of a user queue crosses to fences by being awaited.
#[test]
fn r7_a_user_queues_value_is_awaited_and_nothing_else() {
    let (tell, told) = channel();
    let (go, gone) = channel::<()>();
    let mut queue = UserQueue::new("compute", move |command| {
        let _ = gone.recv();
        let _ = tell.send(command);
    })
    .unwrap();
    let values: Vec<_> = (10..13).map(|command| queue.submit(command).unwrap()).collect();
    assert!(values[0].wait(Deadline::after(Duration::from_millis(30))).unwrap_err().is_timeout());
    for (index, value) in values.iter().enumerate() {
        go.send(()).unwrap();
        value.wait(soon()).unwrap();
        assert_eq!(told.recv().unwrap(), 10 + index as u64);
        assert!(value.is_reached() && value.number() == index as u64 + 1);
    }
    let full = (0..).map(|command| queue.submit(command)).find_map(Result::err).unwrap();
    assert_eq!(*full.kind(), Kind::Full, "{full}");
    drop(go);
    drop(queue);
}

/// R5: an engine that is gone ends the waits for what it never reached.
#[test]
fn r5_an_engine_that_panics_ends_the_waits_for_it() {
    let mut queue = UserQueue::new("compute", |_| panic!("the engine of a test")).unwrap();
    let value = queue.submit(1).unwrap();
    assert_eq!(*value.wait(soon()).unwrap_err().kind(), Kind::PeerGone);
}
