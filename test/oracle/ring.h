/*
 * ring.h - a ring as a program without liburing would drive it
 *
 * Entry:       ring_open() .. ring_close(); the three calls by themselves for probes
 * Owner:       one thread; a struct ring belongs to the function that opened it
 * Not here:    what is put into the ring (execute.c)
 */
#ifndef ORACLE_RING_H
#define ORACLE_RING_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

/* How a call leaves this program: libc's syscall(), or an instruction of our own. */
enum entry_way {
	ENTRY_LIBC,
	ENTRY_ASM,
};

void entry_select(enum entry_way way);

/* Each returns what the call returns, or -errno. */
long call_setup(uint32_t entries, struct io_uring_params *params);
long call_enter(int fd, uint32_t submit, uint32_t wait, uint32_t flags, const void *arg,
		size_t size);
long call_register(int fd, uint32_t opcode, const void *arg, uint32_t count);

struct ring {
	int fd;
	struct io_uring_params params;
	uint8_t *sq_map;
	size_t sq_map_size;
	uint8_t *cq_map; /* sq_map itself unless mapped apart */
	size_t cq_map_size;
	uint8_t *sqes;
	size_t sqes_size;
	size_t sqe_stride;
	size_t cqe_stride;
	uint32_t sq_tail; /* what we have filled; published by ring_publish() */
};

/* Set up and map; 0 or -errno. `params` carries flags and cq_entries in. */
int ring_open(struct ring *ring, uint32_t entries, const struct io_uring_params *params,
	      bool map_cq_apart);
void ring_close(struct ring *ring);

uint32_t ring_sq_pending(const struct ring *ring);
uint32_t ring_sq_flags(const struct ring *ring);
uint32_t ring_sq_dropped(const struct ring *ring);
uint32_t ring_cq_overflow(const struct ring *ring);
uint32_t ring_cq_ready(const struct ring *ring);

/* The next free SQE, zeroed; the caller never fills more than the ring holds. */
struct io_uring_sqe *ring_next_sqe(struct ring *ring);
void ring_publish(struct ring *ring);

/* Take the oldest CQE out; false if there is none. extra: the second half with CQE32. */
bool ring_take_cqe(struct ring *ring, struct io_uring_cqe *cqe, uint64_t extra[2]);

/* Wait until `wait` CQEs are there or the time is over; 0 or -errno (-ETIME). */
int ring_wait(struct ring *ring, uint32_t submit, uint32_t wait, unsigned int milliseconds);

#endif
