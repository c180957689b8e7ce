//! `handover run` of scenarios: what `explain` computes, with processes, and what breaks when participants leave something out.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod faults;

use std::process::Output;
use std::time::Duration;

use common::{Directory, command, find, finish, leftovers, participants_of, report, run, signal, stderr, wait_for};
use handover_cli::explain::{Graph, Model, Scenario, Work, schedule};
use handover_cli::measure::{Duty, SHIPPED};
use serde_json::Value;

/// Ten times what the longest of them takes, and more.
const LIMIT: Duration = Duration::from_secs(60);

fn ran(arguments: &[&str]) -> (Output, Value) {
    let directory = Directory::new();
    let (output, _) = finish(command(&directory, arguments).spawn().unwrap(), LIMIT);
    assert!(leftovers(&directory).is_empty(), "{:?}", leftovers(&directory));
    let report = report(&directory);
    for job in report["jobs"].as_array().into_iter().flatten() {
        let picture = std::fs::read_to_string(directory.out().join("waits.svg")).unwrap();
        assert!(picture.contains("measured: ") && picture.contains(job["job"].as_str().unwrap()));
    }
    (output, report)
}

fn complete(arguments: &[&str]) -> Value {
    let (output, report) = ran(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    assert_eq!(report["ended"], "complete");
    assert_eq!(report["hazards"].as_array().map(Vec::len), Some(0), "{report:#}");
    for job in report["jobs"].as_array().unwrap() {
        let of = |key: &str| job[key].as_f64().unwrap();
        let times = [of("submitted_ms"), 0.0, of("ready_ms"), of("started_ms"), of("ended_ms"), of("released_ms")];
        assert!(times.is_sorted(), "{job:#}");
    }
    println!("{arguments:?}: {:.3} of the critical path", report["ratio"].as_f64().unwrap());
    report
}

/// What is left out is found out: somebody sees wrong pixels, and is named.
fn breaks(arguments: &[&str]) -> Value {
    let (output, report) = ran(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
    assert_eq!(report["ended"], "hazards", "{arguments:?}: {}", stderr(&output));
    let hazards = report["hazards"].as_array().unwrap();
    assert!(!hazards.is_empty(), "{arguments:?}");
    for hazard in hazards {
        let said = format!("hazard: {} ", hazard["job"].as_str().unwrap());
        assert!(stderr(&output).contains(&said), "{said}: {}", stderr(&output));
    }
    report
}

/// Who started before whom had ended, by the stamps of both: this does not depend on who looked at which pixels when.
fn early(report: &Value) -> Vec<(&str, &str)> {
    let order = report["hazards"].as_array().unwrap().iter().filter(|hazard| hazard["access"] == "order");
    order.map(|hazard| (hazard["job"].as_str().unwrap(), hazard["expected"].as_str().unwrap())).collect()
}

fn makespan(text: &str, model: Model) -> (u64, u64) {
    let Work::Jobs(variants) = Scenario::parse(text, "test").unwrap_or_else(|error| panic!("{error}")).work else {
        panic!("no jobs")
    };
    let graph = Graph::of(&variants[0].program);
    (schedule(&graph, model.rules()).makespan, graph.critical_path())
}

fn shipped(name: &str) -> &'static str {
    SHIPPED.into_iter().find(|(shipped, _)| *shipped == name).unwrap().1
}

fn held<'a>(report: &'a Value, buffer: &str) -> &'a Value {
    find(&report["held"], "buffer", buffer)
}

fn step<'a>(report: &'a Value, name: &str) -> (usize, &'a Value) {
    let steps = report["steps"].as_array().unwrap();
    let index = steps.iter().position(|step| step["step"] == name).unwrap_or_else(|| panic!("no {name} in {steps:#?}"));
    (index, &steps[index])
}

#[test]
fn tiles_by_region_take_the_critical_path_and_as_a_whole_what_explain_says() {
    let tiles = shipped("tiles");
    assert_eq!(makespan(tiles, Model::Regions), (100, 100));
    let (whole, _) = makespan(tiles, Model::Shared);
    let report = complete(&["tiles"]);
    assert_eq!(report["predicted"]["makespan_ms"], 100.0);
    assert_eq!(report["predicted"]["false_waits"].as_array().map(Vec::len), Some(0));
    let report = complete(&["tiles", "--regions", "whole"]);
    assert_eq!(report["predicted"]["makespan_ms"].as_f64(), Some(whole as f64));
    let waits = &report["predicted"]["false_waits"];
    assert_eq!(
        (&waits[0]["waiter"], &waits[0]["on"], &waits[0]["usage"]),
        (&"R0".into(), &"W3".into(), &"read after write".into())
    );
    assert!(waits[0]["measured_ms"].as_f64().unwrap() > 0.0);
    let measured = find(&report["waits"], "waiter", "R0");
    assert!(measured["measured_ms"].as_f64().unwrap() > 0.0);
    // On a machine that is busy it starts late, and then nobody is blamed.
    assert!(measured["on"].is_null() || measured["on"] == "W3", "{measured}");
}

#[test]
fn tiles_under_every_policy_are_what_the_models_say() {
    let tiles = shipped("tiles");
    for (policy, model) in [("always-write", Model::Exclusive), ("skip-own-owner", Model::Owners)] {
        let report = complete(&["tiles", "--policy", policy]);
        let predicted = &report["predicted"];
        assert!(predicted["model"].as_str().unwrap().starts_with(model.name()), "{predicted}");
        assert_eq!(predicted["makespan_ms"].as_f64(), Some(makespan(tiles, model).0 as f64));
    }
    assert_eq!(complete(&["tiles", "--sync", "explicit"])["predicted"]["model"], "M3 fully explicit");
}

