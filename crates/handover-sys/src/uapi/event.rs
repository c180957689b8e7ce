//! `include/uapi/drm/drm.h`: what a card tells to who reads its file.

/// `struct drm_event` of `drm.h`: the head of every event.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `DRM_EVENT_*`.
    pub kind: u32,
    /// Bytes of the event, this head included.
    pub length: u32,
}

/// `struct drm_event_vblank` of `drm.h`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventVblank {
    /// The head.
    pub base: Event,
    /// As given to the commit.
    pub user_data: u64,
    /// When, in seconds of `CLOCK_MONOTONIC`.
    pub tv_sec: u32,
    /// And microseconds.
    pub tv_usec: u32,
    /// Counts the frames of the CRTC.
    pub sequence: u32,
    /// The CRTC; zero before Linux 4.12.
    pub crtc_id: u32,
}
/// `DRM_EVENT_VBLANK`
pub const EVENT_VBLANK: u32 = 0x01;
/// `DRM_EVENT_FLIP_COMPLETE`
pub const EVENT_FLIP_COMPLETE: u32 = 0x02;
