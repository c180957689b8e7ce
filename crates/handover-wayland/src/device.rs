//! Devices as Wayland names them: by the number of one of their nodes (`dev_t`).

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use handover::backend::linux::Card;
use handover::{Error, Kind, Result, Stage};
use handover_sys::drm;

/// The number of a device node (`dev_t` as the kernel and glibc encode it, `st_rdev`). Of a device with two nodes, a card and a
/// render node, either may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceId(pub u64);

impl DeviceId {
    /// The number of this node.
    ///
    /// # Errors
    /// [`Kind::Os`]: there is no such node.
    pub fn of(node: impl AsRef<Path>) -> Result<Self> {
        let node = node.as_ref();
        std::fs::metadata(node).map(|found| Self(found.rdev())).map_err(|error| {
            let asked = format!("the device number of {}", node.display());
            let refused = Error::new(Stage::Negotiate, Kind::Os).asked(asked).found(error.to_string());
            error.raw_os_error().map_or(refused.clone(), |errno| refused.with_errno(errno))
        })
    }

    /// What `main_device` and `tranche_target_device` carry.
    ///
    /// # Errors
    /// [`Kind::Malformed`]: another length than that of a `dev_t`.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        bytes.try_into().map(|bytes| Self(u64::from_ne_bytes(bytes))).map_err(|_| {
            Error::new(Stage::Negotiate, Kind::Malformed)
                .asked("a device number from the compositor")
                .found(format!("{} bytes", bytes.len()))
                .why("a dev_t has 8")
        })
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.0.to_ne_bytes().to_vec()
    }

    const fn major(self) -> u64 {
        (self.0 >> 8 & 0xfff) | (self.0 >> 32 & !0xfff)
    }

    const fn minor(self) -> u64 {
        (self.0 & 0xff) | (self.0 >> 12 & 0xffff_ff00)
    }

    /// The folder of the device behind the node, the same for all nodes of one device.
    fn device(self) -> Option<PathBuf> {
        let link = format!("/sys/dev/char/{}:{}/device", self.major(), self.minor());
        std::fs::canonicalize(link).ok()
    }

    /// Do both name one device, perhaps by different nodes?
    pub fn is_same_device(self, other: Self) -> bool {
        self == other || self.device().is_some_and(|device| Some(device) == other.device())
    }

    /// The nodes of the device in `/dev/dri`, cards before render nodes.
    ///
    /// # Errors
    /// [`Kind::Os`]: the folder cannot be read.
    pub fn nodes(self) -> Result<Vec<PathBuf>> {
        let nodes = drm::nodes().map_err(|error| {
            Error::new(Stage::Negotiate, Kind::Os).asked("the DRM nodes of this machine").found(error.to_string())
        })?;
        let is_ours = |path: &PathBuf| Self::of(path).is_ok_and(|id| id.is_same_device(self));
        Ok(nodes.into_iter().map(|node| node.path).filter(is_ours).collect())
    }

    /// Opens the first of its nodes that can be opened, its card if possible: only a card makes dumb buffers.
    ///
    /// Opening a card that has no master makes the opener its master; a compositor's card has one.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: none; the error tells why each could not be opened.
    pub fn open(self) -> Result<Card> {
        let mut reasons = Vec::new();
        for path in self.nodes()? {
            match Card::open(&path) {
                Ok(card) => return Ok(card),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        let found = if reasons.is_empty() { "no node of it here".into() } else { reasons.join("; ") };
        Err(Error::new(Stage::Negotiate, Kind::Unsupported).asked(format!("the device {self}")).found(found))
    }
}

impl fmt::Display for DeviceId {
    /// Major and minor number, and the node if it is found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major(), self.minor())?;
        let node =
            self.nodes().ok().and_then(|nodes| nodes.into_iter().find(|node| Self::of(node).ok() == Some(*self)));
        node.map_or(Ok(()), |node| write!(f, " ({})", node.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceId;

    #[test]
    fn numbers_are_taken_apart_as_glibc_does() {
        assert_eq!((DeviceId(0xe280).major(), DeviceId(0xe280).minor()), (226, 128));
        // makedev(0x1234_5678, 0x9abc_def0)
        let wide = DeviceId(0x1234_59ab_cde6_78f0);
        assert_eq!((wide.major(), wide.minor()), (0x1234_5678, 0x9abc_def0));
        assert_eq!(DeviceId::from_bytes(&wide.to_bytes()), Ok(wide));
        assert!(DeviceId::from_bytes(&[0; 4]).is_err());
    }
}
