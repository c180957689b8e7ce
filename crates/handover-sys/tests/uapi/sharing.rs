//! What the crate has of the headers on sharing and synchronising.

use handover_sys::uapi::{dma_buf, dma_heap, drm, sync_file, syncobj, udmabuf, vgem};

use crate::rows::{Rows, constants, layout, numbers};

pub(crate) fn dma_buf(rows: &mut Rows) {
    rows.header("linux/dma-buf.h");
    layout!(rows, whole "struct dma_buf_sync" = dma_buf::Sync { flags });
    layout!(rows, whole "struct dma_buf_export_sync_file" = dma_buf::ExportSyncFile { flags, fd });
    layout!(rows, whole "struct dma_buf_import_sync_file" = dma_buf::ImportSyncFile { flags, fd });
    constants! {
        rows,
        "DMA_BUF_SYNC_READ" = dma_buf::SYNC_READ,
        "DMA_BUF_SYNC_WRITE" = dma_buf::SYNC_WRITE,
        "DMA_BUF_SYNC_START" = dma_buf::SYNC_START,
        "DMA_BUF_SYNC_END" = dma_buf::SYNC_END,
    }
    numbers! {
        rows,
        "DMA_BUF_IOCTL_SYNC" = dma_buf::SYNC,
        "DMA_BUF_SET_NAME_A" = dma_buf::SET_NAME_A,
        "DMA_BUF_SET_NAME_B" = dma_buf::SET_NAME_B,
        "DMA_BUF_IOCTL_EXPORT_SYNC_FILE" = dma_buf::EXPORT_SYNC_FILE,
        "DMA_BUF_IOCTL_IMPORT_SYNC_FILE" = dma_buf::IMPORT_SYNC_FILE,
    }
}

pub(crate) fn sync_file(rows: &mut Rows) {
    rows.header("linux/sync_file.h");
    layout!(rows, whole "struct sync_merge_data" = sync_file::MergeData { name, fd2, fence, flags, pad });
    layout!(rows, whole "struct sync_fence_info" = sync_file::FenceInfo {
        obj_name, driver_name, status, flags, timestamp_ns,
    });
    layout!(rows, whole "struct sync_file_info" = sync_file::FileInfo {
        name, status, flags, num_fences, pad, sync_fence_info,
    });
    layout!(rows, whole "struct sync_set_deadline" = sync_file::SetDeadline { deadline_ns, pad });
    numbers! {
        rows,
        "SYNC_IOC_MERGE" = sync_file::MERGE,
        "SYNC_IOC_FILE_INFO" = sync_file::FILE_INFO,
        "SYNC_IOC_SET_DEADLINE" = sync_file::SET_DEADLINE,
    }
}

pub(crate) fn udmabuf(rows: &mut Rows) {
    rows.header("linux/udmabuf.h");
    layout!(rows, whole "struct udmabuf_create" = udmabuf::Create { memfd, flags, offset, size });
    layout!(rows, whole "struct udmabuf_create_item" = udmabuf::CreateItem { memfd, pad as "__pad", offset, size });
    layout!(rows, whole "struct udmabuf_create_list" = udmabuf::CreateList { flags, count });
    constants! {
        rows,
        "UDMABUF_FLAGS_CLOEXEC" = udmabuf::CLOEXEC,
    }
    numbers! {
        rows,
        "UDMABUF_CREATE" = udmabuf::CREATE,
        "UDMABUF_CREATE_LIST" = udmabuf::CREATE_LIST,
    }
}

pub(crate) fn dma_heap(rows: &mut Rows) {
    rows.header("linux/dma-heap.h");
    layout!(rows, whole "struct dma_heap_allocation_data" = dma_heap::AllocationData { len, fd, fd_flags, heap_flags });
    numbers! {
        rows,
        "DMA_HEAP_IOCTL_ALLOC" = dma_heap::ALLOC,
    }
}

