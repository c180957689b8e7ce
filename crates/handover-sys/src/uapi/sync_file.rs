//! `include/uapi/linux/sync_file.h`: a set of fences behind one descriptor.

use crate::ioctl::Request;

/// Bytes of a name, with its NUL.
pub const NAME_LEN: usize = 32;

/// `struct sync_merge_data`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeData {
    /// The name of the new file, with a NUL.
    pub name: [u8; NAME_LEN],
    /// The other sync_file.
    pub fd2: i32,
    /// Out: the merged sync_file.
    pub fence: i32,
    /// Zero.
    pub flags: u32,
    /// Zero.
    pub pad: u32,
}

/// `struct sync_fence_info`: one fence of a sync_file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FenceInfo {
    /// The timeline, with a NUL.
    pub obj_name: [u8; NAME_LEN],
    /// The driver, with a NUL.
    pub driver_name: [u8; NAME_LEN],
    /// 0 pending, 1 signalled, a negative errno where it failed.
    pub status: i32,
    /// Zero.
    pub flags: u32,
    /// Nanoseconds of `CLOCK_MONOTONIC`; 0 until signalled.
    pub timestamp_ns: u64,
}

/// `struct sync_file_info`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// Out: the name of the file, with a NUL.
    pub name: [u8; NAME_LEN],
    /// Out: as [`FenceInfo::status`], of all fences together.
    pub status: i32,
    /// Zero.
    pub flags: u32,
    /// In: elements of the array, or 0 to ask for the count. Out: how many fences there are.
    pub num_fences: u32,
    /// Zero.
    pub pad: u32,
    /// Address of an array of [`FenceInfo`].
    pub sync_fence_info: u64,
}

/// `struct sync_set_deadline`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetDeadline {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub deadline_ns: u64,
    /// Zero.
    pub pad: u64,
}

/// `SYNC_IOC_MERGE`
pub const MERGE: Request<MergeData> = Request::iowr(b'>', 3);
/// `SYNC_IOC_FILE_INFO`
pub const FILE_INFO: Request<FileInfo> = Request::iowr(b'>', 4);
/// `SYNC_IOC_SET_DEADLINE`
pub const SET_DEADLINE: Request<SetDeadline> = Request::iow(b'>', 5);
