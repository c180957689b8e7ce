//! A side of OpenGL exports to sides of OpenCL that read, write, and do both: what is decided for each, that all of it is read back right,
//! and that what is wrong shows.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{
    Directory, command, find, finish, leftovers, participant, participants_of, report, run, signal, status_of, stderr,
    wait_for,
};
use handover_cli::media::png;
use serde_json::{Value, json};

const FRAMES: u64 = 6;

/// Of the shipped pipeline's textures.
const TILE: (usize, usize) = (320, 180);

/// Many times what a run that was cut short takes.
const LIMIT: Duration = Duration::from_secs(20);

/// A run that ends well, and its report.
fn ran(pipeline: &str, more: &[&str]) -> (Directory, Value) {
    let directory = Directory::new();
    let output = run(&directory, &[&[pipeline, "--frames", &FRAMES.to_string()], more].concat());
    assert_eq!(output.status.code(), Some(0), "{pipeline} {more:?}: {}", stderr(&output));
    let report = report(&directory);
    assert_eq!((&report["ended"], &report["different"]), (&json!("complete"), &json!([])), "{pipeline} {more:?}");
    (directory, report)
}

/// An `opengl` on one chip and a compute on another, or the same.
fn pair(opengl: &str, compute: &str, access: &str, version: u32) -> String {
    format!(
        "name = \"pair\"\n[[participant]]\nname = \"gl\"\nkind = \"opengl\"\ndevice = \"{opengl}\"\nextent = [300, 200]\n\
         [[participant]]\nname = \"cl\"\nkind = \"compute\"\ndevice = \"{compute}\"\nreads = [\"gl\"]\n\
         access = \"{access}\"\nversion = {version}\n"
    )
}

#[test]
fn a_reader_keeps_the_compression_and_a_writer_drops_it() {
    let (directory, report) = ran("gl-cl", &[]);
    let shader = "decompress and drop DCC: a consumer writes from shaders, which before GFX11 do not write DCC";
    for (name, access, compression, step) in [
        ("histogram", "READ", "kept", "write the metadata: the first export"),
        ("negative", "READ | WRITE", "dropped", shader),
        ("weave", "WRITE", "dropped", shader),
    ] {
        let interop = find(&report["interop"], "importer", name);
        assert_eq!((&interop["access"], &interop["frames_read_back"]), (&json!(access), &json!(FRAMES)), "{name}");
        let [texture, buffer] = interop["objects"].as_array().unwrap().as_slice() else { panic!("{interop:#}") };
        assert_eq!((&texture["compression"], &texture["versions"]), (&json!(compression), &json!([2, 2])), "{name}");
        assert_eq!(texture["flags"], format!("{access} | EXPLICIT_FLUSH"), "{name}");
        assert!(texture["steps"].as_array().unwrap().contains(&json!(step)), "{texture:#}");
        let of_buffer = (&buffer["object"], &buffer["flags"], &buffer["bytes"]);
        assert_eq!(of_buffer, (&json!("buffer"), &json!("WRITE | EXPLICIT_FLUSH"), &json!(1056)), "{name}");
        assert_eq!(participant(&report, name)["frames"]["shown"], FRAMES);
        let allocated = find(&report["allocations"], "importer", name);
        assert_eq!((&allocated["readers"], &allocated["compressed"]), (&json!([name]), &json!(true)));
    }
    assert_eq!(report["streams"].as_array().unwrap().len(), 1, "a compute is no reader of a pool");
    assert_eq!(report["pixel_bytes_copied_between_processes"], 0);
    shows_all_four(&directory);
}

/// The preview: what was drawn, what was only read, the negative of it, and what was filled.
fn shows_all_four(directory: &Directory) {
    let (extent, bytes) = png::read(&directory.out().join("preview-last.png")).unwrap();
    let (width, height) = TILE;
    assert_eq!((extent.width().get() as usize, extent.height().get() as usize), (2 * width, 2 * height));
    let pixel = |(column, row): (usize, usize), (x, y): (usize, usize)| -> [u8; 3] {
        let at = ((row * height + y) * 2 * width + column * width + x) * 4;
        bytes[at..at + 3].try_into().unwrap()
    };
    // Between the label above and the bars below.
    for at in [(40, 30), (200, 90), (250, 115), (319, 130)] {
        let drawn = pixel((0, 0), at);
        assert_eq!(pixel((1, 0), at), drawn, "{at:?}: read");
        assert_eq!(pixel((0, 1), at), drawn.map(|channel| !channel), "{at:?}: the negative");
        assert_ne!(pixel((1, 1), at), pixel((1, 1), (at.0 - 1, at.1)), "{at:?}: filled");
    }
}

