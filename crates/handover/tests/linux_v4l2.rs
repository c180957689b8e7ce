//! V4L2 queues on surfaces: a camera fills them, an output reads them, and each holds its lease meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/kernel.rs"]
mod kernel;

use std::sync::{Arc, Mutex, PoisonError};

use common::{lease, refusal, soon};
use handover::backend::linux::v4l2::{self, Direction, VideoQueue};
use handover::{
    Access, Backend, Device, Elements, Extent, Format, Kind, Lease, Options, Region, Surface, SurfaceUsages,
};
use handover::{Deadline, acquire, allocate, negotiate, try_acquire};
use handover_sys::v4l2 as sys;
use kernel::{Gpu, need, udmabuf};

const EXTENT: (u32, u32) = (640, 480);

/// A queue belongs to one program at a time.
static NODE: Mutex<()> = Mutex::new(());

fn surfaces(backend: &Arc<dyn Backend>, format: Format, (width, height): (u32, u32), count: u32) -> Vec<Surface> {
    let offer = |party, usages| Device::PLAIN.offer(party, &[format], usages);
    let offers = [offer("camera", SurfaceUsages::WRITE), offer("reader", SurfaceUsages::READ)];
    let agreement = negotiate(Extent::new(width, height).unwrap(), &offers).unwrap();
    let options = Options { surfaces: count, backend: Arc::clone(backend), ..Options::default() };
    allocate(Device::PLAIN, &agreement, &options).unwrap()
}

fn open(direction: Direction) -> Option<VideoQueue<Lease>> {
    let path = need("vivid", v4l2::nodes(direction))?.remove(0);
    Some(VideoQueue::open(path, direction).unwrap())
}

fn is_free(surface: &Surface) -> bool {
    try_acquire(&[(surface, Access::Write, Region::WHOLE)]).unwrap().is_some()
}

/// Takes `pictures` pictures, each surface queued again when it comes back. Gives the surfaces as they came.
fn take(camera: &mut VideoQueue<Lease>, surfaces: &[Surface], pictures: usize) {
    camera.set_layout(surfaces.first().unwrap().layout(), surfaces.len() as u32).unwrap();
    for surface in surfaces {
        camera.queue(lease(surface, Access::Write)).unwrap();
        assert!(!is_free(surface), "the camera has it");
    }
    camera.start().unwrap();
    for _ in 0..pictures {
        let done = camera.next(soon()).unwrap();
        let surface = done.held.surfaces().next().unwrap().0.clone();
        drop(done.held);
        assert!(is_free(&surface), "it is ours again");
        camera.queue(lease(&surface, Access::Write)).unwrap();
    }
    assert_eq!(camera.stop().unwrap().len(), surfaces.len());
}

/// S19: the lease lasts from before QBUF until after DQBUF, though a poll says that the buffer is idle.
#[test]
fn s19_a_camera_holds_what_it_fills() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut camera), Some(backend)) = (open(Direction::Capture), udmabuf()) else { return };
    let surfaces = surfaces(&backend, Format::XRGB8888, EXTENT, 3);
    take(&mut camera, &surfaces, 4);
    for surface in &surfaces {
        let mut row = vec![0; EXTENT.0 as usize * 4];
        lease(surface, Access::Read).read(surface).unwrap().read(0, Elements(0), 200, &mut row).unwrap();
        assert!(row.iter().any(|byte| *byte != 0), "a picture");
    }
    // A surface has one index: a second round attaches nothing new, and one too many is refused.
    camera.queue(lease(surfaces.first().unwrap(), Access::Write)).unwrap();
    let error = refusal("read lease", camera.queue(lease(surfaces.last().unwrap(), Access::Read)));
    assert_eq!(*error.kind(), Kind::Invalid, "{error}");
    drop(camera);
    assert!(surfaces.iter().all(is_free), "a queue that is dropped has stopped");
}

/// The bytes of `XR24` are blue, green, red, unused on both sides: a red picture is red.
#[test]
fn red_green_and_blue_arrive_as_such_in_all_four_formats() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut camera), Some(backend)) = (open(Direction::Capture), udmabuf()) else { return };
    if camera.driver() != "vivid" {
        return kernel::skip("vivid", "another driver's camera has no test pattern that is red");
    }
    let node = sys::open(camera.path()).unwrap();
    let pattern = sys::controls(&node).unwrap().into_iter().find(|control| control.name == "Test Pattern").unwrap();
    let before = sys::control(&node, pattern.id).unwrap();
    // The menu of vivid: 100% red, green, blue.
    for (number, name) in [(7, "red"), (8, "green"), (9, "blue")] {
        sys::set_control(&node, pattern.id, number).unwrap();
        for format in [Format::XRGB8888, Format::ARGB8888, Format::XBGR8888, Format::ABGR8888] {
            let surfaces = surfaces(&backend, format, EXTENT, 2);
            take(&mut camera, &surfaces, 2);
            let surface = surfaces.first().unwrap();
            let mut pixel = [0; 4];
            lease(surface, Access::Read).read(surface).unwrap().read(0, Elements(600), 470, &mut pixel).unwrap();
            let blue_first = format == Format::XRGB8888 || format == Format::ARGB8888;
            let [a, green, b, _] = pixel;
            let (red, blue) = if blue_first { (b, a) } else { (a, b) };
            let bright = [("red", red), ("green", green), ("blue", blue)].map(|(name, value)| (name, value > 200));
            assert!(
                bright.iter().all(|(channel, bright)| *bright == (*channel == name)),
                "{name} {}: {pixel:?}",
                format.name()
            );
        }
    }
    sys::set_control(&node, pattern.id, before).unwrap();
}

