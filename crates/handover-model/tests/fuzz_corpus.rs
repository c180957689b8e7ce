//! The corpora of `cargo xtask fuzz`, replayed: no input panics, and every property holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod fuzz_targets;

use std::path::Path;

use fuzz_targets::TARGETS;

#[test]
fn corpora() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for target in TARGETS {
        let files = folder.join(target.name).read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut count = 0;
        for file in files {
            let input = std::fs::read(&file).unwrap();
            if let Err(broken) = (target.run)(&input) {
                panic!("{}: {broken}", file.display());
            }
            count += 1;
        }
        assert!((1..=600).contains(&count), "{}: {count} files", target.name);
    }
}

#[test]
fn nothing_is_an_input_too() {
    for target in TARGETS {
        assert!((target.run)(&[]).is_ok(), "{}: {}", target.name, target.about);
    }
}
