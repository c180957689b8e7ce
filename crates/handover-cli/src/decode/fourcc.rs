//! Codes of formats.

use std::fmt::Write as _;

use anstyle::Style;
use handover::{Format, Fourcc};
use serde_json::{Value, json};

use super::Decoded;

const BOLD: Style = Style::new().bold();

/// `DRM_FORMAT_BIG_ENDIAN` of `drm_fourcc.h`: the same format, every element with its bytes turned round.
const BIG_ENDIAN: u32 = 1 << 31;

pub(super) fn decode(text: &str) -> Decoded {
    let code = match read(text) {
        Ok(code) => code,
        Err(error) => return Decoded::unread("fourcc", text, &error),
    };
    let is_big_endian = code.0 & BIG_ENDIAN != 0;
    let code = Fourcc(code.0 & !BIG_ENDIAN);
    let format = Format::from_fourcc(code);
    let number = format!("{:#010x}", if is_big_endian { code.0 | BIG_ENDIAN } else { code.0 });
    let refusal = format.is_none().then(|| {
        format!(
            "{number} is {code}, which is none of the formats known here: {}",
            names(|format| format.name().to_owned())
        )
    });

    let mut out = String::new();
    let name = format.map_or("unknown", Format::name);
    let _ = writeln!(out, "{BOLD}{number}  {code}  {name}{BOLD:#}");
    if is_big_endian {
        let _ = writeln!(out, "  big endian: the bytes of every element are turned round");
    }
    for (index, plane) in format.map(Format::planes).unwrap_or_default().iter().enumerate() {
        let (wide, high) = (plane.horizontal_subsampling, plane.vertical_subsampling);
        let of = if (wide, high) == (1, 1) { "each pixel".into() } else { format!("{wide} x {high} pixels") };
        let bytes = plane.bytes_per_element.get();
        let _ = writeln!(out, "  plane {index}: {bytes} byte{} for {of}", if bytes == 1 { "" } else { "s" });
    }
    if let Some(format) = format {
        let _ = writeln!(out, "  {}", if format.has_alpha() { "alpha" } else { "no alpha" });
    }
    let planes = format.map(Format::planes).unwrap_or_default().iter().map(|plane| {
        json!({
            "bytes": plane.bytes_per_element.get(),
            "horizontal_subsampling": plane.horizontal_subsampling,
            "vertical_subsampling": plane.vertical_subsampling,
        })
    });
    let json = json!({
        "fourcc": number,
        "code": code.to_string(),
        "format": format.map(Format::name),
        "big_endian": is_big_endian,
        "alpha": format.map(Format::has_alpha),
        "planes": planes.collect::<Value>(),
        "error": refusal,
    });
    Decoded { json, text: out, refusal }
}

/// A number, a format's name, with or without its prefix in the header, or the characters of a code.
fn read(text: &str) -> Result<Fourcc, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
        return number.map(Fourcc).ok_or_else(|| format!("{text} is no hexadecimal number of up to 32 bits"));
    }
    let name = text.strip_prefix("DRM_FORMAT_").unwrap_or(text);
    if let Ok(format) = name.parse::<Format>() {
        return Ok(format.fourcc());
    }
    text.parse::<Fourcc>().map_err(|error| {
        let known = names(|format| format!("{} ({})", format.name(), format.fourcc()));
        format!("{error}; the names of formats are {known}")
    })
}

fn names(show: impl Fn(&Format) -> String) -> String {
    Format::ALL.iter().map(show).collect::<Vec<_>>().join(", ")
}
