//! `wl_compositor`: surfaces of clients, and what becomes of a commit.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard};

use handover::Surface;
use wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::WpPresentationFeedback;
use wayland_server::backend::ClientId;
use wayland_server::protocol::wl_buffer::WlBuffer;
use wayland_server::protocol::wl_compositor::{self, WlCompositor};
use wayland_server::protocol::wl_surface::{self, WlSurface};
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource};

use super::commit::{Committed, How};
use super::limit::{self, Place};
use super::pace::Audience;
use super::shell::Role;
use super::shm::Shared;
use super::state::State;
use super::syncobj::{Attached, Explicit};
use super::{WindowId, lock};

/// A buffer of a client's.
#[derive(Debug)]
pub(super) enum BufferData {
    /// From linux-dmabuf.
    DmaBuf {
        /// Imported once.
        surface: Surface,
        /// Commits that have not been released.
        uses: Arc<AtomicU32>,
        _place: Place,
    },
    /// From `wl_shm`.
    Shared(Shared),
}

/// A `wl_surface`.
#[derive(Debug)]
pub(super) struct SurfaceData {
    pub(super) window: WindowId,
    inner: Mutex<Inner>,
    _place: Place,
}

/// What the next commit will have, and what the last one left.
#[derive(Debug, Default)]
pub(super) struct Inner {
    /// `Some(None)`: nothing is to be shown.
    buffer: Option<Option<WlBuffer>>,
    audience: Audience,
    pub(super) explicit: Explicit,
    pub(super) role: Role,
    is_mapped: bool,
}

impl SurfaceData {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    pub(super) fn add_feedback(&self, feedback: WpPresentationFeedback) {
        self.lock().audience.presented.push(feedback);
    }
}

impl State {
    /// Makes of the pending state what the protocol says. Errors have been told to the client.
    fn apply(&mut self, client: &Client, object: &WlSurface, data: &SurfaceData) {
        let mut inner = data.lock();
        let buffer = inner.buffer.take();
        let attached = match buffer.as_ref().and_then(Option::as_ref).and_then(Resource::data::<BufferData>) {
            Some(BufferData::DmaBuf { .. }) => Attached::DmaBuf,
            Some(BufferData::Shared(_)) => Attached::Other,
            None => Attached::Nothing,
        };
        let Ok(points) = inner.explicit.take(attached) else { return };
        let audience = std::mem::take(&mut inner.audience);
        let serial = self.next_serial();
        if !inner.role.commit(attached != Attached::Nothing, serial, self.options.extent) {
            return;
        }
        let is_window = inner.role.is_window();
        let (title, app_id) = inner.role.names();
        let was_mapped = inner.is_mapped;
        if let Some(buffer) = &buffer {
            inner.is_mapped = buffer.is_some() && is_window;
        }
        let is_unmapped = was_mapped && !inner.is_mapped;
        drop(inner);
        if is_unmapped {
            self.unmap(data.window);
        }
        let Some(buffer) = buffer.flatten() else {
            return self.disappoint(audience);
        };
        let (mut acquire, is_copy) = (None, attached == Attached::Other);
        let release = match (buffer.data::<BufferData>(), points) {
            (Some(BufferData::DmaBuf { surface, .. }), Some(points)) => {
                let Some(place) = limit::descriptors(client, object, 1) else { return };
                acquire = Some(self.acquire_point(points.acquire.timeline, points.acquire.value, place));
                let (timeline, point) = (points.release.timeline, points.release.value);
                self.release(surface.clone(), How::Point { timeline, point, _buffer: buffer.clone() })
            }
            (Some(BufferData::DmaBuf { surface, uses, .. }), None) => {
                self.release(surface.clone(), How::Buffer(buffer.clone(), Arc::clone(uses)))
            }
            (Some(BufferData::Shared(shared)), _) => {
                let copy = self.copies.as_mut().map(|copies| copies.copy(shared, data.window, client));
                buffer.release();
                match copy {
                    Some(Ok((surface, token))) => self.release(surface, How::Copy { _token: token }),
                    Some(Err(error)) => {
                        self.disappoint(audience);
                        return self.refuse(error);
                    }
                    None => return self.disappoint(audience),
                }
            }
            (None, _) => return self.disappoint(audience),
        };
        let committed = Committed { window: data.window, title, app_id, is_copy, release };
        if is_window {
            self.commit(committed, audience, acquire);
        } else {
            // A cursor or the like: nobody sees it, and its client wants it back.
            drop(committed);
            self.disappoint(audience);
        }
    }
}

impl GlobalDispatch<WlCompositor, ()> for State {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        resource: New<WlCompositor>,
        (): &(),
        init: &mut DataInit<'_, Self>,
    ) {
        init.init(resource, ());
    }
}

impl Dispatch<WlCompositor, ()> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        object: &WlCompositor,
        request: wl_compositor::Request,
        (): &(),
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        let Some(place) = limit::place(client, object) else { return };
        match request {
            wl_compositor::Request::CreateSurface { id } => {
                let window = state.next_window();
                init.init(id, SurfaceData { window, inner: Mutex::default(), _place: place });
            }
            wl_compositor::Request::CreateRegion { id } => {
                init.init(id, place);
            }
            _ => {}
        }
    }
}

impl Dispatch<WlSurface, SurfaceData> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        object: &WlSurface,
        request: wl_surface::Request,
        data: &SurfaceData,
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        match request {
            wl_surface::Request::Attach { buffer, .. } => data.lock().buffer = Some(buffer),
            wl_surface::Request::Frame { callback } => {
                let Some(place) = limit::place(client, object) else { return };
                let callback = init.init(callback, place);
                data.lock().audience.callbacks.push(callback);
            }
            wl_surface::Request::Commit => state.apply(client, object, data),
            // Every frame is taken whole, upright and pixel by pixel.
            _ => {}
        }
    }

    fn destroyed(state: &mut Self, _: ClientId, _: &WlSurface, data: &SurfaceData) {
        let Inner { is_mapped, audience, .. } = std::mem::take(&mut *data.lock());
        // What was asked with a commit that never came is answered too: each callback counts as an object of the client's.
        state.disappoint(audience);
        state.forget(data.window, is_mapped);
    }
}
