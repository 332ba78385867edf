/*
 * own.h - files that nobody else changes, so that our own page cache may hold them
 *
 * A file (an inode, however often it is opened) is owned in one of two ways:
 *
 *   lease      every descriptor of ours is O_RDONLY, and the kernel grants a read lease: whoever
 *              opens the file for writing, or truncates it, waits until we have
 *              dropped its pages and given the lease back
 *   exclusive  the user says that it is this process's alone (--own, rs_own()): an OFD lock is
 *              taken, the writes of this process drop the pages that they change, and another
 *              process's open is noticed and reported
 *
 * The first request on a descriptor tries to own it (file_classify()); nobody else is asked. What
 * is refused stays with the kernel's cache, and is tried again later where that can help.
 * Ownership ends at any moment, with requests in flight: the keeper, a thread of its
 * own, drops the pages first and gives the lease back then.
 *
 *                  the first descriptor
 *      FREE -----------------------------> TAKING ---- granted ----> HELD
 *       ^                                   |  ^                       |  broken, disowned, or its
 *       |                           refused |  | own_try_again()       |  last descriptor closed
 *       |                                   v  |                       v
 *       '-------- no descriptor left ------ IDLE <--- dropped ----- LOSING
 *
 * A descriptor's number may be closed, and mean another file, at any time. What is attached
 * to a number is taken off it before the kernel closes it (own_close_begin()), and until the
 * kernel has done so nothing is attached to it again. A close by inline assembly is not seen:
 * callers that come that way, and SQPOLL, have each descriptor that an enter reads from
 * verified once in that enter (own_enter_begin()).
 *
 * Entry:       own_binding(), own_readahead() for reads; own_change_*() and own_changed() for what
 *              changes bytes; file.c for all that becomes of numbers
 * Invariants:  O1 slot->binding is not 0 only while the slot is attached to a file in HELD whose
 *                 binding it is
 *              O2 who changed a file's bytes looks for its owner afterwards; who becomes owner is
 *                 to be found before it reads a byte, or the size, and until no slot leads to
 *                 its pages any more
 *              O3 a file's private descriptors are closed when no lock of the program's can hang
 *                 on it (POSIX locks go with any close of the file by the process)
 * Locks:       own_lock, with all signals blocked; under it the cache lock and nothing else. Ring
 *              locks and file_lock come before it
 * The kernel:  fs/locks.c has the leases; the cache of an inode needs nobody's permission there
 * Not here:    the pages (src/cache/)
 */
#ifndef RS_FILE_OWN_H
#define RS_FILE_OWN_H

#include <sys/stat.h>

#include "base/atomic.h"
#include "cache/cache.h"
#include "cache/drop.h"
#include "cache/readahead.h"
#include "file/file.h"

/* (a) Whether files may be owned. */
extern bool own_is_on;

/* (a) Exclusive files: 0, and nothing that changes bytes needs to look for an owner. */
extern u32 own_exclusive_count;

/*
 * Files may be owned from now on; the cache is made at the first one. `bytes`: its size; `globs`:
 * patterns of fnmatch(3) with FNM_PATHNAME, separated by colons, of paths that are owned
 * exclusively; constant, NULL: none. 0, -EBUSY (the cache was made, with another size),
 * -EINVAL (below CACHE_LIMIT_MIN), -ENOMEM (larger than the machine's memory).
 */
int own_start(u64 bytes, const char *globs);

/* file_classify() of a regular file: attaches fd, tries to own the file if it `may_take` it, says
 * FILE_OWNED if our cache may hold it. `closes`: own_closes() before the kernel was asked. */
enum file_kind own_classify(int fd, u32 closes, const struct stat *status, int flags,
			    bool may_take);

/* The cost of a read: what our cache knows fd by, 0 if it does not hold it (now). fd's kind is
 * FILE_OWNED. Any thread that holds what keeps fd from being closed. */
static inline cache_binding own_binding(int fd);

/* Of a descriptor whose binding is not 0. */
struct readahead *own_readahead(int fd);

