//! The border between Vulkan and the rest of the kernel: a device waits for what pends in a surface, others wait for the device,
//! and neither does where nothing is to be waited for. Fences that pend are those of vgem, which end at a test's word.
//!
//! A driver on the CPU waits for a job when it gives out the fence of its end. So every submission is on a thread of its own, and
//! what strangers see of a job that still waits is tried where the driver lets them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;

use std::io::Write as _;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::{SIZE, assert_same, lease, on_gpu, pixels, raw_pixels, refusal, soon, surfaces};
use handover::backend::linux::{Card, Implicit, Reached, SyncFile, Timeline, attaches_fences};
use handover::{Access, Backend, Deadline, Format, Kind, Region, Result, Surface, SurfaceUsages, acquire, try_acquire};
use handover_sys::dma_buf::{self, Direction};
use handover_sys::poll::{self, Entry, Interest};
use handover_sys::sync_file::Status;
use handover_vulkan::paint::{Layer, Painter, scene};
use handover_vulkan::{Gpu, Image, Submitted};
use kernel::{fence_of, need, udmabuf};

/// How long a job must not start.
const HELD: Duration = Duration::from_secs(1);
/// How long it may take once it can start: 1 s, and ten times that where processors are emulated.
const SOON: Duration = Duration::from_secs(10);
const GROUND: u32 = 0x0012_3456;

/// What a test needs besides the device.
struct Scene {
    painter: Painter,
    surface: Surface,
    image: Image,
    memory: std::sync::Arc<dyn Backend>,
    stranger: kernel::Gpu,
}

impl Scene {
    fn new(gpu: &Gpu) -> Option<Self> {
        let (memory, stranger) = (udmabuf()?, kernel::Gpu::open()?);
        let surface = surfaces(gpu, &memory, Format::XRGB8888, 1).remove(0);
        let image = gpu.image(&surface, SurfaceUsages::RENDER | SurfaceUsages::SAMPLE).unwrap();
        let scene = Self { painter: Painter::new(gpu).unwrap(), surface, image, memory, stranger };
        // Once before anything is measured: a driver compiles at its first job.
        scene.draw(gpu).unwrap().wait(soon()).unwrap();
        lease(&scene.surface, Access::Write).write(&scene.surface).unwrap().clear(GROUND).unwrap();
        Some(scene)
    }

    /// Acquires, draws, releases.
    fn draw(&self, gpu: &Gpu) -> Result<Submitted> {
        gpu.run(&[(&self.image, Access::Write)], soon(), |recorder| self.painter.scene(recorder, &self.image, 3, 0))
    }

    /// The explicit way: fences in hand, the lease is the caller's.
    fn submit(&self, gpu: &Gpu, waits: &[SyncFile]) -> Result<Submitted> {
        let set = [(&self.image, Access::Write)];
        gpu.submit(&set, waits, |recorder| self.painter.scene(recorder, &self.image, 3, 0))
    }

    fn assert_untouched(&self, when: &str) {
        assert_same(&raw_pixels(&self.surface), |_, _| GROUND, when);
    }

    fn assert_drawn(&self) {
        assert_same(&pixels(&self.surface), |x, y| scene::pixel(SIZE, 3, 0, (x, y)), "the scene");
    }

    /// A buffer that has nothing to do with the image.
    fn scratch(&self) -> Surface {
        kernel::surface(&self.memory)
    }
}

/// Shown though the test passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// For [`HELD`] the job neither returns nor ends. Gives what was submitted, where the driver does not wait in the submission.
fn holds(told: &Receiver<Result<Submitted>>, what: &str) -> Option<Submitted> {
    let until = Instant::now() + HELD;
    match told.recv_timeout(HELD) {
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => panic!("{what}: the submission panicked"),
        Ok(submitted) => {
            let submitted = submitted.unwrap();
            thread::sleep(until.saturating_duration_since(Instant::now()));
            assert!(!submitted.has_ended(), "{what}: ended while it was held");
            assert!(refusal(what, submitted.wait(Deadline::now())).is_timeout());
            let fence = submitted.fence().expect("a job that pends has a fence");
            assert_eq!(fence.status().unwrap(), Status::Pending, "{what}");
            Some(submitted)
        }
    }
}

/// It ends soon after `released`. Says after how long.
fn ends(told: &Receiver<Result<Submitted>>, early: Option<Submitted>, released: Instant, what: &str) {
    let submitted = early.unwrap_or_else(|| told.recv_timeout(SOON).expect(what).unwrap());
    submitted.wait(Deadline::after(SOON)).unwrap();
    let took = released.elapsed();
    assert!(submitted.has_ended() && took < SOON, "{what}: {took:?}");
    if let Some(fence) = submitted.fence() {
        fence.wait(Deadline::after(SOON)).unwrap();
    }
    say(&format!("{what}: ended {took:?} after it could start"));
}

