//! The table of all shipped scenarios.

use serde_json::{Value, json};

use super::graph::Graph;
use super::program::{Scenario, Threads, Work};
use super::rules::Model;
use super::schedule::schedule;
use super::threads::Policy;
use crate::columns::{Align, columns};

/// One scenario under all models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// For each of its programs: the critical path, and the makespan under each of [`Model::ALL`].
    pub figures: Vec<[u64; 7]>,
    /// True dependencies that some schedule broke. The rules are wrong if it is not 0.
    pub violations: usize,
}

impl Row {
    /// Computes the row. `None`: the scenario has threads, not jobs.
    pub fn of(scenario: &Scenario) -> Option<Self> {
        let Work::Jobs(variants) = &scenario.work else { return None };
        let mut violations = 0;
        let mut figures = Vec::new();
        for variant in variants {
            let graph = Graph::of(&variant.program);
            let mut row = [graph.critical_path(); 7];
            for (model, cell) in Model::ALL.into_iter().zip(row.iter_mut().skip(1)) {
                let schedule = schedule(&graph, model.rules());
                violations += schedule.violations(&graph).len();
                *cell = schedule.makespan;
            }
            figures.push(row);
        }
        let labels: Vec<&str> = variants.iter().map(|variant| variant.label.as_str()).collect();
        let title = match labels.as_slice() {
            [_] => scenario.title.clone(),
            several => format!("{}: {}", scenario.title, several.join(" / ")),
        };
        Some(Self { name: scenario.name.clone(), title, figures, violations })
    }
}

/// The tables of these scenarios, for people.
pub(super) fn text(scenarios: &[Scenario]) -> String {
    let rows: Vec<Row> = scenarios.iter().filter_map(Row::of).collect();
    let mut text =
        String::from("Makespans. ideal: the longest path over true dependencies and the order of engines.\n\n");
    let heads = ["scenario", "", "ideal", "M0", "M1", "M1a", "M2", "M3", "M4"];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let figure = |column: usize| {
                let figures = row.figures.iter().filter_map(|figures| figures.get(column)).map(u64::to_string);
                figures.collect::<Vec<_>>().join(" / ")
            };
            [row.name.clone(), row.title.clone()].into_iter().chain((0..7).map(figure)).collect()
        })
        .collect();
    for line in columns(&heads, &cells, &[Align::Left, Align::Left]) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
    for model in Model::ALL {
        text.push_str(&format!("{:<4} {} ({})\n", model.name(), model.title(), model.kind()));
    }
    let violations: usize = rows.iter().map(|row| row.violations).sum();
    text.push_str(&match violations {
        0 => "\nNo schedule starts a job before all that it truly depends on has ended.\n".to_owned(),
        count => format!("\nThe rules are WRONG: {count} true dependencies are broken.\n"),
    });
    for scenario in scenarios {
        if let Work::Threads(threads) = &scenario.work {
            text.push('\n');
            text.push_str(&threads_text(scenario, threads));
        }
    }
    text
}

/// The table of one scenario of threads.
pub(super) fn threads_text(scenario: &Scenario, threads: &Threads) -> String {
    let mut text = format!("{} {}\n", scenario.name, scenario.title);
    text.push_str(&format!(
        "Each thread exports, submits a read of {}, imports; a write of {} came before. Ideal: {}. Mean (longest) of {} random interleavings, seed {}.\n\n",
        threads.read, threads.write, threads.critical_path(), threads.interleavings, threads.seed
    ));
    let random = threads.counts.iter().map(|count| format!("{count} threads"));
    let locked = threads.counts.iter().map(|count| format!("{count}, critical section"));
    let heads: Vec<String> = std::iter::once("export / import".to_owned()).chain(random).chain(locked).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = Policy::ALL
        .into_iter()
        .map(|policy| {
            let outcomes = threads.outcomes(policy);
            let random = outcomes.iter().map(|outcome| format!("{:.1} ({})", outcome.mean, outcome.max));
            let locked = outcomes.iter().map(|outcome| outcome.locked.to_string());
            std::iter::once(policy.name().to_owned()).chain(random).chain(locked).collect()
        })
        .collect();
    for line in columns(&heads, &rows, &[Align::Left]) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

pub(super) fn threads_value(threads: &Threads) -> Value {
    let policies = Policy::ALL.into_iter().map(|policy| {
        let outcomes = threads.outcomes(policy).into_iter().map(|outcome| {
            json!({
                "threads": outcome.threads,
                "mean": outcome.mean,
                "max": outcome.max,
                "critical_section": outcome.locked,
            })
        });
        json!({
            "export": if policy.export_writes { "write" } else { "read" },
            "import": if policy.import_writes { "write" } else { "read" },
            "outcomes": outcomes.collect::<Vec<_>>(),
        })
    });
    json!({
        "critical_path": threads.critical_path(),
        "interleavings": threads.interleavings,
        "seed": threads.seed,
        "policies": policies.collect::<Vec<_>>(),
    })
}
