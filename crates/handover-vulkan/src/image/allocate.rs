//! The driver allocates: images whose memory is exported as dma-bufs, and surfaces around them.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd};

use ash::vk;
use handover::negotiate::Agreement;
use handover::{Bytes, Device, Error, Kind, Layout, Modifier, Options, PlaneLayout, Result, Stage, allocate};

use super::import::{Place, check_planes};
use super::{Bare, Image};
use crate::error::{missing, refused};
use crate::gpu::{Core, Gpu};
use crate::offer::Support;

impl Gpu {
    /// Makes surfaces of an agreement, in memory of this device, each with its image. Of the options, the backend and the
    /// compression do not matter: the modifier says it.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the driver cannot, or hands no memory out. [`Kind::Os`]: no memory.
    pub fn allocate(&self, agreement: &Agreement, options: &Options) -> Result<Vec<Image>> {
        let stage = Stage::Allocate;
        let format = agreement
            .format
            .ok_or_else(|| Error::new(stage, Kind::Invalid).asked("an image of an agreement on a byte buffer"))?;
        // The layout of one that is linear, to ask for; otherwise the driver says.
        let linear = Layout::linear(format, agreement.extent, agreement.constraints())?;
        let support = self.support_of(format, agreement.modifier, agreement.usages).ok_or_else(|| {
            Error::new(stage, Kind::Unsupported)
                .asked(format!("an image of {} for {:?}", agreement.candidate(), agreement.usages))
                .found(self.core.report.to_string())
                .help("negotiate with the device's own offer: Gpu::offer")
        })?;
        if !support.exports {
            return Err(missing(
                stage,
                "memory that is handed out",
                "VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE",
                &self.core.report.device,
            ));
        }
        let mut made = Vec::new();
        let mut buffers = Vec::new();
        let mut layout = None;
        for _ in 0..options.surfaces {
            let mut bare = match agreement.modifier {
                Modifier::LINEAR => {
                    let bare = self.placed(stage, &linear, support.usage)?;
                    check_planes(&bare, &linear).map_err(|error| error.at(stage))?;
                    bare
                }
                modifier => self.bare(stage, (format, agreement.extent), support.usage, Place::Free(&modifier))?,
            };
            let (buffer, size) = bare.allocate_memory(agreement.modifier == Modifier::LINEAR)?;
            layout = Some(bare.layout(agreement, &support, size)?);
            made.push(bare);
            buffers.push(buffer);
        }
        let layout = layout
            .ok_or_else(|| Error::new(stage, Kind::Invalid).asked("0 surfaces").why("a pool has at least one"))?;
        let surfaces = allocate::adopt(Device::DRIVER, &layout, buffers, options)?;
        let images: Vec<Image> = made
            .into_iter()
            .zip(surfaces)
            .map(|(bare, surface)| Image::new(bare, surface, &support))
            .collect::<Result<_>>()?;
        self.bring_into_being(&images)?;
        Ok(images)
    }

    /// The stride that the driver gives the smallest linear image: what its rows are aligned to.
    pub(crate) fn linear_stride(&self, support: &Support) -> Option<Bytes> {
        let planes = support.format.planes();
        let wide = planes.iter().map(|plane| plane.horizontal_subsampling).max()?;
        let high = planes.iter().map(|plane| plane.vertical_subsampling).max()?;
        let smallest = handover::Extent::new(wide, high).ok()?;
        let place = Place::Free(&Modifier::LINEAR);
        let bare = self.bare(Stage::Negotiate, (support.format, smallest), support.usage, place).ok()?;
        bare.plane(0).map(|plane| Bytes(plane.row_pitch.max(1)))
    }
}

