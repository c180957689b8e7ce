//! Why something cannot be had, and what would help.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Answer, EVENTFD, IMPORTS, Node, POINTS, SYNCOBJ, Source, Tier};

/// A no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The errno, if a call refused.
    pub errno: Option<i32>,
    /// Why not.
    pub why: String,
    /// What would help: a module, a permission, a kernel. Empty: nothing does.
    pub help: String,
}

impl Refusal {
    pub(super) fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { errno: None, why: why.into(), help: help.into() }
    }

    fn of(error: &io::Error, why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { errno: error.raw_os_error(), ..Self::new(why, help) }
    }

    /// A maker of buffers did not make one.
    pub(super) fn of_source(path: &Path, error: &io::Error) -> Self {
        let is_udmabuf = path.ends_with("udmabuf");
        match error.kind() {
            ErrorKind::NotFound if is_udmabuf => {
                Self::of(error, "there is no /dev/udmabuf", "modprobe udmabuf; or a kernel with CONFIG_UDMABUF")
            }
            ErrorKind::NotFound => {
                Self::of(error, "there is no /dev/dma_heap", "a kernel with CONFIG_DMABUF_HEAPS_SYSTEM")
            }
            _ => Self::of_node(path, error),
        }
    }

    /// A node cannot be opened.
    pub(super) fn of_node(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied => Self::of(error, "this user may not open it", permission(path)),
            ErrorKind::NotFound => {
                Self::of(error, "the node is gone, or its driver is", "plug it in, or load its driver")
            }
            ErrorKind::ResourceBusy => Self::of(error, "another process has it for itself", "end that process"),
            _ => Self::of(error, error.to_string(), ""),
        }
    }

    /// A node cannot do something.
    pub(super) fn of_ability(ability: &str, error: &io::Error) -> Self {
        if error.kind() == ErrorKind::ResourceBusy {
            return Self::of(error, "another process uses it now", "end that process and look again");
        }
        if ability == POINTS && error.kind() == ErrorKind::InvalidInput {
            return Self::of(error, "this kernel does not know it", "a newer kernel (7.x)");
        }
        const ENODEV: i32 = 19;
        const EOPNOTSUPP: i32 = 95;
        match error.raw_os_error() {
            Some(ENODEV) if ability == IMPORTS => {
                Self::of(error, "it takes only buffers of its own", "buffers that this device makes")
            }
            Some(EOPNOTSUPP) | None => Self::of(error, "the driver does not have it", ""),
            Some(_) => Self::of(error, error.to_string(), ""),
        }
    }

    pub(super) fn of_sync_file(error: &io::Error) -> Self {
        const ENOTTY: i32 = 25;
        match error.raw_os_error() {
            Some(ENOTTY) => Self::of(error, "the kernel does not know it", "Linux 6.0 or newer with CONFIG_SYNC_FILE"),
            _ => Self::of(error, error.to_string(), ""),
        }
    }
}

/// What gives this user a node, by its mode and group.
fn permission(path: &Path) -> String {
    let Ok(node) = fs::metadata(path) else { return String::new() };
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let group = group_name(&groups, node.gid()).filter(|_| node.mode() & 0o060 == 0o060 && node.gid() != 0);
    match (group, path.file_name().and_then(|name| name.to_str())) {
        (Some(group), _) => format!("sudo usermod -aG {group} $USER, then log in again"),
        (None, Some(name)) => format!("a udev rule: KERNEL==\"{name}\", GROUP=\"video\", MODE=\"0660\""),
        (None, None) => String::new(),
    }
}

fn group_name(groups: &str, gid: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then_some(name)
    })
}

/// What would raise the tier.
pub(super) fn next(tier: Tier, sources: &[Source], sync_file: &Answer, drm: &[Node]) -> Option<Refusal> {
    let of_drm = |ability: &str, help: &str| {
        let answers = drm.iter().flat_map(|node| &node.abilities).filter(|(name, _)| *name == ability);
        let refused = answers.filter_map(|(_, answer)| answer.as_ref().err()).find(|refusal| !refusal.help.is_empty());
        let unopened = drm.iter().filter_map(|node| node.opens.as_ref().err()).find(|refusal| !refusal.help.is_empty());
        let why = format!("no DRM node here has {ability}");
        let help = refused.or(unopened).map_or_else(|| help.to_owned(), |refusal| refusal.help.clone());
        Some(Refusal::new(why, help))
    };
    match tier {
        Tier::Nothing => {
            const EPERM: i32 = 1;
            const EACCES: i32 = 13;
            // A permission is easier to get than a kernel: a source that exists comes first.
            let refused = || sources.iter().filter_map(|source| source.makes.as_ref().err());
            let known = refused().find(|refusal| matches!(refusal.errno, Some(EPERM | EACCES)));
            let help = known.or_else(|| refused().next()).map(|refusal| refusal.help.clone()).unwrap_or_default();
            Some(Refusal::new("nothing that this user may open makes dma-bufs", help))
        }
        Tier::DmaBuf => sync_file.as_ref().err().cloned(),
        Tier::SyncFile => {
            of_drm(SYNCOBJ, "a GPU driver that has it, or virtio-gpu: modprobe virtio_gpu in a guest that has one")
        }
        Tier::Syncobj => of_drm(EVENTFD, "Linux 6.6 or newer"),
        Tier::SyncobjEventfd => of_drm(POINTS, "a newer kernel (7.x)"),
        Tier::SyncobjPoints => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusal, group_name};
    use std::io;
    use std::path::Path;

    #[test]
    fn a_group_is_found_by_its_number() {
        let groups = "root:x:0:\nvideo:x:44:me\nodd\n::\nrender:x:104:\n";
        assert_eq!(group_name(groups, 44), Some("video"));
        assert_eq!(group_name(groups, 104), Some("render"));
        assert_eq!(group_name(groups, 7), None);
    }

    #[test]
    fn a_missing_module_is_named() {
        let refusal = Refusal::of_source(Path::new("/dev/udmabuf"), &io::Error::from_raw_os_error(2));
        assert!(refusal.help.contains("modprobe udmabuf") && refusal.errno == Some(2), "{refusal:?}");
    }
}
