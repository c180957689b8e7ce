//! `handover decode` says what a number means, field by field, and which field means nothing.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use serde_json::{Value, json};

/// Exit code, standard output, standard error.
fn decode(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_handover")).arg("decode").args(arguments).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, err)
}

fn values(arguments: &[&str]) -> Value {
    serde_json::from_str(&decode(arguments).1).unwrap()
}

#[test]
fn a_modifier_field_by_field() {
    let (code, out, err) = decode(&["modifier", "0x0200000020937b03"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[0],
        "0x0200000020937b03  AMD GFX10_RBPLUS 64K_R_X, DCC retile independent_64B independent_128B max_block=64B \
         constant_encode, pipe_xor=4, packers=4"
    );
    assert_eq!(lines[1], "  vendor: AMD (0x02)");
    assert!(lines[2].starts_with("  compressed: "), "{out}");
    assert_eq!(lines[4], "    7:0  TILE_VERSION              3");
    assert_eq!(lines[5], "   12:8  TILE                      27 (0x1b)");
    assert!(lines.contains(&"     13  DCC                       1"), "{out}");
}

#[test]
fn spellings_of_one_modifier_decode_alike() {
    let spellings = ["0x100000000000002", "INTEL Y_TILED", "I915_FORMAT_MOD_Y_TILED", "Y_TILED"];
    let all = values(&[&["modifier", "--json"], &spellings[..]].concat());
    let expected = json!({
        "modifier": "0x0100000000000002",
        "name": "INTEL Y_TILED",
        "vendor": "INTEL",
        "compressed": false,
        "fields": [{ "name": "LAYOUT", "high": 55, "low": 0, "value": 2 }],
        "error": null,
    });
    assert_eq!(all, Value::from(vec![expected; 4]));
}

#[test]
fn a_reserved_field_is_named_and_the_rest_is_shown() {
    let (code, out, err) = decode(&["modifier", "0x0200000005801b02", "LINEAR"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("bits 26:24 BANK_XOR_BITS = 0x5; refused because only GFX9 has it"), "{err}");
    assert!(out.contains("0x0200000005801b02  AMD 0x5801b02") && out.contains("  26:24  BANK_XOR_BITS"), "{out}");
    assert!(out.contains("\n0x0000000000000000  LINEAR\n"), "{out}");
    let all = values(&["modifier", "--json", "0xee00000000000001"]);
    assert_eq!((&all[0]["vendor"], &all[0]["compressed"]), (&Value::Null, &Value::Null));
    assert!(all[0]["error"].as_str().unwrap().contains("bits 63:56 VENDOR = 0xee"), "{all}");
}

#[test]
fn a_code_and_its_planes() {
    let expected =
        "0x3231564e  NV12  NV12\n  plane 0: 1 byte for each pixel\n  plane 1: 2 bytes for 2 x 2 pixels\n  no alpha\n";
    for spelling in ["NV12", "0x3231564e", "DRM_FORMAT_NV12"] {
        assert_eq!(decode(&["fourcc", spelling]), (Some(0), expected.to_owned(), String::new()), "{spelling}");
    }
    let (code, out, _) = decode(&["fourcc", "XRGB8888", "0xb4325258"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("0x34325258  XR24  XRGB8888\n") && out.contains("0xb4325258  XR24"), "{out}");
    assert!(out.contains("big endian"), "{out}");
    let all = values(&["fourcc", "--json", "AB4H"]);
    let expected = json!([{
        "fourcc": "0x48344241",
        "code": "AB4H",
        "format": "ABGR16161616F",
        "big_endian": false,
        "alpha": true,
        "planes": [{ "bytes": 8, "horizontal_subsampling": 1, "vertical_subsampling": 1 }],
        "error": null,
    }]);
    assert_eq!(all, expected);
}

#[test]
fn what_means_nothing_is_refused() {
    let cases: [(&[&str], &str); 6] = [
        (&["modifier", "TILED"], "it could be each of VIVANTE TILED, ALLWINNER TILED"),
        (&["modifier", "INTEL Z_TILED"], "INTEL has no word Z_TILED; it has X_TILED"),
        (&["modifier", "\u{1b}[2J"], "no vendor has such a name"),
        (&["fourcc", "ZZ99"], "0x39395a5a is ZZ99, which is none of the formats known here: XRGB8888"),
        (&["fourcc", "XRGB9999"], "the names of formats are XRGB8888 (XR24)"),
        (&["fourcc", "0x123456789"], "no hexadecimal number of up to 32 bits"),
    ];
    for (arguments, said) in cases {
        let (code, _, err) = decode(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(err.starts_with("error: ") && err.contains(said) && !err.contains('\u{1b}'), "{arguments:?}: {err}");
    }
    assert_eq!(decode(&["modifier"]).0, Some(2));
}
