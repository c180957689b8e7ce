//! `include/uapi/drm/drm_mode.h`: dumb buffers.

use super::drm::GROUP;
use crate::ioctl::Request;

/// `struct drm_mode_create_dumb`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateDumb {
    /// In, in lines.
    pub height: u32,
    /// In, in pixels.
    pub width: u32,
    /// In, bits a pixel.
    pub bpp: u32,
    /// Zero.
    pub flags: u32,
    /// Out.
    pub handle: u32,
    /// Out: bytes from a line to the next.
    pub pitch: u32,
    /// Out: bytes of the buffer.
    pub size: u64,
}

/// `struct drm_mode_map_dumb`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapDumb {
    /// In.
    pub handle: u32,
    /// Zero.
    pub pad: u32,
    /// Out: the offset that `mmap` of the node takes.
    pub offset: u64,
}

/// `struct drm_mode_destroy_dumb`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestroyDumb {
    /// In.
    pub handle: u32,
}
/// `DRM_IOCTL_MODE_CREATE_DUMB`
pub const CREATE_DUMB: Request<CreateDumb> = Request::iowr(GROUP, 0xb2);
/// `DRM_IOCTL_MODE_MAP_DUMB`
pub const MAP_DUMB: Request<MapDumb> = Request::iowr(GROUP, 0xb3);
/// `DRM_IOCTL_MODE_DESTROY_DUMB`
pub const DESTROY_DUMB: Request<DestroyDumb> = Request::iowr(GROUP, 0xb4);
