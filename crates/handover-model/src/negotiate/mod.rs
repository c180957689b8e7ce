//! Offers, agreements and the conflicts that explain themselves.
//!
//! # Contract
//!
//! - The first offer is the producer's. Its order of entries is the order of preference; the others' order does not count.
//! - An agreement is the first of the producer's entries that every party can follow. Each field of an [`OfferEntry`] says
//!   how it merges. All merges are commutative, associative and idempotent, so neither the order of the consumers nor a party
//!   that says the same twice changes the result.
//! - Every other entry of the producer is in [`Agreement::lost`], with the reason.
//! - Without an agreement the error is the [`Conflict`] of the entry that came closest.

mod candidate;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bitflags::bitflags;

use crate::{Bytes, Constraints, Error, Extent, Format, Kind, Modifier, Result, Stage};

/// The greatest merged alignment. Hardware asks for 64 KiB at the most (NVIDIA and AMD tile sizes); more than this is an
/// accident of unrelated numbers and would waste memory without helping anybody.
pub const MAX_ALIGN: Bytes = Bytes(1 << 20);

bitflags! {
    /// What a party does with a surface.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct SurfaceUsages: u32 {
        /// The CPU or a device reads it.
        const READ = 1;
        /// The CPU writes it.
        const WRITE = 2;
        /// A GPU renders to it.
        const RENDER = 4;
        /// A GPU samples from it.
        const SAMPLE = 8;
        /// A video encoder reads it.
        const ENCODE = 16;
        /// A video decoder writes it.
        const DECODE = 32;
        /// A display controller shows it.
        const SCANOUT = 64;
    }
}

/// One combination that a party can do, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferEntry {
    /// Format; `None` for a byte buffer. Merge: equal in all.
    pub format: Option<Format>,
    /// Modifier. Merge: equal in all.
    pub modifier: Modifier,
    /// Strides are multiples of this, 1 to [`MAX_ALIGN`]. Merge: least common multiple, at most [`MAX_ALIGN`].
    pub stride_align: Bytes,
    /// Plane offsets are multiples of this, 1 to [`MAX_ALIGN`]. Merge: least common multiple, at most [`MAX_ALIGN`].
    pub offset_align: Bytes,
    /// The largest surface. Merge: the smaller, edge by edge. A byte buffer has no extent and ignores it.
    pub max_extent: Extent,
    /// What the party needs to do. Merge: OR, for the allocator to place the memory.
    pub usages: SurfaceUsages,
}

impl OfferEntry {
    /// A combination without demands: any alignment, the largest extent, to read.
    pub const fn new(format: Option<Format>, modifier: Modifier) -> Self {
        Self {
            format,
            modifier,
            stride_align: Bytes(1),
            offset_align: Bytes(1),
            max_extent: Extent::LARGEST,
            usages: SurfaceUsages::READ,
        }
    }

    /// What the entry is about.
    pub const fn candidate(&self) -> Candidate {
        Candidate { format: self.format, modifier: self.modifier }
    }
}

/// What one party can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Name of the party, for messages.
    pub party: String,
    /// What it can do, the best first; no combination of format and modifier twice.
    pub entries: Vec<OfferEntry>,
}

/// A combination of format and modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Format; `None` for a byte buffer.
    pub format: Option<Format>,
    /// Modifier.
    pub modifier: Modifier,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", FormatText(self.format), self.modifier)
    }
}

/// A format, or the word for having none.
struct FormatText(Option<Format>);

impl fmt::Display for FormatText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or("buffer", Format::name))
    }
}

/// Why offers have nothing in common: one field, the two values, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The field that could not be reconciled: "format", "modifier", "extent", "stride alignment", "offset alignment", or
    /// "preference" where nothing was wrong but something better was found.
    pub field: &'static str,
    /// The party that asked, and what it asked.
    pub left: (String, String),
    /// The party that could not follow, and what it has.
    pub right: (String, String),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, left, right } = self;
        write!(f, "{field}: {} has {}, {} has {}", left.0, left.1, right.0, right.1)
    }
}

/// An entry of the producer that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What it was.
    pub candidate: Candidate,
    /// Why it lost.
    pub conflict: Conflict,
}

/// What all parties can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Format; `None` for a byte buffer.
    pub format: Option<Format>,
    /// Modifier.
    pub modifier: Modifier,
    /// Every stride is a multiple of this.
    pub stride_align: Bytes,
    /// Every plane offset is a multiple of this.
    pub offset_align: Bytes,
    /// The extent that was asked for; every party can do it.
    pub extent: Extent,
    /// What the parties do, together.
    pub usages: SurfaceUsages,
    /// The other entries of the producer, in its order, each with the reason.
    pub lost: Vec<Lost>,
}

