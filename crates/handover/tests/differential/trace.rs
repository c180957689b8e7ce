//! A trace: operations on two buffers, made from a seed, written and read as one line of text.
//!
//! Fences and files are named by numbers that wrap around at what there is when the operation runs. So every trace makes sense, and
//! makes sense still when operations have been taken out of it.

use std::fmt;
use std::str::FromStr;

use crate::subject::lines::{LINES, LineOp};
use crate::subject::{BUFFERS, NO_ACCESS, READ, WRITE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// A fence that pends, in a file of its own.
    Fence,
    /// The fence ends; nothing if it has.
    End { fence: usize },
    /// The file's fences go into the buffer, so many times.
    Import { file: usize, buffer: usize, flags: u32, times: usize },
    /// A file with what the access would meet.
    Export { buffer: usize, flags: u32 },
    /// A file with the fences of both.
    Merge { one: usize, other: usize },
    /// CPU access that begins and ends at once, or would have to wait.
    Access { buffer: usize, flags: u32 },
    /// Readable, writable?
    Poll { buffer: usize },
    /// Something with timelines.
    Line(LineOp),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Trace(pub(crate) Vec<Op>);

/// Small random numbers, the same for the same seed (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn flags(&mut self) -> u32 {
        match self.one_in(16) {
            true => NO_ACCESS[self.below(NO_ACCESS.len())],
            false => [READ, WRITE, READ | WRITE][self.below(3)],
        }
    }
}

impl Trace {
    /// Few fences and many imports, so that fences meet; now and then an import so often that a buffer is full.
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let length = 4 + random.below(28);
        Self((0..length).map(|_| op(&mut random)).collect())
    }
}

/// Of a surface's entries one participant may take 16, and CPU access takes one: so many imports on a buffer always have room.
const IMPORTS: usize = 12;

impl Trace {
    /// With timelines, for subjects that have them; no more imports than one participant has room for.
    pub(crate) fn with_lines(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let length = 4 + random.below(28);
        let mut imports = [0; BUFFERS];
        let ops = (0..length).map(|_| {
            if random.one_in(3) {
                return Op::Line(line_op(&mut random));
            }
            match op(&mut random) {
                Op::Import { file, buffer, flags, .. } if imports[buffer] < IMPORTS => {
                    imports[buffer] += 1;
                    Op::Import { file, buffer, flags, times: 1 }
                }
                Op::Import { buffer, .. } => Op::Poll { buffer },
                other => other,
            }
        });
        Self(ops.collect())
    }

    pub(crate) fn has_lines(&self) -> bool {
        self.0.iter().any(|op| matches!(op, Op::Line(_)))
    }
}

fn line_op(random: &mut Random) -> LineOp {
    let line = random.below(LINES);
    // Now and then the whole, and mostly points of which the next is above the last.
    let mut point = || if random.one_in(10) { 0 } else { 1 + random.below(10) as u64 };
    let (point, of) = (point(), point());
    match random.below(12) {
        0..5 => LineOp::Submit { file: random.below(16), line, point },
        5..7 => LineOp::Signal { line, point },
        7 => LineOp::Reset { line },
        8..10 => LineOp::Transfer { from: line, of, point },
        _ => LineOp::Take { line, point },
    }
}

fn line_name(line: usize) -> char {
    if line == 0 { 'x' } else { 'y' }
}

fn op(random: &mut Random) -> Op {
    let buffer = random.below(BUFFERS);
    match random.below(20) {
        0..4 => Op::Fence,
        4..7 => Op::End { fence: random.below(8) },
        7..13 => {
            let times = if random.one_in(8) { 1 + random.below(80) } else { 1 };
            Op::Import { file: random.below(16), buffer, flags: random.flags(), times }
        }
        13..15 => Op::Export { buffer, flags: random.flags() },
        15..17 => Op::Merge { one: random.below(16), other: random.below(16) },
        17..19 => Op::Access { buffer, flags: random.flags() },
        _ => Op::Poll { buffer },
    }
}

