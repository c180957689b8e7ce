//! `include/uapi/drm/drm_mode.h`: dumb buffers and mode setting; and what `drm.h` has for those who set modes (master, events).

use super::drm::GROUP;
use crate::ioctl::Request;

/// `struct drm_mode_modeinfo`: the timing of a mode, in pixels, lines and kHz.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModeInfo {
    /// Pixel clock, in kHz.
    pub clock: u32,
    /// Visible pixels of a line.
    pub hdisplay: u16,
    /// Where the horizontal pulse starts.
    pub hsync_start: u16,
    /// Where it ends.
    pub hsync_end: u16,
    /// Pixels of a line, the invisible ones too.
    pub htotal: u16,
    /// Skew.
    pub hskew: u16,
    /// Visible lines.
    pub vdisplay: u16,
    /// Where the vertical pulse starts.
    pub vsync_start: u16,
    /// Where it ends.
    pub vsync_end: u16,
    /// Lines, the invisible ones too.
    pub vtotal: u16,
    /// Each line is scanned so often.
    pub vscan: u16,
    /// Frames a second, rounded.
    pub vrefresh: u32,
    /// `DRM_MODE_FLAG_*`.
    pub flags: u32,
    /// [`MODE_TYPE_PREFERRED`] and others.
    pub kind: u32,
    /// Text, ended by a NUL.
    pub name: [u8; 32],
}

/// `struct drm_mode_card_res`. Counts: in, the room at the address; out, what there is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardRes {
    /// Address of framebuffer ids.
    pub fb_id_ptr: u64,
    /// Address of CRTC ids.
    pub crtc_id_ptr: u64,
    /// Address of connector ids.
    pub connector_id_ptr: u64,
    /// Address of encoder ids.
    pub encoder_id_ptr: u64,
    /// How many framebuffers.
    pub count_fbs: u32,
    /// How many CRTCs.
    pub count_crtcs: u32,
    /// How many connectors.
    pub count_connectors: u32,
    /// How many encoders.
    pub count_encoders: u32,
    /// Least width of a framebuffer, in pixels.
    pub min_width: u32,
    /// Greatest width.
    pub max_width: u32,
    /// Least height.
    pub min_height: u32,
    /// Greatest height.
    pub max_height: u32,
}

/// `struct drm_mode_get_encoder`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetEncoder {
    /// In.
    pub encoder_id: u32,
    /// `DRM_MODE_ENCODER_*`.
    pub encoder_type: u32,
    /// The CRTC it is driven by, or zero.
    pub crtc_id: u32,
    /// Bit n: the nth CRTC of the list can drive it.
    pub possible_crtcs: u32,
    /// Bit n: the nth encoder can show the same.
    pub possible_clones: u32,
}

/// `struct drm_mode_get_connector`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetConnector {
    /// Address of encoder ids.
    pub encoders_ptr: u64,
    /// Address of [`ModeInfo`].
    pub modes_ptr: u64,
    /// Address of property ids.
    pub props_ptr: u64,
    /// Address of as many values.
    pub prop_values_ptr: u64,
    /// In: room, and 0 makes the driver look for modes anew. Out: how many there are.
    pub count_modes: u32,
    /// As `count_modes`, without its side effect.
    pub count_props: u32,
    /// As `count_props`.
    pub count_encoders: u32,
    /// The encoder it is fed by, or zero.
    pub encoder_id: u32,
    /// In.
    pub connector_id: u32,
    /// `DRM_MODE_CONNECTOR_*`.
    pub connector_type: u32,
    /// Counts the connectors of one type from 1.
    pub connector_type_id: u32,
    /// 1 connected, 2 not, 3 unknown.
    pub connection: u32,
    /// Width of the picture, in millimetres.
    pub mm_width: u32,
    /// Height of the picture, in millimetres.
    pub mm_height: u32,
    /// Order of the subpixels.
    pub subpixel: u32,
    /// Zero.
    pub pad: u32,
}

/// `struct drm_mode_get_plane_res`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetPlaneRes {
    /// Address of plane ids.
    pub plane_id_ptr: u64,
    /// In: room. Out: how many there are.
    pub count_planes: u32,
}

/// `struct drm_mode_get_plane`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetPlane {
    /// In.
    pub plane_id: u32,
    /// The CRTC it shows on, or zero.
    pub crtc_id: u32,
    /// The framebuffer it shows, or zero.
    pub fb_id: u32,
    /// Bit n: it can show on the nth CRTC of the list.
    pub possible_crtcs: u32,
    /// Not filled in.
    pub gamma_size: u32,
    /// In: room. Out: how many formats there are.
    pub count_format_types: u32,
    /// Address of fourcc codes.
    pub format_type_ptr: u64,
}

