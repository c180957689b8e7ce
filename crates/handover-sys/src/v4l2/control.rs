//! Inputs, outputs and controls: which signal a device takes, and its knobs.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use crate::ioctl::{self, Request, Retry};
use crate::uapi::v4l2_control::{self as uapi, QueryCtrl};

/// An input or an output of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its number.
    pub index: u32,
    /// For people: `Webcam 000-0`.
    pub name: String,
    /// `V4L2_INPUT_TYPE_*` or `V4L2_OUTPUT_TYPE_*`.
    pub kind: u32,
}

/// A control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Its number, `V4L2_CID_*`.
    pub id: u32,
    /// For people: `Test Pattern`.
    pub name: String,
    /// `V4L2_CTRL_TYPE_*`: 1 number, 2 switch, 3 menu.
    pub kind: u32,
    /// Least and greatest value.
    pub range: (i32, i32),
    /// The value at first.
    pub default: i32,
    /// `V4L2_CTRL_FLAG_*`.
    pub flags: u32,
}

/// The inputs of the device.
///
/// Call: `VIDIOC_ENUMINPUT` until it says that there are no more. Permission: none besides the node's. May block: no. Retries: none.
/// Errors: `ENOTTY` (the node has none).
pub fn inputs(fd: impl AsFd) -> io::Result<Vec<Input>> {
    let fd = fd.as_fd();
    list(|index| {
        let mut input = uapi::Input { index, ..uapi::Input::default() };
        // SAFETY: `struct v4l2_input` holds no address.
        unsafe { ioctl::call(fd, &uapi::ENUMINPUT, &mut input, Retry::Interrupted) }?;
        Ok(Input { index, name: ioctl::text(&input.name), kind: input.kind })
    })
}

/// The outputs of the device.
///
/// Call: `VIDIOC_ENUMOUTPUT`. The rest: as [`inputs`].
pub fn outputs(fd: impl AsFd) -> io::Result<Vec<Input>> {
    let fd = fd.as_fd();
    list(|index| {
        let mut output = uapi::Output { index, ..uapi::Output::default() };
        // SAFETY: `struct v4l2_output` holds no address.
        unsafe { ioctl::call(fd, &uapi::ENUMOUTPUT, &mut output, Retry::Interrupted) }?;
        Ok(Input { index, name: ioctl::text(&output.name), kind: output.kind })
    })
}

/// The number of the input in use.
///
/// Call: `VIDIOC_G_INPUT`. Permission: none besides the node's. May block: no. Retries: none. Errors: `ENOTTY` (the node has none).
pub fn current_input(fd: impl AsFd) -> io::Result<u32> {
    number(fd, &uapi::G_INPUT, 0)
}

/// Chooses an input. The formats and the format of the queue may change by that.
///
/// Call: `VIDIOC_S_INPUT`. Permission: none besides the node's. May block: no. Retries: none. Errors: `EINVAL` (no such input), `EBUSY`
/// (buffers are there), `ENOTTY`.
pub fn set_input(fd: impl AsFd, index: u32) -> io::Result<()> {
    number(fd, &uapi::S_INPUT, index).map(drop)
}

/// The number of the output in use.
///
/// Call: `VIDIOC_G_OUTPUT`. The rest: as [`current_input`].
pub fn current_output(fd: impl AsFd) -> io::Result<u32> {
    number(fd, &uapi::G_OUTPUT, 0)
}

/// Chooses an output.
///
/// Call: `VIDIOC_S_OUTPUT`. The rest: as [`set_input`].
pub fn set_output(fd: impl AsFd, index: u32) -> io::Result<()> {
    number(fd, &uapi::S_OUTPUT, index).map(drop)
}

fn number(fd: impl AsFd, request: &Request<i32>, value: u32) -> io::Result<u32> {
    let mut value = i32::try_from(value).map_err(|_| rustix::io::Errno::INVAL)?;
    // SAFETY: the argument of these four requests is one number.
    unsafe { ioctl::call(fd, request, &mut value, Retry::Interrupted) }?;
    u32::try_from(value).map_err(|_| rustix::io::Errno::OVERFLOW.into())
}

/// The controls of the device that hold a number, a switch or a choice.
///
/// Call: `VIDIOC_QUERYCTRL` until it says that there are no more. Permission: none besides the node's. May block: no. Retries: none.
/// Errors: `ENOTTY` (the node has none).
pub fn controls(fd: impl AsFd) -> io::Result<Vec<Control>> {
    let fd = fd.as_fd();
    let mut before = 0;
    list(|_| {
        let mut query = QueryCtrl { id: before | uapi::CTRL_FLAG_NEXT_CTRL, ..QueryCtrl::default() };
        // SAFETY: `struct v4l2_queryctrl` holds no address.
        unsafe { ioctl::call(fd, &uapi::QUERYCTRL, &mut query, Retry::Interrupted) }?;
        before = query.id;
        Ok(Control {
            id: query.id,
            name: ioctl::text(&query.name),
            kind: query.kind,
            range: (query.minimum, query.maximum),
            default: query.default_value,
            flags: query.flags,
        })
    })
}

/// The value of a control.
///
/// Call: `VIDIOC_G_CTRL`. Permission: none besides the node's. May block: no; some drivers talk to the device. Retries: none.
/// Errors: `EINVAL` (no such control, or not of this kind), `ENOTTY` (the node has none).
pub fn control(fd: impl AsFd, id: u32) -> io::Result<i32> {
    let mut control = uapi::Control { id, value: 0 };
    // SAFETY: `struct v4l2_control` holds no address.
    unsafe { ioctl::call(fd, &uapi::G_CTRL, &mut control, Retry::Interrupted) }?;
    Ok(control.value)
}

/// Sets a control; a number out of range is brought into it, a choice is refused.
///
/// Call: `VIDIOC_S_CTRL`. Permission, blocking, retries: as [`control`]. Errors: also `ERANGE` (no such choice), `EBUSY` (grabbed
/// while streaming), `EACCES` (read-only).
pub fn set_control(fd: impl AsFd, id: u32, value: i32) -> io::Result<()> {
    let mut control = uapi::Control { id, value };
    // SAFETY: `struct v4l2_control` holds no address.
    unsafe { ioctl::call(fd, &uapi::S_CTRL, &mut control, Retry::Interrupted) }?;
    Ok(())
}

/// What `ask` gives for 0, 1, 2, … until it says `EINVAL`, by which V4L2 ends its lists.
pub(super) fn list<T>(mut ask: impl FnMut(u32) -> io::Result<T>) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    for index in 0.. {
        match ask(index) {
            Ok(item) => found.push(item),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