fn buffer_name(buffer: usize) -> char {
    if buffer == 0 { 'a' } else { 'b' }
}

fn flags_name(flags: u32) -> String {
    match flags {
        READ => "read".into(),
        WRITE => "write".into(),
        3 => "both".into(),
        other => other.to_string(),
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Fence => write!(f, "fence"),
            Self::End { fence } => write!(f, "end {fence}"),
            Self::Import { file, buffer, flags, times } => {
                write!(f, "import {file} {} {} {times}", buffer_name(buffer), flags_name(flags))
            }
            Self::Export { buffer, flags } => write!(f, "export {} {}", buffer_name(buffer), flags_name(flags)),
            Self::Merge { one, other } => write!(f, "merge {one} {other}"),
            Self::Access { buffer, flags } => write!(f, "access {} {}", buffer_name(buffer), flags_name(flags)),
            Self::Poll { buffer } => write!(f, "poll {}", buffer_name(buffer)),
            Self::Line(LineOp::Submit { file, line, point }) => {
                write!(f, "submit {file} {} {point}", line_name(line))
            }
            Self::Line(LineOp::Signal { line, point }) => write!(f, "signal {} {point}", line_name(line)),
            Self::Line(LineOp::Reset { line }) => write!(f, "reset {}", line_name(line)),
            Self::Line(LineOp::Transfer { from, of, point }) => {
                write!(f, "transfer {} {of} {point}", line_name(from))
            }
            Self::Line(LineOp::Take { line, point }) => write!(f, "take {} {point}", line_name(line)),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ops: Vec<_> = self.0.iter().map(Op::to_string).collect();
        f.write_str(&ops.join("; "))
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no operation: {text:?}");
        let number = |word: &str| word.parse::<usize>().map_err(|_| wrong());
        let buffer = |word: &str| match word {
            "a" => Ok(0),
            "b" => Ok(1),
            _ => Err(wrong()),
        };
        let line = |word: &str| match word {
            "x" => Ok(0),
            "y" => Ok(1),
            _ => Err(wrong()),
        };
        let point = |word: &str| word.parse::<u64>().map_err(|_| wrong());
        let flags = |word: &str| match word {
            "read" => Ok(READ),
            "write" => Ok(WRITE),
            "both" => Ok(READ | WRITE),
            other => other.parse().map_err(|_| wrong()),
        };
        let words: Vec<_> = text.split_whitespace().collect();
        match words[..] {
            ["fence"] => Ok(Self::Fence),
            ["end", fence] => Ok(Self::End { fence: number(fence)? }),
            ["import", file, at, how, times] => {
                Ok(Self::Import { file: number(file)?, buffer: buffer(at)?, flags: flags(how)?, times: number(times)? })
            }
            ["export", at, how] => Ok(Self::Export { buffer: buffer(at)?, flags: flags(how)? }),
            ["merge", one, other] => Ok(Self::Merge { one: number(one)?, other: number(other)? }),
            ["access", at, how] => Ok(Self::Access { buffer: buffer(at)?, flags: flags(how)? }),
            ["poll", at] => Ok(Self::Poll { buffer: buffer(at)? }),
            ["submit", file, to, at] => {
                Ok(Self::Line(LineOp::Submit { file: number(file)?, line: line(to)?, point: point(at)? }))
            }
            ["signal", to, at] => Ok(Self::Line(LineOp::Signal { line: line(to)?, point: point(at)? })),
            ["reset", to] => Ok(Self::Line(LineOp::Reset { line: line(to)? })),
            ["transfer", from, of, at] => {
                Ok(Self::Line(LineOp::Transfer { from: line(from)?, of: point(of)?, point: point(at)? }))
            }
            ["take", from, at] => Ok(Self::Line(LineOp::Take { line: line(from)?, point: point(at)? })),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for Trace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(';').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}
