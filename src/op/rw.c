/*
 * rw.c - reads and writes, vectored, fixed and plain
 *
 * What happens depends on what the descriptor is (file/file.h):
 *
 *   FILE_REGULAR  through the kernel's cache. A read takes what is cached (RWF_NOWAIT); the rest
 *                 is a page-in (WAIT_PAGE): it goes to the device now, and the page-in
 *                 waiter finishes it. A write is copied into the kernel's cache at once.
 *   FILE_OWNED    through our own page cache (rw_owned.c), as far as it has the file.
 *   FILE_DIRECT   Linux AIO (WAIT_DEVICE), staged until the batch ends.
 *   FILE_STREAM   tried without blocking; if it would block it waits for readiness
 *                 (WAIT_POLL) and is tried again.
 *   anything else, and what the above cannot do: the punt pool, or the error of the call.
 *
 * The kind is a hint: each path makes a call that is right for any file, and
 * asks what it really is before it waits.
 *
 * Threads: issue is the driver's. rw_page_done() is called on the page-in waiter's thread: it
 * hands over by request_task_work_add() and nothing else.
 * The kernel: io_read() and io_write() in io_uring/rw.c
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "file/own.h"
#include "file/pagein.h"
#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/net.h"
#include "op/ops.h"
#include "op/rw.h"
#include "request/buffers.h"
#include "request/hooks.h"
#include "request/link.h"
#include "request/pending.h"
#include "request/poll.h"
#include "request/ring.h"

#define AIO_DEPTH_MAX 4096
#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif
/* A file must be able to do these, or it refuses them. The others it need not even know of. */
#define RWF_ASKING (RWF_NOWAIT | RWF_ATOMIC | RWF_DONTCACHE)
#define RWF_MILD   (RWF_KNOWN & ~RWF_ASKING)

/* What a page-in or AIO needs; from the moment it waits until it completes. */
struct rw_page {
	struct pagein_read read;
	struct request *req;
};

struct rw_device {
	struct aio_op op;
	struct request *req;
	bool is_write;
	struct own_writer writer; /* of a write */
};

/* The real-time class takes a privilege, effective in this thread. */
static bool may_use_realtime_class(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return host_call(SYS_capget, &header, data) == 0 &&
	       data[0].effective & (1u << CAP_SYS_ADMIN | 1u << CAP_SYS_NICE);
}

