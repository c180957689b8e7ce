//! A client that says whatever a test wants it to, right or wrong.
#![allow(dead_code)]

use std::os::fd::AsFd;

use handover::{Deadline, Surface};
use handover_sys::poll;
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_buffer::WlBuffer;
use wayland_client::protocol::wl_callback::{self, WlCallback};
use wayland_client::protocol::wl_compositor::WlCompositor;
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_shm::WlShm;
use wayland_client::protocol::wl_shm_pool::WlShmPool;
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle, delegate_noop, event_created_child};
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_buffer_params_v1::{
    self, Flags, ZwpLinuxBufferParamsV1,
};
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_dmabuf_v1::ZwpLinuxDmabufV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_manager_v1::WpLinuxDrmSyncobjManagerV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_surface_v1::WpLinuxDrmSyncobjSurfaceV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_timeline_v1::WpLinuxDrmSyncobjTimelineV1;
use wayland_protocols::wp::presentation_time::client::wp_presentation::WpPresentation;
use wayland_protocols::wp::presentation_time::client::wp_presentation_feedback::{self, WpPresentationFeedback};
use wayland_protocols::xdg::shell::client::xdg_surface::{self, XdgSurface};
use wayland_protocols::xdg::shell::client::xdg_toplevel::XdgToplevel;
use wayland_protocols::xdg::shell::client::xdg_wm_base::XdgWmBase;

use crate::common::{Compositor, soon};

/// A connection, and the objects that were bound.
pub(crate) struct Raw {
    connection: Connection,
    queue: EventQueue<Heard>,
    pub(crate) heard: Heard,
    registry: WlRegistry,
    window: Option<(WlSurface, XdgSurface, XdgToplevel)>,
}

#[derive(Default)]
pub(crate) struct Heard {
    globals: Vec<(u32, String, u32)>,
    turns: u32,
    was_configured: bool,
    pub(crate) frames: u32,
    pub(crate) presented: Vec<&'static str>,
    answer: Option<Option<WlBuffer>>,
}

/// What a callback is for that tells when to draw next.
pub(crate) struct Frame;

/// A pool of shared memory.
pub(crate) struct Pool(WlShmPool, QueueHandle<Heard>);

impl Pool {
    pub(crate) fn buffer(&self, offset: i32, width: i32, height: i32, stride: i32) {
        self.buffer_of(offset, width, height, stride, 1);
    }

    pub(crate) fn buffer_of(&self, offset: i32, width: i32, height: i32, stride: i32, format: u32) -> WlBuffer {
        let format = wayland_client::protocol::wl_shm::Format::try_from(format)
            .unwrap_or(wayland_client::protocol::wl_shm::Format::C8);
        self.0.create_buffer(offset, width, height, stride, format, &self.1, ())
    }
}

impl Raw {
    pub(crate) fn connect(compositor: &Compositor) -> Self {
        let connection = Connection::from_socket(compositor.connect()).unwrap();
        let queue = connection.new_event_queue();
        let registry = connection.display().get_registry(&queue.handle(), ());
        let mut raw = Self { connection, queue, heard: Heard::default(), registry, window: None };
        raw.round_trip(soon());
        raw
    }

    fn bind<I: Proxy + 'static>(&self) -> I
    where
        Heard: Dispatch<I, ()>,
    {
        let name = I::interface().name;
        let (global, _, version) = self.heard.globals.iter().find(|(_, found, _)| found == name).unwrap();
        self.registry.bind(*global, *version, &self.queue.handle(), ())
    }

    pub(crate) fn params(&self) -> ZwpLinuxBufferParamsV1 {
        self.bind::<ZwpLinuxDmabufV1>().create_params(&self.queue.handle(), ())
    }

    pub(crate) fn create_immed(&self, params: &ZwpLinuxBufferParamsV1, size: (i32, i32), format: u32, flags: Flags) {
        params.create_immed(size.0, size.1, format, flags, &self.queue.handle(), ());
    }

