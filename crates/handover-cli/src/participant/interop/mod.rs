//! Participants that share objects as OpenGL and OpenCL do: `opengl` draws and exports, `compute` asks, imports and works.
//!
//! # Contract
//!
//! 1. **Once.** A compute asks for a texture and for a buffer, with the versions it knows and what it will do
//!    ([`handover::interop::Request`]). The other side answers with a status, and a handle if all is well. It learns nothing else of
//!    whom it exports to, and makes an object of its own for each: what one of them writes costs no other its compression.
//! 2. **Every frame.** `opengl` draws into each texture and has what was promised a flush flushed, as a job of its queue
//!    ([`handover::interop::flush_objects`]). It names the frame; the compute puts its work on a queue of its own, and says so at once.
//! 3. **Back.** `opengl` acquires texture and buffer to read them. Nobody tells it that the work is done: its lease comes behind the work's
//!    fence. It waits for its flush too: a flush that failed fails the run. What it reads is compared, pixel by pixel, with what it computes from its own copy, and a difference fails the run.
//!
//! Nothing goes the other way: a compute has no surfaces, and nobody reads it.

mod compute;
mod opengl;
mod texture;
mod wire;
mod work;

use std::os::fd::OwnedFd;

use handover::transport::Traffic;

pub(super) use compute::{Imported, compute};
pub(super) use opengl::opengl;
pub(crate) use work::SUMMARY;

use super::Result;
use super::desk::Desk;
use super::job::{InputJob, Job, OutputJob, Work};
use opengl::Importer;

/// What a participant has of either side.
#[derive(Default)]
pub(super) struct Links {
    importers: Vec<Importer>,
    imported: Option<Imported>,
}

impl Links {
    /// Answers those who import what an `opengl` exports.
    pub(super) fn export(&mut self, job: &Job, sockets: Vec<(&OutputJob, OwnedFd)>, desk: &mut Desk) -> Result<()> {
        if let Work::OpenGl(scene) = &job.work {
            self.importers = opengl::export(job, scene, sockets, desk)?;
        }
        Ok(())
    }

    /// Imports what a `compute` works on. `false`: the other side was gone before that. Of a job that is no compute, an input by interop
    /// means nothing.
    pub(super) fn import(&mut self, job: &Job, input: &InputJob, socket: OwnedFd, desk: &Desk) -> Result<bool> {
        self.imported = compute::import(job, input, socket, desk)?;
        Ok(self.imported.is_some())
    }

    /// The importers, to work with.
    fn importers(&mut self) -> &mut [Importer] {
        &mut self.importers
    }

    /// What was imported, to work with.
    pub(super) fn imported(&mut self) -> Option<&mut Imported> {
        self.imported.as_mut()
    }

    /// What went over their sockets so far.
    pub(super) fn traffic(&self) -> Traffic {
        let links = self.importers.iter().map(Importer::traffic).chain(self.imported.iter().map(Imported::traffic));
        links.fold(Traffic::default(), |sum, traffic| sum + traffic)
    }

    /// Adds what was counted to the tally.
    pub(super) fn settle(&self, desk: &mut Desk) {
        desk.tally.read_back.extend(self.importers.iter().map(Importer::read_back));
        desk.tally.inputs.extend(self.imported.iter().map(Imported::tally));
    }
}
