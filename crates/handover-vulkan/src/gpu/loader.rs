//! The loader and its instance: where devices come from.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

use ash::{ext, vk};
use handover::{Error, Kind, Result, Stage};

use super::complaints::{Complaints, Messenger};
use crate::error::{missing, refused};

/// The newest version that is asked for. With 1.3 the layer would look into a newer list of modifiers, which some drivers leave
/// empty (lavapipe 25.0), and complain of what they can very well do.
const MOST: u32 = vk::API_VERSION_1_2;

/// The layer that checks every call.
const VALIDATION: &CStr = c"VK_LAYER_KHRONOS_validation";

/// A loader with an instance. Whatever is made of it goes before it.
pub(super) struct Loader {
    pub(super) instance: ash::Instance,
    /// The version that the two of us speak.
    pub(super) version: u32,
    pub(super) complaints: Complaints,
    messenger: Option<Messenger>,
    /// Must not go before what it loaded.
    _entry: ash::Entry,
}

impl Loader {
    pub(super) fn new(validation: bool) -> Result<Self> {
        let stage = Stage::Negotiate;
        // SAFETY: the loader is a library of the system, whose initialisers do nothing to us that we rely on.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| {
            Error::new(stage, Kind::Unsupported)
                .asked("Vulkan")
                .found(error.to_string())
                .help("the Vulkan loader (libvulkan1) and a driver (mesa-vulkan-drivers)")
        })?;
        // SAFETY: the entry was loaded above.
        let version = unsafe { entry.try_enumerate_instance_version() }.ok().flatten().unwrap_or(vk::API_VERSION_1_0);
        if version < vk::API_VERSION_1_1 {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked("Vulkan 1.1")
                .found("a loader of 1.0")
                .why("memory and fences were not shared before 1.1"));
        }
        let version = MOST.min(version);
        let application =
            vk::ApplicationInfo::default().application_name(c"handover").engine_name(c"handover").api_version(version);
        let (layers, extensions): (&[*const c_char], &[*const c_char]) = if validation {
            check_layer(&entry)?;
            (&[VALIDATION.as_ptr()], &[ext::debug_utils::NAME.as_ptr()])
        } else {
            (&[], &[])
        };
        let complaints = Complaints::default();
        let mut told = complaints.told();
        let mut info = vk::InstanceCreateInfo::default()
            .application_info(&application)
            .enabled_layer_names(layers)
            .enabled_extension_names(extensions);
        if validation {
            // For the instance's own beginning and end, when there is no messenger.
            info = info.push_next(&mut told);
        }
        // SAFETY: the info and all that it points to live until the call returns; the list of complaints outlives the instance.
        let instance = unsafe { entry.create_instance(&info, None) }.map_err(|result| {
            refused(stage, "make an instance")(result).help("a driver (mesa-vulkan-drivers has one for the CPU)")
        })?;
        let mut loader = Self { instance, version, complaints, messenger: None, _entry: entry.clone() };
        if validation {
            loader.messenger = Some(Messenger::new(&entry, &loader.instance, &loader.complaints)?);
        }
        Ok(loader)
    }

    pub(super) fn devices(&self) -> Result<Vec<vk::PhysicalDevice>> {
        // SAFETY: the instance lives.
        unsafe { self.instance.enumerate_physical_devices() }.map_err(|result| match result {
            // What a loader says that found drivers, none of which starts.
            vk::Result::ERROR_INITIALIZATION_FAILED => Error::new(Stage::Negotiate, Kind::Unsupported)
                .asked("Vulkan to list its devices")
                .found("drivers of which none starts")
                .help("`vulkaninfo --summary`, with VK_LOADER_DEBUG=all, says why"),
            _ => refused(Stage::Negotiate, "list its devices")(result),
        })
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.messenger = None;
        // SAFETY: what was made of it is gone: devices hold this.
        unsafe { self.instance.destroy_instance(None) };
    }
}

/// Is the layer there, and does it tell what it finds?
fn check_layer(entry: &ash::Entry) -> Result<()> {
    let stage = Stage::Negotiate;
    // SAFETY: the entry lives.
    let found = unsafe { entry.enumerate_instance_extension_properties(Some(VALIDATION)) };
    let found = found
        .map_err(|result| refused(stage, "check every call")(result).help("the package vulkan-validationlayers"))?;
    if found.iter().any(|extension| extension.extension_name_as_c_str() == Ok(ext::debug_utils::NAME)) {
        return Ok(());
    }
    Err(missing(stage, "what the validation layer finds", "VK_EXT_debug_utils", "the layer")
        .help("a newer package vulkan-validationlayers"))
}
