/*
 * resource.c - fixed files and fixed buffers: tables and references (see resource.h)
 *
 * Not here: the checks of io_uring_register()'s arguments (syscall/register_resource.c).
 */
#include "request/resource.h"

#include <errno.h>

#include "base/assert.h"
#include "base/pages.h"
#include "request/ring.h"

#define RESOURCES_LIMIT (1u << 21)

int resource_table_create(struct resource_table *table, u32 count)
{
	if (table->count)
		return -EBUSY;
	table->slots = pages_alloc(count * sizeof(*table->slots));
	if (table->slots == NULL)
		return -ENOMEM;
	store_relaxed(&table->count, count); /* the reactor looks at it without the lock */
	resource_alloc_range(table, 0, count);
	return 0;
}

int resource_table_destroy(struct ring *ring, struct resource_table *table)
{
	if (table->count == 0)
		return -ENXIO;
	for (u32 i = 0; i < table->count; i++)
		resource_set(ring, table, i, NULL);
	pages_free(table->slots, table->count * sizeof(*table->slots));
	table->slots = NULL;
	table->alloc_start = table->alloc_end = table->alloc_hint = 0;
	store_relaxed(&table->count, 0);
	return 0;
}

struct resource *resource_create(struct ring *ring, u64 tag)
{
	struct resource *resource;

	if (ring->resource_slab.object_size == 0)
		slab_init(&ring->resource_slab, sizeof(struct resource), RESOURCES_LIMIT);
	resource = slab_alloc(&ring->resource_slab);
	if (resource != NULL)
		*resource = (struct resource){.refs = 1, .tag = tag};
	return resource;
}

void resource_put(struct ring *ring, struct resource *resource)
{
	rs_assert(resource->refs > 0);
	if (--resource->refs)
		return;
	if (resource->tag && ring->life == RING_ALIVE)
		ring_post(ring, resource->tag, 0, 0, NULL);
	if (resource->file)
		file_put(resource->file);
	slab_free(&ring->resource_slab, resource);
}

void resource_set(struct ring *ring, struct resource_table *table, u32 index,
		  struct resource *resource)
{
	struct resource *old = table->slots[index];

	table->slots[index] = resource;
	if (resource != NULL)
		table->alloc_hint = index + 1;
	else if (old != NULL)
		table->alloc_hint = index;
	if (old != NULL)
		resource_put(ring, old);
}

int resource_find_slot(const struct resource_table *table)
{
	u32 hint = max_of(table->alloc_hint, table->alloc_start);

	/* From the hint on, then from the start of the range. */
	for (u32 i = hint; i < table->alloc_end; i++)
		if (table->slots[i] == NULL)
			return (int)i;
	for (u32 i = table->alloc_start; i < min_of(hint, table->alloc_end); i++)
		if (table->slots[i] == NULL)
			return (int)i;
	return -ENFILE;
}

int resource_install_file(struct ring *ring, int fd, u32 file_slot)
{
	int err;
	struct file *file = file_adopt(fd, &err);

	return file != NULL ? resource_install_held(ring, file, file_slot) : err;
}

int resource_install_held(struct ring *ring, struct file *file, u32 file_slot)
{
	struct resource_table *table = &ring->files;
	bool is_allocated = file_slot == IORING_FILE_INDEX_ALLOC;
	int index = is_allocated ? resource_find_slot(table) : (int)(file_slot - 1), err;
	struct resource *resource;
	bool is_replaced;
	u32 hint;

	if (is_allocated && index < 0)
		err = index;
	else if (table->count == 0)
		err = -ENXIO;
	else if ((u32)index >= table->count)
		err = -EINVAL;
	else
		err = 0;
	resource = err ? NULL : resource_create(ring, 0);
	if (resource == NULL) {
		file_put(file);
		return err ? err : -ENOMEM;
	}
	resource->file = file;
	hint = table->alloc_hint;
	is_replaced = table->slots[index] != NULL;
	resource_set(ring, table, (u32)index, resource);
	if (is_replaced)
		table->alloc_hint = hint; /* no slot was taken: the search goes on where it was */
	return is_allocated ? index : 0;
}

int resource_remove_file(struct ring *ring, u32 file_slot)
{
	struct resource_table *table = &ring->files;
	u32 index = file_slot - 1;

	if (table->count == 0)
		return -ENXIO;
	if (index >= table->count)
		return -EINVAL;
	if (table->slots[index] == NULL)
		return -EBADF;
	resource_set(ring, table, index, NULL);
	return 0;
}
