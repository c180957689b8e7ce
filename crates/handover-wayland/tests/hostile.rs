//! Clients that break the protocol, or lie: they lose their connection, with the error that the protocol names, and nobody else
//! notices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;
#[path = "common/raw.rs"]
mod raw;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use common::{Compositor, PATIENCE, SIZE, draw, image, options, picture, soon, surfaces_of, wait_until};
use handover::backend::linux::{Card, Timeline};
use handover::{Backend as _, Kind, Surface};
use handover_sys::memfd;
use handover_wayland::server;
use kernel::{need, raw_udmabuf, udmabuf};
use raw::Raw;
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_buffer_params_v1::Flags;

const XR24: u32 = 0x3432_5258;

/// An honest client is served, after all that.
fn still_works(compositor: &Compositor) {
    let feedback = compositor.client().feedback().clone();
    assert!(!feedback.tranches.is_empty());
}

/// A dma-buf of so many bytes, or a skip.
fn dma_buf(size: u64) -> Option<OwnedFd> {
    udmabuf().map(|_| raw_udmabuf(size, b"pixels"))
}

#[test]
fn bytes_that_are_no_request_end_their_sender_alone() {
    let compositor = Compositor::start(options());
    let honest = compositor.window(None);
    let mut noise = 0x2545_f491_4f6c_dd1du64;
    for length in [1usize, 7, 8, 12, 64, 4096, 60_000] {
        let mut stream = compositor.connect();
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        })
        .take(length)
        .collect();
        // It may be disconnected in the middle.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
    still_works(&compositor);
    drop(honest);
}

#[test]
fn planes_that_leave_their_memory_are_out_of_bounds() {
    let Some(_) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    for (offset, stride) in [(4096, 256), (0, 4096), (u32::MAX, 256), (0, u32::MAX), (1, 256)] {
        let mut client = Raw::connect(&compositor);
        let params = client.params();
        params.add(dma_buf(64 * 64 * 4).unwrap().as_fd(), 0, offset, stride, 0, 0);
        client.create_immed(&params, (64, 64), XR24, Flags::empty());
        let error = client.error();
        assert_eq!((error.0.as_str(), error.1), ("zwp_linux_buffer_params_v1", 6), "{offset} {stride}: {error:?}");
    }
    still_works(&compositor);
}

#[test]
fn what_a_buffer_cannot_be_made_of_is_named() {
    let compositor = Compositor::start(options());
    // None of these has memory that is looked at.
    let file = || OwnedFd::from(File::open("/dev/null").unwrap());
    let refused = |what: &str, code: u32, act: &dyn Fn(&mut Raw)| {
        let mut client = Raw::connect(&compositor);
        act(&mut client);
        let error = client.error();
        assert_eq!((error.0.as_str(), error.1), ("zwp_linux_buffer_params_v1", code), "{what}: {error:?}");
    };
    refused("plane_idx", 1, &|client| client.params().add(file().as_fd(), 4, 0, 256, 0, 0));
    refused("plane_set", 2, &|client| {
        let params = client.params();
        params.add(file().as_fd(), 0, 0, 256, 0, 0);
        params.add(file().as_fd(), 0, 0, 256, 0, 0);
    });
    refused("incomplete: none", 3, &|client| {
        let params = client.params();
        client.create_immed(&params, (64, 64), XR24, Flags::empty());
    });
    refused("incomplete: not from 0 on", 3, &|client| {
        let params = client.params();
        params.add(file().as_fd(), 1, 0, 256, 0, 0);
        client.create_immed(&params, (64, 64), XR24, Flags::empty());
    });
    refused("incomplete: one too many", 3, &|client| {
        let params = client.params();
        params.add(file().as_fd(), 0, 0, 256, 0, 0);
        params.add(file().as_fd(), 1, 0, 256, 0, 0);
        client.create_immed(&params, (64, 64), XR24, Flags::empty());
    });
    refused("invalid_format: unknown", 4, &|client| {
        let params = client.params();
        params.add(file().as_fd(), 0, 0, 256, 0, 0);
        client.create_immed(&params, (64, 64), 0x1234_5678, Flags::empty());
    });
    refused("invalid_format: a modifier that was not offered", 4, &|client| {
        let params = client.params();
        params.add(file().as_fd(), 0, 0, 256, 0x0100_0000, 1);
        client.create_immed(&params, (64, 64), XR24, Flags::empty());
    });
    refused("invalid_format: modifiers that differ", 4, &|client| {
        let params = client.params();
        params.add(file().as_fd(), 0, 0, 256, 0, 0);
        params.add(file().as_fd(), 1, 0, 256, 0, 1);
        client.create_immed(&params, (64, 64), XR24, Flags::empty());
    });
    for size in [(0, 64), (64, 0), (-1, 64), (64, i32::MIN)] {
        refused("invalid_dimensions", 5, &|client| {
            let params = client.params();
            params.add(file().as_fd(), 0, 0, 256, 0, 0);
            client.create_immed(&params, size, XR24, Flags::empty());
        });
    }
    refused("already_used", 0, &|client| {
        let params = client.params();
        params.add(file().as_fd(), 0, 0, 256, 0, 0);
        params.create(64, 64, XR24, Flags::empty());
        params.create(64, 64, XR24, Flags::empty());
    });
    // The first `create` of the last one, whose file is none of use.
    let error = compositor.refused();
    assert!(error.to_string().contains("/dev/null"), "{error}");
    still_works(&compositor);
}

