//! The program `handover`: the command line, and the exit code.

#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use handover_cli::convert::{self, convert};
use handover_cli::decode::{self, What, decode, metadata::metadata};
use handover_cli::devices::devices;
use handover_cli::explain::{self, explain};
use handover_cli::inspect::{self, inspect};
use handover_cli::layout::{self, layout};
use handover_cli::measure::{self, Duty, Overrides};
use handover_cli::participant;
use handover_cli::run::{Arguments, Backend, OtherDevice, run};

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
    /// Show who holds which buffer.
    #[command(long_about = INSPECT, after_long_help = AFTER_INSPECT)]
    Inspect(Inspect),
    /// Compute what synchronisation costs: who waits for whom, and who need not.
    #[command(long_about = EXPLAIN, after_long_help = AFTER_EXPLAIN)]
    Explain(Explain),
    /// Show what the kernel's devices and those of Vulkan can do here, and what would help where they cannot.
    #[command(long_about = DEVICES, after_long_help = AFTER_DEVICES)]
    Devices {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what the numbers mean that devices and buffers carry.
    #[command(after_long_help = AFTER_DECODE)]
    Decode {
        #[command(subcommand)]
        what: Decode,
    },
    /// Write a picture into a tiled layout, or a tiled file as a picture.
    #[command(long_about = convert::ABOUT, after_long_help = convert::EXAMPLES)]
    Convert(convert::Arguments),
    /// Say where every element of a tiled image lies, and draw the order of its bytes.
    #[command(long_about = layout::ABOUT, after_long_help = layout::EXAMPLES)]
    Layout(Layout),
    /// One participant, started by `run`.
    #[command(name = participant::COMMAND, hide = true)]
    Participant {
        /// For those who look at a list of processes.
        name: String,
        /// It runs the jobs of a scenario's owner.
        #[arg(long)]
        jobs: bool,
    },
}

const RUN: &str = "\
Run a pipeline of processes that share surfaces.

Each participant is a process of its own. They agree on a format and a layout, share surfaces without copying a pixel, \
wait for each other by fences, and write videos, pictures and a report. Devices are simulated: no GPU is needed, and none is used, \
unless a pipeline says so. It may have a camera, a video output and a screen, which are the kernel's own devices, \
participants that draw by Vulkan, windows of the Wayland compositor that runs, and Wayland clients of somebody else's.

A scenario, which `handover explain` computes, runs too: its owners are processes, its engines queues, its jobs sleep and draw. \
What they waited for is measured beside what is predicted. Readers check every pixel whose writer is certain, what is left in the end \
is checked too, and so is the order in which jobs started and ended: a fence that is left out shows.";

const AFTER_RUN: &str = "\
Examples:
  handover run                               the clip that the program carries: six processes, two videos
  handover run --frames 50 --out /tmp/demo   only the first 50 frames, and elsewhere
  handover run --input film.mp4              your own H.264 clip
  handover run fanout                        four clients, one picture, three encoders
  handover run mine.toml --json | jq .streams
  handover run --backend linux               the same in dma-bufs, which devices can reach
  handover run camera                        a camera on a screen, two videos beside it; needs both, and a video output
  handover run vulkan                        clients and a compositor on a GPU, or on Mesa's driver for the CPU
  handover run wayland                       a clip, composed on a GPU, in a window of the compositor that runs, and two videos
  handover run capture                       two videos of what a stock Wayland client shows
  handover run dri                           an application and a display server on chips of two vendors
  handover run dri --other-device decode     the server reads the application's own layout, and nothing is copied
  handover run dri --other-device linear     as window systems do today: every frame is copied into a LINEAR surface
  handover run gl-cl                         OpenGL exports; three sides of OpenCL read, write, and do both; all of it is checked
  handover run tiles                         a scenario: four writers and four readers in one buffer, by region
  handover run tiles --regions whole         the same without regions: who waits falsely, and how long
  handover run tiles --policy W3=none        one of them attaches no fence: somebody reads a torn picture
  handover run stream --without merge        explicit and implicit participants, and a release that lacks a fence

Results in DIR:
  *.mp4          one for each encoder, playable up to the last frame even if the run was killed
  *-first.png, *-middle.png, *-last.png
                 of each preview; of a screen, NAME-last.png
  waits.svg      some frames from the middle: who drew and read when, and who waited for whom; of a scenario, the schedule as it was
                 measured over the one that explain predicts
  report.json    frames, latency, waiting, negotiated layouts, compression decisions, surfaces, bytes copied; of a scenario, the times of
                 every job, false waits, hazards, and what reservations held

Exit codes:
  0    complete
  1    a participant died or failed, a reader got fewer frames or other pixels, a job started too early; the message
       names it and its stage, the results up to there are kept
  2    refused before anything started: the command line, the pipeline, the clip or the output directory
  130  interrupted by Ctrl-C; the results up to there are kept (143 for SIGTERM, 129 for SIGHUP)";

