//! R5 to R20, what holds between processes that wait for each other's timelines: the other side is slow, stopped, or gone. (Those that
//! lie are in `timeline_liars`; R9 is in `who_waits`, R13 to R15 in `release_shares`.)
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod common;
#[path = "common/writers.rs"]
mod writers;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Other, copy, hear, millis, parent, refusal, role, say, soon};
use handover::fence::Cancel;
use handover::release::Releases;
use handover::timeline::page::SIZE;
use handover::timeline::{Reached, Reader};
use handover::transport::{Channel, Trust};
use handover::{Deadline, Fence, Kind, Status, Timeline};
use handover_sys::map::{Mapping, Populate};
use handover_sys::poll::wait_readable;
use handover_sys::process::{self, Pidfd, Signal};
use handover_sys::{file, memfd, socket};
use writers::{DEATH_NOTICED, hear_reader, is_gone, kill, send, tell, waits_while};

/// What other processes run of this binary.
#[test]
fn child_process() {
    match role().as_deref() {
        None => {}
        Some("honest") => writers::honest(&parent()),
        Some("echo") => echo(&parent()),
        Some("starved") => starved(&parent()),
        Some(other) => panic!("no role {other}"),
    }
}

/// R5, R8, R11: the same with an honest writer, whose work pends as it goes; however many hold the descriptor, and though it leaves a
/// child behind.
#[test]
fn r5_r8_a_point_is_available_before_it_is_complete_and_ends_with_its_writer() {
    let _turn = common::alone();
    let other = Other::start("honest");
    let reader = hear_reader(&other);
    let again = Reader::new(reader.to_fd().unwrap()).unwrap();
    assert!(reader.point(2).fence().unwrap_err().is_timeout());
    tell(&other, "submit 2");
    let fence = reader.point(2).wait_submitted(soon()).unwrap();
    assert!(fence.status() == Status::Pending && fence.wait(millis(5)).unwrap_err().is_timeout());
    assert!(again.point(3).wait_submitted(millis(5)).unwrap_err().is_timeout(), "nobody promised");
    tell(&other, "complete");
    fence.wait(soon()).unwrap();
    tell(&other, "fail 3 28");
    assert_eq!(again.point(3).wait(soon()).unwrap_err().errno(), Some(28), "R19: the error comes along");
    tell(&other, "submit 5");
    other.tell("spawn");
    let sleeper = Pidfd::open(other.hear().parse().unwrap()).unwrap();
    let ((), [submitted, rest @ ..]) = waits_while(&again.point(5), || kill(other));
    assert!(submitted.is_ok() && rest.iter().all(is_gone), "{rest:?}");
    assert!(is_gone(&reader.point(4).wait(soon())) && reader.point(2).wait(Deadline::now()).is_ok());
    process::kill(&sleeper, Signal::Kill).unwrap();
}

/// R11: what was submitted ends with its work, the rest at once; when the timeline is dropped and when its process ends.
#[test]
fn r11_a_dropped_timeline_ends_what_was_submitted_with_its_work() {
    let _turn = common::alone();
    let other = Other::start("honest");
    let reader = hear_reader(&other);
    tell(&other, "submit 2");
    let ((), never) = waits_while(&reader.point(3), || {
        tell(&other, "drop");
        assert_eq!(reader.point(2).fence().unwrap().status(), Status::Pending);
        tell(&other, "complete");
    });
    assert!(never.iter().all(is_gone), "{never:?}");
    reader.point(2).wait(soon()).unwrap();
    let other = Other::start("honest");
    let reader = hear_reader(&other);
    tell(&other, "signal 1");
    let ((), never) = waits_while(&reader.point(2), || other.tell("exit"));
    assert!(never.iter().all(is_gone) && reader.completed() == 1, "{never:?}");
}

