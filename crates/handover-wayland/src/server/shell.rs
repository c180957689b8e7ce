//! `xdg-shell`, and what stock clients want to see beside it: a screen, and a seat without devices.

use handover::Extent;
use wayland_protocols::xdg::shell::server::xdg_surface::{self, XdgSurface};
use wayland_protocols::xdg::shell::server::xdg_toplevel::{self, XdgToplevel};
use wayland_protocols::xdg::shell::server::xdg_wm_base::{self, XdgWmBase};
use wayland_server::backend::ClientId;
use wayland_server::protocol::wl_output::{self, WlOutput};
use wayland_server::protocol::wl_seat::{self, WlSeat};
use wayland_server::protocol::wl_surface::WlSurface;
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource, Weak};

use super::limit::{self, Place};
use super::state::State;
use super::surface::SurfaceData;

/// What a surface is for.
#[derive(Debug, Default)]
pub(super) struct Role {
    shell: Option<XdgSurface>,
    toplevel: Option<XdgToplevel>,
    title: String,
    app_id: String,
    is_fullscreen: bool,
    was_configured: bool,
    was_acknowledged: bool,
}

impl Role {
    pub(super) fn is_window(&self) -> bool {
        self.toplevel.is_some()
    }

    /// Title and application.
    pub(super) fn names(&self) -> (String, String) {
        (self.title.clone(), self.app_id.clone())
    }

    /// A commit, with a buffer or without. `false`: the client broke the protocol and was told so.
    pub(super) fn commit(&mut self, has_buffer: bool, serial: u32, screen: Extent) -> bool {
        let (Some(shell), Some(_)) = (&self.shell, &self.toplevel) else { return true };
        if has_buffer && !self.was_acknowledged {
            shell.post_error(xdg_surface::Error::UnconfiguredBuffer, "a buffer before the first configure");
            return false;
        }
        if !self.was_configured {
            self.configure(serial, screen);
        }
        true
    }

    fn configure(&mut self, serial: u32, screen: Extent) {
        let (Some(shell), Some(toplevel)) = (&self.shell, &self.toplevel) else { return };
        self.was_configured = true;
        let edge = |pixels: u32| i32::try_from(pixels).unwrap_or(0);
        let states = |states: &[xdg_toplevel::State]| {
            states.iter().flat_map(|state| u32::from(*state).to_ne_bytes()).collect::<Vec<u8>>()
        };
        if self.is_fullscreen {
            let states = states(&[xdg_toplevel::State::Activated, xdg_toplevel::State::Fullscreen]);
            toplevel.configure(edge(screen.width().get()), edge(screen.height().get()), states);
        } else {
            toplevel.configure(0, 0, states(&[xdg_toplevel::State::Activated]));
        }
        shell.configure(serial);
    }
}

/// A role object, of this surface.
#[derive(Debug)]
pub(super) struct Of {
    surface: Weak<WlSurface>,
    _place: Place,
}

impl Of {
    /// Does something with the role of the surface, if that is still there.
    fn with<T>(&self, act: impl FnOnce(&mut Role) -> T) -> Option<T> {
        let surface = self.surface.upgrade().ok()?;
        let data = surface.data::<SurfaceData>()?;
        Some(act(&mut data.lock().role))
    }
}

impl State {
    /// A surface is gone.
    pub(super) fn forget(&mut self, window: super::WindowId, was_mapped: bool) {
        self.toplevels.retain(|(id, _)| *id != window);
        if let Some(copies) = &mut self.copies {
            copies.forget(window);
        }
        if was_mapped {
            self.unmap(window);
        } else {
            self.drop_commits(window);
        }
    }
}

macro_rules! globals {
    ($($interface:ident),+) => {$(
        impl GlobalDispatch<$interface, ()> for State {
            fn bind(
                state: &mut Self,
                _: &DisplayHandle,
                _: &Client,
                resource: New<$interface>,
                (): &(),
                init: &mut DataInit<'_, Self>,
            ) {
                state.greet(&init.init(resource, ()));
            }
        }
    )+};
}

globals!(XdgWmBase, WlOutput, WlSeat);

/// What is said to who binds a global.
trait Greet<I> {
    fn greet(&self, object: &I);
}

impl Greet<XdgWmBase> for State {
    fn greet(&self, _: &XdgWmBase) {}
}

