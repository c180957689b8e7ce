//! A surface becomes an image: by its modifier, with every plane where the layout says.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ash::vk;
use handover::negotiate::SurfaceUsages;
use handover::{
    Bytes, Device, Error, Extent, Format, Handle, Kind, Layout, MemoryKind, Modifier, PlaneLayout, Result, Stage,
    Surface, import,
};

use super::{Bare, Image, extent, no_format, no_image};
use crate::error::refused;
use crate::format;
use crate::gpu::{Core, Gpu};
use crate::offer::Support;

/// Aspects of the planes in memory, in their order.
pub(super) const MEMORY_PLANES: [vk::ImageAspectFlags; 4] = [
    vk::ImageAspectFlags::MEMORY_PLANE_0_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_1_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_2_EXT,
    vk::ImageAspectFlags::MEMORY_PLANE_3_EXT,
];

impl Gpu {
    /// Imports what a producer exported, as an image of this device.
    ///
    /// # Errors
    /// Those of [`import()`](handover::import()) and of [`Gpu::image`].
    pub fn import(&self, handle: Handle, usages: SurfaceUsages) -> Result<Image> {
        self.image(&import(handle, Device::DRIVER)?, usages)
    }

    /// Makes an image of a surface, to do `usages` with. The surface's memory is imported; its pixels stay where they are.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the surface lives in a memfd, or the driver cannot do that with its format and modifier, or does not
    /// take its planes as they lie.
    pub fn image(&self, surface: &Surface, usages: SurfaceUsages) -> Result<Image> {
        let stage = Stage::Import;
        if surface.memory_kind() != MemoryKind::DmaBuf {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("an image of {}", self.core.report.device))
                .found("a surface in a memfd, which only CPUs reach")
                .help("allocate it from a backend of linux"));
        }
        let layout = surface.layout();
        let (Some(format), Some(size)) = (layout.format(), layout.extent()) else { return Err(no_image()) };
        let support = self.support_for(stage, layout, usages)?;
        if !size.fits(support.max_extent) {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("an image of {format} {}, {size}", layout.modifier()))
                .found(format!("{}, which does at most {}", self.core.report.device, support.max_extent)));
        }
        // A driver reads as many planes as its modifier has, and some read them without looking how many there are.
        if layout.planes().len() != support.planes as usize {
            return Err(Error::new(stage, Kind::Malformed)
                .asked(format!("an image of {format} {}", layout.modifier()))
                .found(format!("{} planes", layout.planes().len()))
                .why(format!("with {} it has {} in memory", self.core.report.device, support.planes)));
        }
        self.check_rows(layout, &support)?;
        let mut bare = self.placed(stage, layout, support.usage)?;
        check_planes(&bare, layout)?;
        let memory = bare.import_memory(surface, support.dedicated)?;
        // SAFETY: the image is new and bound to nothing; the memory was imported for it.
        unsafe { self.core.device.bind_image_memory(bare.image, memory, 0) }
            .map_err(refused(stage, "bind an image to imported memory"))?;
        Image::new(bare, surface.clone(), &support)
    }

    /// Does every row of a linear layout begin where the driver begins rows? Some take any, and crash at the first job (lavapipe
    /// 25.0, at a stride of 516).
    fn check_rows(&self, layout: &Layout, support: &Support) -> Result<()> {
        let align = match layout.modifier() {
            Modifier::LINEAR => self.linear_stride(support).unwrap_or(Bytes(1)),
            _ => return Ok(()),
        };
        let is_off = |plane: &PlaneLayout| !plane.offset.is_aligned(align) || !plane.stride.is_aligned(align);
        match layout.planes().iter().enumerate().find(|(_, plane)| is_off(plane)) {
            None => Ok(()),
            Some((index, plane)) => Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked(format!("plane {index} at {}, rows {} apart", plane.offset, plane.stride))
                .found(format!("{}, which begins rows at multiples of {align}", self.core.report.device))
                .help("negotiate with the device's own offer (Gpu::offer), or let the driver allocate")),
        }
    }

    /// What the driver can do with a layout, or why it cannot.
    pub(super) fn support_for(&self, stage: Stage, layout: &Layout, usages: SurfaceUsages) -> Result<Support> {
        let format = layout.format().ok_or_else(no_image)?;
        if format::to_vulkan(format).is_none() {
            return Err(no_format(stage, format));
        }
        self.support_of(format, layout.modifier(), usages).ok_or_else(|| {
            let known: Vec<String> =
                self.supports(format, usages).iter().map(|support| support.modifier.to_string()).collect();
            Error::new(stage, Kind::Unsupported)
                .asked(format!("an image of {format} {} for {usages:?}", layout.modifier()))
                .found(match known.as_slice() {
                    [] => format!("{}, which does that with no modifier", self.core.report.device),
                    known => format!("{}, which does that with {}", self.core.report.device, known.join(", ")),
                })
                .help("negotiate with the device's own offer: Gpu::offer")
        })
    }

    /// An image without memory, its planes where the layout has them.
    pub(super) fn placed(&self, stage: Stage, layout: &Layout, usage: vk::ImageUsageFlags) -> Result<Bare> {
        let (Some(format), Some(size)) = (layout.format(), layout.extent()) else { return Err(no_image()) };
        let plane = |plane: &PlaneLayout| vk::SubresourceLayout {
            offset: plane.offset.get(),
            row_pitch: plane.stride.get(),
            ..Default::default()
        };
        let planes: Vec<vk::SubresourceLayout> = layout.planes().iter().map(plane).collect();
        self.bare(stage, (format, size), usage, Place::Planes(layout.modifier(), &planes))
    }

    /// An image without memory.
    pub(super) fn bare(
        &self,
        stage: Stage,
        (format, size): (Format, Extent),
        usage: vk::ImageUsageFlags,
        place: Place<'_>,
    ) -> Result<Bare> {
        let vulkan = format::to_vulkan(format).ok_or_else(|| no_format(stage, format))?;
        let mut external =
            vk::ExternalMemoryImageCreateInfo::default().handle_types(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        let mut planes = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default();
        let mut list = vk::ImageDrmFormatModifierListCreateInfoEXT::default();
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(vulkan)
            .extent(extent(size).into())
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
            .usage(usage)
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .initial_layout(vk::ImageLayout::UNDEFINED)
            .push_next(&mut external);
        let (info, modifier) = match place {
            Place::Planes(modifier, layouts) => {
                planes = planes.drm_format_modifier(modifier.0).plane_layouts(layouts);
                (info.push_next(&mut planes), modifier)
            }
            Place::Free(modifier) => {
                list = list.drm_format_modifiers(std::slice::from_ref(&modifier.0));
                (info.push_next(&mut list), *modifier)
            }
        };
        // SAFETY: the info and all that it points to live until the call returns; the driver said that it does this format,
        // modifier and use.
        let image = unsafe { self.core.device.create_image(&info, None) }
            .map_err(refused(stage, format!("lay out an image of {format} {modifier}, {size}")))?;
        Ok(Bare { core: Arc::clone(&self.core), image, memory: vk::DeviceMemory::null() })
    }
}

