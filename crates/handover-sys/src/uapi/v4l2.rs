//! `include/uapi/linux/videodev2.h`: capture and output of video.
//!
//! The layouts are those of 64-bit machines. On others the size of `struct timeval` differs, the numbers with it, and the
//! kernel answers `ENOTTY`.

use crate::ioctl::Request;

pub(super) const GROUP: u8 = b'V';

/// As many planes as a format has at most (`VIDEO_MAX_PLANES`).
pub const MAX_PLANES: usize = 8;

/// `struct v4l2_capability`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// Text, ended by a NUL.
    pub driver: [u8; 16],
    /// Text, ended by a NUL.
    pub card: [u8; 32],
    /// Text, ended by a NUL.
    pub bus_info: [u8; 32],
    /// Of the kernel.
    pub version: u32,
    /// `V4L2_CAP_*` of the whole device.
    pub capabilities: u32,
    /// `V4L2_CAP_*` of this node.
    pub device_caps: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// `struct v4l2_fmtdesc`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FmtDesc {
    /// In.
    pub index: u32,
    /// In: `V4L2_BUF_TYPE_*`.
    pub kind: u32,
    /// `V4L2_FMT_FLAG_*`.
    pub flags: u32,
    /// Text, ended by a NUL.
    pub description: [u8; 32],
    /// A fourcc code of V4L2.
    pub pixelformat: u32,
    /// In: a media bus code, or zero.
    pub mbus_code: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// `struct v4l2_pix_format`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PixFormat {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// A fourcc code of V4L2.
    pub pixelformat: u32,
    /// `V4L2_FIELD_*`.
    pub field: u32,
    /// Bytes from a line to the next, of the first plane.
    pub bytesperline: u32,
    /// Bytes of the whole picture.
    pub sizeimage: u32,
    /// `V4L2_COLORSPACE_*`.
    pub colorspace: u32,
    /// [`PIX_FMT_PRIV_MAGIC`] where the fields below count.
    pub private: u32,
    /// `V4L2_PIX_FMT_FLAG_*`.
    pub flags: u32,
    /// `V4L2_YCBCR_ENC_*`.
    pub ycbcr_enc: u32,
    /// `V4L2_QUANTIZATION_*`.
    pub quantization: u32,
    /// `V4L2_XFER_FUNC_*`.
    pub xfer_func: u32,
}

/// `struct v4l2_plane_pix_format`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanePixFormat {
    /// Bytes of the plane.
    pub sizeimage: u32,
    /// Bytes from a line to the next.
    pub bytesperline: u32,
    /// Zero.
    pub reserved: [u16; 6],
}

/// `struct v4l2_pix_format_mplane`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PixFormatMplane {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// A fourcc code of V4L2.
    pub pixelformat: u32,
    /// `V4L2_FIELD_*`.
    pub field: u32,
    /// `V4L2_COLORSPACE_*`.
    pub colorspace: u32,
    /// The first `num_planes` count.
    pub plane_fmt: [PlanePixFormat; MAX_PLANES],
    /// How many planes.
    pub num_planes: u8,
    /// `V4L2_PIX_FMT_FLAG_*`.
    pub flags: u8,
    /// `V4L2_YCBCR_ENC_*`.
    pub ycbcr_enc: u8,
    /// `V4L2_QUANTIZATION_*`.
    pub quantization: u8,
    /// `V4L2_XFER_FUNC_*`.
    pub xfer_func: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// `struct v4l2_format`, its member `pix`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatPix {
    /// `V4L2_BUF_TYPE_*`.
    pub kind: u32,
    /// Padding.
    pub pad: u32,
    /// The format.
    pub pix: PixFormat,
    /// The rest of the union.
    pub rest: [u8; 152],
}

/// `struct v4l2_format`, its member `pix_mp`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatMplane {
    /// `V4L2_BUF_TYPE_*`.
    pub kind: u32,
    /// Padding.
    pub pad: u32,
    /// The format.
    pub pix_mp: PixFormatMplane,
    /// The rest of the union.
    pub rest: [u8; 8],
}

/// `struct v4l2_requestbuffers`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestBuffers {
    /// In: how many are wanted; 0 gives all back. Out: how many there are.
    pub count: u32,
    /// In: `V4L2_BUF_TYPE_*`.
    pub kind: u32,
    /// In: `V4L2_MEMORY_*`.
    pub memory: u32,
    /// Out: `V4L2_BUF_CAP_*`.
    pub capabilities: u32,
    /// `V4L2_MEMORY_FLAG_*`.
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// `struct v4l2_timecode`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timecode {
    /// `V4L2_TC_TYPE_*`.
    pub kind: u32,
    /// `V4L2_TC_FLAG_*`.
    pub flags: u32,
    /// Frames.
    pub frames: u8,
    /// Seconds.
    pub seconds: u8,
    /// Minutes.
    pub minutes: u8,
    /// Hours.
    pub hours: u8,
    /// The user's.
    pub userbits: [u8; 4],
}

/// `struct v4l2_plane`
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// Bytes that hold data.
    pub bytesused: u32,
    /// Bytes of the plane.
    pub length: u32,
    /// A union: the first word is the descriptor or the offset for `mmap`, both the address of memory.
    pub m: [u32; 2],
    /// Bytes before the data.
    pub data_offset: u32,
    /// Zero.
    pub reserved: [u32; 11],
}

