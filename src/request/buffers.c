/*
 * buffers.c - provided buffers, in lists and in rings (see buffers.h)
 */
#include "request/buffers.h"

#include <sys/mman.h>

#include "base/pages.h"
#include "host/kernel.h"
#include "host/usercopy.h"
#include "request/ring.h"

#define BUFFERS_LIMIT (1u << 24)

/* One each id, in an array that is not touched where nobody uses it. */
struct buffer_group {
	/* (r) struct provided_buffer, oldest first; next == NULL: never a list */
	struct list_node listed;
	struct io_uring_buf *entries; /* (r) shared; NULL: not a ring */
	u32 min_left;                 /* (r) incremental: a buffer with less left is used up */
	u16 head;                     /* (r) the next buffer to use, modulo the entries */
	u8 entry_order;               /* (r) there are 1 << entry_order entries */
	bool is_mapped : 1;           /* (r) `entries` is a mapping of ours */
	bool is_incremental : 1;      /* (r) buffers are used piece by piece */
	u32 listed_count;             /* (r) buffers in `listed` */
};
_Static_assert(sizeof(struct buffer_group) == 40, "65536 of them are reserved");

#define GROUPS_SIZE (BUFFER_GROUPS * sizeof(struct buffer_group))

static bool is_ring(const struct buffer_group *group)
{
	return group->entries != NULL;
}

static u32 entry_count(const struct buffer_group *group)
{
	return 1u << group->entry_order;
}

/* NULL if there is no such group. */
static struct buffer_group *group_find(const struct ring *ring, u16 id)
{
	struct buffer_group *group = ring->buffer_groups ? &ring->buffer_groups[id] : NULL;

	return group && (group->listed.next || is_ring(group)) ? group : NULL;
}

static struct buffer_group *group_make(struct ring *ring, u16 id)
{
	if (ring->buffer_groups == NULL) {
		ring->buffer_groups = pages_reserve(GROUPS_SIZE);
		if (ring->buffer_groups == NULL)
			return NULL;
		slab_init(&ring->buffer_slab, sizeof(struct provided_buffer), BUFFERS_LIMIT);
	}
	return &ring->buffer_groups[id];
}

int buffers_provide(struct ring *ring, const struct provided_buffer *first, u32 count)
{
	struct buffer_group *group = group_make(ring, first->group);

	if (group == NULL)
		return -ENOMEM;
	if (is_ring(group))
		return -EINVAL;
	if (group->listed.next == NULL)
		list_init(&group->listed);
	for (u32 i = 0; i < count; i++) {
		bool is_full = group->listed_count >= UINT16_MAX;
		struct provided_buffer *buffer = is_full ? NULL : slab_alloc(&ring->buffer_slab);

		/* As in the kernel: what was added is there. */
		if (buffer == NULL && i > 0)
			return 0;
		if (buffer == NULL)
			return is_full ? -EOVERFLOW : -ENOMEM;
		*buffer = *first;
		buffer->addr += (u64)i * first->len;
		buffer->id = (u16)(first->id + i);
		list_add_tail(&group->listed, &buffer->node);
		group->listed_count++;
	}
	return 0;
}

int buffers_remove(struct ring *ring, u16 id, u32 count)
{
	struct buffer_group *group = group_find(ring, id);
	u32 removed = 0;

	if (group == NULL)
		return -ENOENT;
	if (is_ring(group))
		return -EINVAL;
	for (; removed < count && !list_is_empty(&group->listed); removed++) {
		struct provided_buffer *buffer =
			list_first(&group->listed, struct provided_buffer, node);

		list_del(&buffer->node);
		group->listed_count--;
		slab_free(&ring->buffer_slab, buffer);
	}
	return (int)removed;
}

int buffers_ring_check(const struct ring *ring, u16 id)
{
	const struct buffer_group *group = group_find(ring, id);

	if (group == NULL)
		return 0;
	return is_ring(group) || !list_is_empty(&group->listed) ? -EEXIST : 0;
}

/* A mapping of ours goes, and its pages in the ring's file with it. */
static void memory_unmap(void *memory, u32 entries)
{
	size_t size = entries * sizeof(struct io_uring_buf);

	host_call(SYS_madvise, memory, size, MADV_REMOVE);
	host_call(SYS_munmap, memory, size);
}

