//! `include/uapi/drm/vgem_drm.h`: fences that a program signals itself. For tests.

use super::drm::GROUP;
use crate::ioctl::Request;

/// `VGEM_FENCE_WRITE`
pub const FENCE_WRITE: u32 = 1;

/// `struct drm_vgem_fence_attach`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FenceAttach {
    /// The GEM handle.
    pub handle: u32,
    /// [`FENCE_WRITE`], or zero for a reader's fence.
    pub flags: u32,
    /// Out: the fence's number in this open file.
    pub out_fence: u32,
    /// Zero.
    pub pad: u32,
}

/// `struct drm_vgem_fence_signal`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FenceSignal {
    /// The fence's number.
    pub fence: u32,
    /// Zero.
    pub flags: u32,
}

/// `DRM_IOCTL_VGEM_FENCE_ATTACH`
pub const FENCE_ATTACH: Request<FenceAttach> = Request::iowr(GROUP, 0x41);
/// `DRM_IOCTL_VGEM_FENCE_SIGNAL`
pub const FENCE_SIGNAL: Request<FenceSignal> = Request::iow(GROUP, 0x42);
