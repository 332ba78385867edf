/*
 * owned.h - what own.c, own_take.c and keeper.c share: the files, and the lock over them
 */
#ifndef RS_FILE_OWNED_H
#define RS_FILE_OWNED_H

#include "base/lock.h"
#include "file/own.h"
#include "host/clock.h"

/* As many as the cache has room for. */
#define OWN_FILES CACHE_FILES

#define OWN_BACKOFF_MIN (10 * NS_PER_MS)
#define OWN_BACKOFF_MAX NS_PER_SEC

enum own_state {
	OWN_FREE,
	OWN_IDLE,   /* not ours: refused, or lost; may be tried again */
	OWN_TAKING, /* one thread asks the kernel for it: own_take.c */
	OWN_HELD,
	OWN_LOSING, /* the keeper drops its pages */
};

/* Why an entry stays though no descriptor is attached to it, and is not taken. */
#define OWN_KEEP_LOCKED    (1u << 0) /* the program has taken a POSIX lock of it (O3) */
#define OWN_KEEP_UNWATCHED (1u << 1) /* exclusive, but written in ways that nobody sees */

/* What the keeper is to do. */
#define OWN_NEEDS_LOSS (1u << 0) /* whatever is the reason */
#define OWN_NEEDS_LOOK (1u << 1) /* the kernel may want the lease back: ask it */

/* One inode, from its first descriptor to its last, or longer (keep). Fields: (l) own_lock; (t) the
 * thread that takes or loses it, by its state. */
struct owned {
	u64 dev, ino;      /* (l) */
	u32 next;          /* (l) in its bucket: index + 1, or 0 */
	u32 state;         /* (l) enum own_state; (a) to wait for a change of it: futex */
	u32 keep;          /* (l) OWN_KEEP_* */
	u64 born_ns;       /* (l) with `keep`: own_birth() */
	u32 needs;         /* (a) OWN_NEEDS_* */
	bool is_exclusive; /* (l) to be had exclusively, else under a lease */
	bool is_disowned;  /* (l) by rs_disown() */
	bool is_leased;    /* (t) */
	bool is_locked;    /* (l) by an OFD lock on lock_fd or direct_fd */
	u32 descriptors;   /* (l) to store; (a): attached */
	s32 first;         /* (l) the first of them; own_records[] chains them */
	/* (t) to store; (a): private, or -1: O_RDONLY | O_DIRECT; it carries the lease */
	s32 direct_fd;
	s32 buffered_fd;       /* (t) private, or -1: O_RDONLY */
	s32 lock_fd;           /* (t) private, or -1: O_WRONLY, for an exclusive lock */
	s32 watch;             /* (t) of inotify, or -1 */
	cache_binding binding; /* (l) to store; (a): HELD and not given up, else 0 */
	cache_binding held;    /* (l) what the keeper loses: HELD */
	u64 retry_at_ns;       /* (l) to store; (a): IDLE is not tried before */
	u64 backoff_ns;        /* (l) what is added at the next refusal or loss */
	u64 held_since_ns;     /* (l) */
	u32 opens_own;         /* (a) opens by this process since the watch */
	u32 opens_seen;        /* (o: the keeper) opens that inotify told of */
	u64 judge_at_ns;       /* (o: the keeper); (a): when the two are compared, or 0 */
	bool is_reported;      /* (o: the keeper) a foreign open, once */
};

extern struct lock own_lock;
extern struct owned own_files[OWN_FILES];
extern u32 own_files_end;  /* (l) to store; (a): entries from here on were never used */
extern u32 own_files_open; /* (a) entries whose files are open: own_take.c */

/* The first signal of the C library's own: no program can ignore it, handle it, or wait for it,
 * and blocked in the keeper, to which alone it is sent, it disturbs nobody. */
#define OWN_LEASE_SIGNAL 32

/* Takes own_lock with all signals blocked; own_unguard() takes what it returned. */
u64 own_guard(void);
void own_unguard(u64 mask);

/* own_lock held. The only writer of `state`. */
void own_set_state_locked(struct owned *owned, enum own_state state);

/* own_lock held. After a loss or a refusal: when it is tried again. */
void own_back_off_locked(struct owned *owned);

/* own_lock held. No descriptor's binding from here on. */
void own_unbind_locked(struct owned *owned);

/* own_lock held. It is not to be read from here on; the keeper loses it. */
void own_abandon_locked(struct owned *owned);

/* The file's index + 1, or 0. */
u32 own_find(const struct stat *status);

/* own_lock held. The entry ends if nothing is left that it stands for. */
void own_free_locked(struct owned *owned);

/* own_lock held. The kernel's size becomes the cache's: after a change of it, or when it may have
 * changed before the file was found to be owned. */
void own_resize_locked(struct owned *owned);

static inline struct owned *own_file(u32 index_plus_one)
{
	return &own_files[index_plus_one - 1];
}

static inline u32 own_index(const struct owned *owned)
{
	return (u32)(owned - own_files) + 1;
}

/* own_take.c: of a file in TAKING, or in LOSING, by the thread that put it there; no lock held. */

/* Opens what the cache needs and gets the lease or the lock. 0 and the binding's source, or
 * -errno, and nothing is held. `fd` is one of its descriptors, opened with `flags`. */
int own_take(struct owned *owned, int fd, int flags, struct cache_source *source);

/* Gives the lease or the lock back. */
void own_give_back(struct owned *owned);

/* own_lock held, HELD. The OFD lock makes way for one of the program's. */
void own_unlock(struct owned *owned);

/* Closes what own_take() opened. */
void own_close_files(struct owned *owned);

/* When the inode was made, in nanoseconds: its number may be another's by now. 0: unknown. */
u64 own_birth(int fd);

/* Whether trying again can help after own_take() said `err`. */
bool own_is_transient(int err);

/* Whether another process wants the lease. */
bool own_lease_is_wanted(const struct owned *owned);

/* keeper.c */

/* The keeper runs from here on: 0, or -errno. Any lock held. */
int keeper_start(void);
u32 keeper_thread_id(void);

/* It looks at every file that needs something. Any thread, any lock held. */
void keeper_kick(void);

/* Has inotify tell of opens of the exclusive file. */
void keeper_watch(struct owned *owned);
void keeper_unwatch(struct owned *owned);

void keeper_fork_child(void);

#endif
