/*
 * core_punt_test.c - calls that can only block: how many at a time, in which order, and cancelled
 *
 * Opening a FIFO to read it waits until somebody opens it to write: that is the call that blocks
 * here, for as long as the test wants. O_TRUNC sends it to a worker at once.
 */
#include "core.h"
#include "core_newer.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define FIFOS 4

static struct io_uring ring;
static char directory[] = "/tmp/ringside-punt-XXXXXX";

static const char *path_of(unsigned i)
{
	static char path[FIFOS][64];

	snprintf(path[i], sizeof(path[i]), "%s/%u", directory, i);
	return path[i];
}

static int start(void **state)
{
	(void)state;
	strcpy(strrchr(directory, '-'), "-XXXXXX");
	assert_non_null(mkdtemp(directory));
	for (unsigned i = 0; i < FIFOS; i++)
		assert_int_equal(mkfifo(path_of(i), 0600), 0);
	core_ring(&ring, 16, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	io_uring_queue_exit(&ring);
	for (unsigned i = 0; i < FIFOS; i++)
		unlink(path_of(i));
	return rmdir(directory);
}

/* An assertion of cmocka's is for the main thread only. */
#define expect(condition) expect_true((condition), #condition, __LINE__)

static void expect_true(int is_true, const char *condition, int line)
{
	if (is_true)
		return;
	fprintf(stderr, "%s:%d: %s\n", __FILE__, line, condition);
	abort();
}

/* Any thread. */
static void set_limits(struct io_uring *of, unsigned bounded, unsigned unbounded, unsigned *old)
{
	unsigned limits[2] = {bounded, unbounded};

	expect(core_register(of, IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2) == 0);
	if (old != NULL)
		memcpy(old, limits, sizeof(limits));
}

static void expect_limits(struct io_uring *of, unsigned bounded, unsigned unbounded)
{
	unsigned limits[2];

	set_limits(of, 0, 0, limits);
	if (limits[0] != bounded || limits[1] != unbounded)
		fprintf(stderr, "limits %u and %u, not %u and %u\n", limits[0], limits[1], bounded,
			unbounded);
	expect(limits[0] == bounded && limits[1] == unbounded);
}

static void open_fifo(unsigned i, __u64 user_data, int how)
{
	CORE_PREP(&ring, user_data, io_uring_prep_openat, AT_FDCWD, path_of(i), how | O_TRUNC, 0);
}

static void prep_ftruncate(__u64 user_data, int fd, __u64 size)
{
	struct io_uring_sqe *sqe = core_sqe(&ring, user_data);

	sqe->opcode = NEWER_OP_FTRUNCATE;
	sqe->fd = fd;
	sqe->off = size;
}

static void wait_a_moment(long milliseconds)
{
	struct timespec moment = {.tv_nsec = milliseconds * 1000000};

	nanosleep(&moment, NULL);
}

/* The results of `count` CQEs, by user_data. */
static void collect(unsigned count, int *results)
{
	while (count-- > 0) {
		struct io_uring_cqe cqe = core_cqe(&ring);

		results[cqe.user_data] = cqe.res;
	}
}

static void submit_cancel(__u64 target, __u64 user_data, int flags)
{
	struct io_uring_sqe *sqe = core_sqe(&ring, user_data);

	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = target;
	sqe->cancel_flags = flags;
	assert_int_equal(io_uring_submit(&ring), 1);
}

/* With one worker: the first is in its call, or about to be, and the others wait for it. */
static void one_runs_and_others_are_queued(unsigned others, long milliseconds)
{
	set_limits(&ring, 1, 0, NULL);
	for (unsigned i = 0; i <= others; i++) {
		open_fifo(i, i, O_RDONLY);
		assert_int_equal(io_uring_submit(&ring), 1);
	}
	wait_a_moment(milliseconds);
}

/* The kernel's own number, by which it means to make a call again, gets out of its rings. */
#define KERNEL_ERESTARTSYS 512

static int is_interrupted(int result)
{
	return result == -EINTR || result == -ECANCELED || result == -KERNEL_ERESTARTSYS;
}

/* Whether the first had begun when it was cancelled, is for the scheduler to say. */
static void a_queued_call_is_cancelled_and_a_running_one_is_interrupted(void **state)
{
	int was_running = 0;

	(void)state;
	for (long wait = 1; !was_running; wait *= 2) {
		int results[4];

		assert_true(wait < 1000);
		one_runs_and_others_are_queued(1, wait);
		submit_cancel(1, 2, 0);
		collect(2, results);
		assert_int_equal(results[1], -ECANCELED);
		assert_int_equal(results[2], 0);
		submit_cancel(0, 3, 0);
		collect(2, results);
		was_running = results[3] == -EALREADY;
		if (was_running)
			assert_true(is_interrupted(results[0]));
		else
			assert_true(results[3] == 0 && results[0] == -ECANCELED);
	}
	core_works(&ring);
}

/* The kernel's answer: one for all that had not begun, none if any had. */
static void cancelling_all_counts_queued_calls_as_one_and_with_a_running_one_none(void **state)
{
	int all = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY;
	int was_running = 0;

	(void)state;
	for (long wait = 1; !was_running; wait *= 2) {
		int results[5], keys[3];

		assert_true(wait < 1000);
		one_runs_and_others_are_queued(2, wait);
		submit_cancel(0, 4, all);
		collect(4, results);
		memcpy(keys, results, sizeof(keys));
		assert_int_equal(keys[1], -ECANCELED);
		assert_int_equal(keys[2], -ECANCELED);
		assert_true(is_interrupted(keys[0]));
		was_running = results[4] == 0;
		if (!was_running)
			assert_int_equal(results[4], 1);
	}
}

static void cancelling_all_of_one_key_leaves_the_other_calls(void **state)
{
	int results[8];

	(void)state;
	set_limits(&ring, 1, 0, NULL);
	for (unsigned i = 0; i < 4; i++) {
		open_fifo(i, i % 2 ? 7 : i, O_RDONLY);
		assert_int_equal(io_uring_submit(&ring), 1);
	}
	submit_cancel(7, 6, IORING_ASYNC_CANCEL_ALL);
	collect(3, results);
	assert_int_equal(results[7], -ECANCELED);
	assert_int_equal(results[6], 1);

	for (unsigned i = 0; i < 4; i += 2) {
		int writer = open(path_of(i), O_WRONLY);

		assert_true(writer >= 0);
		collect(1, results);
		assert_true(results[i] >= 0);
		close(results[i]);
		close(writer);
	}
}

/* (Linux 6.18 starts such a timeout only when the call is over.) */
static void a_link_timeout_ends_a_call_that_blocks(void **state)
{
	struct __kernel_timespec moment = {.tv_nsec = 1000000};
	int results[2];

	(void)state;
	if (!core_is_ringside())
		skip();
	CORE_PREP(&ring, 0, io_uring_prep_openat, AT_FDCWD, path_of(0), O_RDONLY | O_TRUNC, 0)
		->flags |= IOSQE_IO_LINK;
	CORE_PREP(&ring, 1, io_uring_prep_link_timeout, &moment, 0);
	assert_int_equal(io_uring_submit(&ring), 2);
	collect(2, results);
	assert_true(is_interrupted(results[0]));
	assert_true(results[1] == -ETIME || results[1] == -EALREADY);
}

/* A process that ends its ring with calls in flight must not wait for what nobody will do. */
static void a_ring_is_closed_with_calls_that_block(void **state)
{
	struct io_uring other;

	(void)state;
	for (int i = 0; i < 20; i++) {
		core_ring(&other, 4, 0);
		CORE_PREP(&other, 0, io_uring_prep_openat, AT_FDCWD, path_of(0), O_RDONLY | O_TRUNC,
			  0);
		CORE_PREP(&other, 1, io_uring_prep_openat, AT_FDCWD, path_of(1), O_RDONLY | O_TRUNC,
			  0);
		assert_int_equal(io_uring_submit(&other), 2);
		wait_a_moment(i % 3);
		io_uring_queue_exit(&other);
	}
}

/* Blocks without end, of the kind that has workers of its own. */
static void a_splice_of_an_empty_pipe_is_in_no_files_way(void **state)
{
	int in[2], out[2], results[3];
	char file[80];

	(void)state;
	snprintf(file, sizeof(file), "%s/file", directory);
	assert_true(pipe(in) == 0 && pipe(out) == 0);
	set_limits(&ring, 1, 1, NULL);
	CORE_PREP(&ring, 0, io_uring_prep_splice, in[0], -1, out[1], -1, 1, 0);
	CORE_PREP(&ring, 1, io_uring_prep_openat, AT_FDCWD, file, O_CREAT | O_TRUNC | O_RDWR, 0600);
	assert_int_equal(io_uring_submit(&ring), 2);
	collect(1, results);
	assert_true(results[1] >= 0);

	/* The output is a regular file: these are of the other kind, and wait for each other. */
	prep_ftruncate(2, results[1], 5);
	assert_int_equal(core_run(&ring, 2), 0);
	assert_int_equal(write(in[1], "x", 1), 1);
	collect(1, results);
	assert_int_equal(results[0], 1);
	close(results[1]);
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
	}
	unlink(file);
}

