/*
 * core_queue_test.c - a full CQ loses nothing, and no SQE, whatever is in it, crashes anything
 */
#include "core.h"

#include <stdbool.h>
#include <sys/un.h>

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
		struct io_uring_cqe cqe = core_cqe(&ring);

		assert_int_equal(cqe.res, POLLIN);
		assert_false(seen & cqe.user_data);
		seen |= (unsigned)cqe.user_data;
	}
	for (int i = 0; i < PIPES; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
	io_uring_queue_exit(&ring);
}

/* What a multishot request posted: how many CQEs that say there will be more, and the last, which
 * does not. */
struct told {
	unsigned more;
	int last;
};

enum { SHOTS = 77, FILLER = 78, TRIGGER = 79, GROUP = 3, BUFFERS = 8, BUFFER_SIZE = 64 };

/* Takes CQEs until SHOTS has ended. */
static struct told take_until_it_ends(struct io_uring *ring)
{
	struct told told = {0};

	for (;;) {
		struct io_uring_cqe cqe = core_cqe(ring);
		bool is_last = cqe.user_data == SHOTS && !(cqe.flags & IORING_CQE_F_MORE);

		told.more += cqe.user_data == SHOTS && !is_last;
		told.last = cqe.res;
		if (is_last)
			return told;
	}
}

/* The CQ has as many CQEs as it holds, and the program does not look at them. */
static void fill_cq(struct io_uring *ring)
{
	while (io_uring_cq_ready(ring) < *ring->cq.kring_entries) {
		core_sqe(ring, FILLER)->opcode = IORING_OP_NOP;
		assert_int_equal(io_uring_submit(ring), 1);
	}
}

static void provide_buffers(struct io_uring *ring, char (*memory)[BUFFER_SIZE])
{
	CORE_PREP(ring, FILLER, io_uring_prep_provide_buffers, memory, BUFFER_SIZE, BUFFERS, GROUP,
		  0);
	assert_int_equal(core_run(ring, FILLER), 0);
}

/*
 * Submits the multishot `sqe`, which has something to tell at once if `is_ready`; else after the CQ
 * is full, `trigger` makes it so. Its only CQE says there will be no more.
 */
static void ends_with_the_first_cqe(struct io_uring *ring, const struct io_uring_sqe *sqe,
				    int trigger, bool is_ready, int result)
{
	struct told told;

	if (is_ready) {
		assert_int_equal(write(trigger, "abc", 3), 3);
		fill_cq(ring);
	}
	*core_sqe(ring, 0) = *sqe;
	assert_int_equal(io_uring_submit(ring), 1);
	if (!is_ready) {
		fill_cq(ring);
		CORE_PREP(ring, TRIGGER, io_uring_prep_write, trigger, "abc", 3, -1);
		assert_int_equal(io_uring_submit(ring), 1);
	}
	told = take_until_it_ends(ring);
	assert_int_equal(told.more, 0);
	assert_int_equal(told.last, result);
	assert_int_equal(io_uring_get_events(ring), 0);
	io_uring_cq_advance(ring, io_uring_cq_ready(ring));
	assert_int_equal(write(trigger, "abc", 3), 3);
	assert_int_equal(io_uring_get_events(ring), 0);
	assert_int_equal(io_uring_cq_ready(ring), 0);
}

/* What waits for `fd`, and how much it says comes of three bytes. */
static void tell_kind(unsigned kind, struct io_uring_sqe *sqe, int fd, int *result)
{
	enum { POLL, RECV, BUNDLE, RECVMSG, READ };
	static struct msghdr header;

	memset(sqe, 0, sizeof(*sqe));
	*result = 3;
	if (kind == POLL) {
		io_uring_prep_poll_multishot(sqe, fd, POLLIN);
		*result = POLLIN;
	} else if (kind == RECV || kind == BUNDLE) {
		io_uring_prep_recv(sqe, fd, NULL, 0, 0);
		sqe->ioprio = IORING_RECV_MULTISHOT | (kind == BUNDLE ? 1u << 4 : 0);
	} else if (kind == RECVMSG) {
		io_uring_prep_recvmsg(sqe, fd, &header, 0);
		sqe->ioprio = IORING_RECV_MULTISHOT;
		*result = 3 + sizeof(struct io_uring_recvmsg_out);
	} else {
		sqe->opcode = 49; /* READ_MULTISHOT */
		sqe->fd = fd;
		sqe->off = -1ull;
	}
	if (kind != POLL) {
		sqe->flags = IOSQE_BUFFER_SELECT;
		sqe->buf_group = GROUP;
	}
	sqe->user_data = SHOTS;
}

