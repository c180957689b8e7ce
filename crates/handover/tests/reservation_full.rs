//! What is bounded: entries of a surface, entries of one participant, participants of a pool, words of the poll thread's
//! sleep. Full means wait or [`Kind::Full`], never a hang and never a wrong grant.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::Reservation;
use handover::backend::software::reservation::layout::{ENTRIES, ENTRIES_EACH, PARTICIPANTS};
use handover::{
    Access, Acquire, Bytes, Deadline, Device, ExportFlags, Kind, Options, Queue, Region, Stage, Surface, acquire,
    allocate, export, try_acquire,
};
use handover_model::Usage;
use handover_sys::file::{self, Reopen};
use handover_sys::process::{self, Signal};
use handover_sys::{ofd, poll};

use support::{Board, DEATH_NOTICED, Other, attach, join, release_all, soon, until, wait_all, wish, writes};

#[test]
fn another_process() {
    let Some(words) = support::role() else { return };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["holder", pool, board, usage] => holder(pool, &Board::open(board), usage),
        ["hostile", pool, board] => hostile(pool, &Board::open(board)),
        _ => panic!("no such role: {words:?}"),
    }
}

fn surfaces(count: u32) -> Vec<Surface> {
    allocate::buffer(Device::PLAIN, Bytes(4096), &Options { surfaces: count, ..Options::default() }).unwrap()
}

/// A description of the control file of a surface's pool, and a path to it.
fn control_of(surface: &Surface) -> (OwnedFd, String) {
    let exported = export(surface, ExportFlags::READ, Deadline::Never).unwrap();
    let (_, [_, control]) = exported.handle.into_parts();
    let path = support::path_of(&control);
    (control, path)
}

fn in_patience() -> Deadline {
    Deadline::At(soon())
}

fn shortly() -> Deadline {
    Deadline::after(Duration::from_millis(60))
}

fn read(surface: &Surface) -> Acquire {
    acquire(&[(surface, Access::Read, Region::WHOLE)], in_patience()).unwrap()
}

#[test]
fn a_full_surface_makes_submit_wait_and_try_submit_say_so() {
    let surface = surfaces(1).remove(0);
    let (_control, path) = control_of(&surface);
    let others: Vec<Reservation<Control>> = (0..ENTRIES / ENTRIES_EACH as usize).map(|_| join(&path)).collect();
    let mut held: Vec<_> = others
        .iter()
        .flat_map(|other| {
            (0..ENTRIES_EACH).map(move |_| (other, attach(other, &[wish(0, Usage::Read, Region::WHOLE)]).0))
        })
        .collect();
    assert_eq!(held.len(), ENTRIES);

    let queue = Queue::new("engine").unwrap();
    let set = [(&surface, Access::Read, Region::WHOLE)];
    let refused = queue.try_submit(&set, &[], in_patience(), |_| Ok(())).unwrap_err();
    assert_eq!(*refused.kind(), Kind::Full, "{refused}");
    let refused = queue.submit(&set, &[], shortly(), |_| Ok(())).unwrap_err();
    assert_eq!(*refused.kind(), Kind::Full, "{refused}");
    let refused = acquire(&set, shortly()).unwrap_err();
    assert_eq!(*refused.kind(), Kind::Full, "{refused}");
    assert!(try_acquire(&set).unwrap().is_none());

    let is_submitted = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let submit = scope.spawn(|| {
            let fence = queue.submit(&set, &[], in_patience(), |_| Ok(())).unwrap();
            is_submitted.store(true, Ordering::SeqCst);
            fence.wait(in_patience()).unwrap();
        });
        std::thread::sleep(Duration::from_millis(60));
        assert!(!is_submitted.load(Ordering::SeqCst), "all entries are taken");
        let (other, entries) = held.pop().unwrap();
        release_all(other, &entries);
        submit.join().unwrap();
    });
    held.iter().for_each(|(other, entries)| release_all(other, entries));
}

#[test]
fn a_full_member_of_a_set_takes_no_place_on_the_others() {
    let surfaces = surfaces(2);
    let held: Vec<_> = (0..ENTRIES_EACH).map(|_| read(&surfaces[1]).wait().unwrap()).collect();
    let set = [(&surfaces[0], Access::Write, Region::WHOLE), (&surfaces[1], Access::Read, Region::WHOLE)];
    assert_eq!(*acquire(&set, shortly()).unwrap_err().kind(), Kind::Full);
    assert!(try_acquire(&[(&surfaces[0], Access::Write, Region::WHOLE)]).unwrap().is_some());
    drop(held);
    assert!(try_acquire(&set).unwrap().is_some());
}

#[test]
fn one_participant_takes_16_entries_and_leaves_the_others_theirs() {
    let surface = surfaces(1).remove(0);
    let (_control, path) = control_of(&surface);
    let mut held: Vec<_> = (0..ENTRIES_EACH).map(|_| read(&surface).wait().unwrap()).collect();
    let refused = acquire(&[(&surface, Access::Read, Region::WHOLE)], shortly()).unwrap_err();
    assert_eq!(*refused.kind(), Kind::Full, "{refused}");
    let other: Reservation<Control> = join(&path);
    let (entries, dependencies) = attach(&other, &[wish(0, Usage::Read, Region::WHOLE)]);
    assert!(dependencies.is_empty());
    held.pop();
    held.push(read(&surface).wait().unwrap());
    release_all(&other, &entries);
}

