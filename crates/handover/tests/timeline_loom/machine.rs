//! The machine under a timeline's page as loom sees it: weakly ordered words, a futex, and a lock byte that the dead let go.
//!
//! Each mistake of [`Flaw`] is made by the machine in the place of the product, whose own code runs unchanged.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use handover::timeline::page::{Words, WriteWords, at};
use handover_sys::clock::Monotonic;
use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Condvar, Mutex};

/// Points that a model may use: 1 up to here.
pub(crate) const POINTS: u64 = 3;

/// One ordering of the product, an acquire or a release.
///
/// Those that are not here change nothing if they alone are missing: the store of `submitted` promises nothing and wakes by the
/// event, the store of an error is carried by `completed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Site {
    /// Store of `completed`: who sees it sees the data and the error.
    StoreCompleted,
    /// Store of `closed`: who sees it sees how far the timeline came.
    StoreClosed,
    /// Who sees a new event sees what it was raised for.
    RaiseEvent,
    FenceAfterEvent,
    FenceAfterCompleted,
    /// Between `closed` or a death and the second look.
    FenceAfterEnd,
    /// What one thread's memory has seen, for another to see no less of the page.
    LoadSeen,
    RaiseSeen,
    /// Does the same as [`FenceAfterEnd`](Self::FenceAfterEnd) for a death: either may be missing.
    LoadDead,
    /// A death that one thread asked the kernel about, for another to see what the dead wrote.
    StoreDead,
}

/// What is wrong with the machine, and stands for the same mistake in the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    None,
    /// No ordering at these sites.
    Weak(&'static [Site]),
    /// A wake reaches nobody.
    LosesWakes,
    /// The writer raises the event and wakes, and only then stores what that is for.
    RingsBeforeStoring,
    /// The writer stores `completed` before the error.
    CompletesBeforeFailing,
    /// A reader sleeps on the event as it is after the look.
    ReadsEventAfterLooking,
    /// A reader does not look again after it has seen the end.
    LooksOnceAtEnd,
    /// A reader loads `completed` before what its memory has seen.
    LooksBeforeRemembering,
}

impl Flaw {
    /// The ordering that is left at this site.
    fn order(self, site: Site, order: Ordering) -> Ordering {
        if self.weakens(site) { Ordering::Relaxed } else { order }
    }

    fn weakens(self, site: Site) -> bool {
        matches!(self, Self::Weak(sites) if sites.contains(&site))
    }
}

/// What the kernel knows.
#[derive(Default)]
struct Kernel {
    wakes: u32,
    sleepers: u32,
    writer_is_dead: bool,
}

/// What the writer did, for the models to compare with what readers say. Nobody else's business.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) submitted: Cell<u64>,
    pub(crate) completed: Cell<u64>,
    /// It closed the timeline, or died.
    pub(crate) is_over: Cell<bool>,
}

/// What all share.
pub(crate) struct Machine {
    words: BTreeMap<usize, AtomicU64>,
    event: AtomicU32,
    kernel: Mutex<Kernel>,
    changed: Condvar,
    flaw: Flaw,
    pub(crate) truth: Truth,
}

impl Machine {
    pub(crate) fn new(flaw: Flaw) -> Rc<Self> {
        let errors = (1..=POINTS).map(at::error);
        let words = [at::SUBMITTED, at::COMPLETED, at::CLOSED].into_iter().chain(errors);
        Rc::new(Self {
            words: words.map(|at| (at, AtomicU64::new(0))).collect(),
            event: AtomicU32::new(0),
            kernel: Mutex::default(),
            changed: Condvar::new(),
            flaw,
            truth: Truth::default(),
        })
    }

