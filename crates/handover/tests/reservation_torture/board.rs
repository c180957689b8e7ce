//! What the processes of a round tell one another beside the control file: tallies, who died when, and the witness's words.

use std::sync::atomic::Ordering;

use handover_sys::clock::Monotonic;

use super::support::{Board, witness};

/// A figure of a round: a count, or a maximum of nanoseconds.
#[derive(Clone, Copy)]
pub(crate) enum Tally {
    Violations,
    Submissions,
    /// Attaches that found a surface full.
    Full,
    /// Waits whose entry was somebody else's before the waiter looked again.
    Recycled,
    /// Attaches and releases that met what a scribbler wrote.
    Spoiled,
    /// Waits that ended at their deadline.
    TimedOut,
    /// The longest wait.
    LongestWait,
    /// The longest that anybody waited for one whom the kernel had torn down, less the time it was not let run.
    LongestForTheDead,
    /// The longest beyond a deadline, less the same.
    LongestOverrun,
}

const TALLIES: usize = 16;
/// The witness's words begin here.
pub(crate) const WITNESS: usize = TALLIES;
/// Lives that are told apart: more than anybody can be waiting for.
const LIVES: usize = 1024;
const DEATHS: usize = WITNESS + witness::WORDS;
const STOPS: usize = DEATHS + LIVES;
/// Words of a round's board.
pub(crate) const WORDS: usize = STOPS + LIVES;

pub(crate) fn told(board: &Board, tally: Tally) -> u64 {
    board.word(tally as usize).load(Ordering::SeqCst)
}

pub(crate) fn count(board: &Board, tally: Tally, by: usize) {
    board.word(tally as usize).fetch_add(by as u64, Ordering::SeqCst);
}

pub(crate) fn longest(board: &Board, tally: Tally, nanoseconds: u64) {
    board.word(tally as usize).fetch_max(nanoseconds, Ordering::SeqCst);
}

fn of_life(base: usize, life: u32) -> usize {
    base + life as usize % LIVES
}

/// A life begins: nothing is known of it.
pub(crate) fn begin(board: &Board, life: u32) {
    board.word(of_life(DEATHS, life)).store(0, Ordering::SeqCst);
    board.word(of_life(STOPS, life)).store(0, Ordering::SeqCst);
}

/// The kernel has torn down this life's memory.
pub(crate) fn end(board: &Board, life: u32) {
    board.word(of_life(DEATHS, life)).store(Monotonic::now().0, Ordering::SeqCst);
}

/// When it was torn down, where it was.
pub(crate) fn end_of(board: &Board, life: u32) -> Option<Monotonic> {
    let at = board.word(of_life(DEATHS, life)).load(Ordering::SeqCst);
    (at != 0).then_some(Monotonic(at))
}

/// It was stopped for so long.
pub(crate) fn stopped(board: &Board, life: u32, nanoseconds: u64) {
    board.word(of_life(STOPS, life)).fetch_add(nanoseconds, Ordering::SeqCst);
}

/// How long it was stopped, altogether.
pub(crate) fn stopped_for(board: &Board, life: u32) -> u64 {
    board.word(of_life(STOPS, life)).load(Ordering::SeqCst)
}
