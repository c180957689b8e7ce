//! What was typed, as metadata and what is known beside it.

use std::fs;
use std::io::Read;

use handover::metadata::amdgpu::{Chip, Level, VENDOR};
use handover::metadata::registry::{Codec, Registry};
use handover::{Block, Header, Metadata, Word};

use super::{Arguments, DRIVERS};
use crate::layout;

/// Metadata, and what is known beside it.
pub(super) struct Input {
    pub(super) metadata: Metadata,
    pub(super) driver: Option<String>,
    /// What told the driver.
    pub(super) driver_by: &'static str,
    /// By the names that codecs list.
    pub(super) parameters: Vec<(&'static str, u64)>,
    /// The size that a reader asks for.
    pub(super) size: Option<(u32, u32)>,
}

impl Input {
    pub(super) fn parameter(&self, name: &str) -> Option<u64> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The PCI ID of an AMD chip: what the block says goes before what was typed.
    pub(super) fn pci_id(&self) -> Option<u16> {
        let header = self.metadata.block.header().filter(|header| header.version != 0);
        header.map(|header| header.pci_id).or_else(|| u16::try_from(self.parameter("pci_id")?).ok())
    }

    /// The level of that chip, or the one that was typed.
    pub(super) fn level(&self) -> Option<Level> {
        let wanted = self.parameter("gfx");
        let chip = self.pci_id().and_then(Chip::of).map(|chip| chip.level);
        chip.or_else(|| Level::ALL.into_iter().find(|level| Some(tenfold(*level)) == wanted))
    }
}

pub(super) fn read(arguments: &Arguments) -> Result<Input, String> {
    let word = arguments.word.as_deref().map(|text| number("--word", text, u64::MAX)).transpose()?.unwrap_or(0);
    let block = arguments.block.as_deref().map(block).transpose()?.unwrap_or_default();
    // Of these vendors the header only says whose word it is, and a word of 0 is not one that was not given.
    if let (Some(header @ Header { vendor_id: 0x8086 | 0x10de, .. }), None, None, Header::BYTES) =
        (block.header(), &arguments.word, &arguments.driver, block.len())
    {
        return Err(format!("--word: missing; the block is {header} and nothing more, which says whose word it is"));
    }
    let mut parameters = Vec::new();
    for text in &arguments.parameters {
        parameters.push(parameter(text)?);
    }
    let typed = arguments.pci_id.as_deref().map(PciId::read).transpose()?;
    if let Some(typed) = &typed {
        typed.check(&block, arguments.driver.as_deref())?;
        parameters.push(("pci_id", typed.device.into()));
    }
    if let Some(text) = &arguments.gb_addr_config {
        parameters.push(("gb_addr_config", number("--gb-addr-config", text, u64::from(u32::MAX))?));
    }
    if let Some(text) = &arguments.gfx {
        let level: Level = text.parse().map_err(|error| format!("--gfx {text}: {error}"))?;
        parameters.push(("gfx", tenfold(level)));
    }
    if let Some(text) = &arguments.format {
        let format = layout::format(text).map_err(|error| format!("--format {text}: {error}"))?;
        let [plane] = format.planes() else {
            return Err(format!("--format {text}: it has several planes, and a word and a block describe one"));
        };
        parameters.push(("bytes_per_element", plane.bytes_per_element.get()));
    }
    let size = arguments.size.as_deref().map(|size| layout::pair(size, 'x', "--size", "1920x1080")).transpose()?;
    let driver = driver(arguments, word, &block, typed.as_ref())?;
    let driver_by = if arguments.driver.is_some() { "--driver" } else { "--pci-id" };
    Ok(Input { metadata: Metadata { word: Word(word), block }, driver, driver_by, parameters, size })
}

/// What `--pci-id` says: the device, and perhaps its vendor.
struct PciId<'a> {
    text: &'a str,
    vendor: Option<u16>,
    device: u16,
}

impl<'a> PciId<'a> {
    /// "1002:73bf" as `lspci -n` has it, with or without 0x; or the device alone, 0x… or decimal.
    fn read(text: &'a str) -> Result<Self, String> {
        let Some((vendor, device)) = text.split_once(':') else {
            let device = number("--pci-id", text, u16::MAX.into())?;
            return Ok(Self { text, vendor: None, device: u16::try_from(device).unwrap_or_default() });
        };
        let half = |half: &str| {
            let digits = half.strip_prefix("0x").unwrap_or(half);
            u16::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
        };
        let halves = half(vendor).zip(half(device));
        let (vendor, device) = halves.ok_or_else(|| {
            format!("--pci-id {text}: VENDOR:DEVICE, each a hexadecimal number of up to 16 bits, such as 1002:73bf")
        })?;
        Ok(Self { text, vendor: Some(vendor), device })
    }

    /// Refuses one that contradicts the block or the driver.
    fn check(&self, block: &Block, driver: Option<&str>) -> Result<(), String> {
        let Self { text, vendor, device } = self;
        if let Some(Header { pci_id, vendor_id, version: 1.., .. }) = block.header() {
            if vendor.is_some_and(|vendor| vendor != vendor_id) {
                return Err(format!("--pci-id {text}: dword 1 bits 31:16 of the block say {vendor_id:#06x}"));
            }
            if vendor_id == VENDOR && pci_id != *device {
                return Err(format!("--pci-id {text}: dword 1 bits 15:0 of the block say {pci_id:#06x}"));
            }
        }
        match (vendor, driver) {
            (Some(vendor), Some(driver @ ("amdgpu" | "radeon"))) if *vendor != VENDOR => {
                Err(format!("--pci-id {text}: {driver} drives chips of the vendor {VENDOR:#06x}"))
            }
            _ => Ok(()),
        }
    }
}

