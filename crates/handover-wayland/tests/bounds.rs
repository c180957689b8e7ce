//! What clients may cost the compositor: memory, commits that wait, questions that nobody answers, connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;
#[path = "common/raw.rs"]
mod raw;

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{Compositor, PATIENCE, SIZE, image, millis, options, picture, soon, surfaces_of};
use handover::Kind;
use handover::backend::linux::{Card, Timeline};
use handover_sys::clock::Monotonic;
use handover_sys::{memfd, poll};
use handover_wayland::server::{self, Event, Server};
use kernel::{need, udmabuf};
use raw::Raw;

/// An honest client is served, after all that.
fn still_works(compositor: &Compositor) {
    let feedback = compositor.client().feedback().clone();
    assert!(!feedback.tranches.is_empty());
}

/// R16: a point that nobody submits costs the compositor memory as long as patience lasts.
#[test]
fn commits_that_wait_are_counted() {
    let Some(card) = need("virtio_gpu", Card::of_driver("virtio_gpu")) else { return };
    let Some(backend) = udmabuf() else { return };
    let options = server::Options { timelines: Some(card.clone()), ..options() };
    let surface = surfaces_of(&backend, &options.offer, SIZE, 1).remove(0);
    let compositor = Compositor::start(options);
    let mut client = Raw::connect(&compositor);
    client.window();
    let sync = client.sync();
    let timeline = Timeline::new(&card).unwrap();
    let line = client.timeline(timeline.to_fd().unwrap());
    let buffer = client.buffer(&surface);
    for point in 1..=300 {
        sync.set_acquire_point(&line, 0, 2 * point);
        sync.set_release_point(&line, 0, 2 * point + 1);
        client.surface().attach(Some(&buffer), 0, 0);
        client.surface().commit();
    }
    let error = client.error();
    assert!(error.1 == u32::MAX && error.2.contains("descriptors"), "{error:?}");
    still_works(&compositor);
}

/// A server with shared memory, which takes copies anywhere.
fn copying() -> Compositor {
    Compositor::start(server::Options { copies: Some(std::sync::Arc::new(handover::backend::Software)), ..options() })
}

/// The stride is the client's to choose, and its file may have holes: neither makes the compositor allocate.
#[test]
fn rows_far_apart_and_frames_beyond_measure_cost_the_compositor_nothing() {
    let compositor = copying();
    let mut client = Raw::connect(&compositor);
    client.window();
    let show = |memory: &File, size: u64, (width, height): (i32, i32), stride: i32| {
        let buffer = client.pool(memory, size as i32).buffer_of(0, width, height, stride, 1);
        client.surface().attach(Some(&buffer), 0, 0);
        client.surface().commit();
        client.flush();
    };
    let stride = 200u64 << 20;
    let apart = File::from(memfd::create("apart", 8 * stride).unwrap());
    for (y, row) in (0..).zip(picture((8, 8), 3).chunks(32)) {
        apart.write_all_at(row, y * stride).unwrap();
    }
    show(&apart, 8 * stride, (8, 8), stride as i32);
    assert_eq!(image(compositor.committed().surface()), picture((8, 8), 3));
    let large = File::from(memfd::create("large", 1 << 30).unwrap());
    show(&large, 1 << 30, (16384, 16384), 0x1_0000);
    let error = compositor.refused();
    assert!(*error.kind() == Kind::Full && error.to_string().contains("16384"), "{error}");
    still_works(&compositor);
}

/// Each who asked is answered, seen or not, and what it asked with counts no longer.
#[test]
fn a_commit_that_was_overtaken_or_dropped_is_discarded_and_answered() {
    let compositor = copying();
    let mut client = Raw::connect(&compositor);
    client.window();
    let memory = memfd::create("frames", 4096).unwrap();
    let pool = client.pool(memory, 4096);
    let buffers = [0, 256, 512].map(|offset| pool.buffer_of(offset, 8, 8, 32, 1));
    client.round_trip(soon());
    compositor.stopped(|| {
        for buffer in &buffers {
            client.ask(client.surface());
            client.surface().attach(Some(buffer), 0, 0);
            client.surface().commit();
        }
        client.flush();
    });
    client.answers(3);
    assert_eq!(client.heard.presented, ["discarded", "discarded", "presented"]);
    drop(compositor.committed());
    compositor.says_nothing_for(Duration::from_millis(50));
    // A surface that goes with questions that no commit has asked.
    for round in 0..30 {
        for _ in 0..50 {
            let surface = client.bare_surface();
            client.ask(&surface);
            surface.destroy();
        }
        client.answers(3 + 50 * (round + 1));
    }
    assert!(client.heard.presented.iter().skip(3).all(|answer| *answer == "discarded"));
}

/// R16: what waits in the socket's queue must not keep the loop awake.
#[test]
fn a_connection_too_many_waits_outside_until_another_goes() {
    let path = std::env::temp_dir().join(format!("handover-door-{}", std::process::id()));
    let mut server = Server::bind_at(&path, options()).unwrap();
    let connect = || UnixStream::connect(&path).unwrap();
    let mut inside: Vec<UnixStream> = std::iter::repeat_with(connect).take(64).collect();
    assert!(server.dispatch(millis(20)).unwrap().is_empty());
    let full = server.add(UnixStream::pair().unwrap().0).unwrap_err();
    assert_eq!(*full.kind(), Kind::Full);
    let mut late = connect();
    // wl_display.sync
    let request: Vec<u8> = [1u32, 12 << 16, 2].iter().flat_map(|word| word.to_ne_bytes()).collect();
    late.write_all(&request).unwrap();
    let events = server.dispatch(soon()).unwrap();
    assert!(matches!(&events[..], [Event::Refused(error)] if *error.kind() == Kind::Full), "{events:?}");
    assert!(!poll::wait_readable(server.descriptor(), Some(Monotonic(0))).unwrap(), "it would spin");
    assert!(server.wakes_at().is_some());
    assert!(server.dispatch(millis(250)).unwrap().is_empty(), "told once");
    assert!(!poll::wait_readable(&late, Some(Monotonic(0))).unwrap());
    inside.pop();
    wait_until_served(&mut server, &late);
    assert!(server.wakes_at().is_none());
    drop((server, std::fs::remove_file(&path)));
}

fn wait_until_served(server: &mut Server, client: &UnixStream) {
    let started = std::time::Instant::now();
    while !poll::wait_readable(client, Some(Monotonic(0))).unwrap() {
        assert!(started.elapsed() < PATIENCE);
        assert!(server.dispatch(millis(20)).unwrap().is_empty());
    }
}
