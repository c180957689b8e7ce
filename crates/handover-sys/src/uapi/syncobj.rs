//! `include/uapi/drm/drm.h`, the part on synchronisation objects.
//!
//! Three structs have grown (`point` after Linux 6.12, the two `deadline_nsec` between 6.1 and 6.12). The DRM core copies
//! what both sides have and takes the rest as zero, so the long struct works on an older kernel, which ignores the new field.

use super::drm::GROUP;
use crate::ioctl::Request;

/// `DRM_SYNCOBJ_CREATE_SIGNALED`
pub const CREATE_SIGNALED: u32 = 1;
/// `DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE` and `DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE`
pub const SYNC_FILE: u32 = 1;
/// `DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_TIMELINE` and `DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_TIMELINE`: `point` counts.
pub const TIMELINE: u32 = 2;
/// `DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL`
pub const WAIT_ALL: u32 = 1;
/// `DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT`
pub const WAIT_FOR_SUBMIT: u32 = 2;
/// `DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE`
pub const WAIT_AVAILABLE: u32 = 4;
/// `DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE`
pub const WAIT_DEADLINE: u32 = 8;
/// `DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED`
pub const QUERY_LAST_SUBMITTED: u32 = 1;

/// `struct drm_syncobj_create`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// Out.
    pub handle: u32,
    /// [`CREATE_SIGNALED`] or zero.
    pub flags: u32,
}

/// `struct drm_syncobj_destroy`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destroy {
    /// The handle.
    pub handle: u32,
    /// Zero.
    pub pad: u32,
}

/// `struct drm_syncobj_handle`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handle {
    /// The handle.
    pub handle: u32,
    /// [`SYNC_FILE`], with [`TIMELINE`] or without; zero for the whole object.
    pub flags: u32,
    /// The descriptor.
    pub fd: i32,
    /// Zero.
    pub pad: u32,
    /// The point, where [`TIMELINE`] is set (not in Linux 6.12, which ignores it).
    pub point: u64,
}

/// `struct drm_syncobj_wait`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Address of the handles.
    pub handles: u64,
    /// An instant of `CLOCK_MONOTONIC` in nanoseconds; 0 or past looks once.
    pub timeout_nsec: i64,
    /// How many handles.
    pub count_handles: u32,
    /// `WAIT_*`.
    pub flags: u32,
    /// Out: the index that was ready, without [`WAIT_ALL`].
    pub first_signaled: u32,
    /// Zero.
    pub pad: u32,
    /// With [`WAIT_DEADLINE`]: when the fences are wanted.
    pub deadline_nsec: u64,
}

/// `struct drm_syncobj_timeline_wait`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimelineWait {
    /// Address of the handles.
    pub handles: u64,
    /// Address of as many points.
    pub points: u64,
    /// As [`Wait::timeout_nsec`].
    pub timeout_nsec: i64,
    /// How many handles.
    pub count_handles: u32,
    /// `WAIT_*`.
    pub flags: u32,
    /// As [`Wait::first_signaled`].
    pub first_signaled: u32,
    /// Zero.
    pub pad: u32,
    /// As [`Wait::deadline_nsec`].
    pub deadline_nsec: u64,
}

/// `struct drm_syncobj_array`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Array {
    /// Address of the handles.
    pub handles: u64,
    /// How many handles.
    pub count_handles: u32,
    /// Zero.
    pub pad: u32,
}

/// `struct drm_syncobj_timeline_array`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimelineArray {
    /// Address of the handles.
    pub handles: u64,
    /// Address of as many points.
    pub points: u64,
    /// How many handles.
    pub count_handles: u32,
    /// [`QUERY_LAST_SUBMITTED`] or zero.
    pub flags: u32,
}

/// `struct drm_syncobj_transfer`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// From here,
    pub src_handle: u32,
    /// to here.
    pub dst_handle: u32,
    /// The point to take; 0 the whole content.
    pub src_point: u64,
    /// The point to add; 0 replaces the content.
    pub dst_point: u64,
    /// [`WAIT_FOR_SUBMIT`] or zero.
    pub flags: u32,
    /// Zero.
    pub pad: u32,
}

/// `struct drm_syncobj_eventfd`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eventfd {
    /// The handle.
    pub handle: u32,
    /// [`WAIT_AVAILABLE`] or zero.
    pub flags: u32,
    /// The point.
    pub point: u64,
    /// The eventfd.
    pub fd: i32,
    /// Zero.
    pub pad: u32,
}

/// `DRM_IOCTL_SYNCOBJ_CREATE`
pub const CREATE: Request<Create> = Request::iowr(GROUP, 0xbf);
/// `DRM_IOCTL_SYNCOBJ_DESTROY`
pub const DESTROY: Request<Destroy> = Request::iowr(GROUP, 0xc0);
/// `DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD`
pub const HANDLE_TO_FD: Request<Handle> = Request::iowr(GROUP, 0xc1);
/// `DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE`
pub const FD_TO_HANDLE: Request<Handle> = Request::iowr(GROUP, 0xc2);
/// `DRM_IOCTL_SYNCOBJ_WAIT`
pub const WAIT: Request<Wait> = Request::iowr(GROUP, 0xc3);
/// `DRM_IOCTL_SYNCOBJ_RESET`
pub const RESET: Request<Array> = Request::iowr(GROUP, 0xc4);
/// `DRM_IOCTL_SYNCOBJ_SIGNAL`
pub const SIGNAL: Request<Array> = Request::iowr(GROUP, 0xc5);
/// `DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT`
pub const TIMELINE_WAIT: Request<TimelineWait> = Request::iowr(GROUP, 0xca);
/// `DRM_IOCTL_SYNCOBJ_QUERY`
pub const QUERY: Request<TimelineArray> = Request::iowr(GROUP, 0xcb);
/// `DRM_IOCTL_SYNCOBJ_TRANSFER`
pub const TRANSFER: Request<Transfer> = Request::iowr(GROUP, 0xcc);
/// `DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL`
pub const TIMELINE_SIGNAL: Request<TimelineArray> = Request::iowr(GROUP, 0xcd);
/// `DRM_IOCTL_SYNCOBJ_EVENTFD`
pub const EVENTFD: Request<Eventfd> = Request::iowr(GROUP, 0xcf);