#[test]
fn an_output_reads_what_others_read_too() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut output), Some(backend)) = (open(Direction::Output), udmabuf()) else { return };
    let surfaces = surfaces(&backend, Format::XRGB8888, EXTENT, 3);
    output.set_layout(surfaces.first().unwrap().layout(), 3).unwrap();
    for surface in &surfaces {
        output.queue(lease(surface, Access::Read)).unwrap();
        drop(lease(surface, Access::Read));
        assert!(!is_free(surface));
    }
    output.start().unwrap();
    drop(output.next(soon()).unwrap());
    assert_eq!(output.queued(), 2);
    drop(output.stop().unwrap());
    assert!(surfaces.iter().all(is_free));
}

#[test]
fn a_layout_that_the_device_does_not_take_is_a_conflict() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut camera), Some(backend)) = (open(Direction::Capture), udmabuf()) else { return };
    let odd = surfaces(&backend, Format::XRGB8888, (8, 8), 1).remove(0);
    let error = refusal("extent", camera.set_layout(odd.layout(), 2));
    assert!(matches!(error.kind(), Kind::Conflict(conflict) if conflict.field == "extent"), "{error}");
    let wide = surfaces(&backend, Format::RGB565, EXTENT, 1).remove(0);
    let error = refusal("format", camera.set_layout(wide.layout(), 2));
    assert_eq!(*error.kind(), Kind::Unsupported, "{error}");
}

#[test]
fn a_wait_for_the_device_ends_at_its_deadline_and_nodes_that_are_none_say_so() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut output), Some(backend)) = (open(Direction::Output), udmabuf()) else { return };
    let surfaces = surfaces(&backend, Format::XRGB8888, EXTENT, 2);
    output.set_layout(surfaces.first().unwrap().layout(), 2).unwrap();
    surfaces.iter().for_each(|surface| output.queue(lease(surface, Access::Read)).unwrap());
    output.start().unwrap();
    // An output goes on showing the last one it got.
    drop(output.next(soon()).unwrap());
    assert_eq!(output.queued(), 1);
    assert!(refusal("next", output.next(Deadline::now())).is_timeout());
    let wrong = refusal("direction", VideoQueue::<Lease>::open(output.path(), Direction::Capture));
    assert!(wrong.to_string().contains("does not go that way"), "{wrong}");
    let missing = refusal("missing", VideoQueue::<Lease>::open("/dev/video77", Direction::Capture));
    assert_eq!(missing.errno(), Some(2), "{missing}");
    let Some(_) = Gpu::open() else { return };
    let Some(card) = need("virtio_gpu", handover::backend::linux::Card::of_driver("virtio_gpu")) else { return };
    // What a card made, a video device reads as well.
    let dumb: Arc<dyn Backend> = Arc::new(handover::backend::linux::Dumb::of(card));
    let shared = self::surfaces(&dumb, Format::XRGB8888, EXTENT, 2);
    drop(output.stop().unwrap());
    output.set_layout(shared.first().unwrap().layout(), 2).unwrap();
    shared.iter().for_each(|surface| output.queue(lease(surface, Access::Read)).unwrap());
    output.start().unwrap();
    drop(output.next(soon()).unwrap());
}

/// A device that fails for good is an ordinary error, and everything it had comes back.
#[test]
fn a_camera_that_fails_says_so_and_gives_everything_back() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut camera), Some(backend)) = (open(Direction::Capture), udmabuf()) else { return };
    if camera.driver() != "vivid" {
        return kernel::skip("vivid", "only a virtual camera fails when it is told to");
    }
    let surfaces = surfaces(&backend, Format::XRGB8888, EXTENT, 3);
    camera.set_layout(surfaces.first().unwrap().layout(), 3).unwrap();
    surfaces.iter().for_each(|surface| camera.queue(lease(surface, Access::Write)).unwrap());
    camera.start().unwrap();
    drop(camera.next(soon()).unwrap());
    let node = sys::open(camera.path()).unwrap();
    let controls = sys::controls(&node).unwrap();
    let fatal = controls.iter().find(|control| control.name == "Inject Fatal Streaming Error").unwrap();
    sys::set_control(&node, fatal.id, 1).unwrap();
    let error = loop {
        match camera.next(soon()) {
            Ok(done) => drop(done),
            Err(error) => break error,
        }
    };
    assert_eq!(error.errno(), Some(5), "{error}");
    assert!(error.to_string().contains("is gone"), "{error}");
    drop(camera.stop().unwrap());
    assert!(surfaces.iter().all(is_free));
}

