//! Jobs: commands of one submission, with the images that they use, what they wait for, and the fence of their end.
//!
//! # Contract: ownership
//!
//! Before its first command a job takes every image from the outside (`VK_QUEUE_FAMILY_FOREIGN_EXT`, or `EXTERNAL` where the driver
//! has no word for other devices), and after its last one it gives them back, in layout `GENERAL` both ways. The transfer back is
//! *flush*: what the driver keeps of the content in caches or in a private clear colour is in memory when the job ends.
//!
//! # Contract: fences
//!
//! - [`Gpu::submit`] is the explicit way: the caller names the fences to wait for, and gets the fence of the end.
//! - [`Gpu::run`] goes around an implicit world: it collects what pends in the reservations of all surfaces, submits, and attaches
//!   the fence of the end to all of them. It does not rely on the driver's own habits: those that attach fences by themselves then
//!   have them twice, which costs nothing.
#![allow(unsafe_code)]

use std::fmt;
use std::time::Duration;

use ash::vk;
use handover::backend::linux::SyncFile;
use handover::backend::linux::sync_file::Status;
use handover::{Access, Blocked, Deadline, Error, Kind, Monotonic, Region, Result, Stage, acquire};

use crate::error::refused;
use crate::gpu::{Core, Gpu};
use crate::image::{Image, whole};
use crate::record::Recorder;
use crate::sync::Semaphore;

/// A job that was submitted. Dropped, it goes on; what it uses is kept until it has ended.
#[must_use = "whoever uses the images next waits for its fence"]
pub struct Submitted {
    gpu: Gpu,
    /// `None` once it was handed to the device's own care.
    job: Option<Retired>,
    /// What the job signals at its end, until its fence was asked for.
    signals: Option<Semaphore>,
    end: Option<SyncFile>,
}

/// What a job needs until it has ended.
pub(crate) struct Retired {
    pool: vk::CommandPool,
    done: vk::Fence,
    /// Dropped with the job; an image may hold the last reference to its device, which then ends in there.
    keeps: Vec<Image>,
    semaphores: Vec<Semaphore>,
    extra: Vec<Box<dyn Send>>,
}

impl fmt::Debug for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitted").field("gpu", &self.gpu).field("end", &self.end).finish()
    }
}

impl Retired {
    fn new(gpu: &Gpu) -> Result<Self> {
        let stage = Stage::Access;
        let device = &gpu.core.device;
        let info = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::TRANSIENT)
            .queue_family_index(gpu.core.family);
        // SAFETY: the family is the one that the device was made with.
        let pool = unsafe { device.create_command_pool(&info, None) }.map_err(refused(stage, "make a job"))?;
        // SAFETY: the info has no pointers.
        match unsafe { device.create_fence(&vk::FenceCreateInfo::default(), None) } {
            Ok(done) => Ok(Self { pool, done, keeps: Vec::new(), semaphores: Vec::new(), extra: Vec::new() }),
            Err(result) => {
                // SAFETY: the pool is new and empty.
                unsafe { device.destroy_command_pool(pool, None) };
                Err(refused(stage, "make a fence")(result))
            }
        }
    }

    fn has_ended(&self, core: &Core) -> bool {
        // SAFETY: the fence is one of this device.
        match unsafe { core.device.get_fence_status(self.done) } {
            Ok(ended) => ended,
            // A lost device has ended everything. Any other error says nothing.
            Err(result) => core.noticed(result) == vk::Result::ERROR_DEVICE_LOST,
        }
    }

    /// The job has ended, or was never submitted.
    pub(crate) fn destroy(self, device: &ash::Device) {
        // SAFETY: no command of the pool is pending.
        unsafe { device.destroy_command_pool(self.pool, None) };
        // SAFETY: no queue is to signal the fence any more.
        unsafe { device.destroy_fence(self.done, None) };
    }
}

