//! A tiling word, a metadata block, or both: whose they are, every field, and what readers make of them.
//!
//! `input` reads them in the forms in which tools print them, `readers` says what a reader on the producer's device concludes and
//! what one elsewhere.

mod input;
mod readers;
mod report;

use std::process::ExitCode;

use clap::Args;
use handover::metadata::registry::{Query, Registry};

use super::Decoded;
use readers::{Elsewhere, Here};
use report::Report;

/// The kernel drivers whose metadata has codecs.
pub const DRIVERS: [&str; 7] = ["amdgpu", "radeon", "i915", "nouveau", "tegra", "vc4", "msm"];

/// What `handover decode metadata --help` says last.
pub const EXAMPLES: &str = "\
The word and the block are what DRM_AMDGPU_GEM_METADATA of amdgpu gives, or the ioctls of other drivers that keep something with a buffer:
  radeon GEM_GET_TILING: tiling_flags | pitch << 32      i915 GET_TILING: stride with the mode in its low 7 bits | swizzle << 32
  nouveau GEM_INFO: tile_mode | tile_flags << 32         tegra GEM_GET_TILING: mode | value << 32
  vc4 GET_TILING: a modifier                             msm GET_METADATA: a block

Examples:
  handover decode metadata --word 0x800008000000001a --block '00000001 1002687f 00000000 00a00000 410dc77f 91a00f2e 80efe000 0 0 0'
  handover decode metadata --word 0x800018ffe010e01b --block block.bin --gb-addr-config 0x444
  handover decode metadata --word 0x1a --pci-id 1002:687f
  handover decode metadata --word 0x1002 --driver i915 --json

Exit codes:
  0    it means something
  2    refused: the command line, or word and block; the message names the field that is wrong";

/// What the command line asks for, as typed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The 8-byte tiling word.
    #[arg(long, value_name = "0x…", required_unless_present = "block")]
    pub word: Option<String>,
    /// The metadata block: hexadecimal dwords between blanks or commas, or a file that holds it; - is standard input.
    #[arg(long, value_name = "DWORDS|FILE|-")]
    pub block: Option<String>,
    /// Whose ioctl gave them. A block with a header says it itself, and so does the PCI ID of a chip of AMD's from GFX8 on, with its vendor.
    #[arg(long, value_name = "DRIVER", value_parser = DRIVERS)]
    pub driver: Option<String>,
    /// PCI ID of the producer, where no block says it: 1002:73bf, or the device alone.
    #[arg(long, value_name = "[VENDOR:]DEVICE")]
    pub pci_id: Option<String>,
    /// GFX level of the producer, where its PCI ID is not known: 6 to 12.
    #[arg(long, value_name = "LEVEL")]
    pub gfx: Option<String>,
    /// The producer's register GB_ADDR_CONFIG.
    #[arg(long, value_name = "0x…")]
    pub gb_addr_config: Option<String>,
    /// The format that a reader asks for: a name or a code of four characters.
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// The image that a reader asks for, in pixels. Default: that of the block.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub size: Option<String>,
    /// Further facts of the producer's device, such as constant_encode=1; can be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Decodes, and shows it on standard output; what is wrong is said on standard error.
pub fn metadata(arguments: &Arguments) -> ExitCode {
    let decoded = match input::read(arguments) {
        Ok(input) => explain(&input),
        Err(why) => Decoded { json: serde_json::json!({ "error": why }), text: String::new(), refusal: Some(why) },
    };
    let json = arguments.json.then(|| decoded.json.clone());
    super::show(&[decoded], json)
}

fn explain(input: &input::Input) -> Decoded {
    let parameters: Vec<(&str, u64)> = input.parameters.iter().map(|(name, value)| (*name, *value)).collect();
    let query = Query { metadata: &input.metadata, driver: input.driver.as_deref(), parameters: &parameters };
    let here = Here::of(input);
    let (codec, decoded) = match Registry::new().identify(&query) {
        Ok((codec, decoded)) => (codec, decoded),
        Err(error) => return report::unknown(input, here.as_ref(), &error),
    };
    let elsewhere = Elsewhere::of(&decoded);
    Report { input, codec, decoded: &decoded, here: here.as_ref(), elsewhere: &elsewhere }.decoded()
}