/// R20: a stopped writer looks alive. Only the deadline helps, and when it goes on, so does everything.
#[test]
fn r20_a_stopped_writer_costs_the_deadline_and_no_more() {
    let _turn = common::alone();
    let other = Other::start("honest");
    let reader = hear_reader(&other);
    tell(&other, "submit 1");
    let fence = reader.point(1).fence().unwrap();
    other.stop();
    other.tell("complete");
    for wait in [fence.wait(millis(60)), reader.point(2).wait_submitted(millis(60)).map(drop)] {
        let error = refusal("a stopped writer", wait);
        assert!(error.is_timeout() && *error.kind() != Kind::PeerGone, "{error}");
    }
    assert_eq!((reader.completed(), reader.submitted()), (0, 1));
    other.signal(Signal::Continue);
    fence.wait(soon()).unwrap();
}

/// R10: a wait that is given up ends soon, with no more than its own end.
#[test]
fn r10_a_cancelled_wait_for_another_process_ends_and_signals_nothing() {
    let _turn = common::alone();
    let other = Other::start("honest");
    let reader = hear_reader(&other);
    tell(&other, "submit 1");
    let (cancel, fence, promise) = (Cancel::default(), reader.point(1).fence().unwrap(), reader.point(2));
    std::thread::scope(|scope| {
        let waits = [
            scope.spawn(|| fence.wait_unless(&cancel, Deadline::Never)),
            scope.spawn(|| promise.wait_submitted_unless(&cancel, Deadline::Never).map(drop)),
        ];
        std::thread::sleep(Duration::from_millis(30));
        assert!(waits.iter().all(|wait| !wait.is_finished()));
        let began = Instant::now();
        cancel.cancel();
        for wait in waits {
            assert_eq!(*refusal("a cancelled wait", wait.join().unwrap()).kind(), Kind::Cancelled);
        }
        assert!(began.elapsed() < DEATH_NOTICED);
    });
    assert!(fence.status() == Status::Pending && promise.fence().unwrap_err().is_timeout());
    assert_eq!(*refusal("too late", promise.wait_submitted_unless(&cancel, soon())).kind(), Kind::Cancelled);
    tell(&other, "complete");
    fence.wait(soon()).unwrap();
}

/// R6: whoever waits holds nothing that anybody needs: the same objects go on being used meanwhile.
#[test]
fn r6_a_wait_holds_no_lock() {
    let _turn = common::alone();
    let (timeline, other) = (Timeline::new(), Other::start("honest"));
    let reader = hear_reader(&other);
    let (mine, theirs) = (timeline.point(100), reader.point(100));
    let cancel = Cancel::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| mine.wait_submitted_unless(&cancel, soon()).map(drop));
            scope.spawn(|| theirs.wait_submitted_unless(&cancel, soon()).map(drop));
        }
        std::thread::sleep(Duration::from_millis(20));
        for point in 1..50 {
            timeline.signal(point).unwrap();
            tell(&other, &format!("signal {point}"));
            timeline.point(point).wait(soon()).unwrap();
            reader.point(point).wait(soon()).unwrap();
            assert!(theirs.fence().is_err() && mine.fence().is_err());
        }
        drop(timeline);
        cancel.cancel();
    });
}

/// R12, R18: a thousand rounds between two processes over points whose low words are equal. A lost wake would cost a slice of
/// 20 ms, and data that came after its point would be last round's.
#[test]
fn r12_r18_no_wake_is_lost_and_data_comes_before_its_point() {
    let _turn = common::alone();
    const ROUNDS: u64 = 1000;
    let other = Other::start("echo");
    let (ping, board) = (Timeline::new(), memfd::create("board", SIZE as u64).unwrap());
    let data = Mapping::new(&board, SIZE, Populate::Now).unwrap();
    socket::send(&other.socket, b"ping", &[ping.to_fd().unwrap().as_fd(), board.as_fd()], false).unwrap();
    let pong = hear_reader(&other);
    let began = Instant::now();
    for round in 1..=ROUNDS {
        ping.signal(round << 32).unwrap();
        pong.point(round << 32).wait(soon()).unwrap();
        assert_eq!(data.words64()[0].load(Ordering::Relaxed), round);
    }
    let mean = began.elapsed() / ROUNDS as u32;
    assert!(mean < Duration::from_millis(8), "{mean:?} a round");
}

