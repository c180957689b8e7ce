//! `handover decode metadata` explains words and blocks: whose they are, every field, and what readers conclude.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::Directory;
use serde_json::{Value, json};

/// Exit code, standard output, standard error.
fn decode(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    let output = command.args(["decode", "metadata"]).args(arguments).stdin(Stdio::null()).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, err)
}

/// Of the blocks that Mesa's own functions give for 1920 x 1080 ARGB8888: word, dwords, and what has to be said.
type Worked = (&'static str, &'static str, &'static str, &'static [&'static str]);

const WORKED: [Worked; 15] = [
    (
        "A Polaris10 scanout",
        "0x7406c4",
        "1 100267df 0 00a00000 410dc77f 90a00f2e 00ffe000 0 0 0 0",
        &[
            "Polaris10 (GFX8)",
            "B8G8R8A8_UNORM, no DCC",
            "a display may read it",
            "P8_32x32_16x16",
            "2048 texels",
            "reads it, with a decoder for tiles of GFX8: 8 pipes, 16 banks of 1x4, aspect 4",
        ],
    ),
    (
        "B Polaris10 with DCC",
        "0x7416c4",
        "1 100267df 0 00a00000 410dc77f 90e00f2e 00ffe000 0 00600000 9000 0",
        &["DCC of shaders at 0x900000", "MICRO_TILE_MODE", "compressed: its producer has to resolve it first"],
    ),
    (
        "C Polaris10 nine levels",
        "0x7416c4",
        "1 100267df 0 00a00000 403fc0ff 92e80fac 001fe000 0 00600000 580 0 400 500 540 550 554 555 556 557",
        &["256x256", "9 levels", "level at 262144 bytes", "where each of 9 levels begins", "DCC of shaders at 0x58000"],
    ),
    (
        "D Polaris10 linear",
        "0x6000c1",
        "1 100267df 0 00a00000 410dc77f 90800f2e 00efe000 0 0 0 0",
        &["laid out in rows", "reads it: rows of pixels", "1920 texels"],
    ),
    (
        "E Vega10 scanout",
        "0x800008000000001a",
        "1 1002687f 0 00a00000 410dc77f 91a00f2e 80efe000 0 0 0",
        &["0x0200000004801a01", "64K_D_X", "reads it, with a decoder for AMD GFX9 64K_D_X", "a display may read it"],
    ),
    (
        "F Vega10 with DCC",
        "0x000008ffe010e01a",
        "1 1002687f 0 00a00000 410dc77f 91a00f2e 80efe000 0c000000 00600000 8700",
        &["DCC of shaders at 0x870000", "compressed: resolve first", "DCC pitch 2048", "META_RB_ALIGNED"],
    ),
    (
        "G Raven with retile",
        "0x800008ffe010e019",
        "1 100215dd 0 00a00000 410dc77f 91900f2e 80efe000 0c000000 00600000 8800",
        &["DCC of shaders at 0x880000", "DCC of the display at 0x870000", "--gb-addr-config"],
    ),
    (
        "G Raven2 without",
        "0x800008ffe010e019",
        "1 100215d8 0 00a00000 410dc77f 91900f2e 80efe000 0 00600000 8700",
        &["DCC of shaders at 0x870000", "META_PIPE_ALIGNED                0"],
    ),
    (
        "H Navi10 with DCC",
        "0x30ffe010e01b",
        "1 1002731f 0 c3800000 810dc1df 99b00f2e 0 00400000 006b0000 87",
        &["Navi10 (GFX10)", "64K_R_X", "DCC of shaders at 0x870000"],
    ),
    (
        "H Navi10 scanout",
        "0x800030000000001b",
        "1 1002731f 0 c3800000 810dc1df 99b00f2e 0 00400000 0 0",
        &["accepted; there is no DCC", "a display may read it", "missing: gb_addr_config"],
    ),
    (
        "I Navi21 scanout",
        "0x800018ffe010e01b",
        "1 100273bf 0 c3800000 810dc1df 99b00f2e 0 00400000 c0690000 87",
        &["DCC of shaders at 0x87c000", "DCC of the display at 0x870000", "64K_R_X", "missing: gb_addr_config"],
    ),
    (
        "J Navi21 linear",
        "0x8000300000000000",
        "1 100273bf 0 c3800000 810dc1df 98000f2e 0 00400000 0 0",
        &["laid out in rows", "reads it: rows of pixels"],
    ),
    (
        "K Navi31 scanout",
        "0x800030ffe014001f",
        "1 1002744c 0 c2a00000 010dc1df 99f00f2e 0 00400000 c02b0000 a0",
        &["GFX11", "256K_R_X", "DCC of shaders at 0xa0c000", "DCC of the display at 0xa00000"],
    ),
    (
        "L GFX12 scanout",
        "0x8000000000000a0b",
        "1 10027550 0 c0540000 010dc1df 98300f2e 0 00400000 00228000 0",
        &["GFX12", "64K_2D", "accepted; its pages are compressed", "that the pages are compressed"],
    ),
    (
        "M with extra metadata",
        "0x800018ffe010e01b",
        "00010003 100273bf 0 c3800000 810dc1df 99b00f2e 0 00400000 c0690000 87 1e00",
        &["EXTRA_MD", "STRIDE", "7680 bytes", "DCC of shaders at 0x87c000"],
    ),
];

#[test]
fn every_worked_block_is_explained_as_its_text_does() {
    for (name, word, block, said) in WORKED {
        let (code, out, err) = decode(&["--word", word, "--block", block]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{name}");
        for said in said {
            assert!(out.contains(said), "{name}: {said} is not in\n{out}");
        }
        for title in
            ["A reader on the same device", "A reader on another device", "the 8-byte word alone could not tell"]
        {
            assert!(out.contains(title), "{name}: {title}");
        }
    }
}

#[test]
fn a_configuration_determines_the_modifier_and_json_says_the_same() {
    let (_, word, block, _) = WORKED[10];
    let (code, out, _) = decode(&["--word", word, "--block", block, "--gb-addr-config", "0x444", "--json"]);
    assert_eq!(code, Some(0));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["modifier"], "0x0200000020937b03", "{value:#}");
    assert_eq!(value["other_device"]["why"], "compressed: resolve first");
    let here = &value["same_device"];
    assert_eq!((&here["dcc_offset"], &here["display_dcc_offset"]), (&json!(0x87_c000), &json!(0x87_0000)));
    assert_eq!((&here["swizzle"], &here["scanout"]), (&json!("64K_R_X"), &json!(true)));
    assert_eq!(value["header"]["pci_id"], "0x73bf");
    assert!(value["beyond_word"].as_array().unwrap().len() >= 5, "{value:#}");
    let (_, out, _) = decode(&["--word", word, "--block", block, "--json"]);
    let alone: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&alone["modifier"], &alone["other_device"]["option"]), (&Value::Null, &json!("--gb-addr-config")));
}