#[test]
fn a_descriptor_that_is_no_dma_buf_is_refused_without_being_touched() {
    let compositor = Compositor::start(options());
    let (pipe, _write) = std::io::pipe().unwrap();
    let memory = memfd::create("not a dma-buf", 1 << 20).unwrap();
    for file in [OwnedFd::from(pipe), memory, OwnedFd::from(File::open("/dev/zero").unwrap())] {
        // With an answer, the client lives.
        let mut client = Raw::connect(&compositor);
        let params = client.params();
        params.add(file.as_fd(), 0, 0, 256, 0, 0);
        params.create(64, 64, XR24, Flags::empty());
        assert!(client.answer().is_none(), "it failed");
        assert!(compositor.refused().to_string().contains("dma-bufs"));
        // Without one, it does not.
        let params = client.params();
        params.add(file.as_fd(), 0, 0, 256, 0, 0);
        client.create_immed(&params, (64, 64), XR24, Flags::empty());
        let error = client.error();
        assert_eq!((error.0.as_str(), error.1), ("zwp_linux_buffer_params_v1", 7), "{error:?}");
        compositor.refused();
    }
    still_works(&compositor);
}

#[test]
fn what_we_cannot_show_is_answered_and_told_to_the_caller() {
    let Some(_) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut client = Raw::connect(&compositor);
    for (what, size, flags, stride) in [
        ("flags", (64, 64), Flags::YInvert, 256),
        ("stride", (64, 16), Flags::empty(), 255),
        ("too short a row", (64, 64), Flags::empty(), 4),
        ("too large", (20_000, 1), Flags::empty(), 80_000),
    ] {
        let params = client.params();
        params.add(dma_buf(1 << 20).unwrap().as_fd(), 0, 0, stride, 0, 0);
        params.create(size.0, size.1, XR24, flags);
        assert!(client.answer().is_none(), "{what}");
        let error = compositor.refused();
        assert!(matches!(error.kind(), Kind::Unsupported | Kind::Malformed | Kind::Invalid), "{what}: {error}");
    }
    // And then one that is right.
    let params = client.params();
    params.add(dma_buf(1 << 20).unwrap().as_fd(), 0, 0, 256, 0, 0);
    params.create(64, 64, XR24, Flags::empty());
    assert!(client.answer().is_some());
}

