//! Formats of the kernel and of OpenGL ES. EGL speaks of formats as the kernel does; only textures of our own need another name.

use std::ffi::c_uint;

use handover::Format;

/// What OpenGL ES can draw to, and the extension that it needs for it.
const DRAWN: &[(Format, Option<&str>)] = &[
    (Format::XRGB8888, Some("GL_EXT_texture_format_BGRA8888")),
    (Format::ARGB8888, Some("GL_EXT_texture_format_BGRA8888")),
    (Format::XBGR8888, None),
    (Format::ABGR8888, None),
    (Format::RGB565, None),
    (Format::XRGB2101010, None),
    (Format::ARGB2101010, None),
    (Format::R8, None),
    (Format::GR88, None),
    (Format::R16, Some("GL_EXT_texture_norm16")),
    (Format::ABGR16161616F, Some("GL_EXT_color_buffer_half_float")),
];

/// What a texture of our own is asked for by (OpenGL ES 3), and the extension that it needs.
const STORED: &[(Format, c_uint, Option<&str>)] = &[
    (Format::ABGR8888, 0x8058, None),
    (Format::ARGB8888, 0x93A1, Some("GL_EXT_texture_format_BGRA8888")),
    (Format::RGB565, 0x8D62, None),
    (Format::R8, 0x8229, None),
    (Format::GR88, 0x822B, None),
];

/// May it be drawn to? `has`: is an extension there?
pub(crate) fn is_drawn(format: Format, has: impl Fn(&str) -> bool) -> bool {
    DRAWN.iter().any(|(known, needs)| *known == format && needs.is_none_or(&has))
}

/// The sized internal format; `None`: there is none for it.
pub(crate) fn stored(format: Format, has: impl Fn(&str) -> bool) -> Option<c_uint> {
    STORED.iter().find(|(known, _, needs)| *known == format && needs.is_none_or(&has)).map(|(_, name, _)| *name)
}
