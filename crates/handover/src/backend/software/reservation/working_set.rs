//! Collect-and-attach over a working set, perhaps of several pools: all entries, one ticket, all dependencies.

use std::sync::atomic::Ordering::SeqCst;

use super::platform::Platform;
use super::{Attach, Dependency, Entry, Reservation, TRIES, Trouble};

/// A place in line on every surface of a working set.
#[derive(Debug, Default)]
pub struct Attached {
    /// One entry a wish, in the order of the wishes.
    pub entries: Vec<Entry>,
    /// Whom to wait for, each with the index of the wish it stands before.
    pub dependencies: Vec<(usize, Dependency)>,
}

/// Attaches all wishes, or none; an error comes with the position of the wish that met it.
///
/// Not part of the protocol, yet of every caller: two attaches of one *queue* must be enqueued in the order of their
/// tickets, so a queue holds its own mutex from here to its push. Else job 6 sits before job 5 and waits for it.
pub fn attach<P: Platform, const N: usize>(
    wishes: &[(&Reservation<P, N>, Attach)],
) -> Result<Attached, (usize, Trouble)> {
    let mut set = Attached { entries: Vec::with_capacity(wishes.len()), dependencies: Vec::new() };
    let Some((first, _)) = wishes.first() else {
        return Ok(set);
    };
    for (position, (reservation, wish)) in wishes.iter().enumerate() {
        match reservation.claim(wish) {
            Ok(entry) => set.entries.push(entry),
            Err(trouble) => {
                give_back(wishes, &set.entries);
                return Err((position, trouble));
            }
        }
    }
    first.platform().fence(SeqCst);
    let ticket = match draw(first, wishes) {
        Ok(ticket) => ticket,
        Err(trouble) => {
            give_back(wishes, &set.entries);
            return Err((0, trouble));
        }
    };
    for ((reservation, _), entry) in wishes.iter().zip(&mut set.entries) {
        reservation.stand(entry, ticket);
    }
    first.platform().fence(SeqCst);
    let mut found = Vec::new();
    for (i, ((reservation, wish), entry)) in wishes.iter().zip(&set.entries).enumerate() {
        reservation.collect(entry, wish.region, &mut found);
        set.dependencies.extend(found.drain(..).map(|dependency| (i, dependency)));
    }
    Ok(set)
}

/// A ticket that is ours alone on every surface of the set: see the contract of the module above.
fn draw<P: Platform, const N: usize>(
    first: &Reservation<P, N>,
    wishes: &[(&Reservation<P, N>, Attach)],
) -> Result<u64, Trouble> {
    'again: for _ in 0..TRIES {
        let mut clocks = 0;
        let mut ticket = 0;
        for (reservation, wish) in wishes {
            clocks = reservation.clock(wish.surface)?.max(clocks);
            ticket = reservation.ticket_after(clocks);
        }
        for (i, (reservation, wish)) in wishes.iter().enumerate() {
            // A surface named twice (two regions of it) has been won already.
            let named_before = wishes.iter().take(i).any(|(r, w)| w.surface == wish.surface && std::ptr::eq(*r, *reservation));
            if !named_before && !reservation.win(wish.surface, ticket)? {
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

fn give_back<P: Platform, const N: usize>(wishes: &[(&Reservation<P, N>, Attach)], entries: &[Entry]) {
    for ((reservation, _), entry) in wishes.iter().zip(entries) {
        reservation.give_back(entry);
    }
}
