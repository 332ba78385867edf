/*
 * hooks.h - what requests ask of the descriptors' keeper (syscall/descriptor.c)
 *
 * A CLOSE request ends a descriptor as close() does, an EPOLL_CTL request may name
 * a ring, FILES_UPDATE does what io_uring_register() does: all that is known one
 * layer above, which fills this table once, before the first ring.
 */
#ifndef RS_REQUEST_HOOKS_H
#define RS_REQUEST_HOOKS_H

#include "base/types.h"

struct ring;

struct descriptor_hooks {
	/* Whether fd is one of our rings. The driver of `ring` asks; its lock is let go
	 * meanwhile if it must be. */
	bool (*is_ring)(struct ring *ring, int fd);
	/* The driver of `ring` is about to close fd: its file moves if anybody holds it. Other
	 * rings that wait on fd are told; the lock of `ring` is held, and let go meanwhile if it
	 * must be. */
	void (*closing_in_driver)(struct ring *ring, int fd);
	/* FILES_UPDATE: fixed files from slot `offset` on (IORING_FILE_INDEX_ALLOC: any) become
	 * the program's descriptors at user_fds. How many, or -errno. Driver. */
	long (*files_update)(struct ring *ring, u32 offset, u64 user_fds, u32 count);
	/* What to give to poll() and epoll_ctl() in place of fd. As is_ring(). */
	int (*pollable)(struct ring *ring, int fd);
};

extern struct descriptor_hooks hooks;

#endif
