//! What is shared where a reader is another device than the producer.
//!
//! Two drivers that do not know each other's layouts meet in LINEAR. Window systems see to that today: they ask for it when they
//! allocate what is shared, the producer draws into a surface of its own, and every frame is copied. [`OtherDevice`] says whether a run
//! does the same, or has the reader decode what the producer makes.

use handover::negotiate::{Agreement, SurfaceUsages, negotiate};
use handover::{Extent, Modifier};

use super::plan::Refusal;
use crate::pipeline::{Device, Participant, Pipeline};

/// What the command line says about it. Without it, negotiation decides: the producer's best layout that all readers know already, which
/// may be LINEAR, and then it draws there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherDevice {
    /// LINEAR is asked for where surfaces are allocated that another device reads. The producer draws into a private surface of its best
    /// layout and copies each frame.
    Linear,
    /// The reader has a decoder of whatever a modifier determines, so what is shared has the producer's best layout of that kind.
    Decode,
}

impl OtherDevice {
    /// The words of the command line.
    pub const WORDS: [&'static str; 2] = ["linear", "decode"];

    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Decode => "decode",
        }
    }

    /// What this word means.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Linear, Self::Decode].into_iter().find(|other| other.word() == word)
    }
}

/// Are the two on different devices? Of a real one nothing is known here, and its driver decides.
fn differ(producer: &Participant, reader: &Participant) -> bool {
    let is_real = producer.needs_linux() || reader.needs_linux();
    match (producer.device, reader.device) {
        (Device::Simulated(ours), Device::Simulated(theirs)) => !is_real && ours.header() != theirs.header(),
        _ => false,
    }
}

/// Is LINEAR asked for what these share?
pub(super) fn asks_linear(other: Option<OtherDevice>, producer: &Participant, readers: &[&Participant]) -> bool {
    other == Some(OtherDevice::Linear) && readers.iter().any(|reader| differ(producer, reader))
}

/// Refuses LINEAR for what an interop shares: a texture has no modifier, and nobody is asked for one.
pub(super) fn check_interop(
    other: Option<OtherDevice>,
    producer: &Participant,
    reader: &Participant,
) -> Result<(), Refusal> {
    if other != Some(OtherDevice::Linear) || !differ(producer, reader) {
        return Ok(());
    }
    Err(Refusal(format!(
        "--other-device linear: {} imports what {} exports, a texture of another device's best layout; an interop negotiates no modifier, so \
         nothing can be LINEAR; what helps: --other-device decode",
        reader.name, producer.name
    )))
}

/// The participants, those with a decoder that are to have one. A device that reads a producer's best layout without keeps what it has.
pub(super) fn participants(pipeline: &Pipeline, other: Option<OtherDevice>) -> Vec<Participant> {
    let lacks = |reader: &Participant| {
        let producers = reader.reads.iter().filter_map(|read| pipeline.participants.get(*read));
        let mut foreign = producers.filter(|producer| !reader.copies && differ(producer, reader));
        foreign.any(|producer| match (producer.device, reader.device, producer.formats.first()) {
            (Device::Simulated(ours), Device::Simulated(theirs), Some(format)) => {
                ours.modifiers(*format).first().is_some_and(|best| !theirs.reads(*best))
            }
            _ => false,
        })
    };
    let decodes = |reader: &Participant| other == Some(OtherDevice::Decode) && lacks(reader);
    let mut participants = pipeline.participants.clone();
    for reader in participants.iter_mut().filter(|reader| decodes(reader)) {
        if let Device::Simulated(device) = reader.device {
            reader.device = Device::Simulated(device.with_decoder());
        }
    }
    participants
}

/// What a producer draws into that shares LINEAR surfaces because it was asked to: its best layout of the same format, which nobody else
/// has to know. `None`: that is LINEAR too.
pub(super) fn private(
    producer: &Participant,
    shared: &Agreement,
    extent: Extent,
) -> Result<Option<Agreement>, Refusal> {
    let (Device::Simulated(device), Some(format)) = (producer.device, shared.format) else { return Ok(None) };
    let offer = device.offer(&producer.name, &[format], SurfaceUsages::WRITE | SurfaceUsages::RENDER);
    let agreement = negotiate(extent, &[offer])
        .map_err(|error| Refusal(format!("{} has no layout for itself\n  {error}", producer.name)))?;
    Ok(Some(agreement).filter(|agreement| agreement.modifier != Modifier::LINEAR))
}
