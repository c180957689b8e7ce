//! `cargo xtask fuzz`: inputs that nobody thought of, for as long as one likes. The targets are the model's own, whose corpora
//! `cargo test` replays.
//!
//! libFuzzer finds the inputs: it counts the branches that each one reaches and goes on from those that reach new ones. It comes with the
//! crate of `fuzz/`, is built by a C++ compiler, and needs no nightly Rust where no sanitizer is asked for.

mod libfuzzer;
mod plan;
mod seeds;
#[expect(dead_code, reason = "their names and what they are about; the programs in `fuzz/` run them")]
#[path = "../../../crates/handover-model/tests/fuzz_targets/mod.rs"]
mod targets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{refuse, root};
use libfuzzer::Program;
use plan::Plan;
use targets::{TARGETS, Target};

/// Where the corpora are: a folder a target.
const COMMITTED: &str = "crates/handover-model/tests/corpus";
/// What is made on the way, below the root.
const MADE: &str = "target/fuzz";

/// The help of the command.
pub(crate) fn help() -> String {
    let targets = TARGETS.iter().map(|target| format!("  {:<16} {}\n", target.name, target.about));
    format!(
        "usage: cargo xtask fuzz [TARGET…] [--seconds N] [--seed S] [--grow]\n\nChanges known inputs and keeps what reaches new branches, by \
         libFuzzer (a C++ compiler builds it). A panic, a broken property,\nan input that takes 10 s and one that takes 1 GiB are findings: the \
         input is made as small as it gets, printed and kept in\n{MADE}; put it into the corpus once it is fixed.\n\n  --seconds  how long \
         for each target: {} if not given\n  --seed     what the changes are drawn from: the time if not given\n  --grow     afterwards add to the corpus in {COMMITTED} the fewest inputs\n             that reach what it does not\n\ntargets, all of them if none is \
         given:\n{}\nexit status: 0 no finding, 1 a finding\n",
        plan::USUAL,
        targets.collect::<String>()
    )
}

/// Fuzzes each target for its time, or up to the first finding.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    let plan = match Plan::parse(arguments, &names) {
        Ok(plan) => plan,
        Err(why) => return refuse(&format!("xtask fuzz: {why}\n\n{}", help())),
    };
    let chosen = |target: &&Target| plan.targets.is_empty() || plan.targets.iter().any(|name| name == target.name);
    for target in TARGETS.iter().filter(chosen) {
        if let Err(why) = fuzz(target, &plan) {
            eprintln!("fuzz {}: {why}", target.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn fuzz(target: &Target, plan: &Plan) -> Result<(), String> {
    let program = Program::build(target.name)?;
    let folders = Folders::of(target)?;
    eprintln!("fuzz {}: {} s; what it says goes into {}", target.name, plan.seconds, program.log().display());
    let report = program.fuzz(plan, &[&folders.found, &folders.committed, &folders.golden])?;
    println!("fuzz {}: {report}, no finding, seed {}", target.name, plan.seed);
    if plan.grow {
        let files = program.grow(&folders.committed, &[&folders.golden, &folders.found])?;
        println!("fuzz {}: {files} files in the corpus", target.name);
    }
    Ok(())
}

/// Where inputs of a target are.
struct Folders {
    /// What libFuzzer found before and finds now.
    found: PathBuf,
    committed: PathBuf,
    golden: PathBuf,
}

impl Folders {
    fn of(target: &Target) -> Result<Self, String> {
        let made = |kind: &str| -> Result<PathBuf, String> {
            let folder = Path::new(MADE).join(kind).join(target.name);
            std::fs::create_dir_all(root().join(&folder)).map_err(|error| format!("{}: {error}", folder.display()))?;
            Ok(root().join(folder))
        };
        let folders = Self {
            found: made("found")?,
            committed: root().join(COMMITTED).join(target.name),
            golden: made("golden")?,
        };
        seeds::write(target.name, &folders.golden)?;
        Ok(folders)
    }
}

#[cfg(test)]
mod tests {
    use super::targets::TARGETS;
    use crate::root;

    /// Nothing else builds that crate.
    #[test]
    fn every_target_has_a_program() {
        let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap_or_default();
        for target in TARGETS {
            let file = format!("fuzz_targets/{}.rs", target.name.replace('-', "_"));
            assert!(manifest.contains(&format!("name = \"{}\"\npath = \"{file}\"", target.name)), "{}", target.name);
            let program = std::fs::read_to_string(root().join("fuzz").join(&file)).unwrap_or_default();
            assert!(program.contains(&format!("try_one(\"{}\", bytes)", target.name)), "{file}");
        }
    }
}
