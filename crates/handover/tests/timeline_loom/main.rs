//! The product's page of a timeline under loom: the orders of writer's and readers' steps up to a bound of preemptions, and every
//! value that a weakly ordered machine may show them; with the writer's death before any step, and with each mistake in turn.
//!
//! `LOOM_MAX_PREEMPTIONS` raises the bound. What loom cannot show: loads that see stores from their future, more than seven
//! values of a word, more preemptions than the bound. What a `Memory` remembers is always read at its newest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "../reservation_loom/explore.rs"]
mod explore;
mod machine;
mod models;

use handover::timeline::page::Look;
use machine::{Flaw, Site};
use models::Act::{Close, Complete, Submit};
use models::Wish::{Completed, Polled, Submitted};
use models::{Act, Case, Death, Wish, count, die_at_each_step, explore_case};

const EIO: u32 = 5;

/// Two points, the first of which fails.
const TWO: &[Act] = &[Submit(1), Complete(1, Some((1, EIO))), Submit(2), Complete(2, None)];
/// Nobody was told of them before.
const UNTOLD: &[Act] = &[Complete(1, None), Complete(2, Some((2, EIO)))];
const ONE: &[Act] = &[Submit(1), Complete(1, Some((1, EIO)))];
/// Both at once, of which the first failed.
const AT_ONCE: &[Act] = &[Complete(2, Some((1, EIO)))];
const CLOSED: &[Act] = &[Submit(1), Complete(1, Some((1, EIO))), Close];
const CLOSED_EARLY: &[Act] = &[Complete(1, None), Submit(2), Close];
const FALLS: &[Act] = &[Complete(2, None), Complete(1, None), Complete(3, None)];

const IN_ORDER: &[Wish] = &[Submitted(1), Completed(1), Submitted(2), Completed(2)];

