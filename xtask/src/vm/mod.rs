//! `cargo xtask vm`: a guest with the kernel's own devices, in which the host's programs run as they are.
//!
//! QEMU boots a stock kernel without any hardware help, so that it runs wherever CI does. The guest's root is the host's,
//! over 9p: what is installed here is installed there, at the same paths. What the guest writes lies in its memory, except
//! below `target/vm/out`, which both share.

mod apt;
mod cpio;
mod demo;
mod guest;
mod initramfs;
mod job;
mod kernel;
mod machine;
mod modules;
mod needs;
mod packages;
mod plan;
mod programs;
mod report;
mod screen;
mod stock;

use std::process::ExitCode;
use std::time::Instant;

use crate::refuse;
use guest::Guest;
use job::{Event, Program};
use needs::Fetches;
use plan::PLAN;
use programs::Workspace;
use report::Outcome;

const HELP: &str = "\
usage: cargo xtask vm [--setup] [--kernel X] [--stock X] [--log] [--only TEXT]
       cargo xtask vm [--setup] [--kernel X] [--stock X] [--log] -- COMMAND [ARGUMENT]...
       cargo xtask vm [--setup] [--kernel X] [--stock X] [--log] --demo

Boots a stock Debian kernel in QEMU, without KVM and without a GPU. The guest has /dev/udmabuf, the system dma-heap, vgem,
virtio-gpu (card0, renderD128) and two vivid cameras and outputs (video0 to video3, the later two multi-planar). Its root is this machine's: the
programs here run there as they are, as root; what they write vanishes, except below target/vm/out. Over that root lie
the packages of xtask/src/vm/packages.rs (Mesa with lavapipe and llvmpipe, Vulkan's validation layers, Weston), of which
nothing is installed here.

Without a command, runs every test program of the workspace in the guest, with every skip forbidden
(HANDOVER_REQUIRE=all), but for what xtask/src/vm/plan.rs lists with a reason. With a command, runs that in the current
folder, shows its output, and exits with its status.

With --demo, decodes a clip, composes it with Vulkan, shows it in a window of stock Weston on virtio-gpu and encodes it twice, all
at once and from the same surfaces. In target/vm/out/demo it leaves a screenshot, both videos, and a picture of who waited for whom.

  --setup      installs the Debian packages that are missing, as root or by a sudo that asks nothing
  --kernel X   another kernel: a package's name, a package's file, or a folder that one is unpacked in
  --stock X    another file with the guest's packages (a stock-KEY.ext4), or `none`: only what is installed here
  --only TEXT  only the test programs with TEXT in their names
  --log        shows at the end what the guest said on its console

Left in target/vm: out/PROGRAM.log, out/dmesg.txt, screenshots (out/NAME.ppm), console.log, qemu.log; and the kernel
and the packages (stock-KEY.ext4, listed in stock-KEY.txt), which are fetched once. Programs in the guest ask for a
screenshot by the port that HANDOVER_SCREENDUMP names: they write the line `screendump NAME` and read `ok PATH` or
`error WHY`.
";

/// The command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    setup: bool,
    log: bool,
    kernel: Option<String>,
    stock: Option<String>,
    only: Option<String>,
    demo: bool,
    command: Option<Vec<String>>,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().cloned().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--setup" => options.setup = true,
                "--log" => options.log = true,
                "--demo" => options.demo = true,
                "--kernel" => options.kernel = Some(value()?),
                "--stock" => options.stock = Some(value()?),
                "--only" => options.only = Some(value()?),
                "--" => {
                    let command: Vec<String> = words.by_ref().cloned().collect();
                    if command.is_empty() {
                        return Err("after `--` comes a command".to_owned());
                    }
                    options.command = Some(command);
                }
                other => return Err(format!("`{other}` is not understood")),
            }
        }
        if options.only.is_some() && options.command.is_some() {
            return Err("--only picks test programs; it does not go with a command".to_owned());
        }
        if options.demo && (options.only.is_some() || options.command.is_some()) {
            return Err("--demo runs the demonstration and nothing else".to_owned());
        }
        Ok(options)
    }
}

/// The text of `cargo xtask vm --help`.
pub(crate) fn help() -> String {
    HELP.to_owned()
}

/// Is everything here that a guest needs? `Err` names what is missing, and what installs it.
pub(crate) fn ready() -> Result<(), String> {
    needs::meet(false, Fetches { kernel: true, stock: true }).map(drop)
}

/// Runs the guest.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let options = match Options::read(arguments) {
        Ok(options) => options,
        Err(why) => return refuse(&format!("xtask vm: {why}\n\n{HELP}")),
    };
    let result = match &options.command {
        _ if options.demo => demo::run(&options),
        Some(words) => command(&options, words),
        None => suite(&options).map(|summary| {
            eprintln!("xtask vm: {summary}");
            ExitCode::SUCCESS
        }),
    };
    result.unwrap_or_else(|why| {
        eprintln!("xtask vm: {why}");
        ExitCode::FAILURE
    })
}

