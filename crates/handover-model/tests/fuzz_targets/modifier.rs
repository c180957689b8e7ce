//! A number of 8 bytes, then a text.

use handover_model::Modifier;

use super::input::Input;
use super::{holds, said};

pub(super) fn run(bytes: &[u8]) -> Result<(), String> {
    let mut input = Input::new(bytes);
    let modifier = Modifier(input.number());
    let _ = modifier.vendor_name();
    match modifier.parse() {
        Ok(parsed) => {
            holds(parsed.modifier() == modifier, || format!("{:#x} parses as {parsed:?}", modifier.0))?;
            said(&modifier)?;
        }
        Err(error) => said(&error)?,
    }
    for field in modifier.fields() {
        let value = field.value(modifier);
        holds(field.low <= field.high && u128::from(value) < 1 << (field.high - field.low + 1), || {
            format!("{field:?}")
        })?;
    }
    if let Some(resolved) = modifier.uncompressed() {
        let parsed = resolved.parse().map_err(|error| format!("{:#x} resolved: {error}", modifier.0))?;
        holds(!parsed.is_compressed(), || format!("{:#x} resolved is {:#x}", modifier.0, resolved.0))?;
    }
    shown_reads_back(modifier)?;
    if let Ok(text) = std::str::from_utf8(input.rest())
        && !text.is_empty()
    {
        match text.parse::<Modifier>() {
            Ok(read) => shown_reads_back(read)?,
            Err(error) => said(&error)?,
        }
    }
    Ok(())
}

fn shown_reads_back(modifier: Modifier) -> Result<(), String> {
    let shown = modifier.to_string();
    let read: Modifier = shown.parse().map_err(|error| format!("{:#x} shown as {shown:?}: {error}", modifier.0))?;
    holds(read == modifier, || format!("{:#x} shown as {shown:?} reads as {:#x}", modifier.0, read.0))
}
