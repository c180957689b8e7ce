//! A report for people: the processes, the buffers, and what was not seen.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anstyle::Style;

use super::growth::Change;
use super::report::{Buffer, Holder, Process, Report};
use crate::columns::Align::{Left, Ragged, Right};
use crate::columns::{columns, printable, size};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Processes on a screen that is drawn again and again: it must not scroll.
const MOST_PROCESSES: usize = 16;
/// New buffers there.
const MOST_NEW: usize = 8;

/// All of one look.
pub(super) fn whole(report: &Report) -> String {
    let mut text = headline(report);
    if !report.processes.is_empty() {
        text.push('\n');
        write_processes(&mut text, &report.processes);
    }
    if !report.buffers.is_empty() {
        text.push('\n');
        write_buffers(&mut text, report.buffers.iter());
    }
    write_unseen(&mut text, report);
    text
}

/// A screen of `--watch`. Each line clears what the last look left in its place: no flicker.
pub(super) fn screen(report: &Report, interval: Duration) -> String {
    let mut text = headline(report);
    let _ = writeln!(text, "{DIM}every {} s; Ctrl-C ends{DIM:#}\n", interval.as_secs_f64());
    write_processes(&mut text, report.processes.get(..MOST_PROCESSES).unwrap_or(&report.processes));
    if let Some(more @ 1..) = report.processes.len().checked_sub(MOST_PROCESSES) {
        let _ = writeln!(text, "{DIM}and {more} more that hold less{DIM:#}");
    }
    let new = report.buffers.iter().filter(|buffer| buffer.is_new).count();
    if new > 0 {
        let _ = writeln!(text, "\nnew since the last look:");
        write_buffers(&mut text, report.buffers.iter().filter(|buffer| buffer.is_new).take(MOST_NEW));
        if let Some(more @ 1..) = new.checked_sub(MOST_NEW) {
            let _ = writeln!(text, "{DIM}and {more} more{DIM:#}");
        }
    }
    write_unseen(&mut text, report);
    format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
}

/// What is written for a look of `--watch` where nobody draws screens: the sum, and the processes that changed.
pub(super) fn lines(report: &Report) -> String {
    let mut text = format!("{:8.1} s  {}", report.seconds, headline(report));
    let changed = |process: &&Process| process.since_last.is_none_or(|change| !change.is_none());
    for process in report.processes.iter().filter(changed) {
        let _ = writeln!(
            text,
            "            {} {}: {}{}",
            process.pid,
            printable(&process.command),
            held(process.totals.buffers, process.totals.bytes),
            parenthesised(process.since_last, process.since_first),
        );
    }
    if report.since_last.is_none() {
        write_unseen(&mut text, report);
    }
    text
}

fn held(buffers: u64, bytes: u64) -> String {
    format!("{buffers} {}, {}", if buffers == 1 { "buffer" } else { "buffers" }, size(bytes))
}

fn headline(report: &Report) -> String {
    let changed = parenthesised(report.since_last, report.since_first);
    let all = held(report.totals.buffers, report.totals.bytes);
    if !report.asked.is_empty() {
        let numbers = report.asked.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let process = if report.asked.len() == 1 { "process" } else { "processes" };
        return match report.buffers.len() {
            0 => format!("No buffer is held by {process} {numbers}{changed}.\n"),
            _ => format!("{BOLD}{all}{BOLD:#}{changed}, held by {process} {numbers}.\n"),
        };
    }
    let read = report.processes_read;
    let processes = if read == 1 { "process" } else { "processes" };
    if report.buffers.is_empty() {
        return format!("No buffer is held by any of the {read} {processes} that could be read{changed}.\n");
    }
    format!("{BOLD}{all}{BOLD:#}{changed}, held by {} of {read} {processes}.\n", report.processes.len())
}

/// ` (+2, +6.2 MiB; since the start +40, +124 MiB)`, or nothing where there is nothing to compare with.
fn parenthesised(last: Option<Change>, first: Option<Change>) -> String {
    let (Some(last), Some(first)) = (last, first) else { return String::new() };
    if last == first {
        return format!(" ({})", change(last));
    }
    format!(" ({}; since the start {})", change(last), change(first))
}

fn change(change: Change) -> String {
    if change.is_none() { "unchanged".into() } else { format!("{:+}, {}", change.buffers, signed_size(change.bytes)) }
}

fn signed_size(bytes: i64) -> String {
    format!("{}{}", if bytes < 0 { "-" } else { "+" }, size(bytes.unsigned_abs()))
}

fn write_processes(text: &mut String, processes: &[Process]) {
    if processes.is_empty() {
        return;
    }
    let heads = ["process", "pid", "buffers", "size", "descriptors", "mappings", "last look", "start"];
    let compared = processes.iter().any(|process| process.since_last.is_some());
    let heads = if compared { &heads[..] } else { heads.split_at(6).0 };
    let rows: Vec<Vec<String>> = processes
        .iter()
        .map(|process| {
            let mut row = vec![
                printable(&process.command),
                process.pid.to_string(),
                process.totals.buffers.to_string(),
                size(process.totals.bytes),
                process.descriptors.to_string(),
                process.mappings.to_string(),
            ];
            if compared {
                row.extend([process.since_last, process.since_first].map(|since| change(since.unwrap_or_default())));
            }
            row
        })
        .collect();
    write_table(text, &columns(heads, &rows, &[Left]));
}

