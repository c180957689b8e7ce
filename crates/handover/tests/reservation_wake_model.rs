//! Sleep and wake, checked over every interleaving: is anybody left asleep until the end of its slice with nobody dead?
//!
//! One owner changes its word twice, CHOOSING to PENDING and PENDING to ended, and rings after each. Two others wait for it,
//! so that each finds bits that the other armed.

use std::collections::HashSet;

/// The order of a sleeper's first two steps.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// The product's: the event count is read before the bit is looked at.
    CountThenBit,
    /// Broken: a waker can take the bit and raise the count in between.
    BitThenCount,
    /// Broken: no second look at the word between the bit and the sleep.
    NoSecondLook,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sleeper {
    /// About to read the count or to test the bit, whichever its rule does first.
    Begin,
    TestBit,
    SetBit,
    ReadCount,
    Look,
    Sleep,
    Asleep,
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    /// 0: CHOOSING, 1: PENDING, 2: ended.
    word: u8,
    armed: bool,
    count: u8,
    /// Steps the owner has done: change, test the bit, take it, raise the count, wake; twice.
    owner: u8,
    /// Each with the count it will sleep on.
    sleepers: [(Sleeper, u8); 2],
}

const OWNER_STEPS: u8 = 10;

fn owner_step(state: &State) -> Option<State> {
    let mut next = *state;
    next.owner += 1;
    match state.owner % 5 {
        _ if state.owner == OWNER_STEPS => return None,
        0 => next.word += 1,
        1 if !state.armed => next.owner += 3,
        1 => {}
        2 => next.armed = false,
        3 => next.count += 1,
        _ => {
            for (sleeper, _) in next.sleepers.iter_mut().filter(|(sleeper, _)| *sleeper == Sleeper::Asleep) {
                *sleeper = Sleeper::Begin;
            }
        }
    }
    Some(next)
}

fn sleeper_step(rule: Rule, state: &State, who: usize) -> Option<State> {
    let mut next = *state;
    let (at, expected) = state.sleepers[who];
    let at = match at {
        Sleeper::Begin if rule == Rule::BitThenCount => Sleeper::TestBit,
        Sleeper::Begin => Sleeper::ReadCount,
        at => at,
    };
    let after_bit = match rule {
        Rule::CountThenBit => Sleeper::Look,
        Rule::BitThenCount => Sleeper::ReadCount,
        Rule::NoSecondLook => Sleeper::Sleep,
    };
    next.sleepers[who] = match at {
        Sleeper::ReadCount if rule == Rule::BitThenCount => (Sleeper::Look, state.count),
        Sleeper::ReadCount => (Sleeper::TestBit, state.count),
        Sleeper::TestBit if state.armed => (after_bit, expected),
        Sleeper::TestBit => (Sleeper::SetBit, expected),
        Sleeper::SetBit => {
            next.armed = true;
            (after_bit, expected)
        }
        Sleeper::Look if state.word == 2 => (Sleeper::Over, 0),
        Sleeper::Look => (Sleeper::Sleep, expected),
        Sleeper::Sleep if state.count == expected => (Sleeper::Asleep, 0),
        Sleeper::Sleep => (Sleeper::Begin, 0),
        Sleeper::Begin | Sleeper::Asleep | Sleeper::Over => return None,
    };
    Some(next)
}

/// Can somebody be asleep although the owner has ended its entry and rung?
fn loses_a_wake(rule: Rule) -> bool {
    let start = State { word: 0, armed: false, count: 0, owner: 0, sleepers: [(Sleeper::Begin, 0); 2] };
    let mut seen = HashSet::from([start]);
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        if state.owner == OWNER_STEPS && state.sleepers.iter().any(|(sleeper, _)| *sleeper == Sleeper::Asleep) {
            return true;
        }
        for next in owner_step(&state).into_iter().chain((0..2).filter_map(|who| sleeper_step(rule, &state, who))) {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

#[test]
fn no_wake_is_lost() {
    assert!(!loses_a_wake(Rule::CountThenBit));
}

#[test]
fn broken_with_the_bit_before_the_count() {
    assert!(loses_a_wake(Rule::BitThenCount));
}

#[test]
fn broken_without_a_second_look() {
    assert!(loses_a_wake(Rule::NoSecondLook));
}