impl Gpu {
    /// Acquires `set`, runs a job that waits for whatever pends on it, and releases it after the job. Waits on the CPU only for other
    /// CPUs, and for a driver that takes or gives no sync_file; not beyond `deadline`.
    ///
    /// # Errors
    /// [`Kind::Timeout`] after the submission: the driver gave no fence of the end and the job still runs. Its lease then ends with
    /// the next job of this device, or with [`reap`](Self::reap), once it has ended. Those of [`acquire()`](handover::acquire()) and of [`submit`](Self::submit). After an error of the submission nothing runs.
    pub fn run(
        &self,
        set: &[(&Image, Access)],
        deadline: Deadline,
        record: impl FnOnce(&mut Recorder<'_>) -> Result<()>,
    ) -> Result<Submitted> {
        // A job that ran into its deadline may hold what is wanted now, and have ended since.
        self.reap();
        let wishes: Vec<_> = set.iter().map(|(image, access)| (image.surface(), *access, Region::WHOLE)).collect();
        let (lease, pending) = acquire(&wishes, deadline)?.collect()?;
        let mut submitted = self.start(set, (pending.as_slice(), deadline), Direction::In, record)?;
        // From here on the device works: the lease ends after it, whatever happens.
        if let Err(error) = submitted.settle(deadline) {
            submitted.keep(lease);
            return Err(error);
        }
        match &submitted.end {
            Some(end) => match lease.release_after(end) {
                Ok(()) => {}
                // The device works without anybody knowing: that must not be.
                Err(unattached) => match submitted.wait(deadline) {
                    Ok(()) => unattached.lease.release()?,
                    Err(error) => {
                        submitted.keep(unattached.lease);
                        return Err(error);
                    }
                },
            },
            None => lease.release()?,
        }
        Ok(submitted)
    }

    /// Submits a job: it waits for all of `waits`, takes every image of `set` from the outside, runs what `record` records, and gives
    /// the images back.
    ///
    /// The caller sees to it that nobody else uses the images meanwhile: a lease of each, released after [`Submitted::fence`].
    /// `waits` stay the caller's. A driver that cannot wait for a sync_file has the CPU wait here.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: an image of another device. [`Kind::Os`] with ENODEV: the device is lost. Those of `record`. Nothing runs
    /// then. [`Kind::Timeout`]: the driver gave no fence of the end, and the job has not ended within 20 s. It still runs then, so
    /// its images are not to be used; the device keeps what it needs.
    pub fn submit(
        &self,
        set: &[(&Image, Access)],
        waits: &[SyncFile],
        record: impl FnOnce(&mut Recorder<'_>) -> Result<()>,
    ) -> Result<Submitted> {
        let deadline = Deadline::after(PATIENCE);
        let mut submitted = self.start(set, (waits, deadline), Direction::In, record)?;
        submitted.settle(deadline)?;
        Ok(submitted)
    }

    /// Submits, without asking for the fence of the end. After an error nothing runs.
    fn start(
        &self,
        set: &[(&Image, Access)],
        waits: (&[SyncFile], Deadline),
        from: Direction,
        record: impl FnOnce(&mut Recorder<'_>) -> Result<()>,
    ) -> Result<Submitted> {
        self.reap();
        for (image, _) in set {
            if !image.is_of(self) {
                return Err(Error::new(Stage::Access, Kind::Invalid)
                    .asked(format!("a job of {}", self.core.report.device))
                    .found(format!("an image of {}", image.device()))
                    .help("make an image of the same surface on this device"));
            }
        }
        let mut job = Retired::new(self)?;
        match self.fill(&mut job, set, waits, from, record) {
            Ok(signals) => Ok(Submitted { gpu: self.clone(), job: Some(job), signals, end: None }),
            Err(error) => {
                job.destroy(&self.core.device);
                Err(error)
            }
        }
    }

    fn fill(
        &self,
        job: &mut Retired,
        set: &[(&Image, Access)],
        waits: (&[SyncFile], Deadline),
        from: Direction,
        record: impl FnOnce(&mut Recorder<'_>) -> Result<()>,
    ) -> Result<Option<Semaphore>> {
        let stage = Stage::Access;
        let device = &self.core.device;
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(job.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        // SAFETY: the pool is ours.
        let commands = unsafe { device.allocate_command_buffers(&info) }.map_err(refused(stage, "record a job"))?;
        let commands = commands.first().copied().unwrap_or_default();
        let begin = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the buffer is new.
        unsafe { device.begin_command_buffer(commands, &begin) }.map_err(refused(stage, "record a job"))?;
        self.transfer(commands, set, from);
        let mut recorder = Recorder { gpu: self, commands, set, extra: Vec::new() };
        let recorded = record(&mut recorder);
        job.extra = recorder.extra;
        recorded?;
        self.transfer(commands, set, Direction::Out);
        // SAFETY: the buffer is being recorded.
        unsafe { device.end_command_buffer(commands) }.map_err(refused(stage, "record a job"))?;

        let (waits, deadline) = waits;
        for fence in waits {
            match self.core.report.waits_for_sync_files {
                true => job.semaphores.push(self.waits_for(fence)?),
                false => until_over(fence, deadline)?,
            }
        }
        let waits: Vec<vk::Semaphore> = job.semaphores.iter().map(|semaphore| semaphore.raw).collect();
        let stages = vec![vk::PipelineStageFlags::ALL_COMMANDS; waits.len()];
        let end = self.core.report.gives_sync_files.then(|| self.gives_fence()).transpose()?;
        let signals: Vec<vk::Semaphore> = end.iter().map(|semaphore| semaphore.raw).collect();
        let buffers = [commands];
        let info = vk::SubmitInfo::default()
            .wait_semaphores(&waits)
            .wait_dst_stage_mask(&stages)
            .command_buffers(&buffers)
            .signal_semaphores(&signals);
        {
            let queue = self.queue();
            // SAFETY: the commands are recorded, the semaphores and the fence are new, the queue is locked.
            unsafe { device.queue_submit(*queue, &[info], job.done) }
                .map_err(|result| refused(stage, "run a job")(self.core.noticed(result)))?;
        }
        job.keeps = set.iter().map(|(image, _)| (*image).clone()).collect();
        Ok(end)
    }

    /// Brings images into being that this device has just made: until then, what a driver keeps beside the pixels is whatever the
    /// memory held.
    pub(crate) fn bring_into_being(&self, images: &[Image]) -> Result<()> {
        let set: Vec<_> = images.iter().map(|image| (image, Access::Write)).collect();
        let deadline = Deadline::after(PATIENCE);
        self.start(&set, (&[], deadline), Direction::New, |_| Ok(()))?.wait(deadline)
    }

    /// Records that images come from the outside, or go there.
    fn transfer(&self, commands: vk::CommandBuffer, set: &[(&Image, Access)], direction: Direction) {
        let inner = &self.core;
        let barrier = |(image, access): &(&Image, Access)| {
            let ours = match access {
                Access::Read => vk::AccessFlags::MEMORY_READ,
                Access::Write => vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE,
            };
            let barrier = vk::ImageMemoryBarrier::default()
                .old_layout(vk::ImageLayout::GENERAL)
                .new_layout(vk::ImageLayout::GENERAL)
                .image(image.raw())
                .subresource_range(whole());
            match direction {
                Direction::New => barrier
                    .old_layout(vk::ImageLayout::UNDEFINED)
                    .dst_access_mask(ours)
                    .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
                    .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED),
                Direction::In => barrier
                    .dst_access_mask(ours)
                    .src_queue_family_index(inner.outside)
                    .dst_queue_family_index(inner.family),
                Direction::Out => barrier
                    .src_access_mask(ours)
                    .src_queue_family_index(inner.family)
                    .dst_queue_family_index(inner.outside),
            }
        };
        let barriers: Vec<_> = set.iter().map(barrier).collect();
        let all = vk::PipelineStageFlags::ALL_COMMANDS;
        // SAFETY: the buffer is being recorded outside of a render pass; the images are of this device.
        unsafe {
            inner.device.cmd_pipeline_barrier(commands, all, all, vk::DependencyFlags::empty(), &[], &[], &barriers);
        }
    }

    /// Frees what jobs needed that have ended and whose [`Submitted`] is gone. Every submission does it first.
    pub fn reap(&self) {
        let mut retired = self.jobs.retired.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (ended, pending) = std::mem::take(&mut *retired).into_iter().partition(|job| job.has_ended(&self.core));
        *retired = pending;
        drop(retired);
        let ended: Vec<Retired> = ended;
        ended.into_iter().for_each(|job| job.destroy(&self.core.device));
    }
}

/// How long a driver that knows no sync_file keeps us. Every fence of the kernel ends within about ten seconds.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
enum Direction {
    /// Nobody has had it: it comes from nowhere, and holds nothing.
    New,
    In,
    Out,
}

impl Submitted {
    /// Asks for the fence of the end. Without one nobody may go on, so the CPU waits for the end itself.
    fn settle(&mut self, deadline: Deadline) -> Result<()> {
        let Some(job) = self.job.as_mut() else { return Ok(()) };
        if let Some(semaphore) = self.signals.take() {
            let fence = self.gpu.fence_of(&semaphore);
            job.semaphores.push(semaphore);
            if let Ok(fence) = fence {
                self.end = fence;
                return Ok(());
            }
        }
        wait(&self.gpu, job.done, deadline)
    }

    /// Keeps something until it has ended.
    fn keep(&mut self, what: impl Send + 'static) {
        if let Some(job) = &mut self.job {
            job.extra.push(Box::new(what));
        }
    }

    /// Its end, for others to wait for. `None`: it has ended.
    pub fn fence(&self) -> Option<&SyncFile> {
        self.end.as_ref()
    }

    /// Has it ended?
    pub fn has_ended(&self) -> bool {
        self.job.as_ref().is_none_or(|job| job.has_ended(&self.gpu.core))
    }

    /// Waits on the CPU.
    ///
    /// # Errors
    /// [`Kind::Timeout`]; [`Kind::Os`] with ENODEV: the device is lost.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        self.job.as_ref().map_or(Ok(()), |job| wait(&self.gpu, job.done, deadline))
    }
}

/// Waits on the CPU until a fence has ended. One that failed has ended too: the device would go on as well (S22).
fn until_over(fence: &SyncFile, deadline: Deadline) -> Result<()> {
    match fence.wait(deadline) {
        Err(error) if !matches!(fence.status(), Ok(Status::Failed(_))) => Err(error),
        _ => Ok(()),
    }
}

fn wait(gpu: &Gpu, done: vk::Fence, deadline: Deadline) -> Result<()> {
    let left = match deadline {
        Deadline::At(at) => at.0.saturating_sub(Monotonic::now().0),
        Deadline::Never => u64::MAX,
    };
    // SAFETY: the fence is one of this device.
    match unsafe { gpu.core.device.wait_for_fences(&[done], true, left) } {
        Ok(()) => Ok(()),
        Err(vk::Result::TIMEOUT) => Err(Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
            .asked(format!("the end of a job of {}", gpu.core.report.device))
            .found("that it still runs, or waits, at the deadline")),
        Err(result) => Err(refused(Stage::Acquire, "wait for a job")(gpu.core.noticed(result))),
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        if job.has_ended(&self.gpu.core) {
            job.destroy(&self.gpu.core.device);
        } else {
            self.gpu.jobs.retired.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(job);
        }
    }
}
