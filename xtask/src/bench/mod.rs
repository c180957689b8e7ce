//! `cargo xtask bench`: ours and the raw floor under it, interleaved in one batch, each against its budget.
//!
//! Figures are printed, never asserted: a machine that is busy makes every one of them worse. What lasts is the ratio,
//! because both sides of it met the same machine.

mod acquire;
mod attach;
mod calls;
mod fences;
mod figures;
mod kernel;
mod life;
mod machine;
mod peer;
mod report;
mod tiling;
mod wake;

use std::process::ExitCode;

use crate::{cargo, refuse};
use report::Table;

/// What can go wrong in a bench: it is told and ends the run.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One bench: its name on the command line and what it measures.
struct Bench {
    name: &'static str,
    measures: &'static str,
    run: fn(Effort) -> Result<Vec<Table>>,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "wake",
        measures: "release in one process until the consumer in another runs: back to back, one CPU, paced at 60 Hz",
        run: wake::run,
    },
    Bench {
        name: "life",
        measures: "a surface of 1 MiB from allocate until another process has read all its pages",
        run: life::run,
    },
    Bench {
        name: "acquire",
        measures: "acquire and release with nothing pending: 1 surface, 8, and among 1000 others",
        run: acquire::run,
    },
    Bench {
        name: "attach",
        measures: "a place in line on 8 surfaces with 8 users each, lines warm and just written by another CPU",
        run: attach::run,
    },
    Bench {
        name: "fences",
        measures: "entries among 1, 8 and 63 users, sets of 1, 8 and 64 surfaces, with cells and whole; unions of 64",
        run: fences::run,
    },
    Bench {
        name: "kernel",
        measures: "the verbs on dma-bufs, each against the bare calls it needs; in the guest: cargo xtask vm -- ...",
        run: kernel::run,
    },
    Bench {
        name: "tiling",
        measures: "images of 4K into tiled memory and out of it, against memcpy; a damage rectangle, against linear rows",
        run: tiling::run,
    },
    Bench { name: "calls", measures: "system calls in acquire and release with nothing pending", run: calls::run },
];

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    Full,
    Quick,
}

impl Effort {
    fn of(self, full: usize, quick: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// The text of `cargo xtask bench --help`.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "usage: cargo xtask bench [NAME]... [--quick] [--json]\n\nMeasures ours and the raw floor in turns, and prints \
         median, p99, the ratio of the medians\n(the median over the turns) and the budget. Nothing is asserted. A debug \
         build starts itself\nagain by `cargo run --release`.\n\n",
    );
    for Bench { name, measures, .. } in BENCHES {
        text += &format!("  {name:<8} {measures}\n");
    }
    text + "\n  --quick  a tenth of the rounds\n  --json   one JSON document on standard output, nothing else there\n"
}

/// Runs the benches named, or all.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if let [flag, role, rest @ ..] = arguments
        && flag == peer::ROLE_FLAG
    {
        return finish(peer::play(role, rest));
    }
    let mut names = Vec::new();
    let (mut effort, mut json) = (Effort::Full, false);
    for argument in arguments {
        match argument.as_str() {
            "--quick" => effort = Effort::Quick,
            "--json" => json = true,
            name => match BENCHES.iter().find(|bench| bench.name == name) {
                Some(bench) => names.push(bench.name),
                None => return refuse(&format!("xtask bench: there is no bench `{name}`\n\n{}", help())),
            },
        }
    }
    if cfg!(debug_assertions) {
        return in_release(arguments);
    }
    finish(measure(&names, effort, json))
}

fn measure(names: &[&str], effort: Effort, json: bool) -> Result<()> {
    let before = machine::Machine::now();
    if !json {
        print!("{before}");
    }
    let mut tables = Vec::new();
    for bench in BENCHES.iter().filter(|bench| names.is_empty() || names.contains(&bench.name)) {
        for table in (bench.run)(effort)? {
            if !json {
                print!("\n{table}");
            }
            tables.push((bench.name, table));
        }
    }
    let after = machine::Machine::now();
    if json {
        println!("{:#}", report::json(&before, &after, &tables));
    } else {
        println!("\nload after: {}", after.load);
    }
    Ok(())
}

/// A debug build measures the compiler's patience, so the same command goes on in a release build.
fn in_release(arguments: &[String]) -> ExitCode {
    eprintln!("xtask bench: this is a debug build; going on with `cargo run --release --package xtask -- bench`");
    let status =
        cargo().args(["run", "--quiet", "--release", "--package", "xtask", "--", "bench"]).args(arguments).status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => finish(Err(format!("cannot start cargo: {error}").into())),
    }
}

fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask bench: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BENCHES, help};

    #[test]
    fn help_lists_every_bench() {
        assert!(BENCHES.iter().all(|bench| help().contains(bench.measures)));
    }
}
