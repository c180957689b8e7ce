//! What a device offers to a negotiation, as the maker of a surface or as a reader.

use handover_model::layout::blocks;
use handover_model::negotiate::{Offer, OfferEntry, SurfaceUsages};
use handover_model::{Bytes, Format, Modifier};

use super::{Device, Profile};

/// Rows that begin on a cache line: what the simulated devices ask of linear surfaces.
const LINEAR_STRIDE: Bytes = Bytes(64);

impl Device {
    /// What this device offers a negotiation under a party's name: every format of `formats` it can handle, each with the
    /// modifiers it makes (for WRITE or RENDER) or reads, best first.
    pub fn offer(self, party: &str, formats: &[Format], usages: SurfaceUsages) -> Offer {
        let makes = usages.intersects(SurfaceUsages::WRITE | SurfaceUsages::RENDER | SurfaceUsages::DECODE);
        let can = |modifier| if makes { self.makes(modifier) } else { self.reads(modifier) };
        // A tiled producer prefers its own layout; a plain reader that can decode it still prefers linear.
        let order = match self.profile {
            Profile::Blocks => [Modifier::SIM_BLOCKS, Modifier::LINEAR],
            Profile::Plain | Profile::Driver => [Modifier::LINEAR, Modifier::SIM_BLOCKS],
        };
        let entry = |format: Format, modifier: Modifier| {
            let stride_align = if modifier == Modifier::LINEAR { LINEAR_STRIDE } else { Bytes(1) };
            OfferEntry { stride_align, usages, ..OfferEntry::new(Some(format), modifier) }
        };
        let entries = formats
            .iter()
            .flat_map(|&format| order.into_iter().map(move |modifier| (format, modifier)))
            .filter(|&(format, modifier)| can(modifier) && (modifier == Modifier::LINEAR || is_tileable(format)))
            .map(|(format, modifier)| entry(format, modifier))
            .collect();
        Offer { party: party.to_owned(), entries }
    }
}

fn is_tileable(format: Format) -> bool {
    matches!(format.planes(), [plane] if plane.bytes_per_element == blocks::PIXEL_BYTES)
}
