/*
 * aio.c - Linux AIO: a device queue, for O_DIRECT
 *
 * Entry:       aio_queue_add(), aio_queue_submit(), aio_queue_reap()
 * Invariants:  A1 an operation in AIO_STAGED is in queue->staged, and in no other state in any list
 *              A2 in_flight counts the operations in AIO_IN_FLIGHT: those the kernel took and
 *                 whose event was not yet read
 *              A3 done() is called once for each operation added; by then the operation is
 *                 AIO_IDLE and the queue holds no pointer to it
 *              A4 operations stay staged only while something is in flight, whose reap sends them
 *              A5 the spare context is nobody's, and nothing is in flight on it
 * Locks:       none for a queue: its owner serialises calls (aio.h); spare.lock, a leaf
 * The kernel:  fs/aio.c. Its io_getevents() reads the same completion ring under a mutex; we are
 *              its only reader and need no system call
 * Not here:    which reads come here (file/, cache/), and waiting for event_fd (request/)
 */
#include "device/aio.h"

#include <sys/eventfd.h>
#include <time.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "base/pages.h"
#include "host/fd.h"
#include "host/kernel.h"

/* How many operations one io_submit() takes, and one io_getevents() gives. */
#define BATCH 128

/* No device gains from more, and the whole machine shares fs.aio-max-nr, 65536 by default. */
#define DEPTH_MAX 1024u

#define RING_MAGIC             0xa10a10a1u
#define RING_COMPAT_FEATURES   1u
#define RING_INCOMPAT_FEATURES 0u

/* The completion ring, mapped by io_setup() at the address that is the context's number. */
struct aio_ring {
	u32 id;
	u32 size; /* (c) elements of `events` */
	u32 head; /* (r) next event to read: ours; the kernel sees by it how much room there is */
	u32 tail; /* (a) next event to be written: written by the kernel */
	u32 magic;
	u32 compat_features;
	u32 incompat_features;
	u32 header_length;
	struct io_event events[];
};
_Static_assert(sizeof(struct aio_ring) == 32, "the kernel's struct aio_ring");
_Static_assert(sizeof(struct io_event) == 32, "io_event");

/*
 * One context that a queue left behind, for the next one: to end a context takes the kernel tens
 * of milliseconds, which a program that opens ring after ring would wait each time.
 */
static struct {
	struct lock lock;
	aio_context_t context; /* (lock) 0: none */
	u32 depth;             /* (lock) that it was made for */
} spare;

/* A context for `depth` operations, or 0. */
static aio_context_t spare_take(u32 *depth)
{
	aio_context_t context = 0;

	lock_acquire(&spare.lock);
	if (spare.context != 0 && spare.depth >= *depth) {
		context = spare.context;
		*depth = spare.depth;
		spare.context = 0;
	}
	lock_release(&spare.lock);
	return context;
}

/* Keeps the larger of this one and the spare one; ends the other. */
static void spare_keep(aio_context_t context, u32 depth)
{
	lock_acquire(&spare.lock);
	if (spare.context == 0 || spare.depth < depth) {
		aio_context_t other = spare.context;

		spare.context = context;
		spare.depth = depth;
		context = other;
	}
	lock_release(&spare.lock);
	if (context != 0)
		host_call(SYS_io_destroy, context);
}

static bool ring_is_as_expected(const struct aio_ring *ring)
{
	return ring->magic == RING_MAGIC && ring->compat_features == RING_COMPAT_FEATURES &&
	       ring->incompat_features == RING_INCOMPAT_FEATURES &&
	       ring->header_length == sizeof(struct aio_ring);
}

int aio_queue_init(struct aio_queue *queue, u32 depth)
{
	aio_context_t context;
	int event_fd, err = 0;

	depth = min_of(depth, DEPTH_MAX);
	event_fd = (int)host_call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event_fd < 0)
		return event_fd;
	event_fd = fd_make_private(event_fd);
	context = spare_take(&depth);
	if (context == 0)
		err = (int)host_call(SYS_io_setup, depth, &context);
	if (err) {
		fd_close_private(event_fd);
		return err;
	}
	*queue = (struct aio_queue){.context = context, .depth = depth, .event_fd = event_fd};
	list_init(&queue->staged);
	if (ring_is_as_expected((struct aio_ring *)context))
		queue->ring = (struct aio_ring *)context;
	return 0;
}

void aio_prep_rw(struct aio_op *op, int fd, bool is_write, const struct iovec *iov, u32 count,
		 u64 offset, int rw_flags)
{
	op->iocb = (struct iocb){
		.aio_data = (u64)(uintptr_t)op,
		.aio_fildes = (u32)fd,
		.aio_offset = (s64)offset,
		.aio_rw_flags = rw_flags,
		.aio_flags = IOCB_FLAG_RESFD,
	};
	if (count == 1) {
		op->iocb.aio_lio_opcode = is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
		op->iocb.aio_buf = (u64)(uintptr_t)iov->iov_base;
		op->iocb.aio_nbytes = iov->iov_len;
	} else {
		op->iocb.aio_lio_opcode = is_write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV;
		op->iocb.aio_buf = (u64)(uintptr_t)iov;
		op->iocb.aio_nbytes = count;
	}
	list_init(&op->node);
	op->fd = NULL;
	op->state = AIO_IDLE;
}

void aio_queue_add(struct aio_queue *queue, struct aio_op *op)
{
	rs_assert(op->state == AIO_IDLE && aio_queue_is_ready(queue));
	op->iocb.aio_resfd = (u32)queue->event_fd;
	op->state = AIO_STAGED;
	list_add_tail(&queue->staged, &op->node);
	queue->staged_count++;
}