/// `struct drm_mode_get_property`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetProperty {
    /// Address of values: the bounds of a range, the values of an enumeration.
    pub values_ptr: u64,
    /// Address of [`PropertyEnum`].
    pub enum_blob_ptr: u64,
    /// In.
    pub prop_id: u32,
    /// `DRM_MODE_PROP_*`.
    pub flags: u32,
    /// Text, ended by a NUL.
    pub name: [u8; 32],
    /// In: room. Out: how many values there are.
    pub count_values: u32,
    /// In: room. Out: how many names of values there are.
    pub count_enum_blobs: u32,
}

/// `struct drm_mode_property_enum`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertyEnum {
    /// The value; of a bit mask, the number of the bit.
    pub value: u64,
    /// Text, ended by a NUL.
    pub name: [u8; 32],
}

/// `struct drm_mode_obj_get_properties`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjGetProperties {
    /// Address of property ids.
    pub props_ptr: u64,
    /// Address of as many values.
    pub prop_values_ptr: u64,
    /// In: room. Out: how many there are.
    pub count_props: u32,
    /// In.
    pub obj_id: u32,
    /// In: `DRM_MODE_OBJECT_*`.
    pub obj_type: u32,
}

/// `struct drm_mode_get_blob`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetBlob {
    /// In.
    pub blob_id: u32,
    /// In: room. Out: bytes there are. Nothing is copied unless they are equal.
    pub length: u32,
    /// Address of the bytes.
    pub data: u64,
}

/// `struct drm_mode_create_blob`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateBlob {
    /// Address of the bytes.
    pub data: u64,
    /// How many.
    pub length: u32,
    /// Out.
    pub blob_id: u32,
}

/// `struct drm_mode_destroy_blob`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestroyBlob {
    /// In.
    pub blob_id: u32,
}

/// `struct drm_mode_fb_cmd2`. Planes that a format does not have are zero everywhere.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FbCmd2 {
    /// Out.
    pub fb_id: u32,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// A fourcc code.
    pub pixel_format: u32,
    /// [`FB_MODIFIERS`].
    pub flags: u32,
    /// GEM handles.
    pub handles: [u32; 4],
    /// Bytes from a line to the next.
    pub pitches: [u32; 4],
    /// Bytes from the start of the buffer.
    pub offsets: [u32; 4],
    /// The same for every plane that is used.
    pub modifier: [u64; 4],
}

/// `struct drm_mode_atomic`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Atomic {
    /// `DRM_MODE_ATOMIC_*`, `DRM_MODE_PAGE_FLIP_EVENT`.
    pub flags: u32,
    /// How many objects.
    pub count_objs: u32,
    /// Address of object ids.
    pub objs_ptr: u64,
    /// Address of as many counts of properties.
    pub count_props_ptr: u64,
    /// Address of property ids, object after object.
    pub props_ptr: u64,
    /// Address of as many values.
    pub prop_values_ptr: u64,
    /// Zero.
    pub reserved: u64,
    /// Comes back in the events.
    pub user_data: u64,
}

/// `struct drm_format_modifier_blob`: the head of the `IN_FORMATS` blob.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormatModifierBlob {
    /// [`FORMAT_BLOB_CURRENT`].
    pub version: u32,
    /// Zero.
    pub flags: u32,
    /// How many fourcc codes.
    pub count_formats: u32,
    /// Where they are, in bytes from the start of the blob.
    pub formats_offset: u32,
    /// How many [`FormatModifier`].
    pub count_modifiers: u32,
    /// Where they are, in bytes from the start of the blob.
    pub modifiers_offset: u32,
}

/// `struct drm_format_modifier`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormatModifier {
    /// Bit n: the modifier goes with format `offset + n`.
    pub formats: u64,
    /// Index of the first format that `formats` speaks of.
    pub offset: u32,
    /// Zero.
    pub pad: u32,
    /// The modifier.
    pub modifier: u64,
}

/// `struct drm_auth` of `drm.h`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// In.
    pub magic: u32,
}

