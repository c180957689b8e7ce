//! Who reads whom, as a whole: no cycle, something to read, something that comes out.

use super::diagnostics::{Diagnostic, Diagnostics};
use super::file::File;
use super::types::{Device, Kind, Participant, Pipeline};
use super::words::allowed;

/// Checks what single participants cannot show. Names and indices are right already.
pub(super) fn check(pipeline: &Pipeline, raw: &File, diagnostics: &mut Diagnostics) {
    let at = |index: usize| raw.participant.get(index).map_or(0..0, |entry| entry.as_ref().name.span());
    if !pipeline.participants.iter().any(|participant| participant.kind.is_source()) {
        diagnostics.push(
            Diagnostic::new("the pipeline has no producer", raw.name.span(), "nothing in it makes frames")
                .help("add a participant of kind clip, overlay, pattern, opengl, camera or program"),
        );
    }
    // A producer that nobody reads merely runs for itself; a pipeline without an end runs for nobody.
    if pipeline.participants.iter().all(|participant| participant.kind.produces()) {
        diagnostics.push(
            Diagnostic::new(
                "nothing comes out of the pipeline",
                raw.name.span(),
                "it has no encoder and no preview, output, screen or window",
            )
            .help("add a participant of kind encoder, preview, output, screen or window"),
        );
    }
    for (index, participant) in pipeline.participants.iter().enumerate() {
        let found = [
            vulkan(pipeline, raw, index, participant),
            interop(pipeline, raw, index, participant),
            no_chip(raw, index, participant),
        ];
        found.into_iter().flatten().for_each(|diagnostic| diagnostics.push(diagnostic));
    }
    if let Some(cycle) = find_cycle(pipeline) {
        let name = |index: usize| pipeline.participants.get(index).map_or("", |participant| participant.name.as_str());
        let first = cycle.first().copied().unwrap_or(0);
        let way: Vec<&str> = cycle.iter().chain([&first]).map(|index| name(*index)).collect();
        let mut diagnostic =
            Diagnostic::new(format!("a cycle: {}", way.join(" reads ")), at(first), "waits for its own frames");
        for index in cycle.iter().skip(1) {
            diagnostic = diagnostic.also(at(*index), "on the way");
        }
        diagnostics
            .push(diagnostic.help(
                "frames go one way, from clip, overlay, pattern, opengl, camera or program to encoder, preview, output, screen or window",
            ));
    }
}

/// A device draws into surfaces that others share, and nowhere else.
fn vulkan(pipeline: &Pipeline, raw: &File, index: usize, participant: &Participant) -> Option<Diagnostic> {
    let entry = raw.participant.get(index)?.as_ref();
    if participant.device == Device::Vulkan && pipeline.readers(index).next().is_none() {
        let title = format!("nobody reads `{}`", participant.name);
        return Some(
            Diagnostic::new(title, entry.name.span(), "draws into surfaces that others read")
                .help("add its name to the `reads` of a participant"),
        );
    }
    let producers = participant.reads.iter().filter_map(|read| pipeline.participants.get(*read));
    let producer = producers.filter(|_| participant.copies).find(|producer| producer.device == Device::Vulkan)?;
    let title = format!("`{}` cannot be copied through a socket", producer.name);
    Some(
        Diagnostic::new(title, entry.copies.as_ref()?.span(), "asks for pixels that no CPU has")
            .help("leave `copies` out"),
    )
}

/// Interop goes from an `opengl` to a `compute`, and to nobody else.
fn interop(pipeline: &Pipeline, raw: &File, index: usize, participant: &Participant) -> Option<Diagnostic> {
    let entry = raw.participant.get(index)?.as_ref();
    let of = |index: &usize| pipeline.participants.get(*index);
    let is_compute = |reader: usize| of(&reader).is_some_and(|reader| matches!(reader.kind, Kind::Compute { .. }));
    if participant.kind == Kind::OpenGl && !pipeline.readers(index).any(is_compute) {
        let title = format!("no compute works on what `{}` draws", participant.name);
        let help = "add a participant of kind compute that reads it, or let it be a pattern";
        return Some(Diagnostic::new(title, entry.name.span(), "exports textures to computes").help(help));
    }
    let foreign = participant.reads.iter().filter_map(of).find(|producer| producer.kind != Kind::OpenGl);
    let producer = foreign.filter(|_| matches!(participant.kind, Kind::Compute { .. }))?;
    let title = format!("`{}` exports nothing that a compute could import", producer.name);
    let opengl = pipeline.participants.iter().filter(|other| other.kind == Kind::OpenGl);
    let names: Vec<&str> = opengl.map(|other| other.name.as_str()).collect();
    let help = if names.is_empty() { "add a participant of kind opengl".to_owned() } else { allowed(&names) };
    let label = format!("a participant of kind {}", producer.kind.word());
    Some(Diagnostic::new(title, entry.reads.as_ref()?.span(), label).help(help))
}

/// What an interop shares has no modifier, so the one side must write metadata and the other understand it.
fn no_chip(raw: &File, index: usize, participant: &Participant) -> Option<Diagnostic> {
    let entry = raw.participant.get(index)?.as_ref();
    let Device::Simulated(device) = participant.device else { return None };
    let (is_fit, label) = match participant.kind {
        Kind::OpenGl => (device.is_chip(), "writes no metadata that says how a texture lies"),
        Kind::Compute { .. } => (device.is_chip() || device.has_decoder(), "understands no metadata of a texture"),
        _ => return None,
    };
    if is_fit {
        return None;
    }
    let (place, said) = match &entry.device {
        Some(device) => (device.span(), ""),
        None => (entry.name.span(), ", which it is without `device`"),
    };
    let title = format!("`{}` is on the device {}{said}", participant.name, device.name());
    let chips: Vec<String> =
        handover::Device::simulated().filter(|chip| chip.is_chip()).map(handover::Device::name).collect();
    let chips: Vec<&str> = chips.iter().map(String::as_str).collect();
    Some(Diagnostic::new(title, place, label).help(format!("`device`, {}", allowed(&chips))))
}

/// The participants of one cycle, each reading the next; the one that stands first in the file leads.
fn find_cycle(pipeline: &Pipeline) -> Option<Vec<usize>> {
    // Whoever comes after all it reads is on no cycle. Of the rest, everybody reads somebody of the rest.
    let placed = pipeline.producers_first();
    let stuck = |index: &usize| !placed.contains(index);
    let mut way: Vec<usize> = Vec::new();
    let mut next = (0..pipeline.participants.len()).find(stuck)?;
    while !way.contains(&next) {
        way.push(next);
        next = pipeline.participants.get(next)?.reads.iter().copied().find(stuck)?;
    }
    let mut cycle = way.split_off(way.iter().position(|index| *index == next)?);
    let lead = cycle.iter().enumerate().min_by_key(|(_, index)| **index).map_or(0, |(at, _)| at);
    cycle.rotate_left(lead);
    Some(cycle)
}
