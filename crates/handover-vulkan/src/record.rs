//! Where a job's commands go, while they are recorded.

use std::fmt;

use ash::vk;
use handover::{Access, Error, Kind, Result, Stage};

use crate::gpu::Gpu;
use crate::image::Image;

/// Where a job's commands go.
pub struct Recorder<'a> {
    pub(crate) gpu: &'a Gpu,
    pub(crate) commands: vk::CommandBuffer,
    pub(crate) set: &'a [(&'a Image, Access)],
    pub(crate) extra: Vec<Box<dyn Send>>,
}

impl fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorder").field(&self.commands).finish()
    }
}

impl Recorder<'_> {
    /// The device.
    pub fn gpu(&self) -> &Gpu {
        self.gpu
    }

    /// The commands, for code that records its own. They are begun, and ended by the submission.
    pub fn raw(&self) -> vk::CommandBuffer {
        self.commands
    }

    /// Is this image of the job's set, to be used so? Only those are taken from the outside, and kept until the job has ended.
    ///
    /// # Errors
    /// [`Kind::Invalid`].
    pub fn check(&self, image: &Image, access: Access) -> Result<()> {
        let allows = |found: Access| access == Access::Read || found == Access::Write;
        if self.set.iter().any(|(member, found)| member.is_same(image) && allows(*found)) {
            return Ok(());
        }
        Err(Error::new(Stage::Access, Kind::Invalid)
            .asked(format!("{} access to an image of {}", access.word(), image.device()))
            .found("a job that does not have it in its set")
            .help("name it, with this access, where the job is submitted"))
    }

    /// Keeps something until the job has ended. Not a [`Gpu`], nor a [`Submitted`](crate::Submitted): the device keeps its jobs, and
    /// would keep itself.
    pub fn keep(&mut self, what: impl Send + 'static) {
        self.extra.push(Box::new(what));
    }
}
