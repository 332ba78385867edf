/*
 * request.h - one request, from its SQE to its CQE
 *
 *   SUBMITTED -> ISSUED -> COMPLETE -> (CQE posted, freed)
 *    |  |  ^        |-> WAIT_PAGE    owner: the page-in waiter (file/pagein.c)
 *    |  |  |        |-> WAIT_DEVICE  owner: the device queue (device/aio.c)
 *    |  |  |        |-> WAIT_POLL    owner: the poll table (poll.c)
 *    |  |  |        |-> WAIT_TIMER   owner: the timer heap (timer.c)
 *    |  |  |        |-> WAIT_FUTEX   owner: a thread that sleeps for it (futex.c)
 *    |  |  |        '-> PUNTED       owner: the punt pool (punt.c)
 *    |  |  |                 |
 *    |  v  |                 v
 *    | HELD -------------> QUEUED (task work) -> ISSUED: retried from the start, everything
 *    |                       |                   is checked again; or COMPLETE: it was
 *    '-----> COMPLETE <------'                   finished, or failed, where it waited
 *
 * HELD: behind a link's predecessor, or behind a drain (link.c); owner: that one.
 *
 * Whoever unlinks a request from where it waits owns it. Only the ring's
 * driver (the holder of its lock) changes a request that is in none of the
 * WAIT_ states or PUNTED; their owners may write its result, and then hand it
 * over, which is the last that they do to it: request_task_work_add(). A worker
 * may before that tell of progress (request_tell_progress()).
 *
 * Entry:       request_set_state() is the only writer of `state`
 * Invariants:  T1 the moves above are the only ones (asserted by the setter)
 *              T2 every SQE yields one CQE, plus multishot's marked extra ones, less those that
 *                 CQE_SKIP_SUCCESS suppresses
 * The kernel:  struct io_kiocb
 */
#ifndef RS_REQUEST_REQUEST_H
#define RS_REQUEST_REQUEST_H

#include <errno.h>

#include "base/abi.h"
#include "base/assert.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mpsc.h"
#include "file/file.h"
#include "request/punt.h"

struct ring;
struct request;
struct cache_hit;
struct poll_target;
struct resource;
struct provided_buffer;

enum request_state {
	REQUEST_SUBMITTED, /* request_alloc() -> ISSUED, HELD, COMPLETE */
	/* link.c -> QUEUED, ISSUED (a link's first), COMPLETE (the link failed) */
	REQUEST_HELD,
	/* request_task_work_add(), ring_ready_add() -> ISSUED, COMPLETE, WAIT_* (it waits on) */
	REQUEST_QUEUED,
	REQUEST_ISSUED,      /* request_issue() -> WAIT_*, PUNTED, QUEUED, COMPLETE */
	REQUEST_WAIT_PAGE,   /* op/rw.c -> QUEUED */
	REQUEST_WAIT_DEVICE, /* op/rw.c -> QUEUED */
	REQUEST_WAIT_POLL,   /* poll_arm() -> QUEUED */
	REQUEST_WAIT_TIMER,  /* timer_arm() -> QUEUED */
	REQUEST_WAIT_FUTEX,  /* futex_wait_arm() -> QUEUED */
	REQUEST_PUNTED,      /* request_punt() -> QUEUED */
	REQUEST_COMPLETE,    /* request_complete() -> freed */
};

/* Bits of request->flags: the SQE's own IOSQE_ bits, and these. */
#define REQ_FAILED (1u << 8) /* its result breaks links; a failed CQE is always posted */
#define REQ_SKIP_LINK_CQES                                                                         \
	(1u << 9) /* it failed and had CQE_SKIP: its links' cancelled CQEs are not posted */
#define REQ_ARM_LTIMEOUT   (1u << 10) /* its link timeout starts when it waits */
#define REQ_LTIMEOUT_ARMED (1u << 11) /* its link timeout was started: ltimeout */
#define REQ_FORCE_ASYNC    (1u << 12) /* not issued while its SQE is being submitted (drain) */
#define REQ_NOWAIT         (1u << 13) /* -EAGAIN is its answer, it does not wait */
/* `file` is a duplicate that a worker used, not what fd names */
#define REQ_FILE_DUPLICATE (1u << 14)
#define REQ_FINISHED       (1u << 15) /* result is set: QUEUED leads to COMPLETE, not to an issue */
#define REQ_PENDING        (1u << 16) /* in ring->pending (pending.c) */
#define REQ_MULTISHOT      (1u << 17)
#define REQ_DRAIN_LATER                                                                            \
	(1u << 18) /* behaves as IOSQE_IO_DRAIN: the request after a link that holds one */
#define REQ_ISSUED_ONCE (1u << 19) /* it was issued before: the next issue is a retry */
#define REQ_POLL_URGENT                                                                            \
	(1u << 20) /* ISSUE_POLL waits for errors and EPOLLPRI only, not for op->poll_events */
