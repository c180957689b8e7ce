//! The pictures of a preview: which frames they show, also when its reader skips some.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Directory, participant, report, run, stderr};
use handover_cli::draw::{self, Pixels};
use handover_cli::media::png;

const PICTURES: [&str; 3] = ["p-first.png", "p-middle.png", "p-last.png"];

/// A source, and a reader that takes every frame of it and its time: without it a mailbox would see next to nothing.
const PACED: &str = r#"name = "paced"

[[participant]]
name = "s"
kind = "pattern"
extent = [64, 48]

[[participant]]
name = "pace"
kind = "preview"
reads = ["s"]
hold_ms = 3

"#;

fn pictures(text: &str, frames: &str) -> (Directory, u64) {
    let directory = Directory::new();
    let pipeline = directory.file("preview.toml", text);
    let output = run(&directory, &[&pipeline, "--frames", frames]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for picture in PICTURES {
        assert!(directory.out().join(picture).exists(), "{picture} is missing");
    }
    let shown = participant(&report(&directory), "p")["frames"]["shown"].as_u64().unwrap();
    (directory, shown)
}

/// It sees a few frames of many; counting those it saw, it never came to the middle.
#[test]
fn a_mailbox_preview_has_its_middle() {
    let preview =
        "[[participant]]\nname = \"p\"\nkind = \"preview\"\nreads = [\"s\"]\nmode = \"mailbox\"\nhold_ms = 20\n";
    let (directory, shown) = pictures(&format!("{PACED}{preview}"), "200");
    assert!(shown < 100, "it saw {shown} of 200 frames: nothing was tried");
    let (extent, middle) = png::read(&directory.out().join("p-middle.png")).unwrap();
    let shows = |frame: u64| {
        let mut card = Pixels::new(extent);
        draw::pattern(frame, 0, &mut card);
        card.bytes().chunks(4).zip(middle.chunks(4)).all(|(card, shown)| card[..3] == shown[..3])
    };
    // Frames are drawn from 0: the hundredth is number 99. A busy machine may be late, but not early.
    assert!((99..200).any(shows) && !(0..99).any(shows), "the middle shows {:?}", (0..200).find(|frame| shows(*frame)));
}

/// Its producer makes fewer frames than the run has.
#[test]
fn a_preview_behind_a_mailbox_has_its_middle() {
    let compositor =
        "[[participant]]\nname = \"c\"\nkind = \"compositor\"\nreads = [\"s\"]\nmode = \"mailbox\"\nhold_ms = 20\n";
    let preview = "[[participant]]\nname = \"p\"\nkind = \"preview\"\nreads = [\"c\"]\n";
    let (_directory, shown) = pictures(&format!("{PACED}{compositor}{preview}"), "200");
    assert!(shown < 100, "it saw {shown} of 200 frames: nothing was tried");
}

#[test]
fn one_frame_is_first_middle_and_last() {
    let text = "name = \"one\"\n[[participant]]\nname = \"s\"\nkind = \"pattern\"\nextent = [64, 48]\n\
                [[participant]]\nname = \"p\"\nkind = \"preview\"\nreads = [\"s\"]\n";
    let (directory, shown) = pictures(text, "1");
    assert_eq!(shown, 1);
    let bytes = PICTURES.map(|picture| std::fs::read(directory.out().join(picture)).unwrap());
    assert!(bytes[0] == bytes[1] && bytes[1] == bytes[2]);
}
