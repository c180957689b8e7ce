//! One round: processes, random kills and stops, and what must hold at its end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::Reservation;
use handover::backend::software::reservation::layout::PARTICIPANTS;
use handover::backend::software::reservation::platform::Platform as _;
use handover_sys::clock::Monotonic;
use handover_sys::process::{Pidfd, Signal};
use handover_sys::{file, poll};

use super::board::{self, Tally, told};
use super::support::{Board, Other, Random, join, new_pool};
use super::torturer::{ENTRIES, SURFACES};

/// Processes that torture a pool at a time.
const TORTURERS: usize = 5;

/// What a round found.
pub(crate) struct Round {
    pub(crate) board: Arc<Board>,
    pub(crate) killed: u32,
    pub(crate) died_at_a_step: u32,
    pub(crate) stops: u32,
    /// The longest time in which nobody got through.
    pub(crate) stall: Duration,
}

/// A process of the round, and its number.
struct Life {
    number: u32,
    other: Other,
}

struct Nursery {
    board: Arc<Board>,
    pools: String,
    seed: u64,
    started: u32,
}

impl Nursery {
    /// Lives are numbered from 1.
    fn start(&mut self) -> Life {
        self.started += 1;
        let number = self.started;
        board::begin(&self.board, number);
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number));
        let other = Other::start("torturer", &[&self.board.path(), &seed, &number, &self.pools]);
        let process = Pidfd::open(other.id()).expect("a child that nobody has waited for");
        let board = Arc::clone(&self.board);
        // Tells the moment: whoever kills or waits may be late.
        std::thread::spawn(move || {
            poll::wait_readable(&process, None).expect("wait for the end of a process");
            board::end(&board, number);
        });
        Life { number, other }
    }
}

/// Tortures one pool for this long, with a scribbler in a second one or without.
pub(crate) fn run(seed: u64, time: Duration, lies: bool) -> Round {
    let (_file, pool) = new_pool(SURFACES);
    let second = lies.then(|| new_pool(SURFACES));
    let scribbler = second.as_ref().map(|(_, pool)| Other::start("scribbler", &[&seed, pool]));
    let board = Arc::new(Board::new(board::WORDS));
    let pools = second.iter().fold(pool.clone(), |pools, (_, path)| format!("{pools} {path}"));
    let mut nursery = Nursery { board: Arc::clone(&board), pools, seed, started: 0 };
    let mut random = Random::new(seed);
    let mut lives: Vec<_> = (0..TORTURERS).map(|_| nursery.start()).collect();
    let mut round = Round { board: Arc::clone(&board), killed: 0, died_at_a_step: 0, stops: 0, stall: Duration::ZERO };
    let (mut done, mut since) = (0, Monotonic::now());
    let end = Monotonic::now().saturating_add(time);
    while Monotonic::now() < end {
        std::thread::sleep(Duration::from_micros(2000 + random.below(8000)));
        let victim = random.below(lives.len() as u64) as usize;
        if random.below(8) == 0 {
            let at = Monotonic::now();
            lives[victim].other.signal(Signal::Stop);
            std::thread::sleep(Duration::from_millis(30));
            let stopped = Monotonic::now().saturating_since(at).as_nanos() as u64;
            board::stopped(&board, lives[victim].number, stopped);
            lives[victim].other.signal(Signal::Continue);
            round.stops += 1;
        } else if random.below(2) == 0 {
            std::mem::replace(&mut lives[victim], nursery.start()).other.kill();
            round.killed += 1;
        }
        for life in &mut lives {
            if let Some(status) = life.other.has_ended() {
                assert_eq!(status.code(), None, "a torturer failed");
                round.died_at_a_step += 1;
                *life = nursery.start();
            }
        }
        let submissions = told(&board, Tally::Submissions);
        if submissions > done {
            (done, since) = (submissions, Monotonic::now());
        }
        round.stall = round.stall.max(Monotonic::now().saturating_since(since));
    }
    lives.into_iter().for_each(|life| life.other.kill());
    scribbler.into_iter().for_each(Other::kill);
    assert_nothing_is_left(&pool);
    round
}

/// Nobody is left of the dead: no entry, no place, and no hold on the control file.
fn assert_nothing_is_left(pool: &str) {
    let survivor: Reservation<Control, ENTRIES> = join(pool);
    for surface in 0..SURFACES {
        survivor.sweep(surface);
        assert_eq!(survivor.live_entries(surface).count(), 0, "an entry of the dead is stuck");
    }
    let others = (0..PARTICIPANTS as u8).filter(|&owner| owner != survivor.owner());
    let places = others.filter(|&owner| survivor.platform().is_alive(owner)).count();
    assert_eq!(places, 0, "places of the dead are still taken");
    let inode = file::identity(survivor.platform().file()).expect("identity of the control file").inode;
    assert_eq!(holders(inode), vec![std::process::id()], "who maps the control file");
}

/// The processes, as far as we may look, that map a memfd with this inode.
fn holders(inode: u64) -> Vec<u32> {
    let processes =
        std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let maps_it = |pid: &u32| {
        let maps = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("maps")).unwrap_or_default();
        maps.lines().any(|line| line.contains("/memfd:") && line.split_whitespace().nth(4) == Some(&inode.to_string()))
    };
    processes.filter(maps_it).collect()
}