/// Runs one command line of the user's and gives its exit status.
fn command(options: &Options, words: &[String]) -> Result<ExitCode, String> {
    let guest = Guest::prepare(options, &Workspace::read()?.target)?;
    let folder = std::env::current_dir().map_err(|e| format!("there is no current folder: {e}"))?;
    let mut status = None;
    let script = job::single(&guest.out, &folder, words);
    let result = guest.run(&script, &[], &mut |event| {
        if let Event::End { status: found, .. } = event {
            status = Some(*found);
        }
    });
    show_console(options, &guest);
    result?;
    for complaint in report::complaints(&guest.kernel_log()) {
        eprintln!("xtask vm: the kernel complained {complaint}");
    }
    let status = status.ok_or("the guest lost the command's exit status")?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}

/// Runs the test programs. Gives a summary, or what failed.
fn suite(options: &Options) -> Result<String, String> {
    let began = Instant::now();
    let workspace = Workspace::read()?;
    // First, since it may refuse: nobody shall wait for the build to learn that QEMU is missing.
    let guest = Guest::prepare(options, &workspace.target)?;
    let built = workspace.build()?;
    let names: Vec<&str> = built.iter().map(|program| program.name.as_str()).collect();
    PLAN.check(&names, &|name| {
        built.iter().find(|program| program.name == name).map_or(Ok(Vec::new()), |p| p.tests())
    })?;
    let wanted = |name: &str| options.only.as_deref().is_none_or(|text| name.contains(text));
    let asked: Vec<&str> = names.into_iter().filter(|name| wanted(name)).collect();
    let planned = built.iter().filter(|program| wanted(&program.name) && PLAN.left_out(&program.name).is_none());
    let programs: Vec<Program> = planned.map(|program| program.planned(&PLAN)).collect();
    if programs.is_empty() {
        return Err(format!("no test program to run\n{}", report::not_run(&PLAN, &asked)));
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    let result = guest.run(&job::suite(&guest.out, &programs), &programs, &mut |event| {
        if let Event::End { name, status, took } = event {
            let outcome = Outcome::read(name.clone(), *status, *took, &guest.out);
            eprintln!("{}", outcome.line());
            outcomes.push(outcome);
        }
    });
    eprint!("{}", report::not_run(&PLAN, &asked));
    show_console(options, &guest);
    result?;
    judge(&programs, &outcomes, &guest)?;
    let tests: u64 = outcomes.iter().map(|outcome| outcome.counts.passed).sum();
    Ok(format!(
        "{} programs, {tests} tests passed in the guest, {:.0} s",
        outcomes.len(),
        began.elapsed().as_secs_f64()
    ))
}

/// Everything that went wrong, with what there is to read.
fn judge(programs: &[Program], outcomes: &[Outcome], guest: &Guest) -> Result<(), String> {
    let kernel_log = guest.kernel_log();
    let mut text = String::new();
    let mut failed = Vec::new();
    for program in programs {
        match outcomes.iter().find(|outcome| outcome.name == program.name) {
            Some(outcome) if outcome.passed() => {}
            Some(outcome) => {
                failed.push(outcome.name.as_str());
                text += &report::about(&outcome.name, &guest.out, &kernel_log);
            }
            None => failed.push(program.name.as_str()),
        }
    }
    for complaint in report::complaints(&kernel_log) {
        text += &format!("the kernel complained {complaint}\n");
    }
    if failed.is_empty() && text.is_empty() {
        return Ok(());
    }
    if failed.is_empty() {
        return Err(format!("the kernel complained\n{text}"));
    }
    Err(format!("failed in the guest: {}\n{text}To run one alone: cargo xtask vm --only NAME", failed.join(", ")))
}

fn show_console(options: &Options, guest: &Guest) {
    if options.log {
        let log = std::fs::read(guest.console()).unwrap_or_default();
        eprintln!("--- {}\n{}", guest.console().display(), String::from_utf8_lossy(&log));
    }
}

#[cfg(test)]
mod tests {
    use super::{HELP, Options};

    fn read(line: &str) -> Result<Options, String> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_follows_two_dashes_is_the_command_with_its_own_options() {
        let options = read("--log --kernel k --stock none -- ls --only -- x").unwrap();
        assert!(options.log && !options.setup);
        assert_eq!((options.kernel.as_deref(), options.stock.as_deref()), (Some("k"), Some("none")));
        assert_eq!(options.command.unwrap(), ["ls", "--only", "--", "x"]);
    }

    #[test]
    fn a_line_that_nobody_can_carry_out_is_refused() {
        for line in ["--", "--kernel", "--stock", "--only a -- ls", "ls", "--keep"] {
            assert!(read(line).is_err(), "{line}");
        }
        assert_eq!(read(""), Ok(Options::default()));
    }

    #[test]
    fn help_names_every_option() {
        for option in ["--setup", "--kernel X", "--stock X", "--only TEXT", "--log", "-- COMMAND"] {
            assert!(HELP.contains(option), "{option}");
        }
    }
}
