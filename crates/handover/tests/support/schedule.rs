//! The product's own protocol code over a heap, its threads stepped one operation at a time in a random order that a seed
//! fixes; and flaws of the machine that stand for flaws of the protocol.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use handover::backend::software::reservation::layout::{Block, PAGE};
use handover::backend::software::reservation::platform::{Atomic, Platform};
use handover::backend::software::reservation::{Phase, Word};
use handover_sys::clock::Monotonic;

use super::Random;

/// What the machine does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flaw {
    None,
    /// Nobody sees an entry that is choosing: it looks merely claimed.
    HidesChoosing,
    /// A clock is raised in name only, until [`Heap::raise_late`].
    RaisesLate,
    /// Whoever raises a clock to a number finds it at its old value: two draw one ticket, as in the plain bakery.
    SharesTickets,
}

/// Whose turn it is.
struct Turn {
    random: Random,
    /// Steps in a row, on average. Some flaws show when the threads alternate, others when one overtakes another.
    run: u64,
    now: usize,
    running: Vec<bool>,
    asleep: usize,
}

struct Schedule {
    turn: Mutex<Turn>,
    changed: Condvar,
}

thread_local! {
    /// The schedule of this thread and its number in it. Threads without one are not stepped.
    static ROLE: RefCell<Option<(Arc<Schedule>, usize)>> = const { RefCell::new(None) };
    /// Per clock (by address), the value that [`Flaw::SharesTickets`] or [`Flaw::RaisesLate`] shows or keeps for this thread.
    static CLOCKS: RefCell<HashMap<usize, u64>> = RefCell::new(HashMap::new());
}

impl Schedule {
    fn pass_on(&self, turn: &mut Turn, me: usize) {
        if turn.running[me] && turn.random.below(turn.run) != 0 {
            return;
        }
        let others: Vec<_> = (0..turn.running.len()).filter(|&other| turn.running[other]).collect();
        if !others.is_empty() {
            turn.now = others[turn.random.below(others.len() as u64) as usize];
        }
        if turn.now != me {
            self.changed.notify_all();
        }
    }

    fn wait_for_turn(&self, mut turn: MutexGuard<'_, Turn>, me: usize) {
        while turn.now != me {
            turn = self.changed.wait(turn).expect("no thread panics in a step");
        }
    }
}

/// One step of this thread is over; goes on when its turn comes again.
fn step() {
    ROLE.with_borrow(|role| {
        if let Some((schedule, me)) = role {
            let mut turn = schedule.turn.lock().expect("no thread panics in a step");
            schedule.pass_on(&mut turn, *me);
            schedule.wait_for_turn(turn, *me);
        }
    });
}

/// What this thread's schedule says of all its threads; `None` for a thread without one.
fn with_turn<T>(ask: impl FnOnce(&mut Turn) -> T) -> Option<T> {
    ROLE.with_borrow(|role| {
        let (schedule, _) = role.as_ref()?;
        Some(ask(&mut schedule.turn.lock().expect("no thread panics in a step")))
    })
}

/// Runs these threads to their ends in the order of a seed.
pub(crate) fn run(seed: u64, threads: Vec<Box<dyn FnOnce() + Send + '_>>) {
    let run = [1, 4, 16, 40][seed as usize % 4];
    let turn = Turn { random: Random::new(seed), run, now: 0, running: vec![true; threads.len()], asleep: 0 };
    let schedule = Arc::new(Schedule { turn: Mutex::new(turn), changed: Condvar::new() });
    std::thread::scope(|scope| {
        for (me, thread) in threads.into_iter().enumerate() {
            let schedule = Arc::clone(&schedule);
            scope.spawn(move || {
                ROLE.set(Some((Arc::clone(&schedule), me)));
                schedule.wait_for_turn(schedule.turn.lock().expect("no thread panics in a step"), me);
                thread();
                let mut turn = schedule.turn.lock().expect("no thread panics in a step");
                turn.running[me] = false;
                schedule.pass_on(&mut turn, me);
            });
        }
    });
}

