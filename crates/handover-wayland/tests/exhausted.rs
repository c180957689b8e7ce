//! What happens when descriptors run out. They are the whole process's, so each test has one of its own, with few.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use common::{Compositor, PATIENCE, image, millis, options, picture, soon};
use handover::Kind;
use handover::backend::Software;
use handover_sys::clock::Monotonic;
use handover_sys::{file, memfd, poll, socket};
use handover_wayland::server::{self, Event, Server};
use raw::Raw;

const CHILD: &str = "HANDOVER_TEST_EXHAUSTED";

/// Runs the test of this name in a process that may open so many descriptors.
fn with_descriptors(limit: u32, name: &str, test: fn()) {
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        return test();
    }
    let script = format!("ulimit -n {limit} && exec \"$0\" --exact {name} --nocapture --test-threads 1");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(std::env::current_exe().unwrap()).env(CHILD, name);
    assert!(command.status().unwrap().success());
}

/// Opens files until there is no descriptor left.
fn hog() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// `wl_display.sync`, whose answer shows that a client is served.
fn sync() -> Vec<u8> {
    [1u32, 12 << 16, 2].iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn serve(server: &mut Server, client: &mut UnixStream) {
    let started = Instant::now();
    while !poll::wait_readable(&*client, Some(Monotonic(0))).unwrap() {
        assert!(started.elapsed() < PATIENCE);
        let events = server.dispatch(millis(20)).unwrap();
        assert!(events.is_empty(), "{events:?}");
    }
    assert!(client.read(&mut [0; 64]).unwrap() >= 12);
}

fn sleeps(server: &Server) -> bool {
    !poll::wait_readable(server.descriptor(), Some(Monotonic(0))).unwrap()
}

fn listening() -> (Server, PathBuf) {
    let path = std::env::temp_dir().join(format!("handover-exhausted-{}", std::process::id()));
    (Server::bind_at(&path, options()).unwrap(), path)
}

fn copying() -> server::Options {
    server::Options { copies: Some(Arc::new(Software)), ..options() }
}

/// EMFILE of `accept`: who is inside is served, and who is outside when there is a descriptor again. The loop sleeps meanwhile.
#[test]
fn a_client_that_cannot_be_accepted_waits_outside() {
    with_descriptors(128, "a_client_that_cannot_be_accepted_waits_outside", || {
        let (mut server, path) = listening();
        let mut inside = UnixStream::connect(&path).unwrap();
        inside.write_all(&sync()).unwrap();
        serve(&mut server, &mut inside);
        let mut hogs = hog();
        hogs.pop();
        let mut late = UnixStream::connect(&path).unwrap();
        late.write_all(&sync()).unwrap();
        let events = server.dispatch(soon()).unwrap();
        assert!(matches!(&events[..], [Event::Refused(error)] if *error.kind() == Kind::Os), "{events:?}");
        assert!(sleeps(&server) && server.wakes_at().is_some());
        for _ in 0..7 {
            inside.write_all(&sync()).unwrap();
            serve(&mut server, &mut inside);
            assert!(server.dispatch(millis(50)).unwrap().is_empty(), "told once");
            assert!(sleeps(&server));
        }
        drop(hogs);
        serve(&mut server, &mut late);
        assert!(server.wakes_at().is_none());
    });
}

/// EMFILE of `recvmsg`, which drops the descriptor: the request that it belongs to waits for it, and everybody else is served.
#[test]
fn a_descriptor_that_cannot_be_received_costs_its_sender_alone() {
    with_descriptors(128, "a_descriptor_that_cannot_be_received_costs_its_sender_alone", || {
        let compositor = Compositor::start(copying());
        let (sender, mut other) = (Raw::connect(&compositor), Raw::connect(&compositor));
        let memory = memfd::create("frame", 4096).unwrap();
        let hogs = compositor.stopped(|| {
            let mut hogs = hog();
            // The client keeps a duplicate until it has sent it.
            hogs.pop();
            sender.pool(&memory, 4096);
            sender.flush();
            hogs.extend(hog());
            hogs
        });
        for _ in 0..20 {
            other.round_trip(soon());
        }
        let (tell, told) = std::sync::mpsc::channel();
        compositor.tell(move |server| tell.send(sleeps(server)).unwrap());
        assert!(told.recv().unwrap(), "it would spin");
        drop(hogs);
        other.round_trip(soon());
        drop(sender);
        other.round_trip(soon());
    });
}

/// R16: however many clients take as much as they get, something is left for the next.
#[test]
fn greedy_clients_leave_something_for_the_next() {
    with_descriptors(256, "greedy_clients_leave_something_for_the_next", || {
        let compositor = Compositor::start(copying());
        let memory = File::from(memfd::create("frame", 4096).unwrap());
        memory.write_all_at(&picture((8, 8), 1), 0).unwrap();
        let mut greedy: Vec<Option<Raw>> = (0..12).map(|_| Some(Raw::connect(&compositor))).collect();
        let (mut most, mut told) = (0, 0);
        for _ in 0..40 {
            for place in &mut greedy {
                let Some(client) = place else { continue };
                client.pool(&memory, 4096);
                if client.try_round_trip(soon()).is_err() {
                    let error = client.error();
                    assert!(error.1 == u32::MAX && error.2.contains("descriptors"), "{error:?}");
                    (told, *place) = (told + 1, None);
                }
                most = most.max(file::open_count().unwrap());
            }
            let mut honest = Raw::connect(&compositor);
            honest.window();
            let buffer = honest.pool(&memory, 4096).buffer_of(0, 8, 8, 32, 1);
            honest.surface().attach(Some(&buffer), 0, 0);
            honest.surface().commit();
            honest.round_trip(soon());
            assert_eq!(image(compositor.committed().surface()), picture((8, 8), 1));
            drop(honest);
            assert!(matches!(compositor.event(), Event::Gone(_)));
        }
        assert!(told > 0 && most < 200, "{told} {most}");
    });
}

/// What a client sends along that no request takes stays open in wayland-backend, which nobody can ask.
#[test]
fn descriptors_that_no_request_takes_end_who_sent_them() {
    with_descriptors(256, "descriptors_that_no_request_takes_end_who_sent_them", || {
        let mut server = Server::new(options()).unwrap();
        let mut pair = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            server.add(theirs).unwrap();
            ours
        };
        let (mut one, hostile, mut other) = (pair(), pair(), pair());
        let before = file::open_count().unwrap();
        let null = File::open("/dev/null").unwrap();
        let surplus: Vec<BorrowedFd<'_>> = (0..20).map(|_| null.as_fd()).collect();
        let mut rounds = 0;
        let refused = loop {
            rounds += 1;
            assert!(rounds < 20, "{} are open", file::open_count().unwrap());
            socket::send(&hostile, &sync(), &surplus, true).unwrap();
            if let [Event::Refused(error)] = &server.dispatch(millis(1)).unwrap()[..] {
                break error.clone();
            }
            for honest in [&mut one, &mut other] {
                honest.write_all(&sync()).unwrap();
                serve(&mut server, honest);
            }
        };
        assert!(*refused.kind() == Kind::Full && refused.to_string().contains("no request takes"), "{refused}");
        assert!(file::open_count().unwrap() <= before + 1);
        assert!(sleeps(&server));
        for honest in [&mut one, &mut other] {
            honest.write_all(&sync()).unwrap();
            serve(&mut server, honest);
        }
        assert!(socket::send(&hostile, &sync(), &[], true).is_err());
        // All at once, as many as the process could take, or more.
        let hostile = {
            let (ours, theirs) = UnixStream::pair().unwrap();
            server.add(theirs).unwrap();
            ours
        };
        // Until the kernel lets this user have no more on their way, or the socket is full.
        let sent = (0..500).take_while(|_| socket::send(&hostile, &sync(), &surplus, true).is_ok()).count();
        assert!(sent * surplus.len() > 200, "{sent}");
        let events = server.dispatch(millis(1)).unwrap();
        assert!(matches!(&events[..], [Event::Refused(_)]), "{events:?}");
        one.write_all(&sync()).unwrap();
        serve(&mut server, &mut one);
        assert!(file::open_count().unwrap() <= before + 2);
    });
}
