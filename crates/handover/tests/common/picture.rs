//! Pictures for the tests on a device that draws: surfaces that it and a CPU reach, their pixels, and how two pictures differ.
// Each test binary uses a part of this.
#![allow(dead_code)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handover::{
    Access, Agreement, Backend, Deadline, Device, Error, Extent, Format, Lease, Offer, Options, Region, Result,
    Surface, SurfaceUsages, Writers, acquire, allocate, negotiate,
};
use handover_sys::map::{Populate, ReadMapping};

pub(crate) const SIZE: (u32, u32) = (128, 96);

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Descriptors are counted for the whole process, and drivers have threads that open some, so tests take turns.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What parties agree on; the first is the producer.
pub(crate) fn agree(offers: &[Offer]) -> Agreement {
    negotiate(Extent::new(SIZE.0, SIZE.1).unwrap(), offers).unwrap()
}

/// Surfaces of a source of dma-bufs, which a CPU writes and a device uses as it `offers`.
pub(crate) fn surfaces_for(offer: Offer, backend: &Arc<dyn Backend>, format: Format, count: u32) -> Vec<Surface> {
    let agreement = agree(&[Device::PLAIN.offer("producer", &[format], SurfaceUsages::WRITE), offer]);
    let options =
        Options { surfaces: count, backend: Arc::clone(backend), writers: Writers::Open, ..Options::default() };
    allocate(Device::PLAIN, &agreement, &options).unwrap()
}

pub(crate) fn lease(surface: &Surface, access: Access) -> Lease {
    acquire(&[(surface, access, Region::WHOLE)], soon()).unwrap().wait().unwrap()
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
