/*
 * futex.c - requests that wait on words of the program's memory
 *
 * Who wakes a word is told how many waiters that woke, and counts on it: no more, no less, in
 * order. Only a thread that sleeps in the kernel is counted. So each request that waits has
 * one. (One thread that waits on the words of many requests, as futex_waitv() can, is not
 * enough: between two of its calls it waits on none, and a wake that comes then is lost.
 * Nor does it learn which words were woken together.)
 *
 * A thread need not run in order to wait for something else. A free one sleeps on a word of its
 * own; to give it a request, its driver moves it to the request's word (FUTEX_CMP_REQUEUE):
 *
 *            futex_wait_arm()                  somebody wakes the word
 *     FREE ---------------------> WAITING ------------------------------> FREE, and
 *    on `word`   one system call   on the request's           task work for its ring
 *                of the driver's   word
 *
 * So the request waits when its submission returns, like in the kernel, and nothing was woken for
 * it. The kernel compares the value as it enqueues, which a move does not: the driver compares
 * before and after it. If the value has changed between, then a wake may have come too early for
 * us or too soon: the thread is called back and the request gets -EAGAIN, and if it was woken
 * meanwhile it passes the wake on. The same holds for a request that is cancelled.
 *
 * The word changes as soon as the thread has left it, so that a sleep which the C library's own
 * signals interrupted (a setuid() of the program's) does not begin there again: the thread sees
 * that, and goes on waiting where it was.
 *
 * A thread that leaves its sleep for no wake queues itself anew where it began to sleep, not where
 * it was moved to, and for a moment it is in no queue. Two things make it do so. If it is moved
 * after it lined up and before it sleeps, it may see itself in no queue, and does not sleep: so it
 * is moved only when it is asleep (is_asleep()). And one that was awake still when it was woken is
 * woken nevertheless, a moment later, in its next sleep: so a waiter sleeps on no other word, of a
 * lock, shortly before it may be moved, but tries its lock until it has it; and one that found
 * itself woken without having slept is woken once more before it is moved again (is_stirred): who
 * woke it is done with that by then, if it was this driver.
 *
 * A thread that sleeps with another mask, or on a private word though a shared one is wanted,
 * is woken to sleep again as is wanted, and moved then. Several words are waited for by
 * futex_waitv(), with a last word of ours: when that can be found in the kernel's table,
 * the others are in it.
 *
 * Entry:       futex_wait_arm(), futex_wait_cancel() by a ring's driver; waiter_main()
 * Invariants:  W1 a waiter is in the free list exactly while req is NULL and it is not ending
 *              W2 it may be interrupted exactly while req is set
 *              W3 it sleeps on `word` only while that is the order it follows; a new order
 *                 comes with each change of how it is to sleep, and when it was moved
 * Locks:       waiters.lock: a leaf, taken with ring locks held; never while asleep
 * The kernel:  io_uring/futex.c, an entry in the futex' queue, no thread. Differences: a wake that
 *              hits a request in the instant in which it is given up was counted, though it
 *              may find nobody to pass it on to. One word that is found by its node (FUTEX2_NUMA,
 *              FUTEX2_MPOL) is waited for as several are, so not with a mask.
 */
#include "request/futex.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/lock.h"
#include "host/clock.h"
#include "host/interrupt.h"
#include "host/kernel.h"
#include "host/thread.h"
#include "host/usercopy.h"
#include "request/link.h"
#include "request/pending.h"
#include "request/ring.h"

#ifndef SYS_futex_wake
#define SYS_futex_wake 454
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

#define WAITERS_LIMIT 4096u

/* Free waiters that are kept. */
#define FREE_LIMIT 16u

#define FUTEX2_U32     2u
#define FUTEX2_NODE    12u
#define FUTEX2_PRIVATE 128u

/* From its thread's start to its end. */
struct futex_waiter {
	struct list_node node;      /* (q) in waiters.free */
	struct request *req;        /* (q) what it waits for; NULL: it is free */
	struct interrupt interrupt; /* see interrupt.h */
	u32 word;                   /* (a) it sleeps on this while free: the latest order */
	u32 probe;                  /* (c) 0: the last of several words */
	u32 order;                  /* (o: its thread) the one it follows */
	u32 mask;                   /* (q) how it is to sleep */
	bool is_private;            /* (q) */
	bool is_many;               /* (q) on several words, not on `word` */
	bool is_arming;             /* (q) its driver is still at it: it reports nothing yet */
	bool is_moved;              /* (q) it sleeps on the request's word, or has returned */
	bool is_retired;            /* (q) it is to end */
	bool is_stirred;            /* (q) it may be woken without need once */
	s32 give_up;                /* (q) 0, or the result if it is called back */
	u8 unused[3];
};
_Static_assert(sizeof(struct futex_waiter) % 16 == 0, "slab object");

