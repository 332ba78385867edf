/*
 * wake_test.c - nobody who waits for a completion waits in vain
 *
 * Work is finished by other threads (the punt pool, the reactor, other
 * submitters) while drivers sleep, are about to sleep, or only look at the CQ.
 * A wake-up that is lost shows as the alarm of unit_main().
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#include "host/clock.h"
#include "observe/stats.h"
#include "request/reactor.h"
#include "request/submit.h"
#include "unit_ring.h"

static u64 reactor_wakeups(void)
{
	return load_relaxed(&stats_process->counters[COUNTER_REACTOR_WAKEUPS]);
}

/* A regular file: sync_file_range() on it goes to the punt pool. */
static int scratch = -1;

static int make_scratch(void **state)
{
	(void)state;
	scratch = unit_scratch_file(4096, O_RDWR);
	return 0;
}

static void sqe_punted(struct unit_ring *ring, u64 user_data)
{
	/* No flags: there is nothing to do. */
	unit_sqe(ring, IORING_OP_SYNC_FILE_RANGE, user_data)->fd = scratch;
}

static void task_work_wakes_a_driver_however_near_it_is_to_sleep(void **state)
{
	struct unit_ring ring;
	u64 punts;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	punts = unit_ring_inside(&ring)->stats->counters[COUNTER_PUNTS];
	for (u32 i = 0; i < 3000; i++) {
		u32 count = 1 + i % 4;

		for (u32 j = 0; j < count; j++)
			sqe_punted(&ring, j);
		assert_int_equal(unit_enter(&ring, count, IORING_ENTER_GETEVENTS), count);
		assert_int_equal(unit_cqes_ready(&ring), count);
		store_release(&ring.header->cq_head, ring.header->cq_tail);
	}
	assert_true(unit_ring_inside(&ring)->stats->counters[COUNTER_PUNTS] > punts);
	unit_ring_close(&ring);
}

/* A pipe is written by a thread that starts with the wait, not before and not after. */
struct race {
	pthread_barrier_t barrier;
	int pipe[2];
	u32 rounds;
};

static void *write_at_the_barrier(void *argument)
{
	struct race *race = argument;

	for (u32 i = 0; i < race->rounds; i++) {
		pthread_barrier_wait(&race->barrier);
		assert_int_equal(write(race->pipe[1], "x", 1), 1);
	}
	return NULL;
}

static void readiness_wakes_a_driver_however_near_it_is_to_sleep(void **state)
{
	struct race race = {.rounds = 3000};
	struct unit_ring ring;
	pthread_t thread;
	char byte;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	assert_int_equal(pipe(race.pipe), 0);
	pthread_barrier_init(&race.barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, write_at_the_barrier, &race), 0);
	for (u32 i = 0; i < race.rounds; i++) {
		unit_sqe_rw(&ring, IORING_OP_READ, i, race.pipe[0], &byte, 1, 0);
		pthread_barrier_wait(&race.barrier);
		assert_int_equal(unit_enter(&ring, 1, IORING_ENTER_GETEVENTS), 1);
		unit_expect(&ring, i, 1);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&race.barrier);
	unit_close(race.pipe[0]);
	unit_close(race.pipe[1]);
	unit_ring_close(&ring);
}

/* Threads that each wait for one CQE more than there is. */
struct crowd {
	struct unit_ring ring;
	u32 waiting; /* (a) have begun */
	u32 tids[4]; /* (a) */
	long results[4];
	u32 min_complete;
};

static struct crowd crowd;

static void *wait_in_crowd(void *argument)
{
	u32 self = (u32)(size_t)argument;

	store_release(&crowd.tids[self], thread_id());
	crowd.results[self] = syscall_enter((u32)crowd.ring.fd, 0, crowd.min_complete,
					    IORING_ENTER_GETEVENTS, NULL, 0);
	return NULL;
}

static void crowd_start(pthread_t *threads, u32 count, u32 min_complete)
{
	crowd.min_complete = min_complete;
	memset(crowd.tids, 0, sizeof(crowd.tids));
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_in_crowd, (void *)i), 0);
	for (u32 i = 0; i < count; i++)
		unit_wait_until(load_acquire(&crowd.tids[i]));
	unit_wait_until(unit_ring_field(&crowd.ring, sleepers) == count);
}

