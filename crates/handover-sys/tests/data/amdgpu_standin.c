/*
 * A stand-in for amdgpu devices, for machines that have none: preloaded, it answers the ioctls of some ordinary files as the driver
 * would answer them, and can record them.
 *
 *   cc -shared -fPIC -o standin.so amdgpu_standin.c
 *   HANDOVER_STANDIN_NODES=dir/navi21:dir/polaris10 LD_PRELOAD=standin.so program dir/navi21
 *
 * HANDOVER_STANDIN_NODES   the files that pose as nodes, with colons between. The name of a file says what it is: "polaris10" is a
 *                          GFX8 device, anything else a Navi21; "refuses" and "exhausted" answer every import of a buffer that is
 *                          not their own with EINVAL and ENOMEM; of "confined" kcmp says EPERM, as a container's filter does.
 * HANDOVER_STANDIN_KFD     the file that poses as /dev/kfd.
 * HANDOVER_STANDIN_RECORD  a file to which one line a call is added: number, argument before and after, what a pointer in it leads
 *                          to afterwards, and the result (0 or -errno); bytes in hexadecimal.
 *
 * The files are opened, duplicated and sent as any file is: they are known by their inode. What the device has lies in the file
 * itself, shared by all processes. Which open file a descriptor belongs to shows in its offset, which duplicates share.
 *
 * What it answers is written after amdgpu_gem.c, amdgpu_object.c, amdgpu_dma_buf.c, amdgpu_kms.c, kfd_chardev.c and drm_prime.c of
 * Linux 6.12. An exported buffer is a real dma-buf where /dev/udmabuf is to be had, and a memfd otherwise. Not as in the driver: the
 * handles of an open file stay when it is closed, and a buffer's place is never used again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The numbers are written out: this must compile where no header of libdrm is installed. */
enum {
	VERSION = 0xc0406400, GET_CLIENT = 0xc0286405, GEM_CLOSE = 0x40086409, HANDLE_TO_FD = 0xc00c642d, FD_TO_HANDLE = 0xc00c642e,
	GEM_CREATE = 0xc0206440, INFO = 0x40206445, GEM_METADATA = 0xc1206446, GEM_OP = 0xc0106450, GET_DMABUF_INFO = 0xc0204b1c,
};

struct create { uint64_t size, alignment, domains, flags; };
struct metadata { uint32_t handle, op; uint64_t flags, tiling; uint32_t size, data[64]; };
struct op { uint32_t handle, op; uint64_t value; };
struct prime { uint32_t handle, flags; int32_t fd; };
struct info { uint64_t pointer; uint32_t size, query, argument[4]; };
struct version { int32_t major, minor, patch; uint64_t name_len; char *name; uint64_t date_len; char *date; uint64_t desc_len; char *desc; };
struct dmabuf_info { uint64_t size, metadata; uint32_t metadata_size, gpu, flags, fd; };

#define BUFFERS 256
#define HANDLES 256
#define FILES 64
#define NODES 8
#define DOMAIN_GTT 0x2
#define DOMAIN_VRAM 0x4
/* NO_CPU_ACCESS and its kin that user space may ask for, and those that an import takes over. */
#define CREATE_FLAGS (1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 12 | 1 << 16)
#define VM_ALWAYS_VALID (1 << 6)
#define ENCRYPTED (1 << 10)
#define VRAM_CLEARED (1 << 3)
#define IMPORTED_FLAGS (1 << 2 | 1 << 13 | 1 << 14 | 1 << 15)

struct buffer {
	struct create made;
	struct metadata metadata;
	uint32_t is_foreign;
	/* Of its dma-buf, once there is one. */
	uint64_t device, inode;
};

/* The content of a node. */
struct node {
	uint32_t lock, buffers, files;
	struct buffer buffer[BUFFERS];
	/* By open file and number: which buffer, plus one. */
	uint32_t handle[FILES][HANDLES];
};

