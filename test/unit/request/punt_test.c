/*
 * punt_test.c - the punt pool
 *
 * Work waits at gates (pipes, futex words) that the test opens, so what runs
 * when is decided by the test and not by the scheduler.
 */
#include "request/punt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/atomic.h"
#include "host/clock.h"
#include "host/futex.h"
#include "host/sigaction.h"
#include "observe/stats.h"
#include "unit.h"

struct job {
	struct punt_work work;
	u32 gate;  /* (a) run() waits here until it is 1 */
	u32 began; /* (a) */
	u32 done;  /* (a) */
	int ends[2];
	u32 tid; /* (a) */
	long result;
	u64 mask;
	struct job **order; /* where run() writes down who came next */
};

static struct punt_pool *pool;
static u32 order_count;           /* (a) */
static u32 running, running_peak; /* (a) */

static void job_done(struct punt_work *work)
{
	struct job *job = container_of(work, struct job, work);

	add_full(&job->done, 1);
}

static void wait_at_gate(struct punt_work *work)
{
	struct job *job = container_of(work, struct job, work);
	u32 now = add_full(&running, 1) + 1, peak = load_relaxed(&running_peak);

	while (now > peak && !compare_exchange(&running_peak, &peak, now))
		;
	if (job->order)
		job->order[add_full(&order_count, 1)] = job;
	store_release(&job->began, 1);
	while (!load_acquire(&job->gate))
		futex_wait(&job->gate, 0, FUTEX_FOREVER);
	sub_full(&running, 1);
}

static void read_pipe(struct punt_work *work)
{
	struct job *job = container_of(work, struct job, work);
	char byte;

	store_release(&job->tid, (u32)gettid());
	store_release(&job->began, 1);
	job->result = punt_call(SYS_read, job->ends[0], &byte, 1);
}

static void read_mask(struct punt_work *work)
{
	struct job *job = container_of(work, struct job, work);

	job->result = sigmask_set(SIG_BLOCK, NULL, &job->mask);
}

static void job_init(struct job *job, void (*run)(struct punt_work *), u64 key)
{
	*job = (struct job){.ends = {-1, -1}};
	punt_work_init(&job->work, run, job_done, key);
}

static void job_queue(struct job *job, bool is_bounded)
{
	assert_int_equal(punt_queue(pool, &job->work, is_bounded), 0);
}

static void job_open(struct job *job)
{
	store_release(&job->gate, 1);
	futex_wake(&job->gate, FUTEX_ALL);
}

static void job_wait(struct job *job)
{
	unit_wait_until(load_acquire(&job->done));
	assert_int_equal(job->done, 1);
}

static void set_limits(u32 bounded, u32 unbounded)
{
	u32 old[2];

	punt_limits(pool, (const u32[2]){bounded, unbounded}, old);
}

static void works_of_one_key_run_one_at_a_time_in_order(void **state)
{
	enum { JOBS = 20 };
	static struct job jobs[JOBS], *order[JOBS];

	(void)state;
	set_limits(4, 4);
	order_count = 0;
	store_relaxed(&running_peak, 0);
	for (int i = 0; i < JOBS; i++) {
		job_init(&jobs[i], wait_at_gate, 42);
		jobs[i].order = order;
		job_queue(&jobs[i], true);
	}
	unit_wait_until(load_acquire(&jobs[0].began));
	for (int i = 1; i < JOBS; i++)
		assert_int_equal(jobs[i].work.state, PUNT_HELD);
	for (int i = 0; i < JOBS; i++)
		job_open(&jobs[i]);
	for (int i = 0; i < JOBS; i++) {
		job_wait(&jobs[i]);
		assert_ptr_equal(order[i], &jobs[i]);
	}
	assert_int_equal(load_relaxed(&running_peak), 1);
}

static void works_of_other_keys_do_not_wait_for_a_blocked_one(void **state)
{
	struct job blocked, other, free_of_keys;

	(void)state;
	set_limits(4, 4);
	job_init(&blocked, wait_at_gate, 1);
	job_init(&other, wait_at_gate, 2);
	job_init(&free_of_keys, wait_at_gate, 0);
	job_queue(&blocked, true);
	job_queue(&other, true);
	job_queue(&free_of_keys, true);
	job_open(&other);
	job_open(&free_of_keys);
	job_wait(&other);
	job_wait(&free_of_keys);
	assert_int_equal(load_acquire(&blocked.done), 0);
	job_open(&blocked);
	job_wait(&blocked);
}

