//! How a refusal of Vulkan becomes the library's error.

use ash::vk;
use handover::{Error, Kind, Stage};

const ENOMEM: i32 = 12;
const ENODEV: i32 = 19;

/// Says what the call was for: `.map_err(refused(stage, "make an image"))`.
pub(crate) fn refused(stage: Stage, what: impl Into<String>) -> impl FnOnce(vk::Result) -> Error {
    let what = what.into();
    move |result| {
        let error = |kind| Error::new(stage, kind).asked(format!("Vulkan to {what}")).found(name(result));
        match result {
            vk::Result::ERROR_DEVICE_LOST => error(Kind::Os)
                .with_errno(ENODEV)
                .why("the device is gone, and with it every job it had; its fences have ended")
                .help("open a device again, and import the surfaces into it"),
            vk::Result::ERROR_OUT_OF_HOST_MEMORY | vk::Result::ERROR_OUT_OF_DEVICE_MEMORY => {
                error(Kind::Os).with_errno(ENOMEM)
            }
            vk::Result::ERROR_INVALID_EXTERNAL_HANDLE => {
                error(Kind::Unsupported).why("this driver does not take such memory").help("another source of memory")
            }
            vk::Result::ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT => error(Kind::Unsupported)
                .why("the driver has its own rules for offsets and strides of this modifier")
                .help("let the driver allocate, or prove the agreement before relying on it"),
            vk::Result::ERROR_FORMAT_NOT_SUPPORTED
            | vk::Result::ERROR_EXTENSION_NOT_PRESENT
            | vk::Result::ERROR_FEATURE_NOT_PRESENT
            | vk::Result::ERROR_LAYER_NOT_PRESENT
            | vk::Result::ERROR_INCOMPATIBLE_DRIVER => error(Kind::Unsupported),
            _ => error(Kind::Os),
        }
    }
}

/// The name of the specification, `VK_ERROR_DEVICE_LOST`.
fn name(result: vk::Result) -> String {
    let debug = format!("{result:?}");
    // A number that this version of the headers has no name for.
    if debug.starts_with(|c: char| c.is_ascii_digit() || c == '-') { debug } else { format!("VK_{debug}") }
}

/// What an extension or a capability would be needed for.
pub(crate) fn missing(stage: Stage, what: &'static str, needs: &'static str, device: &str) -> Error {
    Error::new(stage, Kind::Unsupported)
        .asked(what)
        .found(format!("{device}, without {needs}"))
        .why("the driver does not offer it")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn every_result_has_its_kind_and_the_name_of_the_specification() {
        let cases = [
            (vk::Result::ERROR_DEVICE_LOST, Kind::Os, Some(ENODEV), "VK_ERROR_DEVICE_LOST"),
            (vk::Result::ERROR_OUT_OF_DEVICE_MEMORY, Kind::Os, Some(ENOMEM), "VK_ERROR_OUT_OF_DEVICE_MEMORY"),
            (vk::Result::ERROR_INVALID_EXTERNAL_HANDLE, Kind::Unsupported, None, "VK_ERROR_INVALID_EXTERNAL_HANDLE"),
            (vk::Result::ERROR_FORMAT_NOT_SUPPORTED, Kind::Unsupported, None, "VK_ERROR_FORMAT_NOT_SUPPORTED"),
            (vk::Result::ERROR_UNKNOWN, Kind::Os, None, "VK_ERROR_UNKNOWN"),
            (vk::Result::from_raw(-1_234_567_890), Kind::Os, None, "-1234567890"),
        ];
        for (result, kind, errno, says) in cases {
            let error = refused(Stage::Import, "do it")(result);
            assert_eq!((error.stage(), error.kind(), error.errno()), (Stage::Import, &kind, errno), "{error}");
            assert!(error.to_string().contains(says) && error.to_string().contains("Vulkan to do it"), "{error}");
        }
    }

    #[test]
    fn a_lost_device_says_how_to_go_on() {
        let text = refused(Stage::Acquire, "wait for a job")(vk::Result::ERROR_DEVICE_LOST).to_string();
        assert!(
            ["the device is gone", "fences have ended", "import the surfaces"].iter().all(|says| text.contains(says)),
            "{text}"
        );
    }

    #[test]
    fn a_refused_layout_says_who_may_lay_it_out() {
        let result = vk::Result::ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT;
        let error = refused(Stage::Import, "lay out an image")(result);
        assert!(*error.kind() == Kind::Unsupported && error.to_string().contains("let the driver allocate"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = missing(Stage::Negotiate, "images in dma-bufs", "VK_EXT_external_memory_dma_buf", "a device");
        let text = error.to_string();
        assert!(
            *error.kind() == Kind::Unsupported && text.contains("a device, without VK_EXT_external_memory_dma_buf"),
            "{text}"
        );
    }
}
