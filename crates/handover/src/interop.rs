//! Interop: what the side of OpenGL does for a side of OpenCL. It always exports, the other always imports.
//!
//! The versions, targets, accesses and statuses are those of Mesa's interface (25.0.7, `include/GL/mesa_glinterop.h`,
//! `st_interop.c`): [`device_info`] says which device exports, [`export`] gives a handle for a request, [`flush_objects`] makes the
//! content readable. From version 2 of the answer on, the importer promises the flush, and without it sees what the metadata
//! describes and no more: a private clear colour is missing. The importer uses [`import`](mod@crate::import), as everybody does.
//!
//! Two things differ. The handle names the format, so there is no internal format of OpenGL; and no driver data passes, since the
//! metadata travels with the buffer. [`Status::InvalidDisplay`], [`Status::InvalidContext`] and [`Status::InvalidOperation`]
//! never come: here is no display, no context and no object of several samples.

use std::fmt;

pub use handover_model::export::interop::{Access, Status, Struct};
use handover_model::export::interop::{Object, check};
use handover_model::{Bytes, Decision, Modifier, Region, Stage};

use crate::deadline::Deadline;
use crate::device::Device;
use crate::error::{Error, Kind, Result};
use crate::export::{Exported, Step};
use crate::fence::Fence;
use crate::flush::flush;
use crate::handle::Handle;
use crate::lease::Lease;
use crate::queue::Queue;
use crate::surface::Surface;

/// What the importer calls the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// `GL_ARRAY_BUFFER`: a surface without a format.
    Buffer,
    /// `GL_TEXTURE_2D`, `GL_TEXTURE_RECTANGLE` or `GL_TEXTURE_EXTERNAL_OES`: an image of one level.
    Texture,
    /// `GL_RENDERBUFFER`: an image of one sample.
    Renderbuffer,
    /// Any other number of OpenGL's. No surface is such an object.
    Other(u32),
}

impl From<u32> for Target {
    /// The target of a number of OpenGL's.
    ///
    /// ```
    /// use handover::interop::Target;
    /// assert_eq!([0x8892, 0x0de1, 0x8d41].map(Target::from), [Target::Buffer, Target::Texture, Target::Renderbuffer]);
    /// assert_eq!(Target::from(0x806f), Target::Other(0x806f), "GL_TEXTURE_3D");
    /// ```
    fn from(number: u32) -> Self {
        match number {
            0x8892 => Self::Buffer,
            0x0de1 | 0x84f5 | 0x8d65 => Self::Texture,
            0x8d41 => Self::Renderbuffer,
            other => Self::Other(other),
        }
    }
}

/// The versions of the two structs of an export: those the importer knows, or those both speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versions {
    /// Of `mesa_glinterop_export_in`.
    pub export_in: u32,
    /// Of `mesa_glinterop_export_out`. From 2 on the importer promises to have [`flush_objects`] called.
    pub export_out: u32,
}

/// What the importer asks for. It comes from another side, and nothing in it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    /// The versions it knows.
    pub versions: Versions,
    /// What it takes the object for.
    pub target: Target,
    /// What it will do with it.
    pub access: Access,
    /// Which level. Surfaces have level 0 alone.
    pub level: u32,
}

/// The answer to a [`Request`].
#[derive(Debug)]
pub struct Interop {
    /// To be carried to the importer. Its flags are those that the request amounts to.
    pub handle: Handle,
    /// The versions both sides speak.
    pub versions: Versions,
    /// Where the object begins in the memory. Always 0: no surface is a part of another one's memory.
    pub buffer_offset: Bytes,
    /// Bytes of the object.
    pub buffer_size: Bytes,
    /// From version 2 of the answer on, of an image.
    pub image: Option<Image>,
    /// What the export made of the compression, and why.
    pub decision: Decision,
    /// What the driver of a chip of AMD's does at this export, in order.
    pub steps: Vec<Step>,
}

/// What version 2 of the answer adds. The handle says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Image {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Bytes from a row of pixels, or of tiles, to the next; of the first plane.
    pub stride: Bytes,
    /// [`Modifier::INVALID`] where the metadata alone tells the layout.
    pub modifier: Modifier,
}

/// Why there is no answer: the number that goes back to the importer, and the error for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the call returns.
    pub status: Status,
    /// What was wrong. Its stage is export, or flush.
    pub error: Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; interop status {}, {}", self.error, self.status.code(), self.status)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let error = status.error().unwrap_or_else(|| Error::new(Stage::Export, Kind::Unreachable));
        Self { status, error }
    }
}

/// "Too many open files", of the system and of the process.
const NO_DESCRIPTORS: [i32; 2] = [23, 24];

