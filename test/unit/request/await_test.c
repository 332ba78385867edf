/*
 * await_test.c - a wait that awaits a message before it sleeps
 *
 * What it awaits comes, or does not, at every moment of the wait; and it keeps what every wait
 * keeps: its time limit, CQEs that come from elsewhere, the ring that another thread closes.
 */
#include <errno.h>
#include <pthread.h>

#include "host/clock.h"
#include "unit_ring.h"

enum { ROUNDS = 3000 };

/* The ring's next wait awaits a message, whatever the last ones were like. */
static void expect_message(const struct unit_ring *ring)
{
	struct ring *inside = unit_ring_inside(ring);

	ring_lock(inside);
	inside->await.answers = UINT32_MAX;
	inside->await.not_before = 0;
	ring_unlock(inside);
}

static void sqe_message(struct unit_ring *from, const struct unit_ring *to, u32 number)
{
	struct io_uring_sqe *sqe = unit_sqe_flags(from, IORING_OP_MSG_RING, 0, //
						  IOSQE_CQE_SKIP_SUCCESS);

	sqe->fd = to->fd;
	sqe->len = number;
}

/* Two rings, and the thread of the second. */
struct pair {
	struct unit_ring ring, other;
	pthread_barrier_t barrier;
	u32 flags; /* of setup */
};

static void pair_open(struct pair *pair, u32 flags)
{
	pair->flags = flags;
	unit_ring_open(&pair->ring, 8, flags);
	pthread_barrier_init(&pair->barrier, NULL, 2);
}

static void pair_close(struct pair *pair)
{
	pthread_barrier_destroy(&pair->barrier);
	unit_ring_close(&pair->ring);
}

static void *answer_each(void *argument)
{
	struct pair *pair = argument;

	unit_ring_open(&pair->other, 8, pair->flags);
	pthread_barrier_wait(&pair->barrier);
	for (u32 i = 0; i < ROUNDS; i++) {
		struct io_uring_cqe cqe = unit_cqe(&pair->other);

		sqe_message(&pair->other, &pair->ring, (u32)cqe.res + 1);
		unit_submit(&pair->other);
	}
	pthread_barrier_wait(&pair->barrier);
	unit_ring_close(&pair->other);
	return NULL;
}

static void answer_each_other(u32 flags)
{
	struct pair pair;
	pthread_t thread;

	pair_open(&pair, flags);
	assert_int_equal(pthread_create(&thread, NULL, answer_each, &pair), 0);
	pthread_barrier_wait(&pair.barrier);
	for (u32 i = 0; i < ROUNDS; i++) {
		sqe_message(&pair.ring, &pair.other, 2 * i);
		assert_int_equal(unit_enter(&pair.ring, 1, IORING_ENTER_GETEVENTS), 1);
		unit_expect(&pair.ring, 0, (s32)(2 * i + 1));
		if (i % 16 == 15)
			expect_message(&pair.ring); /* also after pauses */
	}
	assert_true(unit_ring_field(&pair.ring, await.answers) > 0);
	pthread_barrier_wait(&pair.barrier);
	pthread_join(thread, NULL);
	pair_close(&pair);
}

static void threads_that_answer_each_other_get_every_answer(void **state)
{
	(void)state;
	answer_each_other(0);
	answer_each_other(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN);
	answer_each_other(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
}

static long wait_for(const struct unit_ring *ring, u64 ns)
{
	struct abi_timespec time = {.tv_nsec = (s64)ns};
	struct io_uring_getevents_arg arg = {.ts = (u64)(size_t)&time};

	return syscall_enter((u32)ring->fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
			     &arg, sizeof(arg));
}

static void a_message_that_does_not_come_costs_no_more_than_a_moment(void **state)
{
	struct unit_ring ring;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	expect_message(&ring);
	/* Both when the time is over while it awaits, and when it sleeps by then. */
	assert_int_equal(wait_for(&ring, 20 * NS_PER_US), -ETIME);
	assert_int_equal(unit_ring_field(&ring, await.doublings), 1);
	expect_message(&ring);
	assert_int_equal(wait_for(&ring, 5 * NS_PER_MS), -ETIME);
	/* Once for a wait: it slept then. */
	assert_int_equal(unit_ring_field(&ring, await.doublings), 2);
	unit_ring_close(&ring);
}

/* Completes something in the ring that waits, from another thread. */
static void *submit_at_the_barrier(void *argument)
{
	struct pair *pair = argument;

	for (u32 i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&pair->barrier);
		unit_sqe(&pair->ring, IORING_OP_NOP, i);
		unit_submit(&pair->ring);
	}
	return NULL;
}

static void what_another_thread_submits_ends_the_wait_too(void **state)
{
	struct pair pair;
	pthread_t thread;

	(void)state;
	pair_open(&pair, 0);
	assert_int_equal(pthread_create(&thread, NULL, submit_at_the_barrier, &pair), 0);
	for (u32 i = 0; i < ROUNDS; i++) {
		expect_message(&pair.ring);
		pthread_barrier_wait(&pair.barrier);
		unit_expect(&pair.ring, i, 0);
	}
	pthread_join(thread, NULL);
	pair_close(&pair);
}

struct short_wait {
	struct unit_ring ring;
	u32 is_over; /* (a) */
};

static void *wait_a_little(void *argument)
{
	struct short_wait *wait = argument;
	long result = wait_for(&wait->ring, 2 * NS_PER_MS);

	store_release(&wait->is_over, 1);
	return (void *)result;
}

/* As in the kernel, where the call holds the ring: it waits on, and ends in time. */
static void a_ring_that_is_closed_meanwhile_stays_until_the_wait_ends(void **state)
{
	(void)state;
	for (u32 i = 0; i < 100; i++) {
		struct short_wait wait = {0};
		struct ring *inside;
		pthread_t thread;
		void *result;

		unit_ring_open(&wait.ring, 8, 0);
		inside = unit_ring_inside(&wait.ring);
		expect_message(&wait.ring);
		assert_int_equal(pthread_create(&thread, NULL, wait_a_little, &wait), 0);
		/* On a busy machine it may be over before it is seen. */
		unit_wait_until(load_relaxed(&inside->callers) ||
				unit_ring_field(&wait.ring, sleepers) ||
				load_acquire(&wait.is_over));
		unit_ring_close(&wait.ring);
		pthread_join(thread, &result);
		assert_int_equal((long)result, -ETIME);
		unit_wait_until(load_relaxed(&inside->life) == RING_FREE);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(threads_that_answer_each_other_get_every_answer),
	cmocka_unit_test(a_message_that_does_not_come_costs_no_more_than_a_moment),
	cmocka_unit_test(what_another_thread_submits_ends_the_wait_too),
	cmocka_unit_test(a_ring_that_is_closed_meanwhile_stays_until_the_wait_ends),
};

unit_main(tests)
