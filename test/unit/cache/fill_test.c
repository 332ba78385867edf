/*
 * fill_test.c - which requests the device gets, and where else bytes come from
 */
#include "cache/fill.h"

#include <pthread.h>

#include "unit_cache.h"

#define PAGES 256u
#define SIZE  (PAGES * UNIT_PAGE)

/* What the device was asked for. */
static struct {
	u64 page, pages;
} requests[256];
static u32 request_count;

static struct unit_reader readers[64];
static cache_binding binding;

static void note_request(const struct sim_read *read, void *arg)
{
	assert_ptr_equal(arg, &unit_sim);
	assert_true(request_count < ARRAY_SIZE(requests));
	requests[request_count].page = read->read->offset / UNIT_PAGE;
	requests[request_count++].pages = read->size / UNIT_PAGE;
}

static void expect_request(u32 number, u64 page, u64 pages)
{
	assert_true(number < request_count);
	assert_int_equal(requests[number].page, page);
	assert_int_equal(requests[number].pages, pages);
}

static void hold_all(void)
{
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .is_held = true});
}

static int setup(void **state)
{
	(void)state;
	unit_cache_start(8 * UNIT_MIB, &(struct sim_options){.seed = 1});
	unit_sim.trace = note_request;
	unit_sim.trace_arg = &unit_sim;
	request_count = 0;
	sim_file(&unit_sim, UNIT_FILE, SIZE, SIZE);
	binding = unit_cache_open(UNIT_FILE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cache_file_lose(binding);
	unit_cache_stop();
	for (u32 i = 0; i < ARRAY_SIZE(readers); i++)
		unit_reader_free(&readers[i]);
	return 0;
}

static void neighbouring_misses_of_a_batch_are_one_request(void **state)
{
	(void)state;
	for (u32 i = 0; i < 8; i++)
		assert_false(unit_reader_begin(&readers[i], binding, (10 + i) * UNIT_PAGE, 100));
	unit_readers_run(readers, 8);
	for (u32 i = 0; i < 8; i++)
		unit_reader_expect(&readers[i], 100, 0);
	assert_true(request_count < 8);
	expect_request(0, 10, requests[0].pages);
	for (u32 i = 1; i < request_count; i++)
		expect_request(i, requests[i - 1].page + requests[i - 1].pages, requests[i].pages);
}

static void misses_that_are_no_neighbours_are_requests_of_their_own(void **state)
{
	(void)state;
	for (u32 i = 0; i < 8; i++)
		assert_false(unit_reader_begin(&readers[i], binding, 2 * i * UNIT_PAGE, 100));
	unit_readers_run(readers, 8);
	assert_int_equal(request_count, 8);
	for (u32 i = 0; i < 8; i++) {
		unit_reader_expect(&readers[i], 100, 0);
		expect_request(i, 2 * i, 1);
	}
}

static void a_long_read_goes_to_the_device_in_requests_of_128_kib_all_at_once(void **state)
{
	(void)state;
	assert_false(unit_reader_begin(&readers[0], binding, 5 * UNIT_PAGE, 96 * UNIT_PAGE));
	cache_submit();
	assert_int_equal(request_count, 3);
	for (u32 i = 0; i < 3; i++)
		expect_request(i, 5 + 32 * i, 32);
	unit_readers_run(readers, 1);
	unit_reader_expect(&readers[0], 96 * UNIT_PAGE, 0);
}

static void pages_that_are_there_are_not_asked_for_again(void **state)
{
	(void)state;
	unit_read(&readers[0], binding, 20 * UNIT_PAGE, 2 * UNIT_PAGE);
	unit_read(&readers[0], binding, 10 * UNIT_PAGE, 20 * UNIT_PAGE);
	unit_reader_expect(&readers[0], 20 * UNIT_PAGE, 0);
	assert_int_equal(request_count, 3);
	expect_request(1, 10, 10);
	expect_request(2, 22, 8);
}

static void pages_that_were_dropped_are_asked_for_together(void **state)
{
	u32 before;

	(void)state;
	unit_read(&readers[0], binding, 0, 16 * UNIT_PAGE);
	cache_drop_range(binding, 0, 16 * UNIT_PAGE);
	before = request_count;
	unit_read(&readers[0], binding, 0, 16 * UNIT_PAGE);
	unit_reader_expect(&readers[0], 16 * UNIT_PAGE, 0);
	expect_request(before, 0, requests[before].pages);
	assert_true(requests[before].pages >= 16);
}

static void nothing_is_asked_for_behind_the_end_of_the_file(void **state)
{
	(void)state;
	unit_read(&readers[0], binding, (PAGES - 2) * UNIT_PAGE, 100 * UNIT_PAGE);
	unit_reader_expect(&readers[0], 2 * UNIT_PAGE, 0);
	assert_int_equal(request_count, 1);
	expect_request(0, PAGES - 2, 2);
}

static void a_prefetch_fills_what_is_absent_and_nobody_waits(void **state)
{
	(void)state;
	unit_read(&readers[0], binding, 3 * UNIT_PAGE, UNIT_PAGE);
	cache_prefetch(binding, 100, 7 * UNIT_PAGE);
	assert_int_equal(request_count, 3);
	expect_request(1, 0, 3);
	expect_request(2, 4, 4);
	while (unit_device_step())
		;
	assert_true(unit_reader_begin(&readers[0], binding, 0, 8 * UNIT_PAGE));
	unit_reader_expect(&readers[0], 8 * UNIT_PAGE, 0);
}

static void a_prefetch_takes_at_most_an_eighth_of_the_cache(void **state)
{
	struct cache_usage usage = unit_usage();
	u64 pages;

	(void)state;
	cache_prefetch(binding, 0, UINT64_MAX / 2);
	while (unit_device_step())
		;
	pages = unit_usage().pages;
	assert_true(pages > 0 && pages * UNIT_PAGE <= usage.limit / 8);
	cache_prefetch(binding, SIZE, UNIT_PAGE);
	cache_prefetch(binding, UINT64_MAX - 5, 5);
	cache_prefetch(binding + CACHE_FILES, 0, UNIT_PAGE);
	assert_int_equal(unit_usage().pages, pages);
}

static void *look_on(void *arg)
{
	unit_wait_until(load_relaxed(&readers[0].woken) || (cache_look(), false));
	return arg;
}

static void any_thread_moves_a_fill_on(void **state)
{
	pthread_t thread;

	(void)state;
	assert_false(unit_reader_begin(&readers[0], binding, 0, 100));
	cache_submit();
	assert_int_equal(pthread_create(&thread, NULL, look_on, NULL), 0);
	sim_advance(&unit_sim);
	pthread_join(thread, NULL);
	unit_readers_run(readers, 1);
	unit_reader_expect(&readers[0], 100, 0);
}

static u32 woken_of(u32 count)
{
	u32 woken = 0;

	for (u32 i = 0; i < count; i++)
		woken += load_relaxed(&readers[i].woken) != 0;
	return woken;
}

/* What all ended at once is taken in parts; the answer says when nothing can be left. */
static void a_look_for_some_takes_eight_and_says_that_there_may_be_more(void **state)
{
	enum { READS = 20, SOME = 8 };

	(void)state;
	for (u32 i = 0; i < READS; i++)
		assert_false(unit_reader_begin(&readers[i], binding, 2 * i * UNIT_PAGE, 100));
	cache_submit();
	sim_advance_by(&unit_sim, 10000000000ull); /* all have ended */
	assert_int_equal(woken_of(READS), 0);
	assert_true(cache_look_some());
	assert_int_equal(woken_of(READS), SOME);
	assert_true(cache_look_some());
	assert_int_equal(woken_of(READS), 2 * SOME);
	assert_false(cache_look_some());
	assert_int_equal(woken_of(READS), READS);
	assert_false(cache_look_some());
	unit_readers_run(readers, READS);
	for (u32 i = 0; i < READS; i++)
		unit_reader_expect(&readers[i], 100, 0);
}

static void more_fills_than_the_device_is_deep_complete_all_the_same(void **state)
{
	(void)state;
	unit_sim.depth = 2;
	for (u32 i = 0; i < 20; i++)
		assert_false(unit_reader_begin(&readers[i], binding, 2 * i * UNIT_PAGE, 100));
	unit_readers_run(readers, 20);
	for (u32 i = 0; i < 20; i++)
		unit_reader_expect(&readers[i], 100, 0);
}

static void more_long_reads_than_there_are_long_fills_begin_with_short_ones(void **state)
{
	(void)state;
	hold_all();
	for (u32 i = 0; i < 20; i++)
		assert_false(unit_reader_begin(&readers[i], binding, 12 * i * UNIT_PAGE,
					       10 * UNIT_PAGE));
	/* Nobody waits for another's fill: each has something at the device. */
	cache_submit();
	for (u32 i = 0; i < 20; i++)
		assert_true(sim_is_in_flight(&unit_sim, UNIT_FILE, 12 * i * UNIT_PAGE));
	sim_rules_clear(&unit_sim);
	sim_release_all(&unit_sim);
	unit_readers_run(readers, 20);
	for (u32 i = 0; i < 20; i++)
		unit_reader_expect(&readers[i], 10 * UNIT_PAGE, 0);
}

/* A real file, whose bytes are not those of the simulated one: who was asked is seen by them. */
static cache_binding open_with_kernel_cache(int fd)
{
	struct cache_source source = {.direct_fd = UNIT_FILE,
				      .buffered_fd = fd,
				      .size = 64 * UNIT_PAGE + 100};

	cache_file_lose(binding);
	return cache_file_open(&source);
}

static void what_the_kernel_has_in_its_cache_comes_from_there(void **state)
{
	int fd = unit_scratch_file(64 * UNIT_PAGE + 100, O_RDONLY);

	(void)state;
	binding = open_with_kernel_cache(fd);
	unit_read(&readers[0], binding, 60 * UNIT_PAGE, 10 * UNIT_PAGE);
	assert_int_equal(readers[0].verdict, CACHE_DONE);
	assert_int_equal(readers[0].copied, 4 * UNIT_PAGE + 100);
	unit_assert_bytes(readers[0].buffer, readers[0].copied, 60 * UNIT_PAGE);
	assert_int_equal(request_count, 0);
	cache_file_lose(binding);
	binding = unit_cache_open(UNIT_FILE);
	close(fd);
}

/* The first page is in the kernel's cache, the rest is not. */
static cache_binding open_with_first_page(int fd)
{
	unsigned char byte;

	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	return open_with_kernel_cache(fd);
}

static void what_the_kernel_does_not_have_comes_from_the_device(void **state)
{
	int fd = unit_scratch_file(64 * UNIT_PAGE + 100, O_RDONLY);

	(void)state;
	binding = open_with_first_page(fd);
	unit_read(&readers[0], binding, 0, 2 * UNIT_PAGE);
	assert_int_equal(readers[0].verdict, CACHE_DONE);
	unit_assert_bytes(readers[0].buffer, UNIT_PAGE, 0);
	assert_true(
		sim_bytes_are(readers[0].buffer + UNIT_PAGE, UNIT_PAGE, UNIT_FILE, UNIT_PAGE, 0));
	assert_int_equal(request_count, 1);
	expect_request(0, 1, 1);
	cache_file_lose(binding);
	binding = unit_cache_open(UNIT_FILE);
	close(fd);
}

static void a_long_fill_asks_the_kernel_only_if_it_has_the_end_of_the_file_too(void **state)
{
	int fd = unit_scratch_file(64 * UNIT_PAGE + 100, O_RDONLY);

	(void)state;
	binding = open_with_first_page(fd);
	unit_read(&readers[0], binding, 0, 4 * UNIT_PAGE);
	assert_int_equal(readers[0].verdict, CACHE_DONE);
	assert_true(sim_bytes_are(readers[0].buffer, 4 * UNIT_PAGE, UNIT_FILE, 0, 0));
	assert_int_equal(request_count, 1);
	expect_request(0, 0, 4);
	cache_file_lose(binding);
	binding = unit_cache_open(UNIT_FILE);
	close(fd);
}

static void a_file_that_others_cut_ends_where_it_ends_now(void **state)
{
	int fd = unit_scratch_file(64 * UNIT_PAGE, O_RDWR | O_DIRECT);
	struct cache_source source = {.direct_fd = fd, .buffered_fd = -1, .size = 64 * UNIT_PAGE};
	struct aio_device aio;

	(void)state;
	cache_file_lose(binding);
	cache_destroy();
	assert_int_equal(aio_device_init(&aio, 8), 0);
	assert_int_equal(cache_init(8 * UNIT_MIB, &aio.device), 0);
	binding = cache_file_open(&source);
	assert_int_equal(ftruncate(fd, 2 * UNIT_PAGE + 10), 0);
	unit_reader_begin(&readers[0], binding, 0, 8 * UNIT_PAGE);
	while (!readers[0].is_done) {
		cache_submit();
		cache_look();
		unit_reader_go_on(&readers[0]);
	}
	assert_int_equal(readers[0].verdict, CACHE_DONE);
	assert_int_equal(readers[0].copied, 2 * UNIT_PAGE + 10);
	unit_assert_bytes(readers[0].buffer, readers[0].copied, 0);
	assert_int_equal(cache_file_size(binding), 2 * UNIT_PAGE + 10);
	cache_file_lose(binding);
	cache_destroy();
	aio_queue_destroy(&aio.queue);
	close(fd);
	assert_int_equal(cache_init(8 * UNIT_MIB, &unit_sim.device), 0);
	binding = unit_cache_open(UNIT_FILE);
}

#define fill_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	fill_test(neighbouring_misses_of_a_batch_are_one_request),
	fill_test(misses_that_are_no_neighbours_are_requests_of_their_own),
	fill_test(a_long_read_goes_to_the_device_in_requests_of_128_kib_all_at_once),
	fill_test(pages_that_are_there_are_not_asked_for_again),
	fill_test(pages_that_were_dropped_are_asked_for_together),
	fill_test(nothing_is_asked_for_behind_the_end_of_the_file),
	fill_test(a_prefetch_fills_what_is_absent_and_nobody_waits),
	fill_test(a_prefetch_takes_at_most_an_eighth_of_the_cache),
	fill_test(any_thread_moves_a_fill_on),
	fill_test(a_look_for_some_takes_eight_and_says_that_there_may_be_more),
	fill_test(more_fills_than_the_device_is_deep_complete_all_the_same),
	fill_test(more_long_reads_than_there_are_long_fills_begin_with_short_ones),
	fill_test(what_the_kernel_has_in_its_cache_comes_from_there),
	fill_test(what_the_kernel_does_not_have_comes_from_the_device),
	fill_test(a_long_fill_asks_the_kernel_only_if_it_has_the_end_of_the_file_too),
	fill_test(a_file_that_others_cut_ends_where_it_ends_now),
};

unit_main(tests)
