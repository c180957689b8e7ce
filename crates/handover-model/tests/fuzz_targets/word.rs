//! A level, then a word of 8 bytes, which every driver reads too.

use handover_model::metadata::amdgpu::{Level, TilingWord};
use handover_model::metadata::registry::{Query, Registry};
use handover_model::{Block, Metadata, Word};

use super::input::Input;
use super::{holds, said};

const DRIVERS: [&str; 7] = ["amdgpu", "radeon", "i915", "nouveau", "tegra", "vc4", "msm"];

pub(super) fn run(bytes: &[u8]) -> Result<(), String> {
    let mut input = Input::new(bytes);
    let level = input.one_of(&Level::ALL).unwrap_or(Level::Gfx6);
    let driver = input.one_of(&DRIVERS).unwrap_or("amdgpu");
    let word = Word(input.number());
    match TilingWord::parse(level, word) {
        Ok(parsed) => {
            let again = parsed.word().map_err(|error| format!("{parsed:?}: {error}"))?;
            holds(again == word, || format!("{level} {:#x} is {:#x} again", word.0, again.0))?;
            holds(!parsed.fields().is_empty(), || format!("{parsed:?} has no fields"))?;
            let _ = (parsed.swizzle(), parsed.is_linear(), parsed.dcc_offset());
        }
        Err(error) => said(&error)?,
    }
    let metadata = Metadata { word, block: Block::EMPTY };
    match Registry::new().identify(&Query::new(&metadata).from_driver(driver)) {
        Ok((name, decoded)) => {
            holds(name == driver, || format!("{driver} answered as {name}"))?;
            holds(decoded.modifier.is_err() || !decoded.summary.is_empty(), || "a modifier without a word".into())?;
        }
        Err(error) => said(&error)?,
    }
    Ok(())
}
