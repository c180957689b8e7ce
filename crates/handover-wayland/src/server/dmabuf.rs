//! `linux-dmabuf-v1`: what clients are told that they may use, and the buffers that they make.
//!
//! Some errors are the client's, and end its connection: a plane too many, a pair that was not offered, an edge of 0, a plane outside
//! its memory. Others it could not foresee: memory that is no dma-buf of use here. Those are `failed`, or for `create_immed`, which has
//! no such answer, `invalid_wl_buffer`.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use handover::import::{self, Foreign};
use handover::negotiate::Offer;
use handover::{
    Bytes, Extent, Format, Fourcc, Kind, Layout, Modifier, PlaneLayout, Result, Stage, Surface, SurfaceUsages,
};
use handover_sys::{dma_buf, file};
use wayland_protocols::wp::linux_dmabuf::zv1::server::zwp_linux_buffer_params_v1::{self, ZwpLinuxBufferParamsV1};
use wayland_protocols::wp::linux_dmabuf::zv1::server::zwp_linux_dmabuf_feedback_v1::{
    TrancheFlags, ZwpLinuxDmabufFeedbackV1,
};
use wayland_protocols::wp::linux_dmabuf::zv1::server::zwp_linux_dmabuf_v1::{self, ZwpLinuxDmabufV1};
use wayland_server::protocol::wl_buffer::WlBuffer;
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource};

use super::limit::{self, Place};
use super::lock;
use super::state::State;
use super::surface::BufferData;
use crate::DeviceId;
use crate::table::{self, Pair};

/// The most planes of a buffer.
const PLANES: usize = 4;

/// What clients may use, and who is told when it changes.
#[derive(Debug)]
pub(super) struct Offered {
    device: DeviceId,
    table: Vec<Pair>,
    /// So many of the first are for the display itself.
    scanout: usize,
    file: OwnedFd,
    size: u32,
    told: Vec<ZwpLinuxDmabufFeedbackV1>,
}

impl Offered {
    pub(super) fn new(device: DeviceId, offer: &Offer) -> Result<Self> {
        let (mut scanout, mut others) = (Vec::new(), Vec::new());
        for entry in &offer.entries {
            let Some(format) = entry.format else { continue };
            let tranche = if entry.usages.contains(SurfaceUsages::SCANOUT) { &mut scanout } else { &mut others };
            tranche.push((format.fourcc(), entry.modifier));
        }
        let count = scanout.len();
        scanout.append(&mut others);
        let (file, size) = table::file(&scanout)?;
        Ok(Self { device, table: scanout, scanout: count, file, size, told: Vec::new() })
    }

    pub(super) fn change(&mut self, device: DeviceId, offer: &Offer) -> Result<()> {
        let told = std::mem::take(&mut self.told);
        *self = Self { told, ..Self::new(device, offer)? };
        self.told.retain(Resource::is_alive);
        self.told.iter().for_each(|feedback| self.tell(feedback));
        Ok(())
    }

    fn tell(&self, feedback: &ZwpLinuxDmabufFeedbackV1) {
        feedback.format_table(self.file.as_fd(), self.size);
        feedback.main_device(self.device.to_bytes());
        let positions: Vec<u16> = (0..self.table.len()).filter_map(|position| u16::try_from(position).ok()).collect();
        let (scanout, others) = positions.split_at(self.scanout.min(positions.len()));
        for (tranche, flags) in [(scanout, TrancheFlags::Scanout), (others, TrancheFlags::empty())] {
            if tranche.is_empty() && flags.contains(TrancheFlags::Scanout) {
                continue;
            }
            feedback.tranche_target_device(self.device.to_bytes());
            feedback.tranche_flags(flags);
            feedback.tranche_formats(tranche.iter().flat_map(|position| position.to_ne_bytes()).collect());
            feedback.tranche_done();
        }
        feedback.done();
    }

    /// The events of versions before feedback.
    fn tell_old(&self, dmabuf: &ZwpLinuxDmabufV1) {
        for (format, Modifier(modifier)) in &self.table {
            if dmabuf.version() >= 3 {
                dmabuf.modifier(format.0, (modifier >> 32) as u32, *modifier as u32);
            } else if *modifier == Modifier::LINEAR.0 {
                dmabuf.format(format.0);
            }
        }
    }
}

impl GlobalDispatch<ZwpLinuxDmabufV1, ()> for State {
    fn bind(
        state: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        resource: New<ZwpLinuxDmabufV1>,
        (): &(),
        init: &mut DataInit<'_, Self>,
    ) {
        let dmabuf = init.init(resource, ());
        if dmabuf.version() < 4 {
            state.offered.tell_old(&dmabuf);
        }
    }
}

