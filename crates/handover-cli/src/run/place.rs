//! Where a plan runs: the real device of everybody who uses one, and the source of memory for every producer. All of it is tried here,
//! so that what this machine has not got is refused before anything starts.

use std::path::{Path, PathBuf};

use handover::backend::linux::Card;
use handover::backend::linux::scanout::{self, Scanout};
use handover::backend::linux::v4l2::{self, Direction, VideoQueue};
use handover::{Error, Layout, Lease, Modifier};

use super::budget;
use super::offers::{self, Devices};
use super::plan::{Edge, Plan, Refusal};
use crate::pipeline::{Device, Kind};

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

/// A real device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Its node, where it is opened by one.
    pub node: Option<PathBuf>,
    /// Driver, and for a screen the connector and its mode; for a device of Vulkan what its driver calls it.
    pub what: String,
}

impl std::fmt::Display for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{} ({})", self.what, node.display()),
            None => f.write_str(&self.what),
        }
    }
}

impl Plan {
    /// Finds and tries devices and memory, and negotiates where a device had to be asked. `backend`: what was asked for; without it the
    /// software, unless some participant is a real device.
    ///
    /// # Errors
    /// [`Refusal`]: a device or a source of memory is not there, cannot be opened, or does not take what was agreed on; or those who
    /// share surfaces have no format in common.
    pub fn place(&mut self, backend: Option<Backend>) -> Result<(), Refusal> {
        let real = self.parties.iter().find(|party| party.participant.needs_linux());
        match (backend, real) {
            (Some(Backend::Software), Some(party)) => {
                let what = match party.participant.device {
                    Device::Vulkan => "draws by Vulkan".to_owned(),
                    _ if matches!(party.participant.kind, Kind::Window { .. }) => {
                        "is a window of a compositor".to_owned()
                    }
                    _ => format!("is a {}, a device of the kernel's", party.participant.kind.word()),
                };
                return Err(Refusal(format!(
                    "{} {what}, which reaches dma-bufs only; what helps: --backend linux",
                    party.participant.name
                )));
            }
            (None | Some(Backend::Software), None) => return Ok(()),
            _ => self.backend = Backend::Linux,
        }
        let mut devices = Devices::default();
        for index in 0..self.parties.len() {
            let hardware = self.find(index, &mut devices)?;
            if let Some(party) = self.parties.get_mut(index) {
                party.hardware = hardware;
            }
        }
        (0..self.parties.len()).try_for_each(|index| self.agree(index, &devices))?;
        // Those who were asked are in the sum only now.
        budget::check_memory(self)?;
        (0..self.parties.len()).try_for_each(|index| self.try_memory(index, &devices))?;
        // Queues last: their surfaces' layouts are known to be made.
        (0..self.parties.len()).try_for_each(|index| self.try_device(index))
    }

    /// What a producer and its readers agree on, if one of them had to be asked.
    fn agree(&mut self, index: usize, devices: &Devices) -> Result<(), Refusal> {
        let Some(party) = self.parties.get(index).filter(|party| party.participant.kind.produces()) else {
            return Ok(());
        };
        let readers = self.readers_of(index).filter_map(|reader| Some(&self.parties.get(reader)?.participant));
        let readers: Vec<_> = readers.collect();
        if !offers::is_asked(&party.participant) && !readers.iter().any(|reader| offers::is_asked(reader)) {
            return Ok(());
        }
        let agreed = offers::agree(&party.participant, &readers, party.extent, devices, self.other_device)?;
        if let Some(party) = self.parties.get_mut(index) {
            (party.agreement, party.private) = (agreed.shared, agreed.private);
        }
        Ok(())
    }

    /// The device of a participant, opened; those of the kernel are closed again.
    fn find(&self, index: usize, devices: &mut Devices) -> Result<Option<Hardware>, Refusal> {
        let Some(party) = self.parties.get(index) else { return Ok(None) };
        let refused = |error: Error| unavailable(&party.participant.name, &error);
        let node = party.participant.node.as_deref();
        devices.open(&party.participant).map_err(refused)?;
        if let Some(gpu) = devices.gpu(&party.participant) {
            return Ok(Some(Hardware { node: None, what: gpu.report().device.clone() }));
        }
        match party.participant.kind {
            Kind::Window { .. } => Ok(Some(Hardware { node: None, what: "the Wayland compositor".into() })),
            Kind::Camera => queue(node, Direction::Capture).map(Some).map_err(refused),
            Kind::Output => queue(node, Direction::Output).map(Some).map_err(refused),
            Kind::Screen => {
                let card = node.map_or_else(scanout::card, Card::open).map_err(refused)?;
                let screen = Scanout::<Lease>::open(card, Some(party.extent)).map_err(refused)?;
                let what = format!("{} {} of {}", screen.connector(), screen.extent(), screen.card().driver());
                Ok(Some(Hardware { node: Some(screen.card().path().to_owned()), what }))
            }
            _ => Ok(None),
        }
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
        let node = party.hardware.as_ref().and_then(|hardware| hardware.node.as_ref());
        let (Some(node), Some(producer)) = (node, self.parties.get(producer)) else { return Ok(()) };
        let Some(layout) = producer.layout() else { return Ok(()) };
        let layout = layout.map_err(|error| unavailable(&party.participant.name, &error))?;
        VideoQueue::<Lease>::open(node, direction)
            .and_then(|mut queue| queue.set_layout(&layout, producer.participant.surfaces))
            .map_err(|error| unavailable(&party.participant.name, &error))
    }

    /// Those who share the surfaces of a producer's pool.
    pub(super) fn readers_of(&self, producer: usize) -> impl Iterator<Item = usize> + '_ {
        let shares = move |edge: &&Edge| edge.producer == producer && !edge.copies && !edge.interop;
        self.edges.iter().filter(shares).map(|edge| edge.reader)
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
    Ok(Hardware { what: format!("{} ({})", queue.card(), queue.driver()), node: Some(node) })
}

pub(super) fn unavailable(name: &str, error: &Error) -> Refusal {
    Refusal(format!(
        "{name} cannot run on the backend linux here\n  {error}\n  `handover devices` shows what this machine has, and what would help; `node` or `gpu` of a participant names another device"
    ))
}
