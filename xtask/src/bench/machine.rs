//! What machine the figures are of, and on which of its CPUs this thread runs.

use std::fmt;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

use super::Result;

/// What a figure depends on and does not show.
#[derive(Debug)]
pub(super) struct Machine {
    processor: String,
    cpus: usize,
    kernel: String,
    /// Load averages of the last 1, 5 and 15 minutes.
    pub(super) load: String,
}

impl Machine {
    pub(super) fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let processor = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: processor.map_or_else(|| std::env::consts::ARCH.into(), |(_, name)| name.into()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().into(),
            load: read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "processor": self.processor, "cpus": self.cpus, "kernel": self.kernel, "load": self.load })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} CPUs, Linux {}, load before: {}", self.processor, self.cpus, self.kernel, self.load)
    }
}

/// The CPUs that this process may use when it starts.
pub(super) fn cpus() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Keeps this thread, and every thread it starts from now on, on one CPU until the guard is dropped.
pub(super) fn pin(cpu: usize) -> Result<Pinned> {
    let before = sched_getaffinity(None)?;
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only)?;
    Ok(Pinned { before })
}

/// Gives the CPUs back when dropped.
#[derive(Debug)]
pub(super) struct Pinned {
    before: CpuSet,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Was allowed before; and if not any more, what follows is only slower.
        let _ = sched_setaffinity(None, &self.before);
    }
}
