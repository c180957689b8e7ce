//! The kernel's own fences, from its trace events (`dma_fence`), on the same clock as everything else.
//!
//! An instance of tracefs of our own keeps what somebody else may be tracing as it is (`Documentation/trace/ftrace.rst`,
//! "Instances"). It takes root, and a kernel with trace events.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where tracefs is mounted.
const TRACEFS: &str = "/sys/kernel/tracing";

/// The events that say when a fence began and ended.
const EVENTS: [&str; 3] = ["dma_fence_init", "dma_fence_emit", "dma_fence_signaled"];

/// What a trace may hold of each CPU, in KiB: some 20,000 events.
const BUFFER_KIB: &str = "2048";

/// One fence of a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelFence {
    /// Who made it.
    pub driver: String,
    /// Its timeline, as the driver calls it.
    pub timeline: String,
    /// Its context, which no two timelines share.
    pub context: u64,
    /// Its place in the context.
    pub seqno: u64,
    /// When it was made, in nanoseconds on `CLOCK_MONOTONIC`.
    pub from: u64,
    /// When it was signalled. `None`: not while we looked.
    pub to: Option<u64>,
}

/// A trace that runs. Dropped, it is taken away.
#[derive(Debug)]
pub struct Trace(PathBuf);

impl Trace {
    /// Begins to trace.
    ///
    /// # Errors
    /// There is no tracefs, no such event, or this user may not; the error names the file.
    pub fn start() -> io::Result<Self> {
        Self::below(Path::new(TRACEFS))
    }

    fn below(tracefs: &Path) -> io::Result<Self> {
        let trace = Self(tracefs.join("instances").join(format!("handover-{}", std::process::id())));
        named(&trace.0, fs::create_dir(&trace.0))?;
        trace.set("trace_clock", "mono")?;
        trace.set("buffer_size_kb", BUFFER_KIB)?;
        EVENTS.iter().try_for_each(|event| trace.set(&format!("events/dma_fence/{event}/enable"), "1"))?;
        trace.set("tracing_on", "1")?;
        Ok(trace)
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        let path = self.0.join(file);
        named(&path, fs::write(&path, value))
    }

    /// Stops, and gives what was seen.
    pub fn stop(self) -> io::Result<Vec<KernelFence>> {
        self.set("tracing_on", "0")?;
        let path = self.0.join("trace");
        let text = named(&path, fs::read(&path))?;
        // Names of threads are whatever their owners liked.
        Ok(read(&String::from_utf8_lossy(&text)))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // One that stays costs memory until the next boot; there is nobody to tell.
        let _ = fs::remove_dir(&self.0);
    }
}

fn named<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Fences of a trace's text. Lines that are none of ours are passed over.
fn read(text: &str) -> Vec<KernelFence> {
    let mut fences: Vec<KernelFence> = Vec::new();
    let mut places: HashMap<(u64, u64), usize> = HashMap::new();
    for (event, time, driver, timeline, context, seqno) in text.lines().filter_map(line) {
        let key = (context, seqno);
        match places.get(&key).and_then(|place| fences.get_mut(*place)) {
            Some(fence) if event == "dma_fence_signaled" => fence.to = Some(time),
            Some(_) => {}
            None if event == "dma_fence_signaled" => {}
            None => {
                places.insert(key, fences.len());
                let (driver, timeline) = (driver.to_owned(), timeline.to_owned());
                fences.push(KernelFence { driver, timeline, context, seqno, from: time, to: None });
            }
        }
    }
    fences
}

type Line<'a> = (&'a str, u64, &'a str, &'a str, u64, u64);

/// `weston-812 [001] ..... 34.567890: dma_fence_init: driver=virtio_gpu timeline=controlq context=12 seqno=7`
fn line(line: &str) -> Option<Line<'_>> {
    // The last one: a thread may be called so too.
    let at = line.rfind(": dma_fence_")?;
    let (before, event) = line.split_at(at);
    let seconds = before.split_whitespace().next_back()?;
    let (event, fields) = event.strip_prefix(": ")?.split_once(": ")?;
    let (whole, micros) = seconds.split_once('.')?;
    if micros.len() != 6 {
        return None;
    }
    let time =
        whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)?.checked_mul(1000)?;
    // A driver or a timeline may have spaces in its name; the numbers come last.
    let (names, numbers) = fields.split_once(" context=")?;
    let (driver, timeline) = names.strip_prefix("driver=")?.split_once(" timeline=")?;
    let (context, seqno) = numbers.trim_end().split_once(" seqno=")?;
    Some((event, time, driver, timeline, context.parse().ok()?, seqno.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{KernelFence, Trace, read};

    const TEXT: &str = "\
# tracer: nop
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
          weston-812     [001] .....    34.567890: dma_fence_init: driver=virtio_gpu timeline=control q context=12 seqno=7
 kworker/u8: 3-44        [000] d..1.    34.567990: dma_fence_emit: driver=virtio_gpu timeline=control q context=12 seqno=7
 a: dma_fence_x-9        [000] d..1.    34.568000: dma_fence_signaled: driver=virtio_gpu timeline=control q context=12 seqno=7
          weston-812     [001] .....    34.568001: dma_fence_signaled: driver=vgem timeline=unbound context=1 seqno=1
          weston-812     [001] .....    34.568002: dma_fence_init: driver=vgem timeline=unbound context=2 seqno=1
          weston-812     [001] .....    34.5680: dma_fence_init: driver=vgem timeline=unbound context=3 seqno=1
";

    #[test]
    fn a_trace_becomes_fences_with_their_times() {
        let fence = |driver: &str, timeline: &str, context, seqno, from, to| KernelFence {
            driver: driver.into(),
            timeline: timeline.into(),
            context,
            seqno,
            from,
            to,
        };
        let expected = [
            fence("virtio_gpu", "control q", 12, 7, 34_567_890_000, Some(34_568_000_000)),
            fence("vgem", "unbound", 2, 1, 34_568_002_000, None),
        ];
        let found = read(TEXT);
        assert_eq!(found, expected);
        assert!(read("").is_empty());
    }

    #[test]
    fn without_tracefs_the_error_names_the_file() {
        let error = Trace::below(std::path::Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/instances/handover-"), "{error}");
    }
}
