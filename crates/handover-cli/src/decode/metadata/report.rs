//! What was found out, in words and as JSON.

use std::fmt::Write as _;

use anstyle::Style;
use handover::metadata::registry::Decoded as Known;
use handover::{Error, Header, Metadata};
use serde_json::{Value, json};

use super::super::Decoded;
use super::input::Input;
use super::readers::{Elsewhere, Here};
use crate::columns::Align::{Left, Ragged, Right};
use crate::columns::columns;

const BOLD: Style = Style::new().bold();

/// Metadata that a codec knows.
pub(super) struct Report<'a> {
    pub(super) input: &'a Input,
    pub(super) codec: &'static str,
    pub(super) decoded: &'a Known,
    pub(super) here: Option<&'a Here>,
    pub(super) elsewhere: &'a Elsewhere,
}

impl Report<'_> {
    pub(super) fn decoded(&self) -> Decoded {
        Decoded { json: self.json(), text: self.text(), refusal: None }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{BOLD}{}{BOLD:#}", self.decoded.summary);
        let _ = writeln!(out, "  whose     {}", self.whose());
        let _ = match &self.decoded.modifier {
            Ok(modifier) => writeln!(out, "  modifier  {:#018x}  {modifier}", modifier.0),
            Err(_) => writeln!(out, "  modifier  not determined"),
        };
        if !self.decoded.fields.is_empty() {
            out.push('\n');
            self.table(&mut out);
        }
        section(
            &mut out,
            "A reader on the same device",
            &match self.here {
                Some(here) => here.sentences(),
                None => vec![format!("{}: what the driver said is what it reads", self.decoded.summary)],
            },
        );
        section(&mut out, "A reader on another device", &self.elsewhere.sentences());
        section(&mut out, "What the 8-byte word alone could not tell", &self.beyond());
        out
    }

    /// The producer's device as far as it is known.
    fn whose(&self) -> String {
        let header = self.input.metadata.block.header().filter(|header| header.version != 0);
        let by = self.input.driver_by;
        let driver = self.input.driver.as_ref().map(|driver| format!("the driver {driver}, by {by}"));
        let device = match (header, driver) {
            (Some(header), _) if matches!(self.codec, "amdgpu" | "simulated") => header.to_string(),
            (_, Some(driver)) => driver,
            (_, None) => self.codec.to_owned(),
        };
        match self.here {
            Some(here) => format!("{device}; {}", here.chip),
            None => device,
        }
    }

    fn table(&self, out: &mut String) {
        let rows = self.decoded.fields.iter().map(|field| {
            let bits =
                if field.high == field.low { field.low.to_string() } else { format!("{}:{}", field.high, field.low) };
            let value = if field.value < 10 { field.value.to_string() } else { format!("{:#x}", field.value) };
            [field.place.to_string(), bits, field.name.to_owned(), value, field.meaning.clone()]
        });
        let rows: Vec<_> = rows.collect();
        for line in columns(&["place", "bits", "field", "value", "meaning"], &rows, &[Left, Right, Left, Left, Ragged])
        {
            let _ = writeln!(out, "  {line}");
        }
    }

    fn beyond(&self) -> Vec<String> {
        match (self.decoded.beyond_word.as_slice(), self.input.metadata.block.is_empty()) {
            ([], true) => vec!["there is no block: the word is all that is known".into()],
            ([], false) => vec!["nothing: the word tells all".into()],
            (beyond, _) => beyond.to_vec(),
        }
    }

    fn json(&self) -> Value {
        let fields = self.decoded.fields.iter().map(|field| {
            json!({
                "place": field.place.to_string(),
                "high": field.high,
                "low": field.low,
                "name": field.name,
                "value": field.value,
                "meaning": field.meaning,
            })
        });
        let modifier = self.decoded.modifier.as_ref().ok();
        let mut json = given(&self.input.metadata);
        let known = json!({
            "codec": self.codec,
            "summary": self.decoded.summary,
            "fields": fields.collect::<Value>(),
            "modifier": modifier.map(|modifier| format!("{:#018x}", modifier.0)),
            "modifier_name": modifier.map(ToString::to_string),
            "same_device": self.here.map(Here::json),
            "other_device": self.elsewhere.json(),
            "beyond_word": self.decoded.beyond_word,
            "error": null,
        });
        merge(&mut json, known);
        json
    }
}

/// Metadata that no codec knows, or whose codec refuses it.
pub(super) fn unknown(input: &Input, here: Option<&Here>, error: &Error) -> Decoded {
    let mut text = String::new();
    if let Some(header) = input.metadata.block.header() {
        let _ = writeln!(text, "{BOLD}{header}{BOLD:#}");
    }
    if let Some(here) = here {
        section(&mut text, "A reader on the same device", &here.sentences());
    }
    let mut json = given(&input.metadata);
    merge(&mut json, json!({ "same_device": here.map(Here::json), "error": error.to_string() }));
    Decoded { json, text, refusal: Some(error.to_string()) }
}

/// What was decoded.
fn given(metadata: &Metadata) -> Value {
    let device = |header: Header| {
        json!({
            "vendor_id": format!("{:#06x}", header.vendor_id),
            "pci_id": format!("{:#06x}", header.pci_id),
            "version": header.version,
            "flags": header.flags,
        })
    };
    let dwords = (0..).map_while(|index| metadata.block.dword(index)).map(|dword| format!("{dword:08x}"));
    json!({
        "word": format!("{:#018x}", metadata.word.0),
        "bytes": metadata.block.len(),
        "block": dwords.collect::<Value>(),
        "header": metadata.block.header().map(device),
    })
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

fn section(out: &mut String, title: &str, sentences: &[String]) {
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{BOLD}{title}{BOLD:#}");
    for sentence in sentences {
        let _ = writeln!(out, "  {sentence}");
    }
}
