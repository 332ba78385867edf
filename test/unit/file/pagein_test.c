/*
 * pagein_test.c - the page-in waiter
 *
 * An empty pipe, read at offset -1 (preadv2() then reads as readv() does), is
 * the gate: a read of it holds the waiter inside its call until the test writes.
 */
#include "file/pagein.h"

#include <errno.h>
#include <pthread.h>

#include "base/atomic.h"
#include "host/clock.h"
#include "observe/stats.h"
#include "unit.h"

#define FILE_SIZE   (1u << 20)
#define PIPE_OFFSET UINT64_MAX

struct cold {
	struct pagein_read read;
	struct iovec iov[8];
	u32 done; /* (a) how often done() was called */
	int fd;
};

static int file = -1;
static u32 flushed; /* (a) */

static void cold_done(struct pagein_read *read)
{
	struct cold *cold = container_of(read, struct cold, read);

	add_full(&cold->done, 1);
}

static void count_flush(void)
{
	add_full(&flushed, 1);
}

static void cold_prepare(struct cold *cold, int fd, void *buffer, size_t size, u64 offset)
{
	*cold = (struct cold){.fd = fd};
	cold->iov[0] = (struct iovec){buffer, size};
	cold->read = (struct pagein_read){.fd = &cold->fd,
					  .iov = cold->iov,
					  .iov_count = 1,
					  .offset = offset,
					  .done = cold_done};
}

static void cold_start(struct cold *cold, int fd, void *buffer, size_t size, u64 offset)
{
	cold_prepare(cold, fd, buffer, size, offset);
	assert_int_equal(pagein_start(&cold->read), 0);
}

static long cold_wait(struct cold *cold)
{
	unit_wait_until(load_acquire(&cold->done));
	return cold->read.result;
}

