//! How a refusal of EGL or OpenGL ES becomes the library's error.

use std::ffi::{CStr, c_int, c_uint};

use handover::{Error, Kind, Stage};

const ENOMEM: i32 = 12;
const ENODEV: i32 = 19;

const BAD_ALLOC: c_int = 0x3003;
const CONTEXT_LOST: c_int = 0x300E;

/// Names of the specification, from 0x3000 on.
const NAMES: [&str; 15] = [
    "EGL_SUCCESS",
    "EGL_NOT_INITIALIZED",
    "EGL_BAD_ACCESS",
    "EGL_BAD_ALLOC",
    "EGL_BAD_ATTRIBUTE",
    "EGL_BAD_CONFIG",
    "EGL_BAD_CONTEXT",
    "EGL_BAD_CURRENT_SURFACE",
    "EGL_BAD_DISPLAY",
    "EGL_BAD_MATCH",
    "EGL_BAD_NATIVE_PIXMAP",
    "EGL_BAD_NATIVE_WINDOW",
    "EGL_BAD_PARAMETER",
    "EGL_BAD_SURFACE",
    "EGL_CONTEXT_LOST",
];

fn name(code: c_int) -> String {
    let index = code.checked_sub(0x3000).and_then(|index| usize::try_from(index).ok());
    index.and_then(|index| NAMES.get(index)).map_or_else(|| format!("EGL error {code:#x}"), |name| (*name).to_owned())
}

/// What EGL answered to a call: `refused(stage, code, "make a context")`.
pub(crate) fn refused(stage: Stage, code: c_int, what: impl Into<String>) -> Error {
    let error = |kind| Error::new(stage, kind).asked(format!("EGL to {}", what.into())).found(name(code));
    match code {
        CONTEXT_LOST => lost(error(Kind::Os)),
        BAD_ALLOC => error(Kind::Os).with_errno(ENOMEM),
        _ => error(Kind::Os),
    }
}

/// What EGL answered to an import. Drivers answer any of four codes, EGL_BAD_ALLOC among them, to what they do not take.
pub(crate) fn not_taken(code: c_int, what: impl Into<String>) -> Error {
    if code == CONTEXT_LOST {
        return refused(Stage::Import, code, what);
    }
    Error::new(Stage::Import, Kind::Unsupported)
        .asked(format!("EGL to {}", what.into()))
        .found(name(code))
        .why("the driver does not take this buffer as it lies, or such memory at all")
        .help("let the driver allocate, or another source of memory, and prove the agreement before relying on it")
}

/// What OpenGL ES noted during a job.
pub(crate) fn drawn_wrong(code: c_uint) -> Error {
    let found = match code {
        0x0500 => "GL_INVALID_ENUM",
        0x0501 => "GL_INVALID_VALUE",
        0x0502 => "GL_INVALID_OPERATION",
        0x0505 => "GL_OUT_OF_MEMORY",
        0x0506 => "GL_INVALID_FRAMEBUFFER_OPERATION",
        0x0507 => return device_lost(),
        _ => return Error::new(Stage::Access, Kind::Os).asked("a job").found(format!("GL error {code:#x}")),
    };
    Error::new(Stage::Access, Kind::Os).asked("a job").found(found)
}

/// The driver reset the device.
pub(crate) fn device_lost() -> Error {
    lost(Error::new(Stage::Access, Kind::Os).asked("a job").found("a reset of the device"))
}

fn lost(error: Error) -> Error {
    error
        .with_errno(ENODEV)
        .why("the device is gone, and with it every job it had; its fences have ended")
        .help("open a display again, and import the surfaces into it")
}

/// What an extension would be needed for.
pub(crate) fn missing(stage: Stage, what: &'static str, needs: &str, device: &str) -> Error {
    Error::new(stage, Kind::Unsupported)
        .asked(what)
        .found(format!("{device}, without {needs}"))
        .why("the driver does not offer it")
}

/// A driver that says it has an extension and has not all of it.
pub(crate) fn missing_function(name: &CStr) -> Error {
    Error::new(Stage::Negotiate, Kind::Unsupported)
        .asked(format!("the function {}", name.to_string_lossy()))
        .found("a library without it")
        .help("a newer driver")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind_and_the_name_of_the_specification() {
        let cases = [
            (CONTEXT_LOST, Kind::Os, Some(ENODEV), "EGL_CONTEXT_LOST"),
            (BAD_ALLOC, Kind::Os, Some(ENOMEM), "EGL_BAD_ALLOC"),
            (0x3009, Kind::Os, None, "EGL_BAD_MATCH"),
            (-1, Kind::Os, None, "EGL error 0xffffffff"),
        ];
        for (code, kind, errno, says) in cases {
            let error = refused(Stage::Acquire, code, "do it");
            assert_eq!((error.stage(), error.kind(), error.errno()), (Stage::Acquire, &kind, errno), "{error}");
            assert!(error.to_string().contains(says) && error.to_string().contains("EGL to do it"), "{error}");
        }
        assert!(*not_taken(BAD_ALLOC, "take it").kind() == Kind::Unsupported);
        assert_eq!(not_taken(CONTEXT_LOST, "take it").errno(), Some(ENODEV));
    }

    #[test]
    fn a_lost_device_says_how_to_go_on() {
        for error in [device_lost(), drawn_wrong(0x0507), refused(Stage::Access, CONTEXT_LOST, "wait")] {
            let text = error.to_string();
            assert!(text.contains("the device is gone") && text.contains("import the surfaces"), "{text}");
        }
    }
}