#[test]
fn a_reader_that_asks_for_another_size_is_refused() {
    let (_, word, block, _) = WORKED[10];
    let (code, out, _) = decode(&["--word", word, "--block", block, "--size", "1280x720"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("refused: WIDTH or HEIGHT does not fit the size asked for"), "{out}");
}

#[test]
fn a_block_is_read_in_every_form() {
    let directory = Directory::new();
    let (_, word, block, _) = WORKED[4];
    let dwords: Vec<u32> = block.split(' ').map(|dword| u32::from_str_radix(dword, 16).unwrap()).collect();
    let raw: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    let printed: Vec<String> = (0..).zip(&dwords).map(|(index, dword)| format!("[{index}] {dword:#010x},")).collect();
    let (_, expected, _) = decode(&["--word", word, "--block", block]);
    let files = [directory.file("raw", &raw), directory.file("text", printed.join("\n"))];
    for form in [files[0].as_str(), &files[1], &printed.join(" ")] {
        assert_eq!(decode(&["--word", word, "--block", form]).1, expected, "{form}");
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_handover"))
        .args(["decode", "metadata", "--word", word, "--block", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&raw).unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), expected);
}

#[test]
fn words_of_other_drivers() {
    let cases: [(&[&str], &str); 7] = [
        (&["--word", "26", "--pci-id", "1002:687f"], "the driver amdgpu, by --pci-id"),
        (&["--word", "26", "--pci-id", "0x1002:0x687f"], "the driver amdgpu, by --pci-id"),
        (&["--driver", "i915", "--word", "0x1002"], "reads it, with a decoder for INTEL Y_TILED"),
        (&["--driver", "tegra", "--word", "0x400000002"], "blocks of 128 rows"),
        (&["--driver", "nouveau", "--word", "0xfe0000000040"], "generation is missing"),
        (&["--driver", "msm", "--block", "00000001 05000000"], "msm has no word at all"),
        (&["--driver", "amdgpu", "--word", "26", "--pci-id", "0x687f"], "no block: the word alone counts"),
    ];
    for (arguments, said) in cases {
        let (code, out, err) = decode(arguments);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(out.contains(said), "{arguments:?}: {said} is not in\n{out}");
    }
}

#[test]
fn what_means_nothing_is_refused_with_its_field() {
    let long = "0 ".repeat(65);
    let vega = "1 1002687f 0 00a00000 410dc77f 91a00f2e 80efe000 0 0 0";
    let cases: [(&[&str], &str); 24] = [
        (&["--word", "0x1a"], "--driver is missing: a word without a block does not say whose it is"),
        (&["--word", "0x1a", "--gfx", "9"], "does not say whose it is; one of amdgpu, "),
        (
            &["--word", "0x1a", "--pci-id", "1002:6798"],
            "--driver is missing: --pci-id 1002:6798 is a chip that both radeon",
        ),
        (&["--word", "0x1a", "--pci-id", "1002:9a49"], "--pci-id 1002:9a49 is no chip of AMD's that is known"),
        // Of AMD's, Raphael; of NVIDIA's, GM204.
        (&["--word", "0x1a", "--pci-id", "10de:13c0"], "--pci-id 10de:13c0 is no chip of AMD's, the vendor 0x1002"),
        (&["--word", "0x1a", "--pci-id", "0x13c0"], "says no vendor, and vendors number their chips alike"),
        (&["--word", "0x1a", "--pci-id", "0x73bf"], "--pci-id 1002:73bf would do; one of amdgpu, "),
        (&["--word", "0x1a", "--pci-id", "1002:"], "--pci-id 1002:: VENDOR:DEVICE, each a hexadecimal number"),
        (
            &["--word", "0x1a", "--pci-id", "10de:13c0", "--driver", "amdgpu"],
            "amdgpu drives chips of the vendor 0x1002",
        ),
        (&["--word", "0x1a", "--block", vega, "--pci-id", "10de:687f"], "dword 1 bits 31:16 of the block say 0x1002"),
        (&["--word", "0"], "neither means linear"),
        (&["--word", "3", "--driver", "i915"], "bits 6:0 TILING_MODE are 3"),
        (&["--word", "0x1a", "--driver", "amdgpu"], "the parameter pci_id or gfx"),
        (&["--word", "0x4000000000000", "--driver", "amdgpu", "--gfx", "10.3"], "bits 62:49"),
        (&["--word", "0x1a", "--block", "0 1002687f 0 0 0 0 0 0 0 0"], "version 0"),
        (&["--word", "0x1a", "--block", "00000001 1002687f"], "header and descriptor of AMDGPU have 40"),
        (&["--block", "00000001 80864680"], "8086:4680"),
        (&["--block", &long], "--block: "),
        (&["--block", "1 zz"], "dword 1 is zz"),
        (&["--word", "0x1x"], "--word 0x1x: a number of up to 64 bits"),
        (&["--word", "0x1a", "--block", vega, "--pci-id", "0x73bf"], "dword 1 bits 15:0 of the block say 0x687f"),
        (&["--word", "0x1a", "--gfx", "13"], "--gfx 13: "),
        (&["--word", "0x1a", "--param", "pipes=3"], "there is no pipes; the names are pci_id"),
        (&["--word", "0x1a", "--format", "NV12"], "--format NV12: it has several planes"),
    ];
    for (arguments, said) in cases {
        let (code, _, err) = decode(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(said), "{arguments:?}: {said} is not in {err}");
    }
    assert_eq!(decode(&[]).0, Some(2));
    let (_, out, _) = decode(&["--json", "--word", "0"]);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert!(value["error"].as_str().unwrap().contains("unknown"), "{value:#}");
}
