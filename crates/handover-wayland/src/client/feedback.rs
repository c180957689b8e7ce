//! What a compositor takes, as it says: the events of linux-dmabuf feedback, collected and checked.

use std::os::fd::OwnedFd;

use handover::negotiate::{Offer, OfferEntry};
use handover::{Error, Format, Fourcc, Kind, Modifier, Result, Stage, SurfaceUsages};

use crate::DeviceId;
use crate::table::{self, Pair};

/// What a compositor takes, in its order of preference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Feedback {
    /// The device that the compositor draws with. `None`: a compositor with version 3 of the protocol does not say.
    pub main_device: Option<DeviceId>,
    /// The best first.
    pub tranches: Vec<Tranche>,
}

/// Pairs of format and modifier that are equally good.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tranche {
    /// The device that will use the buffer first. `None` as [`Feedback::main_device`].
    pub target_device: Option<DeviceId>,
    /// Buffers of this tranche may be shown by the display itself, without a copy.
    pub scanout: bool,
    /// Formats and modifiers, also those that this library has no name for.
    pub pairs: Vec<(Fourcc, Modifier)>,
}

/// A pair that no offer has, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// The format's code.
    pub format: Fourcc,
    /// The modifier.
    pub modifier: Modifier,
    /// In words.
    pub why: &'static str,
}

impl Feedback {
    /// What the compositor can do, as a party to a negotiation.
    ///
    /// Formats that this library has no description of, and implicit modifiers, are no part of it; [`left_out`](Self::left_out) lists
    /// them. The protocol has no word for alignments, so a compositor may still refuse a surface.
    pub fn offer(&self, party: &str) -> Offer {
        let mut entries: Vec<OfferEntry> = Vec::new();
        for (tranche, pair) in self.pairs() {
            let (Ok(format), modifier) = (known(pair), pair.1) else { continue };
            let mut entry = OfferEntry::new(Some(format), modifier);
            if entries.iter().any(|earlier| earlier.candidate() == entry.candidate()) {
                continue;
            }
            entry.usages = SurfaceUsages::READ | SurfaceUsages::SAMPLE;
            entry.usages.set(SurfaceUsages::SCANOUT, tranche.scanout);
            entries.push(entry);
        }
        Offer { party: party.to_owned(), entries }
    }

    /// The pairs that [`offer`](Self::offer) has no entry for.
    pub fn left_out(&self) -> Vec<LeftOut> {
        let pairs = self.pairs().map(|(_, pair)| pair);
        pairs
            .filter_map(|pair| known(pair).err().map(|why| LeftOut { format: pair.0, modifier: pair.1, why }))
            .collect()
    }

    /// Does the compositor take this pair?
    pub fn takes(&self, format: Fourcc, modifier: Modifier) -> bool {
        self.pairs().any(|(_, pair)| pair == (format, modifier))
    }

    /// The modifiers that it takes with a format.
    pub fn modifiers(&self, format: Fourcc) -> Vec<Modifier> {
        let mut modifiers = Vec::new();
        for (_, (_, modifier)) in self.pairs().filter(|(_, pair)| pair.0 == format) {
            if !modifiers.contains(&modifier) {
                modifiers.push(modifier);
            }
        }
        modifiers
    }

    fn pairs(&self) -> impl Iterator<Item = (&Tranche, Pair)> {
        self.tranches.iter().flat_map(|tranche| tranche.pairs.iter().map(move |pair| (tranche, *pair)))
    }

    /// The device in words, for messages.
    pub(super) fn device(&self) -> String {
        self.main_device.map_or("an unnamed device".into(), |device| format!("device {device}"))
    }
}

fn known((format, modifier): Pair) -> Result<Format, &'static str> {
    if modifier == Modifier::INVALID {
        return Err("an implicit modifier means something else to each device");
    }
    Format::from_fourcc(format).ok_or("this library has no description of the format")
}

/// The events of one feedback object, until `done` makes them a [`Feedback`].
#[derive(Debug, Default)]
pub(super) struct Collector {
    /// Stays, also for later rounds that do not send it again.
    table: Vec<Pair>,
    coming: Feedback,
    tranche: Tranche,
    /// Of this round, the first.
    wrong: Option<Error>,
}

impl Collector {
    pub(super) fn table(&mut self, file: OwnedFd, size: u32) {
        match table::read(file, size) {
            Ok(table) => self.table = table,
            Err(error) => self.note(error),
        }
    }

