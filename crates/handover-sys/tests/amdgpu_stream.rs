//! The bytes of our calls to amdgpu against those that libdrm_amdgpu issues for the same calls, both recorded by a stand-in device.
//!
//! `data/amdgpu_stream.tsv` is what libdrm issued and says which libdrm; where the library is installed, it is recorded anew.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/standin.rs"]
mod standin;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use common::skip;
use handover_sys::drm::amdgpu::{self, CreateFlags, Domains, Metadata};
use handover_sys::drm::{self, Gem, prime};
use standin::Build;

const STREAM: &str = include_str!("data/amdgpu_stream.tsv");

/// Words that differ from run to run, with a name in their place: number, which word of the argument, the name. Nothing else is
/// left out of the comparison.
const NOT_COMPARED: &[(&str, usize, &str)] = &[
    // Where the caller has room for the answer.
    ("40206445", 0, "address"),
    ("40206445", 1, "address"),
    ("c0106450", 2, "address"),
    ("c0106450", 3, "address"),
    // Numbers of descriptors: given by the kernel to the one, and passed back to it by the other.
    ("c00c642d", 2, "descriptor"),
    ("c00c642e", 2, "descriptor"),
];

/// A record of the stand-in as lines of the table: words of four bytes in the order of memory, runs of zeros as `0*COUNT`.
fn table(record: &str) -> String {
    let mut table = String::new();
    for line in record.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [number, before, after, memory, result] = fields[..] else { panic!("not a record: {line}") };
        // What a call asks for is what it puts in: an export puts in no descriptor but the word that there is none.
        let asks = |word: &usize| !(number == "c00c642d" && *word == 2);
        let argument = |bytes, is_before: bool| {
            words(bytes, |word| {
                let (_, _, name) = NOT_COMPARED.iter().find(|(call, at, _)| *call == number && *at == word)?;
                (!is_before || asks(&word)).then_some(*name)
            })
        };
        let (before, after) = (argument(before, true), argument(after, false));
        let after = if after == before { "same".into() } else { after };
        writeln!(table, "{number}\t{before}\t{after}\t{}\t{result}", words(memory, |_| None)).expect("a String");
    }
    table
}

fn words(hex: &str, name: impl Fn(usize) -> Option<&'static str>) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut zeros = 0;
    let flush = |words: &mut Vec<String>, zeros: &mut usize| {
        if *zeros > 0 {
            words.push(format!("0*{zeros}"));
        }
        *zeros = 0;
    };
    for (at, word) in hex.as_bytes().chunks(8).enumerate() {
        let word = name(at).unwrap_or(std::str::from_utf8(word).expect("hexadecimal"));
        if word == "00000000" {
            zeros += 1;
            continue;
        }
        flush(&mut words, &mut zeros);
        words.push(word.to_owned());
    }
    flush(&mut words, &mut zeros);
    words.join(" ")
}

/// The lines of the committed table.
fn committed() -> String {
    STREAM.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

fn compare(whose: &str, found: &str) {
    let committed = committed();
    for (at, (found, wanted)) in found.lines().zip(committed.lines()).enumerate() {
        assert_eq!(found, wanted, "{whose}: call {at}: the table on the right");
    }
    assert_eq!(found.lines().count(), committed.lines().count(), "{whose}: calls:\n{found}");
}

/// The calls of `data/amdgpu_calls.c`, in its order.
fn calls(node: &Path, record: &Path) {
    let node = drm::open(node).expect("the node");
    let node = amdgpu::File::of(&node).expect("of amdgpu");
    // As there: what was asked to know the device is not compared.
    fs::write(record, "").expect("an empty record");
    let query = |gem: Gem| {
        amdgpu::metadata(&node, gem).expect("metadata");
        amdgpu::create_info(&node, gem).expect("what it was made with");
    };
    let set = |gem: Gem, flags: u64, tiling: u64, size: u32| {
        let block: Vec<u8> = (0..size).map(|i| (i + 1) as u8).collect();
        let metadata = Metadata::new(flags, tiling, &block).expect("a block that is not too long");
        amdgpu::set_metadata(&node, gem, &metadata).expect("set");
    };
    amdgpu::device(&node).expect("what the device is");
    amdgpu::engine_version(&node, 0, 0).expect("the version of the engine");
    amdgpu::read_registers(&node, 0x263e, u32::MAX, &mut [0]).expect("a register");

    let flags = CreateFlags::CPU_ACCESS_REQUIRED | CreateFlags::CPU_GTT_USWC;
    let buffer = amdgpu::gem_create(&node, 65536, 4096, Domains::GTT, flags).expect("a buffer");
    let other = amdgpu::gem_create(&node, 4097, 4096, Domains::VRAM, CreateFlags::NO_CPU_ACCESS).expect("another");
    query(buffer);
    for (i, size) in [0, 3, 40, 256, 0].into_iter().enumerate() {
        set(buffer, 0, 0x1122_3344_5566_7788 + i as u64, size);
        query(buffer);
    }
    set(other, 5, 1, 8);
    query(other);
    query(buffer);
    let dma_buf = prime::export(&node, buffer, prime::Access::ReadWrite).expect("export");
    let again = prime::import(&node, &dma_buf).expect("import");
    query(again);
    // libdrm counts the import and closes the one number once, with its last user.
    prime::close(&node, buffer).expect("close");
    prime::close(&node, other).expect("close");
}

#[test]
fn our_calls_are_byte_for_byte_those_of_libdrm() {
    let recorded = standin::record("our_calls_are_byte_for_byte_those_of_libdrm", |devices| {
        calls(&devices.node("navi21"), &devices.recorded());
    });
    if let Some(devices) = recorded {
        compare("ours", &table(&fs::read_to_string(devices.recorded()).expect("the record")));
    }
}

/// Whether the table is still what the libdrm of this machine issues.
#[test]
fn the_table_is_what_libdrm_issues() {
    let Some(build) = Build::new() else { return };
    let program = build.devices().node("calls");
    if let Err(why) = standin::compile(&standin::source("amdgpu_calls.c"), &program, &["-ldrm_amdgpu"]) {
        return skip("libdrm", why.lines().next().unwrap_or_default());
    }
    let record = build.devices().recorded();
    let output = build.command(&program).arg(build.devices().node("navi21")).arg(&record).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = table(&fs::read_to_string(record).expect("the record"));
    if found != committed() {
        let kept = std::env::temp_dir().join("amdgpu_stream.tsv");
        fs::write(&kept, &found).expect("the new table");
        eprintln!("what this libdrm issued lies in {}", kept.display());
    }
    compare("libdrm", &found);
}
