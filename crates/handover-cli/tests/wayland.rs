//! Wayland, at both ends: `pipelines/wayland.toml` in a window of stock Weston, and `pipelines/capture.toml` with a stock client. In the
//! guest; elsewhere each says what is missing. What a program does that shows nothing, and a window without a compositor, is tried everywhere.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Directory, command, participant, report, run, skip, stderr, wait_for_bytes, whole_fragments};
use handover::backend::linux::Card;
use handover_cli::media::h264::Frames;
use handover_cli::media::mp4::Clip;
use handover_cli::media::png;

const FRAMES: usize = 8;

/// Weston under emulation takes its time.
const LONG: Duration = Duration::from_secs(90);

fn is_installed(program: &str) -> bool {
    let found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()));
    if !found {
        skip(program, "not installed here; `cargo xtask vm` has it");
    }
    found
}

/// Stock Weston on the card of virtio-gpu.
struct Weston {
    child: Child,
    socket: PathBuf,
}

impl Weston {
    fn start(directory: &Directory) -> Option<Self> {
        if !is_installed("weston") {
            return None;
        }
        let card = Card::of_driver("virtio_gpu").map_err(|error| skip("virtio_gpu", &error.to_string())).ok()?;
        let device = card.path().file_name().unwrap().to_owned();
        // Whoever opens a card first is its master.
        card.leave_screens().unwrap();
        drop(card);
        let config = directory.file(
            "weston.ini",
            "[core]\nshell=kiosk-shell.so\nidle-time=0\nrequire-input=false\n\n[output]\nname=Virtual-1\nmode=640x480\n",
        );
        let mut weston = Command::new("weston");
        weston.args(["--backend=drm", "--renderer=gl", "--socket=handover-cli"]);
        weston.arg(format!("--drm-device={}", device.display())).arg(format!("--config={config}"));
        weston.arg(format!("--log={}", directory.path().join("weston.log").display()));
        weston.env("XDG_RUNTIME_DIR", directory.temporary()).env("LIBSEAT_BACKEND", "noop");
        weston.env("LP_NATIVE_VECTOR_WIDTH", "128").stdout(Stdio::null()).stderr(Stdio::null());
        fs::set_permissions(directory.temporary(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let mut this = Self { child: weston.spawn().unwrap(), socket: directory.temporary().join("handover-cli") };
        let started = Instant::now();
        while !this.socket.exists() {
            let log = fs::read_to_string(directory.path().join("weston.log")).unwrap_or_default();
            assert!(this.child.try_wait().unwrap().is_none() && started.elapsed() < LONG, "{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(this)
    }
}

impl Drop for Weston {
    fn drop(&mut self) {
        // By its own end, so that the screen is given back.
        common::signal(self.child.id(), "TERM");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is a picture of the screen, a PPM, of more than one colour? `None`: nobody looks.
fn screen_shows_something(port: &str) -> bool {
    let mut port = OpenOptions::new().read(true).write(true).open(port).unwrap();
    port.write_all(b"screendump window\n").unwrap();
    let mut line = String::new();
    BufReader::new(port).read_line(&mut line).unwrap();
    let path = line.trim_end().strip_prefix("ok ").unwrap_or_else(|| panic!("no screendump: {line}"));
    let picture = fs::read(path).unwrap();
    let pixels = picture.get(32..).unwrap_or_default().chunks_exact(3);
    // Weston alone is black.
    pixels.clone().filter(|pixel| pixel.iter().any(|channel| *channel > 40)).count() > pixels.len() / 4
}

fn decodes(path: &Path, frames: usize) {
    assert_eq!(whole_fragments(path), frames, "{}", path.display());
    let pictures: Vec<_> = Frames::new(&Clip::open(path).unwrap()).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(pictures.len(), frames, "{}", path.display());
}

#[test]
fn what_devices_draw_is_in_a_window_of_weston_while_encoders_read_it() {
    let directory = Directory::new();
    let Some(weston) = Weston::start(&directory) else { return };
    let mut run = command(&directory, &["wayland", "--frames", &FRAMES.to_string()]);
    let mut child = run.env("WAYLAND_DISPLAY", &weston.socket).spawn().unwrap();
    let mut is_seen = false;
    let port = std::env::var("HANDOVER_SCREENDUMP").ok();
    while let (Some(port), None) = (&port, child.try_wait().unwrap()) {
        is_seen |= screen_shows_something(port);
        std::thread::sleep(Duration::from_millis(100));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    match port {
        Some(_) => assert!(is_seen, "the window was on the screen"),
        None => skip("screendump", "HANDOVER_SCREENDUMP names no port to ask for a picture of the screen"),
    }
    let report = report(&directory);
    assert_eq!((&report["ended"], &report["backend"]), (&"complete".into(), &"linux".into()));
    assert_eq!(report["pixel_bytes_copied_between_processes"], 0, "{:#}", report["participants"]);
    assert_eq!(participant(&report, "window")["frames"]["shown"], FRAMES);
    let composed = report["streams"].as_array().unwrap().iter().filter(|stream| stream["producer"] == "compositor");
    for stream in composed {
        // Weston refuses what the device's driver makes here, and takes buffers of its card: all read those.
        assert_eq!(stream["allocator"], "dumb buffers of virtio_gpu", "{stream:#}");
    }
    for video in ["stream.mp4", "capture.mp4"] {
        decodes(&directory.out().join(video), FRAMES);
    }
}

#[test]
fn a_stock_client_is_read_by_two_encoders() {
    if !is_installed("weston-simple-egl") {
        return;
    }
    let directory = Directory::new();
    let output = command(&directory, &["capture", "--frames", &FRAMES.to_string()])
        .env("LP_NATIVE_VECTOR_WIDTH", "128")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for video in ["stream.mp4", "archive.mp4"] {
        decodes(&directory.out().join(video), FRAMES);
    }
    let [(extent, first), (_, last)] =
        ["first", "last"].map(|which| png::read(&directory.out().join(format!("preview-{which}.png"))).unwrap());
    assert_eq!((extent.width().get(), extent.height().get()), (640, 480));
    let bright =
        |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().filter(|pixel| pixel[..3].iter().any(|c| *c > 60)).count();
    assert!(bright(&first).max(bright(&last)) > 500, "a triangle");
    assert_ne!(first, last, "that turns");
    assert_eq!(participant(&report(&directory), "client")["frames"]["submitted"], FRAMES);
}

/// A run of one program, read by an encoder.
fn program(directory: &Directory, words: &str) -> Output {
    let text = format!(
        "name = \"t\"\n[[participant]]\nname = \"client\"\nkind = \"program\"\ncommand = {words}\nextent = [64, 48]\n\
         [[participant]]\nname = \"video\"\nkind = \"encoder\"\nreads = [\"client\"]\n"
    );
    run(directory, &[&directory.file("program.toml", text), "--frames", "3"])
}

#[test]
fn a_program_that_shows_nothing_ends_the_run_with_its_name() {
    for (words, says) in [
        ("[\"/no/such/program\"]", "/no/such/program cannot be started: No such file or directory"),
        ("[\"sh\", \"-c\", \"exit 7\"]", "sh has ended: exit status: 7"),
        ("[\"true\"]", "true has ended before it showed anything"),
    ] {
        let directory = Directory::new();
        let output = program(&directory, words);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("client") && message.contains(says), "{says}: {message}");
    }
}

/// The socket of its compositor is all that a program gets; with the run it ends.
#[test]
fn a_program_ends_with_its_run() {
    let directory = Directory::new();
    let started = directory.path().join("started");
    let script = format!("echo $$ $WAYLAND_SOCKET $WAYLAND_DISPLAY > {}; exec sleep 600", started.display());
    let text = format!(
        "name = \"t\"\n[[participant]]\nname = \"client\"\nkind = \"program\"\ncommand = [\"sh\", \"-c\", {script:?}]\n\
         [[participant]]\nname = \"video\"\nkind = \"encoder\"\nreads = [\"client\"]\n"
    );
    let mut child = command(&directory, &[&directory.file("program.toml", text)]).spawn().unwrap();
    wait_for_bytes(&started, 4);
    let said = fs::read_to_string(&started).unwrap();
    let words: Vec<&str> = said.split_whitespace().collect();
    let [pid, socket] = words.as_slice() else { panic!("{said}") };
    assert!(socket.parse::<u32>().is_ok());
    common::signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let gone = || !Path::new(&format!("/proc/{pid}")).exists();
    let since = Instant::now();
    while !gone() {
        assert!(since.elapsed() < Duration::from_secs(20), "{pid} runs on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_window_without_a_compositor_is_refused() {
    let directory = Directory::new();
    let text = "name = \"t\"\n[[participant]]\nname = \"card\"\nkind = \"pattern\"\n\
                [[participant]]\nname = \"view\"\nkind = \"window\"\ntitle = \"a card\"\nreads = [\"card\"]\n";
    let pipeline = directory.file("window.toml", text);
    let mut run = command(&directory, &[&pipeline, "--frames", "1"]);
    let output = run.env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET").output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["view cannot run", "a Wayland compositor", "WAYLAND_DISPLAY"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let output = common::run(&directory, &[&pipeline, "--backend", "software"]);
    assert!(stderr(&output).contains("view is a window of a compositor"), "{}", stderr(&output));
    assert!(!directory.out().exists());
}
