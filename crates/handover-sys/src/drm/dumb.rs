//! Dumb buffers: linear memory of a card that its display engine can scan out, made without knowing the driver.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use super::Gem;
use crate::ioctl::{self, Retry};
use crate::uapi::dumb::{self, CreateDumb, DestroyDumb, MapDumb};

/// A dumb buffer and what the driver made of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dumb {
    /// The buffer. Given back by [`destroy`].
    pub gem: Gem,
    /// Bytes from a line to the next; at least the width in bytes.
    pub pitch: u32,
    /// Bytes of the whole buffer; at least `pitch` times the height.
    pub size: u64,
}

/// Makes a buffer of `width` times `height` pixels of `bpp` bits each, zeroed.
///
/// Call: `DRM_IOCTL_MODE_CREATE_DUMB`. Node: a card; a render node refuses (`EACCES`). Permission: none besides; not the
/// master's. May block: while memory is found. Since: 2.6.39. Retries: none; `EINTR` and `EAGAIN` are repeated.
/// Errors: `EOPNOTSUPP` or `ENOSYS` (the driver has none: [`Cap::DumbBuffer`](super::Cap::DumbBuffer) says so), `EINVAL` (a zero, or more
/// bytes than 32 bits count), `ENOMEM`.
pub fn create(fd: impl AsFd, width: u32, height: u32, bpp: u32) -> io::Result<Dumb> {
    let mut create = CreateDumb { width, height, bpp, ..CreateDumb::default() };
    // SAFETY: `struct drm_mode_create_dumb` holds no address.
    unsafe { ioctl::call(fd, &dumb::CREATE_DUMB, &mut create, Retry::Drm) }?;
    Ok(Dumb { gem: Gem(create.handle), pitch: create.pitch, size: create.size })
}

/// The offset under which [`Mapping::new_at`](crate::map::Mapping::new_at) of the same open file finds the buffer. It is a
/// name and no place: nothing lies at offsets between two of them.
///
/// Call: `DRM_IOCTL_MODE_MAP_DUMB`. Node: a card. Permission: none. May block: no. Since: 2.6.39. Retries: none.
/// Errors: `ENOENT` (no such handle), `EINVAL` (on some drivers, a buffer that was imported).
pub fn map_offset(fd: impl AsFd, gem: Gem) -> io::Result<u64> {
    let mut map = MapDumb { handle: gem.0, ..MapDumb::default() };
    // SAFETY: `struct drm_mode_map_dumb` holds no address; the offset that comes back is a number.
    unsafe { ioctl::call(fd, &dumb::MAP_DUMB, &mut map, Retry::Drm) }?;
    Ok(map.offset)
}

/// Gives the handle back. The memory stays while a mapping, a framebuffer or a dma-buf of it does.
///
/// Call: `DRM_IOCTL_MODE_DESTROY_DUMB`. Node: a card. Permission: none. May block: no. Since: 2.6.39. Retries: none.
/// Errors: `EINVAL` (no such handle).
pub fn destroy(fd: impl AsFd, gem: Gem) -> io::Result<()> {
    let mut destroy = DestroyDumb { handle: gem.0 };
    // SAFETY: `struct drm_mode_destroy_dumb` holds no address.
    unsafe { ioctl::call(fd, &dumb::DESTROY_DUMB, &mut destroy, Retry::Drm) }?;
    Ok(())
}
