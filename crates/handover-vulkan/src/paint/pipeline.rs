//! What the painter's commands stand on: shaders, pipelines, samplers, sets.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;
use handover::{Error, Kind, Result, Stage};

use super::pass::Pass;
use crate::error::refused;
use crate::gpu::{Core, Gpu};

/// `shaders/paint.wgsl`, compiled.
const SHADERS: &[u8] = include_bytes!("../../shaders/paint.spv");

/// What the shaders are told; the struct `Push` of theirs.
#[derive(Clone, Copy, Default)]
pub(super) struct Push {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) frame: u32,
    pub(super) index: u32,
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) wide: f32,
    pub(super) high: f32,
}

const PUSH_BYTES: u32 = 32;

impl Push {
    pub(super) fn bytes(&self) -> [u8; PUSH_BYTES as usize] {
        let words = [
            self.width,
            self.height,
            self.frame,
            self.index,
            self.left.to_bits(),
            self.top.to_bits(),
            self.wide.to_bits(),
            self.high.to_bits(),
        ];
        let mut bytes = [0; PUSH_BYTES as usize];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// Objects of one device that all drawing shares.
pub(super) struct Shared(Arc<Objects>);

pub(super) struct Objects {
    pub(super) core: Arc<Core>,
    set_layout: vk::DescriptorSetLayout,
    pub(super) layout: vk::PipelineLayout,
    shaders: vk::ShaderModule,
    nearest: vk::Sampler,
    linear: vk::Sampler,
    targets: Mutex<HashMap<vk::Format, Target>>,
}

/// What drawing to images of one format needs.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) pass: vk::RenderPass,
    pub(super) scene: vk::Pipeline,
    pub(super) layer: vk::Pipeline,
    /// A layer that does not blend.
    pub(super) copy: vk::Pipeline,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.0.core.report.device).finish()
    }
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(vk::Result) -> Error {
    refused(Stage::Access, what)
}

impl Shared {
    pub(super) fn new(core: &Arc<Core>) -> Result<Self> {
        // From here on everything that was made is destroyed with the whole, null or not.
        let mut objects = Objects {
            core: Arc::clone(core),
            set_layout: vk::DescriptorSetLayout::null(),
            layout: vk::PipelineLayout::null(),
            shaders: vk::ShaderModule::null(),
            nearest: vk::Sampler::null(),
            linear: vk::Sampler::null(),
            targets: Mutex::default(),
        };
        let device = &core.device;
        let binding = |binding, kind| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::FRAGMENT)
        };
        let bindings = [binding(0, vk::DescriptorType::SAMPLED_IMAGE), binding(1, vk::DescriptorType::SAMPLER)];
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the info and all that it points to live until the call returns.
        objects.set_layout =
            unsafe { device.create_descriptor_set_layout(&info, None) }.map_err(failed("lay out a set"))?;
        let layouts = [objects.set_layout];
        let stages = vk::ShaderStageFlags::VERTEX | vk::ShaderStageFlags::FRAGMENT;
        let ranges = [vk::PushConstantRange { stage_flags: stages, offset: 0, size: PUSH_BYTES }];
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts).push_constant_ranges(&ranges);
        // SAFETY: as above.
        objects.layout = unsafe { device.create_pipeline_layout(&info, None) }.map_err(failed("lay out a pipeline"))?;
        let words: Vec<u32> =
            SHADERS.chunks_exact(4).filter_map(|word| word.try_into().ok().map(u32::from_le_bytes)).collect();
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: the words are SPIR-V that the compiler has validated.
        objects.shaders = unsafe { device.create_shader_module(&info, None) }.map_err(failed("load shaders"))?;
        let sampler = |filter| {
            let info = vk::SamplerCreateInfo::default()
                .mag_filter(filter)
                .min_filter(filter)
                .address_mode_u(vk::SamplerAddressMode::CLAMP_TO_EDGE)
                .address_mode_v(vk::SamplerAddressMode::CLAMP_TO_EDGE);
            // SAFETY: the info has no pointers.
            unsafe { device.create_sampler(&info, None) }.map_err(failed("make a sampler"))
        };
        objects.nearest = sampler(vk::Filter::NEAREST)?;
        objects.linear = sampler(vk::Filter::LINEAR)?;
        Ok(Self(Arc::new(objects)))
    }

    pub(super) fn is_of(&self, gpu: &Gpu) -> bool {
        Arc::ptr_eq(&self.0.core, &gpu.core)
    }

    /// So many sets, to be described one by one.
    pub(super) fn sets(&self, count: usize) -> Result<Sets> {
        let device = &self.0.core.device;
        let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let size = |ty| vk::DescriptorPoolSize { ty, descriptor_count: count };
        let sizes = [size(vk::DescriptorType::SAMPLED_IMAGE), size(vk::DescriptorType::SAMPLER)];
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(count).pool_sizes(&sizes);
        // SAFETY: the info and all that it points to live until the call returns.
        let pool = unsafe { device.create_descriptor_pool(&info, None) }.map_err(failed("make sets"))?;
        let mut sets = Sets { objects: Arc::clone(&self.0), pool, sets: Vec::new() };
        let layouts = vec![self.0.set_layout; count as usize];
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        // SAFETY: the pool is new and has room for as many.
        sets.sets = unsafe { device.allocate_descriptor_sets(&info) }.map_err(failed("make sets"))?;
        Ok(sets)
    }

    /// Makes a set show this view.
    pub(super) fn describe(&self, set: vk::DescriptorSet, view: vk::ImageView, is_smooth: bool) {
        let sampler = if is_smooth { self.0.linear } else { self.0.nearest };
        let picture = [vk::DescriptorImageInfo::default().image_view(view).image_layout(vk::ImageLayout::GENERAL)];
        let filtering = [vk::DescriptorImageInfo::default().sampler(sampler)];
        let write =
            |binding, kind| vk::WriteDescriptorSet::default().dst_set(set).dst_binding(binding).descriptor_type(kind);
        let writes = [
            write(0, vk::DescriptorType::SAMPLED_IMAGE).image_info(&picture),
            write(1, vk::DescriptorType::SAMPLER).image_info(&filtering),
        ];
        // SAFETY: no job uses the set yet; view and samplers are of this device, and live as long as the job.
        unsafe { self.0.core.device.update_descriptor_sets(&writes, &[]) };
    }

    /// A pass that draws to this view.
    pub(super) fn pass(&self, format: vk::Format, view: vk::ImageView, extent: vk::Extent2D) -> Result<Pass> {
        let target = self.0.target(format)?;
        let views = [view];
        let info = vk::FramebufferCreateInfo::default()
            .render_pass(target.pass)
            .attachments(&views)
            .width(extent.width)
            .height(extent.height)
            .layers(1);
        // SAFETY: the view is one of this device, of this format and extent.
        let framebuffer =
            unsafe { self.0.core.device.create_framebuffer(&info, None) }.map_err(failed("draw to an image"))?;
        Ok(Pass { objects: Arc::clone(&self.0), target, framebuffer, extent })
    }
}