    pub(crate) fn buffer(&mut self, surface: &Surface) -> WlBuffer {
        let params = self.params();
        let (layout, modifier) = (surface.layout(), surface.modifier().0);
        for (index, plane) in (0..).zip(layout.planes()) {
            let (offset, stride) = (plane.offset.get() as u32, plane.stride.get() as u32);
            params.add(surface.pixels_fd(), index, offset, stride, (modifier >> 32) as u32, modifier as u32);
        }
        let extent = layout.extent().unwrap();
        let size = (extent.width().get() as i32, extent.height().get() as i32);
        params.create(size.0, size.1, layout.format().unwrap().fourcc().0, Flags::empty());
        self.answer().unwrap()
    }

    /// What a `create` was answered; `None`: it failed.
    pub(crate) fn answer(&mut self) -> Option<WlBuffer> {
        self.run(soon(), |heard| heard.answer.is_some()).unwrap();
        self.heard.answer.take().unwrap()
    }

    /// A window that has been configured.
    pub(crate) fn window(&mut self) {
        let queue = self.queue.handle();
        self.heard.was_configured = false;
        let surface = self.bare_surface();
        let shell = self.bind::<XdgWmBase>().get_xdg_surface(&surface, &queue, ());
        let toplevel = shell.get_toplevel(&queue, ());
        surface.commit();
        self.window = Some((surface, shell, toplevel));
        self.run(soon(), |heard| heard.was_configured).unwrap();
    }

    /// One without a role.
    pub(crate) fn bare_surface(&self) -> WlSurface {
        self.bind::<WlCompositor>().create_surface(&self.queue.handle(), ())
    }

    /// Asks when to draw next, and what becomes of the next commit.
    pub(crate) fn ask(&self, surface: &WlSurface) {
        surface.frame(&self.queue.handle(), Frame);
        self.bind::<WpPresentation>().feedback(surface, &self.queue.handle(), ());
    }

    /// Listens until so many answers have come to each.
    pub(crate) fn answers(&mut self, count: usize) {
        self.run(soon(), |heard| heard.frames as usize >= count && heard.presented.len() >= count).unwrap();
    }

    pub(crate) fn surface(&self) -> &WlSurface {
        &self.window.as_ref().unwrap().0
    }

    pub(crate) fn destroy_window(&mut self) {
        let (surface, shell, toplevel) = self.window.take().unwrap();
        toplevel.destroy();
        shell.destroy();
        surface.destroy();
    }

    pub(crate) fn sync(&self) -> WpLinuxDrmSyncobjSurfaceV1 {
        self.bind::<WpLinuxDrmSyncobjManagerV1>().get_surface(self.surface(), &self.queue.handle(), ())
    }

    pub(crate) fn timeline(&self, file: impl AsFd) -> WpLinuxDrmSyncobjTimelineV1 {
        self.bind::<WpLinuxDrmSyncobjManagerV1>().import_timeline(file.as_fd(), &self.queue.handle(), ())
    }

    pub(crate) fn pool(&self, memory: impl AsFd, size: i32) -> Pool {
        let queue = self.queue.handle();
        Pool(self.bind::<WlShm>().create_pool(memory.as_fd(), size, &queue, ()), queue)
    }

    pub(crate) fn flush(&self) {
        self.connection.flush().unwrap();
    }

    pub(crate) fn round_trip(&mut self, deadline: Deadline) {
        self.try_round_trip(deadline).unwrap();
    }

    pub(crate) fn try_round_trip(&mut self, deadline: Deadline) -> Result<(), String> {
        let turn = self.heard.turns + 1;
        self.connection.display().sync(&self.queue.handle(), ());
        self.run(deadline, |heard| heard.turns >= turn)
    }

    /// The error that ends the connection: interface and code, and the text.
    pub(crate) fn error(&mut self) -> (String, u32, String) {
        let error = self.run(soon(), |_| false).expect_err("the connection goes on");
        let error = self.connection.protocol_error().unwrap_or_else(|| panic!("no protocol error: {error}"));
        (error.object_interface, error.code, error.message)
    }

