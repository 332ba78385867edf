/*
 * stats_test.c - the region of counters, in one process and in many
 *
 * The region is made once a process, so each test runs in a child of its own
 * and reports by its exit status: 0, or the line that was not true.
 */
#include "observe/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "observe/ticks.h"
#include "unit_ring.h"

/* In a child: leaves with the line's number, which the parent prints. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			exit_with_line(__LINE__);                                                  \
	} while (0)

static int report_pipe[2];

static _Noreturn void exit_with_line(int line)
{
	if (write(report_pipe[1], &line, sizeof(line)) < 0)
		_exit(2);
	_exit(1);
}

static pid_t start_child(void (*body)(void))
{
	pid_t child = fork();

	if (child == 0) {
		body();
		_exit(0);
	}
	assert_true(child > 0);
	return child;
}

static void run_in_child(void (*body)(void))
{
	int status, line = 0;

	assert_int_equal(pipe2(report_pipe, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(waitpid(start_child(body), &status, 0) > 0);
	if (read(report_pipe[0], &line, sizeof(line)) > 0)
		fail_msg("line %d is not true", line);
	assert_int_equal(status, 0);
	close(report_pipe[0]);
	close(report_pipe[1]);
}

static u64 total(enum counter counter)
{
	struct stats_totals *totals = malloc(sizeof(*totals));
	u64 value;

	check(totals);
	stats_totals(totals);
	value = totals->counters[counter];
	free(totals);
	return value;
}

static void count_before_init(void)
{
	stats_count_process(COUNTER_TRAPS, 3);
	stats_peak_process(COUNTER_PUNT_THREADS_PEAK, 2);
	stats_count(stats_block_claim(), COUNTER_SQES, 5);
	check(total(COUNTER_TRAPS) == 3);
	check(total(COUNTER_PUNT_THREADS_PEAK) == 2);
	check(total(COUNTER_SQES) == 5);
}

static void counting_works_before_there_is_a_region(void **state)
{
	(void)state;
	run_in_child(count_before_init);
}

static void count_and_release(void)
{
	struct stats_block *a, *b;

	check(stats_init(-1, false) == 0);
	a = stats_block_claim();
	b = stats_block_claim();
	check(a != b && a != stats_process && b != stats_process);
	check(!a->is_shared && stats_process->is_shared);
	stats_count(a, COUNTER_SQES, 3);
	stats_count(b, COUNTER_SQES, 4);
	stats_count_op(a, IORING_OP_READ, 100);
	stats_count_op(a, IORING_OP_READ, -EIO);
	stats_count_process(COUNTER_SQES, 10);
	check(total(COUNTER_SQES) == 17);
	stats_block_release(a);
	check(total(COUNTER_SQES) == 17);
	/* The same block again, and it goes on from where it was. */
	check(stats_block_claim() == a);
	check(a->ops[IORING_OP_READ].count == 2 && a->ops[IORING_OP_READ].errors == 1);
	stats_count(a, COUNTER_SQES, 1);
	check(total(COUNTER_SQES) == 18);
}

static void a_released_block_keeps_its_figures_and_is_used_again(void **state)
{
	(void)state;
	run_in_child(count_and_release);
}

static void peaks(void)
{
	struct stats_block *block;

	check(stats_init(-1, false) == 0);
	block = stats_block_claim();
	stats_peak_process(COUNTER_PUNT_THREADS_PEAK, 7);
	stats_peak_process(COUNTER_PUNT_THREADS_PEAK, 5);
	block->counters[COUNTER_PUNT_THREADS_PEAK] = 6;
	check(total(COUNTER_PUNT_THREADS_PEAK) == 7);
}

static void peaks_are_not_added_up(void **state)
{
	(void)state;
	run_in_child(peaks);
}

/* More rings than there are blocks: threads that share the common block lose nothing. */
#define THREADS    4
#define PER_THREAD 200000

