//! Collect-and-attach over a working set, perhaps of several pools: all entries, one ticket, all dependencies; and the end
//! of them all.
//!
//! A set takes three full fences, not three a surface: with eight surfaces those were a fifth of what it cost.

use std::sync::atomic::Ordering::SeqCst;

use handover_model::{Region, Usage};

use super::platform::Platform;
use super::{Attach, Dependency, Entry, Phase, Reservation, TRIES, Trouble};

/// A place in line on every surface of a working set.
#[derive(Debug, Default)]
pub struct Attached {
    /// One entry a wish, in the order of the wishes.
    pub entries: Vec<Entry>,
    /// Whom to wait for, each with the index of the wish it stands before.
    pub dependencies: Vec<(usize, Dependency)>,
}

/// One member of a working set: a wish, and the place for the entry it gets. Who keeps both anyway attaches in place,
/// without a table of wishes and one of entries.
pub trait Member<P: Platform, const N: usize> {
    /// The reservation of the surface's pool.
    fn reservation(&self) -> &Reservation<P, N>;
    /// The wish.
    fn wish(&self) -> &Attach;
    /// The entry; means nothing before the attach.
    fn entry(&self) -> &Entry;
    /// As [`entry`](Self::entry), to be set by the attach.
    fn entry_mut(&mut self) -> &mut Entry;
    /// The cells it really writes; what the entry says may be more. `None`: none.
    fn writes(&self) -> Option<Region> {
        (self.wish().usage <= Usage::Write).then_some(self.wish().region)
    }
}

/// A member that is nothing more, and borrows its reservation.
#[derive(Debug)]
pub struct Seat<'a, P, const N: usize> {
    /// The reservation of the surface's pool.
    pub reservation: &'a Reservation<P, N>,
    /// The wish.
    pub wish: Attach,
    /// The entry; [`Entry::NONE`] before the attach.
    pub entry: Entry,
}

impl<P: Platform, const N: usize> Member<P, N> for Seat<'_, P, N> {
    fn reservation(&self) -> &Reservation<P, N> {
        self.reservation
    }
    fn wish(&self) -> &Attach {
        &self.wish
    }
    fn entry(&self) -> &Entry {
        &self.entry
    }
    fn entry_mut(&mut self) -> &mut Entry {
        &mut self.entry
    }
}

/// Attaches all wishes, or none; an error comes with the position of the wish that met it.
///
/// Not part of the protocol, yet of every caller: two attaches of one *queue* must be enqueued in the order of their
/// tickets, so a queue holds its own mutex from here to its push. Else job 6 sits before job 5 and waits for it.
pub fn attach<P: Platform, const N: usize>(
    wishes: &[(&Reservation<P, N>, Attach)],
) -> Result<Attached, (usize, Trouble)> {
    let seat = |&(reservation, wish): &(_, _)| Seat { reservation, wish, entry: Entry::NONE };
    let mut members: Vec<Seat<'_, P, N>> = wishes.iter().map(seat).collect();
    let mut dependencies = Vec::new();
    attach_members(&mut members, &mut dependencies)?;
    Ok(Attached { entries: members.iter().map(|member| member.entry).collect(), dependencies })
}

/// As [`attach`], in place; adds to `dependencies` whom to wait for, each with the position of the member it stands before.
pub fn attach_members<P: Platform, const N: usize>(
    set: &mut [impl Member<P, N>],
    dependencies: &mut Vec<(usize, Dependency)>,
) -> Result<(), (usize, Trouble)> {
    for position in 0..set.len() {
        let Some(member) = set.get_mut(position) else { break };
        match member.reservation().claim(member.wish()) {
            Ok(entry) => *member.entry_mut() = entry,
            Err(trouble) => {
                give_back(set.iter().take(position));
                return Err((position, trouble));
            }
        }
    }
    fence(set);
    let ticket = match draw(set) {
        Ok(ticket) => ticket,
        Err(trouble) => {
            give_back(set.iter());
            return Err((0, trouble));
        }
    };
    for member in set.iter_mut() {
        *member.entry_mut() = member.reservation().stand(member.entry(), ticket);
    }
    fence(set);
    for (position, member) in set.iter().enumerate() {
        // Whoever sleeps for our CHOOSING may find that our ticket is larger than its own.
        member.reservation().ring_after_fence(member.entry());
        let found = |dependency| dependencies.push((position, dependency));
        member.reservation().collect(member.entry(), member.wish().region, found);
    }
    Ok(())
}

