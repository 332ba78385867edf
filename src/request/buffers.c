/*
 * buffers.c - provided buffers (see buffers.h)
 */
#include "request/buffers.h"

#include "base/pages.h"
#include "request/ring.h"

#define GROUPS_SIZE   (65536 * sizeof(struct list_node))
#define BUFFERS_LIMIT (1u << 24)

/* The group's list; NULL if nothing was ever provided to it. */
static struct list_node *group_find(const struct ring *ring, u16 id)
{
	struct list_node *group = ring->buffer_groups ? &ring->buffer_groups[id] : NULL;

	return group && group->next ? group : NULL;
}

static struct list_node *group_make(struct ring *ring, u16 id)
{
	struct list_node *group;

	if (ring->buffer_groups == NULL) {
		ring->buffer_groups = pages_reserve(GROUPS_SIZE);
		if (ring->buffer_groups == NULL)
			return NULL;
		slab_init(&ring->buffer_slab, sizeof(struct provided_buffer), BUFFERS_LIMIT);
	}
	group = &ring->buffer_groups[id];
	if (group->next == NULL)
		list_init(group);
	return group;
}

int buffers_provide(struct ring *ring, const struct provided_buffer *first, u32 count)
{
	struct list_node *group = group_make(ring, first->group);

	if (group == NULL)
		return -ENOMEM;
	for (u32 i = 0; i < count; i++) {
		struct provided_buffer *buffer = slab_alloc(&ring->buffer_slab);

		if (buffer == NULL)
			return i ? 0 : -ENOMEM; /* as the kernel: what was added is there */
		*buffer = *first;
		buffer->addr += (u64)i * first->len;
		buffer->id = (u16)(first->id + i);
		list_add_tail(group, &buffer->node);
	}
	return 0;
}

int buffers_remove(struct ring *ring, u16 id, u32 count)
{
	struct list_node *group = group_find(ring, id);
	u32 removed = 0;

	if (group == NULL)
		return -ENOENT;
	for (; removed < count && !list_is_empty(group); removed++) {
		struct provided_buffer *buffer = list_first(group, struct provided_buffer, node);

		list_del(&buffer->node);
		slab_free(&ring->buffer_slab, buffer);
	}
	return (int)removed;
}

struct provided_buffer *buffers_take(struct request *req, u16 id)
{
	struct list_node *group = group_find(req->ring, id);
	struct provided_buffer *buffer;

	if (group == NULL || list_is_empty(group))
		return NULL;
	buffer = list_first(group, struct provided_buffer, node);
	list_del(&buffer->node);
	req->cqe_flags = IORING_CQE_F_BUFFER | (u32)buffer->id << IORING_CQE_BUFFER_SHIFT;
	return buffer;
}

void buffers_put_back(struct request *req, struct provided_buffer *buffer)
{
	list_add(&req->ring->buffer_groups[buffer->group], &buffer->node);
	req->cqe_flags = 0;
}

void buffers_free(struct ring *ring, struct provided_buffer *buffer)
{
	if (buffer != NULL)
		slab_free(&ring->buffer_slab, buffer);
}

void buffers_destroy(struct ring *ring)
{
	if (ring->buffer_groups == NULL)
		return;
	pages_free(ring->buffer_groups, GROUPS_SIZE);
	ring->buffer_groups = NULL;
	ring->buffer_slab.used = 0; /* what is still in a group ends with its ring */
	slab_destroy(&ring->buffer_slab);
}
