//! From a checked pipeline to a plan: how large, which format, how many frames, who reads whom. Pure: nothing has started.

use handover::backend::{Backend as _, Software};
use handover::negotiate::Agreement;
use handover::{Device, Extent};

use super::offers::{self, Agreed, Devices};
use super::other_device::{self, OtherDevice};
use super::place::{Backend, Hardware};
use super::{budget, sizes};
use crate::media::Rate;
use crate::media::h264::Encoder;
use crate::media::mp4::Clip;
use crate::participant::job::Source;
use crate::pipeline::{DEFAULT_FRAMES, Kind, Mode, Participant, Pipeline};

/// A run, decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the pipeline.
    pub name: String,
    /// Frames of the whole run, at least 1.
    pub frames: u64,
    /// Frames a second, for clocks and videos. The run itself goes as fast as its readers take frames.
    pub rate: Rate,
    /// In the order of the pipeline.
    pub parties: Vec<Party>,
    /// Who reads whom, in the one order in which everybody sets up streams.
    pub edges: Vec<Edge>,
    /// Where surfaces live.
    pub backend: Backend,
    /// What is shared where a reader is another device than the producer.
    pub other_device: Option<OtherDevice>,
    /// The bit of every address that decoders get wrong, to show that this shows.
    pub flip_decoder_bit: Option<u32>,
}

/// One participant.
#[derive(Debug, Clone)]
pub struct Party {
    /// As the pipeline has it; on a device with a decoder where [`OtherDevice::Decode`] gives it one.
    pub participant: Participant,
    /// Its device: a simulated one, or the rules of a real one's driver.
    pub device: Device,
    /// Width and height of its surfaces, or for one that only reads of what it reads.
    pub extent: Extent,
    /// What it agreed on with those who share its surfaces. `None`: nobody does; or, before [`Plan::place`], one of them is a real device
    /// that has not been asked.
    pub agreement: Option<Agreement>,
    /// What it draws into, if it copies from there into what it shares ([`OtherDevice::Linear`]).
    pub private: Option<Agreement>,
    /// Tiles in a row and the extent of a tile, for a blend.
    pub grid: Option<(u32, Extent)>,
    /// Where the memory of its surfaces comes from. Decided by [`Plan::place`], as is what follows.
    pub source: Source,
    /// What the source is called: "software", "udmabuf", "dumb buffers of virtio_gpu".
    pub allocator: String,
    /// The real device that it uses. `None`: its device is simulated.
    pub hardware: Option<Hardware>,
}

impl Party {
    /// Its device in words: simulated, and it says so, or the driver and the node.
    pub fn device_text(&self) -> String {
        self.hardware.as_ref().map_or(self.device.to_string(), ToString::to_string)
    }
}

/// One reader of one producer, as indices of parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Its place in [`Plan::edges`].
    pub turn: usize,
    /// Who makes the frames.
    pub producer: usize,
    /// Who reads them.
    pub reader: usize,
    /// Through a socket, instead of sharing surfaces.
    pub copies: bool,
    /// The newest frame instead of every frame.
    pub mailbox: bool,
    /// Object by object, as the sides of an interop do, instead of frames of one pool.
    pub interop: bool,
}

