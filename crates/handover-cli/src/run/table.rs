//! The summary for people: a table of the participants, a line a stream, and what came out.

use std::fmt::Write;

use anstyle::Style;

use super::allocations::Allocated;
use super::report::{Participant, Report, Stream};
use crate::participant::event::{Allocation, Images, Vulkan};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

const HEADS: [&str; 12] =
    ["participant", "device", "sent", "read", "drop", "p50 ms", "p99 ms", "fence", "pool", "peer", "kernel", "work"];

/// The whole summary, styled; a stream that strips styles makes it plain.
pub(super) fn summary(report: &Report, directory: &str) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_summary(&mut text, report, directory);
    text
}

fn write_summary(text: &mut String, report: &Report, directory: &str) -> std::fmt::Result {
    writeln!(
        text,
        "{BOLD}{}{BOLD:#}: {} of {} frames in {:.2} s, {}. {DIM}{}.{DIM:#}",
        report.pipeline,
        report.frames_done,
        report.frames,
        report.seconds,
        report.ended,
        capitalised(&report.devices)
    )?;
    writeln!(text)?;
    write_table(text, &report.participants)?;
    writeln!(
        text,
        "{DIM}fence, pool, peer, kernel: seconds spent waiting for them, the last one being the kernel's devices; work: drawing, \
         converting, flushing, encoding; p50, p99: from submit to the last release{DIM:#}"
    )?;
    writeln!(text)?;
    for stream in &report.streams {
        writeln!(text, "{}", stream_line(stream))?;
    }
    super::interop::write(text, &report.interop)?;
    for (participant, vulkan) in report.participants.iter().filter_map(|one| Some((one, one.vulkan.as_ref()?))) {
        write_vulkan(text, &participant.name, vulkan)?;
    }
    writeln!(text)?;
    if report.other_device.is_some() || report.participants.iter().any(|one| one.content_sha256.is_some()) {
        write_surfaces(text, report)?;
    }
    let copied = report.pixel_bytes_copied_between_processes.map_or("unknown".to_owned(), |bytes| bytes.to_string());
    writeln!(text, "pixel bytes copied between processes: {BOLD}{copied}{BOLD:#}")?;
    writeln!(text, "bytes on sockets for each frame: {:.0}", report.socket_bytes_per_frame)?;
    if !report.files.is_empty() {
        writeln!(text, "in {directory}: {}, {}", report.files.join(", "), super::outputs::REPORT)?;
    }
    // Who died is told once, on standard error.
    for early in &report.ended_early {
        writeln!(text, "{} had {} frames", early.name, early.frames)?;
    }
    Ok(())
}

/// What was allocated, what was written twice, and whether readers saw what was drawn.
fn write_surfaces(text: &mut String, report: &Report) -> std::fmt::Result {
    // What computes import stands in lines of its own.
    let pooled: Vec<&Allocated> = report.allocations.iter().filter(|one| one.surface.importer.is_none()).collect();
    for pool in pooled.chunk_by(|one, next| one.owner == next.owner && one.surface.shared == next.surface.shared) {
        let Some(Allocated { owner, readers, layout, surface, .. }) = pool.first() else { continue };
        let Allocation { format, extent: (width, height), modifier, bytes, .. } = surface;
        let whose = if surface.shared { format!("shared with {}", readers.join(", ")) } else { "private".into() };
        let mib = *bytes as f64 / f64::from(1 << 20);
        writeln!(
            text,
            "{owner} has {}, {whose}: {format} {width}x{height}, {modifier} ({layout}), {mib:.2} MiB each",
            counted(pool.len())
        )?;
    }
    for reader in &report.participants {
        for input in &reader.inputs {
            let Some(seen) = &input.content_sha256 else { continue };
            let is_different =
                report.different.iter().any(|one| one.reader == reader.name && one.producer == input.producer);
            let what = if is_different { "something else than was drawn" } else { "what was drawn" };
            writeln!(text, "{} saw of {} {what}: {} frames, SHA-256 {seen}", reader.name, input.producer, input.taken)?;
        }
    }
    let drawn: u64 = report.participants.iter().map(|participant| participant.frame_bytes).sum();
    writeln!(
        text,
        "pixel bytes drawn: {drawn}; written again, to be LINEAR: {BOLD}{}{BOLD:#}",
        report.linear_copy_bytes
    )
}

