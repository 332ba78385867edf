/*
 * arena.c - the memory that fuzzed requests and registrations may name
 *
 * A pointer through which somebody writes must not be of the fuzzer's choosing:
 * it would hit the fuzzer. One that stands in an SQE is led here when the SQE is
 * made. One that stands in memory (an iovec's) is led here when a step writes
 * it, and lies in an area that requests cannot write to.
 *
 * Invariants:  A1 what AREA_VECTORS, AREA_MESSAGES and AREA_BUFFERS hold as pointers are
 *                 pointers into the arena, or cannot be mapped
 *              A2 there is no '/' in AREA_DATA, so that a path is a name in the scratch directory
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"

/* Far from what the kernel and the sanitizers map, and far apart: a length takes none across. */
#define ARENA_BASE   0x200000000000ull
#define ARENA_STRIDE (1ull << 41)

static const u32 sizes[AREAS] = {
	[AREA_DATA] = 16 * PAGE,  [AREA_VECTORS] = 2 * PAGE, [AREA_MESSAGES] = PAGE,
	[AREA_FDS] = PAGE,        [AREA_BUFFERS] = 4 * PAGE, [AREA_SQES] = 16 * PAGE,
	[AREA_RINGS] = 16 * PAGE, [AREA_ARGUMENT] = PAGE,
};

static char *writable[AREAS];
static char data_template[16 * PAGE];

u32 arena_size(enum area area)
{
	return sizes[area];
}

void *arena_writable(enum area area, u32 offset)
{
	return writable[area] + offset;
}

static char *place_of(enum area area)
{
	return (char *)(ARENA_BASE + area * ARENA_STRIDE);
}

u64 arena_pointer(u64 raw, enum area area, u32 align)
{
	u64 offset;

	if (raw == 0)
		return 0;
	if (raw >> 56 == 0xff)
		return raw; /* no address of user space */
	if (raw >> 56 == 0xfe)
		return raw & 0xffff; /* never mapped */
	/* Up to a page past the end, and for what is written through only aligned. */
	offset = raw == ARENA_START ? 0 : raw % (sizes[area] + PAGE);
	return (u64)place_of(area) + offset / align * align;
}

void arena_words(u64 *words, u32 mask, enum area area, u32 align)
{
	for (u32 i = 0; mask >> i; i++)
		if (mask >> i & 1)
			words[i] = arena_pointer(words[i], area, align);
}

