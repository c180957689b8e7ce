//! Pipelines: the shipped ones load, wrong ones say where and what is allowed.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use handover::{ExportFlags, Extent, Format};
use handover_cli::pipeline::{Device, Kind, Mode, Pipeline, SHIPPED};

/// A small right pipeline; tests break one line of it.
const RIGHT: &str = r#"name = "small"

[[participant]]
name = "a"
kind = "pattern"

[[participant]]
name = "b"
kind = "encoder"
reads = ["a"]
"#;

fn refused(text: &str) -> String {
    match Pipeline::parse(text, "test.toml") {
        Ok(pipeline) => panic!("accepted: {pipeline:?}"),
        Err(diagnostics) => diagnostics.to_string(),
    }
}

/// Every one of `parts` stands in the message for `text`.
fn says(text: &str, parts: &[&str]) {
    let message = refused(text);
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
}

#[test]
fn shipped_pipelines_are_right() {
    for (name, text) in SHIPPED {
        let pipeline = Pipeline::parse(text, name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(pipeline.name, name);
        assert_eq!(pipeline.producers_first().len(), pipeline.participants.len());
    }
}

#[test]
fn desktop_has_three_readers_of_the_clip() {
    let pipeline = Pipeline::load(None).unwrap();
    let clip = &pipeline.participants[0];
    assert_eq!((&clip.kind, clip.device), (&Kind::Clip, Device::Simulated(handover::Device::BLOCKS)));
    assert_eq!(clip.export, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH);
    let readers: Vec<_> = pipeline.readers(0).map(|index| pipeline.participants[index].name.as_str()).collect();
    assert_eq!(readers, ["compositor", "stream", "capture"]);
    assert_eq!(pipeline.participants[1].formats, [Format::ARGB8888]);
}

#[test]
fn keys_are_read() {
    let text = RIGHT.replace(
        "reads = [\"a\"]",
        "reads = [\"a\"]\nmode = \"mailbox\"\nhold_ms = 100\ncopies = false\nfile = \"x.mp4\"\nbitrate = 50_000",
    );
    let text = text.replace("kind = \"pattern\"", "kind = \"pattern\"\nindex = 3\nextent = [64, 33]\nsurfaces = 2");
    let text = text.replacen("\n\n[[", "\nframes = 7\nfps = \"30000/1001\"\n\n[[", 1);
    let pipeline = Pipeline::parse(&text, "test.toml").unwrap();
    assert_eq!((pipeline.frames, pipeline.rate.unwrap().frames()), (Some(7), 30000));
    let [a, b] = pipeline.participants.as_slice() else { panic!() };
    assert_eq!((&a.kind, a.extent, a.surfaces), (&Kind::Pattern { index: 3 }, Extent::new(64, 33).ok(), 2));
    assert_eq!((b.mode, b.hold.as_millis(), b.copies, b.reads.as_slice()), (Mode::Mailbox, 100, false, &[0][..]));
    assert!(matches!(&b.kind, Kind::Encoder(encoding) if encoding.bitrate == 50_000 && encoding.file == "x.mp4"));
}

#[test]
fn unknown_key_is_shown_like_a_compiler_does() {
    let message = refused(&RIGHT.replace("reads", "raeds"));
    let expected = "error: unknown key `raeds`
  --> test.toml:10:1
   |
10 | raeds = [\"a\"]
   | ^^^^^
   |
   = help: allowed: ";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("`reads`") && message.contains("`hold_ms`"), "{message}");
}

#[test]
fn each_wrong_value_names_its_place_and_what_is_allowed() {
    says("name = \"x\"\nparticipant = 3\n", &["test.toml:2:15", "invalid type", "allowed: an array"]);
    says(
        &RIGHT.replace("name = \"a\"", "name = 5"),
        &["test.toml:4:8", "invalid type: integer `5`", "allowed: a string"],
    );
    says(&RIGHT.replace("= \"small\"", "= "), &["test.toml:1:7", "string values must be quoted"]);
    says(&RIGHT.replace("name = \"a\"\n", ""), &["missing key `name`"]);
    says(
        &RIGHT.replace("\"pattern\"", "\"patern\""),
        &["test.toml:5:8", "unknown kind `patern`", "did you mean `pattern`?", "allowed: clip, overlay"],
    );
    says(
        &RIGHT.replace("\"pattern\"", "\"pattern\"\ndevice = \"vega\""),
        &[
            "test.toml:6:10",
            "unknown device `vega`",
            "allowed: plain, plain+blocks, blocks, polaris10, vega10, navi21, tigerlake, turing, plain+decode",
        ],
    );
    says(
        &RIGHT.replace("\"pattern\"", "\"pattern\"\nformats = [\"xrgb8888\"]"),
        &["unknown format", "did you mean `XRGB8888`?"],
    );
    says(&RIGHT.replace("\"pattern\"", "\"pattern\"\nexport = [\"explicit-flush\"]"), &["neither reading nor writing"]);
    says(
        &RIGHT.replace("\"pattern\"", "\"pattern\"\nextent = [0, 5]"),
        &["test.toml:6:10", "allowed: [width, height]"],
    );
    says(&RIGHT.replace("\"pattern\"", "\"pattern\"\nsurfaces = 17"), &["`surfaces` is 17", "allowed: 1 to 16"]);
    says(
        &RIGHT.replace("\"pattern\"", "\"pattern\"\nbitrate = 10_000"),
        &["`bitrate` means nothing to a participant of kind pattern", "allowed for: encoder"],
    );
    says(&RIGHT.replace("name = \"b\"", "name = \"a\""), &["two participants are called `a`", "first", "second"]);
    says(&RIGHT.replace("name = \"b\"", "name = \"B/..\""), &["allowed: 1 to 32 small letters"]);
    says(&RIGHT.replace("[\"a\"]", "[\"c\"]"), &["test.toml:10:10", "there is no participant `c`", "allowed: a"]);
    says(
        &RIGHT.replace("[\"a\"]", "[\"a\"]\nfile = \"../b.mp4\""),
        &["test.toml:11:8", "the file \"../b.mp4\" cannot be used"],
    );
    says(
        &RIGHT.replace("[\"a\"]", "[\"a\"]\nmode = \"lifo\""),
        &["unknown mode `lifo`", "did you mean `fifo`?", "allowed: fifo, mailbox"],
    );
    says(&RIGHT.replacen("\n\n", "\nfps = 0\n\n", 1), &["no frame rate", "1 to 600"]);
    says(&RIGHT.replacen("\n\n", "\nframes = -1\n\n", 1), &["`frames` is -1"]);
}

#[test]
fn a_mailbox_cannot_be_copied() {
    let with = |keys: &str| RIGHT.replace("[\"a\"]", &format!("[\"a\"]\n{keys}"));
    let both = with("mode = \"mailbox\"\ncopies = true");
    says(&both, &["a mailbox that is copied", "test.toml:11:8", "takes every frame", "leave one of them out"]);
    let b = |keys: &str| Pipeline::parse(&with(keys), "test.toml").unwrap().participants[1].clone();
    assert!(b("mode = \"fifo\"\ncopies = true").copies && b("copies = true").mode == Mode::Fifo);
}

#[test]
fn vulkan_is_for_those_who_draw_and_for_shared_surfaces() {
    let drawn = RIGHT.replace("\"pattern\"", "\"pattern\"\ndevice = \"vulkan\"\ngpu = \"radeon\"");
    let pattern = Pipeline::parse(&drawn, "test.toml").unwrap().participants[0].clone();
    assert!(pattern.needs_linux() && pattern.gpu.as_deref() == Some("radeon"));
    says(
        &RIGHT.replace("[\"a\"]", "[\"a\"]\ndevice = \"vulkan\""),
        &["kind encoder does not use Vulkan", "test.toml:11:10", "allowed for: pattern, compositor"],
    );
    says(
        &RIGHT.replace("\"pattern\"", "\"pattern\"\ngpu = \"x\""),
        &["`gpu` means nothing to a participant of kind pattern", "with device = \"vulkan\""],
    );
    let copied = drawn.replace("[\"a\"]", "[\"a\"]\ncopies = true");
    says(&copied, &["`a` cannot be copied through a socket", "test.toml:13:10", "leave `copies` out"]);
    let alone = format!("{RIGHT}[[participant]]\nname = \"alone\"\nkind = \"pattern\"\ndevice = \"vulkan\"\n");
    says(&alone, &["nobody reads `alone`", "draws into surfaces that others read"]);
    let held =
        "[[participant]]\nname = \"c\"\nkind = \"compositor\"\nreads = [\"a\"]\ndevice = \"vulkan\"\nhold_ms = 5\n";
    says(
        &format!("{RIGHT}{held}[[participant]]\nname = \"p\"\nkind = \"preview\"\nreads = [\"c\"]\n"),
        &["`hold_ms` means nothing to a participant of kind compositor on Vulkan", "on a simulated device"],
    );
}

#[test]
fn windows_have_titles_and_programs_commands() {
    let window = RIGHT.replace("\"encoder\"", "\"window\"\ntitle = \"A card\"");
    assert!(Pipeline::parse(&window, "test.toml").unwrap().participants[1].needs_linux());
    says(&window.replace("A card", "a\\u0007b"), &["the title cannot be used", "test.toml:10:9"]);
    let program = |keys: &str| RIGHT.replace("\"pattern\"", &format!("\"program\"\n{keys}"));
    let right = Pipeline::parse(&program("command = [\"weston-simple-egl\", \"-f\"]"), "test.toml").unwrap();
    assert_eq!(right.participants[0].kind, Kind::Program { command: vec!["weston-simple-egl".into(), "-f".into()] });
    for keys in ["", "command = []", "command = [\"\"]", "command = [\"a\", \"\\u0000\"]"] {
        says(&program(keys), &["no command that the program `a` could run", "command = [\"weston-simple-egl\"]"]);
    }
    says(
        &RIGHT.replace("\"pattern\"", "\"pattern\"\ncommand = [\"a\"]"),
        &["`command` means nothing to a participant of kind pattern", "allowed for: program"],
    );
}

#[test]
fn an_export_must_be_for_reading() {
    let with = |flags: &str| RIGHT.replace("\"pattern\"", &format!("\"pattern\"\nexport = [{flags}]"));
    says(&with("\"write\""), &["test.toml:6:10", "nobody can read", "add \"read\""]);
    says(&with("\"write\", \"explicit-flush\""), &["nobody can read"]);
    says(&with(""), &["neither reading nor writing"]);
    let both = Pipeline::parse(&with("\"read\", \"write\""), "test.toml").unwrap();
    assert_eq!(both.participants[0].export, ExportFlags::READ | ExportFlags::WRITE);
}

#[test]
fn the_name_of_a_pipeline_is_bounded_and_plain() {
    let named = |name: &str| RIGHT.replacen("\"small\"", name, 1);
    let allowed = "allowed: 1 to 32 small letters, digits, '-' and spaces";
    for name in ["\"\"", "\"Big\"", "\"a\\u001b[2Jb\"", "\"a\\nb\"", &format!("\"{}\"", "x".repeat(33))] {
        says(&named(name), &["cannot be used", allowed, "test.toml:1:8"]);
    }
    let long = refused(&named(&format!("\"{}\"", "\u{fc}".repeat(100_000))));
    assert!(!long.lines().next().unwrap().contains(&"\u{fc}".repeat(40)), "only its start is repeated in the message");
    assert!(!refused(&named("\"a\\u001b[2Jb\"")).contains('\u{1b}'));
    assert!(Pipeline::parse(&named("\"two-encoders 2\""), "test.toml").is_ok());
}

#[test]
fn all_wrong_values_are_told_at_once() {
    let text = RIGHT.replace("\"pattern\"", "\"patern\"").replace("[\"a\"]", "[\"z\"]");
    let Err(diagnostics) = Pipeline::parse(&text, "test.toml") else { panic!() };
    assert_eq!(diagnostics.iter().count(), 2, "{diagnostics}");
}

#[test]
fn a_cycle_is_named() {
    let text = r#"name = "x"
[[participant]]
name = "a"
kind = "compositor"
reads = ["source", "c"]
[[participant]]
name = "b"
kind = "compositor"
reads = ["a"]
[[participant]]
name = "c"
kind = "compositor"
reads = ["b"]
[[participant]]
name = "source"
kind = "pattern"
[[participant]]
name = "out"
kind = "preview"
reads = ["c"]
"#;
    says(text, &["a cycle: a reads c reads b reads a", "test.toml:3:8"]);
    says(&text.replace("[\"b\"]", "[\"c\"]"), &["a cycle: c reads c"]);
}

#[test]
fn a_pipeline_needs_a_producer_a_reader_and_an_end() {
    says("name = \"x\"\n", &["no participants"]);
    says(&RIGHT.replace("reads = [\"a\"]", ""), &["the encoder `b` reads nothing", "test.toml:8:8"]);
    says(&RIGHT.replace("\"pattern\"", "\"compositor\"\nreads = [\"a\"]"), &["no producer", "a cycle: a reads a"]);
    says(
        &RIGHT.replace("\"encoder\"", "\"compositor\""),
        &["nothing comes out of the pipeline", "no encoder and no preview"],
    );
    says(
        &RIGHT.replace("\"pattern\"", "\"pattern\"\nreads = [\"b\"]"),
        &["`b` has no surfaces to read", "the pattern `a` reads"],
    );
    let two = format!("{RIGHT}[[participant]]\nname = \"c\"\nkind = \"encoder\"\nreads = [\"a\"]\nfile = \"b.mp4\"\n");
    says(&two, &["two encoders write `b.mp4`"]);
    says(&RIGHT.replace("[\"a\"]", "[\"a\", \"a\"]"), &["`a` is read twice", "the encoder `b` reads 2 participants"]);
}

/// A side of OpenGL and one of OpenCL.
const INTEROP: &str = r#"name = "interop"

[[participant]]
name = "gl"
kind = "opengl"
device = "navi21"

[[participant]]
name = "cl"
kind = "compute"
device = "navi21"
reads = ["gl"]
access = "read-write"
"#;

#[test]
fn a_compute_imports_from_one_opengl_and_says_what_for() {
    let pipeline = Pipeline::parse(INTEROP, "test.toml").unwrap();
    let [gl, cl] = pipeline.participants.as_slice() else { panic!() };
    let access = handover::interop::Access::ReadWrite;
    assert_eq!((&gl.kind, &cl.kind), (&Kind::OpenGl, &Kind::Compute { access, version: 2 }));

    let cl = |line: &str| INTEROP.replace("reads = [\"gl\"]", line);
    says(&cl(""), &["the compute `cl` reads nothing", "give it `reads"]);
    let two = cl("reads = [\"gl\", \"b\"]") + "[[participant]]\nname = \"b\"\nkind = \"opengl\"\ndevice = \"navi21\"\n";
    says(&two, &["the compute `cl` reads 2 participants", "allowed: one"]);
    says(
        &INTEROP.replace("read-write", "reed"),
        &["unknown access `reed`", "did you mean `read`?", "read, write, read-write"],
    );
    says(&INTEROP.replace("access = \"read-write\"", ""), &["does not say what it does", "access = \"read\""]);
    says(&INTEROP.replace("opengl", "pattern"), &["`gl` exports nothing that a compute could import", "kind opengl"]);
    says(&INTEROP.replace("compute", "preview"), &["`access` means nothing", "allowed for: compute"]);
    let preview = INTEROP.replace("compute", "preview").replace("access = \"read-write\"", "");
    says(&preview, &["no compute works on what `gl` draws", "add a participant of kind compute"]);
    let reader = "[[participant]]\nname = \"b\"\nkind = \"preview\"\nreads = [\"cl\"]\n";
    says(&format!("{INTEROP}{reader}"), &["`cl` has no surfaces to read", "it has none of its own"]);
    says(&cl("reads = [\"gl\"]\nversion = 0"), &["`version` is 0", "allowed: 1 to 1000"]);
    for key in ["mode = \"fifo\"", "hold_ms = 5", "copies = true", "formats = [\"XRGB8888\"]", "surfaces = 2"] {
        says(&cl(&format!("reads = [\"gl\"]\n{key}")), &["means nothing to a participant of kind compute"]);
    }
    let vulkan = INTEROP.replace("kind = \"compute\"\ndevice = \"navi21\"", "kind = \"compute\"\ndevice = \"vulkan\"");
    says(&vulkan, &["a participant of kind compute does not use Vulkan"]);
}

#[test]
fn participants_are_bounded() {
    let more: String = (0..31).map(|i| format!("[[participant]]\nname = \"p{i}\"\nkind = \"pattern\"\n")).collect();
    says(&format!("{RIGHT}{more}"), &["33 participants", "allowed: at most 32"]);
    let fewer: String = (0..30).map(|i| format!("[[participant]]\nname = \"p{i}\"\nkind = \"pattern\"\n")).collect();
    assert!(Pipeline::parse(&format!("{RIGHT}{fewer}"), "test.toml").is_ok());
}

/// Cutting and changing a right file anywhere gives a pipeline or diagnostics that can be shown, never a panic.
#[test]
fn broken_text_never_panics() {
    for (_, text) in SHIPPED {
        for at in 0..text.len() {
            let Some(head) = text.get(..at) else { continue };
            let Some(tail) = text.get(at + 1..) else { continue };
            for changed in
                [head.to_string(), format!("{head}{tail}"), format!("{head}\u{fc}{tail}"), format!("{head}[{tail}")]
            {
                if let Err(diagnostics) = Pipeline::parse(&changed, "test.toml") {
                    assert!(diagnostics.to_string().starts_with("error: "), "{diagnostics}");
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_not_there_names_the_shipped_ones() {
    let error = Pipeline::load(Some("no/such.toml".as_ref())).unwrap_err().to_string();
    assert!(error.contains("no/such.toml") && error.contains("desktop, fanout"), "{error}");
    assert!(Pipeline::load(Some("fanout".as_ref())).is_ok());
}
