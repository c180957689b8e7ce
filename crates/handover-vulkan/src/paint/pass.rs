//! Drawing to one image in one job: what is recorded.
#![allow(unsafe_code)]

use std::sync::Arc;

use ash::vk;

use super::pipeline::{Objects, Push, Target};

/// Drawing to one image, in one job.
pub(super) struct Pass {
    pub(super) objects: Arc<Objects>,
    pub(super) target: Target,
    pub(super) framebuffer: vk::Framebuffer,
    pub(super) extent: vk::Extent2D,
}

impl Pass {
    /// Clears to opaque black.
    pub(super) fn begin(&self, commands: vk::CommandBuffer) {
        let device = &self.objects.core.device;
        let area = vk::Rect2D { offset: vk::Offset2D::default(), extent: self.extent };
        let clear = [vk::ClearValue { color: vk::ClearColorValue { float32: [0.0, 0.0, 0.0, 1.0] } }];
        let info = vk::RenderPassBeginInfo::default()
            .render_pass(self.target.pass)
            .framebuffer(self.framebuffer)
            .render_area(area)
            .clear_values(&clear);
        // SAFETY: the commands are being recorded, outside of a pass.
        unsafe { device.cmd_begin_render_pass(commands, &info, vk::SubpassContents::INLINE) };
        let viewport = vk::Viewport {
            width: self.extent.width as f32,
            height: self.extent.height as f32,
            max_depth: 1.0,
            ..Default::default()
        };
        // SAFETY: the commands are being recorded.
        unsafe { device.cmd_set_viewport(commands, 0, &[viewport]) };
        // SAFETY: as above.
        unsafe { device.cmd_set_scissor(commands, 0, &[area]) };
    }

    pub(super) fn scene(&self, commands: vk::CommandBuffer, push: &Push) {
        self.draw(commands, self.target.scene, push, 3);
    }

    pub(super) fn layer(&self, commands: vk::CommandBuffer, set: vk::DescriptorSet, push: &Push) {
        self.picture(commands, self.target.layer, set, push);
    }

    pub(super) fn copy(&self, commands: vk::CommandBuffer, set: vk::DescriptorSet, push: &Push) {
        self.picture(commands, self.target.copy, set, push);
    }

    pub(super) fn extent(&self) -> vk::Extent2D {
        self.extent
    }

    fn picture(&self, commands: vk::CommandBuffer, pipeline: vk::Pipeline, set: vk::DescriptorSet, push: &Push) {
        let graphics = vk::PipelineBindPoint::GRAPHICS;
        // SAFETY: the commands are being recorded; the set has this layout and was described.
        unsafe {
            self.objects.core.device.cmd_bind_descriptor_sets(commands, graphics, self.objects.layout, 0, &[set], &[]);
        }
        self.draw(commands, pipeline, push, 4);
    }

    fn draw(&self, commands: vk::CommandBuffer, pipeline: vk::Pipeline, push: &Push, vertices: u32) {
        let device = &self.objects.core.device;
        let stages = vk::ShaderStageFlags::VERTEX | vk::ShaderStageFlags::FRAGMENT;
        // SAFETY: the commands are being recorded.
        unsafe { device.cmd_bind_pipeline(commands, vk::PipelineBindPoint::GRAPHICS, pipeline) };
        // SAFETY: as above; the layout has a range of so many bytes.
        unsafe { device.cmd_push_constants(commands, self.objects.layout, stages, 0, &push.bytes()) };
        // SAFETY: as above, inside the pass that the pipeline was made for.
        unsafe { device.cmd_draw(commands, vertices, 1, 0, 0) };
    }

    pub(super) fn end(&self, commands: vk::CommandBuffer) {
        // SAFETY: the commands are being recorded, inside a pass.
        unsafe { self.objects.core.device.cmd_end_render_pass(commands) };
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // SAFETY: the job that drew to it has ended, or was never submitted.
        unsafe { self.objects.core.device.destroy_framebuffer(self.framebuffer, None) };
    }
}
