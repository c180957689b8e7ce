//! Death at every numbered step of join, attach, wait, release and of setting metadata: what the others see.
//!
//! Steps: protocol of the reservation, `backend/software/reservation`. Processes are real, so is the control file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::layout::Block;
use handover::backend::software::reservation::platform::Platform as _;
use handover::backend::software::reservation::{Entry, Outcome, Phase, Reservation, Slot, Trouble, Word, working_set};
use handover_model::{Region, Stage, Usage};
use handover_sys::clock::Monotonic;
use handover_sys::process::Signal;

use support::stepper::Stepper;
use support::witness::{self, Witness};
use support::{Board, DEATH_NOTICED, Other, attach, join, new_pool, release_all, until, wait_all, wish, writes};

const SURFACES: u32 = 2;
/// Few entries, so that one lost to the dead would be missed soon.
const ENTRIES: usize = 4;

type User = Reservation<Stepper, ENTRIES>;
type Survivor = Reservation<Control, ENTRIES>;

#[test]
fn another_process() {
    let Some(words) = support::role() else { return };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["user", pool, board, usage, at] => user(pool, &Board::open(board), usage, number(at)),
        ["setter", pool, at, value] => setter(pool, number(at), number(value)),
        ["giant", pool, board, bytes] => giant(pool, &Board::open(board), number(bytes)),
        ["forker", pool, board] => forker(pool, &Board::open(board)),
        _ => panic!("no such role: {words:?}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

fn step_to(pool: &str, at: u64) -> User {
    let (control, owner) = Control::open(Stage::Import, support::open(pool).unwrap(), None).unwrap();
    Reservation::join(Stepper::new(control, at), owner, std::process::id(), SURFACES)
}

/// Joins, attaches, waits, is inside until somebody waits for it, releases; dies before operation `at`.
fn user(pool: &str, board: &Board, usage: &str, at: u64) {
    let usage = if usage == "read" { Usage::Read } else { Usage::Write };
    let reservation = step_to(pool, at);
    let control = reservation.platform().control();
    let witness = Witness::new(board, 0, control, reservation.owner());
    let wishes = [wish(1, usage, Region::WHOLE), wish(0, usage, Region::WHOLE)];
    let (entries, dependencies) = attach(&reservation, &wishes);
    wait_all(&reservation, dependencies);
    assert_eq!(witness.enter(&wishes), 0, "not alone");
    let is_awaited = || {
        let armed = |surface| control.u64(Block::of(surface).armed()).load(Ordering::SeqCst);
        entries.iter().any(|entry| armed(entry.surface) >> entry.index & 1 == 1)
    };
    let end = Monotonic::now().saturating_add(Duration::from_millis(50));
    while !is_awaited() && Monotonic::now() < end {
        std::hint::spin_loop();
    }
    witness.leave(&entries);
    release_all(&reservation, &entries);
}

/// One round around a user that dies before operation `at`: it finds us before it and behind it. True if it got through.
/// Gives how long after its death we went on.
fn round(pool: &str, board: &Board, survivor: &Survivor, usage: &str, at: u64) -> (bool, Duration) {
    let witness = Witness::new(board, 0, survivor.platform(), survivor.owner());
    let (before, dependencies) = attach(survivor, &writes([0, 1]));
    wait_all(survivor, dependencies);
    let mut user = Other::start("user", &[&pool, &board.path(), &usage, &at]);
    let dead = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let death = scope.spawn(|| {
            let status = user.wait();
            dead.store(true, Ordering::SeqCst);
            (status, Monotonic::now())
        });
        let armed = |surface| survivor.platform().u64(Block::of(surface).armed()).load(Ordering::SeqCst);
        until("the user sleeps or is dead", || {
            dead.load(Ordering::SeqCst) || before.iter().any(|entry| armed(entry.surface) >> entry.index & 1 == 1)
        });
        let (behind, dependencies) = attach(survivor, &writes([0, 1]));
        release_all(survivor, &before);
        wait_all(survivor, dependencies);
        let granted = Monotonic::now();
        assert_eq!(witness.enter(&writes([0, 1])), 0, "{usage}, step {at}: not alone");
        witness.leave(&behind);
        release_all(survivor, &behind);
        let (status, died) = death.join().unwrap();
        assert!(status.success() || status.code().is_none(), "{usage}, step {at}: {status}");
        (status.success(), granted.saturating_since(died))
    })
}