static void *count_much(void *block)
{
	for (int i = 0; i < PER_THREAD; i++) {
		stats_count(block, COUNTER_CQES, 1);
		stats_count_op(block, IORING_OP_NOP, 0);
		stats_latency_record(block, IORING_OP_NOP, 5);
	}
	return NULL;
}

static void overflow(void)
{
	struct stats_block *last = NULL, *common;
	struct stats_totals *totals = malloc(sizeof(*totals));
	pthread_t threads[THREADS];

	check(totals && stats_init(-1, true) == 0);
	common = stats_process;
	for (int i = 0; i < 10000 && last != common; i++)
		last = stats_block_claim();
	check(last && last == common && last->is_shared);
	for (int i = 0; i < THREADS; i++)
		check(!pthread_create(&threads[i], NULL, count_much, stats_block_claim()));
	for (int i = 0; i < THREADS; i++)
		check(!pthread_join(threads[i], NULL));
	stats_totals(totals);
	check(totals->counters[COUNTER_CQES] == THREADS * PER_THREAD);
	check(totals->ops[IORING_OP_NOP].count == THREADS * PER_THREAD);
	check(totals->has_latency[IORING_OP_NOP]);
	/* Of the common block nobody is the owner: this gives nothing away. */
	stats_block_release(last);
	check(stats_block_claim() == common);
	free(totals);
}

/* The same through the rings' own ways: in runs of plain NOPs, and each as a request. */
static void *submit_much(void *argument)
{
	struct unit_ring ring;

	(void)argument;
	unit_ring_open(&ring, 8, 0);
	for (u32 i = 0; i < PER_THREAD / 20; i++) {
		for (u32 j = 0; j < 8; j++)
			unit_sqe(&ring, IORING_OP_NOP, 0)->flags = i % 2 ? 0 : IOSQE_ASYNC;
		unit_submit(&ring);
		store_release(&ring.header->cq_head, ring.header->cq_tail);
	}
	unit_ring_close(&ring);
	return NULL;
}

static void requests_of_a_common_block_are_all_counted(void **state)
{
	const struct stats_block *common = stats_process;
	u64 count = common->ops[IORING_OP_NOP].count;
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, submit_much, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* There is no region here, and so one block. */
	assert_int_equal(common->ops[IORING_OP_NOP].count - count, THREADS * PER_THREAD / 20 * 8);
}

static void rings_without_a_block_share_one_and_lose_nothing(void **state)
{
	(void)state;
	run_in_child(overflow);
}

/* As `ringside run --stats`: this process makes the region, children map it by descriptor. */
static int region_fd;

static void child_counts_and_is_killed(void)
{
	check(stats_init(region_fd, true) == 0);
	stats_count(stats_block_claim(), COUNTER_SQES, 1);
	stats_count_process(COUNTER_TRAPS, 1);
	raise(SIGKILL);
}

static void child_counts_and_ends(void)
{
	struct stats_block *block;

	check(stats_init(region_fd, true) == 0);
	block = stats_block_claim();
	stats_count(block, COUNTER_SQES, 1);
	stats_count_process(COUNTER_TRAPS, 1);
	stats_block_release(block);
	stats_process_exit();
	stats_count_process(COUNTER_TRAPS, 1);
}

#define CHILDREN 100

static void share_with_children(void)
{
	region_fd = stats_region_create();
	check(region_fd >= 0);
	for (int i = 0; i < CHILDREN; i++) {
		int status;

		check(waitpid(start_child(i % 2 ? child_counts_and_is_killed
						: child_counts_and_ends),
			      &status, 0) > 0);
		check(i % 2 ? WIFSIGNALED(status) : status == 0);
	}
	check(total(COUNTER_SQES) == CHILDREN);
	check(total(COUNTER_TRAPS) == CHILDREN / 2 * 3);
}

static void what_a_killed_child_counted_is_in_the_totals(void **state)
{
	(void)state;
	run_in_child(share_with_children);
}

