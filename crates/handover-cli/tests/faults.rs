//! Participants that are killed, runs that are interrupted: the others finish, videos stay whole, nothing is left.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{
    Directory, command, finish, leftovers, participant, participants_of, report, signal, status_of, stderr, wait_for,
    wait_for_bytes, whole_fragments,
};

/// Ten times the two seconds that are promised: a busy machine is nobody's fault.
const LIMIT: Duration = Duration::from_secs(20);

/// The default pipeline's shape with small pictures: a run of it is over in a moment.
const SMALL: &str = r#"
name = "small"

[[participant]]
name = "clip"
kind = "pattern"
device = "blocks"
extent = [64, 48]
export = ["read", "explicit-flush"]

[[participant]]
name = "overlay"
kind = "overlay"
device = "blocks"
formats = ["ARGB8888"]
extent = [64, 48]

[[participant]]
name = "compositor"
kind = "compositor"
device = "blocks"
reads = ["clip", "overlay"]

[[participant]]
name = "stream"
kind = "encoder"
device = "plain+blocks"
reads = ["clip"]

[[participant]]
name = "capture"
kind = "encoder"
device = "plain+blocks"
reads = ["clip"]

[[participant]]
name = "preview"
kind = "preview"
reads = ["compositor"]
"#;

/// One producer and one reader of pictures of this size; the reader has a line for what is tried.
fn pair(extent: &str, reader: &str) -> String {
    format!(
        "name = \"pair\"\n[[participant]]\nname = \"card\"\nkind = \"pattern\"\nextent = {extent}\n\
         [[participant]]\nname = \"video\"\nkind = \"encoder\"\nreads = [\"card\"]\n{reader}\n"
    )
}

const PARTICIPANTS: [&str; 6] = ["clip", "overlay", "compositor", "stream", "capture", "preview"];

const STAGES: [&str; 8] = ["negotiate", "allocate", "export", "import", "acquire", "access", "flush", "release"];