/*
 * An enter whose caller may have closed descriptors by inline assembly, or was not in the
 * way of a close (SIGSYS, SQPOLL): from here to own_enter_end() this thread's own_binding()
 * and own_change_begin() look at each descriptor once, by fstat(). They nest: begin returns
 * what end takes. op/rw.c has nothing to call.
 */
u32 own_enter_begin(void);
void own_enter_end(u32 before);

/* Writes. */

/* A change of a file's bytes [offset, end) that went past the cache; end UINT64_MAX: all from
 * there on. In a request, or on a stack. */
struct own_change {
	struct cache_drop drop;
	u32 owned;     /* (c) which file, as slots know it */
	bool is_sized; /* (c) the size may have changed */
};

/*
 * After the system call that changed them: whether somebody might see the old ones. Then
 * own_change_try() until DONE, with own_change_wait() after each CAUGHT, and the change
 * completes after that. Any thread; fd is still open. One load if nothing is exclusive.
 */
bool own_change_begin_slow(struct own_change *change, int fd, u64 offset, u64 end);

static inline bool own_change_begin(struct own_change *change, int fd, u64 offset, u64 end)
{
	/* Pairs with the count's increase in own.c: O2. */
	return unlikely(load_acquire(&own_exclusive_count) > 0) &&
	       own_change_begin_slow(change, fd, offset, end);
}

enum cache_verdict own_change_try(struct own_change *change);
enum cache_verdict own_change_wait(struct own_change *change, struct cache_waiter *waiter);

/* All of it, for a thread that may block: not a ring's driver, no lock held. */
void own_changed_slow(int fd, u64 offset, u64 end);

static inline void own_changed(int fd, u64 offset, u64 end)
{
	if (unlikely(load_acquire(&own_exclusive_count) > 0))
		own_changed_slow(fd, offset, end);
}

/* What has to be known before a write so that it can be told afterwards which bytes it changed: one
 * at the file's position, or an appending one, does not say. On a stack, or in a request. */
struct own_writer {
	u64 size;       /* bytes, of the file as our cache knew it */
	s64 position;   /* -1: not asked for */
	bool is_owned;  /* fd was attached to a file */
	bool is_append; /* wherever it writes, it is behind the end */
};

#define OWN_AT_POSITION ((u64)-1)

/* Before the write. `offset`: OWN_AT_POSITION, or where; `rw_flags`: RWF_*. */
void own_write_begin_slow(struct own_writer *writer, int fd, u64 offset, int rw_flags);

static inline void own_write_begin(struct own_writer *writer, int fd, u64 offset, int rw_flags)
{
	writer->is_owned = false;
	if (unlikely(load_relaxed(&own_exclusive_count) > 0))
		own_write_begin_slow(writer, fd, offset, rw_flags);
}

/* After it wrote `bytes`: where, at least. */
struct own_range {
	u64 offset, end;
};
struct own_range own_write_range(const struct own_writer *writer, int fd, u64 offset, u64 bytes);

/* own_changed() of what it wrote. */
static inline void own_wrote(const struct own_writer *writer, int fd, u64 offset, u64 bytes)
{
	struct own_range range;

	if (likely(load_acquire(&own_exclusive_count) == 0))
		return;
	range = own_write_range(writer, fd, offset, bytes);
	own_changed_slow(fd, range.offset, range.end);
}

/* The same by path or by status, for truncate(). */
void own_changed_inode(const struct stat *status);

/* Whether fd is a descriptor of an exclusive file. May ask the kernel. */
bool own_is_exclusive(int fd);

/*
 * posix_fadvise() of the program, which the kernel is to hear too unless this is true. A thread
 * that may block, or advice that is neither POSIX_FADV_DONTNEED nor _WILLNEED.
 */
bool own_advise(int fd, u64 offset, u64 bytes, int advice);

/* Numbers. */

/* Around a close of fd, by whoever it is: the slot is empty in between, and stays so. */
static inline void own_close_begin(int fd);
static inline void own_close_end(int fd);
/* Around a close of many. */
void own_close_all_begin(void);
void own_close_all_end(void);

