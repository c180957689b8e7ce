//! What came of the run: a line a program, the reasons of what was not run, and for a failure what there is to read.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::plan::{Excused, LeftOut, Plan, stands_for};
use crate::ci::Counts;

/// How many lines of a log are shown.
const TAIL: usize = 40;

/// The kernel's words for its own mistakes. A crash of a program reads otherwise.
const COMPLAINTS: &[&str] = &["WARNING:", "BUG:", "Oops:", "UBSAN:", "Kernel panic"];

/// What the job writes to the kernel's log before each program; the name follows.
const MARK: &str = "handover: start ";

/// The exit status of timeout(1) when the time was up.
const TIMED_OUT: i32 = 124;
/// The same when the program had to be killed.
const KILLED: i32 = 137;

/// A program that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) status: i32,
    pub(super) took: Duration,
    pub(super) counts: Counts,
    /// The harness said how it went.
    pub(super) reported: bool,
}

impl Outcome {
    /// Counts what the program's log in `out` says.
    pub(super) fn read(name: String, status: i32, took: Duration, out: &Path) -> Self {
        let mut counts = Counts::default();
        let mut reported = false;
        for line in lines(&log_of(out, &name)) {
            reported |= line.contains("test result: ");
            counts.add_line(&line);
        }
        Self { name, status, took, counts, reported }
    }

    /// Exit status 0, and the count agrees. A program that ran no test passes only if it is no test program: a library or a
    /// program may have none inside.
    pub(super) fn passed(&self) -> bool {
        let Counts { passed, failed, ignored } = self.counts;
        let may_be_empty = self.name.ends_with(".lib") || self.name.ends_with(".bin");
        self.status == 0 && self.reported && failed == 0 && ignored == 0 && (passed > 0 || may_be_empty)
    }

    fn verdict(&self) -> String {
        match self.status {
            0 if self.passed() => "ok".to_owned(),
            TIMED_OUT | KILLED => "TIME-OUT".to_owned(),
            status => format!("FAILED ({status})"),
        }
    }

    /// The program's line in the table.
    pub(super) fn line(&self) -> String {
        let Counts { passed, failed, ignored } = self.counts;
        let mut text = format!("  {:<36} {:<12}", self.name, self.verdict());
        let _ = write!(text, " {:>7.1} s  {passed:>4} passed", self.took.as_secs_f64());
        for (count, what) in [(failed, "failed"), (ignored, "ignored")] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        text
    }
}

/// What was not run, with the reasons. `programs` are those that exist and were asked for.
pub(super) fn not_run(plan: &Plan, programs: &[&str]) -> String {
    let mut text = String::new();
    for LeftOut { program, reason } in plan.left_out {
        if programs.iter().any(|name| stands_for(program, name)) {
            let _ = writeln!(text, "  {program:<36} left out: {reason}");
        }
    }
    for Excused { program, test, reason } in plan.excused {
        if programs.contains(program) {
            let _ = writeln!(text, "  {program:<36} without {test}: {reason}");
        }
    }
    text
}

/// What the kernel complained about, each with the program that ran at that time.
pub(super) fn complaints(kernel_log: &str) -> Vec<String> {
    let mut running = "the start of the guest";
    let mut found = Vec::new();
    for line in kernel_log.lines() {
        if let Some((_, name)) = line.split_once(MARK) {
            running = name;
        } else if COMPLAINTS.iter().any(|words| line.contains(words)) {
            found.push(format!("during {running}: {line}"));
        }
    }
    found
}

/// What there is to read about a program: the end of its output, and what the kernel logged while it ran.
pub(super) fn about(name: &str, out: &Path, kernel_log: &str) -> String {
    let output = lines(&log_of(out, name));
    let mut text = format!("--- {name}, the last lines of {}\n", log_of(out, name).display());
    text += &tail(output.iter().map(String::as_str));
    let meanwhile = kernel_log
        .lines()
        .skip_while(|line| line.split_once(MARK).is_none_or(|(_, started)| started != name))
        .skip(1)
        .take_while(|line| !line.contains(MARK));
    let meanwhile = tail(meanwhile);
    if !meanwhile.is_empty() {
        let _ = write!(text, "--- {name}, the kernel's log meanwhile\n{meanwhile}");
    }
    text
}