const EXPLAIN: &str = "\
Compute what synchronisation costs: who waits for whom, and who need not.

A scenario says which jobs run on which engines and what they touch. Its jobs run in virtual time, each once, under six models \
of synchronisation, implicit and explicit ones. What a job waits for beyond what it truly depends on is false; changes that would remove \
it are applied, and everything runs again.";

const AFTER_EXPLAIN: &str = "\
Models:
  M0   exclusive only: every job waits for the last one that named the buffer
  M1   exclusive + shared: readers wait for the last writer, writers for all
  M1a  everything of other owners, and nothing of one's own but what is named
  M2   classes + import/export: a group orders itself, others see the union
  M3   fully explicit: exactly the fences that are named
  M4   region-scoped: M1 for each region of a buffer

Examples:
  handover explain --all                     the shipped scenarios, as a table
  handover explain s08 --svg s08.svg         one of them, and a picture
  handover explain out/report.json           what `handover run` did, with the times it took, under every model
  handover explain mine.toml --json | jq '.programs[0].models[] | {model, makespan}'

Exit codes:
  0    computed
  1    the picture cannot be written
  2    refused: the command line, or the scenario";

const DEVICES: &str = "\
Show what the kernel's devices and those of Vulkan can do here, and what would help where they cannot.

Everything is tried once: each source of buffers makes a small one, each node is opened and asked, each device of Vulkan is opened. \
Versions decide nothing. Nothing is left behind. Behind the machine's own devices stand the simulated ones, which draw, lay out and \
describe surfaces as real chips do, by the CPU.";

const AFTER_DEVICES: &str = "\
Tiers, each with all of those before it:
  nothing                       the software backend only
  dma-buf without sync_file     buffers that devices share; their fences can only be polled
  sync_file                     fences go in and out of buffers
  + syncobj                     timelines that devices signal
  + eventfd                     points of timelines signal an eventfd
  + points as sync files        points go in and out as fences

Exit codes:
  0    looked, whatever was found
  2    refused: the command line";

const AFTER_DECODE: &str = "\
Examples:
  handover decode modifier 0x0200000020937b03     every field of it, and whether its pixels can be read as they are
  handover decode modifier I915_FORMAT_MOD_Y_TILED 'AMD GFX9 64K_S_X, pipe_xor=2, bank_xor=3'
  handover decode metadata --word 0x1002 --driver i915
  handover decode fourcc XR24 NV12 0x34325241

Exit codes:
  0    every value means something
  2    refused: the command line, or a value; the message names the field that is wrong";

