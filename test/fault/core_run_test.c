/*
 * core_run_test.c - plain reads, writes and sends that stand side by side in one batch
 */
#include "core.h"

#include <fcntl.h>
#include <signal.h>

#define COUNT 8

static struct io_uring ring;
static int ends[2];
static char memory[COUNT][1024];

static int setup(void **state)
{
	(void)state;
	core_ring(&ring, 2 * COUNT, 0);
	for (int i = 0; i < COUNT; i++)
		memset(memory[i], 'a' + i, sizeof(memory[i]));
	return pipe(ends);
}

static int teardown(void **state)
{
	(void)state;
	core_works(&ring);
	io_uring_queue_exit(&ring);
	close(ends[0]);
	return ends[1] >= 0 ? close(ends[1]) : 0;
}

static void a_write(unsigned tag, unsigned len)
{
	CORE_PREP(&ring, tag, io_uring_prep_write, ends[1], memory[tag % COUNT], len, 0);
}

static void a_read(unsigned tag, unsigned len)
{
	CORE_PREP(&ring, tag, io_uring_prep_read, ends[0], memory[tag % COUNT], len, 0);
}

static void submit(int count)
{
	assert_int_equal(io_uring_submit(&ring), count);
}

/* By user_data. Which of several comes first is promised to nobody who failed or waited. */
static int results[COUNT];

static void collect(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct io_uring_cqe cqe = core_cqe(&ring);

		assert_in_range(cqe.user_data, 0, COUNT - 1);
		results[cqe.user_data] = cqe.res;
	}
}

static void nothing_more(void)
{
	assert_int_equal(io_uring_cq_ready(&ring), 0);
}

/* Takes `len` bytes out of the pipe, of which each has the value `byte`. */
static void holds(char byte, unsigned len)
{
	char got[4096];

	assert_int_equal(read(ends[0], got, len), len);
	for (unsigned i = 0; i < len; i++)
		assert_int_equal(got[i], byte);
}

static void pages(int count)
{
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, count * 4096) >= 4096);
}

static bool pages_are_of_4096_bytes(void)
{
	return sysconf(_SC_PAGESIZE) == 4096;
}

