//! No descriptor is left behind. They are counted for the whole process, so these tests have a program of their own and take turns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;
#[path = "common/raw.rs"]
mod raw;

use std::sync::{Mutex, PoisonError};

use common::{Compositor, SIZE, offer, options, returned, show, soon, surfaces, surfaces_of, wait_until};
use handover::backend::linux::{Card, Timeline};
use handover::{Format, Modifier};
use handover_sys::clock::Monotonic;
use handover_sys::{file, poll};
use handover_wayland::server;
use kernel::{need, udmabuf};
use raw::Raw;

static TURN: Mutex<()> = Mutex::new(());

/// U1: neither a frame nor a point costs a descriptor that stays.
fn steady(card: Option<Card>) {
    let Some(backend) = udmabuf() else { return };
    let before = file::open_count().unwrap();
    let compositor = Compositor::start(server::Options { timelines: card.clone(), ..options() });
    let mut window = compositor.window(card.clone());
    assert_eq!(window.why_implicit().is_none(), card.is_some());
    let surfaces = surfaces(&backend, &window, 3);
    let mut round = |surface| {
        show(&mut window, surface, 0);
        drop(compositor.committed());
        returned(&mut window);
        file::open_count().unwrap()
    };
    let first = surfaces.iter().cycle().take(6).map(&mut round).max();
    let later: Vec<usize> = surfaces.iter().cycle().take(30).map(&mut round).collect();
    // One more for a moment: what the compositor still closes while we count.
    assert!(later.iter().max() <= first.map(|most| most + 1).as_ref(), "{first:?} {later:?}");
    drop(window);
    drop(compositor);
    drop((surfaces, backend));
    wait_until("all of it is closed", || file::open_count().unwrap() <= before);
}

#[test]
fn a_steady_stream_makes_no_descriptor() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    steady(None);
}

#[test]
fn a_steady_stream_of_points_makes_no_descriptor() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("virtio_gpu", Card::of_driver("virtio_gpu")) else { return };
    steady(Some(card));
}

/// The wait for a point ends with its window, whoever submits the point later.
#[test]
fn a_window_that_goes_takes_its_wait_along() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(card) = need("virtio_gpu", Card::of_driver("virtio_gpu")) else { return };
    let Some(backend) = udmabuf() else { return };
    let patience = std::time::Duration::from_secs(600);
    let options = server::Options { timelines: Some(card.clone()), patience, ..options() };
    let surface = surfaces_of(&backend, &options.offer, SIZE, 1).remove(0);
    let compositor = Compositor::start(options);
    let mut client = Raw::connect(&compositor);
    let (acquire, release) = (Timeline::new(&card).unwrap(), Timeline::new(&card).unwrap());
    let (a, r) = (client.timeline(acquire.to_fd().unwrap()), client.timeline(release.to_fd().unwrap()));
    let buffer = client.buffer(&surface);
    let mut round = |point| {
        client.window();
        let sync = client.sync();
        sync.set_acquire_point(&a, 0, point);
        sync.set_release_point(&r, 0, point);
        client.surface().attach(Some(&buffer), 0, 0);
        client.surface().commit();
        client.round_trip(soon());
        client.destroy_window();
        sync.destroy();
        client.round_trip(soon());
        wait_until("the buffer is the client's", || release.completed().unwrap() >= point.into());
        file::open_count().unwrap()
    };
    let counts: Vec<usize> = (1..=40).map(&mut round).collect();
    let (early, late) = counts.split_at(10);
    assert!(late.iter().max() <= early.iter().max().map(|most| most + 1).as_ref(), "{counts:?}");
    acquire.signal(40).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    compositor.tell(move |server| tell.send(poll::wait_readable(server.descriptor(), Some(Monotonic(0)))).unwrap());
    assert!(!told.recv().unwrap().unwrap(), "it would spin");
}

#[test]
fn what_a_new_agreement_replaces_is_closed() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let mut round = |format| {
        compositor.tell(move |server| server.set_offer(offer(&[(format, Modifier::LINEAR)])).unwrap());
        while window.feedback().offer("compositor").entries.first().and_then(|entry| entry.format) != Some(format) {
            window.next(common::soon()).unwrap();
        }
        window.renegotiate();
        for surface in surfaces(&backend, &window, 3) {
            show(&mut window, &surface, 0);
            drop(compositor.committed());
            returned(&mut window);
        }
        file::open_count().unwrap()
    };
    let counts: Vec<usize> =
        [Format::ARGB8888, Format::XRGB8888].into_iter().cycle().take(12).map(&mut round).collect();
    let (early, late) = counts.split_at(4);
    assert!(late.iter().max() <= early.iter().max().map(|most| most + 3).as_ref(), "{counts:?}");
}
