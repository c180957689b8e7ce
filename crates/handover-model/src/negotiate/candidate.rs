//! One entry of the producer against every consumer: the merged constraints, or the conflict that stands in the way.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Agreement, Conflict, FormatText, MAX_ALIGN, Offer, OfferEntry};
use crate::units::lcm;
use crate::{Bytes, Extent};

/// How far an entry came before it met a conflict. Fields are compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Format,
    Modifier,
    Extent,
    StrideAlignment,
    OffsetAlignment,
}

impl Rank {
    const fn field(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Modifier => "modifier",
            Self::Extent => "extent",
            Self::StrideAlignment => "stride alignment",
            Self::OffsetAlignment => "offset alignment",
        }
    }

    fn conflict(self, left: (&str, String), right: (&str, String)) -> (Self, Conflict) {
        let (left, right) = ((left.0.into(), left.1), (right.0.into(), right.1));
        (self, Conflict { field: self.field(), left, right })
    }
}

/// `consumers` are sorted by name. Each step looks at all of them before the next step begins, so that the conflict is that
/// of the first field that fails, whoever fails it.
pub(super) fn merge(
    extent: Extent,
    producer: &Offer,
    asked: &OfferEntry,
    consumers: &[&Offer],
) -> Result<Agreement, (Rank, Conflict)> {
    for consumer in consumers {
        if !consumer.entries.iter().any(|entry| entry.format == asked.format) {
            let formats = list(consumer.entries.iter().map(|entry| FormatText(entry.format).to_string()));
            let left = (producer.party.as_str(), FormatText(asked.format).to_string());
            return Err(Rank::Format.conflict(left, (&consumer.party, formats)));
        }
    }
    let mut parties = Vec::from([(producer.party.as_str(), asked)]);
    for consumer in consumers {
        let Some(entry) = consumer.entries.iter().find(|entry| entry.candidate() == asked.candidate()) else {
            let same_format = consumer.entries.iter().filter(|entry| entry.format == asked.format);
            let modifiers = list(same_format.map(|entry| entry.modifier.to_string()));
            let left = (producer.party.as_str(), asked.modifier.to_string());
            return Err(Rank::Modifier.conflict(left, (&consumer.party, modifiers)));
        };
        parties.push((consumer.party.as_str(), entry));
    }
    if asked.format.is_some() {
        for (party, entry) in &parties {
            if !extent.fits(entry.max_extent) {
                let left = ("the caller", extent.to_string());
                return Err(Rank::Extent.conflict(left, (party, format!("at most {}", entry.max_extent))));
            }
        }
    }
    let stride_align = common_multiple(Rank::StrideAlignment, &parties, |entry| entry.stride_align)?;
    let offset_align = common_multiple(Rank::OffsetAlignment, &parties, |entry| entry.offset_align)?;
    let usages = parties.iter().fold(asked.usages, |all, (_, entry)| all | entry.usages);
    let (format, modifier) = (asked.format, asked.modifier);
    Ok(Agreement { format, modifier, stride_align, offset_align, extent, usages, lost: Vec::new() })
}

/// The least common multiple over all parties. The party that takes it past the bound is named, against what those before it
/// had come to.
fn common_multiple(
    rank: Rank,
    parties: &[(&str, &OfferEntry)],
    field: impl Fn(&OfferEntry) -> Bytes,
) -> Result<Bytes, (Rank, Conflict)> {
    let mut merged = Bytes(1);
    let mut before = "nobody";
    for (party, entry) in parties {
        let own = field(entry);
        match lcm(merged.get(), own.get()).map(Bytes) {
            Some(both) if both <= MAX_ALIGN => {
                before = if both == merged { before } else { party };
                merged = both;
            }
            _ => {
                let left = (before, format!("multiples of {merged}"));
                let right = (*party, format!("multiples of {own}, and both only past {MAX_ALIGN}"));
                return Err(rank.conflict(left, right));
            }
        }
    }
    Ok(merged)
}

/// The distinct items, in order, or a word for none.
fn list(items: impl Iterator<Item = String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    if distinct.is_empty() { "nothing".into() } else { distinct.join(", ") }
}
