//! `handover devices` says what this machine can, and what would help where it cannot.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn devices(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_handover")).arg("devices").args(arguments).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), [].as_slice()));
    String::from_utf8(output.stdout).unwrap()
}

/// Shows that a check was left out and why. Fails instead where `HANDOVER_REQUIRE` names `need` or says `all`.
fn skip(need: &str, why: &str) {
    let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == need || name == "all"), "{need} is required: {why}");
    // Not by eprintln: of a test that passes, the harness keeps that to itself.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: needs {need}: {why}\n"));
}

#[test]
fn it_names_a_tier_and_what_would_raise_it() {
    let report: Value = serde_json::from_str(&devices(&["--json"])).unwrap();
    let tier = report["tier"].as_str().unwrap();
    assert!(report["next"].is_null() || !report["next"]["why"].as_str().unwrap().is_empty(), "{report:#}");
    let text = devices(&[]);
    assert!(text.starts_with(&format!("Tier: {tier}\n")) && text.contains("software backend works"), "{text}");
}

#[test]
fn a_missing_udmabuf_is_told_with_its_module_and_a_present_one_works() {
    let report: Value = serde_json::from_str(&devices(&["--json"])).unwrap();
    let udmabuf = &report["sources"][0];
    assert_eq!(udmabuf["name"], "udmabuf");
    if Path::new("/dev/udmabuf").exists() {
        assert!(udmabuf["makes"]["yes"] == true || !udmabuf["makes"]["help"].as_str().unwrap().is_empty());
    } else {
        assert_eq!((&udmabuf["makes"]["yes"], &udmabuf["makes"]["errno"]), (&false.into(), &2.into()));
        assert!(udmabuf["makes"]["help"].as_str().unwrap().contains("modprobe udmabuf"), "{udmabuf:#}");
    }
}

#[test]
fn devices_disagree_and_each_says_so() {
    let report: Value = serde_json::from_str(&devices(&["--json"])).unwrap();
    let of = |driver: &str| report["drm"].as_array().unwrap().iter().find(|node| node["driver"] == driver);
    let (Some(virtio), Some(vgem)) = (of("virtio_gpu"), of("vgem")) else {
        return skip("vgem", "no nodes of vgem and virtio_gpu");
    };
    let can = |node: &Value, ability: &str| node["abilities"][ability]["yes"] == true;
    assert!(can(virtio, "syncobj timelines") && !can(vgem, "syncobj timelines"), "{report:#}");
    assert!(can(vgem, "imports system memory"), "{report:#}");
    // Without a host's 3D it takes its own buffers only (ENODEV).
    assert_eq!(virtio["abilities"]["imports system memory"]["errno"], 19, "{report:#}");
}

#[test]
fn simulated_devices_follow_and_say_so() {
    let report: Value = serde_json::from_str(&devices(&["--json"])).unwrap();
    let simulated = report["simulated"].as_array().unwrap();
    let names: Vec<&str> = simulated.iter().map(|device| device["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["plain", "blocks", "polaris10", "vega10", "navi21", "tigerlake", "turing"]);
    assert!(simulated.iter().all(|device| device["simulated"] == true), "{simulated:#?}");
    let navi21 = &simulated[4];
    assert_eq!((&navi21["vendor_id"], &navi21["pci_id"]), (&"0x1002".into(), &"0x73bf".into()));
    let modifiers = navi21["modifiers"].as_array().unwrap();
    assert_eq!(modifiers[0]["modifier"], "0x020000002096bb03");
    assert_eq!(modifiers.last().unwrap()["name"], "LINEAR");
    // The layout of another vendor, with a decoder only.
    let reads = |member: &str| navi21[member].as_array().unwrap().contains(&"0x0100000000000002".into());
    assert_eq!((reads("reads"), reads("reads_with_decoder")), (false, true));
    // DCC for the renderer alone is not the display's.
    assert_eq!(navi21["shown_by_display"].as_array().unwrap().len() + 1, modifiers.len());

    let text = devices(&[]);
    let (_, simulated) = text.split_once("Simulated devices (test doubles").unwrap();
    assert!(simulated.contains("\n  tigerlake (simulated): 8086:9a49, Intel Tiger Lake, gen 12\n"), "{simulated}");
    assert!(simulated.contains("\n      0x0100000000000002  INTEL Y_TILED\n"), "{simulated}");
}