static void the_limit_is_respected_and_every_work_runs(void **state)
{
	enum { JOBS = 12 };
	static struct job jobs[JOBS];

	(void)state;
	set_limits(3, 4);
	store_relaxed(&running_peak, 0);
	for (int i = 0; i < JOBS; i++) {
		job_init(&jobs[i], wait_at_gate, 0);
		job_queue(&jobs[i], true);
	}
	unit_wait_until(load_acquire(&running) == 3);
	for (int i = 0; i < JOBS; i++)
		job_open(&jobs[i]);
	for (int i = 0; i < JOBS; i++)
		job_wait(&jobs[i]);
	assert_int_equal(load_relaxed(&running_peak), 3);
}

static void a_raised_limit_starts_what_has_waited_for_it(void **state)
{
	struct job first, second;

	(void)state;
	set_limits(1, 1);
	job_init(&first, wait_at_gate, 0);
	job_init(&second, wait_at_gate, 0);
	job_queue(&first, false);
	unit_wait_until(load_acquire(&first.began));
	job_queue(&second, false);
	assert_int_equal(second.work.state, PUNT_QUEUED);
	set_limits(0, 2);
	unit_wait_until(load_acquire(&second.began));
	job_open(&second);
	job_wait(&second);
	job_open(&first);
	job_wait(&first);
}

static void unbounded_work_that_blocks_for_ever_does_not_starve_bounded_work(void **state)
{
	struct job blocked, behind, bounded;

	(void)state;
	set_limits(1, 1);
	job_init(&blocked, wait_at_gate, 0);
	job_init(&behind, wait_at_gate, 0);
	job_init(&bounded, wait_at_gate, 0);
	job_queue(&blocked, false);
	job_queue(&behind, false);
	job_queue(&bounded, true);
	job_open(&bounded);
	job_wait(&bounded);
	assert_int_equal(load_acquire(&behind.done), 0);
	job_open(&blocked);
	job_open(&behind);
	job_wait(&blocked);
	job_wait(&behind);
}

static void queued_and_held_works_can_be_cancelled_and_a_running_one_cannot(void **state)
{
	struct job first, held, next, queued;

	(void)state;
	set_limits(1, 1);
	job_init(&first, wait_at_gate, 7);
	job_init(&held, wait_at_gate, 7);
	job_init(&next, wait_at_gate, 7);
	job_init(&queued, wait_at_gate, 8);
	job_queue(&first, true);
	job_queue(&held, true);
	job_queue(&next, true);
	job_queue(&queued, true);
	unit_wait_until(load_acquire(&first.began));
	assert_false(punt_cancel(&first.work));
	assert_true(punt_cancel(&held.work));
	assert_false(punt_cancel(&held.work));
	assert_true(punt_cancel(&queued.work));
	job_open(&first);
	job_open(&next);
	job_wait(&first);
	job_wait(&next);
	assert_false(punt_cancel(&first.work));
	assert_int_equal(held.done + queued.done + held.began + queued.began, 0);
}

static void cancelling_the_first_of_a_key_lets_the_next_one_run(void **state)
{
	struct job busy, first, second;

	(void)state;
	set_limits(1, 1);
	job_init(&busy, wait_at_gate, 0);
	job_init(&first, wait_at_gate, 9);
	job_init(&second, wait_at_gate, 9);
	job_queue(&busy, true);
	unit_wait_until(load_acquire(&busy.began));
	job_queue(&first, true);
	job_queue(&second, true);
	assert_int_equal(second.work.state, PUNT_HELD);
	assert_true(punt_cancel(&first.work));
	assert_int_equal(second.work.state, PUNT_QUEUED);
	job_open(&second);
	job_open(&busy);
	job_wait(&second);
	job_wait(&busy);
}

/*
 * The interrupt comes at every possible moment of the work: before its call,
 * on the way into it, inside it. None is lost, and none hits the work after it
 * on the same worker.
 */
