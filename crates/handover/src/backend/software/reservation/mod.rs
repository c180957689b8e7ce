//! The reservation of every surface of a pool: tickets, entries, waits and releases in a control file that peers share.
//!
//! # Contract
//!
//! **Order.** *Attach* puts one entry on every surface of a working set under one ticket. Any two attaches that conflict
//! (by usage and region) are ordered the same way on every surface they share: whoever has the smaller ticket goes
//! first. Every wait goes to a smaller ticket, so no cycle can form, no lock is held, and it does not matter who is
//! stopped or killed where, or in which order surfaces are named.
//!
//! **Not promised.** Attaches do not become visible at one instant. A thread that *holds* an entry and attaches again can
//! deadlock with another that does the same in the other order: that wait needs a finite deadline.
//!
//! **Death.** An owner is alive while the lock byte of its index is held, and the kernel drops that lock with the last
//! mapping. Whoever waits for an entry looks every [`SLICE`] and ends the entries of the dead. A stopped process looks
//! alive; only deadlines help against it.
//!
//! **Lies.** Every word here can be scribbled over by whoever holds a handle of the pool. Each decision is made on one
//! atomic load, indices are masked, loops are bounded, waits end. A liar can tear pixels and delay waits to their deadline
//! *in this pool*, nothing more.
//!
//! # Where this differs from Lamport's bakery
//!
//! The bakery lets two customers draw one number and lets the smaller name go first. Here a name is an index in a pool,
//! and two participants may stand in opposite order in two pools, or be two threads under one index: a shared number
//! would order them one way on one surface and the other way, or not at all, on the next. So a ticket is *won*: it counts
//! only if the compare-exchange that raises each clock to it succeeds, which on one clock one attach can do. The model in
//! `tests/reservation_model.rs` shows both breakages without this rule, and none with it.

mod attach;
pub mod layout;
mod metadata;
pub mod platform;
mod release;
mod wait;
mod word;
pub mod working_set;

use std::time::Duration;

pub use attach::{Attach, Dependency, Entry};
use handover_model::{Error, Kind, Region, Stage, reservation};
use layout::{Block, ENTRIES, header};
pub use metadata::Slot;
use platform::{Atomic as _, Platform};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
pub use wait::Outcome;
pub use word::{Phase, Word};

/// How long a sleep lasts before the waiter looks again whether its condition holds and its owners live.
pub const SLICE: Duration = Duration::from_millis(20);
/// How long a wait spins before it sleeps, as long as that helps now and then. Worth 25 times the latency back to back, and nothing when paced.
pub const SPIN: Duration = Duration::from_micros(2);
/// How often a compare-exchange is tried before the word counts as [`Trouble::Contended`].
pub const TRIES: u32 = 1000;
/// How far ahead of now a clock may be: 1 s in tickets. Beyond it, somebody lied.
pub const CLOCK_AHEAD: u64 = 1_000_000_000 / TICKET_NS;
/// Length of a ticket unit.
pub const TICKET_NS: u64 = 64;

