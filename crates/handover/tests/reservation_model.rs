//! The attach and the wake, checked over every interleaving of their steps (sequentially consistent), with a crash at any.
//!
//! Each rule of the product stands beside variants that must be caught: a check that finds nothing in the broken ones
//! would prove nothing about the other.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

const SUBMITTERS: usize = 3;
const SURFACES: usize = 2;

/// How a ticket is chosen and whom one waits for.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// The product's: a ticket is won on every clock before anybody is looked for.
    Won,
    /// Broken: entries that are still choosing are passed over.
    ChoosingIgnored,
    /// Broken: the clocks are raised only after the others were looked for.
    RaisedAfterCollecting,
    /// Broken: the plain bakery, in which two may draw one ticket and the smaller index goes first.
    SharedTickets,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Entry {
    /// Or claimed, which nobody looks at; or ended.
    #[default]
    Free,
    Choosing,
    Pending(u8),
}

/// The next step of a submitter.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Claim,
    ReadClock,
    Win,
    Stand,
    Collect,
    RaiseLate,
    Wait,
    Run,
    Dead,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Submitter {
    at: At,
    /// Position in its set.
    place: u8,
    /// Whose entry it looks at.
    other: u8,
    ticket: u8,
    round: u8,
    /// The words it waits for, as last seen.
    awaited: [[Entry; SUBMITTERS]; SURFACES],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    entries: [[Entry; SUBMITTERS]; SURFACES],
    clocks: [u8; SURFACES],
    submitters: [Submitter; SUBMITTERS],
}

#[derive(Clone, Copy)]
struct Case {
    /// What each submitter attaches, in this order: surface and whether it writes.
    sets: [&'static [(usize, bool)]; SUBMITTERS],
    /// The participant index of each submitter in the pool of each surface.
    index: [[u8; SUBMITTERS]; SURFACES],
    rounds: u8,
    crashes: bool,
    rule: Rule,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Fine,
    Overlap,
    Deadlock,
}

const W: bool = true;
const R: bool = false;
/// All submitters in one pool.
const ONE_POOL: [[u8; SUBMITTERS]; SURFACES] = [[0, 1, 2]; SURFACES];

impl Case {
    fn conflict(&self, a: usize, b: usize, surface: usize) -> bool {
        let writes = |who: usize| self.sets[who].iter().find(|wish| wish.0 == surface).map(|wish| wish.1);
        matches!((writes(a), writes(b)), (Some(a), Some(b)) if a || b)
    }

    /// Is the ticket of `other` before that of `me` on this surface?
    fn before(&self, surface: usize, (ticket, other): (u8, usize), (mine, me): (u8, usize)) -> bool {
        (ticket, self.index[surface][other]) < (mine, self.index[surface][me])
    }

    fn is_finished(&self, submitter: &Submitter) -> bool {
        submitter.at == At::Dead
            || (submitter.at == At::Claim && submitter.place == 0 && submitter.round == self.rounds)
    }

    /// Lost draws can raise the clocks for ever. One more ticket than there are submissions still shows each of them lost.
    fn is_cut_off(&self, state: &State) -> bool {
        let submissions = self.rounds * self.sets.iter().filter(|set| !set.is_empty()).count() as u8;
        state.submitters.iter().any(|submitter| submitter.ticket > submissions + 1)
    }

