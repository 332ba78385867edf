/*
 * readahead_test.c - windows that grow, that start before they are needed, and that stop
 */
#include "cache/readahead.h"

#include "unit_cache.h"

#define SIZE  (64 * UNIT_MIB)
#define PAGES (SIZE / UNIT_PAGE)
#define KIB   1024ull

static struct unit_reader reader;
static struct readahead ahead; /* the descriptor's */
static cache_binding binding;

/* How far the device was asked, and how much in all. */
static u64 asked_end, asked_pages;

static void note_request(const struct sim_read *read, void *arg)
{
	assert_ptr_equal(arg, &unit_sim);
	asked_end = max_of(asked_end, (read->read->offset + read->size) / UNIT_PAGE);
	asked_pages += read->size / UNIT_PAGE;
}

static void start(u64 limit, const struct sim_options *options)
{
	unit_cache_start(limit, options);
	unit_sim.trace = note_request;
	unit_sim.trace_arg = &unit_sim;
	asked_end = asked_pages = 0;
	sim_file(&unit_sim, UNIT_FILE, SIZE, SIZE);
	binding = unit_cache_open(UNIT_FILE);
	ahead = (struct readahead){0};
}

static int setup(void **state)
{
	(void)state;
	start(32 * UNIT_MIB, &(struct sim_options){.seed = 1});
	return 0;
}

static void quiesce(void)
{
	while (unit_device_step())
		;
}

static int teardown(void **state)
{
	(void)state;
	quiesce();
	cache_file_lose(binding);
	unit_cache_stop();
	unit_reader_free(&reader);
	return 0;
}

/* Through the descriptor's readahead. Whether it had to wait. */
static bool read_at(u64 offset, u64 size)
{
	bool has_waited;

	unit_reader_prepare(&reader, binding, UNIT_FILE, offset, size);
	reader.read.readahead = &ahead;
	has_waited = !unit_reader_step(&reader);
	unit_readers_run(&reader, 1);
	unit_reader_expect(&reader, size, 0);
	return has_waited;
}

static void random_reads_fill_what_they_ask_for_and_no_more(void **state)
{
	u64 random = 7;

	(void)state;
	for (u32 i = 0; i < 200; i++) {
		u64 before = asked_pages, page;

		/* Never the page behind the one before. */
		page = (i % 2 ? 0 : PAGES / 2) + unit_random(&random) % (PAGES / 2 - 1);
		read_at(page * UNIT_PAGE, UNIT_PAGE);
		quiesce();
		assert_true(asked_pages - before <= 1);
	}
}

static void the_window_of_a_sequential_reader_doubles_up_to_512_kib(void **state)
{
	u64 end = 0, window = 0, largest = 0;

	(void)state;
	for (u64 offset = 0; offset < 8 * UNIT_MIB; offset += UNIT_PAGE) {
		read_at(offset, UNIT_PAGE);
		quiesce();
		if (asked_end == end)
			continue;
		/* A new window: at least as large as the one before, at most twice that. */
		if (window > 0) {
			assert_true(asked_end - end >= window);
			assert_true(asked_end - end <= max_of(2 * window, 8ull));
		}
		window = asked_end - end;
		end = asked_end;
		largest = max_of(largest, window);
	}
	assert_int_equal(largest * UNIT_PAGE, 512 * KIB);
	assert_int_equal(window * UNIT_PAGE, 512 * KIB);
	assert_int_equal(asked_pages, asked_end); /* and nothing twice */
}

static void a_jump_ends_the_window_and_the_next_one_begins_small(void **state)
{
	u64 before;

	(void)state;
	for (u64 offset = 0; offset < 4 * UNIT_MIB; offset += 16 * KIB)
		read_at(offset, 16 * KIB);
	quiesce();
	before = asked_pages;
	read_at(40 * UNIT_MIB, UNIT_PAGE);
	quiesce();
	assert_int_equal(asked_pages - before, 1);
	before = asked_pages;
	read_at(40 * UNIT_MIB + UNIT_PAGE, UNIT_PAGE);
	quiesce();
	assert_in_range(asked_pages - before, 2, 16);
	before = asked_pages;
	read_at(20 * UNIT_MIB, UNIT_PAGE);
	quiesce();
	assert_int_equal(asked_pages - before, 1);
}

static void a_reader_that_jumps_after_each_record_does_not_read_ahead(void **state)
{
	u64 wanted = 0;

	(void)state;
	/* 8 KiB of each 64 KiB. */
	for (u64 offset = 0; offset < 16 * UNIT_MIB; offset += 64 * KIB) {
		read_at(offset, 8 * KIB);
		quiesce();
		wanted += 2;
	}
	/* The begin of a file promises a sequential reader. */
	assert_true(asked_pages <= wanted + 16);
}