#define REQ_FILE_OWNED                                                                             \
	(1u << 21) /* `file` is a reference of the request's own, not its resource's */
#define REQ_POLL_WOKEN (1u << 22) /* QUEUED because of its file: to be issued again */
#define REQ_WIDE_CQE                                                                               \
	(1u << 24) /* its CQE has 32 bytes: the second half are the first two u64 of `data` */
#define REQ_BUFFER_SEEN  (1u << 25) /* its buffers are at the head of a ring, not used yet */
#define REQ_BUFFERS_LAST (1u << 26) /* it took the last buffer of its group */
/* A second CQE says that the memory is no longer used; with, or without its usage (SEND_ZC). */
#define REQ_NOTIFIES       (1u << 27)
#define REQ_NOTIFIES_USAGE (1u << 28)
#define REQ_POLL_LASTING   (1u << 29) /* poll.target is kept registered for it (poll.c) */
#define REQ_LINKED         (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)

/* What op->issue() says happened. */
enum issue_verdict {
	ISSUE_DONE,    /* req->result is set */
	ISSUE_POLL,    /* wait for op->poll_events on the file, then issue again */
	ISSUE_PUNT,    /* it can only block: op->block() in the punt pool */
	ISSUE_WAITING, /* the operation handed the request on, its state says to whom */
};

/*
 * One row an operation; the table is op/table.c. Adding an operation is a row
 * and its functions.
 */
struct op_def {
	/* Checks and copies the SQE (the program may reuse it, and what it points to, afterwards).
	 * Driver. 0 or -errno. */
	int (*prep)(struct request *req, const struct io_uring_sqe *sqe);
	/* Tries without blocking. Driver. NULL: only block(). */
	enum issue_verdict (*issue)(struct request *req);
	/* Makes the call, blocking, and sets req->result. A punt worker, or the driver when
	 * there is none: may not touch the ring. */
	void (*block)(struct request *req);
	/* block() returned, or the request was cancelled, or prep() refused it and its link failed:
	 * what is left to do in the driver. NULL: nothing. A multishot request clears
	 * REQ_FINISHED to be issued again. */
	void (*finish)(struct request *req);
	/* block() goes on, and called request_tell_progress(): takes what it has put down until
	 * now, and posts CQEs for it. Beside it block() runs: this writes nothing that block()
	 * uses, but what is made for both. Driver. NULL: block() never calls that. */
	void (*progress)(struct request *req);
	/* The request is cancelled while it is PUNTED, or behind that QUEUED, so its call may
	 * succeed: true, and it ends with -ECANCELED behind what was told of it. False: it may
	 * end with the call's result. Driver. NULL: false. */
	bool (*stop)(struct request *req);
	/* Its timer fired (timer.c); REQUEST_QUEUED's owner is the caller. Driver. */
	void (*expire)(struct request *req);
	/* A plain SQE wants what is there: true, `hit` is to be copied (submit.c).
	 * False: nothing was done. Driver. NULL: never. */
	bool (*hit)(const struct ring *ring, const struct io_uring_sqe *sqe, struct cache_hit *hit);
	/* SQEs of it are next, and there is room for `count` CQEs: completes those that are plain
	 * and can be done at once, in order, without requests (submit.c). Returns how many.
	 * `would_block`: set if one was tried and has to wait. Driver. NULL: none. */
	u32 (*bare)(struct ring *ring, u32 count, bool *would_block);
	/* Takes the request back from where the operation itself made it wait (WAIT_PAGE): true,
	 * and it is the caller's. NULL: that cannot be. Driver. */
	bool (*unwait)(struct request *req);
	/* Frees what prep() allocated. Driver. */
	void (*cleanup)(struct request *req);
	/* What it polls for when issue() says ISSUE_POLL: EPOLLIN or EPOLLOUT. */
	u32 poll_events;
	bool needs_file;    /* sqe->fd is resolved before the issue; -EBADF */
	bool allows_ioprio; /* sqe->ioprio may be set */
	bool allows_iopoll; /* may be used on an IOPOLL ring */
	bool allows_buffer_select;
	/* block() may block for ever, if the file is no regular one: the pool's unbounded side */
	bool is_unbounded;
	bool is_serial; /* on a regular file block() is called for one after another, in order */
	bool is_wide;   /* its SQE has 128 bytes */
	/* Whoever cancels one is told 1, a count, where others say 0; as in the kernel. */
	bool is_counted_if_cancelled;
};

extern const struct op_def op_table[IORING_OP_LAST];

/* Where a request waits in the poll table, from poll_arm() until it is unlinked. */
struct poll_wait {
	struct list_node node; /* in target->waiters */
	struct poll_target *target;
	u32 events;  /* wanted, EPOLL* */
	u32 revents; /* (o) what was seen when it was woken */
};

#define REQUEST_DATA 120 /* bytes for the operation's own, checked arguments */

/* Owned as the drawing says, from request_alloc() to request_free(). All fields (o), where nothing
 * else is said; those that a worker reads nobody writes while it is PUNTED. */
