//! Runs whose devices have awkward habits: the run ends, nothing is left, and the report says what happened.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{Directory, leftovers, participant, report, run, stderr};
use serde_json::Value;

fn pipeline(producer: &str, reader: &str) -> String {
    format!(
        "name = \"pair\"\nframes = 20\n[[participant]]\nname = \"card\"\nkind = \"pattern\"\ndevice = \"{producer}\"\n\
         extent = [640, 480]\nexport = [\"read\", \"explicit-flush\"]\n\
         [[participant]]\nname = \"video\"\nkind = \"encoder\"\ndevice = \"{reader}\"\nreads = [\"card\"]\n"
    )
}

/// Exit code, standard error and report.
fn ran(producer: &str, reader: &str) -> (Option<i32>, String, Value) {
    let directory = Directory::new();
    let file = directory.file("pair.toml", pipeline(producer, reader));
    let output = run(&directory, &[&file]);
    assert_eq!(leftovers(&directory), [""; 0]);
    (output.status.code(), stderr(&output), report(&directory))
}

#[test]
fn a_lost_device_ends_its_participant_and_the_report_says_so() {
    for (producer, reader, dead) in
        [("navi21+lost-after=3", "navi21", "card"), ("navi21", "navi21+lost-after=3", "video")]
    {
        let (code, message, report) = ran(producer, reader);
        assert_eq!((code, &report["ended"]), (Some(1), &"failed".into()), "{message}\n{report:#}");
        let said = report["dead"][0].to_string();
        assert_eq!(report["dead"][0]["name"], dead, "{report:#}");
        assert!(said.contains("device lost") && said.contains("navi21+lost-after=3 (simulated)"), "{said}");
        assert!(message.contains("device lost"), "{message}");
        let device = participant(&report, dead)["device"].as_str().unwrap().to_owned();
        assert!(device.contains("navi21+lost-after=3"), "{device}");
        let frames = &participant(&report, dead)["frames"];
        let done = ["submitted", "shown"].iter().filter_map(|which| frames[which].as_u64()).max();
        assert!(done <= Some(3), "{frames}");
    }
}

#[test]
fn habits_that_show_at_the_first_frame_end_the_run_and_are_named() {
    for (producer, reader, words) in [
        ("navi21+compresses-below=65536", "navi21", "compresses only what has less than 65536"),
        ("navi21", "navi21+compresses-below=65536", "compresses only what has less than 65536"),
        ("navi21", "navi21+first-submission-fails", "its import was good"),
    ] {
        let (code, message, report) = ran(producer, reader);
        assert_eq!(code, Some(1), "{message}");
        assert!(report["dead"].to_string().contains(words), "{report:#}");
    }
    let (code, message, _) = ran("navi21+compresses-below=100000000", "navi21+lost-after=1000");
    assert_eq!(code, Some(0), "{message}");
}

#[test]
fn a_habit_that_does_not_exist_is_refused_where_it_stands() {
    let directory = Directory::new();
    let file = directory.file("pair.toml", pipeline("navi21+moody", "navi21"));
    let output = run(&directory, &[&file]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("unknown device `navi21+moody`"), "{}", stderr(&output));
}
