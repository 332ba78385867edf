/*
 * fs.c - calls on paths: OPENAT, OPENAT2, STATX, UNLINKAT, RENAMEAT, MKDIRAT, SYMLINKAT, LINKAT
 *
 * Paths are copied when the SQE is prepared. An open whose path is all in the
 * kernel's caches (RESOLVE_CACHED) completes at once, and so does a statx of a
 * file of a local file system; the rest can only block and goes to the punt pool.
 * A statx that is made again soon (recent_path.h) is not asked about first.
 *
 * Directory descriptors are used when the call is made, not held before: the
 * kernel does the same.
 *
 * The kernel: io_uring/openclose.c, statx.c, fs.c
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/vfs.h>

#include "file/own.h"
#include "host/clock.h"
#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/ops.h"
#include "op/recent_path.h"
#include "request/ring.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

#define STATX_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

struct path_call {
	struct open_how how;
	char *path, *path2; /* ring_alloc()ed copies, PATH_MAX bytes, or NULL */
	s32 dir2;           /* second directory */
	u32 flags;
	u32 mask;      /* STATX */
	u32 file_slot; /* OPENAT, OPENAT2: sqe->file_index */
	u64 buffer;    /* STATX: the program's */
	bool is_openat2;
};

static struct path_call *call_of(struct request *req)
{
	return request_data(req, struct path_call);
}

static long dir_of(const struct request *req)
{
	return req->fd;
}

/* A copy of the program's string at `user_path`: 0, -EFAULT, -ENAMETOOLONG, -ENOMEM, or -ENOENT
 * for an empty one where that is not allowed. */
static int path_copy(struct request *req, char **path, u64 user_path, bool allows_empty)
{
	long len;

	*path = ring_alloc(req->ring, PATH_MAX);
	if (*path == NULL)
		return -ENOMEM;
	len = string_from_user(*path, (const char *)user_path, PATH_MAX);
	if (len < 0)
		return (int)len;
	return len == 0 && !allows_empty ? -ENOENT : 0;
}

/* An error of any of them but an open lets a link go on. */
static void path_done(struct request *req, long result)
{
	request_set_result_only(req, (s32)result);
}

static void path_call_init(struct request *req)
{
	*call_of(req) = (struct path_call){0};
}

OP_CLEANUP(path)
{
	struct path_call *call = call_of(req);

	ring_free(req->ring, call->path, PATH_MAX);
	ring_free(req->ring, call->path2, PATH_MAX);
}

