//! The log of what was allocated: every surface, whose it is, how it lies, and who shares it.

use serde::Serialize;

use super::plan::Plan;
use super::record::Heard;
use crate::participant::event::Allocation;

/// One surface.
#[derive(Debug, Clone, Serialize)]
pub struct Allocated {
    /// The participant that made it.
    pub owner: String,
    /// Its device.
    pub device: String,
    /// Why it lies as it does: "negotiated", "LINEAR asked for", or "the best of its owner" for one that nobody shares, or whose layout
    /// its metadata tells.
    pub layout: &'static str,
    /// Who shares it.
    pub readers: Vec<String>,
    /// The surface.
    #[serde(flatten)]
    pub surface: Allocation,
}

/// All surfaces of a run, by their owners in the order of the plan.
pub(super) fn log(plan: &Plan, heard: &[Heard]) -> Vec<Allocated> {
    let mut log = Vec::new();
    for (index, (party, heard)) in plan.parties.iter().zip(heard).enumerate() {
        let readers: Vec<String> = plan
            .readers_of(index)
            .filter_map(|reader| plan.parties.get(reader))
            .map(|reader| reader.participant.name.clone())
            .collect();
        let layout = |surface: &Allocation| match (surface.shared, plan.asks_linear(index)) {
            _ if surface.importer.is_some() => "the best of its owner",
            (false, _) => "the best of its owner",
            (true, true) => "LINEAR asked for",
            (true, false) => "negotiated",
        };
        log.extend(heard.allocations.iter().map(|surface| Allocated {
            owner: party.participant.name.clone(),
            device: party.device_text(),
            layout: layout(surface),
            readers: match &surface.importer {
                Some(importer) => vec![importer.clone()],
                None if surface.shared => readers.clone(),
                None => Vec::new(),
            },
            surface: surface.clone(),
        }));
    }
    log
}
