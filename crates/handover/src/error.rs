//! How a refusing system call becomes the library's error.

pub use handover_model::{Blocked, Error, Holder, Kind, Result};
use handover_model::{Stage, Text};

/// Keeps the errno and says what the call was for: `.map_err(os(stage, "map the pixels"))`.
pub(crate) fn os(stage: Stage, what: impl Into<Text>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |error| {
        let base = Error::new(stage, Kind::Os).asked(format!("the system to {what}")).found(error.to_string());
        error.raw_os_error().map_or(base.clone(), |errno| base.with_errno(errno))
    }
}
