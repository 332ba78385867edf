/*
 * mpsc_test.c - the lock-free queue, with threads that push (run under ThreadSanitizer too)
 */
#include "base/mpsc.h"

#include <pthread.h>

#include "unit.h"

#define PRODUCERS 4
#define EACH      5000

struct item {
	struct mpsc_node node;
	int producer, number; /* plain: M2 says that the taker sees them */
};

static struct item items[PRODUCERS][EACH];
static struct mpsc_queue queue;
static pthread_barrier_t start;

static void one_thread_takes_what_it_pushed_oldest_first(void **state)
{
	struct mpsc_node *node;

	(void)state;
	assert_null(mpsc_take_all(&queue));
	assert_true(mpsc_push(&queue, &items[0][0].node));
	assert_false(mpsc_push(&queue, &items[0][1].node));
	assert_false(mpsc_push(&queue, &items[0][2].node));
	assert_false(mpsc_is_empty(&queue));
	node = mpsc_take_all(&queue);
	for (int i = 0; i < 3; i++, node = node->next)
		assert_ptr_equal(node, &items[0][i].node);
	assert_null(node);
	assert_true(mpsc_is_empty(&queue));
}

static void *produce(void *argument)
{
	struct item *mine = argument;

	pthread_barrier_wait(&start);
	for (int i = 0; i < EACH; i++) {
		mine[i].producer = (int)((mine - items[0]) / EACH);
		mine[i].number = i;
		mpsc_push(&queue, &mine[i].node);
	}
	return NULL;
}

static void nothing_is_lost_or_doubled_and_each_producers_order_is_kept(void **state)
{
	pthread_t threads[PRODUCERS];
	int next[PRODUCERS] = {0}, taken = 0;

	(void)state;
	pthread_barrier_init(&start, NULL, PRODUCERS);
	for (int i = 0; i < PRODUCERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, produce, items[i]), 0);
	while (taken < PRODUCERS * EACH) {
		struct mpsc_node *node = mpsc_take_all(&queue);

		if (node == NULL)
			sched_yield();
		while (node != NULL) {
			struct item *item = container_of(node, struct item, node);

			node = node->next;
			assert_int_equal(item->number, next[item->producer]++);
			taken++;
		}
	}
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	assert_null(mpsc_take_all(&queue));
	pthread_barrier_destroy(&start);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_thread_takes_what_it_pushed_oldest_first),
	cmocka_unit_test(nothing_is_lost_or_doubled_and_each_producers_order_is_kept),
};

unit_main(tests)