    /// The state after the next step of one submitter, or `None` if it has to wait or is finished.
    fn step(&self, state: &State, me: usize) -> Option<State> {
        let mut next = *state;
        let now = &state.submitters[me];
        let my = &mut next.submitters[me];
        let set = self.sets[me];
        let last = usize::from(now.place) + 1 == set.len();
        let surface = set.get(usize::from(now.place)).map_or(0, |wish| wish.0);
        // Most steps are done once for every surface of the set, then the next kind of step begins.
        let advance = |my: &mut Submitter, then: At| {
            my.place = if last { 0 } else { now.place + 1 };
            my.at = if last { then } else { now.at };
        };
        match now.at {
            At::Dead => return None,
            At::Claim if now.round == self.rounds => return None,
            At::Claim => {
                next.entries[surface][me] = Entry::Choosing;
                advance(my, At::ReadClock);
            }
            At::ReadClock => {
                // Before the last clock is read `ticket` holds their maximum.
                my.ticket = my.ticket.max(state.clocks[surface]) + u8::from(last);
                let then = if self.rule == Rule::RaisedAfterCollecting { At::Stand } else { At::Win };
                advance(my, then);
            }
            At::Win if state.clocks[surface] < now.ticket => {
                next.clocks[surface] = now.ticket;
                advance(my, At::Stand);
            }
            At::Win if self.rule == Rule::SharedTickets => advance(my, At::Stand),
            At::Win => (my.at, my.place, my.ticket) = (At::ReadClock, 0, 0),
            At::Stand => {
                next.entries[surface][me] = Entry::Pending(now.ticket);
                advance(my, At::Collect);
            }
            At::Collect => {
                let other = usize::from(now.other);
                let seen = state.entries[surface][other];
                let is_before = match seen {
                    Entry::Free => false,
                    Entry::Choosing => self.rule != Rule::ChoosingIgnored,
                    Entry::Pending(ticket) => self.before(surface, (ticket, other), (now.ticket, me)),
                };
                if other != me && is_before && self.conflict(me, other, surface) {
                    my.awaited[surface][other] = seen;
                }
                my.other = (now.other + 1) % SUBMITTERS as u8;
                if my.other == 0 {
                    let late = self.rule == Rule::RaisedAfterCollecting;
                    advance(my, if late { At::RaiseLate } else { At::Wait });
                }
            }
            At::RaiseLate => {
                next.clocks[surface] = state.clocks[surface].max(now.ticket);
                advance(my, At::Wait);
            }
            At::Wait => {
                let places = (0..SURFACES).flat_map(|surface| (0..SUBMITTERS).map(move |other| (surface, other)));
                let awaited = places.into_iter().find(|&(surface, other)| now.awaited[surface][other] != Entry::Free);
                let Some((surface, other)) = awaited else {
                    my.at = At::Run;
                    return Some(next);
                };
                let (was, is) = (now.awaited[surface][other], state.entries[surface][other]);
                my.awaited[surface][other] = match (was, is) {
                    _ if was == is => return None,
                    (Entry::Choosing, Entry::Pending(ticket))
                        if self.before(surface, (ticket, other), (now.ticket, me)) =>
                    {
                        is
                    }
                    _ => Entry::Free,
                };
            }
            At::Run => {
                next.entries[surface][me] = Entry::Free;
                advance(my, At::Claim);
                if last {
                    my.round += 1;
                    my.ticket = 0;
                }
            }
        }
        Some(next)
    }

    fn overlaps(&self, state: &State) -> bool {
        let holds = |who: usize, surface: usize| {
            state.submitters[who].at == At::Run && matches!(state.entries[surface][who], Entry::Pending(_))
        };
        let pairs = (0..SUBMITTERS).flat_map(|a| (0..a).map(move |b| (a, b)));
        pairs.into_iter().any(|(a, b)| {
            (0..SURFACES).any(|surface| self.conflict(a, b, surface) && holds(a, surface) && holds(b, surface))
        })
    }

    fn check(&self) -> (Verdict, usize) {
        let submitter = |who: usize| Submitter {
            at: if self.sets[who].is_empty() { At::Dead } else { At::Claim },
            place: 0,
            other: 0,
            ticket: 0,
            round: 0,
            awaited: Default::default(),
        };
        let start =
            State { entries: Default::default(), clocks: [0; SURFACES], submitters: std::array::from_fn(submitter) };
        let mut seen = Seen::default();
        let mut open = vec![start];
        seen.insert(start);
        while let Some(state) = open.pop() {
            if self.overlaps(&state) {
                return (Verdict::Overlap, seen.len());
            }
            if self.is_cut_off(&state) {
                continue;
            }
            let mut stuck = true;
            for who in 0..SUBMITTERS {
                let submitter = &state.submitters[who];
                let reaped = (submitter.at == At::Dead).then(|| {
                    (0..SURFACES).map(|surface| {
                        let mut next = state;
                        next.entries[surface][who] = Entry::Free;
                        next
                    })
                });
                let next = self.step(&state, who).into_iter().chain(reaped.into_iter().flatten());
                for next in next.filter(|next| *next != state) {
                    stuck = false;
                    if seen.insert(next) {
                        open.push(next);
                    }
                }
                if self.crashes && !self.is_finished(submitter) {
                    let mut next = state;
                    next.submitters[who] = Submitter { at: At::Dead, awaited: Default::default(), ..*submitter };
                    if seen.insert(next) {
                        open.push(next);
                    }
                }
            }
            if stuck && state.submitters.iter().any(|submitter| !self.is_finished(submitter)) {
                return (Verdict::Deadlock, seen.len());
            }
        }
        (Verdict::Fine, seen.len())
    }
}

/// States number millions and are hashed often; nobody chooses them to collide.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            self.write_u64(word);
        }
    }
    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Seen = HashSet<State, BuildHasherDefault<Multiply>>;

