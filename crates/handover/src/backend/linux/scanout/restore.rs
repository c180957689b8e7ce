//! What the screen showed before us, how it comes back, and the rest of giving a screen back.

use std::sync::Arc;

use handover_model::Stage;
use handover_sys::drm::mode::{self, AtomicRequest, Flags};

use super::super::{Card, SyncFile};
use super::framebuffer::Framebuffers;
use super::route::{Object, Route};
use crate::deadline::Deadline;
use crate::error::{Result, os};
use crate::lease::Share;

/// The properties of an object that a commit of ours may change, by object.
const CONNECTOR: &[&str] = &["CRTC_ID"];
const CRTC: &[&str] = &["ACTIVE", "MODE_ID"];
const PLANE: &[&str] =
    &["FB_ID", "CRTC_ID", "SRC_X", "SRC_Y", "SRC_W", "SRC_H", "CRTC_X", "CRTC_Y", "CRTC_W", "CRTC_H"];

const ENODEV: i32 = 19;

/// A screen as it was found.
#[derive(Debug)]
pub(super) struct Before {
    /// Object, property, value.
    values: Vec<(u32, u32, u64)>,
    /// The same with nothing shown.
    off: Vec<(u32, u32, u64)>,
    /// The mode that was set. Its blob is somebody else's and may go with them.
    mode: Option<(u32, u32, Vec<u8>)>,
    was_on: bool,
}

impl Before {
    pub(super) fn of(card: &Card, route: &Route) -> Result<Self> {
        let parts = [(&route.connector, CONNECTOR), (&route.crtc, CRTC), (&route.plane, PLANE)];
        let of = |(object, names): &(&Object, &'static [&'static str])| {
            let found =
                names.iter().filter_map(|name| object.property(name)).map(|found| (object.id, found.id, found.value));
            found.collect::<Vec<_>>()
        };
        let values: Vec<_> = parts.iter().flat_map(of).collect();
        let off = values.iter().map(|&(object, property, _)| (object, property, 0)).collect();
        let value = |object: &Object, name| object.property(name).map_or(0, |property| property.value);
        let was_on = value(&route.crtc, "ACTIVE") == 1 && value(&route.plane, "FB_ID") != 0;
        let mode =
            match route.crtc.property("MODE_ID").and_then(|mode| Some((mode.id, u32::try_from(mode.value).ok()?))) {
                Some((property, blob)) if was_on && blob != 0 => {
                    let bytes = mode::blob(card, blob).map_err(os(Stage::Negotiate, "read the mode of a screen"))?;
                    Some((route.crtc.id, property, bytes))
                }
                _ => None,
            };
        Ok(Self { values, off, mode, was_on })
    }

    /// Brings it back. What was shown may be gone with its owner: then the screen goes dark.
    pub(super) fn restore(self, card: &Card, request: &mut AtomicRequest) -> Result<()> {
        if self.was_on && self.bring_back(card, request).is_ok() {
            return Ok(());
        }
        match commit(request, &self.off) {
            Err(error) if error.raw_os_error() != Some(ENODEV) => {
                Err(os(Stage::Release, format!("turn off a screen of {}", card.driver()))(error))
            }
            _ => Ok(()),
        }
    }

    fn bring_back(&self, card: &Card, request: &mut AtomicRequest) -> std::io::Result<()> {
        let mut values = self.values.clone();
        let mut ours = None;
        if let Some((crtc, property, bytes)) = &self.mode {
            let blob = *ours.insert(mode::create_blob(card, bytes)?);
            for (object, id, value) in &mut values {
                if (&*object, &*id) == (crtc, property) {
                    *value = blob.into();
                }
            }
        }
        let committed = commit(request, &values);
        if let Some(blob) = ours {
            // The screen's state keeps the bytes.
            let _ = mode::destroy_blob(card, blob);
        }
        committed
    }
}

/// Everything that a screen is given back with, apart from the leases.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) card: Card,
    pub(super) before: Before,
    /// Ours was shown.
    pub(super) is_on: bool,
    pub(super) framebuffers: Framebuffers,
    /// The mode as a blob of ours.
    pub(super) blob: Option<u32>,
    /// We became the card's master for this, so we stop being it.
    pub(super) leaves: bool,
}

impl Ending {
    /// Gives the screen back. Blocks for as long as the last commit is not done.
    pub(super) fn run(mut self, request: &mut AtomicRequest) -> Result<()> {
        let restored = if self.is_on { self.before.restore(&self.card, request) } else { Ok(()) };
        self.framebuffers.clear(&self.card);
        // What cannot be given back here goes with the open file.
        if let Some(blob) = self.blob {
            let _ = mode::destroy_blob(&self.card, blob);
        }
        if self.leaves {
            let _ = mode::drop_master(&self.card);
        }
        restored
    }

    /// Gives the screen back when the last commit is done, on a thread of its own, and ends the leases' entries then. Closing the
    /// card meanwhile would block as well: the kernel waits for the commit before it removes a framebuffer.
    pub(super) fn run_later(self, flip: Option<SyncFile>, shares: Vec<Arc<Share>>) {
        let work = move || {
            // It ends: the kernel bounds its fences. How it ends changes nothing here.
            let _ = flip.map(|flip| flip.wait(Deadline::Never));
            let request = AtomicRequest::new(&self.card).map_err(os(Stage::Release, "make an atomic request"));
            // Nobody is left to be told.
            let _ = request.and_then(|mut request| self.run(&mut request));
            drop(shares);
        };
        // Without a thread all of it is dropped at once, and the screen goes dark with the open file.
        let _ = std::thread::Builder::new().name("handover-screen".into()).spawn(work);
    }
}

/// A blocking commit: nothing pends on it that could keep it long.
fn commit(request: &mut AtomicRequest, values: &[(u32, u32, u64)]) -> std::io::Result<()> {
    request.clear();
    values.iter().try_for_each(|&(object, property, value)| request.set(object, property, value))?;
    let committed = loop {
        match request.commit(Flags::ALLOW_MODESET, 0) {
            Err(error) if matches!(error.kind(), std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock) => {}
            other => break other.map(drop),
        }
    };
    request.clear();
    committed
}
