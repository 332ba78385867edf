/*
 * read_test.c - the asynchronous read: caught, woken, tried again, from where it was
 */
#include "cache/read.h"

#include <pthread.h>

#include "unit_cache.h"
#include "unit_ring.h"

#define SIZE (64 * UNIT_PAGE + 100) /* the end lies in the block behind the 64th */

static struct unit_reader readers[40];
static cache_binding binding;

static void hold_all(void)
{
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .is_held = true});
}

static void release(u64 page)
{
	assert_true(sim_release(&unit_sim, UNIT_FILE, page * UNIT_PAGE));
	cache_look();
}

static int setup(void **state)
{
	(void)state;
	unit_cache_start(CACHE_LIMIT_MIN, &(struct sim_options){.seed = 1});
	sim_file(&unit_sim, UNIT_FILE, SIZE, 2 * SIZE);
	binding = unit_cache_open(UNIT_FILE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (cache_file_is_current(binding))
		cache_file_lose(binding);
	assert_int_equal(unit_usage().pages, 0);
	unit_cache_stop();
	for (u32 i = 0; i < ARRAY_SIZE(readers); i++)
		unit_reader_free(&readers[i]);
	return 0;
}

static void a_miss_waits_for_the_device_and_a_hit_for_nothing(void **state)
{
	(void)state;
	assert_false(unit_reader_begin(&readers[0], binding, 3 * UNIT_PAGE + 5, 1000));
	assert_int_equal(unit_sim.sent, 0); /* staged, until the batch ends */
	cache_submit();
	assert_int_equal(unit_sim.sent, 1);
	unit_readers_run(readers, 1);
	unit_reader_expect(&readers[0], 1000, 0);
	assert_int_equal(readers[0].wakes, 1);

	assert_true(unit_reader_begin(&readers[0], binding, 3 * UNIT_PAGE + 2000, 2096));
	unit_reader_expect(&readers[0], 2096, 0);
	assert_int_equal(unit_sim.sent, 1);
	assert_false(cache_is_busy());
}

static void two_readers_of_one_page_make_one_fill_and_each_is_woken_once(void **state)
{
	(void)state;
	assert_false(unit_reader_begin(&readers[0], binding, 0, UNIT_PAGE));
	assert_false(unit_reader_begin(&readers[1], binding, 100, 50));
	unit_readers_run(readers, 2);
	unit_reader_expect(&readers[0], UNIT_PAGE, 0);
	unit_reader_expect(&readers[1], 50, 0);
	assert_int_equal(readers[0].wakes + readers[1].wakes, 2);
	assert_int_equal(unit_sim.sent, 1);
}

static void an_unlock_between_the_look_and_the_enqueue_is_not_missed(void **state)
{
	struct unit_reader *late = &readers[1];

	(void)state;
	hold_all();
	unit_reader_begin(&readers[0], binding, 0, 100);
	cache_submit();
	/* It looks, and the page is locked ... */
	unit_reader_prepare(late, binding, UNIT_FILE, 0, 100);
	assert_int_equal(cache_read_try(&late->read), CACHE_CAUGHT);
	/* ... then the page is unlocked ... */
	release(0);
	assert_int_equal(load_acquire(&readers[0].woken), 1);
	/* ... and only then it would enqueue. */
	assert_int_equal(cache_read_wait(&late->read, &late->waiter), CACHE_RETRY);
	assert_int_equal(late->wakes, 0);
	assert_true(unit_reader_step(late));
	unit_reader_expect(late, 100, 0);
	unit_readers_run(readers, 1);
}

static void a_read_of_many_pages_is_one_request_of_the_device_and_continues_where_it_was(
	void **state)
{
	(void)state;
	unit_read(&readers[0], binding, 10, 20 * UNIT_PAGE);
	unit_reader_expect(&readers[0], 20 * UNIT_PAGE, 0);
	assert_int_equal(unit_sim.sent, 1);
}

static void a_read_behind_a_partial_copy_waits_for_the_rest_and_copies_nothing_twice(void **state)
{
	(void)state;
	unit_read(&readers[0], binding, 0, 2 * UNIT_PAGE);
	hold_all();
	assert_false(unit_reader_begin(&readers[1], binding, 0, 4 * UNIT_PAGE));
	assert_int_equal(readers[1].copied, 2 * UNIT_PAGE);
	memset(readers[1].buffer, 0, 2 * UNIT_PAGE);
	cache_submit();
	release(2);
	unit_readers_run(&readers[1], 1);
	assert_int_equal(readers[1].copied, 4 * UNIT_PAGE);
	for (u64 i = 0; i < 2 * UNIT_PAGE; i++)
		assert_int_equal(readers[1].buffer[i], 0);
	assert_true(sim_bytes_are(readers[1].buffer + 2 * UNIT_PAGE, 2 * UNIT_PAGE, UNIT_FILE,
				  2 * UNIT_PAGE, 0));
}

static void a_read_into_many_buffers_fills_them_in_order_and_passes_by_empty_ones(void **state)
{
	static unsigned char bytes[3 * PAGE_BYTES];
	struct iovec iov[] = {
		{bytes, 0}, {bytes, 1},           {bytes + 1, 5000},
		{NULL, 0},  {bytes + 5001, 3000}, {NULL, 0},
	};
	struct unit_reader *reader = &readers[0];

	(void)state;
	unit_reader_prepare(reader, binding, UNIT_FILE, 77, 8001);
	reader->read.iov = iov;
	reader->read.iov_count = ARRAY_SIZE(iov);
	unit_reader_step(reader);
	unit_readers_run(reader, 1);
	assert_int_equal(reader->verdict, CACHE_DONE);
	assert_int_equal(reader->copied, 8001);
	assert_true(sim_bytes_are(bytes, 8001, UNIT_FILE, 77, 0));
}

static void the_end_of_the_file_inside_a_block_makes_a_read_short(void **state)
{
	(void)state;
	unit_read(&readers[0], binding, 63 * UNIT_PAGE, 4 * UNIT_PAGE);
	unit_reader_expect(&readers[0], UNIT_PAGE + 100, 0);
	assert_true(unit_reader_begin(&readers[0], binding, SIZE, 100));
	unit_reader_expect(&readers[0], 0, 0);
	assert_true(unit_reader_begin(&readers[0], binding, UINT64_MAX / 2, 100));
	unit_reader_expect(&readers[0], 0, 0);
	assert_true(unit_reader_begin(&readers[0], binding, 7, 0));
	unit_reader_expect(&readers[0], 0, 0);
}

static void behind_the_old_end_of_a_file_that_grew_there_are_zeros(void **state)
{
	(void)state;
	unit_read(&readers[0], binding, 64 * UNIT_PAGE, 200);
	unit_reader_expect(&readers[0], 100, 0);
	cache_file_resize(binding, SIZE + 50);
	unit_read(&readers[0], binding, SIZE, 200);
	assert_int_equal(readers[0].verdict, CACHE_DONE);
	assert_int_equal(readers[0].copied, 50);
	for (u32 i = 0; i < 50; i++)
		assert_int_equal(readers[0].buffer[i], 0);
}

static void a_file_that_became_shorter_ends_there(void **state)
{
	(void)state;
	hold_all();
	assert_false(unit_reader_begin(&readers[0], binding, 60 * UNIT_PAGE, 4 * UNIT_PAGE));
	cache_submit();
	sim_file_resize(&unit_sim, UNIT_FILE, 61 * UNIT_PAGE + 9);
	cache_file_resize(binding, 61 * UNIT_PAGE + 9);
	release(60);
	unit_readers_run(readers, 1);
	unit_reader_expect(&readers[0], UNIT_PAGE + 9, 0);
}

static void short_reads_of_the_device_are_continued(void **state)
{
	(void)state;
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .keep = 3 * UNIT_PAGE + 512});
	unit_read(&readers[0], binding, 0, 8 * UNIT_PAGE);
	unit_reader_expect(&readers[0], 8 * UNIT_PAGE, 0);
	assert_int_equal(unit_sim.sent, 3);
}

