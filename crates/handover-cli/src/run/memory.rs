//! Which memory a producer's surfaces are made of: the first source that everybody in its party takes. One surface of it is made, and
//! handed to each of them, before anything starts.

use std::path::PathBuf;
use std::time::Duration;

use handover::backend::linux::Card;
use handover::backend::linux::scanout::{self, Scanout};
use handover::negotiate::SurfaceUsages;
use handover::{
    Access, Deadline, Error, ExportFlags, Kind, Lease, Modifier, Options, Region, Stage, Surface, Writers, acquire,
    allocate, export, import,
};
use handover_wayland::client::{self, Client, Feedback, Window};

use super::offers::Devices;
use super::place::unavailable;
use super::plan::{Party, Plan, Refusal};
use crate::participant::job::{FilePath, Source};
use crate::pipeline::{Device, Kind as Part};

/// How long an export may wait for the one surface, which nobody else has.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a compositor may take to show one picture.
const LONG: Duration = Duration::from_secs(30);

impl Plan {
    /// Decides on the source of a producer's memory.
    ///
    /// # Errors
    /// [`Refusal`]: there is no source, or none that everybody takes.
    pub(super) fn try_memory(&mut self, index: usize, devices: &Devices) -> Result<(), Refusal> {
        let Some(party) = self.parties.get(index) else { return Ok(()) };
        let Some(modifier) = party.agreement.as_ref().map(|agreement| agreement.modifier) else {
            return self.try_textures(index);
        };
        let name = party.participant.name.clone();
        let mut refusal: Option<Refusal> = None;
        for source in self.sources(index, devices) {
            match self.try_source(index, &source, devices) {
                Ok(allocator) => {
                    if let Some(party) = self.parties.get_mut(index) {
                        (party.source, party.allocator) = (source, allocator);
                    }
                    return Ok(());
                }
                Err(error) => {
                    let more = unavailable(&name, &error);
                    refusal = Some(refusal.map_or(more, |first| Refusal(format!("{first}\n{error}"))));
                }
            }
        }
        // The device can use such a layout, and nobody can make it.
        Err(refusal.unwrap_or_else(|| {
            Refusal(format!("{name} cannot run: its driver takes {modifier}, and hands out no memory laid out so"))
        }))
    }

    /// Decides on the source of an `opengl` that nobody but computes reads: dma-bufs here too. What computes import is tried by
    /// [`rehearse`](super::interop::rehearse).
    fn try_textures(&mut self, index: usize) -> Result<(), Refusal> {
        let Some(party) = self.parties.get_mut(index).filter(|party| party.participant.kind == Part::OpenGl) else {
            return Ok(());
        };
        let source = Source::Udmabuf;
        let opened = source.open().map_err(|error| unavailable(&party.participant.name, &error))?;
        if let Some(backend) = opened {
            (party.source, party.allocator) = (source, backend.name());
        }
        Ok(())
    }

    /// Where the memory of a producer may come from, the best first.
    fn sources(&self, index: usize, devices: &Devices) -> Vec<Source> {
        // A screen may show nothing but buffers of its own card, and everybody reads those.
        if let Some(node) = self.screens(index).into_iter().next() {
            return vec![Source::Dumb { node: FilePath::from(node.as_path()) }];
        }
        let party = self.parties.get(index);
        let card = devices.feedback().filter(|_| self.is_in_window(index)).and_then(card_of);
        let agreement = party.and_then(|party| party.agreement.as_ref());
        let gpu = party.and_then(|party| devices.gpu(&party.participant));
        let hands_out = gpu.zip(agreement).is_some_and(|(gpu, agreement)| {
            let all = agreement.format.map(|format| gpu.supports(format, SurfaceUsages::RENDER)).unwrap_or_default();
            all.iter().any(|support| support.modifier == agreement.modifier && support.exports)
        });
        let own = hands_out.then_some(Source::Own);
        // What a driver lays out by its own rules, it alone can make.
        let by_others = gpu.is_none() || agreement.is_some_and(|agreement| agreement.modifier == Modifier::LINEAR);
        let dumb = card.map(|node| Source::Dumb { node: FilePath::from(node.as_path()) });
        own.into_iter().chain(dumb.into_iter().chain([Source::Udmabuf]).filter(|_| by_others)).collect()
    }

