//! `handover layout` says where elements lie, draws the order of their bytes, and names what it was not told.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::{Command, Output};

use serde_json::{Value, json};

fn layout(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_handover")).arg("layout").args(arguments).output().unwrap()
}

fn said(arguments: &[&str]) -> String {
    let output = layout(arguments);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn stride_size_and_the_address_of_an_element_in_words_and_as_json() {
    let tile4 = ["--modifier", "I915_FORMAT_MOD_4_TILED", "--format", "XR24", "--size", "1920x1080", "--at", "5,2"];
    let text = said(&tile4);
    for expected in ["Intel Tile4, 4 bytes", "stride        7680", "rows          1088", "(5, 2) is byte 100 (0x64)"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let value: Value = serde_json::from_str(&said(&[&tile4[..], &["--json"]].concat())).unwrap();
    let plane = &value["planes"][0];
    assert_eq!((&value["modifier"], &plane["size"]), (&json!("0x0100000000000009"), &json!(7680 * 1088)));
    assert_eq!(plane["at"], json!({ "x": 5, "y": 2, "offset": 100 }));
    assert_eq!(plane["bits"][2], "y0");
}

#[test]
fn every_plane_of_a_video_format_has_its_own_tiles() {
    let arguments = ["--modifier", "0x0b00000000000001", "--format", "NV12", "--size", "1280x720", "--json"];
    let value: Value = serde_json::from_str(&said(&arguments)).unwrap();
    assert_eq!(value["planes"][0]["block"], json!([16, 32]), "{value:#}");
    assert_eq!(value["planes"][1]["block"], json!([8, 16]), "{value:#}");
}

#[test]
fn compressed_layouts_list_the_planes_of_their_data() {
    let value: Value =
        serde_json::from_str(&said(&["--modifier", "0x0100000000000006", "--size", "302x106", "--json"])).unwrap();
    assert_eq!(value["planes"][0]["compressed"], true);
    assert_eq!(value["planes"][0]["planes"][1], json!({ "offset": 196_608, "stride": 192, "size": 768 }));
    let retile = said(&["--modifier", "0x0200000020937b03", "--size", "1920x1080"]);
    for expected in
        ["data 1, a display's: 49152 bytes from 8847360 on", "data 2, the renderer's: 49152 bytes from 8896512"]
    {
        assert!(retile.contains(expected), "{expected}: {retile}");
    }
}

#[test]
fn parameters_complete_what_a_modifier_leaves_open() {
    let cases: &[&[&str]] = &[
        &["--modifier", "0x0500000000000003", "--param", "qualcomm=15,6,8"],
        &["--modifier", "0x0600000000000002", "--param", "vivante_supertile=z"],
        &["--modifier", "0x0400000000000002", "--format", "R8", "--param", "plane=luma"],
        &["--modifier", "0x0700000000066004", "--format", "NV12", "--param", "sand_first_row=1088"],
        &["--modifier", "INVALID", "--param", "amd_gfx8=2d,thin,12,8,16,1,4,4,512"],
        &["--modifier", "0x0100000000000002", "--param", "intel_bit6=yes"],
    ];
    for case in cases {
        assert!(said(case).contains("plane 0: "), "{case:?}");
    }
}

#[test]
fn refusals_name_what_is_missing_or_wrong() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--modifier", "0x0500000000000003"],
            "--param qualcomm=VALUE, where VALUE is BANK_BIT,LEVELS,CHANNELS, such as 15,6,8",
        ),
        (&["--modifier", "0x0600000000000002"], "--param vivante_supertile=VALUE, where VALUE is 2x4 or z"),
        (
            &["--modifier", "0x0400000000000002", "--format", "R8"],
            "no parameter plane; refused because only the luma plane of this layout is public; \
             what helps: --param plane=VALUE, where VALUE is luma or chroma\n",
        ),
        (&["--modifier", "LINEAR"], "need no tiling"),
        (&["--modifier", "nonsense"], "nonsense"),
        (&["--modifier", "0x0100000000000002", "--format", "QQQQ"], "QQQQ"),
        (&["--modifier", "0x0100000000000002", "--size", "big"], "--size big"),
        (&["--modifier", "0x0100000000000002", "--at", "4000,1"], "outside"),
        (&["--modifier", "0x0100000000000002", "--param", "banks=4"], "there is no banks"),
        (&["--modifier", "0x0500000000000003", "--param", "qualcomm=15"], "15,6,8"),
        (
            &["--modifier", "0x0700000000066004", "--format", "NV12"],
            "--param sand_first_row=VALUE, where VALUE is a number of rows",
        ),
        (&["--modifier", "INVALID"], "--param amd_gfx8=VALUE, where VALUE is MODE,MICRO,"),
    ];
    for (arguments, expected) in cases {
        let output = layout(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), [].as_slice()), "{arguments:?}");
        assert!(message.starts_with("error: ") && message.contains(expected), "{arguments:?}: {message}");
    }
}

#[test]
fn the_picture_shows_each_piece_of_a_block_once() {
    let path = std::env::temp_dir().join(format!("handover-layout-{}.svg", std::process::id()));
    let file = path.to_str().unwrap();
    said(&["--modifier", "0x0100000000000009", "--svg", file]);
    let svg = std::fs::read_to_string(&path).unwrap();
    // 32 x 32 elements: 32 pieces of 8 x 4, and the 32 elements of the first.
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<rect x=").count(), 64);
    assert!(svg.contains("address bits 2 up: x0 x1 y0 y1 x2 x3 y2 x4 y3 y4"), "{svg}");
    for offset in (0..4096).step_by(128) {
        assert!(svg.contains(&format!(">{offset}</text>")), "no piece at {offset}");
    }
    std::fs::remove_file(&path).unwrap();
    let output = layout(&["--modifier", "0x0100000000000009", "--svg", "/dev/null/no.svg"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}
