//! The scenario file as it stands: keys and types right, nothing else known.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::pipeline::file::At;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: At<String>,
    pub(super) title: Option<At<String>>,
    pub(super) unit: Option<At<String>>,
    pub(super) frames: Option<At<i64>>,
    pub(super) passing: Option<At<i64>>,
    #[serde(default)]
    pub(super) engine: Vec<At<Engine>>,
    #[serde(default)]
    pub(super) buffer: Vec<At<Buffer>>,
    #[serde(default)]
    pub(super) job: Vec<At<Job>>,
    pub(super) threads: Option<At<Threads>>,
    /// For `handover run` alone, which reads it itself.
    #[serde(rename = "run")]
    pub(super) _run: Option<IgnoredAny>,
    /// Bytes that names may have besides those of a file: a job of a run is called "draw #12".
    #[serde(skip)]
    pub(super) longer: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Engine {
    pub(super) name: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Buffer {
    pub(super) name: At<String>,
    #[serde(default)]
    pub(super) regions: Vec<At<String>>,
    /// One size, or several to try.
    pub(super) ring: Option<At<Sizes>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "invalid type, expected an integer or an array of integers")]
pub(super) enum Sizes {
    One(i64),
    Several(Vec<i64>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    pub(super) name: At<String>,
    pub(super) duration: At<i64>,
    pub(super) engine: Option<At<String>>,
    pub(super) owner: Option<At<String>>,
    pub(super) group: Option<At<String>>,
    #[serde(default)]
    pub(super) accesses: Vec<At<Access>>,
    pub(super) after: Option<At<Vec<At<String>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Access {
    pub(super) buffer: At<String>,
    pub(super) region: Option<At<String>>,
    pub(super) access: At<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Threads {
    pub(super) counts: At<Vec<i64>>,
    pub(super) write: At<i64>,
    pub(super) read: At<i64>,
    pub(super) interleavings: At<i64>,
    pub(super) seed: At<i64>,
}
