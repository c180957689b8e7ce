//! `handover inspect` sees what real processes hold.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::stderr;
use handover::backend::linux::Udmabuf;
use handover::{
    Access, Deadline, Device, ExportFlags, Extent, Format, Options, Region, Surface, SurfaceUsages, Writers,
};
use handover::{acquire, allocate, export, negotiate};
use serde_json::Value;

fn inspect(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    command.arg("inspect").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(arguments: &[&str]) -> Output {
    inspect(arguments).output().unwrap()
}

/// The report about the buffers of one process.
fn report_of(pid: u32) -> Value {
    let output = output(&["--json", "--pid", &pid.to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn surface() -> Surface {
    let offer = Device::BLOCKS.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(720, 404).unwrap(), &[offer]).unwrap();
    allocate(Device::BLOCKS, &agreement, &Default::default()).unwrap().remove(0)
}

/// A process that does nothing and has the pixels as its standard input.
struct Holder(Child);

impl Holder {
    fn of(surface: &Surface) -> Self {
        let deadline = Deadline::after(Duration::from_secs(5));
        let exported = export(surface, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, deadline).unwrap();
        let (_, [pixels, _control]) = exported.handle.into_parts();
        Self(Command::new("sleep").arg("600").stdin(Stdio::from(pixels)).spawn().unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn buffers(report: &Value) -> &Vec<Value> {
    report["buffers"].as_array().unwrap()
}

#[test]
fn a_surface_is_seen_in_both_processes_that_hold_it() {
    let surface = surface();
    let holder = Holder::of(&surface);
    let report = report_of(holder.0.id());

    let [pixels] = buffers(&report).as_slice() else { panic!("one buffer: {report:#}") };
    assert_eq!((&pixels["kind"], &pixels["bytes_known"]), (&"pixels".into(), &true.into()));
    assert!(pixels["bytes"].as_u64().unwrap() >= 720 * 404 * 4, "{pixels:#}");
    let metadata = &pixels["metadata"];
    assert_eq!(metadata["device"], "blocks (simulated)", "{report:#}");
    assert_eq!(metadata["picture"]["format"], "XRGB8888");
    assert_eq!(metadata["picture"]["extent"], serde_json::json!([720, 404]));

    let holders = pixels["holders"].as_array().unwrap();
    let own = holders.iter().find(|holder| holder["pid"] == std::process::id()).unwrap();
    assert!(own["mappings"].as_u64() >= Some(1) && own["maps_writable"] == true, "{own:#}");
    let other = holders.iter().find(|found| found["pid"] == holder.0.id()).unwrap();
    assert_eq!((&other["command"], &other["descriptors"]), (&"sleep".into(), &1.into()));
    assert_eq!((&other["mappings"], &other["maps_writable"]), (&0.into(), &false.into()));

    // Only who was asked for has a total; its buffer counts once.
    let [process] = report["processes"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
    assert_eq!((&process["pid"], &process["buffers"]), (&holder.0.id().into(), &1.into()));
    assert_eq!(process["bytes"], pixels["bytes"]);
}

#[test]
fn people_read_the_same_as_programs() {
    let surface = surface();
    let holder = Holder::of(&surface);
    let output = output(&["--pid", &holder.0.id().to_string()]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["1 buffer, ", "XRGB8888 720x404", "by blocks (simulated)", "(fd)", "map rw"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn a_buffer_can_be_looked_at_while_somebody_writes_it() {
    let surface = surface();
    let parts = [(&surface, Access::Write, Region::WHOLE)];
    let lease = acquire(&parts, Deadline::after(Duration::from_secs(5))).unwrap().wait().unwrap();
    let report = report_of(std::process::id());
    assert!(buffers(&report).iter().any(|buffer| buffer["kind"] == "control"), "{report:#}");
    lease.release().unwrap();
}

#[test]
fn a_process_that_holds_nothing_is_told_in_words() {
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let output = output(&["--pid", &child.id().to_string()]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("No buffer is held by process"), "{text}");
}

#[test]
fn a_process_that_is_not_there_is_refused_by_number() {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let output = output(&["--pid", &pid.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains(&format!("process {pid}")) && message.contains("no such process"), "{message}");
}

#[test]
fn what_is_not_seen_is_told_with_its_reason() {
    let report = report_of(std::process::id());
    for unseen in report["not_seen"].as_array().unwrap() {
        assert!(!unseen["what"].as_str().unwrap().is_empty() && !unseen["why"].as_str().unwrap().is_empty());
    }
    let has_devices =
        ["/dev/udmabuf", "/dev/dma_heap", "/dev/dri"].iter().any(|path| std::path::Path::new(path).exists());
    let has_video = std::path::Path::new("/dev/video0").exists();
    let told = report["not_seen"].as_array().unwrap().iter().any(|unseen| unseen["what"] == "dma-bufs");
    assert!(!told || !(has_devices || has_video), "{report:#}");
}

#[test]
fn watching_shows_growth_and_ends_by_a_signal() {
    let first = surface();
    let holder = Holder::of(&first);
    let pid = std::process::id().to_string();
    let mut watch = inspect(&["--json", "--watch", "0.1", "--pid", &pid]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert!(next()["since_first"].is_null(), "the first look has nothing to be compared with");

    let second = surface();
    let started = Instant::now();
    loop {
        let report = next();
        let grown = buffers(&report).iter().any(|buffer| buffer["is_new"] == true);
        if grown {
            assert!(report["since_last"]["buffers"].is_i64() || report["since_last"]["buffers"].is_u64());
            assert!(report["seconds"].as_f64() > Some(0.0));
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no growth: {report:#}");
    }
    drop((second, holder));
    common::signal(watch.id(), "TERM");
    let (output, _) = common::finish(watch, Duration::from_secs(20));
    // Only now: a reader that goes away ends it too, and well.
    drop(lines);
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
}

#[test]
fn nonsense_on_the_command_line_is_refused() {
    for arguments in [["--watch", "0"], ["--watch", "soon"], ["--pid", "me"], ["--pid", "-1"]] {
        assert_eq!(output(&arguments).status.code(), Some(2), "{arguments:?}");
    }
}

/// Shows that a check was left out and why. Fails instead where `HANDOVER_REQUIRE` names `need` or says `all`.
fn skip(need: &str, why: &str) {
    let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == need || name == "all"), "{need} is required: {why}");
    // Not by eprintln: of a test that passes, the harness keeps that to itself.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: needs {need}: {why}\n"));
}

#[test]
fn a_real_dma_buf_is_seen_with_its_exporter_size_and_references() {
    let udmabuf = match Udmabuf::open() {
        Ok(udmabuf) => udmabuf,
        Err(error) => return skip("udmabuf", &error.to_string()),
    };
    let offer = Device::PLAIN.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(64, 48).unwrap(), &[offer]).unwrap();
    let options = Options { backend: Arc::new(udmabuf), writers: Writers::Open, ..Options::default() };
    let surface = allocate(Device::PLAIN, &agreement, &options).unwrap().remove(0);
    let holder = Holder::of(&surface);
    let report = report_of(holder.0.id());

    let [buffer] = buffers(&report).as_slice() else { panic!("one buffer: {report:#}") };
    assert_eq!((&buffer["kind"], &buffer["exporter"]), (&"dma-buf".into(), &"udmabuf".into()), "{report:#}");
    assert_eq!(buffer["bytes_known"], true);
    assert!(buffer["bytes"].as_u64().unwrap() >= 64 * 48 * 4, "{buffer:#}");
    assert!(buffer["references"].as_u64().unwrap() >= 2, "{buffer:#}");
    let pids: Vec<_> = buffer["holders"].as_array().unwrap().iter().map(|holder| &holder["pid"]).collect();
    assert!(pids.contains(&&std::process::id().into()) && pids.contains(&&holder.0.id().into()), "{buffer:#}");
    // Root is told of fences; a buffer that nobody has submitted to has none.
    assert!(buffer["fences"].is_null() || buffer["fences"] == serde_json::json!([]), "{buffer:#}");
}
