//! Computes and what they import: tried before anything starts, and told when all is over.

use std::fmt::Write;
use std::time::Duration;

use handover::interop::{self, Access, Request, Target, Versions};
use handover::{Deadline, Format, Options, Writers, allocate, import};
use serde::Serialize;

use super::plan::{Party, Plan, Refusal};
use super::record::Heard;
use crate::participant::event::ObjectExport;
use crate::pipeline::Kind;

/// How long an export may wait for a texture that nobody else has.
const PATIENCE: Duration = Duration::from_secs(5);

/// One compute.
#[derive(Debug, Clone, Serialize)]
pub struct Interop {
    /// Who exports.
    pub exporter: String,
    /// Who imports.
    pub importer: String,
    /// What it does with the texture: "READ", "WRITE" or "READ | WRITE".
    pub access: String,
    /// Frames that the exporter read back, all of them right. `null`: it did not live to tell.
    pub frames_read_back: Option<u64>,
    /// Texture and buffer: versions, flags, and what the export made of the compression.
    pub objects: Vec<ObjectExport>,
}

/// Every compute that has imported something.
pub(super) fn interop(plan: &Plan, heard: &[Heard]) -> Vec<Interop> {
    let mut all = Vec::new();
    for (party, heard) in plan.parties.iter().zip(heard) {
        let back = |importer: &str| {
            let counted = heard.tally.as_ref()?.read_back.iter().find(|back| back.importer == importer)?;
            Some(counted.frames)
        };
        all.extend(heard.interop.iter().map(|exports| Interop {
            exporter: party.participant.name.clone(),
            importer: exports.importer.clone(),
            access: exports.access.clone(),
            frames_read_back: back(&exports.importer),
            objects: exports.objects.clone(),
        }));
    }
    all
}

/// A line an object: what was decided, and why.
pub(super) fn write(text: &mut String, all: &[Interop]) -> std::fmt::Result {
    for Interop { exporter, importer, access, frames_read_back, objects } in all {
        for ObjectExport { object, access, compression, reason, resolve, steps, .. } in objects {
            let way = format!("{exporter} → {importer}");
            write!(text, "{way:<24}  {object} for {access}: compression {compression}: {reason}")?;
            for step in steps.iter().filter(|step| step.contains("DCC")) {
                write!(text, "; {step}")?;
            }
            match resolve.as_str() {
                "nothing" => writeln!(text)?,
                resolve => writeln!(text, "; resolved {resolve}")?,
            }
        }
        if let Some(frames) = frames_read_back {
            writeln!(text, "{exporter} read back what {importer} left ({access}), all of it right: {frames} frames")?;
        }
    }
    Ok(())
}

/// Exports a texture to each compute, as the run will, and imports it as the compute's device.
pub(super) fn rehearse(plan: &Plan) -> Result<(), Refusal> {
    for edge in plan.edges.iter().filter(|edge| edge.interop) {
        let parties = plan.parties.get(edge.producer).zip(plan.parties.get(edge.reader));
        let Some((opengl, compute)) = parties else { continue };
        try_texture(opengl, compute).map_err(|error| {
            let (ours, theirs) = (&opengl.participant.name, &compute.participant.name);
            Refusal(format!("{theirs} cannot import a texture of {ours}\n  {error}"))
        })?;
    }
    Ok(())
}

fn try_texture(opengl: &Party, compute: &Party) -> handover::Result<()> {
    let Kind::Compute { access, version } = compute.participant.kind else { return Ok(()) };
    let options = Options { writers: Writers::Open, ..Options::default() };
    // A compute has the extent of its texture.
    let made = allocate::implicit(opengl.device, opengl.texture_format(), compute.extent, &options)?;
    let versions = Versions { export_in: version, export_out: version };
    let request = |access: Access| Request { versions, target: Target::Texture, access, level: 0 };
    for texture in made {
        let exported = interop::export(&texture, &request(access), Deadline::after(PATIENCE))?;
        import(exported.handle, compute.device)?;
    }
    Ok(())
}

impl Party {
    /// The format of the textures that it exports to computes: its first.
    pub(super) fn texture_format(&self) -> Format {
        self.participant.formats.first().copied().unwrap_or(Format::XRGB8888)
    }
}