fn counted(surfaces: usize) -> String {
    if surfaces == 1 { "1 surface".into() } else { format!("{surfaces} surfaces") }
}

fn write_vulkan(text: &mut String, name: &str, vulkan: &Vulkan) -> std::fmt::Result {
    let Vulkan { device, class, driver, version, attaches_fences, .. } = vulkan;
    writeln!(text, "\n{BOLD}{name}{BOLD:#} on {device} ({class}, {driver}; Vulkan {version})")?;
    for images in &vulkan.images {
        let kept = if images.compressed { "compressed" } else { "not compressed" };
        let plural = if images.planes == 1 { "" } else { "s" };
        let Images { of, format, modifier, planes, .. } = images;
        writeln!(text, "  images of {of}: {format} {modifier}, {planes} plane{plural}, {kept}")?;
    }
    writeln!(
        text,
        "  {} jobs waited for {} fences on the device; the fences of {} were passed on. By itself the driver attaches fences: \
         {attaches_fences}",
        vulkan.jobs, vulkan.fences_taken, vulkan.fences_given
    )?;
    let cannot = [
        (vulkan.waits_for_sync_files, "wait for sync_files (the CPU does)"),
        (vulkan.gives_sync_files, "give sync_files (the CPU waits)"),
        (vulkan.shares_timelines, "share timelines of the kernel"),
    ];
    let cannot = cannot.into_iter().filter(|(can, _)| !can).map(|(_, what)| format!("cannot {what}"));
    let missing = vulkan.missing.iter().map(|missing| format!("lacks {}: {}", missing.name, missing.gives));
    for line in missing.chain(cannot) {
        writeln!(text, "  {DIM}{line}{DIM:#}")?;
    }
    Ok(())
}

fn write_table(text: &mut String, participants: &[Participant]) -> std::fmt::Result {
    let rows: Vec<[String; HEADS.len()]> = participants.iter().map(row).collect();
    let widths: Vec<usize> = HEADS
        .iter()
        .enumerate()
        .map(|(column, head)| {
            rows.iter().filter_map(|row| row.get(column)).map(String::len).chain([head.len()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[&str]| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    writeln!(text, "{BOLD}{}{BOLD:#}", line(&HEADS))?;
    for row in &rows {
        writeln!(text, "{}", line(&row.each_ref().map(String::as_str)))?;
    }
    Ok(())
}

fn row(participant: &Participant) -> [String; HEADS.len()] {
    let Participant { name, device, frames, latency_us, waiting_us, .. } = participant;
    let millis = |micros: Option<f64>| micros.map_or("-".to_owned(), |micros| format!("{:.2}", micros / 1000.0));
    let count = |frames: u64| if frames == 0 { "-".to_owned() } else { frames.to_string() };
    let seconds = |micros: Option<u64>| micros.map_or("-".to_owned(), |micros| format!("{:.2}", micros as f64 / 1e6));
    [
        name.clone(),
        device.clone(),
        count(frames.submitted),
        count(frames.shown),
        count(frames.dropped),
        millis(latency_us.p50),
        millis(latency_us.p99),
        seconds(waiting_us.map(|time| time.fence)),
        seconds(waiting_us.map(|time| time.pool_empty)),
        seconds(waiting_us.map(|time| time.peer)),
        seconds(waiting_us.map(|time| time.device)),
        seconds(waiting_us.map(|time| time.cpu.saturating_add(time.flush).saturating_add(time.encoder))),
    ]
}

fn stream_line(stream: &Stream) -> String {
    let Stream { producer, reader, format, extent: (width, height), .. } = stream;
    let way = format!("{producer} → {reader}");
    let mut line = format!("{way:<24}  {format} {width}x{height}");
    match (&stream.modifier, &stream.export) {
        (Some(modifier), Some(export)) => {
            let _ = write!(
                line,
                ", {modifier}, stride {}; compression {}: {}",
                export.stride, export.compression, export.reason
            );
            if let Some(allocator) = stream.allocator.as_ref().filter(|allocator| *allocator != "software") {
                let _ = write!(line, "; {allocator}");
            }
            if export.resolve != "nothing" {
                let _ = write!(line, "; resolved {}", export.resolve);
            }
        }
        (Some(modifier), None) => {
            let _ = write!(line, ", {modifier}; never imported");
        }
        (None, _) => {
            let _ = write!(line, ", {}", stream.carrier);
        }
    }
    line
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
