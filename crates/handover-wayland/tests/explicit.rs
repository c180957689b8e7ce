//! Explicit synchronisation between our two ends: points, fences behind them, and releases in any order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;

use std::time::Duration;

use common::{
    Compositor, SIZE, draw, ends_with_its_compositor, image, is_free, millis, options, picture, read_lease, refusal,
    returned, show, soon, surfaces,
};
use handover::backend::linux::{Card, SyncFile};
use handover::{Access, Deadline, Region, Surface, acquire};
use handover_wayland::client;
use handover_wayland::server;
use kernel::{Gpu, need, skip, udmabuf};

/// A node whose driver keeps timelines.
fn card() -> Option<Card> {
    let card = need("virtio_gpu", Card::of_driver("virtio_gpu"))?;
    card.leave_screens().unwrap();
    match handover::backend::linux::Timeline::new(&card) {
        Ok(_) => Some(card),
        Err(error) => {
            skip("timelines", &error.to_string());
            None
        }
    }
}

fn with_timelines(card: &Card) -> server::Options {
    server::Options { timelines: Some(card.clone()), ..options() }
}

/// A second open file, as another process would have.
fn own(card: &Card) -> Option<Card> {
    let own = Card::open(card.path()).unwrap();
    own.leave_screens().unwrap();
    Some(own)
}

fn collect(surface: &Surface, deadline: Deadline) -> (handover::Lease, Option<SyncFile>) {
    acquire(&[(surface, Access::Read, Region::WHOLE)], deadline).unwrap().collect().unwrap()
}

#[test]
fn it_is_used_where_both_sides_can_and_the_reason_is_told_where_not() {
    let Some(card) = card() else { return };
    let compositor = Compositor::start(with_timelines(&card));
    assert!(compositor.client().has_explicit_sync());
    assert_eq!(compositor.window(own(&card)).why_implicit(), None);
    assert!(compositor.window(None).why_implicit().unwrap().contains("no card"));
    let Some(gpu) = Gpu::open() else { return };
    let window = compositor.window(Some(gpu.0.clone()));
    assert!(window.why_implicit().unwrap().contains("vgem"), "{:?}", window.why_implicit());
}

#[test]
fn frames_arrive_equal_and_come_back_by_their_points() {
    let (Some(card), Some(backend)) = (card(), udmabuf()) else { return };
    let compositor = Compositor::start(with_timelines(&card));
    let mut window = compositor.window(own(&card));
    let surfaces = surfaces(&backend, &window, 3);
    for (frame, surface) in (0..9).zip(surfaces.iter().cycle()) {
        show(&mut window, surface, frame);
        let committed = compositor.committed();
        assert!(!is_free(surface));
        assert_eq!(image(committed.surface()), picture(SIZE, frame));
        drop(committed);
        assert_eq!(returned(&mut window).id(), surface.id());
        assert!(is_free(surface));
    }
}

/// R13: one timeline a buffer, so that a release says nothing of an earlier commit.
#[test]
fn surfaces_come_back_in_the_order_of_their_release_and_not_of_their_commit() {
    let (Some(card), Some(backend)) = (card(), udmabuf()) else { return };
    let compositor = Compositor::start(with_timelines(&card));
    let mut window = compositor.window(own(&card));
    let surfaces = surfaces(&backend, &window, 3);
    for round in 0..3 {
        let mut held = Vec::new();
        for surface in &surfaces {
            show(&mut window, surface, round);
            held.push(Some(compositor.committed()));
        }
        for index in [2, 0, 1] {
            held[index].take().unwrap().release();
            assert_eq!(returned(&mut window).id(), surfaces[index].id());
            let out = surfaces.iter().filter(|surface| !is_free(surface)).count();
            assert_eq!(out, held.iter().flatten().count());
        }
    }
}

