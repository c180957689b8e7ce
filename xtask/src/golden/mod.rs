//! `cargo xtask golden`: does this library agree with the vectors that other people's drivers gave?
//!
//! A vector file has one JSON object a line. Which members an object has says what it checks; the `FORMAT.md` beside the files says what
//! they mean. Everything goes through the public interface of `handover-model`.

mod equation;
mod metadata;
mod tiling;
mod vector;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use crate::{refuse, root};
use vector::Fault;

/// One kind of line: the member that only it has, and who checks it.
struct Check {
    member: &'static str,
    check: fn(&Value) -> Result<(), Fault>,
}

const CHECKS: &[Check] = &[
    Check { member: "layout", check: tiling::check },
    Check { member: "bits", check: equation::check },
    Check { member: "kind", check: |vector| metadata::check(vector).map_err(Fault::Differs) },
];

/// Where the committed vectors are: every `.jsonl` file in a folder of this one.
const COMMITTED: &str = "crates/handover-model/tests/data";
/// So many differences of a file are printed.
const SHOWN: usize = 5;
/// Exit status for input that cannot be read.
const UNREADABLE: u8 = 2;

/// The help of the command.
pub(crate) fn help() -> String {
    format!(
        "usage: cargo xtask golden [FILE…]\n\n\
         Checks vector files, all committed ones without an argument ({COMMITTED}/*/*.jsonl).\n\
         Prints how many lines of each file agree and the first {SHOWN} that differ.\n\n\
         exit status: 0 all agree, 1 some differ, {UNREADABLE} a file cannot be read\n"
    )
}

/// What one file gave.
#[derive(Debug, Default)]
struct Report {
    agreed: usize,
    /// Id of the vector, and what differs.
    differ: Vec<(String, String)>,
}

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if let Some(option) = arguments.iter().find(|argument| argument.starts_with('-')) {
        return refuse(&format!("xtask golden: there is no option `{option}`\n\n{}", help()));
    }
    let files = match arguments {
        [] => match committed() {
            Ok(files) => files,
            Err(why) => return refuse(&format!("xtask golden: {why}\n")),
        },
        files => files.iter().map(PathBuf::from).collect(),
    };
    let (mut agreed, mut all) = (0, 0);
    for file in &files {
        let report = match check_file(file) {
            Ok(report) => report,
            Err(why) => {
                eprintln!("xtask golden: {why}");
                return ExitCode::from(UNREADABLE);
            }
        };
        let lines = report.agreed + report.differ.len();
        println!("{:>4} of {lines:>4}  {}", report.agreed, file.display());
        for (id, what) in report.differ.iter().take(SHOWN) {
            println!("              {id}: {what}");
        }
        if report.differ.len() > SHOWN {
            println!("              and {} more", report.differ.len() - SHOWN);
        }
        agreed += report.agreed;
        all += lines;
    }
    println!("{agreed:>4} of {all:>4}  in all");
    if agreed == all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The committed files, in the order of their names.
fn committed() -> Result<Vec<PathBuf>, String> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>, String> {
        let entries = folder.read_dir().map_err(|why| format!("{}: {why}", folder.display()))?;
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(|why| why.to_string())).collect()
    };
    let mut files = Vec::new();
    for folder in list(&root().join(COMMITTED))?.iter().filter(|path| path.is_dir()) {
        files.extend(list(folder)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")));
    }
    files.sort();
    Ok(files)
}

/// Checks every line of a file. An error is a text that begins with file and line.
fn check_file(file: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(file).map_err(|why| format!("{}: {why}", file.display()))?;
    let mut report = Report::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let unreadable = |why: String| format!("{}:{}: {why}", file.display(), index + 1);
        let vector: Value = serde_json::from_str(line).map_err(|why| unreadable(why.to_string()))?;
        let Some(Check { check, .. }) = CHECKS.iter().find(|check| vector.get(check.member).is_some()) else {
            let members: Vec<_> = CHECKS.iter().map(|check| check.member).collect();
            return Err(unreadable(format!("no vector: it has none of {}", members.join(", "))));
        };
        match check(&vector) {
            Ok(()) => report.agreed += 1,
            Err(Fault::Differs(what)) => report.differ.push((vector::name(&vector, index + 1), what)),
            Err(Fault::Unreadable(why)) => return Err(unreadable(why)),
        }
    }
    Ok(report)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::{check_file, committed};

    #[test]
    fn every_committed_vector_agrees() {
        let files = committed().unwrap();
        let mut vectors = 0;
        for file in &files {
            let report = check_file(file).unwrap();
            assert!(report.differ.is_empty(), "{}: {:?}", file.display(), report.differ.first());
            vectors += report.agreed;
        }
        assert!(files.len() >= 12 && vectors >= 481 + 192 + 45, "{vectors} vectors in {} files", files.len());
    }

    #[test]
    fn what_is_no_vector_is_unreadable_and_named_by_its_line() {
        let file = std::env::temp_dir().join(format!("xtask-golden-{}.jsonl", std::process::id()));
        let cases = [
            ("{", ":1: "),
            ("\n{\"id\":\"a\"}\n", ":2: no vector"),
            ("{\"layout\":\"no size\",\"modifier\":null}\n", ":1: no number `bpp`"),
        ];
        for (text, expected) in cases {
            std::fs::write(&file, text).unwrap();
            let why = check_file(&file).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn one_address_that_differs_is_found() {
        let file = committed().unwrap().into_iter().find(|file| file.ends_with("tiling/intel.jsonl")).unwrap();
        let line =
            std::fs::read_to_string(&file).unwrap().lines().next().unwrap().replacen("[0,1,512]", "[0,1,513]", 1);
        let wrong = std::env::temp_dir().join(format!("xtask-golden-wrong-{}.jsonl", std::process::id()));
        std::fs::write(&wrong, line).unwrap();
        let report = check_file(&wrong).unwrap();
        std::fs::remove_file(&wrong).unwrap();
        let (id, what) = report.differ.first().unwrap();
        assert!(id.starts_with("intel-X_TILED") && what.contains("513") && what.contains("512"), "{id}: {what}");
    }
}
