/*
 * own_change.c - what this process does to its own files: changes of bytes and sizes, advice
 *
 * A leased file has no writer. A write to an exclusive file goes to the kernel like any other; then
 * the pages that it touched are dropped, and only then it completes. It looks for
 * the owner after the system call (O2): an owner that came meanwhile reads the new bytes,
 * one that was there before is found.
 *
 * Where a file grows, the change begins at its old end: the rest of that page, and
 * what lies between, were not in the file before.
 *
 * Locks:       own_lock for the size, so that of two that grew a file the later is believed
 * The kernel:  kiocb_invalidate_post_direct_write()
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include "cache/fill.h"
#include "file/owned.h"
#include "host/kernel.h"

/* Newer than some headers. */
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

void own_resize_locked(struct owned *owned)
{
	struct stat status;

	rs_assert(lock_is_mine(&own_lock));
	if (owned->state == OWN_HELD && owned->binding != 0 &&
	    own_status(owned->direct_fd, &status) == 0)
		cache_file_resize(owned->binding, (u64)status.st_size);
}

static bool change_init(struct own_change *change, u32 index, u64 offset, u64 end)
{
	cache_binding binding = index ? load_acquire(&own_file(index)->binding) : 0;
	u64 size, start;

	if (binding == 0)
		return false;
	size = cache_file_size(binding);
	start = min_of(offset, size);
	*change = (struct own_change){
		.drop = {.binding = binding, .offset = start, .end = end},
		.owned = index,
		.is_sized = end > size,
	};
	return offset < end;
}

/* What fd is attached to, if anything. */
static u32 attached(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);
	struct stat status;

	if (slot == NULL)
		return own_status(fd, &status) == 0 ? own_find(&status) : 0;
	if (unlikely(own_enter != 0) && load_relaxed(&own_records[fd].verified) != own_enter)
		own_verify(fd);
	if (load_relaxed(&slot->kind) == FILE_UNKNOWN)
		file_look(fd);
	return load_relaxed(&slot->owned);
}

bool own_change_begin_slow(struct own_change *change, int fd, u64 offset, u64 end)
{
	return change_init(change, attached(fd), offset, end);
}

enum cache_verdict own_change_try(struct own_change *change)
{
	struct owned *owned = own_file(change->owned);
	enum cache_verdict verdict = cache_drop_try(&change->drop);
	u64 mask;

	if (verdict == CACHE_CAUGHT)
		return CACHE_CAUGHT;
	if (verdict == CACHE_REFUSED) {
		/* A handler's write, in the midst of the cache: it is not waited for. */
		mask = own_guard();
		if (owned->binding == change->drop.binding)
			own_abandon_locked(owned);
		own_unguard(mask);
	} else if (change->is_sized) {
		mask = own_guard();
		own_resize_locked(owned);
		own_unguard(mask);
	}
	return CACHE_DONE;
}

enum cache_verdict own_change_wait(struct own_change *change, struct cache_waiter *waiter)
{
	return cache_drop_wait(&change->drop, waiter);
}

static void change_all(struct own_change *change)
{
	while (own_change_try(change) == CACHE_CAUGHT)
		cache_drop_range(change->drop.binding, change->drop.offset, change->drop.end);
}

void own_changed_slow(int fd, u64 offset, u64 end)
{
	struct own_change change;

	if (own_change_begin_slow(&change, fd, offset, end))
		change_all(&change);
}

void own_write_begin_slow(struct own_writer *writer, int fd, u64 offset, int rw_flags)
{
	u32 index = attached(fd);
	cache_binding binding = index ? load_acquire(&own_file(index)->binding) : 0;

	*writer = (struct own_writer){.position = -1};
	if (index == 0 || fd_slot(fd) == NULL)
		return;
	writer->is_owned = true;
	writer->is_append = rw_flags & RWF_APPEND || (load_relaxed(&own_records[fd].is_append) &&
						      !(rw_flags & RWF_NOAPPEND));
	writer->size = binding ? cache_file_size(binding) : 0;
	if (offset == OWN_AT_POSITION && !writer->is_append)
		writer->position = host_call(SYS_lseek, fd, 0, SEEK_CUR);
}

struct own_range own_write_range(const struct own_writer *writer, int fd, u64 offset, u64 bytes)
{
	u64 begin, end;
	s64 after;

	if (writer->is_owned && writer->is_append)
		return (struct own_range){writer->size, UINT64_MAX};
	/* Only where fd was unknown before may it append without our knowing. */
	if (offset != OWN_AT_POSITION &&
	    (writer->is_owned || (fd_slot(fd) && !load_relaxed(&own_records[fd].is_append))))
		return (struct own_range){offset, offset + bytes};
	after = host_call(SYS_lseek, fd, 0, SEEK_CUR);
	if (!writer->is_owned || writer->position < 0 || after < (s64)bytes)
		return (struct own_range){0, UINT64_MAX};
	/* Another thread's write may have moved the position as well: both ends count. */
	begin = min_of((u64)writer->position, (u64)after - bytes);
	end = max_of((u64)writer->position + bytes, (u64)after);
	return (struct own_range){begin, end};
}

void own_changed_inode(const struct stat *status)
{
	struct own_change change;

	if (load_acquire(&own_exclusive_count) > 0 &&
	    change_init(&change, own_find(status), 0, UINT64_MAX))
		change_all(&change);
}

bool own_is_exclusive(int fd)
{
	u32 index = load_acquire(&own_exclusive_count) > 0 ? attached(fd) : 0;

	return index != 0 && own_file(index)->is_exclusive;
}

/* Whole pages only, as the kernel drops them. */
static void drop_advised(cache_binding binding, u64 offset, u64 end)
{
	u64 first = (offset + 4095) & ~4095ull, last = end & ~4095ull;

	if (end >= cache_file_size(binding))
		last = UINT64_MAX;
	if (first < last)
		cache_drop_range(binding, first, last);
}

bool own_advise(int fd, u64 offset, u64 bytes, int advice)
{
	const struct fd_slot *slot = fd_slot(fd);
	u64 end = bytes && offset + bytes > offset ? offset + bytes : UINT64_MAX;
	cache_binding binding;

	/* A negative length is the kernel's to refuse. */
	if (!load_relaxed(&own_is_on) || slot == NULL || (s64)bytes < 0)
		return false;
	if (load_relaxed(&slot->kind) == FILE_UNKNOWN)
		file_look(fd);
	if (load_relaxed(&slot->owned) == 0)
		return false;
	binding = load_acquire(&slot->binding);
	switch (advice) {
	case POSIX_FADV_NORMAL:
		store_relaxed(&own_readahead(fd)->advice, READAHEAD_NORMAL);
		return false;
	case POSIX_FADV_SEQUENTIAL:
		store_relaxed(&own_readahead(fd)->advice, READAHEAD_SEQUENTIAL);
		return false;
	case POSIX_FADV_RANDOM:
		store_relaxed(&own_readahead(fd)->advice, READAHEAD_RANDOM);
		return false;
	case POSIX_FADV_WILLNEED:
		if (binding == 0)
			return false;
		cache_prefetch(binding, offset,
			       min_of(end, cache_file_size(binding)) -
				       min_of(offset, cache_file_size(binding)));
		return true;
	case POSIX_FADV_DONTNEED:
		if (binding != 0)
			drop_advised(binding, offset, end);
		return false;
	default:
		return false;
	}
}
