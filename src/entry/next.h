/*
 * next.h - the functions that ours stand in front of
 *
 * The next definition of a name (libc's, or another preloaded library's) is
 * called where it does more than the system call: cancellation points, stdio,
 * thread creation. Before our constructor ran, and in a statically linked
 * program, there is no next definition: the plain system call is made then.
 */
#ifndef RS_ENTRY_NEXT_H
#define RS_ENTRY_NEXT_H

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>

#include "entry/entry.h"

struct next {
	int (*close)(int);
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*readv)(int, const struct iovec *, int);
	ssize_t (*writev)(int, const struct iovec *, int);
	ssize_t (*pread64)(int, void *, size_t, off_t);
	ssize_t (*pwrite64)(int, const void *, size_t, off_t);
	ssize_t (*preadv64)(int, const struct iovec *, int, off_t);
	ssize_t (*pwritev64)(int, const struct iovec *, int, off_t);
	ssize_t (*preadv64v2)(int, const struct iovec *, int, off_t, int);
	ssize_t (*pwritev64v2)(int, const struct iovec *, int, off_t, int);
	int (*fcntl64)(int, int, ...);
	int (*fclose)(FILE *);
	FILE *(*fopen64)(const char *, const char *);
	FILE *(*fdopen)(int, const char *);
	FILE *(*freopen64)(const char *, const char *, FILE *);
	int (*closedir)(DIR *);
	int (*login_tty)(int);
	int (*lockf64)(int, int, off_t);
	int (*open64)(const char *, int, ...);
	int (*openat64)(int, const char *, int, ...);
	int (*open64_2)(const char *, int);
	int (*openat64_2)(int, const char *, int);
	int (*fallocate64)(int, int, off_t, off_t);
	int (*posix_fallocate64)(int, off_t, off_t);
	ssize_t (*copy_file_range)(int, off_t *, int, off_t *, size_t, unsigned);
	ssize_t (*splice)(int, off_t *, int, off_t *, size_t, unsigned);
	int (*vdprintf)(int, const char *, va_list);
	int (*vdprintf_chk)(int, int, const char *, va_list);
	int (*poll)(struct pollfd *, nfds_t, int);
	int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
	int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
	int (*pselect)(int, fd_set *, fd_set *, fd_set *, const struct timespec *,
		       const sigset_t *);
	int (*epoll_wait)(int, struct epoll_event *, int, int);
	int (*epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
	int (*epoll_pwait2)(int, struct epoll_event *, int, const struct timespec *,
			    const sigset_t *);
	int (*sigsuspend)(const sigset_t *);
	int (*sigaction)(int, const struct sigaction *, struct sigaction *);
	sighandler_t (*signal)(int, sighandler_t);
	sighandler_t (*sysv_signal)(int, sighandler_t);
	int (*sigprocmask)(int, const sigset_t *, sigset_t *);
	int (*pthread_sigmask)(int, const sigset_t *, sigset_t *);
	int (*pthread_attr_setsigmask_np)(pthread_attr_t *, const sigset_t *);
	int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	void (*siglongjmp)(sigjmp_buf, int);
	void (*longjmp_chk)(jmp_buf, int);
	int (*execvpe)(const char *, char *const *, char *const *);
	int (*posix_spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *,
			   const posix_spawnattr_t *, char *const *, char *const *);
	int (*posix_spawnp)(pid_t *, const char *, const posix_spawn_file_actions_t *,
			    const posix_spawnattr_t *, char *const *, char *const *);
};

extern struct next next; /* (c) after next_init() */

/* Looks all of them up; first thing in the constructor. */
void next_init(void);

/* For those that no system call replaces, and that may be called before the constructor. */
#define next_get(name)                                                                             \
	({                                                                                         \
		if (unlikely(!next.name))                                                          \
			next_init();                                                               \
		next.name;                                                                         \
	})

#endif