impl Bare {
    /// Memory for the image, bound to it, as a dma-buf; and its size.
    fn allocate_memory(&mut self, for_cpu: bool) -> Result<(OwnedFd, Bytes)> {
        let stage = Stage::Allocate;
        let inner = &self.core;
        let needs = self.requirements();
        let index = inner.memory_type(needs.memory_type_bits, for_cpu).ok_or_else(|| {
            Error::new(stage, Kind::Unsupported).asked("memory for an image").found("no kind of it on this device")
        })?;
        let dma_buf = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(dma_buf);
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(self.image);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(index)
            .push_next(&mut export)
            .push_next(&mut dedicated);
        // SAFETY: the info and all that it points to live until the call returns.
        self.memory = unsafe { inner.device.allocate_memory(&info, None) }
            .map_err(refused(stage, format!("make memory of {}", Bytes(needs.size))))?;
        // SAFETY: the image is new and bound to nothing; the memory was made for it.
        unsafe { inner.device.bind_image_memory(self.image, self.memory, 0) }
            .map_err(refused(stage, "bind an image to its memory"))?;
        let info = vk::MemoryGetFdInfoKHR::default().memory(self.memory).handle_type(dma_buf);
        // SAFETY: the memory was made to be exported in this way.
        let fd =
            unsafe { inner.memory_fd.get_memory_fd(&info) }.map_err(refused(stage, "export memory as a dma-buf"))?;
        // SAFETY: the call gave a new descriptor, which nobody else owns.
        Ok((unsafe { OwnedFd::from_raw_fd(fd) }, Bytes(needs.size)))
    }

    /// Where the driver has laid the planes.
    fn layout(&self, agreement: &Agreement, support: &Support, memory: Bytes) -> Result<Layout> {
        let stage = Stage::Allocate;
        let mut planes = Vec::new();
        for index in 0..support.planes as usize {
            let found = self.plane(index).unwrap_or_default();
            let (offset, stride) = (Bytes(found.offset), Bytes(found.row_pitch));
            if !stride.is_aligned(agreement.stride_align) || !offset.is_aligned(agreement.offset_align) {
                return Err(Error::new(stage, Kind::Unsupported)
                    .asked(format!("strides of {} and offsets of {}", agreement.stride_align, agreement.offset_align))
                    .found(format!("plane {index} at {offset}, rows {stride} apart"))
                    .why(format!("the driver lays {} out by its own rules", agreement.modifier))
                    .help("negotiate LINEAR, or let somebody else allocate"));
            }
            planes.push(PlaneLayout { offset, stride, size: Bytes(found.size) });
        }
        if agreement.modifier == Modifier::LINEAR {
            let format = agreement.format.ok_or_else(super::no_image)?;
            return Layout::linear(format, agreement.extent, agreement.constraints());
        }
        // Few drivers say how large a plane is that they lay out by their own rules; it ends within the memory.
        for plane in &mut planes {
            let rest = memory.checked_sub(plane.offset).unwrap_or_default();
            plane.size = if plane.size == Bytes(0) { rest } else { plane.size.min(rest) };
        }
        Layout::from_allegation(agreement.format, Some(agreement.extent), agreement.modifier, &planes, memory)
            .map_err(|error| error.at(stage))
    }
}

impl Core {
    /// A kind of memory among `bits`: one that the CPU reaches for linear images, which CPUs may read; else the device's own.
    pub(crate) fn memory_type(&self, bits: u32, for_cpu: bool) -> Option<u32> {
        // SAFETY: the device is one of this instance.
        let properties = unsafe { self.instance().get_physical_device_memory_properties(self.physical) };
        let wanted =
            if for_cpu { vk::MemoryPropertyFlags::HOST_VISIBLE } else { vk::MemoryPropertyFlags::DEVICE_LOCAL };
        let allowed = |index: &usize| bits & (1 << index) != 0;
        let types = properties.memory_types_as_slice();
        let first = |flags: vk::MemoryPropertyFlags| {
            (0..types.len())
                .filter(allowed)
                .find(|index| types.get(*index).is_some_and(|t| t.property_flags.contains(flags)))
        };
        first(wanted).or_else(|| first(vk::MemoryPropertyFlags::empty())).and_then(|index| u32::try_from(index).ok())
    }
}
