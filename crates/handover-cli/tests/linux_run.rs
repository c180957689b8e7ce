//! The shipped pipelines on dma-bufs: the same run, the same checks. Where `/dev/udmabuf` cannot be opened, the refusal is checked.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::OpenOptions;

use common::{Directory, participant, report, run, skip, stderr, whole_fragments};
use serde_json::Value;

/// Is there a source of dma-bufs? Else a skip, after a look at the refusal.
fn udmabuf() -> bool {
    let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/udmabuf") else { return true };
    let directory = Directory::new();
    let output = run(&directory, &["--backend", "linux", "--frames", "1"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("/dev/udmabuf") && message.contains("handover devices"), "{message}");
    assert!(!directory.out().exists(), "refused before anything was made");
    skip("udmabuf", &error.to_string());
    false
}

fn check(pipeline: &str, frames: u64, videos: &[&str], allocators: &[&str]) -> Value {
    let directory = Directory::new();
    let output = run(&directory, &[pipeline, "--backend", "linux", "--frames", &frames.to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&directory);
    assert_eq!((&report["ended"], &report["backend"]), (&"complete".into(), &"linux".into()));
    assert_eq!(report["pixel_bytes_copied_between_processes"], 0);
    let streams = report["streams"].as_array().unwrap();
    // A message a frame and one for its release.
    assert!(report["socket_bytes_per_frame"].as_f64().unwrap() < streams.len() as f64 * 2.0 * 64.0);
    for stream in streams {
        assert!(allocators.contains(&stream["allocator"].as_str().unwrap()), "{stream:#}");
        assert_eq!(stream["export"]["read_only"], "unenforced", "a udmabuf is open for reading and writing");
    }
    for participant in report["participants"].as_array().unwrap() {
        assert_eq!(participant["sockets"]["descriptors"], 0, "no descriptor for a frame: {participant:#}");
        assert_eq!(participant["descriptors"]["start"], participant["descriptors"]["end"], "{participant:#}");
    }
    for video in videos {
        assert_eq!(whole_fragments(&directory.out().join(video)) as u64, frames, "{video}");
    }
    report
}

#[test]
fn desktop_runs_in_dma_bufs() {
    if !udmabuf() {
        return;
    }
    let report = check("desktop", 3, &["stream.mp4", "capture.mp4"], &["udmabuf"]);
    assert_eq!(participant(&report, "preview")["frames"]["shown"], 3);
    let decision =
        &report["streams"].as_array().unwrap().iter().find(|stream| stream["producer"] == "clip").unwrap()["export"];
    assert_eq!(decision["compression"], "kept", "what the flags say does not depend on the memory");
}

#[test]
fn fanout_runs_in_dma_bufs() {
    if udmabuf() {
        check("fanout", 3, &["low.mp4", "middle.mp4", "high.mp4"], &["udmabuf"]);
    }
}
