/*
 * own_take.c - what the kernel is asked so that a file may be owned, and how it is given back
 *
 * The descriptors are opened anew through /proc/self/fd, never duplicated: a lease, a lock
 * and O_DIRECT belong to the open file, and the program's own must not change. The size is
 * asked for after the lease: a writer that came before is seen, one that comes later waits.
 *
 * Entry:       own_take(), own_give_back(), own_close_files()
 * Invariants:  O3 of own.h: files are closed here only in TAKING, LOSING, or with no descriptor
 *                 of the program's left
 * Locks:       none; the file's state makes its caller the only one
 * Not here:    whose turn it is (own.c), when it ends (keeper.c)
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>

#include "file/owned.h"
#include "host/fd.h"
#include "host/kernel.h"

/* O_NONBLOCK: an open that would break somebody's lease is refused instead. */
#define REOPEN_FLAGS (O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int reopen(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd_make_private((int)host_call(SYS_openat, AT_FDCWD, path, flags | REOPEN_FLAGS, 0));
}

static bool is_the_file(const struct owned *owned, const struct stat *status)
{
	return status->st_dev == owned->dev && status->st_ino == owned->ino;
}

/* Its bytes are in memory already. Kernels before 6.6 refuse O_DIRECT there. */
static bool is_in_memory(int fd)
{
	struct statfs status;

	return host_call(SYS_fstatfs, fd, &status) == 0 &&
	       (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

static int open_files(struct owned *owned, int fd)
{
	struct stat status;

	if (owned->direct_fd < 0) {
		store_relaxed(&owned->direct_fd, reopen(fd, O_RDONLY | O_DIRECT));
		if (owned->direct_fd < 0)
			return owned->direct_fd;
		add_relaxed(&own_files_open, 1);
	}
	/* The number may have become another file's since it was looked at. */
	if (own_status(owned->direct_fd, &status) < 0 || !is_the_file(owned, &status))
		return -EBADF;
	if (is_in_memory(owned->direct_fd))
		return -EINVAL;
	if (owned->buffered_fd < 0)
		owned->buffered_fd = reopen(owned->direct_fd, O_RDONLY);
	return min_of(owned->buffered_fd, 0);
}

static long set_lease(const struct owned *owned, int type)
{
	return host_call(SYS_fcntl, owned->direct_fd, F_SETLEASE, type);
}

static int take_lease(struct owned *owned)
{
	struct f_owner_ex keeper = {.type = F_OWNER_TID, .pid = (pid_t)keeper_thread_id()};
	long err;

	/* Before the lease: the default owner is the process, and SIGIO would end it. */
	err = host_call(SYS_fcntl, owned->direct_fd, F_SETSIG, OWN_LEASE_SIGNAL);
	if (!err)
		err = host_call(SYS_fcntl, owned->direct_fd, F_SETOWN_EX, &keeper);
	if (!err)
		err = set_lease(owned, F_RDLCK);
	owned->is_leased = err == 0;
	return (int)err;
}

bool own_lease_is_wanted(const struct owned *owned)
{
	return owned->is_leased && host_call(SYS_fcntl, owned->direct_fd, F_GETLEASE) != F_RDLCK;
}

static int lock_descriptor(const struct owned *owned)
{
	return owned->lock_fd >= 0 ? owned->lock_fd : owned->direct_fd;
}

static long set_lock(const struct owned *owned, short type)
{
	struct flock range = {.l_type = type, .l_whence = SEEK_SET};

	return host_call(SYS_fcntl, lock_descriptor(owned), F_OFD_SETLK, &range);
}

/* Exclusive if the program can write, shared if it only reads. */
static int take_lock(struct owned *owned, int fd, int flags)
{
	bool can_write = (flags & O_ACCMODE) != O_RDONLY;
	long err;

	/* It has locked the file itself; one lock of a process on a file is as good as another. */
	if (owned->keep & OWN_KEEP_LOCKED)
		return 0;
	if (can_write && owned->lock_fd < 0) {
		int lock_fd = reopen(fd, O_WRONLY);

		if (lock_fd < 0)
			return lock_fd;
		owned->lock_fd = lock_fd;
	}
	err = set_lock(owned, owned->lock_fd >= 0 ? F_WRLCK : F_RDLCK);
	owned->is_locked = err == 0;
	return (int)err;
}

int own_take(struct owned *owned, int fd, int flags, struct cache_source *source)
{
	struct stat status;
	int err = open_files(owned, fd);

	if (!err)
		err = owned->is_exclusive ? take_lock(owned, fd, flags) : take_lease(owned);
	if (err)
		return err;
	if (owned->is_exclusive)
		keeper_watch(owned);
	err = (int)own_status(owned->direct_fd, &status);
	if (err) {
		own_give_back(owned);
		return err;
	}
	*source = (struct cache_source){
		.direct_fd = owned->direct_fd,
		.buffered_fd = owned->buffered_fd,
		.size = (u64)status.st_size,
	};
	return 0;
}

void own_give_back(struct owned *owned)
{
	if (owned->is_leased)
		set_lease(owned, F_UNLCK);
	if (owned->is_locked)
		own_unlock(owned);
	owned->is_leased = false;
}

void own_unlock(struct owned *owned)
{
	set_lock(owned, F_UNLCK);
	owned->is_locked = false;
}

void own_close_files(struct owned *owned)
{
	keeper_unwatch(owned);
	if (owned->direct_fd >= 0)
		sub_full(&own_files_open, 1);
	fd_close_private(owned->direct_fd);
	fd_close_private(owned->buffered_fd);
	fd_close_private(owned->lock_fd);
	store_relaxed(&owned->direct_fd, -1);
	owned->buffered_fd = owned->lock_fd = -1;
}

u64 own_birth(int fd)
{
	struct statx status;

	if (host_call(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BTIME, &status) < 0 ||
	    !(status.stx_mask & STATX_BTIME))
		return 0;
	return (u64)status.stx_btime.tv_sec * NS_PER_SEC + status.stx_btime.tv_nsec;
}

bool own_is_transient(int err)
{
	switch (err) {
	case -EAGAIN: /* open for writing; locked by another; another's lease */
	case -EBADF:  /* closed meanwhile */
	case -EBUSY:
	case -EINTR:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOLCK:
	case -ETXTBSY:
		return true;
	default: /* no O_DIRECT (tmpfs), no lease (permission, file system), no /proc */
		return false;
	}
}
