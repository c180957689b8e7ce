//! An application and a display server on simulated chips: who decodes whose layout, what LINEAR costs, and that a wrong address shows.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Directory, find, participant, report, run, stderr};
use serde_json::{Value, json};

const FRAMES: u64 = 6;
/// Of the shipped pipelines.
const FRAME_BYTES: u64 = 640 * 360 * 4;

/// A run of a pipeline that ends well, and its report.
fn ran(pipeline: &str, more: &[&str]) -> Value {
    let directory = Directory::new();
    let output = run(&directory, &[&[pipeline, "--frames", &FRAMES.to_string()], more].concat());
    assert_eq!(output.status.code(), Some(0), "{pipeline} {more:?}: {}", stderr(&output));
    let report = report(&directory);
    assert_eq!((&report["ended"], &report["different"]), (&json!("complete"), &json!([])), "{pipeline} {more:?}");
    report
}

/// What a reader saw of its one producer.
fn seen(report: &Value, reader: &str) -> String {
    participant(report, reader)["inputs"][0]["content_sha256"].as_str().unwrap().to_owned()
}

fn surfaces_of<'a>(report: &'a Value, owner: &str) -> Vec<&'a Value> {
    report["allocations"].as_array().unwrap().iter().filter(|surface| surface["owner"] == owner).collect()
}

fn modifiers_of(report: &Value, owner: &str, shared: bool) -> Vec<String> {
    let mut all: Vec<String> = surfaces_of(report, owner)
        .into_iter()
        .filter(|surface| surface["shared"] == shared)
        .map(|surface| surface["modifier"].as_str().unwrap().to_owned())
        .collect();
    all.dedup();
    all
}

#[test]
fn the_server_shows_the_same_whether_it_decodes_or_gets_linear_copies() {
    for pipeline in ["dri", "dri-vendor"] {
        let [decode, linear] = ["decode", "linear"].map(|way| ran(pipeline, &["--other-device", way]));
        for (report, way) in [(&decode, "decode"), (&linear, "linear")] {
            assert_eq!(report["other_device"], way);
            assert_eq!(report["pixel_bytes_copied_between_processes"], 0);
            assert_eq!(participant(report, "application")["frame_bytes"], FRAMES * FRAME_BYTES);
        }
        for reader in ["server", "screen"] {
            assert_eq!(seen(&decode, reader), seen(&linear, reader), "{pipeline}: {reader}");
        }
        assert_eq!(seen(&decode, "server"), participant(&decode, "application")["content_sha256"].as_str().unwrap());

        // Decoded: one set of surfaces, in a layout of the application's, and every pixel is written once.
        let shared = modifiers_of(&decode, "application", true);
        assert!(shared.len() == 1 && shared[0].starts_with("AMD GFX10_RBPLUS 64K_R_X"), "{pipeline}: {shared:?}");
        assert!(surfaces_of(&decode, "application").iter().all(|surface| surface["linear"] == false));
        assert_eq!(modifiers_of(&decode, "application", false), [""; 0]);
        assert_eq!(decode["linear_copy_bytes"], 0);
        assert!(participant(&decode, "server")["device"].as_str().unwrap().contains("+decode (simulated)"));

        // Copied: what is shared was asked to be LINEAR, what is drawn into is compressed, and every pixel is written twice.
        assert_eq!(modifiers_of(&linear, "application", true), ["LINEAR"]);
        let private: Vec<&Value> =
            surfaces_of(&linear, "application").into_iter().filter(|surface| surface["shared"] == false).collect();
        assert_eq!(private.len(), 1);
        assert_eq!((&private[0]["compressed"], &private[0]["readers"]), (&json!(true), &json!([])));
        assert_eq!(linear["linear_copy_bytes"], FRAMES * FRAME_BYTES);
        assert_eq!(participant(&linear, "application")["linear_copy_bytes"], FRAMES * FRAME_BYTES);
        assert_eq!(participant(&linear, "server")["linear_copy_bytes"], 0, "server and screen are one chip");
        let asked = surfaces_of(&linear, "application").into_iter().filter(|surface| surface["shared"] == true);
        assert!(asked.into_iter().all(|surface| surface["layout"] == "LINEAR asked for"));
    }
}

#[test]
fn without_a_word_negotiation_finds_what_both_know_already() {
    let vendors = ran("dri", &[]);
    assert_eq!(modifiers_of(&vendors, "application", true), ["LINEAR"]);
    assert_eq!((&vendors["linear_copy_bytes"], &vendors["other_device"]), (&json!(0), &Value::Null));
    let one_vendor = ran("dri-vendor", &[]);
    assert_eq!(modifiers_of(&one_vendor, "application", true), ["AMD GFX9 64K_S"]);
    assert_eq!(seen(&vendors, "screen"), seen(&one_vendor, "screen"));
}

