//! Our names of modifiers and those of libdrm, and our numbers and those of `drm_fourcc.h`: for the known modifiers and 100 000 random
//! ones.
//!
//! Two names agree when ours is read out of theirs: every field of theirs must be a word of ours that says the same. [`DIFFERENCES`]
//! lists what may not agree, and why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use handover_model::Modifier;
use handover_model::modifier::Parsed;
use handover_model::modifier::amd::{Tile, Version};
use handover_model::modifier::arm::Arm;
use handover_model::modifier::broadcom::Broadcom;
use handover_model::modifier::intel::Intel;
use handover_model::modifier::nvidia::{Nvidia, SectorLayout};

const TABLE: &str = include_str!("data/modifiers.tsv");

/// What libdrm leaves out.
#[derive(Clone, Copy)]
enum Lost {
    /// Everything: it may have no name.
    Name,
    /// These bits may be left out; and where no layout is left without them, the name says too little.
    Bits(u64),
}

/// A kind of modifiers for which libdrm may say less than we do.
struct Difference {
    is: fn(&Parsed) -> bool,
    lost: Lost,
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        is: |parsed| matches!(parsed, Parsed::Intel(intel) if *intel >= Intel::Tile4MtlRcCcs),
        lost: Lost::Name,
        reason: "newer than the header of libdrm 2.4.114, and the last two than that of 2.4.124",
    },
    Difference {
        is: |parsed| matches!(parsed, Parsed::Amd(amd) if amd.version >= Version::Gfx11),
        lost: Lost::Name,
        reason: "libdrm 2.4.114 names no chip after GFX10_RBPLUS",
    },
    Difference {
        is: |parsed| matches!(parsed, Parsed::Amd(amd) if amd.tile == Tile::Sw4KDX),
        lost: Lost::Bits(0xf_ffe0_1f00),
        reason: "libdrm 2.4.114 does not know 4K_D_X, and prints XOR fields only of tiles that it knows",
    },
    Difference {
        is: |parsed| match parsed {
            Parsed::Nvidia(Nvidia::BlockLinear2D { sector_layout, .. }) => *sector_layout >= SectorLayout::Gb20x8Bpp,
            _ => false,
        },
        lost: Lost::Bits(0x0c00_0000),
        reason: "libdrm prints one bit of the sector layout; the header has three since GB20x",
    },
    Difference {
        is: |parsed| matches!(parsed, Parsed::Vivante(vivante) if vivante.tile_status.is_some()),
        lost: Lost::Name,
        reason: "libdrm 2.4.114 does not know tile status",
    },
    Difference {
        is: |parsed| matches!(parsed, Parsed::Broadcom(broadcom) if is_sand_of_a_height(broadcom)),
        lost: Lost::Name,
        reason: "libdrm looks the whole number up, and the column height is in it",
    },
    Difference {
        is: |parsed| matches!(parsed, Parsed::Arm(Arm::Interleaved64K)),
        lost: Lost::Name,
        reason: "newer than the header of libdrm 2.4.124",
    },
    Difference {
        is: |parsed| matches!(parsed, Parsed::Apple(_)),
        lost: Lost::Name,
        reason: "newer than the header of libdrm 2.4.124",
    },
    Difference {
        is: |parsed| matches!(parsed, Parsed::MediaTek(_)),
        lost: Lost::Name,
        reason: "libdrm lacks the vendor",
    },
    Difference {
        is: |parsed| matches!(parsed, Parsed::Simulated(_)),
        lost: Lost::Name,
        reason: "ours, and no other's",
    },
];

fn is_sand_of_a_height(broadcom: &Broadcom) -> bool {
    match broadcom {
        Broadcom::Sand32 { column_height } | Broadcom::Sand64 { column_height } => *column_height != 0,
        Broadcom::Sand128 { column_height } | Broadcom::Sand256 { column_height } => *column_height != 0,
        Broadcom::Vc4T | Broadcom::Uif => false,
    }
}

/// Does libdrm's name say what we read in the number?
fn compare(modifier: Modifier, name: &str) -> Result<bool, String> {
    let vendor = modifier.vendor_name().unwrap_or_default();
    let full = if vendor == "NONE" { name.to_owned() } else { format!("{vendor}_{name}") };
    let read = full.parse::<Modifier>();
    let Ok(parsed) = modifier.parse() else {
        // libdrm does not look at reserved bits. No name may bring one back.
        return if read == Ok(modifier) { Err(format!("{modifier} is refused, {full} is read")) } else { Ok(false) };
    };
    if name != "-" && read == Ok(modifier) {
        return Ok(true);
    }
    let explains = |difference: &&Difference| {
        (difference.is)(&parsed)
            && match difference.lost {
                Lost::Name => name == "-",
                Lost::Bits(lost) => name != "-" && read.as_ref().ok().is_none_or(|read| read.0 == modifier.0 & !lost),
            }
    };
    match DIFFERENCES.iter().find(explains) {
        Some(difference) => {
            assert!(!difference.reason.is_empty());
            Ok(false)
        }
        None => Err(format!("{:#018x} is {modifier}; libdrm says {name}, which is {read:?}", modifier.0)),
    }
}

fn rows() -> Vec<Vec<&'static str>> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect()
}

fn number(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect(text)
}

