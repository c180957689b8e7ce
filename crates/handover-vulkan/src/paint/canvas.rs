//! An image of the device's own to blend on, for targets in a layout that cannot be blended.
#![allow(unsafe_code)]

use std::sync::Arc;

use ash::vk;
use handover::{Error, Kind, Result, Stage};

use super::pipeline::failed;
use crate::gpu::Core;
use crate::image::whole;

/// A private image in the device's best layout.
pub(super) struct Canvas {
    core: Arc<Core>,
    image: vk::Image,
    memory: vk::DeviceMemory,
    pub(super) view: vk::ImageView,
    pub(super) extent: vk::Extent2D,
}

impl Canvas {
    /// Every driver blends and samples this format.
    pub(super) const FORMAT: vk::Format = vk::Format::R8G8B8A8_UNORM;

    pub(super) fn new(core: &Arc<Core>, extent: vk::Extent2D) -> Result<Self> {
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(Self::FORMAT)
            .extent(extent.into())
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::OPTIMAL)
            .usage(vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::SAMPLED);
        let (memory, view) = (vk::DeviceMemory::null(), vk::ImageView::null());
        // SAFETY: the info has no pointers.
        let image = unsafe { core.device.create_image(&info, None) }.map_err(failed("make a canvas"))?;
        // From here on everything that was made is destroyed with the whole, null or not.
        let mut canvas = Self { core: Arc::clone(core), image, memory, view, extent };
        // SAFETY: the image is one of this device.
        let needs = unsafe { core.device.get_image_memory_requirements(image) };
        let index = core.memory_type(needs.memory_type_bits, false).ok_or_else(|| {
            Error::new(Stage::Access, Kind::Unsupported)
                .asked("memory for a canvas")
                .found("no kind of it on this device")
        })?;
        let info = vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(index);
        // SAFETY: the info has no pointers.
        canvas.memory =
            unsafe { core.device.allocate_memory(&info, None) }.map_err(failed("make memory for a canvas"))?;
        // SAFETY: the image is new and bound to nothing; the memory was made for it.
        unsafe { core.device.bind_image_memory(image, canvas.memory, 0) }.map_err(failed("bind a canvas"))?;
        let info = vk::ImageViewCreateInfo::default()
            .image(image)
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(Self::FORMAT)
            .subresource_range(whole());
        // SAFETY: the image is one of this device, bound to memory.
        canvas.view = unsafe { core.device.create_image_view(&info, None) }.map_err(failed("view a canvas"))?;
        Ok(canvas)
    }

    /// Records that what comes next draws to it anew, after whatever the jobs before did with it.
    pub(super) fn begin(&self, commands: vk::CommandBuffer) {
        self.order(commands, vk::ImageLayout::UNDEFINED);
    }

    /// Records that what comes next samples it.
    pub(super) fn drawn(&self, commands: vk::CommandBuffer) {
        self.order(commands, vk::ImageLayout::GENERAL);
    }

    fn order(&self, commands: vk::CommandBuffer, from: vk::ImageLayout) {
        let all = vk::PipelineStageFlags::ALL_COMMANDS;
        let access = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
        let barrier = vk::ImageMemoryBarrier::default()
            .src_access_mask(access)
            .dst_access_mask(access)
            .old_layout(from)
            .new_layout(vk::ImageLayout::GENERAL)
            .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .image(self.image)
            .subresource_range(whole());
        let none = vk::DependencyFlags::empty();
        // SAFETY: the commands are being recorded outside of a pass; the image is of this device.
        unsafe { self.core.device.cmd_pipeline_barrier(commands, all, all, none, &[], &[], &[barrier]) };
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        // SAFETY: jobs that use it hold it, and are gone; null is allowed.
        unsafe { self.core.device.destroy_image_view(self.view, None) };
        // SAFETY: as above.
        unsafe { self.core.device.destroy_image(self.image, None) };
        // SAFETY: as above.
        unsafe { self.core.device.free_memory(self.memory, None) };
    }
}
