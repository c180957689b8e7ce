//! Mode setting: what a card can show, and commits that show it.
//!
//! A picture goes to a screen through a *plane* (which reads a framebuffer), a *CRTC* (which makes a signal of it) and a
//! *connector* (where the screen hangs). Each is an object with an id and properties, and a commit sets properties.
//! Ids are those of the device, the same in every open file of it; framebuffers and blobs go when the file that made them does.
//!
//! A client sees planes and commits only after it has asked for the client capabilities `ATOMIC` and `UNIVERSAL_PLANES`.
#![allow(unsafe_code)]

mod atomic;
mod blob;
mod event;
mod formats;
mod framebuffer;
mod property;
mod resources;

use std::io;
use std::os::fd::AsFd;

use crate::ioctl::{self, Retry};
use crate::uapi::mode::{self, Auth};

pub use crate::uapi::mode::ModeInfo;
pub use atomic::{AtomicRequest, Committed, Flags};
pub use blob::{blob, create_blob, create_mode_blob, destroy_blob};
pub use event::{Event, EventKind, parse_events, read_events};
pub use formats::parse_in_formats;
pub use framebuffer::{Framebuffer, FramebufferPlane, add_framebuffer2, remove_framebuffer};
pub use property::{ObjectType, Property, PropertyFlags, properties};
pub use resources::{
    Connection, Connector, Encoder, Plane, Probe, Resources, connector, encoder, plane, planes, resources,
};

/// Becomes the one open file of this card that may set modes.
///
/// Call: `DRM_IOCTL_SET_MASTER`. Node: a card. Permission: `CAP_SYS_ADMIN`, or to have been the master through this file before
/// (since 5.8). May block: no. Retries: none. Errors: `EBUSY` (there is a master), `EACCES`, `EINVAL` (a lease).
pub fn set_master(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the request has no argument, the kernel does not look at the word.
    unsafe { ioctl::call(fd, &mode::SET_MASTER, &mut 0, Retry::Drm) }?;
    Ok(())
}

/// Lets another one become the master. What is shown stays as it is.
///
/// Call: `DRM_IOCTL_DROP_MASTER`. Node: a card. Permission: as [`set_master`]. May block: no. Retries: none.
/// Errors: `EINVAL` (not the master).
pub fn drop_master(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the request has no argument, the kernel does not look at the word.
    unsafe { ioctl::call(fd, &mode::DROP_MASTER, &mut 0, Retry::Drm) }?;
    Ok(())
}

/// Whether this open file may set modes. The first to open a card becomes its master by that.
///
/// The kernel has no such question. Only a master may authenticate others, and no magic is 0: the master is told `EINVAL`.
///
/// Call: `DRM_IOCTL_AUTH_MAGIC`. Node: a card; on a render node the answer is `false`. Permission: none. May block: no. Retries: none.
pub fn is_master(fd: impl AsFd) -> io::Result<bool> {
    let mut auth = Auth { magic: 0 };
    // SAFETY: `struct drm_auth` holds no address.
    match unsafe { ioctl::call(fd, &mode::AUTH_MAGIC, &mut auth, Retry::Drm) } {
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EINVAL) => Ok(true),
            Some(libc::EACCES) => Ok(false),
            _ => Err(error),
        },
    }
}

/// The length of a list as the kernel wants it.
fn count<T>(list: &[T]) -> io::Result<u32> {
    u32::try_from(list.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Sets a list to the length that the kernel told. Gives whether it has grown, so that the kernel must be asked again.
fn fit<T: Clone + Default>(list: &mut Vec<T>, told: u32) -> bool {
    let grown = told as usize > list.len();
    list.resize(told as usize, T::default());
    grown
}
