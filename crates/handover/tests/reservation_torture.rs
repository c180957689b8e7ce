//! Five processes on two surfaces with few entries, killed from outside and at random steps, stopped and continued, while a
//! witness that knows nothing of the reservation looks for two that are inside together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::{Attach, Reservation, Trouble, working_set};
use handover_model::{Region, Stage, Usage};
use handover_sys::clock::Monotonic;
use handover_sys::process::Signal;

use support::stepper::Stepper;
use support::witness::{self, Witness};
use support::{Board, Other, Random, join, new_pool, release_all, wait_all, wish, withdraw_all};

#[test]
fn another_process() {
    let Some(words) = support::role() else { return };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["torturer", pool, board, seed] => torturer(pool, &Board::open(board), seed.parse().unwrap()),
        _ => panic!("no such role: {words:?}"),
    }
}

/// Few entries, so that the surfaces are full again and again.
const ENTRIES: usize = 5;
/// Words of the board before the witness.
mod tally {
    pub(super) const VIOLATIONS: usize = 0;
    pub(super) const SUBMISSIONS: usize = 1;
    pub(super) const FULL: usize = 2;
    pub(super) const LONGEST: usize = 3;
    pub(super) const WITNESS: usize = 8;
}

/// Random sets, regions and usages for ever, with death at a random operation.
fn torturer(pool: &str, board: &Board, seed: u64) {
    let mut random = Random::new(seed);
    let count = |at: usize, by: u64| {
        board.word(at).fetch_add(by, Ordering::SeqCst);
    };
    let (control, owner) = Control::open(Stage::Import, support::open(pool).unwrap(), None).unwrap();
    let life = if random.below(2) == 0 { random.below(3000) } else { u64::MAX };
    let reservation =
        Reservation::<Stepper, ENTRIES>::join(Stepper::lingering(control, life, Random::new(!seed)), owner, 0, 2);
    let witness = Witness::new(board, tally::WITNESS, reservation.platform().control(), owner);
    loop {
        let first = random.below(2) as u32;
        let surfaces = [first, 1 - first];
        let mut wishes: Vec<_> = surfaces.iter().map(|&surface| random_wish(&mut random, surface)).collect();
        wishes.truncate(1 + random.below(2) as usize);
        let set: Vec<_> = wishes.iter().map(|wish| (&reservation, *wish)).collect();
        let attached = match working_set::attach(&set) {
            Ok(attached) => attached,
            Err((_, Trouble::Full(surface))) => {
                count(tally::FULL, 1);
                reservation.wait_for_room(surface, None);
                continue;
            }
            Err((_, trouble)) => panic!("{trouble:?}"),
        };
        if random.below(16) == 0 {
            withdraw_all(&reservation, &attached.entries);
            continue;
        }
        let began = Monotonic::now();
        wait_all(&reservation, attached.dependencies.into_iter().map(|(_, dependency)| dependency).collect());
        let waited = Monotonic::now().saturating_since(began).as_nanos() as u64;
        board.word(tally::LONGEST).fetch_max(waited, Ordering::SeqCst);
        count(tally::VIOLATIONS, witness.enter(&wishes) as u64);
        (0..random.below(4000)).for_each(|_| std::hint::spin_loop());
        witness.leave(&attached.entries);
        release_all(&reservation, &attached.entries);
        count(tally::SUBMISSIONS, 1);
    }
}

fn random_wish(random: &mut Random, surface: u32) -> Attach {
    let usages = [Usage::Write, Usage::Read, Usage::Read, Usage::Kernel];
    let regions = [1, 2, 3, u64::MAX].map(Region::from_bits);
    wish(surface, usages[random.below(4) as usize], regions[random.below(4) as usize])
}

/// For HANDOVER_TORTURE_SECONDS, or five.
#[test]
fn torture() {
    let seconds = std::env::var("HANDOVER_TORTURE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let (_file, pool) = new_pool(2);
    let board = Board::new(tally::WITNESS + witness::WORDS);
    let mut random = Random::new(u64::from(std::process::id()));
    let mut started = 0;
    let mut start = || {
        started += 1;
        let seed = started * 1000 + u64::from(std::process::id());
        Other::start("torturer", &[&pool, &board.path(), &seed])
    };
    let mut torturers: Vec<_> = (0..5).map(|_| start()).collect();
    let (mut by_signal, mut by_itself, mut stops) = (0, 0, 0);
    let (mut done, mut since, mut stall) = (0, Monotonic::now(), Duration::ZERO);
    let end = Monotonic::now().saturating_add(Duration::from_secs(seconds));
    while Monotonic::now() < end {
        std::thread::sleep(Duration::from_micros(2000 + random.below(8000)));
        let victim = random.below(torturers.len() as u64) as usize;
        if random.below(8) == 0 {
            torturers[victim].signal(Signal::Stop);
            std::thread::sleep(Duration::from_millis(30));
            torturers[victim].signal(Signal::Continue);
            stops += 1;
        } else if random.below(2) == 0 {
            std::mem::replace(&mut torturers[victim], start()).kill();
            by_signal += 1;
        }
        for torturer in &mut torturers {
            if let Some(status) = torturer.has_ended() {
                assert_eq!(status.code(), None, "a torturer failed");
                by_itself += 1;
                *torturer = start();
            }
        }
        let submissions = board.word(tally::SUBMISSIONS).load(Ordering::SeqCst);
        if submissions > done {
            (done, since) = (submissions, Monotonic::now());
        }
        stall = stall.max(Monotonic::now().saturating_since(since));
    }
    torturers.into_iter().for_each(Other::kill);
    let told = |at: usize| board.word(at).load(Ordering::SeqCst);
    eprintln!(
        "{done} submissions, {by_signal} kills from outside, {by_itself} at a step, {stops} stops, {} times full, longest wait {:?}, longest stall {stall:?}",
        told(tally::FULL),
        Duration::from_nanos(told(tally::LONGEST)),
    );
    assert_eq!(told(tally::VIOLATIONS), 0);
    assert!(done > 0 && by_signal > 0 && by_itself > 0 && stops > 0 && told(tally::FULL) > 0);
    assert!(stall < Duration::from_secs(3), "{stall:?}");
    let survivor: Reservation<Control, ENTRIES> = join(&pool);
    for surface in 0..2 {
        survivor.sweep(surface);
        assert_eq!(survivor.live_entries(surface).count(), 0, "an entry of the dead is stuck");
    }
}
