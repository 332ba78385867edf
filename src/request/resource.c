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
	table->count = count;
	return 0;
}

int resource_table_destroy(struct ring *ring, struct resource_table *table)
{
	if (table->count == 0)
		return -ENXIO;
	for (u32 i = 0; i < table->count; i++)
		resource_set(ring, table, i, NULL);
	pages_free(table->slots, table->count * sizeof(*table->slots));
	*table = (struct resource_table){0};
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
	if (old != NULL)
		resource_put(ring, old);
}
