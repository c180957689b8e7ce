//! `include/uapi/linux/videodev2.h`: inputs, outputs and controls.

use super::v4l2::GROUP;
use crate::ioctl::Request;

/// `struct v4l2_input`
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// In.
    pub index: u32,
    /// Text, ended by a NUL.
    pub name: [u8; 32],
    /// `V4L2_INPUT_TYPE_*`.
    pub kind: u32,
    /// Audio that goes with it.
    pub audioset: u32,
    /// Its tuner.
    pub tuner: u32,
    /// Standards it knows.
    pub std: u64,
    /// `V4L2_IN_ST_*`.
    pub status: u32,
    /// `V4L2_IN_CAP_*`.
    pub capabilities: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// `struct v4l2_output`
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// In.
    pub index: u32,
    /// Text, ended by a NUL.
    pub name: [u8; 32],
    /// `V4L2_OUTPUT_TYPE_*`.
    pub kind: u32,
    /// Audio that goes with it.
    pub audioset: u32,
    /// Its modulator.
    pub modulator: u32,
    /// Standards it knows.
    pub std: u64,
    /// `V4L2_OUT_CAP_*`.
    pub capabilities: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// `struct v4l2_control`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `V4L2_CID_*`.
    pub id: u32,
    /// In or out.
    pub value: i32,
}

/// `struct v4l2_queryctrl`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryCtrl {
    /// In: `V4L2_CID_*`, or with [`CTRL_FLAG_NEXT_CTRL`] the one before.
    pub id: u32,
    /// `V4L2_CTRL_TYPE_*`.
    pub kind: u32,
    /// Text, ended by a NUL.
    pub name: [u8; 32],
    /// Least value.
    pub minimum: i32,
    /// Greatest value.
    pub maximum: i32,
    /// From a value to the next.
    pub step: i32,
    /// The value at first.
    pub default_value: i32,
    /// `V4L2_CTRL_FLAG_*`.
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 2],
}
/// `V4L2_CTRL_FLAG_NEXT_CTRL`
pub const CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;
/// `VIDIOC_ENUMINPUT`
pub const ENUMINPUT: Request<Input> = Request::iowr(GROUP, 26);
/// `VIDIOC_G_CTRL`
pub const G_CTRL: Request<Control> = Request::iowr(GROUP, 27);
/// `VIDIOC_S_CTRL`
pub const S_CTRL: Request<Control> = Request::iowr(GROUP, 28);
/// `VIDIOC_QUERYCTRL`
pub const QUERYCTRL: Request<QueryCtrl> = Request::iowr(GROUP, 36);
/// `VIDIOC_G_INPUT`
pub const G_INPUT: Request<i32> = Request::ior(GROUP, 38);
/// `VIDIOC_S_INPUT`
pub const S_INPUT: Request<i32> = Request::iowr(GROUP, 39);
/// `VIDIOC_G_OUTPUT`
pub const G_OUTPUT: Request<i32> = Request::ior(GROUP, 46);
/// `VIDIOC_S_OUTPUT`
pub const S_OUTPUT: Request<i32> = Request::iowr(GROUP, 47);
/// `VIDIOC_ENUMOUTPUT`
pub const ENUMOUTPUT: Request<Output> = Request::iowr(GROUP, 48);
