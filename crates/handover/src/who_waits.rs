//! Who waits for whom, several steps on: what the error of a wait that ran into its deadline says beyond the first.
//!
//! Places in line are in the control file for all to see, so whoever is in the way and waits for somebody else can be found there.
//! A snapshot, and no proof of a deadlock: what goes through other pools, fences, timelines or locks does not show, and a process
//! counts as one, whichever of its threads waits.

use handover_model::Region;

use crate::backend::software::control::Control;
use crate::backend::software::reservation::{Dependency, Entry, Phase, Reservation};
use crate::error::Holder;
use crate::waiting::holder;

/// Steps that are followed: whoever reads the error has the first to blame anyway.
const DEPTH: usize = 8;

/// Whom one of `owners` waits for, then whom that one waits for. Of several the longest; it ends with the first who waits for nobody,
/// or comes up again.
pub(crate) fn chain(
    reservation: &Reservation<Control>,
    surfaces: u32,
    owners: impl Iterator<Item = u8>,
) -> Vec<Holder> {
    let chains = owners.map(|first| {
        let (mut owner, mut seen, mut chain) = (first, vec![first], Vec::new());
        while chain.len() < DEPTH
            && let Some(next) = waits_for(reservation, surfaces, owner)
        {
            chain.push(holder(reservation, next.surface, next.word));
            owner = next.word.owner();
            // Our own place in line says what we know already.
            if seen.contains(&owner) || owner == reservation.owner() {
                break;
            }
            seen.push(owner);
        }
        chain
    });
    chains.max_by_key(Vec::len).unwrap_or_default()
}

/// An entry of somebody else that an entry of this owner stands behind.
fn waits_for(reservation: &Reservation<Control>, surfaces: u32, owner: u8) -> Option<Dependency> {
    let mut found = None;
    for surface in 0..surfaces {
        for (index, word, mask) in reservation.live_entries(surface) {
            if word.owner() == owner && word.phase() == Phase::Pending {
                reservation.collect(&Entry { surface, index, word }, Region::from_bits(mask), |before| {
                    if before.word.owner() != owner {
                        found.get_or_insert(before);
                    }
                });
            }
        }
    }
    found
}