static void crowd_join(pthread_t *threads, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(crowd.results[i], 0);
	}
}

static void all_threads_that_sleep_in_one_ring_see_what_another_submits(void **state)
{
	pthread_t threads[4];

	(void)state;
	unit_ring_open(&crowd.ring, 8, 0);
	for (u32 round = 0; round < 200; round++) {
		crowd_start(threads, 4, 1);
		unit_sqe(&crowd.ring, IORING_OP_NOP, round);
		unit_submit(&crowd.ring);
		crowd_join(threads, 4);
		unit_expect(&crowd.ring, round, 0);
	}
	unit_ring_close(&crowd.ring);
}

/* None of them may go yet. Each looks once, and the last look ends the round: they do not wake
 * each other for ever. */
static void threads_that_wait_for_more_look_once_and_sleep_on(void **state)
{
	pthread_t threads[4];

	(void)state;
	unit_ring_open(&crowd.ring, 64, 0);
	for (u32 round = 0; round < 20; round++) {
		crowd_start(threads, 4, 2);
		unit_sqe(&crowd.ring, IORING_OP_NOP, 2 * round);
		unit_submit(&crowd.ring);
		unit_wait_until(unit_ring_field(&crowd.ring, kicks) == 0 &&
				unit_ring_field(&crowd.ring, sleepers) == 4);
		unit_sqe(&crowd.ring, IORING_OP_NOP, 2 * round + 1);
		unit_submit(&crowd.ring);
		crowd_join(threads, 4);
		unit_expect(&crowd.ring, 2 * round, 0);
		unit_expect(&crowd.ring, 2 * round + 1, 0);
	}
	unit_ring_close(&crowd.ring);
}

static void all_threads_that_sleep_in_one_ring_see_what_a_worker_completes(void **state)
{
	pthread_t threads[3];

	(void)state;
	unit_ring_open(&crowd.ring, 8, 0);
	for (u32 round = 0; round < 200; round++) {
		crowd_start(threads, 3, 2);
		sqe_punted(&crowd.ring, 1);
		sqe_punted(&crowd.ring, 2);
		unit_submit(&crowd.ring);
		crowd_join(threads, 3);
		unit_cqe(&crowd.ring);
		unit_cqe(&crowd.ring);
	}
	unit_ring_close(&crowd.ring);
}

static void a_thread_that_sleeps_sees_the_timeout_that_another_submits(void **state)
{
	pthread_t thread;

	(void)state;
	unit_ring_open(&crowd.ring, 8, 0);
	for (u32 round = 0; round < 20; round++) {
		crowd_start(&thread, 1, 1);
		unit_sqe_timeout(&crowd.ring, round, &unit_millisecond, 0, 0);
		unit_submit(&crowd.ring);
		crowd_join(&thread, 1);
		unit_expect(&crowd.ring, round, -ETIME);
	}
	unit_ring_close(&crowd.ring);
}

/* The first sleeper has the timer in its sleep, and leaves before it fires. */
static void a_timer_is_taken_over_by_the_thread_that_sleeps_on(void **state)
{
	static const struct abi_timespec soon = {.tv_nsec = 30 * UNIT_MS};
	pthread_t first, second;

	(void)state;
	unit_ring_open(&crowd.ring, 8, 0);
	for (u32 round = 0; round < 5; round++) {
		unit_sqe_timeout(&crowd.ring, 7, &soon, 0, 0);
		unit_submit(&crowd.ring);
		crowd_start(&first, 1, 1);
		crowd.min_complete = 2;
		assert_int_equal(pthread_create(&second, NULL, wait_in_crowd, (void *)1), 0);
		unit_wait_until(unit_ring_field(&crowd.ring, sleepers) == 2);
		unit_sqe(&crowd.ring, IORING_OP_NOP, 1);
		unit_submit(&crowd.ring);
		crowd_join(&first, 1);
		pthread_join(second, NULL);
		unit_expect(&crowd.ring, 1, 0);
		unit_expect(&crowd.ring, 7, -ETIME);
	}
	unit_ring_close(&crowd.ring);
}

