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

/// Whom `first` waits for, then whom that one waits for. It ends with who waits for nobody, comes up again, or is this process.
pub(crate) fn chain(reservation: &Reservation<Control>, first: u8) -> Vec<Holder> {
    let (mut owner, mut seen, mut chain) = (first, vec![reservation.owner()], Vec::new());
    while chain.len() < DEPTH && !seen.contains(&owner) {
        let Some(next) = waits_for(reservation, owner) else { break };
        chain.push(holder(reservation, next.surface, next.word));
        seen.push(owner);
        owner = next.word.owner();
    }
    chain
}

/// An entry of somebody else that an entry of this owner stands behind.
fn waits_for(reservation: &Reservation<Control>, owner: u8) -> Option<Dependency> {
    let mut found = None;
    for surface in 0..reservation.platform().surfaces() {
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