/// Takes all the entries it may, and stays.
fn holder(pool: &str, board: &Board, usage: &str) {
    let reservation: Reservation<Control> = join(pool);
    let usage = if usage == "read" { Usage::Read } else { Usage::Write };
    let held: Vec<_> = (0..ENTRIES_EACH).map(|_| attach(&reservation, &[wish(0, usage, Region::WHOLE)])).collect();
    board.word(0).fetch_add(held.len() as u64, Ordering::SeqCst);
    std::thread::sleep(support::PATIENCE);
}

#[test]
fn a_surface_full_of_entries_of_the_dead_has_room_soon() {
    let surface = surfaces(1).remove(0);
    let (_control, path) = control_of(&surface);
    let board = Board::new(1);
    let holders: Vec<_> = (0..4).map(|_| Other::start("holder", &[&path, &board.path(), &"read"])).collect();
    until("all entries are taken", || board.word(0).load(Ordering::SeqCst) == ENTRIES as u64);
    holders.into_iter().for_each(Other::kill);
    let place = acquire(&[(&surface, Access::Read, Region::WHOLE)], Deadline::after(DEATH_NOTICED)).unwrap();
    place.wait().unwrap().release().unwrap();
}

#[test]
fn who_only_ever_tries_or_polls_gets_the_surface_of_the_dead() {
    for polls in [false, true] {
        let surface = surfaces(1).remove(0);
        let (_control, path) = control_of(&surface);
        let board = Board::new(1);
        let holder = Other::start("holder", &[&path, &board.path(), &"write"]);
        until("the surface is taken", || board.word(0).load(Ordering::SeqCst) > 0);
        let set = [(&surface, Access::Write, Region::WHOLE)];
        assert!(try_acquire(&set).unwrap().is_none());
        let mut place = polls.then(|| acquire(&set, in_patience()).unwrap());
        holder.kill();
        let mut lease = None;
        until("it is our turn", || {
            lease = match &mut place {
                Some(place) => place.poll().unwrap(),
                None => try_acquire(&set).unwrap(),
            };
            lease.is_some()
        });
        assert!(lease.is_some_and(|lease| lease.is_torn()), "a writer died before us");
    }
}

#[test]
fn poll_descriptors_of_more_surfaces_than_one_sleep_takes() {
    let surfaces = surfaces(130);
    let held: Vec<_> = surfaces
        .iter()
        .map(|surface| acquire(&[(surface, Access::Write, Region::WHOLE)], in_patience()).unwrap().wait().unwrap())
        .collect();
    let mut waiting: Vec<_> = surfaces.iter().map(read).collect();
    let descriptors: Vec<_> = waiting.iter_mut().map(|place| place.owned_descriptor().unwrap()).collect();
    assert!(!poll::wait_readable(&descriptors[129], shortly().at()).unwrap());
    for (lease, descriptor) in held.into_iter().zip(&descriptors) {
        lease.release().unwrap();
        assert!(poll::wait_readable(descriptor, Some(soon())).unwrap());
    }
    assert!(waiting.iter_mut().all(|place| place.poll().unwrap().is_some()));
}

/// Locks every participant's byte through one description, and stays.
fn hostile(pool: &str, board: &Board) {
    let file = support::open(pool).unwrap();
    let taken = (0..PARTICIPANTS as u32).filter(|byte| ofd::try_lock(&file, *byte).unwrap()).count();
    board.word(0).store(taken as u64, Ordering::SeqCst);
    std::thread::sleep(support::PATIENCE);
}

#[test]
fn a_joiner_of_a_pool_whose_places_are_all_taken_is_refused_at_once() {
    let surface = surfaces(1).remove(0);
    let (control, path) = control_of(&surface);
    let board = Board::new(1);
    let hostile = Other::start("hostile", &[&path, &board.path()]);
    // One place is ours.
    until("every other place is taken", || board.word(0).load(Ordering::SeqCst) == PARTICIPANTS as u64 - 1);
    let fresh = || file::reopen(control.as_fd(), Reopen::ReadWrite).unwrap();
    let refused = Control::join(Stage::Import, fresh(), None).unwrap_err();
    assert_eq!(*refused.kind(), Kind::Full, "{refused}");
    // Who is in already goes on.
    read(&surface).wait().unwrap().release().unwrap();
    hostile.kill();
    Control::join(Stage::Import, fresh(), None).unwrap();
}

#[test]
fn a_stopped_owner_delays_to_the_deadline_and_no_longer() {
    let surface = surfaces(1).remove(0);
    let (_control, path) = control_of(&surface);
    let board = Board::new(1);
    let holder = Other::start("holder", &[&path, &board.path(), &"write"]);
    until("the surface is taken", || board.word(0).load(Ordering::SeqCst) > 0);
    holder.signal(Signal::Stop);
    let set = [(&surface, Access::Write, Region::WHOLE)];
    let error = acquire(&set, shortly()).unwrap().wait().unwrap_err();
    let Kind::Timeout(blocked) = error.kind() else { panic!("{error}") };
    assert!(blocked.by.iter().all(|holder| holder.pid != process::own_pid()), "{error}");
    // The place in line was given up: nothing of ours is left for others to wait for.
    let other: Reservation<Control> = join(&path);
    assert!(other.live_entries(0).all(|(_, word, _)| other.pid_of(word.owner()) != process::own_pid()));
    holder.kill();
    let (entries, dependencies) = attach(&other, &writes([0]));
    wait_all(&other, dependencies);
    release_all(&other, &entries);
}