impl Objects {
    fn target(&self, format: vk::Format) -> Result<Target> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get(&format) {
            return Ok(*target);
        }
        let pass = self.render_pass(format)?;
        let target =
            self.pipelines(pass).map(|[scene, layer, copy]| Target { pass, scene, layer, copy }).inspect_err(|_| {
                // SAFETY: the pass is new, nothing was made for it.
                unsafe { self.core.device.destroy_render_pass(pass, None) };
            })?;
        targets.insert(format, target);
        Ok(target)
    }

    /// Images come and go in layout `GENERAL`; every pixel is drawn anew.
    fn render_pass(&self, format: vk::Format) -> Result<vk::RenderPass> {
        let attachments = [vk::AttachmentDescription::default()
            .format(format)
            .samples(vk::SampleCountFlags::TYPE_1)
            .load_op(vk::AttachmentLoadOp::CLEAR)
            .store_op(vk::AttachmentStoreOp::STORE)
            .initial_layout(vk::ImageLayout::GENERAL)
            .final_layout(vk::ImageLayout::GENERAL)];
        let colour = [vk::AttachmentReference { attachment: 0, layout: vk::ImageLayout::COLOR_ATTACHMENT_OPTIMAL }];
        let passes = [vk::SubpassDescription::default()
            .pipeline_bind_point(vk::PipelineBindPoint::GRAPHICS)
            .color_attachments(&colour)];
        let info = vk::RenderPassCreateInfo::default().attachments(&attachments).subpasses(&passes);
        // SAFETY: the info and all that it points to live until the call returns.
        unsafe { self.core.device.create_render_pass(&info, None) }.map_err(failed("make a pass"))
    }

    fn pipelines(&self, pass: vk::RenderPass) -> Result<[vk::Pipeline; 3]> {
        let stage =
            |stage, name| vk::PipelineShaderStageCreateInfo::default().stage(stage).module(self.shaders).name(name);
        let scene = [
            stage(vk::ShaderStageFlags::VERTEX, c"scene_vertex"),
            stage(vk::ShaderStageFlags::FRAGMENT, c"scene_fragment"),
        ];
        let layer = [
            stage(vk::ShaderStageFlags::VERTEX, c"layer_vertex"),
            stage(vk::ShaderStageFlags::FRAGMENT, c"layer_fragment"),
        ];
        let no_vertices = vk::PipelineVertexInputStateCreateInfo::default();
        let triangles =
            vk::PipelineInputAssemblyStateCreateInfo::default().topology(vk::PrimitiveTopology::TRIANGLE_LIST);
        let strip = vk::PipelineInputAssemblyStateCreateInfo::default().topology(vk::PrimitiveTopology::TRIANGLE_STRIP);
        let viewport = vk::PipelineViewportStateCreateInfo::default().viewport_count(1).scissor_count(1);
        let raster = vk::PipelineRasterizationStateCreateInfo::default()
            .polygon_mode(vk::PolygonMode::FILL)
            .cull_mode(vk::CullModeFlags::NONE)
            .line_width(1.0);
        let samples =
            vk::PipelineMultisampleStateCreateInfo::default().rasterization_samples(vk::SampleCountFlags::TYPE_1);
        let over = [blend(true)];
        let instead = [blend(false)];
        let blend_over = vk::PipelineColorBlendStateCreateInfo::default().attachments(&over);
        let blend_instead = vk::PipelineColorBlendStateCreateInfo::default().attachments(&instead);
        let dynamic = [vk::DynamicState::VIEWPORT, vk::DynamicState::SCISSOR];
        let dynamic = vk::PipelineDynamicStateCreateInfo::default().dynamic_states(&dynamic);
        let common = vk::GraphicsPipelineCreateInfo::default()
            .vertex_input_state(&no_vertices)
            .viewport_state(&viewport)
            .rasterization_state(&raster)
            .multisample_state(&samples)
            .dynamic_state(&dynamic)
            .layout(self.layout)
            .render_pass(pass);
        let infos = [
            common.stages(&scene).input_assembly_state(&triangles).color_blend_state(&blend_instead),
            common.stages(&layer).input_assembly_state(&strip).color_blend_state(&blend_over),
            common.stages(&layer).input_assembly_state(&strip).color_blend_state(&blend_instead),
        ];
        // SAFETY: the infos and all that they point to live until the call returns.
        let made = unsafe { self.core.device.create_graphics_pipelines(vk::PipelineCache::null(), &infos, None) };
        match made {
            Ok(pipelines) => <[vk::Pipeline; 3]>::try_from(pipelines)
                .map_err(|_| Error::new(Stage::Access, Kind::Unreachable).why("as many infos make as many pipelines")),
            Err((pipelines, result)) => {
                for pipeline in pipelines {
                    // SAFETY: the pipeline is new, or null.
                    unsafe { self.core.device.destroy_pipeline(pipeline, None) };
                }
                Err(failed("make pipelines")(result))
            }
        }
    }
}

