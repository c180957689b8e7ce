//! The schedule as it was measured, over the one that was predicted, on one time axis.
//!
//! A row is an engine. A hatched box before a job is the time from when it was ready to when it started; it says for whom:
//! above as it was measured, below as it was predicted.

use std::fmt::Write as _;

use super::report::{Job, Report};
use crate::chart::{COLOURS, LETTER, MOST, RIGHT, WIDTH, escaped};

/// Pixels of the picture.
const TOP: f64 = 84.0;
const ROW: f64 = 30.0;
const BOX: f64 = 22.0;
const HEADING: f64 = 34.0;
/// Waits that are drawn, in milliseconds: shorter ones are what a wake-up takes.
const SHORTEST: f64 = 2.0;

/// When a job was ready, started and ended.
type Times = (f64, f64, f64);

/// The picture of a run.
pub(super) fn draw(report: &Report) -> String {
    let jobs: Vec<&Job> = report.jobs.iter().take(MOST).collect();
    let mut engines: Vec<&str> = Vec::new();
    for job in &jobs {
        if !engines.contains(&job.engine.as_str()) {
            engines.push(&job.engine);
        }
    }
    let measured: Vec<Option<Times>> =
        jobs.iter().map(|job| Some((job.ready_ms.or(job.started_ms)?, job.started_ms?, job.ended_ms?))).collect();
    let predicted: Vec<Option<Times>> = jobs
        .iter()
        .map(|job| Some((job.predicted_ready_ms?, job.predicted_start_ms?, job.predicted_end_ms?)))
        .collect();
    let names = engines.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let ends = measured.iter().chain(&predicted).flatten().map(|(.., end)| *end);
    let to = ends.fold(report.critical_path_ms, f64::max).max(1.0);
    let sheet = Sheet { report, jobs, engines, left: (names * LETTER + 40.0).clamp(90.0, 340.0), to };
    let mut panels = vec![(format!("measured: {:.1} ms", report.makespan_ms), measured)];
    if let Some(prediction) = &report.predicted {
        panels.push((format!("predicted, {}: {} ms", prediction.model, prediction.makespan_ms), predicted));
    }
    let height = TOP + panels.len() as f64 * sheet.panel_height() + 30.0;
    let mut svg = sheet.head(height);
    for (number, (title, times)) in panels.iter().enumerate() {
        sheet.panel(&mut svg, title, times, TOP + number as f64 * sheet.panel_height(), number > 0);
    }
    svg.push_str("</svg>\n");
    svg
}

struct Sheet<'a> {
    report: &'a Report,
    jobs: Vec<&'a Job>,
    engines: Vec<&'a str>,
    left: f64,
    to: f64,
}