/// `DRM_MODE_TYPE_PREFERRED`
pub const MODE_TYPE_PREFERRED: u32 = 1 << 3;
/// `DRM_MODE_FB_MODIFIERS`
pub const FB_MODIFIERS: u32 = 1 << 1;
/// `FORMAT_BLOB_CURRENT`
pub const FORMAT_BLOB_CURRENT: u32 = 1;
/// `DRM_MODE_PAGE_FLIP_EVENT`
pub const PAGE_FLIP_EVENT: u32 = 0x01;
/// `DRM_MODE_ATOMIC_TEST_ONLY`
pub const ATOMIC_TEST_ONLY: u32 = 0x0100;
/// `DRM_MODE_ATOMIC_NONBLOCK`
pub const ATOMIC_NONBLOCK: u32 = 0x0200;
/// `DRM_MODE_ATOMIC_ALLOW_MODESET`
pub const ATOMIC_ALLOW_MODESET: u32 = 0x0400;
/// `DRM_MODE_OBJECT_CRTC`
pub const OBJECT_CRTC: u32 = 0xcccc_cccc;
/// `DRM_MODE_OBJECT_CONNECTOR`
pub const OBJECT_CONNECTOR: u32 = 0xc0c0_c0c0;
/// `DRM_MODE_OBJECT_PLANE`
pub const OBJECT_PLANE: u32 = 0xeeee_eeee;
/// `DRM_MODE_OBJECT_ANY`
pub const OBJECT_ANY: u32 = 0;
/// `DRM_MODE_PROP_RANGE`
pub const PROP_RANGE: u32 = 1 << 1;
/// `DRM_MODE_PROP_IMMUTABLE`
pub const PROP_IMMUTABLE: u32 = 1 << 2;
/// `DRM_MODE_PROP_ENUM`
pub const PROP_ENUM: u32 = 1 << 3;
/// `DRM_MODE_PROP_BLOB`
pub const PROP_BLOB: u32 = 1 << 4;
/// `DRM_MODE_PROP_BITMASK`
pub const PROP_BITMASK: u32 = 1 << 5;
/// `DRM_MODE_PROP_OBJECT`
pub const PROP_OBJECT: u32 = 1 << 6;
/// `DRM_MODE_PROP_SIGNED_RANGE`
pub const PROP_SIGNED_RANGE: u32 = 2 << 6;
/// `DRM_MODE_PROP_ATOMIC`
pub const PROP_ATOMIC: u32 = 0x8000_0000;

/// `DRM_IOCTL_AUTH_MAGIC`
pub const AUTH_MAGIC: Request<Auth> = Request::iow(GROUP, 0x11);
/// `DRM_IOCTL_SET_MASTER`
pub const SET_MASTER: Request<u32> = Request::io(GROUP, 0x1e);
/// `DRM_IOCTL_DROP_MASTER`
pub const DROP_MASTER: Request<u32> = Request::io(GROUP, 0x1f);
/// `DRM_IOCTL_MODE_GETRESOURCES`
pub const GET_RESOURCES: Request<CardRes> = Request::iowr(GROUP, 0xa0);
/// `DRM_IOCTL_MODE_GETENCODER`
pub const GET_ENCODER: Request<GetEncoder> = Request::iowr(GROUP, 0xa6);
/// `DRM_IOCTL_MODE_GETCONNECTOR`
pub const GET_CONNECTOR: Request<GetConnector> = Request::iowr(GROUP, 0xa7);
/// `DRM_IOCTL_MODE_GETPROPERTY`
pub const GET_PROPERTY: Request<GetProperty> = Request::iowr(GROUP, 0xaa);
/// `DRM_IOCTL_MODE_GETPROPBLOB`
pub const GET_BLOB: Request<GetBlob> = Request::iowr(GROUP, 0xac);
/// `DRM_IOCTL_MODE_RMFB`
pub const REMOVE_FRAMEBUFFER: Request<u32> = Request::iowr(GROUP, 0xaf);
/// `DRM_IOCTL_MODE_GETPLANERESOURCES`
pub const GET_PLANE_RESOURCES: Request<GetPlaneRes> = Request::iowr(GROUP, 0xb5);
/// `DRM_IOCTL_MODE_GETPLANE`
pub const GET_PLANE: Request<GetPlane> = Request::iowr(GROUP, 0xb6);
/// `DRM_IOCTL_MODE_ADDFB2`
pub const ADD_FRAMEBUFFER2: Request<FbCmd2> = Request::iowr(GROUP, 0xb8);
/// `DRM_IOCTL_MODE_OBJ_GETPROPERTIES`
pub const OBJECT_GET_PROPERTIES: Request<ObjGetProperties> = Request::iowr(GROUP, 0xb9);
/// `DRM_IOCTL_MODE_ATOMIC`
pub const ATOMIC: Request<Atomic> = Request::iowr(GROUP, 0xbc);
/// `DRM_IOCTL_MODE_CREATEPROPBLOB`
pub const CREATE_BLOB: Request<CreateBlob> = Request::iowr(GROUP, 0xbd);
/// `DRM_IOCTL_MODE_DESTROYPROPBLOB`
pub const DESTROY_BLOB: Request<DestroyBlob> = Request::iowr(GROUP, 0xbe);
