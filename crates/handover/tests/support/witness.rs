//! Who is inside a surface, as told by the participants themselves on a board beside the control file.
//!
//! It shares no word and no idea with the reservation, so it sees what the reservation got wrong.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use handover::backend::software::control::Control;
use handover::backend::software::reservation::layout::{PARTICIPANTS, header};
use handover::backend::software::reservation::platform::Platform as _;
use handover::backend::software::reservation::{Attach, Entry};
use handover_model::reservation::waits_for;
use handover_model::{Region, Usage};
use handover_sys::clock::Monotonic;

use super::{Board, soon};

/// Surfaces a witness can tell apart.
const SURFACES: usize = 2;

/// Words that a witness takes on a board.
pub(crate) const WORDS: usize = PARTICIPANTS * SURFACES;

/// One participant's view of the board.
pub(crate) struct Witness<'a> {
    board: &'a Board,
    /// The first of the witness's words.
    base: usize,
    control: &'a Control,
    owner: u8,
}

impl<'a> Witness<'a> {
    /// After the join, whose new generation makes void what an earlier holder of our index left here.
    pub(crate) fn new(board: &'a Board, base: usize, control: &'a Control, owner: u8) -> Self {
        Self { board, base, control, owner }
    }

    /// We are inside with these wishes. Gives how many others are inside and should not be.
    pub(crate) fn enter(&self, wishes: &[Attach]) -> usize {
        let generation = self.generation(self.owner);
        for wish in wishes {
            self.word(self.owner, wish.surface).store(tell(generation, wish), Ordering::SeqCst);
        }
        fence(Ordering::SeqCst);
        let others = (0..PARTICIPANTS as u8).filter(|&other| other != self.owner);
        others.map(|other| wishes.iter().filter(|wish| self.is_violated(wish, other)).count()).sum()
    }

    /// We are about to leave. Must come before the release.
    pub(crate) fn leave(&self, entries: &[Entry]) {
        for entry in entries {
            self.word(self.owner, entry.surface).store(0, Ordering::SeqCst);
        }
    }

    fn is_violated(&self, mine: &Attach, other: u8) -> bool {
        let word = self.word(other, mine.surface);
        let told = word.load(Ordering::SeqCst);
        let theirs = (Usage::from_bits(told as u8 & 3), Region::from_bits(told >> 8 & 0xff_ffff));
        let conflict = told != 0 && waits_for((mine.usage, mine.region), theirs);
        conflict && self.is_true(word, told, other)
    }

    /// One that was killed inside cannot take back what it told, and whoever has its lock byte next looks alive before it
    /// has a generation of its own. So wait for what comes next: only the living take back what they told.
    fn is_true(&self, word: &AtomicU64, told: u64, other: u8) -> bool {
        let end = soon();
        while Monotonic::now() < end {
            let now = word.load(Ordering::SeqCst);
            if told >> 32 != self.generation(other) || !self.control.is_alive(other) {
                return false;
            }
            if now != told {
                return true;
            }
            std::thread::yield_now();
        }
        true
    }

    fn word(&self, owner: u8, surface: u32) -> &AtomicU64 {
        self.board.word(self.base + usize::from(owner) * SURFACES + surface as usize)
    }

    fn generation(&self, owner: u8) -> u64 {
        self.control.u64(header::generation(owner)).load(Ordering::SeqCst) & 0xffff_ffff
    }
}

/// Generation 32 bits, low 24 cells of the region, "inside" 1 bit, usage 2 bits.
fn tell(generation: u64, wish: &Attach) -> u64 {
    generation << 32 | (wish.region.bits() & 0xff_ffff) << 8 | 4 | u64::from(wish.usage.bits())
}
