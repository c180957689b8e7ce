//! Buffers and the queues they go through.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::{BufferType, MAX_PLANES, Memory};
use crate::clock::Monotonic;
use crate::ioctl::{self, Request, Retry};
use crate::uapi::v4l2::{self, Buffer, ExportBuffer, Plane, RequestBuffers};

bitflags::bitflags! {
    /// What a queue can (`V4L2_BUF_CAP_*`). Empty on kernels before 4.20, which do not say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct QueueCaps: u32 {
        /// [`Memory::Mmap`].
        const MMAP = 1 << 0;
        /// Memory of a process, which is not used here.
        const USERPTR = 1 << 1;
        /// [`Memory::DmaBuf`].
        const DMA_BUF = 1 << 2;
        /// Requests.
        const REQUESTS = 1 << 3;
        /// Buffers may be given back while they are mapped or exported.
        const ORPHANED_BUFS = 1 << 4;
    }

    /// The state of a buffer (`V4L2_BUF_FLAG_*`). Bits unknown here are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct BufferFlags: u32 {
        /// Mapped.
        const MAPPED = 0x1;
        /// Waits for the device, or is the device's.
        const QUEUED = 0x2;
        /// Done, and waits to be dequeued.
        const DONE = 0x4;
        /// A picture that stands alone.
        const KEYFRAME = 0x8;
        /// The device says that the picture is damaged; the buffer can be used again.
        const ERROR = 0x40;
        /// The last one.
        const LAST = 0x0010_0000;
    }
}

/// What came of asking for buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested {
    /// How many there are, maybe more or fewer than asked; numbered from 0.
    pub count: u32,
    /// What the queue can.
    pub caps: QueueCaps,
}

/// A buffer of a queue, as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Bytes of each buffer of the picture.
    pub lengths: [u32; MAX_PLANES],
    /// The offset for [`Mapping::new_at`](crate::map::Mapping::new_at) of each; of [`Memory::Mmap`] only.
    pub offsets: [u32; MAX_PLANES],
    /// How many of those count.
    pub planes: usize,
    /// Its state.
    pub flags: BufferFlags,
}

/// A buffer that the device is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dequeued {
    /// Which one.
    pub index: u32,
    /// Bytes that hold data, in each buffer of the picture; the first counts unless the type is multi-planar.
    pub bytes_used: [u32; MAX_PLANES],
    /// Its state: look for [`BufferFlags::ERROR`].
    pub flags: BufferFlags,
    /// `V4L2_FIELD_*`.
    pub field: u32,
    /// Counts the pictures of the device, those that found no buffer too.
    pub sequence: u32,
    /// When the picture was taken or shown, to the microsecond; `None` where the device runs on another clock.
    pub at: Option<Monotonic>,
}

/// One buffer of a picture to be queued.
#[derive(Clone, Copy, Debug)]
pub struct DmaBufPlane<'fd> {
    /// The dma-buf.
    pub fd: BorrowedFd<'fd>,
    /// Bytes of it that the device may use; 0 for all.
    pub length: u32,
    /// Bytes that hold data, for a device that reads; 0 for all.
    pub bytes_used: u32,
    /// Bytes before the data, for a device that reads.
    pub data_offset: u32,
}

/// Gives a queue `count` buffers, of this device's memory or to be filled with dma-bufs; 0 gives all back, which stops the stream.
///
/// Call: `VIDIOC_REQBUFS`. Permission: none besides the node's; the queue then belongs to this open file. May block: while memory is
/// found. Retries: none. Errors: `EINVAL` (no such queue or memory), `EBUSY` (another file's; or mapped or exported still, without
/// [`QueueCaps::ORPHANED_BUFS`]), `ENOMEM`.
pub fn request_buffers(fd: impl AsFd, kind: BufferType, memory: Memory, count: u32) -> io::Result<Requested> {
    let mut request =
        RequestBuffers { count, kind: kind.number(), memory: memory.number(), ..RequestBuffers::default() };
    // SAFETY: `struct v4l2_requestbuffers` holds no address.
    unsafe { ioctl::call(fd, &v4l2::REQBUFS, &mut request, Retry::Interrupted) }?;
    Ok(Requested { count: request.count, caps: QueueCaps::from_bits_retain(request.capabilities) })
}

/// Size, place and state of a buffer.
///
/// Call: `VIDIOC_QUERYBUF`. Permission: none besides the node's. May block: no. Retries: none. Errors: `EINVAL` (no such buffer).
pub fn query_buffer(fd: impl AsFd, kind: BufferType, memory: Memory, index: u32) -> io::Result<Queued> {
    let mut picture = Picture::new(kind, memory, index);
    picture.call(fd, &v4l2::QUERYBUF)?;
    let mut queued = Queued {
        lengths: [0; MAX_PLANES],
        offsets: [0; MAX_PLANES],
        planes: 1,
        flags: BufferFlags::from_bits_retain(picture.buffer.flags),
    };
    if kind.is_multi_planar() {
        queued.planes = (picture.buffer.length as usize).min(MAX_PLANES);
        queued.lengths = picture.planes.map(|plane| plane.length);
        queued.offsets = picture.planes.map(|plane| plane.m[0]);
    } else {
        queued.lengths[0] = picture.buffer.length;
        queued.offsets[0] = picture.buffer.m[0];
    }
    Ok(queued)
}