static struct {
	struct lock lock;
	struct list_node free; /* (q) the last to become free first; next is NULL at first */
	struct slab slab;      /* (q) of struct futex_waiter */
	u32 free_count;        /* (q) */
} waiters;

/* Between two looks at what another thread is about to do. Yielding does not help against a
 * thread of lower priority. */
static void let_others_run(u32 tries)
{
	struct timespec moment = {.tv_nsec = 50000};

	if (tries < 64)
		host_call(SYS_sched_yield);
	else
		host_call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &moment, NULL);
}

/* In a waiter's thread. */
static void acquire_awake(void)
{
	for (u32 tries = 0; !lock_acquire_try(&waiters.lock); tries++)
		let_others_run(tries);
}

/* How often this thread went to sleep; 0 if that is not told. */
static long count_sleeps(void)
{
	struct rusage usage = {0};

	host_call(SYS_getrusage, RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static long sleep_on_one(struct futex_waiter *self, bool is_private, u32 mask)
{
	long op = FUTEX_WAIT_BITSET | (is_private ? FUTEX_PRIVATE_FLAG : 0);
	long args[6] = {(long)&self->word, op, self->order, 0, 0, mask};

	return interrupt_call(&self->interrupt, SYS_futex, args);
}

/* The request is this thread's until its sleep is over. */
static long sleep_on_many(struct futex_waiter *self)
{
	const struct futex_wait *wait = request_data(self->req, struct futex_wait);
	bool has_room = wait->count < FUTEX_WORDS;
	long args[6] = {(long)wait->words, wait->count + has_room, 0, 0, 0, 0};

	return interrupt_call(&self->interrupt, SYS_futex_waitv, args);
}

/* It was moved, and lost its place to a signal. */
static long sleep_again(struct futex_waiter *self)
{
	const struct futex_wait *wait = request_data(self->req, struct futex_wait);
	long op = FUTEX_WAIT_BITSET | (wait->is_private ? FUTEX_PRIVATE_FLAG : 0);
	long args[6] = {(long)wait->addr, op, wait->value, 0, 0, wait->mask};
	long result = interrupt_call(&self->interrupt, SYS_futex, args);

	/* A wake may have been missed: as if it had come. */
	return result == -EAGAIN ? 0 : result;
}

static void wake_one(const struct futex_waiter *self, const struct futex_wait *wait, long index)
{
	const struct futex_word *word = wait->words ? &wait->words[index] : NULL;
	bool is_private = word ? word->flags & FUTEX2_PRIVATE : wait->is_private;

	if (word && word->flags & FUTEX2_NODE) {
		host_call(SYS_futex_wake, word->addr, FUTEX_BITSET_MATCH_ANY, 1, word->flags);
		return;
	}
	host_call(SYS_futex, word ? word->addr : wait->addr,
		  FUTEX_WAKE_BITSET | (is_private ? FUTEX_PRIVATE_FLAG : 0), 1, NULL, NULL,
		  self->mask);
}

/* The driver that gives it a request is in the midst of it, for some instructions. */
static void await_driver_locked(const struct futex_waiter *self)
{
	for (u32 tries = 0; self->is_arming; tries++) {
		lock_release(&waiters.lock);
		let_others_run(tries);
		acquire_awake();
	}
}

/* The sleep is over for the sake of the request. Called and left with the lock held, which it drops
 * between; the request is gone then, and the waiter free. */
static void report_locked(struct futex_waiter *self, long result)
{
	struct request *req = self->req;
	struct futex_wait *wait = request_data(req, struct futex_wait);

	if (self->give_up) {
		if (result >= 0)
			wake_one(self, wait, result);
		result = self->give_up;
	}
	wait->waiter = NULL;
	self->req = NULL;
	lock_release(&waiters.lock);
	req->flags |= REQ_FINISHED;
	request_set_result(req, (s32)result);
	request_task_work_add(req);
	interrupt_settle(&self->interrupt);
	acquire_awake();
}

/* Becomes free, or ends where there are enough. */
static void rest_locked(struct futex_waiter *self)
{
	interrupt_open(&self->interrupt);
	self->is_moved = self->is_many = false;
	self->give_up = 0;
	if (waiters.free_count >= FREE_LIMIT) {
		self->is_retired = true;
		return;
	}
	waiters.free_count++;
	list_add(&waiters.free, &self->node);
}

/* The sleep that is over was not for the request: it is to sleep otherwise, and then be moved. */
static bool was_ordered_anew(const struct futex_waiter *self)
{
	return !self->is_moved && self->order != load_relaxed(&self->word);
}

static void *waiter_main(void *argument)
{
	struct futex_waiter *self = argument;

	thread_set_name("ringside/futex");
	acquire_awake();
	interrupt_open(&self->interrupt);
	while (!self->is_retired) {
		bool is_private = self->is_private, is_many = self->is_many;
		u32 mask = self->mask;
		long result, sleeps = count_sleeps();

		self->order = load_relaxed(&self->word);
		lock_release(&waiters.lock);
		result = is_many ? sleep_on_many(self) : sleep_on_one(self, is_private, mask);
		sleeps = count_sleeps() - sleeps;
		acquire_awake();
		if (self->req == NULL || (!is_many && was_ordered_anew(self)))
			continue;
		await_driver_locked(self);
		if (result == -EAGAIN && self->is_moved && !self->give_up) {
			lock_release(&waiters.lock);
			sleeps = 0;
			result = sleep_again(self);
			acquire_awake();
		}
		self->is_stirred = sleeps == 0;
		report_locked(self, result);
		rest_locked(self);
	}
	lock_release(&waiters.lock);
	interrupt_close(&self->interrupt);
	acquire_awake();
	slab_free(&waiters.slab, self);
	lock_release(&waiters.lock);
	return NULL;
}

static struct futex_waiter *waiter_start_locked(const struct futex_wait *wait)
{
	struct futex_waiter *waiter;

	if (waiters.slab.object_size == 0)
		slab_init(&waiters.slab, sizeof(*waiter), WAITERS_LIMIT);
	waiter = slab_alloc(&waiters.slab);
	if (waiter == NULL)
		return NULL;
	*waiter = (struct futex_waiter){.mask = wait->mask, .is_private = wait->is_private};
	list_init(&waiter->node);
	if (thread_start(waiter_main, waiter)) {
		slab_free(&waiters.slab, waiter);
		return NULL;
	}
	return waiter;
}

/* One that sleeps as is wanted already, or any, or a new one. */
static struct futex_waiter *waiter_take_locked(const struct futex_wait *wait)
{
	struct futex_waiter *waiter, *found;

	if (waiters.free.next == NULL)
		list_init(&waiters.free);
	if (list_is_empty(&waiters.free))
		return waiter_start_locked(wait);
	found = list_last(&waiters.free, struct futex_waiter, node);
	list_for_each_entry (waiter, &waiters.free, node) {
		if (wait->words == NULL && waiter->is_private == wait->is_private &&
		    waiter->mask == wait->mask) {
			found = waiter;
			break;
		}
	}
	list_del(&found->node);
	waiters.free_count--;
	return found;
}

/* Gives the waiter its request, and orders it to sleep otherwise if it must. */
static void waiter_give_locked(struct futex_waiter *waiter, struct request *req)
{
	struct futex_wait *wait = request_data(req, struct futex_wait);
	bool was_private = waiter->is_private;

	wait->waiter = waiter;
	waiter->req = req;
	waiter->is_many = wait->words != NULL;
	waiter->is_arming = !waiter->is_many;
	if (!waiter->is_many && !waiter->is_stirred && waiter->is_private == wait->is_private &&
	    waiter->mask == wait->mask)
		return;
	waiter->is_stirred = false;
	waiter->is_private = wait->is_private;
	waiter->mask = wait->mask;
	store_relaxed(&waiter->word, waiter->word + 1);
	host_call(SYS_futex, &waiter->word, FUTEX_WAKE | (was_private ? FUTEX_PRIVATE_FLAG : 0), 1);
}

/*
 * Whether the waiter has gone to sleep on its own word, and not only lined up for it: between these
 * two it looks whether it is in the queue, and in the midst of a move it is in none. Where /proc
 * does not tell, it is taken to be asleep.
 */
static bool is_asleep(const struct futex_waiter *waiter)
{
	char path[48], text[64] = "", wanted[48];
	size_t length;
	long fd;

	snprintf(path, sizeof(path), "/proc/self/task/%u/syscall",
		 load_relaxed(&waiter->interrupt.thread));
	length = (size_t)snprintf(wanted, sizeof(wanted), "%d %#lx ", SYS_futex,
				  (unsigned long)&waiter->word);
	fd = host_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return load_relaxed(&waiter->interrupt.thread) != 0;
	if (host_call(SYS_read, fd, text, sizeof(text) - 1) <= 0)
		strcpy(text, wanted);
	host_call(SYS_close, fd);
	return strncmp(text, wanted, length) == 0;
}

/* Moves the waiter to the request's word, as soon as it sleeps. 0 or -errno. */
static long waiter_move(struct futex_waiter *waiter, const struct futex_wait *wait)
{
	long op = FUTEX_CMP_REQUEUE | (wait->is_private ? FUTEX_PRIVATE_FLAG : 0);
	u32 order = load_relaxed(&waiter->word);

	for (u32 tries = 0;; tries++) {
		long moved = 0;

		if (is_asleep(waiter))
			moved = host_call(SYS_futex, &waiter->word, op, 0, 1, wait->addr, order);
		if (moved < 0)
			return moved;
		if (moved > 0)
			break;
		let_others_run(tries);
	}
	lock_acquire(&waiters.lock);
	waiter->is_moved = true;
	store_relaxed(&waiter->word, order + 1);
	lock_release(&waiters.lock);
	return 0;
}

/* What the word says now: 0, -EAGAIN or -EFAULT. */
static int compare(const struct futex_wait *wait)
{
	u32 value;

	if (copy_from_user(&value, (const void *)wait->addr, sizeof(value)))
		return -EFAULT;
	return value == wait->value ? 0 : -EAGAIN;
}

/* The request does not wait after all; its waiter reports that. */
static void call_back_locked(struct futex_waiter *waiter, int result)
{
	waiter->give_up = result;
	interrupt_send(&waiter->interrupt);
}

static void arm_one(struct futex_waiter *waiter, const struct futex_wait *wait)
{
	long err = waiter_move(waiter, wait);

	if (err == 0)
		err = compare(wait);
	lock_acquire(&waiters.lock);
	if (err)
		call_back_locked(waiter, (int)err);
	waiter->is_arming = false;
	lock_release(&waiters.lock);
}

/* Whether the waiter has the request still, and is not yet seen asleep on its words. */
static bool is_on_its_way(struct futex_waiter *waiter, const struct request *req)
{
	bool is_ours;

	if (host_call(SYS_futex, &waiter->probe, FUTEX_CMP_REQUEUE_PRIVATE, 0, 1, &waiter->probe,
		      0) == 1)
		return false;
	lock_acquire(&waiters.lock);
	is_ours = waiter->req == req;
	lock_release(&waiters.lock);
	return is_ours;
}

static void arm_many(struct futex_waiter *waiter, const struct request *req)
{
	/* With as many words as the call takes there is no room for the last one: the request
	 * begins to wait a moment after its submission. */
	if (request_data((struct request *)req, struct futex_wait)->count == FUTEX_WORDS)
		return;
	for (u32 tries = 0; is_on_its_way(waiter, req); tries++)
		let_others_run(tries);
}

int futex_wait_arm(struct request *req)
{
	struct futex_wait *wait = request_data(req, struct futex_wait);
	struct futex_waiter *waiter;

	lock_acquire(&waiters.lock);
	waiter = waiter_take_locked(wait);
	lock_release(&waiters.lock);
	if (waiter == NULL)
		return -ENOMEM;
	if (wait->words != NULL && wait->count < FUTEX_WORDS)
		wait->words[wait->count] = (struct futex_word){
			.addr = (u64)&waiter->probe,
			.flags = FUTEX2_U32 | FUTEX2_PRIVATE,
		};
	request_set_state(req, REQUEST_WAIT_FUTEX);
	pending_add(req);
	link_timeout_start(req);
	/* From here on it may be woken, and the request done, but not freed before we return. */
	lock_acquire(&waiters.lock);
	waiter_give_locked(waiter, req);
	lock_release(&waiters.lock);
	if (wait->words != NULL)
		arm_many(waiter, req);
	else
		arm_one(waiter, wait);
	return 0;
}

int futex_wait_cancel(struct request *req)
{
	struct futex_wait *wait = request_data(req, struct futex_wait);
	struct futex_waiter *waiter;
	int err = -EALREADY;

	lock_acquire(&waiters.lock);
	waiter = wait->waiter;
	if (waiter != NULL && waiter->give_up == 0) {
		call_back_locked(waiter, -ECANCELED);
		err = 0;
	}
	lock_release(&waiters.lock);
	return err;
}

void futex_fork_child(void)
{
	waiters.lock = LOCK_INIT;
	list_init(&waiters.free);
	waiters.free_count = 0;
}
