//! Wake: from just before one process lets go until the consumer in the other runs. One way, on the clock both share.
//!
//! Two processes pass a turn to and fro, so that each sleeps while the other works. Three regimes, never one number: back
//! to back the sleeper's CPU is still warm, on one CPU nothing runs at once, and at 60 Hz the sleeper's CPU has gone idle.

mod turns;

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use handover::timeline::{Reader, Timeline};
use handover::{Deadline, Device, ExportFlags, Handle, Options, Surface, allocate, export, import};
use handover_model::Bytes;
use handover_sys::clock::Monotonic;
use handover_sys::map::{Mapping, Populate};
use handover_sys::{eventfd, memfd, socket};

use super::figures::Samples;
use super::peer::{Link, Peer, to_bytes, to_numbers};
use super::report::{Budget, Line, Table};
use super::{Effort, Result, machine};
use turns::{Events, Futex, Messages, Ours, OursByDescriptor, Points, Turn};

pub(super) const ROLE: &str = "wake";

/// Mechanisms in the order in which both processes keep them.
const NAMES: [&str; 6] = [
    "raw futex in shared memory",
    "raw eventfd, poll and read",
    "raw SEQPACKET, 64 bytes",
    "ours, Acquire::wait",
    "ours, poll descriptor",
    "ours, point of a timeline",
];
const FUTEX: usize = 0;
const EVENTFD: usize = 1;
const OURS: usize = 3;
const OURS_BY_DESCRIPTOR: usize = 4;
const POINT: usize = 5;

const FRAME: Duration = Duration::from_micros(16_667);
/// Page that the raw futex word lies in.
const PAGE: usize = 4096;

struct Regime {
    title: &'static str,
    pace: Option<Duration>,
    /// Consumer's CPU, of those there are.
    consumer: usize,
    turns: usize,
    rounds: usize,
    /// Rounds at the start of each turn that do not count.
    warm_up: usize,
}

pub(super) fn run(effort: Effort) -> Result<Vec<Table>> {
    let cpus = machine::cpus()?;
    let regimes = [
        Regime {
            title: "wake, back to back, two CPUs",
            pace: None,
            consumer: 1,
            turns: effort.of(40, 10),
            rounds: effort.of(1000, 400),
            warm_up: 50,
        },
        Regime {
            title: "wake, back to back, one CPU",
            pace: None,
            consumer: 0,
            turns: effort.of(40, 10),
            rounds: effort.of(1000, 400),
            warm_up: 50,
        },
        Regime {
            title: "wake, paced at 60 Hz, two CPUs",
            pace: Some(FRAME),
            consumer: 1,
            turns: effort.of(20, 3),
            rounds: effort.of(21, 11),
            warm_up: 1,
        },
    ];
    regimes.iter().map(|regime| measure(regime, &cpus)).collect()
}

fn measure(regime: &Regime, cpus: &[usize]) -> Result<Table> {
    let (Some(&here), Some(&there)) = (cpus.first(), cpus.get(regime.consumer)) else {
        return Ok(Table::skipped(regime.title, "it needs two CPUs"));
    };
    let _pinned = machine::pin(here)?;
    let peer = Peer::start(ROLE, there)?;
    let mut turns = producer(&peer.link)?;
    let mut samples = vec![Samples::default(); NAMES.len()];
    for _ in 0..regime.turns {
        for (which, (turn, samples)) in turns.iter_mut().zip(&mut samples).enumerate() {
            peer.link.tell(&to_bytes(&[which as u64, regime.rounds as u64]), &[])?;
            let passed = lead(turn.as_mut(), regime)?;
            let woken = to_numbers(&peer.link.expect()?.0);
            let taken = passed.iter().zip(woken).map(|(from, to)| to.saturating_sub(*from) as f64);
            samples.add_turn(taken.skip(regime.warm_up).collect());
        }
    }
    Ok(table(regime, &samples))
}

fn table(regime: &Regime, samples: &[Samples]) -> Table {
    let mut table =
        Table::new(regime.title, "one way, from just before the release until the consumer holds its lease");
    for (which, (name, ours)) in NAMES.iter().zip(samples).enumerate() {
        let line = Line::new(*name, ours);
        let line = match (which, samples.get(FUTEX), samples.get(EVENTFD)) {
            (OURS | POINT, Some(futex), _) => line.against("futex", ours, futex).budget(Budget::Ratio(1.15)),
            (OURS_BY_DESCRIPTOR, _, Some(events)) => line.against("eventfd", ours, events).budget(Budget::Ratio(1.5)),
            _ => line,
        };
        table.push(line);
    }
    table
}