impl Dispatch<ZwpLinuxDmabufV1, ()> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        object: &ZwpLinuxDmabufV1,
        request: zwp_linux_dmabuf_v1::Request,
        (): &(),
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use zwp_linux_dmabuf_v1::Request;
        let Some(place) = limit::place(client, object) else { return };
        match request {
            Request::CreateParams { params_id } => {
                init.init(params_id, Params { state: Mutex::default(), _place: place });
            }
            Request::GetDefaultFeedback { id } | Request::GetSurfaceFeedback { id, .. } => {
                let feedback = init.init(id, place);
                state.offered.tell(&feedback);
                state.offered.told.retain(Resource::is_alive);
                state.offered.told.push(feedback);
            }
            _ => {}
        }
    }
}

/// A buffer in the making.
#[derive(Debug)]
pub(super) struct Params {
    state: Mutex<ParamsState>,
    _place: Place,
}

#[derive(Debug, Default)]
struct ParamsState {
    is_used: bool,
    planes: [Option<Plane>; PLANES],
}

/// A plane, as the client says.
#[derive(Debug)]
struct Plane {
    file: OwnedFd,
    offset: u32,
    stride: u32,
    modifier: Modifier,
    /// It is a descriptor.
    _place: Place,
}

/// What the client wants made of the planes.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    width: i32,
    height: i32,
    format: Fourcc,
    flags: u32,
}

/// Why there will be no buffer.
enum Refusal {
    /// The client broke the protocol.
    Fatal(zwp_linux_buffer_params_v1::Error, String),
    /// It could not know.
    Failed(handover::Error),
}

impl Dispatch<ZwpLinuxBufferParamsV1, Params> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        params: &ZwpLinuxBufferParamsV1,
        request: zwp_linux_buffer_params_v1::Request,
        data: &Params,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use zwp_linux_buffer_params_v1::{Error, Request};
        match request {
            Request::Add { fd, plane_idx, offset, stride, modifier_hi, modifier_lo } => {
                let Some(place) = limit::descriptors(client, params, 1) else { return };
                let modifier = Modifier(u64::from(modifier_hi) << 32 | u64::from(modifier_lo));
                let mut own = lock(&data.state);
                let is_used = own.is_used;
                match own.planes.get_mut(plane_idx as usize) {
                    _ if is_used => params.post_error(Error::AlreadyUsed, "a buffer was made of it"),
                    None => params.post_error(Error::PlaneIdx, format!("plane {plane_idx} of at most {PLANES}")),
                    Some(Some(_)) => params.post_error(Error::PlaneSet, format!("plane {plane_idx} for a second time")),
                    Some(plane) => *plane = Some(Plane { file: fd, offset, stride, modifier, _place: place }),
                }
            }
            Request::Create { width, height, format, flags } => {
                let wanted = Wanted { width, height, format: Fourcc(format), flags: flags.into() };
                let Some(place) = limit::descriptors(client, params, limit::OF_SURFACE) else { return };
                match state.make(data, params.version(), wanted) {
                    Ok(surface) => {
                        let data = BufferData::dma_buf(surface, place);
                        let version = 1;
                        // Fails when the client has gone meanwhile.
                        if let Ok(buffer) = client.create_resource::<WlBuffer, _, Self>(handle, version, data) {
                            params.created(&buffer);
                        }
                    }
                    Err(Refusal::Fatal(code, text)) => params.post_error(code, text),
                    Err(Refusal::Failed(error)) => {
                        params.failed();
                        state.refuse(error);
                    }
                }
            }
            Request::CreateImmed { buffer_id, width, height, format, flags } => {
                let wanted = Wanted { width, height, format: Fourcc(format), flags: flags.into() };
                let Some(place) = limit::descriptors(client, params, limit::OF_SURFACE) else { return };
                match state.make(data, params.version(), wanted) {
                    Ok(surface) => {
                        init.init(buffer_id, BufferData::dma_buf(surface, place));
                    }
                    Err(Refusal::Fatal(code, text)) => params.post_error(code, text),
                    Err(Refusal::Failed(error)) => {
                        params.post_error(Error::InvalidWlBuffer, error.to_string());
                        state.refuse(error);
                    }
                }
            }
            _ => {}
        }
    }
}

impl BufferData {
    fn dma_buf(surface: Surface, place: Place) -> Self {
        Self::DmaBuf { surface, uses: Arc::new(AtomicU32::new(0)), _place: place }
    }
}

