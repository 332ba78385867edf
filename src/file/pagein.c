/*
 * pagein.c - cold reads through the kernel's page cache: the page-in waiter
 *
 * Entry:       pagein_start() from a ring's driver, waiter_main() on the waiter's thread
 * Invariants:  P1 a read that waits is linked in pagein.waiting; whoever unlinks it, under the
 *                 lock, owns it: the waiter (which puts it back, or calls done()), or a
 *                 pagein_cancel() that returns true
 *              P2 there is at most one waiter: has_waiter is set before it is created, and it
 *                 clears it itself, with the list empty, under the lock
 *              P3 call_number is odd from before the waiter reads a descriptor's number until
 *                 the call with that number has returned
 * Locks:       pagein.lock: a leaf, taken with ring locks held; no file is read under it
 * The kernel:  its io_uring arms a page wait-queue entry for each read (io_read()); user space
 *              cannot hear a page unlock, so one thread listens for all
 * Not here:    the first RWF_NOWAIT try and what done() leads to (op/rw.c)
 */
#include "file/pagein.h"

#include <fcntl.h>

#include "base/lock.h"
#include "host/futex.h"
#include "host/kernel.h"
#include "host/thread.h"
#include "observe/stats.h"

#define IDLE_NS (5 * NS_PER_SEC)

/* One WILLNEED starts no more than the device's read_ahead_kb, 128 by default. */
#define START_STEP (128u << 10)

/* Device reads of one large read that run ahead of what was copied. */
#define START_WINDOW (2u << 20)

/* The waiter blocks for no more than this at a time: one large read does not hold up others. */
#define BLOCK_BYTES    START_STEP
#define BLOCK_SEGMENTS 8

/* Each half of a sweep ends after so many reads in a row that are still cold. */
#define SWEEP_MISSES 4

#define PAGEIN_INIT                                                                                \
	{                                                                                          \
		.waiting = {&pagein.rotor, &pagein.rotor},                                         \
		.rotor = {&pagein.waiting, &pagein.waiting}, .idle_ns = IDLE_NS                    \
	}

static struct pagein {
	struct lock lock;
	struct list_node waiting; /* (lock) oldest first; the rotor is always among them */
	struct list_node rotor;   /* (lock) where the second half of the next sweep begins */
	bool has_waiter;          /* (lock) */
	bool is_asleep;           /* (lock) the waiter sleeps on `arrivals`, the list was empty */
	u32 arrivals;             /* (a) changes when the sleeping waiter must look */
	u32 call_number;          /* (a) see P3; written by the waiter */
	u32 quiescers;            /* (a) threads that sleep on call_number */
	u64 idle_ns;              /* (a) */
	void (*flush)(void);      /* (c) */
} pagein = PAGEIN_INIT;

static void *waiter_main(void *unused);

/* Leaves no empty element in front: reading only those would look like the end of the file. */
static void read_advance(struct pagein_read *read, size_t bytes)
{
	read->offset += bytes;
	read->done_bytes += bytes;
	while (read->iov_count > 0 && bytes >= read->iov->iov_len) {
		bytes -= read->iov->iov_len;
		read->iov++;
		read->iov_count--;
	}
	if (bytes > 0) {
		read->iov->iov_base = (char *)read->iov->iov_base + bytes;
		read->iov->iov_len -= bytes;
	}
}

static u64 bytes_left(const struct pagein_read *read)
{
	u64 bytes = 0;

	for (u32 i = 0; i < read->iov_count; i++)
		bytes += read->iov[i].iov_len;
	return bytes;
}

/* Starts the device reads of what is missing, up to START_WINDOW ahead; skips what was started. */
static void start_device_reads(struct pagein_read *read)
{
	u64 begin = max_of(read->offset, read->started_end);
	u64 end = read->offset + min_of(bytes_left(read), (u64)START_WINDOW);
	int fd = load_relaxed(read->fd);

	while (begin < end) {
		u64 bytes = min_of(end - begin, (u64)START_STEP);

		/* An error here is no error of the read; the read itself will tell. */
		host_call(SYS_fadvise64, fd, begin, bytes, POSIX_FADV_WILLNEED);
		begin += bytes;
	}
	read->started_end = begin;
}