/// Passes the turn first, so many times; gives the instants just before each pass.
fn lead(turn: &mut dyn Turn, regime: &Regime) -> Result<Vec<u64>> {
    let mut passed = Vec::with_capacity(regime.rounds);
    let mut next = Monotonic::now();
    for _ in 0..regime.rounds {
        if let Some(pace) = regime.pace {
            next = next.saturating_add(pace);
            std::thread::sleep(next.saturating_since(Monotonic::now()));
        }
        passed.push(turn.pass()?.0);
        turn.wait()?;
    }
    Ok(passed)
}

/// Waits for the turn first; gives the instants at which it came.
fn follow(turn: &mut dyn Turn, rounds: usize) -> Result<Vec<u64>> {
    let mut woken = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        turn.wait()?;
        woken.push(Monotonic::now().0);
        turn.pass()?;
    }
    Ok(woken)
}

/// Makes every mechanism, sends the other process its half, and keeps ours.
fn producer(link: &Link) -> Result<Vec<Box<dyn Turn>>> {
    let word = memfd::create("handover-bench", PAGE as u64)?;
    let (to_consumer, to_producer) = (eventfd::create()?, eventfd::create()?);
    let (ours, theirs) = socket::pair()?;
    link.tell(b"raw", &[word.as_fd(), to_consumer.as_fd(), to_producer.as_fd(), theirs.as_fd()])?;
    let surfaces = [send_surface(link)?, send_surface(link)?];
    let [waited, watched] = surfaces;
    let mine = Timeline::new();
    link.tell(b"timeline", &[mine.to_fd()?.as_fd()])?;
    let theirs = reader(link.expect()?.1)?;
    let turns: Vec<Box<dyn Turn>> = vec![
        Box::new(Futex::new(Mapping::new(word, PAGE, Populate::Now)?, true)),
        Box::new(Events { wait: to_producer, pass: to_consumer }),
        Box::new(Messages(ours)),
        Box::new(Ours::producer(waited)?),
        // The producer waits the plain way here too: one wake at a time is looked at.
        Box::new(Ours::producer(watched)?),
        Box::new(Points::new(mine, theirs)),
    ];
    link.tell(b"line up", &[])?;
    link.expect()?;
    Ok(turns)
}

/// The other process's timeline.
fn reader(descriptors: Vec<OwnedFd>) -> Result<Reader> {
    let timeline = descriptors.into_iter().next().ok_or("the other's timeline did not arrive")?;
    Ok(Reader::new(timeline)?)
}

fn send_surface(link: &Link) -> Result<Surface> {
    let mut surfaces = allocate::buffer(Device::PLAIN, Bytes(PAGE as u64), &Options::default())?;
    let surface = surfaces.pop().ok_or("allocate gave no surface")?;
    let exported = export(&surface, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, Deadline::Never)?;
    let (bytes, descriptors) = exported.handle.into_parts();
    link.tell(&bytes, &descriptors.each_ref().map(AsFd::as_fd))?;
    Ok(surface)
}

/// The consumer: takes its half of every mechanism, then follows wherever it is told to.
pub(super) fn play(link: &Link) -> Result<()> {
    let raw = link.expect()?.1;
    let Ok([word, to_consumer, to_producer, messages]) = <[_; 4]>::try_from(raw) else {
        return Err("the raw mechanisms did not arrive".into());
    };
    let receive = || -> Result<Surface> {
        let (bytes, descriptors) = link.expect()?;
        Ok(import(Handle::from_parts(&bytes, descriptors)?, Device::PLAIN)?)
    };
    let (waited, watched) = (receive()?, receive()?);
    let theirs = reader(link.expect()?.1)?;
    let mine = Timeline::new();
    link.tell(b"timeline", &[mine.to_fd()?.as_fd()])?;
    // Behind the producer, which by now holds both.
    link.expect()?;
    let mut turns: Vec<Box<dyn Turn>> = vec![
        Box::new(Futex::new(Mapping::new(word, PAGE, Populate::Now)?, false)),
        Box::new(Events { wait: to_consumer, pass: to_producer }),
        Box::new(Messages(messages)),
        Box::new(Ours::consumer(waited)?),
        Box::new(OursByDescriptor::consumer(watched)?),
        Box::new(Points::new(mine, theirs)),
    ];
    link.tell(b"lined up", &[])?;
    while let Some((order, _)) = link.hear()? {
        let &[which, rounds] = to_numbers(&order).as_slice() else { return Err("an order of another form".into()) };
        let turn = turns.get_mut(which as usize).ok_or("an order for another mechanism")?;
        let woken = follow(turn.as_mut(), rounds as usize)?;
        link.tell(&to_bytes(&woken), &[])?;
    }
    Ok(())
}
