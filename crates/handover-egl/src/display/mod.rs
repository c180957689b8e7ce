//! A display without a window, with a context of OpenGL ES: opened for sharing, and described.

mod start;
mod trial;

use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::rc::Rc;

use handover::{Error, Kind, Result, Stage};

use crate::egl::{self, Egl, Exports, Images, Syncs};
use crate::gl;
use start::Bare;
pub use trial::Trial;

/// Which display.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A part of the renderer's or the platform's name, in any case; `None`: the first that can share images.
    pub name: Option<String>,
}

/// One extension that this crate uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// As the registry names it.
    pub name: &'static str,
    /// Does the driver have it?
    pub present: bool,
    /// What is not to be had without it.
    pub gives: &'static str,
}

/// A display, as its driver describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// "surfaceless", or the device file of a device ("device 2" where it has none).
    pub platform: String,
    /// Who wrote the driver.
    pub vendor: String,
    /// What draws.
    pub renderer: String,
    /// Version of OpenGL ES, in the driver's words.
    pub version: String,
    /// The extensions of EGL and OpenGL ES that matter here, had or not.
    pub extensions: Vec<Extension>,
    /// Width and height of the largest texture.
    pub max_size: u32,
    /// Does it draw by software? See [`Display::open`].
    pub is_software: bool,
    /// What became of a buffer that it did not make.
    pub trial: Trial,
}

impl Report {
    /// Has it this extension?
    pub fn has(&self, name: &str) -> bool {
        self.extensions.iter().any(|extension| extension.present && extension.name == name)
    }

    /// Can a job wait for a sync_file, and its end become one? Otherwise the CPU waits for both.
    pub fn has_fences(&self) -> bool {
        FENCES.iter().all(|name| self.has(name))
    }

    /// Can textures be handed out?
    pub fn exports(&self) -> bool {
        self.has(EXPORT)
    }

    /// The first extension without which nothing here works, and which it has not.
    fn lacks(&self) -> Option<&'static str> {
        USED.iter().filter(|(_, need, _)| *need == Need::Must).map(|(name, ..)| *name).find(|name| !self.has(name))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} ({}; {})", self.renderer, self.platform, self.vendor, self.version)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    May,
}

const EXPORT: &str = "EGL_MESA_image_dma_buf_export";
const FENCES: [&str; 3] = ["EGL_ANDROID_native_fence_sync", "EGL_KHR_wait_sync", "GL_OES_EGL_sync"];
const ROBUST: &str = "EGL_EXT_create_context_robustness";

const USED: &[(&str, Need, &str)] = &[
    ("EGL_KHR_surfaceless_context", Need::Must, "a context without a window"),
    ("EGL_KHR_no_config_context", Need::Must, "a context for every format"),
    ("EGL_KHR_image_base", Need::Must, "images"),
    ("EGL_EXT_image_dma_buf_import", Need::Must, "images of dma-bufs"),
    ("EGL_EXT_image_dma_buf_import_modifiers", Need::Must, "layouts by modifier"),
    ("GL_OES_EGL_image", Need::Must, "images as textures"),
    (EXPORT, Need::May, "textures as dma-bufs"),
    ("EGL_KHR_gl_texture_2D_image", Need::May, "textures as images, to be handed out"),
    (FENCES[0], Need::May, "fences of the kernel for jobs, and of jobs"),
    (FENCES[1], Need::May, "jobs that wait on the device"),
    (FENCES[2], Need::May, "fences among the commands of OpenGL ES"),
    (ROBUST, Need::May, "word of a device that was lost"),
    ("GL_EXT_robustness", Need::May, "word of a device that was lost"),
    ("GL_OES_EGL_image_external", Need::May, "textures of formats that can only be sampled, YUV among them"),
    ("GL_EXT_texture_format_BGRA8888", Need::May, "drawing to XRGB8888 and ARGB8888, and textures of them"),
    ("GL_EXT_texture_norm16", Need::May, "drawing to R16"),
    ("GL_EXT_color_buffer_half_float", Need::May, "drawing to ABGR16161616F"),
];

/// An open display. Clones are the same one.
///
/// A context belongs to one thread at a time, so a display and all that is made of it stay on theirs; a thread more opens a display
/// of its own, and surfaces go anywhere.
///
/// ```compile_fail,E0277
/// fn must_be_send<T: Send>() {}
/// must_be_send::<handover_egl::Display>();
/// ```
#[derive(Clone)]
pub struct Display(pub(crate) Rc<Core>);