int pagein_start(struct pagein_read *read)
{
	bool must_wake;
	int err = 0;

	list_init(&read->node);
	read_advance(read, 0);
	read->started_end = read->offset;
	start_device_reads(read);

	lock_acquire(&pagein.lock);
	if (!pagein.has_waiter) {
		err = thread_start(waiter_main, NULL);
		if (err)
			goto out;
		pagein.has_waiter = true;
		stats_peak_process(COUNTER_PAGEIN_THREADS, 1);
	}
	list_add_tail(&pagein.waiting, &read->node);
	must_wake = pagein.is_asleep;
	if (must_wake) {
		pagein.is_asleep = false;
		add_relaxed(&pagein.arrivals, 1);
	}
	lock_release(&pagein.lock);
	if (must_wake)
		futex_wake(&pagein.arrivals, 1);
	return 0;
out:
	lock_release(&pagein.lock);
	return err;
}

bool pagein_cancel(struct pagein_read *read)
{
	bool is_ours;

	lock_acquire(&pagein.lock);
	is_ours = list_is_linked(&read->node);
	list_del(&read->node);
	lock_release(&pagein.lock);
	return is_ours;
}

void pagein_quiesce(void)
{
	u32 number;

	/*
	 * Both sides change call_number by an atomic addition, and one of the two comes first. If
	 * the waiter's does, we see it odd. If ours (of nothing) does, the waiter's acquires what
	 * the caller stored before, so it uses the new number.
	 */
	number = add_full(&pagein.call_number, 0);
	if (number % 2 == 0)
		return;
	add_full(&pagein.quiescers, 1);
	/* Pairs with the second addition of waiter_call(). */
	while (load_acquire(&pagein.call_number) == number)
		futex_wait(&pagein.call_number, number, FUTEX_FOREVER);
	sub_full(&pagein.quiescers, 1);
}

/* The only place where the waiter uses a descriptor of the program's (P3). */
static long waiter_call(const struct pagein_read *read, const struct iovec *iov, u32 count,
			int rw_flags)
{
	long result;

	add_full(&pagein.call_number, 1);
	result = host_call(SYS_preadv2, load_relaxed(read->fd), iov, count, read->offset, 0,
			   rw_flags);
	add_full(&pagein.call_number, 1);
	if (unlikely(load_relaxed(&pagein.quiescers)))
		futex_wake(&pagein.call_number, FUTEX_ALL);
	return result;
}

/* Takes in what a call returned. True: the read is finished, and done() was called. */
static bool read_continue(struct pagein_read *read, long result)
{
	if (result > 0) {
		read_advance(read, (size_t)result);
		if (read->iov_count > 0)
			return false;
	}
	/* All there, or the end of the file, or an error: told only if nothing was copied. */
	read->result = read->done_bytes > 0 ? (long)read->done_bytes : result;
	read->done(read);
	return true;
}

/* Blocks until the next bytes of `read`, which we own, are there. True: finished. */
static bool read_blocking(struct pagein_read *read)
{
	struct iovec iov[BLOCK_SEGMENTS];
	size_t room = BLOCK_BYTES;
	u32 count = 0;
	long result;

	start_device_reads(read);
	while (count < BLOCK_SEGMENTS && count < read->iov_count && room > 0) {
		iov[count] = read->iov[count];
		iov[count].iov_len = min_of(iov[count].iov_len, room);
		room -= iov[count++].iov_len;
	}
	do {
		result = waiter_call(read, iov, count, read->rw_flags);
	} while (result == -EINTR);
	return read_continue(read, result);
}

/* Copies what is there of `read`, which we own. True: finished. */
static bool read_present(struct pagein_read *read)
{
	for (;;) {
		long result =
			waiter_call(read, read->iov, read->iov_count, read->rw_flags | RWF_NOWAIT);

		if (result == -EAGAIN)
			return false;
		/* After a short read again: the end of the file says 0, a cold page -EAGAIN. */
		if (result != -EINTR && read_continue(read, result))
			return true;
	}
}

