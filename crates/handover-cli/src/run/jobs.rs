//! From the plan to what each participant is told.

use std::path::{Path, PathBuf};

use handover::Writers;

use super::plan::{Edge, Party, Plan};
use crate::participant::job::{FilePath, InputJob, Job, OutputJob, Paint, Scene, Surfaces, Work};
use crate::pipeline::{Device, Kind};

/// The job of participant `index`. `input` is the file of the clip, `out` the directory of the results.
pub(super) fn job(plan: &Plan, index: usize, input: Option<&FilePath>, out: &FilePath) -> Result<Job, String> {
    let party = plan.parties.get(index).ok_or("a participant that is not in the plan")?;
    let participant = &party.participant;
    let (inputs, outputs) = plan.streams_of(index);
    Ok(Job {
        name: participant.name.clone(),
        work: work(party, input, out),
        device: party.device.name(),
        rate: (plan.rate.frames(), plan.rate.seconds()),
        frames: plan.frames,
        extent: size(party.extent),
        surfaces: party.agreement.as_ref().and_then(|agreement| {
            Surfaces::of(agreement, participant.surfaces, &party.source, plan.writers(index) == Writers::Open)
        }),
        private: party.private.as_ref().and_then(|agreement| Surfaces::of(agreement, 1, &party.source, false)),
        hashes: outputs.iter().any(|edge| plan.is_hashed(*edge)),
        flip_decoder_bit: plan.flip_decoder_bit.filter(|_| party.device.has_decoder()),
        hold_ms: u64::try_from(participant.hold.as_millis()).unwrap_or(u64::MAX),
        inputs: inputs.into_iter().map(|edge| input_job(plan, edge)).collect::<Result<_, _>>()?,
        outputs: outputs.into_iter().map(|edge| output_job(plan, party, edge)).collect::<Result<_, _>>()?,
    })
}

fn work(party: &Party, input: Option<&FilePath>, out: &FilePath) -> Work {
    let (on_vulkan, gpu) = (party.participant.device == Device::Vulkan, party.participant.gpu.clone());
    match &party.participant.kind {
        Kind::Clip => Work::Clip { input: input.cloned() },
        Kind::Overlay => Work::Overlay,
        Kind::Pattern { index } if on_vulkan => Work::Vulkan { gpu, paint: Paint::Scene { index: *index } },
        Kind::Compositor if on_vulkan => Work::Vulkan { gpu, paint: Paint::Layers },
        Kind::Pattern { index } => Work::Pattern { index: *index },
        Kind::Compositor => Work::Compositor,
        Kind::Blend => {
            let (columns, tile) = party.grid.unwrap_or((1, party.extent));
            Work::Blend { columns, tile: size(tile) }
        }
        Kind::OpenGl => {
            let (columns, tile) = party.grid.unwrap_or((1, party.extent));
            let (format, source) = (party.texture_format().fourcc().0, party.source.clone());
            Work::OpenGl(Scene { columns, tile: size(tile), format, source })
        }
        Kind::Compute { access, version } => Work::Compute { access: *access as u32, version: *version },
        Kind::Encoder(encoding) => {
            let file = PathBuf::from(out.clone()).join(&encoding.file);
            Work::Encoder { bitrate: encoding.bitrate, file: Path::new(&file).into() }
        }
        Kind::Preview => Work::Preview { directory: out.clone() },
        Kind::Window { title } => Work::Window { title: title.clone() },
        Kind::Program { command } => Work::Program { command: command.clone() },
        Kind::Camera => Work::Camera { node: node(party) },
        Kind::Output => Work::Output { node: node(party) },
        Kind::Screen => Work::Screen {
            node: node(party),
            linger_ms: u64::try_from(party.participant.linger.as_millis()).unwrap_or(u64::MAX),
            directory: out.clone(),
        },
    }
}

/// The node that the plan was placed on.
fn node(party: &Party) -> FilePath {
    let path = party.hardware.as_ref().and_then(|hardware| hardware.node.as_deref());
    FilePath::from(path.unwrap_or(Path::new("")))
}

fn input_job(plan: &Plan, edge: Edge) -> Result<InputJob, String> {
    let producer = plan.parties.get(edge.producer).ok_or("a producer that is not in the plan")?;
    Ok(InputJob {
        turn: edge.turn,
        producer: producer.participant.name.clone(),
        extent: size(producer.extent),
        format: format_of(producer, edge).fourcc().0,
        mailbox: edge.mailbox,
        copies: edge.copies,
        interop: edge.interop,
        hashes: plan.is_hashed(edge),
    })
}

fn output_job(plan: &Plan, party: &Party, edge: Edge) -> Result<OutputJob, String> {
    let reader = plan.parties.get(edge.reader).ok_or("a reader that is not in the plan")?;
    Ok(OutputJob {
        reader: reader.participant.name.clone(),
        flags: party.participant.export.bits(),
        mailbox: edge.mailbox,
        copies: edge.copies,
        interop: edge.interop,
    })
}

/// The format of the pixels that go over an edge: the agreed one, and for copies the one that is drawn in.
pub(super) fn format_of(producer: &Party, edge: Edge) -> handover::Format {
    let agreed = producer.agreement.as_ref().and_then(|agreement| agreement.format);
    let drawn = match producer.participant.formats.first() {
        Some(format) if format.has_alpha() => handover::Format::ARGB8888,
        _ => handover::Format::XRGB8888,
    };
    if edge.copies { drawn } else { agreed.unwrap_or(drawn) }
}

fn size(extent: handover::Extent) -> (u32, u32) {
    (extent.width().get(), extent.height().get())
}