pub(crate) struct Core {
    pub(crate) report: Report,
    gl: gl::Functions,
    pub(crate) images: Images,
    pub(crate) exports: Option<Exports>,
    pub(crate) syncs: Option<Syncs>,
    pub(crate) robust: Option<gl::Robustness>,
    /// What OpenGL ES 3 adds, where the context is one of it.
    pub(crate) version_3: Option<gl::Version3>,
    /// Display and context; goes last.
    started: Bare,
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Display").field(&self.0.report.renderer).finish()
    }
}

/// Every display of this machine that starts, as its driver describes it; those too that can share nothing.
///
/// # Errors
/// [`Kind::Unsupported`]: no EGL.
pub fn list() -> Result<Vec<Report>> {
    let started = start::all(Egl::get()?)?.into_iter().map(|bare| {
        let report = bare.report.clone();
        bare.ready().map_or(report, |core| Display(Rc::new(core)).tried().report().clone())
    });
    Ok(started.collect())
}

impl Display {
    /// Opens a display and a context of OpenGL ES 3, or 2 where there is no 3: the first that can share images, of a device before of
    /// software. Of software only one that has passed its [trial](Report::trial), unless it is named. EGL says of a device that it is
    /// nothing but the CPU; a display with the same renderer is software too, whatever node it has opened.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: no EGL, no display of that name, or none that can share images; the error says what the first lacks.
    pub fn open(options: &Options) -> Result<Self> {
        let mut started = start::all(Egl::get()?)?;
        let all = started.iter().map(|bare| bare.report.to_string()).collect::<Vec<_>>().join(", ");
        let wanted = options.name.as_deref().map(str::to_lowercase);
        let is_wanted = |name: &String| wanted.as_ref().is_none_or(|wanted| name.to_lowercase().contains(wanted));
        started.retain(|bare| is_wanted(&bare.report.to_string()));
        started.sort_by_key(|bare| bare.report.is_software);
        let mut refusal = None;
        for bare in started {
            let is_software = bare.report.is_software;
            let display = match bare.ready() {
                Ok(core) => Self(Rc::new(core)).tried(),
                Err(error) => {
                    refusal = refusal.or(Some(error));
                    continue;
                }
            };
            match display.report().trial {
                Trial::Passed => return Ok(display),
                Trial::Untried | Trial::Refused if wanted.is_some() || !is_software => return Ok(display),
                trial => refusal = refusal.or_else(|| Some(no_use(display.report(), trial))),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            Error::new(Stage::Negotiate, Kind::Unsupported)
                .asked(options.name.as_ref().map_or("a display of EGL".into(), |name| format!("the display {name:?}")))
                .found(if all.is_empty() { "none".into() } else { all })
                .help("a driver of EGL (libegl-mesa0 has one for the CPU)")
        }))
    }

    /// With the result of its trial.
    fn tried(mut self) -> Self {
        let trial = trial::of(&self);
        if let Some(core) = Rc::get_mut(&mut self.0) {
            core.report.trial = trial;
        }
        self
    }

    /// What its driver says of it.
    pub fn report(&self) -> &Report {
        &self.0.report
    }

    /// A function of EGL or OpenGL ES by name, for a binding of the caller's. Null: there is none. A name whose extension is missing
    /// may still give a function, which is not to be called.
    pub fn proc_address(&self, name: &CStr) -> *const c_void {
        self.0.started.egl.find(name)
    }
}

impl Core {
    /// The functions of OpenGL ES, for this context, which is current from here on until another display's job.
    pub(crate) fn gl(&self) -> Result<&gl::Functions> {
        self.started.make_current().map(|()| &self.gl)
    }

    pub(crate) fn display(&self) -> egl::Handle {
        self.started.display
    }

    pub(crate) fn context(&self) -> egl::Handle {
        self.started.context
    }

    /// What the last call of EGL was refused for.
    pub(crate) fn error(&self) -> c_int {
        self.started.egl.error()
    }
}

/// Of no use, though it has every extension.
fn no_use(report: &Report, trial: Trial) -> Error {
    let why = match trial {
        Trial::Unreachable => "it takes memory that others made, and then does not reach it",
        Trial::Refused => "it draws by software, and takes no memory that others made",
        Trial::Untried | Trial::Passed => {
            "it draws by software, and whether it reaches memory that others made was not tried"
        }
    };
    Error::new(Stage::Negotiate, Kind::Unsupported)
        .asked("images of dma-bufs")
        .found(report.to_string())
        .why(why)
        .help("a GPU; or Mesa 25, whose software device does it with /dev/udmabuf")
}