static void a_multishot_request_ends_with_the_cqe_that_finds_no_room(void **state)
{
	static char memory[BUFFERS][BUFFER_SIZE];

	(void)state;
	for (unsigned kind = 0; kind < 10; kind++) {
		struct io_uring_sqe sqe;
		struct io_uring ring;
		int fds[2], result;

		core_ring(&ring, 2, kind % 2 ? IORING_SETUP_COOP_TASKRUN : 0);
		provide_buffers(&ring, memory);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		tell_kind(kind / 2, &sqe, fds[0], &result);
		ends_with_the_first_cqe(&ring, &sqe, fds[1], kind % 2, result);
		io_uring_queue_exit(&ring);
		close(fds[0]);
		close(fds[1]);
	}
}

static void an_accept_ends_with_the_connection_whose_cqe_finds_no_room(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(address.sun_family);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct io_uring ring;
	struct told told;

	(void)state;
	core_ring(&ring, 2, 0);
	/* The kernel chooses a name. */
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 8), 0);
	size = sizeof(address);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	CORE_PREP(&ring, SHOTS, io_uring_prep_multishot_accept, listener, NULL, NULL, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	fill_cq(&ring);
	CORE_PREP(&ring, TRIGGER, io_uring_prep_connect, client, (struct sockaddr *)&address, size);
	assert_int_equal(io_uring_submit(&ring), 1);
	told = take_until_it_ends(&ring);
	assert_int_equal(told.more, 0);
	assert_true(told.last >= 0);
	close(told.last);
	io_uring_queue_exit(&ring);
	close(client);
	close(listener);
}

/* accept() of a blocking socket can block, so a worker makes it; by then there is room again. */
static void an_accept_that_found_no_room_ends_however_late_its_connection_is_fetched(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(address.sun_family);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct io_uring ring;
	struct told told;

	(void)state;
	core_ring(&ring, 2, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 8), 0);
	size = sizeof(address);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
	fill_cq(&ring);
	CORE_PREP(&ring, SHOTS, io_uring_prep_multishot_accept, listener, NULL, NULL, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	told = take_until_it_ends(&ring);
	assert_int_equal(told.more, 0);
	assert_true(told.last >= 0);
	close(told.last);
	io_uring_queue_exit(&ring);
	close(client);
	close(listener);
}

static void a_timeout_that_repeats_ends_where_there_is_no_room(void **state)
{
	struct __kernel_timespec time = {.tv_nsec = 1000000};
	struct io_uring ring;
	struct told told;

	(void)state;
	core_ring(&ring, 2, 0);
	CORE_PREP(&ring, SHOTS, io_uring_prep_timeout, &time, 0, 1u << 6 /* MULTISHOT */);
	assert_int_equal(io_uring_submit(&ring), 1);
	for (int i = 0; i < 10000 && !(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW); i++)
		usleep(1000);
	told = take_until_it_ends(&ring);
	assert_int_equal(told.more, 4); /* as many as the CQ holds */
	assert_int_equal(told.last, -ETIME);
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
		cmocka_unit_test(a_multishot_request_ends_with_the_cqe_that_finds_no_room),
		cmocka_unit_test(an_accept_ends_with_the_connection_whose_cqe_finds_no_room),
		cmocka_unit_test(
			an_accept_that_found_no_room_ends_however_late_its_connection_is_fetched),
		cmocka_unit_test(a_timeout_that_repeats_ends_where_there_is_no_room),
		cmocka_unit_test(a_ring_with_a_backlog_can_be_closed),
		cmocka_unit_test(random_sqes_never_crash),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
