//! `cargo xtask vm --demo`: one command that shows what the project does, and leaves what it made.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::guest::Guest;
use super::job::Event;
use super::programs::Workspace;
use super::{Options, job, show_console};

/// What it leaves, and what each is.
const RESULTS: [(&str, &str); 4] = [
    ("screenshot.png", "the screen of stock Weston, taken from outside the guest"),
    ("stream.mp4", "the first encoder's video"),
    ("capture.mp4", "the second encoder's, which ran beside it on the same surfaces"),
    ("waits.svg", "who waited for whom, with the kernel's own fences on the same clock"),
];

/// Runs it, and says where the results lie.
pub(super) fn run(options: &Options) -> Result<ExitCode, String> {
    let workspace = Workspace::read()?;
    let guest = Guest::prepare(options, &workspace.target)?;
    let program = workspace.build_program("handover-cli", "handover")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vm/demo.sh");
    let out = guest.out.join("demo");
    let words: Vec<String> =
        [Path::new("sh"), &script, &program, &out].iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut status = None;
    let result = guest.run(&job::single(&guest.out, Path::new("/"), &words), &[], &mut |event| {
        if let Event::End { status: found, .. } = event {
            status = Some(*found);
        }
    });
    show_console(options, &guest);
    result?;
    match status {
        Some(0) => report(&out),
        Some(status) => {
            Err(format!("the demonstration ended with status {status}; what it left lies in {}", out.display()))
        }
        None => Err("the guest lost the demonstration's exit status".to_owned()),
    }
}

/// Every result is there, or this says which is not.
fn report(out: &Path) -> Result<ExitCode, String> {
    let is_there = |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.len() > 0);
    let mut missing = Vec::new();
    for (name, what) in RESULTS {
        let path = out.join(name);
        if is_there(&path) {
            println!("{}\n    {what}", path.display());
        } else {
            missing.push(name);
        }
    }
    match missing.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        missing => Err(format!("the demonstration did not leave {} in {}", missing.join(", "), out.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::{RESULTS, report};

    #[test]
    fn a_result_that_is_missing_or_empty_is_named() {
        let out = std::env::temp_dir().join(format!("xtask-demo-{}", std::process::id()));
        std::fs::create_dir_all(&out).unwrap();
        for (name, _) in RESULTS {
            std::fs::write(out.join(name), name).unwrap();
        }
        let whole = report(&out).is_ok();
        std::fs::write(out.join("waits.svg"), "").unwrap();
        let refused = report(&out).unwrap_err();
        std::fs::remove_dir_all(&out).unwrap();
        assert!(whole);
        assert!(refused.contains("waits.svg") && !refused.contains("stream.mp4"), "{refused}");
    }
}