/// Why a pipeline cannot run, in one message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl Plan {
    /// Decides everything that needs no look at the machine, on the software backend; [`Plan::place`] does the rest. `clip` is what participants of kind clip
    /// decode; `frames` bounds the run further.
    ///
    /// # Errors
    /// [`Refusal`]: two parties have no format in common (it shows the conflict), a picture is too large for its encoder, or
    /// all pictures together are too large for a run.
    ///
    /// ```
    /// use handover_cli::media::mp4::Clip;
    /// use handover_cli::pipeline::Pipeline;
    /// use handover_cli::run::Plan;
    /// let clip = Clip::from_bytes(Clip::DEFAULT_NAME, Clip::DEFAULT)?;
    /// let plan = Plan::of(&Pipeline::load(None)?, Some(&clip), Some(25))?;
    /// assert_eq!((plan.frames, plan.parties.len(), plan.edges.len()), (25, 6, 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(pipeline: &Pipeline, clip: Option<&Clip>, frames: Option<u64>) -> Result<Self, Refusal> {
        Self::with_other_device(pipeline, clip, frames, None)
    }

    /// As [`of`](Self::of), with a word on what is shared where a reader is another device than the producer.
    ///
    /// # Errors
    /// As those of [`of`](Self::of).
    pub fn with_other_device(
        pipeline: &Pipeline,
        clip: Option<&Clip>,
        frames: Option<u64>,
        other_device: Option<OtherDevice>,
    ) -> Result<Self, Refusal> {
        let order = pipeline.producers_first();
        let edges = edges(pipeline, &order);
        let extents = sizes::extents(pipeline, clip.map(Clip::extent))?;
        let mut parties = Vec::new();
        let participants = other_device::participants(pipeline, other_device);
        for (index, participant) in participants.iter().enumerate() {
            let Some(extent) = extents.get(&index).copied() else {
                return Err(Refusal(format!("{} cannot run: its extent follows from itself", participant.name)));
            };
            if let Kind::Encoder(_) = participant.kind {
                Encoder::coded(extent).map_err(|error| Refusal(format!("{} cannot run: {error}", participant.name)))?;
            }
            let readers = edges.iter().filter(|edge| edge.producer == index && !edge.copies && !edge.interop);
            let readers: Vec<&Participant> = readers.filter_map(|edge| participants.get(edge.reader)).collect();
            for edge in edges.iter().filter(|edge| edge.interop && edge.producer == index) {
                let reader = participants.get(edge.reader);
                reader.map_or(Ok(()), |reader| other_device::check_interop(other_device, participant, reader))?;
            }
            let must_ask = offers::is_asked(participant) || readers.iter().any(|reader| offers::is_asked(reader));
            let agreed = match must_ask {
                true => Agreed::default(),
                false => offers::agree(participant, &readers, extent, &Devices::default(), other_device)?,
            };
            parties.push(Party {
                device: offers::device(participant),
                extent,
                agreement: agreed.shared,
                private: agreed.private,
                grid: matches!(participant.kind, Kind::Blend | Kind::OpenGl)
                    .then(|| sizes::grid(pipeline, &extents, index))
                    .transpose()?,
                participant: participant.clone(),
                source: Source::Software,
                allocator: Software.name(),
                hardware: None,
            });
        }
        let clip_frames = clip.map(|clip| clip.frames() as u64);
        let asked = frames.or(pipeline.frames);
        let frames = match (asked, clip_frames) {
            (Some(asked), Some(clip)) => asked.min(clip),
            (asked, clip) => asked.or(clip).unwrap_or(DEFAULT_FRAMES),
        };
        let rate = pipeline.rate.or(clip.map(Clip::rate)).unwrap_or(Rate::DEFAULT);
        let plan = Self {
            name: pipeline.name.clone(),
            frames,
            rate,
            parties,
            edges,
            backend: Backend::Software,
            other_device,
            flip_decoder_bit: None,
        };
        budget::check_memory(&plan)?;
        Ok(plan)
    }

    /// Was LINEAR asked for the surfaces that this producer shares?
    pub(super) fn asks_linear(&self, producer: usize) -> bool {
        let readers = self.readers_of(producer).filter_map(|reader| self.parties.get(reader));
        let readers: Vec<&Participant> = readers.map(|party| &party.participant).collect();
        let producer = self.parties.get(producer).map(|party| &party.participant);
        producer.is_some_and(|producer| other_device::asks_linear(self.other_device, producer, &readers))
    }

    /// Is what goes over this edge hashed at both ends? Where a simulated chip lays pixels out, or devices differ on purpose: there one
    /// wrong address would change the picture and nothing else. Not for mailboxes, which pass frames over.
    pub(super) fn is_hashed(&self, edge: Edge) -> bool {
        let mut ends = [edge.producer, edge.reader].into_iter().filter_map(|end| self.parties.get(end));
        let is_chip = |party: &Party| party.device.is_chip() && party.hardware.is_none();
        !edge.mailbox && !edge.copies && !edge.interop && (self.other_device.is_some() || ends.any(is_chip))
    }

    /// The edges that participant `index` reads by, in the order of its `reads`, and those it is read by.
    pub fn streams_of(&self, index: usize) -> (Vec<Edge>, Vec<Edge>) {
        let reads = self.parties.get(index).map(|party| party.participant.reads.as_slice()).unwrap_or_default();
        let mut inputs: Vec<Edge> = self.edges.iter().copied().filter(|edge| edge.reader == index).collect();
        inputs.sort_by_key(|edge| reads.iter().position(|read| *read == edge.producer));
        (inputs, self.edges.iter().copied().filter(|edge| edge.producer == index).collect())
    }
}

/// Every participant sets up its streams in this order, so that nobody waits for somebody who waits for it: producers
/// that come first in the way come first, and of one producer the readers in the order of the file.
fn edges(pipeline: &Pipeline, order: &[usize]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for &producer in order {
        for (index, reader) in pipeline.participants.iter().enumerate() {
            if reader.reads.contains(&producer) {
                let (copies, mailbox) = (reader.copies, reader.mode == Mode::Mailbox);
                let interop = matches!(reader.kind, Kind::Compute { .. });
                edges.push(Edge { turn: edges.len(), producer, reader: index, copies, mailbox, interop });
            }
        }
    }
    edges
}
