//! Jobs: what is drawn between two fences, with the images that it uses.
//!
//! # Contract: fences
//!
//! - [`Display::submit`] is the explicit way: the caller names the fences to wait for, and gets the fence of the end.
//! - [`Display::run`] goes around an implicit world: it collects what pends in the reservations of all surfaces, draws, and attaches
//!   the fence of the end to all of them. It does not rely on the driver's own habits: those that attach fences by themselves then
//!   have them twice, which costs nothing.
//!
//! Commands of OpenGL ES are on their way as soon as they are called. What a job drew before its closure failed stays drawn: its
//! end is waited for, and [`Display::run`] tells whoever comes next that the content is no good.
#![allow(unsafe_code)]

use std::time::Duration;

use handover::backend::linux::SyncFile;
use handover::{Access, Deadline, Error, Kind, Region, Result, Stage, acquire};

use crate::display::{Core, Display};
use crate::gl::Gl;
use crate::image::Image;

/// How long a driver that knows no sync_file keeps us. Every fence of the kernel ends within about ten seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a half-drawn surface is no good: the job was given up.
const ECANCELED: u32 = 125;

/// A job that is on its way. Dropped, it goes on.
#[derive(Debug)]
#[must_use = "whoever uses the images next waits for its fence"]
pub struct Submitted {
    end: Option<SyncFile>,
}

impl Submitted {
    /// Its end, for others to wait for. `None`: it has ended.
    pub fn fence(&self) -> Option<&SyncFile> {
        self.end.as_ref()
    }

    /// Waits on the CPU.
    ///
    /// # Errors
    /// [`Kind::Timeout`].
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        self.end.as_ref().map_or(Ok(()), |end| end.wait(deadline))
    }
}

impl Display {
    /// Acquires `set`, runs a job that waits for whatever pends on it, and releases it after the job. Waits on the CPU for other CPUs,
    /// and where the driver knows no sync_file; not beyond `deadline`.
    ///
    /// # Errors
    /// Those of [`acquire()`](handover::acquire()) and of [`submit`](Self::submit). If the job had begun, what it was to write is
    /// released as failed.
    pub fn run(
        &self,
        set: &[(&Image, Access)],
        deadline: Deadline,
        draw: impl FnOnce(&Gl<'_>) -> Result<()>,
    ) -> Result<Submitted> {
        self.check(set)?;
        let wishes: Vec<_> = set.iter().map(|(image, access)| (image.surface(), *access, Region::WHOLE)).collect();
        let (lease, pending) = acquire(&wishes, deadline)?.collect()?;
        let submitted = match self.start(set, pending.as_slice(), deadline, draw) {
            Ok(submitted) => submitted,
            Err(error) => {
                // What it did draw has ended by now; the trouble that counts is the job's.
                let _ = lease.release_failed(ECANCELED);
                return Err(error);
            }
        };
        match &submitted.end {
            Some(end) => {
                if let Err(unattached) = lease.release_after(end) {
                    // The device works without anybody knowing: that must not be.
                    self.0.finish();
                    unattached.lease.release()?;
                }
            }
            None => lease.release()?,
        }
        Ok(submitted)
    }

    /// Runs a job: it waits for all of `waits`, and does what `draw` calls.
    ///
    /// The caller sees to it that nobody else uses the images meanwhile: a lease of each, released after [`Submitted::fence`].
    /// `waits` stay the caller's.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: an image of another display. [`Kind::Timeout`]: the driver knows no sync_file, and one of `waits` has not
    /// ended within 20 s. Those of `draw`, and what OpenGL ES notes of it ([`Kind::Os`]; with ENODEV, the device is lost): what it
    /// drew has ended then.
    pub fn submit(
        &self,
        set: &[(&Image, Access)],
        waits: &[SyncFile],
        draw: impl FnOnce(&Gl<'_>) -> Result<()>,
    ) -> Result<Submitted> {
        self.check(set)?;
        self.start(set, waits, Deadline::after(PATIENCE), draw)
    }

    fn check(&self, set: &[(&Image, Access)]) -> Result<()> {
        match set.iter().find(|(image, _)| !image.is_of(self)) {
            None => Ok(()),
            Some((image, _)) => Err(Error::new(Stage::Access, Kind::Invalid)
                .asked(format!("a job of {}", self.0.report.renderer))
                .found(format!("an image of another display, of {}", image.renderer()))
                .help("make an image of the same surface on this display")),
        }
    }

    fn start(
        &self,
        set: &[(&Image, Access)],
        waits: &[SyncFile],
        deadline: Deadline,
        draw: impl FnOnce(&Gl<'_>) -> Result<()>,
    ) -> Result<Submitted> {
        let core = &self.0;
        // Of somebody else's commands, or of a job that has already failed.
        core.noted()?;
        for fence in waits {
            core.wait_for(fence, deadline)?;
        }
        let gl = Gl { display: self, set };
        let drawn = draw(&gl);
        if let Some(error) = drawn.err().or(core.noted()?) {
            core.finish();
            return Err(error);
        }
        core.end().map(|end| Submitted { end })
    }
}

impl Core {
    /// Waits until everything that was drawn has ended.
    pub(crate) fn finish(&self) {
        if let Ok(gl) = self.gl() {
            // SAFETY: the context is current.
            unsafe { (gl.finish)() };
        }
    }
}
