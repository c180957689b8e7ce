//! The cases loom explores: who stands in which line, and what must hold.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use handover::backend::software::reservation::platform::Platform as _;
use handover::backend::software::reservation::working_set::{self, Attached, Seat};
use handover::backend::software::reservation::{Attach, Outcome, Reservation, Trouble};
use handover_model::{Region, Usage};
use loom::cell::Cell;
use loom::thread;

use super::machine::{Machine, SURFACES};
use super::sites::{Doing, Flaw};

pub(crate) type Participant<const N: usize> = Reservation<super::machine::Processor, N>;

/// What the surfaces hold. loom sees two that touch it without an order between them.
pub(crate) type Content = Rc<[Cell<u32>; SURFACES as usize]>;

pub(crate) const NEVER: u64 = u64::MAX;
const W: Usage = Usage::Write;
const R: Usage = Usage::Read;
/// Every cell.
pub(crate) const ALL: u64 = u64::MAX;

pub(crate) static ONE: [Attach; 1] = [write(0)];
pub(crate) static BOTH: [Attach; 2] = [write(0), write(1)];
pub(crate) static OPPOSITE: [Attach; 2] = [write(1), write(0)];

pub(crate) type Model = fn(Flaw);

const fn write(surface: u32) -> Attach {
    Attach { surface, usage: W, region: Region::WHOLE, lease: true, context: 0, seq: 0 }
}

pub(crate) fn content() -> Content {
    Rc::new(std::array::from_fn(|_| Cell::new(0)))
}

pub(crate) fn wish(surface: u32, usage: Usage, region: u64) -> Attach {
    Attach { surface, usage, region: Region::from_bits(region), lease: true, context: 0, seq: 0 }
}

pub(crate) fn attach<const N: usize>(who: &Participant<N>, wishes: &[Attach]) -> Result<Attached, Trouble> {
    who.platform().begin(Doing::Attaching);
    let set: Vec<_> = wishes.iter().map(|wish| (who, *wish)).collect();
    working_set::attach(&set).map_err(|(_, trouble)| trouble)
}

pub(crate) fn wait<const N: usize>(who: &Participant<N>, attached: &mut Attached) {
    for (_, dependency) in &mut attached.dependencies {
        who.platform().begin(Doing::Waiting);
        assert_ne!(who.wait(dependency, None), Outcome::TimedOut);
    }
}

pub(crate) fn touch(wishes: &[Attach], content: &Content) {
    for wish in wishes {
        let cell = &content[wish.surface as usize];
        if wish.usage == W { cell.set(1) } else { assert!(cell.get() < 2) }
    }
}

pub(crate) fn release<const N: usize>(
    who: &Participant<N>,
    wishes: &[Attach],
    attached: &Attached,
    error: Option<u32>,
) {
    who.platform().begin(Doing::Releasing);
    let seat = |(wish, entry): (&Attach, &_)| Seat { reservation: who, wish: *wish, entry: *entry };
    let set: Vec<_> = wishes.iter().zip(&attached.entries).map(seat).collect();
    working_set::release(&set, error).expect("the entries are still ours");
}

pub(crate) fn turn<const N: usize>(who: &Participant<N>, wishes: &[Attach], content: &Content) {
    let mut attached = attach(who, wishes).expect("room");
    wait(who, &mut attached);
    touch(wishes, content);
    release(who, wishes, &attached, None);
}

/// Two writers of one surface.
pub(crate) fn two(flaw: Flaw) {
    let machine = Machine::new::<2>(flaw);
    let content = content();
    let (a, b) = (machine.join::<2>(0, NEVER), machine.join::<2>(1, NEVER));
    let theirs = Rc::clone(&content);
    let other = thread::spawn(move || turn(&a, &ONE, &theirs));
    turn(&b, &ONE, &content);
    other.join().unwrap();
}

/// Two writers of two surfaces, in opposite order.
pub(crate) fn opposite(flaw: Flaw) {
    let machine = Machine::new::<2>(flaw);
    let content = content();
    let (a, b) = (machine.join::<2>(0, NEVER), machine.join::<2>(1, NEVER));
    let theirs = Rc::clone(&content);
    let other = thread::spawn(move || turn(&a, &BOTH, &theirs));
    turn(&b, &OPPOSITE, &content);
    other.join().unwrap();
}

