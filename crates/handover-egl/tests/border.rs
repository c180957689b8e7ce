//! The border between OpenGL ES and the rest of the kernel: a job waits for what pends in a surface, and not for more. Fences that
//! pend are those of vgem, which end at a test's word. A display stays on its thread, so each job has a thread and a display.
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
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::{alone, assert_same, display, draw, drawn, lease, pixels, raw_pixels, soon, surfaces, whole};
use handover::backend::linux::attaches_fences;
use handover::{Access, Deadline, Result, Surface, SurfaceUsages};
use handover_egl::{Display, Image, Submitted};
use handover_sys::dma_buf::Direction;
use kernel::{fence_of, udmabuf};

/// How long a job must not start.
const HELD: Duration = Duration::from_secs(1);
/// How long it may take once it can start: 1 s, and ten times that where processors are emulated.
const SOON: Duration = Duration::from_secs(10);
const GROUND: u32 = 0x0012_3456;
const DRAWN: u32 = 0x00ff_9900;

/// Shown though the test passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn run(display: &Display, image: &Image) -> Result<Submitted> {
    display.run(&[(image, Access::Write)], soon(), |gl| draw(gl, image, DRAWN))
}

/// `job` draws on a thread of its own; `hold` begins once that is ready, and what it gives ends the wait.
fn held<'a, E: FnOnce()>(
    surface: &Surface,
    what: &str,
    hold: impl FnOnce() -> E,
    job: impl FnOnce(&Display, &Image) -> Result<Submitted> + Send + 'a,
) {
    let (go, gone) = channel();
    let (tell, told) = channel();
    thread::scope(|scope| {
        let surface_there = surface.clone();
        scope.spawn(move || {
            let display = display().unwrap();
            let image = display.image(&surface_there, SurfaceUsages::RENDER).unwrap();
            // Once before anything is measured: a driver compiles at its first job.
            run(&display, &image).unwrap().wait(soon()).unwrap();
            tell.send(()).unwrap();
            gone.recv().unwrap();
            job(&display, &image).unwrap().wait(soon()).unwrap();
            tell.send(()).unwrap();
        });
        told.recv().unwrap();
        lease(surface, Access::Write).write(surface).unwrap().clear(GROUND).unwrap();
        let release = hold();
        go.send(()).unwrap();
        assert_eq!(told.recv_timeout(HELD), Err(RecvTimeoutError::Timeout), "{what}: ended while it was held");
        assert_same(&raw_pixels(surface), |_, _| GROUND, "a job that is held");
        let released = Instant::now();
        release();
        told.recv_timeout(SOON).expect(what);
        say(&format!("{what}: ended {:?} after it could start", released.elapsed()));
    });
    assert_same(&pixels(surface), |x, y| drawn(DRAWN, x, y), "the drawing");
}

/// S16: the mail's border. A device that knows nothing of us writes to the surface; our job begins when it has ended.
#[test]
fn a_job_starts_when_the_strangers_write_has_ended_and_not_before() {
    let _turn = alone();
    let (Some(display), Some(memory), Some(stranger)) = (display(), udmabuf(), kernel::Gpu::open()) else { return };
    let surface = surfaces(&display, &memory, 1).remove(0);
    let hold = || {
        let write = stranger.submit(surface.pixels_fd(), Direction::WRITE);
        || write.end()
    };
    held(&surface, "a job behind a write", hold, run);
}

#[test]
fn a_job_waits_for_the_fences_it_is_given() {
    let _turn = alone();
    let (Some(display), Some(memory), Some(stranger)) = (display(), udmabuf(), kernel::Gpu::open()) else { return };
    let surface = surfaces(&display, &memory, 1).remove(0);
    let scratch = kernel::surface(&memory);
    let (write, fence) = stranger.job(&scratch);
    let fences = [fence];
    let explicit = |display: &Display, image: &Image| {
        let lease = lease(image.surface(), Access::Write);
        let submitted = display.submit(&[(image, Access::Write)], &fences, |gl| draw(gl, image, DRAWN))?;
        submitted.wait(soon())?;
        lease.release()?;
        Ok(submitted)
    };
    held(&surface, "a job with a fence in hand", || || write.end(), explicit);
}

#[test]
fn a_reader_does_not_wait_for_readers() {
    let _turn = alone();
    let (Some(display), Some(memory), Some(stranger)) = (display(), udmabuf(), kernel::Gpu::open()) else { return };
    let pair = surfaces(&display, &memory, 2);
    let [from, to] = [0, 1].map(|index| display.image(&pair[index], SurfaceUsages::RENDER).unwrap());
    run(&display, &from).unwrap().wait(soon()).unwrap();
    let read = stranger.submit(pair[0].pixels_fd(), Direction::READ);
    let job = display
        .run(&[(&from, Access::Read), (&to, Access::Write)], soon(), |gl| gl.copy((&from, whole()), (&to, whole())));
    job.unwrap().wait(Deadline::after(SOON)).unwrap();
    assert_same(&pixels(&pair[1]), |x, y| drawn(DRAWN, x, y), "the copy");
    read.end();
}

/// Whoever comes next finds the job's end in the kernel, or it is over. U4: what the driver attaches by itself is measured.
#[test]
fn the_end_of_a_job_is_in_the_kernels_reservation() {
    let _turn = alone();
    let (Some(display), Some(memory)) = (display(), udmabuf()) else { return };
    let surface = surfaces(&display, &memory, 1).remove(0);
    let image = display.image(&surface, SurfaceUsages::RENDER).unwrap();
    let submitted = run(&display, &image).unwrap();
    let status = submitted.fence().map(|fence| fence.status().unwrap());
    say(&format!("the end of a job: {status:?}"));
    fence_of(surface.pixels_fd(), Direction::READ).wait(Deadline::after(SOON)).unwrap();
    submitted.wait(Deadline::now()).unwrap();
    assert_same(&raw_pixels(&surface), |x, y| drawn(DRAWN, x, y), "the drawing");

    let _lease = lease(&surface, Access::Write);
    let set = [(&image, Access::Write)];
    let submit = || display.submit(&set, &[], |gl| draw(gl, &image, GROUND));
    let (submitted, seen) = attaches_fences(surface.pixels_fd().as_fd(), submit).unwrap();
    submitted.wait(soon()).unwrap();
    say(&format!("implicit fences: {seen:?}"));
}
