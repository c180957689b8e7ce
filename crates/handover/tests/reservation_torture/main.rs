//! Five processes on surfaces with few entries, killed from outside and at random steps, stopped and continued, while a witness
//! that knows nothing of the reservation looks for two that are inside together; once more with somebody who writes over the
//! control file of a second pool, from which the first one must not suffer.
//!
//! `HANDOVER_TORTURE_SECONDS` and `HANDOVER_TORTURE_SEED` are what `cargo xtask soak` sets. A seed fixes who is killed and when,
//! and what each process does; it does not fix what the scheduler makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod board;
mod round;
#[path = "../support/mod.rs"]
mod support;
mod torturer;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use handover_sys::file;

use board::{Tally, told};
use round::Round;
use support::{Board, DEATH_NOTICED};

#[test]
fn another_process() {
    let Some(words) = support::role() else { return };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["torturer", board, seed, life, ref pools @ ..] => {
            torturer::torturer(&Board::open(board), seed.parse().unwrap(), life.parse().unwrap(), pools);
        }
        ["scribbler", seed, pool] => torturer::scribbler(seed.parse().unwrap(), pool),
        _ => panic!("no such role: {words:?}"),
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// One round at a time: each counts this process's descriptors, and needs the processors for itself.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a round, tells what it found, and asserts what holds for each. `usual`: how long without a word from outside.
fn round(lies: bool, usual: u64) -> Round {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = from_environment("HANDOVER_TORTURE_SECONDS").unwrap_or(usual);
    let seed = from_environment("HANDOVER_TORTURE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("seed {seed}, {seconds} s, {}", if lies { "beside a scribbler" } else { "all honest" });
    let before = file::open_count().unwrap();
    let round = round::run(seed, Duration::from_secs(seconds), lies);
    let tally = |tally| told(&round.board, tally);
    let time = |tally| Duration::from_nanos(told(&round.board, tally));
    eprintln!(
        "{} submissions, {} kills from outside, {} at a step, {} stops, {} times full, {} entries recycled under a waiter, \
         {} times spoiled, {} time-outs",
        tally(Tally::Submissions),
        round.killed,
        round.died_at_a_step,
        round.stops,
        tally(Tally::Full),
        tally(Tally::Recycled),
        tally(Tally::Spoiled),
        tally(Tally::TimedOut),
    );
    eprintln!(
        "longest wait {:?}, for the dead {:?}, beyond a deadline {:?}, longest stall {:?}",
        time(Tally::LongestWait),
        time(Tally::LongestForTheDead),
        time(Tally::LongestOverrun),
        round.stall,
    );
    assert_eq!(tally(Tally::Violations), 0, "two were inside together");
    assert!(tally(Tally::Submissions) > 0 && round.killed > 0 && round.stops > 0);
    assert!(round.stall < Duration::from_secs(3), "{:?}", round.stall);
    // The promise itself is for `cargo xtask soak`; this bound holds on any machine.
    let promise = from_environment("HANDOVER_TORTURE_PROMISE_MS").map_or(DEATH_NOTICED, Duration::from_millis);
    assert!(time(Tally::LongestForTheDead) < promise, "somebody waited for the dead");
    assert!(time(Tally::LongestOverrun) < promise, "somebody waited beyond his deadline");
    // The threads that watched the last lives close their descriptors when these have ended.
    support::until("every descriptor is closed again", || file::open_count().unwrap() <= before + BOARD);
    round
}

/// The board that a round hands out has one descriptor.
const BOARD: usize = 1;

#[test]
fn torture() {
    let round = round(false, 5);
    assert!(told(&round.board, Tally::Full) > 0 && told(&round.board, Tally::Recycled) > 0);
    assert_eq!(told(&round.board, Tally::Spoiled), 0);
    assert!(round.died_at_a_step > 0);
    assert!(told(&round.board, Tally::LongestForTheDead) > 0, "nobody met a dead one");
}

#[test]
fn torture_beside_a_scribbler() {
    let round = round(true, 5);
    assert!(told(&round.board, Tally::Spoiled) > 0, "nobody met what the scribbler wrote");
}
