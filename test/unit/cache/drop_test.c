/*
 * drop_test.c - pages taken away: writes past the cache, and files that are lost
 */
#include "cache/drop.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "unit_cache.h"

#define PAGES 64u
#define SIZE  (PAGES * UNIT_PAGE)

static struct unit_reader readers[8];
static cache_binding binding;

static void hold_all(void)
{
	sim_rule_add(&unit_sim, &(struct sim_rule){.fd = -1, .is_held = true});
}

static void start(bool is_automatic)
{
	unit_cache_start(CACHE_LIMIT_MIN,
			 &(struct sim_options){.seed = 1, .is_automatic = is_automatic});
	sim_file(&unit_sim, UNIT_FILE, SIZE, SIZE);
	binding = unit_cache_open(UNIT_FILE);
}

static int setup(void **state)
{
	(void)state;
	start(false);
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

static void read_all(void)
{
	unit_read(&readers[0], binding, 0, SIZE);
	unit_reader_expect(&readers[0], SIZE, 0);
}

/* Which pages have been read anew since the file was read whole, as bits. */
static u64 pages_with_version(u32 version)
{
	u64 pages = 0;

	for (u32 page = 0; page < PAGES; page++) {
		unit_read(&readers[0], binding, page * UNIT_PAGE, UNIT_PAGE);
		assert_int_equal(readers[0].copied, UNIT_PAGE);
		if (unit_reader_has_versions(&readers[0], version, version))
			pages |= 1ull << page;
	}
	return pages;
}

static void a_dropped_page_is_read_anew_and_no_other(void **state)
{
	(void)state;
	read_all();
	sim_write(&unit_sim, UNIT_FILE, 0, SIZE);
	cache_drop_range(binding, 5 * UNIT_PAGE + 100, 7 * UNIT_PAGE + 1);
	assert_int_equal(pages_with_version(1), 7ull << 5);
}

static void a_drop_of_a_byte_is_one_of_its_page_and_one_of_nothing_is_none(void **state)
{
	(void)state;
	read_all();
	sim_write(&unit_sim, UNIT_FILE, 0, SIZE);
	cache_drop_range(binding, 5 * UNIT_PAGE - 1, 5 * UNIT_PAGE);
	cache_drop_range(binding, 9 * UNIT_PAGE, 9 * UNIT_PAGE);
	assert_int_equal(pages_with_version(1), 1ull << 4);
}

static void a_drop_to_the_end_goes_to_the_end(void **state)
{
	(void)state;
	read_all();
	sim_write(&unit_sim, UNIT_FILE, 0, SIZE);
	cache_drop_range(binding, 60 * UNIT_PAGE, UINT64_MAX);
	assert_int_equal(pages_with_version(1), 15ull << 60);
	cache_drop_range(binding, 0, UINT64_MAX);
	assert_int_equal(pages_with_version(1), UINT64_MAX);
}

static void what_is_not_there_is_dropped_at_once(void **state)
{
	struct cache_drop drop = {.binding = binding, .end = UINT64_MAX};

	(void)state;
	assert_int_equal(cache_drop_try(&drop), CACHE_DONE);
	drop = (struct cache_drop){.binding = binding, .offset = UINT64_MAX - 1, .end = UINT64_MAX};
	assert_int_equal(cache_drop_try(&drop), CACHE_DONE);
	assert_int_equal(unit_sim.sent, 0);
}

/* A write past the cache, like a request: it tries, waits, and tries again. */
struct writer {
	struct cache_drop drop;
	struct cache_waiter waiter;
	u32 woken; /* (a) */
};

static void writer_retry(struct cache_waiter *waiter)
{
	add_full(&container_of(waiter, struct writer, waiter)->woken, 1);
}

static void a_write_during_a_fill_waits_for_it_and_forgets_what_it_brought(void **state)
{
	struct writer writer = {
		.drop = {.binding = binding, .offset = UNIT_PAGE, .end = UNIT_PAGE + 1},
		.waiter.retry = writer_retry,
	};

	(void)state;
	hold_all();
	assert_false(unit_reader_begin(&readers[0], binding, 0, 4 * UNIT_PAGE));
	cache_submit();
	/* The bytes are written while the device still delivers the old ones. */
	sim_write(&unit_sim, UNIT_FILE, UNIT_PAGE, UNIT_PAGE + 1);
	assert_int_equal(cache_drop_try(&writer.drop), CACHE_CAUGHT);
	assert_int_equal(cache_drop_wait(&writer.drop, &writer.waiter), CACHE_WAITING);
	sim_release_all(&unit_sim);
	cache_look();
	assert_int_equal(writer.woken, 1);
	assert_int_equal(cache_drop_try(&writer.drop), CACHE_DONE);
	/* The write completes now. Who reads from here on sees it; and so does the read that
	 * was under way, for it copies after it. */
	sim_rules_clear(&unit_sim);
	unit_readers_run(readers, 1);
	assert_int_equal(readers[0].copied, 4 * UNIT_PAGE);
	assert_int_equal(pages_with_version(1), 1ull << 1);
}

static void a_drop_that_looked_too_late_to_wait_tries_again(void **state)
{
	struct writer writer = {
		.drop = {.binding = binding, .end = 1},
		.waiter.retry = writer_retry,
	};

	(void)state;
	assert_false(unit_reader_begin(&readers[0], binding, 0, 100));
	cache_submit();
	assert_int_equal(cache_drop_try(&writer.drop), CACHE_CAUGHT);
	unit_device_step();
	assert_int_equal(cache_drop_wait(&writer.drop, &writer.waiter), CACHE_RETRY);
	assert_int_equal(cache_drop_try(&writer.drop), CACHE_DONE);
	assert_int_equal(writer.woken, 0);
	unit_readers_run(readers, 1);
}

struct work {
	pthread_t thread;
	u64 offset, end;
	u32 is_done; /* (a) */
};

static void *drop_range(void *arg)
{
	struct work *work = arg;

	cache_drop_range(binding, work->offset, work->end);
	store_release(&work->is_done, 1);
	return NULL;
}

static void *lose(void *arg)
{
	struct work *work = arg;

	cache_file_lose(binding);
	store_release(&work->is_done, 1);
	return NULL;
}

static void work_begin(struct work *work, void *(*what)(void *))
{
	store_relaxed(&work->is_done, 0);
	assert_int_equal(pthread_create(&work->thread, NULL, what, work), 0);
}

static void work_end(struct work *work)
{
	pthread_join(work->thread, NULL);
	assert_int_equal(work->is_done, 1);
}

static void a_thread_that_drops_waits_for_the_fill_and_moves_the_device_on_itself(void **state)
{
	struct work work = {.offset = 0, .end = SIZE};

	(void)state;
	hold_all();
	assert_false(unit_reader_begin(&readers[0], binding, 0, 4 * UNIT_PAGE));
	cache_submit();
	sim_write(&unit_sim, UNIT_FILE, 0, SIZE);
	work_begin(&work, drop_range);
	/* It sleeps on the page. */
	unit_wait_until(load_acquire(unit_word(binding, 0)) & PAGE_WAITERS);
	assert_int_equal(load_acquire(&work.is_done), 0);
	sim_rules_clear(&unit_sim);
	sim_release_all(&unit_sim);
	work_end(&work);
	unit_readers_run(readers, 1);
	unit_read(&readers[0], binding, 0, 4 * UNIT_PAGE);
	unit_reader_expect(&readers[0], 4 * UNIT_PAGE, 1);
}

/* Lost. */

static void a_binding_that_was_lost_is_stale_in_every_call(void **state)
{
	struct cache_drop drop = {.binding = binding, .end = UINT64_MAX};
	struct writer writer = {.drop = drop, .waiter.retry = writer_retry};
	cache_binding old = binding;

	(void)state;
	read_all();
	cache_file_lose(binding);
	assert_false(cache_file_is_current(old));
	assert_true(unit_reader_begin(&readers[0], old, 0, 100));
	assert_int_equal(readers[0].verdict, CACHE_REFUSED);
	unit_reader_prepare(&readers[0], old, UNIT_FILE, 0, 100);
	assert_int_equal(cache_read_wait(&readers[0].read, &readers[0].waiter), CACHE_REFUSED);
	assert_int_equal(cache_drop_try(&drop), CACHE_DONE);
	assert_int_equal(cache_drop_wait(&writer.drop, &writer.waiter), CACHE_RETRY);
	cache_drop_range(old, 0, UINT64_MAX);

	/* Also when its place is another file's. */
	binding = unit_cache_open(UNIT_FILE);
	assert_int_not_equal(binding, old);
	read_all();
	cache_file_resize(old, 1);
	assert_int_equal(cache_file_size(binding), SIZE);
	assert_true(unit_reader_begin(&readers[0], old, 0, 100));
	assert_int_equal(readers[0].verdict, CACHE_REFUSED);
	cache_drop_range(old, 0, UINT64_MAX);
	assert_true(unit_reader_begin(&readers[0], binding, 0, 100));
	unit_reader_expect(&readers[0], 100, 0);
	assert_false(cache_file_is_current(0));
}

static void what_is_lost_and_taken_again_has_none_of_the_old_bytes(void **state)
{
	(void)state;
	read_all();
	cache_file_lose(binding);
	assert_int_equal(unit_usage().pages, 0);
	sim_write(&unit_sim, UNIT_FILE, 0, SIZE);
	binding = unit_cache_open(UNIT_FILE);
	assert_int_equal(pages_with_version(1), UINT64_MAX);
}

static void a_file_lost_during_a_fill_is_gone_only_when_the_fill_is_over(void **state)
{
	cache_binding old = binding;
	struct work work;

	(void)state;
	hold_all();
	for (u32 i = 0; i < 3; i++)
		assert_false(unit_reader_begin(&readers[i], binding, i * UNIT_PAGE, 10));
	cache_submit();
	work_begin(&work, lose);
	unit_wait_until(!cache_file_is_current(old));
	/* From now on it is read through the kernel's cache ... */
	assert_true(unit_reader_begin(&readers[3], old, 0, 10));
	assert_int_equal(readers[3].verdict, CACHE_REFUSED);
	/* ... but the device still writes to its frames. */
	unit_wait_until(load_acquire(unit_word(old, 0)) & PAGE_WAITERS);
	assert_int_equal(load_acquire(&work.is_done), 0);
	assert_true(unit_usage().pages > 0);

	sim_release_all(&unit_sim);
	work_end(&work);
	assert_int_equal(unit_usage().pages, 0);
	assert_false(cache_is_busy());
	unit_readers_run(readers, 3);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(readers[i].verdict, CACHE_REFUSED);
		assert_int_equal(readers[i].copied, 0);
	}
}