pub(crate) fn drm(rows: &mut Rows) {
    rows.header("drm.h");
    layout!(rows, whole "struct drm_version" = drm::Version {
        version_major, version_minor, version_patchlevel, name_len, name, date_len, date, desc_len, desc,
    });
    layout!(rows, whole "struct drm_get_cap" = drm::GetCap { capability, value });
    layout!(rows, whole "struct drm_set_client_cap" = drm::SetClientCap { capability, value });
    layout!(rows, whole "struct drm_gem_close" = drm::GemClose { handle, pad });
    layout!(rows, whole "struct drm_prime_handle" = drm::PrimeHandle { handle, flags, fd });
    constants! {
        rows,
        "DRM_CLOEXEC" = drm::CLOEXEC,
        "DRM_RDWR" = drm::RDWR,
    }
    numbers! {
        rows,
        "DRM_IOCTL_VERSION" = drm::VERSION,
        "DRM_IOCTL_GEM_CLOSE" = drm::GEM_CLOSE,
        "DRM_IOCTL_GET_CAP" = drm::GET_CAP,
        "DRM_IOCTL_SET_CLIENT_CAP" = drm::SET_CLIENT_CAP,
        "DRM_IOCTL_PRIME_HANDLE_TO_FD" = drm::PRIME_HANDLE_TO_FD,
        "DRM_IOCTL_PRIME_FD_TO_HANDLE" = drm::PRIME_FD_TO_HANDLE,
    }
}

pub(crate) fn syncobj(rows: &mut Rows) {
    rows.header("drm.h");
    layout!(rows, whole "struct drm_syncobj_create" = syncobj::Create { handle, flags });
    layout!(rows, whole "struct drm_syncobj_destroy" = syncobj::Destroy { handle, pad });
    layout!(rows, whole "struct drm_syncobj_handle" = syncobj::Handle { handle, flags, fd, pad, point });
    layout!(rows, whole "struct drm_syncobj_wait" = syncobj::Wait {
        handles, timeout_nsec, count_handles, flags, first_signaled, pad, deadline_nsec,
    });
    layout!(rows, whole "struct drm_syncobj_timeline_wait" = syncobj::TimelineWait {
        handles, points, timeout_nsec, count_handles, flags, first_signaled, pad, deadline_nsec,
    });
    layout!(rows, whole "struct drm_syncobj_array" = syncobj::Array { handles, count_handles, pad });
    layout!(rows, whole "struct drm_syncobj_timeline_array" = syncobj::TimelineArray {
        handles, points, count_handles, flags,
    });
    layout!(rows, whole "struct drm_syncobj_transfer" = syncobj::Transfer {
        src_handle, dst_handle, src_point, dst_point, flags, pad,
    });
    layout!(rows, whole "struct drm_syncobj_eventfd" = syncobj::Eventfd { handle, flags, point, fd, pad });
    constants! {
        rows,
        "DRM_SYNCOBJ_CREATE_SIGNALED" = syncobj::CREATE_SIGNALED,
        "DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE" = syncobj::SYNC_FILE,
        "DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_TIMELINE" = syncobj::TIMELINE,
        "DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL" = syncobj::WAIT_ALL,
        "DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT" = syncobj::WAIT_FOR_SUBMIT,
        "DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE" = syncobj::WAIT_AVAILABLE,
        "DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE" = syncobj::WAIT_DEADLINE,
        "DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED" = syncobj::QUERY_LAST_SUBMITTED,
    }
    numbers! {
        rows,
        "DRM_IOCTL_SYNCOBJ_CREATE" = syncobj::CREATE,
        "DRM_IOCTL_SYNCOBJ_DESTROY" = syncobj::DESTROY,
        "DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD" = syncobj::HANDLE_TO_FD,
        "DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE" = syncobj::FD_TO_HANDLE,
        "DRM_IOCTL_SYNCOBJ_WAIT" = syncobj::WAIT,
        "DRM_IOCTL_SYNCOBJ_RESET" = syncobj::RESET,
        "DRM_IOCTL_SYNCOBJ_SIGNAL" = syncobj::SIGNAL,
        "DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT" = syncobj::TIMELINE_WAIT,
        "DRM_IOCTL_SYNCOBJ_QUERY" = syncobj::QUERY,
        "DRM_IOCTL_SYNCOBJ_TRANSFER" = syncobj::TRANSFER,
        "DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL" = syncobj::TIMELINE_SIGNAL,
        "DRM_IOCTL_SYNCOBJ_EVENTFD" = syncobj::EVENTFD,
    }
}

pub(crate) fn vgem(rows: &mut Rows) {
    rows.header("vgem_drm.h");
    layout!(rows, whole "struct drm_vgem_fence_attach" = vgem::FenceAttach { handle, flags, out_fence, pad });
    layout!(rows, whole "struct drm_vgem_fence_signal" = vgem::FenceSignal { fence, flags });
    constants! {
        rows,
        "VGEM_FENCE_WRITE" = vgem::FENCE_WRITE,
    }
    numbers! {
        rows,
        "DRM_IOCTL_VGEM_FENCE_ATTACH" = vgem::FENCE_ATTACH,
        "DRM_IOCTL_VGEM_FENCE_SIGNAL" = vgem::FENCE_SIGNAL,
    }
}
