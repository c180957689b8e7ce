//! What a driver offers: extensions by name, and what each is for. Nothing is decided by a driver's name or version.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fmt;

use ash::{ext, khr, vk};
use handover::{Result, Stage};

use crate::error::refused;

/// One extension that this crate uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// As the specification names it.
    pub name: &'static str,
    /// Does the driver have it?
    pub present: bool,
    /// What is not to be had without it.
    pub gives: &'static str,
}

/// A device, as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Name of the device.
    pub device: String,
    /// Name of the driver and what it says about itself.
    pub driver: String,
    /// Version of Vulkan: major, minor, patch.
    pub version: (u32, u32, u32),
    /// "discrete", "integrated", "virtual", "cpu" or "other".
    pub class: &'static str,
    /// Numbers (major, minor) of its render node and its primary node, where it tells.
    pub render_node: Option<(i64, i64)>,
    /// As [`render_node`](Self::render_node).
    pub primary_node: Option<(i64, i64)>,
    /// The extensions that matter here, had or not.
    pub extensions: Vec<Extension>,
    /// Can a job wait for a sync_file?
    pub waits_for_sync_files: bool,
    /// Can the end of a job become a sync_file?
    pub gives_sync_files: bool,
    /// Can a timeline of the kernel be a semaphore?
    pub shares_timelines: bool,
}

impl Report {
    /// Has it this extension?
    pub fn has(&self, name: &CStr) -> bool {
        self.extensions.iter().any(|extension| extension.present && extension.name.as_bytes() == name.to_bytes())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.version;
        write!(f, "{} ({}, {}; Vulkan {major}.{minor}.{patch})", self.device, self.class, self.driver)
    }
}

/// The extensions of a device that are used here.
const USED: &[(&CStr, &str)] = &[
    (khr::external_memory_fd::NAME, "memory as descriptors"),
    (ext::external_memory_dma_buf::NAME, "memory as dma-bufs"),
    (ext::image_drm_format_modifier::NAME, "layouts by modifier"),
    (ext::queue_family_foreign::NAME, "ownership passed to and from other devices"),
    (khr::external_semaphore_fd::NAME, "fences of the kernel for jobs, and of jobs"),
    (khr::external_fence_fd::NAME, "fences of the kernel for the CPU side"),
    (khr::image_format_list::NAME, "modifiers on Vulkan 1.1"),
    (khr::timeline_semaphore::NAME, "timelines on Vulkan 1.1"),
    (khr::driver_properties::NAME, "the driver's name on Vulkan 1.1"),
    (ext::physical_device_drm::NAME, "which node it is"),
];

/// Extensions of Vulkan 1.1 that became part of 1.2: not to be asked for there.
const IN_1_2: &[&CStr] = &[khr::image_format_list::NAME, khr::timeline_semaphore::NAME, khr::driver_properties::NAME];

/// Asks a device of `instance` for everything that matters here.
pub(super) fn probe(instance: &ash::Instance, physical: vk::PhysicalDevice, spoken: u32) -> Result<Report> {
    let stage = Stage::Negotiate;
    // SAFETY: the device is one that this instance enumerated.
    let found = unsafe { instance.enumerate_device_extension_properties(physical) }
        .map_err(refused(stage, "list the extensions of a device"))?;
    let has = |name: &CStr| found.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name));
    // SAFETY: the device is one that this instance enumerated.
    let basic = unsafe { instance.get_physical_device_properties(physical) };
    let is_1_2 = basic.api_version.min(spoken) >= vk::API_VERSION_1_2;
    let extensions: Vec<Extension> = USED
        .iter()
        .map(|(name, gives)| Extension {
            name: name.to_str().unwrap_or_default(),
            present: has(name) || (is_1_2 && IN_1_2.contains(name)),
            gives,
        })
        .collect();
    let present = |name: &CStr| has(name) || (is_1_2 && IN_1_2.contains(&name));

    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut drm = vk::PhysicalDeviceDrmPropertiesEXT::default();
    let mut all = vk::PhysicalDeviceProperties2::default();
    if present(khr::driver_properties::NAME) {
        all = all.push_next(&mut driver);
    }
    if has(ext::physical_device_drm::NAME) {
        all = all.push_next(&mut drm);
    }
    // SAFETY: the device is one that this instance enumerated, and each struct of the chain belongs to an extension it has.
    unsafe { instance.get_physical_device_properties2(physical, &mut all) };
    let text = |text: std::result::Result<&CStr, _>| {
        text.map(|text: &CStr| text.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let said = [text(driver.driver_name_as_c_str()), text(driver.driver_info_as_c_str())];
    let driver = said.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(", ");
    let sync = semaphores(instance, physical, present(khr::timeline_semaphore::NAME));
    let has_semaphores = has(khr::external_semaphore_fd::NAME);
    Ok(Report {
        device: text(basic.device_name_as_c_str()),
        driver: if driver.is_empty() { "a driver that does not say its name".into() } else { driver },
        version: (
            vk::api_version_major(basic.api_version),
            vk::api_version_minor(basic.api_version),
            vk::api_version_patch(basic.api_version),
        ),
        class: match basic.device_type {
            vk::PhysicalDeviceType::DISCRETE_GPU => "discrete",
            vk::PhysicalDeviceType::INTEGRATED_GPU => "integrated",
            vk::PhysicalDeviceType::VIRTUAL_GPU => "virtual",
            vk::PhysicalDeviceType::CPU => "cpu",
            _ => "other",
        },
        render_node: (drm.has_render != 0).then_some((drm.render_major, drm.render_minor)),
        primary_node: (drm.has_primary != 0).then_some((drm.primary_major, drm.primary_minor)),
        extensions,
        waits_for_sync_files: has_semaphores && sync.0.contains(vk::ExternalSemaphoreFeatureFlags::IMPORTABLE),
        gives_sync_files: has_semaphores && sync.0.contains(vk::ExternalSemaphoreFeatureFlags::EXPORTABLE),
        shares_timelines: has_semaphores && sync.1.contains(vk::ExternalSemaphoreFeatureFlags::IMPORTABLE),
    })
}

/// What may be done with semaphores behind descriptors: sync_files, and timelines.
fn semaphores(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    has_timelines: bool,
) -> (vk::ExternalSemaphoreFeatureFlags, vk::ExternalSemaphoreFeatureFlags) {
    let ask = |info: &vk::PhysicalDeviceExternalSemaphoreInfo<'_>| {
        let mut properties = vk::ExternalSemaphoreProperties::default();
        // SAFETY: the device is one that this instance enumerated, and the query is part of Vulkan 1.1.
        unsafe { instance.get_physical_device_external_semaphore_properties(physical, info, &mut properties) };
        properties.external_semaphore_features
    };
    let sync_file =
        vk::PhysicalDeviceExternalSemaphoreInfo::default().handle_type(vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD);
    let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
    let timeline = vk::PhysicalDeviceExternalSemaphoreInfo::default()
        .handle_type(vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD)
        .push_next(&mut kind);
    let timelines = if has_timelines { ask(&timeline) } else { vk::ExternalSemaphoreFeatureFlags::empty() };
    (ask(&sync_file), timelines)
}

/// Of the used extensions, those to ask a device for that has them.
pub(super) fn to_enable(report: &Report, spoken: u32) -> Vec<&'static CStr> {
    let (major, minor, _) = report.version;
    let is_1_2 = (major, minor) >= (1, 2) && spoken >= vk::API_VERSION_1_2;
    let names = USED.iter().map(|(name, _)| *name);
    names.filter(|name| report.has(name) && !(is_1_2 && IN_1_2.contains(name))).collect()
}
