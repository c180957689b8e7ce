//! `handover devices`: what the kernel's devices of this machine can do, and what would help where they cannot; and the
//! simulated ones, which every machine has.

mod simulated;
mod vulkan;

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use anstyle::Style;
use handover::backend::linux::probe::{self, Answer, Node, Refusal, Report};
use serde_json::{Value, json};

use crate::columns::printable;
use crate::run::FAILED;
use vulkan::Found;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Probes, and shows what was found on standard output.
pub fn devices(as_json: bool) -> ExitCode {
    let report = probe::probe();
    let vulkan = Found::look();
    // Whoever closed the pipe has seen enough.
    let _ = if as_json {
        match serde_json::to_string_pretty(&value(&report, &vulkan)) {
            Ok(json) => writeln!(std::io::stdout(), "{json}"),
            Err(error) => {
                anstream::eprintln!("error: the report: {error}");
                return ExitCode::from(FAILED);
            }
        }
    } else {
        write!(anstream::stdout(), "{}", text(&report, &vulkan))
    };
    ExitCode::SUCCESS
}

fn text(report: &Report, vulkan: &Found) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{BOLD}Tier: {}{BOLD:#}", report.tier);
    if let Some(next) = &report.next {
        let _ = writeln!(text, "For more: {}{}", next.why, help(next));
    }
    let _ = writeln!(text, "The software backend works here, as everywhere.\n");

    let _ = writeln!(text, "{BOLD}Sources of buffers{BOLD:#}");
    for source in &report.sources {
        line(&mut text, &source.name, &source.makes);
    }
    line(&mut text, "sync files", &report.sync_file);
    nodes(&mut text, "DRM nodes", "/dev/dri", &report.drm);
    nodes(&mut text, "V4L2 nodes", "/dev/video*", &report.video);
    vulkan.write(&mut text);
    simulated::write(&mut text);
    text
}

fn nodes(text: &mut String, title: &str, place: &str, nodes: &[Node]) {
    let _ = writeln!(text, "\n{BOLD}{title}{BOLD:#}");
    if nodes.is_empty() {
        let _ = writeln!(text, "  none: there is no {place}");
    }
    for node in nodes {
        let driver = node.driver.as_deref().map_or_else(|| "driver unknown".into(), printable);
        let _ = writeln!(text, "  {} ({driver}, {})", node.path.display(), node.kind);
        if let Err(refusal) = &node.opens {
            let _ = writeln!(text, "    cannot be opened: {}{}", why(refusal), help(refusal));
        } else if node.abilities.is_empty() {
            let _ = writeln!(text, "    no queue that could hold pictures");
        }
        for (ability, answer) in &node.abilities {
            text.push_str("  ");
            line(text, ability, answer);
        }
    }
}

fn line(text: &mut String, what: &str, answer: &Answer) {
    let _ = match answer {
        Ok(()) => writeln!(text, "  yes  {}", printable(what)),
        Err(refusal) => writeln!(text, "  no   {}: {}{}", printable(what), why(refusal), help(refusal)),
    };
}

/// The system's own words have the number in them already.
fn why(refusal: &Refusal) -> String {
    match refusal.errno {
        Some(errno) if !refusal.why.contains("os error") => format!("{} (errno {errno})", refusal.why),
        _ => refusal.why.clone(),
    }
}

fn help(refusal: &Refusal) -> String {
    if refusal.help.is_empty() { String::new() } else { format!(". {DIM}What helps: {}{DIM:#}", refusal.help) }
}

fn value(report: &Report, vulkan: &Found) -> Value {
    json!({
        "tier": report.tier.name(),
        "next": report.next.as_ref().map(refusal),
        "sources": report.sources.iter().map(|source| json!({
            "name": source.name,
            "path": source.path.display().to_string(),
            "makes": answer(&source.makes),
        })).collect::<Vec<_>>(),
        "sync_file": answer(&report.sync_file),
        "drm": report.drm.iter().map(node).collect::<Vec<_>>(),
        "video": report.video.iter().map(node).collect::<Vec<_>>(),
        "vulkan": vulkan.value(),
        "simulated": simulated::value(),
    })
}

fn node(node: &Node) -> Value {
    let abilities = node.abilities.iter().map(|(name, tried)| ((*name).to_owned(), answer(tried)));
    json!({
        "path": node.path.display().to_string(),
        "kind": node.kind,
        "driver": node.driver,
        "opens": answer(&node.opens),
        "abilities": abilities.collect::<serde_json::Map<_, _>>(),
    })
}

/// `{"yes": true}`, or `{"yes": false, "errno": …, "why": …, "help": …}`.
fn answer(answer: &Answer) -> Value {
    match answer {
        Ok(()) => json!({ "yes": true }),
        Err(no) => {
            let mut value = refusal(no);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("yes".into(), false.into());
            }
            value
        }
    }
}

fn refusal(refusal: &Refusal) -> Value {
    json!({ "errno": refusal.errno, "why": refusal.why, "help": refusal.help })
}
