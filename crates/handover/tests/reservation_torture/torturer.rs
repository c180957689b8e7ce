//! The two roles: one that attaches, waits, is inside and releases for ever, and one that writes over a control file for ever.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::layout::{Block, file_size, header};
use handover::backend::software::reservation::platform::Platform as _;
use handover::backend::software::reservation::working_set::{self, Seat};
use handover::backend::software::reservation::{
    Attach, CLOCK_AHEAD, Dependency, Outcome, Phase, Reservation, TICKET_NS, Trouble, Word,
};
use handover_model::{Region, Stage, Usage};
use handover_sys::clock::Monotonic;
use handover_sys::map::{Mapping, Populate};

use super::board::{self, Tally};
use super::support::stepper::Stepper;
use super::support::witness::Witness;
use super::support::{self, Board, Random, wish};

/// Few entries, so that the surfaces are full again and again.
pub(crate) const ENTRIES: usize = 5;
/// Surfaces of a pool.
pub(crate) const SURFACES: u32 = 2;
/// How long a wait may last where somebody lies.
const BESIDE_A_LIAR: Duration = Duration::from_millis(50);

type Participant = Reservation<Stepper, ENTRIES>;

/// The scheduler's account of this thread (`Documentation/scheduler/sched-stats.rst`).
struct Account(Option<File>);

impl Account {
    fn open() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// How long it was ready to run and was not let, in nanoseconds.
    fn delayed(&self) -> u64 {
        let mut text = [0; 64];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let text = std::str::from_utf8(&text[..read]).unwrap_or_default();
        text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }
}

/// One life of a torturer.
struct Torturer<'a> {
    board: &'a Board,
    life: u32,
    account: Account,
    /// Where somebody lies, no wait is longer than this.
    patience: Option<Duration>,
}

/// Random sets, regions and usages for ever, with death at a random operation. In the second pool, if there is one, somebody
/// lies; sets reach over both.
pub(crate) fn torturer(board: &Board, seed: u64, life: u32, pools: &[&str]) {
    let mut random = Random::new(seed);
    let left = if random.below(2) == 0 { random.below(3000) } else { u64::MAX };
    let join = |(number, pool): (usize, &&str)| {
        let opened = Control::open(Stage::Import, support::open(pool).expect("the control file"), None);
        let (control, owner) = match opened {
            Ok(opened) => opened,
            // The header was written over: then this life does without that pool.
            Err(error) if number == 0 => panic!("{error}"),
            Err(_) => return None,
        };
        let stepper = Stepper::lingering(control, left, Random::new(!seed));
        Some(Reservation::join(stepper, owner, life, SURFACES))
    };
    let joined: Vec<Participant> = pools.iter().enumerate().filter_map(join).collect();
    let honest = &joined[0];
    let witness = Witness::new(board, board::WITNESS, honest.platform().control(), honest.owner());
    let patience = (pools.len() > 1).then_some(BESIDE_A_LIAR);
    let torturer = Torturer { board, life, account: Account::open(), patience };
    loop {
        torturer.turn(&mut random, &joined, &witness);
    }
}

