//! The schedules of all models under one another, on one time axis.
//!
//! A row is an engine. A hatched box before a job is the time it was held up by a false wait; a dashed arrow with an open head comes
//! from what it waited for, and says so. A solid arrow with a full head is a true wait.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::graph::{Graph, NAMED};
use super::program::{Access, Scenario};
use super::report::{Explanation, time};
use super::rules::{Contract, Model};
use super::schedule::{Step, Wait, walk};
use crate::chart::{COLOURS, LETTER, MOST, RIGHT, WIDTH, escaped};

/// Pixels of the picture.
const TOP: f64 = 128.0;
const ROW: f64 = 38.0;
const BOX: f64 = 24.0;
/// Between the heading of a panel and its first row, and between panels.
const HEADING: f64 = 30.0;
const LINE: f64 = 15.0;
const GAP: f64 = 14.0;
/// Frames that a picture can hold.
const FRAMES: usize = 4;

/// One model, or several with the same schedule.
struct Panel {
    models: Vec<Model>,
    makespan: u64,
    bars: Vec<Bar>,
}

impl Panel {
    /// Two models are explained on a line.
    fn heading(&self) -> f64 {
        HEADING + LINE * self.models.len().div_ceil(2) as f64
    }
}

/// One job.
struct Bar {
    job: u32,
    ready: u64,
    /// When the last that it waited for had ended.
    awaited: u64,
    start: u64,
    end: u64,
    /// What it started right after: true waits, and false ones that held it up.
    waits: Vec<(Wait, bool)>,
}

pub(super) fn draw(scenario: &Scenario, explanations: &[Explanation]) -> String {
    // Of several programs the first: a picture is of one.
    let Some(explanation) = explanations.first() else { return String::new() };
    let graph = &explanation.graph;
    let shown = graph.len().min(MOST).min(explanation.program.jobs.len().saturating_mul(FRAMES));
    let panels = panels(explanation, shown);
    let rows = rows(explanation, shown);
    let to = panels.iter().flat_map(|panel| panel.bars.iter().map(|bar| bar.end)).max().unwrap_or(0).max(1);
    let names = explanation.program.engines.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = (names as f64 * LETTER + 40.0).clamp(90.0, 340.0);
    let scale = Scale { left, to };
    let rows_height = rows.len() as f64 * ROW + GAP;
    let height = TOP + panels.iter().map(|panel| panel.heading() + rows_height).sum::<f64>() + 30.0;
    let mut svg = head(scenario, explanation, shown, height);
    axis(&mut svg, scenario, explanation.critical_path, &scale, height);
    let mut y = TOP;
    for panel in &panels {
        Drawing { scenario, explanation, scale: &scale, rows: &rows, y, heading: panel.heading() }
            .panel(&mut svg, panel);
        y += panel.heading() + rows_height;
    }
    svg.push_str("</svg>\n");
    svg
}

struct Scale {
    left: f64,
    to: u64,
}

impl Scale {
    fn x(&self, time: u64) -> f64 {
        self.left + time.min(self.to) as f64 / self.to as f64 * (WIDTH - self.left - RIGHT)
    }
}

fn panels(explanation: &Explanation, shown: usize) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for model in Model::ALL {
        let mut bars = Vec::new();
        let makespan = walk(&explanation.graph, &|_| model.rules(), &Contract::HONEST, &mut |step| {
            if bars.len() < shown {
                bars.push(bar(&explanation.graph, &step));
            }
        });
        let same = |panel: &&mut Panel| {
            panel.makespan == makespan
                && panel.bars.iter().zip(&bars).all(|(one, other)| (one.start, one.ready) == (other.start, other.ready))
        };
        match panels.iter_mut().find(same) {
            Some(panel) => panel.models.push(model),
            None => panels.push(Panel { models: vec![model], makespan, bars }),
        }
    }
    panels
}