/// Ends the entries of a set well, or with an error (a positive errno). All data stores of the work come before. Every
/// member is tried; the first trouble is told.
pub fn release<P: Platform, const N: usize>(set: &[impl Member<P, N>], error: Option<u32>) -> Result<(), Trouble> {
    end(set, |member| {
        // Who said that he writes and did not has torn nothing, and mended nothing.
        let (usage, writes) = (member.wish().usage, member.writes());
        let error = error.filter(|_| writes.is_some() || usage > Usage::Write);
        if let (None, Usage::Write, Some(region)) = (error, usage, writes) {
            member.reservation().forget_failures(member.entry(), region);
        }
        if let (Some(_), Some(region)) = (error, writes.filter(|region| *region != member.wish().region)) {
            member.reservation().narrow(member.entry(), region);
        }
        member.reservation().set_result(member.entry(), error)
    })
}

/// Leaves the line before the work began, on every surface of a set.
pub fn withdraw<P: Platform, const N: usize>(set: &[impl Member<P, N>]) -> Result<(), Trouble> {
    end(set, |_| Phase::Cancelled)
}

fn end<P: Platform, const N: usize, M: Member<P, N>>(set: &[M], phase: impl Fn(&M) -> Phase) -> Result<(), Trouble> {
    let mut result = Ok(());
    for member in set {
        if !member.reservation().end_silently(member.entry(), phase(member)) {
            result = result.and(Err(Trouble::Spoiled("word")));
        }
    }
    fence(set);
    // An entry that was not ours is rung for too: one needless wake, and nobody to remember it for.
    set.iter().for_each(|member| member.reservation().ring_after_fence(member.entry()));
    result
}

/// One fence for the whole set: it orders this thread's accesses, whichever file they are in.
fn fence<P: Platform, const N: usize>(set: &[impl Member<P, N>]) {
    if let Some(first) = set.first() {
        first.reservation().platform().fence(SeqCst);
    }
}

/// A ticket that is ours alone on every surface of the set: see the contract of the module above.
fn draw<P: Platform, const N: usize>(set: &[impl Member<P, N>]) -> Result<u64, Trouble> {
    let Some(first) = set.first().map(Member::reservation) else { return Ok(0) };
    'again: for _ in 0..TRIES {
        let now = first.coarse_ticket();
        let mut ticket = now;
        for member in set {
            ticket = ticket.max(member.reservation().clock(member.wish().surface, now)?.saturating_add(1));
        }
        for (position, member) in set.iter().enumerate() {
            let (reservation, surface) = (member.reservation(), member.wish().surface);
            // A surface named twice (two regions of it) has been won already.
            let same = |other: &_| named_again(member, other);
            if !reservation.win(surface, ticket)? && !set.iter().take(position).any(same) {
                // Two that go through their sets in opposite order can take a clock from each other again and again:
                // pausing for times that differ ends their step.
                (0..first.platform().now().0 & 63).for_each(|_| first.platform().pause());
                continue 'again;
            }
        }
        return Ok(ticket);
    }
    Err(Trouble::Contended("clock"))
}

fn named_again<P: Platform, const N: usize, M: Member<P, N>>(one: &M, other: &M) -> bool {
    one.wish().surface == other.wish().surface && std::ptr::eq(one.reservation(), other.reservation())
}

fn give_back<'a, P: Platform, const N: usize>(members: impl Iterator<Item = &'a (impl Member<P, N> + 'a)>) {
    members.for_each(|member| member.reservation().give_back(member.entry()));
}
