//! The way to a screen: connector, CRTC, plane and mode, and the ids of their properties.

use std::io;
use std::os::fd::OwnedFd;

use handover_model::{Extent, Stage};
use handover_sys::drm::mode::{
    self, AtomicRequest, Connection, Connector, ModeInfo, ObjectType, Probe, Property, Resources,
};
use handover_sys::drm::{self, ClientCap};

use super::super::Card;
use crate::error::{Error, Kind, Result, os};

/// `DRM_MODE_TYPE_PREFERRED`.
const PREFERRED: u32 = 1 << 3;

/// What is set to show a picture.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) extent: Extent,
    pub(super) connector: Object,
    pub(super) crtc: Object,
    pub(super) plane: Object,
    mode: ModeInfo,
    /// The mode as a blob of ours, once it is needed.
    blob: Option<u32>,
}

/// An object of the card, and its properties as they were found.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: u32,
    pub(super) properties: Vec<Property>,
}

impl Object {
    fn of(card: &Card, id: u32, kind: ObjectType) -> Result<Self> {
        let properties = mode::properties(card, id, kind).map_err(asked(card, "list properties of"))?;
        Ok(Self { id, properties })
    }

    pub(super) fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// The id of a property that every atomic driver has.
    fn id_of(&self, name: &str) -> io::Result<u32> {
        self.property(name).map(|property| property.id).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    fn set(&self, request: &mut AtomicRequest, name: &str, value: u64) -> io::Result<()> {
        request.set(self.id, self.id_of(name)?, value)
    }
}

fn asked(card: &Card, what: &str) -> impl FnOnce(io::Error) -> Error + use<> {
    os(Stage::Negotiate, format!("{what} {} ({})", card.path().display(), card.driver()))
}

impl Route {
    /// To the first screen that is connected, in a mode of this extent, or in its preferred one.
    pub(super) fn find(card: &Card, extent: Option<Extent>) -> Result<Self> {
        let unsupported = |asked: String| Error::new(Stage::Negotiate, Kind::Unsupported).asked(asked);
        let here = format!("{} ({})", card.path().display(), card.driver());
        drm::set_client_capability(card, ClientCap::Atomic, 1).map_err(|error| {
            unsupported(format!("a screen of {here}"))
                .found(error.to_string())
                .why("the card has no display, or its driver no atomic commits")
                .with_errno(error.raw_os_error().unwrap_or(0))
        })?;
        let resources = mode::resources(card).map_err(asked(card, "list the screens of"))?;
        let mut others = Vec::new();
        for id in &resources.connectors {
            let connector = mode::connector(card, *id, Probe::Now).map_err(asked(card, "look at a connector of"))?;
            let name = name(&connector);
            if connector.connection == Connection::Connected && !connector.modes.is_empty() {
                return Self::through(card, &resources, *id, &connector, name, extent);
            }
            others.push(match connector.connection {
                Connection::Connected => format!("{name} has no mode"),
                Connection::Disconnected => format!("{name} is not connected"),
                Connection::Unknown => format!("{name} cannot tell whether it is connected"),
            });
        }
        let found = if others.is_empty() { "no connector".into() } else { others.join(", ") };
        Err(unsupported(format!("a screen of {here}")).found(found).help("plug in a screen, or name another card"))
    }

    fn through(
        card: &Card,
        resources: &Resources,
        id: u32,
        connector: &Connector,
        name: String,
        extent: Option<Extent>,
    ) -> Result<Self> {
        let mode = choose(connector, extent).ok_or_else(|| {
            let mut sizes: Vec<String> = connector.modes.iter().map(size).collect();
            sizes.dedup();
            Error::new(Stage::Negotiate, Kind::Unsupported)
                .asked(format!("a mode of {} on {name}", extent.map_or_else(String::new, |extent| extent.to_string())))
                .found(sizes.join(", "))
                .why("the screen has the modes it has, and nobody scales")
                .help("compose in one of these extents")
        })?;
        let none = |what: &'static str| {
            Error::new(Stage::Negotiate, Kind::Unsupported)
                .asked(format!("a {what} for {name}"))
                .found("none that reaches it")
        };
        let crtc = crtc(card, resources, connector).ok_or_else(|| none("CRTC"))?;
        let index = resources.crtcs.iter().position(|candidate| *candidate == crtc).unwrap_or_default();
        let plane = primary(card, crtc, index)?.ok_or_else(|| none("plane"))?;
        Ok(Self {
            extent: Extent::new(mode.hdisplay.into(), mode.vdisplay.into())?,
            connector: Object::of(card, id, ObjectType::Connector)?,
            crtc: Object::of(card, crtc, ObjectType::Crtc)?,
            plane: Object::of(card, plane, ObjectType::Plane)?,
            name,
            mode,
            blob: None,
        })
    }