/// Of the waits those that decided when the job started, one for each job waited for.
fn bar(graph: &Graph, step: &Step<'_>) -> Bar {
    let mut waits: Vec<(Wait, bool)> = Vec::new();
    let falsely = step.start - step.passing > step.ready;
    let decisive = step.waits.iter().filter(|(_, end)| *end == step.start - step.passing && *end > 0);
    for (wait, _) in decisive {
        // What comes from the same queue is the queue's order, which needs no arrow.
        let queue = |job: u32| graph.node(job).map(|node| node.engine);
        let known = waits.iter().any(|(known, _)| known.on == wait.on);
        if !known && queue(wait.on) != queue(step.job) {
            waits.push((*wait, falsely));
        }
    }
    Bar {
        job: step.job,
        ready: step.ready,
        awaited: step.start - step.passing,
        start: step.start,
        end: step.end,
        waits,
    }
}

/// The row of each engine that has a job.
fn rows(explanation: &Explanation, shown: usize) -> BTreeMap<u32, usize> {
    let mut engines: Vec<u32> = explanation.graph.jobs.iter().take(shown).map(|node| node.engine).collect();
    engines.sort_unstable();
    engines.dedup();
    engines.into_iter().enumerate().map(|(row, engine)| (engine, row)).collect()
}

fn head(scenario: &Scenario, explanation: &Explanation, shown: usize, height: f64) -> String {
    let label = if explanation.label.is_empty() { String::new() } else { format!(", {}", explanation.label) };
    let title = escaped(&format!("{}: {}{label}", scenario.name, scenario.title));
    let all = explanation.graph.len();
    let cut = if shown < all { format!(" The first {shown} of {all} jobs are drawn.") } else { String::new() };
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">
<title>{title}</title>
<defs>
<pattern id="held" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="#fff"/><rect width="2" height="7" fill="#e8a0a0"/></pattern>
<marker id="true" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z" fill="#222"/></marker>
<marker id="false" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="10" markerHeight="10" orient="auto"><path d="M1 1L9 5L1 9" fill="none" stroke="#c00" stroke-width="1.6" stroke-dasharray="none"/></marker>
</defs>
<rect width="100%" height="100%" fill="#fff"/>
<text x="16" y="28" font-size="19" font-weight="bold">{title}</text>
<text x="16" y="50">The same jobs, submitted in the same order, under different rules of who waits for whom. A row is a queue, a box is a job.{}</text>
<line x1="16" y1="72" x2="66" y2="72" stroke="#222" stroke-width="1.4" marker-end="url(#true)"/>
<text x="74" y="76">true wait: it needs the other's result, or what the other still uses</text>
<line x1="546" y1="72" x2="596" y2="72" stroke="#c00" stroke-width="1.6" stroke-dasharray="5 3" marker-end="url(#false)"/>
<text x="604" y="76">false wait: the rules ask for it, nothing else does</text>
<rect x="940" y="62" width="50" height="18" fill="url(#held)" stroke="#c00" stroke-dasharray="3 2"/>
<text x="998" y="76">time lost by a false wait</text>
"##,
        escaped(&cut)
    )
}

fn axis(svg: &mut String, scenario: &Scenario, critical_path: u64, scale: &Scale, height: f64) {
    let step = step(scale.to);
    for index in 0..=scale.to / step {
        let x = scale.x(index * step);
        let _ = writeln!(
            svg,
            r##"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{:.1}" stroke="#e2e2e2"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#555">{}</text>"##,
            TOP - 14.0,
            height - 24.0,
            height - 8.0,
            escaped(&time(index * step, &scenario.unit))
        );
    }
    if critical_path > scale.to {
        return;
    }
    let x = scale.x(critical_path);
    let (anchor, beside) = if x > WIDTH - 260.0 { ("end", -5.0) } else { ("start", 5.0) };
    let _ = writeln!(
        svg,
        r##"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{:.1}" stroke="#06c" stroke-width="1.4" stroke-dasharray="1 3"/><text x="{:.1}" y="{:.1}" text-anchor="{anchor}" fill="#06c">ideal: {}</text>"##,
        TOP - 20.0,
        height - 24.0,
        x + beside,
        TOP - 14.0,
        escaped(&time(critical_path, &scenario.unit))
    );
}

/// A round number that fits at most twenty times.
fn step(to: u64) -> u64 {
    let powers = std::iter::successors(Some(1_u64), |power| power.checked_mul(10));
    let rounds = powers.flat_map(|power| [1, 2, 5].into_iter().filter_map(move |one| power.checked_mul(one)));
    rounds.into_iter().find(|step| to / step <= 20).unwrap_or(to).max(1)
}

