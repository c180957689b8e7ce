//! What pictures look like: formats and frame intervals.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::{BufferType, MAX_PLANES};
use crate::ioctl::{self, Request, Retry};
use crate::uapi::v4l2::{
    self, CaptureParm, FmtDesc, FormatMplane, FormatPix, PixFormat, PixFormatMplane, PlanePixFormat, StreamParm,
};

/// A format that a queue knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatDescription {
    /// A fourcc code of V4L2, which are not those of DRM.
    pub pixel_format: u32,
    /// For people.
    pub description: String,
    /// `V4L2_FMT_FLAG_*`: 1 compressed, 2 made by software.
    pub flags: u32,
}

/// How colours are meant, in the numbers of V4L2; 0 is the default of the field above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colour {
    /// `V4L2_COLORSPACE_*`.
    pub colorspace: u32,
    /// `V4L2_YCBCR_ENC_*` or `V4L2_HSV_ENC_*`.
    pub encoding: u32,
    /// `V4L2_QUANTIZATION_*`.
    pub quantization: u32,
    /// `V4L2_XFER_FUNC_*`.
    pub transfer: u32,
}

/// One buffer of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneFormat {
    /// Bytes from a line to the next; 0 lets the driver choose. In a picture of one buffer, that of its first plane: the others follow
    /// from it by the format.
    pub pitch: u32,
    /// Bytes of the buffer; 0 lets the driver choose.
    pub size: u32,
}

/// The format of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// A fourcc code of V4L2.
    pub pixel_format: u32,
    /// `V4L2_FIELD_*`: 0 any, 1 whole frames.
    pub field: u32,
    /// How colours are meant.
    pub colour: Colour,
    /// The buffers of a picture: one, unless the type is multi-planar.
    pub planes: Vec<PlaneFormat>,
}

/// The time from a picture to the next: `numerator / denominator` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Above the line.
    pub numerator: u32,
    /// Below it.
    pub denominator: u32,
}

/// The formats that a queue knows, as its current input or output allows.
///
/// Call: `VIDIOC_ENUM_FMT` until it says that there are no more. Permission: none besides the node's. May block: no. Retries: none.
/// Errors: `EINVAL` of the first call means none, and gives an empty list; `ENOTTY` (not a V4L2 node).
pub fn formats(fd: impl AsFd, kind: BufferType) -> io::Result<Vec<FormatDescription>> {
    let fd = fd.as_fd();
    super::control::list(|index| {
        let mut description = FmtDesc { index, kind: kind.number(), ..FmtDesc::default() };
        // SAFETY: `struct v4l2_fmtdesc` holds no address.
        unsafe { ioctl::call(fd, &v4l2::ENUM_FMT, &mut description, Retry::Interrupted) }?;
        Ok(FormatDescription {
            pixel_format: description.pixelformat,
            description: ioctl::text(&description.description),
            flags: description.flags,
        })
    })
}

/// The format of a queue.
///
/// Call: `VIDIOC_G_FMT`. Permission: none besides the node's. May block: no. Retries: none. Errors: `EINVAL` or `ENOTTY` (no such
/// queue).
pub fn format(fd: impl AsFd, kind: BufferType) -> io::Result<Format> {
    if kind.is_multi_planar() {
        ask_mplane(fd, &v4l2::G_FMT_MPLANE, kind, PixFormatMplane::default())
    } else {
        ask_pix(fd, &v4l2::G_FMT, kind, PixFormat::default())
    }
}

/// Sets the format of a queue and gives what the driver made of it: sizes and even the pixel format may differ from what was asked,
/// which is no error.
///
/// Call: `VIDIOC_S_FMT`. Permission: none besides the node's. May block: no; some drivers talk to the device. Retries: none.
/// Errors: `EBUSY` (buffers are there: [`request_buffers`](super::request_buffers) with 0), `EINVAL` (no such queue; more planes
/// than the type has, without a call).
pub fn set_format(fd: impl AsFd, kind: BufferType, format: &Format) -> io::Result<Format> {
    let colour = format.colour;
    if kind.is_multi_planar() {
        let mut pix = PixFormatMplane {
            width: format.width,
            height: format.height,
            pixelformat: format.pixel_format,
            field: format.field,
            colorspace: colour.colorspace,
            num_planes: u8::try_from(format.planes.len()).map_err(|_| Errno::INVAL)?,
            ycbcr_enc: byte(colour.encoding)?,
            quantization: byte(colour.quantization)?,
            xfer_func: byte(colour.transfer)?,
            ..PixFormatMplane::default()
        };
        let used = pix.plane_fmt.get_mut(..format.planes.len()).ok_or(Errno::INVAL)?;
        for (slot, plane) in used.iter_mut().zip(&format.planes) {
            *slot = PlanePixFormat { sizeimage: plane.size, bytesperline: plane.pitch, ..PlanePixFormat::default() };
        }
        return ask_mplane(fd, &v4l2::S_FMT_MPLANE, kind, pix);
    }
    if format.planes.len() > 1 {
        return Err(Errno::INVAL.into());
    }
    let plane = format.planes.first().copied().unwrap_or_default();
    let pix = PixFormat {
        width: format.width,
        height: format.height,
        pixelformat: format.pixel_format,
        field: format.field,
        bytesperline: plane.pitch,
        sizeimage: plane.size,
        colorspace: colour.colorspace,
        private: v4l2::PIX_FMT_PRIV_MAGIC,
        flags: 0,
        ycbcr_enc: colour.encoding,
        quantization: colour.quantization,
        xfer_func: colour.transfer,
    };
    ask_pix(fd, &v4l2::S_FMT, kind, pix)
}

