/*
 * operations.c - other cases: messages between threads, opening files, provided buffers
 *
 * Entry:       the functions named in cases.def
 * Locks:       none; the partner of a message case has a thread and a ring of its own, and
 *              touches nothing else
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/workload.h"

#define RECYCLED 64 /* bytes of a provided buffer */

/* The second thread of a message case, from the first slice on. */
static struct partner {
	struct io_uring ring;
	const struct io_uring *other;
	pthread_t thread;
	int is_running;
} partner;

static struct io_uring_sqe *sqe_of(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		fail("the submission queue is full");
	return sqe;
}

/* One message to `other`, of whose sending only a failure is told, and one that comes back. */
static void message_send(struct io_uring *ring, const struct io_uring *other, unsigned int number)
{
	struct io_uring_sqe *sqe = sqe_of(ring);

	io_uring_prep_msg_ring(sqe, other->ring_fd, number, 1, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static unsigned int message_take(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int number;
	int ret = io_uring_wait_cqe(ring, &cqe);

	if (ret || cqe->user_data != 1 || cqe->res < 0)
		fail("a message failed: %s", strerror(ret ? -ret : -cqe->res));
	number = (unsigned int)cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return number;
}

static void *partner_main(void *argument)
{
	struct partner *self = argument;

	for (;;) {
		message_send(&self->ring, self->other, message_take(&self->ring) + 1);
		if (io_uring_submit(&self->ring) != 1)
			fail("a message could not be submitted");
	}
	return NULL;
}

static void partner_start(const struct io_uring *ring)
{
	int err = io_uring_queue_init(BENCH_DEPTH, &partner.ring, 0);

	if (err)
		fail("io_uring_queue_init: %s", strerror(-err));
	partner.other = ring;
	if (pthread_create(&partner.thread, NULL, partner_main, &partner))
		fail("pthread_create: %s", strerror(errno));
	partner.is_running = 1;
}

uint64_t messages_there_and_back(struct workload *load, uint64_t ops)
{
	uint64_t done = 0;

	if (!partner.is_running)
		partner_start(&load->ring);
	for (; done < ops; done += 2) {
		unsigned int number = (unsigned int)done & 0xffff;

		message_send(&load->ring, &partner.ring, number);
		if (io_uring_submit_and_wait(&load->ring, 1) != 1)
			fail("a message could not be submitted");
		if (message_take(&load->ring) != number + 1)
			fail("a message was mixed up");
	}
	return done;
}

/* The files of the opening case: as many as are open at a time, made once, gone at the end. */
static struct {
	char directory[64];
	char path[BENCH_DEPTH][80];
	int count;
} opened;

static void opened_remove(void)
{
	for (int i = 0; i < opened.count; i++)
		unlink(opened.path[i]);
	rmdir(opened.directory);
}

static void opened_create(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(opened.directory, sizeof(opened.directory), "%.40s/ringside-XXXXXX",
		 base && strlen(base) <= 40 ? base : "/var/tmp");
	if (!mkdtemp(opened.directory))
		fail("%s: %s", opened.directory, strerror(errno));
	atexit(opened_remove);
	for (int i = 0; i < BENCH_DEPTH; i++) {
		int fd;

		snprintf(opened.path[i], sizeof(opened.path[i]), "%s/%d", opened.directory, i);
		fd = open(opened.path[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		/* As long as its number says, so that each can be told from the others. */
		if (fd < 0 || ftruncate(fd, i))
			fail("%s: %s", opened.path[i], strerror(errno));
		close(fd);
		opened.count++;
	}
}

/* Submits a batch and stores the results by user_data. */
static void batch_run(struct workload *load, int *results)
{
	struct io_uring_cqe *cqe;
	unsigned int head, count = 0;
	int ret = io_uring_submit_and_wait(&load->ring, BENCH_DEPTH);

	if (ret != BENCH_DEPTH)
		fail("of %d requests %d were submitted", BENCH_DEPTH, ret);
	io_uring_for_each_cqe(&load->ring, head, cqe)
	{
		if (cqe->user_data >= BENCH_DEPTH || cqe->res < 0)
			fail("a request failed: %s", strerror(-cqe->res));
		results[cqe->user_data] = cqe->res;
		count++;
	}
	io_uring_cq_advance(&load->ring, count);
	if (count != BENCH_DEPTH)
		fail("of %d requests %u completed", BENCH_DEPTH, count);
}

uint64_t files_opened_and_closed(struct workload *load, uint64_t ops)
{
	static struct statx status[BENCH_DEPTH];
	int fds[BENCH_DEPTH], results[BENCH_DEPTH];
	uint64_t done = 0;

	if (!opened.count)
		opened_create();
	for (; done < ops; done += BENCH_DEPTH) {
		for (unsigned int i = 0; i < BENCH_DEPTH; i++) {
			struct io_uring_sqe *sqe = sqe_of(&load->ring);

			io_uring_prep_openat(sqe, AT_FDCWD, opened.path[i], O_RDONLY | O_CLOEXEC,
					     0);
			io_uring_sqe_set_data64(sqe, i);
		}
		batch_run(load, fds);
		for (unsigned int i = 0; i < BENCH_DEPTH; i++) {
			struct io_uring_sqe *sqe = sqe_of(&load->ring);

			io_uring_prep_statx(sqe, AT_FDCWD, opened.path[i], 0, STATX_SIZE,
					    &status[i]);
			io_uring_sqe_set_data64(sqe, i);
		}
		batch_run(load, results);
		for (unsigned int i = 0; i < BENCH_DEPTH; i++) {
			struct io_uring_sqe *sqe = sqe_of(&load->ring);

			if (status[i].stx_size != i)
				fail("the size of file %u is %llu", i,
				     (unsigned long long)status[i].stx_size);
			status[i].stx_size = ~0ull;
			io_uring_prep_close(sqe, fds[i]);
			io_uring_sqe_set_data64(sqe, i);
		}
		batch_run(load, results);
	}
	return done;
}

/* A ring of provided buffers. One a process: a workload has one case. */
static struct {
	struct io_uring_buf_ring *ring;
	unsigned int count; /* a power of two */
	char (*memory)[RECYCLED];
	int fd; /* always readable */
} provided;

static void buffer_give(unsigned int id, int offset)
{
	io_uring_buf_ring_add(provided.ring, provided.memory[id], RECYCLED, (unsigned short)id,
			      (int)provided.count - 1, offset);
}

static void buffers_provide(struct workload *load, unsigned int count)
{
	struct io_uring_buf_reg reg = {.ring_entries = count, .bgid = 1};
	int err;

	provided.count = count;
	provided.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	provided.ring = mmap(NULL, count * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	provided.memory = calloc(count, RECYCLED);
	if (provided.fd < 0 || provided.ring == MAP_FAILED || !provided.memory)
		fail("no memory for buffers, or no /dev/zero");
	reg.ring_addr = (uintptr_t)provided.ring;
	err = io_uring_register_buf_ring(&load->ring, &reg, 0);
	if (err)
		fail("io_uring_register_buf_ring: %s", strerror(-err));
	for (unsigned int i = 0; i < count; i++)
		buffer_give(i, (int)i);
	io_uring_buf_ring_advance(provided.ring, (int)count);
}

/* Each read takes the buffer that is next; after the batch all are given back, at the end. */
static uint64_t buffers_recycled(struct workload *load, unsigned int count, uint64_t ops)
{
	uint64_t done = 0;

	if (!provided.ring)
		buffers_provide(load, count);
	do {
		struct io_uring_cqe *cqe;
		unsigned int head, seen = 0;

		for (unsigned int i = 0; i < BENCH_DEPTH; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&load->ring);

			io_uring_prep_read(sqe, provided.fd, NULL, RECYCLED, 0);
			sqe->flags |= IOSQE_BUFFER_SELECT;
			sqe->buf_group = 1;
		}
		if (io_uring_submit_and_wait(&load->ring, BENCH_DEPTH) != BENCH_DEPTH)
			fail("a batch was not taken whole");
		io_uring_for_each_cqe(&load->ring, head, cqe)
		{
			if (cqe->res != RECYCLED || !(cqe->flags & IORING_CQE_F_BUFFER))
				fail("a read into a provided buffer returned %d", cqe->res);
			buffer_give(cqe->flags >> IORING_CQE_BUFFER_SHIFT, (int)seen++);
		}
		io_uring_cq_advance(&load->ring, seen);
		io_uring_buf_ring_advance(provided.ring, (int)seen);
		done += seen;
	} while (done < ops);
	return done;
}

uint64_t buffers_64_recycled(struct workload *load, uint64_t ops)
{
	return buffers_recycled(load, 64, ops);
}

uint64_t buffers_32768_recycled(struct workload *load, uint64_t ops)
{
	return buffers_recycled(load, 32768, ops);
}
