//! The machine under the protocol as loom sees it: weakly ordered words, fences, a futex, and lock bytes that the dead let go.
//!
//! Each participant has its own view of the shared words, so that it can be killed before any single operation.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use handover::backend::software::reservation::layout::{Block, SLOTS, header};
use handover::backend::software::reservation::platform::Platform;
use handover::backend::software::reservation::{Dependency, Reservation, Word};
use handover_sys::clock::Monotonic;
use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Condvar, Mutex};

use super::sites::{Doing, Flaw, Site};
use super::words::{Died, Field, Life, Shared32, Shared64, View32, View64};

/// Surfaces of a machine. One more block, which loom does not watch, serves to teach participants not to spin.
pub(crate) const SURFACES: u32 = 2;
const PRACTICE: u32 = SURFACES;
/// Participants with a lock byte.
pub(crate) const OWNERS: u8 = 3;

/// How often in one wait a sleep ends by its slice after a death. Looks more often would only repeat themselves.
const SLICES: u32 = 2;

/// What the kernel knows.
#[derive(Default)]
struct Kernel {
    /// Who sleeps on which word, with which bits, and whether it has been woken.
    sleepers: Vec<(u8, usize, NonZeroU32, bool)>,
    /// Lock bytes that are held.
    locked: [bool; OWNERS as usize],
    deaths: u32,
}

/// What all participants share.
pub(crate) struct Machine {
    words: BTreeMap<usize, Rc<Shared64>>,
    halves: BTreeMap<usize, Rc<Shared32>>,
    kernel: Mutex<Kernel>,
    changed: Condvar,
    flaw: Flaw,
}

/// The machine as one participant uses it.
pub(crate) struct Processor {
    machine: Rc<Machine>,
    life: Rc<Life>,
    owner: u8,
    words: BTreeMap<usize, View64>,
    halves: BTreeMap<usize, View32>,
}

impl Machine {
    pub(crate) fn new<const N: usize>(flaw: Flaw) -> Rc<Self> {
        let (mut words, mut halves) = (BTreeMap::new(), BTreeMap::new());
        let entries = 0..N as u8;
        for surface in 0..=PRACTICE {
            let block = Block::of(surface);
            let watched = surface != PRACTICE;
            let mut word = |at: usize, field: Option<Field>| {
                let shared = match field.filter(|_| watched) {
                    Some(field) => Shared64::Watched(AtomicU64::new(0), field),
                    None => Shared64::Plain(Cell::new(0)),
                };
                words.insert(at, Rc::new(shared));
            };
            word(block.clock(), Some(Field::Clock));
            word(block.high(), Some(Field::Other));
            word(block.armed(), Some(Field::Other));
            word(block.failures(), Some(Field::Other));
            word(block.meta_current(), None);
            (0..SLOTS as u8).for_each(|slot| word(block.slot(slot), None));
            for entry in entries.clone() {
                word(block.word(entry), Some(Field::Entry));
                word(block.mask(entry), Some(Field::Mask));
                word(block.context(entry), None);
                word(block.seq(entry), None);
                halves.insert(block.result(entry), Rc::new(Shared32::Plain(Cell::new(0))));
            }
            let event = if watched { Shared32::Event(AtomicU32::new(0)) } else { Shared32::Plain(Cell::new(0)) };
            halves.insert(block.event(), Rc::new(event));
        }
        for owner in 0..OWNERS {
            words.insert(header::generation(owner), Rc::new(Shared64::Watched(AtomicU64::new(0), Field::Other)));
            words.insert(header::pid(owner), Rc::new(Shared64::Plain(Cell::new(0))));
        }
        Rc::new(Self { words, halves, kernel: Mutex::new(Kernel::default()), changed: Condvar::new(), flaw })
    }

    /// A participant that dies before its operation number `left`, counted from now. It knows already that spinning is in
    /// vain: a spin is nothing but more looks.
    pub(crate) fn join<const N: usize>(self: &Rc<Self>, owner: u8, left: u64) -> Reservation<Processor, N> {
        self.kernel.lock().expect("no thread panics in the kernel").locked[usize::from(owner)] = true;
        let life = Rc::new(Life {
            left: Cell::new(u64::MAX),
            doing: Cell::new(Doing::Joining),
            fences: Cell::new(0),
            time: Cell::new(0),
            slices: Cell::new(0),
            deaths: Cell::new(0),
            has_ended: Cell::new(false),
            flaw: self.flaw,
        });
        let view64 = |(&at, shared): (&usize, &Rc<Shared64>)| (at, View64(Rc::clone(shared), Rc::clone(&life)));
        let view32 = |(&at, shared): (&usize, &Rc<Shared32>)| (at, View32(Rc::clone(shared), Rc::clone(&life)));
        let processor = Processor {
            machine: Rc::clone(self),
            words: self.words.iter().map(view64).collect(),
            halves: self.halves.iter().map(view32).collect(),
            owner,
            life: Rc::clone(&life),
        };
        life.left.set(left);
        let participant = Reservation::join(processor, owner, 0, SURFACES);
        practise(&participant);
        participant
    }