/// How an image lies in memory.
pub(super) enum Place<'a> {
    /// As said.
    Planes(Modifier, &'a [vk::SubresourceLayout]),
    /// As the driver likes it with this modifier.
    Free(&'a Modifier),
}

impl Bare {
    /// Where the driver has a plane.
    pub(super) fn plane(&self, index: usize) -> Option<vk::SubresourceLayout> {
        let aspect_mask = *MEMORY_PLANES.get(index)?;
        let which = vk::ImageSubresource { aspect_mask, mip_level: 0, array_layer: 0 };
        // SAFETY: the image is one of this device, and has a modifier with so many planes.
        Some(unsafe { self.core.device.get_image_subresource_layout(self.image, which) })
    }

    pub(super) fn requirements(&self) -> vk::MemoryRequirements {
        // SAFETY: the image is one of this device.
        unsafe { self.core.device.get_image_memory_requirements(self.image) }
    }

    /// The memory of a surface, as memory of the device.
    fn import_memory(&mut self, surface: &Surface, is_dedicated: bool) -> Result<vk::DeviceMemory> {
        let stage = Stage::Import;
        let inner = &self.core;
        let file = surface
            .pixels_fd()
            .try_clone_to_owned()
            .map_err(|error| Error::new(stage, Kind::Os).asked("a duplicate of a dma-buf").found(error.to_string()))?;
        let dma_buf = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
        let mut possible = vk::MemoryFdPropertiesKHR::default();
        // SAFETY: the descriptor is an open dma-buf.
        unsafe { inner.memory_fd.get_memory_fd_properties(dma_buf, file.as_raw_fd(), &mut possible) }
            .map_err(refused(stage, format!("take a dma-buf into {}", inner.report.device)))?;
        let needs = self.requirements();
        let has = surface.memory_size();
        if Bytes(needs.size) > has {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("an image of {} on {}", surface.layout().modifier(), inner.report.device))
                .found(format!("a buffer of {has}"))
                .why(format!("the driver wants {} for it", Bytes(needs.size)))
                .help("let the driver allocate"));
        }
        let types = needs.memory_type_bits & possible.memory_type_bits;
        if types == 0 {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("a dma-buf as memory of {}", inner.report.device))
                .why("none of the driver's kinds of memory holds both this image and this buffer"));
        }
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(self.image);
        let mut import = vk::ImportMemoryFdInfoKHR::default().handle_type(dma_buf).fd(file.as_raw_fd());
        let mut info = vk::MemoryAllocateInfo::default()
            .allocation_size(has.get())
            .memory_type_index(types.trailing_zeros())
            .push_next(&mut import);
        if is_dedicated {
            // Then it is as large as the image, whatever the buffer has besides.
            info = info.allocation_size(needs.size).push_next(&mut dedicated);
        }
        let number = file.into_raw_fd();
        // SAFETY: the info and all that it points to live until the call returns.
        let memory = unsafe { inner.device.allocate_memory(&info, None) }.map_err(|result| {
            inner.take_back(number, surface);
            refused(stage, format!("import a dma-buf of {has} into {}", inner.report.device))(inner.noticed(result))
        })?;
        self.memory = memory;
        Ok(memory)
    }
}