/// A point is submitted with the fence of the work that draws; the commit is passed on at once, and its reader waits.
#[test]
fn the_fence_of_the_work_that_draws_goes_along_and_so_does_the_readers() {
    let (Some(card), Some(backend), Some(gpu)) = (card(), udmabuf(), Gpu::open()) else { return };
    let compositor = Compositor::start(with_timelines(&card));
    let mut window = compositor.window(own(&card));
    let (surfaces, scratch) = (surfaces(&backend, &window, 1), kernel::surface(&backend));
    let surface = &surfaces[0];
    draw(surface, 1);
    // A fence that the buffer's own reservation knows nothing of, as a driver without implicit synchronisation leaves it (U4).
    let (job, fence) = gpu.job(&scratch);
    let (lease, none) = collect(surface, soon());
    assert!(none.is_none());
    window.show(lease, Some(fence), soon()).unwrap();
    let committed = compositor.committed();
    let theirs = committed.surface().clone();
    let early = acquire(&[(&theirs, Access::Read, Region::WHOLE)], millis(200)).unwrap().wait();
    assert!(refusal("read", early).is_timeout(), "the job still draws");
    job.end();
    assert_eq!(image(&theirs), picture(SIZE, 1));

    // Released while a device still reads: it comes back at once, and the next writer waits for that device.
    let (job, fence) = gpu.job(&scratch);
    committed.release_after(&fence).unwrap();
    assert_eq!(returned(&mut window).id(), surface.id());
    let early = acquire(&[(surface, Access::Write, Region::WHOLE)], millis(200)).unwrap().wait();
    assert!(refusal("write", early).is_timeout(), "the reader's job still runs");
    job.end();
    draw(surface, 2);
}

#[test]
fn a_frame_that_another_overtook_has_its_point_signalled() {
    let (Some(card), Some(backend)) = (card(), udmabuf()) else { return };
    let compositor = Compositor::start(with_timelines(&card));
    let mut window = compositor.window(own(&card));
    let surfaces = surfaces(&backend, &window, 3);
    for surface in &surfaces {
        show(&mut window, surface, 0);
        drop(compositor.committed());
        returned(&mut window);
    }
    compositor.stopped(|| {
        for (frame, surface) in (1..).zip(&surfaces) {
            show(&mut window, surface, frame);
        }
    });
    let committed = compositor.committed();
    assert_eq!(image(committed.surface()), picture(SIZE, 3));
    let back = [returned(&mut window).id(), returned(&mut window).id()];
    assert!(surfaces[..2].iter().all(|surface| back.contains(&surface.id())));
    assert!(!is_free(&surfaces[2]));
    drop(committed);
    assert_eq!(returned(&mut window).id(), surfaces[2].id());
}

#[test]
fn a_compositor_that_dies_gives_everything_back_though_no_point_is_ever_signalled() {
    let (Some(card), Some(backend)) = (card(), udmabuf()) else { return };
    let compositor = Compositor::start(with_timelines(&card));
    let mut window = compositor.window(own(&card));
    let surfaces = surfaces(&backend, &window, 2);
    for surface in &surfaces {
        show(&mut window, surface, 1);
        // Killed, it signals nothing.
        std::mem::forget(compositor.committed());
    }
    drop(compositor);
    ends_with_its_compositor(&mut window);
    assert_eq!(window.take_held().len(), 2);
    assert!(surfaces.iter().all(is_free));
}

#[test]
fn a_window_goes_with_its_points_in_order() {
    let (Some(card), Some(backend)) = (card(), udmabuf()) else { return };
    let compositor = Compositor::start(with_timelines(&card));
    let mut window = compositor.window(own(&card));
    let surface = &surfaces(&backend, &window, 1)[0];
    show(&mut window, surface, 1);
    let committed = compositor.committed();
    let closing = std::thread::spawn(move || window.close(soon()).unwrap().len());
    assert!(matches!(compositor.event(), server::Event::Gone(_)));
    drop(committed);
    assert_eq!(closing.join().unwrap(), 1);
    // Another connection works as before: nothing of the above was an error.
    let mut window = compositor.window(own(&card));
    show(&mut window, surface, 2);
    drop(compositor.committed());
    assert_eq!(returned(&mut window).id(), surface.id());
}

/// Whoever waits in a poll loop is woken by a release point, and is not woken again and again.
#[test]
fn the_descriptor_of_a_window_is_readable_when_a_point_comes_and_quiet_after() {
    let (Some(card), Some(backend)) = (card(), udmabuf()) else { return };
    let compositor = Compositor::start(with_timelines(&card));
    let mut window = compositor.window(own(&card));
    let surface = &surfaces(&backend, &window, 1)[0];
    let is_readable = |window: &client::Window<handover::Lease>, wait: u64| {
        handover_sys::poll::wait_readable(window.descriptor(), millis(wait).at()).unwrap()
    };
    for frame in 0..3 {
        show(&mut window, surface, frame);
        let committed = compositor.committed();
        while window.next(millis(100)).unwrap().is_some() {}
        assert!(!is_readable(&window, 0));
        drop(committed);
        assert!(is_readable(&window, 20_000));
        returned(&mut window);
        while window.next(millis(100)).unwrap().is_some() {}
        assert!(!is_readable(&window, 100));
    }
    let _lease = read_lease(surface);
    compositor.says_nothing_for(Duration::from_millis(20));
}