impl Agreement {
    /// What was agreed on.
    pub const fn candidate(&self) -> Candidate {
        Candidate { format: self.format, modifier: self.modifier }
    }

    /// The alignments, for the layout.
    pub const fn constraints(&self) -> Constraints {
        Constraints { stride_align: self.stride_align, offset_align: self.offset_align }
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.candidate(), self.extent)
    }
}

/// Finds what all parties can do, for a surface of this extent. The first offer is the producer's.
///
/// # Errors
/// `Conflict` if there is nothing; `Invalid` if there is no offer, or one that contradicts itself: an alignment of 0 or past
/// [`MAX_ALIGN`], the same combination twice, or an implicit modifier, which no two devices understand alike.
///
/// ```
/// use handover_model::negotiate::{Offer, OfferEntry, negotiate};
/// use handover_model::{Extent, Format, Modifier};
/// let entry = |modifier| OfferEntry::new(Some(Format::XRGB8888), modifier);
/// let clip = Offer { party: "clip".into(), entries: vec![entry(Modifier::SIM_BLOCKS), entry(Modifier::LINEAR)] };
/// let encoder = Offer { party: "encoder".into(), entries: vec![entry(Modifier::LINEAR)] };
/// let agreement = negotiate(Extent::new(720, 404)?, &[clip, encoder])?;
/// assert_eq!(agreement.modifier, Modifier::LINEAR);
/// assert_eq!(
///     agreement.lost[0].conflict.to_string(),
///     "modifier: clip has SIM_BLOCKS (simulated), encoder has LINEAR"
/// );
/// # Ok::<(), handover_model::Error>(())
/// ```
pub fn negotiate(extent: Extent, offers: &[Offer]) -> Result<Agreement> {
    let Some((producer, consumers)) = offers.split_first() else {
        return Err(Error::new(Stage::Negotiate, Kind::Invalid)
            .asked("an agreement between no parties")
            .help("the producer's offer first, then one for each consumer"));
    };
    for offer in offers {
        check(offer)?;
    }
    // The consumers in an order of their own, so that the caller's does not show in whom a conflict names.
    let mut consumers: Vec<&Offer> = consumers.iter().collect();
    consumers.sort_by(|a, b| a.party.cmp(&b.party));

    let mut agreement: Option<Agreement> = None;
    let mut lost = Vec::new();
    let mut closest: Option<(candidate::Rank, Conflict)> = None;
    for entry in &producer.entries {
        let conflict = match candidate::merge(extent, producer, entry, &consumers) {
            Ok(merged) => match &agreement {
                None => {
                    agreement = Some(merged);
                    continue;
                }
                Some(better) => preference(producer, better.candidate(), entry.candidate()),
            },
            Err((rank, conflict)) => {
                if closest.as_ref().is_none_or(|(best, _)| *best < rank) {
                    closest = Some((rank, conflict.clone()));
                }
                conflict
            }
        };
        lost.push(Lost { candidate: entry.candidate(), conflict });
    }
    match (agreement, closest) {
        (Some(agreement), _) => Ok(Agreement { lost, ..agreement }),
        (None, Some((_, conflict))) => Err(Error::new(Stage::Negotiate, Kind::Conflict(conflict))
            .asked(format!("a surface of {extent} for {} parties", offers.len()))
            .why("the offers have nothing in common")),
        (None, None) => Err(Error::new(Stage::Negotiate, Kind::Invalid)
            .asked(format!("a surface from {}", producer.party))
            .why("it offers nothing")),
    }
}

fn preference(producer: &Offer, better: Candidate, worse: Candidate) -> Conflict {
    Conflict {
        field: "preference",
        left: (producer.party.clone(), format!("{better} before {worse}")),
        right: ("everybody".into(), format!("{better} in common")),
    }
}

/// Is the offer one that can be merged at all?
fn check(offer: &Offer) -> Result<()> {
    let refused = |entry: &OfferEntry, why: &'static str| {
        Error::new(Stage::Negotiate, Kind::Invalid)
            .asked(format!("{} from {}", entry.candidate(), offer.party))
            .why(why)
    };
    for (index, entry) in offer.entries.iter().enumerate() {
        let range = Bytes(1)..=MAX_ALIGN;
        if !range.contains(&entry.stride_align) || !range.contains(&entry.offset_align) {
            return Err(refused(entry, "an alignment has 1 byte to 1 MiB"));
        }
        if entry.modifier == Modifier::INVALID {
            return Err(refused(entry, "an implicit modifier means something else to each device")
                .help("an explicit modifier; LINEAR, if the device has no other"));
        }
        if offer.entries.iter().take(index).any(|earlier| earlier.candidate() == entry.candidate()) {
            return Err(refused(entry, "it is in the offer twice"));
        }
    }
    Ok(())
}