#[test]
fn the_summary_tells_each_decision_and_its_reason() {
    let directory = Directory::new();
    let output = run(&directory, &["gl-cl", "--frames", "2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "texture for READ: compression kept: every consumer only reads; resolved by flush",
        "texture for WRITE: compression dropped: the consumer may write, and would not keep the compression plane up to date; decompress and \
         drop DCC: a consumer writes from shaders, which before GFX11 do not write DCC",
        "gl read back what negative left (READ | WRITE), all of it right: 2 frames",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn every_chip_whose_metadata_is_whole_works_for_its_own_and_with_a_decoder_for_others() {
    for (opengl, compute) in [
        ("navi21", "navi21"),
        ("vega10", "vega10"),
        ("tigerlake", "tigerlake"),
        ("tigerlake", "navi21+decode"),
        ("tigerlake", "turing+decode"),
    ] {
        for access in ["read", "write", "read-write"] {
            // A compute of the first version counts on no flush.
            for (version, resolve) in [(1, "by tracking"), (2, "by flush")] {
                let directory = Directory::new();
                let (_, report) = ran(&directory.file("pair.toml", pair(opengl, compute, access, version)), &[]);
                let interop = find(&report["interop"], "importer", "cl");
                assert_eq!(interop["frames_read_back"], FRAMES, "{opengl} {compute} {access}");
                let texture = &interop["objects"][0];
                let is_kept = opengl != "tigerlake" && access == "read";
                assert_eq!(texture["compression"] == "kept", is_kept, "{opengl} {access}: {texture:#}");
                assert_eq!(texture["resolve"], if is_kept { resolve } else { "nothing" }, "{opengl} {access}");
                assert_eq!(texture["flags"].as_str().unwrap().contains("EXPLICIT_FLUSH"), version == 2);
            }
        }
    }
}

#[test]
fn a_decoder_with_one_wrong_address_bit_fails_the_run_for_every_access() {
    for bit in ["2", "7", "11"] {
        for (access, says) in [
            ("read", "cl, a compute for READ, says in its buffer that it saw or wrote other pixels in frame 1"),
            ("read-write", "cl, a compute for READ | WRITE, "),
            ("write", "cl, a compute for WRITE, left another picture in its texture than it should: pixel ("),
        ] {
            let directory = Directory::new();
            let pipeline = directory.file("pair.toml", pair("tigerlake", "vega10+decode", access, 2));
            let output = run(&directory, &[&pipeline, "--frames", "2", "--flip-decoder-bit", bit]);
            assert_eq!(output.status.code(), Some(1), "{access} {bit}: {}", stderr(&output));
            assert!(stderr(&output).contains(says), "{access} {bit}: {}", stderr(&output));
            let report = report(&directory);
            assert_eq!((&report["ended"], &report["dead"][0]["name"]), (&json!("failed"), &json!("gl")));
            assert_eq!(report["dead"].as_array().unwrap().len(), 1, "{report:#}");
        }
    }
}

#[test]
fn what_a_device_cannot_import_is_refused_before_anything_starts() {
    let decode = "what helps: --other-device decode, or device = \"vega10+decode\" for cl";
    for (opengl, compute, says) in [
        ("navi21", "vega10", ["GB_ADDR_CONFIG", "what helps: device = \"navi21\" for cl too"]),
        ("tigerlake", "vega10", ["this device has no decoder for that layout", decode]),
        ("turing", "vega10+decode", ["generation", "what helps: an `opengl` on a chip whose metadata"]),
        // The word of nouveau leaves out which generation of chips it is of.
        ("turing", "turing", ["generation", "what helps: an `opengl` on a chip whose metadata says all of its layout"]),
    ] {
        let directory = Directory::new();
        let pipeline = directory.file("pair.toml", pair(opengl, compute, "read", 2));
        let output = run(&directory, &[&pipeline]);
        assert_eq!(output.status.code(), Some(2), "{opengl} {compute}: {}", stderr(&output));
        let message = stderr(&output);
        assert!(message.contains("cl cannot import a texture and a buffer of gl"), "{message}");
        assert!(says.iter().all(|says| message.contains(says)), "{message}");
        assert!(!directory.out().exists());
    }
}

#[test]
fn a_device_without_metadata_is_refused_where_it_is_named() {
    let chips = "allowed: polaris10, vega10, navi21, tigerlake, turing";
    for (opengl, compute, says) in [
        ("plain", "navi21", "`gl` is on the device plain"),
        ("blocks", "navi21", "`gl` is on the device blocks"),
        ("navi21", "plain", "`cl` is on the device plain"),
    ] {
        let directory = Directory::new();
        let output = run(&directory, &[&directory.file("pair.toml", pair(opengl, compute, "read", 2))]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{opengl} {compute}: {message}");
        assert!(message.contains(says) && message.contains(chips), "{message}");
    }
    let directory = Directory::new();
    let unsaid = pair("navi21", "navi21", "read", 2).replace("device = \"navi21\"\n", "");
    let message = stderr(&run(&directory, &[&directory.file("pair.toml", unsaid)]));
    assert!(message.contains("`gl` is on the device plain, which it is without `device`"), "{message}");
    assert!(message.contains("`cl` is on the device plain, which it is without `device`"), "{message}");
}

#[test]
fn on_another_device_a_texture_is_decoded_and_never_linear() {
    let directory = Directory::new();
    let pipeline = directory.file("pair.toml", pair("tigerlake", "vega10", "read-write", 2));
    let output = run(&directory, &[&pipeline, "--frames", "2", "--other-device", "linear"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for says in ["--other-device linear: cl imports what gl exports", "what helps: --other-device decode"] {
        assert!(message.contains(says), "{message}");
    }
    ran(&pipeline, &["--other-device", "decode"]);
    ran(&directory.file("same.toml", pair("navi21", "navi21", "read", 2)), &["--other-device", "linear"]);
}

#[test]
fn on_linux_textures_are_dma_bufs_or_nothing_runs() {
    let directory = Directory::new();
    let pipeline = directory.file("pair.toml", pair("navi21", "navi21", "read-write", 2));
    let output = run(&directory, &[&pipeline, "--frames", "2", "--backend", "linux"]);
    if Path::new("/dev/udmabuf").exists() {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(report(&directory)["backend"], "linux");
    } else {
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.contains("gl cannot run on the backend linux here") && message.contains("/dev/udmabuf"),
            "{message}"
        );
        assert!(!directory.out().exists());
    }
}

/// Waits until a participant has done some frames.
fn wait_for_frames(pid: u32) {
    let started = Instant::now();
    while status_of(pid).is_none_or(|(_, frames)| frames < 3) {
        assert!(started.elapsed() < LIMIT, "process {pid} has done nothing");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_side_that_is_killed_ends_the_run_and_is_named() {
    for name in ["histogram", "negative", "weave", "gl"] {
        let directory = Directory::new();
        let mut run = command(&directory, &["gl-cl", "--frames", "100000"]).spawn().unwrap();
        let pid = wait_for(&mut run, name).unwrap();
        wait_for_frames(pid);
        signal(pid, "KILL");
        let (output, _) = finish(run, LIMIT);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert!(message.contains(&format!("{name} (process {pid}) was killed by SIGKILL")), "{message}");
        let report = report(&directory);
        assert_eq!((&report["ended"], &report["dead"][0]["name"]), (&json!("failed"), &json!(name)));
        assert_eq!(report["dead"].as_array().unwrap().len(), 1, "the others end well: {message}");
        assert_eq!(report["killed"], json!([]), "{message}");
        assert_eq!(leftovers(&directory), [""; 0]);
    }
}

#[test]
fn an_interrupted_run_ends_with_what_was_read_back() {
    let directory = Directory::new();
    let mut run = command(&directory, &["gl-cl", "--frames", "100000"]).spawn().unwrap();
    wait_for_frames(wait_for(&mut run, "preview").unwrap());
    signal(run.id(), "INT");
    let started = participants_of(run.id()).len();
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(130), "{started} participants: {}", stderr(&output));
    let report = report(&directory);
    assert_eq!((&report["dead"], &report["killed"]), (&json!([]), &json!([])), "{}", stderr(&output));
    assert!(find(&report["interop"], "importer", "weave")["frames_read_back"].as_u64().unwrap() >= 3);
}
