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

/// The clip with every byte of the NAL units from `from` to `to` per mille of its frames changed, their lengths too if
/// they are not to be kept.
fn noise(from: usize, to: usize, keep_lengths: bool) -> Vec<u8> {
    let mut bytes = Clip::DEFAULT.to_vec();
    let at = bytes.windows(4).position(|kind| kind == b"mdat").unwrap();
    let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    let frames = &mut bytes[at + 4..at - 4 + size];
    let length = frames.len();
    let mut unit = 0;
    while unit + 4 <= length {
        let next = unit + 4 + u32::from_be_bytes(frames[unit..unit + 4].try_into().unwrap()) as usize;
        let start = if keep_lengths { unit + 4 } else { unit };
        if (length * from / 1000..length * to / 1000).contains(&unit) {
            frames[start..next.min(length)].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
        unit = next;
    }
    bytes
}

#[test]
fn clips_whose_frames_are_noise() {
    let directory = Directory::new();
    let (lengths, units) = ("lengths.mp4", "units.mp4");
    let clip = directory.file(lengths, noise(0, 1000, false));
    refused(&["--input", &clip], &directory, &[lengths, "malformed: frame 0"]);
    // The frames are found, and the decoder makes nothing of them.
    let clip = directory.file(units, noise(0, 1000, true));
    refused(&["--input", &clip], &directory, &[units, "malformed: no picture comes out"]);
}

/// What breaks later than that fails, under the name that people gave it.
#[test]
fn a_clip_that_is_torn_in_the_middle_fails_under_its_name() {
    let directory = Directory::new();
    let clip = directory.file("torn.mp4", noise(400, 1000, false));
    let output = run(&directory, &["--input", &clip]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("torn.mp4") && !message.contains("/proc/"), "{message}");
}

/// 16 GiB for one participant, which the machine may have or not.
#[test]
fn pipelines_that_take_too_much() {
    let directory = Directory::new();
    let text = "name = \"x\"\n[[participant]]\nname = \"small\"\nkind = \"pattern\"\nextent = [16, 16]\n\
                [[participant]]\nname = \"large\"\nkind = \"pattern\"\nextent = [16384, 16384]\nsurfaces = 16\n\
                [[participant]]\nname = \"p\"\nkind = \"preview\"\nreads = [\"large\"]\n\
                [[participant]]\nname = \"q\"\nkind = \"preview\"\nreads = [\"small\"]\n";
    let pipeline = directory.file("memory.toml", text);
    refused(&[&pipeline], &directory, &["allowed: 2048 MiB", "large takes most of it: 16 surfaces of 1024 MiB"]);
}

/// Starts the program from a shell that lowers the limit on open files first.
fn limited(directory: &Directory, limit: &str) -> std::process::Output {
    let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_handover"), "run", "fanout", "--frames", "3", "--out"]);
    shell.arg(directory.out()).output().unwrap()
}

#[test]
fn too_few_open_files_are_raised_or_refused() {
    let directory = Directory::new();
    let output = limited(&directory, "-n 40");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("open files") && stderr(&output).contains("allowed: 40"), "{}", stderr(&output));
    assert!(!directory.out().exists());
    let output = limited(&directory, "-Sn 40");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
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

/// The results of a run would have replaced what it reads: each of these once deleted the file.
#[test]
fn inputs_are_never_replaced_by_results() {
    let directory = Directory::new();
    let out = directory.out();
    fs::create_dir(&out).unwrap();
    let at = |name: &str| out.join(name).display().to_string();
    let refused = |arguments: &[&str], name: &str| {
        let output = run(&directory, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("would replace the input"), "{}", stderr(&output));
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    };
    fs::write(at("preview-first.png"), "earlier").unwrap();
    fs::write(at("capture.mp4"), Clip::DEFAULT).unwrap();
    refused(&["--input", &at("capture.mp4"), "--frames", "1"], "capture.mp4");
    // By another name, and through links in either direction.
    let clip = directory.file("clip.mp4", Clip::DEFAULT);
    let other = directory.path().join("other.mp4");
    std::os::unix::fs::symlink(at("capture.mp4"), &other).unwrap();
    refused(&["--input", &other.display().to_string()], "capture.mp4");
    fs::remove_file(at("capture.mp4")).unwrap();
    std::os::unix::fs::symlink(&clip, at("capture.mp4")).unwrap();
    refused(&["--input", &clip], "capture.mp4");
    refused(&["--input", &at("capture.mp4")], "capture.mp4");
    fs::remove_file(at("capture.mp4")).unwrap();
    fs::hard_link(&clip, at("capture.mp4")).unwrap();
    refused(&["--input", &clip], "capture.mp4");
    // A pipeline may be called anything.
    let (_, fanout) = handover_cli::pipeline::SHIPPED[1];
    fs::write(at("report.json"), fanout).unwrap();
    refused(&[&at("report.json")], "report.json");

    assert_eq!(fs::read(&clip).unwrap(), Clip::DEFAULT);
    assert_eq!(fs::read(at("capture.mp4")).unwrap(), Clip::DEFAULT);
    assert_eq!(fs::read_to_string(at("report.json")).unwrap(), fanout);
    assert_eq!(fs::read_to_string(at("preview-first.png")).unwrap(), "earlier", "nothing goes before all is checked");
}

/// The participant reads the file that was checked, by its descriptor: a path of ours means nothing to it, and may lead
/// elsewhere by then.
#[test]
fn the_clip_that_was_checked_is_the_one_that_is_read() {
    let directory = Directory::new();
    let clip = fs::File::open(directory.file("clip.mp4", Clip::DEFAULT)).unwrap();
    let output = common::command(&directory, &["--input", "/dev/stdin", "--frames", "3"]).stdin(clip).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(common::whole_fragments(&directory.out().join("capture.mp4")), 3);
}

#[test]
fn what_a_killed_run_left_blocks_no_other_and_is_not_taken_for_new() {
    let directory = Directory::new();
    fs::create_dir(directory.out()).unwrap();
    for name in [".handover", "preview-last.png.part", "preview-first.png"] {
        fs::write(directory.out().join(name), "stale").unwrap();
    }
    let output = run(&directory, &["--frames", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!directory.out().join("preview-last.png.part").exists());
    let left: Vec<_> = fs::read_dir(directory.out()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.iter().filter(|name| name.to_string_lossy().starts_with('.')).count(), 1, "{left:?}");

    // A result that cannot have its name is refused, and the others stay.
    fs::remove_file(directory.out().join("preview-last.png")).unwrap();
    fs::create_dir(directory.out().join("preview-last.png")).unwrap();
    let output = run(&directory, &["--frames", "2"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("a directory has the name of a result"), "{}", stderr(&output));
    assert_eq!(common::whole_fragments(&directory.out().join("capture.mp4")), 2);
}

/// What lies in the working directory does not stand in for a shipped pipeline, unless it is a file and asked for.
#[test]
fn entries_called_like_shipped_pipelines() {
    let directory = Directory::new();
    let here = |arguments: &[&str]| {
        let mut command = common::command(&directory, arguments);
        command.current_dir(directory.path()).args(["--frames", "1"]).output().unwrap()
    };
    fs::create_dir(directory.path().join("desktop")).unwrap();
    for arguments in [&[][..], &["desktop"]] {
        let output = here(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    }
    fs::remove_dir(directory.path().join("desktop")).unwrap();
    directory.file("desktop", "no pipeline");
    assert_eq!(here(&[]).status.code(), Some(0));
    let output = here(&["desktop"]);
    assert_eq!(output.status.code(), Some(2), "a file that is asked for counts");
    assert!(stderr(&output).contains("desktop:1:"), "{}", stderr(&output));
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
