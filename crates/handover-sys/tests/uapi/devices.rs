//! What the crate has of the headers on display, video and amdgpu.

use handover_sys::uapi::{amdgpu, dumb, event, kfd, mode, v4l2, v4l2_control};

use crate::rows::{Rows, constants, layout, numbers};

pub(crate) fn mode(rows: &mut Rows) {
    rows.header("drm.h");
    layout!(rows, whole "struct drm_mode_modeinfo" = mode::ModeInfo {
        clock, hdisplay, hsync_start, hsync_end, htotal, hskew, vdisplay, vsync_start, vsync_end, vtotal, vscan,
        vrefresh, flags, kind as "type", name,
    });
    layout!(rows, whole "struct drm_mode_card_res" = mode::CardRes {
        fb_id_ptr, crtc_id_ptr, connector_id_ptr, encoder_id_ptr, count_fbs, count_crtcs, count_connectors,
        count_encoders, min_width, max_width, min_height, max_height,
    });
    layout!(rows, whole "struct drm_mode_get_encoder" = mode::GetEncoder {
        encoder_id, encoder_type, crtc_id, possible_crtcs, possible_clones,
    });
    layout!(rows, whole "struct drm_mode_get_connector" = mode::GetConnector {
        encoders_ptr, modes_ptr, props_ptr, prop_values_ptr, count_modes, count_props, count_encoders, encoder_id,
        connector_id, connector_type, connector_type_id, connection, mm_width, mm_height, subpixel, pad,
    });
    layout!(rows, whole "struct drm_mode_get_plane_res" = mode::GetPlaneRes { plane_id_ptr, count_planes });
    layout!(rows, whole "struct drm_mode_get_plane" = mode::GetPlane {
        plane_id, crtc_id, fb_id, possible_crtcs, gamma_size, count_format_types, format_type_ptr,
    });
    layout!(rows, whole "struct drm_mode_get_property" = mode::GetProperty {
        values_ptr, enum_blob_ptr, prop_id, flags, name, count_values, count_enum_blobs,
    });
    layout!(rows, whole "struct drm_mode_property_enum" = mode::PropertyEnum { value, name });
    layout!(rows, whole "struct drm_mode_obj_get_properties" = mode::ObjGetProperties {
        props_ptr, prop_values_ptr, count_props, obj_id, obj_type,
    });
    layout!(rows, whole "struct drm_mode_get_blob" = mode::GetBlob { blob_id, length, data });
    layout!(rows, whole "struct drm_mode_create_blob" = mode::CreateBlob { data, length, blob_id });
    layout!(rows, whole "struct drm_mode_destroy_blob" = mode::DestroyBlob { blob_id });
    layout!(rows, whole "struct drm_mode_fb_cmd2" = mode::FbCmd2 {
        fb_id, width, height, pixel_format, flags, handles, pitches, offsets, modifier,
    });
    layout!(rows, whole "struct drm_mode_create_dumb" = dumb::CreateDumb {
        height, width, bpp, flags, handle, pitch, size,
    });
    layout!(rows, whole "struct drm_mode_map_dumb" = dumb::MapDumb { handle, pad, offset });
    layout!(rows, whole "struct drm_mode_destroy_dumb" = dumb::DestroyDumb { handle });
    layout!(rows, whole "struct drm_mode_atomic" = mode::Atomic {
        flags, count_objs, objs_ptr, count_props_ptr, props_ptr, prop_values_ptr, reserved, user_data,
    });
    layout!(rows, whole "struct drm_format_modifier_blob" = mode::FormatModifierBlob {
        version, flags, count_formats, formats_offset, count_modifiers, modifiers_offset,
    });
    layout!(rows, whole "struct drm_format_modifier" = mode::FormatModifier { formats, offset, pad, modifier });
    layout!(rows, whole "struct drm_auth" = mode::Auth { magic });
    layout!(rows, whole "struct drm_event" = event::Event { kind as "type", length });
    layout!(rows, whole "struct drm_event_vblank" = event::EventVblank {
        base, user_data, tv_sec, tv_usec, sequence, crtc_id,
    });
    constants! {
        rows,
        "DRM_MODE_TYPE_PREFERRED" = mode::MODE_TYPE_PREFERRED,
        "DRM_MODE_FB_MODIFIERS" = mode::FB_MODIFIERS,
        "FORMAT_BLOB_CURRENT" = mode::FORMAT_BLOB_CURRENT,
        "DRM_MODE_PAGE_FLIP_EVENT" = mode::PAGE_FLIP_EVENT,
        "DRM_MODE_ATOMIC_TEST_ONLY" = mode::ATOMIC_TEST_ONLY,
        "DRM_MODE_ATOMIC_NONBLOCK" = mode::ATOMIC_NONBLOCK,
        "DRM_MODE_ATOMIC_ALLOW_MODESET" = mode::ATOMIC_ALLOW_MODESET,
        "DRM_MODE_OBJECT_CRTC" = mode::OBJECT_CRTC,
        "DRM_MODE_OBJECT_CONNECTOR" = mode::OBJECT_CONNECTOR,
        "DRM_MODE_OBJECT_PLANE" = mode::OBJECT_PLANE,
        "DRM_MODE_OBJECT_ANY" = mode::OBJECT_ANY,
        "DRM_MODE_PROP_RANGE" = mode::PROP_RANGE,
        "DRM_MODE_PROP_IMMUTABLE" = mode::PROP_IMMUTABLE,
        "DRM_MODE_PROP_ENUM" = mode::PROP_ENUM,
        "DRM_MODE_PROP_BLOB" = mode::PROP_BLOB,
        "DRM_MODE_PROP_BITMASK" = mode::PROP_BITMASK,
        "DRM_MODE_PROP_OBJECT" = mode::PROP_OBJECT,
        "DRM_MODE_PROP_SIGNED_RANGE" = mode::PROP_SIGNED_RANGE,
        "DRM_MODE_PROP_ATOMIC" = mode::PROP_ATOMIC,
        "DRM_EVENT_VBLANK" = event::EVENT_VBLANK,
        "DRM_EVENT_FLIP_COMPLETE" = event::EVENT_FLIP_COMPLETE,
    }
    numbers! {
        rows,
        "DRM_IOCTL_AUTH_MAGIC" = mode::AUTH_MAGIC,
        "DRM_IOCTL_SET_MASTER" = mode::SET_MASTER,
        "DRM_IOCTL_DROP_MASTER" = mode::DROP_MASTER,
        "DRM_IOCTL_MODE_GETRESOURCES" = mode::GET_RESOURCES,
        "DRM_IOCTL_MODE_GETENCODER" = mode::GET_ENCODER,
        "DRM_IOCTL_MODE_GETCONNECTOR" = mode::GET_CONNECTOR,
        "DRM_IOCTL_MODE_GETPROPERTY" = mode::GET_PROPERTY,
        "DRM_IOCTL_MODE_GETPROPBLOB" = mode::GET_BLOB,
        "DRM_IOCTL_MODE_RMFB" = mode::REMOVE_FRAMEBUFFER,
        "DRM_IOCTL_MODE_CREATE_DUMB" = dumb::CREATE_DUMB,
        "DRM_IOCTL_MODE_MAP_DUMB" = dumb::MAP_DUMB,
        "DRM_IOCTL_MODE_DESTROY_DUMB" = dumb::DESTROY_DUMB,
        "DRM_IOCTL_MODE_GETPLANERESOURCES" = mode::GET_PLANE_RESOURCES,
        "DRM_IOCTL_MODE_GETPLANE" = mode::GET_PLANE,
        "DRM_IOCTL_MODE_ADDFB2" = mode::ADD_FRAMEBUFFER2,
        "DRM_IOCTL_MODE_OBJ_GETPROPERTIES" = mode::OBJECT_GET_PROPERTIES,
        "DRM_IOCTL_MODE_ATOMIC" = mode::ATOMIC,
        "DRM_IOCTL_MODE_CREATEPROPBLOB" = mode::CREATE_BLOB,
        "DRM_IOCTL_MODE_DESTROYPROPBLOB" = mode::DESTROY_BLOB,
    }
}