static void writes_go_to_an_empty_pipe_in_their_order(void **state)
{
	static const unsigned lens[COUNT] = {1, 700, 1024, 3, 1000, 512, 1024, 800};

	(void)state;
	for (unsigned i = 0; i < COUNT; i++)
		a_write(i, lens[i]);
	submit(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(core_result(&ring, i), lens[i]);
	for (unsigned i = 0; i < COUNT; i++)
		holds((char)('a' + i), lens[i]);
}

/* Write calls of this process so far; -1 if the kernel does not count them. */
static long write_calls(void)
{
	FILE *file = fopen("/proc/self/io", "re");
	char line[64];
	long calls = -1;

	while (file != NULL && fgets(line, sizeof(line), file))
		sscanf(line, "syscw: %ld", &calls);
	if (file != NULL)
		fclose(file);
	return calls;
}

static void writes_to_an_empty_pipe_take_a_call_for_each_page(void **state)
{
	long before = write_calls();

	(void)state;
	for (unsigned i = 0; i < COUNT; i++)
		a_write(i, 1024);
	submit(COUNT);
	if (core_is_ringside() && before >= 0)
		assert_int_equal(write_calls() - before, 2);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(core_result(&ring, i), 1024);
}

/* A write that does not fit on the last page begins another: so many fit, and the others wait. */
static void fit(unsigned len, unsigned expected)
{
	char got[4096];

	for (unsigned i = 0; i < COUNT; i++)
		a_write(i, len);
	submit(COUNT);
	for (unsigned i = 0; i < expected; i++)
		assert_int_equal(core_result(&ring, i), len);
	nothing_more();
	for (unsigned left = COUNT * len; left > 0;) {
		ssize_t n = read(ends[0], got, sizeof(got));

		assert_true(n > 0);
		left -= (unsigned)n;
		io_uring_get_events(&ring);
	}
	collect(COUNT - expected);
	for (unsigned i = expected; i < COUNT; i++)
		assert_int_equal(results[i], len);
}

static void a_pipe_of_one_page_takes_as_many_writes_as_fit_on_it(void **state)
{
	(void)state;
	if (!pages_are_of_4096_bytes())
		skip();
	pages(1);
	fit(1000, 4);
}

static void a_pipe_of_two_pages_takes_as_many_writes_as_fit_on_each(void **state)
{
	(void)state;
	if (!pages_are_of_4096_bytes())
		skip();
	pages(2);
	fit(1100, 6);
}

static void writes_behind_what_is_in_the_pipe_lose_no_room(void **state)
{
	(void)state;
	if (!pages_are_of_4096_bytes())
		skip();
	pages(2);
	assert_int_equal(write(ends[1], memory[0], 1000), 1000);
	/* 1000 + 3 * 1000, and 4 * 1000 on the second page: one waits */
	for (unsigned i = 0; i < COUNT; i++)
		a_write(i, 1000);
	submit(COUNT);
	for (unsigned i = 0; i < COUNT - 1; i++)
		assert_int_equal(core_result(&ring, i), 1000);
	nothing_more();
	holds('a', 2000); /* what was there, and the first */
	holds('b', 1000);
	holds('c', 1000);
	assert_int_equal(core_result(&ring, COUNT - 1), 1000);
}

static void a_write_from_bad_memory_fails_alone(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT; i++)
		CORE_PREP(&ring, i, io_uring_prep_write, ends[1], i == 3 ? BAD_POINTER : memory[i],
			  100, 0);
	submit(COUNT);
	collect(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(results[i], i == 3 ? -EFAULT : 100);
	for (unsigned i = 0; i < COUNT; i++)
		if (i != 3)
			holds((char)('a' + i), 100);
}

static void writes_that_nobody_can_read_fail_each(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	close(ends[0]);
	for (unsigned i = 0; i < COUNT; i++)
		a_write(i, 100);
	submit(COUNT);
	collect(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(results[i], -EPIPE);
	signal(SIGPIPE, SIG_DFL);
	ends[0] = open("/dev/null", O_RDONLY);
}

static void each_write_to_a_pipe_of_packets_is_one(void **state)
{
	char got[64];

	(void)state;
	assert_int_equal(fcntl(ends[1], F_SETFL, O_WRONLY | O_DIRECT), 0);
	for (unsigned i = 0; i < COUNT; i++)
		a_write(i, 10);
	submit(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(core_result(&ring, i), 10);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(read(ends[0], got, sizeof(got)), 10);
}

/* What has no room in the buffer is lost, and is not the next one's. */
static void each_read_of_a_pipe_of_packets_takes_one(void **state)
{
	(void)state;
	assert_int_equal(fcntl(ends[1], F_SETFL, O_WRONLY | O_DIRECT), 0);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(write(ends[1], memory[i], 100), 100);
	for (unsigned i = 0; i < COUNT; i++)
		a_read(i, 64);
	submit(COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(core_result(&ring, i), 64);
		assert_int_equal(memory[i][0], 'a' + (int)i);
	}
}

static void reads_share_what_is_there_and_the_others_wait(void **state)
{
	(void)state;
	assert_int_equal(write(ends[1], memory[0], 700), 700);
	for (unsigned i = 0; i < 5; i++)
		a_read(i, 300);
	submit(5);
	assert_int_equal(core_result(&ring, 0), 300);
	assert_int_equal(core_result(&ring, 1), 300);
	assert_int_equal(core_result(&ring, 2), 100);
	nothing_more();
	assert_int_equal(write(ends[1], memory[0], 200), 200);
	results[3] = results[4] = 0;
	collect(1);
	assert_int_equal(results[3] + results[4], 200);
	close(ends[1]);
	ends[1] = -1;
	collect(1);
	assert_int_equal(results[3] + results[4], 200);
}

static void reads_at_the_end_of_a_pipe_all_say_so(void **state)
{
	(void)state;
	assert_int_equal(write(ends[1], memory[0], 150), 150);
	close(ends[1]);
	ends[1] = -1;
	for (unsigned i = 0; i < COUNT; i++)
		a_read(i, 100);
	submit(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(core_result(&ring, i), i == 0 ? 100 : i == 1 ? 50 : 0);
}

static void a_refused_one_in_the_midst_is_told_in_its_place(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT; i++)
		a_write(i, 100);
	/* No file has this place; reading and writing by it are errors of the request itself. */
	ring.sq.sqes[2].off = (__u64)-2;
	ring.sq.sqes[5].rw_flags = 1 << 30;
	submit(COUNT);
	collect(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		if (i != 2 && i != 5)
			assert_int_equal(results[i], 100);
	assert_int_equal(results[2], -EINVAL);
	assert_int_equal(results[5], -EOPNOTSUPP);
}

static void a_link_in_the_midst_holds(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT; i++)
		a_write(i, 100);
	ring.sq.sqes[3].flags = IOSQE_IO_LINK;
	ring.sq.sqes[3].addr = (__u64)BAD_POINTER;
	submit(COUNT);
	collect(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		if (i != 3 && i != 4)
			assert_int_equal(results[i], 100);
	assert_int_equal(results[3], -EFAULT);
	assert_int_equal(results[4], -ECANCELED);
}

static void more_than_the_queue_holds_is_kept(void **state)
{
	(void)state;
	for (unsigned batch = 0; batch < 10; batch++) {
		for (unsigned i = 0; i < COUNT; i++)
			a_write(batch * COUNT + i, 100);
		submit(COUNT);
	}
	for (unsigned i = 0; i < 10 * COUNT; i++)
		assert_int_equal(core_result(&ring, i), 100);
}

static void sends_to_a_full_socket_wait_and_go_on_in_order(void **state)
{
	static char large[256 << 10];
	unsigned done = 0;
	long taken = 0;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (unsigned i = 0; i < COUNT; i++)
		CORE_PREP(&ring, i, io_uring_prep_send, pair[1], large, sizeof(large), MSG_WAITALL);
	submit(COUNT);
	assert_true(io_uring_cq_ready(&ring) < COUNT);
	while (taken < (long)(COUNT * sizeof(large))) {
		long n = read(pair[0], large, sizeof(large));

		assert_true(n > 0);
		taken += n;
		io_uring_get_events(&ring);
	}
	for (; done < COUNT; done++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		assert_int_equal(cqe->res, sizeof(large));
		io_uring_cqe_seen(&ring, cqe);
	}
	close(pair[0]);
	close(pair[1]);
}

static void sends_are_refused_for_what_each_of_them_is(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CORE_PREP(&ring, 0, io_uring_prep_send, pair[1], memory[0], 10, 0);
	CORE_PREP(&ring, 1, io_uring_prep_send, ends[1], memory[0], 10, 0);
	CORE_PREP(&ring, 2, io_uring_prep_send, pair[1], BAD_POINTER, 10, 0);
	CORE_PREP(&ring, 3, io_uring_prep_send, -1, memory[0], 10, 0);
	CORE_PREP(&ring, 4, io_uring_prep_send, pair[1], memory[1], 20, MSG_DONTWAIT);
	submit(5);
	collect(5);
	assert_int_equal(results[0], 10);
	assert_int_equal(results[1], -ENOTSOCK);
	assert_int_equal(results[2], -EFAULT);
	assert_int_equal(results[3], -EBADF);
	assert_int_equal(results[4], 20);
	close(pair[0]);
	/* The other end is closed. No signal. */
	for (unsigned i = 0; i < 3; i++)
		CORE_PREP(&ring, i, io_uring_prep_send, pair[1], memory[0], 10, 0);
	submit(3);
	collect(3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(results[i], -EPIPE);
	close(pair[1]);
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void a_socket_has_no_places_to_read_or_write_at(void **state)
{
	int sockets[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	assert_int_equal(write(sockets[1], "abc", 3), 3);
	for (unsigned i = 0; i < COUNT; i++) /* all but the last two at place 7 */
		CORE_PREP(&ring, i, io_uring_prep_read, sockets[0], memory[i], i == 3 ? 0 : 1,
			  i == 6   ? 0
			  : i == 7 ? -1
				   : 7);
	submit(COUNT);
	collect(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(results[i], i < 6 ? -ESPIPE : 1);
	for (unsigned i = 0; i < COUNT; i++)
		CORE_PREP(&ring, i, io_uring_prep_write, sockets[0], memory[i], 1, i == 5 ? 0 : 7);
	submit(COUNT);
	collect(COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(results[i], i == 5 ? 1 : -ESPIPE);
	close(sockets[0]);
	close(sockets[1]);
	/* A pipe has none either, but does not mind. */
	CORE_PREP(&ring, 0, io_uring_prep_write, ends[1], memory[0], 5, 7);
	submit(1);
	collect(1);
	assert_int_equal(results[0], 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		A_TEST(writes_go_to_an_empty_pipe_in_their_order),
		A_TEST(writes_to_an_empty_pipe_take_a_call_for_each_page),
		A_TEST(a_pipe_of_one_page_takes_as_many_writes_as_fit_on_it),
		A_TEST(a_pipe_of_two_pages_takes_as_many_writes_as_fit_on_each),
		A_TEST(writes_behind_what_is_in_the_pipe_lose_no_room),
		A_TEST(a_write_from_bad_memory_fails_alone),
		A_TEST(writes_that_nobody_can_read_fail_each),
		A_TEST(each_write_to_a_pipe_of_packets_is_one),
		A_TEST(each_read_of_a_pipe_of_packets_takes_one),
		A_TEST(reads_share_what_is_there_and_the_others_wait),
		A_TEST(reads_at_the_end_of_a_pipe_all_say_so),
		A_TEST(a_refused_one_in_the_midst_is_told_in_its_place),
		A_TEST(a_link_in_the_midst_holds),
		A_TEST(more_than_the_queue_holds_is_kept),
		A_TEST(sends_to_a_full_socket_wait_and_go_on_in_order),
		A_TEST(sends_are_refused_for_what_each_of_them_is),
		A_TEST(a_socket_has_no_places_to_read_or_write_at),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
