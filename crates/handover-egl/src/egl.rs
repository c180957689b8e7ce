//! EGL's functions, constants and types, as far as they are used; found at run time. Names and numbers: `egl.xml` of Khronos.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use handover::{Error, Kind, Result, Stage};
use libloading::Library;

/// Any handle of EGL; null is none.
pub(crate) type Handle = *mut c_void;
/// `EGLBoolean`; 0 is false.
pub(crate) type Bool = c_uint;

pub(crate) const NONE: c_int = 0x3038;
pub(crate) const VENDOR: c_int = 0x3053;
pub(crate) const VERSION: c_int = 0x3054;
pub(crate) const EXTENSIONS: c_int = 0x3055;
pub(crate) const OPENGL_ES_API: c_uint = 0x30A0;
pub(crate) const CONTEXT_MAJOR_VERSION: c_int = 0x3098;
pub(crate) const RESET_NOTIFICATION_STRATEGY_EXT: c_int = 0x3138;
pub(crate) const LOSE_CONTEXT_ON_RESET_EXT: c_int = 0x31BF;
pub(crate) const PLATFORM_SURFACELESS_MESA: c_uint = 0x31DD;
pub(crate) const PLATFORM_DEVICE_EXT: c_uint = 0x313F;
pub(crate) const DRM_DEVICE_FILE_EXT: c_int = 0x3233;
pub(crate) const WIDTH: c_int = 0x3057;
pub(crate) const HEIGHT: c_int = 0x3056;
pub(crate) const GL_TEXTURE_2D_KHR: c_uint = 0x30B1;
pub(crate) const LINUX_DMA_BUF_EXT: c_uint = 0x3270;
pub(crate) const LINUX_DRM_FOURCC_EXT: c_int = 0x3271;
pub(crate) const SYNC_NATIVE_FENCE_ANDROID: c_uint = 0x3144;
pub(crate) const SYNC_NATIVE_FENCE_FD_ANDROID: c_int = 0x3145;

/// What a plane is described by: descriptor, offset, pitch, the modifier's low and high half.
pub(crate) const PLANES: [[c_int; 5]; 4] = [
    [0x3272, 0x3273, 0x3274, 0x3443, 0x3444],
    [0x3275, 0x3276, 0x3277, 0x3445, 0x3446],
    [0x3278, 0x3279, 0x327A, 0x3447, 0x3448],
    [0x3440, 0x3441, 0x3442, 0x3449, 0x344A],
];

