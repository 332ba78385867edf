/*
 * fd.h - ringside's own descriptors
 *
 * They live in the program's descriptor table, so they are moved up out of the
 * program's way (programs print, compare and select() on low numbers), are
 * close-on-exec, and are known here so that a program that closes "all
 * descriptors" does not take them from us.
 */
#ifndef RS_HOST_FD_H
#define RS_HOST_FD_H

#include "base/types.h"

/* Numbers below this one have a slot in our tables; a descriptor above is used without them. */
#define FD_SLOTS (1 << 20)

/* Takes over `fd`: returns its new, high, private number (the old one is closed), or `fd` itself
 * if no high number is free or a close may take locks, or -errno if fd is one. */
int fd_make_private(int fd);

/* A private duplicate of the program's descriptor `fd`, or -errno. */
int fd_duplicate_private(int fd);

/* `fd` becomes private where it is, inheritable or not as it was: for one that executed programs
 * share. */
void fd_keep_private(int fd);

/* What a close of fd would take from this process: its POSIX record locks on that file. */
enum fd_locks {
	FD_LOCKS_NONE,
	FD_LOCKS_HIDDEN, /* others have locks, and behind them there may be some of ours */
	FD_LOCKS_OURS,
};

/* Asks the kernel. */
enum fd_locks fd_locks(int fd);

/* Closes a private descriptor. -1 is fine. */
void fd_close_private(int fd);

/* In the child of a fork(): closes all private descriptors but those that executed programs share.
 * What they are for stayed with the parent, and a pipe or socket among them would stay open. */
void fd_fork_child(void);

/* Whether `fd` is ours: the program may not close or replace it. Any thread. */
bool fd_is_private(int fd);

/* The lowest private descriptor that is at least `fd` (0 <= fd < FD_SLOTS), or -1. */
int fd_private_next(int fd);

#endif
