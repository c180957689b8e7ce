//! The simulated devices: test doubles for hardware, the same on every machine.

use std::fmt::Write as _;

use handover::{Device, Format, Header, Modifier};
use serde_json::{Value, json};

use super::{BOLD, DIM};

/// What the list of modifiers is for.
const FORMAT: Format = Format::XRGB8888;

/// Every modifier that any of them makes of [`FORMAT`], each once.
fn known() -> Vec<Modifier> {
    let mut known = Vec::new();
    for modifier in Device::simulated().flat_map(|device| device.modifiers(FORMAT)) {
        if !known.contains(&modifier) {
            known.push(modifier);
        }
    }
    known
}

/// What it reads of the others', beyond what it makes.
fn reads(device: Device, known: &[Modifier]) -> Vec<Modifier> {
    known.iter().copied().filter(|modifier| device.reads(*modifier) && !device.makes(*modifier)).collect()
}

/// After the machine's own.
pub(super) fn write(text: &mut String) {
    let known = known();
    let _ = writeln!(
        text,
        "\n{BOLD}Simulated devices{BOLD:#} {DIM}(test doubles: real layouts, words and blocks, by the CPU){DIM:#}"
    );
    for device in Device::simulated() {
        let id = device.header().map_or_else(String::new, |id| format!("{:04x}:{:04x}, ", id.vendor_id, id.pci_id));
        let _ = writeln!(text, "  {device}: {id}{}", device.product());
        let _ = writeln!(text, "    makes of {FORMAT}, the best first");
        for modifier in device.modifiers(FORMAT) {
            let _ = writeln!(text, "      {:#018x}  {modifier}", modifier.0);
        }
        let decoder = device.with_decoder();
        let _ = writeln!(
            text,
            "    reads what it makes{}; as {} {} of the others' too",
            match reads(device, &known).len() {
                0 => String::new(),
                more => format!(" and {more} of the others'"),
            },
            decoder.name(),
            reads(decoder, &known).len(),
        );
        if let Some(display) = device.display() {
            let _ = writeln!(
                text,
                "    its display, {}, shows {} of what it makes",
                display.name(),
                shown(device, display).len()
            );
        }
    }
}

/// What a chip makes and its display reads.
fn shown(device: Device, display: Device) -> Vec<Modifier> {
    device.modifiers(FORMAT).into_iter().filter(|modifier| display.reads(*modifier)).collect()
}

pub(super) fn value() -> Value {
    let known = known();
    let numbers = |modifiers: Vec<Modifier>| modifiers.iter().map(|modifier| format!("{:#018x}", modifier.0)).collect();
    let device = |device: Device| {
        let id = |part: fn(Header) -> u16| device.header().map(|header| format!("{:#06x}", part(header)));
        let modifiers = device.modifiers(FORMAT);
        let reads = |device: Device| -> Value {
            numbers(known.iter().copied().filter(|modifier| device.reads(*modifier)).collect())
        };
        json!({
            "name": device.name(),
            "simulated": true,
            "product": device.product(),
            "vendor_id": id(|header| header.vendor_id),
            "pci_id": id(|header| header.pci_id),
            "format": FORMAT.name(),
            "modifiers": modifiers.iter().map(|modifier| json!({
                "modifier": format!("{:#018x}", modifier.0),
                "name": modifier.to_string(),
            })).collect::<Value>(),
            "reads": reads(device),
            "reads_with_decoder": reads(device.with_decoder()),
            "shown_by_display": device.display().map(|display| -> Value { numbers(shown(device, display)) }),
        })
    };
    Device::simulated().map(device).collect()
}