/// S19: a device that ignores fences gets no buffer that still has one.
#[test]
fn s19_a_lease_whose_fence_pends_is_refused_until_somebody_has_waited() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut camera), Some(backend)) = (open(Direction::Capture), udmabuf()) else { return };
    let Some(gpu) = Gpu::open() else { return };
    let surfaces = surfaces(&backend, Format::XRGB8888, EXTENT, 2);
    camera.set_layout(surfaces.first().unwrap().layout(), 2).unwrap();
    let collect = |surface| acquire(&[(surface, Access::Write, Region::WHOLE)], soon()).unwrap().collect().unwrap();
    let job_on = |surface: &Surface| gpu.submit(surface.pixels_fd(), handover_sys::dma_buf::Direction::WRITE);
    for (surface, waits) in surfaces.iter().zip([true, false]) {
        let job = job_on(surface);
        let (held, fence) = collect(surface);
        assert!(fence.is_some());
        let error = refusal("queue", camera.queue(held));
        assert!(*error.kind() == Kind::Invalid && error.to_string().contains("Lease::wait"), "{error}");
        assert_eq!(camera.queued(), usize::from(!waits));
        let (held, _) = collect(surface);
        assert!(refusal("wait", held.wait(Deadline::now())).is_timeout());
        job.end();
        let held = if waits {
            held.wait(soon()).unwrap();
            held
        } else {
            drop(held);
            let (held, fence) = collect(surface);
            assert!(fence.is_none(), "the job has ended");
            held
        };
        camera.queue(held).unwrap();
    }
    camera.start().unwrap();
    drop(camera.next(soon()).unwrap());
}

/// Poll answers at once here, and for ever: a wait would spin, whatever its deadline.
#[test]
fn a_wait_for_what_cannot_come_is_refused() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut camera), Some(backend)) = (open(Direction::Capture), udmabuf()) else { return };
    let surfaces = surfaces(&backend, Format::XRGB8888, EXTENT, 2);
    let refused = |camera: &mut VideoQueue<Lease>, why: &str| {
        let error = refusal("next", camera.next(Deadline::Never));
        assert!(*error.kind() == Kind::Invalid && error.to_string().contains(why), "{error}");
    };
    refused(&mut camera, "not streaming");
    camera.set_layout(surfaces.first().unwrap().layout(), 2).unwrap();
    surfaces.iter().for_each(|surface| camera.queue(lease(surface, Access::Write)).unwrap());
    refused(&mut camera, "not streaming");
    camera.start().unwrap();
    drop(camera.next(soon()).unwrap());
    drop(camera.stop().unwrap());
    refused(&mut camera, "not streaming");
    camera.start().unwrap();
    refused(&mut camera, "no surface");
    camera.queue(lease(surfaces.first().unwrap(), Access::Write)).unwrap();
    drop(camera.next(soon()).unwrap());
    refused(&mut camera, "no surface");
}

#[test]
fn an_index_is_free_again_when_nobody_else_has_its_surface() {
    let _turn = NODE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(mut camera), Some(backend)) = (open(Direction::Capture), udmabuf()) else { return };
    let two = || surfaces(&backend, Format::XRGB8888, EXTENT, 2);
    let mut old = two();
    // Some devices want more than asked for.
    camera.set_layout(old.first().unwrap().layout(), 2).unwrap();
    let mut kept = Vec::new();
    let full = loop {
        match camera.queue(lease(old.first().unwrap(), Access::Write)) {
            Ok(()) => kept.push(old.remove(0)),
            Err(error) => break error,
        }
        if old.is_empty() {
            old = two();
        }
    };
    assert_eq!(*full.kind(), Kind::Full, "{full}");
    camera.start().unwrap();
    drop(camera.next(soon()).unwrap());
    assert_eq!(*refusal("full", camera.queue(lease(old.first().unwrap(), Access::Write))).kind(), Kind::Full);
    drop(camera.stop().unwrap());
    drop(kept);
    let new = two();
    new.iter().for_each(|surface| camera.queue(lease(surface, Access::Write)).unwrap());
    camera.start().unwrap();
    drop(camera.next(soon()).unwrap());
}