/// A dma-buf of a buffer of [`Memory::Mmap`]. `plane` is 0 unless the type is multi-planar.
///
/// Call: `VIDIOC_EXPBUF` (`O_CLOEXEC | O_RDWR`). Permission: none besides the node's. May block: no. Since: 3.8. Retries: none.
/// Errors: `EINVAL` (no such buffer, or dma-bufs from elsewhere), `EMFILE`.
pub fn export_buffer(fd: impl AsFd, kind: BufferType, index: u32, plane: u32) -> io::Result<OwnedFd> {
    let flags = (libc::O_CLOEXEC | libc::O_RDWR) as u32;
    let mut export = ExportBuffer { kind: kind.number(), index, plane, flags, fd: -1, ..ExportBuffer::default() };
    // SAFETY: `struct v4l2_exportbuffer` holds no address.
    unsafe { ioctl::call(fd, &v4l2::EXPBUF, &mut export, Retry::Interrupted) }?;
    // SAFETY: the call was done, so this is a new descriptor, close-on-exec by the flags, which nobody else knows.
    unsafe { ioctl::own(export.fd) }
}

/// Hands buffer `index` to the device: `length` bytes of a dma-buf, of which `bytes_used` hold data for a device that reads (0: all).
///
/// The device keeps a reference of its own until the buffer is dequeued, and its attachment until another dma-buf comes
/// under this index: a queue is fast where each index always has the same one.
///
/// Call: `VIDIOC_QBUF`. Permission: none besides the node's. May block: while another thread dequeues on a blocking file; never
/// for fences. Since: 3.8. Retries: none; `EINTR` is repeated. Errors: `EINVAL` (no such buffer, queued already, no dma-buf, too small
/// for the format), `EBADF`, `ENODEV` or others of the exporter, who may refuse this device; `EIO`.
pub fn queue_dma_buf(
    fd: impl AsFd,
    kind: BufferType,
    index: u32,
    dma_buf: impl AsFd,
    length: u32,
    bytes_used: u32,
) -> io::Result<()> {
    let plane = DmaBufPlane { fd: dma_buf.as_fd(), length, bytes_used, data_offset: 0 };
    queue_dma_buf_planes(fd, kind, index, std::slice::from_ref(&plane))
}

/// As [`queue_dma_buf`], a picture of several buffers.
///
/// Call, permission, blocking, errors: as [`queue_dma_buf`], and `EINVAL` for a number of planes that the type cannot have.
pub fn queue_dma_buf_planes(fd: impl AsFd, kind: BufferType, index: u32, planes: &[DmaBufPlane<'_>]) -> io::Result<()> {
    let mut picture = Picture::new(kind, Memory::DmaBuf, index);
    picture.fill(planes.len(), |at, slot| {
        if let Some(plane) = planes.get(at) {
            // Not negative: a borrowed descriptor is open.
            slot.m[0] = plane.fd.as_raw_fd() as u32;
            slot.length = plane.length;
            slot.bytesused = plane.bytes_used;
            slot.data_offset = plane.data_offset;
        }
    })?;
    picture.call(fd, &v4l2::QBUF)
}

/// Hands buffer `index`, of the device's own memory, to the device; `bytes_used` for one that reads (0: all).
///
/// Call, permission, blocking, errors: as [`queue_dma_buf`].
pub fn queue_mmap(fd: impl AsFd, kind: BufferType, index: u32, bytes_used: u32) -> io::Result<()> {
    queue_mmap_planes(fd, kind, index, std::slice::from_ref(&bytes_used))
}

/// As [`queue_mmap`], a picture of several buffers.
///
/// Call, permission, blocking, errors: as [`queue_dma_buf_planes`].
pub fn queue_mmap_planes(fd: impl AsFd, kind: BufferType, index: u32, bytes_used: &[u32]) -> io::Result<()> {
    let mut picture = Picture::new(kind, Memory::Mmap, index);
    picture.fill(bytes_used.len(), |at, slot| slot.bytesused = bytes_used.get(at).copied().unwrap_or_default())?;
    picture.call(fd, &v4l2::QBUF)
}

/// Takes back a buffer that the device is done with; `None` where it is done with none. To wait, poll for
/// [`READ`](crate::poll::Interest) at a capture queue, for `WRITE` at an output queue.
///
/// Call: `VIDIOC_DQBUF`. Permission: the open file that asked for the buffers. May block: not on a file of [`open`](super::open); for
/// ever on a blocking one. Retries: none; `EINTR` is repeated, `EAGAIN` is `None`. Errors: `EINVAL` (no buffers, not streaming), `EIO`
/// (the device fails), `EPIPE` (after the last one of a codec).
pub fn dequeue(fd: impl AsFd, kind: BufferType, memory: Memory) -> io::Result<Option<Dequeued>> {
    let mut picture = Picture::new(kind, memory, 0);
    match picture.call(fd, &v4l2::DQBUF) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        other => other?,
    }
    let buffer = picture.buffer;
    let mut bytes_used = [0; MAX_PLANES];
    if kind.is_multi_planar() {
        bytes_used = picture.planes.map(|plane| plane.bytesused);
    } else {
        bytes_used[0] = buffer.bytesused;
    }
    let [seconds, microseconds] = buffer.timestamp.map(|part| u64::try_from(part).unwrap_or_default());
    let nanoseconds = seconds.saturating_mul(1_000_000_000).saturating_add(microseconds.saturating_mul(1_000));
    let monotonic = buffer.flags & v4l2::BUF_FLAG_TIMESTAMP_MASK == v4l2::BUF_FLAG_TIMESTAMP_MONOTONIC;
    Ok(Some(Dequeued {
        index: buffer.index,
        bytes_used,
        flags: BufferFlags::from_bits_retain(buffer.flags),
        field: buffer.field,
        sequence: buffer.sequence,
        at: monotonic.then_some(Monotonic(nanoseconds)),
    }))
}

