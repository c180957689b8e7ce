//! `include/uapi/drm/drm.h`: what every DRM node answers, and buffers across nodes (PRIME).

use crate::ioctl::Request;

/// The group of every DRM request.
pub(crate) const GROUP: u8 = b'd';

/// `struct drm_version`. Lengths and addresses are as wide as a pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Out.
    pub version_major: i32,
    /// Out.
    pub version_minor: i32,
    /// Out.
    pub version_patchlevel: i32,
    /// In: bytes at `name`. Out: bytes of the whole text, without a NUL.
    pub name_len: usize,
    /// Address of the buffer for the driver's name.
    pub name: usize,
    /// As `name_len`.
    pub date_len: usize,
    /// Address of the buffer for the date.
    pub date: usize,
    /// As `name_len`.
    pub desc_len: usize,
    /// Address of the buffer for the description.
    pub desc: usize,
}

/// `struct drm_get_cap`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetCap {
    /// `DRM_CAP_*`.
    pub capability: u64,
    /// Out.
    pub value: u64,
}

/// `struct drm_set_client_cap`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetClientCap {
    /// `DRM_CLIENT_CAP_*`.
    pub capability: u64,
    /// What the client can take.
    pub value: u64,
}

/// `struct drm_gem_close`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemClose {
    /// The GEM handle.
    pub handle: u32,
    /// Zero.
    pub pad: u32,
}

/// `struct drm_prime_handle`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrimeHandle {
    /// The GEM handle.
    pub handle: u32,
    /// [`CLOEXEC`] and [`RDWR`], for the way to a descriptor; zero for the way back.
    pub flags: u32,
    /// The dma-buf.
    pub fd: i32,
}

/// `DRM_CLOEXEC`
pub const CLOEXEC: u32 = 0o2000000;
/// `DRM_RDWR`
pub const RDWR: u32 = 0o2;

/// `DRM_IOCTL_VERSION`
pub const VERSION: Request<Version> = Request::iowr(GROUP, 0x00);
/// `DRM_IOCTL_GEM_CLOSE`
pub const GEM_CLOSE: Request<GemClose> = Request::iow(GROUP, 0x09);
/// `DRM_IOCTL_GET_CAP`
pub const GET_CAP: Request<GetCap> = Request::iowr(GROUP, 0x0c);
/// `DRM_IOCTL_SET_CLIENT_CAP`
pub const SET_CLIENT_CAP: Request<SetClientCap> = Request::iow(GROUP, 0x0d);
/// `DRM_IOCTL_PRIME_HANDLE_TO_FD`
pub const PRIME_HANDLE_TO_FD: Request<PrimeHandle> = Request::iowr(GROUP, 0x2d);
/// `DRM_IOCTL_PRIME_FD_TO_HANDLE`
pub const PRIME_FD_TO_HANDLE: Request<PrimeHandle> = Request::iowr(GROUP, 0x2e);