/// `struct v4l2_buffer`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// Which one of the queue.
    pub index: u32,
    /// `V4L2_BUF_TYPE_*`.
    pub kind: u32,
    /// Bytes that hold data, of a picture in one plane.
    pub bytesused: u32,
    /// `V4L2_BUF_FLAG_*`.
    pub flags: u32,
    /// `V4L2_FIELD_*`.
    pub field: u32,
    /// Padding.
    pub pad: u32,
    /// `struct timeval`: seconds, microseconds.
    pub timestamp: [i64; 2],
    /// The time code.
    pub timecode: Timecode,
    /// Counts the pictures.
    pub sequence: u32,
    /// `V4L2_MEMORY_*`.
    pub memory: u32,
    /// A union: the first word is the descriptor or the offset for `mmap`, both the address of [`Plane`]s.
    pub m: [u32; 2],
    /// Bytes of the buffer, or how many planes lie at the address.
    pub length: u32,
    /// Zero.
    pub reserved2: u32,
    /// Zero.
    pub request_fd: i32,
}

/// `struct v4l2_exportbuffer`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportBuffer {
    /// In: `V4L2_BUF_TYPE_*`.
    pub kind: u32,
    /// In: which buffer.
    pub index: u32,
    /// In: which plane.
    pub plane: u32,
    /// In: `O_CLOEXEC` and the access mode.
    pub flags: u32,
    /// Out: the dma-buf.
    pub fd: i32,
    /// Zero.
    pub reserved: [u32; 11],
}

/// `struct v4l2_fract`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fract {
    /// Above the line.
    pub numerator: u32,
    /// Below it.
    pub denominator: u32,
}

/// `struct v4l2_captureparm`; `struct v4l2_outputparm` has the same layout under other names.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureParm {
    /// [`CAP_TIMEPERFRAME`].
    pub capability: u32,
    /// `V4L2_MODE_*`.
    pub capturemode: u32,
    /// Seconds from a picture to the next.
    pub timeperframe: Fract,
    /// The driver's.
    pub extendedmode: u32,
    /// For `read`, which is not used here.
    pub readbuffers: u32,
    /// Zero.
    pub reserved: [u32; 4],
}

/// `struct v4l2_streamparm`, its member `capture`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamParm {
    /// `V4L2_BUF_TYPE_*`.
    pub kind: u32,
    /// The parameters.
    pub capture: CaptureParm,
    /// The rest of the union.
    pub rest: [u8; 160],
}

/// `V4L2_PIX_FMT_PRIV_MAGIC`
pub const PIX_FMT_PRIV_MAGIC: u32 = 0xfeed_cafe;
/// `V4L2_CAP_TIMEPERFRAME`
pub const CAP_TIMEPERFRAME: u32 = 0x1000;
/// `V4L2_BUF_FLAG_TIMESTAMP_MASK`
pub const BUF_FLAG_TIMESTAMP_MASK: u32 = 0xe000;
/// `V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC`
pub const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;

/// `VIDIOC_QUERYCAP`
pub const QUERYCAP: Request<Capability> = Request::ior(GROUP, 0);
/// `VIDIOC_ENUM_FMT`
pub const ENUM_FMT: Request<FmtDesc> = Request::iowr(GROUP, 2);
/// `VIDIOC_G_FMT`
pub const G_FMT: Request<FormatPix> = Request::iowr(GROUP, 4);
/// `VIDIOC_G_FMT`, for the types of several planes.
pub const G_FMT_MPLANE: Request<FormatMplane> = Request::iowr(GROUP, 4);
/// `VIDIOC_S_FMT`
pub const S_FMT: Request<FormatPix> = Request::iowr(GROUP, 5);
/// `VIDIOC_S_FMT`, for the types of several planes.
pub const S_FMT_MPLANE: Request<FormatMplane> = Request::iowr(GROUP, 5);
/// `VIDIOC_REQBUFS`
pub const REQBUFS: Request<RequestBuffers> = Request::iowr(GROUP, 8);
/// `VIDIOC_QUERYBUF`
pub const QUERYBUF: Request<Buffer> = Request::iowr(GROUP, 9);
/// `VIDIOC_QBUF`
pub const QBUF: Request<Buffer> = Request::iowr(GROUP, 15);
/// `VIDIOC_EXPBUF`
pub const EXPBUF: Request<ExportBuffer> = Request::iowr(GROUP, 16);
/// `VIDIOC_DQBUF`
pub const DQBUF: Request<Buffer> = Request::iowr(GROUP, 17);
/// `VIDIOC_STREAMON`
pub const STREAMON: Request<i32> = Request::iow(GROUP, 18);
/// `VIDIOC_STREAMOFF`
pub const STREAMOFF: Request<i32> = Request::iow(GROUP, 19);
/// `VIDIOC_G_PARM`
pub const G_PARM: Request<StreamParm> = Request::iowr(GROUP, 21);
/// `VIDIOC_S_PARM`
pub const S_PARM: Request<StreamParm> = Request::iowr(GROUP, 22);
