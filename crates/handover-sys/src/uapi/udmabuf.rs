//! `include/uapi/linux/udmabuf.h`: a dma-buf over the pages of a memfd.

use crate::ioctl::Request;

/// `UDMABUF_FLAGS_CLOEXEC`
pub const CLOEXEC: u32 = 1;
/// As many ranges as the kernel takes in one list unless its `list_limit` says otherwise.
pub const LIST_LIMIT: usize = 1024;

/// `struct udmabuf_create`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// The memfd.
    pub memfd: u32,
    /// [`CLOEXEC`]. Unknown bits are ignored.
    pub flags: u32,
    /// Bytes, of whole pages.
    pub offset: u64,
    /// Bytes, of whole pages.
    pub size: u64,
}

/// `struct udmabuf_create_item`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateItem {
    /// The memfd.
    pub memfd: u32,
    /// Zero.
    pub pad: u32,
    /// Bytes, of whole pages.
    pub offset: u64,
    /// Bytes, of whole pages.
    pub size: u64,
}

/// `struct udmabuf_create_list`, less the items behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateList {
    /// [`CLOEXEC`].
    pub flags: u32,
    /// How many items follow.
    pub count: u32,
}

/// [`CreateList`] and the room for its items.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CreateListItems {
    /// The header.
    pub header: CreateList,
    /// The first `header.count` of these are read.
    pub items: [CreateItem; LIST_LIMIT],
}

/// `UDMABUF_CREATE`
pub const CREATE: Request<Create> = Request::iow(b'u', 0x42);
/// `UDMABUF_CREATE_LIST`. Its number knows the header only.
pub const CREATE_LIST: Request<CreateListItems> = Request::raw(0x4008_7543);