static void a_device_that_brings_nothing_for_ever_fails_the_read(void **state)
{
	(void)state;
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .keep = 512});
	unit_read(&readers[0], binding, 0, 8 * UNIT_PAGE);
	assert_int_equal(readers[0].verdict, CACHE_FAILED);
	assert_int_equal(readers[0].copied, 0);
	sim_rules_clear(&unit_sim);
	unit_read(&readers[0], binding, 0, 8 * UNIT_PAGE);
	unit_reader_expect(&readers[0], 8 * UNIT_PAGE, 0);
}

static void after_an_error_each_of_five_waiters_tries_once_more_and_the_page_stays_usable(
	void **state)
{
	struct sim_rule *rule;

	(void)state;
	rule = sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .error = -EIO});
	for (u32 i = 0; i < 5; i++)
		assert_false(unit_reader_begin(&readers[i], binding, 10 * i, 10));
	unit_readers_run(readers, 5);
	for (u32 i = 0; i < 5; i++) {
		assert_int_equal(readers[i].verdict, CACHE_FAILED);
		assert_int_equal(readers[i].copied, 0);
		assert_int_equal(readers[i].waiter.errors, 2);
	}
	/* The first fill, and one for each of them at most. */
	assert_in_range(rule->fitted, 2, 6);
	assert_true(load_relaxed(unit_word(binding, 0)) & PAGE_ERROR);

	sim_rules_clear(&unit_sim);
	unit_read(&readers[0], binding, 0, 100);
	unit_reader_expect(&readers[0], 100, 0);
	assert_false(load_relaxed(unit_word(binding, 0)) & PAGE_ERROR);
}