static int scratch_file(void)
{
	char path[] = "/tmp/ringside-punt-file-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

/*
 * Workers that are idle would take one each, and race; the file is as the last one leaves it. Not
 * so on Linux 6.18: there a worker now and then overtakes the one that has the file, about
 * once in 10,000 rounds.
 */
static void changes_of_one_files_size_are_made_in_order(void **state)
{
	enum { ROUNDS = 4000, CALLS = 4 };
	int fd = scratch_file();
	struct stat status;

	(void)state;
	if (!core_is_ringside())
		skip();
	set_limits(&ring, 8, 8, NULL);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CALLS; i++) {
			if (i % 2)
				CORE_PREP(&ring, 0, io_uring_prep_fallocate, fd, 0, 0,
					  100 * (i + 1));
			else
				prep_ftruncate(0, fd, 10 * (i + 1));
		}
		assert_int_equal(io_uring_submit(&ring), CALLS);
		for (int i = 0; i < CALLS; i++)
			assert_int_equal(core_result(&ring, 0), 0);
		assert_int_equal(fstat(fd, &status), 0);
		assert_int_equal(status.st_size, 100 * CALLS);
	}
	close(fd);
}

static void bytes_spliced_into_one_file_keep_their_order(void **state)
{
	enum { ROUNDS = 100, CALLS = 16 };
	int fd = scratch_file(), ends[2];

	(void)state;
	if (!core_is_ringside())
		skip(); /* as above */
	assert_int_equal(pipe(ends), 0);
	set_limits(&ring, 8, 8, NULL);
	for (int round = 0; round < ROUNDS; round++) {
		char bytes[CALLS + 1], got[CALLS + 1] = "";

		for (int i = 0; i < CALLS; i++)
			bytes[i] = (char)('a' + i);
		bytes[CALLS] = 0;
		assert_int_equal(write(ends[1], bytes, CALLS), CALLS);
		for (int i = 0; i < CALLS; i++)
			CORE_PREP(&ring, 0, io_uring_prep_splice, ends[0], -1, fd, i, 1, 0);
		assert_int_equal(io_uring_submit(&ring), CALLS);
		for (int i = 0; i < CALLS; i++)
			assert_int_equal(core_result(&ring, 0), 1);
		assert_int_equal(pread(fd, got, CALLS, 0), CALLS);
		assert_string_equal(got, bytes);
	}
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

/* The limits of workers. Each in a thread of its own, which has none yet. */
static void in_new_thread(void *(*body)(void *))
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static unsigned unbounded_default(void)
{
	struct rlimit limit;

	expect(getrlimit(RLIMIT_NPROC, &limit) == 0);
	return (int)limit.rlim_cur < 0 ? 0 : (unsigned)limit.rlim_cur;
}

static void *look_at_first_limits(void *argument)
{
	struct io_uring first, second;

	(void)argument;
	expect(io_uring_queue_init(2, &first, 0) == 0);
	expect_limits(&first, 2, unbounded_default());
	expect(io_uring_queue_init(64, &second, 0) == 0);
	expect_limits(&second, 2, unbounded_default());
	set_limits(&second, 5, 6, NULL);
	expect_limits(&first, 5, 6);
	set_limits(&first, 0, 7, NULL);
	expect_limits(&second, 5, 7);
	expect_limits(&second, 5, 6); /* what was set by this ring, again by asking */
	io_uring_queue_exit(&first);
	io_uring_queue_exit(&second);
	expect(io_uring_queue_init(4, &first, 0) == 0);
	expect_limits(&first, 5, 6);
	io_uring_queue_exit(&first);
	return NULL;
}

static void limits_are_the_threads_and_come_with_its_first_ring(void **state)
{
	(void)state;
	in_new_thread(look_at_first_limits);
}

static void *wait_for_a_child_without_limit_left(void *argument)
{
	struct rlimit limit, none;
	struct io_uring own;
	pid_t child = fork();

	(void)argument;
	if (child == 0) {
		wait_a_moment(50);
		_exit(0);
	}
	expect(child > 0);
	expect(getrlimit(RLIMIT_NPROC, &limit) == 0);
	none = limit;
	none.rlim_cur = 0;
	expect(setrlimit(RLIMIT_NPROC, &none) == 0);
	expect(io_uring_queue_init(1, &own, 0) == 0);
	expect(setrlimit(RLIMIT_NPROC, &limit) == 0);
	newer_sqe(&own, NEWER_OP_WAITID, 0, NULL, P_ALL, 1)->file_index = WEXITED;
	expect(core_run(&own, 1) == 0);
	io_uring_queue_exit(&own);
	return NULL;
}

static void a_user_who_may_have_no_process_has_a_worker(void **state)
{
	(void)state;
	newer_require(&ring, NEWER_OP_WAITID);
	in_new_thread(wait_for_a_child_without_limit_left);
}

static void *look_at_others_limits(void *argument)
{
	struct io_uring own;

	(void)argument;
	expect_limits(&ring, 0, 0); /* it has none */
	set_limits(&ring, 2, 0, NULL);
	expect_limits(&ring, 0, 0);
	expect(io_uring_queue_init(1, &own, 0) == 0);
	expect_limits(&own, 1, unbounded_default());
	set_limits(&own, 8, 9, NULL);
	expect_limits(&ring, 8, 9);
	io_uring_queue_exit(&own);
	return NULL;
}

static void a_thread_sets_its_own_limits_and_those_of_the_rings_users(void **state)
{
	(void)state;
	set_limits(&ring, 5, 6, NULL);
	in_new_thread(look_at_others_limits);
	expect_limits(&ring, 2, 6);
}

static void *look_at_clamped_limits(void *argument)
{
	struct rlimit limit, few;
	struct io_uring own;

	(void)argument;
	expect(io_uring_queue_init(1, &own, 0) == 0);
	expect(getrlimit(RLIMIT_NPROC, &limit) == 0);
	few = limit;
	few.rlim_cur = 100;
	expect(setrlimit(RLIMIT_NPROC, &few) == 0);
	set_limits(&own, 500, 500, NULL);
	expect(setrlimit(RLIMIT_NPROC, &limit) == 0);
	expect_limits(&own, 100, 100);
	io_uring_queue_exit(&own);
	return NULL;
}

static void limits_are_at_most_the_users_own(void **state)
{
	(void)state;
	in_new_thread(look_at_clamped_limits);
}

static void an_sqpoll_ring_has_limits_of_its_own(void **state)
{
	struct io_uring polled;

	(void)state;
	set_limits(&ring, 5, 6, NULL);
	core_ring(&polled, 2, IORING_SETUP_SQPOLL);
	expect_limits(&polled, 2, unbounded_default());
	set_limits(&polled, 3, 4, NULL);
	expect_limits(&polled, 3, 4);
	expect_limits(&ring, 5, 6);
	io_uring_queue_exit(&polled);
}

static void *open_to_write(void *argument)
{
	struct io_uring_cqe *cqe;
	struct io_uring own;
	int fd;

	(void)argument;
	expect(io_uring_queue_init(1, &own, 0) == 0);
	CORE_PREP(&own, 9, io_uring_prep_openat, AT_FDCWD, path_of(0), O_WRONLY | O_TRUNC, 0);
	expect(io_uring_submit_and_wait(&own, 1) == 1);
	expect(io_uring_peek_cqe(&own, &cqe) == 0);
	fd = cqe->res;
	expect(fd >= 0);
	close(fd);
	io_uring_queue_exit(&own);
	return NULL;
}

/* Each may have one worker, and the one's waits for the other's. */
static void calls_that_block_in_one_thread_are_not_in_anothers_way(void **state)
{
	int results[1];

	(void)state;
	set_limits(&ring, 1, 1, NULL);
	open_fifo(0, 0, O_RDONLY);
	assert_int_equal(io_uring_submit(&ring), 1);
	in_new_thread(open_to_write);
	collect(1, results);
	assert_true(results[0] >= 0);
	close(results[0]);
}

/* Threads of this process whose name begins like this. */
static unsigned threads_named(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL) {
		char path[300], got[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(got, sizeof(got), file) != NULL && strncmp(got, name, strlen(name)) == 0)
			count++;
		fclose(file);
	}
	closedir(tasks);
	return count;
}

