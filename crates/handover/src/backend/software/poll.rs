//! Descriptors for poll loops: one thread a process sleeps for everybody on the event words of their surfaces.
//!
//! Started by the first watch. It sleeps in `futex_waitv` on at most 127 event words plus its own, wakes at least once a
//! slice to look after dead owners, and writes eventfds that never leave the process: whoever held one elsewhere could read
//! the wake away.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use handover_model::{Result, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::{eventfd, futex};

use super::control::Control;
use super::pool::Pool;
use super::reservation::layout::Block;
use super::reservation::platform::Platform as _;
use super::reservation::{Dependency, Reservation, SLICE};
use crate::deadline::Deadline;
use crate::error::os;
use crate::fence::{Fence, Watched, WeakFence};
use crate::lease::Share;
use crate::surface::lock;
use crate::timeline::RemotePoint;

/// One registered wait. Dropping it takes the registration back.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: Arc<Watcher>,
    id: u64,
    descriptor: Arc<OwnedFd>,
}

#[derive(Debug)]
struct Registration {
    id: u64,
    waits: Vec<(Arc<Pool>, Dependency)>,
    deadline: Option<Monotonic>,
    /// Shared with the watch, not duplicated: to close a duplicate would hold up the very thread that was just woken.
    descriptor: Arc<OwnedFd>,
}

#[derive(Debug, Default)]
struct Watcher {
    registrations: Mutex<Vec<Registration>>,
    /// Fences that others end, entries and points of timelines. Weak: what everybody has dropped is nobody's business.
    fences: Mutex<Vec<WeakFence>>,
    /// Bumped when `registrations` changes, so that the thread's sleep ends.
    changed: AtomicU32,
}

/// Event words in one sleep, the watcher's own not counted.
const WORDS: usize = 127;
/// With more waits than words, or without `futex_waitv` (before Linux 5.16), the thread looks this often.
const LOOK: Duration = Duration::from_millis(1);

/// With the process it belongs to: a forked child has the memory of it and not the thread.
static WATCHER: Mutex<Option<(u32, Arc<Watcher>)>> = Mutex::new(None);
static IDS: AtomicU64 = AtomicU64::new(0);

impl Watch {
    /// A descriptor that becomes readable once all these dependencies are over, or the deadline has come.
    pub(crate) fn start(share: &Share, dependencies: &[(usize, Dependency)], deadline: Deadline) -> Result<Self> {
        let descriptor = Arc::new(eventfd::create().map_err(os(Stage::Acquire, "make an eventfd"))?);
        let pool = |part: usize| share.parts().get(part).map(|part| Arc::clone(&part.surface.0.pool));
        let waits = dependencies.iter().filter_map(|(part, d)| Some((pool(*part)?, *d))).collect();
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let watcher = watcher()?;
        lock(&watcher.registrations).push(Registration {
            id,
            waits,
            deadline: deadline.at(),
            descriptor: Arc::clone(&descriptor),
        });
        watcher.notify();
        Ok(Self { watcher, id, descriptor })
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.watcher.registrations).retain(|registration| registration.id != self.id);
    }
}

/// Sees to it that the end of a fence is found.
pub(crate) fn watch(fence: &Fence) -> Result<()> {
    let watcher = watcher()?;
    lock(&watcher.fences).push(fence.downgrade());
    watcher.notify();
    Ok(())
}

/// The watcher of this process, started by whoever asks first. One that could not be started is tried again.
fn watcher() -> Result<Arc<Watcher>> {
    let mut watcher = lock(&WATCHER);
    let process = std::process::id();
    if let Some((_, watcher)) = watcher.as_ref().filter(|(of, _)| *of == process) {
        return Ok(Arc::clone(watcher));
    }
    let new = Arc::new(Watcher::default());
    let theirs = Arc::clone(&new);
    std::thread::Builder::new()
        .name("handover-poll".into())
        .spawn(move || theirs.run())
        .map_err(os(Stage::Acquire, "start the poll thread"))?;
    *watcher = Some((process, Arc::clone(&new)));
    Ok(new)
}

impl Watcher {
    fn notify(&self) {
        self.changed.fetch_add(1, Ordering::SeqCst);
        // Cannot fail on a mapped, aligned word.
        let _ = futex::wake_bitset(&self.changed, std::num::NonZeroU32::MAX, 1);
    }

    fn run(&self) -> ! {
        let mut look_at_owners = Monotonic::now().saturating_add(SLICE);
        loop {
            let changed = self.changed.load(Ordering::SeqCst);
            let slice_over = Monotonic::now() >= look_at_owners;
            if slice_over {
                look_at_owners = Monotonic::now().saturating_add(SLICE);
            }
            let mut words = self.look(slice_over);
            let mut by_looking = false;
            words.extend(self.look_at_fences(slice_over, &mut by_looking));
            self.sleep(changed, &words, by_looking, self.first_deadline(look_at_owners));
        }
    }