static void what_was_advised_is_honoured(void **state)
{
	u64 before;

	(void)state;
	ahead.advice = READAHEAD_RANDOM;
	for (u64 offset = 0; offset < 1 * UNIT_MIB; offset += UNIT_PAGE)
		read_at(offset, UNIT_PAGE);
	assert_int_equal(asked_pages, UNIT_MIB / UNIT_PAGE);

	ahead = (struct readahead){.advice = READAHEAD_SEQUENTIAL};
	before = asked_pages;
	read_at(32 * UNIT_MIB, UNIT_PAGE);
	quiesce();
	assert_true((asked_pages - before) * UNIT_PAGE >= 256 * KIB);
}

static void nothing_is_read_ahead_behind_the_end_of_the_file(void **state)
{
	(void)state;
	for (u64 offset = SIZE - 3 * UNIT_MIB; offset < SIZE; offset += 32 * KIB)
		read_at(offset, 32 * KIB);
	quiesce();
	assert_int_equal(asked_end, PAGES);
	assert_int_equal(asked_pages, 3 * UNIT_MIB / UNIT_PAGE);
}

static void two_descriptors_of_one_file_have_windows_of_their_own(void **state)
{
	struct readahead first = {0}, second = {0};
	u32 waits = 0;

	(void)state;
	for (u64 offset = 0; offset < 4 * UNIT_MIB; offset += 16 * KIB) {
		ahead = first;
		waits += read_at(offset, 16 * KIB);
		first = ahead;
		ahead = second;
		waits += read_at(32 * UNIT_MIB + offset, 16 * KIB);
		second = ahead;
		quiesce();
	}
	assert_true(first.window * UNIT_PAGE == 512 * KIB);
	assert_true(second.window * UNIT_PAGE == 512 * KIB);
	assert_true(waits <= 6);
}

/* Reads the file at the pace of `ns` a read; how many of the reads waited, by MiB. */
static void read_at_a_pace(u64 size, u64 ns, u32 *waits)
{
	for (u64 offset = 0; offset + size <= 24 * UNIT_MIB; offset += size) {
		waits[offset / UNIT_MIB] += read_at(offset, size);
		cache_submit();
		sim_advance_by(&unit_sim, ns);
		cache_look();
	}
}

static void at_steady_state_a_sequential_reader_never_waits(void **state)
{
	static const u64 sizes[] = {4 * KIB, 16 * KIB, 128 * KIB, 4 * KIB + 512};

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		u32 waits[24] = {0};

		teardown(state);
		/* A request takes up to 200 us; a window of 512 KiB is used up in 512. */
		start(32 * UNIT_MIB, &(struct sim_options){.seed = i + 1,
							   .latency_min = 50000,
							   .latency_max = 200000});
		read_at_a_pace(sizes[i], sizes[i] * 1000 / KIB, waits);
		assert_in_range(waits[0], 1, 8);
		for (u32 mib = 1; mib < 24; mib++)
			if (waits[mib])
				fail_msg("reads of %lu bytes waited %u times in MiB %u",
					 (unsigned long)sizes[i], waits[mib], mib);
	}
}

static void a_file_that_is_there_already_is_not_asked_for_again(void **state)
{
	u64 before;

	(void)state;
	for (u64 offset = 0; offset < 8 * UNIT_MIB; offset += 64 * KIB)
		read_at(offset, 64 * KIB);
	quiesce();
	before = asked_pages;
	ahead = (struct readahead){0};
	for (u64 offset = 0; offset < 8 * UNIT_MIB; offset += 64 * KIB)
		assert_false(read_at(offset, 64 * KIB));
	quiesce();
	assert_int_equal(asked_pages, before);
}

static void in_a_small_cache_a_window_is_a_small_part_of_it(void **state)
{
	u64 largest = 0, end = 0;

	teardown(state);
	start(CACHE_LIMIT_MIN, &(struct sim_options){.seed = 1});
	for (u64 offset = 0; offset < 16 * UNIT_MIB; offset += 16 * KIB) {
		read_at(offset, 16 * KIB);
		quiesce();
		largest = max_of(largest, asked_end - end);
		end = asked_end;
	}
	assert_true(largest * UNIT_PAGE <= CACHE_LIMIT_MIN / 4);
	/* What was read ahead was there when it was wanted: nothing was read twice. */
	assert_true(asked_pages <= asked_end + asked_end / 100);
}

#define readahead_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	readahead_test(random_reads_fill_what_they_ask_for_and_no_more),
	readahead_test(the_window_of_a_sequential_reader_doubles_up_to_512_kib),
	readahead_test(a_jump_ends_the_window_and_the_next_one_begins_small),
	readahead_test(a_reader_that_jumps_after_each_record_does_not_read_ahead),
	readahead_test(what_was_advised_is_honoured),
	readahead_test(nothing_is_read_ahead_behind_the_end_of_the_file),
	readahead_test(two_descriptors_of_one_file_have_windows_of_their_own),
	readahead_test(at_steady_state_a_sequential_reader_never_waits),
	readahead_test(a_file_that_is_there_already_is_not_asked_for_again),
	readahead_test(in_a_small_cache_a_window_is_a_small_part_of_it),
};

unit_main(tests)