/// Every video that is there plays to some frame, and no picture is half written.
fn assert_whole(out: &Path) {
    for entry in fs::read_dir(out).unwrap().flatten() {
        let path = entry.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("mp4") => assert!(whole_fragments(&path) > 0),
            Some("png" | "json" | "svg") => {}
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
    let (output, _) = finish(run, LIMIT);
    assert_ended_well(&directory, &output, name, pid, &others);
}

/// The run ended by this death alone: it is told once, in time, and nothing is left.
fn assert_ended_well(directory: &Directory, output: &Output, name: &str, pid: u32, others: &[u32]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{name}: {message}");
    assert!(message.contains(&format!("{name} (process {pid}) was killed by SIGKILL")), "{message}");
    assert_eq!(message.matches("was killed by").count(), 1, "{message}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("was killed"), "one message for one death");
    let report = report(directory);
    assert!(report["seconds_after_death"].as_f64().unwrap() < LIMIT.as_secs_f64(), "{report:#}");
    let frames = &participant(&report, name)["frames"];
    let done = ["submitted", "shown"].iter().filter_map(|which| frames[which].as_u64()).max();
    assert_eq!(done, report["dead"][0]["frames"].as_u64(), "the dead are counted too");
    assert_eq!((&report["dead"][0]["name"], &report["ended"]), (&name.into(), &"failed".into()), "{report:#}");
    assert!(STAGES.contains(&report["dead"][0]["stage"].as_str().unwrap()));
    assert!(message.contains(&format!("at stage {}", report["dead"][0]["stage"].as_str().unwrap())), "{message}");
    assert_eq!(report["dead"].as_array().unwrap().len(), 1, "the others end well: {message}");
    for other in others {
        assert!(!Path::new(&format!("/proc/{other}")).exists(), "process {other} is left");
    }
    assert_whole(&directory.out());
    assert_eq!(leftovers(directory), [""; 0]);
}

#[test]
fn killing_any_participant_in_the_middle_ends_the_run_and_names_it() {
    for name in PARTICIPANTS {
        kill(name, 100_000);
    }
}

#[test]
fn killing_any_participant_at_the_start_ends_the_run_and_names_it() {
    for name in PARTICIPANTS {
        kill(name, 0);
    }
}

/// 40 kills, spread from the start over the frames to the end of a run. With the 12 above and those of the library's tests
/// (at least 60 writers, 60 readers and 180 setters of metadata step by step, 60 whose entries make room, 40 that lock in
/// opposite order) that makes over 400 in all.
#[test]
fn killing_a_participant_at_random_instants_leaves_nothing() {
    const KILLS: u32 = 40;
    let arguments = |directory: &Directory| [directory.file("small.toml", SMALL), "--frames".into(), "60".into()];
    let start = |directory: &Directory| command(directory, &arguments(directory).each_ref().map(String::as_str));
    let directory = Directory::new();
    let whole = finish(start(&directory).spawn().unwrap(), LIMIT).1;
    let mut killed = 0;
    // Not so random that a failure could not be had again.
    let mut seed = 0x9e37_79b9_u64;
    for round in 0..4 * KILLS {
        if killed == KILLS {
            break;
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let name = PARTICIPANTS[round as usize % PARTICIPANTS.len()];
        let directory = Directory::new();
        let mut run = start(&directory).spawn().unwrap();
        std::thread::sleep(whole.mul_f64((seed >> 33) as f64 / (1_u64 << 31) as f64));
        let pid = wait_for(&mut run, name);
        let others: Vec<u32> = participants_of(run.id()).into_iter().map(|(pid, _)| pid).collect();
        if let Some(pid) = pid {
            signal(pid, "KILL");
        }
        let (output, _) = finish(run, LIMIT);
        // Too late: it had done its part.
        if output.status.code() == Some(0) {
            assert_eq!(report(&directory)["ended"], "complete");
            continue;
        }
        assert_ended_well(&directory, &output, name, pid.unwrap(), &others);
        killed += 1;
    }
    assert_eq!(killed, KILLS, "too many came too late");
}

/// Waits until a participant stays at one stage for a while, kills it there, and gives what the report says.
fn stage_at_death(text: &str, name: &str, stage: &str) -> String {
    let directory = Directory::new();
    let pipeline = directory.file("pair.toml", text);
    let mut run = command(&directory, &[&pipeline]).spawn().unwrap();
    let pid = wait_for(&mut run, name).unwrap();
    let started = Instant::now();
    let mut seen = 0;
    while seen < 20 {
        assert!(started.elapsed() < LIMIT, "{name} is never at {stage} for long: {:?}", status_of(pid));
        seen = if status_of(pid).is_some_and(|(at, _)| at == stage) { seen + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(pid, "KILL");
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    report(&directory)["dead"][0]["stage"].as_str().unwrap().to_owned()
}

#[test]
fn a_producer_without_a_free_surface_dies_at_acquire_and_a_reader_with_a_frame_at_access() {
    let slow = pair("[64, 48]", "hold_ms = 2000");
    assert_eq!(stage_at_death(&slow, "card", "acquire"), "acquire");
    assert_eq!(stage_at_death(&slow, "video", "access"), "access");
}

/// Encoding is most of what this encoder does. Once it was told as `release`, the last word before it.
#[test]
fn an_encoder_that_is_stopped_while_it_encodes_dies_at_access() {
    let directory = Directory::new();
    let pipeline = directory.file("pair.toml", pair("[1280, 720]", "bitrate = 8_000_000"));
    let mut run = command(&directory, &[&pipeline, "--frames", "1000"]).spawn().unwrap();
    let pid = wait_for(&mut run, "video").unwrap();
    wait_for_bytes(&directory.out().join("video.mp4"), 50_000);
    let mut stages: HashMap<&str, u32> = HashMap::new();
    let (mut at, started) = ("", Instant::now());
    for round in 0.. {
        signal(pid, "STOP");
        at = status_of(pid).unwrap().0;
        *stages.entry(at).or_default() += 1;
        if round >= 20 && at == "access" {
            break;
        }
        assert!(started.elapsed() < LIMIT, "{stages:?}");
        signal(pid, "CONT");
        std::thread::sleep(Duration::from_millis(3));
    }
    assert!(stages["access"] * 2 > stages.values().sum(), "{stages:?}");
    signal(pid, "KILL");
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(report(&directory)["dead"][0]["stage"], at);
}

/// A participant dies; Ctrl-C comes while the others finish, of which one takes all the time there is.
#[test]
fn what_came_first_decides_the_exit_code() {
    let directory = Directory::new();
    let mut run = command(&directory, &[]).spawn().unwrap();
    let stopped = wait_for(&mut run, "stream").unwrap();
    let killed = wait_for(&mut run, "preview").unwrap();
    wait_for_bytes(&directory.out().join("capture.mp4"), 50_000);
    signal(stopped, "STOP");
    signal(killed, "KILL");
    let started = Instant::now();
    while Path::new(&format!("/proc/{killed}")).exists() {
        assert!(started.elapsed() < LIMIT, "it is never collected");
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(run.id(), "INT");
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report = report(&directory);
    assert_eq!((&report["ended"], &report["dead"][0]["name"]), (&"failed".into(), &"preview".into()), "{report:#}");
}

#[test]
fn nohup_is_heeded() {
    let directory = Directory::new();
    let pipeline = directory.file("pair.toml", pair("[64, 48]", "hold_ms = 20"));
    let plain = command(&directory, &[&pipeline, "--frames", "50"]);
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    let mut run = nohup.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut run, "video").unwrap();
    signal(run.id(), "HUP");
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(whole_fragments(&directory.out().join("video.mp4")), 50);
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
    let others = participants_of(run.id());
    assert_eq!(others.len(), 6);
    // One that is stopped cannot see that its parent is gone.
    let stopped = others.iter().find(|(_, name)| name == "stream").unwrap().0;
    signal(stopped, "STOP");
    signal(run.id(), "KILL");
    finish(run, LIMIT);
    let started = Instant::now();
    // Nobody collects them here but init, which may be slow or missing: a zombie has ended.
    let lives = |(pid, _): &(u32, String)| {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    while others.iter().any(lives) {
        assert!(started.elapsed() < LIMIT, "participants outlive their parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}
