//! Bad input: refused before anything starts, with one clear message and exit code 2, and no directory left behind.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;

use common::{Directory, run, stderr};
use handover_cli::media::mp4::Clip;

fn refused(arguments: &[&str], directory: &Directory, parts: &[&str]) {
    let output = run(directory, arguments);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty());
    assert!(!directory.out().exists(), "{arguments:?} left a directory");
    for part in parts {
        assert!(message.contains(part), "{arguments:?}: {part:?} is not in {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn clips_that_are_none() {
    let directory = Directory::new();
    let empty = directory.file("empty.mp4", "");
    let garbage = directory.file("garbage.mp4", [0x5a; 5000]);
    let cut = directory.file("cut.mp4", &Clip::DEFAULT[..Clip::DEFAULT.len() / 2]);
    refused(&["--input", "/nowhere/clip.mp4"], &directory, &["/nowhere/clip.mp4", "No such file"]);
    refused(&["--input", "/tmp"], &directory, &["no regular file"]);
    refused(&["--input", &empty], &directory, &["empty.mp4 is empty"]);
    refused(&["--input", &garbage], &directory, &["garbage.mp4"]);
    refused(&["--input", &cut], &directory, &["cut.mp4 is truncated"]);
    refused(&["fanout", "--input", &cut], &directory, &["no clip to decode"]);
}

#[test]
fn pipelines_that_are_wrong() {
    let directory = Directory::new();
    let source = "[[participant]]\nname = \"s\"\nkind = \"pattern\"\n";
    let encoder = "[[participant]]\nname = \"e\"\nkind = \"encoder\"\nreads = [\"s\"]\n";
    let cases: [(&str, String, &[&str]); 9] = [
        ("syntax", "name = \n".into(), &["syntax.toml:1:"]),
        ("key", format!("name = \"x\"\ncolour = 1\n{source}{encoder}"), &["key.toml:2:1", "colour", "allowed"]),
        ("kind", format!("name = \"x\"\n{source}{}", encoder.replace("encoder", "encodr")), &["kind.toml:7:8", "allowed", "encoder"]),
        (
            "cycle",
            "name = \"x\"\n[[participant]]\nname = \"a\"\nkind = \"blend\"\nreads = [\"b\"]\n[[participant]]\nname = \"b\"\nkind = \"blend\"\nreads = [\"a\"]\n"
                .into(),
            &["a cycle: a reads b reads a"],
        ),
        ("nobody", format!("name = \"x\"\n{encoder}"), &["there is no participant `s`"]),
        ("nothing", format!("name = \"x\"\n{source}{}", encoder.replace("reads = [\"s\"]\n", "")), &["reads nothing"]),
        ("endless", format!("name = \"x\"\n{source}"), &["nothing comes out"]),
        (
            "format",
            format!("name = \"x\"\n{source}formats = [\"XBGR8888\"]\n{encoder}formats = [\"XRGB8888\"]\n"),
            &["s and those who read it have no format in common", "format: s has XBGR8888", "e has XRGB8888"],
        ),
        ("huge", format!("name = \"x\"\n{source}extent = [8000, 8000]\n{encoder}"), &["e cannot run", "3840x2160"]),
    ];
    for (name, text, parts) in cases {
        let pipeline = directory.file(&format!("{name}.toml"), text);
        refused(&[&pipeline], &directory, parts);
    }
    refused(&["/nowhere.toml"], &directory, &["/nowhere.toml cannot be read"]);
    refused(&["--frames", "0"], &directory, &["--frames"]);
}

#[test]
fn output_directories_that_cannot_be_used() {
    let directory = Directory::new();
    fs::write(directory.out(), "a file").unwrap();
    let output = run(&directory, &["--frames", "1"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be used"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(directory.out()).unwrap(), "a file");
}

#[test]
fn odd_extents_run() {
    let directory = Directory::new();
    let pipeline = directory.file(
        "odd.toml",
        "name = \"odd\"\n[[participant]]\nname = \"s\"\nkind = \"pattern\"\nextent = [51, 37]\ndevice = \"blocks\"\n\
         [[participant]]\nname = \"e\"\nkind = \"encoder\"\ndevice = \"plain+blocks\"\nreads = [\"s\"]\n\
         [[participant]]\nname = \"p\"\nkind = \"preview\"\nreads = [\"s\"]\n",
    );
    let output = run(&directory, &[&pipeline, "--frames", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(common::whole_fragments(&directory.out().join("e.mp4")), 3);
    let (extent, _) = handover_cli::media::png::read(&directory.out().join("p-last.png")).unwrap();
    assert_eq!((extent.width().get(), extent.height().get()), (51, 37));
}

#[test]
fn help_tells_the_exit_codes_and_the_hidden_command_stays_hidden() {
    let help = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_handover")).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = help(&["run", "--help"]);
    for part in ["Exit codes:", "130", "Examples:", "--input", "report.json", "simulated"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!help(&["--help"]).contains("participant"));
}
