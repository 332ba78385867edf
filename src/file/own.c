/*
 * own.c - which files are owned, and what is attached to them (see own.h)
 *
 * One entry an inode, found by device and number. A descriptor is attached to it from
 * its first request until its number is closed; the entry ends with the last of them.
 * What takes system calls that may block is done without the lock, by the one
 * thread that put the entry in TAKING, or the keeper, which puts it in LOSING.
 *
 * Locks:       own_lock, with all signals blocked, so that no handler finds it held by its own
 *              thread
 * Not here:    what the kernel is asked (own_take.c), the thread that loses files (keeper.c), what
 *              writes do (own_change.c)
 */
#include "file/own.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/pages.h"
#include "file/owned.h"
#include "host/futex.h"
#include "host/kernel.h"
#include "host/memory.h"
#include "host/sigaction.h"

#define BUCKETS 1024u

/* The program's descriptors that ours may be compared to: one part in so many. */
#define FILES_PART 8

#define DEVICE_DEPTH 256u
#define PATTERN_MAX  512

bool own_is_on;
u32 own_exclusive_count;
u32 own_closes_of_all;
struct own_record own_records[FD_SLOTS];
__thread u32 own_enter __attribute__((tls_model("initial-exec")));

struct lock own_lock;
struct owned own_files[OWN_FILES];
u32 own_files_end;
u32 own_files_open;

static u32 buckets[BUCKETS];   /* (l) index + 1, or 0 */
static u32 files_limit;        /* (l) of those whose files we have opened */
static int attached_end;       /* (l) numbers from here on were never attached */
static bool is_started;        /* (l) the cache was made, or cannot be */
static bool locks_are_unknown; /* (l) POSIX locks of the program that found no entry */
static u64 cache_bytes;        /* (l) */
static const char *globs;      /* (c) once own_is_on */
static struct aio_device device;

long own_status(int fd, struct stat *status)
{
#ifdef SYS_newfstatat
	return host_call(SYS_newfstatat, fd, "", status, AT_EMPTY_PATH);
#else
	return host_call(SYS_fstat, fd, status);
#endif
}

u64 own_guard(void)
{
	u64 all = ~0ull, mask = 0;

	sigmask_set(SIG_SETMASK, &all, &mask);
	lock_acquire(&own_lock);
	return mask;
}

void own_unguard(u64 mask)
{
	lock_release(&own_lock);
	sigmask_set(SIG_SETMASK, &mask, NULL);
}

/* Start */

int own_start(u64 bytes, const char *patterns)
{
	u64 mask;
	int err = 0;

	if (bytes < CACHE_LIMIT_MIN)
		return -EINVAL;
	if (bytes > memory_bytes())
		return -ENOMEM;
	mask = own_guard();
	if (is_started && bytes != cache_bytes) {
		err = -EBUSY;
	} else {
		cache_bytes = bytes;
		if (patterns != NULL)
			globs = patterns;
		store_release(&own_is_on, true);
	}
	own_unguard(mask);
	return err;
}

