/*
 * rivals.c - the same reads by other means than io_uring
 *
 * Entry:     posixaio_reads(), libaio_reads(), preadv2_reads(), memcpy_reads(): functions of the
 *            table in cases.def
 * Not here:  the pipeline itself, which they share with io_uring (workload.c)
 */
#include <aio.h>
#include <errno.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/workload.h"

static struct aiocb posix_reads[BENCH_DEPTH];
static const struct aiocb *posix_pending[BENCH_DEPTH]; /* NULL where idle */

static void posixaio_start(struct workload *load)
{
	struct aioinit init = {.aio_threads = BENCH_DEPTH, .aio_num = BENCH_DEPTH};

	(void)load;
	aio_init(&init);
}

static void posixaio_queue(struct workload *load, unsigned int slot)
{
	struct aiocb *cb = &posix_reads[slot];

	*cb = (struct aiocb){
		.aio_fildes = load->fd,
		.aio_buf = buffer(load, slot),
		.aio_nbytes = load->block,
		.aio_offset = (off_t)load->offsets[slot],
		.aio_sigevent.sigev_notify = SIGEV_NONE,
	};
	if (aio_read(cb))
		fail("aio_read: %s", strerror(errno));
	posix_pending[slot] = cb;
}

static unsigned int posixaio_collect(struct workload *load, unsigned int *slots)
{
	unsigned int count = 0;

	while (aio_suspend(posix_pending, BENCH_DEPTH, NULL))
		if (errno != EINTR)
			fail("aio_suspend: %s", strerror(errno));
	for (unsigned int slot = 0; slot < BENCH_DEPTH; slot++) {
		int err;

		if (!posix_pending[slot])
			continue;
		err = aio_error(&posix_reads[slot]);
		if (err == EINPROGRESS)
			continue;
		check_read(load, slot, err ? -err : aio_return(&posix_reads[slot]));
		posix_pending[slot] = NULL;
		slots[count++] = slot;
	}
	return count;
}

uint64_t posixaio_reads(struct workload *load, uint64_t ops)
{
	static const struct engine engine = {
		.queue = posixaio_queue,
		.collect = posixaio_collect,
		.start = posixaio_start,
	};

	return pipeline(load, &engine, ops);
}

/* libaio is only a thin cover of these system calls: called directly, it is no dependency. */
static aio_context_t aio_context;
static struct iocb aio_reads[BENCH_DEPTH];
static struct iocb *aio_queued[BENCH_DEPTH];
static unsigned int aio_queued_count;

static void libaio_start(struct workload *load)
{
	(void)load;
	if (syscall(SYS_io_setup, BENCH_DEPTH, &aio_context))
		fail("io_setup: %s", strerror(errno));
}

static void libaio_queue(struct workload *load, unsigned int slot)
{
	aio_reads[slot] = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)load->fd,
		.aio_buf = (uintptr_t)buffer(load, slot),
		.aio_nbytes = load->block,
		.aio_offset = (int64_t)load->offsets[slot],
	};
	aio_queued[aio_queued_count++] = &aio_reads[slot];
}

static unsigned int libaio_collect(struct workload *load, unsigned int *slots)
{
	struct io_event events[BENCH_DEPTH];
	unsigned int sent = 0;
	long count;

	while (sent < aio_queued_count) {
		long n = syscall(SYS_io_submit, aio_context, (long)(aio_queued_count - sent),
				 aio_queued + sent);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			fail("io_submit: %s", strerror(errno));
		if (n > 0)
			sent += (unsigned int)n;
	}
	aio_queued_count = 0;
	do {
		count = syscall(SYS_io_getevents, aio_context, 1L, (long)BENCH_DEPTH, events, NULL);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		fail("io_getevents: %s", strerror(errno));
	for (long i = 0; i < count; i++) {
		slots[i] = (unsigned int)events[i].data;
		check_read(load, slots[i], (long)events[i].res);
	}
	return (unsigned int)count;
}

uint64_t libaio_reads(struct workload *load, uint64_t ops)
{
	static const struct engine engine = {
		.queue = libaio_queue,
		.collect = libaio_collect,
		.start = libaio_start,
	};

	return pipeline(load, &engine, ops);
}

/* One block, by the bare call; one that is no longer cached is read again, waiting for it. */
static long preadv2_block(struct workload *load, unsigned int slot)
{
	struct iovec iov = {.iov_base = buffer(load, slot), .iov_len = load->block};
	off_t offset = (off_t)load->offsets[slot];
	ssize_t n = preadv2(load->fd, &iov, 1, offset, RWF_NOWAIT);

	if (n < 0 && errno == EAGAIN)
		n = preadv2(load->fd, &iov, 1, offset, 0);
	return n < 0 ? -errno : n;
}

uint64_t preadv2_reads(struct workload *load, uint64_t ops)
{
	uint64_t done = 0;

	while (done < ops) {
		for (unsigned int slot = 0; slot < BENCH_DEPTH; slot++) {
			load->offsets[slot] = next_offset(load);
			check_read(load, slot, preadv2_block(load, slot));
		}
		done += BENCH_DEPTH;
	}
	return done;
}

static unsigned char *memory; /* of all threads; constant once it is filled */

#define HUGE_PAGE (UINT64_C(2) << 20)

void memory_prepare(struct workload *load)
{
	uint64_t bytes = load->block_count * load->block;
	unsigned char *map;

	if (memory)
		return;
	map = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	if (map == MAP_FAILED)
		fail("no memory for the file: %s", strerror(errno));
	memory = map + (HUGE_PAGE - (uintptr_t)map % HUGE_PAGE) % HUGE_PAGE;
	/* Refused where there are none: what the machine has not, nobody gets. */
	madvise(memory, bytes, MADV_HUGEPAGE);
	for (uint64_t at = 0; at < bytes;) {
		ssize_t n = pread(load->fd, memory + at, bytes - at, (off_t)at);

		if (n <= 0)
			fail("the file cannot be read: %s", strerror(errno));
		at += (uint64_t)n;
	}
}

uint64_t memcpy_reads(struct workload *load, uint64_t ops)
{
	uint64_t done = 0;

	while (done < ops) {
		for (unsigned int slot = 0; slot < load->depth; slot++) {
			load->offsets[slot] = next_offset(load);
			memcpy(buffer(load, slot), memory + load->offsets[slot], load->block);
		}
		for (unsigned int slot = 0; slot < load->depth; slot++)
			check_read(load, slot, load->block);
		done += load->depth;
	}
	return done;
}