struct request {
	/* The first cache line: all that a NOP touches. */
	struct ring *ring;       /* (c) */
	const struct op_def *op; /* (c) */
	u64 user_data;
	u32 flags;
	s32 result;
	u32 cqe_flags;
	s32 fd; /* sqe->fd */
	u8 opcode;
	u8 state; /* enum request_state; request_set_state() */
	u16 buf_index;
	s32 errno_of_prep;    /* why it failed before it was issued */
	struct request *link; /* next of the link */
	/* what fd names; NULL until it waits, or if it is a fixed file's */
	struct file *file;

	struct request *ready_next;       /* ring->ready, or ring->drain */
	struct resource *file_resource;   /* the fixed file in use, or NULL (resource.h) */
	struct resource *buffer_resource; /* the fixed buffer in use, or NULL */
	struct provided_buffer *buffer;   /* BUFFER_SELECT: taken from a list, or NULL */
	u64 submit_ticks;                 /* ticks_now(), if latencies are measured */
	struct request *ltimeout;         /* (r) its running link timeout; NULL: it fired */
	struct request *ltimeout_of;      /* of a LINK_TIMEOUT: the request it guards */
	struct list_node pending;         /* REQ_PENDING: in a bucket of ring->pending */
	struct mpsc_node task_work;       /* QUEUED by another thread; or PUNTED, and with news */
	struct poll_wait poll;
	struct heap_node timer;
	struct punt_work punt;
	u32 news; /* (a) of a request that is punted: what the driver has yet to take (request.c) */
	u8 data[REQUEST_DATA] __attribute__((aligned(8)));
} __attribute__((aligned(CACHE_LINE)));
_Static_assert(sizeof(struct request) <= 384, "memory for one waiting request stays small");

/* The operation's arguments, as its own type. */
#define request_data(req, type)                                                                    \
	({                                                                                         \
		_Static_assert(sizeof(type) <= REQUEST_DATA, "the arguments fit the request");     \
		(type *)(void *)(req)->data;                                                       \
	})

/* Bit s of element t: the move from state t to state s is legal (T1). */
extern const u16 request_legal_moves[REQUEST_COMPLETE + 1];

/*
 * The only writer of req->state. Asserts that the move is legal. A thread that
 * owned the request hands it over through the task-work queue, whose push and
 * take order everything. Release: the driver may look at it (cancel.c) before it takes it.
 */
static inline void request_set_state(struct request *req, enum request_state state)
{
	rs_assert(request_legal_moves[req->state] >> state & 1);
	store_release(&req->state, (u8)state);
}

const char *request_state_name(enum request_state state);

static inline void request_fail(struct request *req)
{
	req->flags |= REQ_FAILED;
	if (req->flags & IOSQE_CQE_SKIP_SUCCESS) {
		req->flags &= ~IOSQE_CQE_SKIP_SUCCESS;
		req->flags |= REQ_SKIP_LINK_CQES;
	}
}

/* Result of an operation whose errors do not break links; as in the kernel, which ones those are
 * has no system. */
static inline void request_set_result_only(struct request *req, s32 result)
{
	req->result = result;
}

/* Result of most operations: a negative one breaks links. */
static inline void request_set_result(struct request *req, s32 result)
{
	if (result < 0)
		request_fail(req);
	req->result = result;
}

static inline enum issue_verdict request_done(struct request *req, long result)
{
	request_set_result(req, (s32)result);
	return ISSUE_DONE;
}

/* The descriptor number to use now. */
static inline int request_fd(const struct request *req)
{
	return req->file ? file_fd(req->file) : req->fd;
}

/* Driver. Issues a request that is ready to run: it completes, or waits somewhere. */
void request_issue(struct request *req);

/* Driver. Posts the CQE, goes on with the link, frees the request. */
void request_complete(struct request *req);

/* Driver. Posts a CQE of a multishot request that goes on; false if it went to the backlog. */
bool request_post_more(struct request *req, s32 result, u32 cqe_flags);

/* Driver. Frees without a CQE. */
void request_free(struct request *req);

/* Any thread, as the request's owner: the driver will see it, and is woken if it sleeps. The
 * request may be freed before this returns. */
void request_task_work_add(struct request *req);

/* A worker, from op->block() on punt_is_on_worker(): the driver will call op->progress(), once for
 * all that it was told of till then. If block() has returned before, it calls op->finish() only,
 * which takes what is left. */
void request_tell_progress(struct request *req);

/* Driver. The request must wait: holds its file, so that it survives the program's close(). 0 or
 * -ENOMEM. */
int request_hold_file(struct request *req);

/* Driver. Gives the request to the punt pool, or runs it here if there is no thread to be had. */
void request_punt(struct request *req);

/* Driver. The request was taken from where it waited: it completes with `result` at the next
 * ring_run(). */
void request_end(struct request *req, s32 result);

#endif
