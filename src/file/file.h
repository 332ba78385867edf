/*
 * file.h - what a descriptor of the program's is, and holding on to it
 *
 * The kernel resolves a descriptor to a file when it issues a request and
 * holds that file. We have only the number, so:
 *
 * - A request that completes while it is issued uses the number and holds nothing.
 * - A request that must wait, and a fixed-file slot, hold a `struct file`. One
 *   exists for each number that anybody holds; it says which number to use now.
 * - When the program closes or replaces the number, file_detach() moves the
 *   file to a private duplicate first. Nothing is duplicated in the ordinary case.
 * - A process's POSIX record locks on a file go with any close() of that file by the process,
 *   also with that of a duplicate of ours. In the kernel the end of a request closes nothing. So
 *   a duplicate whose file has locks is parked instead of closed, and is what the next
 *   file_duplicate() of the same number gets: there are no more than were in use at once. It is
 *   closed when the program has closed the number, for its locks have gone then.
 *
 * What a descriptor is (file_kind) is remembered by number. The memory is a hint:
 * a number that was closed behind our back (an inline-assembly close) may mean
 * another file by now. So every path that is taken on a hint must be right,
 * though perhaps slower, for any file; and slow paths ask afresh (file_classify).
 *
 * Entry:       file_kind_hint(), file_classify(), file_hold(), file_put(), file_detach()
 * Invariants:  F1 a file with references has an open descriptor, or fd == -1 if no duplicate
 *                 could be made when the program closed its number: its requests get -EBADF
 *              F2 fd_slots[n].file, if set, has ->fd == n
 *              F3 no close of ours takes a record lock from the program; who sets one by
 *                 another thread between the look for it and the close loses it all the same
 * Locks:       one lock, file_lock, for the slots' `file` and what is parked; a leaf
 * The kernel:  struct file and fget(); there a file is its own truth, no hints
 */
#ifndef RS_FILE_FILE_H
#define RS_FILE_FILE_H

#include "base/atomic.h"
#include "base/types.h"
#include "host/fd.h"

enum file_kind {
	FILE_UNKNOWN, /* not asked yet, or forgotten */
	FILE_REGULAR, /* regular file or block device, through the kernel's cache */
	FILE_OWNED,   /* the same, and our own page cache may hold it (own.h) */
	FILE_DIRECT,  /* the same, opened O_DIRECT */
	/* can be waited for: pipe, socket, tty, eventfd, ... and other character devices */
	FILE_STREAM,
	FILE_OTHER, /* directory, O_PATH, ...: the kernel will say what is wrong */
};

#define FILE_NO_NUMBER     (-1)
#define FILE_CLOSED_NUMBER (-2) /* the program closed it, and so gave up its locks */

/* From the first file_hold() of a number to the last file_put(), or parked for longer. */
struct file {
	u32 refs;          /* (q: file_lock); 0: parked */
	s32 fd;            /* (a) number to use now; changed by file_detach() only */
	struct file *next; /* (q: file_lock) free list, or the parked ones */
	s32 number;        /* (q: file_lock) what fd duplicates, or FILE_NO_NUMBER, ... */
};

struct fd_slot {
	/* (q: file_lock) the held file of this number; looked at without, as a hint */
	struct file *file;
	void *ring;  /* (a) the ring whose descriptor this is; set by syscall/ */
	u64 binding; /* (a) what our cache knows it by, or 0 (own.h) */
	u32 owned;   /* (a) the file that it is attached to, or 0 (own.h) */
	u32 closes;  /* (a) closes under way, and how many there were (own.h) */
	u8 kind;     /* (a) enum file_kind, a hint */
	bool parked; /* (q: file_lock) to store; (a): there are parked duplicates of it */
};

extern struct fd_slot fd_slots[FD_SLOTS];

static inline struct fd_slot *fd_slot(int fd)
{
	return fd >= 0 && fd < FD_SLOTS ? &fd_slots[fd] : NULL;
}

/* (a) Numbers from here on have no kind. */
extern int file_kinds_end;

/* Asks the kernel, and remembers. FILE_UNKNOWN if fd is not open. */
enum file_kind file_classify(int fd);

/* The same for what is no request: a file that our cache may hold is not taken for it. */
enum file_kind file_look(int fd);

static inline enum file_kind file_kind_hint(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);
	u8 kind = slot ? load_relaxed(&slot->kind) : FILE_UNKNOWN;

	return likely(kind != FILE_UNKNOWN) ? (enum file_kind)kind : file_classify(fd);
}

/* own.h: takes fd off the file that it is attached to. */
void own_detach(int fd);

/* What is remembered of fd is forgotten. */
static inline void file_forget(int fd)
{
	struct fd_slot *slot = fd_slot(fd);

	if (slot == NULL)
		return;
	store_relaxed(&slot->kind, FILE_UNKNOWN);
	if (unlikely(load_relaxed(&slot->owned) != 0))
		own_detach(fd);
}

/* Whether the open file of fd is O_NONBLOCK. Asks the kernel each time. */
bool file_is_nonblocking(int fd);

/* A reference to the file that fd names now. NULL only when there is no memory. Does not check
 * that fd is open. */
struct file *file_hold(int fd);

/* A file of its own, on a private duplicate of fd: for a call that another thread will make at a
 * time of its own, which no close() of the program's can wait for. NULL and the -errno in *err. */
struct file *file_duplicate(int fd, int *err);

/* A file of its own for the new descriptor fd, which it takes over and makes private, or closes.
 * NULL and the -errno in *err. */
struct file *file_adopt(int fd, int *err);
void file_get(struct file *file);
void file_put(struct file *file);

static inline int file_fd(const struct file *file)
{
	return load_acquire(&file->fd); /* pairs with file_detach() */
}

/*
 * The program is about to close or replace fd. If anybody holds its file, the
 * file moves to a private duplicate and is returned, with a reference for the
 * caller, who must then make sure that nobody still uses the old number
 * (syscall/descriptor.c) before the kernel closes it. NULL if nobody does.
 */
struct file *file_detach(int fd);

/* The program has closed a number: what is parked without need is closed. Any thread. */
void file_closed_slow(void);
extern u32 file_orphans; /* (a) parked, and of no number */

static inline void file_closed(void)
{
	if (unlikely(load_relaxed(&file_orphans) > 0))
		file_closed_slow();
}

/* Around a fork(): nobody is in the midst of a change. The child holds no file. */
void file_fork_prepare(void);
void file_fork_parent(void);
void file_fork_child(void);

#endif