const OPPOSITE: Case = Case {
    sets: [&[(0, W), (1, W)], &[(1, W), (0, W)], &[]],
    index: ONE_POOL,
    rounds: 1,
    crashes: false,
    rule: Rule::Won,
};

#[track_caller]
fn expect(verdict: Verdict, name: &str, case: Case) {
    let (found, states) = case.check();
    eprintln!("{name}: {found:?} after {states} states");
    assert_eq!(found, verdict, "{name}");
}

#[test]
fn two_submitters_in_opposite_order_exclude_each_other_and_go_on_whoever_dies() {
    expect(Verdict::Fine, "two rounds, crashes", Case { rounds: 2, crashes: true, ..OPPOSITE });
}

#[test]
fn three_writers_exclude_each_other_and_go_on_whoever_dies() {
    let sets: [&[_]; 3] = [&[(0, W), (1, W)], &[(1, W), (0, W)], &[(1, W)]];
    expect(Verdict::Fine, "{A,B} {B,A} {B}, crashes", Case { sets, crashes: true, ..OPPOSITE });
}

#[test]
fn readers_and_writers_exclude_each_other_and_go_on() {
    let sets: [&[_]; 3] = [&[(0, W), (1, R)], &[(1, W), (0, R)], &[(0, R), (1, R)]];
    expect(Verdict::Fine, "A:w B:r, B:w A:r, A:r B:r", Case { sets, ..OPPOSITE });
}

#[test]
fn indices_in_opposite_order_in_two_pools_do_no_harm() {
    let index = [[0, 1, 2], [1, 0, 2]];
    expect(Verdict::Fine, "two pools", Case { index, rounds: 2, crashes: true, ..OPPOSITE });
}

#[test]
fn two_threads_under_one_index_do_no_harm() {
    let index = [[0, 0, 1]; SURFACES];
    expect(Verdict::Fine, "two threads", Case { index, rounds: 2, crashes: true, ..OPPOSITE });
}

#[test]
fn broken_without_waiting_for_who_is_choosing() {
    expect(Verdict::Overlap, "CHOOSING ignored", Case { rule: Rule::ChoosingIgnored, ..OPPOSITE });
}

#[test]
fn broken_with_clocks_raised_after_collecting() {
    expect(Verdict::Overlap, "raised late", Case { rule: Rule::RaisedAfterCollecting, ..OPPOSITE });
}

#[test]
fn broken_with_shared_tickets_and_two_pools() {
    let index = [[0, 1, 2], [1, 0, 2]];
    expect(Verdict::Deadlock, "bakery, two pools", Case { index, rule: Rule::SharedTickets, ..OPPOSITE });
}

#[test]
fn broken_with_shared_tickets_and_two_threads_under_one_index() {
    let index = [[0, 0, 1]; SURFACES];
    expect(Verdict::Overlap, "bakery, two threads", Case { index, rule: Rule::SharedTickets, ..OPPOSITE });
}

#[test]
fn the_plain_bakery_holds_for_one_pool_and_one_thread_each() {
    expect(Verdict::Fine, "bakery, one pool", Case { rounds: 2, rule: Rule::SharedTickets, ..OPPOSITE });
}
