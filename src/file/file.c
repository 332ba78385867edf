/*
 * file.c - what a descriptor is, and holding on to it (see file.h)
 */
#include "file/file.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/pages.h"
#include "base/slab.h"
#include "file/own.h"
#include "host/fd.h"
#include "host/kernel.h"

/* More held files than numbers cannot exist, plus the detached ones. */
#define FILES_LIMIT (4 * FD_SLOTS)

struct fd_slot fd_slots[FD_SLOTS];
int file_kinds_end;

static struct lock file_lock;
static bool locked_for_fork;  /* (q: file_lock) by file_fork_prepare() */
static struct slab file_slab; /* (q: file_lock) type-stable: an object is only ever a struct file */
static int held_end;          /* (q: file_lock) numbers from here on were never held */

#define PARKED_BUCKETS 256

/* (q: file_lock) Duplicates that could not be closed, by the program's number; of none: orphans. */
static struct file *parked[PARKED_BUCKETS], *orphans;
u32 file_orphans;

static enum file_kind kind_of(const struct stat *status, int flags)
{
	if (flags & O_PATH)
		return FILE_OTHER;
	switch (status->st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		return flags & O_DIRECT ? FILE_DIRECT : FILE_REGULAR;
	case S_IFDIR:
	case S_IFLNK:
		return FILE_OTHER;
	default:
		return FILE_STREAM;
	}
}

static void kinds_end_raise(int end)
{
	int before = load_relaxed(&file_kinds_end);

	while (before < end && !compare_exchange(&file_kinds_end, &before, end))
		;
}

/* A number that was being closed while the kernel was asked may be another file's by now. */
static void kind_remember(int fd, struct fd_slot *slot, enum file_kind kind, u32 closes)
{
	if (unlikely(load_relaxed(&slot->owned) != 0))
		own_detach(fd);
	store_relaxed(&slot->kind, kind);
	if (own_is_stale(fd, closes))
		store_relaxed(&slot->kind, FILE_UNKNOWN);
}

static enum file_kind classify(int fd, bool may_take)
{
	struct fd_slot *slot = fd_slot(fd);
	enum file_kind kind = FILE_UNKNOWN;
	u32 closes = own_closes(fd);
	long flags = host_call(SYS_fcntl, fd, F_GETFL);
	struct stat status;

	if (flags >= 0 && own_status(fd, &status) == 0)
		kind = kind_of(&status, (int)flags);
	if (slot == NULL)
		return kind;
	if (kind != FILE_UNKNOWN && fd >= load_relaxed(&file_kinds_end))
		kinds_end_raise(fd + 1);
	if (load_relaxed(&own_is_on) && (kind == FILE_REGULAR || kind == FILE_DIRECT) &&
	    S_ISREG(status.st_mode))
		return own_classify(fd, closes, &status, (int)flags, may_take);
	kind_remember(fd, slot, kind, closes);
	return kind;
}

enum file_kind file_classify(int fd)
{
	return classify(fd, true);
}

enum file_kind file_look(int fd)
{
	return classify(fd, false);
}

bool file_is_nonblocking(int fd)
{
	long flags = host_call(SYS_fcntl, fd, F_GETFL);

	return flags >= 0 && flags & O_NONBLOCK;
}

static struct file *file_create(int fd)
{
	struct file *file;

	if (file_slab.object_size == 0)
		slab_init(&file_slab, 32, FILES_LIMIT);
	_Static_assert(sizeof(struct file) <= 32, "a file fits its slab object");
	file = slab_alloc(&file_slab);
	if (file != NULL)
		*file = (struct file){.fd = fd, .number = FILE_NO_NUMBER};
	return file;
}

struct file *file_hold(int fd)
{
	struct fd_slot *slot = fd_slot(fd);
	struct file *file;

	lock_acquire(&file_lock);
	file = slot ? slot->file : NULL;
	if (file == NULL) {
		file = file_create(fd);
		if (file != NULL && slot != NULL) {
			store_relaxed(&slot->file, file);
			held_end = max_of(held_end, fd + 1);
		}
	}
	if (file != NULL)
		file->refs++;
	lock_release(&file_lock);
	return file;
}

static struct file **parked_bucket(int number)
{
	return &parked[(u32)number % PARKED_BUCKETS];
}

static void park_locked(struct file *file)
{
	struct fd_slot *slot = fd_slot(file->number);
	struct file **list = slot ? parked_bucket(file->number) : &orphans;

	file->next = *list;
	*list = file;
	if (slot != NULL)
		store_relaxed(&slot->parked, true);
	else
		add_relaxed(&file_orphans, 1);
}

/* The parked duplicates of a number become orphans. */
static void orphan_locked(int number)
{
	struct file **at = parked_bucket(number), *file;

	store_relaxed(&fd_slots[number].parked, false);
	while ((file = *at) != NULL) {
		if (file->number != number) {
			at = &file->next;
			continue;
		}
		*at = file->next;
		file->number = FILE_CLOSED_NUMBER;
		park_locked(file);
	}
}

/* Whether two numbers are one open file: a number that was closed unseen may mean another. */
static bool is_same_file(int fd, int other)
{
	long pid = host_call(SYS_getpid);
	long order = host_call(SYS_kcmp, pid, pid, KCMP_FILE, fd, other);
	struct stat status, others;

	if (order >= 0)
		return order == 0;
	/* Where kcmp(2) is refused: it can only be the same file, opened again in the same way. */
	return host_call(SYS_fcntl, fd, F_GETFL) == host_call(SYS_fcntl, other, F_GETFL) &&
	       own_status(fd, &status) == 0 && own_status(other, &others) == 0 &&
	       status.st_dev == others.st_dev && status.st_ino == others.st_ino;
}

