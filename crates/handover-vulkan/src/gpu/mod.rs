//! A device of Vulkan, opened for sharing.
#![allow(unsafe_code)]

mod complaints;
mod loader;
mod probe;

use std::ffi::{CStr, c_char};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::{ext, khr, vk};
use handover::{Error, Kind, Result, Stage};

use crate::error::{missing, refused};
use crate::job::Retired;
pub use complaints::{Complaint, Complaints};
use loader::Loader;
pub use probe::{Extension, Report};

/// Which device, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A part of its name, in any case; `None`: the first that can share images, real ones before software.
    pub name: Option<String>,
    /// Check every call. What the layer finds is in [`Gpu::complaints`].
    pub validation: bool,
}

/// An open device with one queue. Clones are the same device.
#[derive(Clone)]
pub struct Gpu {
    pub(crate) core: Arc<Core>,
    pub(crate) jobs: Arc<Jobs>,
}

/// Jobs whose owner went before they ended. Not part of the [`Core`]: they hold images, and images hold that.
pub(crate) struct Jobs {
    core: Arc<Core>,
    pub(crate) retired: Mutex<Vec<Retired>>,
}

pub(crate) struct Core {
    pub(crate) device: ash::Device,
    pub(crate) memory_fd: khr::external_memory_fd::Device,
    pub(crate) semaphore_fd: khr::external_semaphore_fd::Device,
    pub(crate) physical: vk::PhysicalDevice,
    pub(crate) family: u32,
    /// Whom images are passed to and taken from: devices that know nothing of this one.
    pub(crate) outside: u32,
    pub(crate) report: Report,
    queue: Mutex<vk::Queue>,
    is_lost: AtomicBool,
    /// Has the driver closed a descriptor that it refused to import?
    pub(crate) closes_what_it_refuses: AtomicBool,
    /// Goes last.
    loader: Loader,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.core.report.device).finish()
    }
}

/// Every device of this machine, as its driver describes it.
///
/// # Errors
/// [`Kind::Unsupported`]: no Vulkan loader, or no driver.
pub fn list() -> Result<Vec<Report>> {
    let loader = Loader::new(false)?;
    let physical = loader.devices()?;
    physical.into_iter().map(|physical| probe::probe(&loader.instance, physical, loader.version)).collect()
}

