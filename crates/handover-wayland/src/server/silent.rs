//! Objects whose requests, apart from their end, mean nothing here.

use wayland_protocols::wp::linux_dmabuf::zv1::server::zwp_linux_dmabuf_feedback_v1::ZwpLinuxDmabufFeedbackV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::server::wp_linux_drm_syncobj_timeline_v1::WpLinuxDrmSyncobjTimelineV1;
use wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::WpPresentationFeedback;
use wayland_protocols::xdg::shell::server::xdg_popup::XdgPopup;
use wayland_protocols::xdg::shell::server::xdg_positioner::XdgPositioner;
use wayland_server::protocol::wl_buffer::WlBuffer;
use wayland_server::protocol::wl_callback::WlCallback;
use wayland_server::protocol::wl_keyboard::WlKeyboard;
use wayland_server::protocol::wl_output::WlOutput;
use wayland_server::protocol::wl_pointer::WlPointer;
use wayland_server::protocol::wl_region::WlRegion;
use wayland_server::protocol::wl_touch::WlTouch;
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, Resource};

use super::limit::Place;
use super::state::State;
use super::surface::BufferData;
use super::syncobj::TimelineData;

macro_rules! silent {
    ($($interface:ident, $data:ty;)+) => {$(
        impl Dispatch<$interface, $data> for State {
            fn request(
                _: &mut Self,
                _: &Client,
                _: &$interface,
                _: <$interface as Resource>::Request,
                _: &$data,
                _: &DisplayHandle,
                _: &mut DataInit<'_, Self>,
            ) {
            }
        }
    )+};
}

silent! {
    WlBuffer, BufferData;
    WlCallback, Place;
    WlKeyboard, Place;
    WlOutput, ();
    WlPointer, Place;
    WlRegion, Place;
    WlTouch, Place;
    WpLinuxDrmSyncobjTimelineV1, TimelineData;
    WpPresentationFeedback, Place;
    XdgPopup, Place;
    XdgPositioner, Place;
    ZwpLinuxDmabufFeedbackV1, Place;
}
