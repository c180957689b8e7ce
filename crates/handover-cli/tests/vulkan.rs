//! `pipelines/vulkan.toml` on a driver of Vulkan: what two clients render and a compositor lays over each other is what encoders and a
//! preview read, pixel by pixel; and the validation layer has nothing to say.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;
use std::process::Output;

use common::{Directory, command, find, participant, report, run, skip, stderr, whole_fragments};
use handover_cli::media::h264::Frames;
use handover_cli::media::mp4::Clip;
use handover_cli::media::png;
use handover_vulkan::paint::scene;
use serde_json::Value;

const PIPELINE: &str = include_str!("../pipelines/vulkan.toml");
const FRAMES: u32 = 25;
const BACK: (u32, u32) = (320, 180);
const FRONT: (u32, u32) = (160, 90);

/// What the layer that Debian 12 has (1.3.239) says of an image of modifier LINEAR: it compares modifiers, of which LINEAR is 0, by `&`,
/// and so finds no features at all. The driver has them; `handover-vulkan`'s own tests ask it.
const FALSE_ALARMS: [&str; 2] = ["VUID-vkCmdDraw-blendEnable-04727", "VUID-vkCmdDraw-magFilter-04553"];

/// The shipped pipeline, with pictures that a driver on the CPU draws in time.
fn small() -> String {
    PIPELINE.replace("[320, 180]", "[160, 90]").replace("[640, 360]", "[320, 180]")
}

/// Is there a device that can share images? Then the run was not refused.
fn has_vulkan(output: &Output) -> bool {
    if output.status.code() != Some(2) {
        return true;
    }
    let message = stderr(output);
    assert!(message.contains("cannot run on the backend linux") && message.contains("handover devices"), "{message}");
    skip("vulkan", &message);
    false
}

/// The XRGB8888 pixels of a picture, row by row.
fn picture(path: &Path) -> ((u32, u32), Vec<u32>) {
    let (extent, bytes) = png::read(path).unwrap();
    let pixels = bytes.as_chunks::<4>().0.iter().map(|pixel| u32::from_le_bytes(*pixel) & 0x00ff_ffff).collect();
    ((extent.width().get(), extent.height().get()), pixels)
}

#[test]
fn what_devices_draw_is_what_encoders_and_a_preview_read() {
    let directory = Directory::new();
    let pipeline = directory.file("vulkan.toml", small());
    // To a file of its own the layer would write over what it wrote for another process.
    let settings = "khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG\n\
                    khronos_validation.report_flags = error,warn\nkhronos_validation.log_filename = /proc/self/fd/2\n";
    let output = command(&directory, &[&pipeline, "--frames", &FRAMES.to_string()])
        .env("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation")
        .env("VK_LAYER_SETTINGS_PATH", directory.file("vk_layer_settings.txt", settings))
        .output()
        .unwrap();
    if !has_vulkan(&output) {
        return;
    }
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let complaints = said.lines().chain(std::str::from_utf8(&output.stdout).unwrap().lines());
    let complaint = complaints
        .filter(|line| line.contains("VUID"))
        .find(|line| !FALSE_ALARMS.iter().any(|alarm| line.contains(alarm)));
    assert_eq!(complaint, None);

    for (which, frame) in [("first", 0), ("middle", FRAMES.div_ceil(2) - 1), ("last", FRAMES - 1)] {
        let (size, pixels) = picture(&directory.out().join(format!("preview-{which}.png")));
        assert_eq!(size, BACK);
        for (index, found) in (0..).zip(pixels) {
            let at: (u32, u32) = (index % BACK.0, index / BACK.0);
            let on_front = at.0 < FRONT.0 && at.1 < FRONT.1;
            let (size, client) = if on_front { (FRONT, 1) } else { (BACK, 0) };
            let expected = scene::pixel(size, frame, client, at) & 0x00ff_ffff;
            assert_eq!(found, expected, "{which}: {found:06x}, not {expected:06x}, at {at:?}");
        }
    }
    for video in ["stream.mp4", "capture.mp4"] {
        let path = directory.out().join(video);
        assert_eq!(whole_fragments(&path), FRAMES as usize);
        let pictures: Vec<_> = Frames::new(&Clip::open(&path).unwrap()).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(pictures.len(), FRAMES as usize, "{video}");
    }
    check_report(&report(&directory));
}

