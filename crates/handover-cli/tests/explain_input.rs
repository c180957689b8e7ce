//! `handover explain` as a program: what it prints and draws, and what it says to scenarios that are wrong.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use common::{handover, printed};
use handover_cli::explain::{Explanation, Scenario, Work};
use serde_json::Value;

/// A small right scenario; tests break one line of it.
const RIGHT: &str = r#"name = "small"
title = "two jobs"

[[buffer]]
name = "A"
regions = ["left", "right"]

[[job]]
name = "draw"
engine = "gpu"
duration = 4
accesses = [{ buffer = "A", region = "left", access = "write" }]

[[job]]
name = "show"
engine = "display"
duration = 2
accesses = [{ buffer = "A", access = "read" }]
after = ["draw"]
"#;

/// Every one of `parts` stands in the message for `RIGHT` with `from` made `to`.
fn says(from: &str, to: &str, parts: &[&str]) {
    assert!(RIGHT.contains(from), "{from:?}");
    let message = match Scenario::parse(&RIGHT.replace(from, to), "test.toml") {
        Ok(scenario) => panic!("accepted: {scenario:?}"),
        Err(diagnostics) => diagnostics.to_string(),
    };
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
}

#[test]
fn the_small_scenario_is_right() {
    let scenario = Scenario::parse(RIGHT, "test.toml").unwrap();
    let Work::Jobs(variants) = scenario.work else { panic!("threads") };
    assert_eq!(variants[0].program.jobs[1].after, Some(vec![0]));
    assert_eq!(variants[0].program.jobs[0].accesses[0].regions, 1);
    assert_eq!(variants[0].program.jobs[1].accesses[0].regions, 3);
}

#[test]
fn wrong_scenarios_say_line_column_and_reason() {
    says("duration = 4", "duration = -4", &["test.toml:11:12", "`duration` cannot be -4", "allowed: 0 to"]);
    says("duration = 4", "duration = 4.5", &["test.toml:11:12", "floating point", "allowed: "]);
    says("duration = 4", "", &["missing key `duration`"]);
    says("engine = \"gpu\"", "engin = \"gpu\"", &["test.toml:10:1", "unknown key `engin`", "allowed: "]);
    says("region = \"left\"", "region = \"lift\"", &["test.toml:12:38", "no region `lift`", "did you mean `left`?"]);
    says("access = \"read\"", "access = \"reed\"", &["test.toml:18:38", "`reed` is no access", "allowed: read, write"]);
    says("{ buffer = \"A\", access", "{ buffer = \"B\", access", &["test.toml:18:24", "no buffer is called `B`"]);
    says("name = \"show\"", "name = \"draw\"", &["test.toml:15:8", "two jobs are called `draw`", "first"]);
    says(
        "after = [\"draw\"]",
        "after = [\"drew\"]",
        &["test.toml:19:10", "no job is called `drew`", "did you mean `draw`?"],
    );
    says("title = \"two jobs\"", "frames = 0", &["test.toml:2:10", "`frames` cannot be 0"]);
    says("title = \"two jobs\"", "frames = 600000", &["test.toml:2:10", "1200000 jobs", "at most 1000000"]);
    says("title = \"two jobs\"", "title = \"\\u001b[2J\"", &["test.toml:2:9", "control characters"]);
    says("regions = [\"left\", \"right\"]", "ring = [1, 0]", &["test.toml:6:8", "no ring of this size", "1 to 64"]);
    says(
        "regions = [\"left\", \"right\"]",
        "regions = [\"left\", \"left\"]",
        &["test.toml:6:20", "regions of a buffer"],
    );
    says("[[job]]", "[[jab]]", &["unknown key `jab`"]);
    says("[[buffer]]", "[buffer]", &["test.toml:4:1"]);
    says("title", "title = ", &["test.toml:2:10", "extra `=`"]);
}

#[test]
fn listed_engines_are_the_only_ones() {
    let to = "[[engine]]\nname = \"gpu\"\n\n[[buffer]]";
    says("[[buffer]]", to, &["test.toml:19:10", "no engine is called `display`", "allowed: gpu"]);
}

