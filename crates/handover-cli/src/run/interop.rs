//! Computes and what they import: tried before anything starts, and told when all is over.

use std::fmt::Write;
use std::time::Duration;

use handover::interop::{self, Access, Request, Target, Versions};
use handover::{Bytes, Deadline, Device, Error, Format, Kind as ErrorKind, Options, Stage, Writers, allocate, import};
use serde::Serialize;

use super::plan::{Party, Plan, Refusal};
use super::record::Heard;
use crate::participant::SUMMARY;
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

/// Exports a texture and a buffer to each compute, made of the memory that the run will have, and imports them as the compute's device.
pub(super) fn rehearse(plan: &Plan) -> Result<(), Refusal> {
    for edge in plan.edges.iter().filter(|edge| edge.interop) {
        let parties = plan.parties.get(edge.producer).zip(plan.parties.get(edge.reader));
        let Some((opengl, compute)) = parties else { continue };
        try_objects(opengl, compute, compute.device).map_err(|error| {
            let (ours, theirs) = (&opengl.participant.name, &compute.participant.name);
            Refusal(format!(
                "{theirs} cannot import a texture and a buffer of {ours}\n  {}",
                helped(opengl, compute, error)
            ))
        })?;
    }
    Ok(())
}

/// The error with what helps in a pipeline, where no modifier is negotiated for an interop.
fn helped(opengl: &Party, compute: &Party, error: Error) -> Error {
    if error.stage() != Stage::Import {
        return error;
    }
    let is_tried = |importer: Device| try_objects(opengl, compute, importer).is_ok();
    let (name, decoder, own) = (&compute.participant.name, compute.device.with_decoder(), opengl.device);
    error.help(if is_tried(decoder) {
        format!("--other-device decode, or device = \"{}\" for {name}", decoder.name())
    } else if is_tried(own) {
        format!("device = \"{}\" for {name} too", own.name())
    } else {
        "an `opengl` on a chip whose metadata says all of its layout: vega10, navi21 or tigerlake".into()
    })
}

fn try_objects(opengl: &Party, compute: &Party, importer: Device) -> handover::Result<()> {
    let Kind::Compute { access, version } = compute.participant.kind else { return Ok(()) };
    let own = || Error::new(Stage::Allocate, ErrorKind::Unreachable).asked("memory that is not the device's own");
    let options = || -> handover::Result<Options> {
        let backend = opengl.source.open()?.ok_or_else(own)?;
        Ok(Options { writers: Writers::Open, backend, ..Options::default() })
    };
    // A compute has the extent of its texture.
    let textures = allocate::implicit(opengl.device, opengl.texture_format(), compute.extent, &options()?)?;
    let buffers = allocate::buffer(opengl.device, Bytes(SUMMARY), &options()?)?;
    let versions = Versions { export_in: version, export_out: version };
    let textures = textures.iter().map(|texture| (texture, Target::Texture, access));
    let buffers = buffers.iter().map(|buffer| (buffer, Target::Buffer, Access::WriteOnly));
    for (object, target, access) in textures.chain(buffers) {
        let request = Request { versions, target, access, level: 0 };
        let exported = interop::export(object, &request, Deadline::after(PATIENCE))?;
        import(exported.handle, importer)?;
    }
    Ok(())
}

impl Party {
    /// The format of the textures that it exports to computes: its first.
    pub(super) fn texture_format(&self) -> Format {
        self.participant.formats.first().copied().unwrap_or(Format::XRGB8888)
    }
}
