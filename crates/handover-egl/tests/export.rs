//! Textures that OpenGL ES hands out: others read what it draws, a CPU and Vulkan. A driver that hands none out says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;

use std::io::Write as _;

use common::{SIZE, alone, assert_same, display, draw, drawn, pixels, rect, refusal, soon, surfaces, whole};
use handover::{
    Access, Device, ExportFlags, Extent, Format, Kind, Modifier, Options, SurfaceUsages, Writers, export, import,
};
use handover_egl::{Display, Image};
use handover_vulkan::paint::{Layer, Painter};
use kernel::need;

/// The exported texture; a refusal is shown, and must be one that says what the driver lacks.
fn exported(display: &Display, format: Format) -> Option<Image> {
    let texture = display.texture(format, Extent::new(SIZE.0, SIZE.1).unwrap()).unwrap();
    let options = Options { writers: Writers::Open, ..Options::default() };
    match display.export(&texture, &options) {
        Ok(image) => Some(image),
        Err(error) => {
            assert_eq!(error.kind(), &Kind::Unsupported, "{error}");
            let _ = writeln!(std::io::stderr(), "{format}: {error}");
            None
        }
    }
}

/// A colour as its bytes lie in memory.
fn stored(format: Option<Format>, colour: u32) -> u32 {
    let is_swapped = [Some(Format::ABGR8888), Some(Format::XBGR8888)].contains(&format);
    if is_swapped { colour.swap_bytes() >> 8 } else { colour }
}

#[test]
fn what_opengl_draws_into_its_own_texture_is_what_a_cpu_reads() {
    let _turn = alone();
    let Some(display) = display() else { return };
    let Some(image) = exported(&display, Format::ARGB8888) else { return };
    let layout = image.surface().layout();
    println!("{:?} {}, {:?}", layout.format(), layout.modifier(), layout.planes());
    let theirs = |device| import(export(image.surface(), ExportFlags::READ, soon()).unwrap().handle, device);
    for ground in [0x0066_3300, 0x0000_cc99] {
        drop(display.run(&[(&image, Access::Write)], soon(), |gl| draw(gl, &image, ground)).unwrap());
        match layout.modifier() {
            Modifier::LINEAR => {
                let found = pixels(&theirs(Device::PLAIN).unwrap());
                assert_same(&found, |x, y| stored(layout.format(), drawn(ground, x, y)), "the drawing");
            }
            // Only a device reads it.
            _ => assert_eq!(refusal("a tiled texture", theirs(Device::PLAIN)).kind(), &Kind::Unsupported),
        }
    }
}

#[test]
fn what_opengl_draws_into_its_own_texture_is_what_vulkan_samples() {
    let _turn = alone();
    let (Some(display), Some(udmabuf)) = (display(), kernel::udmabuf()) else { return };
    let Some(gpu) = need("vulkan", handover_vulkan::Gpu::open(&Default::default())) else { return };
    let Some(image) = exported(&display, Format::ARGB8888) else { return };
    drop(display.run(&[(&image, Access::Write)], soon(), |gl| draw(gl, &image, 0x0099_cc33)).unwrap());
    let sampled = gpu.image(image.surface(), SurfaceUsages::SAMPLE).unwrap();
    let target = surfaces(&display, &udmabuf, 1).remove(0);
    let target_image = gpu.image(&target, SurfaceUsages::RENDER).unwrap();
    let painter = Painter::new(&gpu).unwrap();
    let set = [(&target_image, Access::Write), (&sampled, Access::Read)];
    let layers = [Layer { image: &sampled, at: (0, 0), size: SIZE }];
    drop(gpu.run(&set, soon(), |recorder| painter.compose(recorder, &target_image, &layers)).unwrap());
    assert_same(&pixels(&target), |x, y| drawn(0x0099_cc33, x, y), "the texture");
}

/// A driver that hands textures out in a copy would leave the second drawing behind.
#[test]
fn a_texture_of_a_callers_own_binding_is_the_memory_that_is_handed_out() {
    let _turn = alone();
    let (Some(display), Some(udmabuf)) = (display(), kernel::udmabuf()) else { return };
    let Some(first) = exported(&display, Format::ARGB8888) else { return };
    let name = display.texture_of(first.texture().0, Extent::new(SIZE.0, SIZE.1).unwrap());
    let second = display.export(&name, &Options::default()).unwrap();
    let target = surfaces(&display, &udmabuf, 1).remove(0);
    let to = display.image(&target, SurfaceUsages::RENDER).unwrap();
    let job = display.run(&[(&first, Access::Write), (&second, Access::Read), (&to, Access::Write)], soon(), |gl| {
        draw(gl, &first, 0x00cc_0066)?;
        gl.copy((&second, whole()), (&to, whole()))?;
        gl.fill(&to, rect(1, 1, 1, 1), [0.0; 4])
    });
    drop(job.unwrap());
    let expected = |x, y| if (x, y) == (1, 1) { 0 } else { drawn(0x00cc_0066, x, y) };
    assert_same(&pixels(&target), expected, "the copy");
}