fn kill_at_each_step(usage: &str) {
    let (_file, pool) = new_pool(SURFACES);
    let board = Board::new(witness::WORDS);
    let survivor: Survivor = join(&pool);
    let mut longest = Duration::ZERO;
    for at in 0.. {
        let (through, noticed) = round(&pool, &board, &survivor, usage, at);
        longest = longest.max(noticed);
        assert!(noticed < DEATH_NOTICED, "{usage}, step {at}: went on {noticed:?} after the death");
        // Entries that nobody waits for are given up by whoever needs room, or by a sweep.
        for surface in 0..SURFACES {
            survivor.sweep(surface);
        }
        assert_all_ended(&survivor, at);
        if through {
            eprintln!("{usage}: {at} kills, each noticed within {longest:?}");
            assert!(at >= 60, "only {at} operations were seen");
            return;
        }
    }
}

fn assert_all_ended(survivor: &Survivor, at: u64) {
    for surface in 0..SURFACES {
        for index in 0..ENTRIES as u8 {
            let word = Word(survivor.platform().u64(Block::of(surface).word(index)).load(Ordering::SeqCst));
            assert!(!word.phase().is_live(), "step {at}: entry {index} of surface {surface} is {word:?}");
        }
    }
}

#[test]
fn a_writer_killed_at_each_step() {
    kill_at_each_step("write");
}

#[test]
fn a_reader_killed_at_each_step() {
    kill_at_each_step("read");
}

#[test]
fn entries_of_the_dead_that_nobody_waits_for_make_room() {
    let board = Board::new(witness::WORDS);
    for at in 0..60 {
        // A new pool each, and all entries held but the last: the dead may have taken that one and said so nowhere else.
        let (_file, pool) = new_pool(SURFACES);
        let survivor: Survivor = join(&pool);
        let held: Vec<_> = (1..ENTRIES).map(|_| make_room_and_read(&survivor)).collect();
        Other::start("user", &[&pool, &board.path(), &"read", &at]).wait();
        // Nobody sweeps here: a full surface must find the entries of the dead by itself.
        let last = make_room_and_read(&survivor);
        release_all(&survivor, &held);
        release_all(&survivor, &[last]);
    }
}

fn make_room_and_read(survivor: &Survivor) -> Entry {
    let end = support::soon();
    loop {
        match working_set::attach(&[(survivor, wish(0, Usage::Read, Region::WHOLE))]) {
            Ok(attached) => return attached.entries[0],
            Err((_, trouble)) => assert_eq!(trouble, Trouble::Full(0)),
        }
        survivor.wait_for_room(0, Some(end));
        assert!(Monotonic::now() < end, "the surface stays full");
    }
}

/// Joins and sets metadata whose every word is `value`; dies before operation `at`.
fn setter(pool: &str, at: u64, value: u64) {
    step_to(pool, at).set_metadata(0, &filled(value)).unwrap();
}

fn filled(value: u64) -> Slot {
    Slot { word: value, flags: 0, length: 256, block: [value; 32] }
}

#[test]
fn setters_of_metadata_killed_at_each_step() {
    let (_file, pool) = new_pool(SURFACES);
    let survivor: Survivor = join(&pool);
    let mut current = 1;
    survivor.set_metadata(0, &filled(current)).unwrap();
    for at in 0.. {
        // Three at a time, under three indices: as many slots as there are beside the current one.
        let values = [3 * at + 2, 3 * at + 3, 3 * at + 4];
        let mut setters = values.map(|value| Other::start("setter", &[&pool, &at, &value]));
        let mut through = true;
        for setter in &mut setters {
            while setter.has_ended().is_none() {
                current = assert_whole(&survivor, at, current, &values);
            }
            through &= setter.wait().success();
        }
        current = assert_whole(&survivor, at, current, &values);
        if at % 4 == 0 {
            for _ in 0..8 {
                survivor.set_metadata(0, &filled(current)).unwrap_or_else(|trouble| panic!("step {at}: {trouble:?}"));
            }
        }
        if through {
            assert!(at >= 60, "only {at} operations were seen");
            return;
        }
    }
}

