/*
 * entry.h - what the files of entry/ share
 *
 * A call comes in by one of three ways, and route.h says who answers it:
 *
 *	liburing.c         our symbols in place of liburing's
 *	libc.c, calls.c    libc's functions, and syscall()
 *	trap.c             inline assembly, by SIGSYS
 *
 * Not here: options.h (what the user wants), cover.h (whether a program can be covered),
 *           signals.h.
 */
#ifndef RS_ENTRY_ENTRY_H
#define RS_ENTRY_ENTRY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <signal.h>

#include "base/types.h"
#include "entry/route.h"

/*
 * init.c: starts everything and puts ringside behind the rings of this process,
 * as ROUTE_USER or ROUTE_MIXED. The options must have been read. 0, also when it
 * was started before, or -errno.
 */
int entry_activate(enum route route);

/* (a) Whether entry_activate() has been here. Never false again. */
extern bool entry_is_active;

/*
 * Whether the kernel's own io_uring works here: 0 or -errno; -ENOSYS if only ours can be reached.
 */
int entry_probe_kernel(void);

/*
 * A value or -errno of the kernel's in libc's clothes: -1 and errno. The two
 * directions are here once, because every interposed function needs one.
 */
static inline long libc_result(long ret)
{
	if (likely((unsigned long)ret <= -4096ul))
		return ret;
	errno = (int)-ret;
	return -1;
}

/* The process is about to end by its own will. */
void entry_process_exit(void);

/* fork.c */

/* Registers the fork handlers; once. 0 or -errno. */
int fork_init(void);

/*
 * Whether the caller is a vfork() child (or another process that borrows this
 * memory): it closes and blocks for itself alone, and nothing of our state may
 * change on its behalf. One system call, so ask only when something is at stake.
 */
bool process_is_borrowed(void);

/* Notices a fork() that ran no fork handlers (clone(), syscall()); one load. */
void process_check_fork(void);

/* exec.c */

/* Remembers how this process was preloaded, so that programs it executes can be too. */
void exec_init(void);

/* Whether LD_PRELOAD brought us here (and not a program that linked us). */
bool exec_is_preloaded(void);

/* Warns, once a process, if `path` cannot be covered. */
void exec_warn(const char *path);

/* trap.c */

/* The SIGSYS handler. */
void trap_signal(int sig, siginfo_t *info, void *context);

/* Makes a call that our filter would trap: whether it was. */
bool trap_probe(void);

#endif
