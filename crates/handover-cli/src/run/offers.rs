//! What participants offer, and what a producer and its readers agree on.
//!
//! Simulated devices are known by their name. A real one has to be asked, so a producer with one in its party is negotiated when the
//! plan is [placed](super::Plan::place), not when it is made.

use std::time::Duration;

use handover::negotiate::{Agreement, Offer, SurfaceUsages, negotiate};
use handover::{Deadline, Device, Extent, Kind as ErrorKind, Modifier};
use handover_vulkan::Gpu;
use handover_wayland::client::{Client, Feedback};

use super::other_device::{self, OtherDevice};
use super::plan::Refusal;
use crate::pipeline::{self, Kind, Participant};

/// How long a compositor may take to say what it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Must a device of this participant be asked what it can do?
pub(super) fn is_asked(participant: &Participant) -> bool {
    participant.device == pipeline::Device::Vulkan || matches!(participant.kind, Kind::Window { .. })
}

/// The device by whose rules its surfaces are read and written on the CPU.
pub(super) fn device(participant: &Participant) -> Device {
    match participant.device {
        pipeline::Device::Vulkan => Device::DRIVER,
        pipeline::Device::Simulated(device) => device,
    }
}

/// What a producer allocates.
#[derive(Debug, Clone, Default)]
pub(super) struct Agreed {
    /// What it shares. `None`: nobody reads its surfaces.
    pub(super) shared: Option<Agreement>,
    /// What it draws into, to copy it from there into what it shares. `None`: it draws into that.
    pub(super) private: Option<Agreement>,
}

/// The producer's offer against those of all who share its surfaces.
pub(super) fn agree(
    producer: &Participant,
    readers: &[&Participant],
    extent: Extent,
    devices: &Devices,
    other: Option<OtherDevice>,
) -> Result<Agreed, Refusal> {
    // A V4L2 device has no word for what it does; the others draw.
    let makes = match producer.kind {
        Kind::Camera => SurfaceUsages::WRITE,
        _ if producer.device == pipeline::Device::Vulkan => SurfaceUsages::RENDER,
        _ => SurfaceUsages::WRITE | SurfaceUsages::RENDER,
    };
    let linear = other_device::asks_linear(other, producer, readers);
    let mut own = devices.offer(producer, makes);
    own.entries.retain(|entry| !linear || entry.modifier == Modifier::LINEAR);
    let mut offers = vec![own];
    for reader in readers {
        let reads = match reader.kind {
            Kind::Encoder(_) => SurfaceUsages::READ | SurfaceUsages::ENCODE,
            Kind::Screen => SurfaceUsages::READ | SurfaceUsages::SCANOUT,
            Kind::Window { .. } => SurfaceUsages::SAMPLE,
            _ if reader.device == pipeline::Device::Vulkan => SurfaceUsages::SAMPLE,
            _ => SurfaceUsages::READ,
        };
        offers.push(devices.offer(reader, reads));
    }
    if offers.len() < 2 {
        return Ok(Agreed::default());
    }
    let shared = negotiate(extent, &offers).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::Conflict(_) => "and those who read it have no format in common",
            _ => "cannot be read",
        };
        Refusal(format!("{} {what}\n  {error}", producer.name))
    })?;
    let private = if linear { other_device::private(producer, &shared, extent)? } else { None };
    Ok(Agreed { shared: Some(shared), private })
}

/// Real devices, each opened once to be asked.
#[derive(Debug, Default)]
pub(super) struct Devices {
    gpus: Vec<(Option<String>, Gpu)>,
    /// Of the one Wayland compositor that runs.
    feedback: Option<Feedback>,
}

impl Devices {
    /// Opens the device of a participant, if it has one that must be asked.
    pub(super) fn open(&mut self, participant: &Participant) -> handover::Result<()> {
        if matches!(participant.kind, Kind::Window { .. }) && self.feedback.is_none() {
            self.feedback = Some(Client::connect(Deadline::after(PATIENCE))?.feedback().clone());
        }
        if participant.device != pipeline::Device::Vulkan || self.gpu(participant).is_some() {
            return Ok(());
        }
        let options = handover_vulkan::Options { name: participant.gpu.clone(), ..Default::default() };
        self.gpus.push((participant.gpu.clone(), Gpu::open(&options)?));
        Ok(())
    }

    /// The device of Vulkan of a participant. `None`: it uses none, or it is not open.
    pub(super) fn gpu(&self, participant: &Participant) -> Option<&Gpu> {
        let is_vulkan = participant.device == pipeline::Device::Vulkan;
        self.gpus.iter().find(|(name, _)| is_vulkan && *name == participant.gpu).map(|(_, gpu)| gpu)
    }

    /// What the Wayland compositor takes. `None`: nobody shows anything there.
    pub(super) fn feedback(&self) -> Option<&Feedback> {
        self.feedback.as_ref()
    }

    fn offer(&self, participant: &Participant, usages: SurfaceUsages) -> Offer {
        let (name, formats) = (&participant.name, &participant.formats);
        if let (Kind::Window { .. }, Some(feedback)) = (&participant.kind, &self.feedback) {
            let mut offer = feedback.offer(name);
            offer.entries.retain(|entry| entry.format.is_some_and(|format| formats.contains(&format)));
            return offer;
        }
        match self.gpu(participant) {
            Some(gpu) => gpu.offer(name, formats, usages),
            None => device(participant).offer(name, formats, usages),
        }
    }
}