    /// Signals what is over; gives the event words of the rest, armed, with the counts to sleep on.
    fn look(&self, at_owners: bool) -> Vec<(SleepOn, u32)> {
        let mut words: Vec<(SleepOn, u32)> = Vec::new();
        lock(&self.registrations).retain_mut(|registration| {
            registration.waits.retain_mut(|(pool, dependency)| {
                let reservation: &Reservation<Control> = pool.reservation();
                let expected = reservation.arm(dependency.surface, 1 << (dependency.index & 63));
                if at_owners {
                    reservation.end_if_dead(dependency);
                }
                let pending = reservation.is_over(dependency).is_none();
                if pending {
                    // An older count stays: a change since then must end the sleep at once.
                    if !words.iter().any(|(on, _)| on.is_surface(pool, dependency.surface)) {
                        words.push((SleepOn::Surface(Arc::clone(pool), dependency.surface), expected));
                    }
                }
                pending
            });
            let late = registration.deadline.is_some_and(|deadline| deadline <= Monotonic::now());
            let over = late || registration.waits.is_empty();
            if over {
                // A full counter is readable already.
                let _ = eventfd::signal(registration.descriptor.as_fd());
            }
            !over
        });
        words
    }

    /// The same for fences. Those that have ended tell their listeners, which may register others: no lock is held.
    ///
    /// `by_looking`: set where one of them has no word to sleep on.
    fn look_at_fences(&self, at_owners: bool, by_looking: &mut bool) -> Vec<(SleepOn, u32)> {
        let mut words: Vec<(SleepOn, u32)> = Vec::new();
        let mut fences = std::mem::take(&mut *lock(&self.fences));
        fences.retain(|fence| {
            let Some(fence) = fence.upgrade() else { return false };
            // Counts first, then the look: what changes in between ends the sleep at once.
            let before = words.len();
            match fence.watched_words() {
                Watched::Entries(entries) => {
                    for dependency in entries.left(at_owners) {
                        let expected =
                            entries.pool().reservation().arm(dependency.surface, 1 << (dependency.index & 63));
                        if !words.iter().any(|(on, _)| on.is_surface(entries.pool(), dependency.surface)) {
                            words.push((SleepOn::Surface(Arc::clone(entries.pool()), dependency.surface), expected));
                        }
                    }
                }
                Watched::Point(point) => {
                    if at_owners {
                        point.look_at_writer();
                    }
                    let expected = point.event().map_or(0, futex::Word::load_relaxed);
                    std::sync::atomic::fence(Ordering::Acquire);
                    words.push((SleepOn::Point(point.clone()), expected));
                }
                Watched::Nothing => {}
            }
            let pending = !fence.has_ended();
            if !pending {
                words.truncate(before);
            }
            *by_looking |= pending && words.len() == before;
            pending
        });
        lock(&self.fences).append(&mut fences);
        words
    }

    /// When to look again at the latest.
    fn first_deadline(&self, look_at_owners: Monotonic) -> Monotonic {
        let deadlines = lock(&self.registrations).iter().filter_map(|registration| registration.deadline).min();
        deadlines.map_or(look_at_owners, |deadline| deadline.min(look_at_owners))
    }

    fn sleep(&self, changed: u32, words: &[(SleepOn, u32)], by_looking: bool, look_at_owners: Monotonic) {
        let mut sleep_on: Vec<(futex::Word<'_>, u32)> = vec![((&self.changed).into(), changed)];
        sleep_on.extend(words.iter().take(WORDS).filter_map(|(on, expected)| Some((on.word()?, *expected))));
        let until = match words.len() {
            // Nobody waits: until somebody registers.
            0 if !by_looking => None,
            n if n > WORDS => Some(Monotonic::now().saturating_add(LOOK)),
            _ => Some(look_at_owners),
        };
        if futex::waitv(&sleep_on, until).is_err() {
            std::thread::sleep(LOOK);
        }
    }
}

/// Whose event word ends a sleep.
#[derive(Debug)]
enum SleepOn {
    Surface(Arc<Pool>, u32),
    Point(RemotePoint),
}

impl SleepOn {
    fn is_surface(&self, pool: &Arc<Pool>, surface: u32) -> bool {
        matches!(self, Self::Surface(mine, index) if Arc::ptr_eq(mine, pool) && *index == surface)
    }

    fn word(&self) -> Option<futex::Word<'_>> {
        match self {
            Self::Surface(pool, surface) => Some(pool.reservation().platform().u32(Block::of(*surface).event()).into()),
            Self::Point(point) => point.event(),
        }
    }
}
