/*
 * memory.c - making, mapping and laying out a ring's shared memory (see memory.h)
 */
#include "ring/memory.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/pages.h"
#include "host/kernel.h"
#include "host/usercopy.h"

#define PAGE_MASK 4095ull

/* Buffer rings: one of the greatest size fits each group's place. */
#define BUFFERS_OFFSET (1ull << 32)
#define BUFFERS_STRIDE (32768ull * sizeof(struct io_uring_buf))
#define BUFFERS_END    (BUFFERS_OFFSET + 65536 * BUFFERS_STRIDE)

_Static_assert(offsetof(struct ring_header, cq_head) == 8, "as the kernel's");
_Static_assert(offsetof(struct ring_header, sq_ring_mask) == 16, "as the kernel's");
_Static_assert(offsetof(struct ring_header, sq_dropped) == 32, "as the kernel's");
_Static_assert(offsetof(struct ring_header, cq_overflow) == 44, "as the kernel's");

/* Where the CQEs end. Twice as far with CQE32: the kernel doubles all that stands before, the
 * header too, and programs may have computed that instead of asking. */
static u32 cqes_end_of(const struct ring_memory *memory)
{
	u32 end = (u32)sizeof(struct ring_header) +
		  memory->cq_entries * (u32)sizeof(struct io_uring_cqe);

	return memory->cqe_shift == 5 ? 2 * end : end;
}

