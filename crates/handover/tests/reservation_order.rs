//! One common order: conflicting submissions are ordered the same way on every surface they share, whoever dies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::Reservation;
use handover::{
    Access, Bytes, Cell, Cells, Deadline, Device, Layout, Options, Queue, Region, Surface, acquire, allocate,
    try_acquire,
};
use support::stepper::die;
use support::{Board, Other, Random, attach, join, new_pool, release_all, soon, until, wait_all, writes};

#[test]
fn another_process() {
    let Some(words) = support::role() else { return };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        [role @ ("writer" | "victim"), pool, board, name, first, rounds] => {
            let log = Log(Board::open(board));
            writer(pool, &log, number(name), number(first) as u32, number(rounds), role == "victim");
        }
        _ => panic!("no such role: {words:?}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

/// Rounds of both writers together.
const ROUNDS: u64 = 100_000;
/// Room for the records of one surface.
const ROOM: usize = 8_000_000;

/// Who wrote, in which order, for each of two surfaces: written by plain loads and stores, so that any overlap shows.
struct Log(Board);

impl Log {
    fn new() -> Self {
        Self(Board::new(2 * ROOM))
    }

    fn push(&self, surface: u32, record: u64) {
        let base = surface as usize * ROOM;
        let length = self.0.word(base).load(Ordering::Relaxed);
        self.0.word(base + 1 + length as usize).store(record, Ordering::Relaxed);
        self.0.word(base).store(length + 1, Ordering::Relaxed);
    }

    fn last(&self, surface: u32) -> u64 {
        let base = surface as usize * ROOM;
        self.0.word(base + self.0.word(base).load(Ordering::SeqCst) as usize).load(Ordering::SeqCst)
    }

    fn records(&self, surface: u32) -> Vec<u64> {
        let base = surface as usize * ROOM;
        let length = self.0.word(base).load(Ordering::SeqCst) as usize;
        (base + 1..=base + length).map(|at| self.0.word(at).load(Ordering::SeqCst)).collect()
    }
}

/// Writes both surfaces in each round, named in an order of its own. A victim dies in the last, with one surface written.
fn writer(pool: &str, log: &Log, name: u64, first: u32, rounds: u64, is_victim: bool) {
    let reservation: Reservation<Control> = join(pool);
    for round in 0..rounds {
        let (entries, dependencies) = attach(&reservation, &writes([first, 1 - first]));
        wait_all(&reservation, dependencies);
        for entry in &entries {
            log.push(entry.surface, name << 32 | round);
            if is_victim && round + 1 == rounds {
                die();
            }
        }
        release_all(&reservation, &entries);
    }
}

#[test]
fn two_processes_in_opposite_order_agree() {
    let (_file, pool) = new_pool(2);
    let log = Log::new();
    let start = |name: u64| Other::start("writer", &[&pool, &log.0.path(), &name, &name, &(ROUNDS / 2)]);
    let mut writers = [start(0), start(1)];
    assert!(writers.iter_mut().all(|writer| writer.wait().success()));
    assert_eq!(log.records(0).len() as u64, ROUNDS);
    assert!(log.records(0) == log.records(1), "the logs of the surfaces differ");
}

#[test]
fn two_processes_in_opposite_order_agree_although_one_is_killed_again_and_again() {
    let (_file, pool) = new_pool(2);
    let log = Log::new();
    let mut random = Random::new(1);
    let start = |role: &str, name: u64, first: u32, rounds: u64| {
        Other::start(role, &[&pool, &log.0.path(), &name, &first, &rounds])
    };
    let survivor = start("writer", 0, 0, u64::MAX);
    const KILLS: usize = 40;
    for name in 1..KILLS as u64 {
        if name % 2 == 0 {
            assert!(start("victim", name, 1, 1 + random.below(1000)).wait().code().is_none());
        } else {
            let victim = start("writer", name, 1, u64::MAX);
            until("the victim writes", || log.last(0) >> 32 == name || log.last(1) >> 32 == name);
            std::thread::sleep(Duration::from_micros(random.below(3000)));
            victim.kill();
        }
    }
    survivor.kill();
    // Whoever was killed may have written one surface and not the other, once in its life.
    let logs = [log.records(0), log.records(1)];
    let sets = [0, 1].map(|surface: usize| logs[surface].iter().copied().collect::<HashSet<_>>());
    let common = [0, 1].map(|surface: usize| {
        let other = &sets[1 - surface];
        logs[surface].iter().copied().filter(|record| other.contains(record)).collect::<Vec<_>>()
    });
    eprintln!("{KILLS} kills, {} and {} records, {} common", logs[0].len(), logs[1].len(), common[0].len());
    assert!(common[0] == common[1], "the logs of the surfaces differ");
    assert!(common[0].len() as u64 > ROUNDS / 10);
    let halves = logs[0].len() - common[0].len() + logs[1].len() - common[1].len();
    assert!((KILLS / 2 - 1..=KILLS).contains(&halves), "{halves} half rounds");
}

fn buffers(count: u32, cells: Cells) -> Vec<Surface> {
    allocate::buffer(Device::PLAIN, Bytes(4096), &Options { surfaces: count, cells, ..Options::default() }).unwrap()
}

fn in_patience() -> Deadline {
    Deadline::At(soon())
}

/// Thread and round of each job, in the order in which they ran.
type Records = Vec<(u64, u64)>;

/// Two threads submit jobs over two surfaces in opposite order, each to its queue of these. Gives what each surface saw.
fn submit_from_two_threads(queues: [&Queue; 2], rounds: u64) -> [Records; 2] {
    let surfaces = buffers(2, Cells::none());
    let logs: [Arc<Mutex<Records>>; 2] = Default::default();
    std::thread::scope(|scope| {
        for (thread, queue) in queues.into_iter().enumerate() {
            let (surfaces, logs) = (&surfaces, &logs);
            scope.spawn(move || {
                let set = [thread, 1 - thread].map(|at| (&surfaces[at], Access::Write, Region::WHOLE));
                let mut fences = Vec::new();
                for round in 0..rounds {
                    let logs = logs.clone();
                    let job = move |_: &_| {
                        logs.iter().for_each(|log| log.lock().unwrap().push((thread as u64, round)));
                        Ok(())
                    };
                    fences.push(queue.submit(&set, &[], in_patience(), job).unwrap());
                }
                fences.iter().for_each(|fence| fence.wait(in_patience()).unwrap());
            });
        }
    });
    logs.map(|log| std::mem::take(&mut *log.lock().unwrap()))
}

#[test]
fn two_threads_on_one_queue_agree() {
    let queue = Queue::new("one").unwrap();
    let [one, other] = submit_from_two_threads([&queue, &queue], 10_000);
    assert_eq!(one.len(), 20_000);
    assert!(one == other, "the logs of the surfaces differ");
    for thread in 0..2 {
        let rounds = one.iter().filter(|record| record.0 == thread).map(|record| record.1);
        assert!(rounds.is_sorted(), "jobs of one thread out of order");
    }
}

#[test]
fn two_queues_of_one_process_agree() {
    let queues = [Queue::new("one").unwrap(), Queue::new("other").unwrap()];
    let [one, other] = submit_from_two_threads([&queues[0], &queues[1]], 10_000);
    assert_eq!(one.len(), 20_000);
    assert!(one == other, "the logs of the surfaces differ");
}

#[test]
fn region_writers_overlap_in_time_and_whole_access_waits_for_both() {
    let surface = buffers(1, halves()).remove(0);
    let [left, right] = [0, 1].map(|cell| surface.cells().region(&[cell]).unwrap());
    let write = |region| (&surface, Access::Write, region);
    let one = acquire(&[write(left)], in_patience()).unwrap().wait().unwrap();
    let other = acquire(&[write(right)], in_patience()).unwrap().wait().unwrap();
    assert!(try_acquire(&[write(left)]).unwrap().is_none());
    let mut whole = acquire(&[(&surface, Access::Read, Region::WHOLE)], in_patience()).unwrap();
    assert!(whole.poll().unwrap().is_none());
    one.release().unwrap();
    assert!(whole.poll().unwrap().is_none(), "it waits for the other half");
    other.release().unwrap();
    let whole = whole.poll().unwrap().expect("nobody is left");
    assert!(try_acquire(&[write(left)]).unwrap().is_none());
    whole.release().unwrap();
    assert!(try_acquire(&[write(left)]).unwrap().is_some());
}

fn halves() -> Cells {
    Cells::new(&Layout::buffer(Bytes(4096)).unwrap(), vec![Cell::View(0), Cell::View(1)]).unwrap()
}