static void an_interrupt_always_ends_its_work_and_never_another(void **state)
{
	enum { ROUNDS = UNIT_IS_SANITIZED ? 500 : 5000 };
	struct job interrupted, undisturbed;
	int ends[2], quiet[2];
	u64 random = 3;

	(void)state;
	set_limits(1, 1);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pipe(quiet), 0);
	for (int i = 0; i < ROUNDS; i++) {
		job_init(&interrupted, read_pipe, 0);
		job_init(&undisturbed, read_pipe, 0);
		memcpy(interrupted.ends, ends, sizeof(ends));
		memcpy(undisturbed.ends, quiet, sizeof(quiet));
		job_queue(&interrupted, false);
		job_queue(&undisturbed, false);
		for (u64 spin = unit_random(&random) % 2000; spin > 0; spin--)
			cpu_relax();
		/* False as long as it is still queued. */
		unit_wait_until(punt_interrupt(&interrupted.work));
		job_wait(&interrupted);
		assert_int_equal(interrupted.result, -EINTR);
		assert_int_equal(write(quiet[1], "x", 1), 1);
		job_wait(&undisturbed);
		assert_int_equal(undisturbed.result, 1);
	}
	for (int i = 0; i < 2; i++) {
		close(ends[i]);
		close(quiet[i]);
	}
}

static void call_twice(struct punt_work *work)
{
	struct job *job = container_of(work, struct job, work);
	char byte;

	store_release(&job->began, 1);
	job->result = punt_call(SYS_read, job->ends[0], &byte, 1);
	if (job->result == -EINTR && punt_is_interrupted())
		job->result = punt_call(SYS_getppid, 0);
}

static void after_an_interrupt_later_calls_of_the_work_fail_too(void **state)
{
	struct job job;

	(void)state;
	job_init(&job, call_twice, 0);
	assert_int_equal(pipe(job.ends), 0);
	assert_false(punt_interrupt(&job.work));
	job_queue(&job, false);
	unit_wait_until(punt_interrupt(&job.work));
	job_wait(&job);
	assert_int_equal(job.result, -EINTR);
	assert_false(punt_interrupt(&job.work));
	close(job.ends[0]);
	close(job.ends[1]);
}

/* Ends with its interrupt sent and pending, which the worker's own mask keeps from being taken. */
static void be_interrupted_unaware(struct punt_work *work)
{
	struct job *job = container_of(work, struct job, work);
	u64 realtime = ~0ull << (SIGRTMIN - 1); /* of these only the pool's is open: see thread.h */

	job->result = sigmask_set(SIG_BLOCK, &realtime, NULL);
	store_release(&job->began, 1);
	while (!punt_is_interrupted())
		sched_yield();
}

/* Waits a moment for nothing with every signal open: one that is pending ends it. */
static void wait_with_signals_open(struct punt_work *work)
{
	struct job *job = container_of(work, struct job, work);
	struct timespec moment = {.tv_nsec = NS_PER_MS};
	u64 none = 0;

	job->result = punt_call(SYS_ppoll, NULL, 0, &moment, &none, sizeof(none));
}

static void an_interrupt_still_pending_at_the_end_is_taken_before_the_next_work(void **state)
{
	struct job interrupted, next;

	(void)state;
	set_limits(1, 1);
	job_init(&interrupted, be_interrupted_unaware, 0);
	job_init(&next, wait_with_signals_open, 0);
	job_queue(&interrupted, false);
	job_queue(&next, false);
	unit_wait_until(load_acquire(&interrupted.began));
	assert_true(punt_interrupt(&interrupted.work));
	job_wait(&interrupted);
	job_wait(&next);
	assert_int_equal(next.result, 0);
	/* The pool's signal must be open again in that worker, and is. */
	assert_int_equal(interrupted.result, 0);
	after_an_interrupt_later_calls_of_the_work_fail_too(state);
}

static void a_call_outside_the_pool_is_an_ordinary_call(void **state)
{
	(void)state;
	assert_int_equal(punt_call(SYS_getpid, 0), getpid());
	assert_int_equal(punt_call(SYS_close, -1), -EBADF);
	assert_false(punt_is_interrupted());
}

static void workers_block_the_programs_signals_but_not_faults_and_the_c_librarys(void **state)
{
	static const int blocked[] = {SIGINT, SIGTERM, SIGALRM, SIGUSR1, SIGCHLD, SIGIO};
	static const int open[] = {SIGSEGV, SIGBUS, SIGSYS, 32, 33};
	struct job job;

	(void)state;
	job_init(&job, read_mask, 0);
	job_queue(&job, true);
	job_wait(&job);
	assert_int_equal(job.result, 0);
	for (int i = 0; i < (int)ARRAY_SIZE(blocked); i++)
		assert_true(job.mask & SIGNAL_BIT(blocked[i]));
	for (int i = 0; i < (int)ARRAY_SIZE(open); i++)
		assert_false(job.mask & SIGNAL_BIT(open[i]));
}