static void a_fill_that_was_only_staged_is_not_sent_for_a_lost_file(void **state)
{
	(void)state;
	assert_false(unit_reader_begin(&readers[0], binding, 0, 10));
	cache_file_lose(binding);
	assert_int_equal(unit_sim.sent, 0);
	assert_false(cache_is_busy());
	unit_readers_run(readers, 1);
	assert_int_equal(readers[0].verdict, CACHE_REFUSED);
}

/* A reader that is stopped in the midst of a copy: of the two pages that it copies to, one is not
 * writable until the test lets it go on. */
static unsigned char *slow_memory;
static u32 is_copying, may_go_on; /* (a) */

static void stop_in_the_copy(int signal)
{
	rs_assert(signal == SIGSEGV);
	store_release(&is_copying, 1);
	unit_wait_until(load_acquire(&may_go_on));
	rs_assert(mprotect(slow_memory, 2 * UNIT_PAGE, PROT_READ | PROT_WRITE) == 0);
}

static void *read_slowly(void *arg)
{
	unit_reader_step(arg);
	return NULL;
}

struct slow_read {
	struct unit_reader *reader;
	struct sigaction before;
	pthread_t thread;
};

/* Two pages of the file, to that offset in slow_memory; it stops in page `stop` of that. */
static void slow_read_begin(struct slow_read *slow, u64 offset, u32 stop)
{
	struct sigaction action = {.sa_handler = stop_in_the_copy};

	slow->reader = &readers[1];
	read_all();
	slow_memory = mmap(NULL, 3 * UNIT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	assert_int_equal(mprotect(slow_memory + stop * UNIT_PAGE, UNIT_PAGE, PROT_READ), 0);
	is_copying = may_go_on = 0;
	assert_int_equal(sigaction(SIGSEGV, &action, &slow->before), 0);
	unit_reader_prepare(slow->reader, binding, UNIT_FILE, 0, 2 * UNIT_PAGE);
	slow->reader->iov.iov_base = slow_memory + offset;
	assert_int_equal(pthread_create(&slow->thread, NULL, read_slowly, slow->reader), 0);
	unit_wait_until(load_acquire(&is_copying));
}

static void slow_read_go_on(struct slow_read *slow)
{
	store_release(&may_go_on, 1);
	pthread_join(slow->thread, NULL);
	assert_int_equal(sigaction(SIGSEGV, &slow->before, NULL), 0);
}

static void a_read_in_the_midst_of_a_file_that_is_lost_copies_no_further_page(void **state)
{
	struct slow_read slow;

	(void)state;
	slow_read_begin(&slow, 0, 0);
	/* It waits for nobody who copies. */
	cache_file_lose(binding);
	assert_int_equal(unit_usage().pages, 0);
	slow_read_go_on(&slow);
	assert_int_equal(slow.reader->verdict, CACHE_REFUSED);
	assert_int_equal(slow.reader->copied, UNIT_PAGE);
	assert_true(sim_bytes_are(slow_memory, UNIT_PAGE, UNIT_FILE, 0, 0));
	munmap(slow_memory, 3 * UNIT_PAGE);
}

static void a_page_that_is_filled_anew_in_the_midst_of_a_copy_is_copied_again(void **state)
{
	struct slow_read slow;

	(void)state;
	slow_read_begin(&slow, 1000, 1);
	sim_write(&unit_sim, UNIT_FILE, 0, 2 * UNIT_PAGE);
	cache_drop_range(binding, 0, UNIT_PAGE);
	unit_read(&readers[2], binding, 0, UNIT_PAGE);
	unit_reader_expect(&readers[2], UNIT_PAGE, 1);
	slow_read_go_on(&slow);
	/* The second page was not dropped, and is what it was. */
	assert_int_equal(slow.reader->verdict, CACHE_DONE);
	assert_int_equal(slow.reader->copied, 2 * UNIT_PAGE);
	assert_true(sim_bytes_are(slow_memory + 1000, UNIT_PAGE, UNIT_FILE, 0, 1));
	assert_true(
		sim_bytes_are(slow_memory + 1000 + UNIT_PAGE, UNIT_PAGE, UNIT_FILE, UNIT_PAGE, 0));
	munmap(slow_memory, 3 * UNIT_PAGE);
}

static void a_page_that_is_being_filled_at_the_end_of_a_copy_is_waited_for(void **state)
{
	struct slow_read slow;

	(void)state;
	slow_read_begin(&slow, 1000, 1);
	sim_write(&unit_sim, UNIT_FILE, 0, UNIT_PAGE);
	cache_drop_range(binding, 0, UNIT_PAGE);
	assert_false(unit_reader_begin(&readers[2], binding, 0, UNIT_PAGE));
	cache_submit();
	slow_read_go_on(&slow);
	assert_true(slow.reader->is_waiting);
	assert_int_equal(slow.reader->copied, 0);
	unit_readers_run(&readers[1], 2);
	assert_int_equal(slow.reader->copied, 2 * UNIT_PAGE);
	assert_true(sim_bytes_are(slow_memory + 1000, UNIT_PAGE, UNIT_FILE, 0, 1));
	munmap(slow_memory, 3 * UNIT_PAGE);
}

static void files_and_their_arrays_are_used_again_and_do_not_run_out(void **state)
{
	u64 before;

	(void)state;
	cache_file_lose(binding);
	before = unit_usage().bytes;
	for (u32 i = 0; i < 3 * CACHE_FILES; i++) {
		binding = unit_cache_open(UNIT_FILE);
		if (i % 64 == 0)
			unit_read(&readers[0], binding, 0, 100);
		cache_file_lose(binding);
	}
	assert_true(unit_usage().bytes <= before + CACHE_LIMIT_MIN / 2);
	assert_int_equal(unit_usage().words, 0);
}

static void more_files_than_there_is_room_for_are_refused(void **state)
{
	static cache_binding bindings[CACHE_FILES];
	struct cache_source source = {UNIT_FILE, -1, SIZE};
	u32 count = 0;

	(void)state;
	while (count < CACHE_FILES && (bindings[count] = cache_file_open(&source)) != 0)
		count++;
	assert_in_range(count, 100, CACHE_FILES - 1);
	assert_int_equal(cache_file_open(&(struct cache_source){UNIT_FILE, -1, 1ull << 62}), 0);
	while (count > 0)
		cache_file_lose(bindings[--count]);
	read_all();
}

/*
 * An outside writer under a lease: each time it takes the file away, changes it, and
 * gives it back. A read that begins afterwards never sees what was before.
 */

#define LEASES (UNIT_IS_SANITIZED ? 60 : 200)

static cache_binding shared_binding; /* (a) 0: lost at this moment */
static u32 written;                  /* (a) versions whose write has ended */
static u32 is_over;                  /* (a) */
static u64 total_read;               /* (a) */

/* In two steps, and somebody else may run between them. */
static bool has_hit(struct unit_reader *reader, cache_binding now, u64 page, u32 oldest)
{
	struct cache_hit hit;

	unit_reader_prepare(reader, now, UNIT_FILE, page * UNIT_PAGE, UNIT_PAGE);
	hit.user = reader->buffer;
	if (!cache_hit_look(&hit, now, &reader->readahead, page * UNIT_PAGE, UNIT_PAGE))
		return false;
	sched_yield();
	if (!cache_hit_copy(&hit))
		return false;
	reader->copied = hit.count;
	rs_assert(unit_reader_has_versions(reader, oldest,
					   sim_version(&unit_sim, UNIT_FILE, page * UNIT_PAGE)));
	add_full(&total_read, reader->copied);
	return true;
}

static void *read_until_over(void *arg)
{
	struct unit_reader *reader = arg;
	u64 random = (u64)(uintptr_t)arg | 1;

	while (!load_acquire(&is_over)) {
		u32 oldest = load_acquire(&written);
		cache_binding now = load_acquire(&shared_binding);
		u64 page = unit_random(&random) % (PAGES - 2);

		if (now == 0) {
			sched_yield();
			continue;
		}
		if (unit_random(&random) % 2 && has_hit(reader, now, page, oldest))
			continue;
		unit_reader_begin(reader, now, page * UNIT_PAGE + 10, 5000);
		while (!reader->is_done) {
			cache_submit();
			cache_look();
			if (!unit_reader_go_on(reader))
				sched_yield();
		}
		rs_assert(reader->verdict == CACHE_DONE || reader->verdict == CACHE_REFUSED);
		rs_assert(unit_reader_has_versions(
			reader, oldest, sim_version(&unit_sim, UNIT_FILE, page * UNIT_PAGE)));
		add_full(&total_read, reader->copied);
	}
	return NULL;
}

static void no_read_sees_bytes_older_than_the_last_write_under_a_lease(void **state)
{
	pthread_t threads[3];

	(void)state;
	teardown(NULL);
	start(true);
	is_over = written = 0;
	total_read = 0;
	store_release(&shared_binding, binding);
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_until_over, &readers[i]),
				 0);
	for (u32 lease = 0; lease < LEASES; lease++) {
		u64 read = load_relaxed(&total_read);

		unit_wait_until(load_relaxed(&total_read) > read);
		/* The lease is broken: whoever writes waits until the file is lost. */
		cache_file_lose(binding);
		store_release(&shared_binding, 0);
		sim_write(&unit_sim, UNIT_FILE, 0, SIZE);
		add_full(&written, 1);
		binding = unit_cache_open(UNIT_FILE);
		store_release(&shared_binding, binding);
	}
	store_release(&is_over, 1);
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

