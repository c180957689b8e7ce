//! Help for the tests on a device of Vulkan.
#![allow(dead_code)]

mod alarms;

#[path = "../../../handover/tests/common/picture.rs"]
mod picture;

use std::sync::Arc;

use handover::{Backend, Format, Surface, SurfaceUsages};
use handover_vulkan::Gpu;

use super::kernel::{need, skip};
pub(crate) use picture::*;

/// The test on the first device of this machine that can share images, every call checked. Left out, and said so, where there is
/// none. What the test made is gone when the device ends, and the layer has nothing to say of any of it.
pub(crate) fn on_gpu(test: impl FnOnce(&Gpu)) {
    let _turn = alone();
    let Some(gpu) = gpu() else { return };
    test(&gpu);
    no_complaints(gpu);
}

/// A device, every call checked. `None` after a skip. Where only the layer is missing, a test goes on without.
pub(crate) fn gpu() -> Option<Gpu> {
    let open = |validation| Gpu::open(&handover_vulkan::Options { validation, ..Default::default() });
    match open(true) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            let plain = need("vulkan", open(false))?;
            skip("validation", &error.to_string());
            Some(plain)
        }
    }
}

/// Ends the device, and asks what the layer has found until then.
pub(crate) fn no_complaints(gpu: Gpu) {
    let (allowed, complaints) = (alarms::allowed(&gpu), gpu.complaints());
    drop(gpu);
    let real = alarms::real(complaints.all(), &allowed);
    assert!(real.is_empty(), "the validation layer has {} complaints:\n{}", real.len(), real.join("\n"));
}

/// Surfaces of a source of dma-bufs that a device can draw to and sample.
pub(crate) fn surfaces(gpu: &Gpu, backend: &Arc<dyn Backend>, format: Format, count: u32) -> Vec<Surface> {
    let offer = gpu.offer("vulkan", &[format], SurfaceUsages::RENDER | SurfaceUsages::SAMPLE);
    surfaces_for(offer, backend, format, count)
}