/* The kernel keeps the last of a task's. */
static void no_worker_is_kept_that_is_idle_for_five_seconds(void **state)
{
	struct timespec before, now;
	int fd = scratch_file();

	(void)state;
	if (!core_is_ringside())
		skip();
	prep_ftruncate(1, fd, 1);
	assert_int_equal(core_run(&ring, 1), 0);
	assert_true(threads_named("ringside/punt") > 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	do {
		wait_a_moment(100);
		clock_gettime(CLOCK_MONOTONIC, &now);
		assert_true(now.tv_sec - before.tv_sec < 30);
	} while (threads_named("ringside/punt") > 0);
	assert_true(now.tv_sec - before.tv_sec >= 4);
	prep_ftruncate(1, fd, 2);
	assert_int_equal(core_run(&ring, 1), 0);
	close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

static const struct CMUnitTest tests[] = {
	CASE(a_queued_call_is_cancelled_and_a_running_one_is_interrupted),
	CASE(cancelling_all_counts_queued_calls_as_one_and_with_a_running_one_none),
	CASE(cancelling_all_of_one_key_leaves_the_other_calls),
	CASE(a_link_timeout_ends_a_call_that_blocks),
	CASE(a_ring_is_closed_with_calls_that_block),
	CASE(a_splice_of_an_empty_pipe_is_in_no_files_way),
	CASE(changes_of_one_files_size_are_made_in_order),
	CASE(bytes_spliced_into_one_file_keep_their_order),
	CASE(limits_are_the_threads_and_come_with_its_first_ring),
	CASE(a_user_who_may_have_no_process_has_a_worker),
	CASE(a_thread_sets_its_own_limits_and_those_of_the_rings_users),
	CASE(limits_are_at_most_the_users_own),
	CASE(an_sqpoll_ring_has_limits_of_its_own),
	CASE(calls_that_block_in_one_thread_are_not_in_anothers_way),
	CASE(no_worker_is_kept_that_is_idle_for_five_seconds),
};

int main(void)
{
	core_require_rings();
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
