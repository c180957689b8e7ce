//! C70 to C78, C88 and C89: waits for points of timelines, by threads and by descriptors.

use std::time::Duration;

use handover::timeline::{Reached, Timeline, Which, wait};
use handover::{Deadline, Fence, Kind, Monotonic, Status};
use handover_sys::poll::wait_readable;

use crate::line::{Here, Line, There, each, is_readable};
use crate::soon;
use crate::sources::{Source, now};

/// What each of some timelines' point 1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unsubmitted,
    Submitted,
    Complete,
}

/// C70, C72, C74: every set of states, all or any, available or complete, in no time, some, or as much as it takes. The kernel's
/// wait without "for submission" is to ask for the fences: of what was not submitted there is none.
#[test]
fn c70_c72_c74_waits_follow_the_table_of_states() {
    let behind = Source::Queue.pending();
    let here = [State::Unsubmitted, State::Submitted, State::Complete].map(|state| (state, Here(Timeline::new())));
    let there = [State::Unsubmitted, State::Submitted, State::Complete].map(|state| (state, There::new()));
    let mut points = Vec::new();
    for (state, line) in &here {
        set(*state, line, &behind.fence);
        points.push((*state, line.0.point(1)));
    }
    for (state, line) in &there {
        set(*state, line, &behind.fence);
        points.push((*state, line.1.point(1)));
    }
    // Of the object as a whole, in the same call.
    let whole = Timeline::new();
    whole.replace(&Fence::signalled()).unwrap();
    points.push((State::Complete, whole.point(0)));
    for members in 1_u32..1 << points.len() {
        let of: Vec<_> = (0..points.len()).filter(|bit| members & 1 << bit != 0).map(|bit| &points[bit]).collect();
        let promises: Vec<_> = of.iter().map(|(_, promise)| promise.clone()).collect();
        let all_have_fences = promises.iter().all(|promise| promise.fence().is_ok());
        assert_eq!(all_have_fences, of.iter().all(|(state, _)| *state != State::Unsubmitted));
        for reached in [Reached::Available, Reached::Complete] {
            let is_reached = |state: State| match reached {
                Reached::Available => state != State::Unsubmitted,
                Reached::Complete => state == State::Complete,
            };
            for (which, over) in [
                (Which::All, of.iter().all(|(state, _)| is_reached(*state))),
                (Which::Any, of.iter().any(|(state, _)| is_reached(*state))),
            ] {
                let short = if members % 16 == 1 { 2 } else { 0 };
                let deadlines = [Deadline::At(Monotonic(1)), Deadline::after(Duration::from_millis(short)), soon()];
                for deadline in deadlines.into_iter().take(if over { 3 } else { 2 }) {
                    let found = wait(&promises, which, reached, deadline);
                    let text = format!("{of:?} {which:?} {reached:?} {deadline:?}");
                    match (over, which, &found) {
                        (true, Which::All, Ok(0)) => {}
                        (true, Which::Any, Ok(index)) if is_reached(of[*index].0) => {}
                        (false, _, Err(error)) if error.is_timeout() => {}
                        _ => panic!("{text}: {found:?}"),
                    }
                }
            }
        }
    }
    for which in [Which::All, Which::Any] {
        assert_eq!(wait(&[], which, Reached::Complete, now()), Ok(0), "C72: of none nothing is waited for");
    }
    let _ended: Fence = behind.end();
}

fn set(state: State, line: &dyn Line, pending: &Fence) {
    match state {
        State::Unsubmitted => {}
        State::Submitted => line.submit(1, pending).unwrap(),
        State::Complete => line.signal(1).unwrap(),
    }
}

/// C74: not before its instant, and one that has passed looks once.
#[test]
fn c74_a_wait_ends_at_its_instant() {
    each(|new, source| {
        let (line, pending) = (new(), source.pending());
        line.submit(1, &pending.fence).unwrap();
        for (point, reached) in [(1, Reached::Complete), (2, Reached::Available), (2, Reached::Complete)] {
            for millis in [0, 1, 3, 25] {
                let at = Monotonic::now().saturating_add(Duration::from_millis(millis));
                assert!(line.wait(point, reached, Deadline::At(at)).unwrap_err().is_timeout());
                assert!(Monotonic::now() >= at, "{}", line.name());
            }
        }
        let _ended: Fence = pending.end();
        line.wait(1, Reached::Complete, soon()).unwrap();
        line.wait(1, Reached::Complete, Deadline::At(Monotonic(1))).unwrap();
    });
}