/* The C library asks every thread of the process, and waits for each to answer. */
static void a_setuid_of_the_program_neither_hangs_nor_disturbs_a_worker(void **state)
{
	struct job job;

	(void)state;
	job_init(&job, read_pipe, 0);
	assert_int_equal(pipe(job.ends), 0);
	job_queue(&job, false);
	unit_wait_until(load_acquire(&job.tid) && unit_thread_sleeps((int)job.tid));
	assert_int_equal(setuid(getuid()), 0);
	assert_int_equal(write(job.ends[1], "x", 1), 1);
	job_wait(&job);
	assert_int_equal(job.result, 1);
	close(job.ends[0]);
	close(job.ends[1]);
}

/* The realtime signal that the running worker has open: it is the pool's. */
static int signal_of_pool(void)
{
	struct job job;

	job_init(&job, read_mask, 0);
	job_queue(&job, true);
	job_wait(&job);
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		if (!(job.mask & SIGNAL_BIT(signal)))
			return signal;
	return 0;
}

/* Sent to one thread or, with 0, to the process; taken by this thread, which blocks it. */
static void send_and_receive(int number, int value, u32 tid)
{
	struct timespec long_enough = {.tv_sec = UNIT_SECONDS};
	siginfo_t info = {.si_code = SI_QUEUE};
	sigset_t set;

	info.si_pid = getpid();
	info.si_value.sival_int = value;
	if (tid)
		assert_int_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, number, &info), 0);
	else
		assert_int_equal(syscall(SYS_rt_sigqueueinfo, getpid(), number, &info), 0);
	sigemptyset(&set);
	sigaddset(&set, number);
	memset(&info, 0, sizeof(info));
	assert_int_equal(sigtimedwait(&set, &info, &long_enough), number);
	assert_int_equal(info.si_value.sival_int, value);
	assert_int_equal(info.si_pid, getpid());
}

static void the_programs_own_signal_of_that_number_reaches_the_program(void **state)
{
	int number = signal_of_pool();
	sigset_t set, old;
	struct job job;

	(void)state;
	assert_true(number != 0);
	/* A worker sits in a call with the signal open; the program blocks it and asks for it. */
	job_init(&job, read_pipe, 0);
	assert_int_equal(pipe(job.ends), 0);
	job_queue(&job, false);
	unit_wait_until(load_acquire(&job.tid) && unit_thread_sleeps((int)job.tid));
	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	send_and_receive(number, 77, job.tid);
	send_and_receive(number, 78, 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);

	assert_int_equal(write(job.ends[1], "x", 1), 1);
	job_wait(&job);
	assert_int_equal(job.result, 1); /* the worker's call went on */
	close(job.ends[0]);
	close(job.ends[1]);
	/* And the pool can interrupt as before. */
	after_an_interrupt_later_calls_of_the_work_fail_too(state);
}

static int die_of_the_signal(void)
{
	raise(signal_of_pool());
	return 1;
}

static int die_in_child(void)
{
	punt_fork_child();
	pool = punt_pool_start(1);
	return die_of_the_signal();
}

static void the_default_action_of_that_number_stays_what_it_was(void **state)
{
	(void)state;
	assert_int_equal(unit_in_child(die_in_child), 256 + SIGRTMAX - 5);
}

static u32 programs_handler_ran;

static void programs_handler(int signal)
{
	(void)signal;
	store_relaxed(&programs_handler_ran, 1);
}

static void a_number_that_the_program_takes_later_is_left_to_it(void **state)
{
	struct sigaction action = {.sa_handler = programs_handler}, old;
	int number = signal_of_pool();
	struct job job;

	(void)state;
	set_limits(1, 1);
	job_init(&job, read_pipe, 0);
	assert_int_equal(pipe(job.ends), 0);
	job_queue(&job, false);
	unit_wait_until(load_acquire(&job.began));
	assert_int_equal(sigaction(number, &action, &old), 0);
	assert_true(punt_interrupt(&job.work)); /* has nothing to be sent: the call goes on */
	assert_int_equal(write(job.ends[1], "x", 1), 1);
	job_wait(&job);
	close(job.ends[0]);
	close(job.ends[1]);
	/* The next work on that worker has another number. */
	after_an_interrupt_later_calls_of_the_work_fail_too(state);
	assert_int_not_equal(signal_of_pool(), number);
	assert_int_equal(load_relaxed(&programs_handler_ran), 0);
	assert_int_equal(sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL), 0);
}

