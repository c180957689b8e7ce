//! Help for the tests on a display of EGL.
#![allow(dead_code)]

#[path = "../../../handover/tests/common/picture.rs"]
mod picture;

use std::sync::Arc;

use handover::{Backend, Extent, Format, Rect, Result, Surface, SurfaceUsages};
use handover_egl::{Display, Gl, Image};

use super::kernel::need;
pub(crate) use picture::*;

/// A display of this machine that can share images: the one that `HANDOVER_EGL` names, else the first. `None` after a skip.
pub(crate) fn display() -> Option<Display> {
    let name = std::env::var("HANDOVER_EGL").ok();
    need("egl", Display::open(&handover_egl::Options { name }))
}

/// Surfaces of a source of dma-bufs that a display can draw to and sample.
pub(crate) fn surfaces(display: &Display, backend: &Arc<dyn Backend>, count: u32) -> Vec<Surface> {
    let format = Format::XRGB8888;
    let offer = display.offer("egl", &[format], SurfaceUsages::RENDER | SurfaceUsages::SAMPLE);
    surfaces_for(offer, backend, format, count)
}

pub(crate) fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
    Rect::new(x, y, Extent::new(width, height).unwrap()).unwrap()
}

pub(crate) fn whole() -> Rect {
    rect(0, 0, SIZE.0, SIZE.1)
}

/// A colour as OpenGL ES is told: exact for 0x00, 0x33 (a fifth), 0x66, 0x99, 0xcc and 0xff.
pub(crate) fn rgba(colour: u32) -> [f32; 4] {
    [16, 8, 0]
        .map(|shift| (colour >> shift & 0xff) as f32 / 255.0)
        .into_iter()
        .chain([1.0])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

/// What [`draw`] draws: a ground, a corner by which up, down, left and right differ, and a pixel.
pub(crate) fn drawn(ground: u32, x: u32, y: u32) -> u32 {
    match (x, y) {
        (127, 95) => 0x00ff_ffff,
        (0..16, 0..8) => 0x0033_99ff,
        _ => ground,
    }
}

pub(crate) fn draw(gl: &Gl<'_>, image: &Image, ground: u32) -> Result<()> {
    gl.fill(image, whole(), rgba(ground))?;
    gl.fill(image, rect(0, 0, 16, 8), rgba(0x0033_99ff))?;
    gl.fill(image, rect(127, 95, 1, 1), rgba(0x00ff_ffff))
}