/// A 64-bit word of a [`Heap`].
pub(crate) struct Word64 {
    value: AtomicU64,
    is_clock: bool,
    is_entry: bool,
    flaw: Flaw,
}

/// A 32-bit word of a [`Heap`].
pub(crate) struct Word32(AtomicU32);

impl Word64 {
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Atomic<u64> for Word64 {
    fn load(&self, _: Ordering) -> u64 {
        step();
        let value = self.value.load(Ordering::SeqCst);
        if self.is_entry && self.flaw == Flaw::HidesChoosing && Word(value).phase() == Phase::Choosing {
            return Word(value).with_phase(Phase::Claimed).0;
        }
        if self.is_clock && self.flaw == Flaw::SharesTickets {
            return CLOCKS.with_borrow_mut(|clocks| *clocks.entry(self.address()).or_insert(value));
        }
        value
    }
    fn store(&self, value: u64, _: Ordering) {
        step();
        self.value.store(value, Ordering::SeqCst);
    }
    fn compare_exchange(&self, current: u64, new: u64, _: Ordering, _: Ordering) -> Result<u64, u64> {
        step();
        match self.flaw {
            Flaw::SharesTickets if self.is_clock => {
                CLOCKS.with_borrow_mut(|clocks| clocks.remove(&self.address()));
                self.value.fetch_max(new, Ordering::SeqCst);
                Ok(current)
            }
            Flaw::RaisesLate if self.is_clock => {
                CLOCKS.with_borrow_mut(|clocks| clocks.insert(self.address(), new));
                Ok(current)
            }
            _ => self.value.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst),
        }
    }
    fn fetch_or(&self, bits: u64, _: Ordering) -> u64 {
        step();
        self.value.fetch_or(bits, Ordering::SeqCst)
    }
    fn fetch_and(&self, bits: u64, _: Ordering) -> u64 {
        step();
        self.value.fetch_and(bits, Ordering::SeqCst)
    }
    fn fetch_add(&self, value: u64, _: Ordering) -> u64 {
        step();
        self.value.fetch_add(value, Ordering::SeqCst)
    }
}

impl Atomic<u32> for Word32 {
    fn load(&self, _: Ordering) -> u32 {
        step();
        self.0.load(Ordering::SeqCst)
    }
    fn store(&self, value: u32, _: Ordering) {
        step();
        self.0.store(value, Ordering::SeqCst);
    }
    fn compare_exchange(&self, current: u32, new: u32, _: Ordering, _: Ordering) -> Result<u32, u32> {
        step();
        self.0.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }
    fn fetch_or(&self, bits: u32, _: Ordering) -> u32 {
        step();
        self.0.fetch_or(bits, Ordering::SeqCst)
    }
    fn fetch_and(&self, bits: u32, _: Ordering) -> u32 {
        step();
        self.0.fetch_and(bits, Ordering::SeqCst)
    }
    fn fetch_add(&self, value: u32, _: Ordering) -> u32 {
        step();
        self.0.fetch_add(value, Ordering::SeqCst)
    }
}

/// Word, bits, and whether it was woken.
type Sleeper = (usize, NonZeroU32, Arc<AtomicBool>);

/// A control file on the heap. Every participant has a clone.
#[derive(Clone)]
pub(crate) struct Heap(Arc<Inner>);

struct Inner {
    words: Vec<Word64>,
    halves: Vec<Word32>,
    /// Nanoseconds; every look at the clock takes five microseconds.
    time: AtomicU64,
    /// Do the owners of entries hold their lock bytes?
    is_alive: AtomicBool,
    /// Who sleeps: for which word, with which bits.
    sleepers: Mutex<Vec<Sleeper>>,
    /// Sleeps that nobody was left to end.
    overslept: AtomicU32,
}

