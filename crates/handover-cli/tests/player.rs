//! An independent player agrees: ffmpeg decodes every frame of what `handover run` wrote, and each is the right one.
//!
//! Runs where `HANDOVER_FFMPEG` is the path of an ffmpeg program; says so where it is not. `HANDOVER_REQUIRE=ffmpeg` forbids
//! to skip it.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Directory, run, stderr};
use handover_cli::media::mp4::Clip;

const LUMA: usize = 720 * 404;
const FRAMES: usize = 190;

/// Mean squared difference of luma below which two frames of the clip are taken for the same picture.
const STATIC: f64 = 4.0;

fn ffmpeg() -> Option<String> {
    let program = std::env::var("HANDOVER_FFMPEG").ok().filter(|path| !path.is_empty());
    if program.is_none() {
        let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|word| word.trim() == "ffmpeg"), "HANDOVER_REQUIRE asks for HANDOVER_FFMPEG");
        eprintln!("skipped: HANDOVER_FFMPEG is not the path of an ffmpeg program");
    }
    program
}

/// The luma of every frame.
fn decode(ffmpeg: &str, file: &Path) -> Vec<Vec<u8>> {
    let arguments = ["-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-"];
    let output = Command::new(ffmpeg).args(["-v", "error", "-i"]).arg(file).args(arguments).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}: {}", file.display(), stderr(&output));
    assert_eq!(output.stdout.len() % LUMA, 0);
    output.stdout.chunks(LUMA).map(<[u8]>::to_vec).collect()
}

/// Over every fourth pixel: enough to tell frames apart.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    let squares: u64 = a.iter().zip(b).step_by(4).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    squares as f64 / (a.len() / 4) as f64
}

#[test]
fn ffmpeg_plays_both_videos_and_every_frame_is_in_its_place() {
    let Some(ffmpeg) = ffmpeg() else { return };
    let directory = Directory::new();
    let output = run(&directory, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let original = directory.file("clip.mp4", Clip::DEFAULT);
    let clip = decode(&ffmpeg, Path::new(&original));
    let videos = ["stream.mp4", "capture.mp4"].map(|video| decode(&ffmpeg, &directory.out().join(video)));
    assert_eq!((clip.len(), videos.each_ref().map(Vec::len)), (FRAMES, [FRAMES; 2]), "every frame decodes");

    let mut compared = 0;
    for (k, frame) in clip.iter().enumerate() {
        for (name, video) in ["stream", "capture"].iter().zip(&videos) {
            let own = difference(&video[k], frame);
            for (j, near) in clip.iter().enumerate().filter(|(j, _)| *j != k && j.abs_diff(k) <= 3) {
                // In a static run neighbours cannot be told apart.
                if difference(frame, near) > STATIC {
                    let other = difference(&video[k], near);
                    assert!(own < other, "{name} frame {k}: {own} from its own, {other} from frame {j} of the clip");
                    compared += 1;
                }
            }
        }
        let [stream, capture] = videos.each_ref().map(|video| difference(&video[k], frame));
        assert!(capture < stream, "frame {k}: capture is {capture} away, stream {stream}");
    }
    assert!(compared > FRAMES, "the clip is not static: {compared} comparisons");
}

#[test]
fn ffmpeg_plays_what_a_killed_encoder_left() {
    let Some(ffmpeg) = ffmpeg() else { return };
    let directory = Directory::new();
    let mut run = common::command(&directory, &[]).spawn().unwrap();
    let pid = common::wait_for(&mut run, "capture").unwrap();
    let video = directory.out().join("capture.mp4");
    common::wait_for_bytes(&video, 200_000);
    common::signal(pid, "KILL");
    let (output, _) = common::finish(run, std::time::Duration::from_secs(20));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(decode(&ffmpeg, &video).len(), common::whole_fragments(&video));
}
