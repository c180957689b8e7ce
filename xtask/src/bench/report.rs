//! Tables of figures, for people and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::figures::{Figure, Samples};
use super::machine::Machine;

/// What was promised of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Budget {
    /// At most so many times its floor.
    Ratio(f64),
    /// At most so many nanoseconds.
    Nanoseconds(f64),
    /// None at all.
    Zero,
}

/// One line: what was measured, and what it is held against.
#[derive(Debug, Clone)]
pub(super) struct Line {
    what: String,
    figure: Figure,
    ratio: Option<(f64, String)>,
    budget: Option<Budget>,
}

/// Lines that were measured in one batch.
#[derive(Debug, Clone)]
pub(super) struct Table {
    title: String,
    lines: Vec<Line>,
    /// What a reader must know to read the figures.
    note: String,
}

impl Line {
    pub(super) fn new(what: impl Into<String>, samples: &Samples) -> Self {
        Self { what: what.into(), figure: samples.figure(), ratio: None, budget: None }
    }

    /// A count, not a time.
    pub(super) fn count(what: impl Into<String>, count: f64) -> Self {
        let figure = Figure { median: count, p99: count, samples: 1 };
        Self { what: what.into(), figure, ratio: None, budget: Some(Budget::Zero) }
    }

    /// Held against this floor of the same batch.
    pub(super) fn against(mut self, name: &str, samples: &Samples, floor: &Samples) -> Self {
        self.ratio = Some((samples.ratio_to(floor), name.into()));
        self
    }

    pub(super) fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Within the budget? `None`: there is none.
    fn is_met(&self) -> Option<bool> {
        match self.budget? {
            Budget::Ratio(most) => self.ratio.as_ref().map(|(ratio, _)| *ratio <= most),
            Budget::Nanoseconds(most) => Some(self.figure.median <= most),
            Budget::Zero => Some(self.figure.median <= 0.0),
        }
    }

    fn json(&self) -> Value {
        let Figure { median, p99, samples } = self.figure;
        let mut value = json!({ "what": self.what, "samples": samples });
        let kind = if self.budget == Some(Budget::Zero) { "count" } else { "median_ns" };
        value[kind] = json!(median);
        if kind == "median_ns" {
            value["p99_ns"] = json!(p99);
        }
        if let Some((ratio, against)) = &self.ratio {
            value["ratio"] = json!({ "to": against, "value": ratio });
        }
        if let (Some(budget), Some(met)) = (self.budget, self.is_met()) {
            let (unit, most) = match budget {
                Budget::Ratio(most) => ("ratio", most),
                Budget::Nanoseconds(most) => ("ns", most),
                Budget::Zero => ("count", 0.0),
            };
            value["budget"] = json!({ "unit": unit, "most": most, "met": met });
        }
        value
    }
}

impl Table {
    pub(super) fn new(title: impl Into<String>, note: impl Into<String>) -> Self {
        Self { title: title.into(), lines: Vec::new(), note: note.into() }
    }

    /// A table of nothing: what could not be measured here, and why.
    pub(super) fn skipped(title: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::new(title, format!("skipped: {why}"))
    }

    pub(super) fn push(&mut self, line: Line) {
        self.lines.push(line);
    }
}

/// Everything of one run.
pub(super) fn json(before: &Machine, after: &Machine, tables: &[(&str, Table)]) -> Value {
    let table = |(bench, table): &(&str, Table)| {
        let lines: Vec<Value> = table.lines.iter().map(Line::json).collect();
        json!({ "bench": bench, "title": table.title, "note": table.note, "lines": lines })
    };
    let tables: Vec<Value> = tables.iter().map(table).collect();
    json!({ "before": before.json(), "after": after.json(), "tables": tables })
}

/// Nanoseconds in the unit that people say.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1_000.0 => format!("{n:.0} ns"),
        n if n < 100_000.0 => format!("{:.2} µs", n / 1_000.0),
        n => format!("{:.0} µs", n / 1_000.0),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, p99) = match self.budget {
            Some(Budget::Zero) => (format!("{:.2}", self.figure.median), String::new()),
            _ => (time(self.figure.median), time(self.figure.p99)),
        };
        let ratio = self.ratio.as_ref().map_or(String::new(), |(ratio, to)| format!("{ratio:.2} × {to}"));
        write!(f, "  {:<44} {median:>10} {p99:>10}  {ratio:<22}", self.what)?;
        let budget = match self.budget {
            Some(Budget::Ratio(most)) => format!("≤ {most} ×"),
            Some(Budget::Nanoseconds(most)) => format!("≤ {}", time(most)),
            Some(Budget::Zero) => "none".into(),
            None => return Ok(()),
        };
        write!(f, " {budget:<10} {}", if self.is_met() == Some(true) { "met" } else { "missed" })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<46} {:>10} {:>10}  {:<22} budget", self.title, "median", "p99", "ratio")?;
        for line in &self.lines {
            writeln!(f, "{}", line.to_string().trim_end())?;
        }
        if !self.note.is_empty() {
            writeln!(f, "  ({})", self.note)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Line, Samples};

    fn samples(value: f64) -> Samples {
        let mut samples = Samples::default();
        samples.add_turn(vec![value]);
        samples
    }

    #[test]
    fn a_budget_is_met_by_its_own_measure() {
        let (ours, floor) = (samples(120.0), samples(100.0));
        let line = Line::new("ours", &ours).against("floor", &ours, &floor);
        assert_eq!(line.clone().is_met(), None);
        assert_eq!(line.clone().budget(Budget::Ratio(1.2)).is_met(), Some(true));
        assert_eq!(line.clone().budget(Budget::Ratio(1.1)).is_met(), Some(false));
        assert_eq!(line.budget(Budget::Nanoseconds(150.0)).is_met(), Some(true));
        assert_eq!(Line::count("calls", 1.0).is_met(), Some(false));
    }

    #[test]
    fn a_ratio_without_its_floor_meets_nothing() {
        let line = Line::new("ours", &samples(1.0)).budget(Budget::Ratio(1.0));
        assert_eq!(line.is_met(), None);
        assert!(line.to_string().ends_with("missed"));
    }
}