static void *write_until_over(void *arg)
{
	(void)arg;
	for (u32 i = 0; i < LEASES; i++) {
		u64 read = load_relaxed(&total_read);

		sim_write(&unit_sim, UNIT_FILE, 0, SIZE);
		cache_drop_range(binding, 0, SIZE);
		add_full(&written, 1);
		unit_wait_until(load_relaxed(&total_read) > read);
	}
	store_release(&is_over, 1);
	return NULL;
}

static void no_read_sees_bytes_older_than_the_last_write_of_the_program_itself(void **state)
{
	pthread_t threads[3], writer;

	(void)state;
	teardown(NULL);
	start(true);
	is_over = written = 0;
	total_read = 0;
	store_release(&shared_binding, binding);
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_until_over, &readers[i]),
				 0);
	assert_int_equal(pthread_create(&writer, NULL, write_until_over, NULL), 0);
	pthread_join(writer, NULL);
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

#define drop_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	drop_test(a_dropped_page_is_read_anew_and_no_other),
	drop_test(a_drop_of_a_byte_is_one_of_its_page_and_one_of_nothing_is_none),
	drop_test(a_drop_to_the_end_goes_to_the_end),
	drop_test(what_is_not_there_is_dropped_at_once),
	drop_test(a_write_during_a_fill_waits_for_it_and_forgets_what_it_brought),
	drop_test(a_drop_that_looked_too_late_to_wait_tries_again),
	drop_test(a_thread_that_drops_waits_for_the_fill_and_moves_the_device_on_itself),
	drop_test(a_binding_that_was_lost_is_stale_in_every_call),
	drop_test(what_is_lost_and_taken_again_has_none_of_the_old_bytes),
	drop_test(a_file_lost_during_a_fill_is_gone_only_when_the_fill_is_over),
	drop_test(a_fill_that_was_only_staged_is_not_sent_for_a_lost_file),
	drop_test(a_read_in_the_midst_of_a_file_that_is_lost_copies_no_further_page),
	drop_test(a_page_that_is_filled_anew_in_the_midst_of_a_copy_is_copied_again),
	drop_test(a_page_that_is_being_filled_at_the_end_of_a_copy_is_waited_for),
	drop_test(files_and_their_arrays_are_used_again_and_do_not_run_out),
	drop_test(more_files_than_there_is_room_for_are_refused),
	drop_test(no_read_sees_bytes_older_than_the_last_write_under_a_lease),
	drop_test(no_read_sees_bytes_older_than_the_last_write_of_the_program_itself),
};

unit_main(tests)