const fn apart(script: &'static [Act], readers: &'static [&'static [Wish]]) -> Case {
    Case { script, readers, shares_memory: false }
}

const fn together(script: &'static [Act], readers: &'static [&'static [Wish]]) -> Case {
    Case { script, readers, shares_memory: true }
}

#[track_caller]
fn assert_sound(name: &str, bound: usize, case: Case) {
    match explore_case(bound, case, Death::Never, Flaw::None) {
        Ok(executions) => eprintln!("{name}: {executions} executions"),
        Err(why) => panic!("{name}: {why}"),
    }
}

#[track_caller]
fn assert_sound_in_death(name: &str, bound: usize, case: Case, expected: u32) {
    match die_at_each_step(bound, case, Flaw::None) {
        Ok((steps, executions)) => {
            eprintln!("{name}: {steps} steps, {executions} executions");
            assert_eq!(steps, expected, "{name}");
        }
        Err(why) => panic!("{name}: {why}"),
    }
}

#[test]
fn one_reader_loses_no_wake_and_sees_data_and_error() {
    assert_sound("in order", 1, apart(TWO, &[IN_ORDER]));
    assert_sound("first", 3, apart(ONE, &[&[Submitted(1), Completed(1)]]));
    assert_sound("second", 2, apart(TWO, &[&[Submitted(2), Completed(2)]]));
    assert_sound("at once", 3, apart(AT_ONCE, &[&[Completed(1), Completed(2)]]));
    assert_sound("untold, submission", 3, apart(UNTOLD, &[&[Submitted(1), Submitted(2)]]));
    assert_sound("untold, completion", 3, apart(UNTOLD, &[&[Completed(2), Completed(1)]]));
}

#[test]
fn two_readers_lose_no_wake() {
    assert_sound("one point", 2, apart(ONE, &[&[Submitted(1)], &[Completed(1)]]));
    assert_sound("two points", 1, apart(TWO, &[&[Submitted(2)], &[Completed(1)]]));
    assert_sound("untold", 2, apart(UNTOLD, &[&[Submitted(2)], &[Completed(2)]]));
}

/// R11: nobody waits for the dead, and what they completed is complete.
#[test]
fn a_writer_dies_before_each_step() {
    assert_sound_in_death("first point", 3, apart(ONE, &[&[Submitted(1), Completed(1)]]), 7);
    assert_sound_in_death("second point", 1, apart(TWO, &[&[Completed(1), Completed(2)]]), 13);
    assert_sound_in_death("two readers", 1, apart(ONE, &[&[Submitted(1)], &[Completed(1)]]), 7);
    assert_sound_in_death("polled", 3, apart(ONE, &[&[Polled(1), Polled(1)]]), 7);
}

#[test]
fn a_closed_timeline_ends_every_wait() {
    assert_sound("complete", 3, apart(CLOSED, &[&[Completed(1), Completed(2)]]));
    assert_sound("polled", 3, apart(CLOSED, &[&[Polled(1), Polled(1)]]));
    assert_sound("incomplete", 1, apart(CLOSED_EARLY, &[&[Completed(2)], &[Submitted(3)]]));
    assert_sound_in_death("dies at it", 2, apart(CLOSED, &[&[Completed(1), Submitted(2)]]), 10);
}

#[test]
fn threads_that_share_a_memory_call_no_honest_writer_a_liar() {
    assert_sound("two points", 2, together(UNTOLD, &[&[Completed(2)], &[Completed(1)]]));
    assert_sound("polled", 2, together(UNTOLD, &[&[Polled(2), Polled(2)], &[Polled(2), Polled(1)]]));
    assert_sound_in_death("death", 1, together(ONE, &[&[Completed(1)], &[Polled(1)]]), 7);
    assert_sound_in_death("death, polled", 2, together(ONE, &[&[Polled(1)], &[Polled(1)]]), 7);
}

#[test]
fn numbers_that_fall_spoil_for_ever() {
    let looks = [Look::Spoiled, Look::Complete(None)];
    for case in [
        apart(FALLS, &[&[Polled(3), Completed(3), Polled(3)]]),
        together(FALLS, &[&[Completed(3)], &[Polled(1), Polled(3)]]),
    ] {
        let [spoiled, complete] = count(1, case, looks).unwrap();
        eprintln!("{spoiled} spoiled, {complete} complete");
        assert!(spoiled > 0 && complete > 0, "{spoiled} spoiled, {complete} complete");
    }
}

/// What the product cannot do without, a case that shows it, and what is said there.
const GATED: &[(Flaw, Case, &str)] = &[
    (Flaw::LosesWakes, apart(ONE, &[&[Submitted(1)]]), "deadlock"),
    (Flaw::RingsBeforeStoring, apart(ONE, &[&[Completed(1)]]), "deadlock"),
    (Flaw::RingsBeforeStoring, apart(&[Submit(1)], &[&[Submitted(1)]]), "deadlock"),
    (Flaw::RingsBeforeStoring, apart(&[Close], &[&[Submitted(1)]]), "deadlock"),
    (Flaw::ReadsEventAfterLooking, apart(ONE, &[&[Completed(1)]]), "deadlock"),
    (Flaw::CompletesBeforeFailing, apart(ONE, &[&[Completed(1)]]), "the error of point 1"),
    (Flaw::LooksOnceAtEnd, apart(CLOSED, &[&[Polled(1)]]), "Poisoned"),
    (Flaw::LooksBeforeRemembering, together(ONE, &[&[Completed(1)], &[Completed(1)]]), "called a liar"),
    (Flaw::Weak(&[Site::StoreCompleted]), apart(ONE, &[&[Completed(1)]]), "Causality violation"),
    (Flaw::Weak(&[Site::StoreClosed]), apart(CLOSED, &[&[Completed(1)]]), "Poisoned"),
    (Flaw::Weak(&[Site::RaiseEvent]), apart(ONE, &[&[Completed(1)]]), "deadlock"),
    (Flaw::Weak(&[Site::FenceAfterEvent]), apart(ONE, &[&[Completed(1)]]), "deadlock"),
    (Flaw::Weak(&[Site::FenceAfterCompleted]), apart(ONE, &[&[Completed(1)]]), "Causality violation"),
    (Flaw::Weak(&[Site::FenceAfterEnd]), apart(CLOSED, &[&[Polled(1)]]), "Poisoned"),
    (Flaw::Weak(&[Site::LoadSeen]), together(ONE, &[&[Polled(1)], &[Polled(1)]]), "called a liar"),
    (Flaw::Weak(&[Site::RaiseSeen]), together(ONE, &[&[Polled(1)], &[Polled(1)]]), "called a liar"),
];

/// The same where the writer dies.
const GATED_IN_DEATH: &[(Flaw, Case, &str)] = &[
    (Flaw::LooksOnceAtEnd, together(ONE, &[&[Polled(1)], &[Polled(1)]]), "Poisoned"),
    (Flaw::Weak(&[Site::LoadDead, Site::FenceAfterEnd]), together(ONE, &[&[Polled(1)], &[Polled(1)]]), "Poisoned"),
    (Flaw::Weak(&[Site::StoreDead]), together(ONE, &[&[Polled(1)], &[Polled(1)]]), "Poisoned"),
];

#[test]
fn every_mistake_is_noticed() {
    for (index, (flaw, case, expected)) in GATED.iter().enumerate() {
        let explored = explore_case(2, *case, Death::Never, *flaw);
        let why = explored.expect_err(&format!("{index}: {flaw:?} is not noticed"));
        assert!(why.contains(expected), "{index}: {flaw:?}: {why}");
    }
}

#[test]
fn every_mistake_about_the_dead_is_noticed() {
    for (index, (flaw, case, expected)) in GATED_IN_DEATH.iter().enumerate() {
        let explored = die_at_each_step(2, *case, *flaw);
        let why = explored.expect_err(&format!("{index}: {flaw:?} is not noticed"));
        assert!(why.contains(expected), "{index}: {flaw:?}: {why}");
    }
}
