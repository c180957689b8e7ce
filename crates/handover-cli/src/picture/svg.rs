//! The picture itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Lane, Span, Story};
use crate::chart::escaped;

/// Pixels of the picture.
const WIDTH: f64 = 1400.0;
const LABELS: f64 = 250.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 84.0;
const ROW: f64 = 26.0;
const BOX: f64 = 18.0;
/// Between participants.
const GAP: f64 = 14.0;
const FOOT: f64 = 30.0;

/// Colours of frames, one after the other; told apart by people who see no red or no green too (Okabe and Ito).
const COLOURS: [&str; 6] = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#0072b2"];

/// One row: what a participant does with frames of one producer.
struct Row {
    lane: usize,
    producer: usize,
    y: f64,
}

struct Scale {
    from: u64,
    to: u64,
}

impl Scale {
    fn x(&self, time: u64) -> f64 {
        let whole = self.to.saturating_sub(self.from).max(1) as f64;
        let part = time.clamp(self.from, self.to).saturating_sub(self.from) as f64;
        LABELS + part / whole * (WIDTH - LABELS - RIGHT)
    }
}

pub(super) fn draw(story: &Story) -> String {
    let (rows, bottom) = rows(story);
    let times = story.lanes.iter().flat_map(|lane| &lane.spans).flat_map(|span| [span.asked.min(span.from), span.to]);
    let Some(from) = times.clone().min() else { return nothing(story) };
    let scale = Scale { from, to: times.max().unwrap_or(from) };
    let kernel = timelines(story, &scale);
    let traced = if story.fences.is_some() { 2.0 * GAP + ROW } else { 0.0 };
    let height = bottom + kernel.len() as f64 * ROW + traced + FOOT;
    let mut svg = head(height, story);
    axis(&mut svg, &scale, height - FOOT);
    for (index, lane) in story.lanes.iter().enumerate() {
        participant(&mut svg, story, index, lane, &rows, &scale);
    }
    for wait in story.waits() {
        arrow(&mut svg, story, &wait, &rows, &scale);
    }
    if story.fences.is_some() {
        fences(&mut svg, &kernel, &scale, bottom);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where each row lies, and where the last one ends.
fn rows(story: &Story) -> (Vec<Row>, f64) {
    let mut rows = Vec::new();
    let mut y = TOP;
    for (lane, all) in story.lanes.iter().enumerate() {
        let mut producers: Vec<usize> = all.spans.iter().map(|span| span.producer).collect();
        // What it reads above what it draws of it.
        producers.sort_by_key(|producer| (*producer == lane, *producer));
        producers.dedup();
        for producer in producers {
            rows.push(Row { lane, producer, y });
            y += ROW;
        }
        y += GAP;
    }
    (rows, y)
}

fn y_of(rows: &[Row], lane: usize, producer: usize) -> f64 {
    rows.iter().find(|row| row.lane == lane && row.producer == producer).map_or(TOP, |row| row.y)
}

fn head(height: f64, story: &Story) -> String {
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">
<defs>
<pattern id="wait" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#fff"/><rect width="2" height="6" fill="#888"/></pattern>
<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#d00"/></marker>
</defs>
<rect width="100%" height="100%" fill="#fff"/>
<text x="16" y="26" font-size="18" font-weight="bold">{}: who waited for whom</text>
<text x="16" y="46">A box is one frame in one participant's hands, in the colour of the frame, with its number. A hatched box before it is the time it waited.</text>
<text x="16" y="62">A red arrow comes from the end of what it waited for: a reader waits for the frame to be drawn, a producer for a surface that its readers give back.</text>
"##,
        escaped(&story.title)
    );
    // A picture without a title has none to read out.
    let _ = writeln!(svg, "<title>{}: who waited for whom</title>", escaped(&story.title));
    svg
}

fn nothing(story: &Story) -> String {
    format!("{}<text x=\"16\" y=\"{TOP}\">No frame came so far.</text>\n</svg>\n", head(TOP + FOOT, story))
}

/// Lines of time, at round numbers of milliseconds.
fn axis(svg: &mut String, scale: &Scale, bottom: f64) {
    let whole = scale.to.saturating_sub(scale.from).max(1);
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000]
        .into_iter()
        .map(|millis: u64| millis * 1_000_000)
        .find(|step| whole / step <= 12)
        .unwrap_or(whole);
    for index in 0..=whole / step {
        let x = scale.x(scale.from + index * step);
        let _ = writeln!(
            svg,
            r##"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{bottom:.1}" stroke="#ddd"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#666">{} ms</text>"##,
            TOP - 6.0,
            bottom + 16.0,
            index * step / 1_000_000
        );
    }
}