fn echo(socket: &OwnedFd) {
    let (_, mut descriptors) = hear(socket.as_fd());
    let data = Mapping::new(descriptors.remove(1), SIZE, Populate::Now).unwrap();
    let (ping, pong) = (Reader::new(descriptors.remove(0)).unwrap(), Timeline::new());
    send(socket, &pong.to_fd().unwrap());
    for round in 1.. {
        if ping.point(round << 32).wait(soon()).is_err() {
            return;
        }
        data.words64()[0].store(round, Ordering::Relaxed);
        pong.signal(round << 32).unwrap();
    }
}

/// R16: without room for descriptors a timeline on its way is an error and not a message without it; nothing else is harmed.
#[test]
fn r16_without_room_for_descriptors_no_fence_is_lost_silently() {
    let _turn = common::alone();
    let other = Other::start_through(&["sh", "-c", "ulimit -n 64 && exec \"$0\" \"$@\""], "starved");
    let timeline = Timeline::new();
    timeline.signal(1).unwrap();
    let fd = timeline.to_fd().unwrap();
    (0..2).for_each(|_| send(&other.socket, &fd));
    assert_eq!(other.hear(), "waiting");
    timeline.signal(2).unwrap();
    assert_eq!(other.hear(), "fed");
}

fn starved(socket: &OwnedFd) {
    const EMFILE: Option<i32> = Some(24);
    let starve = || -> Vec<_> { std::iter::from_fn(|| file::duplicate(std::io::stdin()).ok()).collect() };
    let channel = Channel::from_fd(copy(socket), Trust::SameUser).unwrap();
    let taken = starve();
    let error = refusal("receiving", channel.receive_bytes(1, soon()));
    assert!(*error.kind() == Kind::Truncated && error.to_string().contains("RLIMIT_NOFILE"), "{error}");
    drop(taken);
    let (_, mut descriptors) = channel.receive_bytes(1, soon()).unwrap().expect("the second");
    let reader = Reader::new(descriptors.remove(0)).unwrap();
    let (promise, mine) = (reader.point(2), Timeline::new());
    let fence = reader.point(1).fence().unwrap();
    let taken = starve();
    for refused in [
        promise.descriptor(Reached::Complete).map(drop),
        fence.descriptor().map(drop),
        mine.to_fd().map(drop),
        reader.to_fd().map(drop),
    ] {
        let error = refusal("a descriptor", refused);
        assert_eq!((error.kind(), error.errno()), (&Kind::Os, EMFILE), "{error}");
    }
    // Waiting needs none.
    fence.wait(soon()).unwrap();
    mine.signal(1).unwrap();
    say(socket, "waiting");
    promise.wait(soon()).unwrap();
    drop(taken);
    assert!(wait_readable(promise.descriptor(Reached::Complete).unwrap(), soon().at()).unwrap());
    Reader::new(mine.to_fd().unwrap()).unwrap().point(1).wait(Deadline::now()).unwrap();
    say(socket, "fed");
}

/// S3, R14: a user of a buffer is another process. Its share ends with its work, and with an error where it dies first.
#[test]
fn r14_the_share_of_another_process_ends_with_its_work_or_its_death() {
    let _turn = common::alone();
    let mut releases = Releases::new();
    let reader = Reader::new(releases.to_fd().unwrap()).unwrap();
    for dies in [false, true] {
        let mut user = Some(Other::start("honest"));
        let work = hear_reader(user.as_ref().unwrap()).point(1);
        let (schedule, screen) = releases.schedule().unwrap();
        let release = schedule.promise(&reader).unwrap();
        screen.share().follow(&work).unwrap();
        screen.done(&Fence::signalled()).unwrap();
        tell(user.as_ref().unwrap(), "submit 1");
        assert!(release.wait(millis(30)).unwrap_err().is_timeout(), "it pends");
        let (_, [_, ends @ ..]) = waits_while(&release, || {
            if dies {
                user.take().into_iter().for_each(kill);
            } else {
                tell(user.as_ref().unwrap(), "complete");
            }
        });
        assert!(ends.iter().all(|end| end.is_err() == dies), "{ends:?}");
    }
}
