//! Formats of the kernel and of Vulkan. The kernel names channels from the highest bit of an element down, Vulkan from its first
//! byte up unless the name says PACK.

use ash::vk;
use handover::Format;

/// The pairs. A channel that is not there (x) is alpha to Vulkan: whoever samples such an image ignores it.
const PAIRS: &[(Format, vk::Format)] = &[
    (Format::XRGB8888, vk::Format::B8G8R8A8_UNORM),
    (Format::ARGB8888, vk::Format::B8G8R8A8_UNORM),
    (Format::XBGR8888, vk::Format::R8G8B8A8_UNORM),
    (Format::ABGR8888, vk::Format::R8G8B8A8_UNORM),
    (Format::RGB565, vk::Format::R5G6B5_UNORM_PACK16),
    (Format::XRGB2101010, vk::Format::A2R10G10B10_UNORM_PACK32),
    (Format::ARGB2101010, vk::Format::A2R10G10B10_UNORM_PACK32),
    (Format::ABGR16161616F, vk::Format::R16G16B16A16_SFLOAT),
    (Format::R8, vk::Format::R8_UNORM),
    (Format::R16, vk::Format::R16_UNORM),
    (Format::GR88, vk::Format::R8G8_UNORM),
    (Format::NV12, vk::Format::G8_B8R8_2PLANE_420_UNORM),
    (Format::NV16, vk::Format::G8_B8R8_2PLANE_422_UNORM),
    (Format::P010, vk::Format::G10X6_B10X6R10X6_2PLANE_420_UNORM_3PACK16),
    (Format::YUV420, vk::Format::G8_B8_R8_3PLANE_420_UNORM),
];

/// What Vulkan calls a format; `None`: it has none like it.
pub fn to_vulkan(format: Format) -> Option<vk::Format> {
    PAIRS.iter().find(|(ours, _)| *ours == format).map(|(_, theirs)| *theirs)
}

/// How many of a format's planes Vulkan counts.
pub(crate) fn planes(format: Format) -> usize {
    format.planes().len()
}
