//! A screen that shows surfaces: commits that wait for fences of others, and leases that end when a flip is done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/kernel.rs"]
mod kernel;

use std::sync::{Arc, Mutex, PoisonError};

use common::{lease, millis, refusal, soon};
use handover::backend::linux::scanout::{self, Scanout};
use handover::backend::linux::{Card, Dumb, SyncFile};
use handover::{Access, Backend, Device, Extent, Format, Lease, Options, Region, Surface, SurfaceUsages};
use handover::{acquire, allocate, negotiate, try_acquire};
use handover_sys::dma_buf::Direction;
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

#[test]
fn a_flip_waits_for_the_fence_of_the_buffer_and_the_surface_before_it_is_held_until_then() {
    let _turn = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("screen", scanout::card()) else { return };
    let Some(gpu) = Gpu::open() else { return };
    let surfaces = surfaces(&card, 2);
    let [first, second] = surfaces.as_slice() else { panic!() };
    let mut screen = Scanout::open(card, Some(extent())).unwrap();
    screen.test(first).unwrap();

    let (held, fence) = collect(first);
    assert!(fence.is_none());
    screen.show(held, fence).unwrap();
    assert!(screen.next(soon()).unwrap().is_none(), "nothing was there before");
    assert!(!is_free(first), "the screen reads it");

    let job = gpu.submit(second.pixels_fd(), Direction::WRITE);
    let (held, fence) = collect(second);
    screen.show(held, Some(fence.expect("the job's fence"))).unwrap();
    let error = refusal("next", screen.next(millis(300)));
    assert!(error.is_timeout(), "the flip is done before the job: {error}");
    let (third, _) = (lease(first, Access::Read), ());
    assert!(refusal("show", screen.show(third, None)).to_string().contains("on its way"));
    assert!(!is_free(first) && screen.showing().is_some());
    job.end();
    drop(screen.next(soon()).unwrap().expect("what was shown before"));
    assert!(is_free(first) && !is_free(second));
    drop(screen.restore().unwrap());
    assert!(is_free(second));
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
        screen.show(held, fence).unwrap();
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

#[test]
fn a_card_without_a_display_says_so() {
    let Some(card) = need("vgem", Card::of_driver("vgem")) else { return };
    let error = refusal("open", Scanout::<Lease>::open(card, None));
    assert!(error.to_string().contains("no display"), "{error}");
}