impl Core {
    /// Closes a descriptor that a driver did not take. Lavapipe 25.0 closes it even where it refuses, which the specification gives it
    /// no right to; whether a driver does shows at its first refusal, when the number is gone.
    fn take_back(&self, number: RawFd, surface: &Surface) {
        let memory = surface.id().memory;
        let is_there = std::fs::metadata(format!("/proc/self/fd/{number}"))
            .is_ok_and(|found| (found.dev(), found.ino()) == (memory.device, memory.inode));
        if !is_there {
            self.closes_what_it_refuses.store(true, Ordering::Relaxed);
        } else if !self.closes_what_it_refuses.load(Ordering::Relaxed) {
            // SAFETY: the number was duplicated for this call, the driver leaves refused ones alone, and it names the same file.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

/// Does the driver have the planes where the layout has them? Some take an offset or a stride and use another.
pub(super) fn check_planes(bare: &Bare, layout: &Layout) -> Result<()> {
    for (index, plane) in layout.planes().iter().enumerate() {
        let found = bare.plane(index).unwrap_or_default();
        if (found.offset, found.row_pitch) != (plane.offset.get(), plane.stride.get()) {
            return Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked(format!("plane {index} at {}, rows {} apart", plane.offset, plane.stride))
                .found(format!("at {}, {} apart", Bytes(found.offset), Bytes(found.row_pitch)))
                .why("the driver has its own rules for this modifier")
                .help("let the driver allocate"));
        }
    }
    Ok(())
}
