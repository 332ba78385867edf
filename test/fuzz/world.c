/*
 * world.c - a ring, and what an input does to it
 *
 * The program's half: it maps the ring, fills SQEs, enters, registers, takes
 * CQEs, and writes what it likes to the shared header. Every call that could
 * wait is interrupted after milliseconds, as by a signal, so an input ends.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "cache/cache.h"
#include "file/own.h"
#include "fuzz.h"
#include "host/usercopy.h"
#include "ring/memory.h"
#include "syscall/descriptor.h"
#include "syscall/syscall.h"

/* The number under which ring 0 is made; files.c has it under another as well. */
struct world {
	int fd, other; /* -1: there is none */
	struct io_uring_params params;
	struct ring_header *header;
	char *sqes;
	u32 *array;
	size_t header_size, sqes_size;
	bool is_mapped;
	u32 tail;
};
static struct world world = {.fd = -1, .other = -1};
static timer_t watchdog;

static void interrupted(int sig)
{
	(void)sig;
}

static void watchdog_set(long nanoseconds)
{
	struct itimerspec times = {.it_value.tv_nsec = nanoseconds,
				   .it_interval.tv_nsec = nanoseconds};

	timer_settime(watchdog, 0, &times, NULL);
}

void world_init(void)
{
	struct sigaction action = {.sa_handler = interrupted};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};

	if (geteuid() == 0 || access("/etc", W_OK) == 0) {
		fprintf(stderr, "fuzz: this is not confined: start it by test/fuzz/run.sh\n");
		exit(2);
	}
	if (usercopy_init())
		abort();
	files_init();
	arena_init();
	if (own_start(CACHE_LIMIT_MIN, NULL))
		abort();
	sigaction(SIGUSR2, &action, NULL);
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &watchdog))
		abort();
}

static long enter(u32 fd, u32 submit, u32 complete, u32 flags, const void *arg, size_t size)
{
	long ret;

	watchdog_set(1000000);
	ret = syscall_enter(fd, submit, complete, flags, arg, size);
	watchdog_set(0);
	return ret;
}

static long register_call(u32 fd, u32 opcode, void *arg, u32 count)
{
	long ret;

	watchdog_set(1000000);
	ret = syscall_register(fd, opcode, arg, count);
	watchdog_set(0);
	return ret;
}

static void ring_unmap(void)
{
	if (!world.is_mapped)
		return;
	munmap(world.header, world.header_size);
	munmap(world.sqes, world.sqes_size);
	world.is_mapped = false;
}

/* Maps what `params` describes; where that is the arena's it is there already. */
static bool ring_map(void)
{
	const struct io_uring_params *params = &world.params;
	size_t sqe_size = params->flags & IORING_SETUP_SQE128 ? 128 : 64;
	size_t cqe_size = params->flags & IORING_SETUP_CQE32 ? 32 : 16;
	char *base;

	ring_unmap();
	world.sqes_size = params->sq_entries * sqe_size;
	world.header_size = max_of(params->sq_off.array + params->sq_entries * sizeof(u32),
				   params->cq_off.cqes + params->cq_entries * cqe_size);
	if (params->flags & IORING_SETUP_NO_MMAP) {
		base = (void *)params->cq_off.user_addr;
		world.sqes = (void *)params->sq_off.user_addr;
	} else {
		base = mmap(NULL, world.header_size, PROT_READ | PROT_WRITE, MAP_SHARED, world.fd,
			    IORING_OFF_SQ_RING);
		world.sqes = mmap(NULL, world.sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED,
				  world.fd, IORING_OFF_SQES);
		if (base == MAP_FAILED || world.sqes == MAP_FAILED)
			abort();
		world.is_mapped = true;
	}
	world.header = (void *)base;
	world.array = params->flags & IORING_SETUP_NO_SQARRAY
			      ? NULL
			      : (void *)(base + params->sq_off.array);
	world.tail = load_relaxed(&world.header->sq_tail);
	return true;
}