impl Torturer<'_> {
    fn turn(&self, random: &mut Random, joined: &[Participant], witness: &Witness<'_>) {
        let wishes = random_set(random, joined.len());
        let set: Vec<_> = wishes.iter().map(|&(pool, wish)| (&joined[pool], wish)).collect();
        let in_honest: Vec<_> = wishes.iter().filter(|(pool, _)| *pool == 0).map(|(_, wish)| *wish).collect();
        let is_honest = in_honest.len() == wishes.len();
        let attached = match working_set::attach(&set) {
            Ok(attached) => attached,
            Err((at, Trouble::Full(surface))) => {
                board::count(self.board, Tally::Full, 1);
                return set[at].0.wait_for_room(surface, self.deadline());
            }
            Err((_, trouble)) => return self.spoiled(is_honest, trouble),
        };
        let seat = |(&(reservation, wish), &entry): (&(_, _), &_)| Seat { reservation, wish, entry };
        let seats: Vec<_> = set.iter().zip(&attached.entries).map(seat).collect();
        let granted = random.below(16) != 0
            && attached.dependencies.into_iter().all(|(at, dependency)| self.is_granted(set[at].0, dependency));
        if !granted {
            return working_set::withdraw(&seats).unwrap_or_else(|trouble| self.spoiled(is_honest, trouble));
        }
        board::count(self.board, Tally::Violations, witness.enter(&in_honest));
        (0..random.below(4000)).for_each(|_| std::hint::spin_loop());
        let told: Vec<_> =
            attached.entries.iter().zip(&wishes).filter(|(_, (pool, _))| *pool == 0).map(|(entry, _)| *entry).collect();
        witness.leave(&told);
        match working_set::release(&seats, None) {
            Ok(()) => board::count(self.board, Tally::Submissions, 1),
            Err(trouble) => self.spoiled(is_honest, trouble),
        }
    }

    /// Waits for one entry, and sees to it that it did not take too long.
    fn is_granted(&self, participant: &Participant, mut dependency: Dependency) -> bool {
        // Their number in place of a process's; of no use once somebody else has joined under the index.
        let owner = dependency.word.owner();
        let their_life = participant.pid_of(owner);
        let generation = participant.platform().control().u64(header::generation(owner)).load(Ordering::SeqCst);
        let (deadline, idle, began) = (self.deadline(), self.idle(), Monotonic::now());
        let outcome = participant.wait(&mut dependency, deadline);
        let ended = Monotonic::now();
        let idle = self.idle().saturating_sub(idle);
        let since = |from: Monotonic| (ended.saturating_since(from).as_nanos() as u64).saturating_sub(idle);
        board::longest(self.board, Tally::LongestWait, since(began));
        match board::end_of(self.board, their_life) {
            Some(died) if generation == dependency.generation && self.patience.is_none() => {
                board::longest(self.board, Tally::LongestForTheDead, since(died.max(began)));
            }
            _ => {}
        }
        deadline.into_iter().for_each(|deadline| board::longest(self.board, Tally::LongestOverrun, since(deadline)));
        match outcome {
            Outcome::TimedOut => {
                board::count(self.board, Tally::TimedOut, 1);
                false
            }
            Outcome::Ended(phase) => {
                board::count(self.board, Tally::Recycled, usize::from(phase.is_none()));
                true
            }
        }
    }

    fn deadline(&self) -> Option<Monotonic> {
        self.patience.map(|patience| Monotonic::now().saturating_add(patience))
    }

    /// How long this life was stopped, or ready and not let run.
    fn idle(&self) -> u64 {
        self.account.delayed() + board::stopped_for(self.board, self.life)
    }

    fn spoiled(&self, is_honest: bool, trouble: Trouble) {
        assert!(!is_honest, "{trouble:?} where nobody lies");
        board::count(self.board, Tally::Spoiled, 1);
    }
}

/// One to three wishes on different surfaces, in any order: (pool, wish).
fn random_set(random: &mut Random, pools: usize) -> Vec<(usize, Attach)> {
    let mut places: Vec<_> = (0..pools).flat_map(|pool| (0..SURFACES).map(move |surface| (pool, surface))).collect();
    let wanted = 1 + random.below(places.len().min(3) as u64) as usize;
    let mut pick = || {
        let (pool, surface) = places.swap_remove(random.below(places.len() as u64) as usize);
        let usages = [Usage::Write, Usage::Read, Usage::Read, Usage::Kernel];
        let regions = [1, 2, 3, u64::MAX].map(Region::from_bits);
        (pool, wish(surface, usages[random.below(4) as usize], regions[random.below(4) as usize]))
    };
    (0..wanted).map(|_| pick()).collect()
}

/// Writes over a control file for ever: noise, and what looks like the protocol's own.
pub(crate) fn scribbler(seed: u64, pool: &str) {
    let mut random = Random::new(seed);
    let size = file_size(SURFACES) as usize;
    let map = Mapping::new(support::open(pool).expect("the control file"), size, Populate::Now).expect("map it");
    loop {
        let block = Block::of(random.below(u64::from(SURFACES)) as u32);
        let entry = random.below(ENTRIES as u64) as u8;
        let now = Monotonic::now().0 / TICKET_NS;
        let phases =
            [Phase::Free, Phase::Claimed, Phase::Choosing, Phase::Pending, Phase::Done, Phase::Failed, Phase::Dead];
        let phase = phases[random.below(phases.len() as u64) as usize];
        let word = Word::new(now - random.below(1 << 20), random.below(8) as u8, Usage::Write, true, phase);
        let (at, value) = match random.below(12) {
            0 if random.below(8) == 0 => (block.clock(), random.below(u64::MAX)),
            0 | 1 => (block.clock(), now + random.below(CLOCK_AHEAD / 2)),
            2 => (block.high(), random.below(100)),
            3 => (block.armed(), random.below(2) * u64::MAX),
            4 => (header::generation(entry), random.below(8)),
            5 => (block.failures(), random.below(2)),
            6 | 7 => (block.word(entry), word.0),
            8 => (block.mask(entry), random.below(u64::MAX)),
            // Not the first words: whoever finds those spoiled does not join, and would not suffer the rest.
            _ => (64 + 8 * random.below(size as u64 / 8 - 8) as usize, random.below(u64::MAX) << random.below(64)),
        };
        map.words64()[at / 8].store(value, Ordering::SeqCst);
        std::thread::sleep(Duration::from_micros(random.below(200)));
    }
}