    /// Everything that a dark screen needs to show this framebuffer.
    pub(super) fn turn_on(&mut self, card: &Card, request: &mut AtomicRequest, framebuffer: u32) -> io::Result<()> {
        let blob = match self.blob {
            Some(blob) => blob,
            None => *self.blob.insert(mode::create_mode_blob(card, &self.mode)?),
        };
        self.connector.set(request, "CRTC_ID", self.crtc.id.into())?;
        self.crtc.set(request, "MODE_ID", blob.into())?;
        self.crtc.set(request, "ACTIVE", 1)?;
        let (width, height) = (u64::from(self.mode.hdisplay), u64::from(self.mode.vdisplay));
        // The part of the framebuffer is in 16.16 fixed point.
        let all = [
            ("CRTC_ID", self.crtc.id.into()),
            ("SRC_X", 0),
            ("SRC_Y", 0),
            ("SRC_W", width << 16),
            ("SRC_H", height << 16),
            ("CRTC_X", 0),
            ("CRTC_Y", 0),
            ("CRTC_W", width),
            ("CRTC_H", height),
        ];
        all.into_iter().try_for_each(|(name, value)| self.plane.set(request, name, value))?;
        self.flip(request, framebuffer)
    }

    /// Another framebuffer on a screen that is on.
    pub(super) fn flip(&self, request: &mut AtomicRequest, framebuffer: u32) -> io::Result<()> {
        self.plane.set(request, "FB_ID", framebuffer.into())
    }

    /// What the commit waits for, and whether it tells when it is done.
    pub(super) fn fences(&self, request: &mut AtomicRequest, fence: Option<OwnedFd>, tells: bool) -> io::Result<()> {
        if let Some(fence) = fence {
            request.in_fence(self.plane.id, self.plane.id_of("IN_FENCE_FD")?, fence)?;
        }
        if tells { request.out_fence(self.crtc.id, self.crtc.id_of("OUT_FENCE_PTR")?) } else { Ok(()) }
    }

    /// The blob, to be given back.
    pub(super) fn take_blob(&mut self) -> Option<u32> {
        self.blob.take()
    }
}

/// The mode of this extent, the preferred one of several, or the preferred one.
fn choose(connector: &Connector, extent: Option<Extent>) -> Option<ModeInfo> {
    let fits = |mode: &&ModeInfo| {
        extent.is_none_or(|extent| {
            (u32::from(mode.hdisplay), u32::from(mode.vdisplay)) == (extent.width().get(), extent.height().get())
        })
    };
    let mut fitting = connector.modes.iter().filter(fits);
    let preferred = fitting.clone().find(|mode| mode.kind & PREFERRED != 0);
    preferred.or_else(|| fitting.next()).copied()
}

/// The CRTC that feeds the connector already, else the first that can.
fn crtc(card: &Card, resources: &Resources, connector: &Connector) -> Option<u32> {
    let encoder = |id: &u32| mode::encoder(card, *id).ok();
    if let Some(crtc) = connector.encoder.as_ref().and_then(encoder).and_then(|encoder| encoder.crtc) {
        return Some(crtc);
    }
    let mask = connector.encoders.iter().filter_map(encoder).fold(0, |mask, encoder| mask | encoder.possible_crtcs);
    resources.crtcs.iter().enumerate().find(|(index, _)| mask >> index & 1 == 1).map(|(_, crtc)| *crtc)
}

/// The primary plane of a CRTC.
fn primary(card: &Card, crtc: u32, index: usize) -> Result<Option<u32>> {
    let planes = mode::planes(card).map_err(asked(card, "list the planes of"))?;
    let mut found = None;
    for id in planes {
        let plane = mode::plane(card, id).map_err(asked(card, "look at a plane of"))?;
        if plane.possible_crtcs >> index & 1 == 0 {
            continue;
        }
        let object = Object::of(card, id, ObjectType::Plane)?;
        let is_primary = object.property("type").is_some_and(|kind| kind.value_of("Primary") == Some(kind.value));
        if is_primary && plane.crtc == Some(crtc) {
            return Ok(Some(id));
        }
        if is_primary {
            found = found.or(Some(id));
        }
    }
    Ok(found)
}

fn size(mode: &ModeInfo) -> String {
    format!("{}x{}", mode.hdisplay, mode.vdisplay)
}

/// As the kernel names it in `/sys/class/drm`: the types of `drm_mode.h` by number.
fn name(connector: &Connector) -> String {
    let kind = match connector.kind {
        1 => "VGA",
        2 => "DVI-I",
        3 => "DVI-D",
        7 => "LVDS",
        10 => "DP",
        11 => "HDMI-A",
        12 => "HDMI-B",
        14 => "eDP",
        15 => "Virtual",
        16 => "DSI",
        17 => "DPI",
        _ => "Connector",
    };
    format!("{kind}-{}", connector.kind_index)
}
