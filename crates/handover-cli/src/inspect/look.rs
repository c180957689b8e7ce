//! One look at all processes: who has which buffer open or mapped.
//!
//! Nothing here stops for one process: those that end meanwhile are passed over, those that may not be read are counted. The
//! work for one process is bounded by [`MOST_DESCRIPTORS`] and [`MOST_MAPS`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::bufinfo::{self, Listed};
use super::proc::{FdInfo, MapsLine, Stat, kind_of};
use super::{Key, Kind};
use crate::participant;

/// Descriptors of one process that are looked at.
const MOST_DESCRIPTORS: usize = 1 << 18;
/// Bytes of `/proc/PID/maps` that are read: about as many lines as a process may have mappings by default.
const MOST_MAPS: u64 = 16 << 20;

/// How a process holds a buffer.
#[derive(Debug, Clone, Default)]
pub(super) struct Hold {
    pub(super) descriptors: u64,
    pub(super) mappings: u64,
    /// Can it write through one of the mappings? A descriptor open for writing says less: the memory may be sealed.
    pub(super) maps_writable: bool,
    /// A descriptor by which the buffer can be reached.
    pub(super) descriptor: Option<i32>,
}

/// A process that could be read.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) start: u64,
    pub(super) command: String,
    pub(super) holds: BTreeMap<Key, Hold>,
}

/// What is known of a buffer, whoever said it.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Bytes, if somebody knew all of it.
    pub(super) size: Option<u64>,
    /// How far mappings reach: it has at least so many bytes.
    pub(super) mapped_to: u64,
    pub(super) references: Option<u64>,
    pub(super) exporter: Option<String>,
    pub(super) name: Option<String>,
    /// What the kernel's own list says, where it may be read.
    pub(super) listed: Option<Listed>,
}

/// All of one look.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Those that hold a buffer.
    pub(super) processes: Vec<Process>,
    pub(super) buffers: BTreeMap<Key, Facts>,
    /// Processes that could be read, whatever they hold.
    pub(super) read: u64,
    /// Processes that could not, by the reason.
    pub(super) unread: BTreeMap<String, u64>,
    /// Processes that have more than is looked at.
    pub(super) cut: Vec<u32>,
    /// Why the kernel's own list could not be read.
    pub(super) no_list: Option<io::Error>,
}

/// Looks once.
///
/// # Errors
/// There is no `/proc`.
pub(super) fn look() -> io::Result<Look> {
    let mut look = Look::default();
    let own = std::process::id();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) else { continue };
        if pid == own {
            continue;
        }
        match process(pid, &mut look) {
            Ok(None) => {}
            Ok(Some(process)) => {
                look.read += 1;
                if !process.holds.is_empty() {
                    look.processes.push(process);
                }
            }
            Err(error) if has_ended(&error) => {}
            Err(error) => *look.unread.entry(reason(&error)).or_default() += 1,
        }
    }
    look.processes.sort_by_key(|process| process.pid);
    list(&mut look);
    Ok(look)
}

/// The process that was asked for cannot be read: why.
pub(super) fn refusal(pid: u32) -> Option<String> {
    let found = process(pid, &mut Look::default());
    match found {
        Ok(_) => None,
        Err(error) if has_ended(&error) => Some("there is no such process".into()),
        Err(error) => Some(reason(&error)),
    }
}