static void an_error_that_does_not_come_again_is_not_seen(void **state)
{
	(void)state;
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .error = -EIO, .last = 1});
	for (u32 i = 0; i < 5; i++)
		assert_false(unit_reader_begin(&readers[i], binding, 10 * i, 10));
	unit_readers_run(readers, 5);
	for (u32 i = 0; i < 5; i++)
		unit_reader_expect(&readers[i], 10, 0);
}

static void an_error_behind_the_first_byte_ends_the_read_with_what_it_has(void **state)
{
	(void)state;
	unit_read(&readers[0], binding, 0, 2 * UNIT_PAGE);
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .error = -EIO});
	unit_read(&readers[0], binding, 0, 4 * UNIT_PAGE);
	assert_int_equal(readers[0].verdict, CACHE_FAILED);
	assert_int_equal(readers[0].copied, 2 * UNIT_PAGE);
}

static void one_error_on_each_of_two_pages_fails_neither(void **state)
{
	struct unit_reader *reader = &readers[0];

	(void)state;
	sim_rule_add(&unit_sim,
		     &(struct sim_rule){.fd = -1, .end = UNIT_PAGE, .error = -EIO, .last = 1});
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1,
						   .offset = UNIT_PAGE,
						   .end = 2 * UNIT_PAGE,
						   .error = -EIO,
						   .last = 1});
	/* Page by page, so that each has a fill of its own. */
	cache_file_resize(binding, UNIT_PAGE);
	unit_reader_begin(reader, binding, 0, 2 * UNIT_PAGE);
	cache_file_resize(binding, SIZE);
	unit_readers_run(reader, 1);
	unit_reader_expect(reader, 2 * UNIT_PAGE, 0);
}

static void a_refused_fill_is_an_error_like_another(void **state)
{
	(void)state;
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .error = -EAGAIN, .is_refused = true});
	assert_false(unit_reader_begin(&readers[0], binding, 0, 100));
	unit_readers_run(readers, 1);
	assert_int_equal(readers[0].verdict, CACHE_FAILED);
}

static void a_read_that_gets_no_byte_for_long_goes_through_the_kernels_cache(void **state)
{
	u32 wakes = 0;

	(void)state;
	/* Each time it was woken, a write has gone past the page. */
	assert_false(unit_reader_begin(&readers[0], binding, 0, 100));
	while (!readers[0].is_done) {
		unit_device_step();
		if (readers[0].is_waiting && load_acquire(&readers[0].woken)) {
			cache_drop_range(binding, 0, 1);
			unit_reader_go_on(&readers[0]);
		}
		assert_true(++wakes < 100);
	}
	assert_int_equal(readers[0].verdict, CACHE_REFUSED);
	/* It would still be filled, for the next one. */
	while (unit_device_step())
		;
}

static void a_long_read_that_goes_on_is_never_refused(void **state)
{
	(void)state;
	/* One page at a time. */
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .keep = UNIT_PAGE});
	unit_read(&readers[0], binding, 0, 60 * UNIT_PAGE);
	unit_reader_expect(&readers[0], 60 * UNIT_PAGE, 0);
	assert_true(readers[0].wakes > 16);
}

