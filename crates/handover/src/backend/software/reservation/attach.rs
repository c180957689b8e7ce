//! Attach: one entry on every surface of a working set, one ticket for all, and whom to wait for. No lock, no system call.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use handover_model::{Region, Usage, reservation};

use super::layout::{Block, ENTRIES_EACH};
use super::platform::{Atomic as _, Platform};
use super::{CLOCK_AHEAD, Phase, Reservation, TICKET_NS, TRIES, Trouble, Word, word};

/// One wish of a working set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attach {
    /// Index of the surface in its pool. Checked against the pool by whoever made the surface.
    pub surface: u32,
    /// What for.
    pub usage: Usage,
    /// Which cells.
    pub region: Region,
    /// CPU access, not a job.
    pub lease: bool,
    /// Fence context of the submission: submissions of one context run in order.
    pub context: u64,
    /// Place of the submission in its context.
    pub seq: u64,
}

/// An attached entry: ours until it is released, withdrawn, or found replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Index of the surface in its pool.
    pub surface: u32,
    /// Which of the surface's entries.
    pub index: u8,
    /// Its word, PENDING once attached.
    pub word: Word,
}

impl Entry {
    /// Of nobody, before an attach.
    pub const NONE: Self = Self { surface: 0, index: 0, word: Word(0) };
}

/// An entry before ours that conflicts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// Index of the surface in its pool.
    pub surface: u32,
    /// Which of the surface's entries.
    pub index: u8,
    /// Its word when last seen: CHOOSING or PENDING.
    pub word: Word,
    /// The owner's generation when the dependency was found.
    pub generation: u64,
    /// Our word on the same surface: the place in line that the dependency stands before.
    pub mine: Word,
}

impl<P: Platform, const N: usize> Reservation<P, N> {
    /// Step 1: takes an entry on one surface and says what for, ticket yet unknown.
    ///
    /// On an error nothing is taken. On success the caller goes on to [`stand`](Self::stand) or gives the entry back with
    /// [`give_back`](Self::give_back).
    #[inline]
    pub fn claim(&self, wish: &Attach) -> Result<Entry, Trouble> {
        let block = Block::of(wish.surface);
        let claimed = Word::new(self.generation, self.owner, wish.usage, wish.lease, Phase::Claimed);
        let index = self.take_lowest(block, claimed).ok_or(Trouble::Full(wish.surface))?;
        // Release: who reads this mask beside an older word must find, on its second look, that the word has changed.
        self.platform.u64(block.mask(index)).store(wish.region.bits(), Release);
        self.platform.u64(block.context(index)).store(wish.context, Relaxed);
        self.platform.u64(block.seq(index)).store(wish.seq, Relaxed);
        self.platform.u32(block.result(index)).store(0, Relaxed);
        let choosing = claimed.with_phase(Phase::Choosing);
        self.platform.u64(block.word(index)).store(choosing.0, Release);
        Ok(Entry { surface: wish.surface, index, word: choosing })
    }

    /// Now as a ticket, up to a tick behind.
    pub fn coarse_ticket(&self) -> u64 {
        self.platform.coarse().0 / TICKET_NS
    }

    /// The clock of a surface, or [`Trouble::Spoiled`] when it runs more than 1 s ahead of `now`, a
    /// [`coarse_ticket`](Self::coarse_ticket).
    ///
    /// Must come after `fence(SeqCst)` behind the last [`claim`](Self::claim) of the working set. The smallest ticket that
    /// may follow is the maximum of all clocks plus one, and not before now.
    #[inline]
    pub fn clock(&self, surface: u32, now: u64) -> Result<u64, Trouble> {
        let clock = self.platform.u64(Block::of(surface).clock()).load(Relaxed);
        // The coarse clock may be a tick (10 ms) behind: ask the exact one before anybody is accused.
        if clock > now + CLOCK_AHEAD && clock > self.platform.now().0 / TICKET_NS + CLOCK_AHEAD {
            return Err(Trouble::Spoiled("clock"));
        }
        Ok(clock)
    }

    /// Step 2: wins `ticket` on one surface, by raising its clock to it. False: another attach has this ticket or a larger
    /// one, so the working set must draw again.
    #[inline]
    pub fn win(&self, surface: u32, ticket: u64) -> Result<bool, Trouble> {
        let clock = self.platform.u64(Block::of(surface).clock());
        let mut seen = clock.load(Relaxed);
        for _ in 0..TRIES {
            if seen >= ticket {
                return Ok(false);
            }
            match clock.compare_exchange(seen, ticket, AcqRel, Relaxed) {
                Ok(_) => return Ok(true),
                Err(now) => seen = now,
            }
        }
        Err(Trouble::Contended("clock"))
    }

    /// Gives the entry its ticket: from here on it stands in line. Gives the entry as it is then.
    ///
    /// Behind the last one of the working set comes `fence(SeqCst)`, then
    /// [`ring_after_fence`](Self::ring_after_fence) for each, then [`collect`](Self::collect).
    #[inline]
    pub fn stand(&self, entry: &Entry, ticket: u64) -> Entry {
        let word = Word::new(ticket, self.owner, entry.word.usage(), entry.word.is_lease(), Phase::Pending);
        self.platform.u64(Block::of(entry.surface).word(entry.index)).store(word.0, Release);
        Entry { word, ..*entry }
    }