fn check_report(report: &Value) {
    assert_eq!((&report["ended"], &report["backend"]), (&"complete".into(), &"linux".into()));
    assert_eq!(report["pixel_bytes_copied_between_processes"], 0);
    for (name, of) in [("back", 1), ("front", 1), ("compositor", 3)] {
        let party = participant(report, name);
        let vulkan = &party["vulkan"];
        assert_eq!(party["device"], vulkan["device"]);
        for field in ["device", "class", "driver", "version", "attaches_fences"] {
            assert!(!vulkan[field].as_str().unwrap().is_empty(), "{field}: {vulkan:#}");
        }
        assert!(vulkan["extensions"].as_array().unwrap().contains(&"VK_EXT_image_drm_format_modifier".into()));
        let images = vulkan["images"].as_array().unwrap();
        assert_eq!(images.len(), of, "{images:?}");
        assert!(
            images.iter().all(|images| images["planes"].as_u64().unwrap() >= 1 && images["compressed"].is_boolean())
        );
        assert_eq!(vulkan["jobs"], FRAMES);
        assert_eq!(party["sockets"]["descriptors"], 0, "no descriptor for a frame: {party:#}");
    }
    for reader in ["stream", "capture", "preview"] {
        let stream = find(&report["streams"], "reader", reader);
        // A CPU reads, so it is linear.
        assert_eq!((&stream["producer"], &stream["modifier"]), (&"compositor".into(), &"LINEAR".into()));
        assert!(participant(report, reader)["vulkan"].is_null());
    }
}

/// Surfaces of CPUs, in udmabufs, go into the device; and it blends as the CPU does.
#[test]
fn a_device_lays_over_each_other_what_cpus_draw_as_a_cpu_does() {
    let directory = Directory::new();
    let text = "name = \"t\"\n[[participant]]\nname = \"card\"\nkind = \"pattern\"\nextent = [160, 90]\n\
                [[participant]]\nname = \"overlay\"\nkind = \"overlay\"\n\
                [[participant]]\nname = \"gpu\"\nkind = \"compositor\"\ndevice = \"vulkan\"\nreads = [\"card\", \"overlay\"]\n\
                [[participant]]\nname = \"cpu\"\nkind = \"compositor\"\nreads = [\"card\", \"overlay\"]\n\
                [[participant]]\nname = \"by-gpu\"\nkind = \"preview\"\nreads = [\"gpu\"]\n\
                [[participant]]\nname = \"by-cpu\"\nkind = \"preview\"\nreads = [\"cpu\"]\n";
    let output = run(&directory, &[&directory.file("both.toml", text), "--frames", "5"]);
    if !has_vulkan(&output) {
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let [(size, by_gpu), (_, by_cpu)] =
        ["by-gpu", "by-cpu"].map(|name| picture(&directory.out().join(format!("{name}-last.png"))));
    for (index, (gpu, cpu)) in (0u32..).zip(by_gpu.iter().zip(&by_cpu)) {
        let near = |shift: u32| (gpu >> shift & 0xff).abs_diff(cpu >> shift & 0xff) <= 1;
        let at = (index % size.0, index / size.0);
        assert!(near(0) && near(8) && near(16), "{gpu:06x} by the device, {cpu:06x} by the CPU, at {at:?}");
    }
    let report = report(&directory);
    let allocator = |producer| find(&report["streams"], "producer", producer)["allocator"].as_str().unwrap().to_owned();
    assert_eq!((allocator("card"), allocator("overlay")), ("udmabuf".into(), "udmabuf".into()));
    assert_eq!(report["pixel_bytes_copied_between_processes"], 0);
}

#[test]
fn what_cannot_be_agreed_on_is_refused_with_the_conflict() {
    let directory = Directory::new();
    let text = PIPELINE.replace("index = 0", "index = 0\nformats = [\"XBGR8888\"]");
    let text = text.replace("reads = [\"back\", \"front\"]", "reads = [\"back\", \"front\"]\nformats = [\"XRGB8888\"]");
    let output = run(&directory, &[&directory.file("vulkan.toml", text), "--frames", "1"]);
    let message = stderr(&output);
    if message.contains("cannot run on the backend linux") {
        return skip("vulkan", &message);
    }
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["back and those who read it have no format in common", "back has XBGR8888", "compositor has XRGB8888"]
    {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(!directory.out().exists(), "refused before anything was made");
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let directory = Directory::new();
    let text = PIPELINE.replace("index = 0", "index = 0\ngpu = \"no such device\"");
    let output = run(&directory, &[&directory.file("vulkan.toml", text), "--frames", "1"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("back cannot run") && message.contains("what helps"), "{message}");
    // Without a loader, what is missing is the loader.
    assert!(message.contains("\"no such device\"") || message.contains("asked for Vulkan"), "{message}");
    assert!(!directory.out().exists());
}

#[test]
fn vulkan_is_refused_on_the_software_backend() {
    let directory = Directory::new();
    let output = run(&directory, &["vulkan", "--backend", "software"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("back draws by Vulkan") && message.contains("what helps: --backend linux"), "{message}");
}