static void a_cancelled_read_is_not_woken_and_its_page_is_filled_nevertheless(void **state)
{
	(void)state;
	hold_all();
	assert_false(unit_reader_begin(&readers[0], binding, 0, 100));
	assert_false(unit_reader_begin(&readers[1], binding, 0, 100));
	cache_submit();
	assert_true(cache_read_cancel(&readers[0].waiter));
	release(0);
	assert_int_equal(load_acquire(&readers[0].woken), 0);
	assert_false(cache_read_cancel(&readers[1].waiter));
	unit_readers_run(&readers[1], 1);
	unit_reader_expect(&readers[1], 100, 0);
}

/* Cancels each read, while the main thread completes its fill. */
static u32 turn, cancelled_turns; /* (a) */
static bool was_cancelled;

#define TURNS 3000

static void *cancel_each(void *arg)
{
	for (u32 i = 1; i <= TURNS; i++) {
		unit_wait_until(load_acquire(&turn) == i);
		was_cancelled = cache_read_cancel(&readers[0].waiter);
		store_release(&cancelled_turns, i);
	}
	return arg;
}

static void of_a_wake_up_and_a_cancel_exactly_one_gets_the_read(void **state)
{
	pthread_t thread;

	(void)state;
	turn = cancelled_turns = 0;
	assert_int_equal(pthread_create(&thread, NULL, cancel_each, NULL), 0);
	for (u32 i = 1; i <= TURNS; i++) {
		cache_drop_range(binding, 0, 1);
		assert_false(unit_reader_begin(&readers[0], binding, 0, 100));
		cache_submit();
		sim_advance(&unit_sim);
		store_release(&turn, i);
		cache_look();
		unit_wait_until(load_acquire(&cancelled_turns) == i);
		assert_int_equal(load_acquire(&readers[0].woken), !was_cancelled);
	}
	pthread_join(thread, NULL);
}

static void bad_memory_of_the_program_ends_the_read_with_what_fitted(void **state)
{
	size_t size = 2 * UNIT_PAGE;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct unit_reader *reader = &readers[0];

	(void)state;
	unit_catch_faults();
	assert_int_equal(munmap(memory + UNIT_PAGE, UNIT_PAGE), 0);
	unit_reader_prepare(reader, binding, UNIT_FILE, 0, size);
	reader->iov.iov_base = memory + 1000;
	unit_reader_step(reader);
	unit_readers_run(reader, 1);
	assert_int_equal(reader->verdict, CACHE_FAULT);
	assert_int_equal(reader->copied, UNIT_PAGE - 1000);
	assert_true(sim_bytes_are(memory + 1000, UNIT_PAGE - 1000, UNIT_FILE, 0, 0));
	munmap(memory, UNIT_PAGE);
}

static unsigned char hit_bytes[2][UNIT_PAGE];

static bool hit_look(struct cache_hit *hit, cache_binding of, u64 offset, u32 count)
{
	*hit = (struct cache_hit){.user = hit_bytes[0]};
	return cache_hit_look(hit, of, &readers[1].readahead, offset, count);
}

static void hits_are_looked_up_together_and_copied_afterwards(void **state)
{
	struct cache_hit hits[2];

	(void)state;
	unit_read(&readers[0], binding, 0, 2 * UNIT_PAGE);
	for (u32 i = 0; i < 2; i++) {
		assert_true(hit_look(&hits[i], binding, i * UNIT_PAGE + 7, 1000));
		hits[i].user = hit_bytes[i];
	}
	for (u32 i = 0; i < 2; i++) {
		assert_int_equal(hits[i].count, 1000);
		assert_true(cache_hit_copy(&hits[i]));
		assert_true(sim_bytes_are(hit_bytes[i], 1000, UNIT_FILE, i * UNIT_PAGE + 7, 0));
	}
}

static void a_hit_is_short_at_the_end_of_the_file(void **state)
{
	struct cache_hit hit;

	(void)state;
	unit_read(&readers[0], binding, 64 * UNIT_PAGE, 100);
	assert_true(hit_look(&hit, binding, SIZE - 10, 50));
	assert_int_equal(hit.count, 10);
}