/// Can a stranger who only polls the buffer read it?
fn is_readable(surface: &Surface) -> bool {
    let mut entries = [Entry::new(surface.pixels_fd(), Interest::READ)];
    poll::poll(&mut entries, Deadline::now().at()).unwrap() > 0
}

fn pends(surface: &Surface, direction: Direction) -> bool {
    fence_of(surface.pixels_fd(), direction).status().unwrap() == Status::Pending
}

/// S16: the mail's border. A device that knows nothing of us writes to the surface; our job begins when it has ended.
#[test]
fn a_job_starts_when_the_strangers_write_has_ended_and_not_before() {
    on_gpu(|gpu| {
        let Some(scene) = Scene::new(gpu) else { return };
        let write = scene.stranger.submit(scene.surface.pixels_fd(), Direction::WRITE);
        let (tell, told) = channel();
        thread::scope(|scope| {
            scope.spawn(|| tell.send(scene.draw(gpu)).unwrap());
            let early = holds(&told, "a job behind a write");
            scene.assert_untouched("while the stranger writes");
            assert!(try_acquire(&[(&scene.surface, Access::Read, Region::WHOLE)]).unwrap().is_none());
            let released = Instant::now();
            write.end();
            ends(&told, early, released, "a job behind a write");
        });
        scene.assert_drawn();
    });
}

/// S16, the way back: whoever reads next waits for our job, by the kernel's means alone.
#[test]
fn readers_wait_for_our_job_as_strangers_see_it() {
    on_gpu(|gpu| {
        let Some(scene) = Scene::new(gpu) else { return };
        let scratch = scene.scratch();
        // Something to wait for that is nowhere in the surface: what is seen there is our job.
        let (hold, fence) = scene.stranger.job(&scratch);
        let (tell, told) = channel();
        let wish = [(&scene.surface, Access::Write, Region::WHOLE)];
        let (held, before) = acquire(&wish, soon()).unwrap().collect().unwrap();
        assert!(before.is_none());
        thread::scope(|scope| {
            scope.spawn(|| {
                let submitted = scene.submit(gpu, &[fence]).unwrap();
                match submitted.fence() {
                    Some(end) => held.release_after(end).unwrap(),
                    None => held.release().unwrap(),
                }
                tell.send(Ok(submitted)).unwrap()
            });
            let early = holds(&told, "a job that somebody reads after");
            scene.assert_untouched("while the job is held");
            // Peers of ours wait in any case: for the entry, or for the fence.
            assert!(try_acquire(&[(&scene.surface, Access::Read, Region::WHOLE)]).unwrap().is_none());
            match &early {
                Some(_) => {
                    assert!(pends(&scene.surface, Direction::READ) && pends(&scene.surface, Direction::WRITE));
                    assert!(!is_readable(&scene.surface), "by poll");
                }
                None => {
                    say("strangers: this driver waits when it gives out the end of a job; until then they see nothing")
                }
            }
            let released = Instant::now();
            hold.end();
            ends(&told, early, released, "a job that somebody reads after");
        });
        assert!(!pends(&scene.surface, Direction::WRITE) && is_readable(&scene.surface));
        scene.assert_drawn();
    });
}

/// C24: readers go beside each other, across the border too.
#[test]
fn a_strangers_read_holds_up_no_reader_and_every_writer() {
    on_gpu(|gpu| {
        let Some(scene) = Scene::new(gpu) else { return };
        let target = surfaces(gpu, &scene.memory, Format::XRGB8888, 1).remove(0);
        let canvas = gpu.image(&target, SurfaceUsages::RENDER).unwrap();
        let read = scene.stranger.submit(scene.surface.pixels_fd(), Direction::READ);
        let layer = Layer { image: &scene.image, at: (0, 0), size: SIZE };
        let (tell, told) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let set = [(&canvas, Access::Write), (&scene.image, Access::Read)];
                tell.send(gpu.run(&set, soon(), |recorder| scene.painter.compose(recorder, &canvas, &[layer]))).unwrap()
            });
            ends(&told, None, Instant::now(), "a reader beside a reader");
            assert_same(&pixels(&target), |_, _| GROUND, "a copy");
            assert!(pends(&scene.surface, Direction::WRITE), "the stranger still reads");
            let tell = tell.clone();
            let scene = &scene;
            scope.spawn(move || tell.send(scene.draw(gpu)).unwrap());
            let early = holds(&told, "a writer behind a reader");
            scene.assert_untouched("while the stranger reads");
            let released = Instant::now();
            read.end();
            ends(&told, early, released, "a writer behind a reader");
        });
        scene.assert_drawn();
    });
}

