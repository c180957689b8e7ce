//! Which keys mean something to which kind of participant.

use std::ops::Range;

use super::diagnostics::Diagnostic;
use super::file::{At, Entry};
use super::types::{Device, Kind};

/// Complains about keys that mean nothing to this kind on this device: they would be ignored, and their writer misled.
pub(super) fn misplaced(entry: &Entry, kind: &Kind, device: Device) -> Vec<Diagnostic> {
    let (reads, produces) = (!kind.is_source(), kind.produces());
    let encoder = matches!(kind, Kind::Encoder(_));
    let pattern = matches!(kind, Kind::Pattern { .. });
    let extent = produces && !matches!(kind, Kind::Clip);
    // What real devices do with pixels is theirs: no simulated device, no copies, no time to hold them.
    let own = !kind.needs_linux();
    let compute = matches!(kind, Kind::Compute { .. });
    let held = reads && own && !compute && device != Device::Vulkan;
    let (window, program) = (matches!(kind, Kind::Window { .. }), matches!(kind, Kind::Program { .. }));
    let (screen, vulkan) = (matches!(kind, Kind::Screen), device == Device::Vulkan);
    let node = matches!(kind, Kind::Camera | Kind::Output | Kind::Screen);
    let place = |key: &'static str, place: Option<Range<usize>>, fits: bool, whose: &'static str| {
        place.filter(|_| !fits).map(|place| (key, place, whose))
    };
    let readers = "compositor, blend, encoder, preview, output, screen, window";
    let working = "compositor, blend, encoder, preview, on a simulated device";
    let producers = "clip, overlay, pattern, compositor, blend, opengl, camera, program";
    let keys = [
        place("mode", entry.mode.as_ref().map(At::span), reads && !compute, readers),
        place("hold_ms", entry.hold_ms.as_ref().map(At::span), held, working),
        place("copies", entry.copies.as_ref().map(At::span), held, working),
        place("surfaces", entry.surfaces.as_ref().map(At::span), produces, producers),
        place("export", entry.export.as_ref().map(At::span), produces, producers),
        place(
            "extent",
            entry.extent.as_ref().map(At::span),
            extent,
            "overlay, pattern, compositor, blend, opengl, camera, program",
        ),
        place(
            "formats",
            entry.formats.as_ref().map(At::span),
            !compute,
            "all but compute, which takes what it imports",
        ),
        place("access", entry.access.as_ref().map(At::span), compute, "compute"),
        place("version", entry.version.as_ref().map(At::span), compute, "compute"),
        place("bitrate", entry.bitrate.as_ref().map(At::span), encoder, "encoder"),
        place("file", entry.file.as_ref().map(At::span), encoder, "encoder"),
        place("index", entry.index.as_ref().map(At::span), pattern, "pattern"),
        place("device", entry.device.as_ref().map(At::span), own, "all but camera, output, screen, window"),
        place("gpu", entry.gpu.as_ref().map(At::span), vulkan, "pattern, compositor, with device = \"vulkan\""),
        place("node", entry.node.as_ref().map(At::span), node, "camera, output, screen"),
        place("title", entry.title.as_ref().map(At::span), window, "window"),
        place("command", entry.command.as_ref().map(At::span), program, "program"),
        place("linger_ms", entry.linger_ms.as_ref().map(At::span), screen, "screen"),
    ];
    let misplaced = keys.into_iter().flatten().map(|(key, place, whose)| {
        let on = if vulkan { " on Vulkan" } else { "" };
        let title = format!("`{key}` means nothing to a participant of kind {}{on}", kind.word());
        Diagnostic::new(title, place, "").help(format!("allowed for: {whose}"))
    });
    misplaced.chain(no_vulkan(entry, kind, device)).collect()
}

/// Vulkan for somebody who has nothing to draw with it.
fn no_vulkan(entry: &Entry, kind: &Kind, device: Device) -> Option<Diagnostic> {
    let draws = matches!(kind, Kind::Pattern { .. } | Kind::Compositor);
    let place = entry.device.as_ref().filter(|_| device == Device::Vulkan && !draws && !kind.needs_linux())?;
    let title = format!("a participant of kind {} does not use Vulkan", kind.word());
    Some(Diagnostic::new(title, place.span(), "").help("allowed for: pattern, compositor"))
}
