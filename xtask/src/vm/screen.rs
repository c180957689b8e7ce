//! Pictures of the guest's screen, taken from outside when a program inside asks for one.
//!
//! # The protocol
//!
//! Programs in the guest find a path in the variable `HANDOVER_SCREENDUMP`: a port that one program at a time can have open.
//! They write one line, `screendump NAME`, and read one line back:
//!
//! * `ok PATH`: the picture of what virtio-gpu scans out lies in that file, with the same path in the guest and on the host: a
//!   binary PPM ("P6", 8 bits a channel), or a PNG if the name ends so;
//! * `error WHY`.
//!
//! `NAME` has letters, digits, `-`, `_` and `.`, and does not begin with a dot; the file is `NAME.ppm`, or
//! `NAME` itself where that ends in `.png`. Requests are
//! answered in their order. A picture is taken when QEMU looks, so a program asks once its frame is on the screen.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout};

use serde_json::{Value, json};

/// The name of the port, a file of `/dev/virtio-ports` in the guest.
pub(super) const PORT: &str = "handover.screendump";
/// The variable that tells programs in the guest the port's path.
pub(super) const VARIABLE: &str = "HANDOVER_SCREENDUMP";
/// The identity of the graphics card on QEMU's command line.
pub(super) const DEVICE: &str = "screen";

/// QEMU's monitor: one JSON object a line, over its standard input and output (QMP, docs/interop/qmp-spec.txt).
pub(super) struct Monitor {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Monitor {
    /// Says the greeting that the monitor waits for before it takes commands.
    pub(super) fn new(input: ChildStdin, output: ChildStdout) -> Result<Self, String> {
        let mut monitor = Self { input, output: BufReader::new(output) };
        monitor.ask(&json!({ "execute": "qmp_capabilities" }))?;
        Ok(monitor)
    }

    fn ask(&mut self, command: &Value) -> Result<(), String> {
        writeln!(self.input, "{command}").map_err(|e| format!("cannot write to QEMU's monitor: {e}"))?;
        let mut line = String::new();
        loop {
            line.clear();
            match self.output.read_line(&mut line) {
                Ok(0) => return Err("QEMU is gone".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("cannot read from QEMU's monitor: {error}")),
            }
            if let Some(answer) = answer(&line) {
                return answer;
            }
        }
    }

    fn screendump(&mut self, file: &Path) -> Result<(), String> {
        let format = if file.extension().is_some_and(|extension| extension == "png") { "png" } else { "ppm" };
        let arguments = json!({ "filename": file.to_string_lossy(), "device": DEVICE, "format": format });
        self.ask(&json!({ "execute": "screendump", "arguments": arguments }))
    }
}

/// What the monitor answered. None: its greeting, or an event, which comes in between.
fn answer(line: &str) -> Option<Result<(), String>> {
    let value: Value = serde_json::from_str(line).ok()?;
    if value.get("return").is_some() {
        return Some(Ok(()));
    }
    let error = value.get("error")?;
    Some(Err(error.get("desc").and_then(Value::as_str).unwrap_or("no reason given").to_owned()))
}

/// Answers requests until the guest is gone. Pictures go to `out`.
pub(super) fn serve(port: &mut (impl Write + ?Sized), lines: impl BufRead, monitor: &mut Monitor, out: &Path) {
    for line in lines.lines() {
        let Ok(line) = line else { return };
        let reply = match request(&line, out) {
            Ok(file) => monitor.screendump(&file).map(|()| file),
            Err(why) => Err(why),
        };
        let reply = match reply {
            Ok(file) => format!("ok {}\n", file.display()),
            // One line, whatever QEMU said.
            Err(why) => format!("error {}\n", why.replace('\n', " ")),
        };
        if port.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// The file that a line asks for.
fn request(line: &str, out: &Path) -> Result<PathBuf, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["screendump", name] if name.chars().all(known) && !name.starts_with('.') => {
            Ok(out.join(if name.ends_with(".png") { (*name).to_owned() } else { format!("{name}.ppm") }))
        }
        ["screendump", name] => Err(format!("`{name}` is no name for a picture: letters, digits, `-`, `_`, `.`")),
        _ => Err(format!("`{line}` is not understood: screendump NAME")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{answer, request};

    #[test]
    fn a_request_names_a_file_among_the_results_and_no_other() {
        let out = Path::new("/results");
        assert_eq!(request("screendump frame-1.b", out).unwrap(), Path::new("/results/frame-1.b.ppm"));
        assert_eq!(request("screendump a.png", out).unwrap(), Path::new("/results/a.png"));
        for bad in ["screendump", "screendump a b", "screendump ../a", "screendump .a", "screendump a/b", "quit", ""] {
            assert!(request(bad, out).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_monitors_answer_is_told_from_its_events() {
        assert_eq!(answer(r#"{"QMP": {"version": {}}}"#), None);
        assert_eq!(answer(r#"{"timestamp": {}, "event": "VSERPORT_CHANGE"}"#), None);
        assert_eq!(answer(r#"{"return": {}}"#), Some(Ok(())));
        assert_eq!(answer(r#"{"error": {"class": "GenericError", "desc": "no"}}"#), Some(Err("no".to_owned())));
    }
}