    pub(super) fn main_device(&mut self, bytes: &[u8]) {
        match DeviceId::from_bytes(bytes) {
            Ok(device) => self.coming.main_device = Some(device),
            Err(error) => self.note(error),
        }
    }

    pub(super) fn target_device(&mut self, bytes: &[u8]) {
        match DeviceId::from_bytes(bytes) {
            Ok(device) => self.tranche.target_device = Some(device),
            Err(error) => self.note(error),
        }
    }

    pub(super) fn scanout(&mut self) {
        self.tranche.scanout = true;
    }

    pub(super) fn pairs(&mut self, list: &[u8]) {
        match table::choose(&self.table, list) {
            Ok(pairs) => self.tranche.pairs.extend(pairs),
            Err(error) => self.note(error),
        }
    }

    pub(super) fn tranche_done(&mut self) {
        let tranche = std::mem::take(&mut self.tranche);
        self.coming.tranches.push(tranche);
    }

    /// The round is complete.
    pub(super) fn done(&mut self) -> Result<Feedback> {
        let feedback = std::mem::take(&mut self.coming);
        self.tranche = Tranche::default();
        match self.wrong.take() {
            Some(error) => Err(error),
            None if feedback.main_device.is_none() => Err(Error::new(Stage::Negotiate, Kind::Malformed)
                .asked("the feedback of a compositor")
                .found("none of its devices")),
            None => Ok(feedback),
        }
    }

    fn note(&mut self, error: Error) {
        self.wrong.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use handover::{Format, Fourcc, Modifier, SurfaceUsages};

    use super::{Collector, Feedback, Tranche};
    use crate::{DeviceId, table};

    const XR24: Fourcc = Fourcc::from_chars(*b"XR24");
    const YUYV: Fourcc = Fourcc::from_chars(*b"YUYV");

    #[test]
    fn tranches_become_an_offer_in_their_order_and_what_is_left_out_shows() {
        let tiled = Modifier(0x0100_0000_0000_0001);
        let scanout = Tranche { target_device: None, scanout: true, pairs: vec![(XR24, Modifier::LINEAR)] };
        let pairs = vec![(XR24, tiled), (XR24, Modifier::LINEAR), (YUYV, Modifier::LINEAR), (XR24, Modifier::INVALID)];
        let feedback = Feedback { main_device: None, tranches: vec![scanout, Tranche { pairs, ..Tranche::default() }] };
        let offer = feedback.offer("compositor");
        let entries: Vec<_> = offer.entries.iter().map(|entry| (entry.format, entry.modifier)).collect();
        assert_eq!(entries, [(Some(Format::XRGB8888), Modifier::LINEAR), (Some(Format::XRGB8888), tiled)]);
        assert!(offer.entries[0].usages.contains(SurfaceUsages::SCANOUT));
        assert!(!offer.entries[1].usages.contains(SurfaceUsages::SCANOUT));
        let left_out: Vec<_> = feedback.left_out().iter().map(|left| (left.format, left.modifier)).collect();
        assert_eq!(left_out, [(YUYV, Modifier::LINEAR), (XR24, Modifier::INVALID)]);
        assert!(feedback.takes(YUYV, Modifier::LINEAR) && !feedback.takes(YUYV, tiled));
        assert_eq!(feedback.modifiers(XR24), [Modifier::LINEAR, tiled, Modifier::INVALID]);
    }

    #[test]
    fn a_round_that_lies_is_refused_and_the_next_may_be_right() {
        let mut collector = Collector::default();
        let (memory, size) = table::file(&[(XR24, Modifier::LINEAR)]).unwrap();
        collector.table(memory, size);
        let device = DeviceId(0xe200);
        collector.main_device(&device.to_bytes());
        collector.pairs(&1u16.to_ne_bytes());
        collector.tranche_done();
        assert!(collector.done().unwrap_err().to_string().contains("position 1"));
        collector.pairs(&0u16.to_ne_bytes());
        collector.tranche_done();
        assert!(collector.done().is_err(), "without a device");
        collector.main_device(&device.to_bytes());
        collector.target_device(&device.to_bytes());
        collector.pairs(&0u16.to_ne_bytes());
        collector.scanout();
        collector.tranche_done();
        let feedback = collector.done().unwrap();
        assert_eq!(feedback.main_device, Some(device));
        assert!(feedback.tranches[0].scanout && feedback.takes(XR24, Modifier::LINEAR));
    }
}
