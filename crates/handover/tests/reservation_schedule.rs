//! The product's own attach, wait and release under some thousand random schedules of their single steps, and the same code
//! on machines with a flaw: what the protocol's rules are for must show when one of them is taken away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use handover::backend::software::reservation::platform::Platform as _;
use handover::backend::software::reservation::working_set::{self, Seat};
use handover::backend::software::reservation::{Attach, Outcome, Reservation};
use handover_model::reservation::conflicts;
use handover_model::{Region, Usage};
use handover_sys::clock::Monotonic;

use support::schedule::{Flaw, Heap, run};
use support::{attach, wish, writes};

type Participant = Reservation<Heap, 4>;

/// What one schedule showed.
#[derive(Default)]
struct Seen {
    overlaps: AtomicU32,
    /// Waits that nothing ends.
    stuck: AtomicU32,
    /// Sleeps that only the end of their slice would have ended, with nobody dead.
    overslept: AtomicU32,
    /// Writers and readers inside, for each of two surfaces.
    inside: [[AtomicU32; 4]; 2],
}

/// Enough to see the schedule again.
#[derive(Debug, PartialEq)]
struct Wrong {
    seed: u64,
    overlaps: u32,
    stuck: u32,
    overslept: u32,
}

/// A thread of a case: in each round it attaches these wishes, each through one of its pool's participants.
struct Submitter<'a> {
    set: Vec<(&'a Participant, Attach)>,
    /// What the witness calls the surface of each wish.
    surfaces: Vec<usize>,
    rounds: u32,
}

impl Submitter<'_> {
    fn go(&self, seen: &Seen) {
        for _ in 0..self.rounds {
            let attached = working_set::attach(&self.set).expect("room and an honest pool");
            let held = |(&(reservation, wish), &entry): (&(_, _), &_)| Seat { reservation, wish, entry };
            let set: Vec<_> = self.set.iter().zip(&attached.entries).map(held).collect();
            for (at, mut dependency) in attached.dependencies {
                let participant = self.set[at].0;
                let deadline = after(participant, Duration::from_millis(4));
                if participant.wait(&mut dependency, Some(deadline)) == Outcome::TimedOut {
                    seen.stuck.fetch_add(1, Ordering::SeqCst);
                    working_set::withdraw(&set).expect("the entries are still ours");
                    return;
                }
            }
            for (&surface, (_, wish)) in self.surfaces.iter().zip(&self.set) {
                seen.enter(surface, wish.usage);
            }
            for (&surface, (participant, wish)) in self.surfaces.iter().zip(&self.set) {
                // Being inside takes some steps.
                for _ in 0..INSIDE {
                    participant.frame(wish.surface);
                }
                seen.inside[surface][wish.usage as usize].fetch_sub(1, Ordering::SeqCst);
            }
            self.set.iter().for_each(|(participant, _)| participant.platform().raise_late());
            working_set::release(&set, None).expect("the entries are still ours");
        }
    }
}

impl Seen {
    fn enter(&self, surface: usize, usage: Usage) {
        let others = Usage::ALL.iter().filter(|other| conflicts(usage, **other));
        let met: u32 = others.map(|other| self.inside[surface][*other as usize].load(Ordering::SeqCst)).sum();
        self.overlaps.fetch_add(met, Ordering::SeqCst);
        self.inside[surface][usage as usize].fetch_add(1, Ordering::SeqCst);
    }
}

fn after(participant: &Participant, time: Duration) -> Monotonic {
    participant.platform().now().saturating_add(time)
}

/// Wishes by pool, surface in the pool, and usage; pools and indices by [`Case::index`].
struct Case {
    pools: usize,
    /// For each submitter its participant index in each pool. Equal ones are one participant with several threads.
    index: &'static [&'static [u8]],
    /// For each submitter: pool, surface in it, usage.
    sets: &'static [&'static [(usize, u32, Usage)]],
    flaw: Flaw,
}

impl Case {
    /// The first of so many schedules that goes wrong, and how.
    fn explore(&self, schedules: u64) -> Option<Wrong> {
        let outcome = |seed| {
            let seen = Seen::default();
            self.run(seed, &seen);
            let Seen { overlaps, stuck, overslept, .. } = seen;
            Wrong {
                seed,
                overlaps: overlaps.into_inner(),
                stuck: stuck.into_inner(),
                overslept: overslept.into_inner(),
            }
        };
        let wrong = (0..schedules).map(outcome).find(|wrong| wrong.overlaps + wrong.stuck + wrong.overslept > 0);
        eprintln!("{:?}: of {schedules} schedules {wrong:?}", self.flaw);
        wrong
    }

