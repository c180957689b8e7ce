//! Whether readers saw what was drawn. Layouts are decoded by both ends on their own, and a wrong one is not an error but another picture.

use serde::Serialize;

use super::plan::Plan;
use super::record::Heard;

/// A reader that got every frame of a producer, and other pixels than it drew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Different {
    /// Who drew.
    pub producer: String,
    /// Who saw something else.
    pub reader: String,
    /// SHA-256 of what was drawn.
    pub drawn: String,
    /// SHA-256 of what was seen.
    pub seen: String,
}

impl std::fmt::Display for Different {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { producer, reader, drawn, seen } = self;
        write!(f, "{reader} saw other pixels than {producer} drew: their SHA-256 is {seen}, and was {drawn}")
    }
}

/// Compares both ends of every stream whose content was hashed and whose reader took every frame.
pub(super) fn different(plan: &Plan, heard: &[Heard]) -> Vec<Different> {
    let edges = plan.edges.iter().filter(|edge| plan.is_hashed(**edge));
    let compared = edges.filter_map(|edge| {
        let name = |index: usize| plan.parties.get(index).map(|party| party.participant.name.clone());
        let tally = |index: usize| heard.get(index).and_then(|heard| heard.tally.as_ref());
        let (producer, reader) = (name(edge.producer)?, name(edge.reader)?);
        let (ours, theirs) = (tally(edge.producer)?, tally(edge.reader)?);
        let input = theirs.inputs.iter().find(|input| input.producer == producer)?;
        let (drawn, seen) = (ours.content_sha256.clone()?, input.content_sha256.clone()?);
        (input.taken == ours.submitted && drawn != seen).then_some(Different { producer, reader, drawn, seen })
    });
    compared.collect()
}
