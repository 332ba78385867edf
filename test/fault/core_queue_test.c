/*
 * core_queue_test.c - a full CQ loses nothing, and no SQE, whatever is in it, crashes anything
 */
#include "core.h"

#define SEEDS 10000

/* Takes what is there, checks that it goes on from *next, in order. */
static void take_in_order(struct io_uring *ring, __u64 *next)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(ring, &cqe) == 0) {
		assert_int_equal(cqe->user_data, *next);
		++*next;
		io_uring_cqe_seen(ring, cqe);
	}
}

static void submit_nops(struct io_uring *ring, __u64 *user_data, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		core_sqe(ring, (*user_data)++)->opcode = IORING_OP_NOP;
	assert_int_equal(io_uring_submit(ring), count);
}

/* Many times more completions than the CQ holds, before the program looks at it once. */
static void completions_beyond_a_full_cq_wait_and_keep_their_order(void **state)
{
	__u64 submitted = 0, taken = 0;
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 8, 0);
	for (int i = 0; i < 100; i++)
		submit_nops(&ring, &submitted, 8);
	assert_int_equal(io_uring_cq_ready(&ring), 16);
	assert_true(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW);
	assert_int_equal(*ring.cq.koverflow, 0);
	while (taken < submitted) {
		__u64 before = taken;

		take_in_order(&ring, &taken);
		if (taken == before)
			assert_int_equal(io_uring_get_events(&ring), 0);
	}
	assert_false(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW);
	assert_int_equal(taken, 800);
	io_uring_queue_exit(&ring);
}

/* The same with requests that complete later, by a poll. */
static void polls_that_fire_into_a_full_cq_are_kept(void **state)
{
	enum { PIPES = 20 };
	int fds[PIPES][2];
	struct io_uring ring;
	unsigned seen = 0;

	(void)state;
	core_ring(&ring, 4, 0);
	for (int i = 0; i < PIPES; i++) {
		assert_int_equal(pipe(fds[i]), 0);
		CORE_PREP(&ring, 1ull << i, io_uring_prep_poll_add, fds[i][0], POLLIN);
		assert_int_equal(io_uring_submit(&ring), 1);
	}
	for (int i = 0; i < PIPES; i++)
		assert_int_equal(write(fds[i][1], "x", 1), 1);
	while (seen != (1u << PIPES) - 1) {
		struct __kernel_timespec limit = {.tv_sec = 10};
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe_timeout(&ring, &cqe, &limit), 0);
		assert_int_equal(cqe->res, POLLIN);
		assert_false(seen & cqe->user_data);
		seen |= (unsigned)cqe->user_data;
		io_uring_cqe_seen(&ring, cqe);
	}
	for (int i = 0; i < PIPES; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
	io_uring_queue_exit(&ring);
}

/* A ring that ends with a backlog. */
static void a_ring_with_a_backlog_can_be_closed(void **state)
{
	__u64 submitted = 0;
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 8, 0);
	for (int i = 0; i < 10; i++)
		submit_nops(&ring, &submitted, 8);
	io_uring_queue_exit(&ring);
}

static __u64 random_next(__u64 *state)
{
	/* splitmix64 */
	__u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Random bytes, but of a kind that gets past the first checks: known opcodes, few flags, small
 * numbers. */
static void randomise(struct io_uring_sqe *sqe, __u64 *random)
{
	unsigned char *bytes = (unsigned char *)sqe;

	for (size_t i = 0; i < sizeof(*sqe); i += 8) {
		__u64 value = random_next(random);

		if (random_next(random) % 3)
			value &= random_next(random) % 2 ? 0xff : 0;
		memcpy(bytes + i, &value, 8);
	}
	sqe->opcode = (unsigned char)(random_next(random) % 70);
	if (random_next(random) % 2)
		sqe->ioprio = 0;
	if (random_next(random) % 2)
		sqe->flags &= IOSQE_IO_LINK | IOSQE_ASYNC;
	sqe->fd = (int)(random_next(random) % 40) - 4;
	/* Not what would end the test itself: its standard descriptors, other programs, sleeping
	 * devices. */
	if (sqe->opcode == IORING_OP_CLOSE && sqe->fd >= 0)
		sqe->fd = 900 + sqe->fd;
	sqe->user_data = random_next(random);
}

/* In a child of its own: nothing it does to its memory or its descriptors is ours to lose. */
static void run_seeds(__u64 first, __u64 count)
{
	alarm(110);
	for (__u64 seed = first; seed < first + count; seed++) {
		__u64 random = seed;
		struct io_uring ring;

		if (io_uring_queue_init(16, &ring, seed % 4 ? IORING_SETUP_SUBMIT_ALL : 0))
			_exit(2);
		for (int i = 0; i < 16; i++)
			randomise(io_uring_get_sqe(&ring), &random);
		io_uring_submit(&ring);
		io_uring_get_events(&ring);
		io_uring_queue_exit(&ring);
	}
	_exit(0);
}

/*
 * The kernel's own rings would do what the bytes say to files and processes with the
 * privileges of the test; it is not they who are tested.
 */
static void random_sqes_never_crash(void **state)
{
	int status, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t child;

	(void)state;
	if (!core_is_ringside())
		skip();
	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char dir[] = "/tmp/core-queue-XXXXXX";

		/* Random operations meet an empty directory and /dev/null. */
		if (mkdtemp(dir) == NULL || chdir(dir) || rmdir(dir))
			_exit(3);
		for (int fd = 0; fd < 3; fd++)
			dup2(null, fd);
		run_seeds(1, SEEDS);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(completions_beyond_a_full_cq_wait_and_keep_their_order),
		cmocka_unit_test(polls_that_fire_into_a_full_cq_are_kept),
		cmocka_unit_test(a_ring_with_a_backlog_can_be_closed),
		cmocka_unit_test(random_sqes_never_crash),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
