/*
 * core_wait_test.c - signals during waits, threads that end, timeouts of waits
 */
#include "core.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

static struct io_uring ring;
static volatile sig_atomic_t signals;

static void count_signal(int signal)
{
	(void)signal;
	signals++;
}

static void handle(int flags)
{
	struct sigaction action = {.sa_handler = count_signal, .sa_flags = flags};

	signals = 0;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
}

static int setup(void **state)
{
	(void)state;
	core_ring(&ring, 8, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_works(&ring);
	io_uring_queue_exit(&ring);
	return 0;
}

/* Signals the thread until told that it has left its wait: so the first may come too early. */
struct signaller {
	pthread_t thread, target;
	int stop; /* (a) */
};

static void *signal_until_stopped(void *argument)
{
	struct signaller *self = argument;

	while (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
		struct timespec pause = {.tv_nsec = 2000000};

		nanosleep(&pause, NULL);
		pthread_kill(self->target, SIGUSR1);
	}
	return NULL;
}

static void signaller_start(struct signaller *self)
{
	*self = (struct signaller){.target = pthread_self()};
	assert_int_equal(pthread_create(&self->thread, NULL, signal_until_stopped, self), 0);
}

static void signaller_stop(struct signaller *self)
{
	__atomic_store_n(&self->stop, 1, __ATOMIC_RELEASE);
	pthread_join(self->thread, NULL);
}

static void a_signal_ends_an_empty_wait_with_eintr(void **state)
{
	struct signaller signaller;
	static const int flags[] = {0, SA_RESTART};

	(void)state;
	for (int i = 0; i < 2; i++) {
		handle(flags[i]);
		signaller_start(&signaller);
		assert_int_equal(core_enter(&ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 8), -EINTR);
		signaller_stop(&signaller);
		assert_true(signals > 0);
	}
}

/* Two are waited for, one is there: the wait ends well, for there is something to take. */
static void a_signal_ends_a_wait_that_has_something_with_zero(void **state)
{
	struct signaller signaller;

	(void)state;
	handle(0);
	core_sqe(&ring, 1)->opcode = IORING_OP_NOP;
	assert_int_equal(io_uring_submit(&ring), 1);
	signaller_start(&signaller);
	assert_int_equal(core_enter(&ring, 0, 2, IORING_ENTER_GETEVENTS, NULL, 8), 0);
	signaller_stop(&signaller);
	assert_int_equal(core_result(&ring, 1), 0);
}

/* The SQEs are in: that is what the call says, whatever ended its wait. */
static void a_signal_does_not_hide_how_many_sqes_were_taken(void **state)
{
	struct __kernel_timespec time = {.tv_sec = 100};
	struct signaller signaller;

	(void)state;
	handle(0);
	CORE_PREP(&ring, 1, io_uring_prep_timeout, &time, 0, 0);
	signaller_start(&signaller);
	assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
	signaller_stop(&signaller);
	CORE_PREP(&ring, 2, io_uring_prep_timeout_remove, 1, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		assert_int_equal(cqe->res, cqe->user_data == 1 ? -ECANCELED : 0);
		io_uring_cqe_seen(&ring, cqe);
	}
}

/* The mask of the wait holds for the wait, and the handler runs before it returns. */
static void a_wait_lets_through_what_its_mask_lets_through(void **state)
{
	struct io_uring_getevents_arg arg = {.sigmask_sz = 8};
	unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	sigset_t blocked, old, now;
	__u64 open = 0;

	(void)state;
#if defined(__SANITIZE_THREAD__)
	/* Its runtime knows nothing of the kernel's rings: a handler that runs inside of a wait is
	 * put off until the thread makes a call that it knows. */
	if (!core_is_ringside()) {
		print_message(
			"# skipped: ThreadSanitizer puts handlers off in the kernel's rings\n");
		skip();
	}
#endif
	handle(0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &blocked, &old), 0);
	assert_int_equal(pthread_kill(pthread_self(), SIGUSR1), 0);
	assert_int_equal(signals, 0);
	arg.sigmask = (__u64)&open;
	assert_int_equal(core_enter(&ring, 0, 1, flags, &arg, sizeof(arg)), -EINTR);
	assert_int_equal(signals, 1);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, &now), 0);
	assert_true(sigismember(&now, SIGUSR1));
}

/* A handler submits and waits in another ring while this thread waits in one. */
static struct io_uring handlers_ring;
static volatile sig_atomic_t handlers_result;

static void use_a_ring(int signal)
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&handlers_ring);

	(void)signal;
	handlers_result = -1;
	if (sqe == NULL)
		return;
	io_uring_prep_nop(sqe);
	sqe->user_data = 5;
	if (io_uring_submit_and_wait(&handlers_ring, 1) == 1 &&
	    io_uring_peek_cqe(&handlers_ring, &cqe) == 0 && cqe->user_data == 5) {
		io_uring_cqe_seen(&handlers_ring, cqe);
		handlers_result = 1;
	}
}