static void drop_cache(int fd)
{
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

/* A pipe whose read the waiter is inside of when this returns. */
struct gate {
	struct cold cold;
	int ends[2];
	char byte;
};

static void gate_shut(struct gate *gate)
{
	u64 waits = load_relaxed(&stats_process->counters[COUNTER_PAGEIN_WAITS]);

	assert_int_equal(pipe(gate->ends), 0);
	cold_start(&gate->cold, gate->ends[0], &gate->byte, 1, PIPE_OFFSET);
	/* Counted when the waiter owns the oldest read, before it blocks in it. */
	unit_wait_until(load_relaxed(&stats_process->counters[COUNTER_PAGEIN_WAITS]) > waits);
}

static void gate_open(struct gate *gate)
{
	assert_int_equal(write(gate->ends[1], "x", 1), 1);
	assert_int_equal(cold_wait(&gate->cold), 1);
	assert_int_equal(gate->cold.done, 1);
	close(gate->ends[0]);
	close(gate->ends[1]);
}

static void a_cold_read_completes_with_the_bytes_of_the_file(void **state)
{
	static unsigned char buffer[4096];
	struct cold cold;

	(void)state;
	drop_cache(file);
	cold_start(&cold, file, buffer, sizeof(buffer), 8192);
	assert_int_equal(cold_wait(&cold), sizeof(buffer));
	unit_assert_bytes(buffer, sizeof(buffer), 8192);
}

static void a_large_read_continues_over_many_segments_and_unaligned_offsets(void **state)
{
	static unsigned char buffer[700001];
	static const size_t sizes[8] = {0, 1, 4095, 200000, 0, 131072, 7, 364826};
	struct cold cold;
	size_t at = 0;

	(void)state;
	drop_cache(file);
	cold_prepare(&cold, file, NULL, 0, 12345);
	for (int i = 0; i < 8; i++) {
		cold.iov[i] = (struct iovec){buffer + at, sizes[i]};
		at += sizes[i];
	}
	assert_int_equal(at, sizeof(buffer));
	cold.read.iov_count = 8;
	assert_int_equal(pagein_start(&cold.read), 0);
	assert_int_equal(cold_wait(&cold), sizeof(buffer));
	unit_assert_bytes(buffer, sizeof(buffer), 12345);
}

static void what_the_caller_had_copied_counts_in_the_result(void **state)
{
	static unsigned char buffer[4096];
	struct cold cold;

	(void)state;
	drop_cache(file);
	cold_prepare(&cold, file, buffer, 96, 4000);
	cold.read.done_bytes = 4000;
	assert_int_equal(pagein_start(&cold.read), 0);
	assert_int_equal(cold_wait(&cold), 4096);
	unit_assert_bytes(buffer, 96, 4000);
}

static void two_hundred_cold_reads_use_one_thread(void **state)
{
	enum { READS = 200, SIZE = 4096 };
	static unsigned char buffers[READS][SIZE];
	static struct cold cold[READS];
	u64 random = 7;

	(void)state;
	drop_cache(file);
	for (int i = 0; i < READS; i++)
		cold_start(&cold[i], file, buffers[i], SIZE,
			   unit_random(&random) % (FILE_SIZE / SIZE) * SIZE);
	assert_int_equal(unit_threads_named("ringside/pagein"), 1);
	for (int i = 0; i < READS; i++) {
		assert_int_equal(cold_wait(&cold[i]), SIZE);
		unit_assert_bytes(buffers[i], SIZE, cold[i].read.offset - SIZE);
		assert_int_equal(cold[i].done, 1);
	}
	assert_int_equal(load_relaxed(&stats_process->counters[COUNTER_PAGEIN_THREADS]), 1);
}

static void the_end_of_the_file_makes_a_read_short_and_then_empty(void **state)
{
	static unsigned char buffer[65536];
	struct cold across, behind;

	(void)state;
	drop_cache(file);
	cold_start(&across, file, buffer, sizeof(buffer), FILE_SIZE - 100);
	assert_int_equal(cold_wait(&across), 100);
	unit_assert_bytes(buffer, 100, FILE_SIZE - 100);
	cold_start(&behind, file, buffer, sizeof(buffer), FILE_SIZE + 1);
	assert_int_equal(cold_wait(&behind), 0);
}

static void a_bad_buffer_and_a_bad_descriptor_are_errors_of_their_read_only(void **state)
{
	static unsigned char buffer[4096];
	struct cold bad_buffer, bad_fd, closed_pipe, good;
	int ends[2];

	(void)state;
	drop_cache(file);
	assert_int_equal(pipe(ends), 0);
	cold_start(&bad_buffer, file, (void *)8, 4096, 0);
	cold_start(&bad_fd, -1, buffer, 4096, 0);
	cold_start(&closed_pipe, ends[0], buffer, 1, 0);
	cold_start(&good, file, buffer, 4096, 4096);
	assert_int_equal(cold_wait(&bad_buffer), -EFAULT);
	assert_int_equal(cold_wait(&bad_fd), -EBADF);
	assert_int_equal(cold_wait(&closed_pipe), -ESPIPE);
	assert_int_equal(cold_wait(&good), 4096);
	close(ends[0]);
	close(ends[1]);
}

static void an_error_after_some_bytes_gives_the_bytes(void **state)
{
	static unsigned char buffer[4096];
	struct cold cold;

	(void)state;
	cold_prepare(&cold, file, buffer, 4096, 0);
	cold.iov[1] = (struct iovec){(void *)8, 4096};
	cold.read.iov_count = 2;
	assert_int_equal(pagein_start(&cold.read), 0);
	assert_int_equal(cold_wait(&cold), 4096);
	unit_assert_bytes(buffer, 4096, 0);
}

static void a_waiting_read_can_be_cancelled_and_one_being_read_cannot(void **state)
{
	struct gate gate;
	struct cold waiting;
	char byte;

	(void)state;
	gate_shut(&gate);
	cold_start(&waiting, gate.ends[0], &byte, 1, PIPE_OFFSET);
	assert_false(pagein_cancel(&gate.cold.read));
	assert_true(pagein_cancel(&waiting.read));
	assert_false(pagein_cancel(&waiting.read)); /* it is ours already */
	gate_open(&gate);
	assert_false(pagein_cancel(&gate.cold.read));
	assert_int_equal(waiting.done, 0);
}

/*
 * A slow device in front of a fast one: the waiter wakes once for each gate, the
 * reads of the other pipe stay cold, and behind them all is a read that is there.
 * Each wake tries at least four of the reads in between.
 */
static void a_warm_read_behind_many_cold_ones_is_found_within_few_wakes(void **state)
{
	enum { COLD = 40, GATES = 16 };
	static unsigned char buffer[4096];
	struct gate gates[GATES];
	struct cold cold[COLD], warm;
	int ends[2];
	char bytes[COLD];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	gate_shut(&gates[0]);
	for (int i = 1; i < GATES; i++) {
		assert_int_equal(pipe(gates[i].ends), 0);
		cold_start(&gates[i].cold, gates[i].ends[0], &gates[i].byte, 1, PIPE_OFFSET);
	}
	for (int i = 0; i < COLD; i++)
		cold_start(&cold[i], ends[0], &bytes[i], 1, PIPE_OFFSET);
	assert_int_equal(pread(file, buffer, sizeof(buffer), 0), sizeof(buffer));
	cold_start(&warm, file, buffer, sizeof(buffer), 0);
	for (int i = 0; i < GATES; i++)
		gate_open(&gates[i]);
	assert_int_equal(cold_wait(&warm), 4096);
	for (int i = 0; i < COLD; i++)
		assert_int_equal(load_acquire(&cold[i].done), 0);
	for (int i = 0; i < COLD; i++)
		assert_int_equal(write(ends[1], "x", 1), 1);
	for (int i = 0; i < COLD; i++)
		assert_int_equal(cold_wait(&cold[i]), 1);
	close(ends[0]);
	close(ends[1]);
}

struct quiescer {
	pthread_t thread;
	u32 tid;          /* (a) */
	u32 has_returned; /* (a) */
};

static void *quiesce_main(void *argument)
{
	struct quiescer *quiescer = argument;

	store_release(&quiescer->tid, (u32)gettid());
	pagein_quiesce();
	store_release(&quiescer->has_returned, 1);
	return NULL;
}

static void quiesce_waits_for_the_call_and_then_the_old_number_is_not_used(void **state)
{
	static unsigned char buffer[4096];
	struct gate gate;
	struct cold moved;
	struct quiescer quiescer = {0};
	int number, private, other;

	(void)state;
	number = dup(file);
	gate_shut(&gate);
	cold_start(&moved, number, buffer, sizeof(buffer), 4096);

	private = dup(number);
	store_release(&moved.fd, private);
	assert_int_equal(pthread_create(&quiescer.thread, NULL, quiesce_main, &quiescer), 0);
	/* The waiter is inside the gate's call until we open it: the quiescer must sleep. */
	unit_wait_until(load_acquire(&quiescer.has_returned) ||
			(load_acquire(&quiescer.tid) && unit_thread_sleeps((int)quiescer.tid)));
	assert_int_equal(load_acquire(&quiescer.has_returned), 0);
	gate_open(&gate);
	pthread_join(quiescer.thread, NULL);
	assert_int_equal(quiescer.has_returned, 1);

	other = open("/dev/zero", O_RDONLY);
	assert_int_equal(dup2(other, number), number);
	assert_int_equal(cold_wait(&moved), 4096);
	unit_assert_bytes(buffer, sizeof(buffer), 4096);
	close(other);
	close(number);
	close(private);
}

static void quiesce_returns_at_once_when_nothing_is_read(void **state)
{
	(void)state;
	pagein_quiesce();
}

static void the_flush_hook_follows_the_completions(void **state)
{
	struct gate gate;
	u32 before = load_acquire(&flushed);

	(void)state;
	gate_shut(&gate);
	gate_open(&gate);
	unit_wait_until(load_acquire(&flushed) > before);
}

/* The canceller and the waiter race for each read; exactly one gets it. */
static void each_read_is_either_done_or_cancelled(void **state)
{
	enum { READS = 32, ROUNDS = UNIT_IS_SANITIZED ? 30 : 150, SIZE = 4096 };
	static unsigned char buffers[READS][SIZE];
	static struct cold cold[READS];
	u64 random = 11;
	int cancelled = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		bool is_ours[READS];

		drop_cache(file);
		for (int i = 0; i < READS; i++)
			cold_start(&cold[i], file, buffers[i], SIZE,
				   unit_random(&random) % (FILE_SIZE / SIZE) * SIZE);
		for (int i = READS - 1; i >= 0; i--)
			cancelled += is_ours[i] = pagein_cancel(&cold[i].read);
		for (int i = 0; i < READS; i++) {
			if (!is_ours[i])
				assert_int_equal(cold_wait(&cold[i]), SIZE);
			assert_int_equal(load_acquire(&cold[i].done), !is_ours[i]);
		}
	}
	assert_true(cancelled > 0);
}