/// Why the protocol could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No entry of this surface can be re-used now.
    Full(u32),
    /// Shared memory did not hold what the protocol says; the field.
    Spoiled(&'static str),
    /// A word changed under us [`TRIES`] times.
    Contended(&'static str),
}

impl Trouble {
    /// The error a caller sees.
    pub fn at(self, stage: Stage) -> Error {
        match self {
            Self::Full(surface) => Error::new(stage, Kind::Full)
                .asked(format!("an entry in the reservation of surface {surface}"))
                .found(format!("all {ENTRIES} in use, or {} by this process", layout::ENTRIES_EACH))
                .help("wait for pending work to end, or hold fewer leases"),
            Self::Spoiled(field) => Error::new(stage, Kind::Spoiled)
                .found(format!("an impossible value in `{field}` of the control file"))
                .why("some process that holds a handle of this pool wrote over it")
                .help("drop the pool; keep surfaces of peers that do not trust each other in different pools"),
            Self::Contended(field) => Error::new(stage, Kind::Contended)
                .found(format!("`{field}` of the control file changed {TRIES} times while it was being set"))
                .why("no honest load does that"),
        }
    }
}

/// The protocol, over some [`Platform`], with `N` entries a surface.
#[derive(Debug)]
pub struct Reservation<P, const N: usize = ENTRIES> {
    platform: P,
    owner: u8,
    generation: u64,
    /// Waits in a row that spun, or would have, for nothing. Our own guess: neither shared nor part of the protocol.
    spun_in_vain: AtomicU32,
}

impl<P: Platform, const N: usize> Reservation<P, N> {
    /// Takes part as `owner`, whose lock byte the caller holds, in a pool of `surfaces`: ends whatever an earlier holder
    /// of this index left behind, and only then bumps the generation.
    pub fn join(platform: P, owner: u8, pid: u32, surfaces: u32) -> Self {
        const { assert!(N >= 1 && N <= ENTRIES) };
        let mut this = Self { platform, owner: owner & 63, generation: 0, spun_in_vain: AtomicU32::new(0) };
        for surface in 0..surfaces {
            this.end_left_over(surface);
        }
        let generation = this.platform.u64(header::generation(owner));
        // A scribbled generation only has to differ from the one before; wrapping is as good as any.
        this.generation = generation.load(Relaxed).wrapping_add(1) & word::TICKET_MASK;
        this.platform.u64(header::pid(owner)).store(u64::from(pid), Relaxed);
        generation.store(this.generation, std::sync::atomic::Ordering::SeqCst);
        this
    }

    /// The machine under the protocol.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// Index of this participant.
    pub fn owner(&self) -> u8 {
        self.owner
    }

    /// Is this participant there? Our own lock needs no query (and through a description we share would not show).
    fn lives(&self, owner: u8) -> bool {
        owner == self.owner || self.platform.is_alive(owner)
    }

    /// The generation of `owner` now, as the header says.
    fn generation_of(&self, owner: u8) -> u64 {
        self.platform.u64(header::generation(owner)).load(Acquire)
    }

    /// The process of `owner`, as it says. For messages only.
    pub fn pid_of(&self, owner: u8) -> u32 {
        // A scribbled pid is cut to its low half: it is only ever printed.
        (self.platform.u64(header::pid(owner)).load(Relaxed) & 0xffff_ffff) as u32
    }

    /// Entries worth looking at.
    fn high(&self, block: Block) -> u8 {
        let high = self.platform.u64(block.high()).load(Relaxed);
        high.min(N as u64) as u8
    }

    /// The live entries of a surface, as their owners wrote them: (entry, word, region mask).
    pub fn live_entries(&self, surface: u32) -> impl Iterator<Item = (u8, Word, u64)> + '_ {
        let block = Block::of(surface);
        (0..self.high(block)).filter_map(move |e| {
            let word = Word(self.platform.u64(block.word(e)).load(Acquire));
            let mask = self.platform.u64(block.mask(e)).load(Relaxed);
            word.phase().is_live().then_some((e, word, mask))
        })
    }

    /// The entries of a surface that stand in line, first in line first, as the rules of [`handover_model::reservation`] take
    /// them. Those of an owner who died count until somebody ends them.
    pub fn pending(&self, surface: u32) -> Vec<reservation::Entry> {
        let block = Block::of(surface);
        let mut line: Vec<_> = (0..self.high(block))
            .filter_map(|index| {
                let at = self.platform.u64(block.word(index));
                let word = Word(at.load(Acquire));
                let entry = reservation::Entry {
                    context: self.platform.u64(block.context(index)).load(Acquire),
                    seq: self.platform.u64(block.seq(index)).load(Acquire),
                    usage: word.usage(),
                    region: Region::from_bits(self.platform.u64(block.mask(index)).load(Acquire)),
                    done: false,
                };
                // A word that changed meanwhile has ended, and the other fields may be its successor's.
                (word.phase() == Phase::Pending && at.load(Relaxed) == word.0).then_some((word, entry))
            })
            .collect();
        line.sort_by_key(|(word, _)| (word.ticket(), word.owner()));
        line.into_iter().map(|(_, entry)| entry).collect()
    }

    /// How often the layout behind the pixels of this surface changed.
    pub fn content_generation(&self, surface: u32) -> u64 {
        self.platform.u64(Block::of(surface).content_generation()).load(Acquire)
    }

    /// Says that the layout behind the pixels changed. The caller holds a kernel entry on the whole surface.
    pub fn bump_content_generation(&self, surface: u32) -> u64 {
        let at = Block::of(surface).content_generation();
        self.platform.u64(at).fetch_add(1, std::sync::atomic::Ordering::SeqCst).wrapping_add(1)
    }

    /// Which frame of a stream the pixels hold.
    pub fn frame(&self, surface: u32) -> u64 {
        self.platform.u64(Block::of(surface).frame()).load(Acquire)
    }

    /// Names the frame the pixels are about to hold. The caller holds a WRITE entry and has written nothing yet.
    pub fn set_frame(&self, surface: u32, frame: u64) {
        self.platform.u64(Block::of(surface).frame()).store(frame, std::sync::atomic::Ordering::SeqCst);
    }
}