static void area_map(enum area area)
{
	int protection = PROT_READ | PROT_WRITE;
	int fd = memfd_create("arena", MFD_CLOEXEC);
	void *at;

	if (fd < 0 || ftruncate(fd, sizes[area]))
		abort();
	at = mmap(NULL, sizes[area], protection, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		abort();
	writable[area] = at;
	if (area == AREA_VECTORS || area == AREA_FDS)
		protection = PROT_READ;
	at = mmap(place_of(area), sizes[area], protection, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	if (at != place_of(area))
		abort();
	close(fd);
}

static void slot_fill(u32 slot, const void *bytes, size_t size)
{
	memcpy(data_template + slot * DATA_SLOT, bytes, size);
}

static void template_fill(void)
{
	static const char *const names[] = {"f", "d", "new", "user.x", "."};
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
	struct abi_timespec millisecond = {.tv_nsec = 1000000};
	u32 address_size = sizeof(address);
	u64 how[3] = {2 /* O_RDWR */};
	/* Two words that are 0: slots 12 and 13. */
	u64 words[2][3] = {{0, (u64)place_of(AREA_DATA) + 12 * DATA_SLOT, 130},
			   {0, (u64)place_of(AREA_DATA) + 13 * DATA_SLOT, 130}};

	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		slot_fill(i, names[i], strlen(names[i]));
	slot_fill(5, &address, sizeof(address));
	slot_fill(6, &address_size, sizeof(address_size));
	slot_fill(7, &event, sizeof(event));
	slot_fill(8, &millisecond, sizeof(millisecond));
	slot_fill(9, how, sizeof(how));
	slot_fill(10, words, sizeof(words));
	for (u32 i = DATA_SLOTS * DATA_SLOT; i < sizeof(data_template); i++)
		data_template[i] = (char)('a' + i % 26);
}

void arena_init(void)
{
	for (u32 area = 0; area < AREAS; area++)
		area_map(area);
	template_fill();
}

/* An iovec of the i-th page; now and then an empty one. */
static void vectors_reset(void)
{
	struct iovec *vectors = arena_writable(AREA_VECTORS, 0);

	for (u32 i = 0; i < sizes[AREA_VECTORS] / sizeof(*vectors); i++)
		vectors[i] = (struct iovec){
			.iov_base = place_of(AREA_DATA) + (i % 16) * PAGE,
			.iov_len = i % 8 == 7 ? 0 : 256u << i % 8,
		};
}

static void messages_reset(void)
{
	for (u32 i = 0; i < sizes[AREA_MESSAGES] / DATA_SLOT; i++) {
		struct msghdr *message = arena_writable(AREA_MESSAGES, i * DATA_SLOT);

		memset(message, 0, DATA_SLOT);
		message->msg_iov = (struct iovec *)(place_of(AREA_VECTORS)) + i;
		message->msg_iovlen = i % 4;
		message->msg_control = i % 2 ? place_of(AREA_DATA) + PAGE : NULL;
		message->msg_controllen = i % 2 ? 256 : 0;
		message->msg_name = i % 3 ? NULL : place_of(AREA_DATA) + 5 * DATA_SLOT;
		message->msg_namelen = i % 3 ? 0 : 16;
	}
}

static void buffers_reset(void)
{
	struct io_uring_buf *buffers = arena_writable(AREA_BUFFERS, 0);

	for (u32 i = 0; i < sizes[AREA_BUFFERS] / sizeof(*buffers); i++)
		buffers[i] = (struct io_uring_buf){
			.addr = (u64)place_of(AREA_DATA) + i % 64 * 512,
			.len = 512,
			.bid = (u16)i,
			.resv = i % 256 ? 0 : 8, /* a ring begins here: its tail */
		};
}

void arena_reset(void)
{
	s32 *fds = arena_writable(AREA_FDS, 0);

	memcpy(arena_writable(AREA_DATA, 0), data_template, sizeof(data_template));
	vectors_reset();
	messages_reset();
	buffers_reset();
	for (u32 i = 0; i < sizes[AREA_FDS] / sizeof(*fds); i++)
		fds[i] = files_pick((s32)i);
	memset(arena_writable(AREA_ARGUMENT, 0), 0, sizes[AREA_ARGUMENT]);
}

static void message_take(struct input *in, u64 *words)
{
	input_bytes(in, words, sizeof(struct msghdr));
	arena_words(words, 1u << 0 | 1u << 4, AREA_DATA, 1);
	arena_words(words, 1u << 2, AREA_VECTORS, sizeof(struct iovec));
}

void arena_step(struct input *in)
{
	u8 kind = input_take(in, u8), index = input_take(in, u8);
	char bytes[DATA_SLOT];
	u64 pair[2];

	switch (kind % 5) {
	case 0:
		input_bytes(in, bytes, sizeof(bytes));
		for (u32 i = 0; i < sizeof(bytes); i++)
			if (bytes[i] == '/')
				bytes[i] = '_';
		memcpy(arena_writable(AREA_DATA, index * DATA_SLOT), bytes, sizeof(bytes));
		break;
	case 1:
		input_bytes(in, pair, sizeof(pair));
		arena_words(pair, 1, AREA_DATA, 1);
		memcpy(arena_writable(AREA_VECTORS, index * 16u), pair, sizeof(pair));
		break;
	case 2:
		message_take(in, arena_writable(AREA_MESSAGES, index % 64 * DATA_SLOT));
		break;
	case 3:
		*(s32 *)arena_writable(AREA_FDS, index * 4u) = files_pick(input_take(in, s32));
		break;
	case 4:
		input_bytes(in, pair, sizeof(pair));
		arena_words(pair, 1, AREA_DATA, 1);
		memcpy(arena_writable(AREA_BUFFERS, index * 16u), pair, sizeof(pair));
		break;
	}
}