/* Our descriptors come out of the program's number. */
static u32 limit_files(void)
{
	struct rlimit limit;

	if (host_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return OWN_FILES / FILES_PART;
	return (u32)min_of((u64)OWN_FILES, (u64)limit.rlim_cur / FILES_PART);
}

/* The cache, its device and the keeper, at the first file. */
static void start_locked(void)
{
	int err = keeper_start();

	is_started = true;
	files_limit = limit_files();
	if (!err)
		err = aio_device_init(&device, DEVICE_DEPTH);
	if (!err)
		err = cache_init(cache_bytes, &device.device);
	if (!err)
		return;
	log_warn("no page cache: error %d; files are read through the kernel's", -err);
	store_relaxed(&own_is_on, false);
}

/* Entries */

static u32 *bucket_of(u64 dev, u64 ino)
{
	return &buckets[(ino * 0x9e3779b97f4a7c15ull ^ dev * 0xff51afd7ed558ccdull) >> 40 &
			(BUCKETS - 1)];
}

static struct owned *find_locked(u64 dev, u64 ino)
{
	for (u32 index = *bucket_of(dev, ino); index; index = own_file(index)->next)
		if (own_file(index)->dev == dev && own_file(index)->ino == ino)
			return own_file(index);
	return NULL;
}

static struct owned *create_locked(u64 dev, u64 ino)
{
	u32 *bucket = bucket_of(dev, ino), index = 0;
	struct owned *owned;

	while (index < own_files_end && own_files[index].state != OWN_FREE)
		index++;
	if (index == OWN_FILES)
		return NULL;
	store_release(&own_files_end, max_of(own_files_end, index + 1));
	owned = &own_files[index];
	/* The keeper may still be looking at what the entry was, without the lock. */
	store_relaxed(&owned->needs, 0);
	store_relaxed(&owned->descriptors, 0);
	store_relaxed(&owned->direct_fd, -1);
	store_relaxed(&owned->binding, 0);
	store_relaxed(&owned->retry_at_ns, 0);
	store_relaxed(&owned->opens_own, 0);
	store_relaxed(&owned->judge_at_ns, 0);
	owned->dev = dev;
	owned->ino = ino;
	owned->next = *bucket;
	owned->keep = 0;
	owned->born_ns = 0;
	owned->is_exclusive = owned->is_disowned = false;
	owned->is_leased = owned->is_locked = owned->is_reported = false;
	owned->first = owned->buffered_fd = owned->lock_fd = owned->watch = -1;
	owned->held = 0;
	owned->backoff_ns = OWN_BACKOFF_MIN;
	owned->held_since_ns = 0;
	owned->opens_seen = 0;
	store_release(&owned->state, OWN_IDLE); /* pairs with is_concerned() */
	*bucket = own_index(owned);
	return owned;
}

void own_free_locked(struct owned *owned)
{
	u32 *link = bucket_of(owned->dev, owned->ino);

	if (owned->state != OWN_IDLE || owned->descriptors || owned->keep ||
	    owned->direct_fd >= 0 || owned->buffered_fd >= 0 || owned->lock_fd >= 0)
		return;
	while (*link != own_index(owned))
		link = &own_file(*link)->next;
	*link = owned->next;
	if (owned->is_exclusive)
		sub_full(&own_exclusive_count, 1);
	store_relaxed(&owned->state, OWN_FREE);
}

void own_set_state_locked(struct owned *owned, enum own_state state)
{
	static const u8 from[] = {
		[OWN_IDLE] = 1u << OWN_TAKING | 1u << OWN_LOSING,
		[OWN_TAKING] = 1u << OWN_IDLE,
		[OWN_HELD] = 1u << OWN_TAKING,
		[OWN_LOSING] = 1u << OWN_HELD | 1u << OWN_IDLE,
	};

	rs_assert(from[state] >> owned->state & 1);
	store_release(&owned->state, state);
	futex_wake(&owned->state, FUTEX_ALL); /* own_own(), own_lock_begin() */
}

void own_back_off_locked(struct owned *owned)
{
	u64 now = clock_ns(CLOCK_MONOTONIC);

	/* Held for a while: what has gone before does not count. */
	if (owned->held_since_ns && now - owned->held_since_ns > OWN_BACKOFF_MAX)
		owned->backoff_ns = OWN_BACKOFF_MIN;
	owned->held_since_ns = 0;
	store_relaxed(&owned->retry_at_ns, now + owned->backoff_ns);
	owned->backoff_ns = min_of(2 * owned->backoff_ns, OWN_BACKOFF_MAX);
}

/* What was found out about numbers when this file was nobody's is forgotten: one of them may be a
 * descriptor of it that is written to (O2). */
static void make_exclusive_locked(struct owned *owned)
{
	if (owned->is_exclusive)
		return;
	owned->is_exclusive = true;
	add_full(&own_exclusive_count, 1);
	for (int fd = 0; fd < load_relaxed(&file_kinds_end); fd++)
		if (load_relaxed(&fd_slots[fd].owned) == 0)
			store_relaxed(&fd_slots[fd].kind, FILE_UNKNOWN);
}

/* Descriptors */

/* The descriptors first: whoever changed the file and finds no owner, will read past the cache. */
void own_unbind_locked(struct owned *owned)
{
	for (int fd = owned->first; fd >= 0; fd = own_records[fd].next)
		store_release(&fd_slots[fd].binding, 0);
	store_release(&owned->binding, 0);
}

static void detach_locked(int fd)
{
	struct fd_slot *slot = &fd_slots[fd];
	struct own_record *record = &own_records[fd];
	struct owned *owned;

	if (slot->owned == 0)
		return;
	owned = own_file(slot->owned);
	store_release(&slot->binding, 0);
	store_relaxed(&slot->kind, FILE_UNKNOWN);
	store_relaxed(&slot->owned, 0);
	if (record->next >= 0)
		own_records[record->next].prev = record->prev;
	if (record->prev >= 0)
		own_records[record->prev].next = record->next;
	else
		owned->first = record->next;
	store_relaxed(&owned->descriptors, owned->descriptors - 1);
	if (owned->descriptors > 0)
		return;
	own_free_locked(owned);
	/* The others are waited for: by who takes it, or by the keeper, to whom this is news. */
	if (owned->state == OWN_HELD || owned->state == OWN_IDLE)
		keeper_kick();
}

static void attach_locked(struct owned *owned, int fd, int flags)
{
	struct own_record *record = &own_records[fd];

	store_relaxed(&record->is_append, (flags & O_APPEND) != 0);
	if (fd_slots[fd].owned == own_index(owned))
		return;
	detach_locked(fd);
	*record = (struct own_record){
		.next = owned->first,
		.prev = -1,
		.verified = own_enter,
		.is_append = flags & O_APPEND,
	};
	if (owned->first >= 0)
		own_records[owned->first].prev = fd;
	owned->first = fd;
	store_relaxed(&owned->descriptors, owned->descriptors + 1);
	attached_end = max_of(attached_end, fd + 1);
	store_relaxed(&fd_slots[fd].owned, own_index(owned));
}

void own_detach(int fd)
{
	u64 mask = own_guard();

	detach_locked(fd);
	own_unguard(mask);
}

struct readahead *own_readahead(int fd)
{
	return &own_records[fd].readahead;
}

/* Taking */

/* How the file of a descriptor may be had. */
enum wish { WISH_NONE, WISH_LEASE, WISH_EXCLUSIVE };

static bool is_listed(int fd)
{
	char link[32], path[PATH_MAX], pattern[PATTERN_MAX];
	const char *item = globs;
	long len;

	if (item == NULL || *item == '\0')
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = host_call(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	if (len <= 0)
		return false;
	path[len] = '\0';
	for (size_t size; *item; item += size + (item[size] == ':')) {
		size = strcspn(item, ":");
		if (size == 0 || size >= sizeof(pattern))
			continue;
		memcpy(pattern, item, size);
		pattern[size] = '\0';
		if (fnmatch(pattern, path, FNM_PATHNAME) == 0)
			return true;
	}
	return false;
}

static bool is_readable(int flags)
{
	return (flags & O_ACCMODE) != O_WRONLY && !(flags & O_DIRECT);
}

static bool may_take_locked(const struct owned *owned, u64 now)
{
	if (owned->state != OWN_IDLE || owned->is_disowned || owned->descriptors == 0 ||
	    owned->keep & OWN_KEEP_UNWATCHED || now < owned->retry_at_ns)
		return false;
	if (!is_started)
		start_locked();
	if (!load_relaxed(&own_is_on))
		return false;
	if (owned->direct_fd >= 0)
		return true;
	/* O3: opening its files and moving them up closes a descriptor of it. */
	return !(owned->keep & OWN_KEEP_LOCKED) && !locks_are_unknown &&
	       load_relaxed(&own_files_open) < files_limit;
}

static void bind_locked(struct owned *owned, cache_binding binding)
{
	own_set_state_locked(owned, OWN_HELD);
	owned->held_since_ns = clock_ns(CLOCK_MONOTONIC);
	owned->held = binding;
	store_release(&owned->binding, binding);
	/* What grew before it was to be found is seen now, before anybody reads it: O2. */
	if (owned->is_exclusive) {
		barrier_full();
		own_resize_locked(owned);
	}
	for (int fd = owned->first; fd >= 0; fd = own_records[fd].next)
		if (load_relaxed(&fd_slots[fd].kind) == FILE_OWNED)
			store_release(&fd_slots[fd].binding, binding);
}

/* Nothing that we could wait for will change that. */
static void refuse_for_good_locked(struct owned *owned)
{
	store_relaxed(&owned->retry_at_ns, UINT64_MAX);
	while (!owned->is_exclusive && owned->first >= 0) {
		int fd = owned->first;

		detach_locked(fd);
		store_relaxed(&fd_slots[fd].kind, FILE_REGULAR);
	}
}

/* A file in TAKING: it becomes HELD, or IDLE. 0 or -errno. */
static int take(struct owned *owned, int fd, int flags)
{
	struct cache_source source;
	cache_binding binding = 0;
	int err = own_take(owned, fd, flags, &source);
	u64 mask;

	if (!err) {
		binding = cache_file_open(&source);
		if (binding == 0) {
			own_give_back(owned);
			err = -ENOMEM;
		}
	}
	if (err)
		own_close_files(owned);
	mask = own_guard();
	if (!err) {
		bind_locked(owned, binding);
	} else {
		own_set_state_locked(owned, OWN_IDLE);
		own_back_off_locked(owned);
		if (!own_is_transient(err))
			refuse_for_good_locked(owned);
		own_free_locked(owned);
	}
	own_unguard(mask);
	if (err)
		return err;
	/* The lease may have been asked back, or the last descriptor closed, before anybody
	 * could be told. */
	or_full(&owned->needs, OWN_NEEDS_LOOK);
	keeper_kick();
	return 0;
}

/* The file that fd is attached to from here on, or NULL. */
static struct owned *attach_by_wish_locked(int fd, const struct stat *status, int flags,
					   enum wish wish)
{
	struct owned *owned = find_locked(status->st_dev, status->st_ino);

	if (owned && owned->keep && owned->descriptors == 0 && owned->born_ns != own_birth(fd)) {
		owned->keep = 0; /* that inode is no more */
		own_free_locked(owned);
		owned = find_locked(status->st_dev, status->st_ino);
	}
	if (owned && owned->is_exclusive)
		wish = WISH_EXCLUSIVE;
	if (wish == WISH_NONE)
		return NULL;
	if (owned == NULL && is_readable(flags))
		owned = create_locked(status->st_dev, status->st_ino);
	if (owned == NULL)
		return NULL;
	if (wish == WISH_EXCLUSIVE)
		make_exclusive_locked(owned);
	attach_locked(owned, fd, flags);
	return owned;
}

static enum file_kind plain_kind(int flags)
{
	return flags & O_DIRECT ? FILE_DIRECT : FILE_REGULAR;
}

static enum wish wish_of(int fd, int flags)
{
	if (is_listed(fd))
		return WISH_EXCLUSIVE;
	return (flags & (O_ACCMODE | O_DIRECT)) == O_RDONLY ? WISH_LEASE : WISH_NONE;
}

enum file_kind own_classify(int fd, u32 closes, const struct stat *status, int flags, bool may_take)
{
	enum file_kind kind = plain_kind(flags);
	enum wish wish = wish_of(fd, flags);
	struct fd_slot *slot = &fd_slots[fd];
	u64 mask = own_guard();
	struct owned *owned = attach_by_wish_locked(fd, status, flags, wish);

	if (owned == NULL)
		detach_locked(fd);
	else if (is_readable(flags))
		kind = FILE_OWNED;
	store_relaxed(&slot->kind, kind);
	if (owned != NULL)
		store_release(&slot->binding, kind == FILE_OWNED ? owned->binding : 0);
	if (own_is_stale(fd, closes)) {
		detach_locked(fd);
		store_relaxed(&slot->kind, FILE_UNKNOWN);
		may_take = false;
	}
	may_take = may_take && kind == FILE_OWNED && !cache_is_entered() &&
		   may_take_locked(owned, clock_ns(CLOCK_MONOTONIC));
	if (may_take)
		own_set_state_locked(owned, OWN_TAKING);
	own_unguard(mask);
	if (may_take)
		take(owned, fd, flags);
	return kind;
}

cache_binding own_try_again(int fd)
{
	struct fd_slot *slot = &fd_slots[fd];
	u32 index = load_relaxed(&slot->owned);
	const struct owned *owned;

	if (index == 0)
		return 0;
	owned = own_file(index);
	if (load_relaxed(&owned->state) != OWN_IDLE ||
	    clock_ns(CLOCK_MONOTONIC) < load_relaxed(&owned->retry_at_ns))
		return 0;
	return file_classify(fd) == FILE_OWNED ? load_acquire(&slot->binding) : 0;
}

cache_binding own_verify(int fd)
{
	struct fd_slot *slot = &fd_slots[fd];
	u32 index = load_relaxed(&slot->owned);
	cache_binding binding;
	struct stat status;

	store_relaxed(&own_records[fd].verified, own_enter);
	if (index == 0 || own_status(fd, &status) < 0 || status.st_dev != own_file(index)->dev ||
	    status.st_ino != own_file(index)->ino) {
		own_detach(fd);
		if (file_classify(fd) != FILE_OWNED)
			return 0;
		store_relaxed(&own_records[fd].verified, own_enter);
	}
	binding = load_acquire(&slot->binding); /* pairs with bind_locked() */
	return binding ? binding : own_try_again(fd);
}

u32 own_enter_begin(void)
{
	static u32 enters;
	u32 before = own_enter;

	if (!load_relaxed(&own_is_on))
		return before;
	do
		own_enter = add_relaxed(&enters, 1) + 1;
	while (unlikely(own_enter == 0));
	return before;
}

void own_enter_end(u32 before)
{
	own_enter = before;
}

/* Numbers */

void own_close_all_begin(void)
{
	if (load_relaxed(&own_is_on))
		add_full(&own_closes_of_all, OWN_CLOSE_ONE);
}

void own_close_all_end(void)
{
	if (load_relaxed(&own_closes_of_all) & OWN_CLOSES_OPEN)
		sub_full(&own_closes_of_all, 1);
}

void own_join(int fd)
{
	u32 closes = own_closes(fd);
	long flags = host_call(SYS_fcntl, fd, F_GETFL);
	struct stat status;
	struct owned *owned;
	u64 mask;

	if (flags < 0 || own_status(fd, &status) < 0)
		return;
	mask = own_guard();
	owned = find_locked(status.st_dev, status.st_ino);
	if (owned && owned->descriptors > 0) {
		attach_locked(owned, fd, (int)flags);
		store_relaxed(&fd_slots[fd].kind,
			      is_readable((int)flags) ? FILE_OWNED : plain_kind((int)flags));
		if (is_readable((int)flags))
			store_release(&fd_slots[fd].binding, owned->binding);
		if (own_is_stale(fd, closes))
			detach_locked(fd);
	}
	own_unguard(mask);
}

static void keep_locked(struct owned *owned, int fd, u32 reason)
{
	owned->keep |= reason;
	owned->born_ns = own_birth(fd);
}

void own_lock_begin_slow(int fd, bool is_posix)
{
	struct owned *owned;
	struct stat status;
	u64 mask;

	if (own_status(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return;
	for (;;) {
		u32 state;

		mask = own_guard();
		owned = find_locked(status.st_dev, status.st_ino);
		if (owned == NULL && is_posix)
			owned = create_locked(status.st_dev, status.st_ino);
		if (owned == NULL)
			break;
		if (is_posix)
			keep_locked(owned, fd, OWN_KEEP_LOCKED);
		if (owned->state == OWN_HELD && owned->is_locked)
			own_unlock(owned);
		state = owned->state;
		if (state != OWN_TAKING && state != OWN_LOSING &&
		    (owned->direct_fd < 0 || owned->descriptors > 0))
			break;
		/* Its files are being closed, or opened and moved: O3. */
		own_unguard(mask);
		futex_wait(&owned->state, state, NS_PER_MS);
	}
	locks_are_unknown |= owned == NULL && is_posix;
	own_unguard(mask);
}

void own_unwatched_slow(int fd)
{
	long flags = host_call(SYS_fcntl, fd, F_GETFL);
	bool may_be_owned = is_listed(fd);
	struct owned *owned;
	struct stat status;
	u64 mask;

	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || own_status(fd, &status) < 0 ||
	    !S_ISREG(status.st_mode))
		return;
	mask = own_guard();
	owned = find_locked(status.st_dev, status.st_ino);
	if (owned == NULL && may_be_owned)
		owned = create_locked(status.st_dev, status.st_ino);
	if (owned != NULL) {
		keep_locked(owned, fd, OWN_KEEP_UNWATCHED);
		own_abandon_locked(owned);
	}
	own_unguard(mask);
}

void own_opened_slow(int fd, int flags)
{
	struct owned *owned;
	struct stat status;
	u64 mask;

	if (load_acquire(&own_exclusive_count) == 0 || own_status(fd, &status) < 0)
		return;
	mask = own_guard();
	owned = find_locked(status.st_dev, status.st_ino);
	if (owned != NULL)
		add_relaxed(&owned->opens_own, 1);
	own_unguard(mask);
	if (owned != NULL && flags & O_TRUNC)
		own_changed_inode(&status);
}

void own_abandon_locked(struct owned *owned)
{
	if (owned->state != OWN_HELD)
		return;
	own_unbind_locked(owned);
	or_full(&owned->needs, OWN_NEEDS_LOSS);
	keeper_kick();
}

u32 own_find(const struct stat *status)
{
	u64 mask = own_guard();
	struct owned *owned = find_locked(status->st_dev, status->st_ino);

	own_unguard(mask);
	return owned ? own_index(owned) : 0;
}

void own_fork_child(void)
{
	if (!load_relaxed(&own_is_on))
		return;
	for (int fd = 0; fd < attached_end; fd++) {
		fd_slots[fd].owned = 0;
		fd_slots[fd].binding = 0;
		fd_slots[fd].closes = 0;
		if (fd_slots[fd].kind == FILE_OWNED)
			fd_slots[fd].kind = FILE_UNKNOWN;
	}
	memset(own_files, 0, own_files_end * sizeof(*own_files));
	memset(buckets, 0, sizeof(buckets));
	attached_end = 0;
	own_files_end = own_files_open = 0;
	own_exclusive_count = own_closes_of_all = own_enter = 0;
	own_lock = LOCK_INIT;
	keeper_fork_child();
	/* A cache of its own would be a second one of the size that the user gave to one. */
	if (is_started) {
		cache_fork_child();
		aio_device_fork_child(&device);
		own_is_on = false;
	}
}

/* The public calls */

int own_own(int fd, enum own_mode mode)
{
	enum wish wish = mode == OWN_LEASE ? WISH_LEASE : WISH_EXCLUSIVE;
	u32 closes = own_closes(fd);
	long flags = host_call(SYS_fcntl, fd, F_GETFL);
	struct owned *owned;
	struct stat status;
	u64 mask;
	int err;

	if (flags < 0 || own_status(fd, &status) < 0 || flags & O_PATH ||
	    (flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (!S_ISREG(status.st_mode) || flags & O_DIRECT || fd_slot(fd) == NULL ||
	    fd_slot(fd)->ring != NULL)
		return -EINVAL;
	if (wish == WISH_LEASE && (flags & O_ACCMODE) != O_RDONLY)
		return -EINVAL;
	for (;;) {
		u32 state;

		mask = own_guard();
		owned = attach_by_wish_locked(fd, &status, (int)flags, wish);
		err = owned ? 0 : -ENFILE;
		if (err)
			break;
		store_relaxed(&fd_slots[fd].kind, FILE_OWNED);
		store_release(&fd_slots[fd].binding, owned->binding);
		if (own_is_stale(fd, closes)) {
			detach_locked(fd);
			err = -EBADF;
			break;
		}
		owned->is_disowned = false;
		store_relaxed(&owned->retry_at_ns, 0);
		state = owned->state;
		if (state == OWN_HELD && owned->binding != 0)
			break;
		if (state == OWN_IDLE) {
			err = may_take_locked(owned, 0) ? 1 : -EBUSY;
			if (err > 0)
				own_set_state_locked(owned, OWN_TAKING);
			break;
		}
		own_unguard(mask);
		futex_wait(&owned->state, state, NS_PER_MS);
	}
	own_unguard(mask);
	if (err > 0)
		err = take(owned, fd, (int)flags);
	/* That the file system has no O_DIRECT, or no leases. */
	return err == -EINVAL ? -EOPNOTSUPP : err;
}

int own_disown(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);
	struct owned *owned = NULL;
	u64 mask;

	if (host_call(SYS_fcntl, fd, F_GETFD) < 0)
		return -EBADF;
	for (;;) {
		u32 state;

		mask = own_guard();
		owned = slot && slot->owned ? own_file(slot->owned) : NULL;
		if (owned == NULL)
			break;
		owned->is_disowned = true;
		own_abandon_locked(owned);
		state = owned->state;
		if (state == OWN_IDLE)
			break;
		own_unguard(mask);
		futex_wait(&owned->state, state, NS_PER_MS);
	}
	own_unguard(mask);
	return owned ? 0 : -ENOENT;
}
