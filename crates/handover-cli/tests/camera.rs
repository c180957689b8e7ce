//! `pipelines/camera.toml` on the kernel's own devices: a camera fills dma-bufs, a compositor, two encoders and a video output read
//! them, and a screen shows what was composed. What the screen scans out is compared with what was composed, pixel by pixel.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::{
    Directory, command, find, finish, participant, report, run, skip, stderr, wait_for_bytes, whole_fragments,
};
use handover_cli::media::h264::Frames;
use handover_cli::media::mp4::Clip;
use handover_cli::media::png;
use serde_json::Value;

const PIPELINE: &str = include_str!("../pipelines/camera.toml");
const FRAMES: u64 = 30;

/// One screen, one camera.
static DEVICES: Mutex<()> = Mutex::new(());

/// `Some` if the devices are there: then the run was not refused.
fn devices(output: &Output) -> Option<()> {
    if output.status.code() == Some(2) {
        let message = stderr(output);
        assert!(
            message.contains("cannot run on the backend linux") && message.contains("handover devices"),
            "{message}"
        );
        skip("camera", &message);
        return None;
    }
    Some(())
}

/// The guest's way to a picture of its screen: a port, a line to it and a line back.
fn screendump(port: &str) -> Vec<u8> {
    let mut port = OpenOptions::new().read(true).write(true).open(port).unwrap();
    port.write_all(b"screendump camera\n").unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        port.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    let line = String::from_utf8(line).unwrap();
    let path = line.trim_end().strip_prefix("ok ").unwrap_or_else(|| panic!("no screendump: {line}"));
    fs::read(path).unwrap()
}

/// A binary PPM of 8 bits a channel: width, height, and red, green and blue of every pixel.
fn ppm(bytes: &[u8]) -> (u32, u32, &[u8]) {
    let mut rest = bytes;
    let mut word = || {
        let start = rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap();
        let length = rest[start..].iter().position(u8::is_ascii_whitespace).unwrap();
        let word = std::str::from_utf8(&rest[start..start + length]).unwrap();
        rest = &rest[start + length + 1..];
        word
    };
    assert_eq!(word(), "P6");
    let (width, height, most) = (word().parse().unwrap(), word().parse().unwrap(), word());
    assert_eq!(most, "255");
    (width, height, rest)
}