impl Sheet<'_> {
    fn x(&self, ms: f64) -> f64 {
        self.left + ms.clamp(0.0, self.to) / self.to * (WIDTH - self.left - RIGHT)
    }

    fn panel_height(&self) -> f64 {
        HEADING + self.engines.len() as f64 * ROW + 14.0
    }

    fn head(&self, height: f64) -> String {
        let title = escaped(&format!("{}: {}", self.report.scenario, self.report.title));
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">
<title>{title}</title>
<defs><pattern id="held" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="#fff"/><rect width="2" height="7" fill="#e8a0a0"/></pattern></defs>
<rect width="100%" height="100%" fill="#fff"/>
<text x="16" y="28" font-size="19" font-weight="bold">{title}</text>
<text x="16" y="50">A row is a queue, a box is a job. Hatched: it was ready, and waited.</text>
"##
        );
        let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]
            .into_iter()
            .find(|step| self.to / step <= 20.0);
        let step = step.unwrap_or(self.to / 10.0);
        for number in 0..=(self.to / step) as u32 {
            let x = self.x(f64::from(number) * step);
            let _ = writeln!(
                svg,
                r##"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{:.1}" stroke="#e2e2e2"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#555">{} ms</text>"##,
                TOP - 10.0,
                height - 24.0,
                height - 8.0,
                f64::from(number) * step
            );
        }
        let x = self.x(self.report.critical_path_ms);
        let _ = writeln!(
            svg,
            r##"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{:.1}" stroke="#06c" stroke-width="1.4" stroke-dasharray="1 3"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#06c">critical path: {} ms</text>"##,
            TOP - 16.0,
            height - 24.0,
            x - 5.0,
            TOP - 8.0,
            self.report.critical_path_ms
        );
        svg
    }

    fn panel(&self, svg: &mut String, title: &str, times: &[Option<Times>], top: f64, predicted: bool) {
        let _ = writeln!(svg, r#"<text x="16" y="{:.1}" font-weight="bold">{}</text>"#, top + 18.0, escaped(title));
        for (row, engine) in self.engines.iter().enumerate() {
            let y = top + HEADING + row as f64 * ROW + 15.0;
            let x = self.left - 10.0;
            let _ = writeln!(
                svg,
                r##"<text x="{x:.1}" y="{y:.1}" text-anchor="end" fill="#333">{}</text>"##,
                escaped(engine)
            );
        }
        for (job, times) in self.jobs.iter().zip(times) {
            let (Some(row), Some(times)) = (self.engines.iter().position(|engine| *engine == job.engine), times) else {
                continue;
            };
            self.bar(svg, job, *times, top + HEADING + row as f64 * ROW, predicted);
        }
    }

    fn bar(&self, svg: &mut String, job: &Job, (ready, start, end): Times, y: f64, predicted: bool) {
        let (from, to) = (self.x(start), self.x(end));
        if start - ready >= SHORTEST {
            let x = self.x(ready);
            let says = match self.causes(job, predicted).as_slice() {
                [] => format!("waits {:.1} ms", start - ready),
                causes => format!("waits {:.1} ms for {}", start - ready, causes.join(", ")),
            };
            let _ = writeln!(
                svg,
                r##"<rect x="{x:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="url(#held)" stroke="#c00" stroke-dasharray="3 2"><title>{}</title></rect>"##,
                y + 3.0,
                from - x,
                BOX - 6.0,
                escaped(&says)
            );
            let width = says.chars().count() as f64 * LETTER;
            if width + 8.0 < from - x {
                let middle = f64::midpoint(x, from);
                let _ = writeln!(
                    svg,
                    r##"<rect x="{:.1}" y="{:.1}" width="{width:.1}" height="14" fill="#fff"/><text x="{middle:.1}" y="{:.1}" text-anchor="middle" font-size="11" fill="#a00">{}</text>"##,
                    middle - width / 2.0,
                    y + 4.0,
                    y + 15.0,
                    escaped(&says)
                );
            }
        }
        let owner = self.report.owners.iter().position(|owner| owner.name == job.owner).unwrap_or(0);
        let colour = COLOURS.get(owner % COLOURS.len()).copied().unwrap_or("#999");
        let name = escaped(&job.job);
        let fits = job.job.chars().count() as f64 * LETTER + 4.0 < to - from;
        let middle = f64::midpoint(from, to);
        let label = if fits {
            format!(r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">{name}</text>"#, y + 15.0)
        } else {
            String::new()
        };
        let _ = writeln!(
            svg,
            r##"<g><title>{name}: {start:.1} to {end:.1} ms</title><rect x="{from:.1}" y="{y:.1}" width="{:.1}" height="{BOX}" rx="2" fill="{colour}" stroke="#333" stroke-width="0.8"/>{label}</g>"##,
            (to - from).max(1.5)
        );
    }

    /// Whom a job waited for, as it was measured or as it was predicted.
    fn causes(&self, job: &Job, predicted: bool) -> Vec<&str> {
        if !predicted {
            let waits = self.report.waits.iter().filter(|wait| wait.waiter == job.job);
            return waits.filter_map(|wait| wait.on.as_deref()).collect();
        }
        let waits = self.report.predicted.iter().flat_map(|predicted| &predicted.false_waits);
        let mut waits: Vec<_> = waits.filter(|wait| wait.waiter == job.job).collect();
        let longest = waits.iter().map(|wait| wait.time).max();
        waits.retain(|wait| Some(wait.time) == longest);
        waits.into_iter().map(|wait| wait.on.as_str()).collect()
    }
}
