//! `include/uapi/linux/dma-heap.h`: dma-bufs from a heap of the kernel.

use crate::ioctl::Request;

/// `struct dma_heap_allocation_data`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocationData {
    /// Bytes; rounded up to pages.
    pub len: u64,
    /// In: zero. Out: the dma-buf.
    pub fd: u32,
    /// `O_CLOEXEC` and the access mode.
    pub fd_flags: u32,
    /// Zero.
    pub heap_flags: u64,
}

/// `DMA_HEAP_IOCTL_ALLOC`
pub const ALLOC: Request<AllocationData> = Request::iowr(b'H', 0);