static void the_waiter_ends_when_idle_and_comes_back(void **state)
{
	static unsigned char buffer[4096];
	struct cold cold;

	(void)state;
	pagein_set_idle(NS_PER_MS);
	cold_start(&cold, file, buffer, sizeof(buffer),
		   0); /* a waiter that sleeps long would not hear of it */
	assert_int_equal(cold_wait(&cold), sizeof(buffer));
	unit_wait_until(unit_threads_named("ringside/pagein") == 0);
	cold_start(&cold, file, buffer, sizeof(buffer), 0);
	assert_int_equal(cold_wait(&cold), sizeof(buffer));
	pagein_set_idle(5 * NS_PER_SEC);
}

static int read_in_child(void)
{
	static unsigned char buffer[4096];
	struct cold cold;

	pagein_fork_child();
	cold_prepare(&cold, file, buffer, sizeof(buffer), 4096);
	if (pagein_start(&cold.read))
		return 1;
	unit_wait_until(load_acquire(&cold.done));
	return cold.read.result == sizeof(buffer) && buffer[0] == UNIT_BYTE(4096) ? 0 : 2;
}

static void a_forked_child_reads_with_a_waiter_of_its_own(void **state)
{
	struct gate gate;

	(void)state;
	gate_shut(&gate);
	assert_int_equal(unit_in_child(read_in_child), 0);
	gate_open(&gate);
}

