//! What a device without fences of ours holds while it has a buffer: a lease, alone or in something that ends with it.

use handover_model::{Access, Stage};

use crate::error::{Error, Kind, Result};
use crate::lease::Lease;
use crate::stream::{Draft, Frame};
use crate::surface::Surface;

/// Something that keeps a lease of one surface for as long as it lives.
///
/// A queue or a screen takes it when the device gets the buffer and gives it back when the device is done: the reservation then
/// says "busy" for exactly that time, though the kernel's own reservation may say "idle" (S19).
pub trait Held {
    /// The lease.
    fn lease(&self) -> &Lease;
}

impl Held for Lease {
    fn lease(&self) -> &Lease {
        self
    }
}

/// A producer's next frame, which the device fills.
impl Held for Draft {
    fn lease(&self) -> &Lease {
        Draft::lease(self)
    }
}

/// A consumer's frame, which the device reads. The frame is released after its lease.
impl Held for (Lease, Frame) {
    fn lease(&self) -> &Lease {
        &self.0
    }
}

/// The one surface of what is held, if the lease allows what the device does.
pub(super) fn surface_of(held: &impl Held, access: Access, what: &str) -> Result<Surface> {
    let lease = held.lease();
    let mut surfaces = lease.surfaces();
    match (surfaces.next(), surfaces.next()) {
        (Some((surface, allowed, region)), None)
            if region.is_whole() && (access == Access::Read || allowed == Access::Write) =>
        {
            Ok(surface.clone())
        }
        _ => Err(Error::new(Stage::Access, Kind::Invalid)
            .asked(format!("{} access of {what} to one surface", access.word()))
            .found(format!("a lease for {}", lease.share().describe()))
            .help("acquire the whole of that surface alone, with this access")),
    }
}