/* The first read behind `place` in the list, or NULL. */
static struct pagein_read *next_waiting_locked(const struct list_node *place)
{
	struct list_node *node = place->next;

	if (node == &pagein.rotor)
		node = node->next;
	return node == &pagein.waiting ? NULL : list_entry(node, struct pagein_read, node);
}

/*
 * Tries the reads behind `cursor`, a node that keeps the place in the list while
 * the read that stood there is out of it, in our hands. Stops after SWEEP_MISSES
 * cold ones in a row, or at the end. Called and left with the lock held.
 */
static void sweep_from_locked(struct list_node *cursor)
{
	struct pagein_read *read;
	u32 misses = 0;

	while (misses < SWEEP_MISSES && (read = next_waiting_locked(cursor)) != NULL) {
		list_del(cursor);
		list_add(&read->node, cursor);
		list_del(&read->node);
		lock_release(&pagein.lock);
		if (read_present(read)) {
			misses = 0;
			lock_acquire(&pagein.lock);
		} else {
			misses++;
			lock_acquire(&pagein.lock);
			list_insert_before(&read->node, cursor);
		}
	}
}

/*
 * Two halves. From the head: a device completes roughly in order, so what came in
 * while we slept is there. Then a few from where the last sweep's second half
 * ended: so that a fast device's reads behind many of a slow one are found within
 * a bounded number of wakes, though no wake tries them all. The number of misses
 * allowed makes no difference on one device (1 to 32 measured); each costs 0.4 us.
 */
static void sweep(void)
{
	struct list_node cursor;
	bool has_more;

	stats_count_process(COUNTER_PAGEIN_SWEEPS, 1);
	lock_acquire(&pagein.lock);
	list_add(&pagein.waiting, &cursor);
	sweep_from_locked(&cursor);
	has_more = next_waiting_locked(&cursor) != NULL;
	list_del(&cursor);
	if (!has_more)
		goto out;
	if (pagein.rotor.next == &pagein.waiting) {
		list_del(&pagein.rotor);
		list_add(&pagein.waiting, &pagein.rotor);
	}
	sweep_from_locked(&pagein.rotor);
out:
	lock_release(&pagein.lock);
}

/* The oldest read, unlinked. NULL: none came for idle_ns; this thread is the waiter no more. */
static struct pagein_read *take_oldest(void)
{
	struct pagein_read *read;

	lock_acquire(&pagein.lock);
	while ((read = next_waiting_locked(&pagein.waiting)) == NULL) {
		u32 arrivals = load_relaxed(&pagein.arrivals);
		int err;

		pagein.is_asleep = true;
		lock_release(&pagein.lock);
		err = futex_wait(&pagein.arrivals, arrivals, load_relaxed(&pagein.idle_ns));
		lock_acquire(&pagein.lock);
		pagein.is_asleep = false;
		if (err == -ETIMEDOUT && next_waiting_locked(&pagein.waiting) == NULL) {
			pagein.has_waiter = false;
			goto out;
		}
	}
	list_del(&read->node);
out:
	lock_release(&pagein.lock);
	return read;
}

static void put_back_oldest(struct pagein_read *read)
{
	lock_acquire(&pagein.lock);
	list_add(&pagein.waiting, &read->node);
	lock_release(&pagein.lock);
}

static void *waiter_main(void *unused)
{
	struct pagein_read *read;

	(void)unused;
	thread_set_name("ringside/pagein");
	while ((read = take_oldest()) != NULL) {
		stats_count_process(COUNTER_PAGEIN_WAITS, 1);
		if (!read_blocking(read))
			put_back_oldest(read);
		sweep();
		if (pagein.flush)
			pagein.flush();
	}
	return NULL;
}

void pagein_set_flush(void (*flush)(void))
{
	pagein.flush = flush;
}

void pagein_set_idle(u64 idle_ns)
{
	store_relaxed(&pagein.idle_ns, idle_ns);
}

void pagein_fork_child(void)
{
	void (*flush)(void) = pagein.flush;

	pagein = (struct pagein)PAGEIN_INIT;
	pagein.flush = flush;
}