static struct { struct stat stat; char name[32]; struct node *node; } nodes[NODES];
static int node_count = -1;
static struct stat kfd;
/* What this process holds: a descriptor of each buffer's dma-buf, which makes every export the same dma-buf. */
static struct { int fd, handles; } kept[NODES][BUFFERS];

static int is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void set_up(void)
{
	const char *list = getenv("HANDOVER_STANDIN_NODES"), *path = getenv("HANDOVER_STANDIN_KFD");
	char *copy = strdup(list ? list : ""), *rest = NULL;

	node_count = 0;
	if (path)
		stat(path, &kfd);
	for (char *at = strtok_r(copy, ":", &rest); at && node_count < NODES; at = strtok_r(NULL, ":", &rest)) {
		int fd = open(at, O_RDWR | O_CLOEXEC);
		if (fd < 0 || ftruncate(fd, sizeof(struct node)) || fstat(fd, &nodes[node_count].stat))
			abort();
		void *map = mmap(NULL, sizeof(struct node), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			abort();
		close(fd);
		snprintf(nodes[node_count].name, sizeof(nodes[0].name), "%s", strrchr(at, '/') ? strrchr(at, '/') + 1 : at);
		nodes[node_count++].node = map;
	}
	free(copy);
}

/* The open file behind a descriptor: its offset, given at first sight. */
static uint32_t file_of(struct node *node, int fd)
{
	off_t file = lseek(fd, 0, SEEK_CUR);
	if (file == 0)
		file = lseek(fd, ++node->files, SEEK_SET);
	if (file <= 0 || file >= FILES)
		abort();
	return file;
}

static struct buffer *find(struct node *node, uint32_t file, uint32_t handle)
{
	uint32_t place = handle < HANDLES ? node->handle[file][handle] : 0;
	return place ? &node->buffer[place - 1] : NULL;
}

/* The number of a buffer in a file: the one it has, or the next free one. */
static uint32_t handle_of(int n, uint32_t file, struct buffer *buffer)
{
	struct node *node = nodes[n].node;
	uint32_t place = buffer - node->buffer + 1, free = 0;

	for (uint32_t i = 1; i < HANDLES; i++) {
		if (node->handle[file][i] == place)
			return i;
		if (!free && !node->handle[file][i])
			free = i;
	}
	if (free) {
		node->handle[file][free] = place;
		kept[n][place - 1].handles++;
	}
	return free;
}

static struct buffer *new_buffer(struct node *node)
{
	return node->buffers < BUFFERS ? &node->buffer[node->buffers++] : NULL;
}

static int create(int n, uint32_t file, struct create *create)
{
	struct node *node = nodes[n].node;

	if (create->flags & ~(uint64_t)CREATE_FLAGS || create->flags & ENCRYPTED || create->domains & ~(uint64_t)0x3f)
		return -EINVAL;
	struct buffer *buffer = create->size >> 40 ? NULL : new_buffer(node);
	if (!buffer)
		return -ENOMEM;
	buffer->made = *create;
	buffer->made.size = (create->size + 4095) & ~4095ull;
	buffer->made.alignment = create->alignment < 4096 ? 4096 : create->alignment;
	buffer->made.flags |= VRAM_CLEARED;
	memset(create, 0, sizeof(*create));
	*(uint32_t *)create = handle_of(n, file, buffer);
	return 0;
}

static int metadata(int n, uint32_t file, struct metadata *argument)
{
	struct buffer *buffer = find(nodes[n].node, file, argument->handle);
	int is_old = strstr(nodes[n].name, "polaris10") != NULL;

	if (!buffer)
		return -ENOENT;
	if (argument->op == 1) {
		if (argument->size > sizeof(argument->data) || (is_old && (argument->tiling >> 9 & 7) == 7))
			return -EINVAL;
		buffer->metadata.tiling = argument->tiling;
		buffer->metadata.size = argument->size;
		if (argument->size) {
			buffer->metadata.flags = argument->flags;
			memcpy(buffer->metadata.data, argument->data, argument->size);
		}
	} else if (argument->op == 2) {
		argument->tiling = buffer->metadata.tiling;
		argument->flags = buffer->metadata.flags;
		argument->size = buffer->metadata.size;
		/* What lies behind stays as it came. */
		memcpy(argument->data, buffer->metadata.data, buffer->metadata.size);
	}
	return 0;
}

static int operation(int n, uint32_t file, struct op *argument)
{
	struct buffer *buffer = find(nodes[n].node, file, argument->handle);

	if (!buffer)
		return -ENOENT;
	if (argument->op != 0)
		return -EINVAL;
	memcpy((void *)(uintptr_t)argument->value, &buffer->made, sizeof(buffer->made));
	return 0;
}

/* A dma-buf of as many pages, or the memfd that would have become one. */
static int pages(uint64_t size)
{
	int memory = memfd_create("amdgpu-standin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	if (memory < 0 || ftruncate(memory, size) || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK))
		abort();
	if (device < 0)
		return memory;
	struct udmabuf_create argument = { .memfd = memory, .flags = UDMABUF_FLAGS_CLOEXEC, .size = size };
	int fd = syscall(SYS_ioctl, device, UDMABUF_CREATE, &argument);
	close(device);
	close(memory);
	return fd < 0 ? -errno : fd;
}

static int export(int n, uint32_t file, struct prime *argument)
{
	struct buffer *buffer = find(nodes[n].node, file, argument->handle);
	struct stat stat;

	if (!buffer)
		return -ENOENT;
	if (argument->flags & ~(uint32_t)(O_CLOEXEC | O_RDWR))
		return -EINVAL;
	if (buffer->made.flags & VM_ALWAYS_VALID)
		return -EPERM;
	int *fd = &kept[n][buffer - nodes[n].node->buffer].fd;
	if (*fd <= 0) {
		*fd = pages(buffer->made.size);
		if (*fd < 0 || fstat(*fd, &stat))
			return *fd;
		buffer->device = stat.st_dev;
		buffer->inode = stat.st_ino;
	}
	argument->fd = fcntl(*fd, argument->flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 3);
	return argument->fd < 0 ? -errno : 0;
}

/* The buffer behind a dma-buf among those that a device made itself. */
static struct buffer *exporter(struct node *node, const struct stat *stat)
{
	for (uint32_t i = 0; i < node->buffers; i++) {
		struct buffer *buffer = &node->buffer[i];
		if (!buffer->is_foreign && buffer->inode == stat->st_ino && buffer->device == stat->st_dev)
			return buffer;
	}
	return NULL;
}

static int is_dma_buf(int fd)
{
	char link[64], text[64] = "";
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, text, sizeof(text) - 1) > 0 && (!strncmp(text, "/dmabuf:", 8) || !strncmp(text, "/memfd:amdgpu-standin", 21));
}

/* A buffer of another device or driver: a new one here, without metadata. Known again in the same open file only. */
static struct buffer *foreign(int n, uint32_t file, const struct stat *stat)
{
	struct node *node = nodes[n].node;

	for (uint32_t i = 1; i < HANDLES; i++) {
		struct buffer *buffer = find(node, file, i);
		if (buffer && buffer->inode == stat->st_ino && buffer->device == stat->st_dev)
			return buffer;
	}
	struct buffer *buffer = new_buffer(node);
	if (!buffer)
		return NULL;
	buffer->is_foreign = 1;
	buffer->device = stat->st_dev;
	buffer->inode = stat->st_ino;
	buffer->made = (struct create){ .size = stat->st_size, .alignment = 4096, .domains = DOMAIN_GTT };
	for (int i = 0; i < node_count; i++) {
		struct buffer *theirs = exporter(nodes[i].node, stat);
		if (theirs)
			buffer->made.flags = theirs->made.flags & IMPORTED_FLAGS;
	}
	return buffer;
}

static int import(int n, uint32_t file, struct prime *argument)
{
	struct stat stat;

	if (fstat(argument->fd, &stat))
		return -EBADF;
	if (!is_dma_buf(argument->fd))
		return -EINVAL;
	struct buffer *buffer = exporter(nodes[n].node, &stat);
	if (!buffer && strstr(nodes[n].name, "refuses"))
		return -EINVAL;
	if (!buffer && strstr(nodes[n].name, "exhausted"))
		return -ENOMEM;
	if (!buffer)
		buffer = foreign(n, file, &stat);
	if (!buffer || !(argument->handle = handle_of(n, file, buffer)))
		return -ENOMEM;
	int *fd = &kept[n][buffer - nodes[n].node->buffer].fd;
	if (*fd <= 0)
		*fd = fcntl(argument->fd, F_DUPFD_CLOEXEC, 3);
	return 0;
}

static int gem_close(int n, uint32_t file, uint32_t handle)
{
	struct node *node = nodes[n].node;
	struct buffer *buffer = find(node, file, handle);

	if (!buffer)
		return -EINVAL;
	node->handle[file][handle] = 0;
	int place = buffer - node->buffer;
	if (--kept[n][place].handles == 0 && kept[n][place].fd > 0) {
		close(kept[n][place].fd);
		kept[n][place].fd = 0;
	}
	return 0;
}

static int info(int n, struct info *argument)
{
	uint32_t answer[128] = { 0 }, length = 4;
	int is_old = strstr(nodes[n].name, "polaris10") != NULL;

	switch (argument->query) {
	case 0x00: /* ACCEL_WORKING */
		answer[0] = 1;
		break;
	case 0x02: /* HW_IP_INFO */
		if (argument->argument[0] > 1)
			return -EINVAL;
		answer[0] = is_old ? 8 : 10;
		answer[1] = is_old ? 0 : 3;
		length = 32;
		break;
	case 0x15: /* READ_MMR_REG: GB_ADDR_CONFIG, and zeros for the tables of tile modes that libdrm reads of old devices */
		if (argument->argument[1] > 128)
			return -EINVAL;
		if (argument->argument[0] == 0x263e)
			answer[0] = is_old ? 0x22011003 : 0x00000444;
		else if (!is_old)
			return -EFAULT;
		length = 4 * argument->argument[1];
		break;
	case 0x16: /* DEV_INFO: device, revisions, family, engines */
		answer[0] = is_old ? 0x67df : 0x73bf;
		answer[1] = 0;
		answer[2] = is_old ? 0x50 : 0x28;
		answer[3] = 0xc1;
		answer[4] = is_old ? 130 : 143;
		answer[5] = 4;
		length = 440;
		break;
	case 0x17: /* what an open device is asked about itself at its beginning */
	case 0x0e:
		length = argument->size < 64 ? argument->size : 64;
		break;
	default:
		return -EINVAL;
	}
	if (length > argument->size)
		length = argument->size;
	memcpy((void *)(uintptr_t)argument->pointer, answer, length);
	return 0;
}

static void tell(char *to, uint64_t *room, const char *text)
{
	uint64_t length = strlen(text);
	if (to && *room)
		memcpy(to, text, *room < length ? *room : length);
	*room = length;
}

static int version(struct version *version)
{
	version->major = 3;
	version->minor = 59;
	version->patch = 0;
	tell(version->name, &version->name_len, "amdgpu");
	tell(version->date, &version->date_len, "20150101");
	tell(version->desc, &version->desc_len, "AMD GPU, a stand-in");
	return 0;
}

static int dmabuf_info(struct dmabuf_info *argument)
{
	struct stat stat;

	if (fstat(argument->fd, &stat))
		return -EBADF;
	for (int n = 0; n < node_count; n++) {
		struct buffer *buffer = exporter(nodes[n].node, &stat);
		if (!buffer)
			continue;
		uint32_t room = argument->metadata_size;
		if (!(buffer->made.domains & (DOMAIN_GTT | DOMAIN_VRAM)))
			return -EINVAL;
		argument->metadata_size = buffer->metadata.size;
		if (room < buffer->metadata.size)
			return -EINVAL;
		argument->size = buffer->made.size;
		argument->gpu = 100 + n;
		argument->flags = buffer->made.domains & DOMAIN_VRAM ? 1 : 2;
		memcpy((void *)(uintptr_t)argument->metadata, buffer->metadata.data, buffer->metadata.size);
		return 0;
	}
	return -EINVAL;
}

static int answer(int n, int fd, uint32_t number, void *argument)
{
	struct node *node = nodes[n].node;
	int result;

	while (__atomic_exchange_n(&node->lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	uint32_t file = file_of(node, fd);
	switch (number) {
	case VERSION: result = version(argument); break;
	/* Authenticated: the second word of the answer. */
	case GET_CLIENT: result = 0; ((uint32_t *)argument)[1] = 1; break;
	case GEM_CREATE: result = create(n, file, argument); break;
	case GEM_METADATA: result = metadata(n, file, argument); break;
	case GEM_OP: result = operation(n, file, argument); break;
	case GEM_CLOSE: result = gem_close(n, file, *(uint32_t *)argument); break;
	case HANDLE_TO_FD: result = export(n, file, argument); break;
	case FD_TO_HANDLE: result = import(n, file, argument); break;
	case INFO: result = info(n, argument); break;
	default: result = -EINVAL;
	}
	__atomic_store_n(&node->lock, 0, __ATOMIC_RELEASE);
	return result;
}

static void print(FILE *to, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		fprintf(to, "%02x", ((const unsigned char *)bytes)[i]);
	fputc(length ? '\t' : '-', to);
	if (!length)
		fputc('\t', to);
}

static void record(uint32_t number, const void *before, const void *after, int result)
{
	const char *path = getenv("HANDOVER_STANDIN_RECORD");
	FILE *to = path ? fopen(path, "ae") : NULL;
	const struct info *info = after;
	const struct op *op = after;
	const void *memory = NULL;
	size_t length = 0;

	if (!to)
		return;
	if (number == INFO) {
		memory = (void *)(uintptr_t)info->pointer;
		length = info->size;
	} else if (number == GEM_OP && op->op == 0) {
		memory = (void *)(uintptr_t)op->value;
		length = sizeof(struct create);
	}
	fprintf(to, "%08x\t", number);
	print(to, before, number >> 16 & 0x3fff);
	print(to, after, number >> 16 & 0x3fff);
	print(to, memory, result ? 0 : length);
	fprintf(to, "%d\n", result);
	fclose(to);
}

/* Which node a file is, or node_count. */
static int node_of(const struct stat *stat)
{
	int n = 0;

	while (n < node_count && !is_same(stat, &nodes[n].stat))
		n++;
	return n;
}

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	struct stat stat;
	long a[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_kcmp && !fstat(a[3], &stat)) {
		if (node_count < 0)
			set_up();
		int n = node_of(&stat);
		if (n < node_count && !strcmp(nodes[n].name, "confined")) {
			errno = EPERM;
			return -1;
		}
	}
	if (!next)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int ioctl(int fd, unsigned long request, ...)
{
	unsigned char before[512] = { 0 };
	uint32_t number = request, size = number >> 16 & 0x3fff;
	struct stat stat;
	va_list list;
	int result = 1;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (node_count < 0)
		set_up();
	if (fstat(fd, &stat) || size > sizeof(before))
		return syscall(SYS_ioctl, fd, request, argument);
	int n = node_of(&stat);
	if (n < node_count || is_same(&stat, &kfd))
		memcpy(before, argument, size);
	if (n < node_count)
		result = answer(n, fd, number, argument);
	else if (is_same(&stat, &kfd))
		result = number == (uint32_t)GET_DMABUF_INFO ? dmabuf_info(argument) : -EINVAL;
	if (result > 0)
		return syscall(SYS_ioctl, fd, request, argument);
	record(number, before, argument, result);
	if (result < 0) {
		errno = -result;
		return -1;
	}
	return 0;
}