static int open_prep(struct request *req, const struct io_uring_sqe *sqe)
{
	struct path_call *call = call_of(req);

	int err;

	if (load_relaxed(&sqe->buf_index))
		return -EINVAL;
	if (req->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	if (!(call->how.flags & O_PATH))
		call->how.flags |= O_LARGEFILE;
	err = path_copy(req, &call->path, load_relaxed(&sqe->addr), false);
	if (err)
		return err;
	call->file_slot = load_relaxed(&sqe->file_index);
	/* A fixed file is in no descriptor table, so there is nothing to close on exec. */
	return call->file_slot && call->how.flags & O_CLOEXEC ? -EINVAL : 0;
}

OP_PREP(openat)
{
	u32 flags = load_relaxed(&sqe->open_flags);

	path_call_init(req);
	call_of(req)->how.flags = flags;
	/* open() ignores the mode where nothing is created; openat2() would refuse it. */
	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		call_of(req)->how.mode = load_relaxed(&sqe->len) & 07777;
	return open_prep(req, sqe);
}

OP_PREP(openat2)
{
	struct path_call *call = call_of(req);
	u64 user_how = load_relaxed(&sqe->off);
	u32 size = load_relaxed(&sqe->len);
	char rest[64];

	path_call_init(req);
	call->is_openat2 = true;
	if (size < sizeof(call->how))
		return -EINVAL;
	if (copy_from_user(&call->how, (void *)user_how, sizeof(call->how)))
		return -EFAULT;
	/* A newer, longer structure is fine as long as what we do not know is zero. */
	for (u32 done = sizeof(call->how); done < size;) {
		u32 n = min_of(size - done, (u32)sizeof(rest));

		if (copy_from_user(rest, (void *)(user_how + done), n))
			return -EFAULT;
		for (u32 i = 0; i < n; i++)
			if (rest[i])
				return -E2BIG;
		done += n;
	}
	return open_prep(req, sqe);
}

/*
 * Without waiting, neither for a directory nor for the other end of a FIFO: like the kernel's
 * first try it opens with O_NONBLOCK, which the program does not get to see.
 */
static long open_cached(const struct path_call *call, long dir)
{
	struct open_how how = call->how;
	bool hides_nonblock = !(how.flags & (O_NONBLOCK | O_PATH));
	long fd;

	if (call->file_slot)
		how.flags |= O_CLOEXEC;
	if (hides_nonblock)
		how.flags |= O_NONBLOCK;
	how.resolve |= RESOLVE_CACHED;
	fd = host_call(SYS_openat2, dir, call->path, &how, sizeof(how));
	if (fd >= 0 && hides_nonblock)
		host_call(SYS_fcntl, fd, F_SETFL, call->how.flags);
	return fd;
}

static long open_call(struct request *req)
{
	struct path_call *call = call_of(req);
	struct open_how how = call->how;
	long args[6] = {dir_of(req), (long)call->path, (long)&how, sizeof(how), 0, 0};

	if (call->file_slot)
		how.flags |= O_CLOEXEC; /* for the moment until it is private */

	if (!call->is_openat2)
		return punt_call(SYS_openat, dir_of(req), (long)call->path, (long)how.flags,
				 (long)how.mode);
	return punt_call_array(SYS_openat2, args);
}

OP_ISSUE(openat)
{
	const struct path_call *call = call_of(req);
	long fd;

	/* Creating and truncating block, and a cached look-up refuses them. An open() with flags
	 * that openat2() is stricter about is left to open(). */
	if (call->how.flags & (O_TRUNC | O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		return ISSUE_PUNT;
	fd = open_cached(call, dir_of(req));
	if (fd == -EAGAIN && call->how.resolve & RESOLVE_CACHED)
		return request_done(req, fd);
	if (fd == -ENXIO)
		return request_done(req, fd); /* nobody reads the FIFO: open() would wait */
	if (fd < 0)
		return ISSUE_PUNT; /* whatever it was: open() itself has the last word */
	req->result = (s32)fd;
	own_opened((int)fd, (int)call->how.flags);
	openat_finish(req);
	return ISSUE_DONE;
}

OP_FINISH(openat)
{
	const struct path_call *call = call_of(req);

	if (req->result < 0)
		return;
	if (call->file_slot)
		request_set_result(req,
				   resource_install_file(req->ring, req->result, call->file_slot));
	else
		file_forget(req->result);
}

OP_BLOCK(openat)
{
	long fd = open_call(req);

	if (fd >= 0)
		own_opened((int)fd, (int)call_of(req)->how.flags);
	request_set_result(req, (s32)fd);
}

OP_PREP(statx)
{
	struct path_call *call = call_of(req);

	path_call_init(req);
	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (req->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	call->mask = load_relaxed(&sqe->len);
	call->buffer = load_relaxed(&sqe->off);
	call->flags = load_relaxed(&sqe->statx_flags);
	return path_copy(req, &call->path, load_relaxed(&sqe->addr), call->flags & AT_EMPTY_PATH);
}

/*
 * Whether the file system answers from memory for a file whose inode is there. Those that ask a
 * server, or a process, do not; what is not known is taken for one of them.
 */
static bool is_local(int fd)
{
	struct statfs status;

	if (host_call(SYS_fstatfs, fd, &status))
		return false;
	switch ((u32)status.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
		return true;
	default:
		return false;
	}
}

/* The file, to be asked for its status only: -EAGAIN and whatever else open() may say. */
static int open_for_status(const struct request *req)
{
	const struct path_call *call = request_data((struct request *)req, struct path_call);
	bool is_link_followed = !(call->flags & AT_SYMLINK_NOFOLLOW);
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (is_link_followed ? 0 : O_NOFOLLOW),
		.resolve = RESOLVE_CACHED,
	};

	return (int)host_call(SYS_openat2, dir_of(req), call->path, &how, sizeof(how));
}

/* A file of a local file system, found by what is in the kernel's caches, can be asked at once. */
static bool statx_cached(const struct request *req)
{
	const struct path_call *call = request_data((struct request *)req, struct path_call);
	bool is_named = call->path[0] != 0;
	long fd = is_named ? open_for_status(req) : dir_of(req);
	long err = -EAGAIN;

	if (fd < 0)
		return false; /* AT_FDCWD among them */
	if (is_local((int)fd))
		err = host_call(SYS_statx, fd, "", call->flags | AT_EMPTY_PATH, call->mask,
				call->buffer);
	if (is_named)
		host_call(SYS_close, fd);
	return err == 0;
}

/* block() has the last word on any failure. */
OP_ISSUE(statx)
{
	const struct path_call *call = call_of(req);
	u64 key, now;

	if (call->flags & ~STATX_FLAGS || call->flags & AT_STATX_FORCE_SYNC)
		return ISSUE_PUNT;
	key = recent_path_key(req->fd, call->flags, call->path);
	now = clock_ns(CLOCK_MONOTONIC_COARSE);
	if (recent_path_has(key, now)) {
		path_done(req, host_call(SYS_statx, dir_of(req), call->path, call->flags,
					 call->mask, call->buffer));
		return ISSUE_DONE;
	}
	if (!statx_cached(req))
		return ISSUE_PUNT;
	recent_path_add(key, now);
	path_done(req, 0);
	return ISSUE_DONE;
}

OP_BLOCK(statx)
{
	const struct path_call *call = call_of(req);

	/* The system call overlooks unknown flags if the path is empty. */
	if (call->flags & ~STATX_FLAGS)
		path_done(req, -EINVAL);
	else
		path_done(req, punt_call(SYS_statx, dir_of(req), (long)call->path, call->flags,
					 call->mask, (long)call->buffer));
}

OP_PREP(unlinkat)
{
	struct path_call *call = call_of(req);

	path_call_init(req);
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->len) || load_relaxed(&sqe->buf_index) ||
	    load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (req->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	call->flags = load_relaxed(&sqe->unlink_flags);
	if (call->flags & ~AT_REMOVEDIR)
		return -EINVAL;
	return path_copy(req, &call->path, load_relaxed(&sqe->addr), false);
}

OP_BLOCK(unlinkat)
{
	const struct path_call *call = call_of(req);

	path_done(req, punt_call(SYS_unlinkat, dir_of(req), (long)call->path, call->flags));
}

/* RENAMEAT, LINKAT: two directories, two paths. */
static int two_paths_prep(struct request *req, const struct io_uring_sqe *sqe, bool allows_empty)
{
	struct path_call *call = call_of(req);
	int err;

	path_call_init(req);
	if (load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (req->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	call->dir2 = (s32)load_relaxed(&sqe->len);
	call->flags = load_relaxed(&sqe->op_flags);
	err = path_copy(req, &call->path, load_relaxed(&sqe->addr), allows_empty);
	if (err)
		return err;
	return path_copy(req, &call->path2, load_relaxed(&sqe->addr2), false);
}

OP_PREP(renameat)
{
	return two_paths_prep(req, sqe, false);
}

OP_BLOCK(renameat)
{
	const struct path_call *call = call_of(req);

	path_done(req, punt_call(SYS_renameat2, dir_of(req), (long)call->path, call->dir2,
				 (long)call->path2, call->flags));
}

OP_PREP(linkat)
{
	return two_paths_prep(req, sqe, load_relaxed(&sqe->op_flags) & AT_EMPTY_PATH);
}

OP_BLOCK(linkat)
{
	const struct path_call *call = call_of(req);

	path_done(req, punt_call(SYS_linkat, dir_of(req), (long)call->path, call->dir2,
				 (long)call->path2, call->flags));
}

OP_PREP(mkdirat)
{
	struct path_call *call = call_of(req);

	path_call_init(req);
	if (load_relaxed(&sqe->off) || load_relaxed(&sqe->rw_flags) ||
	    load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (req->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	call->how.mode = load_relaxed(&sqe->len);
	return path_copy(req, &call->path, load_relaxed(&sqe->addr), false);
}

OP_BLOCK(mkdirat)
{
	const struct path_call *call = call_of(req);

	path_done(req, punt_call(SYS_mkdirat, dir_of(req), (long)call->path, (long)call->how.mode));
}

OP_PREP(symlinkat)
{
	struct path_call *call = call_of(req);
	int err;

	path_call_init(req);
	if (load_relaxed(&sqe->len) || load_relaxed(&sqe->rw_flags) ||
	    load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	if (req->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	err = path_copy(req, &call->path, load_relaxed(&sqe->addr), false);
	if (err)
		return err;
	return path_copy(req, &call->path2, load_relaxed(&sqe->addr2), false);
}

OP_BLOCK(symlinkat)
{
	const struct path_call *call = call_of(req);

	path_done(req, punt_call(SYS_symlinkat, (long)call->path, dir_of(req), (long)call->path2));
}
