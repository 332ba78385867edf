/*
 * wait_queue.h - a hashed table of wait queues
 *
 * Whoever waits for something to happen to a thing enqueues an entry under the
 * thing's address, its key; whoever makes it happen wakes the key. The table has
 * no memory of its own for a key: things share queues, and a wake-up passes by the
 * entries of other keys.
 *
 * An entry's event function belongs to the code that enqueued the entry: one to
 * one. It is called once, with the entry already unlinked and the queue locked, in
 * the thread of whoever wakes; it hands the entry's owner on, and decides nothing.
 * Which entries are woken, and in what order, the waker decides, who knows what
 * happened.
 *
 * Entry:       wait_queue_lock(), wait_queue_wake_locked(), wait_entry_cancel()
 * Invariants:  W1 an entry is linked exactly while it waits; whoever unlinks it, under the
 *                 queue's lock, owns it
 *              W2 entries of one key are woken in the order in which they were enqueued
 * Locks:       each queue has one lock, a leaf but for what event functions do: they take none. A
 *              signal handler asks wait_queue_is_entered() before it comes here
 * The kernel:  wait_table[] of mm/filemap.c, whose entries are told what the page's bits
 *              were; here nobody is told anything, for it would be stale
 * Not here:    what is waited for, and how a waiter makes sure that it is not too late (the
 *              page word: cache/page.c)
 */
#ifndef RS_WAIT_WAIT_QUEUE_H
#define RS_WAIT_WAIT_QUEUE_H

#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/types.h"

/* From wait_entry_add_locked() until it is unlinked. */
struct wait_entry {
	struct list_node node; /* (q) */
	const void *key;       /* (c) */
	/* (c) It wants to have the thing for itself: the waker hands it over, or leaves the entry
	 * and those behind it where they are. */
	bool is_exclusive;
	/* Any thread, the queue's lock held, the entry already unlinked. May take no lock. */
	void (*event)(struct wait_entry *entry);
};

struct wait_queue {
	struct lock lock;
	struct list_node entries; /* (q) oldest first */
} __attribute__((aligned(CACHE_LINE)));

extern __thread u32 wait_queue_depth __attribute__((tls_model("initial-exec")));

/* The calling thread may have a queue locked: in a signal handler, no queue is to be touched. */
static inline bool wait_queue_is_entered(void)
{
	return unlikely(load_relaxed(&wait_queue_depth) != 0);
}

/* The queue of `key`, locked. Pairs with wait_queue_unlock(). */
struct wait_queue *wait_queue_lock(const void *key);
void wait_queue_unlock(struct wait_queue *queue);

/* Behind the entries that are there. entry->key and ->event are set; the queue is that of the key,
 * and locked. */
void wait_entry_add_locked(struct wait_queue *queue, struct wait_entry *entry);

/* The oldest entry of `key`, or NULL. */
struct wait_entry *wait_queue_first_locked(const struct wait_queue *queue, const void *key);

/* Unlinks the entry and calls its event function. */
void wait_entry_wake_locked(struct wait_queue *queue, struct wait_entry *entry);

/*
 * Any thread that knows that the entry is not yet freed, holding no queue's lock. True: it
 * was waiting, is unlinked, and the caller owns it. False: its event function was called.
 */
bool wait_entry_cancel(struct wait_entry *entry);

/* Wakes every entry of `key`. Any thread, holding no queue's lock. */
void wait_queue_wake_all(const void *key);

/* In the child of a fork(): everybody who waited stayed with the parent. */
void wait_queue_fork_child(void);

#endif
