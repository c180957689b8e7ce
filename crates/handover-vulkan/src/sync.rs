//! Fences of the kernel as semaphores, and back; timelines of the kernel as timeline semaphores.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use ash::vk;
use handover::backend::linux::{SyncFile, Timeline};
use handover::{Result, Stage};

use crate::error::{missing, refused};
use crate::gpu::{Core, Gpu};

/// A semaphore of a device.
pub(crate) struct Semaphore {
    core: Arc<Core>,
    pub(crate) raw: vk::Semaphore,
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        // SAFETY: the semaphore is ours, and the job that used it has ended or was never submitted.
        unsafe { self.core.device.destroy_semaphore(self.raw, None) };
    }
}

const SYNC_FD: vk::ExternalSemaphoreHandleTypeFlags = vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD;

impl Gpu {
    fn semaphore(&self, info: &vk::SemaphoreCreateInfo<'_>) -> Result<Semaphore> {
        // SAFETY: the info and all that it points to live until the call returns.
        let raw = unsafe { self.core.device.create_semaphore(info, None) }
            .map_err(refused(Stage::Acquire, "make a semaphore"))?;
        Ok(Semaphore { core: Arc::clone(&self.core), raw })
    }

    /// A semaphore that is signalled when the fence ends. The fence stays the caller's.
    pub(crate) fn waits_for(&self, fence: &SyncFile) -> Result<Semaphore> {
        let stage = Stage::Acquire;
        let semaphore = self.semaphore(&vk::SemaphoreCreateInfo::default())?;
        let file = fence.try_clone()?.into_fd();
        let info = vk::ImportSemaphoreFdInfoKHR::default()
            .semaphore(semaphore.raw)
            .handle_type(SYNC_FD)
            // A sync_file holds one state, which this wait takes: the semaphore is its own again afterwards.
            .flags(vk::SemaphoreImportFlags::TEMPORARY)
            .fd(file.as_raw_fd());
        // SAFETY: the semaphore is new, no queue uses it; the descriptor is an open sync_file.
        unsafe { self.core.semaphore_fd.import_semaphore_fd(&info) }
            .map_err(refused(stage, format!("wait for a sync_file on {}", self.core.report.device)))?;
        // The driver owns the descriptor from here on.
        let _ = file.into_raw_fd();
        Ok(semaphore)
    }

    /// A semaphore whose signal can be taken out as a sync_file.
    pub(crate) fn gives_fence(&self) -> Result<Semaphore> {
        let mut export = vk::ExportSemaphoreCreateInfo::default().handle_types(SYNC_FD);
        self.semaphore(&vk::SemaphoreCreateInfo::default().push_next(&mut export))
    }

    /// The end of the job that was submitted to signal this semaphore. `None`: it has ended already.
    ///
    /// A driver on the CPU may wait for the job in here.
    pub(crate) fn fence_of(&self, semaphore: &Semaphore) -> Result<Option<SyncFile>> {
        let stage = Stage::Release;
        let info = vk::SemaphoreGetFdInfoKHR::default().semaphore(semaphore.raw).handle_type(SYNC_FD);
        // SAFETY: the semaphore was made to be exported so, and a job that signals it has been submitted.
        let fd = unsafe { self.core.semaphore_fd.get_semaphore_fd(&info) }
            .map_err(|result| refused(stage, "export the end of a job as a sync_file")(self.core.noticed(result)))?;
        // The specification's way to say that it is signalled.
        if fd < 0 {
            return Ok(None);
        }
        // SAFETY: the call gave a new descriptor, which nobody else owns.
        SyncFile::new(unsafe { OwnedFd::from_raw_fd(fd) }).map(Some).map_err(|error| error.at(stage))
    }

    /// A timeline of the kernel as a timeline semaphore: its points are the semaphore's values, for jobs to wait for and to signal.
    ///
    /// Where a driver cannot, points still cross as sync_files: [`Timeline::fence`] for what a job waits for, and
    /// [`Timeline::submit`] with its [`Submitted::fence`](crate::Submitted::fence).
    ///
    /// # Errors
    /// [`Unsupported`](handover::Kind::Unsupported): the driver's semaphores are not timelines of the kernel.
    pub fn timeline(&self, timeline: &Timeline) -> Result<TimelineSemaphore> {
        let stage = Stage::Acquire;
        if !self.core.report.shares_timelines {
            return Err(missing(
                stage,
                "a timeline of the kernel as a semaphore",
                "VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE for timelines",
                &self.core.report.to_string(),
            )
            .help("Timeline::fence, and Timeline::submit"));
        }
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let semaphore = self.semaphore(&vk::SemaphoreCreateInfo::default().push_next(&mut kind))?;
        let file = timeline.to_fd()?;
        let info = vk::ImportSemaphoreFdInfoKHR::default()
            .semaphore(semaphore.raw)
            .handle_type(vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD)
            .fd(file.as_raw_fd());
        // SAFETY: the semaphore is new, no queue uses it; the descriptor is an open syncobj, and a driver to whom that is nothing
        // refuses it.
        unsafe { self.core.semaphore_fd.import_semaphore_fd(&info) }
            .map_err(refused(stage, format!("take a timeline into {}", self.core.report.device)))?;
        // The driver owns the descriptor from here on.
        let _ = file.into_raw_fd();
        Ok(TimelineSemaphore(semaphore))
    }
}

/// A timeline that a driver shares with the kernel.
pub struct TimelineSemaphore(Semaphore);

impl std::fmt::Debug for TimelineSemaphore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TimelineSemaphore").field(&self.0.raw).finish()
    }
}

impl TimelineSemaphore {
    /// The semaphore, for code that submits by itself. It lives as long as this.
    pub fn raw(&self) -> vk::Semaphore {
        self.0.raw
    }

    /// The highest value that is complete.
    pub fn completed(&self) -> Result<u64> {
        // SAFETY: the semaphore is a timeline of this device, which has the feature.
        unsafe { self.0.core.device.get_semaphore_counter_value(self.0.raw) }
            .map_err(|result| refused(Stage::Acquire, "ask a timeline how far it is")(self.0.core.noticed(result)))
    }
}
