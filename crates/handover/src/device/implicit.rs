//! Surfaces without a modifier: what their producer's metadata says of the layout, as the mail's drivers share buffers.
//!
//! # Contract
//!
//! 1. A codec of the importer's registry makes a modifier of word and block, with the configuration of the producer's chip where they
//!    need it; where anything would have to be guessed, the import is refused and the missing parameter named. A word of 0 and an
//!    empty block are unknown, never linear. The image of the block is that of the handle.
//! 2. The layout is computed again from that modifier, for the extent, format and stride that the handle says. It has to fit into the
//!    memory, and its compression data has to begin where the block says.
//! 3. On the chip that wrote it, the chip's own rule follows ([`amdgpu`](super::amdgpu)); its compression is kept as the block says.
//! 4. On another device, only what is not compressed is read.

use handover_model::layout::Constraints;
use handover_model::layout::tiling::Tiling;
use handover_model::metadata::registry::{Query, Registry};
use handover_model::{Bytes, Compression, Extent, Format, Layout, Metadata, Modifier, PlaneLayout, Stage};

use super::tiled::Engine;
use super::{Device, Profile, is_compressed};
use crate::allocate::Display;
use crate::error::{Error, Kind, Result};

impl Device {
    /// What it would make of this format by itself, where its metadata can tell another device like it: the best of its layouts, or the
    /// best without compression; for a display, of those that its display reads.
    pub(crate) fn implicit(
        self,
        format: Format,
        extent: Extent,
        compression: Compression,
        display: Display,
    ) -> Result<Option<Layout>> {
        let (Profile::Chip(chip), [_], Engine::Renderer) = (self.profile, format.planes(), self.engine) else {
            return Ok(None);
        };
        if let Some(tiles) = chip.tiles(format) {
            return chip.layout(format, extent, Modifier::INVALID, Some(tiles)).map(Some);
        }
        let is_small = |modifier: Modifier| {
            // Whatever else is wrong with it is said below.
            let layout = Layout::tiled(format, extent, modifier, Constraints::NONE);
            !layout.is_ok_and(|layout| self.check_size(&layout, Stage::Allocate).is_err())
        };
        let fits = |modifier: &Modifier| {
            let plain = !is_compressed(*modifier);
            chip.tells(*modifier) && (plain || (compression != Compression::None && is_small(*modifier)))
        };
        let chosen = match display {
            Display::CanRead | Display::Scanout if chip.has_display() => chip.for_display(format).find(fits),
            _ => chip.modifiers(format).find(fits),
        };
        chosen.map(|modifier| chip.layout(format, extent, modifier, None)).transpose()
    }
}

/// What the metadata says of a surface whose handle says no modifier.
pub(super) fn layout(device: Device, handle: &Layout, metadata: &Metadata, registry: &Registry) -> Result<Layout> {
    let refused =
        |kind| Error::new(Stage::Import, kind).asked(format!("an import without a modifier on device {device}"));
    let (Some((format, extent)), Some(whole)) = (handle.format().zip(handle.extent()), handle.plane(0)) else {
        return Err(refused(Kind::Malformed).why("a surface has a format, an extent and a plane"));
    };
    if whole.offset != Bytes::ZERO {
        return Err(refused(Kind::Unsupported)
            .found(format!("a plane at {}", whole.offset))
            .why("word and block describe a whole buffer, and say nothing of a part of it")
            .help("an agreement on a modifier, or memory of its own"));
    }
    let bytes = format.planes().first().map_or(0, |plane| plane.bytes_per_element.get());
    // The chip, if it is one of this kind that wrote the metadata.
    let own = match device.profile {
        Profile::Chip(chip) => Some(chip).filter(|chip| chip.wrote(metadata)),
        _ => None,
    };
    let parameters: Vec<_> = own
        .map_or(device.config, |chip| chip.gb_addr_config())
        .map(|register| ("gb_addr_config", register.into()))
        .into_iter()
        .chain([("bytes_per_element", bytes)])
        .collect();
    let query = Query { metadata, driver: None, parameters: &parameters };
    let (_, decoded) = registry.identify(&query)?;
    // Tiles that have no modifier, or the modifier.
    let (modifier, tiles) = match decoded.tiles {
        Some(tiles) => (Modifier::INVALID, Some(tiles)),
        None => (decoded.modifier?, None),
    };
    if let Some(image) = decoded.image {
        let told = (extent.width().get(), extent.height().get(), 1, 1, 1);
        let found = (image.width, image.height, image.levels, image.layers, image.samples);
        if found != told || image.bytes_per_element.is_some_and(|found| found != Bytes(bytes)) {
            return Err(refused(Kind::Malformed)
                .asked(format!("{format} {extent} of the handle, on device {device}"))
                .found(format!(
                    "metadata of {}x{} px, {} levels, {} layers, {} samples",
                    image.width, image.height, image.levels, image.layers, image.samples
                ))
                .why("the metadata is that of another surface"));
        }
    }
    // Compression is read by the rule of the chip that wrote it, and by no codec that only names the modifier.
    let reads = match tiles {
        Some(_) => own.is_some() || device.decodes_determined,
        None => device.reads(modifier),
    };
    if !reads || (own.is_none() && is_compressed(modifier)) {
        let refusal = device.refusal(modifier, metadata);
        return Err(match tiles {
            Some(tiles) => {
                refusal.asked(format!("an import of {} on device {device}", Tiling::amd_gfx8(tiles, Bytes(bytes))?))
            }
            None => refusal,
        });
    }
    if modifier == Modifier::LINEAR {
        let plane = PlaneLayout { size: rows_of(format, handle, whole.stride), ..whole };
        return Layout::from_allegation(Some(format), Some(extent), modifier, &[plane], whole.size);
    }
    let alleged = |error: Error| match *error.kind() {
        // Tiles that nothing here computes.
        Kind::Unsupported => error.at(Stage::Import),
        _ => refused(Kind::Malformed).found(format!("a stride of {}", whole.stride)).why(error.to_string()),
    };
    let compute = |constraints| match tiles {
        Some(tiles) => Layout::in_tiles(format, extent, tiles, constraints),
        None => Layout::tiled(format, extent, modifier, constraints),
    };
    let computed = compute(Constraints::NONE).map_err(alleged)?;
    let is_told = |layout: &Layout| layout.plane(0).is_some_and(|pixels| pixels.stride == whole.stride);
    let computed = if is_told(&computed) {
        computed
    } else {
        let again = compute(Constraints { stride_align: whole.stride, ..Constraints::NONE });
        if own.is_some_and(|chip| chip.imports_by_rule(modifier, tiles)) {
            // The chip's own rule says which strides it takes, names the one it wants, and sees that it fits.
            return Ok(again.ok().filter(is_told).unwrap_or(computed));
        }
        again.map_err(alleged)?
    };
    if computed.size() > whole.size || !is_told(&computed) {
        return Err(refused(Kind::Malformed)
            .found(format!("{} at a stride of {}", whole.size, whole.stride))
            .why(format!("{modifier} for {format} {extent} needs {}", computed.size())));
    }
    Ok(computed)
}

/// Bytes of the rows of a linear plane.
fn rows_of(format: Format, handle: &Layout, stride: Bytes) -> Bytes {
    let rows = handle.extent().and_then(|extent| format.plane_extent(0, extent)).map_or(0, |(_, rows)| rows);
    stride.checked_mul(rows.into()).unwrap_or(Bytes(u64::MAX))
}