static void a_thread_that_sleeps_sees_the_direct_read_that_another_submits(void **state)
{
	int fd = unit_scratch_file(65536, O_RDONLY | O_DIRECT);
	void *buffer = NULL;
	pthread_t thread;

	(void)state;
	if (fd < 0) {
		print_message("skip: no O_DIRECT on the scratch file system\n");
		skip();
	}
	assert_int_equal(posix_memalign(&buffer, 4096, 4096), 0);
	for (u32 round = 0; round < 20; round++) {
		unit_ring_open(&crowd.ring, 8, 0);
		crowd_start(&thread, 1, 1);
		unit_sqe_rw(&crowd.ring, IORING_OP_READ, 5, fd, buffer, 4096, 4096);
		unit_submit(&crowd.ring);
		crowd_join(&thread, 1);
		unit_expect(&crowd.ring, 5, 4096);
		unit_assert_bytes(buffer, 4096, 4096);
		unit_ring_close(&crowd.ring);
	}
	free(buffer);
	unit_close(fd);
}

/* As in the kernel, where the call holds the ring. */
static void sleepers_go_on_in_a_ring_that_was_closed(void **state)
{
	static const struct abi_timespec later = {.tv_nsec = 50 * UNIT_MS};
	pthread_t threads[2];

	(void)state;
	unit_ring_open(&crowd.ring, 8, 0);
	unit_sqe_timeout(&crowd.ring, 1, &later, 0, 0);
	unit_submit(&crowd.ring);
	crowd_start(threads, 2, 1);
	unit_ring_close(&crowd.ring);
	for (u32 i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(crowd.results[i], 0);
	}
}

/* The reactor */

static void a_program_that_only_looks_sees_its_completions(void **state)
{
	struct unit_ring ring;
	struct io_uring_cqe cqe;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	for (u32 i = 0; i < 50; i++) {
		sqe_punted(&ring, i);
		unit_submit(&ring);
		unit_wait_until(unit_cqe_try(&ring, &cqe));
		assert_int_equal(cqe.user_data, i);
	}
	unit_ring_close(&ring);
}

static void a_program_that_only_looks_sees_timers_and_polls_long_after(void **state)
{
	static const struct abi_timespec later = {.tv_nsec = 30 * UNIT_MS};
	struct unit_ring ring;
	struct io_uring_cqe cqe;
	int ends[2];

	(void)state;
	unit_ring_open(&ring, 8, 0);
	assert_int_equal(pipe(ends), 0);
	for (u32 i = 0; i < 5; i++) {
		unit_sqe_poll(&ring, 1, ends[0], POLLIN, 0);
		unit_sqe_timeout(&ring, 2, &later, 0, 0);
		unit_submit(&ring);
		/* By now nobody ticks any more: the ring is watched. */
		unit_wait_until(unit_cqe_try(&ring, &cqe));
		assert_int_equal(cqe.user_data, 2);
		assert_int_equal(write(ends[1], "x", 1), 1);
		unit_wait_until(unit_cqe_try(&ring, &cqe));
		assert_int_equal(cqe.user_data, 1);
		assert_int_equal(cqe.res, POLLIN);
		assert_int_equal(read(ends[0], &(char){0}, 1), 1);
	}
	unit_close(ends[0]);
	unit_close(ends[1]);
	unit_ring_close(&ring);
}

/* A worker that finishes at the very moment at which the reactor goes over from ticks to the
 * epoll set. */
static void work_that_ends_while_the_reactor_goes_to_sleep_is_seen(void **state)
{
	struct unit_ring ring;
	struct io_uring_cqe cqe;
	int ends[2];
	char byte;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	assert_int_equal(pipe(ends), 0);
	for (u32 i = 0; i < 60; i++) {
		struct timespec wait = {.tv_nsec = (long)(2 * UNIT_MS + i * UNIT_MS / 20)};

		unit_sqe_poll(&ring, 1, ends[0], POLLIN, 0);
		unit_submit(&ring);
		nanosleep(&wait, NULL); /* varies the moment; nothing hopes for it */
		sqe_punted(&ring, 2);
		unit_submit(&ring);
		unit_wait_until(unit_cqe_try(&ring, &cqe));
		assert_int_equal(cqe.user_data, 2);
		assert_int_equal(write(ends[1], "x", 1), 1);
		unit_wait_until(unit_cqe_try(&ring, &cqe));
		assert_int_equal(cqe.user_data, 1);
		assert_int_equal(read(ends[0], &byte, 1), 1);
	}
	unit_close(ends[0]);
	unit_close(ends[1]);
	unit_ring_close(&ring);
}