impl Gpu {
    /// Opens a device.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: no Vulkan, no device of that name, or none that can share images; the error says what each lacks.
    pub fn open(options: &Options) -> Result<Self> {
        let stage = Stage::Negotiate;
        let loader = Loader::new(options.validation)?;
        let mut found = Vec::new();
        for physical in loader.devices()? {
            found.push((physical, probe::probe(&loader.instance, physical, loader.version)?));
        }
        // The order of the loader within a class.
        found.sort_by_key(|(_, report)| {
            ["discrete", "integrated", "virtual"].iter().position(|class| *class == report.class).unwrap_or(3)
        });
        let wanted = options.name.as_deref().map(str::to_lowercase);
        let is_wanted =
            |report: &Report| wanted.as_ref().is_none_or(|name| report.device.to_lowercase().contains(name));
        let all = found.iter().map(|(_, report)| report.device.clone()).collect::<Vec<_>>().join(", ");
        found.retain(|(_, report)| is_wanted(report));
        let mut refusal = None;
        for (physical, report) in found {
            match check(&report) {
                Ok(()) => return Self::on(loader, physical, report),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            Error::new(stage, Kind::Unsupported)
                .asked(options.name.as_ref().map_or("a device of Vulkan".into(), |name| format!("the device {name:?}")))
                .found(if all.is_empty() { "none".into() } else { all })
                .help("a driver of Vulkan; `vulkaninfo --summary` lists those that are installed")
        }))
    }

    fn on(loader: Loader, physical: vk::PhysicalDevice, report: Report) -> Result<Self> {
        let stage = Stage::Negotiate;
        let instance = &loader.instance;
        // SAFETY: the device is one that this instance enumerated.
        let families = unsafe { instance.get_physical_device_queue_family_properties(physical) };
        let does_graphics = |family: &vk::QueueFamilyProperties| family.queue_flags.contains(vk::QueueFlags::GRAPHICS);
        let family = families.iter().position(does_graphics).and_then(|index| u32::try_from(index).ok());
        let family =
            family.ok_or_else(|| missing(stage, "a queue that draws", "VK_QUEUE_GRAPHICS_BIT", &report.device))?;
        let names: Vec<*const c_char> =
            probe::to_enable(&report, loader.version).into_iter().map(CStr::as_ptr).collect();
        let priorities = [1.0];
        let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(family).queue_priorities(&priorities)];
        let mut timelines = vk::PhysicalDeviceTimelineSemaphoreFeatures::default().timeline_semaphore(true);
        let mut info = vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_extension_names(&names);
        if report.has(khr::timeline_semaphore::NAME) {
            info = info.push_next(&mut timelines);
        }
        // SAFETY: the info and all that it points to live until the call returns; the device has every extension named.
        let device = unsafe { instance.create_device(physical, &info, None) }
            .map_err(refused(stage, format!("open {}", report.device)))?;
        // SAFETY: the device was made with one queue of this family.
        let queue = unsafe { device.get_device_queue(family, 0) };
        let has_foreign = report.has(ext::queue_family_foreign::NAME);
        let core = Arc::new(Core {
            memory_fd: khr::external_memory_fd::Device::new(instance, &device),
            semaphore_fd: khr::external_semaphore_fd::Device::new(instance, &device),
            device,
            physical,
            family,
            outside: if has_foreign { vk::QUEUE_FAMILY_FOREIGN_EXT } else { vk::QUEUE_FAMILY_EXTERNAL },
            report,
            queue: Mutex::new(queue),
            is_lost: AtomicBool::new(false),
            closes_what_it_refuses: AtomicBool::new(false),
            loader,
        });
        let jobs = Arc::new(Jobs { core: Arc::clone(&core), retired: Mutex::default() });
        Ok(Self { core, jobs })
    }

    /// What its driver says of it.
    pub fn report(&self) -> &Report {
        &self.core.report
    }

    /// Was the device lost? Then every job has ended, and images of it are of no use; the surfaces are.
    pub fn is_lost(&self) -> bool {
        self.core.is_lost.load(Ordering::Relaxed)
    }

    /// What the validation layer found so far, if it was asked for.
    pub fn complaints(&self) -> Complaints {
        self.core.loader.complaints.clone()
    }

    /// The device, for code that has its own calls to make. It lives as long as this, and its queue is taken by [`Gpu::queue`].
    pub fn device(&self) -> &ash::Device {
        &self.core.device
    }

    /// The family of the queue.
    pub fn queue_family(&self) -> u32 {
        self.core.family
    }

    /// The queue, which one thread at a time may use.
    pub fn queue(&self) -> MutexGuard<'_, vk::Queue> {
        self.core.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    pub(crate) fn instance(&self) -> &ash::Instance {
        &self.loader.instance
    }

    /// Notes the loss of the device, whoever finds it.
    pub(crate) fn noticed(&self, result: vk::Result) -> vk::Result {
        if result == vk::Result::ERROR_DEVICE_LOST {
            self.is_lost.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        {
            let _queue = self.core.queue.lock().unwrap_or_else(PoisonError::into_inner);
            // The last of the waits has no deadline of its own: every fence of the kernel ends.
            // SAFETY: the one queue of the device is locked.
            match unsafe { self.core.device.device_wait_idle() } {
                // A lost device is idle.
                Ok(()) | Err(vk::Result::ERROR_DEVICE_LOST) => {}
                // Nobody knows what still runs: what it needs stays for ever.
                Err(_) => {
                    std::mem::forget(std::mem::take(self.retired.get_mut().unwrap_or_else(PoisonError::into_inner)))
                }
            }
        }
        let retired = std::mem::take(self.retired.get_mut().unwrap_or_else(PoisonError::into_inner));
        retired.into_iter().for_each(|job| job.destroy(&self.core.device));
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: all that was made of it holds a reference to this, and is gone; so is every job.
        unsafe { self.device.destroy_device(None) };
    }
}

/// Can it share images at all?
fn check(report: &Report) -> Result<()> {
    let needed =
        [khr::external_memory_fd::NAME, ext::external_memory_dma_buf::NAME, ext::image_drm_format_modifier::NAME];
    match needed.iter().find(|name| !report.has(name)).and_then(|name| name.to_str().ok()) {
        None => Ok(()),
        Some(name) => Err(missing(Stage::Negotiate, "images in dma-bufs", name, &report.to_string())
            .help("a newer driver; a driver on the CPU needs /dev/udmabuf for it")),
    }
}
