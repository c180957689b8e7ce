//! The objects of a card: CRTCs, connectors, encoders, planes.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use super::{count, fit};
use crate::ioctl::{self, Retry, address_mut};
use crate::uapi::mode::{self, CardRes, GetConnector, GetEncoder, GetPlane, GetPlaneRes, ModeInfo};

/// What a card has, by id. The order of `crtcs` is what the bits of `possible_crtcs` count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CRTCs.
    pub crtcs: Vec<u32>,
    /// Connectors.
    pub connectors: Vec<u32>,
    /// Encoders.
    pub encoders: Vec<u32>,
    /// Least width and height of a framebuffer, in pixels.
    pub min_size: (u32, u32),
    /// Greatest width and height of a framebuffer, in pixels.
    pub max_size: (u32, u32),
}

/// Whether a screen hangs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Yes.
    Connected,
    /// No.
    Disconnected,
    /// The driver cannot tell.
    Unknown,
}

/// Whether to ask the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The driver looks at the connector, which takes up to seconds. Only the master's question has that effect.
    Now,
    /// What is known already.
    Cached,
}

/// A connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// Whether a screen hangs there.
    pub connection: Connection,
    /// `DRM_MODE_CONNECTOR_*`: 11 is HDMI, 10 DisplayPort, 14 eDP, 15 virtual.
    pub kind: u32,
    /// Counts the connectors of one type from 1.
    pub kind_index: u32,
    /// What the screen can show, the best first.
    pub modes: Vec<ModeInfo>,
    /// The encoder that feeds it now.
    pub encoder: Option<u32>,
    /// The encoders that can.
    pub encoders: Vec<u32>,
    /// Width and height of the picture in millimetres; zero where unknown.
    pub size_mm: (u32, u32),
}

/// An encoder: which CRTCs can feed which connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoder {
    /// The CRTC that feeds it now.
    pub crtc: Option<u32>,
    /// Bit n: the nth CRTC of [`Resources::crtcs`] can.
    pub possible_crtcs: u32,
}

/// A plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// The CRTC it shows on now.
    pub crtc: Option<u32>,
    /// The framebuffer it shows now.
    pub framebuffer: Option<u32>,
    /// Bit n: it can show on the nth CRTC of [`Resources::crtcs`].
    pub possible_crtcs: u32,
    /// The fourcc codes it can show, without modifiers: those are in the blob of its property `IN_FORMATS`.
    pub formats: Vec<u32>,
}

/// What the card has.
///
/// Call: `DRM_IOCTL_MODE_GETRESOURCES`, again where a connector came in between. Node: a card that can set modes; a render node
/// refuses (`EACCES`). Permission: none. May block: on a commit in progress. Retries: none. Errors: `EOPNOTSUPP` (no display).
pub fn resources(fd: impl AsFd) -> io::Result<Resources> {
    let fd = fd.as_fd();
    let mut found = Resources::default();
    loop {
        let mut card = CardRes {
            crtc_id_ptr: address_mut(&mut found.crtcs),
            connector_id_ptr: address_mut(&mut found.connectors),
            encoder_id_ptr: address_mut(&mut found.encoders),
            count_crtcs: count(&found.crtcs)?,
            count_connectors: count(&found.connectors)?,
            count_encoders: count(&found.encoders)?,
            ..CardRes::default()
        };
        // SAFETY: each address is that of a list of as many u32 as the count beside it says, borrowed mutably just now and not
        // touched before the call returns; no framebuffer is asked for (count 0).
        unsafe { ioctl::call(fd, &mode::GET_RESOURCES, &mut card, Retry::Drm) }?;
        found.min_size = (card.min_width, card.min_height);
        found.max_size = (card.max_width, card.max_height);
        let grown = [
            fit(&mut found.crtcs, card.count_crtcs),
            fit(&mut found.connectors, card.count_connectors),
            fit(&mut found.encoders, card.count_encoders),
        ];
        if !grown.contains(&true) {
            return Ok(found);
        }
    }
}