    fn run(&self, seed: u64, seen: &Seen) {
        let heaps: Vec<_> = (0..self.pools).map(|_| Heap::new(2, self.flaw)).collect();
        let join = |heap: &Heap, owner: u8| Participant::join(heap.clone(), owner, 0, 2);
        let participants: Vec<Vec<_>> =
            heaps.iter().map(|heap| (0..3).map(|owner| join(heap, owner)).collect()).collect();
        let submitters = self.sets.iter().zip(self.index).map(|(set, index)| Submitter {
            set: set
                .iter()
                .map(|&(pool, surface, usage)| {
                    (&participants[pool][usize::from(index[pool])], wish(surface, usage, Region::WHOLE))
                })
                .collect(),
            surfaces: set
                .iter()
                .map(|&(pool, surface, _)| if self.pools == 1 { surface as usize } else { pool })
                .collect(),
            rounds: 2,
        });
        let threads = submitters.map(|submitter| -> Box<dyn FnOnce() + Send> { Box::new(move || submitter.go(seen)) });
        run(seed, threads.collect());
        let overslept: u32 = heaps.iter().map(Heap::overslept).sum();
        seen.overslept.store(overslept, Ordering::SeqCst);
    }
}

const W: Usage = Usage::Write;
const R: Usage = Usage::Read;
const SCHEDULES: u64 = 600;
/// Steps inside each surface: enough for others to come in between, if anything lets them.
const INSIDE: u32 = 10;
/// Schedules in which a flaw must show. It takes some dozens.
const PATIENT: u64 = 20_000;

const OPPOSITE: Case = Case {
    pools: 1,
    index: &[&[0], &[1]],
    sets: &[&[(0, 0, W), (0, 1, W)], &[(0, 1, W), (0, 0, W)]],
    flaw: Flaw::None,
};

const TWO_POOLS: Case = Case {
    pools: 2,
    index: &[&[0, 1], &[1, 0]],
    sets: &[&[(0, 0, W), (1, 0, W)], &[(1, 0, W), (0, 0, W)]],
    ..OPPOSITE
};

const TWO_THREADS: Case = Case { index: &[&[0], &[0]], ..OPPOSITE };

const READERS: Case = Case {
    index: &[&[0], &[1], &[2]],
    sets: &[&[(0, 0, W), (0, 1, R)], &[(0, 1, W), (0, 0, R)], &[(0, 0, R), (0, 1, R)]],
    ..OPPOSITE
};

#[test]
fn sound_on_an_honest_machine() {
    for case in [OPPOSITE, TWO_POOLS, TWO_THREADS, READERS] {
        assert_eq!(case.explore(SCHEDULES), None);
    }
}

#[test]
fn unsound_where_choosing_is_hidden() {
    let wrong = Case { flaw: Flaw::HidesChoosing, ..OPPOSITE }.explore(PATIENT);
    assert!(matches!(wrong, Some(Wrong { overlaps: 1.., .. })));
}

#[test]
fn unsound_where_clocks_are_raised_late() {
    let wrong = Case { flaw: Flaw::RaisesLate, ..OPPOSITE }.explore(PATIENT);
    assert!(matches!(wrong, Some(Wrong { overlaps: 1.., .. })));
}

#[test]
fn unsound_where_two_threads_under_one_index_share_a_ticket() {
    let wrong = Case { flaw: Flaw::SharesTickets, ..TWO_THREADS }.explore(PATIENT);
    assert!(matches!(wrong, Some(Wrong { overlaps: 1.., .. })));
}

#[test]
fn stuck_where_two_pools_share_a_ticket() {
    let wrong = Case { flaw: Flaw::SharesTickets, ..TWO_POOLS }.explore(PATIENT);
    assert!(matches!(wrong, Some(Wrong { stuck: 1.., .. })));
}

#[test]
fn a_death_is_noticed_although_no_sleep_lasts_a_slice() {
    // Every sleep of this machine ends early, as on a surface that others use all the time.
    let heap = Heap::new(1, Flaw::None);
    let dead = Participant::join(heap.clone(), 0, 0, 1);
    let (_, none) = attach(&dead, &writes([0]));
    assert!(none.is_empty());
    let survivor = Participant::join(heap.clone(), 1, 0, 1);
    let (_, mut dependencies) = attach(&survivor, &writes([0]));
    heap.kill_all();
    let deadline = after(&survivor, Duration::from_secs(1));
    let outcome = survivor.wait(&mut dependencies[0], Some(deadline));
    assert!(matches!(outcome, Outcome::Ended(Some(phase)) if phase.is_failure()), "{outcome:?}");
    assert!(survivor.platform().now() < deadline, "only the deadline ended the wait");
}

#[test]
fn a_death_between_two_looks_is_told() {
    // The first look sees it choosing, the second sees it dead; in between it stood in line before us and ran.
    let heap = Heap::new(1, Flaw::None);
    let writer = Participant::join(heap.clone(), 0, 0, 1);
    let survivor = Participant::join(heap.clone(), 1, 0, 1);
    let claimed = writer.claim(&writes([0])[0]).unwrap();
    // Unlike the generation, which stands in the same field before.
    let ticket = writer.clock(0, 0).unwrap() + 100;
    assert!(writer.win(0, ticket).unwrap());
    let (_, mut dependencies) = attach(&survivor, &writes([0]));
    assert_eq!(dependencies.len(), 1, "it waits for who is choosing");
    writer.stand(&claimed, ticket);
    heap.kill_all();
    // Another survivor ends the entry (and ours: to it we are dead as well).
    assert_eq!(Participant::join(heap, 2, 0, 1).sweep(0), 2);
    let ended = survivor.is_over(&mut dependencies[0]).expect("it is over");
    assert!(ended.is_some_and(|phase| phase.is_failure()), "{ended:?}");
}
