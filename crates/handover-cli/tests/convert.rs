//! `handover convert`: what goes into tiles comes back, and lies where golden vectors say.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::Directory;
use handover::layout::tiling::{Parameters, Plane, Tiling};
use handover::{Bytes, Elements, Modifier};
use serde_json::Value;

/// Exit code, standard output, standard error.
fn convert(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_handover")).arg("convert").args(arguments).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, err)
}

fn converts(arguments: &[&str]) -> String {
    let (code, out, err) = convert(arguments);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
    out
}

/// A PNG file of these samples.
fn png(directory: &Directory, name: &str, size: (u32, u32), kind: png::ColorType, samples: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    encoder.set_color(kind);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(samples).unwrap();
    writer.finish().unwrap();
    directory.file(name, bytes)
}

fn samples(path: &str) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(fs::read(path).unwrap())).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    samples
}

/// The pattern of the golden vectors: an element's number.
fn pattern(x: u32, y: u32) -> u32 {
    x.wrapping_add(y << 16) ^ 0x9e37_79b9
}

const LAYOUTS: [(&str, &[&str]); 14] = [
    ("LINEAR", &[]),
    ("I915_FORMAT_MOD_X_TILED", &[]),
    ("I915_FORMAT_MOD_Y_TILED", &["--param", "intel_bit6=yes"]),
    ("I915_FORMAT_MOD_4_TILED", &["--stride", "1024"]),
    ("0x0200000004801a01", &[]),
    ("0x0200000020801b03", &[]),
    ("0x0300000000606014", &[]),
    ("0x0500000000000003", &["--param", "qualcomm=15,6,8"]),
    ("0x0600000000000002", &["--param", "vivante_supertile=2x4"]),
    ("0x0700000000000001", &[]),
    ("0x0700000000000006", &[]),
    ("0x0810000000000001", &[]),
    ("0x0c00000000000001", &[]),
    ("INVALID", &["--param", "amd_gfx8=2d,thin,12,8,16,1,4,4,512"]),
];

#[test]
fn pictures_come_back_from_layouts_of_every_vendor() {
    let directory = Directory::new();
    let size = (150, 70);
    let rgb: Vec<u8> = (0..size.0 * size.1).flat_map(|at| pattern(at, 0).to_le_bytes().into_iter().take(3)).collect();
    let input = png(&directory, "in.png", size, png::ColorType::Rgb, &rgb);
    let [raw, back] = ["raw", "back.png"].map(|name| directory.path().join(name).display().to_string());
    let mut planes = Vec::new();
    for (modifier, more) in LAYOUTS {
        let common = [&["--modifier", modifier], more].concat();
        converts(&[&[input.as_str(), &raw], common.as_slice()].concat());
        planes.push(fs::read(&raw).unwrap());
        converts(&[&[raw.as_str(), &back, "--size", "150x70"], common.as_slice()].concat());
        assert!(samples(&back) == rgb, "{modifier}");
    }
    planes.sort();
    planes.dedup();
    assert_eq!(planes.len(), LAYOUTS.len(), "no two layouts are the same");
}

/// Every vector of this vendor's file whose elements a PNG file can hold: the bytes are those that the address of each element says.
#[test]
fn planes_of_the_golden_pattern_are_those_of_the_vectors() {
    let directory = Directory::new();
    let raw = directory.path().join("raw").display().to_string();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../handover-model/tests/data/tiling");
    let mut seen = 0;
    for file in ["intel.jsonl", "nvidia.jsonl", "amd-gfx9plus.jsonl", "arm.jsonl", "apple.jsonl", "codec-tiles.jsonl"] {
        let text = fs::read_to_string(data.join(file)).unwrap();
        let vectors = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let fits = |vector: &Value| {
            let params = vector.get("params").unwrap_or(&Value::Null);
            let plain = params.get("bit6_swizzle") != Some(&Value::Bool(true)) && params.get("planes").is_none();
            plain
                && vector["bpp"].as_u64().is_some_and(|bytes| bytes == 4 || (bytes == 1 && file == "codec-tiles.jsonl"))
        };
        for vector in vectors.filter(fits).take(2) {
            let number = |member: &str| vector[member].as_u64().unwrap() as u32;
            let (width, height, bytes) = (number("width"), number("height"), number("bpp"));
            let elements = (0..height).flat_map(|y| (0..width).map(move |x| pattern(x, y).to_le_bytes()));
            let (kind, format, samples): (_, _, Vec<u8>) = if bytes == 4 {
                let rgba = elements.flat_map(|[blue, green, red, alpha]| [red, green, blue, alpha]);
                (png::ColorType::Rgba, "ARGB8888", rgba.collect())
            } else {
                (png::ColorType::Grayscale, "R8", elements.map(|[grey, ..]| grey).collect())
            };
            let input = png(&directory, "in.png", (width, height), kind, &samples);
            let (modifier, stride) = (vector["modifier"].as_str().unwrap(), number("pitch").to_string());
            let plane = vector["params"]["plane"].as_str();
            let param = format!("plane={}", plane.unwrap_or("luma"));
            converts(&[
                &input,
                &raw,
                "--modifier",
                modifier,
                "--format",
                format,
                "--stride",
                &stride,
                "--param",
                &param,
            ]);
            let converted = fs::read(&raw).unwrap();
            assert_eq!(converted.len() as u64, vector["size"].as_u64().unwrap(), "{}", vector["id"]);
            let plane = Some(if plane == Some("chroma") { Plane::Chroma } else { Plane::Luma });
            let parameters = Parameters { plane, ..Parameters::default() };
            let modifier: Modifier = modifier.parse().unwrap();
            let tiling = Tiling::of(modifier, Bytes(u64::from(bytes)), &parameters).unwrap();
            let placed = tiling.place(Elements(width), height, Some(Bytes(u64::from(number("pitch"))))).unwrap();
            let mut expected = vec![0; converted.len()];
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                let at = placed.offset(Elements(x), y).unwrap().get() as usize;
                expected[at..at + bytes as usize].copy_from_slice(&pattern(x, y).to_le_bytes()[..bytes as usize]);
            }
            assert!(converted == expected, "{}", vector["id"]);
            assert_eq!(sha256(&converted), vector["sha256"], "{}", vector["id"]);
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen} vectors");
}