#[test]
fn on_one_chip_everything_stays_compressed_all_the_way() {
    for more in [&[][..], &["--other-device", "linear"], &["--other-device", "decode"]] {
        let report = ran("dri-same", more);
        for (producer, reader) in [("application", "server"), ("server", "screen")] {
            let stream = find(&report["streams"], "reader", reader);
            assert!(stream["modifier"].as_str().unwrap().contains("DCC"), "{stream:#}");
            assert_eq!(
                (&stream["export"]["compression"], &stream["export"]["resolve"]),
                (&json!("kept"), &json!("by flush"))
            );
            assert!(surfaces_of(&report, producer).iter().all(|surface| surface["compressed"] == true));
        }
        assert_eq!(report["linear_copy_bytes"], 0);
    }
}

/// A panel over the application: mostly clear, which chips keep to themselves until they are flushed.
const PANEL: &str = r#"
name = "panel"

[[participant]]
name = "application"
kind = "pattern"
device = "SERVER"
extent = [300, 200]
export = ["read", "explicit-flush"]

[[participant]]
name = "panel"
kind = "overlay"
device = "CLIENT"
extent = [300, 200]
export = ["read", "explicit-flush"]

[[participant]]
name = "server"
kind = "compositor"
device = "SERVER"
reads = ["application", "panel"]

[[participant]]
name = "screen"
kind = "preview"
device = "SERVER"
reads = ["server"]
"#;

#[test]
fn every_chip_flushes_what_it_cleared_when_it_swaps_and_reads_every_other() {
    let mut outputs = Vec::new();
    for client in ["vega10", "navi21", "tigerlake", "turing"] {
        for (server, way) in [(client, "decode"), ("turing", "decode"), ("navi21", "decode"), ("tigerlake", "linear")] {
            let directory = Directory::new();
            let text = PANEL.replace("CLIENT", client).replace("SERVER", server);
            let report = ran(&directory.file("panel.toml", text), &["--other-device", way]);
            let flushed = participant(&report, "panel")["flushed_blocks"].as_u64().unwrap();
            let is_compressed = server == client && client != "turing";
            assert_eq!(flushed > 0, is_compressed, "{client} for {server}: {flushed} blocks");
            outputs.push((seen(&report, "screen"), client, server));
        }
    }
    let (first, ..) = &outputs[0];
    assert!(outputs.iter().all(|(hash, ..)| hash == first), "{outputs:?}");
}

/// The run itself notices: both ends hash what went by.
#[test]
fn a_decoder_with_one_wrong_address_bit_fails_the_run() {
    // 64 KiB blocks of four-byte pixels: address bits 2 to 15.
    for bit in 2..16 {
        let directory = Directory::new();
        let more = ["dri", "--frames", "2", "--other-device", "decode", "--flip-decoder-bit", &bit.to_string()];
        let output = run(&directory, &more);
        assert_eq!(output.status.code(), Some(1), "bit {bit}: {}", stderr(&output));
        assert!(stderr(&output).contains("server saw other pixels than application drew"), "{}", stderr(&output));
        let report = report(&directory);
        assert_eq!((&report["ended"], &report["different"][0]["reader"]), (&json!("failed"), &json!("server")));
        assert_ne!(seen(&report, "server"), participant(&report, "application")["content_sha256"].as_str().unwrap());
        assert_eq!(
            seen(&report, "screen"),
            participant(&report, "server")["content_sha256"].as_str().unwrap(),
            "the server's own layout is none that its decoder reads"
        );
    }
    for (pipeline, bit, code, says) in [
        ("dri", "16", 1, "what helps: a bit from 2 to 15"),
        ("dri", "1", 1, "what helps: a bit from 2 to 15"),
        ("dri-same", "4", 2, "has a decoder"),
    ] {
        let directory = Directory::new();
        let output =
            run(&directory, &[pipeline, "--frames", "1", "--other-device", "decode", "--flip-decoder-bit", bit]);
        assert_eq!(output.status.code(), Some(code), "{pipeline} {bit}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn the_summary_shows_surfaces_copies_and_hashes() {
    let directory = Directory::new();
    let output = run(&directory, &["dri", "--frames", "3", "--other-device", "linear"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "application has 1 surface, private: XRGB8888 640x360, AMD GFX10_RBPLUS 64K_R_X, DCC",
        "application has 4 surfaces, shared with server: XRGB8888 640x360, LINEAR (LINEAR asked for), 0.88 MiB each",
        "server saw of application what was drawn: 3 frames, SHA-256 ",
        "pixel bytes drawn: 5529600; written again, to be LINEAR: 2764800",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn a_scenario_has_no_devices_and_says_so() {
    let directory = Directory::new();
    let output = run(&directory, &["tiles", "--other-device", "linear"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--other-device is for pipelines"), "{}", stderr(&output));
    let output = run(&directory, &["dri", "--other-device", "guess"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("[possible values: linear, decode]"), "{}", stderr(&output));
}
