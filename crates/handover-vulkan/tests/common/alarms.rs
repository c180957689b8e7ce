//! False alarms of validation layers: what they complain of, and why that is no mistake of ours.

use handover::{Format, Modifier, SurfaceUsages};
use handover_vulkan::ash::vk::FormatFeatureFlags;
use handover_vulkan::{Complaint, Gpu, Support};

/// A complaint that is wrong where the driver itself says that it has the feature.
struct Alarm {
    rule: &'static str,
    feature: FormatFeatureFlags,
    /// Use of the images that it speaks of.
    usages: SurfaceUsages,
}

/// Those of the layer 1.3.239 (Debian 12) for images of modifier LINEAR. It looks for an image's modifier among those of the format
/// by `&` instead of `==`. LINEAR is 0, so it is never found, and the image seems to have no feature at all.
const ALARMS: &[Alarm] = &[
    Alarm {
        rule: "VUID-vkCmdDraw-blendEnable-04727",
        feature: FormatFeatureFlags::COLOR_ATTACHMENT_BLEND,
        usages: SurfaceUsages::RENDER,
    },
    Alarm {
        rule: "VUID-vkCmdDraw-magFilter-04553",
        feature: FormatFeatureFlags::SAMPLED_IMAGE_FILTER_LINEAR,
        usages: SurfaceUsages::SAMPLE,
    },
];

/// Formats of the images that the tests draw to and sample.
const FORMATS: [Format; 2] = [Format::XRGB8888, Format::ARGB8888];

/// The rules that may be complained of on this device.
pub(crate) fn allowed(gpu: &Gpu) -> Vec<&'static str> {
    let has = |alarm: &&Alarm| {
        FORMATS.iter().all(|format| {
            let is_linear = |support: &&Support| support.modifier == Modifier::LINEAR;
            let supports = gpu.supports(*format, alarm.usages);
            supports.iter().find(is_linear).is_some_and(|support| support.features.contains(alarm.feature))
        })
    };
    ALARMS.iter().filter(has).map(|alarm| alarm.rule).collect()
}

/// Those that are not known to be false, in words.
pub(crate) fn real(complaints: Vec<Complaint>, allowed: &[&str]) -> Vec<String> {
    let is_real = |complaint: &Complaint| !allowed.contains(&complaint.rule.as_str());
    complaints.into_iter().filter(is_real).map(|complaint| complaint.to_string()).collect()
}
