/*
 * workload.h - what the cases of the workload program share
 *
 * Not here: the protocol and the table (cases.h, cases.def).
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <liburing.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "bench/cases.h"

/*
 * How reads are queued and collected, so that io_uring and its rivals run the
 * same pipeline. A slot is one of load->depth reads, with its own buffer.
 */
struct engine {
	/* Prepares a read of the block at offsets[slot] into buffer(slot). */
	void (*queue)(struct workload *load, unsigned int slot);
	/* Submits what is queued, waits for one at least, stores the finished slots. */
	unsigned int (*collect)(struct workload *load, unsigned int *slots);
	/* Once, before the first queue(). */
	void (*start)(struct workload *load);
};

/* One a thread, used by that thread. */
struct workload {
	const struct bench_case *row;
	struct io_uring ring; /* not set up in a rival */
	int fd;               /* the file, or -1 */
	unsigned int block;   /* bytes of a read */
	unsigned int depth;   /* reads at a time, BENCH_DEPTH at most */
	uint64_t block_count; /* of the file, a power of two */
	uint64_t walk;        /* position in the permutation of its blocks */
	unsigned char *buffers;
	uint64_t offsets[BENCH_DEPTH]; /* what each slot reads, bytes */

	const struct engine *engine; /* of the pipeline, NULL until it has run */
	unsigned int idle[BENCH_DEPTH];
	unsigned int idle_count;

	bool is_warm;          /* warm_up() or pending_prepare() was made */
	const char *hold_kind; /* argument of "hold" */
};

static inline unsigned char *buffer(struct workload *load, unsigned int slot)
{
	return load->buffers + (uint64_t)slot * load->block;
}

/* Answers "error WHY" and ends the program. */
noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where the next block begins, in a walk that meets no block twice in block_count steps. */
uint64_t next_offset(struct workload *load);

/* Ends the program unless a read into this slot brought its block, whole and right. */
void check_read(struct workload *load, unsigned int slot, long result);

/* Keeps load->depth reads in flight until `ops` more are done; leaves the others in flight. */
uint64_t pipeline(struct workload *load, const struct engine *engine, uint64_t ops);

/* operations.c */
uint64_t messages_there_and_back(struct workload *load, uint64_t ops);
uint64_t files_opened_and_closed(struct workload *load, uint64_t ops);
uint64_t buffers_64_recycled(struct workload *load, uint64_t ops);
uint64_t buffers_32768_recycled(struct workload *load, uint64_t ops);

/* echo.c */
uint64_t echo_1(struct workload *load, uint64_t ops);
uint64_t echo_64(struct workload *load, uint64_t ops);
uint64_t echo_1000(struct workload *load, uint64_t ops);
uint64_t epoll_1(struct workload *load, uint64_t ops);
uint64_t epoll_64(struct workload *load, uint64_t ops);
uint64_t epoll_1000(struct workload *load, uint64_t ops);
uint64_t pipe_there_and_back(struct workload *load, uint64_t ops);

/* pending.c. Before the first slice: arms row->pending requests. */
void pending_prepare(struct workload *load);
uint64_t timeouts_among_pending(struct workload *load, uint64_t ops);
uint64_t polls_among_pending(struct workload *load, uint64_t ops);
uint64_t cancels_among_pending(struct workload *load, uint64_t ops);

/* rivals.c */
uint64_t posixaio_reads(struct workload *load, uint64_t ops);
uint64_t libaio_reads(struct workload *load, uint64_t ops);
uint64_t preadv2_reads(struct workload *load, uint64_t ops);
uint64_t memcpy_reads(struct workload *load, uint64_t ops);

/* Brings load->fd into memory for memcpy_reads(), once. */
void memory_prepare(struct workload *load);

#endif