int buffers_ring_add(struct ring *ring, void *memory, const struct io_uring_buf_reg *reg)
{
	struct buffer_group *group = group_make(ring, reg->bgid);
	bool is_mapped = reg->flags & IOU_PBUF_RING_MMAP;

	if (group == NULL) {
		if (is_mapped)
			memory_unmap(memory, reg->ring_entries);
		return -ENOMEM;
	}
	*group = (struct buffer_group){
		.entries = memory,
		.min_left = reg->min_left,
		.entry_order = (u8)__builtin_ctz(reg->ring_entries),
		.is_mapped = is_mapped,
		.is_incremental = reg->flags & IOU_PBUF_RING_INC,
	};
	ring->buffer_rings_mapped += is_mapped;
	return 0;
}

int buffers_ring_remove(struct ring *ring, u16 id)
{
	struct buffer_group *group = group_find(ring, id);

	if (group == NULL)
		return -ENOENT;
	if (!is_ring(group))
		return -EINVAL;
	if (group->is_mapped) {
		memory_unmap(group->entries, entry_count(group));
		ring->buffer_rings_mapped--;
	}
	*group = (struct buffer_group){0};
	return 0;
}

int buffers_ring_head(const struct ring *ring, u16 id)
{
	const struct buffer_group *group = group_find(ring, id);

	if (group == NULL)
		return -ENOENT;
	return is_ring(group) ? group->head : -EINVAL;
}

size_t buffers_ring_mapped(const struct ring *ring, u16 id)
{
	const struct buffer_group *group = group_find(ring, id);

	return group && group->is_mapped ? entry_count(group) * sizeof(struct io_uring_buf) : 0;
}

static struct io_uring_buf *entry_at(const struct buffer_group *group, u16 position)
{
	return &group->entries[position & (entry_count(group) - 1)];
}

/* How many buffers the program has put behind the head; none if the ring cannot be read. */
static u16 ring_ready(const struct buffer_group *group)
{
	u16 tail;

	if (copy_from_user(&tail, &group->entries[0].resv, sizeof(tail)))
		return 0;
	barrier_acquire(); /* pairs with the program's release of the tail */
	return (u16)(tail - group->head);
}

static void request_sees(struct request *req, u16 id)
{
	req->flags |= REQ_BUFFER_SEEN;
	req->cqe_flags |= IORING_CQE_F_BUFFER | (u32)id << IORING_CQE_BUFFER_SHIFT;
}

static int ring_take_many(struct request *req, const struct buffer_group *group, u64 wanted,
			  struct iovec *vector, u32 count)
{
	u32 ready = ring_ready(group), n = 0;
	u16 position = group->head;
	bool is_limited = wanted > 0;

	while (n < min_of(count, ready)) {
		struct io_uring_buf *entry = entry_at(group, position), buffer;
		u32 len;

		if (copy_from_user(&buffer, entry, sizeof(buffer)))
			break;
		len = buffer.len;
		if (is_limited && len == 0 && n == 0)
			break;
		if (is_limited && len > wanted) {
			/* A later one stays whole: the next try may need all of it. */
			if (n > 0 && !group->is_incremental)
				break;
			len = (u32)wanted;
		}
		if (n == 0)
			request_sees(req, buffer.bid);
		vector[n++] = (struct iovec){.iov_base = (void *)buffer.addr, .iov_len = len};
		position++;
		wanted -= len;
		if (is_limited && wanted == 0)
			break;
	}
	if (n == ready)
		req->flags |= REQ_BUFFERS_LAST;
	return n ? (int)n : -ENOBUFS;
}

static int list_take(struct request *req, struct buffer_group *group, u64 wanted,
		     struct iovec *vector)
{
	struct provided_buffer *buffer;

	if (list_is_empty(&group->listed))
		return -ENOBUFS;
	buffer = list_first(&group->listed, struct provided_buffer, node);
	list_del(&buffer->node);
	group->listed_count--;
	req->buffer = buffer;
	req->cqe_flags |= IORING_CQE_F_BUFFER | (u32)buffer->id << IORING_CQE_BUFFER_SHIFT;
	if (list_is_empty(&group->listed))
		req->flags |= REQ_BUFFERS_LAST;
	vector->iov_base = (void *)buffer->addr;
	vector->iov_len = wanted ? min_of((u64)buffer->len, wanted) : buffer->len;
	return 1;
}

