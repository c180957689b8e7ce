//! Framebuffers: buffers with a format, as a plane reads them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use crate::drm::Gem;
use crate::ioctl::{self, Retry};
use crate::uapi::mode::{self, FbCmd2};

/// One plane of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramebufferPlane {
    /// The buffer; planes may share one.
    pub gem: Gem,
    /// Bytes from a line to the next.
    pub pitch: u32,
    /// Bytes from the start of the buffer.
    pub offset: u32,
}

/// What a framebuffer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framebuffer<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// A fourcc code.
    pub format: u32,
    /// The modifier of all planes; `None`: what the driver knows of the buffer, which is linear where it knows nothing.
    pub modifier: Option<u64>,
    /// One to four, as the format and the modifier have.
    pub planes: &'a [FramebufferPlane],
}

/// Makes a framebuffer and gives its id. It keeps the buffers alive, and goes with the open file or by [`remove_framebuffer`].
///
/// Call: `DRM_IOCTL_MODE_ADDFB2`. Node: a card. Permission: none. May block: no. Since: 3.3; a modifier since 4.1 and where the
/// capability `ADDFB2_MODIFIERS` says so. Retries: none. Errors: `EINVAL` (format, modifier, pitch, size or number of planes not
/// for this device; a list of no or more than four planes, without a call), `ENOENT` (a handle; some drivers, virtio-gpu for one, say `EINVAL`), `ERANGE` (offset plus size).
pub fn add_framebuffer2(fd: impl AsFd, framebuffer: &Framebuffer<'_>) -> io::Result<u32> {
    let mut command = FbCmd2 {
        width: framebuffer.width,
        height: framebuffer.height,
        pixel_format: framebuffer.format,
        flags: if framebuffer.modifier.is_some() { mode::FB_MODIFIERS } else { 0 },
        ..FbCmd2::default()
    };
    if framebuffer.planes.is_empty() || framebuffer.planes.len() > command.handles.len() {
        return Err(rustix::io::Errno::INVAL.into());
    }
    let slots =
        command.handles.iter_mut().zip(&mut command.pitches).zip(&mut command.offsets).zip(&mut command.modifier);
    for (plane, (((handle, pitch), offset), modifier)) in framebuffer.planes.iter().zip(slots) {
        *handle = plane.gem.0;
        *pitch = plane.pitch;
        *offset = plane.offset;
        *modifier = framebuffer.modifier.unwrap_or_default();
    }
    // SAFETY: `struct drm_mode_fb_cmd2` holds no address.
    unsafe { ioctl::call(fd, &mode::ADD_FRAMEBUFFER2, &mut command, Retry::Drm) }?;
    Ok(command.fb_id)
}

/// Removes a framebuffer. Where a plane shows it, the plane goes dark, and the CRTC with it on old drivers.
///
/// Call: `DRM_IOCTL_MODE_RMFB`. Node: a card. Permission: the open file that made it. May block: while a plane is turned off.
/// Retries: none. Errors: `ENOENT` (none of this file).
pub fn remove_framebuffer(fd: impl AsFd, id: u32) -> io::Result<()> {
    let mut id = id;
    // SAFETY: the argument is one number, which the kernel reads.
    unsafe { ioctl::call(fd, &mode::REMOVE_FRAMEBUFFER, &mut id, Retry::Drm) }?;
    Ok(())
}
