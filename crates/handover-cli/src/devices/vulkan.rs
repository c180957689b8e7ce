//! Devices of Vulkan: what each can do with shared images, and what would help where it cannot.

use std::fmt::Write as _;

use handover::Error;
use handover_vulkan::{Gpu, Options, Report, list};
use serde_json::{Value, json};

use super::{BOLD, DIM};
use crate::columns::printable;

/// What there is.
pub(super) struct Found(Result<Vec<Device>, Error>);

/// One device.
struct Device {
    report: Report,
    /// Can it share images at all?
    shares: Result<(), Error>,
}

impl Found {
    /// Opens every device once.
    pub(super) fn look() -> Self {
        let open = |report: Report| {
            let options = Options { name: Some(report.device.clone()), ..Options::default() };
            Device { shares: Gpu::open(&options).map(drop), report }
        };
        Self(list().map(|all| all.into_iter().map(open).collect()))
    }

    pub(super) fn write(&self, text: &mut String) {
        let _ = writeln!(text, "\n{BOLD}Devices of Vulkan{BOLD:#}");
        let devices = match &self.0 {
            Ok(devices) => devices,
            Err(error) => {
                let _ = writeln!(text, "  none: {}", one_line(error));
                return;
            }
        };
        if devices.is_empty() {
            let _ =
                writeln!(text, "  none: no driver. {DIM}What helps: one for this GPU, or Mesa's for the CPU{DIM:#}");
        }
        for Device { report, shares } in devices {
            let _ = writeln!(text, "  {}", printable(&report.to_string()));
            for (can, what, needs) in abilities(report) {
                let _ = match can {
                    true => writeln!(text, "    yes  {what}"),
                    false => writeln!(text, "    no   {what}: the driver has no {needs}"),
                };
            }
            if let Err(error) = shares {
                let _ = writeln!(text, "    cannot share images: {}", one_line(error));
            }
        }
    }

    pub(super) fn value(&self) -> Value {
        match &self.0 {
            Ok(devices) => json!({ "devices": devices.iter().map(value).collect::<Vec<_>>() }),
            Err(error) => json!({ "devices": [], "why": error.to_string() }),
        }
    }
}

/// What it can do, in words, and what that needs.
fn abilities(report: &Report) -> Vec<(bool, &'static str, &'static str)> {
    let mut abilities: Vec<_> =
        report.extensions.iter().map(|extension| (extension.present, extension.gives, extension.name)).collect();
    abilities.extend([
        (report.waits_for_sync_files, "jobs that wait for sync_files", "importable semaphores of sync_files"),
        (report.gives_sync_files, "sync_files of the ends of jobs", "exportable semaphores of sync_files"),
        (report.shares_timelines, "timelines shared with the kernel", "importable semaphores of timelines"),
    ]);
    abilities
}

fn value(Device { report, shares }: &Device) -> Value {
    let (major, minor, patch) = report.version;
    let abilities = abilities(report);
    json!({
        "device": report.device,
        "class": report.class,
        "driver": report.driver,
        "version": format!("{major}.{minor}.{patch}"),
        "shares_images": shares.is_ok(),
        "why_not": shares.as_ref().err().map(ToString::to_string),
        "abilities": abilities
            .iter()
            .map(|(can, what, needs)| json!({ "what": what, "needs": needs, "yes": can }))
            .collect::<Vec<_>>(),
    })
}

/// An error on one line: it may come from a loader, with lines of its own.
fn one_line(error: &Error) -> String {
    let lines: Vec<String> = error.to_string().lines().map(|line| printable(line.trim())).collect();
    lines.join("; ")
}
