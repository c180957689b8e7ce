//! Every field of a block with its meaning, for people.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::bits::{Name, rows};
use super::{Description, EXTRA, HEAD_DWORDS, ImageType, OVERRIDDEN};
use crate::metadata::amdgpu::format::dst_sel_text;
use crate::metadata::amdgpu::{BlockSize, Chip, Level, Swizzle};
use crate::metadata::field::{Bits, Field, Place};
use crate::{Block, Bytes};

const VERSION: Bits = Bits::new("VERSION", 15, 0);
const FLAGS: Bits = Bits::new("FLAGS", 31, 16);
const PCI_ID: Bits = Bits::new("PCI_ID", 15, 0);
const VENDOR_ID: Bits = Bits::new("VENDOR_ID", 31, 16);
const WHOLE: Bits = Bits::new("(bits that no field covers)", 31, 0);

/// A name, and the meaning of a value.
type Appended = (&'static str, fn(u32) -> String);

impl Description {
    /// Every field of the block that this was decoded from, in the order of its bits. Bits that no field covers are listed where
    /// they are set, so that nothing in a block goes unseen.
    pub fn fields(&self, block: &Block) -> Vec<Field> {
        let mut fields = header(block);
        for index in 2..HEAD_DWORDS as u8 {
            let raw = u64::from(block.dword(usize::from(index)).unwrap_or_default());
            let mut here: Vec<_> = rows(self.descriptor.level).filter(|row| row.dword == index).collect();
            here.sort_by_key(|row| row.bits.mask());
            let covered = here.iter().fold(0, |covered, row| covered | row.bits.mask());
            fields.extend(
                here.iter().map(|row| row.bits.show(row.place(), raw, self.meaning(row.name, row.bits.get(raw)))),
            );
            if raw & !covered != 0 {
                fields.push(WHOLE.show(Place::Dword(index), raw & !covered, ""));
            }
        }
        let names = self.appended(block);
        for (index, (name, meaning)) in (HEAD_DWORDS..).zip(names) {
            let (Some(raw), Ok(place)) = (block.dword(index), u8::try_from(index)) else { break };
            fields.push(Bits::new(name, 31, 0).show(Place::Dword(place), u64::from(raw), meaning(raw)));
        }
        fields
    }

    /// Name and meaning of each dword from 10 on.
    fn appended(&self, block: &Block) -> Vec<Appended> {
        const LEVEL: Appended = ("LEVEL_OFFSET", |units| format!("level at {}", Bytes(u64::from(units) << 8)));
        const NOTHING: fn(u32) -> String = |_| String::new();
        let mut names = Vec::new();
        names.resize(self.level_offsets.len(), LEVEL);
        match &self.extra {
            Some(super::Extra::Stride(_)) => names.push(("STRIDE", |stride| format!("{}", Bytes(u64::from(stride))))),
            Some(super::Extra::Planes(_, planes)) => {
                names.extend([("MODIFIER_LO", NOTHING), ("MODIFIER_HI", NOTHING), ("PLANES", NOTHING)]);
                for _ in planes {
                    names.extend([("PLANE_OFFSET", NOTHING), ("PLANE_STRIDE", NOTHING)]);
                }
            }
            None => {}
        }
        let stored = block.len() / 4;
        names.resize(stored.saturating_sub(HEAD_DWORDS), ("(not part of this version)", NOTHING));
        if let (Some(_), Some(last)) = (self.overridden, names.last_mut()) {
            *last = ("PRETENDED_LEVEL", |_| "a number of Mesa's own".into());
        }
        names
    }

    fn meaning(&self, name: Name, value: u64) -> String {
        let descriptor = &self.descriptor;
        match name {
            Name::BaseAddress | Name::BaseAddressHi => "cleared".into(),
            Name::Width | Name::WidthHi => format!("{} px wide", descriptor.width),
            Name::Height => format!("{} px high", descriptor.height),
            Name::DataFormat | Name::Format => match descriptor.texel_format() {
                Some(format) => format!("{format}"),
                None => "not in the table of formats".into(),
            },
            Name::NumFormat => number_format(value).into(),
            Name::DstSelX => format!("channels {}", dst_sel_text(descriptor.dst_sel)),
            Name::Type => format!("{}", ImageType(value as u8)),
            Name::SwMode => match Swizzle::new(descriptor.level, value as u8) {
                Ok(swizzle) => format!("{swizzle}"),
                Err(_) => "reserved".into(),
            },
            Name::LastLevel if descriptor.image.is_multisampled() => {
                format!("{} samples", 1_u32.wrapping_shl(value as u32))
            }
            Name::LastLevel => format!("{} levels", value.saturating_add(1)),
            Name::Pitch if descriptor.level == Level::Gfx9 && descriptor.last_level > 0 => {
                "of the chain of levels, not of level 0".into()
            }
            Name::Pitch => format!("{} texels", value.saturating_add(1)),
            Name::Depth => match descriptor.pitch {
                Some(pitch) if descriptor.level >= Level::Gfx10 => format!("low bits of a pitch of {pitch} texels"),
                _ => String::new(),
            },
            Name::CompressionEn if descriptor.level == Level::Gfx12 => {
                if value != 0 {
                    "the pages are compressed".into()
                } else {
                    "not compressed".into()
                }
            }
            Name::CompressionEn => {
                if value != 0 {
                    "DCC".into()
                } else {
                    "no DCC".into()
                }
            }
            Name::MetaAddress => match descriptor.dcc.offset {
                Bytes::ZERO => "no DCC".into(),
                offset => format!("DCC at {offset}"),
            },
            Name::MaxCompressed | Name::MaxUncompressed => match BlockSize::of(value) {
                Some(size) => format!("{size}"),
                None => "reserved".into(),
            },
            Name::SamplerMask => "a mask for samplers, not an offset".into(),
            Name::TilingIndex => "index into the chip's table of tile modes".into(),
            _ => String::new(),
        }
    }
}

fn header(block: &Block) -> Vec<Field> {
    let first = u64::from(block.dword(0).unwrap_or_default());
    let second = u64::from(block.dword(1).unwrap_or_default());
    let set = |flag: u16| FLAGS.get(first) & u64::from(flag) != 0;
    let flags = match (set(EXTRA), set(OVERRIDDEN)) {
        (true, true) => "EXTRA_MD, FAMILY_OVERRIDDEN",
        (true, false) => "EXTRA_MD",
        (false, true) => "FAMILY_OVERRIDDEN",
        (false, false) => "",
    };
    let pci_id = PCI_ID.get(second) as u16;
    let chip = match Chip::of(pci_id) {
        Some(chip) => format!("{pci_id:#06x}: {chip}"),
        None => format!("{pci_id:#06x}: no known chip"),
    };
    let vendor = match VENDOR_ID.get(second) {
        0x1002 => "0x1002: AMD".into(),
        other => format!("{other:#06x}: not AMD"),
    };
    [
        (VERSION, 0, first, String::new()),
        (FLAGS, 0, first, flags.into()),
        (PCI_ID, 1, second, chip),
        (VENDOR_ID, 1, second, vendor),
    ]
    .into_iter()
    .map(|(bits, dword, raw, meaning)| bits.show(Place::Dword(dword), raw, meaning))
    .collect()
}

const fn number_format(value: u64) -> &'static str {
    match value {
        0 => "UNORM",
        1 => "SNORM",
        2 => "USCALED",
        3 => "SSCALED",
        4 => "UINT",
        5 => "SINT",
        7 => "FLOAT",
        9 => "SRGB",
        _ => "",
    }
}