static void a_handler_may_use_another_ring(void **state)
{
	struct sigaction action = {.sa_handler = use_a_ring};
	struct signaller signaller;

	(void)state;
	core_ring(&handlers_ring, 4, 0);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	signaller_start(&signaller);
	assert_int_equal(core_enter(&ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 8), -EINTR);
	signaller_stop(&signaller);
	assert_int_equal(handlers_result, 1);
	io_uring_queue_exit(&handlers_ring);
}

static void a_wait_with_a_timeout_says_etime(void **state)
{
	struct __kernel_timespec limit = {.tv_nsec = 20000000};
	struct timespec before, after;
	struct io_uring_cqe *cqe;
	long ms;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(io_uring_wait_cqe_timeout(&ring, &cqe, &limit), -ETIME);
	clock_gettime(CLOCK_MONOTONIC, &after);
	ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	assert_in_range(ms, 19, 5000);
}

static int thread_pipe[2];

static void *submit_and_end(void *argument)
{
	static char buffer[16];

	CORE_PREP(&ring, 9, io_uring_prep_read, thread_pipe[0], buffer, sizeof(buffer), 0);
	*(int *)argument = io_uring_submit(&ring);
	return NULL;
}

/*
 * The kernel cancels what a thread that ends has in flight; ours are no thread's
 * own, so they go on: documented, and seldom missed. Either way there is one CQE.
 */
static void a_request_of_a_thread_that_ended_completes_once(void **state)
{
	struct __kernel_timespec limit = {.tv_sec = 10};
	struct io_uring_cqe *cqe;
	pthread_t thread;
	int submitted = 0;

	(void)state;
	assert_int_equal(pipe(thread_pipe), 0);
	assert_int_equal(pthread_create(&thread, NULL, submit_and_end, &submitted), 0);
	pthread_join(thread, NULL);
	assert_int_equal(submitted, 1);
	assert_int_equal(write(thread_pipe[1], "thread", 6), 6);
	assert_int_equal(io_uring_wait_cqe_timeout(&ring, &cqe, &limit), 0);
	assert_int_equal(cqe->user_data, 9);
	if (core_is_ringside())
		assert_int_equal(cqe->res, 6);
	else
		assert_true(cqe->res == 6 || cqe->res == -ECANCELED);
	io_uring_cqe_seen(&ring, cqe);
	assert_int_equal(io_uring_peek_cqe(&ring, &cqe), -EAGAIN);
	close(thread_pipe[0]);
	close(thread_pipe[1]);
}

struct waiter {
	pid_t tid; /* (a) */
	int result;
};

static void *wait_for_one(void *argument)
{
	struct waiter *self = argument;
	struct io_uring_cqe *cqe;

	__atomic_store_n(&self->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	self->result = io_uring_wait_cqe(&ring, &cqe);
	return NULL;
}

/* Until the kernel says of the thread that it sleeps. */
static void wait_until_asleep(const struct waiter *waiter)
{
	char path[64], line[256], state;
	pid_t tid;

	do {
		sched_yield();
		tid = __atomic_load_n(&waiter->tid, __ATOMIC_ACQUIRE);
	} while (tid == 0);
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	do {
		FILE *file = fopen(path, "r");

		assert_non_null(file);
		assert_non_null(fgets(line, sizeof(line), file));
		fclose(file);
		assert_int_equal(sscanf(line, "%*d (%*[^)]) %c", &state), 1);
	} while (state != 'S');
}

/* One thread sleeps in the ring, another one submits what wakes it. */
static void a_waiting_thread_sees_what_another_one_submits(void **state)
{
	struct waiter waiter = {.result = 1};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, wait_for_one, &waiter), 0);
	wait_until_asleep(&waiter);
	core_sqe(&ring, 3)->opcode = IORING_OP_NOP;
	assert_int_equal(io_uring_submit(&ring), 1);
	pthread_join(thread, NULL);
	assert_int_equal(waiter.result, 0);
	assert_int_equal(core_result(&ring, 3), 0);
}

/* Reads past the kernel's cache that begin when their driver already waits. */