#[derive(Debug, Subcommand)]
enum Decode {
    /// Format modifiers: how the pixels of a plane lie in memory.
    Modifier {
        /// A number (0x…), what handover or libdrm calls it, or a name of drm_fourcc.h.
        #[arg(value_name = "VALUE", required = true)]
        values: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// A tiling word and a metadata block: what drivers keep with a buffer for those who import it.
    #[command(after_long_help = decode::metadata::EXAMPLES)]
    Metadata(decode::metadata::Arguments),
    /// Codes of formats.
    Fourcc {
        /// Four characters, a format's name, or a number (0x…).
        #[arg(value_name = "CODE", required = true)]
        values: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

const INSPECT: &str = "\
Show who holds which buffer.

It reads the descriptors and mappings of every process it may read, and joins them by buffer: dma-bufs of the kernel, and \
the memory that surfaces of the software backend live in. It says what it could not see, and why. It changes nothing.";

const AFTER_INSPECT: &str = "\
Examples:
  handover inspect                   every buffer, and who holds it
  sudo handover inspect              processes of other users too, and pending fences
  handover inspect --pid 4711        the buffers of one process, and who else holds them
  handover inspect --watch 5         what grows: a leak shows within minutes
  handover inspect --json | jq '.buffers[] | select(.holders | length > 2)'

What it says:
  fd, map        descriptors and mappings of the buffer; rw if the process can write through a mapping, else r
  elsewhere      references of dma-bufs that no process was seen to hold: drivers that import it, messages on their
                 way, processes that could not be read
  content        what the producer wrote behind its pixels; only handover does that
  pending        fences that are not signalled, as the kernel lists them for root

Exit codes:
  0    looked, whatever was found
  1    a process that --pid names cannot be looked into
  2    refused: the command line
  130  interrupted by Ctrl-C (143 for SIGTERM, 129 for SIGHUP)";

#[derive(Debug, Args)]
struct Inspect {
    /// Only buffers that this process holds; can be given several times.
    #[arg(long = "pid", value_name = "N")]
    pids: Vec<u32>,
    /// Look again every so many seconds, and say what changed.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    watch: Option<Duration>,
    /// Print JSON: one object, or one a line with --watch.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Layout {
    /// The modifier: a name ("I915_FORMAT_MOD_Y_TILED", or as `handover` prints it) or a number (0x…).
    #[arg(long, value_name = "MODIFIER")]
    modifier: String,
    /// The format: a name (XRGB8888) or a code of four characters (XR24).
    #[arg(long, value_name = "FORMAT", default_value = "XRGB8888")]
    format: String,
    /// The image in pixels.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1920x1080")]
    size: String,
    /// What the modifier does not say; can be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// The offset of this element of each plane, counted in elements.
    #[arg(long, value_name = "X,Y")]
    at: Option<String>,
    /// Draw a block of the first plane, and the order of its bytes.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "between 0.1 and 86400".into())
}

#[derive(Debug, Args)]
struct Explain {
    /// A scenario file, or the name of a shipped one: s01, s02, s02b, s03, s05 to s13, s15, and those of `run`. Or the report.json of a
    /// run: then jobs take as long as they did.
    #[arg(value_name = "SCENARIO.toml", required_unless_present = "all", conflicts_with = "all")]
    scenario: Option<PathBuf>,
    /// The makespans of all shipped scenarios, as a table.
    #[arg(long)]
    all: bool,
    /// Print JSON: start and end of every job under every model.
    #[arg(long)]
    json: bool,
    /// Draw the schedules of all models; of a scenario that tries several rings, those of the first.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Run {
    /// A pipeline file, or the name of a shipped one: desktop (default), fanout, camera, vulkan, wayland,
    /// capture, dri, dri-vendor, dri-same, gl-cl. Or a scenario file, or a shipped one: tiles, fields, blend, single-buffer, implicit-client, stream, threads.
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
    /// Where surfaces live. Default: software, or linux for a pipeline with a real device.
    #[arg(long, value_name = "BACKEND", value_parser = clap::builder::PossibleValuesParser::new(Backend::WORDS))]
    backend: Option<String>,
    /// What is shared where a reader is another simulated device than the producer: LINEAR copies of what it draws, or its own
    /// layout, decoded by the reader. Default: the best layout that both know already, which may be LINEAR.
    #[arg(long, value_name = "WAY", value_parser = clap::builder::PossibleValuesParser::new(OtherDevice::WORDS))]
    other_device: Option<String>,
    /// Let every decoder get this bit of every address wrong: a fault for tests, which must show.
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u32).range(0..32))]
    flip_decoder_bit: Option<u32>,
    /// Have the kernel's own fences in waits.svg. Takes root.
    #[arg(long)]
    trace: bool,
    /// Of a scenario: how its owners synchronise, instead of what the file says.
    #[arg(long, value_name = "SYNC", value_parser = ["implicit", "explicit"])]
    sync: Option<String>,
    /// Of a scenario: are the regions of buffers told apart, or is every buffer a whole?
    #[arg(long, value_name = "REGIONS", value_parser = ["declared", "whole"])]
    regions: Option<String>,
    /// Of a scenario: the policy of an owner, or of all: honest, always-write, skip-own-owner or none.
    #[arg(long = "policy", value_name = "[OWNER=]POLICY")]
    policies: Vec<String>,
    /// Of a scenario: leave out what keeps its owners safe, to see what breaks.
    #[arg(long, value_name = "DUTY", value_parser = clap::builder::PossibleValuesParser::new(Duty::WORDS))]
    without: Vec<String>,
}

impl From<Run> for Arguments {
    fn from(run: Run) -> Self {
        let without = run.without.iter().filter_map(|word| Duty::from_word(word)).collect();
        Self {
            pipeline: run.pipeline,
            input: run.input,
            frames: run.frames,
            backend: run.backend.as_deref().and_then(Backend::from_word),
            other_device: run.other_device.as_deref().and_then(OtherDevice::from_word),
            flip_decoder_bit: run.flip_decoder_bit,
            out: run.out,
            trace: run.trace,
            json: run.json,
            colours: std::io::stderr().is_terminal(),
            overrides: Overrides { sync: run.sync, regions: run.regions, policies: run.policies, without },
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Participant { jobs: true, .. } => measure::main(),
        Command::Participant { .. } => participant::main(),
        Command::Devices { json } => devices(json),
        Command::Decode { what } => match what {
            Decode::Modifier { values, json } => decode(&decode::Arguments { what: What::Modifier, values, json }),
            Decode::Fourcc { values, json } => decode(&decode::Arguments { what: What::Fourcc, values, json }),
            Decode::Metadata(arguments) => metadata(&arguments),
        },
        Command::Convert(arguments) => convert(&arguments),
        Command::Explain(Explain { scenario, all: _, json, svg }) => {
            explain(&explain::Arguments { scenario, json, svg, colours: std::io::stderr().is_terminal() })
        }
        Command::Layout(Layout { modifier, format, size, parameters, at, svg, json }) => {
            layout(&layout::Arguments { modifier, format, size, parameters, at, svg, json })
        }
        Command::Inspect(Inspect { pids, watch, json }) => inspect(&inspect::Arguments { pids, watch, json }),
        Command::Run(arguments) => run(&arguments.into()),
    }
}