/*
 * While anything waits it looks each millisecond for a program that may only look, and a
 * quarter of one later where it finds the ring locked: never more often, whatever completes.
 */
static void completions_of_a_program_that_waits_inside_do_not_wake_the_reactor(void **state)
{
	struct unit_ring ring;
	u64 before, wakeups, start, ms;
	int ends[2];
	char byte;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	assert_int_equal(pipe(ends), 0);
	unit_sqe_rw(&ring, IORING_OP_READ, 0, ends[0], &byte, 1, 0);
	unit_submit(&ring);
	before = reactor_wakeups();
	start = clock_ns(CLOCK_MONOTONIC);
	for (u32 i = 0; i < 10000; i++) {
		sqe_punted(&ring, 1);
		assert_int_equal(unit_enter(&ring, 1, IORING_ENTER_GETEVENTS), 1);
		unit_expect(&ring, 1, 0);
	}
	ms = (clock_ns(CLOCK_MONOTONIC) - start) / UNIT_MS;
	wakeups = reactor_wakeups() - before;
	if (wakeups > 4 * ms + 50)
		fail_msg("%llu wake-ups in %llu ms", (unsigned long long)wakeups,
			 (unsigned long long)ms);
	assert_int_equal(write(ends[1], "x", 1), 1);
	unit_expect(&ring, 0, 1);
	unit_close(ends[0]);
	unit_close(ends[1]);
	unit_ring_close(&ring);
}

static void one_long_wait_makes_the_reactor_sleep(void **state)
{
	static const struct abi_timespec long_wait = {.tv_nsec = 300 * UNIT_MS};
	struct unit_ring ring;
	u64 before;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	sqe_punted(&ring, 0);
	unit_submit(&ring);
	unit_cqe(&ring);
	before = reactor_wakeups();
	unit_sqe_timeout(&ring, 1, &long_wait, 0, 0);
	assert_int_equal(unit_enter(&ring, 1, IORING_ENTER_GETEVENTS), 1);
	assert_true(reactor_wakeups() - before < 50);
	unit_ring_close(&ring);
}

#define DEFER (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

static void a_deferred_ring_completes_in_enter_only_and_leaves_the_reactor_asleep(void **state)
{
	struct unit_ring ring;
	struct ring *inside;
	u64 before;

	(void)state;
	unit_ring_open(&ring, 8, DEFER);
	inside = unit_ring_inside(&ring);
	before = reactor_wakeups();
	for (u32 i = 0; i < 20; i++) {
		sqe_punted(&ring, i);
		unit_submit(&ring);
		unit_wait_until(!mpsc_is_empty(&inside->task_work));
		assert_int_equal(unit_cqes_ready(&ring), 0);
		assert_int_equal(inside->attendance, ATTEND_NOBODY);
		unit_expect(&ring, i, 0);
	}
	assert_true(reactor_wakeups() - before < 5);
	unit_ring_close(&ring);
}

/* Submits as enter does, and keeps the reactor out until the worker has finished, if `is_late`. */
static void submit_deferred(struct unit_ring *ring, bool is_late)
{
	struct ring *inside = unit_ring_inside(ring);

	if (!is_late) {
		unit_submit(ring);
		return;
	}
	ring_lock(inside);
	store_release(&ring->header->sq_tail, ring->tail);
	assert_int_equal(submit_batch(inside, ring->unsubmitted), ring->unsubmitted);
	ring->unsubmitted = 0;
	unit_wait_until(!mpsc_is_empty(&inside->task_work));
	ring_commit(inside);
	reactor_attend(inside);
	ring_unlock(inside);
}