fn assert_whole(survivor: &Survivor, at: u64, current: u64, values: &[u64]) -> u64 {
    let slot = survivor.metadata(0).unwrap();
    assert_eq!(slot, filled(slot.word), "step {at}: torn");
    assert!(slot.word == current || values.contains(&slot.word), "step {at}: {} came back", slot.word);
    slot.word
}

/// Holds a WRITE entry with this much memory resident, until killed.
fn giant(pool: &str, board: &Board, bytes: u64) {
    let reservation: Survivor = join(pool);
    let memory = vec![1u8; bytes as usize];
    let (_entries, dependencies) = attach(&reservation, &writes([0]));
    wait_all(&reservation, dependencies);
    board.word(0).store(u64::from(memory[bytes as usize / 2]), Ordering::SeqCst);
    std::thread::sleep(support::PATIENCE);
}

#[test]
fn a_participant_with_1_gib_resident_is_killed() {
    let (_file, pool) = new_pool(1);
    let board = Board::new(1);
    let survivor: Survivor = join(&pool);
    let mut giant = Other::start("giant", &[&pool, &board.path(), &(1u64 << 30)]);
    until("the giant holds the surface", || board.word(0).load(Ordering::SeqCst) == 1);
    let (entries, mut dependencies) = attach(&survivor, &writes([0]));
    let killed = Monotonic::now();
    giant.signal(Signal::Kill);
    let mut dependency = dependencies.remove(0);
    let outcome = survivor.wait(&mut dependency, Some(support::soon()));
    let granted = Monotonic::now();
    giant.wait();
    let torn_down = Monotonic::now();
    assert_eq!(outcome, Outcome::Ended(Some(Phase::Dead)));
    eprintln!(
        "granted {:?} after the kill; torn down after {:?}",
        granted.saturating_since(killed),
        torn_down.saturating_since(killed)
    );
    assert!(granted.saturating_since(torn_down) < DEATH_NOTICED);
    release_all(&survivor, &entries);
}

#[test]
fn a_joiner_ends_what_the_earlier_holder_of_its_index_left() {
    let (_file, pool) = new_pool(1);
    let board = Board::new(1);
    let giant = Other::start("giant", &[&pool, &board.path(), &1]);
    until("the surface is taken", || board.word(0).load(Ordering::SeqCst) == 1);
    giant.kill();
    let joiner: Survivor = join(&pool);
    assert_eq!(joiner.owner(), 0, "the only place that was ever taken");
    assert_eq!(joiner.live_entries(0).count(), 0);
}

/// Holds a WRITE entry and has started a program, whose process number it tells.
#[allow(clippy::zombie_processes, reason = "the program is to outlive this process")]
fn forker(pool: &str, board: &Board) {
    let reservation: Survivor = join(pool);
    let (_entries, dependencies) = attach(&reservation, &writes([0]));
    wait_all(&reservation, dependencies);
    let program = std::process::Command::new("sleep").arg("20").spawn().unwrap();
    board.word(0).store(u64::from(program.id()), Ordering::SeqCst);
    std::thread::sleep(support::PATIENCE);
}

#[test]
fn a_program_that_a_participant_started_does_not_keep_it_alive() {
    let (_file, pool) = new_pool(1);
    let board = Board::new(1);
    let survivor: Survivor = join(&pool);
    let forker = Other::start("forker", &[&pool, &board.path()]);
    until("the program runs", || board.word(0).load(Ordering::SeqCst) != 0);
    let program = handover_sys::process::Pidfd::open(board.word(0).load(Ordering::SeqCst) as u32).unwrap();
    let (entries, dependencies) = attach(&survivor, &writes([0]));
    forker.kill();
    let died = Monotonic::now();
    wait_all(&survivor, dependencies);
    let noticed = Monotonic::now().saturating_since(died);
    release_all(&survivor, &entries);
    handover_sys::process::kill(&program, Signal::Kill).expect("the program outlived its parent");
    assert!(noticed < DEATH_NOTICED, "{noticed:?}");
}
