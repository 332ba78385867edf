/*
 * sync.c - calls on an open file that can only block
 *
 * FSYNC, SYNC_FILE_RANGE, FALLOCATE, FTRUNCATE, FADVISE.
 *
 * The kernel: io_uring/sync.c, truncate.c, advise.c. It, too, makes none
 * of these in the submitting task but the advice that cannot block.
 */
#include <fcntl.h>

#include "file/own.h"
#include "host/kernel.h"
#include "op/ops.h"

/* Arguments of any of them. */
struct file_range {
	u64 offset, len;
	u32 flags;
};

static struct file_range *range_of(struct request *req)
{
	return request_data(req, struct file_range);
}

/* An error of any of them but FADVISE lets a link go on. */
static void range_done(struct request *req, long result)
{
	request_set_result_only(req, (s32)result);
}

OP_PREP(fsync)
{
	struct file_range *range = range_of(req);

	if (load_relaxed(&sqe->addr) || load_relaxed(&sqe->buf_index) ||
	    load_relaxed(&sqe->file_index))
		return -EINVAL;
	range->flags = load_relaxed(&sqe->fsync_flags);
	if (range->flags & ~IORING_FSYNC_DATASYNC)
		return -EINVAL;
	range->offset = load_relaxed(&sqe->off);
	range->len = load_relaxed(&sqe->len);
	return (s64)range->offset < 0 ? -EINVAL : 0;
}

/* The system calls sync the whole file, of which the range is a part. */
OP_BLOCK(fsync)
{
	bool is_datasync = range_of(req)->flags & IORING_FSYNC_DATASYNC;

	range_done(req, punt_call(is_datasync ? SYS_fdatasync : SYS_fsync, request_fd(req)));
}

OP_PREP(sync_file_range)
{
	struct file_range *range = range_of(req);

	if (load_relaxed(&sqe->addr) || load_relaxed(&sqe->buf_index) ||
	    load_relaxed(&sqe->file_index))
		return -EINVAL;
	range->offset = load_relaxed(&sqe->off);
	range->len = load_relaxed(&sqe->len);
	range->flags = load_relaxed(&sqe->sync_range_flags);
	return 0;
}

OP_BLOCK(sync_file_range)
{
	const struct file_range *range = range_of(req);

	range_done(req, punt_call(SYS_sync_file_range, request_fd(req), (long)range->offset,
				  (long)range->len, range->flags));
}

OP_PREP(fallocate)
{
	struct file_range *range = range_of(req);

	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->rw_flags) ||
	    load_relaxed(&sqe->file_index))
		return -EINVAL;
	range->offset = load_relaxed(&sqe->off);
	range->len = load_relaxed(&sqe->addr);
	range->flags = load_relaxed(&sqe->len); /* the mode */
	return 0;
}

OP_BLOCK(fallocate)
{
	const struct file_range *range = range_of(req);

	long result = punt_call(SYS_fallocate, request_fd(req), range->flags, (long)range->offset,
				(long)range->len);

	/* Some modes move all that is behind the range. */
	if (result == 0)
		own_changed(request_fd(req), range->offset, UINT64_MAX);
	range_done(req, result);
}

OP_PREP(ftruncate)
{
	if (load_relaxed(&sqe->rw_flags) || load_relaxed(&sqe->addr) || load_relaxed(&sqe->len) ||
	    load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index) ||
	    load_relaxed(&sqe->addr3))
		return -EINVAL;
	range_of(req)->len = load_relaxed(&sqe->off);
	return 0;
}

OP_BLOCK(ftruncate)
{
	long result = punt_call(SYS_ftruncate, request_fd(req), (long)range_of(req)->len);

	if (result == 0)
		own_changed(request_fd(req), range_of(req)->len, UINT64_MAX);
	range_done(req, result);
}

OP_PREP(fadvise)
{
	struct file_range *range = range_of(req);

	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	range->offset = load_relaxed(&sqe->off);
	/* A 64-bit length stands in `addr`, an older 32-bit one in `len`. */
	range->len = load_relaxed(&sqe->addr);
	if (range->len == 0)
		range->len = load_relaxed(&sqe->len);
	range->flags = load_relaxed(&sqe->fadvise_advice);
	return 0;
}

OP_BLOCK(fadvise)
{
	const struct file_range *range = range_of(req);
	int fd = request_fd(req);

	if (own_advise(fd, range->offset, range->len, (int)range->flags))
		request_set_result(req, 0);
	else
		request_set_result(req, (s32)punt_call(SYS_fadvise64, fd, (long)range->offset,
						       (long)range->len, range->flags));
}

/* Advice that only sets how the file is read ahead is taken at once; the rest may start or end
 * I/O. */
OP_ISSUE(fadvise)
{
	switch (range_of(req)->flags) {
	case POSIX_FADV_NORMAL:
	case POSIX_FADV_RANDOM:
	case POSIX_FADV_SEQUENTIAL:
		fadvise_block(req);
		return ISSUE_DONE;
	default:
		return ISSUE_PUNT;
	}
}
