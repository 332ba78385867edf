/*
 * pagein.h - cold reads through the kernel's page cache, without a thread a read
 *
 * pagein_start() sends the missing pages' reads to the device and returns. One
 * thread in the process, the page-in waiter, blocks in the oldest such read;
 * when it wakes it sweeps the others with RWF_NOWAIT. All reads are at the
 * device at once, and one thread waits.
 *
 * The caller has tried RWF_NOWAIT itself, and comes here with what is missing.
 */
#ifndef RS_FILE_PAGEIN_H
#define RS_FILE_PAGEIN_H

#include <sys/uio.h>

#include "base/list.h"
#include "base/types.h"

/*
 * Lives in a request. The caller owns it and fills the fields (c) and (o);
 * pagein_start() gives it to the page-in, which gives it back by done(), or by
 * a pagein_cancel() that returns true.
 */
struct pagein_read {
	struct list_node node; /* (q) linked: it waits, whoever unlinks it owns it */
	const int *fd;         /* (c) where its descriptor's number is; see pagein_quiesce() */
	struct iovec *iov;     /* (o) what is left; advanced, with the elements, as bytes arrive */
	u32 iov_count;         /* (o) */
	int rw_flags;          /* (c) RWF_*, for preadv2() */
	u64 offset;            /* (o) where `iov` begins in the file; advanced */
	u64 started_end;       /* (o) device reads were started up to here; set by pagein_start() */
	size_t done_bytes;     /* (o) copied so far; the caller sets what it had copied itself */
	long result;           /* (o) at done(): done_bytes, or -errno if that is 0 */
	void (*done)(struct pagein_read *read); /* (c) on the waiter's thread, no lock held */
};

/*
 * Any thread. Starts the device reads and queues `read`. 0, or -EAGAIN or -ENOMEM if
 * the waiter's thread could not be created: the read was not queued, the caller owns it.
 * The fd's number is used in this call too, so the caller holds what keeps it from being closed.
 */
int pagein_start(struct pagein_read *read);

/* Any thread that knows that `read` is not yet freed. True: it was waiting, the caller owns it and
 * done() is not called. False: it is being read, or was; done() was or will be called. */
bool pagein_cancel(struct pagein_read *read);

/*
 * Before the program's descriptor N is closed: first store another number in
 * every *read->fd that holds N, then call this, then close N. On return the waiter makes
 * no more calls on N. Waits for at most one call of the waiter: one read of a disk.
 * Not from done().
 */
void pagein_quiesce(void);

/* `flush` is called on the waiter's thread after the done() calls of one sweep: one wake-up a ring
 * and sweep, not one a read. Set once, before the first read. */
void pagein_set_flush(void (*flush)(void));

/* How long the waiter stays without work; for tests. */
void pagein_set_idle(u64 idle_ns);

/* In the child of a fork(): the waiter and all reads stayed with the parent. */
void pagein_fork_child(void);

#endif