#[test]
fn cycles_are_named_s17() {
    let to = "duration = 4\nafter = [\"show\"]";
    says("duration = 4", to, &["test.toml:12:10", "cycle: draw after show after draw"]);
    let own = "duration = 4\nafter = [\"draw\"]";
    says("duration = 4", own, &["test.toml:12:10", "cycle: draw after draw"]);
    // The order of a queue closes a cycle too.
    let queue = RIGHT.replace("after = [\"draw\"]\n", "").replace("\"display\"", "\"gpu\"");
    let text = queue.replace("duration = 4", "duration = 4\nafter = [\"show\"]");
    let message = Scenario::parse(&text, "test.toml").unwrap_err().to_string();
    assert!(message.contains("cycle: draw after show after draw"), "{message}");
}

#[test]
fn work_that_nobody_submitted_yet_has_no_fence_s17() {
    let text = RIGHT.replace("after = [\"draw\"]\n", "").replace("duration = 4", "duration = 4\nafter = [\"show\"]");
    let message = Scenario::parse(&text, "test.toml").unwrap_err().to_string();
    for part in ["test.toml:12:10", "`draw` comes after `show`, which is submitted later", "no fence of it yet"] {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
}

#[test]
fn durations_that_overflow_are_refused() {
    let longest = i64::MAX.to_string();
    says("duration = 4", &format!("duration = {longest}"), &["test.toml:17:12", "overflow", "with this one"]);
    let many = format!("frames = 3\n\n[[buffer]]\nname = \"B\"\n\n[[job]]\nname = \"long\"\nduration = {longest}");
    says("title = \"two jobs\"", &many, &["test.toml:9:12", "overflow", "3 times this one"]);
    says("duration = 4", "duration = 9223372036854775808", &["test.toml:11:12"]);
}

#[test]
fn many_mistakes_do_not_take_long() {
    let mut text = String::from("name = \"mistakes\"\n");
    for number in 0..8000 {
        let later = 7999 - number;
        let _ = write!(text, "[[job]]\nname = \"j{number}\"\nengine = \"e\"\nduration = 1\nafter = [\"j{later}\"]\n");
    }
    let from = Instant::now();
    let diagnostics = Scenario::parse(&text, "test.toml").unwrap_err();
    assert_eq!(diagnostics.iter().count(), 32);
    assert!(from.elapsed() < Duration::from_secs(20), "{:?}", from.elapsed());
}

/// A minute of 60 Hz with 50 clients: 3600 frames of 50 clients, a compositor that reads all of them, and a screen.
#[test]
fn a_minute_of_fifty_clients_takes_under_a_second() {
    let mut text = String::from("name = \"minute\"\nframes = 3600\n[[buffer]]\nname = \"FB\"\nring = 2\n");
    let mut reads = String::new();
    for client in 0..50 {
        let _ = write!(text, "[[buffer]]\nname = \"C{client}\"\nring = 3\n");
        let _ = writeln!(reads, "{{ buffer = \"C{client}\", access = \"read\" }},");
    }
    for client in 0..50 {
        let access = format!("accesses = [{{ buffer = \"C{client}\", access = \"write\" }}]");
        let _ = write!(
            text,
            "[[job]]\nname = \"client {client}\"\nengine = \"queue {client}\"\nduration = {}\n{access}\n",
            3 + client % 7
        );
    }
    let _ = write!(
        text,
        "[[job]]\nname = \"compositor\"\nduration = 8\naccesses = [{reads}{{ buffer = \"FB\", access = \"write\" }}]\n"
    );
    let _ = write!(
        text,
        "[[job]]\nname = \"encoder\"\nduration = 9\naccesses = [{{ buffer = \"FB\", access = \"read\" }}]\n"
    );
    let _ = write!(
        text,
        "[[job]]\nname = \"screen\"\nduration = 16\naccesses = [{{ buffer = \"FB\", access = \"read\" }}]\n"
    );
    let from = Instant::now();
    let Work::Jobs(variants) = Scenario::parse(&text, "minute.toml").unwrap().work else { panic!("threads") };
    let explanation = Explanation::of(&variants[0]);
    let took = from.elapsed();
    println!("{} jobs: {took:?}", explanation.graph.len());
    assert_eq!(explanation.graph.len(), 53 * 3600);
    // A build for tests is slower, and a machine that tests does other things.
    let most = if cfg!(debug_assertions) { Duration::from_secs(20) } else { Duration::from_secs(1) };
    assert!(took < most, "{took:?}");
}

#[test]
fn all_prints_the_table_with_every_scenario() {
    let text = printed(&["explain", "--all"]);
    for name in ["S1 ", "S2 ", "S2b ", "S3 ", "S5 ", "S6 ", "S7 ", "S8 ", "S9 ", "S10 ", "S11 ", "S12 ", "S13 ", "S15 "]
    {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in\n{text}");
    }
    let s3 = text.lines().find(|line| line.starts_with("S3 ")).unwrap();
    assert!(s3.contains("120 / 84 / 84  230 / 123 / 95"), "{s3}");
    assert!(text.contains("7.5 (11)") && text.contains("11.9 (17)"), "{text}");
    assert!(text.contains("No schedule starts a job before"), "{text}");
}

#[test]
fn json_has_start_and_end_of_every_job_in_every_model_s8() {
    let value: Value = serde_json::from_str(&printed(&["explain", "s08", "--json"])).unwrap();
    let models = value["programs"][0]["models"].as_array().unwrap();
    assert_eq!(models.len(), 6);
    for model in models {
        let jobs = model["jobs"].as_array().unwrap();
        let ends: Vec<u64> = jobs.iter().map(|job| job["end"].as_u64().unwrap()).collect();
        assert_eq!((jobs.len(), ends.iter().max().copied()), (4, model["makespan"].as_u64()));
        assert!(jobs.iter().all(|job| job["start"].as_u64() < job["end"].as_u64()));
    }
    let all: Value = serde_json::from_str(&printed(&["explain", "--all", "--json"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 14);
}

#[test]
fn implicit_is_shown_beside_explicit_s8_s12() {
    let text = printed(&["explain", "s08"]);
    assert!(text.contains("honest implicit (M1) 18, explicit (M3) 11: explicit is 7 faster"), "{text}");
    assert!(text.contains("implicit by region (M4) 11, explicit (M3) 11: explicit gains nothing"), "{text}");
    assert!(text.contains("RX waited 9 for WY over A (read after write): they touch different regions"), "{text}");
    assert!(text.contains("-> regions: users of A say which regions they touch. Makespan 11: gains 7"), "{text}");
}

/// Fences that are passed by hand may cost more than they gain.
#[test]
fn explicit_is_said_to_be_slower_where_it_is() {
    let text = RIGHT.replace("after = [\"draw\"]\n", "").replace("title", "passing = 3\ntitle");
    let path = std::env::temp_dir().join(format!("handover-passing-{}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let text = printed(&["explain", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert!(text.contains("implicit by region (M4) 6, explicit (M3) 9: explicit is 3 SLOWER"), "{text}");
    assert!(text.contains("passing fences by hand takes 3 of the jobs' time under M3"), "{text}");
}

#[test]
fn the_picture_tells_true_waits_from_false_ones_without_colour_s8() {
    let path = std::env::temp_dir().join(format!("handover-explain-{}.svg", std::process::id()));
    printed(&["explain", "s08", "--svg", path.to_str().unwrap()]);
    let picture = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for part in [
        "waits 9 for WY",
        "stroke-dasharray=\"5 3\" marker-end=\"url(#false)\"",
        "marker-end=\"url(#true)\"",
        "ideal: 11",
        "RY: reads A.Y",
    ] {
        assert!(picture.contains(part), "{part:?} is not in\n{picture}");
    }
    assert_eq!(picture.matches("<svg").count(), picture.matches("</svg>").count());
}

#[test]
fn what_cannot_be_done_is_refused_with_2() {
    let missing = handover(&["explain", "nowhere.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(text.contains("nowhere.toml cannot be read") && text.contains("s08"), "{text}");
    for arguments in [&["explain"][..], &["explain", "s08", "--all"], &["explain", "s07", "--svg", "/dev/null"]] {
        assert_eq!(handover(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(handover(&["explain", "s08", "--svg", "/nowhere/s08.svg"]).status.code(), Some(1));
}
