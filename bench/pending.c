/*
 * pending.c - cases with very many requests that wait: what one more costs, and one less
 *
 * Before the first slice as many requests are armed as the case's row says. An operation takes
 * one of them away, by its user_data, and arms it anew; which one, nobody could guess. So
 * there are always (nearly) as many, and what it costs should not depend on how many.
 *
 * Entry:       pending_prepare(), and the functions named in cases.def
 * Invariants:  every request that is taken away completes with -ECANCELED, and every removal
 *              with 0: anything else is an error, not a result
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "bench/workload.h"

/* Descriptors that polls share. */
#define EVENTS 64

/* user_data of a removal; of a request that waits: its number. */
#define REMOVAL UINT64_MAX

/* Prepares a request that waits, and one that takes a waiting request away. */
struct pending_kind {
	void (*arm)(struct io_uring_sqe *sqe, uint64_t number);
	void (*remove)(struct io_uring_sqe *sqe, uint64_t number);
};

static int events[EVENTS];

static void timeout_arm(struct io_uring_sqe *sqe, uint64_t number)
{
	static struct __kernel_timespec one_day = {.tv_sec = 24 * 3600};

	io_uring_prep_timeout(sqe, &one_day, 0, 0);
	io_uring_sqe_set_data64(sqe, number);
}

static void timeout_remove(struct io_uring_sqe *sqe, uint64_t number)
{
	io_uring_prep_timeout_remove(sqe, number, 0);
	io_uring_sqe_set_data64(sqe, REMOVAL);
}

static void poll_arm(struct io_uring_sqe *sqe, uint64_t number)
{
	io_uring_prep_poll_add(sqe, events[number % EVENTS], POLLIN);
	io_uring_sqe_set_data64(sqe, number);
}

static void poll_remove(struct io_uring_sqe *sqe, uint64_t number)
{
	io_uring_prep_poll_remove(sqe, number);
	io_uring_sqe_set_data64(sqe, REMOVAL);
}

static void cancel(struct io_uring_sqe *sqe, uint64_t number)
{
	io_uring_prep_cancel64(sqe, number, 0);
	io_uring_sqe_set_data64(sqe, REMOVAL);
}

static const struct pending_kind timeouts = {timeout_arm, timeout_remove};
static const struct pending_kind polls = {poll_arm, poll_remove};
static const struct pending_kind cancels = {poll_arm, cancel};

static struct io_uring_sqe *sqe_of(struct workload *load)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&load->ring);

	if (!sqe)
		fail("the submission queue is full");
	return sqe;
}

static const struct pending_kind *kind_of(const struct workload *load)
{
	if (load->row->run == timeouts_among_pending)
		return &timeouts;
	return load->row->run == polls_among_pending ? &polls : &cancels;
}

static void submit(struct workload *load, unsigned int count, unsigned int wait)
{
	int ret = wait ? io_uring_submit_and_wait(&load->ring, wait) : io_uring_submit(&load->ring);

	if (ret != (int)count)
		fail("of %u requests %d were submitted", count, ret);
}

void pending_prepare(struct workload *load)
{
	const struct pending_kind *kind = kind_of(load);

	for (int i = 0; i < EVENTS; i++) {
		events[i] = eventfd(0, EFD_CLOEXEC);
		if (events[i] < 0)
			fail("eventfd: %s", strerror(errno));
	}
	for (uint64_t armed = 0; armed < load->row->pending;) {
		unsigned int count = 0;

		for (; count < BENCH_DEPTH && armed < load->row->pending; count++)
			kind->arm(sqe_of(load), armed++);
		submit(load, count, 0);
	}
	if (io_uring_cq_ready(&load->ring))
		fail("a request that should wait completed");
}

/* What a batch of removals and cancelled requests completed with. */
static void check_batch(struct workload *load, unsigned int pairs)
{
	unsigned int head, removals = 0, cancelled = 0;
	struct io_uring_cqe *cqe;

	io_uring_for_each_cqe(&load->ring, head, cqe)
	{
		if (cqe->user_data == REMOVAL)
			removals += cqe->res == 0;
		else
			cancelled += cqe->res == -ECANCELED;
	}
	if (removals != pairs || cancelled != pairs)
		fail("of %u removals %u succeeded, and %u requests were cancelled", pairs, removals,
		     cancelled);
	io_uring_cq_advance(&load->ring, 2 * pairs);
}

static uint64_t exchange(struct workload *load, const struct pending_kind *kind, uint64_t ops)
{
	const uint64_t pending = load->row->pending;
	const unsigned int pairs = load->depth / 2; /* each operation is two requests */
	uint64_t done = 0;

	while (done < ops) {
		uint64_t first = load->walk++ * 0x9e3779b97f4a7c15 % pending;

		for (uint64_t i = 0; i < pairs; i++) {
			uint64_t number = (first + i * (pending / pairs)) % pending;

			kind->remove(sqe_of(load), number);
			kind->arm(sqe_of(load), number);
		}
		submit(load, 2 * pairs, 2 * pairs);
		check_batch(load, pairs);
		done += pairs;
	}
	return done;
}

uint64_t timeouts_among_pending(struct workload *load, uint64_t ops)
{
	return exchange(load, &timeouts, ops);
}

uint64_t polls_among_pending(struct workload *load, uint64_t ops)
{
	return exchange(load, &polls, ops);
}

uint64_t cancels_among_pending(struct workload *load, uint64_t ops)
{
	return exchange(load, &cancels, ops);
}
