//! What one program does under every model, as text for people.

use std::fmt::Write as _;

use anstyle::Style;

use super::changes::{Tried, tries};
use super::graph::Graph;
use super::program::{Buffer, Program, Scenario, Variant};
use super::rules::Model;
use super::waits::{FalseWait, Findings, find};
use crate::columns::{Align, columns};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
/// False waits that are shown of one model. JSON has all.
const SHOWN: usize = 8;

/// A program under every model.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What sets the program apart from others of its scenario.
    pub label: String,
    /// The program.
    pub program: Program,
    /// The same, unrolled.
    pub graph: Graph,
    /// The longest path over true dependencies and the order of engines.
    pub critical_path: u64,
    /// What each of [`Model::ALL`] does, and what could be changed.
    pub models: Vec<(Model, Findings, Tried)>,
}

impl Explanation {
    /// Schedules a program under every model, and tries what would make it faster.
    pub fn of(variant: &Variant) -> Self {
        let program = variant.program.clone();
        let graph = Graph::of(&program);
        let critical_path = graph.critical_path();
        let models = Model::ALL.into_iter().map(|model| {
            let findings = find(&graph, &|_| model.rules());
            let tried = tries(&program, &graph, model, &findings);
            (model, findings, tried)
        });
        let models = models.collect();
        Self { label: variant.label.clone(), program, graph, critical_path, models }
    }

    fn makespan(&self, model: Model) -> u64 {
        self.models.iter().find(|(other, ..)| *other == model).map_or(0, |(_, findings, _)| findings.makespan)
    }

    /// For people.
    pub(super) fn text(&self, scenario: &Scenario) -> String {
        let mut text = String::new();
        let label = if self.label.is_empty() { String::new() } else { format!(", {}", self.label) };
        let _ = writeln!(text, "{BOLD}{} {}{label}{BOLD:#}", scenario.name, scenario.title);
        let jobs = count(self.graph.len() as u64, "job");
        let engines = count(self.program.engines.len() as u64, "engine");
        let path = time(self.critical_path, &scenario.unit);
        let _ = writeln!(
            text,
            "{jobs} on {engines}. Critical path: {path}; no order of waits is faster on these queues.\n"
        );
        self.table(&mut text, scenario);
        self.beside(&mut text, scenario);
        for (model, findings, tried) in self.models.iter().filter(|(_, findings, _)| !findings.waits.is_empty()) {
            self.model(&mut text, scenario, *model, findings, tried);
        }
        text
    }

