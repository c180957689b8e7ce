//! Help for the tests of timelines between processes: writers in other processes, honest ones and one that does what it is told, and
//! every way to wait for them.
#![allow(dead_code)]

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use handover::timeline::page::{ABI, MAGIC, SIZE, at};
use handover::timeline::{Promise, Reached, Reader, Which, wait};
use handover::{Deadline, Error, Fence, Kind, Timeline};
use handover_sys::file::{self, Reopen};
use handover_sys::map::{Mapping, Populate};
use handover_sys::memfd::{self, Seals};
use handover_sys::poll::wait_readable;
use handover_sys::{ofd, socket};

use crate::common::{Noise, Other, hear, say, soon};

/// Ten times the promise for a death: 100 ms after the memory is torn down, and one slice.
pub(crate) const DEATH_NOTICED: Duration = Duration::from_millis(1200);
/// What a timeline's file is sealed with.
pub(crate) const SEALS: Seals = Seals::SHRINK.union(Seals::GROW).union(Seals::FUTURE_WRITE).union(Seals::SEAL);

/// A writer as the library makes them. Its jobs end when it is told.
pub(crate) fn honest(socket: &OwnedFd) {
    let mut timeline = Some(Timeline::new());
    let behind = Timeline::new();
    let mut pending = 0;
    send(socket, &timeline.as_ref().unwrap().to_fd().unwrap());
    loop {
        let words = hear(socket.as_fd()).0;
        let text = String::from_utf8(words).unwrap();
        let words: Vec<_> = text.split(' ').collect();
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        match (words[0], timeline.as_ref()) {
            ("submit", Some(timeline)) => {
                // Work that has begun and pends: points of another timeline, which the next word completes.
                pending += 1;
                let gate = gate(&behind, pending);
                timeline.submit(number(1), &gate).unwrap();
            }
            ("complete", _) => behind.signal(pending).unwrap(),
            ("signal", Some(timeline)) => timeline.signal(number(1)).unwrap(),
            ("fail", Some(timeline)) => timeline.fail(number(1), number(2) as i32).unwrap(),
            ("drop", _) => timeline = None,
            ("exit", _) => return,
            // A child that outlives its parent, as daemons do.
            ("spawn", _) => {
                let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
                say(socket, &sleeper.id().to_string());
                std::thread::spawn(move || sleeper.wait());
                continue;
            }
            other => panic!("{other:?}"),
        }
        say(socket, "done");
    }
}

/// A fence of work that was submitted and ends when `behind` reaches `point`.
fn gate(behind: &Timeline, point: u64) -> Fence {
    let queue = handover::Queue::new("engine").unwrap();
    let surface =
        handover::allocate::buffer(handover::Device::PLAIN, handover::Bytes(4096), &handover::Options::default())
            .unwrap()
            .remove(0);
    let set = [(&surface, handover::Access::Write, handover::Region::WHOLE)];
    let promise = behind.point(point);
    let fence = queue.submit(&set, &[], soon(), move |_| promise.wait(soon())).unwrap();
    std::thread::spawn(move || drop(queue));
    fence
}

pub(crate) fn send(socket: &OwnedFd, fd: &OwnedFd) {
    socket::send(socket, b"timeline", &[fd.as_fd()], false).unwrap();
}

pub(crate) fn hear_reader(other: &Other) -> Reader {
    let (_, mut descriptors) = hear(other.socket.as_fd());
    Reader::new(descriptors.remove(0)).unwrap()
}

/// A page of a timeline without the code that keeps its rules.
pub(crate) struct Page {
    map: Mapping,
    pub(crate) file: OwnedFd,
}

impl Page {
    pub(crate) fn new(seals: Seals) -> Self {
        let file = memfd::create("raw", SIZE as u64).unwrap();
        let own = file::reopen(&file, Reopen::ReadWrite).unwrap();
        let map = Mapping::new(&own, SIZE, Populate::Now).unwrap();
        assert!(ofd::try_lock(&own, 0).unwrap());
        memfd::add_seals(&file, seals).unwrap();
        let this = Self { map, file };
        this.store(at::MAGIC, MAGIC);
        this.store(at::ABI, ABI);
        this
    }

    pub(crate) fn store(&self, at: usize, value: u64) {
        self.map.words64()[at / 8].store(value, Ordering::Release);
    }

    pub(crate) fn ring(&self) {
        let word = &self.map.words32()[at::EVENT / 4];
        word.fetch_add(1, Ordering::SeqCst);
        handover_sys::futex::wake_bitset(word, std::num::NonZeroU32::MAX, u32::MAX).unwrap();
    }
}

/// A writer that does what it is told, word by word.
pub(crate) fn raw(socket: &OwnedFd) {
    let page = Page::new(SEALS);
    send(socket, &page.file);
    let mut noise = Noise::new(7);
    loop {
        let text = String::from_utf8(hear(socket.as_fd()).0).unwrap();
        let words: Vec<_> = text.split(' ').collect();
        match words[..] {
            ["store", at, value] => page.store(at.parse().unwrap(), value.parse().unwrap()),
            ["ring"] => page.ring(),
            ["scribble"] => loop {
                page.store(8 * noise.below(SIZE / 8), noise.next() >> noise.below(64));
                if noise.below(8) == 0 {
                    page.ring();
                }
            },
            _ => panic!("{text}"),
        }
        say(socket, "done");
    }
}

pub(crate) fn tell(other: &Other, text: &str) {
    other.tell(text);
    assert_eq!(other.hear(), "done", "{text}");
}

pub(crate) fn kill(other: Other) {
    // Killed and reaped.
    drop(other);
}

/// Every way to wait for a point, on threads of their own. Gives how each ended, by name, within the time.
pub(crate) fn waits_while<T>(point: &Promise, run: impl FnOnce() -> T) -> (T, [Result<(), Error>; 4]) {
    let descriptor = point.descriptor(Reached::Complete).unwrap();
    std::thread::scope(|scope| {
        let submitted = scope.spawn(|| point.wait_submitted(soon()).map(drop));
        let complete = scope.spawn(|| point.wait(soon()));
        let several =
            scope.spawn(|| wait(std::slice::from_ref(point), Which::All, Reached::Complete, soon()).map(drop));
        let polled = scope.spawn(|| {
            assert!(wait_readable(&descriptor, soon().at()).unwrap());
            point.fence().and_then(|fence| fence.wait(Deadline::now()))
        });
        // Asleep, all of them.
        std::thread::sleep(Duration::from_millis(5));
        let done = run();
        let began = Instant::now();
        let results = [submitted, complete, several, polled].map(|waiter| waiter.join().unwrap());
        assert!(began.elapsed() < DEATH_NOTICED, "{:?}", began.elapsed());
        (done, results)
    })
}

pub(crate) fn is_gone(result: &Result<(), Error>) -> bool {
    result.as_ref().is_err_and(|error| *error.kind() == Kind::PeerGone)
}
