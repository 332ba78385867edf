/*
 * wait_queue_test.c - who is woken, in what order, and who owns an entry
 */
#include "wait/wait_queue.h"

#include <pthread.h>

#include "unit.h"

#define WORDS  4096
#define ROUNDS 20000

struct sleeper {
	struct wait_entry entry;
	u32 woken;  /* (a) how often */
	u32 number; /* of the wake-up, counted over all of them */
};

/* Keys: what the cache has, neighbours in an array. */
static u64 words[WORDS];
static u32 wake_ups;

static void sleeper_woken(struct wait_entry *entry)
{
	struct sleeper *sleeper = container_of(entry, struct sleeper, entry);

	assert_false(list_is_linked(&entry->node));
	sleeper->number = wake_ups++;
	add_full(&sleeper->woken, 1);
}

static void sleep_on(struct sleeper *sleeper, const void *key)
{
	struct wait_queue *queue;

	*sleeper = (struct sleeper){.entry = {.key = key, .event = sleeper_woken}};
	queue = wait_queue_lock(key);
	wait_entry_add_locked(queue, &sleeper->entry);
	wait_queue_unlock(queue);
}

static struct wait_queue *queue_of(const void *key)
{
	struct wait_queue *queue = wait_queue_lock(key);

	wait_queue_unlock(queue);
	return queue;
}

/* Another key of the queue of words[0]. */
static u64 *neighbour_in_the_queue(void)
{
	for (u32 i = 1; i < WORDS; i++)
		if (queue_of(&words[i]) == queue_of(&words[0]))
			return &words[i];
	fail_msg("no two of %d keys share a queue", WORDS);
	return NULL;
}

static struct wait_entry *first_of(const void *key)
{
	struct wait_queue *queue = wait_queue_lock(key);
	struct wait_entry *entry = wait_queue_first_locked(queue, key);

	wait_queue_unlock(queue);
	return entry;
}

static void entries_of_a_key_are_woken_once_in_the_order_in_which_they_came(void **state)
{
	struct sleeper sleepers[5];

	(void)state;
	wake_ups = 0;
	for (u32 i = 0; i < 5; i++)
		sleep_on(&sleepers[i], &words[0]);
	wait_queue_wake_all(&words[0]);
	wait_queue_wake_all(&words[0]);
	for (u32 i = 0; i < 5; i++) {
		assert_int_equal(sleepers[i].woken, 1);
		assert_int_equal(sleepers[i].number, i);
	}
}

static void a_wake_up_passes_by_the_entries_of_other_keys(void **state)
{
	u64 *other = neighbour_in_the_queue();
	struct sleeper sleepers[4];

	(void)state;
	for (u32 i = 0; i < 4; i++)
		sleep_on(&sleepers[i], i % 2 ? other : &words[0]);
	assert_ptr_equal(first_of(other), &sleepers[1].entry);
	wait_queue_wake_all(other);
	assert_int_equal(sleepers[0].woken + sleepers[2].woken, 0);
	assert_int_equal(sleepers[1].woken, 1);
	assert_int_equal(sleepers[3].woken, 1);
	assert_null(first_of(other));
	assert_ptr_equal(first_of(&words[0]), &sleepers[0].entry);
	wait_queue_wake_all(&words[0]);
	assert_int_equal(sleepers[0].woken, 1);
	assert_int_equal(sleepers[2].woken, 1);
}

static void the_waker_chooses_which_entry_it_wakes(void **state)
{
	struct sleeper sleepers[2];
	struct wait_queue *queue;

	(void)state;
	sleep_on(&sleepers[0], &words[0]);
	sleep_on(&sleepers[1], &words[0]);
	queue = wait_queue_lock(&words[0]);
	wait_entry_wake_locked(queue, wait_queue_first_locked(queue, &words[0]));
	assert_ptr_equal(wait_queue_first_locked(queue, &words[0]), &sleepers[1].entry);
	wait_queue_unlock(queue);
	assert_int_equal(sleepers[0].woken, 1);
	assert_int_equal(sleepers[1].woken, 0);
	assert_true(wait_entry_cancel(&sleepers[1].entry));
}