    fn dispatch_pending(&mut self) -> Result<usize, String> {
        self.queue.dispatch_pending(&mut self.heard).map_err(|error| error.to_string())
    }

    /// Listens until `is_enough`, or until the connection ends.
    fn run(&mut self, deadline: Deadline, is_enough: impl Fn(&Heard) -> bool) -> Result<(), String> {
        loop {
            self.dispatch_pending()?;
            if is_enough(&self.heard) {
                return Ok(());
            }
            // Before it is written to: a write that fails is all that is heard of after.
            if let Some(guard) = self.connection.prepare_read() {
                match guard.read() {
                    Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    other => drop(other.map_err(|error| error.to_string())?),
                }
            }
            let _ = self.connection.flush();
            // What was just read is in the queue and no longer in the socket, which would stay silent for ever. `prepare_read` of this
            // backend never says so.
            if self.dispatch_pending()? > 0 {
                continue;
            }
            let Some(guard) = self.queue.prepare_read() else { continue };
            if !poll::wait_readable(guard.connection_fd(), deadline.at()).unwrap() {
                panic!("nothing came; heard {} frames, {:?}", self.heard.frames, self.heard.presented);
            }
            match guard.read() {
                Ok(_) => {}
                Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Dispatch<WlRegistry, ()> for Heard {
    fn event(
        heard: &mut Self,
        _: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_registry::Event::Global { name, interface, version } = event {
            heard.globals.push((name, interface, version));
        }
    }
}

impl Dispatch<WlCallback, ()> for Heard {
    fn event(heard: &mut Self, _: &WlCallback, _: wl_callback::Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        heard.turns += 1;
    }
}

impl Dispatch<WlCallback, Frame> for Heard {
    fn event(
        heard: &mut Self,
        _: &WlCallback,
        _: wl_callback::Event,
        _: &Frame,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        heard.frames += 1;
    }
}

impl Dispatch<WpPresentationFeedback, ()> for Heard {
    fn event(
        heard: &mut Self,
        _: &WpPresentationFeedback,
        event: wp_presentation_feedback::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wp_presentation_feedback::Event::Presented { .. } => heard.presented.push("presented"),
            wp_presentation_feedback::Event::Discarded => heard.presented.push("discarded"),
            _ => {}
        }
    }
}

impl Dispatch<ZwpLinuxBufferParamsV1, ()> for Heard {
    fn event(
        heard: &mut Self,
        _: &ZwpLinuxBufferParamsV1,
        event: zwp_linux_buffer_params_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        heard.answer = Some(match event {
            zwp_linux_buffer_params_v1::Event::Created { buffer } => Some(buffer),
            _ => None,
        });
    }

    event_created_child!(Self, ZwpLinuxBufferParamsV1, [
        zwp_linux_buffer_params_v1::EVT_CREATED_OPCODE => (WlBuffer, ()),
    ]);
}

impl Dispatch<XdgSurface, ()> for Heard {
    fn event(
        heard: &mut Self,
        surface: &XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            surface.ack_configure(serial);
            heard.was_configured = true;
        }
    }
}

delegate_noop!(Heard: WlCompositor);
delegate_noop!(Heard: ignore WpPresentation);
delegate_noop!(Heard: ignore WlSurface);
delegate_noop!(Heard: ignore WlBuffer);
delegate_noop!(Heard: ignore WlShm);
delegate_noop!(Heard: WlShmPool);
delegate_noop!(Heard: ignore XdgWmBase);
delegate_noop!(Heard: ignore XdgToplevel);
delegate_noop!(Heard: ignore ZwpLinuxDmabufV1);
delegate_noop!(Heard: WpLinuxDrmSyncobjManagerV1);
delegate_noop!(Heard: WpLinuxDrmSyncobjSurfaceV1);
delegate_noop!(Heard: WpLinuxDrmSyncobjTimelineV1);