void world_params(struct input *in, struct io_uring_params *params, bool is_raw)
{
	/* Those that need nothing else; the submission thread is not for each input. */
	static const u32 usual[] = {
		0,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_NO_SQARRAY,
		IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
		IORING_SETUP_SQE_MIXED | IORING_SETUP_CQE_MIXED,
		IORING_SETUP_NO_MMAP | IORING_SETUP_NO_SQARRAY,
		IORING_SETUP_SQPOLL,
		IORING_SETUP_R_DISABLED,
		IORING_SETUP_IOPOLL,
		IORING_SETUP_NO_SQARRAY | IORING_SETUP_SQ_REWIND,
		IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_NO_SQARRAY,
		IORING_SETUP_IOPOLL | IORING_SETUP_HYBRID_IOPOLL,
		IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_SQE_MIXED | IORING_SETUP_CQE32 | IORING_SETUP_NO_SQARRAY,
	};

	memset(params, 0, sizeof(*params));
	if (is_raw) {
		input_bytes(in, params, sizeof(*params));
	} else {
		params->flags = usual[input_take(in, u8) % ARRAY_SIZE(usual)];
		params->sq_off.user_addr = params->cq_off.user_addr = 1;
	}
	params->sq_off.user_addr = arena_pointer(params->sq_off.user_addr, AREA_SQES, 64);
	params->cq_off.user_addr = arena_pointer(params->cq_off.user_addr, AREA_RINGS, 64);
	if (params->flags & IORING_SETUP_ATTACH_WQ)
		params->wq_fd = (u32)files_pick((s32)params->wq_fd);
}

bool world_begin(u32 entries, struct io_uring_params *params)
{
	struct io_uring_params plain = {0};
	long fd;

	arena_reset();
	files_reset();
	if (params->flags & IORING_SETUP_NO_MMAP) {
		memset(arena_writable(AREA_SQES, 0), 0, arena_size(AREA_SQES));
		memset(arena_writable(AREA_RINGS, 0), 0, arena_size(AREA_RINGS));
	}
	world.other = (int)syscall_setup(4, &plain);
	if (world.other < 0)
		abort(); /* rings of earlier inputs are left */
	fd = syscall_setup(entries, params);
	world.params = *params;
	world.fd = -1;
	if (world.other >= 0)
		files_add_ring(1, world.other);
	/* One that is only registered has no number that it could be mapped by. */
	if (fd < 0 || params->flags & IORING_SETUP_REGISTERED_FD_ONLY)
		return false;
	world.fd = (int)fd;
	files_add_ring(0, world.fd);
	return ring_map();
}

static bool is_of_128(u8 opcode)
{
	return opcode == IORING_OP_NOP128 || opcode == IORING_OP_URING_CMD128;
}

void world_sqe(struct input *in)
{
	u8 kind = input_take(in, u8);
	u32 count;
	bool is_wide = world.params.flags & IORING_SETUP_SQE128;
	bool is_mixed = world.params.flags & IORING_SETUP_SQE_MIXED;
	u32 index = world.tail & (world.params.sq_entries - 1);
	struct io_uring_sqe *sqe = (void *)(world.sqes + index * (is_wide ? 128 : 64));

	if (kind % 8 == 7) /* the same again: what the last entry here said */
		goto add;
	sqe_take(in, sqe, kind % 4 == 3);
	if (is_wide)
		input_bytes(in, sqe + 1, kind & 128 ? sizeof(*sqe) : 0);
add:
	/* Mostly, one of 128 bytes takes two entries, if the second is there. */
	count = is_mixed && is_of_128(sqe->opcode) && kind % 16 ? 2 : 1;
	for (u32 i = 0; i < count && index + i < world.params.sq_entries; i++) {
		if (i > 0)
			input_bytes(in, sqe + i, kind & 128 ? sizeof(*sqe) : 0);
		if (world.array)
			world.array[index + i] = kind % 32 == 31 ? kind : index + i;
	}
	world.tail += count;
	store_release(&world.header->sq_tail, world.tail);
}

/* A wait may block what signals it likes, but for the watchdog's and the fuzzer's own. */
static void enter_with_argument(struct input *in, u32 pending, u8 kind)
{
	u64 *words = arena_writable(AREA_ARGUMENT, 0), *mask = arena_writable(AREA_ARGUMENT, 64);
	u32 flags, size;

	input_bytes(in, words, sizeof(struct io_uring_getevents_arg));
	flags = input_take(in, u8) & ~IORING_ENTER_EXT_ARG_REG;
	size = input_take(in, u8);
	*mask = input_take(in, u64) & ~(1ull << (SIGUSR2 - 1) | 1ull << (SIGALRM - 1));
	if (words[0])
		words[0] = arena_pointer(64, AREA_ARGUMENT, 64);
	if (size % 4)
		size = sizeof(struct io_uring_getevents_arg);
	/* Where it is not that structure it is the mask itself. */
	enter((u32)world.fd, pending, flags & IORING_ENTER_EXT_ARG ? kind >> 5 : 0, flags,
	      (void *)arena_pointer(kind & 8 ? PAGE - 8 : ARENA_START, AREA_ARGUMENT, 1), size);
}

