//! The pace of frames: clients that ask when to draw next are answered once a refresh.

use std::time::Duration;

use handover_sys::clock::Monotonic;
use wayland_protocols::wp::presentation_time::server::wp_presentation::{self, WpPresentation};
use wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::{self, WpPresentationFeedback};
use wayland_server::protocol::wl_callback::WlCallback;
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource};

use super::limit;
use super::state::State;
use super::surface::SurfaceData;

/// `CLOCK_MONOTONIC`.
const CLOCK: u32 = 1;

/// Who waits for the end of the frame.
#[derive(Debug)]
pub(super) struct Pace {
    refresh: Duration,
    last: Monotonic,
    count: u64,
    waiting: Audience,
}

/// Who asked, with one commit or several.
#[derive(Debug, Default)]
pub(super) struct Audience {
    pub(super) callbacks: Vec<WlCallback>,
    pub(super) presented: Vec<WpPresentationFeedback>,
}

impl Audience {
    /// The frame will not be seen. When to draw next is told all the same.
    pub(super) fn discard(&mut self) {
        for feedback in self.presented.drain(..) {
            feedback.discarded();
        }
    }
}

impl Pace {
    pub(super) fn new(refresh: Duration) -> Self {
        Self { refresh, last: Monotonic(0), count: 0, waiting: Audience::default() }
    }

    pub(super) fn add(&mut self, audience: Audience) {
        self.waiting.callbacks.extend(audience.callbacks);
        self.waiting.presented.extend(audience.presented);
    }

    /// When the next frame ends, if anybody waits for it.
    pub(super) fn wakes_at(&self) -> Option<Monotonic> {
        let is_idle = self.waiting.callbacks.is_empty() && self.waiting.presented.is_empty();
        (!is_idle).then(|| self.last.saturating_add(self.refresh))
    }

    /// Answers, if the frame is over.
    pub(super) fn advance(&mut self, now: Monotonic) {
        if self.wakes_at().is_none_or(|at| at > now) {
            return;
        }
        self.last = now;
        self.count = self.count.wrapping_add(1);
        // Milliseconds with an undefined base, as the protocol wants them.
        let milliseconds = (now.0 / 1_000_000) as u32;
        for callback in self.waiting.callbacks.drain(..) {
            callback.done(milliseconds);
        }
        let halves = |wide: u64| ((wide >> 32) as u32, wide as u32);
        let ((high, low), (count_high, count_low)) = (halves(now.0 / 1_000_000_000), halves(self.count));
        let refresh = u32::try_from(self.refresh.as_nanos()).unwrap_or(0);
        for feedback in self.waiting.presented.drain(..) {
            let flags = wp_presentation_feedback::Kind::empty();
            feedback.presented(high, low, (now.0 % 1_000_000_000) as u32, refresh, count_high, count_low, flags);
        }
    }
}

impl GlobalDispatch<WpPresentation, ()> for State {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        resource: New<WpPresentation>,
        (): &(),
        init: &mut DataInit<'_, Self>,
    ) {
        init.init(resource, ()).clock_id(CLOCK);
    }
}

impl Dispatch<WpPresentation, ()> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        object: &WpPresentation,
        request: wp_presentation::Request,
        (): &(),
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wp_presentation::Request::Feedback { surface, callback } = request {
            let Some(place) = limit::place(client, object) else { return };
            let feedback = init.init(callback, place);
            if let Some(data) = surface.data::<SurfaceData>() {
                data.add_feedback(feedback);
            }
        }
    }
}