/* A parked duplicate of what number fd means now, with a reference, or NULL. */
static struct file *unpark(int fd)
{
	struct fd_slot *slot = fd_slot(fd);
	struct file **at, *file;

	if (likely(slot == NULL || !load_relaxed(&slot->parked)))
		return NULL;
	lock_acquire(&file_lock);
	for (at = parked_bucket(fd); (file = *at) != NULL; at = &file->next)
		if (file->number == fd)
			break;
	if (file != NULL && !is_same_file(fd, file->fd)) {
		orphan_locked(fd);
		file = NULL;
	}
	if (file != NULL) {
		*at = file->next;
		file->refs = 1;
	}
	lock_release(&file_lock);
	return file;
}

/* Without references, and in no list. */
static void close_or_park(struct file *file)
{
	enum fd_locks locks = fd_locks(file->fd);
	bool must_stay = locks == FD_LOCKS_OURS ||
			 (locks == FD_LOCKS_HIDDEN && file->number != FILE_CLOSED_NUMBER);
	int fd = file->fd;

	file_forget(fd);
	lock_acquire(&file_lock);
	if (must_stay)
		park_locked(file);
	else
		slab_free(&file_slab, file);
	lock_release(&file_lock);
	if (!must_stay)
		fd_close_private(fd);
}

void file_closed_slow(void)
{
	struct file *list, *file;

	if (lock_is_mine(&file_lock))
		return; /* a signal handler's close(): another one will look */
	lock_acquire(&file_lock);
	list = orphans;
	orphans = NULL;
	store_relaxed(&file_orphans, 0);
	lock_release(&file_lock);
	while ((file = list) != NULL) {
		list = file->next;
		close_or_park(file);
	}
}

/* `copy` is private, or -errno; `number`: what it is a duplicate of, or FILE_NO_NUMBER. */
static struct file *file_of_private(int copy, int number, int *err)
{
	struct file *file;

	*err = copy;
	if (copy < 0)
		return NULL;
	file_forget(copy); /* what had this private number before may have been of another kind */
	if (load_relaxed(&own_is_on))
		own_join(copy); /* a worker may write to it when the program's number is closed */
	lock_acquire(&file_lock);
	file = file_create(copy);
	if (file != NULL) {
		file->refs = 1;
		file->number = number;
	}
	lock_release(&file_lock);
	if (file == NULL) {
		fd_close_private(copy);
		*err = -ENOMEM;
	}
	return file;
}

struct file *file_duplicate(int fd, int *err)
{
	struct file *file = unpark(fd);

	if (likely(file == NULL))
		return file_of_private(fd_duplicate_private(fd), fd, err);
	if (load_relaxed(&own_is_on))
		own_join(file->fd);
	return file;
}

struct file *file_adopt(int fd, int *err)
{
	return file_of_private(fd_make_private(fd), FILE_NO_NUMBER, err);
}

void file_get(struct file *file)
{
	lock_acquire(&file_lock);
	rs_assert(file->refs > 0);
	file->refs++;
	lock_release(&file_lock);
}

void file_put(struct file *file)
{
	struct fd_slot *slot;
	bool is_private = false;

	lock_acquire(&file_lock);
	rs_assert(file->refs > 0);
	if (--file->refs == 0) {
		slot = fd_slot(file->fd);
		if (slot != NULL && slot->file == file)
			store_relaxed(&slot->file, NULL);
		else
			is_private = fd_is_private(file->fd);
		if (!is_private)
			slab_free(&file_slab, file);
	}
	lock_release(&file_lock);
	if (is_private)
		close_or_park(file);
}

struct file *file_detach(int fd)
{
	struct fd_slot *slot = fd_slot(fd);
	struct file *file;

	/* A signal handler came between in the midst of the few instructions that hold the lock. */
	if (slot == NULL || (load_relaxed(&slot->file) == NULL && !load_relaxed(&slot->parked)) ||
	    unlikely(lock_is_mine(&file_lock))) {
		file_forget(fd);
		return NULL;
	}
	lock_acquire(&file_lock);
	if (slot->parked)
		orphan_locked(fd); /* file_closed() closes them */
	file = slot->file;
	if (file != NULL) {
		int copy = fd_duplicate_private(fd);

		file_forget(copy);
		if (copy >= 0 && load_relaxed(&slot->owned) != 0)
			own_join(copy); /* before the last of the program's is gone */
		rs_assert(file->fd == fd);
		store_relaxed(&slot->file, NULL);
		file->refs++;
		file->number = FILE_CLOSED_NUMBER;
		store_release(&file->fd, copy < 0 ? -1 : copy); /* pairs with file_fd() */
	}
	lock_release(&file_lock);
	file_forget(fd);
	return file;
}

/* As rings_fork_prepare(): a handler may have interrupted its own thread with the lock held. */
void file_fork_prepare(void)
{
	locked_for_fork = !lock_is_mine(&file_lock);
	if (locked_for_fork)
		lock_acquire(&file_lock);
}

void file_fork_parent(void)
{
	if (locked_for_fork)
		lock_release(&file_lock);
}

void file_fork_child(void)
{
	/* Who holds them is the parent's. Here a close() is to close, not to move the file away. */
	for (int fd = 0; fd < held_end; fd++)
		fd_slots[fd].file = NULL;
	held_end = 0;
	/* Their private numbers were closed by fd_fork_child(); locks are not inherited. */
	for (u32 i = 0; i < PARKED_BUCKETS; i++) {
		for (struct file *file = parked[i]; file != NULL; file = file->next)
			fd_slots[file->number].parked = false;
		parked[i] = NULL;
	}
	orphans = NULL;
	file_orphans = 0;
	file_lock = LOCK_INIT;
}
