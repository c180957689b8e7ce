//! Blobs: property values that are longer than 64 bits.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use super::{ModeInfo, count};
use crate::ioctl::{self, Retry, address, address_mut};
use crate::uapi::mode::{self, CreateBlob, DestroyBlob, GetBlob};

/// The bytes of a blob.
///
/// Call: `DRM_IOCTL_MODE_GETPROPBLOB`, twice. Node: a card. Permission: none. May block: no. Retries: none. Errors: `ENOENT` (no such
/// blob: one made by the kernel, as `IN_FORMATS`, lives as long as the device, and others until their maker is gone).
pub fn blob(fd: impl AsFd, id: u32) -> io::Result<Vec<u8>> {
    let fd = fd.as_fd();
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let mut get = GetBlob { blob_id: id, length: count(&bytes)?, data: address_mut(&mut bytes) };
        // SAFETY: the address is that of as many bytes as the length says, borrowed mutably just now and not touched before the
        // call returns.
        unsafe { ioctl::call(fd, &mode::GET_BLOB, &mut get, Retry::Drm) }?;
        if get.length as usize == bytes.len() {
            return Ok(bytes);
        }
        bytes.resize(get.length as usize, 0);
    }
}

/// Makes a blob of these bytes and gives its id. It goes with the open file, or by [`destroy_blob`].
///
/// Call: `DRM_IOCTL_MODE_CREATEPROPBLOB`. Node: a card. Permission: none. May block: no. Since: 4.2. Retries: none.
/// Errors: `EINVAL` (no bytes), `ENOMEM`.
pub fn create_blob(fd: impl AsFd, bytes: &[u8]) -> io::Result<u32> {
    let mut create = CreateBlob { data: address(bytes), length: count(bytes)?, blob_id: 0 };
    // SAFETY: the kernel reads `length` bytes at the address, which are borrowed for this function, and writes nothing there.
    unsafe { ioctl::call(fd, &mode::CREATE_BLOB, &mut create, Retry::Drm) }?;
    Ok(create.blob_id)
}

/// Makes the blob that the property `MODE_ID` of a CRTC takes.
///
/// Call, node, errors: as [`create_blob`].
pub fn create_mode_blob(fd: impl AsFd, mode: &ModeInfo) -> io::Result<u32> {
    create_blob(fd, &mode_bytes(mode))
}

/// Gives the id back. The bytes stay while a state of the device refers to them.
///
/// Call: `DRM_IOCTL_MODE_DESTROYPROPBLOB`. Node: a card. Permission: the open file that made it. May block: no. Since: 4.2.
/// Retries: none. Errors: `ENOENT` (no such blob), `EPERM` (another file's, or the kernel's).
pub fn destroy_blob(fd: impl AsFd, id: u32) -> io::Result<()> {
    let mut destroy = DestroyBlob { blob_id: id };
    // SAFETY: `struct drm_mode_destroy_blob` holds no address.
    unsafe { ioctl::call(fd, &mode::DESTROY_BLOB, &mut destroy, Retry::Drm) }?;
    Ok(())
}

/// `struct drm_mode_modeinfo` as bytes. It has no padding.
fn mode_bytes(mode: &ModeInfo) -> Vec<u8> {
    let times = [
        mode.hdisplay,
        mode.hsync_start,
        mode.hsync_end,
        mode.htotal,
        mode.hskew,
        mode.vdisplay,
        mode.vsync_start,
        mode.vsync_end,
        mode.vtotal,
        mode.vscan,
    ];
    let mut bytes = Vec::with_capacity(size_of::<ModeInfo>());
    bytes.extend(mode.clock.to_ne_bytes());
    bytes.extend(times.iter().flat_map(|time| time.to_ne_bytes()));
    bytes.extend([mode.vrefresh, mode.flags, mode.kind].iter().flat_map(|word| word.to_ne_bytes()));
    bytes.extend(mode.name);
    bytes
}
