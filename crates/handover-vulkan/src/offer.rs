//! Offers: what a device can do with images in dma-bufs, modifier by modifier, as its driver says for this use.
#![allow(unsafe_code)]

use std::fmt;

use ash::vk;
use handover::negotiate::{Offer, OfferEntry, SurfaceUsages};
use handover::{Bytes, Extent, Format, Modifier};

use crate::format;
use crate::gpu::Gpu;

/// What a device can do with one format and modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// The format.
    pub format: Format,
    /// The modifier.
    pub modifier: Modifier,
    /// Planes in memory. More than the format has: the others hold compression, or a clear colour.
    pub planes: u32,
    /// The largest image.
    pub max_extent: Extent,
    /// Can images of other devices be taken in?
    pub imports: bool,
    /// Can its own be handed out?
    pub exports: bool,
    /// Must an image have memory of its own?
    pub dedicated: bool,
    /// What it can do with them all at once.
    pub(crate) usage: vk::ImageUsageFlags,
    /// All that the driver does with images laid so.
    pub features: vk::FormatFeatureFlags,
}

impl Support {
    /// Are there planes besides those of the format?
    pub fn is_compressed(&self) -> bool {
        self.planes as usize > format::planes(self.format)
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {} planes, at most {}", self.format, self.modifier, self.planes, self.max_extent)?;
        for (has, word) in [(self.imports, "imported"), (self.exports, "exported")] {
            if has {
                write!(f, ", {word}")?;
            }
        }
        f.write_str(if self.dedicated { ", memory of its own" } else { "" })
    }
}

impl Gpu {
    /// Every layout of a format in which this device can do all of `usages`; the best first: compressed ones, then other tilings,
    /// then LINEAR, each in the driver's order.
    pub fn supports(&self, format: Format, usages: SurfaceUsages) -> Vec<Support> {
        let Some(vulkan) = format::to_vulkan(format) else { return Vec::new() };
        let needed = needed(usages);
        let mut found: Vec<Support> = self
            .modifiers(vulkan)
            .into_iter()
            .filter_map(|properties| self.support(format, &properties, needed))
            .collect();
        found.sort_by_key(|support| match support.modifier {
            Modifier::LINEAR => 2,
            _ if support.is_compressed() => 0,
            _ => 1,
        });
        found
    }

    /// What this device offers a negotiation under a party's name.
    ///
    /// The alignment of linear rows is measured: it is the stride that the driver itself gives the smallest image. Planes begin as
    /// their rows do.
    pub fn offer(&self, party: &str, formats: &[Format], usages: SurfaceUsages) -> Offer {
        let makes = usages.intersects(SurfaceUsages::WRITE | SurfaceUsages::RENDER | SurfaceUsages::DECODE);
        let entry = |support: Support| {
            let is_linear = support.modifier == Modifier::LINEAR;
            let align = if is_linear { self.linear_stride(&support).unwrap_or(Bytes(1)) } else { Bytes(1) };
            OfferEntry {
                stride_align: align,
                offset_align: align,
                max_extent: support.max_extent,
                usages,
                ..OfferEntry::new(Some(support.format), support.modifier)
            }
        };
        let entries = formats
            .iter()
            .flat_map(|format| self.supports(*format, usages))
            .filter(|support| if makes { support.exports || support.imports } else { support.imports })
            .map(entry)
            .collect();
        Offer { party: party.to_owned(), entries }
    }

    /// What can be done with a format and a modifier, whatever that is. `None`: nothing that is of use here.
    pub(crate) fn support_of(&self, format: Format, modifier: Modifier, usages: SurfaceUsages) -> Option<Support> {
        let vulkan = format::to_vulkan(format)?;
        let properties =
            self.modifiers(vulkan).into_iter().find(|properties| properties.drm_format_modifier == modifier.0)?;
        self.support(format, &properties, needed(usages))
    }

    fn modifiers(&self, format: vk::Format) -> Vec<vk::DrmFormatModifierPropertiesEXT> {
        let inner = &self.core;
        let mut count = vk::DrmFormatModifierPropertiesListEXT::default();
        let mut properties = vk::FormatProperties2::default().push_next(&mut count);
        // SAFETY: the device is one of this instance and has the extension of the list, which is null: only the count is written.
        unsafe { inner.instance().get_physical_device_format_properties2(inner.physical, format, &mut properties) };
        let mut found = vec![vk::DrmFormatModifierPropertiesEXT::default(); count.drm_format_modifier_count as usize];
        let mut list = vk::DrmFormatModifierPropertiesListEXT::default().drm_format_modifier_properties(&mut found);
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        // SAFETY: as above; the list has room for as many as it says.
        unsafe { inner.instance().get_physical_device_format_properties2(inner.physical, format, &mut properties) };
        let count = list.drm_format_modifier_count as usize;
        found.truncate(count);
        found
    }