/// Whose word it is: as typed, or the one driver that a chip of this PCI ID has. `None`: a block with a header says it, or there is nothing.
fn driver(arguments: &Arguments, word: u64, block: &Block, typed: Option<&PciId>) -> Result<Option<String>, String> {
    if arguments.driver.is_some() || word == 0 || !block.is_empty() {
        return Ok(arguments.driver.clone());
    }
    let is_needed = |why: String| Err(format!("--driver is missing: {why}; one of {}", DRIVERS.join(", ")));
    let Some(PciId { text, vendor, device }) = typed else {
        return is_needed("a word without a block does not say whose it is".into());
    };
    match (vendor, Chip::of(*device)) {
        // 0x13c0 is a chip of AMD's, and another one of NVIDIA's.
        (None, _) => is_needed(format!(
            "--pci-id {text} says no vendor, and vendors number their chips alike; of a chip of AMD's, --pci-id {VENDOR:04x}:{device:04x} would do"
        )),
        // Those before have two drivers, which keep different words.
        (Some(VENDOR), Some(chip)) if chip.level >= Level::Gfx8 => Ok(Some("amdgpu".into())),
        (Some(VENDOR), Some(_)) => is_needed(format!("--pci-id {text} is a chip that both radeon and amdgpu drive")),
        (Some(VENDOR), None) => is_needed(format!("--pci-id {text} is no chip of AMD's that is known")),
        (Some(_), _) => is_needed(format!("--pci-id {text} is no chip of AMD's, the vendor {VENDOR:#06x}")),
    }
}

/// The level as the codec's parameter has it: 10.3 is 103.
fn tenfold(level: Level) -> u64 {
    let (major, minor) = level.number().split_once('.').unwrap_or((level.number(), "0"));
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    number(major) * 10 + number(minor)
}

/// NAME=VALUE, of a name that some codec knows.
fn parameter(text: &str) -> Result<(&'static str, u64), String> {
    let registry = Registry::new();
    let known = || registry.codecs().flat_map(Codec::parameters);
    let names = || known().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("--param {text}: a name, =, and a number; the names are {}", names()));
    };
    let Some((name, _)) = known().find(|(known, _)| *known == name) else {
        return Err(format!("--param {text}: there is no {name}; the names are {}", names()));
    };
    Ok((name, number(&format!("--param {name}"), value, u64::MAX)?))
}

/// A number, decimal or with 0x.
fn number(what: &str, text: &str, most: u64) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let read = match digits {
        Some(digits) => u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')),
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    };
    let bits = u64::BITS - most.leading_zeros();
    read.filter(|value| *value <= most)
        .ok_or_else(|| format!("{what} {text}: a number of up to {bits} bits, 0x… or decimal"))
}

/// Hexadecimal dwords, standard input, or a file. What a file or standard input holds may be text of dwords too.
fn block(text: &str) -> Result<Block, String> {
    let bytes = match text {
        "-" => {
            let mut bytes = Vec::new();
            // One byte more than a block has: the refusal then says that it is too long, however long it is.
            let limit = handover::metadata::BLOCK_BYTES as u64 * 16 + 1;
            std::io::stdin().take(limit).read_to_end(&mut bytes).map_err(|error| format!("--block -: {error}"))?;
            content(bytes)
        }
        text => match dwords(text) {
            Ok(bytes) => bytes,
            Err(_) if fs::metadata(text).is_ok() => {
                content(fs::read(text).map_err(|error| format!("--block {text}: {error}"))?)
            }
            Err(why) => return Err(format!("--block: {why}; and there is no file of that name")),
        },
    };
    Block::new(&bytes).map_err(|error| format!("--block: {error}"))
}

/// Text of dwords as what it says, everything else as it is.
fn content(bytes: Vec<u8>) -> Vec<u8> {
    let text = std::str::from_utf8(&bytes).ok().filter(|text| !text.trim().is_empty());
    text.and_then(|text| dwords(text).ok()).unwrap_or(bytes)
}

/// Dwords as tools print them: hexadecimal, with or without 0x, between blanks or commas, and with or without their `[number]`.
fn dwords(text: &str) -> Result<Vec<u8>, String> {
    let is_index = |token: &&str| token.starts_with('[') && token.trim_end_matches(':').ends_with(']');
    let tokens = text.split(|c: char| c.is_whitespace() || c == ',').filter(|token| !token.is_empty());
    let mut bytes = Vec::new();
    for (index, token) in tokens.filter(|token| !is_index(token)).enumerate() {
        let digits = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X")).unwrap_or(token);
        let dword = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
        let dword = dword
            .ok_or_else(|| format!("dword {index} is {token}, which is no hexadecimal number of up to 32 bits"))?;
        bytes.extend(dword.to_le_bytes());
    }
    Ok(bytes)
}