static int open_direct(int flags)
{
	const char *base = getenv("TMPDIR");
	char path[256];
	int fd, direct_fd;

	snprintf(path, sizeof(path), "%s/ringside-wait-XXXXXX", base ? base : "/var/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 65536), 0);
	direct_fd = open(path, flags | O_DIRECT | O_CLOEXEC);
	assert_true(direct_fd >= 0);
	close(fd);
	unlink(path);
	return direct_fd;
}

/* One wait for all of them: whoever enters again, or leaves when the time is over, would be looked
 * after by that. */
static void wait_for_all(unsigned count)
{
	struct __kernel_timespec limit = {.tv_sec = 5};
	time_t end = time(NULL) + limit.tv_sec - 1;
	struct io_uring_cqe *cqe;

	assert_int_equal(io_uring_submit_and_wait_timeout(&ring, &cqe, count, &limit, NULL), count);
	assert_true(time(NULL) < end);
	assert_int_equal(io_uring_cq_ready(&ring), count);
}

static void a_read_linked_to_a_count_of_completions_is_sent_before_the_wait_goes_on(void **state)
{
	static unsigned char buffer[4096] __attribute__((aligned(4096)));
	struct __kernel_timespec long_time = {.tv_sec = 60};
	int fd = open_direct(O_RDONLY);

	(void)state;
	CORE_PREP(&ring, 1, io_uring_prep_timeout, &long_time, 1, 0)->flags |= IOSQE_IO_LINK;
	CORE_PREP(&ring, 2, io_uring_prep_read, fd, buffer, sizeof(buffer), 4096);
	core_sqe(&ring, 3)->opcode = IORING_OP_NOP;
	wait_for_all(3);
	assert_int_equal(core_result(&ring, 3), 0);
	assert_int_equal(core_result(&ring, 1), 0);
	assert_int_equal(core_result(&ring, 2), sizeof(buffer));
	close(fd);
}

static void a_read_that_is_refused_after_a_timeout_ends_the_wait(void **state)
{
	static unsigned char buffer[4096] __attribute__((aligned(4096)));
	struct __kernel_timespec short_time = {.tv_nsec = 1000000};
	int fd = open_direct(O_WRONLY);

	(void)state;
	CORE_PREP(&ring, 1, io_uring_prep_timeout, &short_time, 0, 0)->flags |= IOSQE_IO_HARDLINK;
	CORE_PREP(&ring, 2, io_uring_prep_read, fd, buffer, sizeof(buffer), 4096);
	wait_for_all(2);
	assert_int_equal(core_result(&ring, 1), -ETIME);
	assert_int_equal(core_result(&ring, 2), -EBADF);
	close(fd);
}

/* So many at once that those which are done may be more than the CQ would hold. */
#define MANY_BATCHES 16
#define BIG_READ     65536

static void submit_many_reads(struct io_uring *small, int fd, char *memory, bool is_last_told)
{
	for (unsigned i = 0; i < MANY_BATCHES; i++) {
		for (unsigned j = 0; j < 8; j++) {
			bool is_last = i == MANY_BATCHES - 1 && j == 7;
			struct io_uring_sqe *sqe = core_sqe(small, 1);

			io_uring_prep_read(sqe, fd, memory, BIG_READ, 0);
			sqe->user_data = 1;
			if (!is_last || !is_last_told)
				sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
		}
		assert_int_equal(io_uring_submit(small), 8);
	}
}

static void more_may_complete_between_two_looks_than_the_cq_holds(void **state)
{
	char *memory = aligned_alloc(4096, BIG_READ);
	int fd = open_direct(O_RDWR);
	struct io_uring small;

	(void)state;
	assert_non_null(memory);
	memset(memory, 1, BIG_READ);
	assert_int_equal(pwrite(fd, memory, BIG_READ, 0), BIG_READ);
	for (int round = 0; round < 4; round++) {
		core_ring(&small, 8, 0);
		submit_many_reads(&small, fd, memory, true);
		assert_int_equal(core_result(&small, 1), BIG_READ);
		submit_many_reads(&small, fd, memory, false);
		io_uring_queue_exit(&small); /* does not hang */
	}
	close(fd);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_ends_an_empty_wait_with_eintr),
		cmocka_unit_test(a_signal_ends_a_wait_that_has_something_with_zero),
		cmocka_unit_test(a_signal_does_not_hide_how_many_sqes_were_taken),
		cmocka_unit_test(a_wait_lets_through_what_its_mask_lets_through),
		cmocka_unit_test(a_handler_may_use_another_ring),
		cmocka_unit_test(a_wait_with_a_timeout_says_etime),
		cmocka_unit_test(a_request_of_a_thread_that_ended_completes_once),
		cmocka_unit_test(a_waiting_thread_sees_what_another_one_submits),
		cmocka_unit_test(
			a_read_linked_to_a_count_of_completions_is_sent_before_the_wait_goes_on),
		cmocka_unit_test(a_read_that_is_refused_after_a_timeout_ends_the_wait),
		cmocka_unit_test(more_may_complete_between_two_looks_than_the_cq_holds),
	};

	core_require_rings();
	alarm(100);
	return cmocka_run_group_tests(tests, setup, teardown);
}