/// U4: who attaches nothing is named, and whoever trusts the reservation sees a torn picture.
#[test]
fn u4_who_attaches_nothing_is_named_and_found_out() {
    let report = breaks(&["tiles", "--policy", "W3=none"]);
    assert_eq!(report["unattached"], serde_json::json!(["W3"]));
    assert_eq!(early(&report), [("R3", "W3")]);
    assert!(report["predicted"].is_null());
}

#[test]
fn fields_of_one_buffer_run_beside_each_other() {
    let fields = shipped("fields");
    assert_eq!(makespan(fields, Model::Regions).0, makespan(fields, Model::Regions).1);
    complete(&["fields"]);
    complete(&["fields", "--regions", "whole"]);
    breaks(&["fields", "--policy", "none"]);
}

#[test]
fn s11_the_output_of_a_blend_holds_one_write_and_a_read_for_each_encoder() {
    let report = complete(&["blend"]);
    let output = held(&report, "output");
    assert_eq!((&output["write"], &output["read"], &output["bookkeep"]), (&1.into(), &3.into(), &0.into()));
    breaks(&["blend", "--policy", "none"]);
}

#[test]
fn s6_an_implicit_client_waits_for_what_an_explicit_compositor_imported() {
    let report = complete(&["implicit-client"]);
    let (frame, _) = step(&report, "import compose as read");
    let (screenshot, _) = step(&report, "import screenshot as read");
    assert!(frame.max(screenshot) < step(&report, "submit W2").0);
    let broken = breaks(&["implicit-client", "--without", "import"]);
    assert_eq!(early(&broken), [("W2", "compose"), ("W2", "screenshot")], "the next frame came too early");
    breaks(&["implicit-client", "--without", "export"]);
}

#[test]
fn explicit_clients_share_one_buffer_and_it_tears_without_their_fences() {
    let report = complete(&["single-buffer"]);
    let buffer = held(&report, "A");
    assert_eq!((&buffer["visible"], &buffer["write"], &buffer["read"]), (&false.into(), &0.into(), &0.into()));
    assert!(buffer["bookkeep"].as_u64().unwrap() > 0);
    assert_eq!(report["predicted"]["model"], "M3 fully explicit");
    breaks(&["single-buffer", "--without", "waits"]);
}

/// The mail: nothing shows to implicit eyes until an encoder joins; then a write is imported, reads are attached, and a union released.
#[test]
fn the_stream_of_the_mail_step_by_step() {
    let report = complete(&["stream"]);
    let (joins, import) = step(&report, "import W1 as write");
    assert_eq!(import["by"], "compositor");
    let steps = report["steps"].as_array().unwrap();
    for step in &steps[..joins] {
        for held in step["held"].as_array().unwrap() {
            assert_eq!(held["visible"], false, "{step:#}");
        }
    }
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["submit W1", "submit C1"]);
    let usages = |name: &str| {
        let held = find(&step(&report, name).1["held"], "buffer", "A");
        (held["write"].as_u64().unwrap(), held["read"].as_u64().unwrap())
    };
    assert_eq!(usages("import W1 as write"), (1, 0));
    assert_eq!(usages("submit low-1"), (1, 1));
    assert_eq!(usages("submit high-1"), (1, 2));
    let (release, by) = step(&report, "release for W2");
    assert_eq!(by["by"], "compositor");
    assert!(release < step(&report, "submit W2").0);
    assert_eq!(usages("submit W2"), (1, 2), "the client records nothing");
    assert!(report["predicted"]["model"].as_str().unwrap().starts_with("M2"));
}

#[test]
fn the_stream_of_the_mail_breaks_without_any_of_its_steps() {
    for duty in Duty::WORDS {
        let report = breaks(&["stream", "--without", duty]);
        let early = early(&report);
        println!("without {duty}: {early:?}");
        let expected: &[(&str, &str)] = match duty {
            // The compositor reads what is not drawn yet.
            "waits" => &[("C1", "W1")],
            "import" => &[("low-1", "W1"), ("high-1", "W1")],
            // The client draws over what the second frame's last encoder still reads.
            "attach" | "export" => &[("W3", "high-2")],
            // The client draws over what the compositor still reads.
            "merge" => &[("W2", "C1")],
            _ => &[("W2", "C1"), ("W3", "high-2")],
        };
        assert!(expected.iter().all(|pair| early.contains(pair)), "without {duty}: {early:?}");
    }
}

/// S7: the makespans are printed, and asserted in virtual time elsewhere.
#[test]
fn s7_8_and_32_threads_export_and_import_honestly_and_not() {
    let (output, report) = ran(&["threads"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let runs = report["runs"].as_array().unwrap();
    let shape: Vec<_> =
        runs.iter().map(|run| (run["threads"].as_u64().unwrap(), run["export_import"].as_str().unwrap())).collect();
    assert_eq!(
        shape,
        [(8, "READ / READ (honest)"), (8, "READ / WRITE"), (32, "READ / READ (honest)"), (32, "READ / WRITE")]
    );
    for run in runs {
        assert_eq!(run["jobs"].as_array().map(Vec::len), Some(run["threads"].as_u64().unwrap() as usize + 1));
        println!("{} {}: {:.1} ms", run["threads"], run["export_import"], run["makespan_ms"].as_f64().unwrap());
    }
}

#[test]
fn json_is_the_report_and_nothing_else() {
    let directory = Directory::new();
    let output = run(&directory, &["fields", "--json"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, report(&directory));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
}
