//! A screen that shows surfaces: commits that wait for fences of others, and leases that end when a flip is done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/kernel.rs"]
mod kernel;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::{PATIENCE, lease, millis, refusal, soon};
use handover::backend::linux::scanout::{self, Scanout};
use handover::backend::linux::{Card, Dumb, SyncFile};
use handover::{Access, Backend, Device, Extent, Format, Lease, Options, Region, Surface, SurfaceUsages};
use handover::{Deadline, acquire, allocate, negotiate, try_acquire};
use handover_sys::dma_buf::Direction;
use handover_sys::drm::{self, ClientCap, mode};
use kernel::{Gpu, need, udmabuf};

const MODE: (u32, u32) = (640, 480);

/// A card has one master.
static SCREEN: Mutex<()> = Mutex::new(());

fn extent() -> Extent {
    Extent::new(MODE.0, MODE.1).unwrap()
}

fn surfaces_of(backend: Arc<dyn Backend>, extent: Extent, count: u32) -> Vec<Surface> {
    let offer = |party, usages| Device::PLAIN.offer(party, &[Format::XRGB8888], usages);
    let offers = [offer("compositor", SurfaceUsages::WRITE), offer("screen", SurfaceUsages::SCANOUT)];
    let agreement = negotiate(extent, &offers).unwrap();
    allocate(Device::PLAIN, &agreement, &Options { surfaces: count, backend, ..Options::default() }).unwrap()
}

/// Surfaces of the card, made through an open file of their own as another process would.
fn surfaces(card: &Card, count: u32) -> Vec<Surface> {
    let own = Card::open(card.path()).unwrap();
    own.leave_screens().unwrap();
    surfaces_of(Arc::new(Dumb::of(own)), extent(), count)
}

fn collect(surface: &Surface) -> (Lease, Option<SyncFile>) {
    acquire(&[(surface, Access::Read, Region::WHOLE)], soon()).unwrap().collect().unwrap()
}

