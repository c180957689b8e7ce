//! The layouts and numbers of `handover_sys::uapi` against a committed table, and against the C headers of this machine.
//!
//! `data/uapi.tsv` says where it comes from. `data/uapi-versions.tsv` lists in which rows older or newer headers differ.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests panic as tests do")]
#![cfg(target_pointer_width = "64")]

#[path = "../common/mod.rs"]
mod common;
mod devices;
mod rows;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::skip;
use rows::{Key, Rows, number, read};

const TABLE: &str = include_str!("../data/uapi.tsv");
const VERSIONS: &str = include_str!("../data/uapi-versions.tsv");

/// Headers that no machine can be asked to have.
const PACKAGED_NOWHERE: [&str; 1] = ["vgem_drm.h"];

fn ours() -> Rows {
    let mut rows = Rows::default();
    sharing::dma_buf(&mut rows);
    sharing::sync_file(&mut rows);
    sharing::udmabuf(&mut rows);
    sharing::dma_heap(&mut rows);
    sharing::drm(&mut rows);
    sharing::syncobj(&mut rows);
    sharing::vgem(&mut rows);
    devices::mode(&mut rows);
    devices::amdgpu(&mut rows);
    devices::kfd(&mut rows);
    devices::v4l2(&mut rows);
    rows
}

fn table() -> BTreeMap<Key, u64> {
    read(TABLE).into_iter().map(|(key, value)| (key, number(&value))).collect()
}

#[test]
fn every_number_size_and_offset_is_that_of_the_table() {
    let (ours, table) = (ours().found, table());
    for (key, value) in &ours {
        assert_eq!(table.get(key), Some(value), "{key:?}: the table on the left");
    }
    let missing: Vec<&Key> = table.keys().filter(|key| !ours.contains_key(*key)).collect();
    assert!(missing.is_empty(), "in the table and not in the crate: {missing:?}");
}

/// A struct or request that nobody compares would be wrong in silence.
#[test]
fn every_struct_and_request_of_the_crate_is_compared() {
    let covered = ours().covered;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/uapi");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).expect("the sources") {
        let path = file.expect("an entry").path();
        let module = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        for line in std::fs::read_to_string(&path).expect("a source").lines() {
            let is_request = line.starts_with("pub const") && line.contains(": Request<");
            let Some(rest) = line.strip_prefix(if is_request { "pub const " } else { "pub struct " }) else { continue };
            let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
            let name = format!("{module}::{}", &rest[..end]);
            seen += 1;
            // A header that is compared by itself, and room for what follows it.
            assert!(covered.contains(&name) || name == "udmabuf::CreateListItems", "{name} is not in tests/uapi");
        }
    }
    assert!(seen > 100, "{seen}: the sources have moved");
}

/// What the headers of this machine say, by the compiler of this machine.
#[test]
fn the_c_headers_say_the_same() {
    if Command::new("cc").arg("--version").output().is_err() {
        return skip("cc", "no C compiler");
    }
    let mut versions: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for (key, value) in read(VERSIONS) {
        versions.entry(key).or_default().insert(value);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("uapi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    // kfd_ioctl.h asks for <drm/drm.h>, which Debian has under another name.
    std::os::unix::fs::symlink("/usr/include/libdrm", folder.join("drm")).expect("a link");
    let table = table();
    let headers: BTreeSet<&str> = table.keys().map(|key| key.0.as_str()).collect();
    for header in headers {
        if let Err(why) = run(&folder, header, &[]) {
            if PACKAGED_NOWHERE.contains(&header) {
                eprintln!("skipped: {header}: distributions leave it out of their packages");
                continue;
            }
            skip(&format!("header {header}"), why.lines().next().unwrap_or_default());
            continue;
        }
        let may_be_absent = |key: &Key| versions.get(key).is_some_and(|values| values.contains("absent"));
        let (doubtful, sure): (Vec<&Key>, Vec<&Key>) =
            table.keys().filter(|key| key.0 == header).partition(|key| may_be_absent(key));
        let mut said = run(&folder, header, &sure).unwrap_or_else(|why| panic!("{header}: {why}"));
        for key in doubtful {
            match run(&folder, header, &[key]) {
                Ok(lines) => said.push_str(&lines),
                Err(_) => eprintln!("skipped: {key:?}: not in the header of this machine"),
            }
        }
        let said = read(&said);
        assert!(said.len() >= sure.len(), "{header}: a line for each row");
        for (key, value) in said {
            let allowed = versions.get(&key).is_some_and(|values| values.contains(&value));
            assert!(allowed || table.get(&key) == Some(&number(&value)), "{key:?}: the header says {value}");
        }
    }
    std::fs::remove_dir_all(&folder).expect("tidy up");
}

/// Compiles `data/uapi.c` for these rows of a header and runs it.
fn run(folder: &Path, header: &str, keys: &[&Key]) -> Result<String, String> {
    let mut lines = String::new();
    for (_, name, kind) in keys {
        let line = match (kind.as_str(), name.split_once('.')) {
            ("offset", Some((tag, field))) => format!("OFFSET({tag}, {field})"),
            ("size", _) => format!("SIZE({name})"),
            ("number", _) => format!("NUMBER({name})"),
            _ => format!("CONSTANT({name})"),
        };
        writeln!(lines, "{line}").expect("a String");
    }
    let (rows, program) = (folder.join("rows.h"), folder.join("program"));
    std::fs::write(&rows, lines).expect("the rows");
    let source: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/uapi.c");
    let compiled = Command::new("cc")
        // `linux` is a macro of the compiler, and would spoil the name of the header.
        .args(["-w", "-Ulinux", "-I/usr/include/libdrm", "-I/usr/include/drm", "-I"])
        .arg(folder)
        .arg(format!("-DHEADER=<{header}>"))
        .arg(format!("-DHEADER_NAME=\"{header}\""))
        .arg(format!("-DROWS=\"{}\"", rows.display()))
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .expect("the compiler starts");
    if !compiled.status.success() {
        let why = String::from_utf8_lossy(&compiled.stderr).into_owned();
        return Err(why);
    }
    let output = Command::new(&program).output().expect("the program runs");
    assert!(output.status.success());
    Ok(String::from_utf8(output.stdout).expect("text"))
}
