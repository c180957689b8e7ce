//! The report of a run as a scenario: of a scenario that ran its jobs with the times they took, of a pipeline what each participant did
//! for a frame on average.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::file::{Access, Buffer, File, Job, Sizes};
use super::program::Scenario;
use super::recorded::Recorded;
use super::resolve;
use crate::pipeline::file::At;
use crate::pipeline::{Diagnostics, LoadError};

/// Bytes of " #1234567", which tells the frames of a job apart.
const LONGER: usize = 16;
/// Frames of a pipeline that are scheduled, and numbers of surfaces in its pools that are tried.
const FRAMES: i64 = 10;
const POOLS: [i64; 3] = [1, 2, 4];

/// Of either report the keys that matter here.
#[derive(Deserialize)]
struct Report {
    scenario: Option<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    jobs: Vec<Measured>,
    graph: Option<Recorded>,
    pipeline: Option<String>,
    #[serde(default)]
    participants: Vec<Participant>,
    /// What `explain` itself prints.
    programs: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Measured {
    job: String,
    owner: String,
    engine: String,
    started_ms: Option<f64>,
    ended_ms: Option<f64>,
}

#[derive(Deserialize)]
struct Participant {
    name: String,
    frames: Frames,
    waiting_us: Option<Time>,
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Frames {
    submitted: u64,
    shown: u64,
}

#[derive(Deserialize)]
struct Time {
    cpu: u64,
    flush: u64,
}

#[derive(Deserialize)]
struct Input {
    producer: String,
}

/// The scenario of a report; `file` is its name in messages.
///
/// # Errors
/// It is no report of a run, or of one that did not end.
pub(super) fn read(text: &str, file: &str) -> Result<Scenario, LoadError> {
    let refused = |why: String| LoadError::Unreadable(format!("the report {file} {why}"));
    let report: Report = serde_json::from_str(text).map_err(|error| {
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        LoadError::Unreadable(format!("{file}:{}:{}: no report of a run: {what}", error.line(), error.column()))
    })?;
    let raw = match (&report.scenario, &report.pipeline) {
        (Some(name), _) => measured(name, &report),
        (None, Some(name)) => pipeline(name, &report),
        (None, None) if report.programs.is_some() => Err("is what explain printed, not the report of a run".to_owned()),
        (None, None) => Err("is none of a run: it names neither a scenario nor a pipeline".to_owned()),
    };
    let raw = raw.map_err(refused)?;
    // It has no places to point at: names say what is meant.
    let mut diagnostics = Diagnostics::new("", file);
    let scenario = resolve::resolve(&raw, &mut diagnostics);
    if diagnostics.is_empty() { Ok(scenario) } else { Err(LoadError::Wrong(diagnostics)) }
}

fn measured(name: &str, report: &Report) -> Result<File, String> {
    let Some(graph) = &report.graph else {
        return Err(format!("of {name} does not say what jobs touch\n  what helps: run it again, by this version"));
    };
    if graph.jobs.is_empty() {
        return Err(format!("of {name} has no jobs"));
    }
    let mut jobs = Vec::with_capacity(graph.jobs.len());
    let mut ran = report.jobs.iter();
    for job in &graph.jobs {
        // Both are in the order of submission; one that nobody heard of is missing among those that ran.
        let times = ran.next().filter(|ran| ran.job == job.job);
        let Some((ran, start, end)) = times.and_then(|ran| Some((ran, ran.started_ms?, ran.ended_ms?))) else {
            return Err(format!(
                "of {name} has no times of {}: it did not run\n  what helps: a run to its end",
                job.job
            ));
        };
        let accesses = job.accesses.iter().map(|access| {
            at(Access {
                buffer: word(&access.buffer),
                region: access.region.as_ref().map(|region| word(region)),
                access: word(&access.access),
            })
        });
        jobs.push(at(Job {
            name: word(&job.job),
            // Casts of floats saturate: what is out of bounds stays so.
            duration: at(((end - start) * 1000.0).round() as i64),
            engine: Some(word(&ran.engine)),
            owner: Some(word(&ran.owner)),
            group: job.group.as_ref().map(|group| word(group)),
            accesses: accesses.collect(),
            after: job.after.as_ref().map(|after| at(after.iter().map(|name| word(name)).collect())),
        }));
    }
    let buffers = graph.buffers.iter().map(|buffer| {
        let regions = buffer.regions.iter().map(|region| word(region)).collect();
        at(Buffer { name: word(&buffer.name), regions, ring: None })
    });
    let title = if report.title.is_empty() { "as it ran".to_owned() } else { format!("{}, as it ran", report.title) };
    Ok(file(name, &title, None, buffers.collect(), jobs))
}

/// A participant does its work for a frame, reads its inputs, and writes a surface if somebody reads it.
fn pipeline(name: &str, report: &Report) -> Result<File, String> {
    let produces =
        |name: &str| report.participants.iter().any(|other| other.inputs.iter().any(|input| input.producer == name));
    let mut jobs = Vec::with_capacity(report.participants.len());
    for participant in &report.participants {
        let Some(time) = &participant.waiting_us else {
            let help = "what helps: a run to its end";
            return Err(format!("of {name} has no times of {}: it did not live to tell\n  {help}", participant.name));
        };
        let frames = participant.frames.submitted.max(participant.frames.shown);
        if frames == 0 {
            return Err(format!("of {name} has no frame of {}\n  what helps: a run to its end", participant.name));
        }
        let mean = time.cpu.saturating_add(time.flush) / frames;
        let access =
            |buffer: &str, access: &str| at(Access { buffer: word(buffer), region: None, access: word(access) });
        let own = produces(&participant.name).then(|| access(&participant.name, "write"));
        let reads = participant.inputs.iter().map(|input| access(&input.producer, "read"));
        jobs.push(at(Job {
            name: word(&participant.name),
            duration: at(i64::try_from(mean).unwrap_or(i64::MAX)),
            engine: None,
            owner: None,
            group: None,
            accesses: reads.chain(own).collect(),
            after: None,
        }));
    }
    let producers = report.participants.iter().filter(|participant| produces(&participant.name));
    let buffers = producers.map(|producer| {
        let ring = Some(at(Sizes::Several(POOLS.to_vec())));
        at(Buffer { name: word(&producer.name), regions: Vec::new(), ring })
    });
    let title = format!("mean work for a frame, {FRAMES} frames");
    Ok(file(name, &title, Some(at(FRAMES)), buffers.collect(), jobs))
}

fn file(name: &str, title: &str, frames: Option<At<i64>>, buffer: Vec<At<Buffer>>, job: Vec<At<Job>>) -> File {
    File {
        name: word(name),
        title: Some(word(title)),
        unit: Some(word("us")),
        frames,
        passing: None,
        engine: Vec::new(),
        buffer,
        job,
        threads: None,
        _run: None,
        longer: LONGER,
    }
}

fn word(text: &str) -> At<String> {
    at(text.to_owned())
}

fn at<T>(value: T) -> At<T> {
    At::new(0..0, value)
}
