//! A small painter: a scene that moves, and pictures laid over each other. Enough to show and to test what is shared; whoever draws
//! in earnest records commands of his own.

mod canvas;
mod pass;
mod pipeline;
pub mod scene;

use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;
use handover::{Access, Error, Kind, Result, Stage};

use crate::gpu::Gpu;
use crate::image::Image;
use crate::record::Recorder;
use canvas::Canvas;
use pass::Pass;
use pipeline::{Push, Sets, Shared};

/// Draws on one device.
pub struct Painter {
    shared: Shared,
    /// Made for the first target that cannot be blended, and again for one of another size.
    canvas: Mutex<Option<Arc<Canvas>>>,
}

impl std::fmt::Debug for Painter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Painter").field(&self.shared).finish()
    }
}

/// A picture to lay over others.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// What. Its colours are already multiplied by its alpha, as everywhere in the display stack.
    pub image: &'a Image,
    /// Column and row of its top left corner on the target; may lie outside.
    pub at: (i32, i32),
    /// Width and height there, in pixels.
    pub size: (u32, u32),
}

impl Painter {
    /// For this device.
    ///
    /// # Errors
    /// [`Kind::Os`]: no memory.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        Ok(Self { shared: Shared::new(&gpu.core)?, canvas: Mutex::default() })
    }

    /// Draws a scene on all of `target`: [`scene::pixel`] of every pixel. `index` chooses the colours, `frame` moves a band and is
    /// shown as a number.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the target was not made to be drawn to, or is not in the job's set to be written.
    pub fn scene(&self, recorder: &mut Recorder<'_>, target: &Image, frame: u32, index: u32) -> Result<()> {
        let pass = self.pass(recorder, target)?;
        pass.begin(recorder.raw());
        pass.scene(recorder.raw(), &Push { frame, index, ..push(target.extent()) });
        pass.end(recorder.raw());
        recorder.keep(pass);
        Ok(())
    }

    /// Clears `target` to opaque black, and lays the pictures over it and each other, the first one at the bottom.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the target was not made to be drawn to, or a picture not to be sampled, or the job has them not in its set.
    pub fn compose(&self, recorder: &mut Recorder<'_>, target: &Image, layers: &[Layer<'_>]) -> Result<()> {
        let pass = self.pass(recorder, target)?;
        // All that can be refused is refused before the first command.
        let pictures = self.pictures(recorder, layers)?;
        if target.can(vk::FormatFeatureFlags::COLOR_ATTACHMENT_BLEND) {
            pictures.lay(recorder, &pass, layers);
            recorder.keep((pass, pictures.sets));
            return Ok(());
        }
        let canvas = self.canvas(recorder, target)?;
        let blending = self.shared.pass(Canvas::FORMAT, canvas.view, canvas.extent)?;
        let sets = self.shared.sets(1)?;
        canvas.begin(recorder.raw());
        pictures.lay(recorder, &blending, layers);
        canvas.drawn(recorder.raw());
        pass.begin(recorder.raw());
        for set in sets.each() {
            self.shared.describe(set, canvas.view, false);
            let (wide, high) = (canvas.extent.width as f32, canvas.extent.height as f32);
            pass.copy(recorder.raw(), set, &Push { wide, high, ..push(canvas.extent) });
        }
        pass.end(recorder.raw());
        recorder.keep((pass, pictures.sets, blending, sets, canvas));
        Ok(())
    }

    /// Sets that show the layers' images.
    fn pictures(&self, recorder: &Recorder<'_>, layers: &[Layer<'_>]) -> Result<Pictures> {
        let sets = self.shared.sets(layers.len())?;
        for (layer, set) in layers.iter().zip(sets.each()) {
            recorder.check(layer.image, Access::Read)?;
            let view = layer.image.sampled().ok_or_else(|| not_made_for("sample", layer.image))?;
            let extent = layer.image.extent();
            let is_scaled = (extent.width, extent.height) != layer.size;
            let is_smooth = is_scaled && layer.image.can(vk::FormatFeatureFlags::SAMPLED_IMAGE_FILTER_LINEAR);
            self.shared.describe(set, view, is_smooth);
        }
        Ok(Pictures { sets })
    }

    fn canvas(&self, recorder: &Recorder<'_>, target: &Image) -> Result<Arc<Canvas>> {
        let mut kept = self.canvas.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref().filter(|canvas| canvas.extent == target.extent()) {
            Some(canvas) => Ok(Arc::clone(canvas)),
            None => {
                let canvas = Arc::new(Canvas::new(&recorder.gpu().core, target.extent())?);
                Ok(Arc::clone(kept.insert(canvas)))
            }
        }
    }

    fn pass(&self, recorder: &Recorder<'_>, target: &Image) -> Result<Pass> {
        recorder.check(target, Access::Write)?;
        if !self.shared.is_of(recorder.gpu()) {
            return Err(Error::new(Stage::Access, Kind::Invalid).asked("to draw").found("a painter of another device"));
        }
        let view = target.target().ok_or_else(|| not_made_for("draw to", target))?;
        let format = target.surface().format().and_then(crate::format::to_vulkan).unwrap_or(vk::Format::UNDEFINED);
        self.shared.pass(format, view, target.extent())
    }
}

/// The layers of one picture, described.
struct Pictures {
    sets: Sets,
}

impl Pictures {
    fn lay(&self, recorder: &Recorder<'_>, pass: &Pass, layers: &[Layer<'_>]) {
        pass.begin(recorder.raw());
        for (layer, set) in layers.iter().zip(self.sets.each()) {
            let (wide, high) = layer.size;
            let (left, top) = (layer.at.0 as f32, layer.at.1 as f32);
            let push = Push { left, top, wide: wide as f32, high: high as f32, ..push(pass.extent()) };
            pass.layer(recorder.raw(), set, &push);
        }
        pass.end(recorder.raw());
    }
}

fn push(extent: vk::Extent2D) -> Push {
    Push { width: extent.width, height: extent.height, ..Push::default() }
}

fn not_made_for(what: &str, image: &Image) -> Error {
    Error::new(Stage::Access, Kind::Invalid)
        .asked(format!("to {what} an image"))
        .found(format!("one of {} {}", image.surface().modifier(), image.surface().layout().size()))
        .why("it was made for something else, or has planes of chroma")
        .help("name the use when the image is made")
}
