//! What is found out in a run of a scenario, and what ends one: hazards, signals, deaths, refusals.

use super::*;

/// A scenario that takes long enough to be disturbed.
const LONG: &str = r#"
name = "long"
unit = "ms"

[[buffer]]
name = "A"

[[job]]
name = "draw"
engine = "one"
duration = 20000
accesses = [{ buffer = "A", access = "write" }]

[[job]]
name = "look"
engine = "other"
duration = 1000
accesses = [{ buffer = "A", access = "read" }]
"#;

/// Somebody draws for long, and somebody else touches the same when it should have ended.
fn second(accesses: &str, more: &str) -> String {
    format!(
        r#"
name = "second"
unit = "ms"

[run]
sync = "explicit"

[[buffer]]
name = "A"

[[job]]
name = "draw"
duration = 300
accesses = [{{ buffer = "A", access = "write" }}]

[[job]]
name = "second"
duration = 20
accesses = [{accesses}]
{more}
"#
    )
}

const WRITE: &str = r#"{ buffer = "A", access = "write" }"#;
const READ: &str = r#"{ buffer = "A", access = "read" }"#;

fn has(report: &Value, job: &str, access: &str, at: &str) -> bool {
    let hazards = report["hazards"].as_array().unwrap();
    hazards
        .iter()
        .any(|hazard| (&hazard["job"], &hazard["access"], &hazard["at"]) == (&job.into(), &access.into(), &at.into()))
}

#[test]
fn who_reads_and_writes_a_cell_must_find_the_last_writer_there() {
    let directory = Directory::new();
    let file = directory.file("modify.toml", second(&format!("{READ}, {WRITE}"), ""));
    complete(&[&file]);
    let report = breaks(&[&file, "--without", "waits"]);
    assert_eq!(early(&report), [("second", "draw")]);
    assert!(has(&report, "second", "read", "start"), "{report:#}");
}

#[test]
fn a_write_that_comes_too_late_shows_though_nobody_reads_it() {
    let directory = Directory::new();
    let file = directory.file("over.toml", second(WRITE, ""));
    complete(&[&file]);
    let report = breaks(&[&file, "--without", "waits"]);
    assert_eq!(early(&report), [("second", "draw")]);
    assert!(has(&report, "second", "write", "last"), "{report:#}");
}

#[test]
fn what_a_scenario_promises_not_to_matter_is_no_hazard_and_is_counted() {
    let directory = Directory::new();
    let read =
        format!("after = []\n[[job]]\nname = \"read\"\nduration = 20\nafter = [\"second\"]\naccesses = [{READ}]");
    let file = directory.file("promise.toml", second(WRITE, &read));
    let report = complete(&[&file]);
    assert_eq!((&report["unchecked_reads"], &report["unchecked_cells"]), (&1.into(), &1.into()));
}

/// The predictions of mixed owners are those of the plan's own steps: an import says what each job does to each cell.
#[test]
fn a_reader_of_one_half_is_not_imported_as_a_writer_of_it() {
    let directory = Directory::new();
    let file = directory.file(
        "halves.toml",
        r#"
name = "halves"
unit = "ms"

[[run.owner]]
name = "both"
sync = "explicit"

[[buffer]]
name = "A"
regions = ["left", "right"]

[[job]]
name = "both"
duration = 200
accesses = [{ buffer = "A", region = "left", access = "read" }, { buffer = "A", region = "right", access = "write" }]

[[job]]
name = "left"
duration = 20
accesses = [{ buffer = "A", region = "left", access = "read" }]

[[job]]
name = "right"
duration = 20
accesses = [{ buffer = "A", region = "right", access = "read" }]
"#,
    );
    let report = complete(&[&file]);
    assert_eq!(find(&report["jobs"], "job", "left")["predicted_start_ms"], 0.0);
    assert_eq!(find(&report["jobs"], "job", "right")["predicted_start_ms"], 200.0);
    assert_eq!(report["predicted"]["false_waits"].as_array().map(Vec::len), Some(0));
    let (read, _) = step(&report, "import both as read");
    assert_eq!(step(&report, "import both as write").0, read + 1);
}

/// A signal between two runs of a scenario of threads is one of the whole.
#[test]
fn ctrl_c_after_the_first_run_of_threads_ends_all_of_them() {
    let directory = Directory::new();
    let mut run = command(&directory, &["threads"]).spawn().unwrap();
    let first = wait_for(&mut run, "writer").unwrap();
    while std::path::Path::new(&format!("/proc/{first}")).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(run.id(), "INT");
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let report = report(&directory);
    assert_eq!(report["ended"], "interrupted");
    assert!(report["runs"].as_array().unwrap().len() < 4);
    assert!(leftovers(&directory).is_empty());
}