/// The last lines of a file.
pub(super) fn end_of(file: &Path) -> String {
    tail(lines(file).iter().map(String::as_str))
}

fn log_of(out: &Path, name: &str) -> std::path::PathBuf {
    out.join(format!("{name}.log"))
}

/// The lines of a log, which need not be UTF-8, and of which a killed guest may have written none.
fn lines(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

fn tail<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.collect();
    let skipped = lines.len().saturating_sub(TAIL);
    lines.iter().skip(skipped).map(|line| format!("    {}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::super::plan::{Excused, LeftOut, Plan};
    use super::{Outcome, about, complaints, not_run};
    use crate::ci::Counts;

    const LOG: &str = "[ 1.0] Booting\n[ 2.0] handover: start a.one\n[ 2.1] WARNING: CPU: 0 PID: 1 at x.c:1\n\
                       [ 2.2] handover: start a.two\n[ 2.3] two[9]: segfault at 0\n";

    fn outcome(status: i32, failed: u64) -> Outcome {
        let counts = Counts { passed: 3, failed, ignored: 0 };
        Outcome { name: "a.one".to_owned(), status, took: Duration::from_millis(1500), counts, reported: true }
    }

    #[test]
    fn a_line_tells_the_verdict_and_the_counts() {
        assert!(outcome(0, 0).passed() && outcome(0, 0).line().ends_with("1.5 s     3 passed"));
        assert!(!outcome(0, 1).passed() && outcome(0, 1).line().ends_with("3 passed, 1 failed"));
        assert!(outcome(101, 1).line().contains("FAILED (101)"));
        assert!(outcome(124, 0).line().contains("TIME-OUT") && outcome(137, 0).line().contains("TIME-OUT"));
    }

    #[test]
    fn the_kernels_complaint_is_told_with_the_program_that_ran() {
        let found = complaints(LOG);
        assert_eq!(found.len(), 1, "a segfault is the program's: {found:?}");
        assert!(found.iter().all(|line| line.starts_with("during a.one: ")), "{found:?}");
    }

    #[test]
    fn reasons_are_shown_for_what_was_asked_for() {
        let plan = Plan {
            left_out: &[LeftOut { program: "a.far", reason: "no kernel in it" }],
            excused: &[Excused { program: "a.near", test: "slow", reason: "an hour" }],
            limits: &[],
        };
        let text = not_run(&plan, &["a.far", "a.near"]);
        assert!(text.contains("left out: no kernel in it") && text.contains("without slow: an hour"), "{text}");
        assert_eq!(not_run(&plan, &["a.other"]), "");
    }

    #[test]
    fn a_failure_shows_the_end_of_its_output_and_the_kernels_log_of_that_time() {
        let out = std::env::temp_dir().join(format!("xtask-report-{}", std::process::id()));
        fs::create_dir_all(&out).unwrap();
        let output: String = (1..=100).map(|n| format!("line {n}\n")).collect();
        fs::write(out.join("a.two.log"), output + "test result: FAILED. 1 passed; 1 failed; 0 ignored\n").unwrap();
        let text = about("a.two", &out, LOG);
        let read = Outcome::read("a.two".to_owned(), 101, Duration::ZERO, &out);
        fs::remove_dir_all(&out).unwrap();
        assert!(text.contains("line 100\n") && !text.contains("line 50\n"), "{text}");
        assert!(text.contains("segfault") && !text.contains("WARNING"), "{text}");
        assert_eq!(read.counts, Counts { passed: 1, failed: 1, ignored: 0 });
    }
}