    /// Gives back an entry that was claimed and never stood in line.
    pub fn give_back(&self, entry: &Entry) {
        self.end(entry, Phase::Free);
    }

    /// Step 3: hands to `found` every entry of the surface that goes before ours and conflicts with it.
    ///
    /// Must come after `fence(SeqCst)` behind the last [`stand`](Self::stand) of the working set. CLAIMED entries are
    /// passed over: their ticket will be larger, since our clocks are raised already.
    #[inline]
    pub fn collect(&self, entry: &Entry, region: Region, found: impl FnMut(Dependency)) {
        self.collect_as(entry, entry.word.usage(), region, found);
    }

    /// As [`collect`](Self::collect), for who waits as if it were here for something else.
    pub fn collect_as(&self, entry: &Entry, usage: Usage, region: Region, mut found: impl FnMut(Dependency)) {
        let mine = entry.word;
        self.conflicting(entry.surface, Some(entry.index), (usage, region), |index, word| {
            if word.phase() == Phase::Choosing || word.is_before(mine) {
                let generation = self.generation_of(word.owner());
                found(Dependency { surface: entry.surface, index, word, generation, mine });
            }
        });
    }

    /// What an attach of this wish, now, would have to wait for. Takes no place in line, so that it is a snapshot: whoever attaches
    /// later is not in it (C42), and who is still choosing his place comes later: his attach has not returned.
    pub fn snapshot(&self, wish: &Attach) -> Vec<Dependency> {
        self.platform.fence(SeqCst);
        // Nobody is followed to another place: no ticket is larger than this one.
        let mine = Word::new(word::TICKET_MASK, self.owner, wish.usage, wish.lease, Phase::Pending);
        let mut found = Vec::new();
        self.conflicting(wish.surface, None, (wish.usage, wish.region), |index, word| {
            if word.phase() == Phase::Pending {
                let generation = self.generation_of(word.owner());
                found.push(Dependency { surface: wish.surface, index, word, generation, mine });
            }
        });
        found
    }

    /// Would an attach of this wish, now, have to wait? Takes no place in line.
    pub fn would_wait(&self, wish: &Attach) -> bool {
        let mut busy = false;
        self.conflicting(wish.surface, None, (wish.usage, wish.region), |_, _| busy = true);
        busy
    }

    fn conflicting(&self, surface: u32, skip: Option<u8>, mine: (Usage, Region), mut hit: impl FnMut(u8, Word)) {
        let block = Block::of(surface);
        for index in (0..self.high(block)).filter(|&index| Some(index) != skip) {
            let at = self.platform.u64(block.word(index));
            // A word that changes between the two loads may pair with another's mask: look again. An honest entry can
            // change once under our eyes and stay relevant (CHOOSING to PENDING); a third look at a changed word is
            // somebody new, who comes after us.
            for _ in 0..3 {
                let word = Word(at.load(Acquire));
                if !matches!(word.phase(), Phase::Choosing | Phase::Pending) {
                    break;
                }
                let region = Region::from_bits(self.platform.u64(block.mask(index)).load(Acquire));
                if at.load(Relaxed) != word.0 {
                    continue;
                }
                if reservation::waits_for(mine, (word.usage(), region)) {
                    hit(index, word);
                }
                break;
            }
        }
    }

    /// The lowest entry that can be re-used; those that still tell of a failure last.
    #[inline]
    fn take_lowest(&self, block: Block, claimed: Word) -> Option<u8> {
        if !self.may_take_more(block) {
            return None;
        }
        for failed_too in [false, true] {
            for index in 0..N as u8 {
                let at = self.platform.u64(block.word(index));
                let seen = Word(at.load(Relaxed));
                if seen.phase().is_live() || (seen.phase().is_failure() && !failed_too) {
                    continue;
                }
                // Before the entry is taken: whoever is killed in between must not leave one that no scan reaches.
                self.raise_high(block, u64::from(index) + 1);
                if at.compare_exchange(seen.0, claimed.0, AcqRel, Relaxed).is_ok() {
                    return Some(index);
                }
            }
        }
        None
    }

    /// Is this participant below its share of a surface's entries? A courtesy to the others: threads that attach at the
    /// same time may go above it by one each.
    #[inline]
    pub(super) fn may_take_more(&self, block: Block) -> bool {
        let mine = |&index: &u8| {
            let word = Word(self.platform.u64(block.word(index)).load(Relaxed));
            word.owner() == self.owner && word.phase().is_live()
        };
        (0..self.high(block)).filter(mine).count() < ENTRIES_EACH as usize
    }

    fn raise_high(&self, block: Block, to: u64) {
        let high = self.platform.u64(block.high());
        let mut seen = high.load(Relaxed);
        // Bounded by N honest raises; a liar who lowers it again spoils only this pool.
        for _ in 0..TRIES {
            if seen >= to {
                return;
            }
            match high.compare_exchange(seen, to, SeqCst, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}
