//! What one client may have: objects that cost the compositor memory or a descriptor are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wayland_server::backend::ClientData;
use wayland_server::{Client, Resource};

/// Objects that a client may have: windows, buffers, planes, pools, timelines, callbacks. An honest one has some dozens.
const MOST: u32 = 1024;

/// The code that a client is told. No interface has a word for it, and the object that stands for no memory cannot be reached.
const TOO_MANY: u32 = u32::MAX;

/// How much a client has.
#[derive(Debug, Default)]
pub(super) struct ClientLimit(Arc<AtomicU32>);

impl ClientData for ClientLimit {}

/// One object of a client. Gives its place back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place for one more object, asked for by a request to `on`. `None`: the client has too many, and was disconnected.
pub(super) fn place(client: &Client, on: &impl Resource) -> Option<Place> {
    let limit = client.get_data::<ClientLimit>()?;
    let place = Place(Arc::clone(&limit.0));
    if limit.0.fetch_add(1, Ordering::Relaxed) < MOST {
        return Some(place);
    }
    on.post_error(TOO_MANY, format!("more than {MOST} objects"));
    None
}