fn is_free(surface: &Surface) -> bool {
    try_acquire(&[(surface, Access::Write, Region::WHOLE)]).unwrap().is_some()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What every plane shows, and where.
fn planes(card: &Card) -> Vec<(u32, Option<u32>, Option<u32>)> {
    drm::set_client_capability(card, ClientCap::UniversalPlanes, 1).unwrap();
    let look = |id| mode::plane(card, id).map(|plane| (id, plane.crtc, plane.framebuffer)).unwrap();
    mode::planes(card).unwrap().into_iter().map(look).collect()
}

#[test]
fn a_flip_waits_for_the_fence_of_the_buffer_and_the_surface_before_it_is_held_until_then() {
    let _turn = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("screen", scanout::card()) else { return };
    let Some(gpu) = Gpu::open() else { return };
    let surfaces = surfaces(&card, 2);
    let [first, second] = surfaces.as_slice() else { panic!() };
    let before = planes(&card);
    let mut screen = Scanout::open(card.clone(), Some(extent())).unwrap();
    screen.test(first).unwrap();

    let (held, fence) = collect(first);
    assert!(fence.is_none());
    screen.show(held, fence, soon()).unwrap();
    assert!(screen.next(soon()).unwrap().is_none(), "nothing was there before");
    assert!(!is_free(first), "the screen reads it");
    assert_ne!(planes(&card), before);

    let job = gpu.submit(second.pixels_fd(), Direction::WRITE);
    let (held, fence) = collect(second);
    screen.show(held, Some(fence.expect("the job's fence")), soon()).unwrap();
    let error = refusal("next", screen.next(millis(300)));
    assert!(error.is_timeout(), "the flip is done before the job: {error}");
    let third = lease(first, Access::Read);
    assert!(refusal("show", screen.show(third, None, soon())).to_string().contains("on its way"));
    assert!(!is_free(first) && screen.showing().is_some());
    job.end();
    drop(screen.next(soon()).unwrap().expect("what was shown before"));
    assert!(is_free(first) && !is_free(second));
    drop(screen.restore(soon()).unwrap());
    assert!(is_free(second));
    assert_eq!(planes(&card), before, "the screen is as it was found");
    let error = refusal("show", screen.show(lease(first, Access::Read), None, soon()));
    assert!(error.to_string().contains("given back"), "{error}");
}

/// The kernel cannot take a commit back, and neither a restoring commit nor a close comes before it.
#[test]
fn a_commit_whose_fence_does_not_come_keeps_nobody_from_giving_up() {
    let _turn = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("screen", scanout::card()) else { return };
    let Some(gpu) = Gpu::open() else { return };
    let surfaces = surfaces(&card, 2);
    let [first, second] = surfaces.as_slice() else { panic!() };
    // The screen's own open file is to be closed by the drop.
    let looker = Card::open(card.path()).unwrap();
    let before = planes(&looker);
    let mut screen = Scanout::open(card, Some(extent())).unwrap();
    screen.show(lease(first, Access::Read), None, soon()).unwrap();
    assert!(screen.next(soon()).unwrap().is_none());
    let job = gpu.submit(second.pixels_fd(), Direction::WRITE);
    let (held, fence) = collect(second);
    screen.show(held, fence, soon()).unwrap();

    let error = refusal("restore", screen.restore(millis(200)));
    assert!(error.is_timeout(), "{error}");
    assert!(screen.showing().is_some(), "nothing was changed");
    let started = Instant::now();
    drop(screen);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!is_free(first) && !is_free(second), "the screen reads one, and will read the other");
    assert_ne!(planes(&looker), before);

    job.end();
    wait_until("the screen is given back", || is_free(first) && is_free(second));
    assert_eq!(planes(&looker), before, "the screen is as it was found");
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Two on one open file stand for the console, which commits when a screen changes hands.
#[test]
fn a_commit_of_somebody_elses_is_waited_for_until_the_deadline() {
    let _turn = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("screen", scanout::card()) else { return };
    let Some(gpu) = Gpu::open() else { return };
    let surfaces = surfaces(&card, 2);
    let [first, second] = surfaces.as_slice() else { panic!() };
    let mut other = Scanout::open(card.clone(), Some(extent())).unwrap();
    other.show(lease(first, Access::Read), None, soon()).unwrap();
    drop(other.next(soon()).unwrap());
    let job = gpu.submit(first.pixels_fd(), Direction::WRITE);
    let (held, fence) = collect(first);
    other.show(held, fence, soon()).unwrap();

    let mut screen = Scanout::open(card, Some(extent())).unwrap();
    let error = refusal("show", screen.show(lease(second, Access::Read), None, Deadline::now()));
    assert!(error.is_timeout() && error.is_temporary(), "{error}");
    assert!(is_free(second), "the screen has not got it");
    job.end();
    screen.show(lease(second, Access::Read), None, soon()).unwrap();
    drop(screen.next(soon()).unwrap());
    drop(screen.restore(soon()).unwrap());
    drop(other.restore(soon()).unwrap());
}

/// A compositor shows buffers of clients, which come and go.
#[test]
fn a_surface_that_nobody_else_has_is_kept_no_longer_than_it_is_shown() {
    let _turn = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("screen", scanout::card()) else { return };
    let mut screen = Scanout::open(card.clone(), Some(extent())).unwrap();
    let mut round = || {
        let client = surfaces(&card, 1).remove(0);
        screen.test(&client).unwrap();
        screen.show(lease(&client, Access::Read), None, soon()).unwrap();
        drop(client);
        drop(screen.next(soon()).unwrap());
        descriptors()
    };
    let counts: Vec<usize> = std::iter::repeat_with(&mut round).take(8).collect();
    // The one on the screen, and the one before it until the next flip.
    assert!(counts.iter().skip(2).all(|count| Some(count) == counts.get(2)), "{counts:?}");
}

/// U8: what is cached has the surface's identity as its key.
#[test]
fn a_steady_stream_of_flips_makes_no_framebuffer_and_leaks_no_descriptor() {
    let _turn = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("screen", scanout::card()) else { return };
    let before = descriptors();
    let surfaces = surfaces(&card, 3);
    let mut screen = Scanout::open(card, Some(extent())).unwrap();
    let mut round = |surface| {
        let (held, fence) = collect(surface);
        screen.show(held, fence, soon()).unwrap();
        drop(screen.next(soon()).unwrap());
        descriptors()
    };
    let first: Vec<usize> = surfaces.iter().map(&mut round).collect();
    let later: Vec<usize> = surfaces.iter().cycle().take(9).map(&mut round).collect();
    assert!(later.iter().all(|count| Some(count) == first.last()), "{first:?} {later:?}");
    drop(screen);
    drop(surfaces);
    assert_eq!(descriptors(), before - 1, "the card is closed, and all that was made");
}

#[test]
fn what_a_screen_cannot_show_is_refused_with_the_reason() {
    let _turn = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("screen", scanout::card()) else { return };
    let path = card.path().to_owned();
    let error = refusal("open", Scanout::<Lease>::open(card.clone(), Some(Extent::new(641, 479).unwrap())));
    assert!(error.to_string().contains("640x480") && error.to_string().contains("641x479"), "{error}");
    let mut screen = Scanout::<Lease>::open(card, None).unwrap();
    let error = refusal("extent", screen.test(surfaces(screen.card(), 1).first().unwrap()));
    assert!(error.to_string().contains(&screen.extent().to_string()), "{error}");
    // A second open file is not the master; only root takes it, and not while there is one.
    let error = refusal("second", Scanout::<Lease>::open(Card::open(path).unwrap(), None));
    assert!(error.to_string().contains("display server"), "{error}");
    let Some(udmabuf) = udmabuf() else { return };
    let foreign = surfaces_of(udmabuf, screen.extent(), 1).remove(0);
    if screen.card().driver() == "virtio_gpu" {
        let error = refusal("udmabuf", screen.test(&foreign));
        assert!(error.errno() == Some(19) && error.to_string().contains("Dumb"), "{error}");
    }
}

/// Kept for as long as the card is open, it would keep everybody else from the screens.
#[test]
fn who_had_to_become_master_for_a_screen_is_it_no_longer_than_that() {
    let _turn = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("screen", scanout::card()) else { return };
    card.leave_screens().unwrap();
    for gives_back in [true, false] {
        let mut screen = Scanout::<Lease>::open(card.clone(), None).unwrap();
        assert!(mode::is_master(&card).unwrap());
        if gives_back {
            assert!(screen.restore(soon()).unwrap().is_empty());
        } else {
            drop(screen);
        }
        assert!(!mode::is_master(&card).unwrap());
    }
    // Opening the card was enough, and is not undone by a screen.
    drop(card);
    let card = scanout::card().unwrap();
    drop(Scanout::<Lease>::open(card.clone(), None).unwrap());
    assert!(mode::is_master(&card).unwrap());
}

#[test]
fn a_card_without_a_display_says_so() {
    let Some(card) = need("vgem", Card::of_driver("vgem")) else { return };
    let error = refusal("open", Scanout::<Lease>::open(card, None));
    assert!(error.to_string().contains("no display"), "{error}");
}
