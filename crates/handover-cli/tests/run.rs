//! `handover run` as a whole: real processes, real files, and a report that fits them.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;

use common::{Directory, find, participant, report, run, stderr, whole_fragments};
use handover_cli::media::colour::to_xrgb;
use handover_cli::media::h264::Frames;
use handover_cli::media::mp4::Clip;
use handover_cli::media::{I420, png};
use serde_json::{Value, json};

const READERS: [&str; 3] = ["compositor", "stream", "capture"];

#[test]
fn the_default_pipeline_makes_two_videos_three_pictures_and_a_report() {
    let directory = Directory::new();
    let output = run(&directory, &["--frames", "25"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "", "quiet where nobody watches");

    for video in ["stream.mp4", "capture.mp4"] {
        assert_eq!(whole_fragments(&directory.out().join(video)), 25);
    }
    for which in ["first", "middle", "last"] {
        let (extent, pixels) = png::read(&directory.out().join(format!("preview-{which}.png"))).unwrap();
        assert_eq!((extent.width().get(), extent.height().get()), (720, 404));
        // Above is the clip, which is not black; the strip at the bottom is half transparent over it.
        assert!(pixels[..720 * 4].iter().any(|byte| *byte > 40 && *byte < 255));
    }

    let report = report(&directory);
    assert_eq!((&report["ended"], &report["frames"]), (&json!("complete"), &json!(25)));
    assert_eq!(report["frames_done"], 25);
    assert!(report["devices"].as_str().unwrap().contains("simulated"));
    for reader in READERS {
        assert_eq!(participant(&report, reader)["frames"]["shown"], 25);
    }
    for producer in ["clip", "overlay", "compositor"] {
        let producer = participant(&report, producer);
        assert_eq!(producer["frames"], json!({ "submitted": 25, "shown": producer["frames"]["shown"], "dropped": 0 }));
        let (p50, p99) = (&producer["latency_us"]["p50"], &producer["latency_us"]["p99"]);
        assert!(p50.as_f64().unwrap() > 0.0 && p99.as_f64() >= p50.as_f64(), "{producer:#}");
    }
    for name in ["clip", "overlay", "compositor", "stream", "capture", "preview"] {
        let participant = participant(&report, name);
        assert!(participant["device"].as_str().unwrap().contains("simulated"));
        let waiting = participant["waiting_us"].as_object().unwrap();
        assert!(
            ["fence", "pool_empty", "peer", "cpu", "flush", "encoder"].iter().all(|cause| waiting.contains_key(*cause))
        );
    }
}

/// The way from the decoder through tiles, compression and composition loses nothing: above the overlay's strip the
/// pictures are the clip's frames, bit by bit.
#[test]
fn the_pictures_show_the_frames_of_the_clip_exactly() {
    let directory = Directory::new();
    let output = run(&directory, &["--frames", "9"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let clip = Clip::from_bytes(Clip::DEFAULT_NAME, Clip::DEFAULT).unwrap();
    let frames: Vec<I420> = Frames::new(&clip).unwrap().take(9).collect::<Result<_, _>>().unwrap();
    let above = 720 * 350 * 4;
    for (which, index) in [("first", 0), ("middle", 4), ("last", 8)] {
        let (_, pixels) = png::read(&directory.out().join(format!("preview-{which}.png"))).unwrap();
        let expected = to_xrgb(&frames[index]);
        assert!(pixels[..above] == expected[..above], "{which} is not frame {index}");
        assert!(pixels[above..] != expected[above..], "{which} has no overlay");
    }
}

#[test]
fn no_pixel_is_copied_between_processes_and_sockets_know_only_indices() {
    let directory = Directory::new();
    // A file instead of the clip in the program: what a participant reads from files of its own is no copy.
    let clip = directory.file("clip.mp4", Clip::DEFAULT);
    let output = run(&directory, &["--frames", "12", "--input", &clip]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&directory);
    assert_eq!(report["pixel_bytes_copied_between_processes"], 0);
    assert!(participant(&report, "clip")["read_bytes"]["own"].as_u64().unwrap() > 10_000, "the clip was read");
    // Five streams: a message a frame and one for its release.
    assert!(report["socket_bytes_per_frame"].as_f64().unwrap() < 5.0 * 2.0 * 64.0);
    for participant in report["participants"].as_array().unwrap() {
        assert_eq!(participant["sockets"]["descriptors"], 0, "buffers are registered once: {participant:#}");
    }
}

#[test]
fn a_copying_participant_costs_frames_times_size() {
    let directory = Directory::new();
    let pipeline = directory.file("copy.toml", PIPELINE.replace("HOLD", "copies = true"));
    let output = run(&directory, &[&pipeline, "--frames", "9"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&directory);
    assert_eq!(report["pixel_bytes_copied_between_processes"], 9 * 64 * 48 * 4);
    assert_eq!(find(&report["streams"], "reader", "a")["carrier"], "copied through a socket");
    for video in ["a.mp4", "b.mp4", "c.mp4"] {
        assert_eq!(whole_fragments(&directory.out().join(video)), 9);
    }
}

/// One producer, three readers; the first has a line for what is tried.
const PIPELINE: &str = r#"
name = "three readers"
fps = 25

[[participant]]
name = "card"
kind = "pattern"
extent = [64, 48]

[[participant]]
name = "a"
kind = "encoder"
reads = ["card"]
HOLD

[[participant]]
name = "b"
kind = "encoder"
reads = ["card"]

[[participant]]
name = "c"
kind = "encoder"
reads = ["card"]
"#;

#[test]
fn three_readers_hold_one_frame_at_the_same_time() {
    let directory = Directory::new();
    let text = PIPELINE.replace("HOLD\n", "").replace("reads = [\"card\"]", "reads = [\"card\"]\nhold_ms = 100");
    let pipeline = directory.file("hold.toml", text);
    let output = run(&directory, &[&pipeline, "--frames", "20"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&directory);
    let held = |name: &str, frame: u64| {
        let holds = participant(&report, name)["holds"].as_array().unwrap();
        let hold = holds.iter().find(|hold| hold["frame"] == frame).unwrap();
        (hold["from_ns"].as_u64().unwrap(), hold["to_ns"].as_u64().unwrap())
    };
    let overlap = |names: &[&str], frame: u64| {
        let all: Vec<(u64, u64)> = names.iter().map(|name| held(name, frame)).collect();
        assert!(all.iter().all(|(from, to)| to - from >= 100_000_000), "held for as long as the pipeline says");
        let (from, to) = (all.iter().map(|(from, _)| from).max(), all.iter().map(|(_, to)| to).min());
        to.unwrap().saturating_sub(*from.unwrap())
    };
    // A busy machine can delay any one of them; of twenty frames the best shows what is possible.
    let best = |names: &[&str]| (1..=20).map(|frame| overlap(names, frame)).max().unwrap();
    let (three, pair) = (best(&["a", "b", "c"]), best(&["a", "b"]).max(best(&["b", "c"])).max(best(&["a", "c"])));
    assert!(three > 0, "there is a moment at which all three hold the frame");
    assert!(pair >= 90_000_000, "two of them overlap by {pair} ns");
}

#[test]
fn the_report_tells_what_was_agreed_and_why_other_offers_lost() {
    let directory = Directory::new();
    let output = run(&directory, &["--frames", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&directory);
    let streams = &report["streams"];
    let clip: Vec<&Value> = streams.as_array().unwrap().iter().filter(|stream| stream["producer"] == "clip").collect();
    assert_eq!(clip.len(), 3, "three readers of one buffer");
    for stream in clip {
        assert!(stream["modifier"].as_str().unwrap().starts_with("SIM_BLOCKS"));
        assert_eq!(stream["export"]["compression"], "kept");
        assert_eq!(stream["export"]["resolve"], "by flush");
        assert_eq!(stream["export"]["read_only"], "sealed");
        assert!(stream["export"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
    let decisions = participant(&report, "clip")["exports"].as_array().unwrap();
    let readers: Vec<&Value> = decisions.iter().map(|decision| &decision["reader"]).collect();
    assert_eq!(readers.len(), 3, "every decision is told: {readers:?}");
    let preview = find(streams, "reader", "preview");
    assert_eq!(preview["modifier"], "LINEAR");
    assert!(preview["export"]["stride"].as_u64().unwrap() >= 720 * 4);
    let lost =
        preview["lost"].as_array().unwrap().iter().find(|lost| lost["offer"].as_str().unwrap().contains("SIM_BLOCKS"));
    assert!(lost.unwrap()["why"].as_str().unwrap().contains("preview"), "the conflict names who could not follow");
    assert!(participant(&report, "overlay")["flushed_blocks"].as_u64().unwrap() > 0, "flush had something to do");
}

#[test]
fn every_participant_has_as_many_descriptors_at_the_end_as_at_frame_100() {
    let directory = Directory::new();
    let pipeline = directory.file("long.toml", PIPELINE.replace("HOLD\n", ""));
    let output = run(&directory, &[&pipeline, "--frames", "300"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for participant in report(&directory)["participants"].as_array().unwrap() {
        let descriptors = &participant["descriptors"];
        assert!(descriptors["frame_100"].as_u64().is_some_and(|open| open > 3));
        assert_eq!(descriptors["frame_100"], descriptors["end"], "{participant:#}");
    }
}

#[test]
fn json_prints_the_report_alone() {
    let directory = Directory::new();
    let output = run(&directory, &["fanout", "--frames", "5", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, report(&directory));
    assert_eq!(printed["pixel_bytes_copied_between_processes"], 0);
    for video in ["low.mp4", "middle.mp4", "high.mp4"] {
        assert_eq!(whole_fragments(&directory.out().join(video)), 5);
    }
}

#[test]
fn a_mailbox_reader_never_makes_its_producer_wait() {
    let directory = Directory::new();
    let text = PIPELINE.replace("HOLD", "mode = \"mailbox\"\nhold_ms = 30");
    let pipeline = directory.file("mailbox.toml", text);
    let output = run(&directory, &[&pipeline, "--frames", "200"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&directory);
    let slow = &participant(&report, "a")["frames"];
    let (shown, dropped) = (slow["shown"].as_u64().unwrap(), slow["dropped"].as_u64().unwrap());
    assert!(shown > 0 && dropped > 0, "{slow}");
    assert_eq!(participant(&report, "b")["frames"]["shown"], 200, "the others get every frame");

    // Alone with its producer, it is the only one that could make it wait: 200 frames of 30 ms are six seconds.
    let directory = Directory::new();
    let text = PIPELINE.replace("HOLD", "mode = \"mailbox\"\nhold_ms = 30");
    let (alone, _) = text.split_at(text.find("[[participant]]\nname = \"b\"").unwrap());
    let pipeline = directory.file("alone.toml", alone);
    let output = run(&directory, &[&pipeline, "--frames", "200"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = common::report(&directory);
    assert_eq!(report["ended"], "complete", "a mailbox may pass frames over");
    let card = participant(&report, "card");
    assert_eq!(card["frames"]["submitted"], 200);
    let waited = card["waiting_us"]["pool_empty"].as_u64().unwrap() + card["waiting_us"]["fence"].as_u64().unwrap();
    assert!(waited < 600_000, "it waited {waited} us for a mailbox");
}

#[test]
fn what_an_earlier_run_left_is_not_taken_for_new() {
    let directory = Directory::new();
    fs::create_dir(directory.out()).unwrap();
    fs::write(directory.out().join("capture.mp4"), "old").unwrap();
    fs::write(directory.out().join("mine.txt"), "kept").unwrap();
    let output = run(&directory, &["--frames", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(whole_fragments(&directory.out().join("capture.mp4")), 2);
    assert_eq!(fs::read_to_string(directory.out().join("mine.txt")).unwrap(), "kept");
}