void world_enter(struct input *in)
{
	static const struct abi_timespec soon = {.tv_nsec = 100000};
	u8 kind = input_take(in, u8);
	struct io_uring_getevents_arg arg = {.ts = (u64)&soon};
	u32 fd, count, flags;
	u32 pending = world.tail - load_acquire(&world.header->sq_head);

	switch (kind % 8) {
	case 0:
	case 1:
	case 2:
		enter((u32)world.fd, pending, 0, IORING_ENTER_GETEVENTS, NULL, 0);
		break;
	case 3:
		enter((u32)world.fd, kind, 1, IORING_ENTER_GETEVENTS, NULL, 0);
		break;
	case 4:
		arg.min_wait_usec = kind & 128 ? 50 : 0;
		enter((u32)world.fd, pending, kind >> 5,
		      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
		break;
	case 5:
		enter((u32)world.fd, pending, 0, 0, NULL, 0);
		break;
	case 6:
		enter_with_argument(in, pending, kind);
		break;
	case 7: /* nothing is waited for, so that any argument will do */
		fd = input_take(in, u32);
		count = input_take(in, u32);
		flags = input_take(in, u32);
		fd = flags & IORING_ENTER_REGISTERED_RING ? fd % 16 : (u32)files_pick((s32)fd);
		enter(fd, count, 0, flags,
		      (void *)arena_pointer(input_take(in, u16), AREA_ARGUMENT, 8),
		      input_take(in, u16));
		break;
	}
}

/*
 * What of a registration's argument is written through or leads to something that is. Others of
 * its words are only copied from, and a bad one is answered with EFAULT.
 */
struct argument {
	u32 size;     /* of an element */
	u32 pointers; /* which of its words are pointers */
	enum area area;
	u32 align;
};

static const struct argument arguments[IORING_REGISTER_LAST] = {
	[IORING_REGISTER_BUFFERS] = {16, 1, AREA_DATA, 1},
	[IORING_REGISTER_FILES_UPDATE] = {16, 2, AREA_FDS, 4},
	[IORING_REGISTER_FILES2] = {32, 1u << 2, AREA_FDS, 4},
	[IORING_REGISTER_FILES_UPDATE2] = {32, 1u << 1, AREA_FDS, 4},
	[IORING_REGISTER_BUFFERS2] = {32, 1u << 2, AREA_VECTORS, 16},
	[IORING_REGISTER_BUFFERS_UPDATE] = {32, 1u << 1, AREA_VECTORS, 16},
	[IORING_REGISTER_RESTRICTIONS] = {16},
	[IORING_REGISTER_RING_FDS] = {16},
	[IORING_UNREGISTER_RING_FDS] = {16},
	[IORING_REGISTER_PBUF_RING] = {40, 1, AREA_BUFFERS, 16},
	[IORING_UNREGISTER_PBUF_RING] = {40},
	[IORING_REGISTER_PBUF_STATUS] = {40},
	[IORING_REGISTER_SYNC_CANCEL] = {64},
	[IORING_REGISTER_FILE_ALLOC_RANGE] = {16},
	[IORING_REGISTER_CLOCK] = {16},
	[IORING_REGISTER_CLONE_BUFFERS] = {32},
	[IORING_REGISTER_SEND_MSG_RING] = {64},
	[IORING_REGISTER_RESIZE_RINGS] = {120, 1u << 9 | 1u << 14, AREA_RINGS, 64},
	[IORING_REGISTER_MEM_REGION] = {32, 1, AREA_ARGUMENT, 64},
	[IORING_REGISTER_QUERY] = {40, 2, AREA_DATA, 1},
};

/* Numbers in arguments that mean a descriptor. */
static void argument_fds(u32 opcode, void *argument, u32 size)
{
	u32 *words = argument;

	switch (opcode) {
	case IORING_REGISTER_EVENTFD:
	case IORING_REGISTER_EVENTFD_ASYNC:
	case IORING_REGISTER_CLONE_BUFFERS:
		words[0] = (u32)files_pick((s32)words[0]);
		break;
	case IORING_REGISTER_FILES:
		for (u32 i = 0; i < size / 4; i++)
			words[i] = (u32)files_pick((s32)words[i]);
		break;
	case IORING_REGISTER_RING_FDS:
		for (u32 i = 0; i < size / 16; i++)
			words[4 * i + 2] = (u32)files_pick((s32)words[4 * i + 2]);
		break;
	case IORING_REGISTER_SYNC_CANCEL:
		words[2] = (u32)files_pick((s32)words[2]);
		break;
	case IORING_REGISTER_SEND_MSG_RING: /* an SQE */
		words[1] = (u32)files_pick((s32)words[1]);
		break;
	}
}

/* The description of a region, 64 bytes into the argument, and the memory that it names. */
static void region_take(struct input *in)
{
	u64 *words = arena_writable(AREA_ARGUMENT, 64);

	input_bytes(in, words, sizeof(struct io_uring_region_desc));
	words[0] = arena_pointer(words[0], AREA_DATA, PAGE);
	if (words[1] % 4 == 0)
		words[1] = PAGE;
	*(u64 *)arena_writable(AREA_ARGUMENT, 0) = arena_pointer(64, AREA_ARGUMENT, 64);
}

/* Either any bytes, or a number for each word, so that most of the reserved ones are 0. */
static void argument_bytes(struct input *in, void *argument, u32 size, bool is_structured)
{
	u32 *words = argument;

	if (!is_structured)
		input_bytes(in, argument, size);
	else
		for (u32 i = 0; i < size / sizeof(*words); i++)
			words[i] = small_or_bit(in);
}

static void argument_take(struct input *in, u32 opcode, u8 elements, bool is_structured)
{
	static const struct argument other = {.size = 16};
	const struct argument *shape = opcode < IORING_REGISTER_LAST && arguments[opcode].size
					       ? &arguments[opcode]
					       : &other;
	char *argument = arena_writable(AREA_ARGUMENT, 0);
	u32 size = shape->size * elements;

	argument_bytes(in, argument, size, is_structured);
	for (u32 i = 0; i < elements && shape->pointers; i++)
		arena_words((u64 *)(void *)(argument + i * shape->size), shape->pointers,
			    shape->area, shape->align);
	argument_fds(opcode, argument, size);
	if (opcode == IORING_REGISTER_MEM_REGION)
		region_take(in);
	/* The next query is another element. */
	for (u32 i = 0; i < elements && opcode == IORING_REGISTER_QUERY; i++)
		arena_words((u64 *)(void *)(argument + i * shape->size), 1, AREA_ARGUMENT,
			    shape->size);
}

/* By another descriptor, a registered one, or none. */
static long register_elsewhere(struct input *in, u32 opcode, void *argument, u32 count)
{
	u8 where = input_take(in, u8);

	if (where < 128)
		return register_call((u32)files_pick(where), opcode, argument, count);
	if (where < 192)
		return register_call(where % 16u, opcode | IORING_REGISTER_USE_REGISTERED_RING,
				     argument, count);
	return register_call(UINT32_MAX, opcode, argument, count);
}

void world_register(struct input *in)
{
	u32 opcode = input_take(in, u8) % (IORING_REGISTER_LAST + 2);
	u8 kind = input_take(in, u8), elements = kind % 8;
	void *argument = (void *)arena_pointer(ARENA_START, AREA_ARGUMENT, 1);
	u32 count = kind & 8 ? input_take(in, u32) : elements;
	u32 limits[2] = {0, 0};
	long ret;

	argument_take(in, opcode, elements, kind & 64);
	if (kind % 32 == 17)
		argument = (void *)arena_pointer(input_take(in, u8) * 256ull, AREA_FDS, 4);
	if (kind % 32 == 17 && opcode < IORING_REGISTER_LAST && arguments[opcode].pointers)
		argument = NULL; /* what is there was not made for it */
	register_call((u32)world.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2);
	ret = kind & 128 ? register_elsewhere(in, opcode, argument, count)
			 : register_call((u32)world.fd, opcode, argument, count);
	/* The process's, not the ring's: the next input finds them as they were. */
	if (opcode == IORING_REGISTER_IOWQ_MAX_WORKERS)
		register_call((u32)world.fd, opcode, limits, 2);
	if (opcode == IORING_REGISTER_RESIZE_RINGS && ret == 0 && !(kind & 128)) {
		memcpy(&world.params, arena_writable(AREA_ARGUMENT, 0), sizeof(world.params));
		ring_map();
	}
}

void world_other(struct input *in)
{
	u8 kind = input_take(in, u8);
	u32 value;

	switch (kind % 8) {
	case 0:
	case 1:
	case 2:
		arena_step(in);
		break;
	case 3:
	case 4:
		files_step(in);
		break;
	case 5:
		world_reap();
		break;
	case 6: /* nothing in the header is trusted */
		value = input_take(in, u8);
		if (value >= 64)
			value = input_take(in, u32);
		store_release((u32 *)(void *)world.header + kind / 8 % 16, value);
		break;
	case 7:
		store_release(&world.header->sq_tail, world.tail += input_take(in, u8));
		break;
	}
}

void world_reap(void)
{
	store_release(&world.header->cq_head, load_acquire(&world.header->cq_tail));
}

static void end_ring(int *fd)
{
	if (*fd < 0)
		return;
	descriptor_closing(*fd);
	close(*fd);
	*fd = -1;
}

/* The names that files.c has for the rings are closed before the next input. */
void world_end(void)
{
	ring_unmap();
	end_ring(&world.fd);
	end_ring(&world.other);
	descriptor_thread_exit(); /* what is registered keeps its ring */
	files_reset();
	descriptor_sweep();
}
