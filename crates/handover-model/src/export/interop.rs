//! OpenGL to OpenCL: the versions and errors of Mesa's interop interface, as far as they carry over to any exporter.
//!
//! The OpenGL side always exports, the OpenCL side always imports. Both put the version of each struct that they know into it; the
//! exporter answers with the smaller of the two and touches no field of a later one. Source: Mesa 25.0.7,
//! `include/GL/mesa_glinterop.h`, `st_interop.c`.

use alloc::format;
use core::fmt;

use super::ExportFlags;
use super::amdgpu::HandleUsage;
use crate::{Error, Kind, Stage};

/// What a call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Done.
    Success,
    /// The exporter has no memory or descriptors left.
    OutOfResources,
    /// The export itself failed.
    OutOfHostMemory,
    /// The object cannot be exported: a renderbuffer with several samples.
    InvalidOperation,
    /// A struct has version 0.
    InvalidVersion,
    /// There is no such display.
    InvalidDisplay,
    /// There is no such context.
    InvalidContext,
    /// Such an object cannot be exported at all.
    InvalidTarget,
    /// There is no such object.
    InvalidObject,
    /// The object has no such level.
    InvalidMipLevel,
    /// The driver has no interop.
    Unsupported,
}

impl Status {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::OutOfResources,
        Self::OutOfHostMemory,
        Self::InvalidOperation,
        Self::InvalidVersion,
        Self::InvalidDisplay,
        Self::InvalidContext,
        Self::InvalidTarget,
        Self::InvalidObject,
        Self::InvalidMipLevel,
        Self::Unsupported,
    ];

    /// Its number.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status of a number.
    pub fn of(code: i32) -> Option<Self> {
        usize::try_from(code).ok().and_then(|index| Self::ALL.get(index)).copied()
    }

    /// As an error of ours; `None` for success.
    pub fn error(self) -> Option<Error> {
        let kind = match self {
            Self::Success => return None,
            Self::OutOfResources | Self::OutOfHostMemory => Kind::Full,
            Self::Unsupported | Self::InvalidOperation => Kind::Unsupported,
            _ => Kind::Invalid,
        };
        Some(Error::new(Stage::Export, kind).asked("an object of OpenGL for OpenCL").why(format!("{self}")))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::OutOfResources => "out of resources",
            Self::OutOfHostMemory => "out of host memory: the export failed",
            Self::InvalidOperation => "invalid operation: the object has several samples",
            Self::InvalidVersion => "invalid version: a struct says version 0",
            Self::InvalidDisplay => "invalid display",
            Self::InvalidContext => "invalid context",
            Self::InvalidTarget => "invalid target: such objects cannot be exported",
            Self::InvalidObject => "invalid object: there is no such object",
            Self::InvalidMipLevel => "invalid mip level: the object has no such level",
            Self::Unsupported => "unsupported: the driver has no interop",
        })
    }
}

/// The structs of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Struct {
    /// Which device exports.
    DeviceInfo,
    /// What is asked for.
    ExportIn,
    /// What is given.
    ExportOut,
    /// What a flush gives back.
    FlushOut,
}

