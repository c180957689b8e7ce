//! Our client on our compositor: what is shown arrives, what is held comes back, and either may die.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;

use std::time::Duration;

use common::{
    Compositor, DEVICE, PATIENCE, SIZE, draw, ends_with_its_compositor, image, is_free, millis, offer, options,
    picture, read_lease, refusal, returned, show, soon, surfaces,
};
use handover::negotiate::OfferEntry;
use handover::{Access, Block, Format, Kind, Metadata, Modifier, Region, SurfaceUsages, Word, acquire, import};
use handover_sys::dma_buf::Direction;
use handover_wayland::client::{self, Client};
use handover_wayland::server::{self, Event};
use kernel::{Gpu, backends, udmabuf};

#[test]
fn feedback_arrives_as_it_was_offered() {
    let tiled = Modifier(0x0100_0000_0000_0002);
    let mut offer =
        offer(&[(Format::XRGB8888, tiled), (Format::NV12, Modifier::LINEAR), (Format::XRGB8888, Modifier::LINEAR)]);
    offer.entries[2].usages = SurfaceUsages::SCANOUT;
    let compositor = Compositor::start(server::Options { offer, ..options() });
    let feedback = compositor.client().feedback().clone();
    assert_eq!(feedback.main_device, Some(DEVICE));
    let [scanout, rest] = feedback.tranches.as_slice() else { panic!("{feedback:?}") };
    assert_eq!((scanout.scanout, rest.scanout, rest.target_device), (true, false, Some(DEVICE)));
    let entries: Vec<_> =
        feedback.offer("compositor").entries.iter().map(OfferEntry::candidate).map(|c| c.to_string()).collect();
    assert_eq!(entries, ["XRGB8888 LINEAR", "XRGB8888 INTEL Y_TILED", "NV12 LINEAR"]);
    assert!(feedback.left_out().is_empty());
}

#[test]
fn frames_arrive_equal_from_every_source_and_come_back_as_they_are_released() {
    for backend in backends() {
        let compositor = Compositor::start(options());
        let mut window = compositor.window(None);
        assert!(window.why_implicit().unwrap().contains("linux-drm-syncobj"), "{:?}", window.why_implicit());
        let surfaces = surfaces(&backend, &window, 3);
        let mut identities = Vec::new();
        for (round, surface) in surfaces.iter().cycle().take(9).enumerate() {
            let frame = u32::try_from(round).unwrap();
            show(&mut window, surface, frame);
            let committed = compositor.committed();
            assert_eq!((committed.title(), committed.app_id()), ("a test", "handover.test"));
            assert!(!committed.is_copy() && !is_free(surface), "the compositor has it");
            assert_eq!(image(committed.surface()), picture(SIZE, frame), "{}", backend.name());
            assert_eq!(committed.surface().id().memory, surface.id().memory);
            identities.push(committed.surface().id());
            drop(committed);
            assert_eq!(returned(&mut window).id(), surface.id());
            assert!(is_free(surface));
        }
        // Imported once a buffer: the compositor's surface is the same each time.
        assert_eq!(identities[..3], identities[3..6]);
        assert_eq!(window.shown(), 0);
    }
}

#[test]
fn surfaces_come_back_in_the_order_of_their_release_and_not_of_their_commit() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let surfaces = surfaces(&backend, &window, 3);
    let mut held = Vec::new();
    for surface in &surfaces {
        show(&mut window, surface, 0);
        held.push(Some(compositor.committed()));
    }
    let error = refusal("show", window.show(read_lease(&surfaces[0]), None, soon()));
    assert!(error.to_string().contains("has it already"), "{error}");
    for index in [2, 0, 1] {
        held[index].take().unwrap().release();
        assert_eq!(returned(&mut window).id(), surfaces[index].id());
        assert!(is_free(&surfaces[index]));
    }
}

#[test]
fn a_frame_that_another_overtook_is_returned_unseen() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let surfaces = surfaces(&backend, &window, 3);
    for surface in &surfaces {
        // Its buffer is made once, which the compositor has to answer.
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
    assert_eq!(returned(&mut window).id(), surfaces[0].id());
    assert_eq!(returned(&mut window).id(), surfaces[1].id());
    assert!(!is_free(&surfaces[2]));
    drop(committed);
    assert_eq!(returned(&mut window).id(), surfaces[2].id());
}