#[test]
fn c75_c76_c78_r17_a_reset_does_not_reach_what_is_under_way() {
    let (timeline, [first, second]) = (Timeline::new(), Source::Queue.many());
    timeline.submit(1, &first.fence).unwrap();
    let exported = timeline.fence(1).unwrap();
    let promise = timeline.point(1);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| promise.wait(soon()));
        let any = scope.spawn(|| wait(std::slice::from_ref(&promise), Which::Any, Reached::Complete, soon()));
        // Both have picked their fence when they sleep.
        std::thread::sleep(Duration::from_millis(50));
        timeline.reset().unwrap();
        assert!(timeline.fence(1).unwrap_err().is_timeout(), "C79: empty for everybody else");
        timeline.submit(1, &second.fence).unwrap();
        assert_eq!(exported.status(), Status::Pending);
        let _ended: Fence = first.end();
        waiter.join().unwrap().unwrap();
        any.join().unwrap().unwrap();
    });
    exported.wait(soon()).unwrap();
    assert_eq!(timeline.fence(1).unwrap().status(), Status::Pending, "the second is behind it now");
    // C76: who waits for a submission sees the next, whatever was reset before.
    let promise = timeline.point(5);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| promise.wait_submitted(soon()));
        std::thread::sleep(Duration::from_millis(20));
        timeline.reset().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiter.is_finished());
        timeline.signal(5).unwrap();
        waiter.join().unwrap().unwrap().wait(soon()).unwrap();
    });
    let _ended: Fence = second.end();
}

#[test]
fn c77_the_first_that_ended_is_named() {
    for first in 0..3 {
        let lines = [There::new(), There::new(), There::new()];
        let pending = Source::Queue.many::<3>();
        lines.iter().zip(&pending).for_each(|(line, pending)| line.submit(1, &pending.fence).unwrap());
        let points = [lines[0].1.point(1), lines[1].0.point(1), lines[2].1.point(1)];
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait(&points, Which::Any, Reached::Complete, soon()));
            std::thread::sleep(Duration::from_millis(10));
            let mut pending = pending.map(Some);
            let _ended: Fence = pending[first].take().unwrap().end();
            assert_eq!(waiter.join().unwrap(), Ok(first));
            pending.into_iter().flatten().for_each(|pending| drop(pending.end()));
        });
        assert_eq!(wait(&points, Which::All, Reached::Complete, soon()), Ok(0));
    }
}

/// C88: registered before the submission, between it and the end, and after; told once each.
#[test]
fn c88_a_descriptor_fires_once_when_the_point_has_come_so_far() {
    each(|new, source| {
        let (line, pending) = (new(), source.pending());
        let register = |reached| line.descriptor(3, reached);
        let [early, early_end] = [Reached::Available, Reached::Complete].map(register);
        line.signal(1).unwrap();
        assert!(!is_readable(&*early) && !is_readable(&*early_end));
        line.submit(5, &pending.fence).unwrap();
        let [between, between_end] = [Reached::Available, Reached::Complete].map(register);
        for fired in [&early, &between] {
            assert!(wait_readable(fired.as_fd(), soon().at()).unwrap(), "{}", line.name());
        }
        assert!(!is_readable(&*early_end) && !is_readable(&*between_end));
        let _ended: Fence = pending.end();
        let [late, late_end] = [Reached::Available, Reached::Complete].map(register);
        for fired in [early, between, early_end, between_end, late, late_end] {
            assert!(wait_readable(fired.as_fd(), soon().at()).unwrap(), "{}", line.name());
            assert_eq!(handover_sys::eventfd::drain(fired.as_fd()).unwrap(), 1);
            line.signal(line.progress().1 + 1).unwrap();
            assert!(!is_readable(&*fired));
        }
    });
}

/// C89: the kernel drops a registration with its object and tells nobody. Here whoever waits is told.
#[test]
fn c89_r11_who_waits_is_told_when_the_timeline_goes() {
    let (here, there) = (Timeline::new(), There::new());
    let local = here.point(2);
    let waits =
        [local.descriptor(Reached::Complete).unwrap(), there.1.point(2).descriptor(Reached::Available).unwrap()];
    drop(here);
    drop(there.0);
    for wait in waits {
        assert!(wait_readable(&wait, soon().at()).unwrap());
    }
    for point in [local, there.1.point(2)] {
        assert_eq!(*point.fence().unwrap_err().kind(), Kind::PeerGone);
        assert_eq!(*point.wait(soon()).unwrap_err().kind(), Kind::PeerGone);
    }
}
