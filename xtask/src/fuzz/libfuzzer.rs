//! A target as a program of libFuzzer: built with counters at every branch, run, and its findings made small.
//!
//! Options: <https://llvm.org/docs/LibFuzzer.html>.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use super::MADE;
use super::plan::Plan;
use crate::{cargo, root};

/// Counters at branches, and a look at what is compared: what `cargo fuzz` passes without a sanitizer. Stable Rust takes them.
const COUNTED: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                       -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                       -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// A block has 256 bytes, and more must be refused.
const LONGEST: &str = "-max_len=340";
/// What an input may take.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=1024"];
/// How long a finding is made smaller.
const SMALLER: &str = "-max_total_time=20";

pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
}

impl Program {
    /// Builds it. For a named target, so that the counters are in it alone and not in build scripts.
    pub(super) fn build(name: &'static str) -> Result<Self, String> {
        let (host, made) = (host()?, root().join(MADE).join("build"));
        let built = cargo()
            .args(["build", "--locked", "--release", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--bin", name])
            .args(["--target", &host])
            .arg("--target-dir")
            .arg(&made)
            .env("RUSTFLAGS", COUNTED)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .map_err(|error| format!("cargo does not start: {error}"))?;
        if !built.success() {
            return Err("its program does not build: see above. (libFuzzer itself is C++: apt-get install g++)".into());
        }
        Ok(Self { name, path: made.join(host).join("release").join(name) })
    }

    /// What libFuzzer says while it runs.
    pub(super) fn log(&self) -> PathBuf {
        root().join(MADE).join(format!("{}.log", self.name))
    }

    /// Fuzzes. New inputs go into the first folder. Gives what was done, in words; a finding is an error.
    pub(super) fn fuzz(&self, plan: &Plan, folders: &[&Path]) -> Result<String, String> {
        let finding = root().join(MADE).join(format!("{}-finding", self.name));
        remove(&finding)?;
        let began = Instant::now();
        let status = self.run(
            Command::new(&self.path)
                .args([&format!("-max_total_time={}", plan.seconds), &format!("-seed={}", plan.seed)])
                .args([LONGEST, "-print_final_stats=1", "-reload=0", "-use_value_profile=1"])
                .args(LIMITS)
                .arg(format!("-exact_artifact_path={}", finding.display()))
                .args(folders),
        )?;
        let log = self.said();
        if status.success() {
            let (count, seconds) = (number(&log, "stat::number_of_executed_units:"), began.elapsed().as_secs_f64());
            let edges = last(&log, " cov: ").and_then(|text| text.split(' ').next()).unwrap_or("?");
            return Ok(format!("{count} inputs in {seconds:.1} s, {edges} branches reached"));
        }
        if !finding.exists() {
            return Err(format!("libFuzzer ended with {status}; see {}", self.log().display()));
        }
        Err(self.smaller(&finding, why(&log)))
    }

    /// The finding, made smaller if that goes.
    fn smaller(&self, finding: &Path, why: String) -> String {
        let small = root().join(MADE).join(format!("{}-small", self.name));
        let tried = remove(&small).and_then(|()| {
            self.run(
                Command::new(&self.path)
                    .args(["-minimize_crash=1", SMALLER])
                    .args(LIMITS)
                    .arg(format!("-exact_artifact_path={}", small.display()))
                    .arg(finding),
            )
        });
        let kept = if tried.is_ok() && small.exists() { &small } else { finding };
        let hex: Vec<String> = fs::read(kept).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{why}\n  input: {}\n  kept as {}", hex.join(" "), kept.display())
    }

    /// Adds the fewest inputs of `from` to a corpus that reach what it does not. None that is there goes. Gives how many files there are.
    pub(super) fn grow(&self, corpus: &Path, from: &[&Path]) -> Result<usize, String> {
        let status = self
            .run(Command::new(&self.path).args(["-set_cover_merge=1", LONGEST]).args(LIMITS).arg(corpus).args(from))?;
        if !status.success() {
            return Err(format!("libFuzzer ended with {status}; see {}", self.log().display()));
        }
        let files = corpus.read_dir().map_err(|error| format!("{}: {error}", corpus.display()))?;
        Ok(files.count())
    }

    fn run(&self, command: &mut Command) -> Result<ExitStatus, String> {
        let log = self.log();
        let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let program = |error| format!("{}: {error}", self.path.display());
        // It writes to both.
        let out = file.try_clone().map_err(program)?;
        command.env_remove("RUST_BACKTRACE").stdout(out).stderr(file).status().map_err(program)
    }

    fn said(&self) -> String {
        fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

fn remove(file: &Path) -> Result<(), String> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", file.display())),
        _ => Ok(()),
    }
}

/// The target that this machine builds for.
fn host() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output().map_err(|error| format!("rustc does not start: {error}"))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    last(&said, "host: ").map(str::to_owned).ok_or_else(|| format!("rustc does not say its host: {said}"))
}

/// What stands behind the last of these words, up to the end of its line.
fn last<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.rsplit_once(word)?.1.lines().next()
}

fn number(log: &str, name: &str) -> u64 {
    last(log, name).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

/// What a panic said, or what libFuzzer makes of the end.
fn why(log: &str) -> String {
    let panic = log.split_once("panicked at ").map(|(_, said)| {
        let end =
            ["\nnote: run with", "\nstack backtrace", "\n==", "\nNOTE:"].iter().filter_map(|end| said.find(end)).min();
        format!("panic at {}", said.get(..end.unwrap_or(said.len())).unwrap_or(said).trim_end())
    });
    panic.or_else(|| last(log, "SUMMARY: ").map(str::to_owned)).unwrap_or_else(|| "libFuzzer did not say why".into())
}

#[cfg(test)]
mod tests {
    use super::{last, number, why};

    #[test]
    fn what_libfuzzer_says() {
        let done =
            "#99\tREDUCE cov: 12 ft: 20\n#140\tDONE   cov: 14 ft: 25 corp: 7\nstat::number_of_executed_units: 140\n";
        assert_eq!(last(done, " cov: "), Some("14 ft: 25 corp: 7"));
        assert_eq!(number(done, "stat::number_of_executed_units:"), 140);
        let panic = "INFO: Seed: 1\n\nthread '<unnamed>' (7) panicked at src/lib.rs:1:2:\nword: broken\nnote: run with `RUST_BACKTRACE=1`\n== 1";
        assert_eq!(why(panic), "panic at src/lib.rs:1:2:\nword: broken");
        assert_eq!(why("x\nSUMMARY: libFuzzer: timeout\n"), "libFuzzer: timeout");
    }
}