/// Two sleepers for one entry that changes twice: it stands in line before them, then it ends.
pub(crate) fn wake(flaw: Flaw) {
    let machine = Machine::new::<3>(flaw);
    let content = content();
    let [a, b, c] = [0, 1, 2].map(|owner| machine.join::<3>(owner, NEVER));
    a.platform().begin(Doing::Attaching);
    let wishes = [wish(0, W, ALL)];
    let claimed = a.claim(&wishes[0]).unwrap();
    let ticket = a.clock(0, 0).unwrap() + 1;
    assert!(a.win(0, ticket).unwrap());
    let readers = [b, c].map(|reader| {
        let attached = attach(&reader, &[wish(0, R, ALL)]).expect("room");
        assert_eq!(attached.dependencies.len(), 1);
        (reader, attached)
    });
    let threads = readers.map(|(reader, mut attached)| {
        let content = Rc::clone(&content);
        thread::spawn(move || {
            wait(&reader, &mut attached);
            touch(&[wish(0, R, ALL)], &content);
        })
    });
    let entry = a.stand(&claimed, ticket);
    a.platform().begin(Doing::Releasing);
    a.platform().fence(Ordering::SeqCst);
    a.ring_after_fence(&entry);
    touch(&wishes, &content);
    release(&a, &wishes, &Attached { entries: vec![entry], dependencies: Vec::new() }, None);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// An entry of one region ends and is taken again for another one while a third looks at it.
pub(crate) fn recycled(flaw: Flaw) {
    let machine = Machine::new::<3>(flaw);
    let content = content();
    let [a, b, c] = [0, 1, 2].map(|owner| machine.join::<3>(owner, NEVER));
    let held = attach(&a, &[wish(0, W, 1)]).expect("room");
    let theirs = Rc::clone(&content);
    let first = thread::spawn(move || {
        touch(&[wish(0, W, 1)], &theirs);
        release(&a, &[wish(0, W, 1)], &held, None);
    });
    // Somewhere else on the surface, so that it waits for nobody and touches nothing we look at.
    let second = thread::spawn(move || drop(attach(&b, &[wish(0, W, 2)])));
    turn(&c, &[wish(0, W, 1)], &content);
    first.join().unwrap();
    second.join().unwrap();
}

/// One entry for three, each of whom waits for room.
pub(crate) fn full(flaw: Flaw) {
    let machine = Machine::new::<1>(flaw);
    let content = content();
    let [a, b, c] = [0, 1, 2].map(|owner| machine.join::<1>(owner, NEVER));
    let wishes = [wish(0, W, ALL)];
    let held = attach(&a, &wishes).expect("room");
    touch(&wishes, &content);
    let in_turn = move |who: Participant<1>, content: Content| {
        let mut attached = loop {
            match attach(&who, &[wish(0, W, ALL)]) {
                Ok(attached) => break attached,
                Err(trouble) => assert_eq!(trouble, Trouble::Full(0)),
            }
            who.platform().begin(Doing::Waiting);
            who.wait_for_room(0, None);
        };
        wait(&who, &mut attached);
        touch(&[wish(0, W, ALL)], &content);
        release(&who, &[wish(0, W, ALL)], &attached, None);
    };
    let threads = [b, c].map(|who| {
        let content = Rc::clone(&content);
        thread::spawn(move || in_turn(who, content))
    });
    release(&a, &wishes, &held, None);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A write that fails: the reader behind it is told.
pub(crate) fn torn(flaw: Flaw) {
    let machine = Machine::new::<2>(flaw);
    let content = content();
    let [a, b] = [0, 1].map(|owner| machine.join::<2>(owner, NEVER));
    let wishes = [wish(0, W, ALL)];
    let held = attach(&a, &wishes).expect("room");
    let theirs = Rc::clone(&content);
    let other = thread::spawn(move || {
        touch(&wishes, &theirs);
        release(&a, &wishes, &held, Some(5));
    });
    let mut attached = attach(&b, &[wish(0, R, ALL)]).expect("room");
    wait(&b, &mut attached);
    touch(&[wish(0, R, ALL)], &content);
    assert_eq!(b.failure_before(&attached.entries[0], Region::WHOLE), Some(5), "nobody said that it is torn");
    other.join().unwrap();
}

/// An entry ends and is taken again for another region while somebody looks at word and mask.
pub(crate) fn looked_at(flaw: Flaw) {
    let machine = Machine::new::<3>(flaw);
    let content = content();
    let [a, b, c] = [0, 1, 2].map(|owner| machine.join::<3>(owner, NEVER));
    let wishes = [wish(0, W, 1)];
    let held = attach(&a, &wishes).expect("room");
    c.platform().begin(Doing::Attaching);
    let claimed = c.claim(&wishes[0]).unwrap();
    let ticket = c.clock(0, 0).unwrap() + 1;
    assert!(c.win(0, ticket).unwrap());
    let entry = c.stand(&claimed, ticket);
    let theirs = Rc::clone(&content);
    let first = thread::spawn(move || {
        touch(&wishes, &theirs);
        release(&a, &wishes, &held, None);
    });
    let second = thread::spawn(move || b.claim(&wish(0, W, 2)).is_ok());
    let mut attached = Attached { entries: vec![entry], dependencies: Vec::new() };
    c.collect(&entry, Region::from_bits(1), |dependency| attached.dependencies.push((0, dependency)));
    wait(&c, &mut attached);
    touch(&wishes, &content);
    first.join().unwrap();
    second.join().unwrap();
}

/// An entry ends and is taken by a second participant while a third waits for it.
pub(crate) fn replaced(flaw: Flaw) {
    let machine = Machine::new::<2>(flaw);
    let content = content();
    let [a, b, c] = [0, 1, 2].map(|owner| machine.join::<2>(owner, NEVER));
    let wishes = [wish(0, W, 1)];
    let held = attach(&a, &wishes).expect("room");
    let mut attached = attach(&c, &wishes).expect("room");
    let theirs = Rc::clone(&content);
    let first = thread::spawn(move || {
        touch(&wishes, &theirs);
        release(&a, &wishes, &held, None);
    });
    // Full while the entry has not ended: then this one leaves. It goes no further than CHOOSING.
    let second = thread::spawn(move || b.claim(&wish(0, W, 2)).is_ok());
    wait(&c, &mut attached);
    touch(&wishes, &content);
    first.join().unwrap();
    second.join().unwrap();
}
