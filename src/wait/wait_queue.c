/*
 * wait_queue.c - a hashed table of wait queues
 *
 * Not here: who waits for what, and when it is too late to begin (cache/page.c).
 */
#include "wait/wait_queue.h"

/* More than threads that wake at one time, so that two of them rarely meet at one lock; small
 * enough for the table to stay in the second-level cache. */
#define QUEUE_BITS 8
#define QUEUES     (1u << QUEUE_BITS)

/* All zero until first locked: a queue whose list has no links yet is empty. */
static struct wait_queue queues[QUEUES];
_Static_assert(sizeof(struct wait_queue) == CACHE_LINE, "two queues share no cache line");

/* Queues that this thread has locked, or is about to. */
__thread u32 wait_queue_depth __attribute__((tls_model("initial-exec")));

/* Multiplicative: the high bits depend on every bit of the address, so neighbours spread. */
static struct wait_queue *queue_of(const void *key)
{
	return &queues[(u64)(uintptr_t)key * 0x9e3779b97f4a7c15ull >> (64 - QUEUE_BITS)];
}

struct wait_queue *wait_queue_lock(const void *key)
{
	struct wait_queue *queue = queue_of(key);

	store_relaxed(&wait_queue_depth, wait_queue_depth + 1);
	barrier_compiler(); /* a handler that finds the queue locked finds the depth */
	lock_acquire(&queue->lock);
	if (unlikely(queue->entries.next == NULL))
		list_init(&queue->entries);
	return queue;
}

void wait_queue_unlock(struct wait_queue *queue)
{
	lock_release(&queue->lock);
	barrier_compiler();
	store_relaxed(&wait_queue_depth, wait_queue_depth - 1);
}

void wait_entry_add_locked(struct wait_queue *queue, struct wait_entry *entry)
{
	rs_assert(lock_is_mine(&queue->lock) && queue == queue_of(entry->key));
	list_add_tail(&queue->entries, &entry->node);
}

struct wait_entry *wait_queue_first_locked(const struct wait_queue *queue, const void *key)
{
	struct wait_entry *entry;

	rs_assert(lock_is_mine(&queue->lock) && queue == queue_of(key));
	list_for_each_entry (entry, &queue->entries, node)
		if (entry->key == key)
			return entry;
	return NULL;
}

void wait_entry_wake_locked(struct wait_queue *queue, struct wait_entry *entry)
{
	rs_assert(lock_is_mine(&queue->lock) && queue == queue_of(entry->key));
	rs_assert(list_is_linked(&entry->node));
	list_del(&entry->node);
	/* The last use of the entry: its owner may have freed it when this returns. */
	entry->event(entry);
}

bool wait_entry_cancel(struct wait_entry *entry)
{
	struct wait_queue *queue = wait_queue_lock(entry->key);
	bool was_waiting;

	/* It was added once: a node without links was never in a queue. */
	rs_assert(entry->node.next != NULL);
	was_waiting = list_is_linked(&entry->node);
	list_del(&entry->node);
	wait_queue_unlock(queue);
	return was_waiting;
}

void wait_queue_wake_all(const void *key)
{
	struct wait_queue *queue = wait_queue_lock(key);
	struct wait_entry *entry, *next;

	list_for_each_entry_safe (entry, next, &queue->entries, node) {
		if (entry->key == key)
			wait_entry_wake_locked(queue, entry);
	}
	wait_queue_unlock(queue);
}

void wait_queue_fork_child(void)
{
	for (u32 i = 0; i < QUEUES; i++)
		queues[i] = (struct wait_queue){.lock = LOCK_INIT};
}
