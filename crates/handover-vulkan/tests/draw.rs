//! What a device draws is what others read, pixel by pixel; and the other way round.
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

use common::{SIZE, agree, assert_same, lease, on_gpu, pixels, soon, surfaces};
use handover::{Access, Device, ExportFlags, Format, Modifier, Options, SurfaceUsages, export};
use handover_vulkan::paint::{Layer, Painter, scene};

#[test]
fn what_a_device_draws_into_imported_memory_is_what_a_cpu_reads() {
    on_gpu(|gpu| {
        let Some(udmabuf) = kernel::udmabuf() else { return };
        let surface = surfaces(gpu, &udmabuf, Format::XRGB8888, 1).remove(0);
        let image = gpu.image(&surface, SurfaceUsages::RENDER).unwrap();
        let painter = Painter::new(gpu).unwrap();
        for (frame, index) in [(0, 0), (7, 1), (123_456, 2)] {
            let job = gpu
                .run(&[(&image, Access::Write)], soon(), |recorder| painter.scene(recorder, &image, frame, index))
                .unwrap();
            job.wait(soon()).unwrap();
            assert_same(&pixels(&surface), |x, y| scene::pixel(SIZE, frame, index, (x, y)), "the scene");
        }
    });
}

#[test]
fn what_cpus_draw_a_device_lays_over_each_other() {
    on_gpu(|gpu| {
        let Some(udmabuf) = kernel::udmabuf() else { return };
        let target = surfaces(gpu, &udmabuf, Format::XRGB8888, 1).remove(0);
        let ground = surfaces(gpu, &udmabuf, Format::XRGB8888, 1).remove(0);
        let glass = surfaces(gpu, &udmabuf, Format::ARGB8888, 1).remove(0);
        // An x of 0 must not be taken for transparent.
        lease(&ground, Access::Write).write(&ground).unwrap().clear(0x0020_4060).unwrap();
        lease(&glass, Access::Write).write(&glass).unwrap().clear(0x8080_0000).unwrap();
        let [target_image, ground_image, glass_image] = [&target, &ground, &glass].map(|surface| {
            let usages = if surface.id() == target.id() { SurfaceUsages::RENDER } else { SurfaceUsages::SAMPLE };
            gpu.image(surface, usages).unwrap()
        });
        let painter = Painter::new(gpu).unwrap();
        let set = [(&target_image, Access::Write), (&ground_image, Access::Read), (&glass_image, Access::Read)];
        let layers = [
            Layer { image: &ground_image, at: (0, 0), size: SIZE },
            Layer { image: &glass_image, at: (64, 0), size: (64, 48) },
        ];
        drop(gpu.run(&set, soon(), |recorder| painter.compose(recorder, &target_image, &layers)).unwrap());
        let expected = |x, y| if x >= 64 && y < 48 { 0x0090_2030 } else { 0x0020_4060 };
        for (index, found) in pixels(&target).into_iter().enumerate() {
            let (x, y) = (index as u32 % SIZE.0, index as u32 / SIZE.0);
            let near = |shift: u32| (found >> shift & 0xff).abs_diff(expected(x, y) >> shift & 0xff) <= 1;
            assert!(near(0) && near(8) && near(16), "{found:08x}, not {:08x}, at {x}, {y}", expected(x, y));
        }
    });
}

#[test]
fn what_a_device_allocates_others_import_and_read() {
    on_gpu(|gpu| {
        let reader = Device::PLAIN.offer("reader", &[Format::XRGB8888], SurfaceUsages::READ);
        let agreement = agree(&[gpu.offer("vulkan", &[Format::XRGB8888], SurfaceUsages::RENDER), reader]);
        assert_eq!(agreement.modifier, Modifier::LINEAR);
        let images = gpu.allocate(&agreement, &Options { surfaces: 3, ..Options::default() }).unwrap();
        let painter = Painter::new(gpu).unwrap();
        for (index, image) in (0..).zip(&images) {
            let handle = export(image.surface(), ExportFlags::READ, soon()).unwrap().handle;
            let theirs = handover::import(handle, Device::PLAIN).unwrap();
            drop(
                gpu.run(&[(image, Access::Write)], soon(), |recorder| painter.scene(recorder, image, 5, index))
                    .unwrap(),
            );
            assert_same(&pixels(&theirs), |x, y| scene::pixel(SIZE, 5, index, (x, y)), "the scene");
        }
    });
}