static void a_deferred_rings_eventfd_tells_that_something_is_ready(void **state)
{
	struct pollfd entry = {.events = POLLIN};
	struct unit_ring ring;
	s32 event_fd = eventfd(0, EFD_NONBLOCK);
	u64 counter;

	(void)state;
	entry.fd = event_fd;
	unit_ring_open(&ring, 8, DEFER);
	assert_int_equal(syscall_register((u32)ring.fd, IORING_REGISTER_EVENTFD, &event_fd, 1), 0);
	for (u32 i = 0; i < 50; i++) {
		sqe_punted(&ring, i);
		submit_deferred(&ring, i % 2);
		assert_int_equal(poll(&entry, 1, UNIT_SECONDS * 1000), 1);
		assert_int_equal(unit_cqes_ready(&ring), 0);
		unit_expect(&ring, i, 0);
		assert_int_equal(read(event_fd, &counter, sizeof(counter)), sizeof(counter));
	}
	unit_ring_close(&ring);
	unit_close(event_fd);
}

static void the_taskrun_flag_says_that_a_deferred_ring_wants_to_be_entered(void **state)
{
	struct unit_ring ring;

	(void)state;
	unit_ring_open(&ring, 8, DEFER | IORING_SETUP_TASKRUN_FLAG);
	assert_int_equal(ring.header->sq_flags & IORING_SQ_TASKRUN, 0);
	sqe_punted(&ring, 1);
	unit_submit(&ring);
	unit_wait_until(load_relaxed(&ring.header->sq_flags) & IORING_SQ_TASKRUN);
	unit_expect(&ring, 1, 0);
	unit_expect_none(&ring);
	assert_int_equal(ring.header->sq_flags & IORING_SQ_TASKRUN, 0);
	unit_ring_close(&ring);
}

/* SQPOLL */

static void sqpoll_open(struct unit_ring *ring, u32 idle_ms)
{
	*ring = (struct unit_ring){
		.params = {.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = idle_ms}};
	unit_ring_open_params(ring, 8);
}

/* What liburing does: shows the SQEs, and enters only if the poller sleeps. Returns whether it
 * did. */
static bool sqpoll_submit(struct unit_ring *ring)
{
	store_release(&ring->header->sq_tail, ring->tail);
	ring->unsubmitted = 0;
	barrier_full();
	if (!(load_relaxed(&ring->header->sq_flags) & IORING_SQ_NEED_WAKEUP))
		return false;
	assert_int_equal(syscall_enter((u32)ring->fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0), 1);
	return true;
}

static void sqpoll_takes_sqes_without_a_call_while_it_is_awake(void **state)
{
	struct unit_ring ring;
	struct io_uring_cqe cqe;

	(void)state;
	sqpoll_open(&ring, 60000);
	for (u32 i = 0; i < 1000; i++) {
		unit_sqe(&ring, IORING_OP_NOP, i);
		assert_false(sqpoll_submit(&ring));
		unit_wait_until(unit_cqe_try(&ring, &cqe));
		assert_int_equal(cqe.user_data, i);
	}
	assert_int_equal(ring.header->sq_head, 1000);
	unit_ring_close(&ring);
}

static void sqpoll_asks_for_a_wakeup_when_it_was_idle_and_loses_no_sqe(void **state)
{
	struct unit_ring ring;
	struct io_uring_cqe cqe;
	u32 woken = 0;

	(void)state;
	sqpoll_open(&ring, 1);
	for (u32 i = 0; i < 200; i++) {
		/* Sometimes it sleeps, sometimes it is awake, and sometimes it is just going. */
		if (i % 3 == 0)
			unit_wait_until(load_relaxed(&ring.header->sq_flags) &
					IORING_SQ_NEED_WAKEUP);
		else if (i % 3 == 1)
			nanosleep(&(struct timespec){.tv_nsec = (long)(UNIT_MS - 20000 + i * 200)},
				  NULL);
		unit_sqe(&ring, IORING_OP_NOP, i);
		woken += sqpoll_submit(&ring);
		unit_wait_until(unit_cqe_try(&ring, &cqe));
		assert_int_equal(cqe.user_data, i);
	}
	assert_true(woken >= 200 / 3);
	unit_ring_close(&ring);
}

static void sqpoll_sleeps_while_nothing_is_submitted(void **state)
{
	struct unit_ring ring;
	u64 wakeups;

	(void)state;
	sqpoll_open(&ring, 1);
	unit_wait_until(load_relaxed(&ring.header->sq_flags) & IORING_SQ_NEED_WAKEUP);
	unit_wait_until(load_relaxed(&unit_ring_inside(&ring)->attendance) == ATTEND_EPOLL);
	wakeups = reactor_wakeups();
	nanosleep(&(struct timespec){.tv_nsec = (long)(100 * UNIT_MS)}, NULL);
	assert_true(reactor_wakeups() - wakeups <= 2);
	unit_ring_close(&ring);
}

