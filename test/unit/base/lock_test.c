/*
 * lock_test.c - the futex lock (run under ThreadSanitizer too)
 */
#include "base/lock.h"

#include <pthread.h>

#include "unit.h"

#define THREADS 4
#define ROUNDS  20000

static struct lock lock;
static u64 counter; /* plain: the lock protects it */
static u32 other_saw_try;

static void the_holder_is_known(void **state)
{
	(void)state;
	assert_false(lock_is_mine(&lock));
	lock_acquire(&lock);
	assert_true(lock_is_mine(&lock));
	assert_false(lock_acquire_try(&lock));
	lock_release(&lock);
	assert_false(lock_is_mine(&lock));
	assert_true(lock_acquire_try(&lock));
	lock_release(&lock);
}

static void *try_from_another_thread(void *unused)
{
	(void)unused;
	other_saw_try = lock_acquire_try(&lock) || lock_is_mine(&lock);
	return NULL;
}

static void another_thread_cannot_take_a_held_lock(void **state)
{
	pthread_t thread;

	(void)state;
	lock_acquire(&lock);
	assert_int_equal(pthread_create(&thread, NULL, try_from_another_thread, NULL), 0);
	pthread_join(thread, NULL);
	lock_release(&lock);
	assert_int_equal(other_saw_try, 0);
}

static void *count(void *unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		lock_acquire(&lock);
		counter++;
		if (i % 64 == 0)
			sched_yield(); /* held: the others come to sleep on it */
		lock_release(&lock);
	}
	return NULL;
}

static void threads_exclude_each_other_and_none_is_left_asleep(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, THREADS * ROUNDS);
	assert_int_equal(lock.word, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_holder_is_known),
	cmocka_unit_test(another_thread_cannot_take_a_held_lock),
	cmocka_unit_test(threads_exclude_each_other_and_none_is_left_asleep),
};

unit_main(tests)