    fn kernel(&self) -> loom::sync::MutexGuard<'_, Kernel> {
        self.kernel.lock().expect("no thread panics in the kernel")
    }

    fn die(&self) {
        self.truth.is_over.set(true);
        let mut kernel = self.kernel();
        kernel.writer_is_dead = true;
        self.rouse(&mut kernel);
    }

    fn rouse(&self, kernel: &mut Kernel) {
        if std::mem::take(&mut kernel.sleepers) > 0 {
            self.changed.notify_all();
        }
    }
}

/// The page as its writer uses it.
pub(crate) struct Writer {
    machine: Rc<Machine>,
    /// Operations left to live for.
    left: Cell<u32>,
    /// What a flawed writer stores too late.
    kept_back: Cell<Option<(usize, u64)>>,
}

impl Writer {
    /// One that does nothing from its operation number `left` on. Its peers notice when it has [died](Self::die).
    pub(crate) fn new(machine: &Rc<Machine>, left: u32) -> Self {
        Self { machine: Rc::clone(machine), left: Cell::new(left), kept_back: Cell::new(None) }
    }

    pub(crate) fn lives(&self) -> bool {
        self.left.get() > 0
    }

    /// The kernel tears it down, and lets go of its lock byte.
    pub(crate) fn die(self) {
        self.machine.die();
    }

    /// Does this if it still lives. The dead do nothing.
    fn step(&self, act: impl FnOnce()) {
        if let Some(left) = self.left.get().checked_sub(1) {
            self.left.set(left);
            act();
        }
    }

    fn store(&self, at: usize, value: u64) {
        let Machine { words, flaw, truth, .. } = &*self.machine;
        let order = match at {
            at::COMPLETED => flaw.order(Site::StoreCompleted, Ordering::Release),
            at::CLOSED => flaw.order(Site::StoreClosed, Ordering::Release),
            _ => Ordering::Release,
        };
        self.step(|| {
            words[&at].store(value, order);
            match at {
                at::SUBMITTED => truth.submitted.set(value),
                at::COMPLETED => truth.completed.set(value),
                at::CLOSED => truth.is_over.set(true),
                _ => {}
            }
        });
    }

    fn store_kept_back(&self) {
        if let Some((at, value)) = self.kept_back.take() {
            self.store(at, value);
        }
    }
}

impl WriteWords for Writer {
    fn store64(&self, at: usize, value: u64) {
        let is_error = at >= at::error(0);
        match self.machine.flaw {
            Flaw::RingsBeforeStoring if !is_error => self.kept_back.set(Some((at, value))),
            Flaw::CompletesBeforeFailing if is_error => self.kept_back.set(Some((at, value))),
            Flaw::CompletesBeforeFailing => {
                self.store(at, value);
                self.store_kept_back();
            }
            _ => self.store(at, value),
        }
    }

    fn ring(&self, _: usize) {
        let Machine { event, flaw, .. } = &*self.machine;
        self.step(|| {
            event.fetch_add(1, flaw.order(Site::RaiseEvent, Ordering::Release));
        });
        self.step(|| {
            if *flaw != Flaw::LosesWakes {
                let mut kernel = self.machine.kernel();
                kernel.wakes += 1;
                self.machine.rouse(&mut kernel);
            }
        });
        self.store_kept_back();
    }
}

/// What orders the threads of a reader's process among each other: `Memory` keeps its numbers in atomics that loom does not watch.
/// Each has a twin here, which is touched in the same step and with the same ordering.
pub(crate) struct Twins {
    seen: AtomicU64,
    dead: AtomicU64,
}

impl Twins {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { seen: AtomicU64::new(0), dead: AtomicU64::new(0) })
    }
}

/// The page as one thread of a reader uses it.
pub(crate) struct Reader {
    machine: Rc<Machine>,
    /// For threads that share a `Memory`.
    twins: Option<Rc<Twins>>,
    /// Which word was loaded last: a fence belongs to the load before it.
    last: Cell<usize>,
    /// What the last load of `completed` gave.
    completed: Cell<u64>,
    /// What a flawed reader has loaded too early.
    too_early: Cell<Option<u64>>,
    time: Cell<u64>,
}

