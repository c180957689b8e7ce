//! Properties: what an object has, under which id, and what it may be set to.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::{count, fit};
use crate::ioctl::{self, Retry, address_mut};
use crate::uapi::mode::{self, GetProperty, ObjGetProperties, PropertyEnum};

/// What kind of object an id belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectType {
    /// A CRTC.
    Crtc,
    /// A connector.
    Connector,
    /// A plane.
    Plane,
    /// Whatever has the id.
    Any,
}

bitflags::bitflags! {
    /// What a property takes (`DRM_MODE_PROP_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PropertyFlags: u32 {
        /// An unsigned number; `values` are the least and the greatest.
        const RANGE = mode::PROP_RANGE;
        /// Cannot be set.
        const IMMUTABLE = mode::PROP_IMMUTABLE;
        /// One of the values in `enums`.
        const ENUM = mode::PROP_ENUM;
        /// The id of a blob.
        const BLOB = mode::PROP_BLOB;
        /// A set of bits; `enums` has their numbers.
        const BITMASK = mode::PROP_BITMASK;
        /// The id of an object.
        const OBJECT = mode::PROP_OBJECT;
        /// A signed number, as its 64 bits; `values` are the least and the greatest.
        const SIGNED_RANGE = mode::PROP_SIGNED_RANGE;
        /// Seen by atomic clients only.
        const ATOMIC = mode::PROP_ATOMIC;
    }
}

/// A property of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its id: the same for every object of the device that has this property.
    pub id: u32,
    /// Its name: `CRTC_ID`, `FB_ID`, `IN_FENCE_FD`, …
    pub name: String,
    /// What it takes.
    pub flags: PropertyFlags,
    /// What it is now. `IN_FENCE_FD` reads as -1 and `OUT_FENCE_PTR` as 0, whatever was set.
    pub value: u64,
    /// Bounds, or the values of an enumeration.
    pub values: Vec<u64>,
    /// The values of an enumeration by name.
    pub enums: Vec<(u64, String)>,
}

impl Property {
    /// The value that goes by this name, of an enumeration.
    #[must_use]
    pub fn value_of(&self, name: &str) -> Option<u64> {
        self.enums.iter().find(|(_, candidate)| candidate == name).map(|(value, _)| *value)
    }
}

/// The properties of an object.
///
/// Call: `DRM_IOCTL_MODE_OBJ_GETPROPERTIES`, and twice `DRM_IOCTL_MODE_GETPROPERTY` for each. Node: a card. Permission: none; the
/// client capability `ATOMIC` shows more of them. May block: on a commit in progress. Retries: none. Errors: `ENOENT` (no such
/// object), `EINVAL` (it has no properties).
pub fn properties(fd: impl AsFd, object: u32, kind: ObjectType) -> io::Result<Vec<Property>> {
    let fd = fd.as_fd();
    let (mut ids, mut values): (Vec<u32>, Vec<u64>) = (Vec::new(), Vec::new());
    loop {
        let mut get = ObjGetProperties {
            props_ptr: address_mut(&mut ids),
            prop_values_ptr: address_mut(&mut values),
            count_props: count(&ids)?,
            obj_id: object,
            obj_type: match kind {
                ObjectType::Crtc => mode::OBJECT_CRTC,
                ObjectType::Connector => mode::OBJECT_CONNECTOR,
                ObjectType::Plane => mode::OBJECT_PLANE,
                ObjectType::Any => mode::OBJECT_ANY,
            },
        };
        // SAFETY: the addresses are those of two lists of as many u32 and u64 as the count says (`fit` keeps them of one length),
        // borrowed mutably just now and not touched before the call returns.
        unsafe { ioctl::call(fd, &mode::OBJECT_GET_PROPERTIES, &mut get, Retry::Drm) }?;
        let grown = [fit(&mut ids, get.count_props), fit(&mut values, get.count_props)];
        if !grown.contains(&true) {
            break;
        }
    }
    ids.into_iter().zip(values).map(|(id, value)| property(fd, id, value)).collect()
}

fn property(fd: BorrowedFd<'_>, id: u32, value: u64) -> io::Result<Property> {
    let (mut values, mut names): (Vec<u64>, Vec<PropertyEnum>) = (Vec::new(), Vec::new());
    loop {
        let mut get = GetProperty {
            values_ptr: address_mut(&mut values),
            enum_blob_ptr: address_mut(&mut names),
            prop_id: id,
            count_values: count(&values)?,
            count_enum_blobs: count(&names)?,
            ..GetProperty::default()
        };
        // SAFETY: the addresses are those of lists of as many elements as the counts beside them say, borrowed mutably just now
        // and not touched before the call returns.
        unsafe { ioctl::call(fd, &mode::GET_PROPERTY, &mut get, Retry::Drm) }?;
        let grown = [fit(&mut values, get.count_values), fit(&mut names, get.count_enum_blobs)];
        if !grown.contains(&true) {
            return Ok(Property {
                id,
                name: ioctl::text(&get.name),
                flags: PropertyFlags::from_bits_retain(get.flags),
                value,
                values,
                enums: names.iter().map(|name| (name.value, ioctl::text(&name.name))).collect(),
            });
        }
    }
}

/// The name alone, as the kernel's field of fixed size: one call.
pub(super) fn name(fd: BorrowedFd<'_>, id: u32) -> io::Result<[u8; 32]> {
    let mut get = GetProperty { prop_id: id, ..GetProperty::default() };
    // SAFETY: both counts are 0, so the kernel follows neither address.
    unsafe { ioctl::call(fd, &mode::GET_PROPERTY, &mut get, Retry::Drm) }?;
    Ok(get.name)
}