fn has_ended(error: &io::Error) -> bool {
    const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// `None`: a thread of the kernel.
fn process(pid: u32, look: &mut Look) -> io::Result<Option<Process>> {
    let folder = format!("/proc/{pid}");
    let folder = Path::new(&folder);
    let stat = fs::read(folder.join("stat"))?;
    let Some(stat) = Stat::parse(&String::from_utf8_lossy(&stat)) else {
        return Err(io::Error::new(ErrorKind::InvalidData, "/proc/PID/stat has another form"));
    };
    if stat.is_kernel {
        return Ok(None);
    }
    let mut process = Process { pid, start: stat.start, command: String::new(), holds: BTreeMap::new() };
    let whole =
        descriptors(folder, &mut process, &mut look.buffers)? & mappings(folder, &mut process, &mut look.buffers)?;
    if !whole {
        look.cut.push(pid);
    }
    if !process.holds.is_empty() {
        process.command = command(folder);
    }
    Ok(Some(process))
}

/// All descriptors of buffers. False: there are more than are looked at.
fn descriptors(folder: &Path, process: &mut Process, buffers: &mut BTreeMap<Key, Facts>) -> io::Result<bool> {
    for (count, entry) in fs::read_dir(folder.join("fd"))?.enumerate() {
        if count == MOST_DESCRIPTORS {
            return Ok(false);
        }
        let entry = entry?;
        // A descriptor that is closed meanwhile is not held any more.
        let Ok(path) = fs::read_link(entry.path()) else { continue };
        let Some(kind) = kind_of(&path.to_string_lossy()) else { continue };
        let number = entry.file_name();
        let (Ok(info), Ok(stat)) = (fs::read(folder.join("fdinfo").join(&number)), fs::metadata(entry.path())) else {
            continue;
        };
        let info = FdInfo::parse(&String::from_utf8_lossy(&info));
        // The number may lead elsewhere by now.
        let other_file = info.inode.is_some_and(|inode| inode != stat.ino());
        if other_file || (kind == Kind::DmaBuf) != info.exporter.is_some() {
            continue;
        }
        let key = Key { kind, inode: stat.ino() };
        let hold = process.holds.entry(key).or_default();
        hold.descriptors += 1;
        hold.descriptor = hold.descriptor.or_else(|| number.to_str()?.parse().ok());
        let facts = buffers.entry(key).or_default();
        facts.size = info.size.or(Some(stat.len()));
        facts.references = info.count.or(facts.references);
        facts.exporter = info.exporter.or(facts.exporter.take());
        facts.name = info.name.or(facts.name.take());
    }
    Ok(true)
}

/// All mappings of buffers. False: there is more than is read.
fn mappings(folder: &Path, process: &mut Process, buffers: &mut BTreeMap<Key, Facts>) -> io::Result<bool> {
    let mut maps = BufReader::with_capacity(1 << 16, File::open(folder.join("maps"))?.take(MOST_MAPS));
    let mut line = Vec::new();
    while maps.read_until(b'\n', &mut line)? > 0 {
        if let Some(mapping) = MapsLine::parse(String::from_utf8_lossy(&line).trim_end_matches('\n')) {
            let hold = process.holds.entry(mapping.key).or_default();
            hold.mappings += 1;
            hold.maps_writable |= mapping.writable;
            let facts = buffers.entry(mapping.key).or_default();
            facts.mapped_to = facts.mapped_to.max(mapping.end);
            if facts.size.is_none() {
                // Needs CAP_CHECKPOINT_RESTORE; without it the size stays unknown.
                let file = fs::metadata(folder.join("map_files").join(&mapping.range)).ok();
                facts.size = file.filter(|file| file.ino() == mapping.key.inode).map(|file| file.len());
            }
            facts.name = facts.name.take().or(mapping.name);
        }
        line.clear();
    }
    Ok(maps.into_inner().limit() > 0)
}

/// What people know a process by. A participant of a run has its own name.
fn command(folder: &Path) -> String {
    let arguments = fs::read(folder.join("cmdline")).unwrap_or_default();
    let mut arguments = arguments.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    if arguments.nth(1).is_some_and(|argument| argument == participant::COMMAND)
        && let Some(name) = arguments.next()
    {
        return name.into_owned();
    }
    let name = fs::read(folder.join("comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

/// Adds what the kernel's own list says, of buffers too that no process was seen to hold.
fn list(look: &mut Look) {
    let listed = match read_some(Path::new("/sys/kernel/debug/dma_buf/bufinfo")) {
        Ok(text) => bufinfo::parse(&text),
        Err(error) => {
            look.no_list = Some(error);
            bufinfo::statistics(Path::new("/sys/kernel/dmabuf/buffers"))
        }
    };
    for listed in listed {
        let facts = look.buffers.entry(Key { kind: Kind::DmaBuf, inode: listed.inode }).or_default();
        facts.size = facts.size.or(Some(listed.size));
        facts.exporter = facts.exporter.take().or_else(|| listed.exporter.clone());
        facts.name = facts.name.take().or_else(|| listed.name.clone());
        facts.listed = Some(listed);
    }
}

fn read_some(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bufinfo::MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
