//! Death before every step, and who cleans up: the cases in which a lock byte is let go.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use handover::backend::software::reservation::Attach;
use handover_model::{Region, Usage};
use loom::thread;

use super::explore::explore;
use super::machine::{Machine, SURFACES, until_death};
use super::models::{ALL, NEVER, ONE, attach, content, release, touch, turn, wait, wish};
use super::sites::{Doing, Flaw};

/// A writer dies before operation `left` of its turn. The other goes on, is told of what may be torn, and nothing stays.
fn dies(left: u64, wishes: &'static [Attach], others: &'static [Attach], died: &AtomicUsize) {
    let machine = Machine::new::<2>(Flaw::None);
    let content = content();
    let (a, b) = (machine.join::<2>(0, NEVER), machine.join::<2>(1, NEVER));
    a.platform().dies_before(left);
    let post = a.platform().post();
    let (theirs, kernel) = (Rc::clone(&content), Rc::clone(&machine));
    let wrote = Rc::new(std::cell::Cell::new(false));
    let has_written = Rc::clone(&wrote);
    let victim = thread::spawn(move || {
        until_death(&kernel, 0, || {
            let mut attached = attach(&a, wishes).expect("room");
            wait(&a, &mut attached);
            touch(wishes, &theirs);
            has_written.set(true);
            release(&a, wishes, &attached, None);
        })
        .is_none()
    });
    let mut attached = attach(&b, others).expect("room");
    wait(&b, &mut attached);
    touch(others, &content);
    if wrote.get() && !post.has_ended() {
        b.platform().begin(Doing::Releasing);
        let told = attached.entries.iter().any(|entry| b.failure_before(entry, Region::WHOLE) == Some(130));
        assert!(told, "nobody said that a writer died");
    }
    release(&b, others, &attached, None);
    if victim.join().unwrap() {
        died.fetch_add(1, Ordering::SeqCst);
    }
    b.platform().begin(Doing::Waiting);
    for surface in 0..SURFACES {
        b.sweep(surface);
        assert_eq!(b.live_entries(surface).count(), 0, "an entry of the dead is stuck");
    }
}

/// Explores `model`, in which somebody dies before the given step, for each step, until he gets through in every execution.
/// Gives (steps, executions).
fn at_each_step(bound: usize, model: impl Fn(u64, &AtomicUsize) + Copy + Send + Sync + 'static) -> (u64, usize) {
    let mut executions = 0;
    for left in 0.. {
        let died = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&died);
        let explored = explore(bound, Flaw::None, move |_| model(left, &count));
        executions += explored.unwrap_or_else(|why| panic!("step {left}: {why}"));
        if died.load(Ordering::SeqCst) == 0 {
            return (left, executions);
        }
    }
    unreachable!("no participant takes for ever");
}

pub(crate) fn die_at_each_step(bound: usize, wishes: &'static [Attach], others: &'static [Attach]) -> (u64, usize) {
    at_each_step(bound, move |left, died| dies(left, wishes, others, died))
}

/// A joiner dies while it ends what its dead predecessor left, or in its first turn; the other goes on.
fn joiner_dies(left: u64, died: &AtomicUsize) {
    let machine = Machine::new::<3>(Flaw::None);
    let content = content();
    let [a, b] = [0, 1].map(|owner| machine.join::<3>(owner, NEVER));
    drop(attach(&a, &ONE).expect("room"));
    touch(&ONE, &content);
    machine.die(0);
    drop(a);
    let (theirs, kernel) = (Rc::clone(&content), Rc::clone(&machine));
    let joiner =
        thread::spawn(move || until_death(&kernel, 0, || turn(&kernel.join::<3>(0, left), &ONE, &theirs)).is_none());
    turn(&b, &ONE, &content);
    if joiner.join().unwrap() {
        died.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn joiner_dies_at_each_step(bound: usize) -> (u64, usize) {
    at_each_step(bound, joiner_dies)
}

/// The index of one that died is taken again, while somebody waits for what it left.
pub(crate) fn rejoin(flaw: Flaw) {
    let machine = Machine::new::<3>(flaw);
    let content = content();
    let [a, b] = [0, 1].map(|owner| machine.join::<3>(owner, NEVER));
    drop(attach(&a, &ONE).expect("room"));
    touch(&ONE, &content);
    machine.die(0);
    drop(a);
    let theirs = Rc::clone(&content);
    let joiner = Rc::clone(&machine);
    let other = thread::spawn(move || {
        let a = joiner.join::<3>(0, NEVER);
        turn(&a, &ONE, &theirs);
    });
    turn(&b, &ONE, &content);
    other.join().unwrap();
}

/// Two who wait for one that dies inside: both may end its entry, and either sees what it wrote.
pub(crate) fn reapers(flaw: Flaw) {
    let machine = Machine::new::<3>(flaw);
    let content = content();
    let [a, b, c] = [0, 1, 2].map(|owner| machine.join::<3>(owner, NEVER));
    drop(attach(&a, &ONE).expect("room"));
    let readers = [b, c].map(|reader| {
        let attached = attach(&reader, &[wish(0, Usage::Read, ALL)]).expect("room");
        (reader, attached)
    });
    let threads = readers.map(|(reader, mut attached)| {
        let content = Rc::clone(&content);
        thread::spawn(move || {
            wait(&reader, &mut attached);
            touch(&[wish(0, Usage::Read, ALL)], &content);
        })
    });
    touch(&ONE, &content);
    machine.die(0);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
