//! amdgpu devices for machines without one: a test runs again as a child, under a preload that answers for the driver.
//!
//! What the stand-in is and what it does not do stands in `data/amdgpu_standin.c`. It is written after the kernel's source and has
//! not been held against a card.
// Each test binary uses a part of this.
#![allow(dead_code)]

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

const NODES: &str = "HANDOVER_STANDIN_NODES";
const KFD: &str = "HANDOVER_STANDIN_KFD";
const RECORD: &str = "HANDOVER_STANDIN_RECORD";

/// The devices of one test: files in a folder of its own.
pub(crate) struct Standin {
    folder: PathBuf,
}

impl Standin {
    /// A node by its name: `navi21`, `navi22`, `polaris10`, `refuses`, `exhausted` or `confined`.
    pub(crate) fn node(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What poses as `/dev/kfd`.
    pub(crate) fn kfd(&self) -> PathBuf {
        self.node("kfd")
    }

    /// Where the calls are recorded, if [`record`] runs the test.
    pub(crate) fn recorded(&self) -> PathBuf {
        self.node("recorded")
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        // The parent made the folder and removes it; a child only looks at it.
        if env::var_os(NODES).is_none() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Runs `body` with the devices: `test` is the name of the test that calls this, which is run again under the preload.
/// A visible skip where there is no C compiler.
pub(crate) fn with_devices(test: &str, body: impl FnOnce(&Standin)) {
    match inside() {
        Some(devices) => body(&devices),
        None => drop(Build::new().map(|build| build.run_again(test, false))),
    }
}

/// The same; every call to a device lies in the file that [`Standin::recorded`] names when this returns, in the parent only.
pub(crate) fn record(test: &str, body: impl FnOnce(&Standin)) -> Option<Standin> {
    match inside() {
        Some(devices) => {
            body(&devices);
            None
        }
        None => Build::new().map(|build| build.run_again(test, true)),
    }
}

fn inside() -> Option<Standin> {
    let nodes = env::var(NODES).ok()?;
    let folder = Path::new(nodes.split(':').next()?).parent()?.to_owned();
    Some(Standin { folder })
}

/// The preload, compiled, and the nodes, made.
pub(crate) struct Build {
    devices: Standin,
    preload: PathBuf,
}

impl Build {
    pub(crate) fn new() -> Option<Self> {
        if Command::new("cc").arg("--version").output().is_err() {
            super::skip("cc", "no C compiler");
            return None;
        }
        let preload = preload();
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Not in the target folder, which may be read-only where the tests run.
        let folder = env::temp_dir().join(format!("handover-standin-{}-{count}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let devices = Standin { folder };
        for name in NAMES.iter().chain(&["kfd"]) {
            File::create(devices.node(name)).expect("a node");
        }
        Some(Self { devices, preload })
    }

    pub(crate) fn devices(&self) -> &Standin {
        &self.devices
    }

    /// A program that sees the devices.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let nodes: Vec<String> = NAMES.iter().map(|name| self.devices.node(name).display().to_string()).collect();
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", &self.preload).env(NODES, nodes.join(":")).env(KFD, self.devices.kfd());
        command
    }

    fn run_again(self, test: &str, record: bool) -> Standin {
        let mut command = self.command(env::current_exe().expect("this program"));
        command.args(["--exact", test, "--nocapture"]);
        if record {
            command.env(RECORD, self.devices.recorded());
        }
        let output = command.output().expect("this program starts");
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // A name that no test has would pass with none.
        assert!(output.status.success() && said.contains("1 passed"), "{test} under the stand-in:\n{said}\n{told}");
        eprint!("{told}");
        self.devices
    }
}

const NAMES: &[&str] = &["navi21", "navi22", "polaris10", "refuses", "exhausted", "confined"];

/// The stand-in as a library: compiled once for each state of its source, and kept.
fn preload() -> PathBuf {
    let source = source("amdgpu_standin.c");
    let mut hasher = DefaultHasher::new();
    fs::read(&source).expect("the source").hash(&mut hasher);
    let name = format!("amdgpu-standin-{:016x}.so", hasher.finish());
    let kept = [Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name), env::temp_dir().join(&name)];
    if let Some(kept) = kept.into_iter().find(|kept| kept.exists()) {
        return kept;
    }
    let is_writable = |folder: &Path| File::create(folder.join(".writable")).is_ok();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    // Read-only in a guest that sees the target folder of its host.
    let folder = if is_writable(&target) { target } else { env::temp_dir() };
    let new = folder.join(format!("{name}-{}-{:?}", std::process::id(), std::thread::current().id()));
    compile(&source, &new, &["-shared", "-fPIC"]).expect("the stand-in compiles");
    let kept = folder.join(name);
    // Whole or not at all: other tests do the same meanwhile.
    fs::rename(new, &kept).expect("the folder is ours to write");
    kept
}

/// A file of `tests/data` of this crate.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../handover-sys/tests/data").join(name)
}

/// Compiles a C file; the compiler's words where it refuses.
pub(crate) fn compile(source: &Path, program: &Path, options: &[&str]) -> Result<(), String> {
    let mut command = Command::new("cc");
    command.args(["-O1", "-I/usr/include/libdrm", "-o"]).arg(program).arg(source).args(options);
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