impl Refusal {
    fn of(error: Error) -> Self {
        let no_descriptors = error.errno().is_some_and(|errno| NO_DESCRIPTORS.contains(&errno));
        let status = match error.kind() {
            Kind::Full => Status::OutOfResources,
            _ if no_descriptors => Status::OutOfResources,
            // Flags are never wrong here: what is left is a surface that another process exports.
            Kind::Invalid => Status::InvalidObject,
            _ => Status::OutOfHostMemory,
        };
        Self { status, error }
    }
}

/// Makes a handle of a surface for a side of OpenCL, which imports it.
///
/// The access becomes export flags: read-only READ, write-only WRITE, else both; and EXPLICIT_FLUSH where version 2 of the answer
/// was agreed on. What follows is [`export`](crate::export()), which may wait until `deadline` for users of the surface.
///
/// # Errors
/// By status, in the order of the checks. `InvalidVersion`: a version is 0. `InvalidTarget`: no surface is such an object.
/// `InvalidObject`: a buffer was asked for and this is an image, or the other way round, or it was imported. `InvalidMipLevel`:
/// a level above 0. `OutOfResources`: no descriptors left. `OutOfHostMemory`: the export failed otherwise; the error says how, and
/// [`Error::is_temporary`] whether to try again.
///
/// ```
/// use handover::interop::{self, Access, Request, Target, Versions};
/// use handover::{Deadline, Device, ExportFlags, Extent, Format, Options, Writers, allocate};
/// let options = Options { writers: Writers::Open, ..Options::default() };
/// let texture = allocate::implicit(Device::NAVI21, Format::XRGB8888, Extent::new(640, 480)?, &options)?.remove(0);
/// let versions = Versions { export_in: 2, export_out: 7 };
/// let mut request = Request { versions, target: Target::Texture, access: Access::ReadOnly, level: 0 };
///
/// let read = interop::export(&texture, &request, Deadline::Never)?;
/// assert_eq!(read.handle.flags(), ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH);
/// assert_eq!((read.versions.export_out, read.decision.changed), (2, false));
///
/// request.access = Access::WriteOnly;
/// let write = interop::export(&texture, &request, Deadline::Never)?;
/// assert!(write.decision.changed, "a consumer that writes would not keep DCC up to date");
///
/// request.level = 1;
/// let refusal = interop::export(&texture, &request, Deadline::Never).unwrap_err();
/// assert_eq!(refusal.status, interop::Status::InvalidMipLevel);
/// # Ok::<(), handover::Error>(())
/// ```
pub fn export(object: &Surface, request: &Request, deadline: Deadline) -> Result<Interop, Refusal> {
    let asked = request.versions;
    let of_versions = [(Struct::ExportIn, asked.export_in), (Struct::ExportOut, asked.export_out)];
    let refused = |status| request.refused(status);
    check(of_versions, request.target.of(object), request.level).map_err(refused)?;
    let versions = Versions {
        export_in: Struct::ExportIn.agree(asked.export_in).map_err(refused)?,
        export_out: Struct::ExportOut.agree(asked.export_out).map_err(refused)?,
    };
    let flags = request.access.flags(versions.export_out);
    let Exported { handle, decision, steps } = crate::export::export(object, flags, deadline).map_err(Refusal::of)?;
    let layout = handle.message().layout;
    let image = layout.extent().zip(layout.plane(0)).map(|(extent, plane)| Image {
        width: extent.width().get(),
        height: extent.height().get(),
        stride: plane.stride,
        modifier: layout.modifier(),
    });
    let image = image.filter(|_| has(Struct::ExportOut, versions.export_out, "modifier"));
    let (buffer_offset, buffer_size) = (Bytes::ZERO, layout.size());
    Ok(Interop { handle, versions, buffer_offset, buffer_size, image, decision, steps })
}

impl Target {
    /// What the surface is, to somebody who takes it for this.
    fn of(self, surface: &Surface) -> Object {
        match (self, surface.format()) {
            (Self::Other(_), _) => Object::Other,
            (Self::Buffer, None) => Object::Buffer,
            (Self::Texture, Some(_)) => Object::Texture { levels: 1 },
            (Self::Renderbuffer, Some(_)) => Object::Renderbuffer { samples: 1 },
            _ => Object::Missing,
        }
    }
}

impl Request {
    fn refused(&self, status: Status) -> Refusal {
        let Versions { export_in, export_out } = self.versions;
        let found = format!("versions {export_in} and {export_out}, target {:?}, level {}", self.target, self.level);
        let help = match status {
            Status::InvalidVersion => "versions from 1 on",
            Status::InvalidTarget => "a buffer, a texture of two dimensions, or a renderbuffer",
            Status::InvalidObject => "buffer for a surface without a format, texture or renderbuffer for an image",
            _ => "level 0, the only one of a surface",
        };
        Refusal { status, error: Refusal::from(status).error.found(found).help(help) }
    }
}

/// Does an exporter fill this field for a caller of this version?
fn has(of: Struct, caller: u32, field: &str) -> bool {
    of.fields(caller).any(|filled| filled == field)
}

