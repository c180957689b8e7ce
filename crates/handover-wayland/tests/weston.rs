//! Stock Weston, and stock clients. In the guest; elsewhere each test says what is missing.
//!
//! Weston's DRM backend on virtio-gpu's card draws with GL on llvmpipe, whose EGL device has no node: so Weston speaks linux-dmabuf
//! version 3, which names formats and modifiers and no device. It takes buffers of its own card only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::{Compositor, is_free, offer, options, picture, read_lease, refusal, surfaces_of};
use handover::backend::linux::{Card, Dumb};
use handover::{Backend, Block, Format, Kind, Lease, Metadata, Modifier, Surface, Word, import};
use handover_wayland::client::{self, Client, Event, Window};
use handover_wayland::server::{self, Server};
use kernel::{need, skip, udmabuf};

/// Weston under emulation takes its time.
const LONG: Duration = Duration::from_secs(90);

const SCREEN: (u32, u32) = (640, 480);

fn long() -> handover::Deadline {
    handover::Deadline::after(LONG)
}

fn is_installed(program: &str) -> bool {
    let found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()));
    if !found {
        skip(program, "not installed here; `cargo xtask vm` has it");
    }
    found
}

/// One Weston at a time: a card has one master.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that is ended with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Still running?
    fn check(&mut self, what: &str) {
        if let Some(status) = self.0.try_wait().unwrap() {
            panic!("{what} has ended: {status}");
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stock Weston on the card of virtio-gpu.
struct Weston {
    program: Program,
    folder: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Weston {
    fn start() -> Option<Self> {
        let _turn = turn();
        let card = is_installed("weston").then(|| need("virtio_gpu", Card::of_driver("virtio_gpu"))).flatten()?;
        let device = card.path().file_name().unwrap().to_owned();
        // Whoever opens a card first is its master.
        card.leave_screens().unwrap();
        drop(card);
        let folder = std::env::temp_dir().join(format!("handover-weston-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("weston.ini");
        let text = "[core]\nshell=kiosk-shell.so\nidle-time=0\nrequire-input=false\n\n[output]\nname=Virtual-1\nmode=640x480\n";
        fs::write(&config, text).unwrap();
        let mut command = Command::new("weston");
        command.args(["--backend=drm", "--renderer=gl", "--socket=handover-test"]);
        command.arg(format!("--drm-device={}", device.display())).arg(format!("--config={}", config.display()));
        command.arg(format!("--log={}", folder.join("log").display()));
        command.env("LIBSEAT_BACKEND", "noop").env("LP_NATIVE_VECTOR_WIDTH", "128").stdout(Stdio::null());
        Some(Self { program: Program::start(&mut command), folder, _turn })
    }

    fn connect(&mut self) -> Client {
        let path = Path::new(&std::env::var_os("XDG_RUNTIME_DIR").unwrap()).join("handover-test");
        let started = Instant::now();
        loop {
            self.program.check("weston");
            match UnixStream::connect(&path) {
                Ok(stream) => return Client::on(stream, long()).unwrap(),
                Err(error) => assert!(started.elapsed() < LONG, "{error}; {}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn window(&mut self) -> Window<Lease> {
        let client = self.connect();
        let options =
            client::Options { fullscreen: true, app_id: "handover.test".into(), ..client::Options::default() };
        Window::open(client, &options, long()).unwrap()
    }
}

impl Drop for Weston {
    fn drop(&mut self) {
        // By its own end, so that the screen is given back.
        if self.program.0.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = Command::new("kill").arg(self.program.0.id().to_string()).status();
        }
        for _ in 0..200 {
            if self.program.0.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn dumb() -> Arc<dyn Backend> {
    let card = Card::of_driver("virtio_gpu").unwrap();
    card.leave_screens().unwrap();
    Arc::new(Dumb::of(card))
}

fn draw(surface: &Surface, frame: u32) {
    common::draw(surface, frame);
}

/// What is on the screen, as seen from outside: width, height, and red, green, blue of every pixel. `None`: nobody looks.
fn screendump(name: &str) -> Option<(u32, u32, Vec<u8>)> {
    let Ok(port) = std::env::var("HANDOVER_SCREENDUMP") else {
        skip("screendump", "HANDOVER_SCREENDUMP names no port to ask for a picture of the screen");
        return None;
    };
    let mut port = OpenOptions::new().read(true).write(true).open(port).unwrap();
    port.write_all(format!("screendump {name}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(port).read_line(&mut line).unwrap();
    let path = line.trim_end().strip_prefix("ok ").unwrap_or_else(|| panic!("no screendump: {line}"));
    let picture = fs::read(path).unwrap();
    let mut at = 0;
    let mut word = || {
        while picture[at].is_ascii_whitespace() {
            at += 1;
        }
        let start = at;
        while !picture[at].is_ascii_whitespace() {
            at += 1;
        }
        String::from_utf8(picture[start..at].to_vec()).unwrap()
    };
    assert_eq!(word(), "P6");
    let (width, height, depth) = (word(), word(), word());
    assert_eq!(depth, "255");
    Some((width.parse().unwrap(), height.parse().unwrap(), picture[at + 1..].to_vec()))
}

/// Red, green, blue of what was drawn.
fn expected(frame: u32) -> Vec<u8> {
    picture(SCREEN, frame).as_chunks::<4>().0.iter().flat_map(|[blue, green, red, _]| [*red, *green, *blue]).collect()
}

/// Waits until the screen shows this frame: Weston draws when it likes.
fn shows(name: &str, frame: u32) -> bool {
    let expected = expected(frame);
    let started = Instant::now();
    loop {
        let Some((width, height, pixels)) = screendump(name) else { return true };
        if (width, height) == SCREEN && pixels == expected {
            return true;
        }
        if started.elapsed() > LONG {
            let wrong = pixels.iter().zip(&expected).filter(|(a, b)| a != b).count();
            eprintln!("{width}x{height}, {wrong} of {} bytes differ", expected.len());
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the compositor asks for the next frame, and drops what it returned meanwhile.
fn wait_for_frame(window: &mut Window<Lease>) {
    while !matches!(window.next(long()).unwrap().expect("a frame"), Event::Frame) {}
}

#[test]
fn weston_shows_every_pixel_and_gives_each_surface_back() {
    let Some(mut weston) = Weston::start() else { return };
    let mut window = weston.window();
    let feedback = window.feedback().clone();
    assert!(feedback.takes(Format::XRGB8888.fourcc(), Modifier::LINEAR), "{feedback:?}");
    // What it lists and this library cannot offer shows, with the reason.
    assert!(feedback.left_out().iter().all(|left| !left.why.is_empty()));
    assert!(window.why_implicit().is_some());
    let surfaces = surfaces_of(&dumb(), &only(&feedback.offer("weston")), SCREEN, 2);
    for (frame, surface) in (1..=3).zip(surfaces.iter().cycle()) {
        // It comes back once the next one is on the screen.
        while !is_free(surface) {
            window.next(long()).unwrap().expect("a surface that comes back");
        }
        draw(surface, frame);
        window.show(read_lease(surface), None, long()).unwrap();
        assert!(!is_free(surface));
        wait_for_frame(&mut window);
        assert!(shows(&format!("weston-{frame}"), frame), "{}", weston.log());
    }
    let held = window.close(long()).unwrap();
    assert!(!held.is_empty());
    drop(held);
    assert!(surfaces.iter().all(is_free));
}

/// Our picture is XRGB8888, whatever Weston likes best.
fn only(offer: &handover::Offer) -> handover::Offer {
    let mut offer = offer.clone();
    offer.entries.retain(|entry| entry.format == Some(Format::XRGB8888) && entry.modifier == Modifier::LINEAR);
    offer
}

#[test]
fn what_weston_refuses_is_named_and_another_source_of_memory_works() {
    let Some(mut weston) = Weston::start() else { return };
    let mut window = weston.window();
    let offer = only(&window.feedback().offer("weston"));
    let vgem = need("vgem", Card::of_driver("vgem")).map(|card| Arc::new(Dumb::of(card)) as Arc<dyn Backend>);
    let word = Word(0x5eed_0000_0000_0001);
    let mut refused = 0;
    for backend in [udmabuf(), vgem].into_iter().flatten() {
        let surface = surfaces_of(&backend, &offer, SCREEN, 1).remove(0);
        let metadata = Metadata { word, block: Block::new(b"who made me").unwrap() };
        surface.set_metadata(&metadata).unwrap();
        let error = refusal("show", window.show(read_lease(&surface), None, long()));
        assert!(matches!(error.kind(), Kind::Conflict(conflict) if conflict.field == "import"), "{error}");
        let text = error.to_string();
        let exporter = if backend.name() == "udmabuf" { "udmabuf" } else { "drm" };
        for part in [exporter, "XRGB8888 LINEAR", "640x480", "refused", "Dumb"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(is_free(&surface), "it was not shown");
        assert_eq!(import::metadata_of(surface.pixels_fd()).unwrap(), Some(metadata));
        refused += 1;
    }
    assert!(refused > 0);
    // The connection goes on, and memory of the card is taken.
    let surface = surfaces_of(&dumb(), &offer, SCREEN, 1).remove(0);
    draw(&surface, 9);
    window.show(read_lease(&surface), None, long()).unwrap();
    assert!(shows("weston-moved", 9), "{}", weston.log());
    assert!(import::metadata_of(surface.pixels_fd()).unwrap().is_some());
}

#[test]
fn a_weston_that_is_killed_gives_everything_back() {
    let Some(mut weston) = Weston::start() else { return };
    let mut window = weston.window();
    let surface = surfaces_of(&dumb(), &only(&window.feedback().offer("weston")), SCREEN, 1).remove(0);
    draw(&surface, 1);
    window.show(read_lease(&surface), None, long()).unwrap();
    wait_for_frame(&mut window);
    weston.program.0.kill().unwrap();
    weston.program.0.wait().unwrap();
    let error = loop {
        match window.next(long()) {
            Ok(event) => assert!(event.is_some(), "a wait that ends without a word"),
            Err(error) => break error,
        }
    };
    assert_eq!(*error.kind(), Kind::PeerGone, "{error}");
    drop(window.take_held());
    assert!(is_free(&surface));
}

/// A compositor of ours for stock clients, and the name of its socket.
fn capturing(formats: &[Format]) -> (Compositor, String) {
    let pairs: Vec<_> = formats.iter().map(|format| (*format, Modifier::LINEAR)).collect();
    let copies: Option<Arc<dyn Backend>> = Some(Arc::new(handover::backend::Software));
    let options = server::Options { offer: offer(&pairs), copies, ..options() };
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("handover-capture-{}-{count}", std::process::id());
    let socket = name.clone();
    let compositor = Compositor::run(move || Server::bind(&socket, options).unwrap());
    let path = Path::new(&std::env::var_os("XDG_RUNTIME_DIR").unwrap()).join(&name);
    common::wait_until("the socket is there", || path.exists());
    (compositor, name)
}

/// The images of so many commits of a stock client.
fn capture(command: &mut Command, formats: &[Format], count: usize) -> Vec<(bool, Vec<u8>)> {
    let (compositor, name) = capturing(formats);
    let mut program = Program::start(command.env("WAYLAND_DISPLAY", &name).stdout(Stdio::null()));
    let mut images = Vec::new();
    let started = Instant::now();
    while images.len() < count {
        match compositor.event_within(Duration::from_millis(200)) {
            Some(server::Event::Committed(committed)) => {
                images.push((committed.is_copy(), common::image(committed.surface())));
            }
            Some(server::Event::Refused(error)) => panic!("{error}"),
            Some(other) => panic!("{other:?} after {} frames", images.len()),
            None => program.check("the client"),
        }
        assert!(started.elapsed() < LONG, "{} frames", images.len());
    }
    images
}

/// More than one colour, apart from what fills the unused byte.
fn is_blank(image: &[u8]) -> bool {
    let mut pixels = image.as_chunks::<4>().0.iter().map(|[blue, green, red, _]| [*blue, *green, *red]);
    let first = pixels.next();
    pixels.all(|pixel| Some(pixel) == first)
}

#[test]
fn a_stock_gl_client_is_captured() {
    if !is_installed("weston-simple-egl") {
        return;
    }
    let mut client = Command::new("weston-simple-egl");
    client.env("LP_NATIVE_VECTOR_WIDTH", "128");
    let images = capture(&mut client, &[Format::XRGB8888, Format::ARGB8888], 4);
    assert!(images.iter().skip(1).all(|(_, image)| !is_blank(image)), "a triangle");
    assert!(images.iter().skip(1).any(|(_, image)| *image != images[0].1), "that turns");
}

#[test]
fn a_stock_shared_memory_client_is_captured() {
    if !is_installed("weston-simple-shm") {
        return;
    }
    let images = capture(&mut Command::new("weston-simple-shm"), &[Format::XRGB8888], 4);
    assert!(images.iter().all(|(is_copy, image)| *is_copy && !is_blank(image)));
    assert!(images.iter().skip(1).any(|(_, image)| *image != images[0].1));
}

/// The camera's own memory, as it left the driver: nothing is copied.
#[test]
fn a_stock_camera_client_is_captured() {
    if !is_installed("weston-simple-dmabuf-v4l") {
        return;
    }
    let Some(camera) = camera() else { return };
    let mut client = Command::new("weston-simple-dmabuf-v4l");
    client.arg("-v").arg(camera).args(["-f", "XR24", "-d", "XR24"]);
    let images = capture(&mut client, &[Format::XRGB8888], 6);
    assert!(images.iter().all(|(is_copy, image)| !is_copy && !is_blank(image)));
    let changes = images.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    assert!(changes > 0, "a camera's pictures change");
}

/// The first camera of vivid.
fn camera() -> Option<PathBuf> {
    use handover::backend::linux::v4l2;
    let nodes = v4l2::nodes(v4l2::Direction::Capture).unwrap_or_default();
    let camera = nodes.into_iter().find(|node| {
        v4l2::VideoQueue::<Lease>::open(node, v4l2::Direction::Capture).is_ok_and(|queue| queue.driver() == "vivid")
    });
    if camera.is_none() {
        skip("vivid", "no camera of the driver vivid");
    }
    camera
}
