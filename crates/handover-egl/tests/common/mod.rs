//! Help for the tests on a display of EGL.
#![allow(dead_code)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handover::{
    Access, Agreement, Backend, Deadline, Device, Error, Extent, Format, Lease, Offer, Options, Rect, Region, Result,
    Surface, SurfaceUsages, Writers, acquire, allocate, negotiate,
};
use handover_egl::{Display, Gl, Image};
use handover_sys::map::{Populate, ReadMapping};

use super::kernel::need;

pub(crate) const SIZE: (u32, u32) = (128, 96);

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A display of this machine that can share images: the one that `HANDOVER_EGL` names, else the first. `None` after a skip.
pub(crate) fn display() -> Option<Display> {
    let name = std::env::var("HANDOVER_EGL").ok();
    need("egl", Display::open(&handover_egl::Options { name }))
}

/// Descriptors are counted for the whole process, and drivers have threads that open some, so tests take turns.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn agree(offers: &[Offer]) -> Agreement {
    negotiate(Extent::new(SIZE.0, SIZE.1).unwrap(), offers).unwrap()
}

/// Surfaces of a source of dma-bufs that a display can draw to and sample.
pub(crate) fn surfaces(display: &Display, backend: &Arc<dyn Backend>, count: u32) -> Vec<Surface> {
    let format = Format::XRGB8888;
    let producer = Device::PLAIN.offer("producer", &[format], SurfaceUsages::WRITE);
    let agreement = agree(&[producer, display.offer("egl", &[format], SurfaceUsages::RENDER | SurfaceUsages::SAMPLE)]);
    let options =
        Options { surfaces: count, backend: Arc::clone(backend), writers: Writers::Open, ..Options::default() };
    allocate(Device::PLAIN, &agreement, &options).unwrap()
}

pub(crate) fn lease(surface: &Surface, access: Access) -> Lease {
    acquire(&[(surface, access, Region::WHOLE)], soon()).unwrap().wait().unwrap()
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

/// All pixels, row by row.
pub(crate) fn pixels(surface: &Surface) -> Vec<u32> {
    let mut bytes = vec![0; SIZE.0 as usize * SIZE.1 as usize * 4];
    lease(surface, Access::Read).read(surface).unwrap().read_image(0, &mut bytes, SIZE.0 as usize * 4).unwrap();
    words(&bytes)
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|pixel| u32::from_le_bytes(pixel.try_into().unwrap())).collect()
}

/// Where two pictures differ first, and by what.
pub(crate) fn assert_same(found: &[u32], expected: impl Fn(u32, u32) -> u32, what: &str) {
    for (index, found) in found.iter().enumerate() {
        let (x, y) = (index as u32 % SIZE.0, index as u32 / SIZE.0);
        let expected = expected(x, y);
        assert_eq!(found & 0x00ff_ffff, expected & 0x00ff_ffff, "{what}: {found:08x}, not {expected:08x}, at {x}, {y}");
    }
}

/// All pixels as they are in memory, without waiting for anybody.
pub(crate) fn raw_pixels(surface: &Surface) -> Vec<u32> {
    let plane = surface.layout().plane(0).unwrap();
    let length = plane.end().unwrap().get() as usize;
    let map = ReadMapping::new(surface.pixels_fd(), length, Populate::Later).unwrap();
    let (row, stride) = (SIZE.0 as usize * 4, plane.stride.get() as usize);
    let mut bytes = vec![0; row * SIZE.1 as usize];
    for (index, row) in bytes.chunks_exact_mut(row).enumerate() {
        assert!(map.pixels(0..length).unwrap().read(plane.offset.get() as usize + index * stride, row));
    }
    words(&bytes)
}

/// The refusal, or a panic that says what was let through.
pub(crate) fn refusal<T>(what: &str, result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("{what}: let through"),
        Err(error) => error,
    }
}