impl Heap {
    pub(crate) fn new(surfaces: u32, flaw: Flaw) -> Self {
        let size = PAGE * (1 + surfaces as usize);
        let blocks: Vec<_> = (0..surfaces).map(Block::of).collect();
        let word = |at: usize| Word64 {
            value: AtomicU64::new(0),
            is_clock: blocks.iter().any(|block| block.clock() == at),
            is_entry: blocks.iter().any(|block| (block.word(0)..block.mask(0)).contains(&at)),
            flaw,
        };
        Self(Arc::new(Inner {
            words: (0..size / 8).map(|index| word(index * 8)).collect(),
            halves: (0..size / 4).map(|_| Word32(AtomicU32::new(0))).collect(),
            time: AtomicU64::new(0),
            is_alive: AtomicBool::new(true),
            sleepers: Mutex::default(),
            overslept: AtomicU32::new(0),
        }))
    }

    /// From now on every other participant is dead.
    pub(crate) fn kill_all(&self) {
        self.0.is_alive.store(false, Ordering::SeqCst);
    }

    fn sleepers(&self) -> MutexGuard<'_, Vec<Sleeper>> {
        self.0.sleepers.lock().expect("no thread panics in a step")
    }

    /// How many sleeps ended only because every thread slept.
    pub(crate) fn overslept(&self) -> u32 {
        self.0.overslept.load(Ordering::SeqCst)
    }

    /// Under [`Flaw::RaisesLate`]: what this thread's attach did in name only.
    pub(crate) fn raise_late(&self) {
        let late: Vec<_> = CLOCKS.with_borrow_mut(|clocks| clocks.drain().collect());
        for (address, ticket) in late {
            if let Some(word) =
                self.0.words.iter().find(|word| word.address() == address && word.flaw == Flaw::RaisesLate)
            {
                word.value.fetch_max(ticket, Ordering::SeqCst);
            }
        }
    }
}

impl Platform for Heap {
    type U64 = Word64;
    type U32 = Word32;

    fn u64(&self, at: usize) -> &Word64 {
        &self.0.words[at / 8]
    }
    fn u32(&self, at: usize) -> &Word32 {
        &self.0.halves[at / 4]
    }
    fn fence(&self, _: Ordering) {}
    fn pause(&self) {}
    fn sleep(&self, at: usize, expected: u32, bits: NonZeroU32, _: Monotonic) {
        step();
        let begun =
            self.0.halves[at / 4].0.load(Ordering::SeqCst) == expected && with_turn(|turn| turn.asleep += 1).is_some();
        if !begun {
            // Without a schedule every sleep ends early, as a sleep may.
            return;
        }
        let is_awake = Arc::new(AtomicBool::new(false));
        self.sleepers().push((at, bits, Arc::clone(&is_awake)));
        while !is_awake.load(Ordering::SeqCst) {
            let nobody_is_left =
                |turn: &mut Turn| turn.asleep == turn.running.iter().filter(|running| **running).count();
            if with_turn(nobody_is_left) == Some(true) {
                self.0.overslept.fetch_add(1, Ordering::SeqCst);
                self.sleepers().retain(|(_, _, other)| !Arc::ptr_eq(other, &is_awake));
                with_turn(|turn| turn.asleep -= 1);
                return;
            }
            step();
        }
    }
    fn wake(&self, at: usize, bits: NonZeroU32) {
        step();
        self.sleepers().retain(|(word, theirs, is_awake)| {
            let hit = *word == at && theirs.get() & bits.get() != 0;
            if hit {
                is_awake.store(true, Ordering::SeqCst);
                with_turn(|turn| turn.asleep -= 1);
            }
            !hit
        });
    }
    fn now(&self) -> Monotonic {
        Monotonic(self.0.time.fetch_add(5000, Ordering::SeqCst))
    }
    fn coarse(&self) -> Monotonic {
        // At the beginning of time tickets depend on the clocks alone.
        Monotonic(0)
    }
    fn is_alive(&self, _: u8) -> bool {
        self.0.is_alive.load(Ordering::SeqCst)
    }
}
