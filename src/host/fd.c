/*
 * fd.c - ringside's own descriptors: a bitmap of them
 *
 * A bit is set after the descriptor exists and cleared before it is closed, so
 * a set bit never names a descriptor of the program's.
 */
#include "host/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "host/kernel.h"

/* Where private numbers begin if the limit allows; high enough for select()ing programs. */
#define PRIVATE_BASE 1100

static u64 private_bits[FD_SLOTS / 64];

static void private_mark(int fd)
{
	if (fd < FD_SLOTS)
		or_full(&private_bits[fd / 64], 1ull << (fd % 64));
}

void fd_keep_private(int fd)
{
	private_mark(fd);
}

bool fd_is_private(int fd)
{
	if (fd < 0 || fd >= FD_SLOTS)
		return false;
	return load_relaxed(&private_bits[fd / 64]) >> (fd % 64) & 1;
}

int fd_private_next(int fd)
{
	int word = fd / 64;
	u64 bits = load_relaxed(&private_bits[word]) & ~0ull << (fd % 64);

	while (!bits) {
		if (++word == FD_SLOTS / 64)
			return -1;
		bits = load_relaxed(&private_bits[word]);
	}
	return word * 64 + __builtin_ctzll(bits);
}

/* The lowest number to ask for: above the program's, but within its soft limit. */
static int private_base(void)
{
	struct rlimit limit;

	if (host_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return 0;
	if (limit.rlim_cur > 2 * PRIVATE_BASE)
		return PRIVATE_BASE;
	return (int)(limit.rlim_cur - limit.rlim_cur / 4);
}

int fd_duplicate_private(int fd)
{
	long copy = host_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, private_base());

	if (copy == -EMFILE || copy == -EINVAL)
		copy = host_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		private_mark((int)copy);
	return (int)copy;
}

int fd_make_private(int fd)
{
	int copy;

	if (fd < 0)
		return fd;
	copy = fd_locks(fd) != FD_LOCKS_NONE ? -EBUSY : fd_duplicate_private(fd);
	if (copy < 0) {
		private_mark(fd);
		return fd;
	}
	host_call(SYS_close, fd);
	return copy;
}

/* The kernel tells of one lock in the way, the first on its list. */
enum fd_locks fd_locks(int fd)
{
	struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (host_call(SYS_fcntl, fd, F_OFD_GETLK, &range) < 0 || range.l_type == F_UNLCK)
		return FD_LOCKS_NONE;
	if (range.l_pid == host_call(SYS_getpid))
		return FD_LOCKS_OURS;
	/* An exclusive lock of the whole file leaves room for no other. */
	if (range.l_type == F_WRLCK && range.l_start == 0 && range.l_len == 0)
		return FD_LOCKS_NONE;
	return FD_LOCKS_HIDDEN;
}

void fd_close_private(int fd)
{
	if (fd < 0)
		return;
	rs_assert(fd >= FD_SLOTS || fd_is_private(fd));
	if (fd < FD_SLOTS)
		and_full(&private_bits[fd / 64], ~(1ull << (fd % 64)));
	host_call(SYS_close, fd);
}

void fd_fork_child(void)
{
	for (int fd = fd_private_next(0); fd >= 0 && fd < FD_SLOTS - 1;
	     fd = fd_private_next(fd + 1)) {
		long flags = host_call(SYS_fcntl, fd, F_GETFD);

		if (flags >= 0 && flags & FD_CLOEXEC)
			fd_close_private(fd);
	}
}
