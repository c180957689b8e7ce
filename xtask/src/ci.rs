//! `cargo xtask ci`: the steps of CI in their order. Cheap steps go first, so that a slip costs seconds.

use std::io::{BufRead, BufReader, Write};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::{cargo, refuse, tidy, vm};

/// One step: a cargo command line, or the rules of the repository, which run in this process.
struct Step {
    name: &'static str,
    keeps: &'static str,
    work: Work,
}

enum Work {
    Cargo { arguments: &'static [&'static str], environment: &'static [(&'static str, &'static str)] },
    Tests { arguments: &'static [&'static str] },
    Tidy,
}

const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        keeps: "every file is formatted by rustfmt",
        work: Work::Cargo { arguments: &["fmt", "--all", "--check"], environment: &[] },
    },
    Step {
        name: "clippy",
        keeps: "no warning, in any target",
        work: Work::Cargo {
            arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
            environment: &[],
        },
    },
    Step { name: "tidy", keeps: "the rules of the repository (cargo xtask tidy --help lists them)", work: Work::Tidy },
    Step {
        name: "doc",
        keeps: "the documentation builds without a warning",
        // Libraries only: the program and the library are both called `handover`, and cargo would
        // write both to one folder.
        work: Work::Cargo {
            arguments: &["doc", "--workspace", "--no-deps", "--lib"],
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
        },
    },
    Step {
        name: "test",
        keeps: "every test of the workspace, those in the documentation included; examples build",
        work: Work::Tests { arguments: &["test", "--workspace"] },
    },
    Step {
        name: "soak",
        keeps: "a short round of random kills: nobody waits for the dead longer than promised, and nothing is left of them",
        work: Work::Cargo { arguments: &["xtask", "soak", "--seconds", "8"], environment: &[] },
    },
    Step {
        name: "vm",
        keeps: "every test that meets a device of the kernel's, in a guest that has them, none skipped",
        work: Work::Cargo { arguments: &["xtask", "vm"], environment: &[] },
    },
];

/// What the test programs reported, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Counts {
    /// Adds the figures of a `test result:` line of libtest; any other line adds nothing.
    pub(crate) fn add_line(&mut self, line: &str) {
        let Some((_, figures)) = line.split_once("test result: ") else { return };
        for part in figures.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next().and_then(|n| n.parse::<u64>().ok()), words.next()) else {
                continue;
            };
            match what {
                "passed" => self.passed = self.passed.saturating_add(number),
                "failed" => self.failed = self.failed.saturating_add(number),
                "ignored" => self.ignored = self.ignored.saturating_add(number),
                _ => {}
            }
        }
    }
}

/// The text of `cargo xtask ci --help`.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "usage: cargo xtask ci\n\nRuns these steps in this order, stops at the first that fails (exit status 1), \
         and prints a summary.\nStandard input is closed, as it is in CI.\n\n",
    );
    for step in STEPS {
        text += &format!("  {:<7} {}\n          {}\n", step.name, command_line(step), step.keeps);
    }
    text
}

/// Runs all steps.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if let Some(argument) = arguments.first() {
        return refuse(&format!("xtask ci: takes no argument, found `{argument}`\n\n{}", help()));
    }
    // The last step's needs first: nobody likes to hear of a missing package after a quarter of an hour.
    if let Err(why) = vm::ready() {
        eprintln!("ci: the step vm cannot run here. {why}");
        return ExitCode::FAILURE;
    }
    let started = Instant::now();
    let mut summary = String::new();
    for (index, step) in STEPS.iter().enumerate() {
        eprintln!("\n=== {} ({} of {}): {}", step.name, index.saturating_add(1), STEPS.len(), command_line(step));
        let at = Instant::now();
        match perform(step) {
            Ok(note) => summary += &format!("  {:<7} ok      {:>7}  {note}\n", step.name, seconds(at.elapsed())),
            Err(why) => {
                summary += &format!("  {:<7} FAILED  {:>7}  {why}\n", step.name, seconds(at.elapsed()));
                for later in STEPS.iter().skip(index.saturating_add(1)) {
                    summary += &format!("  {:<7} not run\n", later.name);
                }
                eprint!("\nsummary of cargo xtask ci\n{summary}");
                eprintln!("ci failed at {}: {why}. To run it alone: {}", step.name, command_line(step));
                return ExitCode::FAILURE;
            }
        }
    }
    eprint!("\nsummary of cargo xtask ci\n{summary}");
    eprintln!("ci passed in {}", seconds(started.elapsed()));
    ExitCode::SUCCESS
}

fn perform(step: &Step) -> Result<String, String> {
    match step.work {
        Work::Tidy => tidy::check_all(),
        Work::Cargo { arguments, environment } => {
            let status = cargo()
                .args(arguments)
                .envs(environment.iter().copied())
                .stdin(Stdio::null())
                .status()
                .map_err(|e| format!("cannot start cargo: {e}"))?;
            if status.success() { Ok("no complaint".to_owned()) } else { Err(status.to_string()) }
        }
        Work::Tests { arguments } => run_tests(arguments),
    }
}

/// Passes the output of the tests through and counts them: a run that executed no test, say because
/// a filter or a `test = false` crept in, must not pass for a good one.
fn run_tests(arguments: &[&str]) -> Result<String, String> {
    let mut child = cargo()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot start cargo: {e}"))?;
    let mut counts = Counts::default();
    if let Some(output) = child.stdout.take() {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        let mut out = std::io::stdout();
        while reader.read_until(b'\n', &mut line).map_err(|e| format!("cannot read the tests' output: {e}"))? > 0 {
            counts.add_line(&String::from_utf8_lossy(&line));
            // A closed standard output (`cargo xtask ci | head`) must not look like a failed test.
            let _ = out.write_all(&line);
            line.clear();
        }
        let _ = out.flush();
    }
    let status = child.wait().map_err(|e| format!("cannot wait for cargo: {e}"))?;
    let Counts { passed, failed, ignored } = counts;
    let figures = format!("{passed} passed, {failed} failed, {ignored} ignored");
    match (status.success(), passed) {
        (false, _) => Err(format!("{status}; {figures}")),
        (true, 0) => Err("no test was executed".to_owned()),
        (true, _) => Ok(figures),
    }
}

fn command_line(step: &Step) -> String {
    match step.work {
        Work::Tidy => "cargo xtask tidy".to_owned(),
        Work::Tests { arguments } => format!("cargo {}", arguments.join(" ")),
        Work::Cargo { arguments, environment } => {
            let mut text: String = environment.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
            text += "cargo ";
            text += &arguments.join(" ");
            text
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::{Counts, help};

    #[test]
    fn counts_add_up_over_test_programs() {
        let mut counts = Counts::default();
        counts.add_line("running 3 tests");
        counts
            .add_line("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        counts
            .add_line("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1s");
        assert_eq!(counts, Counts { passed: 5, failed: 4, ignored: 1 });
    }

    #[test]
    fn help_names_the_steps_in_their_order() {
        let text = help();
        let places: Vec<_> = ["  fmt ", "  clippy ", "  tidy ", "  doc ", "  test ", "  soak ", "  vm "]
            .iter()
            .map(|s| text.find(s))
            .collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    }
}