static void what_is_no_hit_is_not_found_and_changes_nothing(void **state)
{
	struct cache_hit hit;
	u64 word;

	(void)state;
	unit_read(&readers[0], binding, 0, 2 * UNIT_PAGE);
	word = load_relaxed(unit_word(binding, 0));
	assert_false(hit_look(&hit, binding, 5 * UNIT_PAGE, 10)); /* absent */
	assert_false(hit_look(&hit, binding, UNIT_PAGE - 1, 2));  /* of two pages */
	assert_false(hit_look(&hit, binding, SIZE, 10));          /* behind the end */
	assert_false(hit_look(&hit, binding, UINT64_MAX - 4095, 10));
	assert_false(hit_look(&hit, binding + CACHE_FILES, 0, 10)); /* stale */
	/* The next window is to be started: the read does it. */
	readers[1].readahead = (struct readahead){.ahead_end = 2, .next_start = 0, .window = 2};
	assert_false(hit_look(&hit, binding, 0, 10));
	readers[1].readahead = (struct readahead){0};
	cache_drop_range(binding, UNIT_PAGE, UNIT_PAGE + 1);
	assert_false(hit_look(&hit, binding, UNIT_PAGE, 10));
	assert_true(load_relaxed(unit_word(binding, 0)) == word);
	assert_int_equal(unit_sim.sent, 1);
}

static void a_hit_whose_page_was_filled_anew_meanwhile_is_none(void **state)
{
	struct cache_hit hit;

	(void)state;
	unit_read(&readers[0], binding, 0, 100);
	assert_true(hit_look(&hit, binding, 0, 100));
	sim_write(&unit_sim, UNIT_FILE, 0, 100);
	cache_drop_range(binding, 0, 100);
	hold_all();
	assert_false(unit_reader_begin(&readers[0], binding, 0, 100));
	cache_submit();
	/* From here on the device may write to the frame. */
	assert_false(cache_hit_copy(&hit));
	release(0);
	unit_readers_run(readers, 1);
	assert_false(cache_hit_copy(&hit));
	assert_true(hit_look(&hit, binding, 0, 100) && cache_hit_copy(&hit));
	assert_true(sim_bytes_are(hit_bytes[0], 100, UNIT_FILE, 0, 1));
}

/* The word is as it was, and so are the bytes: that what came between may have been copied
 * too is known from the count alone. The words of the file had no memory meanwhile. */
static void a_hit_whose_frame_has_the_same_page_again_is_none(void **state)
{
	struct cache_hit hit;
	u64 word;

	(void)state;
	unit_read(&readers[0], binding, 0, 100);
	word = load_relaxed(unit_word(binding, 0));
	assert_true(hit_look(&hit, binding, 0, 100));
	cache_file_lose(binding);
	assert_int_equal(unit_usage().words, 0);
	binding = unit_cache_open(UNIT_FILE);
	unit_read(&readers[0], binding, 0, 100);
	assert_true(page_frame(load_relaxed(unit_word(binding, 0))) == page_frame(word));
	assert_false(cache_hit_copy(&hit));
}

static void a_hit_that_was_found_before_a_write_or_a_loss_has_what_was_there_then(void **state)
{
	struct cache_hit hit;

	(void)state;
	unit_read(&readers[0], binding, 0, 100);
	assert_true(hit_look(&hit, binding, 0, 100));
	sim_write(&unit_sim, UNIT_FILE, 0, 100);
	cache_drop_range(binding, 0, 100);
	assert_true(cache_hit_copy(&hit));
	assert_true(sim_bytes_are(hit_bytes[0], 100, UNIT_FILE, 0, 0));
	cache_file_lose(binding);
	memset(hit_bytes[0], 0, 100);
	assert_true(cache_hit_copy(&hit));
	assert_true(sim_bytes_are(hit_bytes[0], 100, UNIT_FILE, 0, 0));
}

static void after_a_drop_or_a_loss_nothing_is_found(void **state)
{
	cache_binding old = binding;
	struct cache_hit hit;

	(void)state;
	unit_read(&readers[0], binding, 0, 2 * UNIT_PAGE);
	cache_drop_range(binding, 0, 100);
	assert_false(hit_look(&hit, binding, 0, 100));
	assert_true(hit_look(&hit, binding, UNIT_PAGE, 100));
	cache_file_lose(binding);
	assert_false(hit_look(&hit, old, UNIT_PAGE, 100));
	/* Nor in what its words and frames are used for now. */
	binding = unit_cache_open(UNIT_FILE);
	assert_true(binding_file(binding) == binding_file(old));
	unit_read(&readers[0], binding, 0, 2 * UNIT_PAGE);
	assert_false(hit_look(&hit, old, UNIT_PAGE, 100));
	assert_true(hit_look(&hit, binding, UNIT_PAGE, 100));
}