/// U9: the reservation of the kernel says that a device still draws, at both ends.
#[test]
fn a_device_that_still_draws_is_waited_for_by_who_reads_and_nobody_else() {
    let (Some(backend), Some(gpu)) = (udmabuf(), Gpu::open()) else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let surface = &surfaces(&backend, &window, 1)[0];
    draw(surface, 1);
    let job = gpu.submit(surface.pixels_fd(), Direction::WRITE);
    let (lease, fence) = acquire(&[(surface, Access::Read, Region::WHOLE)], soon()).unwrap().collect().unwrap();
    assert!(fence.is_some());
    window.show(lease, fence, soon()).unwrap();
    let committed = compositor.committed();
    let theirs = committed.surface().clone();
    let early = acquire(&[(&theirs, Access::Read, Region::WHOLE)], millis(200)).unwrap().wait();
    assert!(refusal("read", early).is_timeout());
    job.end();
    assert_eq!(image(&theirs), picture(SIZE, 1));
    // And a reader's fence holds up the next writer.
    let job = gpu.submit(theirs.pixels_fd(), Direction::READ);
    drop(committed);
    assert_eq!(returned(&mut window).id(), surface.id());
    let early = acquire(&[(surface, Access::Write, Region::WHOLE)], millis(200)).unwrap().wait();
    assert!(refusal("write", early).is_timeout());
    job.end();
    draw(surface, 2);
}

/// The caller may pass the surface on and forget the commit: the client still gets it back only when its peers are done.
#[test]
fn a_commit_that_is_dropped_waits_for_the_peers_who_read_its_surface() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(server::Options { patience: PATIENCE, ..options() });
    let mut window = compositor.window(None);
    let surface = &surfaces(&backend, &window, 1)[0];
    show(&mut window, surface, 1);
    let committed = compositor.committed();
    let reader = read_lease(committed.surface());
    drop(committed);
    while let Some(event) = window.next(millis(100)).unwrap() {
        assert!(!matches!(event, client::Event::Returned(_)), "while a peer reads it");
    }
    drop(reader);
    assert_eq!(returned(&mut window).id(), surface.id());
}

#[test]
fn the_compositor_says_when_to_draw_and_when_it_was_seen() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let surface = &surfaces(&backend, &window, 1)[0];
    show(&mut window, surface, 1);
    let _committed = compositor.committed();
    let (mut frames, mut presented) = (0, None);
    while frames == 0 || presented.is_none() {
        match window.next(soon()).unwrap().unwrap() {
            client::Event::Frame => frames += 1,
            client::Event::Presented(at) => presented = Some(at),
            client::Event::Configured(wish) => assert_eq!(wish, None),
            other => panic!("{other:?}"),
        }
    }
    let presented = presented.unwrap();
    let now = handover::Monotonic::now().0;
    assert!(
        presented.clock == 1 && presented.at <= now && now - presented.at < PATIENCE.as_nanos() as u64,
        "{presented:?}"
    );
    assert_eq!(presented.refresh, 16_666_667);
}

/// What was read and not run, nobody is woken for.
#[test]
fn a_stream_at_the_pace_of_the_compositor_never_stalls() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(server::Options { refresh: Duration::from_millis(2), ..options() });
    let mut window = compositor.window(None);
    let mut free = surfaces(&backend, &window, 3);
    let (mut frame, mut is_due) = (0, true);
    while frame < 300 {
        if is_due && let Some(surface) = free.pop() {
            show(&mut window, &surface, frame);
            (frame, is_due) = (frame + 1, false);
        }
        while compositor.event_within(Duration::ZERO).is_some() {}
        // Far less than patience: a stall ends with the deadline.
        match window.next(millis(5000)).unwrap().expect("an event, before anybody looks again") {
            client::Event::Frame => is_due = true,
            client::Event::Returned(lease) => free.push(lease.surfaces().next().unwrap().0.clone()),
            _ => {}
        }
    }
}

#[test]
fn a_full_screen_window_is_told_how_large_and_a_user_may_close_it() {
    let compositor = Compositor::start(options());
    let options = client::Options { fullscreen: true, ..client::Options::default() };
    let mut window = client::Window::<handover::Lease>::open(compositor.client(), &options, soon()).unwrap();
    match window.next(soon()).unwrap() {
        Some(client::Event::Configured(Some(wish))) => assert_eq!(wish.to_string(), "1280x720 px"),
        other => panic!("{other:?}"),
    }
    assert!(window.next(millis(50)).unwrap().is_none());
    let Some(backend) = udmabuf() else { return };
    let surface = &surfaces(&backend, &window, 1)[0];
    show(&mut window, surface, 1);
    let id = compositor.committed().window();
    compositor.tell(move |server| server.ask_to_close(id));
    while !matches!(window.next(soon()).unwrap().unwrap(), client::Event::Close) {}
    drop(window);
    assert!(matches!(compositor.event(), Event::Gone(gone) if gone == id));
}