impl State {
    fn make(&mut self, params: &Params, version: u32, wanted: Wanted) -> Result<Surface, Refusal> {
        let mut own = lock(&params.state);
        let is_used = std::mem::replace(&mut own.is_used, true);
        let planes = std::mem::take(&mut own.planes);
        drop(own);
        use zwp_linux_buffer_params_v1::Error;
        let fatal = |code, text: String| Err(Refusal::Fatal(code, text));
        if is_used {
            return fatal(Error::AlreadyUsed, "a buffer was made of it".into());
        }
        let count = planes.iter().flatten().count();
        let planes: Vec<Plane> = planes.into_iter().map_while(|plane| plane).collect();
        let Some(first) = planes.first().filter(|_| planes.len() == count) else {
            return fatal(Error::Incomplete, format!("{count} planes, not all from 0 on"));
        };
        let modifier = first.modifier;
        if planes.iter().any(|plane| plane.modifier != modifier) {
            return fatal(Error::InvalidFormat, "planes of different modifiers".into());
        }
        let is_offered = self.offered.table.contains(&(wanted.format, modifier));
        let format = Format::from_fourcc(wanted.format).filter(|_| is_offered);
        let Some(format) = format else {
            let text = format!("{} {modifier} was not offered", wanted.format);
            // Before version 4 a client could try.
            return if version >= 4 || Format::from_fourcc(wanted.format).is_none() {
                fatal(Error::InvalidFormat, text)
            } else {
                Err(failed(wanted, text, "a compositor that does not know a modifier cannot read it"))
            };
        };
        // Of another modifier the offer says no number of planes: compression may add some, up to 4. Whoever has the driver asks it, and
        // refuses a number that the driver does not expect; nothing here reads pixels of such a surface.
        if modifier == Modifier::LINEAR && planes.len() != format.planes().len() {
            let text = format!("{} planes; {format} has {}", planes.len(), format.planes().len());
            return fatal(Error::Incomplete, text);
        }
        let edge = |pixels: i32| u32::try_from(pixels).ok().filter(|pixels| *pixels > 0);
        let (Some(width), Some(height)) = (edge(wanted.width), edge(wanted.height)) else {
            return fatal(Error::InvalidDimensions, format!("{} by {}", wanted.width, wanted.height));
        };
        let extent = Extent::new(width, height).map_err(Refusal::Failed)?;
        if wanted.flags != 0 {
            return Err(failed(wanted, format!("flags {:#x}", wanted.flags), "surfaces are upright and whole frames"));
        }
        let memory = memory(wanted, &planes)?;
        let layout = layout(format, extent, modifier, &planes, memory)?;
        let file = planes.into_iter().next().map(|plane| plane.file);
        let file = file.ok_or_else(|| Refusal::Failed(handover::Error::new(Stage::Import, Kind::Unreachable)))?;
        import::foreign(Foreign::DmaBuf(file), &layout, self.options.reader, self.options.access)
            .map_err(Refusal::Failed)
    }
}

fn failed(wanted: Wanted, found: String, why: &'static str) -> Refusal {
    let asked = format!("a buffer of {} {} by {}", wanted.format, wanted.width, wanted.height);
    Refusal::Failed(handover::Error::new(Stage::Import, Kind::Unsupported).asked(asked).found(found).why(why))
}

/// The size of the one dma-buf that all planes lie in.
fn memory(wanted: Wanted, planes: &[Plane]) -> Result<Bytes, Refusal> {
    let mut one = None;
    for (index, plane) in planes.iter().enumerate() {
        // By its name, which cannot block: anything may have been sent.
        if !dma_buf::is_dma_buf(&plane.file).unwrap_or(false) {
            let found = file::link_text(&plane.file).unwrap_or_else(|_| "an unknown descriptor".into());
            return Err(failed(wanted, format!("{found} for plane {index}"), "buffers live in dma-bufs"));
        }
        let identity = file::identity(&plane.file).ok();
        if identity.is_none() || *one.get_or_insert(identity) != identity {
            return Err(failed(wanted, "planes in several dma-bufs".into(), "a surface lives in one"));
        }
    }
    let size = planes.first().and_then(|plane| dma_buf::size(&plane.file).ok());
    size.map(Bytes).ok_or_else(|| failed(wanted, "a dma-buf without a size".into(), "it cannot be mapped"))
}

/// The layout that a client says its buffer has, checked.
fn layout(
    format: Format,
    extent: Extent,
    modifier: Modifier,
    planes: &[Plane],
    memory: Bytes,
) -> Result<Layout, Refusal> {
    let mut own = Vec::with_capacity(planes.len());
    for (index, plane) in planes.iter().enumerate() {
        let (offset, stride) = (u64::from(plane.offset), u64::from(plane.stride));
        let rows = format.plane_extent(index, extent).map_or(0, |(_, rows)| u64::from(rows));
        let size = match modifier {
            Modifier::LINEAR => stride.checked_mul(rows),
            // Only the driver knows; it begins in there.
            _ => memory.get().checked_sub(offset),
        };
        let size = size.filter(|size| offset.checked_add(*size).is_some_and(|end| end <= memory.get()));
        let Some(size) = size else {
            let text = format!("plane {index}: {rows} rows of {stride} bytes from {offset} on, in {memory}");
            return Err(Refusal::Fatal(zwp_linux_buffer_params_v1::Error::OutOfBounds, text));
        };
        own.push(PlaneLayout { offset: Bytes(offset), stride: Bytes(stride), size: Bytes(size) });
    }
    Layout::from_allegation(Some(format), Some(extent), modifier, &own, memory).map_err(Refusal::Failed)
}