/* What ioprio_set(2) would say of it. */
static int check_ioprio(u32 ioprio)
{
	switch (IOPRIO_PRIO_CLASS(ioprio)) {
	case IOPRIO_CLASS_RT:
		return may_use_realtime_class() ? 0 : -EPERM;
	case IOPRIO_CLASS_BE:
	case IOPRIO_CLASS_IDLE:
		return 0;
	case IOPRIO_CLASS_NONE:
		return ioprio & 7 ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static int prep_common(struct request *req, const struct io_uring_sqe *sqe)
{
	struct rw *rw = request_data(req, struct rw);
	u32 ioprio = load_relaxed(&sqe->ioprio);

	rw->ioprio = (u16)ioprio;
	rw->offset = load_relaxed(&sqe->off);
	rw->rw_flags = (s32)load_relaxed(&sqe->rw_flags);
	rw->one.iov_base = (void *)load_relaxed(&sqe->addr);
	rw->one.iov_len = min_of(load_relaxed(&sqe->len), RW_MAX);
	rw->iov = &rw->one;
	rw->iov_count = 1;
	rw->wanted = (u32)rw->one.iov_len;
	rw->copied = 0;
	rw->vector = NULL;
	rw->page = NULL;
	rw->device = NULL;
	rw->cached = NULL;
	rw->change = NULL;
	req->buf_index = load_relaxed(&sqe->buf_index);
	if (unlikely(ioprio)) {
		int err = check_ioprio(ioprio);

		if (err)
			return err;
	}
	/* sqe->attr_type_mask: no attribute is supported */
	if (load_relaxed(&sqe->pad2))
		return -EINVAL;
	if (rw->rw_flags & RWF_NOWAIT)
		req->flags |= REQ_NOWAIT;
	return 0;
}

static bool is_user_range(const struct iovec *iov)
{
	u64 start = (u64)iov->iov_base, end = start + iov->iov_len;

	return end >= start && end <= USER_ADDRESS_END;
}

OP_PREP(rw)
{
	struct rw *rw = request_data(req, struct rw);
	int err = prep_common(req, sqe);

	if (err)
		return err;
	rw->select_len = (u32)rw->one.iov_len;
	return req->flags & IOSQE_BUFFER_SELECT || is_user_range(&rw->one) ? 0 : -EFAULT;
}

/* The program's vector of `count` elements, checked as the kernel does when it copies one. */
static int copy_vector(struct request *req, const struct io_uring_sqe *sqe, u32 count)
{
	struct rw *rw = request_data(req, struct rw);

	if (count > UIO_MAXIOV)
		return -EINVAL;
	rw->iov_count = rw->iov_total = count;
	rw->wanted = 0;
	if (count == 0)
		return 0;
	if (count > 1) {
		rw->vector = ring_alloc(req->ring, count * sizeof(struct iovec));
		if (rw->vector == NULL)
			return -ENOMEM;
		rw->iov = rw->vector;
	}
	if (copy_from_user(rw->iov, (void *)load_relaxed(&sqe->addr), count * sizeof(struct iovec)))
		return -EFAULT;
	for (u32 i = 0; i < count; i++)
		if ((s64)rw->iov[i].iov_len < 0)
			return -EINVAL;
	return 0;
}

/* BUFFER_SELECT: of the one element only the length counts, and of that 32 bits. */
static int copy_select_length(struct rw *rw, const struct io_uring_sqe *sqe)
{
	struct iovec iov;

	if (load_relaxed(&sqe->len) != 1)
		return -EINVAL;
	if (copy_from_user(&iov, (void *)load_relaxed(&sqe->addr), sizeof(iov)))
		return -EFAULT;
	rw->select_len = (u32)iov.iov_len;
	return 0;
}

OP_PREP(rw_vectored)
{
	struct rw *rw = request_data(req, struct rw);
	u32 count = load_relaxed(&sqe->len);
	int err = prep_common(req, sqe);
	u64 total = 0;

	if (!err && req->flags & IOSQE_BUFFER_SELECT)
		return copy_select_length(rw, sqe);
	if (!err)
		err = copy_vector(req, sqe, count);
	if (err)
		return err;
	for (u32 i = 0; i < count; i++) {
		if (!is_user_range(&rw->iov[i]))
			return -EFAULT;
		rw->iov[i].iov_len = min_of(rw->iov[i].iov_len, (size_t)(RW_MAX - total));
		total += rw->iov[i].iov_len;
	}
	rw->wanted = (u32)total;
	return 0;
}

OP_PREP(rw_fixed)
{
	return prep_common(req, sqe);
}

OP_PREP(rw_vectored_fixed)
{
	int err = prep_common(req, sqe);

	return err ? err : copy_vector(req, sqe, load_relaxed(&sqe->len));
}

OP_CLEANUP(rw)
{
	struct rw *rw = request_data(req, struct rw);

	ring_free(req->ring, rw->vector, rw->iov_total * sizeof(struct iovec));
	ring_free(req->ring, rw->page, sizeof(*rw->page));
	ring_free(req->ring, rw->device, sizeof(*rw->device));
	rw_cached_free(req);
	rw_change_free(req);
}

static bool is_in_buffer(const struct iovec *iov, const struct resource *buffer)
{
	u64 start = (u64)iov->iov_base, end = start + iov->iov_len;

	return end >= start && start >= buffer->addr && end <= buffer->addr + buffer->len;
}

/* A vector of which each element is to lie in the fixed buffer. 0 or -errno, the kernel's. */
static int check_fixed_vector(struct rw *rw, const struct resource *buffer)
{
	u64 total = 0, pages = 0;

	for (u32 i = 0; i < rw->iov_count; i++)
		pages += rw->iov[i].iov_len / 4096 + 2;
	if (pages > INT32_MAX)
		return -EOVERFLOW;
	for (u32 i = 0; i < rw->iov_count; i++) {
		if (rw->iov[i].iov_len == 0 || !is_in_buffer(&rw->iov[i], buffer))
			return -EFAULT;
		total += rw->iov[i].iov_len;
	}
	if (total > RW_MAX)
		return -EINVAL;
	rw->wanted = (u32)total;
	return 0;
}

/* Finds the fixed buffer and checks that what is transferred lies in it. 0 or -errno. */
static int take_fixed_buffer(struct request *req, struct rw *rw)
{
	struct resource *buffer = resource_lookup(&req->ring->buffers, req->buf_index);
	bool is_vectored =
		req->opcode == IORING_OP_READV_FIXED || req->opcode == IORING_OP_WRITEV_FIXED;
	int err;

	if (buffer == NULL)
		return -EFAULT;
	if (is_vectored)
		err = check_fixed_vector(rw, buffer);
	else
		err = is_in_buffer(&rw->one, buffer) ? 0 : -EFAULT;
	if (err)
		return err;
	buffer->refs++;
	req->buffer_resource = buffer;
	return 0;
}

/*
 * BUFFER_SELECT: the transfer is to the next buffer of the group, which is used up at once unless
 * the file is waited for. 0, -EBADF or -ENOBUFS.
 */
static int take_provided_buffer(struct request *req, struct rw *rw, bool is_stream)
{
	int err;

	if (file_kind_hint(request_fd(req)) == FILE_UNKNOWN)
		return -EBADF;
	err = buffers_take(req, rw->select_len, &rw->one);
	if (err)
		return err;
	rw->iov = &rw->one;
	rw->iov_count = 1;
	rw->wanted = (u32)rw->one.iov_len;
	if (!is_stream)
		buffers_used(req, rw->wanted, 1);
	return 0;
}

/* `bytes` more are transferred: the rest begins behind them. */
static void rw_advance(struct rw *rw, size_t bytes)
{
	rw->copied += (u32)bytes;
	if (rw->offset != OFFSET_CURRENT)
		rw->offset += bytes;
	while (rw->iov_count > 0 && bytes >= rw->iov->iov_len) {
		bytes -= rw->iov->iov_len;
		rw->iov++;
		rw->iov_count--;
	}
	if (bytes > 0) {
		rw->iov->iov_base = (char *)rw->iov->iov_base + bytes;
		rw->iov->iov_len -= bytes;
	}
}

enum issue_verdict rw_done(struct request *req, long result)
{
	const struct rw *rw = request_data(req, struct rw);

	if (result < 0 && rw->copied == 0)
		return request_done(req, result == -ERESTART ? -EINTR : result);
	req->result = (s32)(rw->copied + (u32)max_of(result, 0L));
	if ((u32)req->result != rw->wanted)
		request_fail(req);
	return ISSUE_DONE;
}

static long call_rw(const struct request *req, bool is_write, u64 offset, int extra_flags)
{
	const struct rw *rw = request_data(req, const struct rw);

	/* The system call takes the offset in two halves; on 64 bits the first holds it all. */
	return host_call(is_write ? SYS_pwritev2 : SYS_preadv2, request_fd(req), rw->iov,
			 rw->iov_count, offset, 0, rw->rw_flags | extra_flags);
}

/* Page-in: a cold read through the kernel's cache. */

static void rw_page_done(struct pagein_read *read)
{
	struct request *req = container_of(read, struct rw_page, read)->req;

	req->flags |= REQ_FINISHED;
	rw_done(req, read->result);
	request_task_work_add(req);
}

static enum issue_verdict rw_wait_page(struct request *req)
{
	struct rw *rw = request_data(req, struct rw);
	struct rw_page *page = ring_alloc(req->ring, sizeof(*page));

	rw->page = page;
	if (page == NULL || request_hold_file(req))
		return request_done(req, -ENOMEM);
	page->req = req;
	page->read = (struct pagein_read){
		.fd = &req->file->fd,
		.iov = rw->iov,
		.iov_count = rw->iov_count,
		.rw_flags = rw->rw_flags,
		.offset = rw->offset,
		.done = rw_page_done,
	};
	list_init(&page->read.node);
	request_set_state(req, REQUEST_WAIT_PAGE);
	pending_add(req);
	stats_count(req->ring->stats, COUNTER_WAITS_PAGE, 1);
	link_timeout_start(req);
	if (pagein_start(&page->read)) {
		/* No thread to be had: the read is made here, blocking. */
		page->read.result = call_rw(req, false, rw->offset, 0);
		rw_page_done(&page->read);
	}
	return ISSUE_WAITING;
}

/*
 * What RWF_NOWAIT said no to. -EAGAIN: the page is not cached, the page-in gets
 * it. Anything else is about the file; before waiting, ask what it really is.
 */
static enum issue_verdict read_refused(struct request *req, long err)
{
	const struct rw *rw = request_data(req, const struct rw);
	enum file_kind kind;

	if (err == -EAGAIN && req->flags & REQ_NOWAIT)
		return rw_done(req, err);
	if (err != -EAGAIN && err != -ESPIPE && err != -EOPNOTSUPP)
		return rw_done(req, err);
	kind = file_classify(request_fd(req));
	if (kind == FILE_STREAM || kind == FILE_DIRECT)
		return read_issue(req);
	if (err == -ESPIPE)
		return rw_done(req, err);
	if (err == -EOPNOTSUPP || rw->offset == OFFSET_CURRENT)
		return ISSUE_PUNT;
	return rw_wait_page(req);
}

enum issue_verdict read_regular(struct request *req)
{
	struct rw *rw = request_data(req, struct rw);

	for (;;) {
		long n = call_rw(req, false, rw->offset, RWF_NOWAIT);

		if (unlikely(n < 0))
			return read_refused(req, n);
		if (likely(rw->copied + (u32)n == rw->wanted) || n == 0)
			return rw_done(req, n);
		/* A part was cached, or the file ends here: the next call tells which. */
		rw_advance(rw, (size_t)n);
	}
}

static enum issue_verdict write_regular(struct request *req)
{
	const struct rw *rw = request_data(req, struct rw);
	struct own_writer writer;
	long n;

	own_write_begin(&writer, request_fd(req), rw->offset, rw->rw_flags);
	n = call_rw(req, true, rw->offset, 0);
	if (unlikely(rw_change_begin(req, &writer, n)))
		return rw_change_go_on(req);
	if (n == -ESPIPE && file_classify(request_fd(req)) == FILE_STREAM)
		return write_issue(req);
	return rw_done(req, n);
}

/* Device queue: O_DIRECT. */

static void rw_device_done(struct aio_op *op, long result)
{
	const struct rw_device *device = container_of(op, struct rw_device, op);
	struct request *req = device->req;

	/* If pages are to be waited for, it is issued again for that. */
	if (likely(!device->is_write || !rw_change_begin(req, &device->writer, result))) {
		req->flags |= REQ_FINISHED;
		rw_done(req, result);
	}
	ring_ready_add(req->ring, req);
}

static enum issue_verdict rw_direct(struct request *req, bool is_write)
{
	struct rw *rw = request_data(req, struct rw);
	struct ring *ring = req->ring;
	struct rw_device *device;

	if (rw->offset == OFFSET_CURRENT || rw->iov_count == 0)
		return ISSUE_PUNT; /* the position is the file's; AIO takes none */
	if (!aio_queue_is_ready(&ring->aio) &&
	    aio_queue_init(&ring->aio, min_of(ring->memory.cq_entries, (u32)AIO_DEPTH_MAX)))
		return ISSUE_PUNT;
	device = ring_alloc(ring, sizeof(*device));
	rw->device = device;
	if (device == NULL || request_hold_file(req))
		return request_done(req, -ENOMEM);
	device->req = req;
	device->is_write = is_write;
	if (is_write)
		own_write_begin(&device->writer, request_fd(req), rw->offset, rw->rw_flags);
	device->op.done = rw_device_done;
	aio_prep_rw(&device->op, request_fd(req), is_write, rw->iov, rw->iov_count, rw->offset,
		    rw->rw_flags);
	device->op.fd = &req->file->fd;
	if (unlikely(rw->ioprio)) {
		device->op.iocb.aio_reqprio = (int16_t)rw->ioprio;
		device->op.iocb.aio_flags |= IOCB_FLAG_IOPRIO;
	}
	request_set_state(req, REQUEST_WAIT_DEVICE);
	pending_add(req);
	stats_count(ring->stats, COUNTER_WAITS_DEVICE, 1);
	link_timeout_start(req);
	aio_queue_add(&ring->aio, &device->op);
	return ISSUE_WAITING;
}

/* Streams: everything that can be waited for. */

bool rw_is_place_in_socket(int fd, u64 offset)
{
	return unlikely(offset != 0 && offset != OFFSET_CURRENT) && net_check_socket(fd) == 0;
}

static enum issue_verdict rw_stream(struct request *req, bool is_write)
{
	struct rw *rw = request_data(req, struct rw);
	u32 events = is_write ? EPOLLOUT : EPOLLIN;
	int fd = request_fd(req), ready;
	long n;

	if (rw_is_place_in_socket(fd, rw->offset))
		return request_done(req, -ESPIPE);
	n = call_rw(req, is_write, OFFSET_CURRENT, RWF_NOWAIT);
	if (n == -EAGAIN)
		return ISSUE_POLL;
	if (n != -EOPNOTSUPP || rw->rw_flags & ~RWF_MILD)
		return rw_done(req, n);
	/* Its driver knows no RWF_NOWAIT (a tty, inotify, ...), or no flags: a request does not
	 * mind. */
	rw->rw_flags = 0;
	ready = poll_now(fd, events);
	if (ready < 0)
		return request_done(req, ready);
	if (ready == 0)
		return ISSUE_POLL;
	if (!file_is_nonblocking(fd))
		return ISSUE_PUNT; /* another reader may be faster than we are */
	n = call_rw(req, is_write, OFFSET_CURRENT, 0);
	return n == -EAGAIN ? ISSUE_POLL : rw_done(req, n);
}

/* A directory, O_PATH, not open: the call says what is wrong, without blocking. */
static enum issue_verdict rw_other(struct request *req, bool is_write)
{
	const struct rw *rw = request_data(req, struct rw);
	long n = call_rw(req, is_write, rw->offset, 0);

	/* The system call refuses flags where there is nothing that could heed them; a request
	 * does not. */
	if (n == -EOPNOTSUPP && !(rw->rw_flags & ~RWF_MILD))
		n = host_call(is_write ? SYS_pwritev2 : SYS_preadv2, request_fd(req), rw->iov,
			      rw->iov_count, rw->offset, 0, 0);
	return rw_done(req, n);
}

static enum issue_verdict rw_by_kind(struct request *req, bool is_write)
{
	switch (file_kind_hint(request_fd(req))) {
	case FILE_OWNED:
		return is_write ? write_regular(req) : read_owned(req);
	case FILE_REGULAR:
		return is_write ? write_regular(req) : read_regular(req);
	case FILE_DIRECT:
		return rw_direct(req, is_write);
	case FILE_STREAM:
		return rw_stream(req, is_write);
	default:
		return rw_other(req, is_write);
	}
}

enum issue_verdict rw_refuse(struct request *req, bool is_write, int err)
{
	long flags = host_call(SYS_fcntl, request_fd(req), F_GETFL);

	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == (is_write ? O_RDONLY : O_WRONLY))
		return request_done(req, -EBADF);
	return request_done(req, err);
}

/* A character device that has offsets is no stream, though it is of that kind. */
static bool has_offsets(const struct request *req)
{
	struct stat st;

	if (file_kind_hint(request_fd(req)) != FILE_STREAM)
		return true;
	return host_call(SYS_fstat, request_fd(req), &st) == 0 && S_ISCHR(st.st_mode) &&
	       host_call(SYS_lseek, request_fd(req), 0, SEEK_CUR) >= 0;
}

/* A ring cannot be read or written; the memfd behind it would oblige. */
static bool is_ring(const struct request *req)
{
	const struct fd_slot *slot = fd_slot(request_fd(req));

	return unlikely(slot != NULL && load_relaxed(&slot->ring) != NULL) &&
	       hooks.is_ring(req->ring, request_fd(req));
}

/*
 * Whether the file lacks what a flag asks for, where there is nothing to transfer: the system call
 * then returns before it looks. So it is asked to transfer a byte where no memory can be. A
 * stream is not asked about RWF_NOWAIT: it could lose what it hands out.
 */
static bool file_refuses(const struct request *req, bool is_write, int flags)
{
	struct iovec nowhere = {.iov_base = (void *)sizeof(u64), .iov_len = 1};

	flags &= has_offsets(req) ? RWF_ASKING : RWF_ASKING & ~RWF_NOWAIT;
	return flags && host_call(is_write ? SYS_pwritev2 : SYS_preadv2, request_fd(req), &nowhere,
				  1, 0, 0, flags) == -EOPNOTSUPP;
}

static bool is_fixed(const struct request *req)
{
	return req->opcode == IORING_OP_READ_FIXED || req->opcode == IORING_OP_WRITE_FIXED ||
	       req->opcode == IORING_OP_READV_FIXED || req->opcode == IORING_OP_WRITEV_FIXED;
}

static enum issue_verdict rw_issue(struct request *req, bool is_write)
{
	struct rw *rw = request_data(req, struct rw);

	if (unlikely(rw->change != NULL))
		return rw_change_go_on(req); /* it is written already */
	if (is_fixed(req) && req->buffer_resource == NULL) {
		int err = take_fixed_buffer(req, rw);

		if (err) /* of two faults the file's is told */
			return request_done(req, file_kind_hint(request_fd(req)) == FILE_UNKNOWN
							 ? -EBADF
							 : err);
	}
	if (unlikely(is_ring(req)))
		return request_done(req, -EINVAL);
	/* The device is asked for completions, not waited for: there must be one. */
	if (unlikely(req->ring->setup_flags & IORING_SETUP_IOPOLL)) {
		enum file_kind kind = file_classify(request_fd(req));

		if (kind != FILE_DIRECT && kind != FILE_UNKNOWN)
			return request_done(req, -EOPNOTSUPP);
	}
	/* Flags are looked at even if there is nothing to transfer, and before the offset: the
	 * system call would not. */
	if (unlikely(rw->rw_flags & ~RWF_MILD) &&
	    (rw->wanted == 0 || ((s64)rw->offset < 0 && rw->offset != OFFSET_CURRENT)) &&
	    (rw->rw_flags & ~RWF_KNOWN || file_refuses(req, is_write, rw->rw_flags)))
		return rw_refuse(req, is_write, -EOPNOTSUPP);
	/* Polled completion is the ring's way of working, or it is not. */
	if (unlikely(rw->rw_flags & RWF_HIPRI) &&
	    !(rw->rw_flags & ~RWF_KNOWN || req->ring->setup_flags & IORING_SETUP_IOPOLL))
		return rw_refuse(req, is_write, -EINVAL);
	if (unlikely((s64)rw->offset < 0 && rw->offset != OFFSET_CURRENT))
		return rw_refuse(req, is_write, -EINVAL); /* streams too, which have none */
	return rw_by_kind(req, is_write);
}

static enum issue_verdict read_into_provided(struct request *req)
{
	struct rw *rw = request_data(req, struct rw);
	bool is_stream = file_kind_hint(request_fd(req)) == FILE_STREAM;
	int err = buffers_has(req) ? 0 : take_provided_buffer(req, rw, is_stream);
	enum issue_verdict verdict;

	if (err)
		return request_done(req, err);
	verdict = rw_issue(req, false);
	if (verdict == ISSUE_POLL) {
		/* Others may need it more while this one waits. One of a list is kept, as there. */
		if (req->buffer == NULL)
			buffers_put_back(req);
	} else if (verdict != ISSUE_DONE) {
		buffers_used(req, rw->wanted, 1);
	} else if (req->result < 0 && req->buffer == NULL) {
		buffers_put_back(req);
	} else {
		buffers_used(req, req->result, 1);
	}
	return verdict;
}

OP_ISSUE(read)
{
	if (unlikely(req->flags & IOSQE_BUFFER_SELECT))
		return read_into_provided(req);
	return rw_issue(req, false);
}

OP_ISSUE(write)
{
	return rw_issue(req, true);
}

static void rw_block(struct request *req, bool is_write)
{
	const struct rw *rw = request_data(req, struct rw);
	u64 offset = file_kind_hint(request_fd(req)) == FILE_STREAM ? OFFSET_CURRENT : rw->offset;
	struct own_writer writer;
	long n;

	if (is_write)
		own_write_begin(&writer, request_fd(req), offset, rw->rw_flags);
	n = punt_call(is_write ? SYS_pwritev2 : SYS_preadv2, request_fd(req), (long)rw->iov,
		      rw->iov_count, (long)offset, 0, rw->rw_flags);
	if (is_write && n > 0)
		own_wrote(&writer, request_fd(req), offset, (u64)n);
	rw_done(req, n);
}

OP_BLOCK(read)
{
	rw_block(req, false);
}

OP_BLOCK(write)
{
	rw_block(req, true);
}