#[test]
fn metadata_of_a_surface_that_went_through_wayland_decodes_from_its_descriptor() {
    let word = Word(0x0123_4567_89ab_cdef);
    for backend in backends() {
        let compositor = Compositor::start(options());
        let mut window = compositor.window(None);
        let surface = &surfaces(&backend, &window, 1)[0];
        let block = Block::new(b"a block of 31 bytes, or not....").unwrap();
        let metadata = Metadata { word, block };
        surface.set_metadata(&metadata).unwrap();
        show(&mut window, surface, 1);
        let committed = compositor.committed();
        assert_eq!(import::metadata_of(committed.surface().pixels_fd()).unwrap(), Some(metadata), "{}", backend.name());
    }
}

#[test]
fn a_feedback_that_changes_leads_to_other_buffers_and_everything_comes_back() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let before = surfaces(&backend, &window, 2);
    show(&mut window, &before[0], 1);
    let first = compositor.committed();
    show(&mut window, &before[1], 2);
    drop(compositor.committed());
    returned(&mut window);
    compositor.tell(|server| server.set_offer(offer(&[(Format::ARGB8888, Modifier::LINEAR)])).unwrap());
    while !matches!(window.next(soon()).unwrap().unwrap(), client::Event::Feedback) {}
    // One is out, the other is here.
    window.renegotiate();
    let error = refusal("show", window.show(read_lease(&before[1]), None, soon()));
    assert!(matches!(error.kind(), Kind::Conflict(conflict) if conflict.field == "modifier"), "{error}");
    assert!(error.to_string().contains("XRGB8888 LINEAR") && error.to_string().contains("udmabuf"), "{error}");
    let after = surfaces(&backend, &window, 1);
    assert_eq!(after[0].format(), Some(Format::ARGB8888));
    show(&mut window, &after[0], 3);
    let second = compositor.committed();
    assert_eq!(image(second.surface()), picture(SIZE, 3));
    // What was agreed on before stays good for as long as the compositor has it.
    assert_eq!(image(first.surface()), picture(SIZE, 1));
    drop(first);
    assert_eq!(returned(&mut window).id(), before[0].id());
    drop(second);
    assert_eq!(returned(&mut window).id(), after[0].id());
    assert_eq!(window.shown(), 0);
    assert!(before.iter().chain(&after).all(is_free));
}

#[test]
fn a_compositor_that_dies_is_an_ordinary_error_and_everything_comes_back() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let surfaces = surfaces(&backend, &window, 2);
    for surface in &surfaces {
        show(&mut window, surface, 1);
        std::mem::forget(compositor.committed());
    }
    drop(compositor);
    ends_with_its_compositor(&mut window);
    assert_eq!(window.take_held().len(), 2);
    assert!(surfaces.iter().all(is_free));
    let error = refusal("show", window.show(read_lease(&surfaces[0]), None, soon()));
    assert_eq!(*error.kind(), Kind::PeerGone, "{error}");
    drop(window);
    assert!(surfaces.iter().all(is_free));
}

#[test]
fn a_compositor_that_says_nothing_costs_no_more_than_the_deadline() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = refusal("connect", Client::on(ours, millis(100)).map(drop));
    assert!(error.is_timeout(), "{error}");
    drop(theirs);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    let error = refusal("connect", Client::on(ours, soon()).map(drop));
    assert_eq!(*error.kind(), Kind::PeerGone, "{error}");
}

#[test]
fn a_window_that_closes_gives_everything_back() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let surfaces = surfaces(&backend, &window, 2);
    show(&mut window, &surfaces[0], 1);
    let first = compositor.committed();
    show(&mut window, &surfaces[1], 2);
    let second = compositor.committed();
    let id = second.window();
    let closing = std::thread::spawn(move || window.close(soon()).unwrap().len());
    assert!(matches!(compositor.event(), Event::Gone(gone) if gone == id));
    assert!(!is_free(&surfaces[0]));
    drop((first, second));
    assert_eq!(closing.join().unwrap(), 2);
    assert!(surfaces.iter().all(is_free));
}

/// What a client showed outlives it at the compositor, who hears of its end.
#[test]
fn a_client_that_is_gone_leaves_a_surface_that_can_be_read() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let mut window = compositor.window(None);
    let surface = surfaces(&backend, &window, 1).remove(0);
    show(&mut window, &surface, 7);
    let committed = compositor.committed();
    drop(window);
    drop(surface);
    assert!(matches!(compositor.event(), Event::Gone(gone) if gone == committed.window()));
    assert_eq!(image(committed.surface()), picture(SIZE, 7));
    drop(committed);
    compositor.says_nothing_for(Duration::from_millis(50));
}
