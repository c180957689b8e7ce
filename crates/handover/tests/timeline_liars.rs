//! R2 to R5 and R11: a timeline whose writer lies, writes noise, or is killed at each step; and files that are none.
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
use std::time::Instant;

use common::{Noise, Other, copy, millis, parent, refusal, role, soon};
use handover::timeline::page::{self, ABI, MAGIC, SIZE, at};
use handover::timeline::{Reached, Reader, Which, wait};
use handover::{Deadline, Fence, Kind, Stage, Status, Timeline};
use handover_sys::file::{self, Reopen};
use handover_sys::map::{Mapping, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};
use handover_sys::socket;
use writers::{DEATH_NOTICED, Page, SEALS, hear_reader, is_gone, kill, tell, waits_while};

/// What other processes run of this binary.
#[test]
fn child_process() {
    match role().as_deref() {
        None => {}
        Some("honest") => writers::honest(&parent()),
        Some("raw") => writers::raw(&parent()),
        Some(other) => panic!("no role {other}"),
    }
}

/// R5, R11: killed before the submission, between its store and its wake, between submission and completion, between the store of the
/// completion and its wake, and after it. Nobody sleeps on, and what was completed is complete.
#[test]
fn r5_r11_a_writer_killed_at_any_step_keeps_nobody_waiting() {
    let _turn = common::alone();
    let steps = [
        format!("store {} 1", at::SUBMITTED),
        "ring".to_owned(),
        format!("store {} {}", at::error(1), 5_u64 << 52 | 1),
        format!("store {} 1", at::COMPLETED),
        "ring".to_owned(),
    ];
    for fails in [false, true] {
        for done in 0..=steps.len() {
            let other = Other::start("raw");
            let point = hear_reader(&other).point(1);
            let ((), [submitted, complete, several, polled]) = waits_while(&point, || {
                let taken = steps[..done].iter().filter(|step| fails || !step.contains(&at::error(1).to_string()));
                taken.for_each(|step| tell(&other, step));
                kill(other);
            });
            let outcome = format!("{done} steps, {submitted:?}, {complete:?}, {several:?}, {polled:?}");
            match done {
                0 => assert!(is_gone(&submitted), "{outcome}"),
                // Found before the death, or after: then it is as good as never submitted.
                1..=3 => assert!(submitted.is_ok() || is_gone(&submitted), "{outcome}"),
                _ => assert!(submitted.is_ok(), "{outcome}"),
            }
            for ended in [&complete, &several, &polled] {
                match (done, fails) {
                    (0..=3, _) => assert!(is_gone(ended), "{outcome}"),
                    (_, false) => assert!(ended.is_ok(), "{outcome}"),
                    (_, true) => assert_eq!(ended.as_ref().unwrap_err().errno(), Some(5), "{outcome}"),
                }
            }
        }
    }
}

/// R3: early, late, never and falling. A liar spoils its own work; whoever reads it ends at the deadline at the latest.
#[test]
fn r3_a_lying_writer_harms_itself() {
    let _turn = common::alone();
    let other = Other::start("raw");
    let reader = hear_reader(&other);
    // Complete, and never submitted.
    tell(&other, &format!("store {} 7", at::COMPLETED));
    assert_eq!((reader.completed(), reader.submitted()), (7, 7));
    reader.point(7).wait(Deadline::now()).unwrap();
    // Submitted, and never complete.
    tell(&other, &format!("store {} 9", at::SUBMITTED));
    let promised = reader.point(9).wait_submitted(soon()).unwrap();
    let began = Instant::now();
    assert!(promised.wait(millis(30)).unwrap_err().is_timeout() && began.elapsed() < DEATH_NOTICED);
    // Takes the submission back: whoever has the fence keeps it (R17), and nobody else finds one.
    tell(&other, &format!("store {} 0", at::SUBMITTED));
    assert!(promised.status() == Status::Pending && reader.point(9).fence().unwrap_err().is_timeout());
    // Falls: nothing it says is believed any more, by whoever saw that.
    let late = Reader::new(reader.to_fd().unwrap()).unwrap();
    tell(&other, &format!("store {} 3", at::COMPLETED));
    tell(&other, "ring");
    for point in [1, 7, 8, u64::MAX] {
        assert_eq!(*refusal("a point", reader.point(point).wait(soon())).kind(), Kind::Spoiled, "{point}");
    }
    assert_eq!(*refusal("the fence", promised.wait(soon())).kind(), Kind::Spoiled);
    late.point(3).wait(Deadline::now()).unwrap();
    tell(&other, &format!("store {} 100", at::COMPLETED));
    assert_eq!(*refusal("a point", reader.point(7).wait(soon())).kind(), Kind::Spoiled);
}

