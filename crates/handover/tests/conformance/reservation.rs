//! C20 to C35: what pends on a buffer and who meets it, on the library's reservation and on the kernel's.

use handover::{Access, Region, Usage, try_acquire};

use crate::each;
use crate::subject::software::Software;
use crate::subject::{READ, ROOM, Refusal, Subject, WRITE};

pub(crate) const BOTH: u32 = READ | WRITE;
/// Buffer 0.
pub(crate) const A: usize = 0;
/// Buffer 1.
const B: usize = 1;

/// Fences 0 to `count`, each in the file of its number.
pub(crate) fn fences(subject: &mut dyn Subject, count: usize) {
    (0..count).for_each(|_| subject.fence());
}

/// Who must wait: (readers, writers).
pub(crate) fn busy(subject: &dyn Subject, buffer: usize) -> (bool, bool) {
    (subject.met(buffer, READ).busy, subject.met(buffer, WRITE).busy)
}

/// How many fences who meets: (readers, writers).
pub(crate) fn listed(subject: &dyn Subject, buffer: usize) -> (usize, usize) {
    (subject.met(buffer, READ).listed, subject.met(buffer, WRITE).listed)
}

pub(crate) fn put(subject: &mut dyn Subject, file: usize, flags: u32) {
    assert_eq!(subject.import(A, flags, file), Ok(()), "{}", subject.name());
}

#[test]
fn c20_c21_readers_meet_writers_and_writers_meet_both() {
    each(|subject| {
        fences(subject, 2);
        put(subject, 0, READ);
        assert_eq!((busy(subject, A), listed(subject, A)), ((false, true), (0, 1)));
        put(subject, 1, WRITE);
        assert_eq!((busy(subject, A), listed(subject, A)), ((true, true), (1, 2)));
        assert_eq!(busy(subject, B), (false, false));
    });
}

#[test]
fn c22_what_has_ended_never_shows() {
    each(|subject| {
        fences(subject, 2);
        put(subject, 0, WRITE);
        put(subject, 1, READ);
        subject.end(0);
        assert_eq!((busy(subject, A), listed(subject, A)), ((false, true), (0, 1)));
        subject.end(1);
        assert_eq!((busy(subject, A), listed(subject, A)), ((false, false), (0, 0)));
    });
}

/// The kernel's walk stops at the slot of the fence that has ended. The library keeps no such slots; after subsumption both agree.
#[test]
fn c23_an_older_entry_can_survive_beside_the_later_one() {
    each(|subject| {
        fences(subject, 2);
        put(subject, 1, READ);
        put(subject, 0, WRITE);
        subject.end(1);
        put(subject, 0, WRITE);
        let met = subject.met(A, WRITE);
        assert_eq!(met.listed, if subject.name() == "kernel" { 2 } else { 1 });
        assert_eq!((met.contexts, met.busy), (1, true));
    });
}

#[test]
fn c24_an_import_for_reading_stops_writers_and_any_other_stops_all() {
    for (flags, readers) in [(READ, false), (WRITE, true), (BOTH, true)] {
        each(|subject| {
            fences(subject, 1);
            put(subject, 0, flags);
            assert_eq!(busy(subject, A), (readers, true));
            subject.end(0);
            assert_eq!(busy(subject, A), (false, false));
        });
    }
}

#[test]
fn c25_many_readers_stop_writers_until_the_last_and_readers_never() {
    each(|subject| {
        fences(subject, 32);
        (0..32).for_each(|file| put(subject, file, READ));
        for fence in (0..32).rev() {
            assert_eq!((busy(subject, A), listed(subject, A)), ((false, true), (0, fence + 1)));
            subject.end(fence);
        }
        assert_eq!(busy(subject, A), (false, false));
    });
}

#[test]
fn c26_several_writes_pend_at_once_and_a_reader_waits_for_all() {
    each(|subject| {
        fences(subject, 3);
        (0..3).for_each(|file| put(subject, file, WRITE));
        for (ended, left) in [(1, 2), (0, 1), (2, 0)] {
            subject.end(ended);
            assert_eq!((busy(subject, A), listed(subject, A)), ((left > 0, left > 0), (left, left)));
        }
    });
}

#[test]
fn c27_a_read_is_raised_to_a_write_in_place() {
    each(|subject| {
        fences(subject, 1);
        put(subject, 0, READ);
        put(subject, 0, WRITE);
        assert_eq!((busy(subject, A), listed(subject, A)), ((true, true), (1, 1)));
    });
}

#[test]
fn c28_a_write_is_not_lowered_by_a_read_which_is_listed_beside_it() {
    each(|subject| {
        fences(subject, 1);
        put(subject, 0, WRITE);
        put(subject, 0, READ);
        put(subject, 0, READ);
        assert_eq!((busy(subject, A), listed(subject, A)), ((true, true), (1, 2)));
    });
}

#[test]
fn c29_an_import_never_refuses_a_conflict() {
    each(|subject| {
        fences(subject, 4);
        for (file, flags) in [(0, WRITE), (1, READ), (2, WRITE), (3, BOTH)] {
            put(subject, file, flags);
        }
        assert_eq!(listed(subject, A), (3, 4));
    });
}

#[test]
fn c30_a_merged_file_comes_apart() {
    each(|subject| {
        fences(subject, 2);
        subject.merge(0, 1);
        put(subject, 2, READ);
        assert_eq!(listed(subject, A), (0, 2));
        subject.end(0);
        assert_eq!(listed(subject, A), (0, 1));
        subject.end(1);
        assert_eq!(busy(subject, A), (false, false));
    });
}

#[test]
fn c31_c32_what_has_ended_adds_nothing_and_a_file_can_be_imported_again() {
    each(|subject| {
        fences(subject, 2);
        put(subject, 0, READ);
        assert_eq!(subject.import(B, WRITE, 0), Ok(()));
        assert_eq!((busy(subject, A), busy(subject, B)), ((false, true), (true, true)));
        subject.end(0);
        put(subject, 0, WRITE);
        assert_eq!((busy(subject, A), listed(subject, A)), ((false, false), (0, 0)));
    });
}

/// S14: nobody's content is concerned, so nobody but the memory's owner waits.
#[test]
fn c33_bookkeeping_is_met_by_who_moves_the_memory_and_by_nobody_else() {
    let software = Software::new();
    let attached = software.attach_as(A, Usage::Bookkeep);
    assert_eq!(busy(&software, A), (false, false));
    assert!(try_acquire(&[(software.surface(A), Access::Write, Region::WHOLE)]).unwrap().is_some());
    assert!(software.would_wait_as(A, Usage::Kernel));
    software.detach(attached);
    assert!(!software.would_wait_as(A, Usage::Kernel));
}

/// In place of an allocation that fails: the library's entries are a table, and it can be full.
#[test]
fn c34_a_refused_import_leaves_the_reservation_as_it_was() {
    let mut software = Software::new();
    fences(&mut software, 2);
    (0..ROOM - 1).for_each(|_| put(&mut software, 0, READ));
    software.merge(0, 1);
    let before = (software.met(A, READ), software.met(A, WRITE));
    assert_eq!(software.import(A, WRITE, 2), Err(Refusal::Full), "room for one, and two are asked for");
    assert_eq!((software.met(A, READ), software.met(A, WRITE)), before);
    put(&mut software, 1, READ);
    assert_eq!(software.import(A, WRITE, 1), Err(Refusal::Full));
    software.end(0);
    put(&mut software, 2, WRITE);
}
