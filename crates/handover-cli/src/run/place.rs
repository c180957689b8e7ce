//! Where a plan runs: the source of memory for every producer, and the device of the kernel's for everybody who uses one. All of it
//! is tried here, so that what this machine has not got is refused before anything starts.

use std::path::{Path, PathBuf};

use handover::backend::linux::Card;
use handover::backend::linux::scanout::{self, Scanout};
use handover::backend::linux::v4l2::{self, Direction, VideoQueue};
use handover::{Error, Layout, Lease, Modifier, Options, allocate};

use super::plan::{Plan, Refusal};
use crate::participant::job::{FilePath, Source};
use crate::pipeline::Kind;

/// Where surfaces live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In memfds, which only CPUs reach.
    Software,
    /// In dma-bufs, which devices reach too.
    Linux,
}

impl Backend {
    /// The words of the command line.
    pub const WORDS: [&'static str; 2] = ["software", "linux"];

    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Linux => "linux",
        }
    }

    /// The backend of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Software, Self::Linux].into_iter().find(|backend| backend.word() == word)
    }
}

/// A device of the kernel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Its node.
    pub node: PathBuf,
    /// Driver, and for a screen the connector and its mode.
    pub what: String,
}

impl std::fmt::Display for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.what, self.node.display())
    }
}

impl Plan {
    /// Finds and tries devices and memory. `backend`: what was asked for; without it the software, unless some participant is a
    /// device of the kernel's.
    ///
    /// # Errors
    /// [`Refusal`]: a device or a source of memory is not there, cannot be opened, or does not take what was agreed on.
    pub fn place(&mut self, backend: Option<Backend>) -> Result<(), Refusal> {
        let real = self.parties.iter().find(|party| party.participant.kind.needs_linux());
        match (backend, real) {
            (Some(Backend::Software), Some(party)) => {
                return Err(Refusal(format!(
                    "{} is a {}, a device of the kernel's, which reaches dma-bufs only; what helps: --backend linux",
                    party.participant.name,
                    party.participant.kind.word()
                )));
            }
            (None | Some(Backend::Software), None) => return Ok(()),
            _ => self.backend = Backend::Linux,
        }
        for index in 0..self.parties.len() {
            let hardware = self.find(index)?;
            if let Some(party) = self.parties.get_mut(index) {
                party.hardware = hardware;
            }
        }
        for index in 0..self.parties.len() {
            self.try_memory(index)?;
        }
        // Queues last: their surfaces' layouts are known to be made.
        (0..self.parties.len()).try_for_each(|index| self.try_device(index))
    }

    /// The device of a participant, opened and closed again.
    fn find(&self, index: usize) -> Result<Option<Hardware>, Refusal> {
        let Some(party) = self.parties.get(index) else { return Ok(None) };
        let refused = |error: Error| unavailable(&party.participant.name, &error);
        let node = party.participant.node.as_deref();
        match party.participant.kind {
            Kind::Camera => queue(node, Direction::Capture).map(Some).map_err(refused),
            Kind::Output => queue(node, Direction::Output).map(Some).map_err(refused),
            Kind::Screen => {
                let card = node.map_or_else(scanout::card, Card::open).map_err(refused)?;
                let screen = Scanout::<Lease>::open(card, Some(party.extent)).map_err(refused)?;
                let what = format!("{} {} of {}", screen.connector(), screen.extent(), screen.card().driver());
                Ok(Some(Hardware { node: screen.card().path().to_owned(), what }))
            }
            _ => Ok(None),
        }
    }

    /// Decides on the source of a producer's memory and makes one surface of it.
    fn try_memory(&mut self, index: usize) -> Result<(), Refusal> {
        let screens: Vec<PathBuf> = self
            .readers_of(index)
            .filter_map(|reader| self.parties.get(reader))
            .filter(|reader| reader.participant.kind == Kind::Screen)
            .filter_map(|reader| reader.hardware.as_ref().map(|hardware| hardware.node.clone()))
            .collect();
        // A screen may show nothing but buffers of its own card, and everybody reads those.
        let source =
            screens.first().map_or(Source::Udmabuf, |node| Source::Dumb { node: FilePath::from(node.as_path()) });
        let Some(party) = self.parties.get_mut(index) else { return Ok(()) };
        let Some(agreement) = &party.agreement else { return Ok(()) };
        let name = party.participant.name.clone();
        let refused = |error: Error| unavailable(&name, &error);
        let backend = source.open().map_err(refused)?;
        party.allocator = backend.name();
        party.source = source;
        let options = Options { backend, ..Options::default() };
        let surfaces = allocate(party.device, agreement, &options).map_err(refused)?;
        for surface in &surfaces {
            for screen in &screens {
                let card = Card::open(screen).map_err(refused)?;
                Scanout::<Lease>::open(card, Some(party.extent))
                    .and_then(|mut screen| screen.test(surface))
                    .map_err(refused)?;
            }
        }
        Ok(())
    }

    /// Sets a video device to the layout that it will have surfaces of.
    fn try_device(&self, index: usize) -> Result<(), Refusal> {
        let Some(party) = self.parties.get(index) else { return Ok(()) };
        let (producer, direction) = match party.participant.kind {
            Kind::Camera => (index, Direction::Capture),
            Kind::Output => match party.participant.reads.first() {
                Some(producer) => (*producer, Direction::Output),
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        let (Some(hardware), Some(producer)) = (&party.hardware, self.parties.get(producer)) else { return Ok(()) };
        let Some(layout) = producer.layout() else { return Ok(()) };
        let layout = layout.map_err(|error| unavailable(&party.participant.name, &error))?;
        VideoQueue::<Lease>::open(&hardware.node, direction)
            .and_then(|mut queue| queue.set_layout(&layout, producer.participant.surfaces))
            .map_err(|error| unavailable(&party.participant.name, &error))
    }

    /// Those who share the surfaces of a producer.
    fn readers_of(&self, producer: usize) -> impl Iterator<Item = usize> + '_ {
        self.edges.iter().filter(move |edge| edge.producer == producer && !edge.copies).map(|edge| edge.reader)
    }
}

impl super::plan::Party {
    /// The layout of its surfaces, linear as the kernel's devices want it. `None`: nobody shares them, or it is another.
    fn layout(&self) -> Option<handover::Result<Layout>> {
        let agreement = self.agreement.as_ref().filter(|agreement| agreement.modifier == Modifier::LINEAR)?;
        Some(Layout::linear(agreement.format?, agreement.extent, agreement.constraints()))
    }
}

fn queue(node: Option<&Path>, direction: Direction) -> handover::Result<Hardware> {
    let node = match node {
        Some(node) => node.to_owned(),
        None => v4l2::nodes(direction)?.into_iter().next().unwrap_or_default(),
    };
    let queue = VideoQueue::<Lease>::open(&node, direction)?;
    Ok(Hardware { what: format!("{} ({})", queue.card(), queue.driver()), node })
}

fn unavailable(name: &str, error: &Error) -> Refusal {
    Refusal(format!(
        "{name} cannot run on the backend linux here\n  {error}\n  `handover devices` shows what this machine has, and what would help; `node` of a participant names another device"
    ))
}