/* Children that run at once, more than there are blocks for. */
#define CROWD  300
#define ROUNDS 1000

static void child_of_the_crowd(void)
{
	struct stats_block *a, *b;

	check(stats_init(region_fd, true) == 0);
	a = stats_block_claim();
	b = stats_block_claim();
	for (int i = 0; i < ROUNDS; i++) {
		stats_count(a, COUNTER_SQES, 1);
		stats_count(b, COUNTER_CQES, 1);
	}
	pause();
}

static void crowd(void)
{
	pid_t children[CROWD];
	u64 done = 0;

	region_fd = stats_region_create();
	check(region_fd >= 0);
	for (int i = 0; i < CROWD; i++)
		children[i] = start_child(child_of_the_crowd);
	while (done < CROWD * ROUNDS) {
		done = total(COUNTER_CQES);
		check(waitpid(-1, NULL, WNOHANG) == 0);
		sched_yield();
	}
	for (int i = 0; i < CROWD; i++)
		check(!kill(children[i], SIGKILL) && waitpid(children[i], NULL, 0) > 0);
	check(total(COUNTER_SQES) == CROWD * ROUNDS);
}

static void more_processes_than_blocks_lose_nothing(void **state)
{
	(void)state;
	run_in_child(crowd);
}

static void child_after_fork(void)
{
	stats_after_fork();
	check(total(COUNTER_SQES) == 0);
	check(!stats_region_is_mine());
	stats_count(stats_block_claim(), COUNTER_SQES, 100);
	check(total(COUNTER_SQES) == 100);
}

static void fork_private(void)
{
	struct stats_block *block;
	int status;

	check(stats_init(-1, false) == 0);
	block = stats_block_claim();
	stats_count(block, COUNTER_SQES, 1);
	check(waitpid(start_child(child_after_fork), &status, 0) > 0 && status == 0);
	check(total(COUNTER_SQES) == 1);
}

static void a_forked_child_begins_at_nothing_when_nobody_collects(void **state)
{
	(void)state;
	run_in_child(fork_private);
}

static struct stats_block *parents_block;

static void child_of_family(void)
{
	struct stats_block *block;

	stats_after_fork();
	check(!stats_region_is_mine());
	/* The parent's block is not the child's to give away. */
	stats_block_release(parents_block);
	block = stats_block_claim();
	check(block != parents_block);
	stats_count(block, COUNTER_SQES, 100);
}

static void fork_family(void)
{
	int status;

	check(stats_init(-1, true) == 0);
	check(stats_region_is_mine());
	parents_block = stats_block_claim();
	stats_count(parents_block, COUNTER_SQES, 1);
	check(waitpid(start_child(child_of_family), &status, 0) > 0 && status == 0);
	check(total(COUNTER_SQES) == 101);
}

static void a_forked_child_counts_for_the_parent_when_somebody_collects(void **state)
{
	(void)state;
	run_in_child(fork_family);
}

static void reject_strangers(void)
{
	char path[] = "/tmp/ringside-stats.XXXXXX", content[8192] = "not a region", again[8192];
	int fd = mkstemp(path), memfd = memfd_create("x", MFD_ALLOW_SEALING);

	check(fd >= 0 && memfd >= 0 && !unlink(path));
	check(write(fd, content, sizeof(content)) == sizeof(content));
	check(stats_init(fd, true) == -EBADF);
	check(pread(fd, again, sizeof(again), 0) == sizeof(again));
	check(!memcmp(content, again, sizeof(again)));
	/* Counting works all the same. */
	stats_count(stats_block_claim(), COUNTER_SQES, 2);
	check(total(COUNTER_SQES) == 2);
	check(!ftruncate(memfd, 1 << 20));
	check(!fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW));
	check(stats_init(memfd, true) == -EBADF);
	check(stats_init(999, true) == -EBADF);
}

static void a_number_that_is_another_file_by_now_is_left_alone(void **state)
{
	(void)state;
	run_in_child(reject_strangers);
}