/// Fields with the version that brought them.
type Since = &'static [(u32, &'static [&'static str])];

impl Struct {
    /// The latest version that this exporter knows.
    pub const fn supported(self) -> u32 {
        match self {
            Self::DeviceInfo => 4,
            Self::ExportIn | Self::ExportOut => 2,
            Self::FlushOut => 1,
        }
    }

    /// The version that both sides speak. Version 4 of the device's struct leaves the PCI location to the UUID.
    ///
    /// # Errors
    /// `InvalidVersion` for version 0.
    pub const fn agree(self, caller: u32) -> Result<u32, Status> {
        if caller == 0 {
            return Err(Status::InvalidVersion);
        }
        Ok(if caller < self.supported() { caller } else { self.supported() })
    }

    /// The fields that an exporter fills at this agreed version, for a caller that asked with `caller`.
    pub fn fields(self, caller: u32) -> impl Iterator<Item = &'static str> {
        let since: Since = match self {
            Self::DeviceInfo => &[
                (1, &["pci_segment_group", "pci_bus", "pci_device", "pci_function", "vendor_id", "device_id"]),
                (2, &["driver_data_size", "driver_data"]),
                (3, &["device_uuid"]),
            ],
            Self::ExportIn => {
                &[(1, &["target", "obj", "miplevel", "access", "out_driver_data_size", "out_driver_data"])]
            }
            Self::ExportOut => &[
                (
                    1,
                    &[
                        "dmabuf_fd",
                        "internal_format",
                        "buf_offset",
                        "buf_size",
                        "view_minlevel",
                        "view_numlevels",
                        "view_minlayer",
                        "view_numlayers",
                        "out_driver_data_written",
                    ],
                ),
                (2, &["width", "height", "depth", "stride", "modifier"]),
            ],
            Self::FlushOut => &[(1, &["sync", "fence_fd"])],
        };
        let agreed = self.agree(caller).unwrap_or(0);
        let by_uuid = self == Self::DeviceInfo && caller >= 4;
        since
            .iter()
            .filter(move |(version, _)| *version <= agreed)
            .flat_map(|(_, fields)| fields.iter().copied())
            .filter(move |field| !(by_uuid && field.starts_with("pci_")))
    }
}

/// What the importer will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read only.
    ReadOnly,
    /// Write only.
    WriteOnly,
}

impl Access {
    /// The access of a number.
    pub const fn of(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::ReadWrite),
            1 => Some(Self::ReadOnly),
            2 => Some(Self::WriteOnly),
            _ => None,
        }
    }

    /// The usage that the exporter takes it for. From version 2 of the answer on, the importer calls flush.
    ///
    /// ```
    /// use handover_model::export::amdgpu::HandleUsage;
    /// use handover_model::export::interop::Access;
    /// assert_eq!(Access::ReadOnly.usage(1), HandleUsage::empty());
    /// assert_eq!(Access::WriteOnly.usage(2), HandleUsage::SHADER_WRITE | HandleUsage::EXPLICIT_FLUSH);
    /// ```
    pub fn usage(self, answer_version: u32) -> HandleUsage {
        let mut usage = HandleUsage::empty();
        usage.set(HandleUsage::SHADER_WRITE, self != Self::ReadOnly);
        usage.set(HandleUsage::EXPLICIT_FLUSH, answer_version >= 2);
        usage
    }

    /// The flags of an export of ours that say the same.
    pub fn flags(self, answer_version: u32) -> ExportFlags {
        let mut flags = match self {
            Self::ReadWrite => ExportFlags::READ | ExportFlags::WRITE,
            Self::ReadOnly => ExportFlags::READ,
            Self::WriteOnly => ExportFlags::WRITE,
        };
        flags.set(ExportFlags::EXPLICIT_FLUSH, answer_version >= 2);
        flags
    }
}

/// What is to be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A buffer.
    Buffer,
    /// A texture of this many levels.
    Texture {
        /// Levels.
        levels: u32,
    },
    /// A renderbuffer.
    Renderbuffer {
        /// Samples a pixel.
        samples: u32,
    },
    /// Nothing has this name.
    Missing,
    /// Something else, which cannot be exported.
    Other,
}

/// Checks a request: versions first, then target, object and level.
///
/// # Errors
/// The status of the first check that fails.
pub const fn check(versions: [(Struct, u32); 2], object: Object, level: u32) -> Result<(), Status> {
    let [(first, first_version), (second, second_version)] = versions;
    if first.agree(first_version).is_err() || second.agree(second_version).is_err() {
        return Err(Status::InvalidVersion);
    }
    match object {
        Object::Other => Err(Status::InvalidTarget),
        Object::Missing => Err(Status::InvalidObject),
        Object::Renderbuffer { samples } if samples > 1 => Err(Status::InvalidOperation),
        Object::Texture { levels } if level >= levels => Err(Status::InvalidMipLevel),
        Object::Buffer | Object::Renderbuffer { .. } if level > 0 => Err(Status::InvalidMipLevel),
        _ => Ok(()),
    }
}
