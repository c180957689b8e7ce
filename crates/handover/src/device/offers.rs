//! What a device offers to a negotiation, as the maker of a surface or as a reader.

use handover_model::negotiate::{Offer, OfferEntry, SurfaceUsages};
use handover_model::{Bytes, Format, Modifier};

use super::tiled::Engine;
use super::{Device, Profile};

/// Rows that begin on a cache line: what simulated devices ask of linear surfaces that stand for no chip.
const LINEAR_STRIDE: Bytes = Bytes(64);

impl Device {
    /// What this device offers a negotiation under a party's name: every format of `formats` it can handle, each with the
    /// modifiers it makes (for WRITE or RENDER) or reads, best first.
    pub fn offer(self, party: &str, formats: &[Format], usages: SurfaceUsages) -> Offer {
        let makes = usages.intersects(SurfaceUsages::WRITE | SurfaceUsages::RENDER | SurfaceUsages::DECODE);
        let all = |format: Format| if makes { self.modifiers(format) } else { self.readable(format) };
        let entry = |format: Format, modifier: Modifier| {
            let stride_align = if modifier == Modifier::LINEAR { self.linear_stride(format) } else { Bytes(1) };
            OfferEntry { stride_align, usages, ..OfferEntry::new(Some(format), modifier) }
        };
        let entries = formats
            .iter()
            .flat_map(|&format| all(format).into_iter().map(move |modifier| (format, modifier)))
            .map(|(format, modifier)| entry(format, modifier))
            .collect();
        Offer { party: party.to_owned(), entries }
    }

    /// What it reads of this format, the best first: a plain reader that can decode more still prefers linear.
    fn readable(self, format: Format) -> Vec<Modifier> {
        // Of a display, those of its chip.
        let own = Self { engine: Engine::Renderer, ..self }.modifiers(format);
        let foreign = Self::simulated().flat_map(|device| device.modifiers(format));
        let mut all: Vec<Modifier> = Vec::new();
        for modifier in own.into_iter().chain(foreign).filter(|modifier| self.reads(*modifier)) {
            if !all.contains(&modifier) {
                all.push(modifier);
            }
        }
        all
    }

    fn linear_stride(self, format: Format) -> Bytes {
        match self.profile {
            Profile::Chip(chip) => chip.linear_stride(format),
            _ => LINEAR_STRIDE,
        }
    }
}
