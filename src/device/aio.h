/*
 * aio.h - Linux AIO: a device queue, for O_DIRECT
 *
 * Each ring has one for its direct requests, and the page cache has one
 * (aio_device.c). Operations are staged, sent in one io_submit(), and their
 * completions are read from the completion ring that the kernel maps into our
 * memory, without a system call. Each completion also signals the queue's
 * eventfd, which an epoll set waits for (EPOLLET: it is never read).
 *
 * Every call is made with the lock of the queue's owner held, (r) below: the
 * ring's, or the device's. `done` is called with that lock held, from
 * aio_queue_submit(), _reap() or _destroy(); it may add operations, it may not
 * submit, reap or destroy.
 *
 *                 aio_queue_add()           io_submit()
 *      AIO_IDLE ------------------> AIO_STAGED ---------> AIO_IN_FLIGHT
 *         ^                            |                       |
 *         |                            | refused               | reaped
 *         +----------------------------+-----------------------+--> done()
 */
#ifndef RS_DEVICE_AIO_H
#define RS_DEVICE_AIO_H

#include <linux/aio_abi.h>
#include <sys/uio.h>

#include "base/list.h"
#include "base/types.h"

enum aio_state {
	AIO_IDLE,      /* owner: the caller */
	AIO_STAGED,    /* owner: the queue's staged list */
	AIO_IN_FLIGHT, /* owner: the kernel */
};

/* Lives in a request or a device_read, from aio_prep_rw() until done() is called. */
struct aio_op {
	struct iocb iocb;
	struct list_node node; /* in queue->staged */
	/* where the descriptor's number stands until it is sent; NULL: as prepared */
	const s32 *fd;
	void (*done)(struct aio_op *op, long result);
	u8 state; /* enum aio_state */
};
_Static_assert(sizeof(struct iocb) == 64, "iocb");
_Static_assert(sizeof(struct aio_op) <= 112, "an operation is part of every waiting request");

/* All zero: not initialised, which every call below but _add and _submit accepts. */
struct aio_queue {
	aio_context_t context;   /* (c) 0: not initialised */
	struct aio_ring *ring;   /* (c) mapped by the kernel; NULL: of unknown layout */
	u32 depth;               /* (c) that the context was made for */
	int event_fd;            /* (c) private; signalled at each completion */
	u32 staged_count;        /* (r) */
	u32 in_flight;           /* (r) submitted and not reaped */
	bool is_busy;            /* (r) a done() may be running */
	struct list_node staged; /* (r) in submission order */
};

/*
 * `depth`: operations at the device at a time; more may be staged. 0 or -errno:
 * -EAGAIN (fs.aio-max-nr is used up), -ENOSYS, -EPERM (refused by policy),
 * -ENOMEM, -EMFILE. The caller then punts.
 */
int aio_queue_init(struct aio_queue *queue, u32 depth);

/* Waits for what is in flight and completes it; what is staged completes with -ECANCELED. */
void aio_queue_destroy(struct aio_queue *queue);

/* In the child of a fork(): the kernel's half stayed with the parent. No done() is called. */
void aio_queue_fork_child(struct aio_queue *queue);

/* The same for what belongs to no queue. */
void aio_fork_child(void);

static inline bool aio_queue_is_ready(const struct aio_queue *queue)
{
	return queue->context != 0;
}

/* Operations that done() has not been called for. */
static inline u32 aio_in_flight(const struct aio_queue *queue)
{
	return queue->in_flight + queue->staged_count;
}

/* Sets everything but op->done; op->fd is NULL. `iov` stays as it is until done(). rw_flags:
 * RWF_*. */
void aio_prep_rw(struct aio_op *op, int fd, bool is_write, const struct iovec *iov, u32 count,
		 u64 offset, int rw_flags);

/* Stages `op`; aio_queue_submit() sends it. */
void aio_queue_add(struct aio_queue *queue, struct aio_op *op);

/* Sends what is staged, as far as the device queue has room; the rest goes after the next reap.
 * A refused operation completes here with its error. Returns how many done() were called. */
u32 aio_queue_submit(struct aio_queue *queue);

/* Completes what the device has finished, at most `limit` operations, and sends what was waiting
 * for room. Returns how many done() were called; if that is
 * `limit` or more, more may be ready. */
u32 aio_queue_reap(struct aio_queue *queue, u32 limit);

#endif
