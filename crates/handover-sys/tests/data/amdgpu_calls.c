/*
 * The calls whose bytes are compared, by way of libdrm_amdgpu. tests/amdgpu_stream.rs makes the same ones through handover-sys, in
 * the same order, and amdgpu_stream.tsv is what a stand-in device recorded of this program.
 *
 *   cc -I/usr/include/libdrm amdgpu_calls.c -ldrm_amdgpu
 *   program NODE RECORD
 */
#include <amdgpu.h>
#include <amdgpu_drm.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(call) do { int r = (call); if (r) { fprintf(stderr, "%s: %d\n", #call, r); exit(1); } } while (0)

static amdgpu_bo_handle make(amdgpu_device_handle device, uint64_t size, uint32_t domains, uint64_t flags)
{
	struct amdgpu_bo_alloc_request request = { .alloc_size = size, .phys_alignment = 4096, .preferred_heap = domains, .flags = flags };
	amdgpu_bo_handle buffer;

	CHECK(amdgpu_bo_alloc(device, &request, &buffer));
	return buffer;
}

static void set(amdgpu_bo_handle buffer, uint64_t flags, uint64_t tiling, uint32_t size)
{
	struct amdgpu_bo_metadata metadata = { .flags = flags, .tiling_info = tiling, .size_metadata = size };

	for (uint32_t i = 0; i < size; i++)
		((unsigned char *)metadata.umd_metadata)[i] = i + 1;
	CHECK(amdgpu_bo_set_metadata(buffer, &metadata));
}

static void query(amdgpu_bo_handle buffer)
{
	struct amdgpu_bo_info info = { 0 };

	CHECK(amdgpu_bo_query_info(buffer, &info));
}

int main(int argc, char **argv)
{
	amdgpu_device_handle device;
	uint32_t major, minor, dma_buf, registers[1];
	unsigned char beginning[184];
	struct drm_amdgpu_info_hw_ip engine;
	struct amdgpu_bo_import_result result;
	static const uint32_t sizes[] = { 0, 3, 40, 256, 0 };

	if (argc != 3)
		return 2;
	int fd = open(argv[1], O_RDWR | O_CLOEXEC);
	CHECK(amdgpu_device_initialize(fd, &major, &minor, &device));
	/* From here on: what the library asks a device when it opens it is its own affair. */
	setenv("HANDOVER_STANDIN_RECORD", argv[2], 1);

	CHECK(amdgpu_query_info(device, AMDGPU_INFO_DEV_INFO, sizeof(beginning), beginning));
	CHECK(amdgpu_query_hw_ip_info(device, AMDGPU_HW_IP_GFX, 0, &engine));
	CHECK(amdgpu_read_mm_registers(device, 0x263e, 1, 0xffffffff, 0, registers));

	amdgpu_bo_handle buffer = make(device, 65536, AMDGPU_GEM_DOMAIN_GTT, AMDGPU_GEM_CREATE_CPU_ACCESS_REQUIRED | AMDGPU_GEM_CREATE_CPU_GTT_USWC);
	amdgpu_bo_handle other = make(device, 4097, AMDGPU_GEM_DOMAIN_VRAM, AMDGPU_GEM_CREATE_NO_CPU_ACCESS);
	query(buffer);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		set(buffer, 0, 0x1122334455667788ull + i, sizes[i]);
		query(buffer);
	}
	set(other, 5, 1, 8);
	query(other);
	query(buffer);
	CHECK(amdgpu_bo_export(buffer, amdgpu_bo_handle_type_dma_buf_fd, &dma_buf));
	CHECK(amdgpu_bo_import(device, amdgpu_bo_handle_type_dma_buf_fd, dma_buf, &result));
	query(result.buf_handle);
	CHECK(amdgpu_bo_free(result.buf_handle));
	CHECK(amdgpu_bo_free(buffer));
	CHECK(amdgpu_bo_free(other));

	unsetenv("HANDOVER_STANDIN_RECORD");
	close(dma_buf);
	amdgpu_device_deinitialize(device);
	return 0;
}