pub(crate) fn amdgpu(rows: &mut Rows) {
    rows.header("amdgpu_drm.h");
    layout!(rows, whole "union drm_amdgpu_gem_create" = amdgpu::GemCreate {
        bo_size as "in.bo_size", alignment as "in.alignment", domains as "in.domains",
        domain_flags as "in.domain_flags",
    });
    layout!(rows, whole "union drm_amdgpu_gem_mmap" = amdgpu::GemMmap { handle as "in.handle", pad as "in._pad" });
    layout!(rows, part at std::mem::offset_of!(amdgpu::GemMetadata, data), "struct drm_amdgpu_gem_metadata" = amdgpu::MetadataData {
        flags as "data.flags", tiling_info as "data.tiling_info", data_size_bytes as "data.data_size_bytes",
        data as "data.data",
    });
    layout!(rows, whole "struct drm_amdgpu_gem_metadata" = amdgpu::GemMetadata { handle, op, data });
    layout!(rows, whole "struct drm_amdgpu_gem_op" = amdgpu::GemOp { handle, op, value });
    layout!(rows, whole "struct drm_amdgpu_info" = amdgpu::Info {
        return_pointer, return_size, query, argument as "mode_crtc",
    });
    layout!(rows, whole "struct drm_amdgpu_info_hw_ip" = amdgpu::InfoHwIp {
        hw_ip_version_major, hw_ip_version_minor, capabilities_flags, ib_start_alignment, ib_size_alignment,
        available_rings,
    });
    layout!(rows, part "struct drm_amdgpu_info_device" = amdgpu::InfoDevice {
        device_id, chip_rev, external_rev, pci_rev, family, num_shader_engines, num_shader_arrays_per_engine,
        gpu_counter_freq, max_engine_clock, max_memory_clock, cu_active_number, cu_ao_mask, cu_bitmap,
        enabled_rb_pipes_mask, num_rb_pipes, num_hw_gfx_contexts, ids_flags, virtual_address_offset,
        virtual_address_max, virtual_address_alignment, pte_fragment_size, gart_page_size, ce_ram_size, vram_type,
        vram_bit_width,
    });
    constants! {
        rows,
        "AMDGPU_GEM_METADATA_OP_SET_METADATA" = amdgpu::METADATA_SET,
        "AMDGPU_GEM_METADATA_OP_GET_METADATA" = amdgpu::METADATA_GET,
        "AMDGPU_GEM_OP_GET_GEM_CREATE_INFO" = amdgpu::GEM_OP_GET_CREATE_INFO,
        "AMDGPU_INFO_HW_IP_INFO" = amdgpu::INFO_HW_IP,
        "AMDGPU_INFO_READ_MMR_REG" = amdgpu::INFO_READ_MMR_REG,
        "AMDGPU_INFO_DEV_INFO" = amdgpu::INFO_DEV,
    }
    numbers! {
        rows,
        "DRM_IOCTL_AMDGPU_GEM_CREATE" = amdgpu::GEM_CREATE,
        "DRM_IOCTL_AMDGPU_GEM_MMAP" = amdgpu::GEM_MMAP,
        "DRM_IOCTL_AMDGPU_INFO" = amdgpu::INFO,
        "DRM_IOCTL_AMDGPU_GEM_METADATA" = amdgpu::GEM_METADATA,
        "DRM_IOCTL_AMDGPU_GEM_OP" = amdgpu::GEM_OP,
    }
}

