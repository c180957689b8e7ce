//! What a target starts from: its corpus and the golden vectors, and what it learnt on the way.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::root;

/// Where the corpora are: a folder a target.
const COMMITTED: &str = "crates/handover-model/tests/corpus";
/// Where the golden vectors are.
const VECTORS: &str = "crates/handover-model/tests/data";
/// A corpus grows to so many files: it is replayed at every test, and findings need room too.
pub(super) const MOST_FILES: usize = 40;
/// The most inputs that are kept in memory.
const MOST_INPUTS: usize = 20_000;

/// Inputs, and which of them went which way first.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    pub(super) inputs: Vec<Vec<u8>>,
    ways: BTreeMap<String, usize>,
    folder: PathBuf,
    files: usize,
}

impl Corpus {
    /// The files of the corpus first, then what the golden vectors give.
    pub(super) fn read(target: &str) -> Result<Self, String> {
        let folder = root().join(COMMITTED).join(target);
        let mut inputs = Vec::new();
        if folder.is_dir() {
            let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
            let mut files = Vec::new();
            for entry in folder.read_dir().map_err(failed)? {
                files.push(entry.map_err(failed)?.path());
            }
            files.sort();
            for file in &files {
                inputs.push(std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?);
            }
        }
        let files = inputs.len();
        inputs.extend(golden(target)?);
        inputs.push(Vec::new());
        Ok(Self { inputs, ways: BTreeMap::new(), folder, files })
    }

    /// How many ways are known.
    pub(super) fn ways(&self) -> usize {
        self.ways.len()
    }

    /// A known input went this way.
    pub(super) fn note(&mut self, way: String, index: usize) {
        self.ways.entry(way).or_insert(index);
    }

    /// A new input went this way.
    pub(super) fn learn(&mut self, way: String, input: Vec<u8>) {
        if self.inputs.len() < MOST_INPUTS && !self.ways.contains_key(&way) {
            self.ways.insert(way, self.inputs.len());
            self.inputs.push(input);
        }
    }

    /// Writes an input of each way that no file goes, made small, as long as there is room. Gives how many.
    pub(super) fn grow(&self, small: impl Fn(&[u8], &str) -> Vec<u8>) -> Result<usize, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let new: Vec<_> = self.ways.iter().filter(|(_, index)| **index >= self.files).collect();
        let room = MOST_FILES.saturating_sub(self.files);
        // Ways are sorted by their text, so that every so-many-th gives some of each kind.
        let step = new.len().div_ceil(room.max(1)).max(1);
        let mut added = 0;
        for (way, index) in new.into_iter().step_by(step).take(room) {
            let Some(input) = self.inputs.get(*index) else { continue };
            let input = small(input, way);
            std::fs::write(self.folder.join(format!("{}.bin", name_of(&input))), &input).map_err(failed)?;
            added += 1;
        }
        Ok(added)
    }
}

/// A name for an input, by its content.
pub(super) fn name_of(input: &[u8]) -> String {
    Sha256::digest(input).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
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