fn explicit() -> Option<(Compositor, Card, Surface)> {
    let card = need("virtio_gpu", Card::of_driver("virtio_gpu"))?;
    card.leave_screens().unwrap();
    let backend = udmabuf()?;
    let options = server::Options { timelines: Some(card.clone()), patience: Duration::from_millis(300), ..options() };
    let surface = surfaces_of(&backend, &options.offer, SIZE, 1).remove(0);
    Some((Compositor::start(options), card, surface))
}

#[test]
fn each_error_of_explicit_synchronisation_is_the_protocols() {
    let Some((compositor, card, surface)) = explicit() else { return };
    const SURFACE: &str = "wp_linux_drm_syncobj_surface_v1";
    const MANAGER: &str = "wp_linux_drm_syncobj_manager_v1";
    let refused = |what: &str, interface: &str, code: u32, act: &dyn Fn(&mut Raw)| {
        let mut client = Raw::connect(&compositor);
        client.window();
        act(&mut client);
        let error = client.error();
        assert_eq!((error.0.as_str(), error.1), (interface, code), "{what}: {error:?}");
    };
    let timeline = || Timeline::new(&card).unwrap();
    refused("surface_exists", MANAGER, 0, &|client| {
        client.sync();
        client.sync();
    });
    refused("invalid_timeline", MANAGER, 1, &|client| drop(client.timeline(File::open("/dev/null").unwrap())));
    refused("no_surface", SURFACE, 1, &|client| {
        let sync = client.sync();
        let line = client.timeline(timeline().to_fd().unwrap());
        client.destroy_window();
        sync.set_acquire_point(&line, 0, 1);
    });
    refused("no_buffer", SURFACE, 3, &|client| {
        let sync = client.sync();
        let line = client.timeline(timeline().to_fd().unwrap());
        sync.set_acquire_point(&line, 0, 1);
        client.surface().commit();
    });
    refused("no_acquire_point", SURFACE, 4, &|client| {
        client.sync();
        let buffer = client.buffer(&surface);
        client.surface().attach(Some(&buffer), 0, 0);
        client.surface().commit();
    });
    refused("no_release_point", SURFACE, 5, &|client| {
        let sync = client.sync();
        let line = client.timeline(timeline().to_fd().unwrap());
        let buffer = client.buffer(&surface);
        sync.set_acquire_point(&line, 0, 1);
        client.surface().attach(Some(&buffer), 0, 0);
        client.surface().commit();
    });
    for (acquire, release) in [(2, 2), (3, 2)] {
        refused("conflicting_points", SURFACE, 6, &|client| {
            let sync = client.sync();
            let line = client.timeline(timeline().to_fd().unwrap());
            let buffer = client.buffer(&surface);
            sync.set_acquire_point(&line, 0, acquire);
            sync.set_release_point(&line, 0, release);
            client.surface().attach(Some(&buffer), 0, 0);
            client.surface().commit();
        });
    }
    still_works(&compositor);
}

/// U7: it costs that client a frame, and nobody else anything.
#[test]
fn a_point_that_nobody_submits_holds_up_its_own_window_and_not_for_long() {
    let Some((compositor, card, surface)) = explicit() else { return };
    draw(&surface, 1);
    let mut client = Raw::connect(&compositor);
    client.window();
    let sync = client.sync();
    let (acquire, release) = (Timeline::new(&card).unwrap(), Timeline::new(&card).unwrap());
    let (a, r) = (client.timeline(acquire.to_fd().unwrap()), client.timeline(release.to_fd().unwrap()));
    let buffer = client.buffer(&surface);
    let commit = |point: u32| {
        sync.set_acquire_point(&a, 0, point);
        sync.set_release_point(&r, 0, point);
        client.surface().attach(Some(&buffer), 0, 0);
        client.surface().commit();
        client.flush();
    };
    commit(1);
    still_works(&compositor);
    let error = compositor.refused();
    assert!(error.is_timeout() && error.to_string().contains("point 1"), "{error}");
    // The buffer is the client's again.
    wait_until("the release point is signalled", || release.completed().unwrap() == 1);
    // The window goes on, and a point may be submitted after its commit.
    commit(2);
    compositor.says_nothing_for(Duration::from_millis(100));
    acquire.signal(2).unwrap();
    let committed = compositor.committed();
    assert_eq!(image(committed.surface()), picture(SIZE, 1));
    assert_eq!(release.completed().unwrap(), 1);
    drop(committed);
    wait_until("the second release", || release.completed().unwrap() == 2);
    // One that names point 0 waits for nothing, and gets nothing.
    commit(0);
    drop(compositor.committed());
    still_works(&compositor);
}