/// Over what is there, with colours that were multiplied by alpha; or instead of it.
fn blend(over: bool) -> vk::PipelineColorBlendAttachmentState {
    vk::PipelineColorBlendAttachmentState::default()
        .blend_enable(over)
        .src_color_blend_factor(vk::BlendFactor::ONE)
        .dst_color_blend_factor(vk::BlendFactor::ONE_MINUS_SRC_ALPHA)
        .color_blend_op(vk::BlendOp::ADD)
        .src_alpha_blend_factor(vk::BlendFactor::ONE)
        .dst_alpha_blend_factor(vk::BlendFactor::ONE_MINUS_SRC_ALPHA)
        .alpha_blend_op(vk::BlendOp::ADD)
        .color_write_mask(vk::ColorComponentFlags::RGBA)
}

impl Drop for Objects {
    fn drop(&mut self) {
        let device = &self.core.device;
        let targets = std::mem::take(self.targets.get_mut().unwrap_or_else(PoisonError::into_inner));
        for target in targets.into_values() {
            for pipeline in [target.scene, target.layer, target.copy] {
                // SAFETY: jobs that use it hold these objects, and are gone.
                unsafe { device.destroy_pipeline(pipeline, None) };
            }
            // SAFETY: as above.
            unsafe { device.destroy_render_pass(target.pass, None) };
        }
        for sampler in [self.nearest, self.linear] {
            // SAFETY: as above; null is allowed.
            unsafe { device.destroy_sampler(sampler, None) };
        }
        // SAFETY: as above.
        unsafe { device.destroy_shader_module(self.shaders, None) };
        // SAFETY: as above.
        unsafe { device.destroy_pipeline_layout(self.layout, None) };
        // SAFETY: as above.
        unsafe { device.destroy_descriptor_set_layout(self.set_layout, None) };
    }
}

/// Sets of one job.
pub(super) struct Sets {
    objects: Arc<Objects>,
    pool: vk::DescriptorPool,
    sets: Vec<vk::DescriptorSet>,
}

impl Sets {
    pub(super) fn each(&self) -> impl Iterator<Item = vk::DescriptorSet> + '_ {
        self.sets.iter().copied()
    }
}

impl Drop for Sets {
    fn drop(&mut self) {
        // SAFETY: the job that used the sets has ended, or was never submitted.
        unsafe { self.objects.core.device.destroy_descriptor_pool(self.pool, None) };
    }
}
