/*
 * entry.h - what the files of entry/ share
 *
 * A call comes in by one of three ways and all of them end in entry_setup(),
 * entry_enter() and entry_register():
 *
 *	liburing.c         our symbols in place of liburing's
 *	libc.c, calls.c    libc's functions, and syscall()
 *	trap.c             inline assembly, by SIGSYS
 *
 * Not here: options.h (what the user wants), cover.h (whether a program can be covered).
 */
#ifndef RS_ENTRY_ENTRY_H
#define RS_ENTRY_ENTRY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <signal.h>

#include "base/abi.h"
#include "base/types.h"

/* Whether ringside answers; if not, every call goes on to the kernel. (a) false until init.c says so. */
extern bool entry_is_active;

/* io_uring_setup(), io_uring_enter(), io_uring_register() for this process: value or -errno. */
long entry_setup(u32 entries, struct io_uring_params *params);
long entry_enter(u32 fd, u32 to_submit, u32 min_complete, u32 flags, const void *arg, size_t size);
long entry_register(u32 fd, u32 opcode, void *arg, u32 nr_args);

/*
 * Puts ringside behind the rings of this process. Without preload this is what
 * rs_attach() does. 0 (also when it was active before), -EINVAL for wrong options
 * in the environment, or -errno.
 */
int entry_activate(void);

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

/* Warns, once a process, if `path` cannot be covered. */
void exec_warn(const char *path);

/* trap.c */

/* The SIGSYS handler; see signals.h for what "chained" means. */
void trap_signal(int sig, siginfo_t *info, void *context);

/* Makes a call that our filter would trap: whether it was. */
bool trap_probe(void);

#endif
