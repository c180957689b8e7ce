//! A frame on its way: drawn in, then published, or given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;
use crate::lease::Lease;
use crate::surface::Surface;

/// A surface to draw the next frame in. Dropped, it goes back unpublished.
#[derive(Debug)]
pub struct Draft {
    pub(super) surface: Surface,
    pub(super) lease: Lease,
    pub(super) frame: u64,
    pub(super) slot: usize,
    pub(super) drafted: Drafted,
}

impl Draft {
    /// The surface.
    pub fn surface(&self) -> &Surface {
        &self.surface
    }

    /// WRITE access to all of it.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The number this frame will have.
    pub fn frame(&self) -> u64 {
        self.frame
    }
}

/// What became of a published frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its number, from 1. Numbers of drafts that were dropped are left out.
    pub frame: u64,
    /// Consumers it was named to.
    pub sent: u32,
    /// Consumers whose queue was full, mailboxes all: they will be told of the next one.
    pub dropped: u32,
}

/// A frame that a device still draws, and whose fence the kernel did not take. Dropping it would let the next one start while the
/// device works.
#[derive(Debug)]
#[must_use = "the device still draws; wait for its fence, then publish the draft"]
pub struct Undrawn {
    /// The draft, as it was.
    pub draft: Draft,
    /// Why.
    pub error: Error,
}

impl std::fmt::Display for Undrawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Undrawn {}

/// Marks a slot as drafted for as long as it lives.
#[derive(Debug)]
pub(super) struct Drafted(pub(super) Arc<AtomicBool>);

impl Drop for Drafted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