static void unstage(struct aio_queue *queue, struct aio_op *op, enum aio_state state)
{
	rs_assert(op->state == AIO_STAGED);
	list_del(&op->node);
	queue->staged_count--;
	op->state = state;
}

static void complete_first_staged(struct aio_queue *queue, long result)
{
	struct aio_op *op = list_first(&queue->staged, struct aio_op, node);

	unstage(queue, op, AIO_IDLE);
	queue->is_busy = true;
	op->done(op, result);
	queue->is_busy = false;
}

/* Sends the oldest staged operations: how many the kernel took, or -errno of the first. */
static long submit_batch(struct aio_queue *queue)
{
	struct iocb *batch[BATCH];
	struct aio_op *op;
	long count = 0, taken;

	list_for_each_entry (op, &queue->staged, node) {
		if (count == BATCH)
			break;
		/* The program may have closed the number that it was staged with. */
		if (op->fd != NULL)
			op->iocb.aio_fildes = (u32)load_acquire(op->fd);
		batch[count++] = &op->iocb;
	}
	taken = host_call(SYS_io_submit, queue->context, count, batch);
	for (long i = 0; i < taken; i++)
		unstage(queue, list_first(&queue->staged, struct aio_op, node), AIO_IN_FLIGHT);
	if (taken > 0)
		queue->in_flight += (u32)taken;
	return taken;
}

u32 aio_queue_submit(struct aio_queue *queue)
{
	u32 refused = 0;

	rs_assert(!queue->is_busy);
	while (queue->staged_count > 0) {
		long taken = submit_batch(queue);

		if (taken > 0)
			continue;
		/* No room: the next reap sends the rest (A4), if there is one to come. */
		if (taken == -EAGAIN && queue->in_flight > 0)
			break;
		complete_first_staged(queue, taken < 0 ? taken : -EAGAIN);
		refused++;
	}
	return refused;
}

static void complete_event(struct aio_queue *queue, const struct io_event *event)
{
	struct aio_op *op = (struct aio_op *)(uintptr_t)event->data;

	rs_assert(op->state == AIO_IN_FLIGHT && queue->in_flight > 0);
	op->state = AIO_IDLE;
	queue->in_flight--;
	queue->is_busy = true;
	op->done(op, (long)event->res);
	queue->is_busy = false;
}

static u32 reap_mapped(struct aio_queue *queue, u32 limit)
{
	struct aio_ring *ring = queue->ring;
	/* Pairs with the write barrier in aio_complete(): events up to tail are written. */
	u32 tail = load_acquire(&ring->tail);
	u32 head = load_relaxed(&ring->head);
	u32 reaped = 0;

	while (head != tail && reaped < limit) {
		struct io_event event = ring->events[head];

		if (++head == ring->size)
			head = 0;
		/* Given back before done(), which may take long. Release: the kernel may write over
		 * the event only when it has been copied. */
		store_release(&ring->head, head);
		complete_event(queue, &event);
		reaped++;
	}
	return reaped;
}

/* Waits until `min` events are there. */
static u32 reap_by_call(struct aio_queue *queue, u32 min, u32 limit)
{
	struct timespec now = {0, 0};
	struct io_event events[BATCH];
	u32 max = min_of(limit, (u32)BATCH);
	long count;

	do {
		count = host_call(SYS_io_getevents, queue->context, min, max, events,
				  min ? NULL : &now);
	} while (count == -EINTR);
	for (long i = 0; i < count; i++)
		complete_event(queue, &events[i]);
	return count > 0 ? (u32)count : 0;
}

/* As the mapped ring gives them: fewer than `limit` only if there are no more. */
static u32 reap_by_calls(struct aio_queue *queue, u32 limit)
{
	u32 reaped = 0, count;

	do {
		count = reap_by_call(queue, 0, limit - reaped);
		reaped += count;
	} while (count == BATCH && reaped < limit);
	return reaped;
}

u32 aio_queue_reap(struct aio_queue *queue, u32 limit)
{
	u32 reaped;

	rs_assert(!queue->is_busy);
	if (queue->in_flight == 0)
		return 0;
	if (likely(queue->ring != NULL))
		reaped = reap_mapped(queue, limit);
	else
		reaped = reap_by_calls(queue, limit);
	if (reaped > 0 && queue->staged_count > 0)
		reaped += aio_queue_submit(queue);
	return reaped;
}

void aio_queue_destroy(struct aio_queue *queue)
{
	rs_assert(!queue->is_busy);
	if (!aio_queue_is_ready(queue))
		return;
	while (aio_in_flight(queue) > 0) {
		while (queue->staged_count > 0)
			complete_first_staged(queue, -ECANCELED);
		/* io_destroy() waits too, but takes the completion ring away with the results. */
		if (queue->in_flight > 0)
			reap_by_call(queue, 1, BATCH);
	}
	spare_keep(queue->context, queue->depth);
	fd_close_private(queue->event_fd);
	*queue = (struct aio_queue){.event_fd = -1};
}

/* The completion ring is shared with the parent, like any mapping of a file. */
static void context_forget(aio_context_t context)
{
	const struct aio_ring *ring = (const struct aio_ring *)context;

	if (ring_is_as_expected(ring))
		pages_free((void *)context, sizeof(*ring) + ring->size * sizeof(struct io_event));
}

void aio_fork_child(void)
{
	spare.lock = LOCK_INIT;
	if (spare.context != 0)
		context_forget(spare.context);
	spare.context = 0;
}

void aio_queue_fork_child(struct aio_queue *queue)
{
	if (!aio_queue_is_ready(queue))
		return;
	context_forget(queue->context);
	fd_close_private(queue->event_fd);
	*queue = (struct aio_queue){.event_fd = -1};
}
