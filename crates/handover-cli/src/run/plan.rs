//! From a checked pipeline to a plan: how large, which format, how many frames, who reads whom. Pure: nothing has started.

use handover::backend::{Backend as _, Software};
use handover::negotiate::{Agreement, Offer, SurfaceUsages, negotiate};
use handover::{Device, Extent, Kind as ErrorKind};

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
}

/// One participant.
#[derive(Debug, Clone)]
pub struct Party {
    /// As the pipeline has it.
    pub participant: Participant,
    /// Its simulated device.
    pub device: Device,
    /// Width and height of its surfaces, or for one that only reads of what it reads.
    pub extent: Extent,
    /// What it agreed on with those who share its surfaces. `None`: nobody does.
    pub agreement: Option<Agreement>,
    /// Tiles in a row and the extent of a tile, for a blend.
    pub grid: Option<(u32, Extent)>,
    /// Where the memory of its surfaces comes from. Decided by [`Plan::place`], as is what follows.
    pub source: Source,
    /// What the source is called: "software", "udmabuf", "dumb buffers of virtio_gpu".
    pub allocator: String,
    /// The device of the kernel's that it uses. `None`: its device is simulated.
    pub hardware: Option<Hardware>,
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
        let order = pipeline.producers_first();
        let edges = edges(pipeline, &order);
        let extents = sizes::extents(pipeline, clip.map(Clip::extent))?;
        let mut parties = Vec::new();
        for (index, participant) in pipeline.participants.iter().enumerate() {
            let Some(extent) = extents.get(&index).copied() else {
                return Err(Refusal(format!("{} cannot run: its extent follows from itself", participant.name)));
            };
            if let Kind::Encoder(_) = participant.kind {
                Encoder::coded(extent).map_err(|error| Refusal(format!("{} cannot run: {error}", participant.name)))?;
            }
            let readers = edges.iter().filter(|edge| edge.producer == index && !edge.copies).map(|edge| edge.reader);
            parties.push(Party {
                device: device(participant)?,
                extent,
                agreement: agree(pipeline, participant, readers, extent)?,
                grid: (participant.kind == Kind::Blend).then(|| sizes::grid(pipeline, &extents, index)).transpose()?,
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
        let plan = Self { name: pipeline.name.clone(), frames, rate, parties, edges, backend: Backend::Software };
        budget::check_memory(&plan)?;
        Ok(plan)
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
                edges.push(Edge { turn: edges.len(), producer, reader: index, copies, mailbox });
            }
        }
    }
    edges
}

fn device(participant: &Participant) -> Result<Device, Refusal> {
    let name = participant.device.word();
    Device::from_name(name)
        .ok_or_else(|| Refusal(format!("{} cannot run: there is no device {name}", participant.name)))
}

/// The producer's offer against those of all who share its surfaces.
fn agree(
    pipeline: &Pipeline,
    producer: &Participant,
    readers: impl Iterator<Item = usize>,
    extent: Extent,
) -> Result<Option<Agreement>, Refusal> {
    // A V4L2 device has no word for what it does; the others draw.
    let makes =
        if producer.kind == Kind::Camera { SurfaceUsages::WRITE } else { SurfaceUsages::WRITE | SurfaceUsages::RENDER };
    let mut offers = vec![offer(producer, makes)?];
    for reader in readers.filter_map(|reader| pipeline.participants.get(reader)) {
        let more = match reader.kind {
            Kind::Encoder(_) => SurfaceUsages::ENCODE,
            Kind::Screen => SurfaceUsages::SCANOUT,
            _ => SurfaceUsages::empty(),
        };
        offers.push(offer(reader, SurfaceUsages::READ | more)?);
    }
    if offers.len() < 2 {
        return Ok(None);
    }
    negotiate(extent, &offers).map(Some).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::Conflict(_) => "and those who read it have no format in common",
            _ => "cannot be read",
        };
        Refusal(format!("{} {what}\n  {error}", producer.name))
    })
}

fn offer(participant: &Participant, usages: SurfaceUsages) -> Result<Offer, Refusal> {
    Ok(device(participant)?.offer(&participant.name, &participant.formats, usages))
}