pub(crate) fn kfd(rows: &mut Rows) {
    rows.header("linux/kfd_ioctl.h");
    layout!(rows, whole "struct kfd_ioctl_get_dmabuf_info_args" = kfd::GetDmabufInfo {
        size, metadata_ptr, metadata_size, gpu_id, flags, dmabuf_fd,
    });
    numbers! {
        rows,
        "AMDKFD_IOC_GET_DMABUF_INFO" = kfd::GET_DMABUF_INFO,
    }
}

pub(crate) fn v4l2(rows: &mut Rows) {
    rows.header("linux/videodev2.h");
    layout!(rows, whole "struct v4l2_capability" = v4l2::Capability {
        driver, card, bus_info, version, capabilities, device_caps, reserved,
    });
    layout!(rows, whole "struct v4l2_fmtdesc" = v4l2::FmtDesc {
        index, kind as "type", flags, description, pixelformat, mbus_code, reserved,
    });
    layout!(rows, whole "struct v4l2_pix_format" = v4l2::PixFormat {
        width, height, pixelformat, field, bytesperline, sizeimage, colorspace, private as "priv", flags, ycbcr_enc,
        quantization, xfer_func,
    });
    layout!(rows, whole "struct v4l2_plane_pix_format" = v4l2::PlanePixFormat { sizeimage, bytesperline, reserved });
    layout!(rows, whole "struct v4l2_pix_format_mplane" = v4l2::PixFormatMplane {
        width, height, pixelformat, field, colorspace, plane_fmt, num_planes, flags, ycbcr_enc, quantization,
        xfer_func, reserved,
    });
    layout!(rows, whole "struct v4l2_format" = v4l2::FormatPix { kind as "type", pix as "fmt.pix" });
    layout!(rows, whole "struct v4l2_format" = v4l2::FormatMplane { kind as "type", pix_mp as "fmt.pix_mp" });
    layout!(rows, whole "struct v4l2_requestbuffers" = v4l2::RequestBuffers {
        count, kind as "type", memory, capabilities, flags, reserved,
    });
    layout!(rows, whole "struct v4l2_timecode" = v4l2::Timecode {
        kind as "type", flags, frames, seconds, minutes, hours, userbits,
    });
    layout!(rows, whole "struct v4l2_plane" = v4l2::Plane { bytesused, length, m, data_offset, reserved });
    layout!(rows, whole "struct v4l2_buffer" = v4l2::Buffer {
        index, kind as "type", bytesused, flags, field, timestamp, timecode, sequence, memory, m, length, reserved2,
        request_fd,
    });
    layout!(rows, whole "struct v4l2_exportbuffer" = v4l2::ExportBuffer {
        kind as "type", index, plane, flags, fd, reserved,
    });
    layout!(rows, whole "struct v4l2_fract" = v4l2::Fract { numerator, denominator });
    layout!(rows, whole "struct v4l2_captureparm" = v4l2::CaptureParm {
        capability, capturemode, timeperframe, extendedmode, readbuffers, reserved,
    });
    layout!(rows, whole "struct v4l2_streamparm" = v4l2::StreamParm { kind as "type", capture as "parm.capture" });
    layout!(rows, whole "struct v4l2_input" = v4l2_control::Input {
        index, name, kind as "type", audioset, tuner, std, status, capabilities, reserved,
    });
    layout!(rows, whole "struct v4l2_output" = v4l2_control::Output {
        index, name, kind as "type", audioset, modulator, std, capabilities, reserved,
    });
    layout!(rows, whole "struct v4l2_control" = v4l2_control::Control { id, value });
    layout!(rows, whole "struct v4l2_queryctrl" = v4l2_control::QueryCtrl {
        id, kind as "type", name, minimum, maximum, step, default_value, flags, reserved,
    });
    constants! {
        rows,
        "V4L2_PIX_FMT_PRIV_MAGIC" = v4l2::PIX_FMT_PRIV_MAGIC,
        "V4L2_CAP_TIMEPERFRAME" = v4l2::CAP_TIMEPERFRAME,
        "V4L2_BUF_FLAG_TIMESTAMP_MASK" = v4l2::BUF_FLAG_TIMESTAMP_MASK,
        "V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC" = v4l2::BUF_FLAG_TIMESTAMP_MONOTONIC,
        "V4L2_CTRL_FLAG_NEXT_CTRL" = v4l2_control::CTRL_FLAG_NEXT_CTRL,
    }
    numbers! {
        rows,
        "VIDIOC_QUERYCAP" = v4l2::QUERYCAP,
        "VIDIOC_ENUM_FMT" = v4l2::ENUM_FMT,
        "VIDIOC_G_FMT" = v4l2::G_FMT,
        "VIDIOC_G_FMT" = v4l2::G_FMT_MPLANE,
        "VIDIOC_S_FMT" = v4l2::S_FMT,
        "VIDIOC_S_FMT" = v4l2::S_FMT_MPLANE,
        "VIDIOC_REQBUFS" = v4l2::REQBUFS,
        "VIDIOC_QUERYBUF" = v4l2::QUERYBUF,
        "VIDIOC_QBUF" = v4l2::QBUF,
        "VIDIOC_EXPBUF" = v4l2::EXPBUF,
        "VIDIOC_DQBUF" = v4l2::DQBUF,
        "VIDIOC_STREAMON" = v4l2::STREAMON,
        "VIDIOC_STREAMOFF" = v4l2::STREAMOFF,
        "VIDIOC_G_PARM" = v4l2::G_PARM,
        "VIDIOC_S_PARM" = v4l2::S_PARM,
        "VIDIOC_ENUMINPUT" = v4l2_control::ENUMINPUT,
        "VIDIOC_G_CTRL" = v4l2_control::G_CTRL,
        "VIDIOC_S_CTRL" = v4l2_control::S_CTRL,
        "VIDIOC_QUERYCTRL" = v4l2_control::QUERYCTRL,
        "VIDIOC_G_INPUT" = v4l2_control::G_INPUT,
        "VIDIOC_S_INPUT" = v4l2_control::S_INPUT,
        "VIDIOC_G_OUTPUT" = v4l2_control::G_OUTPUT,
        "VIDIOC_S_OUTPUT" = v4l2_control::S_OUTPUT,
        "VIDIOC_ENUMOUTPUT" = v4l2_control::ENUMOUTPUT,
    }
}