/// By the system's own program: the hash is what everybody else computes.
fn sha256(bytes: &[u8]) -> String {
    let directory = Directory::new();
    let output = Command::new("sha256sum").arg(directory.file("bytes", bytes)).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn every_format_of_a_png_file_comes_back() {
    let directory = Directory::new();
    let size = (33, 9);
    let rgba: Vec<u8> = (0..size.0 * size.1).flat_map(|at| pattern(at, 3).to_le_bytes()).collect();
    let input = png(&directory, "in.png", size, png::ColorType::Rgba, &rgba);
    let path = |name: &str| directory.path().join(name).display().to_string();
    for format in ["XRGB8888", "ARGB8888", "XBGR8888", "ABGR8888", "XRGB2101010", "ARGB2101010", "RGB565", "R8", "R16"]
    {
        let tail = ["--modifier", "LINEAR", "--format", format, "--size", "33x9"];
        converts(&[&[input.as_str(), &path("one")], &tail[..]].concat());
        converts(&[&[path("one").as_str(), &path("back.png")], &tail[..]].concat());
        converts(&[&[path("back.png").as_str(), &path("two")], &tail[..]].concat());
        assert!(fs::read(path("one")).unwrap() == fs::read(path("two")).unwrap(), "{format}");
        if format.starts_with('A') && format.ends_with("8888") {
            assert!(samples(&path("back.png")) == rgba, "{format}");
        }
    }
}

#[test]
fn ten_bits_a_channel_have_their_places() {
    let directory = Directory::new();
    let input = png(&directory, "in.png", (2, 1), png::ColorType::Rgba, &[255, 0, 128, 255, 0, 64, 0, 85]);
    for (format, expected) in
        [("ARGB2101010", [0xfff0_0202, 0x4004_0400_u32]), ("XRGB2101010", [0xfff0_0202, 0xc004_0400])]
    {
        let out = directory.path().join(format).display().to_string();
        converts(&[&input, &out, "--modifier", "LINEAR", "--format", format]);
        let words: Vec<_> =
            fs::read(&out).unwrap().chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words, expected, "{format}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_says_what_would() {
    let directory = Directory::new();
    let input = png(&directory, "in.png", (2, 2), png::ColorType::Rgb, &[0; 12]);
    let short = directory.file("short", [0; 100]);
    let broken = directory.file("broken.png", b"\x89PNG\r\n\x1a\nno more");
    let out = directory.path().join("out").display().to_string();
    let out_png = format!("{out}.png");
    let y = "I915_FORMAT_MOD_Y_TILED";
    let cases: [(&[&str], i32, &str); 14] = [
        (&[&short, &out_png, "--modifier", y, "--size", "64x32"], 2, "the input has 100 bytes, expected 8192"),
        (&[&short, &out_png, "--modifier", "LINEAR", "--size", "5x4"], 2, "the input has 100 bytes, expected 80"),
        (&[&short, &out_png, "--modifier", y], 2, "--size is missing"),
        (&[&short, &out, "--modifier", y, "--size", "64x32"], 2, "give it a name that ends in .png"),
        (&[&input, &out_png, "--modifier", y], 2, "the output is a plane"),
        (&[&input, &out, "--modifier", y, "--size", "3x2"], 2, "--size: the PNG file has 2x2"),
        (&[&input, &out, "--modifier", y, "--stride", "100"], 2, "a multiple of 128 bytes"),
        (&[&input, &out, "--modifier", "LINEAR", "--stride", "7"], 2, "a row has 8 bytes"),
        (&[&input, &out, "--modifier", "0x0100000000000006"], 2, "compressed: resolve first"),
        (
            &[&input, &out, "--modifier", "0x0600000000000002"],
            2,
            "--param vivante_supertile=VALUE, where VALUE is 2x4 or z",
        ),
        (&[&input, &out, "--modifier", y, "--format", "NV12"], 2, "--format NV12: a PNG file cannot hold it"),
        (&[&input, &out, "--modifier", y, "--param", "bit6=yes"], 2, "there is no bit6"),
        (&[&broken, &out, "--modifier", y], 2, "broken.png: "),
        (&["/nowhere/in.png", &out, "--modifier", y], 1, "/nowhere/in.png: "),
    ];
    for (arguments, expected, said) in cases {
        let (code, _, err) = convert(arguments);
        assert_eq!(code, Some(expected), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(said), "{arguments:?}: {said} is not in {err}");
    }
    assert!(!Path::new(&out).exists() && !Path::new(&out_png).exists());
}

#[test]
fn what_was_written_is_said() {
    let directory = Directory::new();
    let input = png(&directory, "in.png", (2, 2), png::ColorType::Grayscale, &[1, 2, 3, 4]);
    let out = directory.path().join("out").display().to_string();
    let text = converts(&[&input, &out, "--modifier", "I915_FORMAT_MOD_X_TILED"]);
    assert!(text.contains("4096 bytes\n") && text.contains("XRGB8888 2x2 px, INTEL X_TILED, stride 512"), "{text}");
    let json = converts(&[&input, &out, "--modifier", "I915_FORMAT_MOD_X_TILED", "--json"]);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["bytes"], &value["stride"]), (&4096.into(), &512.into()), "{value:#}");
}
