//! What OpenGL ES draws is what others read, pixel by pixel; and the other way round.
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

use common::{SIZE, alone, assert_same, display, draw, drawn, lease, pixels, rect, soon, surfaces, whole};
use handover::{Access, SurfaceUsages};

#[test]
fn what_opengl_draws_into_imported_memory_is_what_a_cpu_reads() {
    let _turn = alone();
    let (Some(display), Some(udmabuf)) = (display(), kernel::udmabuf()) else { return };
    println!("{}", display.report());
    for extension in &display.report().extensions {
        println!("  {} {}: {}", if extension.present { "+" } else { "-" }, extension.name, extension.gives);
    }
    let surface = surfaces(&display, &udmabuf, 1).remove(0);
    let image = display.image(&surface, SurfaceUsages::RENDER).unwrap();
    for ground in [0x0066_3300, 0x0000_cc99, 0x00ff_0033] {
        let job = display.run(&[(&image, Access::Write)], soon(), |gl| draw(gl, &image, ground)).unwrap();
        assert_same(&pixels(&surface), |x, y| drawn(ground, x, y), "the drawing");
        job.wait(soon()).unwrap();
    }
}

#[test]
fn what_cpus_draw_opengl_copies() {
    let _turn = alone();
    let (Some(display), Some(udmabuf)) = (display(), kernel::udmabuf()) else { return };
    let pair = surfaces(&display, &udmabuf, 2);
    let images: Vec<_> = pair
        .iter()
        .map(|surface| display.image(surface, SurfaceUsages::RENDER | SurfaceUsages::SAMPLE).unwrap())
        .collect();
    let (from, to) = (&images[0], &images[1]);
    // Each round the memory under the source changes, which a cache of the driver must not hide.
    for round in 0..3_u32 {
        let colour = |x: u32, y: u32| (x << 16) | (y << 8) | (round * 40);
        let picture: Vec<u8> =
            (0..SIZE.0 * SIZE.1).flat_map(|i| colour(i % SIZE.0, i / SIZE.0).to_le_bytes()).collect();
        lease(&pair[0], Access::Write).write(&pair[0]).unwrap().write_image(0, &picture, SIZE.0 as usize * 4).unwrap();
        let set = [(from, Access::Read), (to, Access::Write)];
        let job = display.run(&set, soon(), |gl| {
            gl.copy((from, whole()), (to, whole()))?;
            gl.copy((from, rect(0, 0, 8, 8)), (to, rect(64, 32, 16, 16)))
        });
        drop(job.unwrap());
        let expected = |x, y| match (x, y) {
            (64..80, 32..48) => colour((x - 64) / 2, (y - 32) / 2),
            _ => colour(x, y),
        };
        assert_same(&pixels(&pair[1]), expected, "the copy");
    }
}
