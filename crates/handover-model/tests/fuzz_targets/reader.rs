//! A level, a PCI ID, a word, a caller, a register, then a block.

use handover_model::metadata::amdgpu::{
    Caller, ChipConfig, ImageType, Level, Outcome, Producer, Reader, determine, read,
};
use handover_model::metadata::registry::{Query, Registry};
use handover_model::{Block, Bytes, Metadata, Modifier, Word};

use super::input::Input;
use super::{holds, said};

/// One of every level, and one that nobody knows.
const CHIPS: [u16; 12] =
    [0x6798, 0x67b0, 0x67df, 0x687f, 0x15dd, 0x731f, 0x73bf, 0x744c, 0x150e, 0x7550, 0x74a0, 0xfffe];
const DRIVERS: [Option<&str>; 8] =
    [None, Some("amdgpu"), Some("radeon"), Some("i915"), Some("nouveau"), Some("tegra"), Some("vc4"), Some("msm")];

pub(super) fn run(bytes: &[u8]) -> Result<(), String> {
    let mut input = Input::new(bytes);
    let level = input.one_of(&Level::ALL).unwrap_or(Level::Gfx6);
    let pci_id = input.one_of(&CHIPS).unwrap_or_default();
    let driver = input.one_of(&DRIVERS).flatten();
    let word = Word(input.number());
    let caller = Caller {
        modifier: (input.byte() & 7 == 7).then(|| Modifier(input.number())),
        offset: Bytes(u64::from(input.byte() & 15 == 15)),
        width: u32::from(input.half()),
        height: u32::from(input.half()),
        levels: u32::from(input.byte()),
        samples: u32::from(input.byte()),
        image: ImageType(input.byte()),
        buffer: Bytes(input.number()),
        surface: Bytes(u64::from(input.dword())),
        dcc: Bytes(input.number()),
    };
    let register = input.dword();
    let stored = input.rest();

    let reading = read(&Reader { pci_id, level }, &caller, word, stored);
    let outcome = reading.outcome;
    holds(reading.dcc_offset.is_some() == outcome.keeps_dcc(), || format!("{outcome}: DCC {:?}", reading.dcc_offset))?;
    if let (Some(offset), Outcome::Keep | Outcome::PalWithMesa) = (reading.dcc_offset, outcome) {
        let ends = offset.checked_add(caller.dcc);
        holds(ends.is_some_and(|end| end <= caller.buffer), || format!("DCC at {offset} in {}", caller.buffer))?;
    }
    said(&outcome)?;
    let Ok(block) = Block::new(stored) else { return Ok(()) };

    let metadata = Metadata { word, block };
    let config = ChipConfig::parse(level, register).ok();
    let producer =
        Producer { pci_id: Some(pci_id), level: Some(level), config, constant_encode: Some(false), plain_image: true };
    for bytes_per_element in [None, Some(Bytes(4))] {
        match determine(&metadata, None, bytes_per_element, &producer) {
            Ok(determined) => drop(determined),
            Err(error) => said(&error)?,
        }
    }
    let parameters = [("pci_id", u64::from(pci_id)), ("gb_addr_config", u64::from(register))];
    let query = Query { driver, ..Query::new(&metadata).with(&parameters) };
    match Registry::new().identify(&query) {
        Ok((name, decoded)) => {
            holds(!decoded.summary.is_empty(), || format!("{name} says nothing"))?;
            // What msm keeps is whatever user space put there.
            if let (Ok(modifier), true) = (&decoded.modifier, name != "msm") {
                modifier.parse().map_err(|error| format!("{name} gives {:#x}: {error}", modifier.0))?;
            }
        }
        Err(error) => said(&error)?,
    }
    Ok(())
}
