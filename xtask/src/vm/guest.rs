//! One life of the guest: prepared, booted, watched until it powers off. Every wait has a named time-out.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::job::{Event, Program};
use super::kernel::{self, Kernel};
use super::machine::{self, Machine, Next};
use super::needs::Fetches;
use super::{Options, initramfs, modules, needs, report, stock};

/// A bound on a wait, by the name that a failure shows.
struct TimeOut {
    name: &'static str,
    limit: Duration,
}

/// From QEMU's start until the guest can run programs. It takes 10 s; a busy host is slower.
const BOOT: TimeOut = TimeOut { name: "boot", limit: Duration::from_secs(180) };
/// From QEMU's start until the last program has ended.
const WHOLE: TimeOut = TimeOut { name: "whole run", limit: Duration::from_secs(15 * 60) };
/// What a program gets beyond its own limit, within which the guest itself ends it.
const GRACE: TimeOut = TimeOut { name: "program", limit: Duration::from_secs(30) };
/// From the last program's end until the guest has powered off.
const POWER_OFF: TimeOut = TimeOut { name: "power-off", limit: Duration::from_secs(60) };
/// The guest's own, counted from inside: it holds when the host is gone.
const WATCHDOG: Duration = Duration::from_secs(17 * 60);

/// A guest that is ready to boot. No other one boots in the same folder meanwhile.
pub(super) struct Guest {
    /// `target/vm`.
    folder: PathBuf,
    /// The results' folder, the same path on the host and in the guest.
    pub(super) out: PathBuf,
    kernel: Kernel,
    /// The file system with the guest's packages.
    stock: Option<PathBuf>,
    initramfs: Vec<u8>,
    /// Locked until this is dropped.
    _lock: File,
}

impl Guest {
    /// Finds or fetches all that the guest consists of, and empties the results' folder.
    pub(super) fn prepare(options: &Options, target: &Path) -> Result<Self, String> {
        let folder = target.join("vm");
        let failed = |what: &str, e: std::io::Error| format!("cannot {what} {}: {e}", folder.display());
        fs::create_dir_all(&folder).map_err(|e| failed("make", e))?;
        let folder = folder.canonicalize().map_err(|e| failed("find", e))?;
        let lock = lock(&folder)?;
        let busybox =
            needs::meet(options.setup, Fetches { kernel: options.kernel.is_none(), stock: options.stock.is_none() })?;
        let kernel = match kernel::find(options.kernel.as_deref(), &folder) {
            // Lists that are a month old name packages that the archive has no more.
            Err(why) if options.setup => {
                needs::update_lists().map_err(|then| format!("{why}\n{then}"))?;
                kernel::find(options.kernel.as_deref(), &folder)?
            }
            found => found?,
        };
        let stock = stock::find(options.stock.as_deref(), &folder)?;
        let out = folder.join("out");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).map_err(|e| format!("cannot make {}: {e}", out.display()))?;
        let modules = modules::Shelf::read(&kernel.modules)?.in_order()?;
        let initramfs = initramfs::build(&busybox, &modules, stock.is_some(), &out, WATCHDOG)?;
        Ok(Self { folder, out, kernel, stock, initramfs, _lock: lock })
    }

    /// Boots, runs `script`, which runs `programs`, and powers off. `watch` is told of each event.
    pub(super) fn run(&self, script: &str, programs: &[Program], watch: &mut dyn FnMut(&Event)) -> Result<(), String> {
        let job = self.out.join("job.sh");
        fs::write(&job, script).map_err(|e| format!("cannot write {}: {e}", job.display()))?;
        eprintln!("xtask vm: Linux {} boots", self.kernel.version);
        let began = Instant::now();
        let mut machine = Machine::start(&self.folder, &self.kernel, self.stock.as_deref(), &self.initramfs)?;
        let mut running: Option<&str> = None;
        let mut bound = Bound::new(&BOOT, Some(began), BOOT.limit);
        loop {
            let event = match machine.next(bound.end) {
                Next::Event(event) => event,
                Next::Gone => return Err(self.failure("the guest ended before its job did", running, &machine)),
                Next::TimeOut => {
                    let limit = bound.limit.as_secs();
                    return Err(self.failure(&format!("time-out `{}`, {limit} s", bound.name), running, &machine));
                }
            };
            watch(&event);
            match event {
                Event::Booted => {
                    eprintln!("xtask vm: booted in {:.1} s", began.elapsed().as_secs_f64());
                    bound = Bound::new(&WHOLE, Some(began), WHOLE.limit);
                }
                Event::Start { name } => {
                    if let Some(program) = programs.iter().find(|program| program.name == name) {
                        running = Some(&program.name);
                        let own = Bound::new(&GRACE, None, program.limit.saturating_add(GRACE.limit));
                        bound = Bound::new(&WHOLE, Some(began), WHOLE.limit).or_sooner(own);
                    }
                }
                Event::End { .. } => {
                    running = None;
                    bound = Bound::new(&WHOLE, Some(began), WHOLE.limit);
                }
                Event::Finished => break,
            }
        }
        machine.end(POWER_OFF.limit).map_err(|why| {
            format!("time-out `{}`: {why}\n{}", POWER_OFF.name, report::end_of(&self.folder.join(machine::CONSOLE)))
        })
    }

    /// The kernel's log, and what `init.sh` said: of a guest that did not come to its end, the console has it.
    pub(super) fn kernel_log(&self) -> String {
        let read = |path: PathBuf| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        // A guest that dies while it writes its log leaves an empty one.
        let log = read(self.out.join("dmesg.txt")).ok().filter(|log| !log.is_empty());
        log.or_else(|| read(self.console()).ok()).unwrap_or_default()
    }

    /// The file with all that the guest said on its serial port.
    pub(super) fn console(&self) -> PathBuf {
        self.folder.join(machine::CONSOLE)
    }

    fn failure(&self, what: &str, running: Option<&str>, machine: &Machine) -> String {
        let mut text = what.to_owned();
        if let Some(name) = running {
            text += &format!(" while {name} ran\n{}", report::about(name, &self.out, ""));
        }
        let complaint = machine.complaint();
        if !complaint.is_empty() {
            text += &format!("\n--- QEMU said\n{complaint}\n");
        }
        text + &format!("\n--- the last lines of {}\n{}", self.console().display(), report::end_of(&self.console()))
    }
}

/// Two guests in one folder would write over each other's results.
fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|e| format!("cannot make {}: {e}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        eprintln!("xtask vm: waiting for another guest in {}", folder.display());
        flock(&file, FlockOperation::LockExclusive).map_err(|e| format!("cannot lock {}: {e}", path.display()))?;
    }
    Ok(file)
}

/// Until when a wait may last, and by which time-out.
struct Bound {
    name: &'static str,
    limit: Duration,
    end: Instant,
}

impl Bound {
    /// Counted from `began`, or from now.
    fn new(time_out: &TimeOut, began: Option<Instant>, limit: Duration) -> Self {
        let began = began.unwrap_or_else(Instant::now);
        Self { name: time_out.name, limit, end: began.checked_add(limit).unwrap_or(began) }
    }

    fn or_sooner(self, other: Self) -> Self {
        if other.end < self.end { other } else { self }
    }
}
