//! Format modifiers, field by field.

use std::fmt::Write as _;

use anstyle::Style;
use handover::Modifier;
use serde_json::{Value, json};

use super::Decoded;
use crate::columns::Align::{Left, Right};
use crate::columns::columns;

const BOLD: Style = Style::new().bold();

pub(super) fn decode(text: &str) -> Decoded {
    let modifier: Modifier = match text.parse() {
        Ok(modifier) => modifier,
        Err(error) => return Decoded::unread("modifier", text, &error),
    };
    let parsed = modifier.parse();
    let is_compressed = parsed.as_ref().ok().map(|parsed| parsed.is_compressed());
    let refusal = parsed.err().map(|error| error.to_string());

    let number = format!("{:#018x}", modifier.0);
    let vendor = modifier.vendor_name();
    let mut out = String::new();
    let _ = writeln!(out, "{BOLD}{number}  {modifier}{BOLD:#}");
    let _ = writeln!(out, "  vendor: {} ({:#04x})", vendor.unwrap_or("unknown"), modifier.vendor());
    let said = match is_compressed {
        Some(true) => "compressed: pixels are valid only after whoever wrote them resolved it",
        Some(false) => "not compressed",
        None => "no layout: drm_fourcc.h reserves it",
    };
    let _ = writeln!(out, "  {said}");
    if modifier != Modifier::LINEAR && modifier != Modifier::INVALID {
        table(&mut out, modifier);
    }
    let fields = modifier.fields().iter().map(
        |field| json!({ "name": field.name, "high": field.high, "low": field.low, "value": field.value(modifier) }),
    );
    let json = json!({
        "modifier": number,
        "name": modifier.to_string(),
        "vendor": vendor,
        "compressed": is_compressed,
        "fields": fields.collect::<Value>(),
        "error": refusal,
    });
    Decoded { json, text: out, refusal }
}

/// The fields, low bits first.
fn table(out: &mut String, modifier: Modifier) {
    let rows = modifier.fields().iter().map(|field| {
        let bits =
            if field.high == field.low { field.low.to_string() } else { format!("{}:{}", field.high, field.low) };
        let value = field.value(modifier);
        let shown = if value < 10 { value.to_string() } else { format!("{value} ({value:#x})") };
        [bits, field.name.to_owned(), shown]
    });
    let rows: Vec<_> = rows.collect();
    for line in columns(&["bits", "field", "value"], &rows, &[Right, Left, Left]) {
        let _ = writeln!(out, "  {line}");
    }
}