/// A connector and the modes of its screen.
///
/// Call: `DRM_IOCTL_MODE_GETCONNECTOR`, twice or more. Node: a card. Permission: none; [`Probe::Now`] works for the master alone.
/// May block: for seconds with [`Probe::Now`]. Retries: none. Errors: `ENOENT` (no such connector).
pub fn connector(fd: impl AsFd, id: u32, probe: Probe) -> io::Result<Connector> {
    let fd = fd.as_fd();
    // The kernel keeps them in a mask of 32 bits. A list that had to grow would probe a screen without modes twice.
    let mut encoders: Vec<u32> = vec![0; 32];
    // A room of no modes is the order to probe.
    let mut modes: Vec<ModeInfo> = if probe == Probe::Now { Vec::new() } else { vec![ModeInfo::default()] };
    loop {
        let mut get = GetConnector {
            encoders_ptr: address_mut(&mut encoders),
            modes_ptr: address_mut(&mut modes),
            count_modes: count(&modes)?,
            count_encoders: count(&encoders)?,
            connector_id: id,
            ..GetConnector::default()
        };
        // SAFETY: both addresses are those of lists of as many elements as the counts beside them say, borrowed mutably just now
        // and not touched before the call returns; no property is asked for (count 0).
        unsafe { ioctl::call(fd, &mode::GET_CONNECTOR, &mut get, Retry::Drm) }?;
        let grown = [fit(&mut modes, get.count_modes), fit(&mut encoders, get.count_encoders)];
        if grown.contains(&true) {
            continue;
        }
        return Ok(Connector {
            connection: match get.connection {
                1 => Connection::Connected,
                2 => Connection::Disconnected,
                _ => Connection::Unknown,
            },
            kind: get.connector_type,
            kind_index: get.connector_type_id,
            modes,
            encoder: some(get.encoder_id),
            encoders,
            size_mm: (get.mm_width, get.mm_height),
        });
    }
}

/// An encoder.
///
/// Call: `DRM_IOCTL_MODE_GETENCODER`. Node: a card. Permission: none. May block: on a commit in progress. Retries: none.
/// Errors: `ENOENT` (no such encoder).
pub fn encoder(fd: impl AsFd, id: u32) -> io::Result<Encoder> {
    let mut get = GetEncoder { encoder_id: id, ..GetEncoder::default() };
    // SAFETY: `struct drm_mode_get_encoder` holds no address.
    unsafe { ioctl::call(fd, &mode::GET_ENCODER, &mut get, Retry::Drm) }?;
    Ok(Encoder { crtc: some(get.crtc_id), possible_crtcs: get.possible_crtcs })
}

/// The ids of the planes; overlays only, unless the client capability `UNIVERSAL_PLANES` is on.
///
/// Call: `DRM_IOCTL_MODE_GETPLANERESOURCES`, twice. Node: a card. Permission: none. May block: no. Retries: none.
/// Errors: `EOPNOTSUPP` (no display).
pub fn planes(fd: impl AsFd) -> io::Result<Vec<u32>> {
    let fd = fd.as_fd();
    let mut ids: Vec<u32> = Vec::new();
    loop {
        let mut get = GetPlaneRes { plane_id_ptr: address_mut(&mut ids), count_planes: count(&ids)? };
        // SAFETY: the address is that of a list of as many u32 as the count says, borrowed mutably just now and not touched
        // before the call returns.
        unsafe { ioctl::call(fd, &mode::GET_PLANE_RESOURCES, &mut get, Retry::Drm) }?;
        if !fit(&mut ids, get.count_planes) {
            return Ok(ids);
        }
    }
}

/// A plane.
///
/// Call: `DRM_IOCTL_MODE_GETPLANE`, twice. Node: a card. Permission: none. May block: on a commit in progress. Retries: none.
/// Errors: `ENOENT` (no such plane).
pub fn plane(fd: impl AsFd, id: u32) -> io::Result<Plane> {
    let fd = fd.as_fd();
    let mut formats: Vec<u32> = Vec::new();
    loop {
        let mut get = GetPlane {
            plane_id: id,
            count_format_types: count(&formats)?,
            format_type_ptr: address_mut(&mut formats),
            ..GetPlane::default()
        };
        // SAFETY: the address is that of a list of as many u32 as the count says, borrowed mutably just now and not touched
        // before the call returns.
        unsafe { ioctl::call(fd, &mode::GET_PLANE, &mut get, Retry::Drm) }?;
        if !fit(&mut formats, get.count_format_types) {
            return Ok(Plane {
                crtc: some(get.crtc_id),
                framebuffer: some(get.fb_id),
                possible_crtcs: get.possible_crtcs,
                formats,
            });
        }
    }
}

/// No object has the id 0.
fn some(id: u32) -> Option<u32> {
    (id != 0).then_some(id)
}
