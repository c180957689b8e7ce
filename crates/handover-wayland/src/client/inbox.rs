//! What the compositor said and nobody has read yet. The handlers only write down; a window reads.

use std::collections::VecDeque;
use std::sync::OnceLock;

use handover::{Fourcc, Modifier, Result};
use wayland_client::backend::ObjectId;
use wayland_client::protocol::wl_buffer::{self, WlBuffer};
use wayland_client::protocol::wl_callback::{self, WlCallback};
use wayland_client::protocol::wl_compositor::WlCompositor;
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, WEnum, delegate_noop, event_created_child};
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_buffer_params_v1::{self, ZwpLinuxBufferParamsV1};
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_dmabuf_feedback_v1::{
    self, TrancheFlags, ZwpLinuxDmabufFeedbackV1,
};
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_dmabuf_v1::{self, ZwpLinuxDmabufV1};
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_manager_v1::WpLinuxDrmSyncobjManagerV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_surface_v1::WpLinuxDrmSyncobjSurfaceV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_timeline_v1::WpLinuxDrmSyncobjTimelineV1;
use wayland_protocols::wp::presentation_time::client::wp_presentation::{self, WpPresentation};
use wayland_protocols::wp::presentation_time::client::wp_presentation_feedback::{self, WpPresentationFeedback};
use wayland_protocols::xdg::shell::client::xdg_surface::{self, XdgSurface};
use wayland_protocols::xdg::shell::client::xdg_toplevel::{self, XdgToplevel};
use wayland_protocols::xdg::shell::client::xdg_wm_base::{self, XdgWmBase};

use super::feedback::{self, Collector, Tranche};
use super::window::Presented;

/// The events of one connection.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    globals: Vec<(u32, String, u32)>,
    turns: (u64, u64),
    default: Collector,
    surface: Collector,
    /// Version 3 sends pairs one by one.
    pairs: Vec<(Fourcc, Modifier)>,
    default_feedback: Option<Result<feedback::Feedback>>,
    heard: VecDeque<Heard>,
    /// Answers to `create`: the object that asked, and the buffer if it was made.
    created: Vec<(ObjectId, Option<WlBuffer>)>,
    /// Width and height that the compositor wishes, until it is acknowledged.
    wish: (i32, i32),
    clock: u32,
}

/// What concerns a window.
#[derive(Debug)]
pub(super) enum Heard {
    Released(u64),
    Configure { serial: u32, wish: (i32, i32) },
    Close,
    Frame,
    Presented(Presented),
    Discarded,
    Feedback(Result<feedback::Feedback>),
}

/// Which feedback an object gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Feedback {
    Default,
    Surface,
}

/// Counts round trips.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn(pub(super) u64);

/// The end of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame;

/// A `wl_buffer` learns its number when it is there.
#[derive(Debug, Default)]
pub(super) struct Tag(pub(super) OnceLock<u64>);

impl Inbox {
    pub(super) fn global(&self, interface: &str) -> Option<(u32, u32)> {
        self.globals.iter().find(|(_, name, _)| name == interface).map(|(name, _, version)| (*name, *version))
    }

    pub(super) fn next_turn(&mut self) -> u64 {
        self.turns.0 += 1;
        self.turns.0
    }

    pub(super) fn has_answered(&self, turn: u64) -> bool {
        self.turns.1 >= turn
    }

    pub(super) fn hear(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// Takes the first event that `wanted` picks, and leaves the others in their order.
    pub(super) fn hear_first(&mut self, wanted: impl Fn(&Heard) -> bool) -> Option<Heard> {
        let at = self.heard.iter().position(wanted)?;
        self.heard.remove(at)
    }

    /// What was answered to a `create`, once. Buffers that were made after somebody had stopped waiting for them are given back.
    pub(super) fn take_created(&mut self, params: &ObjectId) -> Option<Option<WlBuffer>> {
        let mut mine = None;
        for (asked, buffer) in self.created.drain(..) {
            match buffer {
                buffer if asked == *params => mine = Some(buffer),
                Some(late) => late.destroy(),
                None => {}
            }
        }
        mine
    }

    /// What a compositor said after it was asked for its default feedback.
    pub(super) fn take_default_feedback(&mut self, version: u32) -> Result<feedback::Feedback> {
        match self.default_feedback.take() {
            Some(feedback) => feedback,
            None if version >= 4 => self.default.done(),
            None => {
                let pairs = self.pairs.clone();
                Ok(feedback::Feedback { main_device: None, tranches: vec![Tranche { pairs, ..Tranche::default() }] })
            }
        }
    }
}

impl Dispatch<WlRegistry, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_registry::Event::Global { name, interface, version } => inbox.globals.push((name, interface, version)),
            wl_registry::Event::GlobalRemove { name } => inbox.globals.retain(|(global, ..)| *global != name),
            _ => {}
        }
    }
}

impl Dispatch<WlCallback, Turn> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &WlCallback,
        _: wl_callback::Event,
        turn: &Turn,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        inbox.turns.1 = inbox.turns.1.max(turn.0);
    }
}