    fn table(&self, text: &mut String, scenario: &Scenario) {
        let rows: Vec<[String; 5]> = self
            .models
            .iter()
            .map(|(model, findings, _)| {
                let over = findings.makespan.saturating_sub(self.critical_path);
                let over = if over == 0 { String::new() } else { format!("+{over}") };
                let waits: u64 = findings.waits.iter().map(|wait| wait.times).sum();
                let waits = if waits == 0 { String::new() } else { waits.to_string() };
                let what = format!("{} {}", pad(model.name()), model.title());
                [what, findings.makespan.to_string(), over, waits, model.kind().to_owned()]
            })
            .collect();
        let unit = if scenario.unit.is_empty() { String::new() } else { format!(" ({})", scenario.unit) };
        let makespan = format!("makespan{unit}");
        let heads = ["model", &makespan, "over", "false waits", ""];
        for line in columns(&heads, &rows, &[Align::Left, Align::Right, Align::Right, Align::Right, Align::Ragged]) {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }

    /// Implicit beside explicit, whichever is faster.
    fn beside(&self, text: &mut String, scenario: &Scenario) {
        let explicit = self.makespan(Model::Explicit);
        let said = [(Model::Shared, "honest implicit"), (Model::Regions, "implicit by region")].map(|(model, what)| {
            let implicit = self.makespan(model);
            let verdict = match implicit.cmp(&explicit) {
                std::cmp::Ordering::Equal => "explicit gains nothing".to_owned(),
                std::cmp::Ordering::Greater => {
                    format!("explicit is {} faster", time(implicit - explicit, &scenario.unit))
                }
                std::cmp::Ordering::Less => format!("explicit is {} SLOWER", time(explicit - implicit, &scenario.unit)),
            };
            format!("{what} ({}) {implicit}, explicit (M3) {explicit}: {verdict}", model.name())
        });
        for line in said {
            let _ = writeln!(text, "  {line}");
        }
        let passing = self
            .models
            .iter()
            .find(|(model, ..)| *model == Model::Explicit)
            .map_or(0, |(_, findings, _)| findings.passing);
        if passing > 0 {
            let _ = writeln!(
                text,
                "  passing fences by hand takes {} of the jobs' time under M3",
                time(passing, &scenario.unit)
            );
        }
        let (region, group) = (self.makespan(Model::Regions), self.makespan(Model::Classes));
        if group < region {
            let _ = writeln!(
                text,
                "  a group (M2) is {} faster than regions: it promises more than its accesses show",
                time(region - group, &scenario.unit)
            );
        }
        text.push('\n');
    }

    fn model(&self, text: &mut String, scenario: &Scenario, model: Model, findings: &Findings, tried: &Tried) {
        let _ = writeln!(
            text,
            "{BOLD}{} {}{BOLD:#}: jobs held up for {} by false waits",
            model.name(),
            model.title(),
            time(findings.held, &scenario.unit)
        );
        for wait in findings.waits.iter().take(SHOWN) {
            let often = if wait.times > 1 {
                format!(", {} times, longest {}", wait.times, wait.longest)
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "  {} waited {}{often} for {} over {} ({}): {}",
                self.job(wait.waiter),
                time(wait.total, &scenario.unit),
                self.job(wait.on),
                self.over(wait),
                wait.usage(),
                wait.truth.why()
            );
        }
        if let Some(more) = findings.waits.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(text, "  {DIM}and {} more; --json has all{DIM:#}", count(more as u64, "pair"));
        }
        for change in &tried.changes {
            let buffer = self.program.buffers.get(change.buffer).map_or("?", |buffer| buffer.name.as_str());
            let gain = match change.gain {
                0 => "gains nothing alone".to_owned(),
                gain if gain > 0 => format!("gains {}", time(gain.unsigned_abs(), &scenario.unit)),
                loss => format!("costs {}", time(loss.unsigned_abs(), &scenario.unit)),
            };
            let _ = writeln!(
                text,
                "  -> {}: {}. Makespan {}: {gain}",
                change.kind.title(),
                change.kind.means(buffer),
                change.makespan
            );
        }
        if tried.left_out > 0 {
            let _ = writeln!(text, "  {DIM}{} not tried{DIM:#}", count(tried.left_out as u64, "other change"));
        }
        text.push('\n');
    }

    pub(super) fn job(&self, job: usize) -> &str {
        self.program.jobs.get(job).map_or("?", |job| job.name.as_str())
    }

    /// "A" or "A, region X".
    fn over(&self, wait: &FalseWait) -> String {
        let Some(buffer) = wait.buffer.and_then(|number| self.program.buffers.get(number)) else {
            return "a fence that it names".to_owned();
        };
        match regions(buffer, wait.regions).as_slice() {
            [] => buffer.name.clone(),
            names => format!("{}, {}", buffer.name, names.join(" + ")),
        }
    }
}

/// The names of regions; none for all of the buffer.
pub(super) fn regions(buffer: &Buffer, set: u64) -> Vec<&str> {
    if set == buffer.whole() {
        return Vec::new();
    }
    super::graph::bits(set).filter_map(|bit| buffer.regions.get(bit as usize).map(String::as_str)).collect()
}

fn pad(name: &str) -> String {
    format!("{name:<3}")
}

/// "9 ms", or "9" without a unit.
pub(super) fn time(time: u64, unit: &str) -> String {
    if unit.is_empty() { time.to_string() } else { format!("{time} {unit}") }
}

fn count(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