/// Buffers that differ in nothing but their inode share a line: a pool has many of a kind.
fn write_buffers<'a>(text: &mut String, buffers: impl Iterator<Item = &'a Buffer>) {
    const HEADS: [&str; 7] = ["buffer", "n", "inode", "made by", "content", "size", "held by"];
    let mut alike: BTreeMap<[String; 6], (usize, Vec<u64>)> = BTreeMap::new();
    for (place, buffer) in buffers.enumerate() {
        alike.entry(cells(buffer)).or_insert((place, Vec::new())).1.push(buffer.inode);
    }
    let mut alike: Vec<_> = alike.into_iter().collect();
    alike.sort_by_key(|(_, (place, _))| *place);
    let rows: Vec<[String; HEADS.len()]> = alike
        .iter()
        .map(|([buffer, maker, content, size, holders, _], (_, inodes))| {
            let more = if inodes.len() > 1 { " …" } else { "" };
            let inode = format!("{}{more}", inodes.first().copied().unwrap_or_default());
            let count = inodes.len().to_string();
            let [buffer, maker, content, size, holders] = [buffer, maker, content, size, holders].map(String::clone);
            [buffer, count, inode, maker, content, size, holders]
        })
        .collect();
    let lines = columns(&HEADS, &rows, &[Left, Right, Left, Left, Left, Right, Ragged]);
    let mut lines = lines.iter();
    if let Some(head) = lines.next() {
        let _ = writeln!(text, "{BOLD}{head}{BOLD:#}");
    }
    for (line, ([.., notes], _)) in lines.zip(&alike) {
        let _ = writeln!(text, "{line}");
        for note in notes.lines() {
            let _ = writeln!(text, "    {note}");
        }
    }
}

/// What it is, who made it, its content, its size, who holds it; and what stands below its line.
fn cells(buffer: &Buffer) -> [String; 6] {
    let content = buffer.metadata.as_ref().map(|metadata| match &metadata.picture {
        Some(picture) => {
            let (width, height) = picture.extent;
            let compressed = if picture.compressed { ", compressed" } else { "" };
            format!("{} {width}x{height}{compressed}, by {}", picture.format, metadata.device)
        }
        None => format!("by {}", metadata.device),
    });
    let dash = |text: Option<&str>| text.map_or("-".into(), printable);
    [
        match &buffer.name {
            Some(name) => format!("{} {}", buffer.kind.word(), printable(name)),
            None => buffer.kind.word().into(),
        },
        dash(buffer.exporter.as_deref()),
        dash(content.as_deref()),
        format!("{}{}", if buffer.bytes_known { "" } else { "≥ " }, size(buffer.bytes)),
        holders(buffer),
        notes(buffer),
    ]
}

fn holders(buffer: &Buffer) -> String {
    let mut all: Vec<String> = buffer.holders.iter().map(holder).collect();
    if buffer.holders.is_empty() {
        all.push("nobody that was seen".into());
    }
    if let Some(elsewhere @ 1..) = buffer.references_elsewhere {
        all.push(format!("{elsewhere} elsewhere"));
    }
    all.join(", ")
}

fn holder(holder: &Holder) -> String {
    let counted = |count: u64, what: &str| match count {
        0 => None,
        1 => Some(what.to_owned()),
        _ => Some(format!("{count} {what}")),
    };
    let map = if holder.maps_writable { "map rw" } else { "map r" };
    let how = [counted(holder.descriptors, "fd"), counted(holder.mappings, map)];
    let how = how.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("{} {} ({how})", printable(&holder.command), holder.pid)
}

/// One a line.
fn notes(buffer: &Buffer) -> String {
    let fences = buffer.fences.iter().flatten();
    let mut notes: Vec<String> =
        fences.map(|fence| format!("pending {} fence: {}", fence.class, printable(&fence.fence))).collect();
    if !buffer.devices.is_empty() {
        notes.push(format!("imported by {}", printable(&buffer.devices.join(", "))));
    }
    notes.join("\n")
}

fn write_table(text: &mut String, lines: &[String]) {
    let Some((head, rows)) = lines.split_first() else { return };
    let _ = writeln!(text, "{BOLD}{head}{BOLD:#}");
    for row in rows {
        let _ = writeln!(text, "{row}");
    }
}

fn write_unseen(text: &mut String, report: &Report) {
    if report.not_seen.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nNot seen:");
    for unseen in &report.not_seen {
        let _ = write!(text, "- {}: {}", unseen.what, unseen.why);
        if !unseen.help.is_empty() {
            let _ = write!(text, " {DIM}({}){DIM:#}", unseen.help);
        }
        text.push('\n');
    }
}
