//! The private surface of a producer whose readers want LINEAR: it draws there, in its best layout, and copies every frame.
//!
//! This is what window systems do between two devices. It costs a second write of every pixel, which a run counts.

use handover::{Access, Deadline, Options, Region, Surface, ViewMut, acquire, allocate};

use super::job::Job;
use super::output::write;
use super::{Failure, Result};

/// Where a producer draws that shares copies.
pub(super) struct Private {
    surface: Surface,
    /// One picture on its way.
    rows: Vec<u8>,
}

impl Private {
    /// Allocates what the job says. `None`: it draws into what it shares.
    pub(super) fn new(job: &Job) -> Result<Option<Self>> {
        let Some(surfaces) = &job.private else { return Ok(None) };
        let none = || Failure::new("a private surface of a device's own memory");
        let options = Options { backend: surfaces.source.open()?.ok_or_else(none)?, ..Options::default() };
        let made = allocate(job.device()?, &surfaces.agreement(job.extent()?)?, &options)?;
        let surface = made.into_iter().next().ok_or_else(|| Failure::new("no private surface"))?;
        Ok(Some(Self { surface, rows: Vec::new() }))
    }

    pub(super) fn surface(&self) -> &Surface {
        &self.surface
    }

    /// Draws a picture, then copies it to `shared`. Gives the bytes of the copy.
    pub(super) fn draw(&mut self, bytes: &[u8], stride: usize, shared: &ViewMut<'_>) -> handover::Result<u64> {
        // Nobody else has it, so nothing is waited for.
        let lease = acquire(&[(&self.surface, Access::Write, Region::WHOLE)], Deadline::Never)?.wait()?;
        let view = lease.write(&self.surface)?;
        write(&view, bytes, stride)?;
        self.rows.resize(bytes.len(), 0);
        view.read_image(0, &mut self.rows, stride)?;
        shared.write_image(0, &self.rows, stride)?;
        drop(view);
        lease.release()?;
        Ok(self.rows.len() as u64)
    }
}