static u32 align_up(u32 value, u32 alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

/* What a ring can become: DEFER_TASKRUN rings can be resized, and those with memory of the
 * program's bring other memory then. */
static void set_room(struct ring_memory *memory, u32 flags)
{
	struct ring_memory largest = *memory;

	memory->header_room = memory->header_size;
	memory->sqes_room = memory->sqes_size;
	if (!(flags & IORING_SETUP_DEFER_TASKRUN) || flags & IORING_SETUP_NO_MMAP)
		return;
	largest.cq_entries = RING_MAX_CQ_ENTRIES;
	memory->header_room = align_up(cqes_end_of(&largest), CACHE_LINE);
	if (!(flags & IORING_SETUP_NO_SQARRAY))
		memory->header_room += RING_MAX_ENTRIES * sizeof(u32);
	memory->sqes_room = (size_t)RING_MAX_ENTRIES << memory->sqe_shift;
}

void ring_memory_layout(struct ring_memory *memory, struct io_uring_params *params)
{
	u32 cqes_end;

	memory->sq_entries = params->sq_entries;
	memory->cq_entries = params->cq_entries;
	memory->sqe_shift = params->flags & IORING_SETUP_SQE128 ? 7 : 6;
	memory->cqe_shift = params->flags & IORING_SETUP_CQE32 ? 5 : 4;
	memory->has_mixed_sqes = params->flags & IORING_SETUP_SQE_MIXED;
	memory->has_mixed_cqes = params->flags & IORING_SETUP_CQE_MIXED;
	memory->is_rewound = params->flags & IORING_SETUP_SQ_REWIND;
	memory->sqes_size = (size_t)memory->sq_entries << memory->sqe_shift;
	cqes_end = cqes_end_of(memory);
	memory->header_size = cqes_end;

	params->sq_off.head = offsetof(struct ring_header, sq_head);
	params->sq_off.tail = offsetof(struct ring_header, sq_tail);
	params->sq_off.ring_mask = offsetof(struct ring_header, sq_ring_mask);
	params->sq_off.ring_entries = offsetof(struct ring_header, sq_ring_entries);
	params->sq_off.flags = offsetof(struct ring_header, sq_flags);
	params->sq_off.dropped = offsetof(struct ring_header, sq_dropped);
	params->sq_off.resv1 = 0;
	params->cq_off.head = offsetof(struct ring_header, cq_head);
	params->cq_off.tail = offsetof(struct ring_header, cq_tail);
	params->cq_off.ring_mask = offsetof(struct ring_header, cq_ring_mask);
	params->cq_off.ring_entries = offsetof(struct ring_header, cq_ring_entries);
	params->cq_off.overflow = offsetof(struct ring_header, cq_overflow);
	params->cq_off.flags = offsetof(struct ring_header, cq_flags);
	params->cq_off.cqes = (u32)sizeof(struct ring_header);
	params->cq_off.resv1 = 0;
	if (!(params->flags & IORING_SETUP_NO_MMAP)) {
		params->sq_off.user_addr = 0;
		params->cq_off.user_addr = 0;
	}
	if (params->flags & IORING_SETUP_NO_SQARRAY) {
		params->sq_off.array = 0;
	} else {
		params->sq_off.array = align_up(cqes_end, CACHE_LINE);
		memory->header_size = params->sq_off.array + memory->sq_entries * sizeof(u32);
	}
	set_room(memory, params->flags);
}

static void memory_point(struct ring_memory *memory, char *base, char *sqes, bool has_array)
{
	memory->header = (struct ring_header *)base;
	memory->cqes = base + sizeof(struct ring_header);
	memory->sq_array =
		has_array ? (u32 *)(base + align_up(cqes_end_of(memory), CACHE_LINE)) : NULL;
	memory->sqes = sqes;
}

static void *memory_map(int fd, size_t size, u64 offset)
{
	long addr = host_call(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	return addr < 0 && addr > -4096 ? NULL : (void *)addr;
}

/* An unlinked file serves where memfd_create() is refused. */
static int memory_file(void)
{
	long fd = host_call(SYS_memfd_create, "[io_uring]", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd != -ENOSYS && fd != -EPERM && fd != -EACCES)
		return (int)fd;
	fd = host_call(SYS_openat, AT_FDCWD, "/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = host_call(SYS_openat, AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return (int)fd;
}

/*
 * Sizes the sparse file. A process that limits the size of its files
 * (RLIMIT_FSIZE) would be sent SIGXFSZ for it, though it writes no file: the soft
 * limit is raised for the moment, and where the process may do so (CAP_SYS_RESOURCE) the hard one.
 */
static int memory_set_size(int fd, u64 size)
{
	struct rlimit limit, raised;
	int err;

	if (host_call(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) < 0 || limit.rlim_cur >= size)
		return (int)host_call(SYS_ftruncate, fd, size);
	raised.rlim_cur = size;
	raised.rlim_max = max_of(limit.rlim_max, size);
	if (host_call(SYS_prlimit64, 0, RLIMIT_FSIZE, &raised, NULL) < 0)
		return -ENOMEM;
	err = (int)host_call(SYS_ftruncate, fd, size);
	host_call(SYS_prlimit64, 0, RLIMIT_FSIZE, &limit, NULL);
	return err;
}

int ring_memory_create(struct ring_memory *memory)
{
	bool has_array = memory->header_size > cqes_end_of(memory);
	void *base = NULL, *sqes = NULL;
	int err, fd = memory_file();

	if (fd < 0)
		return fd;
	/* It is sparse: the room for buffer rings costs nothing, but is not had where files are
	 * limited. */
	err = memory_set_size(fd, BUFFERS_END);
	if (err)
		err = memory_set_size(fd, IORING_OFF_SQES + memory->sqes_room);
	if (err)
		goto fail;
	/* Not sealable when it is no memfd; then only the program can hurt itself. */
	host_call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL);
	err = -ENOMEM;
	base = memory_map(fd, memory->header_room, 0);
	sqes = memory_map(fd, memory->sqes_room, IORING_OFF_SQES);
	if (base == NULL || sqes == NULL)
		goto fail;
	memory_point(memory, base, sqes, has_array);
	return fd;
fail:
	if (base)
		host_call(SYS_munmap, base, memory->header_room);
	if (sqes)
		host_call(SYS_munmap, sqes, memory->sqes_room);
	host_call(SYS_close, fd);
	return err;
}

int ring_memory_adopt(struct ring_memory *memory, const struct io_uring_params *params)
{
	u64 base = params->cq_off.user_addr, sqes = params->sq_off.user_addr;

	if (base & PAGE_MASK || sqes & PAGE_MASK)
		return -EINVAL;
	if (base == 0 || sqes == 0)
		return -EFAULT;
	if (user_range_check((void *)base, memory->header_size, 1) ||
	    user_range_check((void *)sqes, memory->sqes_size, 1))
		return -EFAULT;
	memory->is_users = true;
	memory_point(memory, (char *)base, (char *)sqes,
		     !(params->flags & IORING_SETUP_NO_SQARRAY));
	return 0;
}

int ring_memory_name(void)
{
	int fd = memory_file();

	/* Without the room buffer rings cannot be mapped, and nothing else is missing. */
	if (fd >= 0)
		memory_set_size(fd, BUFFERS_END);
	return fd;
}

void *ring_memory_map_buffers(int fd, u16 group, size_t size)
{
	u64 offset = BUFFERS_OFFSET + group * BUFFERS_STRIDE;
	struct stat status;

	/* Memory beyond the end of a file can be mapped, and not be used. */
	if (host_call(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH) < 0 ||
	    (u64)status.st_size < offset + size)
		return NULL;
	return memory_map(fd, size, offset);
}

u64 ring_memory_offset(u64 offset)
{
	if (offset == IORING_OFF_CQ_RING)
		return IORING_OFF_SQ_RING;
	if (ring_memory_is_buffers(offset))
		return BUFFERS_OFFSET + ring_memory_group(offset) * BUFFERS_STRIDE;
	return offset;
}

void ring_memory_start(struct ring_memory *memory)
{
	struct ring_header *header = memory->header;

	*header = (struct ring_header){
		.sq_ring_mask = memory->sq_entries - 1,
		.cq_ring_mask = memory->cq_entries - 1,
		.sq_ring_entries = memory->sq_entries,
		.cq_ring_entries = memory->cq_entries,
	};
}

/* What the program has not consumed, while the memory is laid out anew. */
struct ring_contents {
	struct ring_header header;
	char *entries; /* the SQEs, then the CQEs */
	u32 sq_head, sq_count;
	u32 cq_head, cq_count;
	size_t size;
};

/* 0, -EOVERFLOW or -ENOMEM. */
static int contents_take(struct ring_contents *contents, const struct ring_memory *memory,
			 const struct ring_memory *resized)
{
	char *next;

	if (contents->sq_count > resized->sq_entries || contents->cq_count > resized->cq_entries)
		return -EOVERFLOW;
	contents->size = ((size_t)contents->sq_count << memory->sqe_shift) +
			 ((size_t)contents->cq_count << memory->cqe_shift);
	contents->entries = NULL;
	if (contents->size == 0)
		return 0;
	contents->entries = pages_alloc(contents->size);
	if (contents->entries == NULL)
		return -ENOMEM;
	next = contents->entries;
	for (u32 i = 0; i < contents->sq_count; i++, next += 1u << memory->sqe_shift) {
		size_t slot = (contents->sq_head + i) & (memory->sq_entries - 1);

		memcpy(next, memory->sqes + (slot << memory->sqe_shift), 1u << memory->sqe_shift);
	}
	for (u32 i = 0; i < contents->cq_count; i++, next += 1u << memory->cqe_shift) {
		size_t slot = (contents->cq_head + i) & (memory->cq_entries - 1);

		memcpy(next, memory->cqes + (slot << memory->cqe_shift), 1u << memory->cqe_shift);
	}
	return 0;
}

static void contents_put(struct ring_contents *contents, const struct ring_memory *memory)
{
	const char *next = contents->entries;
	char *array = (char *)memory->sq_array;

	contents->header.sq_ring_mask = memory->sq_entries - 1;
	contents->header.cq_ring_mask = memory->cq_entries - 1;
	contents->header.sq_ring_entries = memory->sq_entries;
	contents->header.cq_ring_entries = memory->cq_entries;
	*memory->header = contents->header;
	memset(memory->cqes, 0, (size_t)memory->cq_entries << memory->cqe_shift);
	if (array != NULL)
		memset(array, 0, memory->sq_entries * sizeof(u32));
	if (contents->entries == NULL)
		return;
	for (u32 i = 0; i < contents->sq_count; i++, next += 1u << memory->sqe_shift) {
		size_t slot = (contents->sq_head + i) & (memory->sq_entries - 1);

		memcpy(memory->sqes + (slot << memory->sqe_shift), next, 1u << memory->sqe_shift);
	}
	for (u32 i = 0; i < contents->cq_count; i++, next += 1u << memory->cqe_shift) {
		size_t slot = (contents->cq_head + i) & (memory->cq_entries - 1);

		memcpy(memory->cqes + (slot << memory->cqe_shift), next, 1u << memory->cqe_shift);
	}
	pages_free(contents->entries, contents->size);
}

int ring_memory_resize(struct ring_memory *memory, struct io_uring_params *params, u32 sq_head,
		       u32 cq_tail)
{
	struct ring_memory resized = {0};
	struct ring_contents contents = {.header = *memory->header, .sq_head = sq_head};
	int err = 0;

	ring_memory_layout(&resized, params);
	if (memory->is_users)
		err = ring_memory_adopt(&resized, params);
	else
		memory_point(&resized, (char *)memory->header, memory->sqes,
			     memory->sq_array != NULL);
	if (err)
		return err;
	resized.header_room = memory->header_room;
	resized.sqes_room = memory->sqes_room;
	contents.sq_count = contents.header.sq_tail - sq_head;
	contents.cq_head = contents.header.cq_head;
	contents.cq_count = cq_tail - contents.cq_head;
	err = contents_take(&contents, memory, &resized);
	if (err)
		return err;
	contents_put(&contents, &resized);
	*memory = resized;
	return 0;
}

void *ring_memory_map_more(int fd, u64 offset, size_t size)
{
	struct stat status;

	if (host_call(SYS_fstat, fd, &status) < 0)
		return NULL;
	if ((u64)status.st_size < offset + size && memory_set_size(fd, offset + size) < 0)
		return NULL;
	return memory_map(fd, size, offset);
}

void ring_memory_unmap_more(void *addr, size_t size)
{
	host_call(SYS_munmap, addr, size);
}

void ring_memory_unmap(struct ring_memory *memory)
{
	if (memory->header == NULL || memory->is_users)
		return;
	host_call(SYS_munmap, memory->header, memory->header_room);
	host_call(SYS_munmap, memory->sqes, memory->sqes_room);
	memory->header = NULL;
}
