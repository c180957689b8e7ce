//! What the rules look at: the files of the repository, and what cargo says about its packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cargo;

/// The library whose dependency tree is counted.
pub(super) const LIBRARY: &str = "handover";

/// Cargo is asked about one target, so that the count is the same on every machine that checks it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Folders below the root that are made, not written; `.gitignore` names them too.
const MADE: [&str; 4] = [".git", "target", "out", "fuzz/target"];

/// The repository, or a small one that a test makes up.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Path from the root, with `/`, → text. A file that is not UTF-8 has an empty text.
    pub(super) files: BTreeMap<String, String>,
    /// Every package that the workspace builds with, its own among them.
    pub(super) packages: Vec<Package>,
    /// The crates that a user of the library compiles, each as `name version`, its own among them.
    pub(super) library: BTreeSet<String>,
}

/// A package as `cargo metadata` describes it.
#[derive(Debug, Default, Clone)]
pub(super) struct Package {
    pub(super) name: String,
    /// SPDX expression; empty when the package states none.
    pub(super) licence: String,
    /// Part of this workspace.
    pub(super) member: bool,
    /// What its Cargo.toml asks for.
    pub(super) dependencies: Vec<Dependency>,
    /// Names of the packages it builds with, tests aside.
    pub(super) resolved: Vec<String>,
}

/// One line of a `[dependencies]` table.
#[derive(Debug, Clone)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// From `[dev-dependencies]`: only tests, examples and benches see it.
    pub(super) dev: bool,
}

impl Tree {
    /// Reads the repository below `root` and asks cargo about it.
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let mut files = BTreeMap::new();
        read_folder(root, "", &mut files)?;
        let (packages, library) = (packages()?, library()?);
        Ok(Self { files, packages, library })
    }

    /// Every Rust file.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The packages of this workspace.
    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.member)
    }
}

fn read_folder(root: &Path, below: &str, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let folder = root.join(below);
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", folder.display());
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(format!("{}: the name is not UTF-8", entry.path().display()));
        };
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if !MADE.contains(&path.as_str()) {
                read_folder(root, &path, files)?;
            }
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).map_err(|e| format!("cannot read {path}: {e}"))?;
            files.insert(path, String::from_utf8(bytes).unwrap_or_default());
        }
    }
    Ok(())
}

/// What the workspace is built with, and then what the programs that fuzz it need besides: nothing else asks whether their lock file holds.
fn packages() -> Result<Vec<Package>, String> {
    let mut packages = packages_of("Cargo.toml")?;
    for package in packages_of("fuzz/Cargo.toml")? {
        if packages.iter().all(|known| known.name != package.name) {
            // The rules for members are for the members of the workspace.
            packages.push(Package { member: false, ..package });
        }
    }
    Ok(packages)
}

fn packages_of(manifest: &str) -> Result<Vec<Package>, String> {
    let platform = ["--filter-platform", TARGET];
    let question = ["metadata", "--format-version", "1", "--locked", "--manifest-path", manifest];
    let text = ask_cargo(&[&question[..], &platform[..]].concat())?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
    let described = list(&metadata, "packages")?;
    let members: BTreeSet<&str> = list(&metadata, "workspace_members")?.iter().filter_map(Value::as_str).collect();
    let nodes = metadata.get("resolve").ok_or("cargo metadata: there is no `resolve`")?;
    let name_of: BTreeMap<&str, &str> = described.iter().map(|p| (string(p, "id"), string(p, "name"))).collect();
    let mut resolved: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for node in list(nodes, "nodes")? {
        let built_with = list(node, "deps")?.iter().filter(|dependency| {
            let kinds = dependency.get("dep_kinds").and_then(Value::as_array);
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| string(kind, "kind") != "dev"))
        });
        let names = built_with.filter_map(|d| name_of.get(string(d, "pkg"))).map(|&name| name.to_owned());
        resolved.insert(string(node, "id"), names.collect());
    }
    let mut packages = Vec::new();
    for package in described {
        let id = string(package, "id");
        // Packages of other platforms are described too; only what is resolved is built.
        let Some(resolved) = resolved.remove(id) else { continue };
        let dependencies = list(package, "dependencies")?
            .iter()
            .map(|d| Dependency { name: string(d, "name").to_owned(), dev: string(d, "kind") == "dev" })
            .collect();
        packages.push(Package {
            name: string(package, "name").to_owned(),
            licence: string(package, "license").to_owned(),
            member: members.contains(id),
            dependencies,
            resolved,
        });
    }
    Ok(packages)
}

/// `cargo tree`, not the graph of `cargo metadata`: that one joins the features that all members ask for, and
/// so counted crates (errno, by way of a test's temporary files) that no user of the library compiles.
fn library() -> Result<BTreeSet<String>, String> {
    let arguments =
        ["tree", "--locked", "--package", LIBRARY, "--edges", "normal,build", "--prefix", "none", "--target", TARGET];
    let text = ask_cargo(&arguments)?;
    // `rustix v1.1.6 (proc-macro) (*)`: what follows the version depends on where the line stands.
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok(text.lines().map(name).filter(|name| !name.is_empty()).collect())
}

fn ask_cargo(arguments: &[&str]) -> Result<String, String> {
    let question = arguments.join(" ");
    let output = cargo().args(arguments).output().map_err(|e| format!("cannot start cargo {question}: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo {question}: {}", String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    String::from_utf8(output.stdout).map_err(|e| format!("cargo {question}: {e}"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    value.get(key).and_then(Value::as_array).ok_or_else(|| format!("cargo metadata: there is no list `{key}`"))
}

/// The text under a key; empty where cargo writes null.
fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
impl Tree {
    /// A tree of these files and nothing else.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect();
        Self { files, ..Self::default() }
    }
}

#[cfg(test)]
impl Package {
    /// A member with these dependencies; a name that ends in `?` is for tests only.
    pub(super) fn member(name: &str, dependencies: &[&str]) -> Self {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|d| Dependency { name: d.trim_end_matches('?').to_owned(), dev: d.ends_with('?') })
            .collect();
        let resolved = dependencies.iter().filter(|d| !d.dev).map(|d| d.name.clone()).collect();
        Self { name: name.to_owned(), licence: "MIT".to_owned(), member: true, dependencies, resolved }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::this_tree;

    #[test]
    fn the_tree_has_files_packages_and_no_made_folder() {
        let tree = this_tree();
        assert!(tree.files.contains_key("xtask/src/tidy/tree.rs"));
        assert!(!tree.files.keys().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
        assert!(tree.members().any(|package| package.name == "handover-model"));
        assert!(tree.packages.iter().any(|package| package.name == "libc" && !package.member));
        assert!(tree.library.iter().any(|name| name.starts_with("rustix v")));
    }
}
