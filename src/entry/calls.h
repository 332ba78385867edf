/*
 * calls.h - the system calls we have something to say about, as the kernel defines them
 *
 * Each returns a value or -errno and takes the kernel's structures; libc.c, poll.c
 * and signal_calls.c dress them as libc's functions, syscall() passes them on
 * as they are.
 */
#ifndef RS_ENTRY_CALLS_H
#define RS_ENTRY_CALLS_H

#include "entry/entry.h"
#include "file/own.h"
#include "host/fd.h"
#include "syscall/descriptor.h"

long call_close(int fd);
long call_close_range(unsigned first, unsigned last, unsigned flags);
long call_dup(int fd);
long call_dup2(int from, int to);
long call_dup3(int from, int to, int flags);
long call_fcntl(int fd, int command, long argument);
long call_mmap(void *addr, size_t len, int prot, int flags, int fd, s64 offset);

/* After call_mmap(), which returned `addr`: returns it. Bytes of a file that is mapped to be
 * written may change from now on without a call. */
long call_mapped(long addr, int flags, int fd);
long call_epoll_ctl(int epoll, int op, int fd, void *event);

/*
 * What every interposed function asks first. Before ringside is active nothing
 * below may be called: a sanitizer's runtime, for one, calls libc's functions, so
 * ours, while it is not ready itself for instrumented code.
 */
static inline bool call_is_ring(int fd)
{
	return load_relaxed(&entry_is_active) && unlikely(descriptor_is_ring(fd));
}

static inline bool call_is_known(int fd)
{
	return load_relaxed(&entry_is_active) && unlikely(descriptor_is_known(fd));
}

/* What the program may not see: a descriptor of ours. */
static inline bool call_is_hidden(int fd)
{
	return load_relaxed(&entry_is_active) && unlikely(fd_is_private(fd));
}

static inline void call_poll_refresh(void)
{
	if (load_relaxed(&entry_is_active))
		descriptor_poll_refresh();
}

/*
 * Before close() of fd proper: tells descriptor.h. -EBADF if the program has no such descriptor
 * as far as it may know, else 0. Also for fclose(). In any case followed by call_closed(), when the
 * kernel has closed it.
 */
long call_closing(int fd);
void call_closed(int fd);

/* After a successful fcntl(). */
void call_fcntl_done(int fd, int command, long result);

/* What has to be known around a write that may be to a file of ours (files.c). */
struct write_watch {
	struct own_writer writer;
};

void write_watch_begin_slow(struct write_watch *watch, int fd, u64 offset, int rw_flags);
void write_watch_end_slow(const struct write_watch *watch, int fd, u64 offset, long written);

/* `offset`: OWN_AT_POSITION, or where. */
static inline void write_watch_begin(struct write_watch *watch, int fd, u64 offset, int rw_flags)
{
	watch->writer.is_owned = false;
	if (unlikely(load_relaxed(&own_exclusive_count) > 0))
		write_watch_begin_slow(watch, fd, offset, rw_flags);
}

static inline void write_watch_end(const struct write_watch *watch, int fd, u64 offset,
				   long written)
{
	if (written > 0 && unlikely(load_acquire(&own_exclusive_count) > 0))
		write_watch_end_slow(watch, fd, offset, written);
}

/* Calls on files in the raw form of syscall(): -ENOSYS if `nr` is none of them. */
long call_file(long nr, long a, long b, long c, long d, long e, long f);

/*
 * A call that waits for descriptors or with a signal mask, in the raw form of
 * syscall(): -ENOSYS if `nr` is none of these.
 */
long call_wait(long nr, long a, long b, long c, long d, long e, long f);

/*
 * rt_sigaction(), rt_sigprocmask(), rt_sigpending() with untrusted pointers; -ENOSYS if `nr` is
 * none.
 */
long call_signal(long nr, long a, long b, long c, long d);

/*
 * execve() (flags -1) or execveat(), with our own variables kept in the environment. Untrusted
 * pointers.
 */
long call_exec(int folder, const char *path, char **argv, char **environment, int flags);

/* Makes syscall() look at numbers. */
void calls_init(void);

#endif