static void region_cannot_shrink(void)
{
	int fd = stats_region_create();

	check(fd >= 0);
	check(ftruncate(fd, 0) && errno == EPERM);
}

static void nobody_can_cut_the_region_short(void **state)
{
	(void)state;
	run_in_child(region_cannot_shrink);
}

/* The program has the region mapped too, and may write anything there. */
static void scribble(void)
{
	struct stats_totals *totals = malloc(sizeof(*totals));
	int fd = stats_region_create();
	char *page;

	check(totals && fd >= 0);
	stats_count(stats_block_claim(), COUNTER_SQES, 1);
	page = mmap(NULL, 4096 * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(page != MAP_FAILED);
	for (int byte = 0; byte < 256; byte += 51) {
		memset(page, byte, 4096 * 8);
		stats_totals(totals);
		check(stats_block_claim() != NULL);
	}
	free(totals);
}

static void what_a_program_scribbles_there_harms_only_the_figures(void **state)
{
	(void)state;
	run_in_child(scribble);
}

static void sparse(void)
{
	struct stat st;
	int fd = stats_region_create();

	check(fd >= 0);
	for (int i = 0; i < 100; i++)
		stats_count(stats_block_claim(), COUNTER_SQES, 1);
	total(COUNTER_SQES);
	check(!fstat(fd, &st));
	/* Two pages of counters a block at most, where its 190 kB of histograms are not used. */
	check(st.st_blocks * 512 < 110 * 8192 + 65536);
}

static void a_block_without_latencies_takes_little_memory(void **state)
{
	(void)state;
	run_in_child(sparse);
}

static void time_passes(void)
{
	struct stats_block *block;
	struct stats_totals *totals = malloc(sizeof(*totals));
	struct timespec from, to;
	u64 ns, ticks = ticks_now();

	check(totals && stats_init(-1, true) == 0);
	block = stats_block_claim();
	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		clock_gettime(CLOCK_MONOTONIC, &to);
		ns = (u64)(to.tv_sec - from.tv_sec) * 1000000000 + (u64)to.tv_nsec -
		     (u64)from.tv_nsec;
	} while (ns < 20 * 1000000);
	stats_latency_record(block, IORING_OP_READ, ticks_now() - ticks);
	stats_count_op(block, IORING_OP_READ, 0);
	stats_totals(totals);
	check(totals->has_latency[IORING_OP_READ]);
	/* The span was at least 20 ms; how much more is the scheduler's affair. */
	check(totals->p50_ns[IORING_OP_READ] > 20 * 1000000 * 15 / 16);
	check(totals->p50_ns[IORING_OP_READ] < 2000000000);
	check(!totals->has_latency[IORING_OP_WRITE]);
	free(totals);
}

static void latencies_come_out_in_nanoseconds(void **state)
{
	(void)state;
	run_in_child(time_passes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counting_works_before_there_is_a_region),
		cmocka_unit_test(a_released_block_keeps_its_figures_and_is_used_again),
		cmocka_unit_test(peaks_are_not_added_up),
		cmocka_unit_test(rings_without_a_block_share_one_and_lose_nothing),
		cmocka_unit_test(requests_of_a_common_block_are_all_counted),
		cmocka_unit_test(what_a_killed_child_counted_is_in_the_totals),
		cmocka_unit_test(more_processes_than_blocks_lose_nothing),
		cmocka_unit_test(a_forked_child_begins_at_nothing_when_nobody_collects),
		cmocka_unit_test(a_forked_child_counts_for_the_parent_when_somebody_collects),
		cmocka_unit_test(a_number_that_is_another_file_by_now_is_left_alone),
		cmocka_unit_test(nobody_can_cut_the_region_short),
		cmocka_unit_test(what_a_program_scribbles_there_harms_only_the_figures),
		cmocka_unit_test(a_block_without_latencies_takes_little_memory),
		cmocka_unit_test(latencies_come_out_in_nanoseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