fn wait_for_file(path: &Path, run: &mut std::process::Child) -> bool {
    let started = Instant::now();
    while !path.exists() {
        if run.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(started.elapsed() < Duration::from_secs(180), "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn a_camera_is_composed_on_a_screen_while_encoders_and_an_output_read_its_surfaces() {
    let _turn = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = Directory::new();
    // Long enough for a picture of the screen on a slow machine; a signal would end it earlier.
    let pipeline = directory.file("camera.toml", PIPELINE.replace("linger_ms = 2000", "linger_ms = 12000"));
    let mut child = command(&directory, &[&pipeline, "--frames", &FRAMES.to_string()]).spawn().unwrap();
    let picture = directory.out().join("screen-last.png");
    let is_shown = wait_for_file(&picture, &mut child);
    if let (true, Ok(port)) = (is_shown, std::env::var("HANDOVER_SCREENDUMP")) {
        let dump = screendump(&port);
        assert!(child.try_wait().unwrap().is_none(), "the frame was on the screen all the while");
        let (width, height, shown) = ppm(&dump);
        let (extent, composed) = png::read(&picture).unwrap();
        assert_eq!((width, height), (extent.width().get(), extent.height().get()));
        // The fourth byte of XRGB8888 is not shown: a PPM has none, and it is left out here.
        let composed: Vec<u8> =
            composed.as_chunks::<4>().0.iter().flat_map(|[blue, green, red, _]| [*red, *green, *blue]).collect();
        let differing = shown.chunks(3).zip(composed.chunks(3)).filter(|(shown, composed)| shown != composed).count();
        assert_eq!((differing, shown.len()), (0, composed.len()), "pixels that differ, bytes");
        assert!(shown.chunks(3).any(|pixel| pixel[0] > 150 && pixel[2] < 100), "a test card has yellow");
    } else if is_shown {
        skip("screendump", "HANDOVER_SCREENDUMP names no port to ask for a picture of the screen");
    }
    let (output, _) = finish(child, Duration::from_secs(180));
    if devices(&output).is_none() {
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&directory);
    assert_eq!((&report["ended"], &report["backend"]), (&"complete".into(), &"linux".into()));
    check_sharing(&report);
    for video in ["stream.mp4", "capture.mp4"] {
        let path = directory.out().join(video);
        assert_eq!(whole_fragments(&path) as u64, FRAMES);
        let clip = Clip::open(&path).unwrap();
        let pictures: Vec<_> = Frames::new(&clip).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(pictures.len() as u64, FRAMES, "{video}");
    }
}

fn check_sharing(report: &Value) {
    assert_eq!(report["pixel_bytes_copied_between_processes"], 0);
    for reader in ["compositor", "stream", "capture", "output"] {
        assert_eq!(participant(report, reader)["frames"]["shown"], FRAMES, "{reader}");
        let stream = find(&report["streams"], "reader", reader);
        let camera = report["streams"].as_array().unwrap().iter();
        let stream =
            camera.clone().find(|other| other["reader"] == reader && other["producer"] == "camera").unwrap_or(stream);
        assert_eq!((&stream["producer"], &stream["allocator"]), (&"camera".into(), &"udmabuf".into()), "{stream:#}");
        assert_eq!((&stream["format"], &stream["modifier"]), (&"XRGB8888".into(), &"LINEAR".into()));
    }
    let screen = find(&report["streams"], "reader", "screen");
    assert!(screen["allocator"].as_str().unwrap().starts_with("dumb buffers of"), "{screen:#}");
    assert_eq!(participant(report, "screen")["frames"]["shown"], FRAMES);
    assert!(at_once(report) >= 2, "nobody waits for another one who reads");
    for participant in report["participants"].as_array().unwrap() {
        assert_eq!(participant["sockets"]["descriptors"], 0, "surfaces are registered once: {participant:#}");
    }
    for device in ["camera", "output", "screen"] {
        assert!(participant(report, device)["device"].as_str().unwrap().contains("/dev/"), "a real device");
    }
}

fn at_once(report: &Value) -> u64 {
    participant(report, "camera")["readers_at_once"].as_u64().unwrap()
}

/// Each keeps what it reads for a while, so that a slow machine shows what is possible.
#[test]
fn compositor_encoders_and_output_have_one_surface_of_the_camera_at_the_same_time() {
    let _turn = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = Directory::new();
    let held = ["reads = [\"camera\", \"overlay\"]", "bitrate = 400_000", "bitrate = 6_000_000"];
    let text = PIPELINE.replace("linger_ms = 2000", "linger_ms = 0");
    let text = held.into_iter().fold(text, |text, line| text.replace(line, &format!("{line}\nhold_ms = 700")));
    let output = run(&directory, &[&directory.file("camera.toml", text), "--frames", "5"]);
    if devices(&output).is_some() {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let at_once = at_once(&report(&directory));
        assert!(at_once >= 3, "{at_once} of four readers had one surface at the same time");
    }
}

#[test]
fn a_device_of_the_kernels_is_refused_on_the_software_backend() {
    let directory = Directory::new();
    let output = run(&directory, &["camera", "--backend", "software"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("what helps: --backend linux"), "{}", stderr(&output));
    assert!(!directory.out().exists());
}

/// What is refused, and what the message must say.
fn refused(text: &str, says: &[&str]) {
    let directory = Directory::new();
    let pipeline = directory.file("camera.toml", text);
    let output = run(&directory, &[&pipeline, "--frames", "2"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(says.iter().all(|said| message.contains(said)), "{says:?} in {message}");
    assert!(!directory.out().exists(), "refused before anything was made");
}

#[test]
fn devices_that_are_not_there_are_named() {
    let _turn = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    refused(
        &PIPELINE.replace("kind = \"camera\"", "kind = \"camera\"\nnode = \"/dev/video77\""),
        &["camera cannot run", "open /dev/video77", "No such file"],
    );
    let screen = "name = \"t\"\n[[participant]]\nname = \"card\"\nkind = \"pattern\"\nextent = [640, 480]\n\
                  [[participant]]\nname = \"screen\"\nkind = \"screen\"\nreads = [\"card\"]\n";
    refused(
        &format!("{screen}node = \"/dev/dri/card77\"\n"),
        &["screen cannot run", "/dev/dri/card77", "handover devices"],
    );
    let Some(connector) = connector() else { return skip("screen", "no connector that is connected") };
    // A screen that is unplugged, as far as the kernel can be told so.
    let status = connector.join("status");
    if fs::write(&status, "off").is_err() {
        return skip("root", "the status of a connector is root's to set");
    }
    let unplugged = std::panic::catch_unwind(|| refused(screen, &["a card with a screen", "is not connected"]));
    fs::write(&status, "detect").unwrap();
    unplugged.unwrap();
    let odd = screen.replace("[640, 480]", "[648, 480]");
    refused(&odd, &["a mode of 648x480", "640x480", "nobody scales"]);
}

fn connector() -> Option<std::path::PathBuf> {
    let entries = fs::read_dir("/sys/class/drm").ok()?.flatten().map(|entry| entry.path());
    entries
        .into_iter()
        .find(|path| fs::read_to_string(path.join("status")).is_ok_and(|status| status.trim() == "connected"))
}

#[test]
fn a_user_who_may_not_open_the_nodes_is_told_which_and_what_helps() {
    const NOBODY: u32 = 65534;
    let directory = Directory::new();
    if !Path::new("/dev/video0").exists() || !rustix::process::getuid().is_root() {
        return skip("camera", "no node that root could keep from others");
    }
    let output = command(&directory, &["camera", "--frames", "1"]).uid(NOBODY).gid(NOBODY).output();
    let Ok(output) = output else { return skip("nobody", "the program lies where others cannot run it") };
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let message = stderr(&output);
    assert!(message.contains("Permission denied") && message.contains("group `video`"), "{message}");
}

/// The driver lets go of the camera while it streams: an error like any other, and the run ends.
#[test]
fn a_camera_that_is_unplugged_ends_the_run_with_an_error_that_names_it() {
    const DRIVER: &str = "/sys/bus/platform/drivers/vivid";
    let _turn = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = Directory::new();
    if !Path::new(DRIVER).join("vivid.0").exists() {
        return skip("vivid", "only a virtual camera can be unplugged by a test");
    }
    let text = "name = \"t\"\n[[participant]]\nname = \"eye\"\nkind = \"camera\"\nextent = [640, 480]\n\
                [[participant]]\nname = \"video\"\nkind = \"encoder\"\nreads = [\"eye\"]\n";
    let pipeline = directory.file("eye.toml", text);
    let child = command(&directory, &[&pipeline, "--frames", "5000"]).spawn().unwrap();
    wait_for_bytes(&directory.out().join("video.mp4"), 2000);
    fs::write(Path::new(DRIVER).join("unbind"), "vivid.0").unwrap();
    let (output, _) = finish(child, Duration::from_secs(60));
    fs::write(Path::new(DRIVER).join("bind"), "vivid.0").unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("eye") && message.contains("/dev/video") && message.contains("is gone"), "{message}");
    assert!(whole_fragments(&directory.out().join("video.mp4")) > 0, "what was recorded is whole");
}
