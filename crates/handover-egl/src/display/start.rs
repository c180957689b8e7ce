//! Where displays come from: platforms and devices of EGL, each started with a context.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::ptr;

use handover::{Result, Stage};

use super::{Core, Extension, ROBUST, Report, USED};
use crate::egl::{self, Devices, Egl, Exports, Images, Syncs, text};
use crate::error::{missing, refused};
use crate::gl;

/// A display that is to be tried: in words, as EGL knows it, and whether it draws without a device.
struct Candidate {
    platform: String,
    display: egl::Handle,
    is_software: bool,
}

/// Every display that starts.
pub(super) fn all(egl: &'static Egl) -> Result<Vec<Bare>> {
    let (mut started, mut refusal) = (Vec::new(), None);
    for candidate in candidates(egl)? {
        match Bare::start(egl, &candidate) {
            Ok(bare) => started.push(bare),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    if let (Some(error), true) = (refusal, started.is_empty()) {
        return Err(error);
    }
    let of = |bare: &Bare| bare.report.is_software.then(|| bare.report.renderer.clone());
    let software: Vec<String> = started.iter().filter_map(of).collect();
    started.iter_mut().for_each(|bare| bare.report.is_software = software.contains(&bare.report.renderer));
    Ok(started)
}

/// A display and a context, before it is known whether they are of use.
pub(super) struct Bare {
    pub(super) egl: &'static Egl,
    pub(super) display: egl::Handle,
    pub(super) context: egl::Handle,
    /// Of OpenGL ES: 3 or 2.
    major: c_int,
    pub(super) report: Report,
}

impl Bare {
    fn start(egl: &'static Egl, Candidate { platform, display, is_software }: &Candidate) -> Result<Self> {
        let (stage, display) = (Stage::Negotiate, *display);
        // SAFETY: the display is one that EGL gave. Both places may be null. A second time does nothing.
        if unsafe { (egl.call.initialize)(display, ptr::null_mut(), ptr::null_mut()) } == 0 {
            return Err(refused(stage, egl.error(), format!("start the display of {platform}"))
                .help("the driver's own words: EGL_LOG_LEVEL=debug"));
        }
        let extensions = egl.extensions(display);
        let (context, major) = create_context(egl, display, &extensions)?;
        let mut bare = Self { egl, display, context, major, report: Report::default() };
        bare.make_current()?;
        bare.report = describe(egl, platform, display, &extensions)?;
        bare.report.is_software = *is_software;
        Ok(bare)
    }

    pub(super) fn make_current(&self) -> Result<()> {
        // SAFETY: the call has no conditions.
        if unsafe { (self.egl.call.current_context)() } == self.context {
            return Ok(());
        }
        let none = ptr::null_mut();
        // SAFETY: the context is one of this display, and of this thread: a pointer is not `Send`.
        match unsafe { (self.egl.call.make_current)(self.display, none, none, self.context) } {
            0 => Err(refused(Stage::Access, self.egl.error(), "use a context on this thread")),
            _ => Ok(()),
        }
    }

    /// The display, if it can share images.
    pub(super) fn ready(self) -> Result<Core> {
        let (egl, report) = (self.egl, &self.report);
        if let Some(name) = report.lacks() {
            return Err(missing(Stage::Negotiate, "images of dma-bufs", name, &report.to_string())
                .help("a newer driver; a driver on the CPU needs /dev/udmabuf for it"));
        }
        let find = |name: &CStr| egl.find(name);
        let is_robust = report.has(ROBUST) && report.has("GL_EXT_robustness");
        let functions = gl::Functions::load(&find)?;
        let images = Images::load(&find)?;
        let exports = report.exports().then(|| Exports::load(&find)).transpose()?;
        let syncs = report.has_fences().then(|| Syncs::load(&find)).transpose()?;
        let robust = is_robust.then(|| gl::Robustness::load(&find)).transpose()?;
        let version_3 = (self.major >= 3).then(|| gl::Version3::load(&find)).transpose()?;
        Ok(Core {
            gl: functions,
            images,
            exports,
            syncs,
            robust,
            version_3,
            report: self.report.clone(),
            started: self,
        })
    }
}

/// What the driver says of a display whose context is current.
fn describe(egl: &Egl, platform: &str, display: egl::Handle, extensions: &str) -> Result<Report> {
    let gl = gl::Functions::load(&|name| egl.find(name))?;
    let extensions = format!("{extensions} {}", gl.string(gl::EXTENSIONS));
    let has = |name: &str| extensions.split_ascii_whitespace().any(|extension| extension == name);
    let [version, vendor] = [egl::VERSION, egl::VENDOR].map(|name| egl.string(display, name));
    Ok(Report {
        platform: platform.to_owned(),
        vendor: gl.string(gl::VENDOR),
        renderer: gl.string(gl::RENDERER),
        version: format!("{}; EGL {version}, {vendor}", gl.string(gl::VERSION)),
        extensions: USED.iter().map(|(name, _, gives)| Extension { name, present: has(name), gives }).collect(),
        max_size: u32::try_from(gl.integer(gl::MAX_TEXTURE_SIZE)).unwrap_or_default(),
        ..Report::default()
    })
}

/// The displays to try, in words and as EGL knows them: that of no window, then one a device.
fn candidates(egl: &Egl) -> Result<Vec<Candidate>> {
    let client = egl.extensions(ptr::null_mut());
    let has = |name: &str| client.split_ascii_whitespace().any(|extension| extension == name);
    let display = |platform, native| {
        // SAFETY: EGL has the platform's extension, and the native display is one of that platform.
        let display = unsafe { (egl.call.get_platform_display)(platform, native, ptr::null()) };
        (!display.is_null()).then_some(display)
    };
    let mut found = Vec::new();
    if has("EGL_MESA_platform_surfaceless") {
        let surfaceless = display(egl::PLATFORM_SURFACELESS_MESA, ptr::null_mut());
        let candidate = |display| Candidate { platform: "surfaceless".to_owned(), display, is_software: false };
        found.extend(surfaceless.map(candidate));
    }
    if ["EGL_EXT_platform_device", "EGL_EXT_device_enumeration", "EGL_EXT_device_query"].iter().all(|name| has(name)) {
        for (platform, device, is_software) in devices(egl)? {
            let display = display(egl::PLATFORM_DEVICE_EXT, device);
            found.extend(display.map(|display| Candidate { platform, display, is_software }));
        }
    }
    if found.is_empty() {
        let needs = "EGL_MESA_platform_surfaceless and EGL_EXT_platform_device";
        return Err(missing(Stage::Negotiate, "a display without a window", needs, "EGL"));
    }
    Ok(found)
}

/// EGL's devices: what each is called, its handle, and whether it is none but the CPU.
fn devices(egl: &Egl) -> Result<Vec<(String, egl::Handle, bool)>> {
    const MOST: usize = 32;
    let call = Devices::load(&|name| egl.find(name))?;
    let (mut found, mut count) = ([ptr::null_mut(); MOST], 0);
    // SAFETY: there is room for as many as is said.
    if unsafe { (call.query)(MOST as c_int, found.as_mut_ptr(), &mut count) } == 0 {
        return Ok(Vec::new());
    }
    let found = found.into_iter().take(usize::try_from(count).unwrap_or_default());
    let named = |(index, device)| {
        let [file, extensions] = [egl::DRM_DEVICE_FILE_EXT, egl::EXTENSIONS].map(|what| {
            // SAFETY: the device is one that EGL listed; one without a file gives null.
            text(unsafe { (call.query_string)(device, what) })
        });
        let is_software = extensions.split_ascii_whitespace().any(|extension| extension == "EGL_MESA_device_software");
        (if file.is_empty() { format!("device {index}") } else { file }, device, is_software)
    };
    Ok((0_usize..).zip(found).map(named).collect())
}

/// A context of OpenGL ES 3, else 2; where possible one that hears of a lost device.
fn create_context(egl: &Egl, display: egl::Handle, extensions: &str) -> Result<(egl::Handle, c_int)> {
    // SAFETY: the call is about this thread, and has no conditions.
    let is_bound = unsafe { (egl.call.bind_api)(egl::OPENGL_ES_API) } != 0;
    let robust = [egl::RESET_NOTIFICATION_STRATEGY_EXT, egl::LOSE_CONTEXT_ON_RESET_EXT];
    let has = |name: &str| extensions.split_ascii_whitespace().any(|extension| extension == name);
    let robust = if has(ROBUST) { &robust[..] } else { &[] };
    for version in [3, 2] {
        let attributes = [&[egl::CONTEXT_MAJOR_VERSION, version], robust, &[egl::NONE]].concat();
        if !is_bound || !has("EGL_KHR_no_config_context") {
            break;
        }
        // SAFETY: the display is initialised, no config is allowed by the extension, and the list has its end.
        let context =
            unsafe { (egl.call.create_context)(display, ptr::null_mut(), ptr::null_mut(), attributes.as_ptr()) };
        if !context.is_null() {
            return Ok((context, version));
        }
    }
    Err(refused(Stage::Negotiate, egl.error(), "make a context of OpenGL ES"))
}

impl Drop for Bare {
    /// The display stays: whoever asks this process for the same one gets the same, and to end it would end theirs.
    fn drop(&mut self) {
        // SAFETY: the call has no conditions.
        if unsafe { (self.egl.call.current_context)() } == self.context {
            let none = ptr::null_mut();
            // SAFETY: no context is always allowed.
            unsafe { (self.egl.call.make_current)(self.display, none, none, none) };
        }
        // SAFETY: the context is one of this display, and nobody uses it any more.
        unsafe { (self.egl.call.destroy_context)(self.display, self.context) };
    }
}
