//! `handover explain` and files: what it takes besides scenarios, what it leaves alone, and what is too much for it.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Directory, finish, handover, printed, report};
use handover_cli::explain::{Explanation, SHIPPED, Scenario, Work};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// Refused with 2, and every one of `parts` stands in the message.
fn refused(arguments: &[&str], parts: &[&str]) {
    let output = handover(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

fn path(directory: &Directory, name: &str) -> String {
    fs::create_dir_all(directory.out()).unwrap();
    directory.out().join(name).to_str().unwrap().to_owned()
}

#[test]
fn the_picture_does_not_replace_the_scenario() {
    let directory = Directory::new();
    let scenario = path(&directory, "mine.toml");
    let text = SHIPPED[7].1;
    fs::write(&scenario, text).unwrap();
    let (hard, soft) = (path(&directory, "hard"), path(&directory, "soft"));
    fs::hard_link(&scenario, &hard).unwrap();
    std::os::unix::fs::symlink(&scenario, &soft).unwrap();
    for svg in [&scenario, &hard, &soft] {
        refused(&["explain", &scenario, "--svg", svg], &["would replace the input", "mine.toml"]);
        assert_eq!(fs::read_to_string(&scenario).unwrap(), text);
    }
    refused(&["explain", &soft, "--svg", &scenario], &["would replace the input"]);
    assert_eq!(fs::read_to_string(&scenario).unwrap(), text);
}

#[test]
fn a_picture_takes_the_place_of_an_older_one_at_once() {
    let directory = Directory::new();
    let (svg, link) = (path(&directory, "old.svg"), path(&directory, "link.svg"));
    fs::write(&svg, "old").unwrap();
    // Who reads the old one goes on reading it.
    let mut reader = fs::File::open(&svg).unwrap();
    std::os::unix::fs::symlink(&svg, &link).unwrap();
    printed(&["explain", "s08", "--svg", &link]);
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "old");
    assert!(fs::read_to_string(&svg).unwrap().ends_with("</svg>\n"));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let names: Vec<_> = fs::read_dir(directory.out()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    // What is no file is written to, and stays what it is.
    printed(&["explain", "s08", "--svg", "/dev/null"]);
    assert!(!Path::new("/dev/null").is_file());
}

#[test]
fn a_picture_is_the_same_every_time() {
    let directory = Directory::new();
    let (one, other) = (path(&directory, "one.svg"), path(&directory, "other.svg"));
    for svg in [&one, &other] {
        printed(&["explain", "s13", "--svg", svg]);
    }
    assert!(fs::read(&one).unwrap() == fs::read(&other).unwrap());
}

/// One job that reads so many buffers, so often.
fn reader(reads: usize, frames: usize) -> String {
    let mut text = format!("name = \"reads\"\nframes = {frames}\n");
    let mut accesses = String::new();
    for buffer in 0..reads {
        let _ = write!(text, "[[buffer]]\nname = \"b{buffer}\"\n");
        let _ = write!(accesses, "{{ buffer = \"b{buffer}\", access = \"read\" }}, ");
    }
    let job = |name: &str, access: &str| {
        let accesses = accesses.replace("read", access);
        format!("[[job]]\nname = \"{name}\"\nengine = \"{name}\"\nduration = 1\naccesses = [{accesses}]\n")
    };
    text + &job("write", "write") + &job("show", "read")
}

#[test]
fn accesses_of_all_frames_together_have_a_bound() {
    let from = Instant::now();
    let message = Scenario::parse(&reader(1000, 100_000), "test.toml").unwrap_err().to_string();
    for part in
        ["test.toml:2:10", "200000000 accesses: 2000 in each of 100000 frames", "at most 4000000", "1000 of them"]
    {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
    let mut text = String::from("name = \"after\"\nframes = 2000\n[[job]]\nname = \"j\"\nduration = 1\n");
    for number in 0..100 {
        let after = "\"j\",".repeat(40);
        let _ = write!(text, "[[job]]\nname = \"j{number}\"\nduration = 1\nafter = [{after}]\n");
    }
    assert!(Scenario::parse(&text, "test.toml").is_ok(), "a name that is said twice counts once");
    assert!(from.elapsed() < Duration::from_secs(20), "{:?}", from.elapsed());
}

/// Time goes with the number of accesses, not with its square: a job that has thousands of them costs what thousands of jobs do.
#[test]
fn many_accesses_of_one_job_do_not_take_long() {
    let from = Instant::now();
    let Work::Jobs(variants) = Scenario::parse(&reader(4000, 25), "test.toml").unwrap().work else { panic!("threads") };
    let explanation = Explanation::of(&variants[0]);
    println!("{} jobs of 4000 accesses: {:?}", explanation.graph.len(), from.elapsed());
    assert!(explanation.models.iter().all(|(_, findings, _)| findings.makespan == 50));
    assert!(from.elapsed() < Duration::from_secs(8), "{:?}", from.elapsed());
}

/// A hundred thousand jobs.
fn long(directory: &Directory) -> String {
    let scenario = path(directory, "long.toml");
    fs::write(&scenario, reader(1, 50_000)).unwrap();
    scenario
}

#[test]
fn json_of_many_jobs_takes_little_memory() {
    let directory = Directory::new();
    let scenario = long(&directory);
    let limited = format!("ulimit -v 300000 && exec {} explain {scenario} --json", env!("CARGO_BIN_EXE_handover"));
    let output = Command::new("sh").args(["-c", &limited]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let models = value["programs"][0]["models"].as_array().unwrap();
    assert!(models.iter().all(|model| model["jobs"].as_array().map(Vec::len) == Some(100_000)));
}

#[test]
fn a_closed_pipe_is_an_ordinary_end_and_a_full_disk_is_not() {
    let directory = Directory::new();
    let scenario = long(&directory);
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    command.args(["explain", &scenario, "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(command.stdout(full).output().unwrap().status.code(), Some(1));
}

#[test]
fn scenarios_that_are_made_to_be_run_are_explained_too() {
    let text = printed(&["explain", "tiles"]);
    assert!(text.contains("Critical path: 100 ms") && text.contains("(M4) 100"), "{text}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/tiles.toml");
    assert_eq!(printed(&["explain", file]), text);
    assert!(printed(&["explain", "threads"]).contains("critical section"));
    // The same table, the other way round.
    let directory = Directory::new();
    let out = path(&directory, "s08");
    refused(&["run", "s08", "--out", &out], &["S8: its durations are of no unit", "unit = \"ms\""]);
}

#[test]
fn a_pipeline_of_participants_and_a_recording_are_refused_by_name() {
    let help = ["is a pipeline of participants", "handover run", "handover explain out/report.json"];
    refused(&["explain", "desktop"], &help);
    refused(&["explain", concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/fanout.toml")], &help);
    let directory = Directory::new();
    // By content, whatever it is called.
    let file = path(&directory, "recording.toml");
    for text in [
        "# tracer: nop\n#\n",
        "cpus=2\n a-1 [000] 12.3: dma_fence_init: driver=vgem timeline=unbound context=1 seqno=1\n",
    ] {
        fs::write(&file, text).unwrap();
        refused(&["explain", &file], &["recording.toml is a recording of the kernel's events", "does not read"]);
    }
}

#[test]
fn the_report_of_a_scenario_that_ran_is_explained() {
    let directory = Directory::new();
    finish(common::command(&directory, &["tiles", "--regions", "whole"]).spawn().unwrap(), LIMIT);
    let report = report(&directory);
    let file = directory.out().join("report.json");
    let value: Value = serde_json::from_str(&printed(&["explain", file.to_str().unwrap(), "--json"])).unwrap();
    assert_eq!((&value["name"], &value["unit"]), (&"tiles".into(), &"us".into()));
    let program = &value["programs"][0];
    // What ran for so long, by region and as a whole.
    let longest =
        report["jobs"].as_array().unwrap().iter().map(|job| {
            ((job["ended_ms"].as_f64().unwrap() - job["started_ms"].as_f64().unwrap()) * 1000.0).round() as u64
        });
    let longest: Vec<u64> = longest.collect();
    let pairs = (0..4).map(|pair| longest[pair] + longest[pair + 4]).max();
    assert_eq!(program["critical_path"].as_u64(), pairs);
    assert_eq!(program["models"][5]["makespan"].as_u64(), pairs);
    assert!(program["models"][1]["makespan"].as_u64() > pairs);
    assert!(!program["models"][1]["false_waits"].as_array().unwrap().is_empty());
}

/// A report in words of the test: two frames in a ring, a job that names what it depends on, a region.
fn small() -> Value {
    let read = |buffer: &str, region: Value| json!([{ "buffer": buffer, "region": region, "access": "read" }]);
    let time = |job: &str, engine: &str, start: f64, end: f64| json!({ "job": job, "owner": engine, "engine": engine, "started_ms": start, "ended_ms": end });
    json!({
        "scenario": "small",
        "title": "",
        "jobs": [time("draw #0", "gpu", 0.1, 2.1), time("show #0", "screen", 2.2, 3.2), time("show #1", "screen", 3.3, 4.3)],
        "graph": {
            "buffers": [{ "name": "A #0", "regions": ["x", "y"] }, { "name": "A #1", "regions": ["x", "y"] }],
            "jobs": [
                { "job": "draw #0", "group": null, "accesses": [{ "buffer": "A #0", "region": null, "access": "write" }], "after": null },
                { "job": "show #0", "group": "g", "accesses": read("A #0", "y".into()), "after": ["draw #0"] },
                { "job": "show #1", "group": "g", "accesses": read("A #1", Value::Null), "after": [] },
            ],
        },
    })
}

#[test]
fn reports_that_are_wrong_or_not_whole_are_refused_by_name() {
    let directory = Directory::new();
    let file = path(&directory, "report.txt");
    fs::write(&file, small().to_string()).unwrap();
    assert!(printed(&["explain", &file]).contains("Critical path: 4000 us"));
    let check = |change: &dyn Fn(&mut Value), parts: &[&str]| {
        let mut report = small();
        change(&mut report);
        fs::write(&file, report.to_string()).unwrap();
        refused(&["explain", &file], parts);
    };
    check(
        &|report| report["jobs"][1]["ended_ms"] = Value::Null,
        &["small has no times of show #0", "a run to its end"],
    );
    check(&|report| report["graph"] = Value::Null, &["does not say what jobs touch", "run it again"]);
    check(&|report| report["jobs"][0]["ended_ms"] = (-7.5).into(), &["`duration` cannot be -7600", "report.txt"]);
    check(&|report| report["jobs"][0]["ended_ms"] = 1e300.into(), &["overflow"]);
    check(&|report| report["graph"]["jobs"][0]["accesses"][0]["buffer"] = "B".into(), &["no buffer is called `B`"]);
    check(
        &|report| report["graph"]["jobs"][1]["after"][0] = "show #1".into(),
        &["show #0 after show #1 after show #0"],
    );
    check(&|report| report["scenario"] = Value::Null, &["neither a scenario nor a pipeline"]);
    check(&|report| report["jobs"] = 7.into(), &["report.txt:1:", "invalid type"]);
    fs::write(&file, printed(&["explain", "s08", "--json"])).unwrap();
    refused(&["explain", &file], &["is what explain printed"]);
    fs::write(&file, "{\n\"scenario\": \"cut").unwrap();
    refused(&["explain", &file], &["report.txt:2:", "no report of a run"]);
}

#[test]
fn the_report_of_participants_is_explained_by_their_mean_work() {
    let directory = Directory::new();
    let file = path(&directory, "report.json");
    let participant = |name: &str, cpu: u64, inputs: &[&str]| {
        let inputs: Vec<Value> = inputs.iter().map(|producer| json!({ "producer": producer })).collect();
        let frames = json!({ "submitted": 10, "shown": 0 });
        json!({ "name": name, "frames": frames, "waiting_us": { "cpu": cpu, "flush": 0 }, "inputs": inputs })
    };
    let all =
        [participant("clip", 4000, &[]), participant("left", 3000, &["clip"]), participant("right", 2000, &["clip"])];
    fs::write(&file, json!({ "pipeline": "pair", "participants": all }).to_string()).unwrap();
    let value: Value = serde_json::from_str(&printed(&["explain", &file, "--json"])).unwrap();
    // One surface: each frame is drawn, then read. With two the clip draws one while the others read.
    let paths = value["programs"].as_array().unwrap().iter().map(|program| program["critical_path"].as_u64().unwrap());
    assert_eq!(paths.collect::<Vec<_>>(), [7000, 4300, 4300]);
    let dead = json!({ "pipeline": "pair", "participants": [{ "name": "clip", "frames": { "submitted": 1, "shown": 0 }, "waiting_us": null, "inputs": [] }] });
    fs::write(&file, dead.to_string()).unwrap();
    refused(&["explain", &file], &["no times of clip", "did not live to tell"]);
}