    /// The kernel has torn down this participant: its lock byte is free, and every sleep ends with its slice.
    pub(crate) fn die(&self, owner: u8) {
        let mut kernel = self.kernel.lock().expect("no thread panics in the kernel");
        kernel.locked[usize::from(owner)] = false;
        kernel.deaths += 1;
        self.changed.notify_all();
    }
}

/// Waits in vain, on the block that nobody watches, as often as it takes to stop spinning.
fn practise<const N: usize>(participant: &Reservation<Processor, N>) {
    let left = participant.platform().life.left.replace(u64::MAX);
    for _ in 0..4 {
        let none = Word(0);
        let mut never = Dependency { surface: PRACTICE, index: 0, word: none, generation: 0, mine: none };
        participant.wait(&mut never, Some(Monotonic(0)));
    }
    participant.platform().life.left.set(left);
}

/// Lets a participant do something, to its end or to its death. `None`: it died, and the kernel has torn it down.
pub(crate) fn until_death<T>(machine: &Machine, owner: u8, act: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(done) => Some(done),
        Err(why) if why.is::<Died>() => {
            machine.die(owner);
            None
        }
        Err(why) => resume_unwind(why),
    }
}

impl Processor {
    /// From now on it dies before its operation number `left`.
    pub(crate) fn dies_before(&self, left: u64) {
        self.life.left.set(left);
    }

    /// What can still be asked when the participant is gone.
    pub(crate) fn post(&self) -> Post {
        Post(Rc::clone(&self.life))
    }

    /// Says what the protocol is used for next.
    pub(crate) fn begin(&self, doing: Doing) {
        self.life.doing.set(doing);
        self.life.fences.set(0);
        self.life.deaths.set(0);
        self.life.slices.set(0);
    }
}

/// Tells of a participant what only its machine knows, also after its death.
pub(crate) struct Post(Rc<Life>);

impl Post {
    /// Has it ended an entry of its own?
    pub(crate) fn has_ended(&self) -> bool {
        self.0.has_ended.get()
    }
}

impl Platform for Processor {
    type U64 = View64;
    type U32 = View32;

    fn u64(&self, at: usize) -> &View64 {
        &self.words[&at]
    }
    fn u32(&self, at: usize) -> &View32 {
        &self.halves[&at]
    }
    fn fence(&self, order: Ordering) {
        self.life.step();
        let count = self.life.fences.replace(self.life.fences.get() + 1);
        let site = Site::of_fence(self.life.doing.get(), count);
        if !self.life.flaw.weakens(site) {
            fence(order);
        }
    }
    fn pause(&self) {
        self.life.time.set(self.life.time.get() + 1000);
    }

    /// A futex: the look at the word and the falling asleep are one step for every waker, who takes the same lock. The slice
    /// ends only after a death; so a wake that gets lost with nobody dead is a deadlock, which loom reports.
    fn sleep(&self, at: usize, expected: u32, bits: NonZeroU32, until: Monotonic) {
        self.life.step();
        let Shared32::Event(event) = &*self.halves[&at].0 else { return };
        let mut kernel = self.machine.kernel.lock().expect("no thread panics in the kernel");
        if event.load(Ordering::Relaxed) != expected {
            return;
        }
        kernel.sleepers.push((self.owner, at, bits, false));
        loop {
            let mine = kernel.sleepers.iter().position(|sleeper| sleeper.0 == self.owner).expect("we sleep");
            let is_woken = kernel.sleepers[mine].3;
            if self.life.deaths.replace(kernel.deaths) < kernel.deaths {
                self.life.slices.set(SLICES);
            }
            let is_over = self.life.slices.get() > 0;
            if !is_woken && is_over {
                self.life.slices.set(self.life.slices.get() - 1);
                self.life.time.set(until.0);
            }
            if is_woken || is_over {
                kernel.sleepers.swap_remove(mine);
                return;
            }
            kernel = self.machine.changed.wait(kernel).expect("no thread panics in the kernel");
        }
    }
    fn wake(&self, at: usize, bits: NonZeroU32) {
        self.life.step();
        if self.life.flaw == Flaw::LosesWakes {
            return;
        }
        let mut kernel = self.machine.kernel.lock().expect("no thread panics in the kernel");
        let hit = |sleeper: &&mut (u8, usize, NonZeroU32, bool)| sleeper.1 == at && sleeper.2.get() & bits.get() != 0;
        let mut woken = 0;
        kernel.sleepers.iter_mut().filter(hit).for_each(|sleeper| {
            sleeper.3 = true;
            woken += 1;
        });
        if woken > 0 {
            self.machine.changed.notify_all();
        }
    }
    fn now(&self) -> Monotonic {
        Monotonic(self.life.time.get())
    }
    fn coarse(&self) -> Monotonic {
        // At the beginning of time tickets depend on the clocks alone.
        Monotonic(0)
    }
    fn is_alive(&self, owner: u8) -> bool {
        self.life.step();
        self.machine.kernel.lock().expect("no thread panics in the kernel").locked[usize::from(owner)]
    }
}
