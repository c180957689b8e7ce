//! What CI does, as one program that needs no tool but cargo: `cargo xtask ci` and `cargo xtask tidy`. What it needs QEMU
//! for: `cargo xtask vm`. What can go on for a night: `cargo xtask soak` and `cargo xtask fuzz`. And what it does not do, since it proves nothing on a busy machine: `cargo xtask bench`.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod fuzz;
mod golden;
mod soak;
mod tidy;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One word after `cargo xtask`.
struct Command {
    name: &'static str,
    summary: &'static str,
    help: fn() -> String,
    run: fn(&[String]) -> ExitCode,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "ci",
        summary: "everything CI does, in its order, up to the first failure",
        help: ci::help,
        run: ci::run,
    },
    Command {
        name: "tidy",
        summary: "the rules of the repository: who depends on whom, where unsafe may be, names, sizes",
        help: tidy::help,
        run: tidy::run,
    },
    Command {
        name: "vm",
        summary: "the tests in a guest that has the kernel's devices (QEMU); or any command line there",
        help: vm::help,
        run: vm::run,
    },
    Command {
        name: "soak",
        summary: "random kills in a loop over real processes, for as long as one likes",
        help: soak::help,
        run: soak::run,
    },
    Command {
        name: "golden",
        summary: "vectors from other people's drivers, through our public interface",
        help: golden::help,
        run: golden::run,
    },
    Command {
        name: "fuzz",
        summary: "inputs that nobody thought of, for the parts of the model that read what strangers wrote",
        help: fuzz::help,
        run: fuzz::run,
    },
    Command {
        name: "bench",
        summary: "how fast, against the raw floor and the budgets; prints figures, asserts none",
        help: bench::help,
        run: bench::run,
    },
];

/// Exit status of a command line that nobody can carry out, as of most Unix programs.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let Some((name, rest)) = arguments.split_first() else {
        return refuse(&overview());
    };
    if is_help(name) {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    }
    match COMMANDS.iter().find(|command| command.name == name) {
        // What follows `--` is a command line for somebody else.
        Some(command) if rest.iter().take_while(|argument| *argument != "--").any(|argument| is_help(argument)) => {
            print!("{}", (command.help)());
            ExitCode::SUCCESS
        }
        Some(command) => (command.run)(rest),
        None => refuse(&format!("xtask: there is no command `{name}`\n\n{}", overview())),
    }
}

fn is_help(argument: &str) -> bool {
    matches!(argument, "--help" | "-h" | "help")
}

fn overview() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND [--help]\n\ncommands:\n");
    for Command { name, summary, .. } in COMMANDS {
        text += &format!("  {name:<6} {summary}\n");
    }
    text
}

/// Says on standard error why a command line is refused, and gives the exit status for it.
fn refuse(message: &str) -> ExitCode {
    eprint!("{message}");
    ExitCode::from(USAGE)
}

/// The root of the repository. Cargo's variable goes first: with a target folder shared between
/// checkouts, the path compiled in may be another checkout's.
fn root() -> PathBuf {
    let here =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// The cargo that started us, or the one in the path.
fn cargo() -> std::process::Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(program);
    command.current_dir(root());
    command
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, overview};

    #[test]
    fn the_overview_lists_every_command_and_each_has_help() {
        for command in COMMANDS {
            assert!(overview().contains(command.name));
            assert!((command.help)().starts_with(&format!("usage: cargo xtask {}", command.name)));
        }
    }
}