/* fd is a duplicate of a descriptor that is about to be closed: it keeps the file owned. */
void own_join(int fd);

/* The program opened fd by itself: whatever is attached to that number was closed unseen. */
static inline void own_opened(int fd, int flags);

/* The program is about to take, or to ask for, a record lock of fd: ours make way. */
static inline void own_lock_begin(int fd, bool is_posix);

/* fd can be written in ways that nobody sees (a shared mapping, a stdio stream): an exclusive
 * file is given up, for good. */
static inline void own_unwatched(int fd);

/* In the child of a fork(): nothing is owned, and the cache is off if it was made. */
void own_fork_child(void);

/* rs_own() and rs_disown(). Any thread that holds no lock. */
enum own_mode { OWN_LEASE, OWN_EXCLUSIVE };
int own_own(int fd, enum own_mode mode);
int own_disown(int fd);

/* fstat(): 0 or -errno. */
long own_status(int fd, struct stat *status);

/* Only what the functions above are made of. */

struct own_record {
	struct readahead readahead;
	s32 next, prev; /* (l) descriptors of one file; -1: none */
	u32 verified;   /* (a) the enter in which the number was looked at */
	bool is_append; /* (l) to store; (a): O_APPEND */
};

extern struct own_record own_records[FD_SLOTS];
extern __thread u32 own_enter __attribute__((tls_model("initial-exec")));

cache_binding own_try_again(int fd);
cache_binding own_verify(int fd);

static inline cache_binding own_binding(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);
	cache_binding binding;

	if (unlikely(slot == NULL))
		return 0;
	if (unlikely(own_enter != 0) && load_relaxed(&own_records[fd].verified) != own_enter)
		return own_verify(fd);
	binding = load_acquire(&slot->binding); /* pairs with the store in own.c */
	return likely(binding != 0) ? binding : own_try_again(fd);
}

void own_opened_slow(int fd, int flags);
void own_lock_begin_slow(int fd, bool is_posix);
void own_unwatched_slow(int fd);

static inline void own_opened(int fd, int flags)
{
	if (fd < 0 || !load_relaxed(&own_is_on))
		return;
	file_forget(fd);
	own_opened_slow(fd, flags);
}

static inline void own_lock_begin(int fd, bool is_posix)
{
	if (load_relaxed(&own_is_on))
		own_lock_begin_slow(fd, is_posix);
}

static inline void own_unwatched(int fd)
{
	if (load_relaxed(&own_is_on))
		own_unwatched_slow(fd);
}

/* Closes under way, and how many there were. */
#define OWN_CLOSE_ONE   0x10001u
#define OWN_CLOSES_OPEN 0xffffu

static inline void own_close_begin(int fd)
{
	struct fd_slot *slot = fd_slot(fd);

	if (load_relaxed(&own_is_on) && slot != NULL)
		add_full(&slot->closes, OWN_CLOSE_ONE); /* then the slot is looked at */
}

static inline void own_close_end(int fd)
{
	struct fd_slot *slot = fd_slot(fd);

	/* It may have begun before own_is_on. */
	if (load_relaxed(&own_is_on) && slot != NULL &&
	    load_relaxed(&slot->closes) & OWN_CLOSES_OPEN)
		sub_full(&slot->closes, 1);
}

extern u32 own_closes_of_all; /* (a) as slot->closes */

/* To be taken before the kernel is asked what fd is; own_is_stale() says whether the answer may be
 * another file's by now. */
static inline u32 own_closes(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);

	return (slot ? load_acquire(&slot->closes) : 0) + load_acquire(&own_closes_of_all);
}

static inline bool own_is_stale(int fd, u32 closes)
{
	const struct fd_slot *slot = fd_slot(fd);

	barrier_full(); /* what was stored in the slot before; pairs with own_close_begin() */
	return own_closes(fd) != closes || load_relaxed(&own_closes_of_all) & OWN_CLOSES_OPEN ||
	       (slot && load_relaxed(&slot->closes) & OWN_CLOSES_OPEN);
}

#endif