fn ask_pix(fd: impl AsFd, request: &Request<FormatPix>, kind: BufferType, pix: PixFormat) -> io::Result<Format> {
    let mut format = FormatPix { kind: kind.number(), pad: 0, pix, rest: [0; 152] };
    // SAFETY: the types of `BufferType` select members of `struct v4l2_format` that hold no address.
    unsafe { ioctl::call(fd, request, &mut format, Retry::Interrupted) }?;
    let pix = format.pix;
    Ok(Format {
        width: pix.width,
        height: pix.height,
        pixel_format: pix.pixelformat,
        field: pix.field,
        colour: Colour {
            colorspace: pix.colorspace,
            encoding: pix.ycbcr_enc,
            quantization: pix.quantization,
            transfer: pix.xfer_func,
        },
        planes: vec![PlaneFormat { pitch: pix.bytesperline, size: pix.sizeimage }],
    })
}

fn ask_mplane(
    fd: impl AsFd,
    request: &Request<FormatMplane>,
    kind: BufferType,
    pix_mp: PixFormatMplane,
) -> io::Result<Format> {
    let mut format = FormatMplane { kind: kind.number(), pad: 0, pix_mp, rest: [0; 8] };
    // SAFETY: the types of `BufferType` select members of `struct v4l2_format` that hold no address.
    unsafe { ioctl::call(fd, request, &mut format, Retry::Interrupted) }?;
    let pix = format.pix_mp;
    let planes = usize::from(pix.num_planes).min(MAX_PLANES);
    let planes = pix.plane_fmt.iter().take(planes);
    Ok(Format {
        width: pix.width,
        height: pix.height,
        pixel_format: pix.pixelformat,
        field: pix.field,
        colour: Colour {
            colorspace: pix.colorspace,
            encoding: pix.ycbcr_enc.into(),
            quantization: pix.quantization.into(),
            transfer: pix.xfer_func.into(),
        },
        planes: planes.map(|plane| PlaneFormat { pitch: plane.bytesperline, size: plane.sizeimage }).collect(),
    })
}

fn byte(number: u32) -> io::Result<u8> {
    u8::try_from(number).map_err(|_| Errno::INVAL.into())
}

/// The interval between pictures; `None` where the device cannot tell or set it.
///
/// Call: `VIDIOC_G_PARM`. Permission: none besides the node's. May block: no. Retries: none. Errors: `EINVAL` (no such queue), `ENOTTY`
/// (the device has no such thing).
pub fn interval(fd: impl AsFd, kind: BufferType) -> io::Result<Option<Interval>> {
    ask_interval(fd, &v4l2::G_PARM, kind, None)
}

/// Sets the interval between pictures and gives what the driver made of it.
///
/// Call: `VIDIOC_S_PARM`. Permission, blocking, retries, errors: as [`interval`], and `EBUSY` (streaming).
pub fn set_interval(fd: impl AsFd, kind: BufferType, interval: Interval) -> io::Result<Option<Interval>> {
    ask_interval(fd, &v4l2::S_PARM, kind, Some(interval))
}

fn ask_interval(
    fd: impl AsFd,
    request: &Request<StreamParm>,
    kind: BufferType,
    asked: Option<Interval>,
) -> io::Result<Option<Interval>> {
    let mut capture = CaptureParm::default();
    if let Some(Interval { numerator, denominator }) = asked {
        capture.timeperframe = v4l2::Fract { numerator, denominator };
    }
    let mut parameters = StreamParm { kind: kind.number(), capture, rest: [0; 160] };
    // SAFETY: `struct v4l2_streamparm` holds no address, whichever member of its union the type selects.
    unsafe { ioctl::call(fd, request, &mut parameters, Retry::Interrupted) }?;
    let capture = parameters.capture;
    Ok((capture.capability & v4l2::CAP_TIMEPERFRAME != 0).then_some(Interval {
        numerator: capture.timeperframe.numerator,
        denominator: capture.timeperframe.denominator,
    }))
}
