//! Participants that are killed, runs that are interrupted: the others finish, videos stay whole, nothing is left.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{
    Directory, command, finish, leftovers, participants_of, report, signal, stderr, wait_for, wait_for_bytes,
    whole_fragments,
};

/// Ten times what is promised: a busy machine is nobody's fault.
const LIMIT: Duration = Duration::from_secs(20);

const STAGES: [&str; 8] = ["negotiate", "allocate", "export", "import", "acquire", "access", "flush", "release"];

/// Every video that is there plays to some frame, and no picture is half written.
fn assert_whole(out: &Path) {
    for entry in fs::read_dir(out).unwrap().flatten() {
        let path = entry.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("mp4") => assert!(whole_fragments(&path) > 0),
            Some("png" | "json") => {}
            _ => panic!("left: {}", path.display()),
        }
    }
}

/// Kills one participant once the capture has so many bytes, and checks all that is promised.
fn kill(name: &str, bytes: u64) {
    let directory = Directory::new();
    let mut run = command(&directory, &[]).spawn().unwrap();
    let pid = wait_for(&mut run, name).unwrap();
    if bytes > 0 {
        wait_for_bytes(&directory.out().join("capture.mp4"), bytes);
    }
    let others: Vec<u32> = participants_of(run.id()).into_iter().map(|(pid, _)| pid).collect();
    signal(pid, "KILL");
    let (output, took) = finish(run, LIMIT);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{name}: {message}");
    assert!(took < LIMIT);
    assert!(message.contains(&format!("{name} (process {pid}) was killed by SIGKILL")), "{message}");
    let report = report(&directory);
    assert_eq!((&report["dead"][0]["name"], &report["ended"]), (&name.into(), &"failed".into()), "{report:#}");
    assert!(STAGES.contains(&report["dead"][0]["stage"].as_str().unwrap()));
    assert!(message.contains(&format!("at stage {}", report["dead"][0]["stage"].as_str().unwrap())), "{message}");
    assert_eq!(report["dead"].as_array().unwrap().len(), 1, "the others end well: {message}");
    for other in others {
        assert!(!Path::new(&format!("/proc/{other}")).exists(), "process {other} is left");
    }
    assert_whole(&directory.out());
    assert_eq!(leftovers(&directory), [""; 0]);
}

#[test]
fn killing_any_participant_in_the_middle_ends_the_run_and_names_it() {
    for name in ["clip", "overlay", "compositor", "stream", "capture", "preview"] {
        kill(name, 100_000);
    }
}

#[test]
fn killing_any_participant_at_the_start_ends_the_run_and_names_it() {
    for name in ["clip", "overlay", "compositor", "stream", "capture", "preview"] {
        kill(name, 0);
    }
}

#[test]
fn killing_a_participant_at_random_instants_leaves_nothing() {
    // Not so random that a failure could not be had again.
    let mut seed = 0x9e37_79b9_u64;
    for round in 0..6 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let name = ["clip", "overlay", "compositor", "stream", "capture", "preview"][round];
        kill(name, (seed >> 33) % 700_000);
    }
}

#[test]
fn ctrl_c_ends_the_run_with_130_and_keeps_what_is_there() {
    let directory = Directory::new();
    let mut run = command(&directory, &[]).spawn().unwrap();
    wait_for(&mut run, "preview").unwrap();
    wait_for_bytes(&directory.out().join("capture.mp4"), 100_000);
    let others: Vec<u32> = participants_of(run.id()).into_iter().map(|(pid, _)| pid).collect();
    signal(run.id(), "INT");
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let report = report(&directory);
    assert_eq!(report["ended"], "interrupted");
    assert_eq!(report["dead"].as_array().unwrap().len(), 0);
    assert!(others.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    assert_whole(&directory.out());
    assert!(whole_fragments(&directory.out().join("stream.mp4")) < 190, "it was interrupted");
    assert!(directory.out().join("preview-last.png").exists(), "a clean stop finishes what was begun");
}

#[test]
fn a_participant_that_does_not_stop_is_killed() {
    let directory = Directory::new();
    let mut run = command(&directory, &[]).spawn().unwrap();
    let pid = wait_for(&mut run, "stream").unwrap();
    wait_for_bytes(&directory.out().join("capture.mp4"), 50_000);
    signal(pid, "STOP");
    signal(run.id(), "INT");
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let killed = report(&directory)["killed"].clone();
    assert!(killed.as_array().unwrap().contains(&"stream".into()), "{killed}");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_whole(&directory.out());
}

#[test]
fn participants_end_when_their_parent_is_killed() {
    let directory = Directory::new();
    let mut run = command(&directory, &[]).spawn().unwrap();
    wait_for(&mut run, "preview").unwrap();
    wait_for_bytes(&directory.out().join("capture.mp4"), 50_000);
    let others: Vec<u32> = participants_of(run.id()).into_iter().map(|(pid, _)| pid).collect();
    assert_eq!(others.len(), 6);
    signal(run.id(), "KILL");
    finish(run, LIMIT);
    let started = std::time::Instant::now();
    // Nobody collects them here but init, which may be slow or missing: a zombie has ended.
    let lives = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while others.iter().any(lives) {
        assert!(started.elapsed() < LIMIT, "participants outlive their parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}