/// Lets the device begin. Some want buffers queued before.
///
/// Call: `VIDIOC_STREAMON`. Permission: the open file that asked for the buffers. May block: while the device starts. Retries: none.
/// Errors: `EINVAL` (no buffers), `EPIPE` (no signal path), `ENOLINK`, `EIO`.
pub fn stream_on(fd: impl AsFd, kind: BufferType) -> io::Result<()> {
    stream(fd, &v4l2::STREAMON, kind)
}

/// Stops the device. All buffers are ours again, undone ones without data.
///
/// Call: `VIDIOC_STREAMOFF`. Permission: as [`stream_on`]. May block: until the device has let go. Retries: none. Errors: `EINVAL` (no
/// such queue).
pub fn stream_off(fd: impl AsFd, kind: BufferType) -> io::Result<()> {
    stream(fd, &v4l2::STREAMOFF, kind)
}

fn stream(fd: impl AsFd, request: &Request<i32>, kind: BufferType) -> io::Result<()> {
    let mut number = i32::try_from(kind.number()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the argument of both requests is one number, which the kernel reads.
    unsafe { ioctl::call(fd, request, &mut number, Retry::Interrupted) }?;
    Ok(())
}

/// `struct v4l2_buffer` and the planes that it points to for the multi-planar types.
struct Picture {
    buffer: Buffer,
    planes: [Plane; MAX_PLANES],
    multi_planar: bool,
}

impl Picture {
    fn new(kind: BufferType, memory: Memory, index: u32) -> Self {
        let mut buffer = Buffer { index, kind: kind.number(), memory: memory.number(), ..Buffer::default() };
        if kind.is_multi_planar() {
            buffer.length = MAX_PLANES as u32;
        }
        Self { buffer, planes: [Plane::default(); MAX_PLANES], multi_planar: kind.is_multi_planar() }
    }

    /// Fills in what is queued. A picture in one buffer has the same fields in the other struct.
    fn fill(&mut self, count: usize, mut set: impl FnMut(usize, &mut Plane)) -> io::Result<()> {
        let most = if self.multi_planar { MAX_PLANES } else { 1 };
        if count == 0 || count > most {
            return Err(Errno::INVAL.into());
        }
        for (at, slot) in self.planes.iter_mut().take(count).enumerate() {
            set(at, slot);
        }
        if self.multi_planar {
            self.buffer.length = u32::try_from(count).map_err(|_| Errno::INVAL)?;
        } else {
            let [plane, ..] = self.planes;
            (self.buffer.bytesused, self.buffer.length, self.buffer.m) = (plane.bytesused, plane.length, plane.m);
        }
        Ok(())
    }

    fn call(&mut self, fd: impl AsFd, request: &Request<Buffer>) -> io::Result<()> {
        if self.multi_planar {
            let address = ioctl::address_mut(&mut self.planes).to_ne_bytes();
            let (words, _) = address.as_chunks();
            self.buffer.m = std::array::from_fn(|at| words.get(at).map_or(0, |word| u32::from_ne_bytes(*word)));
        }
        // SAFETY: the kernel follows `m` of the multi-planar types alone, to at most `length` planes (MAX_PLANES or the fewer that
        // `fill` has set), which lie in `self`, borrowed mutably. `Memory` has no kind that makes `m` the address of pixels.
        unsafe { ioctl::call(fd, request, &mut self.buffer, Retry::Interrupted) }?;
        Ok(())
    }
}