    /// Makes one surface and hands it to everybody who will have it. What the source is called.
    fn try_source(&self, index: usize, source: &Source, devices: &Devices) -> handover::Result<String> {
        let Some((party, agreement)) =
            self.parties.get(index).and_then(|party| Some((party, party.agreement.as_ref()?)))
        else {
            return Ok(String::new());
        };
        let gpu = devices.gpu(&party.participant);
        let (surfaces, name) = match (source.open()?, gpu) {
            (None, Some(gpu)) => {
                let images = gpu.allocate(agreement, &Options::default())?;
                let surfaces: Vec<Surface> = images.iter().map(|image| image.surface().clone()).collect();
                (surfaces, format!("memory of {}", gpu.report().device))
            }
            (Some(backend), _) => {
                let name = backend.name();
                let options = Options { backend, writers: self.writers(index), ..Options::default() };
                (allocate(party.device, agreement, &options)?, name)
            }
            (None, None) => return Err(Error::new(Stage::Allocate, Kind::Unreachable)),
        };
        for surface in &surfaces {
            if let Some(gpu) = gpu {
                gpu.image(surface, SurfaceUsages::RENDER)?;
            }
            for screen in self.screens(index) {
                Scanout::<Lease>::open(Card::open(screen)?, Some(party.extent))?.test(surface)?;
            }
            for reader in self.readers_of(index).filter_map(|reader| self.parties.get(reader)) {
                if let Some(gpu) = devices.gpu(&reader.participant) {
                    gpu.image(surface, SurfaceUsages::SAMPLE)?;
                } else if let Part::Window { .. } = reader.participant.kind {
                    show_once(surface)?;
                } else if *source == Source::Own {
                    // Not all drivers let a CPU at their memory.
                    let handle = export(surface, ExportFlags::READ, Deadline::after(PATIENCE))?.handle;
                    import(handle, reader.device)?;
                }
            }
        }
        Ok(name)
    }

    /// Who is to be able to write. A driver on the CPU maps whatever it imports for writing, to read as well.
    pub(super) fn writers(&self, index: usize) -> Writers {
        let readers = self.readers_of(index).chain([index]).filter_map(|party| self.parties.get(party));
        let by_device = readers.into_iter().any(|party| party.participant.device == Device::Vulkan);
        if by_device { Writers::Open } else { Writers::Me }
    }

    /// Is it shown in a window?
    fn is_in_window(&self, index: usize) -> bool {
        let mut readers = self.readers_of(index).filter_map(|reader| self.parties.get(reader));
        readers.any(|reader| matches!(reader.participant.kind, Part::Window { .. }))
    }

    /// The cards whose screens show a producer.
    fn screens(&self, index: usize) -> Vec<PathBuf> {
        let readers = self.readers_of(index).filter_map(|reader| self.parties.get(reader));
        let screens = readers.filter(|reader| reader.participant.kind == Part::Screen);
        screens.filter_map(|reader: &Party| reader.hardware.as_ref()?.node.clone()).collect()
    }
}

/// The card that a Wayland compositor draws with; else, since not all say, the first with a screen.
fn card_of(feedback: &Feedback) -> Option<PathBuf> {
    let nodes = feedback.main_device.and_then(|device| device.nodes().ok()).unwrap_or_default();
    // Its card if possible: only that makes buffers.
    nodes.into_iter().next().or_else(|| scanout::card().ok().map(|card| card.path().to_owned()))
}

/// Shows an empty picture for a moment: what a compositor takes, it tells of nothing else.
fn show_once(surface: &Surface) -> handover::Result<()> {
    let deadline = Deadline::after(LONG);
    let lease = acquire(&[(surface, Access::Read, Region::WHOLE)], deadline)?.wait()?;
    let options = client::Options { title: "handover".into(), app_id: "handover".into(), ..client::Options::default() };
    let mut window = Window::open(Client::connect(deadline)?, &options, deadline)?;
    window.show(lease, None, deadline)?;
    window.close(deadline).map(drop)
}