impl Dispatch<WlCallback, Frame> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &WlCallback,
        _: wl_callback::Event,
        _: &Frame,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        inbox.heard.push_back(Heard::Frame);
    }
}

impl Dispatch<ZwpLinuxDmabufV1, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &ZwpLinuxDmabufV1,
        event: zwp_linux_dmabuf_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        // A `format` event says nothing of modifiers, and one with a modifier follows.
        if let zwp_linux_dmabuf_v1::Event::Modifier { format, modifier_hi, modifier_lo } = event {
            let modifier = Modifier(u64::from(modifier_hi) << 32 | u64::from(modifier_lo));
            inbox.pairs.push((Fourcc(format), modifier));
        }
    }
}

impl Dispatch<ZwpLinuxDmabufFeedbackV1, Feedback> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &ZwpLinuxDmabufFeedbackV1,
        event: zwp_linux_dmabuf_feedback_v1::Event,
        which: &Feedback,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        use zwp_linux_dmabuf_feedback_v1::Event;
        let collector = match which {
            Feedback::Default => &mut inbox.default,
            Feedback::Surface => &mut inbox.surface,
        };
        match event {
            Event::FormatTable { fd, size } => collector.table(fd, size),
            Event::MainDevice { device } => collector.main_device(&device),
            Event::TrancheTargetDevice { device } => collector.target_device(&device),
            Event::TrancheFlags { flags: WEnum::Value(flags) } if flags.contains(TrancheFlags::Scanout) => {
                collector.scanout();
            }
            Event::TrancheFormats { indices } => collector.pairs(&indices),
            Event::TrancheDone => collector.tranche_done(),
            Event::Done => {
                let feedback = collector.done();
                match which {
                    Feedback::Default => inbox.default_feedback = Some(feedback),
                    Feedback::Surface => inbox.heard.push_back(Heard::Feedback(feedback)),
                }
            }
            _ => {}
        }
    }
}

impl Dispatch<ZwpLinuxBufferParamsV1, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        params: &ZwpLinuxBufferParamsV1,
        event: zwp_linux_buffer_params_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            zwp_linux_buffer_params_v1::Event::Created { buffer } => inbox.created.push((params.id(), Some(buffer))),
            zwp_linux_buffer_params_v1::Event::Failed => inbox.created.push((params.id(), None)),
            _ => {}
        }
    }

    event_created_child!(Self, ZwpLinuxBufferParamsV1, [
        zwp_linux_buffer_params_v1::EVT_CREATED_OPCODE => (WlBuffer, Tag::default()),
    ]);
}

impl Dispatch<WlBuffer, Tag> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &WlBuffer,
        event: wl_buffer::Event,
        tag: &Tag,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let (wl_buffer::Event::Release, Some(buffer)) = (event, tag.0.get()) {
            inbox.heard.push_back(Heard::Released(*buffer));
        }
    }
}

impl Dispatch<XdgWmBase, ()> for Inbox {
    fn event(
        _: &mut Self,
        shell: &XdgWmBase,
        event: xdg_wm_base::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_wm_base::Event::Ping { serial } = event {
            shell.pong(serial);
        }
    }
}

impl Dispatch<XdgSurface, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            inbox.heard.push_back(Heard::Configure { serial, wish: inbox.wish });
        }
    }
}

impl Dispatch<XdgToplevel, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &XdgToplevel,
        event: xdg_toplevel::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            xdg_toplevel::Event::Configure { width, height, .. } => inbox.wish = (width, height),
            xdg_toplevel::Event::Close => inbox.heard.push_back(Heard::Close),
            _ => {}
        }
    }
}

impl Dispatch<WpPresentation, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &WpPresentation,
        event: wp_presentation::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wp_presentation::Event::ClockId { clk_id } = event {
            inbox.clock = clk_id;
        }
    }
}

impl Dispatch<WpPresentationFeedback, ()> for Inbox {
    fn event(
        inbox: &mut Self,
        _: &WpPresentationFeedback,
        event: wp_presentation_feedback::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wp_presentation_feedback::Event::Presented {
                tv_sec_hi,
                tv_sec_lo,
                tv_nsec,
                refresh,
                seq_hi,
                seq_lo,
                ..
            } => {
                let wide = |hi: u32, lo: u32| u64::from(hi) << 32 | u64::from(lo);
                inbox.heard.push_back(Heard::Presented(Presented {
                    clock: inbox.clock,
                    at: wide(tv_sec_hi, tv_sec_lo).saturating_mul(1_000_000_000).saturating_add(u64::from(tv_nsec)),
                    refresh,
                    sequence: wide(seq_hi, seq_lo),
                }));
            }
            wp_presentation_feedback::Event::Discarded => inbox.heard.push_back(Heard::Discarded),
            _ => {}
        }
    }
}

// Their events say what no window of ours needs: which outputs a surface is on.
delegate_noop!(Inbox: WlCompositor);
delegate_noop!(Inbox: ignore WlSurface);
delegate_noop!(Inbox: WpLinuxDrmSyncobjManagerV1);
delegate_noop!(Inbox: WpLinuxDrmSyncobjSurfaceV1);
delegate_noop!(Inbox: WpLinuxDrmSyncobjTimelineV1);