fn participant(svg: &mut String, story: &Story, index: usize, lane: &Lane, rows: &[Row], scale: &Scale) {
    let name_of = |lane: usize| story.lanes.get(lane).map_or("?", |lane| lane.name.as_str());
    for (nth, row) in rows.iter().filter(|row| row.lane == index).enumerate() {
        let does = if row.producer == index { "draws".to_owned() } else { format!("reads {}", name_of(row.producer)) };
        if nth == 0 {
            let _ = writeln!(
                svg,
                r#"<text x="16" y="{:.1}" font-weight="bold">{}<title>{}</title></text>"#,
                row.y + 13.0,
                escaped(&lane.name),
                escaped(&lane.what)
            );
        }
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LABELS - 10.0,
            row.y + 13.0,
            escaped(&does)
        );
    }
    for span in &lane.spans {
        let y = y_of(rows, index, span.producer);
        let (asked, from, to) = (scale.x(span.asked.min(span.from)), scale.x(span.from), scale.x(span.to));
        let millis = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e6;
        if from - asked >= 0.5 {
            let _ = writeln!(
                svg,
                r##"<rect x="{asked:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="url(#wait)" stroke="#888" stroke-width="0.5"><title>{}</title></rect>"##,
                y + 4.0,
                from - asked,
                BOX - 8.0,
                escaped(&format!("{} waited {:.1} ms", lane.name, millis(span.asked, span.from)))
            );
        }
        let does = if span.producer == index { "drew" } else { "had" };
        let says = format!(
            "{} {does} frame {} of {} for {:.1} ms",
            lane.name,
            span.frame,
            name_of(span.producer),
            millis(span.from, span.to)
        );
        let _ = writeln!(
            svg,
            r##"<g><title>{}</title><rect x="{from:.1}" y="{y:.1}" width="{:.1}" height="{BOX}" rx="2" fill="{}" stroke="#333" stroke-width="0.7"/>{}</g>"##,
            escaped(&says),
            (to - from).max(1.5),
            colour(span),
            if to - from > 18.0 { number(span.frame, f64::midpoint(from, to), y) } else { String::new() }
        );
    }
}

fn number(frame: u64, x: f64, y: f64) -> String {
    format!(r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="11">{frame}</text>"#, y + 13.0)
}

fn colour(span: &Span) -> &'static str {
    COLOURS.get((span.frame % COLOURS.len() as u64) as usize).copied().unwrap_or("#999")
}

fn arrow(svg: &mut String, story: &Story, wait: &super::Wait, rows: &[Row], scale: &Scale) {
    let span = |(lane, position): (usize, usize)| Some((lane, story.lanes.get(lane)?.spans.get(position)?));
    let (Some((waiter, waited)), Some((cause, ended))) = (span(wait.waiter), span(wait.cause)) else { return };
    let (from, to) = (y_of(rows, cause, ended.producer), y_of(rows, waiter, waited.producer));
    let name = |lane: usize| story.lanes.get(lane).map_or("?", |lane| lane.name.as_str());
    let says =
        format!("{} waited {:.1} ms for {} (frame {})", name(waiter), wait.time as f64 / 1e6, name(cause), ended.frame);
    let (leaves, arrives) = if to > from { (from + BOX, to) } else { (from, to + BOX) };
    let _ = writeln!(
        svg,
        r##"<line x1="{:.1}" y1="{leaves:.1}" x2="{:.1}" y2="{arrives:.1}" stroke="#d00" stroke-width="1.2" marker-end="url(#tip)"><title>{}</title></line>"##,
        scale.x(ended.to),
        scale.x(waited.from),
        escaped(&says)
    );
}

type Timelines<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a super::KernelFence>>;

/// The kernel's fences of the time that is shown, each with its timeline.
fn timelines<'a>(story: &'a Story, scale: &Scale) -> Timelines<'a> {
    let mut timelines = Timelines::new();
    let is_shown = |fence: &&super::KernelFence| fence.from <= scale.to && fence.to.is_none_or(|to| to >= scale.from);
    for fence in story.fences.iter().flatten().filter(is_shown) {
        timelines.entry((&fence.driver, &fence.timeline)).or_default().push(fence);
    }
    timelines
}

fn fences(svg: &mut String, timelines: &Timelines<'_>, scale: &Scale, bottom: f64) {
    let none = if timelines.is_empty() { ": no driver made one in this time" } else { "" };
    let _ = writeln!(
        svg,
        r#"<text x="16" y="{:.1}"><tspan font-weight="bold">Fences of the kernel</tspan> (trace events dma_fence), from their making to their signal{none}</text>"#,
        bottom + GAP
    );
    for (index, ((driver, timeline), fences)) in timelines.iter().enumerate() {
        let y = bottom + 2.0 * GAP + index as f64 * ROW;
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LABELS - 10.0,
            y + 13.0,
            escaped(&format!("{driver} {timeline}"))
        );
        for fence in fences {
            let (from, to) = (scale.x(fence.from), scale.x(fence.to.unwrap_or(scale.to)));
            let says = format!("{driver}, context {}, sequence number {}", fence.context, fence.seqno);
            let _ = writeln!(
                svg,
                r##"<rect x="{from:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="#bbb" stroke="#555" stroke-width="0.5"><title>{}</title></rect>"##,
                y + 3.0,
                (to - from).max(1.0),
                BOX - 6.0,
                escaped(&says)
            );
        }
    }
}
