//! `linux-drm-syncobj-v1`: timelines of clients, and the points of their commits.

use std::sync::Arc;

use handover::backend::linux::{Card, Timeline};
use wayland_protocols::wp::linux_drm_syncobj::v1::server::wp_linux_drm_syncobj_manager_v1::{
    self, WpLinuxDrmSyncobjManagerV1,
};
use wayland_protocols::wp::linux_drm_syncobj::v1::server::wp_linux_drm_syncobj_surface_v1::{
    self, WpLinuxDrmSyncobjSurfaceV1,
};
use wayland_protocols::wp::linux_drm_syncobj::v1::server::wp_linux_drm_syncobj_timeline_v1::WpLinuxDrmSyncobjTimelineV1;
use wayland_server::protocol::wl_surface::WlSurface;
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource, Weak};

use super::limit::{self, Place};
use super::state::State;
use super::surface::SurfaceData;

/// A timeline of a client's.
#[derive(Debug)]
pub(super) struct TimelineData {
    timeline: Arc<Timeline>,
    _place: Place,
}

/// A point that a commit names.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) timeline: Arc<Timeline>,
    pub(super) value: u64,
}

/// Both points of a commit.
#[derive(Debug)]
pub(super) struct Points {
    pub(super) acquire: Point,
    pub(super) release: Point,
}

/// What a surface has of this protocol.
#[derive(Debug, Default)]
pub(super) struct Explicit {
    object: Option<WpLinuxDrmSyncobjSurfaceV1>,
    acquire: Option<Point>,
    release: Option<Point>,
}

/// What is attached in the same commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attached {
    Nothing,
    DmaBuf,
    Other,
}

impl Explicit {
    /// The points of a commit, by the rules of the protocol. `Err`: the client broke them and was told so.
    pub(super) fn take(&mut self, attached: Attached) -> Result<Option<Points>, ()> {
        let Some(object) = &self.object else { return Ok(None) };
        use wp_linux_drm_syncobj_surface_v1::Error;
        let refused = |code: Error, text: &str| {
            object.post_error(code, text);
            Err(())
        };
        match (attached, self.acquire.take(), self.release.take()) {
            (Attached::Nothing, None, None) => Ok(None),
            (Attached::Nothing, ..) => refused(Error::NoBuffer, "points, and no buffer"),
            (_, None, _) => refused(Error::NoAcquirePoint, "a buffer without an acquire point"),
            (_, Some(_), None) => refused(Error::NoReleasePoint, "a buffer without a release point"),
            (Attached::Other, ..) => refused(Error::UnsupportedBuffer, "a buffer that is no dma-buf"),
            (Attached::DmaBuf, Some(acquire), Some(release)) => {
                if Arc::ptr_eq(&acquire.timeline, &release.timeline) && acquire.value >= release.value {
                    return refused(Error::ConflictingPoints, "an acquire point that is not before the release point");
                }
                Ok(Some(Points { acquire, release }))
            }
        }
    }
}

impl GlobalDispatch<WpLinuxDrmSyncobjManagerV1, Card> for State {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        resource: New<WpLinuxDrmSyncobjManagerV1>,
        card: &Card,
        init: &mut DataInit<'_, Self>,
    ) {
        init.init(resource, card.clone());
    }
}

impl Dispatch<WpLinuxDrmSyncobjManagerV1, Card> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        manager: &WpLinuxDrmSyncobjManagerV1,
        request: wp_linux_drm_syncobj_manager_v1::Request,
        card: &Card,
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use wp_linux_drm_syncobj_manager_v1::{Error, Request};
        match request {
            Request::GetSurface { id, surface } => {
                let object = init.init(id, surface.downgrade());
                let Some(data) = surface.data::<SurfaceData>() else { return };
                let mut inner = data.lock();
                if inner.explicit.object.is_some() {
                    manager.post_error(Error::SurfaceExists, "the surface has such an object already");
                    return;
                }
                inner.explicit.object = Some(object);
            }
            Request::ImportTimeline { id, fd } => {
                let Some(place) = limit::place(client, manager) else { return };
                match Timeline::from_fd(card, fd) {
                    Ok(timeline) => {
                        init.init(id, TimelineData { timeline: Arc::new(timeline), _place: place });
                    }
                    Err(error) => {
                        manager.post_error(Error::InvalidTimeline, error.to_string());
                        state.refuse(error);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Dispatch<WpLinuxDrmSyncobjSurfaceV1, Weak<WlSurface>> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        object: &WpLinuxDrmSyncobjSurfaceV1,
        request: wp_linux_drm_syncobj_surface_v1::Request,
        surface: &Weak<WlSurface>,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        use wp_linux_drm_syncobj_surface_v1::{Error, Request};
        let surface = surface.upgrade().ok();
        let data = surface.as_ref().and_then(|surface| surface.data::<SurfaceData>());
        let point = |timeline: &WpLinuxDrmSyncobjTimelineV1, high: u32, low: u32| {
            let timeline = Arc::clone(&timeline.data::<TimelineData>()?.timeline);
            Some(Point { timeline, value: u64::from(high) << 32 | u64::from(low) })
        };
        match (request, data) {
            (Request::Destroy, Some(data)) => data.lock().explicit = Explicit::default(),
            (Request::Destroy, None) => {}
            (_, None) => object.post_error(Error::NoSurface, "its wl_surface was destroyed"),
            (Request::SetAcquirePoint { timeline, point_hi, point_lo }, Some(data)) => {
                data.lock().explicit.acquire = point(&timeline, point_hi, point_lo);
            }
            (Request::SetReleasePoint { timeline, point_hi, point_lo }, Some(data)) => {
                data.lock().explicit.release = point(&timeline, point_hi, point_lo);
            }
            _ => {}
        }
    }
}
