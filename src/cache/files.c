/*
 * files.c - files of the cache, their arrays of page words, and bindings
 *
 * A file's words are an array in address space that has memory only where it was
 * written: a lookup is one load. Its memory comes and goes by leaves of 512 words (one
 * page of memory, 2 MiB of the file), each of which counts against the limit while
 * one of its pages is present.
 *
 * A struct cached_file and its array are never unmapped, only used again for another
 * file: a reader that still has an old binding looks at memory that is there, and then
 * sees by the serial number that it is not its file's. Only if the next file needs a
 * larger array is the old one left behind: untouched, it costs address space, and
 * capacities at least double, so all that are left together are smaller than the last.
 *
 *     closed (serial n) --cache_file_open()--> open (n + 1) --cache_file_lose()--> closed (n + 2)
 *
 * Entry:       cache_file_open(); closing is drop.c's
 * Invariants:  B1 a binding is valid exactly while its file's serial number is the binding's
 *              B2 words of a closed file are 0, and have no memory
 * Locks:       the cache lock
 * The kernel:  struct address_space; there the array is a tree, and RCU does what serials do here
 */
#include <sys/mman.h>

#include "base/pages.h"
#include "cache/internal.h"
#include "host/kernel.h"

/* A file may grow beyond what it was when it was opened by so many pages, or double. */
#define GROWTH_PAGES 16384u

struct cached_file cache_files[CACHE_FILES];

static u64 leaves_of(u64 capacity)
{
	return (capacity + LEAF_WORDS - 1) / LEAF_WORDS;
}

/* The array of words, and behind it that of the leaves' counts; both in whole pages. */
static u64 words_bytes(u64 capacity)
{
	return leaves_of(capacity) * PAGE_BYTES;
}

static u64 counts_bytes(u64 capacity)
{
	u64 bytes = leaves_of(capacity) * sizeof(u16);

	return (bytes + PAGE_BYTES - 1) & ~((u64)PAGE_BYTES - 1);
}

/* A power of two, so that files of about a size can use each other's arrays. */
static u64 capacity_for(u64 size)
{
	u64 pages = (size >> PAGE_SHIFT) + 1, wanted = max_of(2 * pages, pages + GROWTH_PAGES);

	return 1ull << (64 - __builtin_clzll(wanted - 1));
}

static struct cached_file *find_closed(u64 capacity)
{
	struct cached_file *best = NULL;

	for (u32 i = 0; i < CACHE_FILES; i++) {
		struct cached_file *file = &cache_files[i];

		if (file->is_open)
			continue;
		if (file->capacity >= capacity)
			return file;
		/* Rather one without an array than one whose array would be left behind. */
		if (best == NULL || file->capacity < best->capacity)
			best = file;
		if (file->capacity == 0)
			break; /* nor has any behind it */
	}
	return best;
}

static int file_give_array(struct cached_file *file, u64 capacity)
{
	char *array = pages_reserve(words_bytes(capacity) + counts_bytes(capacity));

	if (array == NULL)
		return -ENOMEM;
	host_call(SYS_madvise, array, words_bytes(capacity) + counts_bytes(capacity),
		  MADV_DONTFORK);
	store_release(&file->words, (u64 *)(void *)array);
	file->leaf_counts = (u16 *)(void *)(array + words_bytes(capacity));
	/* After the array: who sees this capacity sees an array that has it. */
	store_release(&file->capacity, capacity);
	return 0;
}

cache_binding cache_file_open(const struct cache_source *source)
{
	u64 capacity = capacity_for(source->size);
	cache_binding binding = 0;
	struct cached_file *file;

	lock_acquire(&cache_lock);
	file = find_closed(capacity);
	if (file == NULL || capacity >> 40)
		goto out;
	if (file->capacity < capacity && file_give_array(file, capacity))
		goto out;
	if (frames_charge(counts_bytes(file->capacity)))
		goto out;
	file->direct_fd = source->direct_fd;
	file->buffered_fd = source->buffered_fd;
	file->cold_asks = 0;
	file->is_open = true;
	store_release(&file->size, source->size);
	store_release(&file->serial, file->serial + 1);
	binding = file->serial * CACHE_FILES + file_index(file);
out:
	lock_release(&cache_lock);
	return binding;
}

void file_closed_locked(struct cached_file *file)
{
	rs_assert(file->pages == 0);
	host_call(SYS_madvise, file->leaf_counts, counts_bytes(file->capacity), MADV_DONTNEED);
	frames_uncharge(counts_bytes(file->capacity));
	file->is_open = false;
}

bool cache_file_is_current(cache_binding binding)
{
	return binding != 0 && load_full(&binding_file(binding)->serial) == binding_serial(binding);
}

u64 cache_file_size(cache_binding binding)
{
	return load_acquire(&binding_file(binding)->size);
}

void cache_file_resize(cache_binding binding, u64 size)
{
	lock_acquire(&cache_lock);
	if (cache_file_is_current(binding))
		store_release(&binding_file(binding)->size, size);
	lock_release(&cache_lock);
}

int leaf_get(struct cached_file *file, u64 page)
{
	u16 *count = &file->leaf_counts[page / LEAF_WORDS];

	if (*count == 0 && frames_charge(PAGE_BYTES))
		return -ENOMEM;
	(*count)++;
	file->pages++;
	return 0;
}

void leaf_put(struct cached_file *file, u64 page)
{
	u64 leaf = page / LEAF_WORDS;

	rs_assert(file->leaf_counts[leaf] > 0 && file->pages > 0);
	file->pages--;
	if (--file->leaf_counts[leaf] > 0)
		return;
	/* All its words are 0, and stay so: what is absent is changed under the cache lock only. */
	host_call(SYS_madvise, &file->words[leaf * LEAF_WORDS], PAGE_BYTES, MADV_DONTNEED);
	frames_uncharge(PAGE_BYTES);
}

void files_destroy(void)
{
	for (u32 i = 0; i < CACHE_FILES; i++) {
		struct cached_file *file = &cache_files[i];

		rs_assert(!file->is_open);
		if (file->words != NULL)
			pages_free(file->words,
				   words_bytes(file->capacity) + counts_bytes(file->capacity));
		file->words = NULL;
		file->capacity = 0;
	}
}

/* Arrays and pages were the parent's; the serials go on, so no binding of the parent's is good. */
void files_fork_child(void)
{
	for (u32 i = 0; i < CACHE_FILES; i++) {
		struct cached_file *file = &cache_files[i];

		if (file->is_open)
			file->serial++;
		file->is_open = false;
		file->words = NULL;
		file->capacity = 0;
		file->pages = 0;
	}
}
