//! Surfaces as images of Vulkan.
//!
//! # Contract: what an image owns
//!
//! - An image holds its surface, so the memory outlives it, and the surface knows nothing of the image: the same surface may be an
//!   image of several devices at once.
//! - Between jobs an image belongs to nobody of this device: every job takes it from the outside first and gives it back at its
//!   end ([`Gpu::submit`](crate::Gpu::submit)). What a driver keeps of it in a cache or a private clear colour is written out by
//!   that transfer: it is `flush`.
//! - Jobs hold the images that they use. An image whose last owner goes is destroyed when its last job has ended.
#![allow(unsafe_code)]

mod allocate;
mod import;

use std::fmt;
use std::sync::Arc;

use ash::vk;
use handover::{Error, Extent, Format, Kind, Result, Stage, Surface};

use crate::error::refused;
use crate::format;
use crate::gpu::{Core, Gpu};
use crate::offer::Support;

/// A surface as an image of a device. Clones are the same image.
#[derive(Clone)]
pub struct Image(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    /// The image goes before its memory, and both before the surface.
    bare: Bare,
    pub(crate) surface: Surface,
    sampled: Option<vk::ImageView>,
    target: Option<vk::ImageView>,
    /// For what it was made.
    usage: vk::ImageUsageFlags,
    features: vk::FormatFeatureFlags,
}

/// An image and its memory.
pub(crate) struct Bare {
    pub(crate) core: Arc<Core>,
    pub(crate) image: vk::Image,
    pub(crate) memory: vk::DeviceMemory,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("device", &self.0.bare.core.report.device)
            .field("surface", &self.0.surface.id())
            .finish()
    }
}

impl Image {
    /// The surface.
    pub fn surface(&self) -> &Surface {
        &self.0.surface
    }

    /// Is it an image of this device?
    pub fn is_of(&self, gpu: &Gpu) -> bool {
        Arc::ptr_eq(&self.0.bare.core, &gpu.core)
    }

    /// Is it this very image?
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The device, in words.
    pub(crate) fn device(&self) -> &str {
        &self.0.bare.core.report.device
    }

    /// The image, for code that records commands of its own. It lives as long as this.
    pub fn raw(&self) -> vk::Image {
        self.0.bare.image
    }

    /// A view of all of it to sample, if it was made for that. A channel that the format has not reads as opaque.
    pub fn sampled(&self) -> Option<vk::ImageView> {
        self.0.sampled
    }

    /// A view of all of it to draw to, if it was made for that.
    pub fn target(&self) -> Option<vk::ImageView> {
        self.0.target
    }

    /// Width and height.
    pub fn extent(&self) -> vk::Extent2D {
        self.0.surface.layout().extent().map_or(vk::Extent2D::default(), extent)
    }

    /// Can the driver do that with images of this format and modifier?
    pub(crate) fn can(&self, feature: vk::FormatFeatureFlags) -> bool {
        self.0.features.contains(feature)
    }

    fn new(bare: Bare, surface: Surface, support: &Support) -> Result<Self> {
        // In the end's order if one cannot be made: views first.
        let mut made =
            Inner { bare, surface, usage: support.usage, features: support.features, sampled: None, target: None };
        made.sampled = made.view(vk::ImageUsageFlags::SAMPLED)?;
        made.target = made.view(vk::ImageUsageFlags::COLOR_ATTACHMENT)?;
        Ok(Self(Arc::new(made)))
    }
}

impl Inner {
    fn view(&self, purpose: vk::ImageUsageFlags) -> Result<Option<vk::ImageView>> {
        let format = self.surface.format().ok_or_else(no_image)?;
        // Planes of chroma need a conversion, which is not ours to choose.
        if !self.usage.contains(purpose) || format::planes(format) > 1 {
            return Ok(None);
        }
        let vulkan = format::to_vulkan(format).ok_or_else(|| no_format(Stage::Import, format))?;
        // What is drawn to has every channel where it is.
        let has_alpha = format.has_alpha() || purpose == vk::ImageUsageFlags::COLOR_ATTACHMENT;
        let a = if has_alpha { vk::ComponentSwizzle::IDENTITY } else { vk::ComponentSwizzle::ONE };
        let mut only = vk::ImageViewUsageCreateInfo::default().usage(purpose);
        let info = vk::ImageViewCreateInfo::default()
            .image(self.bare.image)
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(vulkan)
            .components(vk::ComponentMapping { a, ..Default::default() })
            .subresource_range(whole())
            .push_next(&mut only);
        // SAFETY: the image is one of this device, bound to memory, and made for this purpose.
        unsafe { self.bare.core.device.create_image_view(&info, None) }
            .map(Some)
            .map_err(refused(Stage::Import, "make a view of an image"))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for view in [self.sampled, self.target].into_iter().flatten() {
            // SAFETY: the view is ours, and no job holds the image any more.
            unsafe { self.bare.core.device.destroy_image_view(view, None) };
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: the image is ours, its view is gone, and no job holds it any more.
        unsafe { self.core.device.destroy_image(self.image, None) };
        // SAFETY: the memory is ours, and the only image in it is gone. Null is allowed.
        unsafe { self.core.device.free_memory(self.memory, None) };
    }
}

/// The colour of an image without levels and layers.
pub(crate) fn whole() -> vk::ImageSubresourceRange {
    vk::ImageSubresourceRange {
        aspect_mask: vk::ImageAspectFlags::COLOR,
        base_mip_level: 0,
        level_count: 1,
        base_array_layer: 0,
        layer_count: 1,
    }
}

fn extent(extent: Extent) -> vk::Extent2D {
    vk::Extent2D { width: extent.width().get(), height: extent.height().get() }
}

fn no_image() -> Error {
    Error::new(Stage::Import, Kind::Invalid).asked("an image").found("a surface that is a byte buffer")
}

/// A format that Vulkan has no word for.
fn no_format(stage: Stage, format: Format) -> Error {
    Error::new(stage, Kind::Unsupported)
        .asked(format!("an image of {format}"))
        .why("Vulkan has no format like it")
        .help("negotiate a format that the device offers: Gpu::offer")
}