static void workers_end_when_idle_and_come_back(void **state)
{
	struct job job;

	(void)state;
	punt_set_idle(NS_PER_MS);
	/* A worker that fell asleep for long before: work makes it fall asleep anew. */
	for (int class = 0; class < 2; class ++) {
		set_limits(1, 1);
		job_init(&job, read_mask, 0);
		job_queue(&job, class == 0);
		job_wait(&job);
	}
	unit_wait_until(unit_threads_named("ringside/punt") == 0);
	job_init(&job, read_mask, 0);
	job_queue(&job, true);
	job_wait(&job);
	unit_wait_until(unit_threads_named("ringside/punt") == 0);
}

static void limits_are_given_back_and_zero_changes_nothing(void **state)
{
	u32 old[2];

	(void)state;
	set_limits(5, 6);
	punt_limits(pool, (const u32[2]){0, 0}, old);
	assert_int_equal(old[0], 5);
	assert_int_equal(old[1], 6);
	punt_limits(pool, (const u32[2]){0, 9}, old);
	assert_int_equal(old[0], 5);
	punt_limits(pool, (const u32[2]){0, 0}, old);
	assert_int_equal(old[1], 9);
}

static void a_threads_limits_come_with_its_first_ring(void **state)
{
	struct rlimit threads;
	u32 old[2];
	u32 cpus = (u32)sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NPROC, &threads), 0);
	punt_limits(pool, (const u32[2]){0, 0}, old);
	assert_int_equal(old[0], 3);
	assert_int_equal(old[1], (int)threads.rlim_cur < 0 ? 0 : (u32)threads.rlim_cur);
	assert_ptr_equal(punt_pool_start(32768), pool);
	punt_limits(pool, (const u32[2]){0, 0}, old);
	assert_int_equal(old[0], 3);

	/* A ring's own has the ring's. */
	struct punt_pool *own = punt_pool_get(32768, true);

	punt_limits(own, (const u32[2]){0, 0}, old);
	assert_int_equal(old[0], 4 * cpus);
	punt_pool_put(own);
}

static void limits_are_at_most_the_threads_that_the_user_may_have(void **state)
{
	struct rlimit threads, few;
	u32 old[2];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NPROC, &threads), 0);
	few = threads;
	few.rlim_cur = 7;
	assert_int_equal(setrlimit(RLIMIT_NPROC, &few), 0);
	set_limits(1000, 1000);
	assert_int_equal(setrlimit(RLIMIT_NPROC, &threads), 0);
	punt_limits(pool, (const u32[2]){0, 0}, old);
	assert_int_equal(old[0], 7);
	assert_int_equal(old[1], 7);
}

struct other_thread {
	struct punt_pool *pool;
	pid_t tid;
};

static void *thread_with_a_pool(void *argument)
{
	struct other_thread *self = argument;
	struct punt_pool *other = punt_pool_get(1, false);
	struct job job;
	u32 old[2];

	assert_ptr_equal(punt_pool_of_thread(), other);
	assert_ptr_not_equal(other, pool);
	punt_limits(other, (const u32[2]){0, 9}, old);
	assert_int_equal(old[0], 1);
	job_init(&job, read_mask, 0);
	assert_int_equal(punt_queue(other, &job.work, true), 0);
	job_wait(&job);
	self->pool = other;
	self->tid = gettid();
	return NULL;
}