impl Reader {
    pub(crate) fn new(machine: &Rc<Machine>, twins: Option<Rc<Twins>>) -> Self {
        Self {
            machine: Rc::clone(machine),
            twins,
            last: Cell::new(0),
            completed: Cell::new(0),
            too_early: Cell::new(None),
            time: Cell::new(0),
        }
    }

    /// To be called before a look that no fence precedes: what the memory has seen is read in this step.
    pub(crate) fn begin(&self) {
        self.touch_seen(self.machine.flaw.order(Site::LoadSeen, Ordering::Acquire));
    }

    fn load(&self, at: usize) -> u64 {
        self.machine.words.get(&at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn touch_seen(&self, order: Ordering) {
        if let Some(twins) = &self.twins {
            twins.seen.fetch_add(0, order);
        }
    }

    fn touch_dead(&self, order: Ordering) {
        if let Some(twins) = &self.twins {
            twins.dead.fetch_add(0, order);
        }
    }
}

impl Words for Reader {
    fn load64(&self, at: usize) -> u64 {
        let last = self.last.replace(at);
        let flaw = self.machine.flaw;
        match at {
            at::COMPLETED if flaw == Flaw::LooksOnceAtEnd && last == at::CLOSED => self.completed.get(),
            at::COMPLETED => {
                let completed = self.too_early.take().unwrap_or_else(|| self.load(at));
                self.completed.set(completed);
                completed
            }
            at::CLOSED => {
                let closed = self.load(at);
                // The next thing the look does is to read whether the memory knows of a death.
                self.touch_dead(flaw.order(Site::LoadDead, Ordering::Acquire));
                closed
            }
            _ => self.load(at),
        }
    }

    fn load32(&self, at: usize) -> u32 {
        self.last.set(at);
        self.machine.event.load(Ordering::Relaxed)
    }

    fn fence(&self, order: Ordering) {
        let flaw = self.machine.flaw;
        let last = self.last.get();
        let site = match last {
            at::EVENT => Site::FenceAfterEvent,
            at::COMPLETED => Site::FenceAfterCompleted,
            _ => Site::FenceAfterEnd,
        };
        if !flaw.weakens(site) {
            fence(order);
        }
        if last == at::COMPLETED {
            // The next thing the look does is to raise what the memory has seen.
            self.touch_seen(if flaw.weakens(Site::RaiseSeen) { Ordering::Acquire } else { Ordering::AcqRel });
        } else {
            if flaw == Flaw::LooksBeforeRemembering {
                self.too_early.set(Some(self.load(at::COMPLETED)));
            }
            // And here, to read it.
            self.begin();
        }
    }

    /// A futex: the look at the word and the falling asleep are one step for every waker, who takes the same lock. A sleep ends by
    /// its time only after a death; so a wake that gets lost with nobody dead is a deadlock, which loom reports.
    fn sleep(&self, _: usize, expected: u32, until: Monotonic) {
        let Machine { event, flaw, changed, .. } = &*self.machine;
        let is_late = *flaw == Flaw::ReadsEventAfterLooking;
        let expected = if is_late { event.load(Ordering::Relaxed) } else { expected };
        let mut kernel = self.machine.kernel();
        if event.load(Ordering::Relaxed) != expected {
            return;
        }
        let wakes = kernel.wakes;
        while kernel.wakes == wakes {
            if kernel.writer_is_dead {
                self.time.set(until.0);
                return;
            }
            kernel.sleepers += 1;
            kernel = changed.wait(kernel).expect("no thread panics in the kernel");
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic(self.time.get())
    }

    fn writer_lives(&self) -> bool {
        let lives = !self.machine.kernel().writer_is_dead;
        if !lives {
            // The next thing the memory does is to remember that.
            self.touch_dead(self.machine.flaw.order(Site::StoreDead, Ordering::Release));
        }
        lives
    }
}
