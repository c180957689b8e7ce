//! What a target starts from besides its corpus: the golden vectors, in the form that the target reads.

use std::path::Path;

use serde_json::Value;

use crate::root;

/// Where the golden vectors are.
const VECTORS: &str = "crates/handover-model/tests/data";

/// Writes them into a folder, a file each.
pub(super) fn write(target: &str, folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (number, input) in golden(target)?.iter().enumerate() {
        std::fs::write(folder.join(number.to_string()), input).map_err(failed)?;
    }
    Ok(())
}

/// Inputs for this target out of the golden vectors.
fn golden(target: &str) -> Result<Vec<Vec<u8>>, String> {
    let folder = if matches!(target, "modifier" | "layout") { "tiling" } else { "metadata" };
    let folder = root().join(VECTORS).join(folder);
    let mut inputs = Vec::new();
    for entry in folder.read_dir().map_err(|error| format!("{}: {error}", folder.display()))? {
        let file = entry.map_err(|error| error.to_string())?.path();
        if file.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        for line in text.lines() {
            let vector: Value = serde_json::from_str(line).map_err(|error| format!("{}: {error}", file.display()))?;
            inputs.extend(input(target, &vector));
        }
    }
    Ok(inputs)
}

/// The input of a target that a vector gives, in the form that the target reads.
fn input(target: &str, vector: &Value) -> Option<Vec<u8>> {
    let number = |member: &str| {
        let value = vector.get(member)?;
        let hex = || u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok();
        value.as_u64().or_else(hex)
    };
    let mut bytes = Vec::new();
    match target {
        "modifier" => bytes.extend(number("modifier")?.to_le_bytes()),
        "layout" => {
            bytes.extend(number("modifier").unwrap_or(u64::MAX >> 8).to_le_bytes());
            bytes.push(number("bpp")?.trailing_zeros() as u8);
            // 128: the next two bytes are the edge.
            for member in ["width", "height"] {
                bytes.push(128);
                bytes.extend((number(member).unwrap_or(64) as u16).to_le_bytes());
            }
            // No stride, then every parameter.
            bytes.extend([0, 0xff, 0, 0, 12, 3, 4, 0, 2, 2, 0, 2, 15, 6, 8]);
        }
        _ => {
            let levels = ["6", "7", "8", "9", "10", "10.3", "11", "11.5", "12"];
            let gfx = vector.get("gfx")?.as_str()?;
            bytes.push(levels.iter().position(|level| *level == gfx)? as u8);
            match target {
                "word" => {
                    bytes.push(0);
                    bytes.extend(number("tiling_word")?.to_le_bytes());
                }
                "block" => bytes.extend(dwords(vector)?),
                _ => {
                    bytes.extend([6, 0]);
                    bytes.extend(number("tiling_word")?.to_le_bytes());
                    bytes.extend([0, 0]);
                    bytes.extend((number("width").unwrap_or(64) as u16).to_le_bytes());
                    bytes.extend((number("height").unwrap_or(64) as u16).to_le_bytes());
                    bytes.extend([1, 1, 9]);
                    bytes.extend((1_u64 << 30).to_le_bytes());
                    bytes.extend([0; 12]);
                    bytes.extend((number("gb_addr_config").unwrap_or_default() as u32).to_le_bytes());
                    bytes.extend(dwords(vector)?);
                }
            }
        }
    }
    Some(bytes)
}

fn dwords(vector: &Value) -> Option<Vec<u8>> {
    let dwords = vector.get("metadata")?.get("dwords")?.as_array()?;
    let dword = |value: &Value| {
        let hex = || u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok();
        value.as_u64().or_else(hex).map(|dword| (dword as u32).to_le_bytes())
    };
    Some(dwords.iter().filter_map(dword).flatten().collect())
}
