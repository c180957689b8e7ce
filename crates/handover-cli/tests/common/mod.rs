//! Running the program as people do, in a directory of its own.

// clippy.toml lets tests panic; it does not know the helpers beside them. Not every test uses every helper.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A directory that goes when the test ends, well or not.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("handover-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("tmp")).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn out(&self) -> PathBuf {
        self.0.join("out")
    }

    /// Where the run would put what it needs for a while.
    pub fn temporary(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `handover run` with these arguments and `--out` in the directory.
pub fn command(directory: &Directory, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    command.arg("run").args(arguments).arg("--out").arg(directory.out());
    command.env("TMPDIR", directory.temporary()).env("XDG_RUNTIME_DIR", directory.temporary());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn run(directory: &Directory, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

/// Shows that a check was left out and why. Fails instead where `HANDOVER_REQUIRE` names `need` or says `all`.
pub fn skip(need: &str, why: &str) {
    let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == need || name == "all"), "{need} is required: {why}");
    // Not by eprintln: of a test that passes, the harness keeps that to itself.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: needs {need}: {why}\n"));
}

pub fn report(directory: &Directory) -> Value {
    serde_json::from_slice(&fs::read(directory.out().join("report.json")).unwrap()).unwrap()
}

/// The entry of a list whose `key` is `value`.
pub fn find<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|entry| entry[key] == value);
    found.unwrap_or_else(|| panic!("no {key} {value} in {list:#}"))
}

pub fn participant<'a>(report: &'a Value, name: &str) -> &'a Value {
    find(&report["participants"], "name", name)
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs that have started, by participant: process and name.
pub fn participants_of(parent: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in parentheses may hold anything; behind it come the state and the parent.
        let Some(fields) = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>()) else {
            continue;
        };
        if fields.get(1).and_then(|ppid| ppid.parse().ok()) != Some(parent) || fields.first() == Some(&"Z") {
            continue;
        }
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        if let [_, command, name, ..] = arguments.as_slice()
            && *command == b"participant"
        {
            found.push((pid, String::from_utf8_lossy(name).into_owned()));
        }
    }
    found
}

/// Where a participant says it is, and how many rounds of frames it has done: its status page, read from outside.
pub fn status_of(pid: u32) -> Option<(&'static str, u64)> {
    const STAGES: [&str; 8] = ["negotiate", "allocate", "export", "import", "acquire", "access", "flush", "release"];
    let mut descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let page = descriptors.find(|entry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().contains("handover-status"))
    })?;
    let bytes: [u8; 16] = fs::read(page.path()).ok()?.try_into().ok()?;
    let (stage, frames) = bytes.split_at(8);
    Some((STAGES.get(usize::from(stage[0]))?, u64::from_le_bytes(frames.try_into().ok()?)))
}

/// Waits until the run has started this participant and gives its process.
pub fn wait_for(run: &mut Child, name: &str) -> Option<u32> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if let Some((pid, _)) = participants_of(run.id()).into_iter().find(|(_, found)| found == name) {
            return Some(pid);
        }
        if run.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// Waits until a file has at least so many bytes.
pub fn wait_for_bytes(path: &Path, bytes: u64) {
    let started = Instant::now();
    while fs::metadata(path).map_or(0, |metadata| metadata.len()) < bytes {
        assert!(started.elapsed() < Duration::from_secs(60), "{} does not grow", path.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a signal with the shell's own `kill`.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid} 2>/dev/null")]).status();
    let _ = status.unwrap();
}

/// Waits for the end of a run; one that hangs is killed and fails the test.
pub fn finish(mut run: Child, limit: Duration) -> (Output, Duration) {
    let started = Instant::now();
    loop {
        if run.try_wait().unwrap().is_some() {
            let took = started.elapsed();
            return (run.wait_with_output().unwrap(), took);
        }
        if started.elapsed() > limit {
            let left = participants_of(run.id());
            let _ = run.kill();
            panic!("the run did not end within {limit:?}; left: {left:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a run left where shared memory, sockets and temporary files would lie.
pub fn leftovers(directory: &Directory) -> Vec<String> {
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    // All of the machine uses /dev/shm; nobody else has our name in it.
    let shared = names(Path::new("/dev/shm")).into_iter().filter(|name| name.contains("handover"));
    shared.chain(names(&directory.temporary())).collect()
}

/// The kinds of the boxes of an MP4 file; panics if they do not fill it.
pub fn boxes(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let size = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        assert!(size >= 8 && size <= rest.len(), "{}: a box reaches beyond the end", path.display());
        kinds.push(String::from_utf8_lossy(&rest[4..8]).into_owned());
        rest = &rest[size..];
    }
    kinds
}

/// Asserts that a video is whole up to some frame: `ftyp`, `moov`, then pairs of `moof` and `mdat`. Gives how many.
pub fn whole_fragments(path: &Path) -> usize {
    let kinds = boxes(path);
    assert_eq!(kinds[..2], ["ftyp", "moov"], "{}", path.display());
    assert!(kinds.len().is_multiple_of(2) && kinds.len() > 2, "{}: {} boxes", path.display(), kinds.len());
    assert!(kinds[2..].chunks(2).all(|pair| pair == ["moof", "mdat"]), "{}", path.display());
    kinds.len() / 2 - 1
}

/// Runs the program to its end, wherever it is.
pub fn handover(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_handover")).args(arguments).output().unwrap()
}

/// What it prints when all is well.
pub fn printed(arguments: &[&str]) -> String {
    let output = handover(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
