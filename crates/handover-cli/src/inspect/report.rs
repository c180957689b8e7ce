//! What one look found, joined by buffer and by process: what stands in the JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::blind::{self, Unseen};
use super::bufinfo::Fence;
use super::describe::{self, Description};
use super::growth::Change;
use super::look::{Facts, Hold, Look};
use super::{Key, Kind};

/// One look.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Seconds since the first look.
    pub seconds: f64,
    /// Processes whose descriptors and mappings could be read, whatever they hold.
    pub processes_read: u64,
    /// Processes that were asked for. Empty: all.
    pub asked: Vec<u32>,
    /// Each buffer once.
    pub totals: Totals,
    /// `null`: this is the first look.
    pub since_last: Option<Change>,
    /// `null`: this is the first look.
    pub since_first: Option<Change>,
    /// Buffers of the last look that are not there any more.
    pub gone: u64,
    /// Those that hold a buffer: who holds most comes first.
    pub processes: Vec<Process>,
    /// All buffers, by kind and inode.
    pub buffers: Vec<Buffer>,
    /// What could not be seen, and why.
    pub not_seen: Vec<Unseen>,
}

/// How many, and how large together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Buffers.
    pub buffers: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Totals {
    fn add(&mut self, bytes: u64) {
        self.buffers = self.buffers.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// A process that holds buffers.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Clock ticks from boot to its start.
    pub start: u64,
    /// What it is called: of a participant of `handover run`, its name in the pipeline.
    pub command: String,
    /// Each buffer that it holds once, however many descriptors and mappings it has of it.
    #[serde(flatten)]
    pub totals: Totals,
    /// Descriptors of buffers.
    pub descriptors: u64,
    /// Mappings of buffers.
    pub mappings: u64,
    /// `null`: this is the first look.
    pub since_last: Option<Change>,
    /// `null`: this is the first look.
    pub since_first: Option<Change>,
}

/// A buffer.
#[derive(Debug, Clone, Serialize)]
pub struct Buffer {
    /// What it is.
    pub kind: Kind,
    /// Which one of its kind.
    pub inode: u64,
    /// What somebody called it.
    pub name: Option<String>,
    /// Who made it, if it is a dma-buf.
    pub exporter: Option<String>,
    /// Bytes.
    pub bytes: u64,
    /// False: only mappings were seen, and it has at least so many bytes.
    pub bytes_known: bool,
    /// References to its file: one for each descriptor, mapping, importing driver and message on its way.
    pub references: Option<u64>,
    /// Of these, the ones that no process was seen to hold.
    pub references_elsewhere: Option<u64>,
    /// What its producer wrote behind its pixels.
    pub metadata: Option<Description>,
    /// Pending fences. `null`: the kernel's list may not be read, or says nothing of this kind.
    pub fences: Option<Vec<Fence>>,
    /// Devices that import it, as the kernel's list says.
    pub devices: Vec<String>,
    /// Who holds it.
    pub holders: Vec<Holder>,
    /// Was it not there at the last look?
    pub is_new: bool,
}

/// How one process holds one buffer.
#[derive(Debug, Clone, Serialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it is called.
    pub command: String,
    /// Descriptors.
    pub descriptors: u64,
    /// Mappings.
    pub mappings: u64,
    /// Can it write through one of the mappings? A descriptor open for writing says less: the memory may be sealed.
    pub maps_writable: bool,
}

impl Report {
    /// Joins a look. With `pids`, only the buffers that one of these holds, and their other holders.
    pub(super) fn of(look: Look, pids: &[u32]) -> Self {
        let mut holds: BTreeMap<Key, Vec<(u32, &str, &Hold)>> = BTreeMap::new();
        for process in &look.processes {
            for (key, hold) in &process.holds {
                holds.entry(*key).or_default().push((process.pid, process.command.as_str(), hold));
            }
        }
        let mut undescribed = 0;
        let mut report = Self { processes_read: look.read, asked: pids.to_vec(), ..Self::default() };
        let mut sizes = BTreeMap::new();
        for (key, facts) in &look.buffers {
            let holders = holds.get(key).map_or(&[][..], Vec::as_slice);
            if !pids.is_empty() && !holders.iter().any(|(pid, ..)| pids.contains(pid)) {
                continue;
            }
            let buffer = buffer(*key, facts, holders, &mut undescribed);
            report.totals.add(buffer.bytes);
            sizes.insert(*key, buffer.bytes);
            report.buffers.push(buffer);
        }
        for process in look.processes.iter().filter(|process| pids.is_empty() || pids.contains(&process.pid)) {
            let mut totals = Totals::default();
            process.holds.keys().filter_map(|key| sizes.get(key)).for_each(|bytes| totals.add(*bytes));
            report.processes.push(Process {
                pid: process.pid,
                start: process.start,
                command: process.command.clone(),
                totals,
                descriptors: process.holds.values().map(|hold| hold.descriptors).sum(),
                mappings: process.holds.values().map(|hold| hold.mappings).sum(),
                since_last: None,
                since_first: None,
            });
        }
        report.processes.sort_by_key(|process| (std::cmp::Reverse(process.totals.bytes), process.pid));
        let has_dma_bufs = look.buffers.keys().any(|key| key.kind == Kind::DmaBuf);
        report.not_seen = blind::unseen(&look, has_dma_bufs, undescribed);
        report
    }
}

fn buffer(key: Key, facts: &Facts, holders: &[(u32, &str, &Hold)], undescribed: &mut u64) -> Buffer {
    let seen: u64 = holders.iter().map(|(_, _, hold)| hold.descriptors.saturating_add(hold.mappings)).sum();
    Buffer {
        kind: key.kind,
        inode: key.inode,
        name: facts.name.clone(),
        exporter: facts.exporter.clone(),
        bytes: facts.size.unwrap_or(facts.mapped_to),
        bytes_known: facts.size.is_some(),
        references: facts.references,
        references_elsewhere: facts.references.map(|references| references.saturating_sub(seen)),
        metadata: description(key, facts, holders, undescribed),
        fences: facts.listed.as_ref().and_then(|listed| listed.fences.clone()),
        devices: facts.listed.as_ref().map(|listed| listed.devices.clone()).unwrap_or_default(),
        holders: holders
            .iter()
            .map(|(pid, command, hold)| Holder {
                pid: *pid,
                command: (*command).to_owned(),
                descriptors: hold.descriptors,
                mappings: hold.mappings,
                maps_writable: hold.maps_writable,
            })
            .collect(),
        is_new: false,
    }
}

/// Through the first holder that lets us. Counts the buffers where nobody does.
fn description(key: Key, facts: &Facts, holders: &[(u32, &str, &Hold)], undescribed: &mut u64) -> Option<Description> {
    if !describe::can_have(key, facts.exporter.as_deref()) {
        return None;
    }
    let mut refused = false;
    for (pid, _, hold) in holders {
        let Some(descriptor) = hold.descriptor else { continue };
        match describe::describe(*pid, descriptor, key) {
            Ok(description) => return description,
            Err(_) => refused = true,
        }
    }
    *undescribed += u64::from(refused);
    None
}
