//! The report for people.

use std::fmt::Write as _;

use anstyle::Style;

use super::report::Report;
use crate::columns::{Align, columns};

const BOLD: Style = Style::new().bold();
/// False waits that are shown. The report has all.
const SHOWN: usize = 8;

/// What a terminal shows.
pub(super) fn summary(report: &Report, directory: &str) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{BOLD}{}{BOLD:#} {}", report.scenario, report.title);
    for (names, how) in owners(report) {
        let _ = writeln!(text, "  {how}: {}", names.join(", "));
    }
    let _ = writeln!(text, "  regions: {}", report.regions);
    if !report.without.is_empty() {
        let _ = writeln!(text, "  left out: {}", report.without.join(", "));
    }
    text.push('\n');
    jobs(&mut text, report);
    let _ = writeln!(
        text,
        "\n{BOLD}makespan {:.1} ms{BOLD:#}, critical path {} ms{}",
        report.makespan_ms,
        report.critical_path_ms,
        report.ratio.map_or_else(String::new, |ratio| format!(": {ratio:.3} of it"))
    );
    match &report.predicted {
        Some(predicted) => {
            let _ = writeln!(text, "explain predicts {} ms under {}", predicted.makespan_ms, predicted.model);
            for wait in predicted.false_waits.iter().take(SHOWN) {
                let over = wait.buffer.as_ref().map_or("a fence that is named".to_owned(), |buffer| {
                    std::iter::once(buffer.clone())
                        .chain((!wait.regions.is_empty()).then(|| wait.regions.join(" + ")))
                        .collect::<Vec<_>>()
                        .join(", ")
                });
                let measured =
                    wait.measured_ms.map_or("was not measured".to_owned(), |ms| format!("{ms:.1} ms measured"));
                let _ = writeln!(
                    text,
                    "  {} waits falsely for {} over {over} ({}): {} predicted, {measured}",
                    wait.waiter, wait.on, wait.usage, wait.time
                );
            }
            match predicted.false_waits.len() {
                0 => text.push_str("  false waits: none predicted\n"),
                count if count > SHOWN => drop(writeln!(text, "  and {} more; --json has all", count - SHOWN)),
                _ => {}
            }
        }
        None => text.push_str("nothing is predicted where somebody leaves out what keeps others safe\n"),
    }
    waits(&mut text, report);
    if report.hazards.is_empty() && report.ended == "complete" {
        text.push_str("no hazard: every reader found the last writer's pixels, and nobody started too early\n");
    }
    if report.unchecked_reads > 0 {
        let _ = writeln!(
            text,
            "{} reads not checked: a writer of the same cell is in no order with them",
            report.unchecked_reads
        );
    }
    if report.unchecked_cells > 0 {
        let _ = writeln!(
            text,
            "{} cells not checked in the end: their last writers are in no order",
            report.unchecked_cells
        );
    }
    let _ = writeln!(text, "report in {directory}");
    text
}

/// What was measured, whatever was predicted.
fn waits(text: &mut String, report: &Report) {
    for wait in report.waits.iter().take(SHOWN) {
        let why = wait.on.as_ref().map_or_else(|| "unexplained".to_owned(), |on| format!("until {on} was released"));
        let _ = writeln!(text, "  {} waited {:.1} ms, {why}", wait.waiter, wait.measured_ms);
    }
    match report.waits.len() {
        0 if report.ended == "complete" => text.push_str("  false waits: none measured\n"),
        count if count > SHOWN => drop(writeln!(text, "  and {} more; --json has all", count - SHOWN)),
        _ => {}
    }
}

/// Owners of one way together, in the order of the file.
fn owners(report: &Report) -> Vec<(Vec<&str>, String)> {
    let mut all: Vec<(Vec<&str>, String)> = Vec::new();
    for owner in &report.owners {
        let policy = if owner.policy == "honest" { String::new() } else { format!(", {}", owner.policy) };
        let border = if report.border.as_ref() == Some(&owner.name) { ", at the border" } else { "" };
        let how = format!("{}{policy}{border}", owner.sync);
        match all.iter_mut().find(|(_, known)| *known == how) {
            Some((names, _)) => names.push(&owner.name),
            None => all.push((vec![&owner.name], how)),
        }
    }
    all
}

fn jobs(text: &mut String, report: &Report) {
    let ms = |time: f64| format!("{time:.1}");
    let maybe = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), ms);
    let rows: Vec<[String; 9]> = report
        .jobs
        .iter()
        .map(|job| {
            [
                job.job.clone(),
                job.owner.clone(),
                maybe(job.submitted_ms),
                maybe(job.ready_ms),
                maybe(job.started_ms),
                maybe(job.ended_ms),
                maybe(job.released_ms),
                maybe(job.waited_ms),
                job.predicted_start_ms.map_or_else(String::new, |start| format!("{start}")),
            ]
        })
        .collect();
    let heads = ["job", "owner", "submitted", "ready", "started", "ended", "released", "waited", "predicted start"];
    for line in columns(&heads, &rows, &[Align::Left, Align::Left]) {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("  in ms from the moment in which all was submitted\n");
}