struct Drawing<'a> {
    scenario: &'a Scenario,
    explanation: &'a Explanation,
    scale: &'a Scale,
    rows: &'a BTreeMap<u32, usize>,
    y: f64,
    heading: f64,
}

impl Drawing<'_> {
    fn panel(&self, svg: &mut String, panel: &Panel) {
        let names: Vec<String> =
            panel.models.iter().map(|model| format!("{} {}", model.name(), model.title())).collect();
        let over = panel.makespan.saturating_sub(self.explanation.critical_path);
        let over = if over == 0 { "as fast as can be".to_owned() } else { format!("{over} more than ideal") };
        let _ = writeln!(
            svg,
            r##"<line x1="16" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="#999"/><text x="16" y="{:.1}" font-size="14"><tspan font-weight="bold">{}</tspan>: {}, {over}</text>"##,
            self.y,
            WIDTH - RIGHT + 14.0,
            self.y,
            self.y + 19.0,
            escaped(&names.join(" and ")),
            escaped(&time(panel.makespan, &self.scenario.unit)),
        );
        let means = |model: &Model| format!("{}: {}", model.name(), model.means());
        for (line, models) in panel.models.chunks(2).enumerate() {
            let _ = writeln!(
                svg,
                r##"<text x="16" y="{:.1}" font-size="11" fill="#555">{}</text>"##,
                self.y + HEADING + LINE * line as f64 + 6.0,
                escaped(&models.iter().map(means).collect::<Vec<_>>().join("; "))
            );
        }
        for (engine, row) in self.rows {
            let name = self.explanation.program.engines.get(*engine as usize).map_or("?", String::as_str);
            let _ = writeln!(
                svg,
                r##"<text x="{:.1}" y="{:.1}" text-anchor="end" fill="#333">{}</text>"##,
                self.scale.left - 10.0,
                self.top(*row) + 16.0,
                escaped(name)
            );
        }
        for bar in &panel.bars {
            self.bar(svg, bar);
        }
        // Above all boxes, or a box would hide them.
        for bar in &panel.bars {
            bar.waits.iter().for_each(|(wait, falsely)| self.arrow(svg, panel, bar, wait, *falsely));
        }
    }

    fn top(&self, row: usize) -> f64 {
        self.y + self.heading + row as f64 * ROW
    }

    fn row(&self, job: u32) -> usize {
        self.explanation.graph.node(job).and_then(|node| self.rows.get(&node.engine)).copied().unwrap_or(0)
    }

    fn name(&self, job: u32) -> String {
        let Some(node) = self.explanation.graph.node(job) else { return String::new() };
        let name = self.explanation.job(node.job as usize);
        if self.explanation.program.frames > 1 { format!("{name} {}", node.frame) } else { name.to_owned() }
    }

    /// "reads A.X, writes FB".
    fn accesses(&self, job: u32) -> String {
        let program = &self.explanation.program;
        let Some(job) = self.explanation.graph.node(job).and_then(|node| program.jobs.get(node.job as usize)) else {
            return String::new();
        };
        let one = |access: &Access| {
            let buffer = program.buffers.get(access.buffer)?;
            let verb = if access.writes { "writes" } else { "reads" };
            let region = buffer.regions.get(access.regions.trailing_zeros() as usize);
            let region = region.filter(|_| access.regions != buffer.whole());
            Some(match region {
                Some(region) => format!("{verb} {}.{region}", buffer.name),
                None => format!("{verb} {}", buffer.name),
            })
        };
        job.accesses.iter().filter_map(one).collect::<Vec<_>>().join(", ")
    }

    fn bar(&self, svg: &mut String, bar: &Bar) {
        let y = self.top(self.row(bar.job));
        let (ready, awaited) = (self.scale.x(bar.ready), self.scale.x(bar.awaited));
        let (start, end) = (self.scale.x(bar.start), self.scale.x(bar.end));
        if bar.start > bar.awaited {
            let _ = writeln!(
                svg,
                r##"<g><title>{}</title><rect x="{awaited:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="#eee" stroke="#777"/></g>"##,
                escaped(&format!("passing fences by hand takes {}", bar.start - bar.awaited)),
                y + 7.0,
                start - awaited,
                BOX - 14.0
            );
        }
        if bar.awaited > bar.ready {
            let causes: Vec<String> = bar.waits.iter().map(|(wait, _)| self.name(wait.on)).collect();
            let says = format!("waits {} for {}", bar.awaited - bar.ready, causes.join(", "));
            let _ = writeln!(
                svg,
                r##"<rect x="{ready:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="url(#held)" stroke="#c00" stroke-dasharray="3 2"><title>{}</title></rect>"##,
                y + 3.0,
                awaited - ready,
                BOX - 6.0,
                escaped(&says)
            );
            let shorter = format!("waits for {}", causes.join(", "));
            let shortest = format!("for {}", causes.join(", "));
            for text in [says, shorter, shortest] {
                let width = text.chars().count() as f64 * LETTER;
                if width + 8.0 < awaited - ready {
                    let middle = f64::midpoint(ready, awaited);
                    let _ = writeln!(
                        svg,
                        r##"<rect x="{:.1}" y="{:.1}" width="{width:.1}" height="14" fill="#fff"/><text x="{middle:.1}" y="{:.1}" text-anchor="middle" font-size="11" fill="#a00">{}</text>"##,
                        middle - width / 2.0,
                        y + 5.0,
                        y + 16.0,
                        escaped(&text)
                    );
                    break;
                }
            }
        }
        let owner = self.explanation.graph.node(bar.job).map_or(0, |node| node.owner as usize);
        let name = self.name(bar.job);
        let says = format!("{name}: {}", self.accesses(bar.job));
        let fits = |text: &&str| text.chars().count() as f64 * (LETTER + 0.6) + 4.0 < end - start;
        let label = [says.as_str(), name.as_str()].into_iter().find(fits).map_or(String::new(), |text| {
            let middle = f64::midpoint(start, end);
            format!(r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">{}</text>"#, y + 16.0, escaped(text))
        });
        let _ = writeln!(
            svg,
            r##"<g><title>{}</title><rect x="{start:.1}" y="{y:.1}" width="{:.1}" height="{BOX}" rx="2" fill="{}" stroke="#333" stroke-width="0.8"/>{label}</g>"##,
            escaped(&format!("{says}; from {} to {}", bar.start, bar.end)),
            (end - start).max(1.5),
            COLOURS.get(owner % COLOURS.len()).copied().unwrap_or("#999")
        );
    }

    fn arrow(&self, svg: &mut String, panel: &Panel, bar: &Bar, wait: &Wait, falsely: bool) {
        let Some(cause) = panel.bars.get(wait.on as usize) else { return };
        let (from, to) = (self.top(self.row(cause.job)), self.top(self.row(bar.job)));
        // From the right edge of the one to the left edge of the other, a little apart so that both ends are seen.
        let (leaves, arrives) = if to > from { (from + BOX, to + 1.0) } else { (from, to + BOX - 1.0) };
        let (out, into) = (self.scale.x(cause.end) - 10.0, self.scale.x(bar.start) + 4.0);
        let style = if falsely {
            r##"stroke="#c00" stroke-width="1.6" stroke-dasharray="5 3" marker-end="url(#false)""##
        } else {
            r##"stroke="#222" stroke-width="1.3" marker-end="url(#true)""##
        };
        let over = self.explanation.graph.buffers.get(wait.buffer as usize).filter(|_| wait.buffer != NAMED);
        let over = over.and_then(|(number, _)| self.explanation.program.buffers.get(*number as usize));
        let over = over.map_or(String::new(), |buffer| format!(" over {}", buffer.name));
        let what = if falsely { "falsely waits" } else { "waits" };
        let says = format!("{} {what} for {}{over}", self.name(bar.job), self.name(cause.job));
        let _ = writeln!(
            svg,
            r#"<line x1="{out:.1}" y1="{leaves:.1}" x2="{into:.1}" y2="{arrives:.1}" {style}><title>{}</title></line>"#,
            escaped(&says)
        );
    }
}