int buffers_take_many(struct request *req, u64 wanted, struct iovec *vector, u32 count)
{
	struct buffer_group *group = group_find(req->ring, req->buf_index);

	rs_assert(!(req->flags & REQ_BUFFER_SEEN) && req->buffer == NULL);
	req->flags &= ~REQ_BUFFERS_LAST;
	if (group == NULL)
		return -ENOENT;
	if (!is_ring(group))
		return list_take(req, group, wanted, vector);
	return ring_take_many(req, group, wanted, vector, count);
}

int buffers_take(struct request *req, u64 wanted, struct iovec *buffer)
{
	const struct buffer_group *group = group_find(req->ring, req->buf_index);
	struct io_uring_buf entry;
	u16 ready;

	if (group == NULL)
		return -ENOBUFS;
	if (!is_ring(group))
		return min_of(buffers_take_many(req, wanted, buffer, 1), 0);
	ready = ring_ready(group);
	if (ready == 0 || copy_from_user(&entry, entry_at(group, group->head), sizeof(entry)))
		return -ENOBUFS;
	request_sees(req, entry.bid);
	buffer->iov_base = (void *)entry.addr;
	buffer->iov_len = wanted ? min_of((u64)entry.len, wanted) : entry.len;
	return 0;
}

void buffers_put_back(struct request *req)
{
	struct provided_buffer *buffer = req->buffer;

	if (buffer != NULL) {
		struct buffer_group *group = &req->ring->buffer_groups[buffer->group];

		list_add(&group->listed, &buffer->node);
		group->listed_count++;
	} else if (!(req->flags & REQ_BUFFER_SEEN)) {
		return; /* it was used */
	}
	req->buffer = NULL;
	req->flags &= ~REQ_BUFFER_SEEN;
	req->cqe_flags &= ~(IORING_CQE_F_BUFFER | IORING_CQE_F_BUF_MORE |
			    UINT32_MAX << IORING_CQE_BUFFER_SHIFT);
}

/*
 * `bytes` more of an incremental ring are used; whether that ended with the end of a buffer. Where
 * nothing was used, the buffer goes on, even if it is empty.
 */
static bool ring_use_bytes(struct buffer_group *group, u64 bytes)
{
	if (bytes == 0)
		return false;
	while (bytes > 0) {
		struct io_uring_buf *entry = entry_at(group, group->head), buffer;
		u32 used;

		if (copy_from_user(&buffer, entry, sizeof(buffer)))
			return true;
		used = (u32)min_of(bytes, (u64)buffer.len);
		buffer.len -= used;
		if (used == 0 || (buffer.len > 0 && buffer.len >= group->min_left)) {
			buffer.addr += used;
			copy_to_user(&entry->addr, &buffer.addr, sizeof(buffer.addr));
			copy_to_user(&entry->len, &buffer.len, sizeof(buffer.len));
			return false;
		}
		buffer.len = 0;
		copy_to_user(&entry->len, &buffer.len, sizeof(buffer.len));
		group->head++;
		bytes -= used;
	}
	return true;
}

void buffers_used(struct request *req, s64 bytes, u32 count)
{
	struct buffer_group *group;

	buffers_free(req->ring, req->buffer);
	req->buffer = NULL;
	if (!(req->flags & REQ_BUFFER_SEEN))
		return;
	req->flags &= ~REQ_BUFFER_SEEN;
	if (bytes < 0)
		return;
	group = &req->ring->buffer_groups[req->buf_index];
	rs_assert(is_ring(group));
	if (!group->is_incremental)
		group->head = (u16)(group->head + count);
	else if (!ring_use_bytes(group, (u64)bytes))
		req->cqe_flags |= IORING_CQE_F_BUF_MORE;
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
	for (u32 i = 0; i < BUFFER_GROUPS && ring->buffer_rings_mapped > 0; i++)
		if (ring->buffer_groups[i].is_mapped)
			buffers_ring_remove(ring, (u16)i);
	pages_free(ring->buffer_groups, GROUPS_SIZE);
	ring->buffer_groups = NULL;
	ring->buffer_slab.used = 0; /* what is still in a group ends with its ring */
	slab_destroy(&ring->buffer_slab);
}