/* Neither its limits nor works that block. */
static void nothing_of_one_thread_is_in_anothers_way(void **state)
{
	struct other_thread ended;
	struct punt_pool *other;
	struct job blocked;
	pthread_t thread;
	u32 old[2];

	(void)state;
	set_limits(1, 5);
	job_init(&blocked, wait_at_gate, 0);
	job_queue(&blocked, true);
	unit_wait_until(load_acquire(&blocked.began));
	assert_int_equal(pthread_create(&thread, NULL, thread_with_a_pool, &ended), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	other = ended.pool;
	punt_limits(pool, (const u32[2]){0, 0}, old);
	assert_int_equal(old[1], 5);
	job_open(&blocked);
	job_wait(&blocked);

	/* Its thread has ended: it is used again, but only without rings and workers. */
	for (int i = 0; i < 3; i++) {
		struct punt_pool *own = punt_pool_get(1, true);

		assert_ptr_not_equal(own, other);
		punt_pool_put(own);
	}
	punt_pool_put(other);
	punt_set_idle(NS_PER_MS);
	for (int class = 0; class < 2; class ++) { /* those asleep are to fall asleep anew */
		job_init(&blocked, read_mask, 0);
		job_queue(&blocked, class == 0);
		job_wait(&blocked);
		job_init(&blocked, read_mask, 0);
		assert_int_equal(punt_queue(other, &blocked.work, class == 0), 0);
		job_wait(&blocked);
	}
	unit_wait_until(unit_threads_named("ringside/punt") == 0);
	unit_wait_until(tgkill(getpid(), ended.tid, 0) != 0);
	struct punt_pool *again[8];
	bool was_seen = false;

	for (u32 i = 0; i < ARRAY_SIZE(again); i++) {
		again[i] = punt_pool_get(1, true);
		was_seen |= again[i] == other;
	}
	assert_true(was_seen);
	for (u32 i = 0; i < ARRAY_SIZE(again); i++)
		punt_pool_put(again[i]);
}

static int work_in_child(void)
{
	struct job job;

	punt_fork_child();
	assert_null(punt_pool_of_thread());
	pool = punt_pool_start(1);
	job_init(&job, read_mask, 5);
	if (punt_queue(pool, &job.work, true))
		return 1;
	unit_wait_until(load_acquire(&job.done));
	return 0;
}

static void a_forked_child_has_a_pool_of_its_own(void **state)
{
	struct job blocked, held;

	(void)state;
	set_limits(1, 1);
	job_init(&blocked, wait_at_gate, 5);
	job_init(&held, wait_at_gate, 5);
	job_queue(&blocked, true);
	job_queue(&held, true);
	unit_wait_until(load_acquire(&blocked.began));
	assert_int_equal(unit_in_child(work_in_child), 0);
	job_open(&blocked);
	job_open(&held);
	job_wait(&blocked);
	job_wait(&held);
}

static int queue_without_threads(void)
{
	struct job job;

	punt_fork_child();
	pool = punt_pool_start(1);
	job_init(&job, read_mask, 6);
	unit_forbid_threads();
	if (punt_queue(pool, &job.work, true) != -EAGAIN || job.work.state != PUNT_IDLE)
		return 1;
	return punt_cancel(&job.work) ? 2 : 0;
}

static void without_a_thread_the_caller_keeps_the_work(void **state)
{
	(void)state;
	assert_int_equal(unit_in_child(queue_without_threads), 0);
}

static int setup(void **state)
{
	(void)state;
	stats_init(-1, false);
	pool = punt_pool_start(3);
	return pool == NULL;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_threads_limits_come_with_its_first_ring),
	cmocka_unit_test(works_of_one_key_run_one_at_a_time_in_order),
	cmocka_unit_test(works_of_other_keys_do_not_wait_for_a_blocked_one),
	cmocka_unit_test(the_limit_is_respected_and_every_work_runs),
	cmocka_unit_test(a_raised_limit_starts_what_has_waited_for_it),
	cmocka_unit_test(unbounded_work_that_blocks_for_ever_does_not_starve_bounded_work),
	cmocka_unit_test(queued_and_held_works_can_be_cancelled_and_a_running_one_cannot),
	cmocka_unit_test(cancelling_the_first_of_a_key_lets_the_next_one_run),
	cmocka_unit_test(an_interrupt_always_ends_its_work_and_never_another),
	cmocka_unit_test(after_an_interrupt_later_calls_of_the_work_fail_too),
	cmocka_unit_test(an_interrupt_still_pending_at_the_end_is_taken_before_the_next_work),
	cmocka_unit_test(a_call_outside_the_pool_is_an_ordinary_call),
	cmocka_unit_test(workers_block_the_programs_signals_but_not_faults_and_the_c_librarys),
	cmocka_unit_test(a_setuid_of_the_program_neither_hangs_nor_disturbs_a_worker),
	cmocka_unit_test(the_programs_own_signal_of_that_number_reaches_the_program),
	cmocka_unit_test(the_default_action_of_that_number_stays_what_it_was),
	cmocka_unit_test(a_number_that_the_program_takes_later_is_left_to_it),
	cmocka_unit_test(workers_end_when_idle_and_come_back),
	cmocka_unit_test(limits_are_given_back_and_zero_changes_nothing),
	cmocka_unit_test(limits_are_at_most_the_threads_that_the_user_may_have),
	cmocka_unit_test(nothing_of_one_thread_is_in_anothers_way),
	cmocka_unit_test(a_forked_child_has_a_pool_of_its_own),
	cmocka_unit_test(without_a_thread_the_caller_keeps_the_work),
};

int main(void)
{
	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, setup, NULL);
}
