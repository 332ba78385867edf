/*
 * resource.h - fixed files and fixed buffers
 *
 * A slot of a table points to a resource; requests that use it hold a
 * reference, so a slot can be changed under them. When the last reference goes,
 * the resource's tag, if it has one, is posted as a CQE.
 *
 * All calls: driver. The kernel: struct io_rsrc_node
 */
#ifndef RS_REQUEST_RESOURCE_H
#define RS_REQUEST_RESOURCE_H

#include "base/types.h"
#include "file/file.h"

struct ring;

/* From a registration until the slot and the last request have let it go. */
struct resource {
	u32 refs;          /* (r) the slot's, and one each request */
	struct file *file; /* (c) a fixed file's; holds a reference */
	u64 addr, len;     /* (c) a fixed buffer's */
	u64 tag;           /* (c) 0: none */
	u64 unused;
};
_Static_assert(sizeof(struct resource) == 48, "slab object");

struct resource_table {
	struct resource **slots; /* (r) NULL entries are empty slots */
	u32 count;               /* (r) 0: nothing is registered */
	/* Fixed files: where IORING_FILE_INDEX_ALLOC looks for an empty slot. */
	u32 alloc_start, alloc_end; /* (r) */
	u32 alloc_hint;             /* (r) the first slot it looks at */
};

/* 0, -EBUSY if there is one, -ENOMEM. */
int resource_table_create(struct resource_table *table, u32 count);

/* Lets every slot go. 0, or -ENXIO if nothing is registered. */
int resource_table_destroy(struct ring *ring, struct resource_table *table);

/* A resource with one reference, for a slot; NULL if there is no memory. */
struct resource *resource_create(struct ring *ring, u64 tag);
void resource_put(struct ring *ring, struct resource *resource);

/* Puts `resource` (or NULL: empties it) into slot `index` of `table`; what was there is let go. */
void resource_set(struct ring *ring, struct resource_table *table, u32 index,
		  struct resource *resource);

/*
 * A new descriptor becomes a fixed file: it is taken over, whatever comes of it. `file_slot` is
 * sqe->file_index: a slot's index plus one, or IORING_FILE_INDEX_ALLOC. What the request says:
 * 0, the index that was allocated, or -ENXIO, -EINVAL, -ENFILE, -ENOMEM, -EMFILE.
 */
int resource_install_file(struct ring *ring, int fd, u32 file_slot);

/* The same for a file that is held already; the caller's reference is taken over. */
int resource_install_held(struct ring *ring, struct file *file, u32 file_slot);

/* The slot that IORING_FILE_INDEX_ALLOC gets: its index or -ENFILE. */
int resource_find_slot(const struct resource_table *table);

/* Empties a fixed file's slot: 0, -ENXIO, -EINVAL, -EBADF (it is empty). */
int resource_remove_file(struct ring *ring, u32 file_slot);

/* IORING_REGISTER_FILE_ALLOC_RANGE, checked. */
static inline void resource_alloc_range(struct resource_table *table, u32 start, u32 count)
{
	table->alloc_start = table->alloc_hint = start;
	table->alloc_end = start + count;
}

static inline struct resource *resource_lookup(const struct resource_table *table, u32 index)
{
	return index < table->count ? table->slots[index] : NULL;
}

#endif