/// S12: fences in hand, and nothing in any reservation.
#[test]
fn s12_a_job_waits_for_every_fence_that_it_is_given() {
    on_gpu(|gpu| {
        let Some(scene) = Scene::new(gpu) else { return };
        let (one, two) = (scene.scratch(), scene.scratch());
        let ((first, first_fence), (second, second_fence)) = (scene.stranger.job(&one), scene.stranger.job(&two));
        let held = lease(&scene.surface, Access::Write);
        let (tell, told) = channel();
        thread::scope(|scope| {
            let fences = [first_fence, second_fence];
            let (scene, tell) = (&scene, tell.clone());
            scope.spawn(move || tell.send(scene.submit(gpu, &fences)).unwrap());
            second.end();
            let early = holds(&told, "a job behind two fences");
            scene.assert_untouched("while one of two is pending");
            let released = Instant::now();
            first.end();
            ends(&told, early, released, "a job behind two fences");
        });
        drop(held);
        scene.assert_drawn();
    });
}

/// Points of a timeline of the kernel cross as sync_files, both ways, on every driver.
#[test]
fn a_point_of_a_timeline_holds_a_job_and_the_job_completes_the_next() {
    on_gpu(|gpu| {
        let Some(scene) = Scene::new(gpu) else { return };
        let Some(card) = need("virtio_gpu", Card::of_driver("virtio_gpu")) else { return };
        let timeline = Timeline::new(&card).unwrap();
        let scratch = scene.scratch();
        let (hold, fence) = scene.stranger.job(&scratch);
        timeline.submit(1, &fence).unwrap();
        let held = lease(&scene.surface, Access::Write);
        let (tell, told) = channel();
        thread::scope(|scope| {
            let (scene, timeline) = (&scene, &timeline);
            scope.spawn(move || {
                let before: SyncFile = timeline.fence(1).unwrap();
                let submitted = scene.submit(gpu, &[before]).unwrap();
                match submitted.fence() {
                    Some(end) => timeline.submit(2, end).unwrap(),
                    None => timeline.signal(2).unwrap(),
                }
                tell.send(Ok(submitted)).unwrap()
            });
            let early = holds(&told, "a job behind a point");
            assert_eq!(timeline.completed().unwrap(), 0);
            let released = Instant::now();
            hold.end();
            timeline.wait(2, Reached::Complete, Deadline::after(SOON)).unwrap();
            ends(&told, early, released, "a job behind a point");
        });
        drop(held);
        scene.assert_drawn();
        if gpu.report().shares_timelines {
            let shared = gpu.timeline(&timeline).unwrap();
            assert_eq!(shared.completed().unwrap(), 2);
            timeline.signal(5).unwrap();
            assert_eq!(shared.completed().unwrap(), 5);
        } else {
            let error = refusal("a timeline", gpu.timeline(&timeline));
            let text = error.to_string();
            let says = ["VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE", gpu.report().device.as_str(), "Timeline::fence"];
            assert!(*error.kind() == Kind::Unsupported && says.iter().all(|word| text.contains(word)), "{text}");
        }
    });
}

/// U4: what the driver puts into a reservation by itself. Nothing here relies on it.
#[test]
fn u4_what_the_driver_attaches_by_itself_is_measured() {
    on_gpu(|gpu| {
        let Some(scene) = Scene::new(gpu) else { return };
        let held = lease(&scene.surface, Access::Write);
        // Long enough to be seen, where the submission does not wait for it.
        let draw = |recorder: &mut handover_vulkan::Recorder<'_>| {
            (0..50).try_for_each(|frame| scene.painter.scene(recorder, &scene.image, frame, 0))
        };
        let submit = || gpu.submit(&[(&scene.image, Access::Write)], &[], draw);
        let (job, seen) = attaches_fences(scene.surface.pixels_fd().as_fd(), submit).unwrap();
        assert!(matches!(seen, Implicit::Attached | Implicit::NothingSeen));
        say(&format!(
            "implicit: {} behind a job: {seen:?}, {}",
            gpu.report().device,
            match job.has_ended() {
                true => "which had ended by then",
                false => "which was running",
            }
        ));
        job.wait(soon()).unwrap();
        drop(held);

        // Held by a fence elsewhere, the job certainly runs while a stranger looks.
        let scratch = scene.scratch();
        let (hold, fence) = scene.stranger.job(&scratch);
        let held = lease(&scene.surface, Access::Write);
        let (tell, told) = channel();
        thread::scope(|scope| {
            let (scene, tell) = (&scene, tell.clone());
            scope.spawn(move || tell.send(scene.submit(gpu, &[fence])).unwrap());
            let early = holds(&told, "a job that is looked at");
            let idle = dma_buf::is_idle(scene.surface.pixels_fd(), Direction::WRITE).unwrap();
            say(&format!(
                "implicit: {} while a job waits: {}",
                gpu.report().device,
                match idle {
                    true => "nothing seen",
                    false => "attached",
                }
            ));
            let released = Instant::now();
            hold.end();
            ends(&told, early, released, "a job that is looked at");
        });
        drop(held);
    });
}
