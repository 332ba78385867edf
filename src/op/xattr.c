/*
 * xattr.c - extended attributes: FSETXATTR, SETXATTR, FGETXATTR, GETXATTR
 *
 * Name, path and the value to be set are copied when the SQE is prepared; a
 * value that is asked for is written to the program's memory by the call, in
 * the punt pool.
 *
 * The kernel: io_uring/xattr.c. As there, an error does not break links.
 */
#include <limits.h>
#include <linux/limits.h>
#include <sys/xattr.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/ops.h"
#include "request/ring.h"

#define NAME_SIZE (XATTR_NAME_MAX + 1)

struct xattr {
	char *name;  /* ring_alloc()ed, NAME_SIZE bytes */
	char *path;  /* the same, PATH_MAX bytes; NULL: the file of the request */
	char *value; /* to be set: the same, `size` bytes, or NULL for none */
	u64 user_value;
	u32 size, flags;
};

static bool is_set(const struct request *req)
{
	return req->opcode == IORING_OP_SETXATTR || req->opcode == IORING_OP_FSETXATTR;
}

static int name_copy(struct request *req, u64 user_name)
{
	struct xattr *xattr = request_data(req, struct xattr);
	long len;

	xattr->name = ring_alloc(req->ring, NAME_SIZE);
	if (xattr->name == NULL)
		return -ENOMEM;
	len = string_from_user(xattr->name, (const char *)user_name, NAME_SIZE);
	if (len == 0 || len == -ENAMETOOLONG)
		return -ERANGE;
	return (int)min_of(len, 0l);
}

static int value_copy(struct request *req)
{
	struct xattr *xattr = request_data(req, struct xattr);

	if (xattr->size == 0)
		return 0;
	if (xattr->size > XATTR_SIZE_MAX)
		return -E2BIG;
	xattr->value = ring_alloc(req->ring, xattr->size);
	if (xattr->value == NULL)
		return -ENOMEM;
	return copy_from_user(xattr->value, (void *)xattr->user_value, xattr->size);
}

/* What all four have in common: FGETXATTR and FSETXATTR have no more. */
OP_PREP(fxattr)
{
	struct xattr *xattr = request_data(req, struct xattr);
	u32 allowed = is_set(req) ? XATTR_CREATE | XATTR_REPLACE : 0;
	int err;

	*xattr = (struct xattr){
		.user_value = load_relaxed(&sqe->addr2),
		.size = load_relaxed(&sqe->len),
		.flags = load_relaxed(&sqe->xattr_flags),
	};
	if (xattr->flags & ~allowed)
		return -EINVAL;
	err = name_copy(req, load_relaxed(&sqe->addr));
	return err || !is_set(req) ? err : value_copy(req);
}

OP_PREP(xattr)
{
	struct xattr *xattr = request_data(req, struct xattr);
	long len;
	int err;

	*xattr = (struct xattr){0}; /* for the clean-up */
	if (req->flags & IOSQE_FIXED_FILE)
		return -EBADF;
	err = fxattr_prep(req, sqe);
	if (err)
		return err;
	xattr->path = ring_alloc(req->ring, PATH_MAX);
	if (xattr->path == NULL)
		return -ENOMEM;
	len = string_from_user(xattr->path, (const char *)load_relaxed(&sqe->addr3), PATH_MAX);
	return len == 0 ? -ENOENT : (int)min_of(len, 0l);
}

OP_CLEANUP(xattr)
{
	struct xattr *xattr = request_data(req, struct xattr);

	ring_free(req->ring, xattr->name, NAME_SIZE);
	ring_free(req->ring, xattr->path, PATH_MAX);
	ring_free(req->ring, xattr->value, xattr->size);
}

OP_BLOCK(xattr)
{
	const struct xattr *xattr = request_data(req, struct xattr);
	long target = xattr->path != NULL ? (long)xattr->path : request_fd(req), ret;

	if (is_set(req))
		ret = punt_call(xattr->path ? SYS_setxattr : SYS_fsetxattr, target,
				(long)xattr->name, (long)xattr->value, xattr->size, xattr->flags);
	else
		ret = punt_call(xattr->path ? SYS_getxattr : SYS_fgetxattr, target,
				(long)xattr->name, (long)xattr->user_value, xattr->size);
	request_set_result_only(req, (s32)ret);
}