#[test]
fn a_killed_owner_is_named_and_nothing_is_left() {
    let directory = Directory::new();
    let file = directory.file("long.toml", LONG);
    let mut run = command(&directory, &[&file]).spawn().unwrap();
    let pid = wait_for(&mut run, "one").unwrap();
    let others = participants_of(run.id());
    std::thread::sleep(Duration::from_millis(300));
    signal(pid, "KILL");
    let (output, _) = finish(run, LIMIT);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&format!("one (process {pid}) was killed by SIGKILL")), "{message}");
    let report = report(&directory);
    assert_eq!((&report["ended"], &report["dead"]["name"]), (&"failed".into(), &"one".into()));
    assert!(report["ratio"].is_null(), "{report:#}");
    let look = find(&report["jobs"], "job", "look");
    assert!(look["submitted_ms"].is_f64() && look["ended_ms"].is_null(), "all jobs are listed: {look}");
    for (pid, name) in others {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{name} is left");
    }
    assert!(leftovers(&directory).is_empty());
}

#[test]
fn ctrl_c_ends_a_scenario_and_leaves_nothing() {
    let directory = Directory::new();
    let file = directory.file("long.toml", LONG);
    let mut run = command(&directory, &[&file]).spawn().unwrap();
    wait_for(&mut run, "other").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let others = participants_of(run.id());
    signal(run.id(), "INT");
    let (output, _) = finish(run, LIMIT);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted by SIGINT"));
    assert_eq!(report(&directory)["ended"], "interrupted");
    for (pid, name) in others {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{name} is left");
    }
}

#[test]
fn what_cannot_run_is_refused_before_anything_starts() {
    let directory = Directory::new();
    let with = |text: &str| directory.file("scenario.toml", format!("{LONG}\n{text}"));
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = run(&directory, arguments);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(!directory.out().exists(), "{arguments:?} left a directory");
        for part in parts {
            assert!(message.contains(part), "{arguments:?}: {part:?} is not in {message}");
        }
    };
    refused(
        &[&with("[run]\nsync = \"explicitly\"")],
        &["scenario.toml:", "`explicitly` is no way to synchronise", "did you mean `explicit`?"],
    );
    refused(&[&with("[run]\nborder = \"nobody\"")], &["`nobody` is no owner", "allowed: one, other"]);
    refused(&[&with("[run]\nborder = \"one\"")], &["`one` is implicit", "sync = \"explicit\""]);
    refused(&[&with("[run]\nrows = [\"A\"]")], &["A has no regions"]);
    refused(&[&with("[[run.owner]]\nname = \"one\"\n[[run.owner]]\nname = \"one\"")], &["is said twice"]);
    refused(&[&with("[run]\ncolour = 1")], &["unknown key `colour`"]);
    refused(&[&with("[[run.owner]]\nname = \"one\"\npolicy = \"rude\"")], &["`rude` is no policy"]);
    refused(&[&with("[[job]]\nname = \"idle\"\nduration = 1")], &["idle touches no buffer"]);
    refused(
        &[&with(
            "[[job]]\nname = \"x\"\nengine = \"one\"\nowner = \"else\"\nduration = 1\naccesses = [{ buffer = \"A\", access = \"read\" }]",
        )],
        &["the engine one has jobs of one and of else"],
    );
    refused(
        &[&directory.file("unit.toml", LONG.replace("unit = \"ms\"", ""))],
        &["its durations are of no unit", "unit = \"ms\""],
    );
    refused(
        &[&directory.file("frames.toml", LONG.replace("unit =", "frames = 20\nunit ="))],
        &["20 uses of A", "holds 16 of one owner"],
    );
    refused(&["tiles", "--policy", "W9=none"], &["no owner is called W9", "W0, W1"]);
    refused(&["tiles", "--policy", "polite"], &["--policy polite: allowed: honest"]);
    refused(&["tiles", "--frames", "3"], &["--frames is for pipelines"]);
    refused(&["fanout", "--sync", "explicit"], &["are for scenarios"]);
    refused(&["threads", "--regions", "whole"], &["are for jobs"]);
    refused(&["nowhere.toml"], &["tiles", "stream"]);
}