    fn support(
        &self,
        format: Format,
        properties: &vk::DrmFormatModifierPropertiesEXT,
        needed: vk::ImageUsageFlags,
    ) -> Option<Support> {
        let possible = usable(properties.drm_format_modifier_tiling_features);
        if !possible.contains(needed) {
            return None;
        }
        // As much as it can; where that is too much at once, what was asked for.
        [possible, needed].into_iter().find_map(|usage| self.ask(format, properties, usage))
    }

    fn ask(
        &self,
        format: Format,
        properties: &vk::DrmFormatModifierPropertiesEXT,
        usage: vk::ImageUsageFlags,
    ) -> Option<Support> {
        let mut modifier = vk::PhysicalDeviceImageDrmFormatModifierInfoEXT::default()
            .drm_format_modifier(properties.drm_format_modifier)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        let mut external = vk::PhysicalDeviceExternalImageFormatInfo::default()
            .handle_type(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        let info = vk::PhysicalDeviceImageFormatInfo2::default()
            .format(format::to_vulkan(format)?)
            .ty(vk::ImageType::TYPE_2D)
            .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
            .usage(usage)
            .push_next(&mut modifier)
            .push_next(&mut external);
        let mut shared = vk::ExternalImageFormatProperties::default();
        let mut limits = vk::ImageFormatProperties2::default().push_next(&mut shared);
        let inner = &self.core;
        // SAFETY: the device is one of this instance, and every struct of the chains belongs to an extension that it has.
        let asked = unsafe {
            inner.instance().get_physical_device_image_format_properties2(inner.physical, &info, &mut limits)
        };
        asked.ok()?;
        let largest = limits.image_format_properties.max_extent;
        let features = shared.external_memory_properties.external_memory_features;
        let edge = |edge: u32| edge.min(Extent::LARGEST.width().get());
        Some(Support {
            format,
            modifier: Modifier(properties.drm_format_modifier),
            planes: properties.drm_format_modifier_plane_count,
            max_extent: Extent::new(edge(largest.width), edge(largest.height)).ok()?,
            imports: features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE),
            exports: features.contains(vk::ExternalMemoryFeatureFlags::EXPORTABLE),
            dedicated: features.contains(vk::ExternalMemoryFeatureFlags::DEDICATED_ONLY),
            usage,
            features: properties.drm_format_modifier_tiling_features,
        })
    }
}

/// What Vulkan calls a use.
fn needed(usages: SurfaceUsages) -> vk::ImageUsageFlags {
    let mut needed = vk::ImageUsageFlags::empty();
    let names = [
        (SurfaceUsages::RENDER, vk::ImageUsageFlags::COLOR_ATTACHMENT),
        (SurfaceUsages::SAMPLE, vk::ImageUsageFlags::SAMPLED),
        (SurfaceUsages::WRITE, vk::ImageUsageFlags::TRANSFER_DST),
        (SurfaceUsages::READ, vk::ImageUsageFlags::TRANSFER_SRC),
    ];
    for (usage, flags) in names {
        if usages.contains(usage) {
            needed |= flags;
        }
    }
    // An image must be for something.
    if needed.is_empty() { vk::ImageUsageFlags::TRANSFER_SRC } else { needed }
}

/// What images of these features can be made for, of the things done here.
fn usable(features: vk::FormatFeatureFlags) -> vk::ImageUsageFlags {
    let mut usage = vk::ImageUsageFlags::empty();
    let names = [
        (vk::FormatFeatureFlags::COLOR_ATTACHMENT, vk::ImageUsageFlags::COLOR_ATTACHMENT),
        (vk::FormatFeatureFlags::SAMPLED_IMAGE, vk::ImageUsageFlags::SAMPLED),
        (vk::FormatFeatureFlags::TRANSFER_DST, vk::ImageUsageFlags::TRANSFER_DST),
        (vk::FormatFeatureFlags::TRANSFER_SRC, vk::ImageUsageFlags::TRANSFER_SRC),
    ];
    for (feature, flags) in names {
        if features.contains(feature) {
            usage |= flags;
        }
    }
    usage
}
