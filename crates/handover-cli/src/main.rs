//! The program `handover`: the command line, and the exit code.

#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use handover_cli::participant;
use handover_cli::run::{Arguments, run};

/// Share surfaces between processes: the right layout, the right metadata, the right fence.
#[derive(Debug, Parser)]
#[command(name = "handover", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline of processes that share surfaces.
    #[command(long_about = RUN, after_long_help = AFTER_RUN)]
    Run(Run),
    /// One participant, started by `run`.
    #[command(name = participant::COMMAND, hide = true)]
    Participant {
        /// For those who look at a list of processes.
        name: String,
    },
}

const RUN: &str = "\
Run a pipeline of processes that share surfaces.

Each participant is a process of its own. They agree on a format and a layout, share surfaces without copying a pixel, \
wait for each other by fences, and write videos, pictures and a report. All devices are simulated: no GPU is needed, and \
none is used.";

const AFTER_RUN: &str = "\
Examples:
  handover run                               the clip that the program carries: six processes, two videos
  handover run --frames 50 --out /tmp/demo   only the first 50 frames, and elsewhere
  handover run --input film.mp4              your own H.264 clip
  handover run fanout                        four clients, one picture, three encoders
  handover run mine.toml --json | jq .streams

Results in DIR:
  *.mp4          one for each encoder, playable up to the last frame even if the run was killed
  *-first.png, *-middle.png, *-last.png
                 of each preview
  report.json    frames, latency, waiting, negotiated layouts, compression decisions, bytes copied

Exit codes:
  0    complete
  1    a participant died or failed, or a reader got fewer frames; the message names it and its stage, the
       results up to there are kept
  2    refused before anything started: the command line, the pipeline, the clip or the output directory
  130  interrupted by Ctrl-C; the results up to there are kept (143 for SIGTERM, 129 for SIGHUP)";

#[derive(Debug, Args)]
struct Run {
    /// A pipeline file, or the name of a shipped one: desktop (default), fanout.
    #[arg(value_name = "PIPELINE.toml")]
    pipeline: Option<PathBuf>,
    /// The clip: an MP4 file with an H.264 track. Default: the one the program carries.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Stop after so many frames.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    frames: Option<u64>,
    /// Where videos, pictures and the report go. Made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Print the report alone, as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Participant { .. } => participant::main(),
        Command::Run(Run { pipeline, input, frames, out, json }) => {
            let colours = std::io::stderr().is_terminal();
            run(&Arguments { pipeline, input, frames, out, json, colours })
        }
    }
}
