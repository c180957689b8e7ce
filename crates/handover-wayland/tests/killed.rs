//! Either end killed by the system in the middle of its work, as real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::{
    Compositor, SIZE, image, is_free, options, picture, read_lease, refusal, returned, show, soon, surfaces, wait_until,
};
use handover::backend::linux::{Card, Timeline};
use handover::{Access, Kind, Lease, Region, acquire};
use handover_wayland::client::{self, Client, Window};
use handover_wayland::server::{self, Event, Server};
use kernel::{Gpu, need, udmabuf};

const ROLE: &str = "HANDOVER_TEST_ROLE";
const SOCKET: &str = "WAYLAND_DISPLAY";

/// This binary in a role. Dropping it kills and reaps.
struct Other(Child);

impl Other {
    fn start(role: &str, socket: &PathBuf) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child_process", "--nocapture"]).env(ROLE, role).env(SOCKET, socket);
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Waits for a line with this word.
    fn says(&mut self, word: &str) {
        let lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let mut heard = Vec::new();
        for line in lines {
            let line = line.unwrap();
            if line.contains(word) {
                return;
            }
            heard.push(line);
        }
        panic!("it ended without saying {word}: {heard:?}");
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("handover-wayland-{name}-{}", std::process::id()))
}

fn window(card: Option<Card>) -> Window<Lease> {
    let client = Client::connect(soon()).unwrap();
    Window::open(client, &client::Options { card, ..client::Options::default() }, soon()).unwrap()
}

fn timelines() -> Option<Card> {
    let card = need("virtio_gpu", Card::of_driver("virtio_gpu"))?;
    card.leave_screens().unwrap();
    Some(card)
}

/// The other processes of these tests.
#[test]
fn child_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match role.as_str() {
        // Shows one frame, then stops for ever.
        "client" => {
            let mut window = window(timelines());
            let surface = &surfaces(&udmabuf().unwrap(), &window, 1)[0];
            show(&mut window, surface, 3);
            println!("shown");
            std::thread::park();
        }
        // Submits its work, and is killed before it commits.
        "submitter" => {
            let card = timelines().unwrap();
            let mut window = window(Some(card.clone()));
            let backend = udmabuf().unwrap();
            let surfaces = surfaces(&backend, &window, 2);
            show(&mut window, &surfaces[0], 1);
            let gpu = Gpu::open().unwrap();
            let _job = gpu.submit(surfaces[1].pixels_fd(), handover_sys::dma_buf::Direction::WRITE);
            let (_lease, fence) =
                acquire(&[(&surfaces[1], Access::Read, Region::WHOLE)], soon()).unwrap().collect().unwrap();
            let timeline = Timeline::new(&card).unwrap();
            timeline.submit(1, &fence.unwrap()).unwrap();
            println!("submitted");
            std::thread::park();
        }
        "compositor" => {
            let path = PathBuf::from(std::env::var(SOCKET).unwrap());
            let options = server::Options { timelines: timelines(), ..options() };
            let mut server = Server::bind_at(path, options).unwrap();
            println!("listening");
            let mut kept = Vec::new();
            loop {
                kept.extend(server.dispatch(soon()).unwrap());
            }
        }
        other => panic!("no role {other}"),
    }
}

fn listening(name: &str, options: server::Options) -> (Compositor, PathBuf) {
    let path = socket(name);
    let at = path.clone();
    let compositor = Compositor::run(move || Server::bind_at(at, options).unwrap());
    wait_until("the socket is there", || path.exists());
    (compositor, path)
}

#[test]
fn a_client_that_is_killed_leaves_what_it_showed_and_nothing_else() {
    let (Some(card), Some(_)) = (timelines(), udmabuf()) else { return };
    let (compositor, path) = listening("shown", server::Options { timelines: Some(card), ..options() });
    let mut client = Other::start("client", &path);
    client.says("shown");
    let committed = compositor.committed();
    client.kill();
    assert!(matches!(compositor.event(), Event::Gone(gone) if gone == committed.window()));
    assert_eq!(image(committed.surface()), picture(SIZE, 3));
    drop(committed);
    // The next is served.
    let mut client = Other::start("client", &path);
    client.says("shown");
    assert_eq!(image(compositor.committed().surface()), picture(SIZE, 3));
}

#[test]
fn a_client_that_is_killed_between_submit_and_commit_harms_nobody() {
    let (Some(card), Some(_), Some(_)) = (timelines(), udmabuf(), Gpu::open()) else { return };
    let (compositor, path) = listening("submitted", server::Options { timelines: Some(card), ..options() });
    let mut client = Other::start("submitter", &path);
    client.says("submitted");
    let first = compositor.committed();
    client.kill();
    assert!(matches!(compositor.event(), Event::Gone(gone) if gone == first.window()));
    assert_eq!(image(first.surface()), picture(SIZE, 1));
    drop(first);
    compositor.says_nothing_for(std::time::Duration::from_millis(100));
}

#[test]
fn a_compositor_that_is_killed_gives_everything_back() {
    let (Some(card), Some(backend)) = (timelines(), udmabuf()) else { return };
    for card in [None, Some(card)] {
        let path = socket("compositor");
        let mut compositor = Other::start("compositor", &path);
        compositor.says("listening");
        let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let client = Client::on(stream, soon()).unwrap();
        let options = client::Options { card, ..client::Options::default() };
        let mut window = Window::<Lease>::open(client, &options, soon()).unwrap();
        let surfaces = surfaces(&backend, &window, 2);
        show(&mut window, &surfaces[0], 1);
        show(&mut window, &surfaces[1], 2);
        compositor.kill();
        let error = loop {
            match window.next(soon()) {
                Ok(event) => assert!(event.is_some(), "a wait that ends without a word"),
                Err(error) => break error,
            }
        };
        assert_eq!(*error.kind(), Kind::PeerGone, "{error}");
        drop(window.take_held());
        assert!(surfaces.iter().all(is_free));
        let error = refusal("show", window.show(read_lease(&surfaces[0]), None, soon()));
        assert_eq!(*error.kind(), Kind::PeerGone, "{error}");
        let _ = std::fs::remove_file(path);
    }
}

#[test]
fn two_clients_are_told_apart() {
    let Some(backend) = udmabuf() else { return };
    let compositor = Compositor::start(options());
    let (mut one, mut two) = (compositor.window(None), compositor.window(None));
    let (a, b) = (surfaces(&backend, &one, 1).remove(0), surfaces(&backend, &two, 1).remove(0));
    show(&mut one, &a, 1);
    let first = compositor.committed();
    show(&mut two, &b, 2);
    let second = compositor.committed();
    assert_ne!(first.window(), second.window());
    assert_eq!(image(first.surface()), picture(SIZE, 1));
    assert_eq!(image(second.surface()), picture(SIZE, 2));
    drop(second);
    assert_eq!(returned(&mut two).id(), b.id());
    assert!(!is_free(&a));
}