/// R3: noise over the whole page. Every wait ends by its deadline in some way, none panics, and honest timelines do not notice.
#[test]
fn r3_noise_on_the_page_ends_no_later_than_the_deadline() {
    let _turn = common::alone();
    let (honest, mine) = (Other::start("honest"), Timeline::new());
    let theirs = hear_reader(&honest);
    for seed in 0..20_u64 {
        let other = Other::start("raw");
        let reader = hear_reader(&other);
        other.tell("scribble");
        let mut noise = Noise::new(seed);
        for round in 0..20 {
            let point = reader.point(noise.next() >> noise.below(64));
            let descriptor = point.descriptor(if round % 2 == 0 { Reached::Available } else { Reached::Complete });
            let began = Instant::now();
            // Whatever they say: it is the liar's own work.
            let _ = point.wait_submitted(millis(2)).map(|fence| Fence::union(&[fence]));
            let _ = point.wait(millis(2));
            let _ = wait(&[point.clone(), mine.point(u64::MAX)], Which::Any, Reached::Complete, millis(2));
            let _ = (reader.completed(), reader.submitted(), point.fence().map(|fence| fence.status()));
            assert!(began.elapsed() < DEATH_NOTICED, "{:?}", began.elapsed());
            drop(descriptor);
        }
        mine.signal(seed + 1).unwrap();
        tell(&honest, &format!("signal {}", seed + 1));
        theirs.point(seed + 1).wait(soon()).unwrap();
        assert_eq!((mine.completed(), theirs.completed()), (seed + 1, seed + 1));
    }
}

/// R2, R4: whoever holds the descriptor can neither write nor shrink it, nor make a hole.
#[test]
fn r2_r4_a_reader_cannot_write_and_nobody_can_take_the_page_away() {
    let _turn = common::alone();
    let timeline = Timeline::new();
    let fd = timeline.to_fd().unwrap();
    timeline.signal(3).unwrap();
    let again = file::reopen(&fd, Reopen::ReadWrite).unwrap();
    for fd in [&fd, &again] {
        assert!(Mapping::new(fd, SIZE, Populate::Now).is_err(), "a second writer");
        let file = std::fs::File::from(copy(fd));
        for size in [0, 1, SIZE as u64 * 2] {
            assert_eq!(file.set_len(size).unwrap_err().raw_os_error(), Some(1), "{size}");
        }
        assert!(std::os::unix::fs::FileExt::write_at(&file, &[0xff; 8], at::COMPLETED as u64).is_err());
        assert!(file::punch_hole(fd, 0, SIZE as u64).is_err());
        let map = ReadMapping::new(fd, SIZE, Populate::Now).unwrap();
        assert!(handover_sys::map::try_upgrade(&map).is_err());
    }
    Reader::new(fd).unwrap().point(3).wait(Deadline::now()).unwrap();
}

/// R4: what is not sealed so that only its writer can change it, and nobody take it away, is no timeline.
#[test]
fn r4_unsealed_truncated_and_foreign_files_are_refused() {
    let _turn = common::alone();
    let each = [Seals::SHRINK, Seals::GROW, Seals::FUTURE_WRITE, Seals::SEAL];
    let refused = |what: &str, kind: &Kind, page: &dyn AsFd| {
        common::refused(what, Stage::Import, kind, None, &["timeline"], || Reader::new(copy(page.as_fd())));
    };
    for missing in each {
        refused(&format!("without {missing:?}"), &Kind::Spoiled, &Page::new(SEALS.difference(missing)).file);
    }
    refused("not sealed at all", &Kind::Spoiled, &Page::new(Seals::empty()).file);
    for size in [0, 1, SIZE as u64 - 1, SIZE as u64 + 1, 2 * SIZE as u64] {
        let file = memfd::create("short", size).unwrap();
        memfd::add_seals(&file, SEALS).unwrap();
        refused(&format!("{size} bytes"), &Kind::Spoiled, &file);
    }
    for (offset, value, kind) in [
        (at::MAGIC, 0, Kind::Spoiled),
        (at::MAGIC, MAGIC + 1, Kind::Spoiled),
        (at::ABI, ABI + 1, Kind::Unsupported),
        (at::FEATURES, page::FEATURES + 1, Kind::Unsupported),
    ] {
        let page = Page::new(SEALS);
        page.store(offset, value);
        refused(&format!("{value:#x} at {offset}"), &kind, &page.file);
    }
    Reader::new(Page::new(SEALS).file).unwrap();
    let (stream, _other) = socket::pair().unwrap();
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let directory = OwnedFd::from(std::fs::File::open("/proc/self").unwrap());
    for stranger in [stream, null, directory, handover_sys::eventfd::create().unwrap()] {
        common::keeps_descriptors("a stranger", || assert!(Reader::new(copy(&stranger)).is_err()));
    }
}
