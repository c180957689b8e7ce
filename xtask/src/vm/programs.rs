//! The workspace's test programs: cargo builds them on the host and says where they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::job::Program;
use super::plan::Plan;
use crate::cargo;

/// What cargo says about the workspace.
pub(super) struct Workspace {
    /// Where cargo builds.
    pub(super) target: PathBuf,
    /// Cargo.toml → name of the package.
    packages: BTreeMap<String, String>,
}

impl Workspace {
    /// Asks `cargo metadata`, which builds nothing.
    pub(super) fn read() -> Result<Self, String> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| format!("cannot start cargo: {e}"))?;
        let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
        let target = text(&metadata, "/target_directory").ok_or("cargo metadata says no target_directory")?;
        let listed = metadata.get("packages").and_then(Value::as_array).ok_or("cargo metadata says no packages")?;
        let name =
            |package: &Value| Some((text(package, "/manifest_path")?.to_owned(), text(package, "/name")?.to_owned()));
        Ok(Self { target: PathBuf::from(target), packages: listed.iter().filter_map(name).collect() })
    }

    /// Builds all test programs as `cargo test` does, and lists them by name.
    pub(super) fn build(&self) -> Result<Vec<Built>, String> {
        let output = cargo()
            .args(["test", "--no-run", "--quiet", "--workspace", "--message-format", "json-render-diagnostics"])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| format!("cannot start cargo: {e}"))?;
        if !output.status.success() {
            return Err(format!("the tests do not build: {}", output.status));
        }
        let mut built: Vec<Built> =
            String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| self.artifact(line)).collect();
        built.sort_by(|a, b| a.name.cmp(&b.name));
        if built.is_empty() { Err("cargo built no test program".to_owned()) } else { Ok(built) }
    }

    /// Builds a program as the tests are built, and gives its path.
    pub(super) fn build_program(&self, package: &str, name: &str) -> Result<PathBuf, String> {
        let output = cargo()
            .args(["build", "--quiet", "--package", package, "--bin", name])
            .args(["--message-format", "json-render-diagnostics"])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| format!("cannot start cargo: {e}"))?;
        if !output.status.success() {
            return Err(format!("{name} does not build: {}", output.status));
        }
        let executable = |line: &str| {
            let message: Value = serde_json::from_str(line).ok()?;
            let is_it = text(&message, "/target/name") == Some(name) && text(&message, "/target/kind/0") == Some("bin");
            text(&message, "/executable").filter(|_| is_it).map(PathBuf::from)
        };
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        lines.lines().find_map(executable).ok_or_else(|| format!("cargo did not say where {name} is"))
    }

    /// The test program that a line of cargo's is about. None: it is about something else.
    fn artifact(&self, line: &str) -> Option<Built> {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_test = message.pointer("/profile/test").and_then(Value::as_bool) == Some(true);
        if text(&message, "/reason") != Some("compiler-artifact") || !is_test {
            return None;
        }
        let manifest = text(&message, "/manifest_path")?;
        let package = self.packages.get(manifest)?;
        let target = match text(&message, "/target/kind/0")? {
            kind @ ("lib" | "bin") => kind,
            _ => text(&message, "/target/name")?,
        };
        Some(Built {
            name: format!("{package}.{target}"),
            path: PathBuf::from(text(&message, "/executable")?),
            folder: Path::new(manifest).parent()?.to_owned(),
        })
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// A test program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Built {
    /// `PACKAGE.TARGET`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// The package's folder, in which cargo runs it.
    folder: PathBuf,
}

impl Built {
    /// The names of its tests, which it lists without running any.
    pub(super) fn tests(&self) -> Result<Vec<String>, String> {
        let output = Command::new(&self.path)
            .args(["--list", "--format", "terse"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("cannot start {}: {e}", self.path.display()))?;
        let list = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }

    /// The program as the guest runs it.
    pub(super) fn planned(&self, plan: &Plan) -> Program {
        let mut words = vec![self.path.to_string_lossy().into_owned()];
        for excused in plan.excused(&self.name) {
            if words.len() == 1 {
                // Without it a name skips every test that contains it.
                words.push("--exact".to_owned());
            }
            words.extend(["--skip".to_owned(), excused.test.to_owned()]);
        }
        Program {
            name: self.name.clone(),
            folder: self.folder.to_string_lossy().into_owned(),
            words,
            limit: plan.limit(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::plan::{Excused, Plan};
    use super::{Built, Workspace};

    fn workspace() -> Workspace {
        let packages = [("/repo/crates/a/Cargo.toml".to_owned(), "a".to_owned())];
        Workspace { target: PathBuf::from("/repo/target"), packages: packages.into() }
    }

    fn line(kind: &str, test: bool) -> String {
        serde_json::json!({
            "reason": "compiler-artifact",
            "manifest_path": "/repo/crates/a/Cargo.toml",
            "target": { "kind": [kind], "name": "way" },
            "profile": { "test": test },
            "executable": "/repo/target/debug/deps/way-1",
        })
        .to_string()
    }

    #[test]
    fn test_programs_are_told_from_all_else_that_cargo_builds() {
        let name = |line: &str| workspace().artifact(line).map(|built| built.name);
        assert_eq!(name(&line("test", true)).as_deref(), Some("a.way"));
        assert_eq!(name(&line("lib", true)).as_deref(), Some("a.lib"));
        assert_eq!(name(&line("bin", true)).as_deref(), Some("a.bin"));
        assert_eq!(name(&line("bin", false)), None);
        assert_eq!(name(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(name("running 3 tests"), None);
    }

    #[test]
    fn excused_tests_are_skipped_by_their_whole_name() {
        let excused = &[Excused { program: "a.way", test: "slow", reason: "an hour" }];
        let plan = Plan { left_out: &[], excused, limits: &[] };
        let built = workspace().artifact(&line("test", true)).unwrap();
        assert_eq!(built.planned(&plan).words, ["/repo/target/debug/deps/way-1", "--exact", "--skip", "slow"]);
        assert_eq!(built.planned(&plan).folder, "/repo/crates/a");
        let other = Built { name: "a.other".to_owned(), ..built };
        assert_eq!(other.planned(&plan).words.len(), 1);
    }
}
