//! The product's attach, wait and ring, join and reap under loom: the orders of their steps up to a bound of preemptions, and every
//! value that a weakly ordered machine may show them; with death before any step, and without each ordering in turn.
//!
//! `LOOM_MAX_PREEMPTIONS` raises the bound. What loom cannot show: loads that see stores from their future, more than seven
//! values of a word, more preemptions than the bound. A SeqCst access counts as AcqRel: it is the fences that count.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod deaths;
mod explore;
mod machine;
mod models;
mod sites;
mod words;

use deaths::{die_at_each_step, joiner_dies_at_each_step, reapers, rejoin};
use explore::explore;
use models::{BOTH, Model, ONE, OPPOSITE, full, looked_at, opposite, recycled, replaced, torn, two, wake};
use sites::Site::*;
use sites::{Flaw, Site};

#[track_caller]
fn assert_sound(name: &str, bound: usize, model: Model) {
    match explore(bound, Flaw::None, model) {
        Ok(executions) => eprintln!("{name}: {executions} executions"),
        Err(why) => panic!("{name}: {why}"),
    }
}

#[test]
fn two_writers_exclude_each_other_and_no_wake_is_lost() {
    assert_sound("two", 2, two);
    assert_sound("wake", 2, wake);
}

#[test]
fn two_submitters_in_opposite_order_exclude_each_other_and_go_on() {
    assert_sound("opposite", 2, opposite);
}

#[test]
fn entries_recycled_under_those_who_look_and_wait() {
    assert_sound("recycled", 1, recycled);
    assert_sound("looked at", 2, looked_at);
    assert_sound("replaced", 2, replaced);
}

#[test]
fn a_full_surface_wakes_who_waits_for_room() {
    assert_sound("full", 1, full);
}

#[test]
fn a_failed_write_is_told() {
    assert_sound("torn", 3, torn);
}

#[test]
fn an_index_is_taken_again_and_an_entry_is_reaped_by_two() {
    assert_sound("rejoin", 2, rejoin);
    assert_sound("reapers", 2, reapers);
}

#[test]
fn a_writer_dies_before_each_step() {
    let (steps, executions) = die_at_each_step(1, &ONE, &ONE);
    eprintln!("one surface: {steps} steps, {executions} executions");
    assert!(steps >= 40);
}

#[test]
fn a_writer_of_two_surfaces_dies_before_each_step() {
    let (steps, executions) = die_at_each_step(1, &BOTH, &OPPOSITE);
    eprintln!("two surfaces: {steps} steps, {executions} executions");
    assert!(steps >= 70);
}

#[test]
fn a_joiner_dies_before_each_step() {
    let (steps, executions) = joiner_dies_at_each_step(1);
    eprintln!("joiner: {steps} steps, {executions} executions");
    assert!(steps >= 80);
}

/// Which orderings the product cannot do without, and the model that shows it.
const GATED: &[(&[Site], usize, Model)] = &[
    (&[TakeWord], 2, replaced),
    (&[StoreMask], 2, looked_at),
    (&[LoadMask], 2, looked_at),
    (&[StoreChoosing], 2, replaced),
    (&[FenceBeforeClocks, RaiseClock], 2, two),
    (&[FenceBeforeCollecting], 2, two),
    (&[CollectWord], 2, two),
    (&[AwaitWord], 2, two),
    (&[LoadEvent], 2, wake),
    (&[RaiseEvent], 2, wake),
    (&[FenceBeforeLook], 2, two),
    (&[EndWord], 2, two),
    (&[FenceBeforeRinging], 2, two),
    (&[ReapWord], 2, reapers),
];

#[test]
fn broken_without_any_of_the_gated_orderings() {
    for (sites, bound, model) in GATED {
        let explored = explore(*bound, Flaw::Weak(sites), *model);
        assert!(explored.is_err(), "{sites:?}: not missed in {explored:?} executions");
    }
}

#[test]
fn broken_where_wakes_get_lost() {
    let why = explore(2, Flaw::LosesWakes, two).unwrap_err();
    assert!(why.contains("deadlock"), "{why}");
}