static int start_without_threads(void)
{
	unsigned char buffer[16];
	struct cold cold;

	pagein_fork_child();
	cold_prepare(&cold, file, buffer, sizeof(buffer), 0);
	unit_forbid_threads();
	if (pagein_start(&cold.read) != -EAGAIN)
		return 1;
	return pagein_cancel(&cold.read) ? 2 : 0;
}

static void without_a_thread_the_caller_keeps_the_read(void **state)
{
	(void)state;
	assert_int_equal(unit_in_child(start_without_threads), 0);
}

static int setup(void **state)
{
	(void)state;
	stats_init(-1, false);
	pagein_set_flush(count_flush);
	file = unit_scratch_file(FILE_SIZE, O_RDONLY);
	return file < 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_cold_read_completes_with_the_bytes_of_the_file),
	cmocka_unit_test(a_large_read_continues_over_many_segments_and_unaligned_offsets),
	cmocka_unit_test(what_the_caller_had_copied_counts_in_the_result),
	cmocka_unit_test(two_hundred_cold_reads_use_one_thread),
	cmocka_unit_test(the_end_of_the_file_makes_a_read_short_and_then_empty),
	cmocka_unit_test(a_bad_buffer_and_a_bad_descriptor_are_errors_of_their_read_only),
	cmocka_unit_test(an_error_after_some_bytes_gives_the_bytes),
	cmocka_unit_test(a_waiting_read_can_be_cancelled_and_one_being_read_cannot),
	cmocka_unit_test(a_warm_read_behind_many_cold_ones_is_found_within_few_wakes),
	cmocka_unit_test(quiesce_waits_for_the_call_and_then_the_old_number_is_not_used),
	cmocka_unit_test(quiesce_returns_at_once_when_nothing_is_read),
	cmocka_unit_test(the_flush_hook_follows_the_completions),
	cmocka_unit_test(each_read_is_either_done_or_cancelled),
	cmocka_unit_test(the_waiter_ends_when_idle_and_comes_back),
	cmocka_unit_test(a_forked_child_reads_with_a_waiter_of_its_own),
	cmocka_unit_test(without_a_thread_the_caller_keeps_the_read),
};

int main(void)
{
	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, setup, NULL);
}
