/*
 * rw_run.c - plain reads and writes of one stream that stand side by side in a batch
 *
 * A READ or WRITE without flags and options, of a pipe, a socket or another stream, that has
 * neighbours of its kind: what it would become, between SUBMITTED and COMPLETE, nobody could see
 * if it is done at once. So the calls are made from the SQEs, in their order, and only the CQEs
 * are posted. The first that would block ends this for its batch: it and what follows become
 * requests, which try again and wait. (One that stands alone is a request from the start: a read
 * often waits, and is not to be tried twice.)
 *
 * Writes to a pipe are made several at a time, by one call with all their buffers, if nobody can
 * tell by what is in the pipe:
 *
 *   all or nothing  A write of up to PIPE_BUF bytes is never cut. Nor is one call with so many
 *                   bytes in all: it is refused (EAGAIN) or faults as a whole, and then each
 *                   write is made by itself.
 *   as much room    A pipe is a queue of pages. A write that does not fit on the last page begins
 *                   a new one, whole, and the rest of that page is lost until it is read. One
 *                   call must not lose more than its writes would have: so it begins with an
 *                   empty pipe, and ends where they would have begun a new page. (If others write
 *                   meanwhile a part of a page may be lost. No program may count on a pipe's
 *                   capacity, says pipe(7).)
 *   packets         In a pipe of packets (O_DIRECT) each write is a packet: not those.
 *
 * Reads cannot be joined. Who reads a packet loses what has no room in his buffer, two buffers
 * would get it, and the reading end does not tell whether there are packets in its pipe.
 *
 * Entry:      read_bare(), write_bare() by submit_batch(), in the driver
 * The kernel: io_read() and io_write(), one by one
 * Not here:   reads and writes as requests (rw.c)
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>

#include "host/kernel.h"
#include "op/ops.h"
#include "op/rw.h"
#include "request/ring.h"
#include "request/submit.h"

#define RUN_MAX 32 /* of one call; more are another run */
/* To learn of a pipe that it is empty and of bytes takes three calls. */
#define RUN_TO_JOIN 5

struct run {
	int fd;
	u32 count;
	struct iovec vector[RUN_MAX];
	u64 user_data[RUN_MAX];
};

/* A stream, and no ring. */
static bool is_stream(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);

	return slot != NULL && load_relaxed(&slot->ring) == NULL &&
	       file_kind_hint(fd) == FILE_STREAM;
}

/* What the SQE transfers, if it is such a one and nothing in it is to be refused. */
static bool take_sqe(const struct io_uring_sqe *sqe, struct iovec *iov)
{
	u64 addr = load_relaxed(&sqe->addr), offset = load_relaxed(&sqe->off);
	u32 len = load_relaxed(&sqe->len);

	if (!sqe_is_plain(sqe) || load_relaxed(&sqe->rw_flags) || load_relaxed(&sqe->pad2))
		return false;
	if (len == 0 || len > RW_MAX || addr > USER_ADDRESS_END - len)
		return false;
	*iov = (struct iovec){.iov_base = (void *)addr, .iov_len = len};
	return offset == OFFSET_CURRENT || offset == 0; /* a socket minds any other */
}

/* The run that begins with the next SQE, of `count` at the most: those of run->fd. */
static void run_collect(const struct ring *ring, struct run *run, u8 opcode, u32 count)
{
	run->count = 0;
	while (run->count < min_of(count, (u32)RUN_MAX)) {
		const struct io_uring_sqe *sqe =
			sq_peek_ahead(&ring->sq, &ring->memory, run->count);

		if (sqe == NULL || load_relaxed(&sqe->opcode) != opcode ||
		    load_relaxed(&sqe->fd) != run->fd || !take_sqe(sqe, &run->vector[run->count]))
			return;
		run->user_data[run->count++] = load_relaxed(&sqe->user_data);
	}
}

/* Whether `fd` is the writing end of a pipe of bytes, and there are none in it. */
static bool is_empty_pipe(int fd)
{
	int queued = 0;
	long flags;

	if (host_call(SYS_ioctl, fd, FIONREAD, &queued) < 0 || queued > 0)
		return false;
	if (host_call(SYS_fcntl, fd, F_GETPIPE_SZ) < 0)
		return false;
	flags = host_call(SYS_fcntl, fd, F_GETFL);
	return flags >= 0 && !(flags & O_DIRECT);
}

/* How many of the writes, and so many bytes, fit on a page with `room` bytes left. */
static u32 fits(const struct iovec *vector, u32 count, u32 room, u32 *bytes)
{
	u32 n = 0;

	*bytes = 0;
	while (n < count && vector[n].iov_len <= min_of(room, (u32)PIPE_BUF) - *bytes)
		*bytes += (u32)vector[n++].iov_len;
	return n;
}

static long call_rw(const struct run *run, u32 first, u32 count, bool is_write)
{
	return host_call(is_write ? SYS_pwritev2 : SYS_preadv2, run->fd, &run->vector[first], count,
			 OFFSET_CURRENT, 0, RWF_NOWAIT);
}

/* Deals out what one call said of `count` writes. Returns how many of them are done. */
static u32 deal_out(struct ring *ring, const struct run *run, u32 first, u32 count, long written)
{
	for (u32 i = first; i < first + count; i++) {
		long part = min_of(written, (long)run->vector[i].iov_len);

		if (part == 0)
			return i - first;
		submit_bare_done(ring, IORING_OP_WRITE, run->user_data[i], (s32)part);
		written -= max_of(part, 0L);
	}
	return count;
}

/*
 * Writes that nobody can tell from one call for each: as many of the run as are done, and the
 * rest is to be made one by one.
 */
static u32 write_joined(struct ring *ring, const struct run *run)
{
	u32 page = (u32)getauxval(AT_PAGESZ), room = page, done = 0;

	while (done < run->count) {
		u32 bytes, n = fits(&run->vector[done], run->count - done, room, &bytes);
		long written;

		if (n == 0 && room < page) {
			room = page; /* it begins a new one */
			continue;
		}
		if (n == 0)
			break;
		written = call_rw(run, done, n, true);
		/* EPIPE is each one's answer: the reader is gone. SIGPIPE was sent once. */
		if (written < 0 && written != -EPIPE)
			break;
		done += deal_out(ring, run, done, n, written);
		if (written >= 0 && written < bytes)
			break;
		room -= bytes;
	}
	return done;
}

static u32 run_bare(struct ring *ring, u32 count, bool *would_block, bool is_write)
{
	u8 opcode = is_write ? IORING_OP_WRITE : IORING_OP_READ;
	struct run run;
	u32 done = 0;

	run.fd = load_relaxed(&sq_peek(&ring->sq, &ring->memory)->fd);
	if (!is_stream(run.fd))
		return 0;
	run_collect(ring, &run, opcode, count);
	if (run.count < 2)
		return 0;
	if (is_write && run.count >= RUN_TO_JOIN && is_empty_pipe(run.fd))
		done = write_joined(ring, &run);
	for (; done < run.count; done++) {
		long n = call_rw(&run, done, 1, is_write);

		/* EOPNOTSUPP: its driver must be asked in another way. */
		if (n == -EAGAIN || n == -EOPNOTSUPP) {
			*would_block = true;
			break;
		}
		submit_bare_done(ring, opcode, run.user_data[done], (s32)n);
	}
	return done;
}

OP_BARE(read)
{
	return run_bare(ring, count, would_block, false);
}

OP_BARE(write)
{
	return run_bare(ring, count, would_block, true);
}
