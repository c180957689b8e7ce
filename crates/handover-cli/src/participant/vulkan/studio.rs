//! The device of a participant, the images of the surfaces that it meets, and the account of both.

use std::collections::HashMap;
use std::time::Duration;

use handover::backend::linux::{Implicit, SyncFile, attaches_fences};
use handover::negotiate::{Agreement, SurfaceUsages};
use handover::{Access, Deadline, Options, Surface, SurfaceId};
use handover_vulkan::paint::{Layer, Painter};
use handover_vulkan::{Gpu, Image, Recorder, Submitted};

use super::super::account::counted;
use super::super::event::{Images, Missing, Vulkan};
use super::super::{Failure, Result};

/// How long the last job may take. Longer than any driver lets one run.
const PATIENCE: Duration = Duration::from_secs(30);

/// Draws on one device.
pub(in super::super) struct Studio {
    gpu: Gpu,
    painter: Painter,
    /// One a surface, made when it is first met.
    images: HashMap<SurfaceId, Image>,
    last: Option<Submitted>,
    account: Vulkan,
    /// What the driver has read from files of its own while frames went.
    file_bytes: u64,
}

impl Studio {
    /// Opens the device of this name, or the first that will do.
    pub(in super::super) fn open(name: Option<&str>) -> Result<Self> {
        let options = handover_vulkan::Options { name: name.map(str::to_owned), ..Default::default() };
        let gpu = Gpu::open(&options)?;
        let painter = Painter::new(&gpu)?;
        let account = describe(&gpu);
        Ok(Self { gpu, painter, images: HashMap::new(), last: None, account, file_bytes: 0 })
    }

    /// Has the device's driver make surfaces.
    pub(in super::super) fn allocate(&mut self, agreement: &Agreement, options: &Options) -> Result<Vec<Surface>> {
        let images = self.gpu.allocate(agreement, options)?;
        let surfaces = images.iter().map(|image| image.surface().clone()).collect();
        self.images.extend(images.into_iter().map(|image| (image.surface().id(), image)));
        Ok(surfaces)
    }

    /// Makes images of surfaces that were not here before. `of`: whose they are.
    pub(in super::super) fn meet(&mut self, of: &str, surfaces: &[Surface], usage: SurfaceUsages) -> Result<()> {
        for surface in surfaces {
            if !self.images.contains_key(&surface.id()) {
                self.images.insert(surface.id(), self.gpu.image(surface, usage)?);
            }
        }
        let Some((surface, format)) = surfaces.first().and_then(|first| Some((first, first.format()?))) else {
            return Ok(());
        };
        let planes = surface.layout().planes().len();
        self.account.images.push(Images {
            of: of.into(),
            format: format.name().into(),
            modifier: surface.modifier().to_string(),
            planes,
            compressed: planes > format.planes().len(),
        });
        Ok(())
    }

    /// Draws once into surfaces of its own that nobody else has yet. What a driver reads and builds for its first job is not counted among the
    /// frames, and it shows whether the driver attaches fences by itself.
    pub(in super::super) fn rehearse(&mut self, own: &[Surface]) -> Result<()> {
        let images = own.iter().take(2).map(|surface| self.image(surface)).collect::<Result<Vec<_>>>()?;
        let Some(first) = images.first() else { return Ok(()) };
        let submit =
            || self.gpu.submit(&[(first, Access::Write)], &[], |recorder| self.painter.scene(recorder, first, 0, 0));
        let (job, implicit) = attaches_fences(first.surface().pixels_fd(), submit)?;
        job.wait(Deadline::after(PATIENCE))?;
        self.account.attaches_fences = match implicit {
            Implicit::Attached => "yes",
            Implicit::NothingSeen => "none was seen",
        }
        .into();
        if let Some(second) = images.get(1).filter(|second| second.sampled().is_some()) {
            let extent = second.extent();
            let layers = [Layer { image: second, at: (0, 0), size: (extent.width, extent.height) }];
            let set = [(first, Access::Write), (second, Access::Read)];
            let job = self.gpu.submit(&set, &[], |recorder| self.painter.compose(recorder, first, &layers))?;
            job.wait(Deadline::after(PATIENCE))?;
        }
        Ok(())
    }

    /// The image of a surface that it has met.
    pub(super) fn image(&self, surface: &Surface) -> Result<Image> {
        let image = self.images.get(&surface.id()).cloned();
        image.ok_or_else(|| Failure::new("a surface that is no image of this device"))
    }

    /// Starts a job that waits for `waits` on the device.
    pub(super) fn submit(
        &mut self,
        set: &[(&Image, Access)],
        waits: &[SyncFile],
        record: impl FnOnce(&Painter, &mut Recorder<'_>) -> handover::Result<()>,
    ) -> Result<Submitted> {
        let submit = || self.gpu.submit(set, waits, |recorder| record(&self.painter, recorder));
        let submitted = match self.account.jobs {
            // For the first of its kind a driver may look into files of its own: programs that it has built before.
            0 => {
                let (submitted, bytes) = counted(submit);
                self.file_bytes = bytes;
                submitted?
            }
            _ => submit()?,
        };
        self.account.jobs += 1;
        self.account.fences_taken += waits.len() as u64;
        self.account.fences_given += u64::from(submitted.fence().is_some());
        Ok(submitted)
    }

    /// A job whose fence everybody has who must.
    pub(super) fn went(&mut self, submitted: Submitted) {
        // They end in their order: the last one stands for all.
        self.last = Some(submitted);
    }

    /// Waits for the last job.
    pub(super) fn finish(&mut self) -> Result<()> {
        Ok(self.last.take().map_or(Ok(()), |last| last.wait(Deadline::after(PATIENCE)))?)
    }

    /// What the driver has read from files of its own while frames went, in bytes.
    pub(in super::super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// What there is to say of the device and its part in the run.
    pub(in super::super) fn account(&self) -> Vulkan {
        self.account.clone()
    }
}

fn describe(gpu: &Gpu) -> Vulkan {
    let report = gpu.report();
    let (major, minor, patch) = report.version;
    let (present, missing): (Vec<_>, Vec<_>) = report.extensions.iter().partition(|extension| extension.present);
    Vulkan {
        device: report.device.clone(),
        class: report.class.into(),
        driver: report.driver.clone(),
        version: format!("{major}.{minor}.{patch}"),
        extensions: present.iter().map(|extension| extension.name.into()).collect(),
        missing: missing
            .iter()
            .map(|extension| Missing { name: extension.name.into(), gives: extension.gives.into() })
            .collect(),
        waits_for_sync_files: report.waits_for_sync_files,
        gives_sync_files: report.gives_sync_files,
        shares_timelines: report.shares_timelines,
        ..Vulkan::default()
    }
}