static void a_hit_into_bad_memory_of_the_program_is_none(void **state)
{
	struct cache_hit hit;

	(void)state;
	unit_catch_faults();
	unit_read(&readers[0], binding, 0, 100);
	assert_true(hit_look(&hit, binding, 0, 100));
	hit.user = (void *)16;
	assert_false(cache_hit_copy(&hit));
}

/* What a signal handler is, whose thread it interrupted with the page's queue locked. */
static void who_came_between_reads_what_is_there_and_waits_for_nothing(void **state)
{
	struct wait_queue *queue;
	struct cache_hit hit;

	(void)state;
	unit_read(&readers[0], binding, 0, UNIT_PAGE);
	hold_all();
	assert_false(unit_reader_begin(&readers[1], binding, UNIT_PAGE, 10));
	queue = wait_queue_lock(unit_word(binding, 1));
	assert_true(cache_is_entered());
	assert_true(hit_look(&hit, binding, 0, 10) && cache_hit_copy(&hit));
	assert_true(sim_bytes_are(hit_bytes[0], 10, UNIT_FILE, 0, 0));
	assert_true(unit_reader_begin(&readers[2], binding, 0, 10));
	unit_reader_expect(&readers[2], 10, 0);
	assert_true(unit_reader_begin(&readers[2], binding, 2 * UNIT_PAGE, 10));
	assert_int_equal(readers[2].verdict, CACHE_REFUSED);
	assert_false(cache_read_cancel(&readers[1].waiter));
	cache_look();
	assert_int_equal(unit_sim.sent, 1);
	wait_queue_unlock(queue);

	assert_false(cache_is_entered());
	cache_submit();
	release(1);
	unit_readers_run(&readers[1], 1);
	unit_reader_expect(&readers[1], 10, 0);
}

#define read_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	read_test(who_came_between_reads_what_is_there_and_waits_for_nothing),
	read_test(a_miss_waits_for_the_device_and_a_hit_for_nothing),
	read_test(two_readers_of_one_page_make_one_fill_and_each_is_woken_once),
	read_test(an_unlock_between_the_look_and_the_enqueue_is_not_missed),
	read_test(a_read_of_many_pages_is_one_request_of_the_device_and_continues_where_it_was),
	read_test(a_read_behind_a_partial_copy_waits_for_the_rest_and_copies_nothing_twice),
	read_test(a_read_into_many_buffers_fills_them_in_order_and_passes_by_empty_ones),
	read_test(the_end_of_the_file_inside_a_block_makes_a_read_short),
	read_test(behind_the_old_end_of_a_file_that_grew_there_are_zeros),
	read_test(a_file_that_became_shorter_ends_there),
	read_test(short_reads_of_the_device_are_continued),
	read_test(a_device_that_brings_nothing_for_ever_fails_the_read),
	read_test(after_an_error_each_of_five_waiters_tries_once_more_and_the_page_stays_usable),
	read_test(an_error_that_does_not_come_again_is_not_seen),
	read_test(an_error_behind_the_first_byte_ends_the_read_with_what_it_has),
	read_test(one_error_on_each_of_two_pages_fails_neither),
	read_test(a_refused_fill_is_an_error_like_another),
	read_test(a_read_that_gets_no_byte_for_long_goes_through_the_kernels_cache),
	read_test(a_long_read_that_goes_on_is_never_refused),
	read_test(a_cancelled_read_is_not_woken_and_its_page_is_filled_nevertheless),
	read_test(of_a_wake_up_and_a_cancel_exactly_one_gets_the_read),
	read_test(bad_memory_of_the_program_ends_the_read_with_what_fitted),
	read_test(hits_are_looked_up_together_and_copied_afterwards),
	read_test(a_hit_is_short_at_the_end_of_the_file),
	read_test(what_is_no_hit_is_not_found_and_changes_nothing),
	read_test(a_hit_whose_page_was_filled_anew_meanwhile_is_none),
	read_test(a_hit_whose_frame_has_the_same_page_again_is_none),
	read_test(a_hit_that_was_found_before_a_write_or_a_loss_has_what_was_there_then),
	read_test(after_a_drop_or_a_loss_nothing_is_found),
	read_test(a_hit_into_bad_memory_of_the_program_is_none),
};

unit_main(tests)