/// Where a device is on its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PciLocation {
    /// The segment group, also called domain.
    pub segment: u32,
    /// The bus.
    pub bus: u32,
    /// The device.
    pub device: u32,
    /// The function.
    pub function: u32,
}

/// Which device exports, as far as the agreed version has the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The version both sides speak.
    pub version: u32,
    /// For callers below version 4. A simulated device is on no bus: its segment is one that none has, and the rest is its PCI ID
    /// again.
    pub pci: Option<PciLocation>,
    /// Vendor, as in the header of the metadata.
    pub vendor_id: u16,
    /// PCI ID, as in the header of the metadata.
    pub device_id: u16,
    /// From version 2 on. Empty: what a driver would say here travels with each buffer.
    pub driver_data: Option<Vec<u8>>,
    /// From version 3 on. The same for all that open this device. Of a simulated one: "handover", then vendor and PCI ID.
    pub uuid: Option<[u8; 16]>,
}

/// The segment of no bus. Those of firmware have 16 bits, those that Linux adds for Intel's VMD begin above.
const NO_SEGMENT: u32 = u32::MAX;

/// Says which device exports, to a caller that knows this version.
///
/// # Errors
/// `InvalidVersion`: 0. `Unsupported`: a real device, whose driver answers this.
///
/// ```
/// use handover::{Device, interop};
/// let info = interop::device_info(Device::NAVI21, 9)?;
/// assert_eq!((info.version, info.vendor_id, info.device_id), (4, 0x1002, 0x73bf));
/// assert!(info.uuid.is_some() && info.pci.is_none());
/// # Ok::<(), handover::Error>(())
/// ```
pub fn device_info(device: Device, version: u32) -> Result<DeviceInfo, Refusal> {
    let agreed = Struct::DeviceInfo.agree(version)?;
    let header = device.header().ok_or(Status::Unsupported)?;
    let (vendor_id, device_id) = (header.vendor_id, header.pci_id);
    let [high, low] = device_id.to_be_bytes().map(u32::from);
    let location = PciLocation { segment: NO_SEGMENT, bus: high, device: low >> 3, function: low & 7 };
    let mut uuid = [0; 16];
    let ids = vendor_id.to_be_bytes().into_iter().chain(device_id.to_be_bytes());
    for (place, byte) in uuid.iter_mut().zip(b"handover".iter().copied().chain(ids)) {
        *place = byte;
    }
    let field = |name| has(Struct::DeviceInfo, version, name);
    Ok(DeviceInfo {
        version: agreed,
        pci: field("pci_bus").then_some(location),
        vendor_id,
        device_id,
        driver_data: field("driver_data").then(Vec::new),
        uuid: field("device_uuid").then_some(uuid),
    })
}

/// Flushes objects that were exported, as a job of the side of OpenGL: after its work on this queue, in a WRITE lease of all of them.
/// The fence ends with the job. An importer that acquires afterwards waits for it without being told.
///
/// `version`: that of the importer's `mesa_glinterop_flush_out`. `deadline`: as in [`Queue::submit`].
///
/// # Errors
/// `InvalidVersion`: 0. `InvalidObject`: one of them was imported. `OutOfResources`, `OutOfHostMemory`: as [`export`], and then
/// nothing was submitted.
///
/// ```
/// use handover::{Bytes, Deadline, Device, Options, Queue, allocate, interop};
/// let buffer = allocate::buffer(Device::VEGA10, Bytes(4096), &Options::default())?.remove(0);
/// let gl = Queue::new("gl")?;
/// interop::flush_objects(&gl, &[&buffer], 1, Deadline::Never)?.wait(Deadline::Never)?;
/// # Ok::<(), handover::Error>(())
/// ```
pub fn flush_objects(queue: &Queue, objects: &[&Surface], version: u32, deadline: Deadline) -> Result<Fence, Refusal> {
    Struct::FlushOut.agree(version)?;
    if objects.is_empty() {
        return Ok(Fence::signalled());
    }
    if let Some(foreign) = objects.iter().find(|surface| !surface.is_producer()) {
        let error = Error::new(Stage::Flush, Kind::Invalid)
            .asked("a flush of objects that were exported")
            .found(format!("surface {}, which was imported", foreign.index()))
            .why("only its producer knows what the metadata does not say");
        return Err(Refusal::of(error));
    }
    let set: Vec<_> = objects.iter().map(|surface| (*surface, handover_model::Access::Write, Region::WHOLE)).collect();
    let flushed: Vec<Surface> = objects.iter().map(|surface| (*surface).clone()).collect();
    let job = move |lease: &Lease| flushed.iter().try_for_each(|surface| flush(lease, surface).map(drop));
    queue.submit(&set, &[], deadline, job).map_err(|error| Refusal::of(error.at(Stage::Flush)))
}