/// Compares all and shows the first few that do not agree.
fn agree<'a>(names: impl Iterator<Item = (u64, &'a str)>) -> usize {
    let mut same = 0;
    let mut wrong = Vec::new();
    for (modifier, name) in names {
        match compare(Modifier(modifier), name) {
            Ok(is_same) => same += usize::from(is_same),
            Err(text) => wrong.push(text),
        }
    }
    let shown = wrong.iter().take(8).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} differ:\n{shown}", wrong.len());
    same
}

#[test]
fn the_recorded_names_agree() {
    let rows = rows();
    for (libdrm, named) in [(2, 100), (3, 140)] {
        let same = agree(rows.iter().map(|row| (number(row[0]), row[libdrm])));
        assert!(same >= named, "column {libdrm}: {same}");
    }
}

#[test]
fn every_difference_is_about_modifiers_that_exist() {
    for difference in DIFFERENCES {
        let mut all = rows().into_iter().map(|row| Modifier(number(row[0]))).chain(random(20_000));
        let found = all.any(|modifier| modifier.parse().is_ok_and(|parsed| (difference.is)(&parsed)));
        assert!(found, "{}", difference.reason);
    }
}

/// A seeded generator (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A third plain random, a third random within a vendor's fields, a third known ones with one field changed.
fn random(count: usize) -> Vec<Modifier> {
    let known: Vec<u64> = rows().iter().map(|row| number(row[0])).collect();
    let mut random = Random(6);
    let mut one = |i: usize| {
        if i.is_multiple_of(3) {
            return Modifier(random.next() >> (random.below(2) * 4));
        }
        let start = if i % 3 == 1 {
            (1 + random.below(12)) << 56 | random.next() & 0x0030_0000_0000_0010
        } else {
            known[random.below(known.len() as u64) as usize]
        };
        let fields = Modifier(start).fields();
        let chosen = random.below(fields.len() as u64) as usize;
        let mut bits = start;
        for (at, field) in fields.iter().enumerate() {
            if i % 3 == 1 || at == chosen {
                let value = if random.below(4) == 0 { random.next() } else { random.below(6) };
                bits = bits & !field.mask() | (value & field.max()) << field.low;
            }
        }
        Modifier(bits)
    };
    (0..count).map(&mut one).collect()
}

/// Shows that a check was left out and why. Fails instead where `HANDOVER_REQUIRE` names `need` or says `all`.
fn skip(need: &str, why: &str) {
    let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == need || name == "all"), "{need} is required: {why}");
    // Not by eprintln: of a test that passes, the harness keeps that to itself.
    let _ = std::io::stderr().write_fmt(format_args!("skipped: needs {need}: {why}\n"));
}

/// The rows of the table as C, each under the condition that this header has its macros.
fn c_rows() -> String {
    let mut text = String::new();
    for row in rows().iter().filter(|row| row[4] != "-") {
        let families =
            ["DRM_FORMAT_MOD_", "I915_", "AMD_FMT_MOD", "VIVANTE_MOD_", "AFBC_", "AFRC_", "AMLOGIC_", "MTK_"];
        let words = row[4].split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let macros: BTreeSet<&str> =
            words.filter(|word| families.iter().any(|start| word.starts_with(start))).collect();
        let known: Vec<String> = macros.iter().map(|word| format!("defined({word})")).collect();
        writeln!(text, "#if {}\nROW(\"{}\", {})\n#endif", known.join(" && "), row[0], row[4]).expect("a String");
    }
    text
}

fn compile(folder: &Path) -> Result<PathBuf, String> {
    let (rows, program) = (folder.join("rows.h"), folder.join("program"));
    std::fs::write(&rows, c_rows()).expect("the rows");
    let mut command = Command::new("cc");
    command.args(["-Wall", "-Werror", "-I/usr/include/libdrm"]).arg(format!("-DROWS=\"{}\"", rows.display()));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/modifier_names.c"));
    let output = command.arg("-o").arg(&program).arg("-ldrm").output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(program) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn the_header_and_libdrm_of_this_machine_agree() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("modifier-names-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let program = match compile(&folder) {
        Ok(program) => program,
        Err(why) => return skip("libdrm", why.lines().next().unwrap_or_default()),
    };
    let table = rows();
    let asked: Vec<u64> = table.iter().map(|row| number(row[0])).chain(random(100_000).iter().map(|m| m.0)).collect();
    let questions = folder.join("questions");
    let lines: String = asked.iter().map(|modifier| format!("{modifier:x}\n")).collect();
    std::fs::write(&questions, lines).expect("the questions");
    let input = std::fs::File::open(&questions).expect("the questions");
    let output = Command::new(program).stdin(input).stderr(Stdio::inherit()).output().expect("it starts");
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).expect("names are text");
    let (values, names): (Vec<_>, Vec<_>) = output
        .lines()
        .map(|line| line.split_once('\t').expect("two cells"))
        .partition(|(number, _)| number.starts_with("0x"));
    for (number_of_row, value) in &values {
        assert_eq!(number(number_of_row), number(value), "the header says {value}");
    }
    assert!(values.len() > 60, "{}: the header has most macros", values.len());
    assert_eq!(names.len(), asked.len());
    let same = agree(names.iter().map(|(modifier, name)| (number(modifier), *name)));
    assert!(same > 15_000, "{same}: too few of the random modifiers have a name");
    std::fs::remove_dir_all(&folder).expect("tidy up");
}