/// R16: what one client can make is bounded.
#[test]
fn a_client_that_makes_objects_without_end_is_disconnected() {
    let compositor = Compositor::start(options());
    let mut client = Raw::connect(&compositor);
    // Answered each time: what it has sent and nobody read would take the error away with it.
    let made = (0..2000).take_while(|_| {
        client.params();
        client.try_round_trip(soon()).is_ok()
    });
    assert!(made.count() < 2000);
    let error = client.error();
    assert!(error.1 == u32::MAX && error.2.contains("objects"), "{error:?}");
    still_works(&compositor);
    // One that gives back what it made may go on.
    let mut client = Raw::connect(&compositor);
    for _ in 0..30 {
        (0..100).for_each(|_| client.params().destroy());
        client.round_trip(soon());
    }
}

#[test]
fn a_shared_memory_client_that_lies_about_its_memory_is_told_so() {
    let options = server::Options { copies: Some(std::sync::Arc::new(handover::backend::Software)), ..options() };
    assert_eq!(handover::backend::Software.name(), "software");
    let compositor = Compositor::start(options);
    let memory = |size| memfd::create("pool", size).unwrap();
    let refused = |what: &str, code: u32, act: &dyn Fn(&mut Raw)| {
        let mut client = Raw::connect(&compositor);
        act(&mut client);
        assert_eq!(client.error().1, code, "{what}");
    };
    let (pipe, _write) = std::io::pipe().unwrap();
    refused("a pipe", 2, &|client| drop(client.pool(&pipe, 4096)));
    refused("no size", 1, &|client| drop(client.pool(memory(4096), 0)));
    refused("a buffer outside", 1, &|client| client.pool(memory(4096), 4096).buffer(0, 64, 64, 256));
    refused("a negative offset", 1, &|client| client.pool(memory(4096), 4096).buffer(-4, 8, 8, 32));
    refused("rows that overlap", 1, &|client| client.pool(memory(4096), 4096).buffer(0, 64, 4, 16));
    refused("an unknown format", 0, &|client| drop(client.pool(memory(4096), 4096).buffer_of(0, 8, 8, 32, 0x1234)));
    // The file is shorter than the pool says: a frame that cannot be read, and no more.
    let mut client = Raw::connect(&compositor);
    client.window();
    let pool = client.pool(memory(16), 4096);
    let buffer = pool.buffer_of(0, 8, 8, 32, 1);
    client.surface().attach(Some(&buffer), 0, 0);
    client.surface().commit();
    client.flush();
    let error = compositor.refused();
    assert_eq!(*error.kind(), Kind::Truncated, "{error}");
    // And one that is whole arrives as a copy.
    let whole = memory(4096);
    File::from(whole.try_clone().unwrap()).write_all(&picture((8, 8), 5)).unwrap();
    let pool = client.pool(whole, 4096);
    let buffer = pool.buffer_of(0, 8, 8, 32, 1);
    client.surface().attach(Some(&buffer), 0, 0);
    client.surface().commit();
    client.flush();
    let committed = compositor.committed();
    assert!(committed.is_copy());
    assert_eq!(image(committed.surface()), picture((8, 8), 5));
}