/// Declares a table of functions and how it is filled by name.
macro_rules! functions {
    ($(#[$doc:meta])* $table:ident { $($field:ident: $symbol:literal ($($arg:ty),*) $(-> $ret:ty)?,)* }) => {
        $(#[$doc])*
        pub(crate) struct $table { $(pub(crate) $field: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)* }

        impl $table {
            pub(crate) fn load(find: &dyn Fn(&std::ffi::CStr) -> *const std::ffi::c_void) -> handover::Result<Self> {
                Ok(Self { $($field: {
                    let found = find($symbol);
                    if found.is_null() {
                        return Err(crate::error::missing_function($symbol));
                    }
                    // SAFETY: the specification gives the function of this name this signature, and it is not null.
                    unsafe {
                        std::mem::transmute::<*const std::ffi::c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(found)
                    }
                },)* })
            }
        }
    };
}
pub(crate) use functions;

functions! {
    /// EGL 1.5 itself, and how displays without a window are had.
    Functions {
        get_error: c"eglGetError"() -> c_int,
        query_string: c"eglQueryString"(Handle, c_int) -> *const c_char,
        initialize: c"eglInitialize"(Handle, *mut c_int, *mut c_int) -> Bool,
        bind_api: c"eglBindAPI"(c_uint) -> Bool,
        create_context: c"eglCreateContext"(Handle, Handle, Handle, *const c_int) -> Handle,
        destroy_context: c"eglDestroyContext"(Handle, Handle) -> Bool,
        make_current: c"eglMakeCurrent"(Handle, Handle, Handle, Handle) -> Bool,
        current_context: c"eglGetCurrentContext"() -> Handle,
        get_platform_display: c"eglGetPlatformDisplayEXT"(c_uint, Handle, *const c_int) -> Handle,
    }
}

functions! {
    /// EGL_EXT_device_enumeration and EGL_EXT_device_query.
    Devices {
        query: c"eglQueryDevicesEXT"(c_int, *mut Handle, *mut c_int) -> Bool,
        query_string: c"eglQueryDeviceStringEXT"(Handle, c_int) -> *const c_char,
    }
}

functions! {
    /// EGL_KHR_image_base and EGL_EXT_image_dma_buf_import_modifiers.
    Images {
        create: c"eglCreateImageKHR"(Handle, Handle, c_uint, Handle, *const c_int) -> Handle,
        destroy: c"eglDestroyImageKHR"(Handle, Handle) -> Bool,
        query_formats: c"eglQueryDmaBufFormatsEXT"(Handle, c_int, *mut c_int, *mut c_int) -> Bool,
        query_modifiers: c"eglQueryDmaBufModifiersEXT"(Handle, c_int, c_int, *mut u64, *mut Bool, *mut c_int) -> Bool,
    }
}

functions! {
    /// EGL_MESA_image_dma_buf_export.
    Exports {
        query: c"eglExportDMABUFImageQueryMESA"(Handle, Handle, *mut c_int, *mut c_int, *mut u64) -> Bool,
        export: c"eglExportDMABUFImageMESA"(Handle, Handle, *mut c_int, *mut c_int, *mut c_int) -> Bool,
    }
}

functions! {
    /// EGL_ANDROID_native_fence_sync and EGL_KHR_wait_sync.
    Syncs {
        create: c"eglCreateSyncKHR"(Handle, c_uint, *const c_int) -> Handle,
        destroy: c"eglDestroySyncKHR"(Handle, Handle) -> Bool,
        wait: c"eglWaitSyncKHR"(Handle, Handle, c_int) -> c_int,
        duplicate_fd: c"eglDupNativeFenceFDANDROID"(Handle, Handle) -> c_int,
    }
}

/// The library. Once loaded it stays: drivers leave threads and handlers behind that must not lose their code.
pub(crate) struct Egl {
    pub(crate) call: Functions,
    get_proc_address: unsafe extern "C" fn(*const c_char) -> *const c_void,
    library: Library,
}

impl Egl {
    /// The one of this process.
    pub(crate) fn get() -> Result<&'static Self> {
        static EGL: OnceLock<Result<Egl>> = OnceLock::new();
        EGL.get_or_init(Self::load).as_ref().map_err(Clone::clone)
    }

    fn load() -> Result<Self> {
        let missing = |error: libloading::Error| {
            Error::new(Stage::Negotiate, Kind::Unsupported)
                .asked("EGL")
                .found(error.to_string())
                .help("EGL's library (libegl1) and a driver (libegl-mesa0)")
        };
        // SAFETY: EGL is a library of the system, whose initialisers do nothing to us that we rely on.
        let library = unsafe { Library::new("libEGL.so.1") }.map_err(missing)?;
        // SAFETY: the specification gives the function of this name this signature.
        let found = unsafe {
            library
                .get::<unsafe extern "C" fn(*const c_char) -> *const c_void>(c"eglGetProcAddress".to_bytes_with_nul())
        };
        let get_proc_address = *found.map_err(missing)?;
        let call = Functions::load(&|name| find(&library, get_proc_address, name))?;
        Ok(Self { call, get_proc_address, library })
    }

    /// A function of EGL or OpenGL ES by name. Null: there is none; not null: still only to be called if its extension is there.
    pub(crate) fn find(&self, name: &CStr) -> *const c_void {
        find(&self.library, self.get_proc_address, name)
    }

    /// The extensions of a display; those of the library itself for null.
    pub(crate) fn extensions(&self, display: Handle) -> String {
        self.string(display, EXTENSIONS)
    }

    pub(crate) fn string(&self, display: Handle, name: c_int) -> String {
        // SAFETY: the display is null or one of this library; unknown names give null.
        let found = unsafe { (self.call.query_string)(display, name) };
        text(found)
    }

    /// What the last call of this thread was refused for.
    pub(crate) fn error(&self) -> c_int {
        // SAFETY: the call has no conditions.
        unsafe { (self.call.get_error)() }
    }
}

/// What the library exports, else what it knows of: drivers before EGL 1.5 do not give core functions by `eglGetProcAddress`.
fn find(
    library: &Library,
    get_proc_address: unsafe extern "C" fn(*const c_char) -> *const c_void,
    name: &CStr,
) -> *const c_void {
    // SAFETY: the symbol is only looked at as an address here.
    let exported = unsafe { library.get::<*const c_void>(name.to_bytes_with_nul()) };
    match exported {
        Ok(symbol) => *symbol,
        // SAFETY: the name ends in a zero.
        Err(_) => unsafe { get_proc_address(name.as_ptr()) },
    }
}

/// A text of a driver; empty for null.
pub(crate) fn text(found: *const c_char) -> String {
    if found.is_null() {
        return String::new();
    }
    // SAFETY: EGL's and GL's texts end in a zero and are there as long as their display.
    unsafe { CStr::from_ptr(found) }.to_string_lossy().into_owned()
}
