//! A level, then a block of up to 256 bytes.

use handover_model::metadata::amdgpu::pal::{Form, PalBlock};
use handover_model::metadata::amdgpu::{Dcc, Description, Level};
use handover_model::{BLOCK_BYTES, Block};

use super::input::Input;
use super::{holds, said};

pub(super) fn run(bytes: &[u8]) -> Result<(), String> {
    let mut input = Input::new(bytes);
    let level = input.one_of(&Level::ALL).unwrap_or(Level::Gfx6);
    let stored = input.rest();
    let block = match Block::new(stored) {
        Ok(block) => block,
        Err(error) => return holds(stored.len() > BLOCK_BYTES, || error.to_string()),
    };
    let _ = Form::of(&block);
    let _ = (PalBlock::fields(&block, Some(level)).len(), PalBlock::decode(&block));
    let decoded = match Description::decode(level, &block) {
        Ok(decoded) => decoded,
        Err(error) => return said(&error),
    };
    holds(!decoded.fields(&block).is_empty(), || "no fields".into())?;
    let header = block.header().ok_or_else(|| "a description without a header".to_owned())?;
    let flags = if header.version == 3 { header.flags & 3 } else { 0 };
    let _ = decoded.descriptor.texel_format();
    let encoded = match decoded.encode_version(header.version, flags) {
        Ok(encoded) => encoded,
        Err(error) => return said(&error),
    };
    let again = Description::decode(level, &encoded).map_err(|error| format!("encoded: {error}"))?;
    let mut decoded = decoded;
    let dcc = &mut decoded.descriptor.dcc;
    if !dcc.enabled && level < Level::Gfx12 {
        // Writers leave out what qualifies DCC where there is none.
        *dcc = Dcc { offset: dcc.offset, ..Dcc::default() };
    }
    holds(again == decoded, || format!("{decoded:?}\nencoded and decoded is\n{again:?}"))
}