static void a_cancelled_entry_is_not_called(void **state)
{
	struct sleeper sleepers[3];

	(void)state;
	for (u32 i = 0; i < 3; i++)
		sleep_on(&sleepers[i], &words[0]);
	assert_true(wait_entry_cancel(&sleepers[1].entry));
	assert_false(wait_entry_cancel(&sleepers[1].entry));
	wait_queue_wake_all(&words[0]);
	assert_int_equal(sleepers[0].woken, 1);
	assert_int_equal(sleepers[1].woken, 0);
	assert_int_equal(sleepers[2].woken, 1);
	assert_false(wait_entry_cancel(&sleepers[0].entry));
}

static void freed(struct wait_entry *entry)
{
	free(container_of(entry, struct sleeper, entry));
}

static void an_entry_may_be_gone_when_its_event_function_returns(void **state)
{
	(void)state;
	for (u32 i = 0; i < 3; i++) {
		struct sleeper *sleeper = malloc(sizeof(*sleeper));

		sleep_on(sleeper, &words[0]);
		sleeper->entry.event = freed;
	}
	wait_queue_wake_all(&words[0]);
	assert_null(first_of(&words[0]));
}

static int by_address(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;

	return (*left > *right) - (*left < *right);
}

static void neighbouring_words_spread_over_all_queues(void **state)
{
	static struct wait_queue *queues[WORDS];
	u32 distinct = 1, run = 1, longest = 1;

	(void)state;
	for (u32 i = 0; i < WORDS; i++) {
		queues[i] = queue_of(&words[i]);
		assert_int_equal((uintptr_t)queues[i] % CACHE_LINE, 0);
	}
	qsort(queues, WORDS, sizeof(queues[0]), by_address);
	for (u32 i = 1; i < WORDS; i++) {
		run = queues[i] == queues[i - 1] ? run + 1 : 1;
		distinct += run == 1;
		longest = max_of(longest, run);
	}
	assert_int_equal(distinct, 256);
	assert_true(longest <= 2 * WORDS / 256);
}

static struct sleeper raced;
static u32 round_begun, round_ended, cancelled; /* (a) */

static void *cancel_each_round(void *arg)
{
	(void)arg;
	for (u32 round = 1; round <= ROUNDS; round++) {
		unit_wait_until(load_acquire(&round_begun) == round);
		if (wait_entry_cancel(&raced.entry))
			add_full(&cancelled, 1);
		store_release(&round_ended, round);
	}
	return NULL;
}

static void of_a_wake_up_and_a_cancel_exactly_one_gets_the_entry(void **state)
{
	pthread_t thread;
	u32 woken = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, cancel_each_round, NULL), 0);
	for (u32 round = 1; round <= ROUNDS; round++) {
		u32 before = load_relaxed(&cancelled);

		sleep_on(&raced, &words[0]);
		store_release(&round_begun, round);
		wait_queue_wake_all(&words[0]);
		unit_wait_until(load_acquire(&round_ended) == round);
		assert_int_equal(load_relaxed(&raced.woken) + load_relaxed(&cancelled) - before, 1);
		woken += load_relaxed(&raced.woken);
	}
	pthread_join(thread, NULL);
	assert_int_equal(woken + cancelled, ROUNDS);
}

static int sleep_in_child(void)
{
	struct sleeper sleeper;

	wait_queue_fork_child();
	if (first_of(&words[0]))
		return 1;
	sleep_on(&sleeper, &words[0]);
	wait_queue_wake_all(&words[0]);
	return sleeper.woken == 1 ? 0 : 2;
}

static void a_forked_child_begins_with_empty_queues_that_nobody_holds(void **state)
{
	struct wait_queue *queue;
	struct sleeper sleeper;

	(void)state;
	sleep_on(&sleeper, &words[0]);
	queue = wait_queue_lock(&words[0]);
	assert_int_equal(unit_in_child(sleep_in_child), 0);
	wait_queue_unlock(queue);
	wait_queue_wake_all(&words[0]);
	assert_int_equal(sleeper.woken, 1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(entries_of_a_key_are_woken_once_in_the_order_in_which_they_came),
	cmocka_unit_test(a_wake_up_passes_by_the_entries_of_other_keys),
	cmocka_unit_test(the_waker_chooses_which_entry_it_wakes),
	cmocka_unit_test(a_cancelled_entry_is_not_called),
	cmocka_unit_test(an_entry_may_be_gone_when_its_event_function_returns),
	cmocka_unit_test(neighbouring_words_spread_over_all_queues),
	cmocka_unit_test(of_a_wake_up_and_a_cancel_exactly_one_gets_the_entry),
	cmocka_unit_test(a_forked_child_begins_with_empty_queues_that_nobody_holds),
};

unit_main(tests)