impl Greet<WlOutput> for State {
    fn greet(&self, output: &WlOutput) {
        let extent = self.options.extent;
        let edge = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        let (width, height) = (edge(extent.width().get()), edge(extent.height().get()));
        let (subpixel, transform) = (wl_output::Subpixel::Unknown, wl_output::Transform::Normal);
        output.geometry(0, 0, 0, 0, subpixel, "handover".into(), "capture".into(), transform);
        let millihertz = 1_000_000_000_000u128.checked_div(self.options.refresh.as_nanos()).unwrap_or(0);
        let mode = wl_output::Mode::Current | wl_output::Mode::Preferred;
        output.mode(mode, width, height, i32::try_from(millihertz).unwrap_or(0));
        if output.version() >= 2 {
            output.scale(1);
            output.done();
        }
    }
}

impl Greet<WlSeat> for State {
    fn greet(&self, seat: &WlSeat) {
        seat.capabilities(wl_seat::Capability::empty());
        if seat.version() >= 2 {
            seat.name("none".into());
        }
    }
}

impl Dispatch<XdgWmBase, ()> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        shell: &XdgWmBase,
        request: xdg_wm_base::Request,
        (): &(),
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        match request {
            xdg_wm_base::Request::GetXdgSurface { id, surface } => {
                let Some(place) = limit::place(client, shell) else { return };
                let object = init.init(id, Of { surface: surface.downgrade(), _place: place });
                let Some(data) = surface.data::<SurfaceData>() else { return };
                let mut inner = data.lock();
                if inner.role.shell.is_some() {
                    shell.post_error(xdg_wm_base::Error::Role, "the surface has an xdg_surface already");
                    return;
                }
                inner.role.shell = Some(object);
            }
            xdg_wm_base::Request::CreatePositioner { id } => {
                if let Some(place) = limit::place(client, shell) {
                    init.init(id, place);
                }
            }
            _ => {}
        }
    }
}

impl Dispatch<XdgSurface, Of> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        shell: &XdgSurface,
        request: xdg_surface::Request,
        data: &Of,
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        match request {
            xdg_surface::Request::GetToplevel { id } => {
                let Some(place) = limit::place(client, shell) else { return };
                let toplevel = init.init(id, Of { surface: data.surface.clone(), _place: place });
                let is_second = data.with(|role| role.toplevel.replace(toplevel.clone()).is_some());
                if is_second == Some(true) {
                    shell.post_error(xdg_surface::Error::AlreadyConstructed, "it has a role already");
                }
                let window = data.surface.upgrade().ok().and_then(|s| s.data::<SurfaceData>().map(|data| data.window));
                state.toplevels.extend(window.map(|window| (window, toplevel)));
            }
            xdg_surface::Request::GetPopup { id, .. } => {
                // Without a seat nobody can have opened it.
                if let Some(place) = limit::place(client, shell) {
                    init.init(id, place).popup_done();
                }
            }
            xdg_surface::Request::AckConfigure { .. } => {
                data.with(|role| role.was_acknowledged |= role.was_configured);
            }
            xdg_surface::Request::Destroy => {
                data.with(|role| *role = Role::default());
            }
            _ => {}
        }
    }
}

impl Dispatch<XdgToplevel, Of> for State {
    fn request(
        state: &mut Self,
        _: &Client,
        _: &XdgToplevel,
        request: xdg_toplevel::Request,
        data: &Of,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        let (serial, screen) = (state.next_serial(), state.options.extent);
        data.with(|role| match request {
            xdg_toplevel::Request::SetTitle { title } => role.title = title,
            xdg_toplevel::Request::SetAppId { app_id } => role.app_id = app_id,
            xdg_toplevel::Request::SetFullscreen { .. } | xdg_toplevel::Request::UnsetFullscreen => {
                role.is_fullscreen = matches!(request, xdg_toplevel::Request::SetFullscreen { .. });
                if role.was_configured {
                    role.configure(serial, screen);
                }
            }
            xdg_toplevel::Request::Destroy => role.toplevel = None,
            _ => {}
        });
    }

    fn destroyed(state: &mut Self, _: ClientId, toplevel: &XdgToplevel, data: &Of) {
        state.toplevels.retain(|(_, known)| known.id() != toplevel.id());
        data.with(|role| role.toplevel = None);
    }
}

impl Dispatch<WlSeat, ()> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        object: &WlSeat,
        request: wl_seat::Request,
        (): &(),
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        let Some(place) = limit::place(client, object) else { return };
        // There are none, so nothing will ever be said.
        match request {
            wl_seat::Request::GetPointer { id } => drop(init.init(id, place)),
            wl_seat::Request::GetKeyboard { id } => drop(init.init(id, place)),
            wl_seat::Request::GetTouch { id } => drop(init.init(id, place)),
            _ => {}
        }
    }
}