static void sqpoll_completes_what_waits_while_it_sleeps(void **state)
{
	static const struct abi_timespec later = {.tv_nsec = 20 * UNIT_MS};
	struct unit_ring ring;
	struct io_uring_cqe cqe;
	int ends[2];

	(void)state;
	sqpoll_open(&ring, 1);
	assert_int_equal(pipe(ends), 0);
	unit_sqe_timeout(&ring, 1, &later, 0, 0);
	unit_sqe_poll(&ring, 2, ends[0], POLLIN, 0);
	sqpoll_submit(&ring);
	unit_wait_until(unit_cqe_try(&ring, &cqe));
	assert_int_equal(cqe.user_data, 1);
	unit_wait_until(load_relaxed(&ring.header->sq_flags) & IORING_SQ_NEED_WAKEUP);
	assert_int_equal(write(ends[1], "x", 1), 1);
	unit_expect(&ring, 2, POLLIN);
	unit_close(ends[0]);
	unit_close(ends[1]);
	unit_ring_close(&ring);
}

static void sq_wait_returns_when_there_is_room(void **state)
{
	struct unit_ring ring;
	u32 taken = 0;

	(void)state;
	sqpoll_open(&ring, 60000);
	for (u32 i = 0; i < 500; i++) {
		while (ring.tail - load_acquire(&ring.header->sq_head) == ring.params.sq_entries)
			assert_int_equal(syscall_enter((u32)ring.fd, 0, 0, IORING_ENTER_SQ_WAIT,
						       NULL, 0),
					 0);
		unit_sqe(&ring, IORING_OP_NOP, i);
		sqpoll_submit(&ring);
		for (struct io_uring_cqe cqe; unit_cqe_try(&ring, &cqe);)
			assert_int_equal(cqe.user_data, taken++);
	}
	while (taken < 500)
		unit_expect(&ring, taken++, 0);
	unit_ring_close(&ring);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(task_work_wakes_a_driver_however_near_it_is_to_sleep),
	cmocka_unit_test(readiness_wakes_a_driver_however_near_it_is_to_sleep),
	cmocka_unit_test(all_threads_that_sleep_in_one_ring_see_what_another_submits),
	cmocka_unit_test(threads_that_wait_for_more_look_once_and_sleep_on),
	cmocka_unit_test(all_threads_that_sleep_in_one_ring_see_what_a_worker_completes),
	cmocka_unit_test(a_thread_that_sleeps_sees_the_timeout_that_another_submits),
	cmocka_unit_test(a_timer_is_taken_over_by_the_thread_that_sleeps_on),
	cmocka_unit_test(a_thread_that_sleeps_sees_the_direct_read_that_another_submits),
	cmocka_unit_test(sleepers_go_on_in_a_ring_that_was_closed),
	cmocka_unit_test(a_program_that_only_looks_sees_its_completions),
	cmocka_unit_test(a_program_that_only_looks_sees_timers_and_polls_long_after),
	cmocka_unit_test(work_that_ends_while_the_reactor_goes_to_sleep_is_seen),
	cmocka_unit_test(completions_of_a_program_that_waits_inside_do_not_wake_the_reactor),
	cmocka_unit_test(one_long_wait_makes_the_reactor_sleep),
	cmocka_unit_test(a_deferred_ring_completes_in_enter_only_and_leaves_the_reactor_asleep),
	cmocka_unit_test(a_deferred_rings_eventfd_tells_that_something_is_ready),
	cmocka_unit_test(the_taskrun_flag_says_that_a_deferred_ring_wants_to_be_entered),
	cmocka_unit_test(sqpoll_takes_sqes_without_a_call_while_it_is_awake),
	cmocka_unit_test(sqpoll_asks_for_a_wakeup_when_it_was_idle_and_loses_no_sqe),
	cmocka_unit_test(sqpoll_sleeps_while_nothing_is_submitted),
	cmocka_unit_test(sqpoll_completes_what_waits_while_it_sleeps),
	cmocka_unit_test(sq_wait_returns_when_there_is_room),
};

int main(void)
{
	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, make_scratch, NULL);
}
