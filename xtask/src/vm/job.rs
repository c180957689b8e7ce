//! What the guest does once it has the host's root: a shell script in the results' folder, and the lines by which it reports.
//!
//! The guest writes to the port [`EVENTS`], one line each: `booted`, `start NAME`, `end NAME STATUS BEGAN ENDED` (both in
//! seconds since the guest's start) and `finished`. A program's output goes to `NAME.log` beside the script.

use std::path::Path;
use std::time::Duration;

use super::screen;

/// Names of the ports by which the guest reaches this program; files of `/dev/virtio-ports` there.
pub(super) const EVENTS: &str = "handover.events";
pub(super) const OUTPUT: &str = "handover.output";

/// The name under which a command line of the user's runs.
const COMMAND: &str = "command";

/// A program for the guest to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// Also the name of its log; no slash, no space.
    pub(super) name: String,
    /// The folder it runs in.
    pub(super) folder: String,
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// After this it is killed.
    pub(super) limit: Duration,
}

/// A line that the guest wrote.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Booted,
    Start { name: String },
    End { name: String, status: i32, took: Duration },
    Finished,
}

impl Event {
    /// None: a line that is none of ours.
    pub(super) fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["booted"] => Some(Self::Booted),
            ["start", name] => Some(Self::Start { name: (*name).to_owned() }),
            ["end", name, status, began, ended] => {
                let (began, ended): (f64, f64) = (began.parse().ok()?, ended.parse().ok()?);
                let took = Duration::try_from_secs_f64(ended - began).unwrap_or_default();
                Some(Self::End { name: (*name).to_owned(), status: status.parse().ok()?, took })
            }
            ["finished"] => Some(Self::Finished),
            _ => None,
        }
    }
}

/// The script that runs `programs` in turn, each with its output in a file.
pub(super) fn suite(out: &Path, programs: &[Program]) -> String {
    let mut script = opening(out);
    script += "\
# NAME SECONDS FOLDER PROGRAM ARGUMENT...
run() {
    name=$1 limit=$2 folder=$3
    shift 3
    echo \"start $name\" >&9
    echo \"handover: start $name\" >/dev/kmsg
    read -r began _ </proc/uptime
    (cd \"$folder\" && CARGO_MANIFEST_DIR=$folder exec timeout -k 2 \"$limit\" \"$@\") \\
        >\"$OUT/$name.log\" 2>&1 </dev/null 9>&-
    status=$?
    read -r ended _ </proc/uptime
    echo \"end $name $status $began $ended\" >&9
}
";
    for Program { name, folder, words, limit } in programs {
        let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
        script += &format!("run {} {} {} {}\n", quote(name), limit.as_secs(), quote(folder), words.join(" "));
    }
    script + "echo finished >&9\n"
}

/// The script that runs one command line of the user's, with its output on a port that this program shows.
pub(super) fn single(out: &Path, folder: &Path, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    // A pipe stands between, since a port can be opened once only and programs open /dev/stderr again.
    opening(out)
        + &format!(
            "echo 'start {COMMAND}' >&9\n\
             read -r began _ </proc/uptime\n\
             {{\n    (cd {folder} && exec {words}) </dev/null 9>&- 2>&1\n    echo $? >/dev/shm/handover-status\n}} \
             | cat >/dev/virtio-ports/{OUTPUT}\n\
             read -r status </dev/shm/handover-status\n\
             read -r ended _ </proc/uptime\n\
             echo \"end {COMMAND} $status $began $ended\" >&9\n\
             echo finished >&9\n",
            folder = quote(&folder.to_string_lossy()),
            words = words.join(" "),
        )
}

/// What every program in the guest finds set: where compositors put their sockets, and, for llvmpipe and lavapipe, vectors of
/// 128 bits, since QEMU imitates wider ones without gaining by their width.
const SETTINGS: &str = "XDG_RUNTIME_DIR=/run/user/0 LP_NATIVE_VECTOR_WIDTH=128";

fn opening(out: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    format!(
        "# Written by `cargo xtask vm`; the guest's init runs it.\n\
         exec 9>/dev/virtio-ports/{EVENTS}\n\
         OUT={}\n\
         export PATH={}:/usr/sbin:/sbin HOME={} LANG=C.UTF-8 {SETTINGS}\n\
         export HANDOVER_REQUIRE=all {}=/dev/virtio-ports/{}\n\
         echo booted >&9\n",
        quote(&out.to_string_lossy()),
        quote(&path),
        quote(&home),
        screen::VARIABLE,
        screen::PORT,
    )
}

/// One word for the shell, whatever stands in it.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use super::{Event, Program, quote, single, suite};

    #[test]
    fn a_quoted_word_stays_one_word() {
        for word in ["plain", "two words", "it's", "$HOME `x` \\ \"", "", "a\nb"] {
            let output =
                Command::new("sh").arg("-c").arg(format!("printf %s {}", quote(word))).output().expect("sh runs");
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn events_are_read_and_other_lines_are_not() {
        assert_eq!(Event::read("booted"), Some(Event::Booted));
        assert_eq!(Event::read("start a.b"), Some(Event::Start { name: "a.b".to_owned() }));
        let took = Duration::from_millis(1250);
        assert_eq!(Event::read("end x 124 3.50 4.75"), Some(Event::End { name: "x".to_owned(), status: 124, took }));
        // A clock that runs backwards is no reason to lose a result.
        let none = Duration::ZERO;
        assert_eq!(Event::read("end x 0 4 3"), Some(Event::End { name: "x".to_owned(), status: 0, took: none }));
        for other in ["", "start", "end x", "end x zero 1 2", "booted twice"] {
            assert_eq!(Event::read(other), None, "{other}");
        }
    }

    #[test]
    fn the_shell_understands_both_scripts() {
        let program = Program {
            name: "handover.way".to_owned(),
            folder: "/it's/here".to_owned(),
            words: vec!["/bin/way 1".to_owned(), "--skip".to_owned(), "slow".to_owned()],
            limit: Duration::from_secs(60),
        };
        let out = Path::new("/out");
        let alone = single(out, Path::new(&program.folder), &program.words);
        let both = [suite(out, std::slice::from_ref(&program)), alone];
        for script in both {
            assert!(script.contains("'/bin/way 1' '--skip' 'slow'"), "{script}");
            let status = Command::new("sh").args(["-n", "-c", &script]).status().expect("sh runs");
            assert!(status.success(), "{script}");
        }
    }
}
