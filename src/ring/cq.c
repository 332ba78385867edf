/*
 * cq.c - a full completion queue (see cq.h)
 *
 * The kernel: io_cqring_event_overflow() and io_cqring_overflow_flush().
 */
#include "ring/cq.h"

#include "base/assert.h"

/* A backlog larger than this is memory lost to a program that never looks at its CQ. */
#define BACKLOG_LIMIT (1u << 24)

void cq_init(struct cq *cq)
{
	*cq = (struct cq){0};
	list_init(&cq->backlog);
	slab_init(&cq->slab, sizeof(struct cq_backlog_entry), BACKLOG_LIMIT);
}

void cq_destroy(struct cq *cq)
{
	while (!list_is_empty(&cq->backlog)) {
		struct cq_backlog_entry *entry =
			list_first(&cq->backlog, struct cq_backlog_entry, node);

		list_del(&entry->node);
		slab_free(&cq->slab, entry);
	}
	cq->backlog_count = 0;
	slab_destroy(&cq->slab);
}

/* Looks at the program's head, and sets how far the tail may go without looking again. */
static bool has_room(struct cq *cq, const struct ring_memory *memory, u32 entries)
{
	/* Pairs with the release with which the program moves its head after reading the CQEs. */
	u32 used = cq->tail - load_acquire(&memory->header->cq_head);

	if (used >= memory->cq_entries) {
		cq->limit = cq->tail;
		return false;
	}
	cq->limit = cq->tail + memory->cq_entries - used;
	return cq->limit - cq->tail >= entries;
}

u32 cq_look_for_room_slow(struct cq *cq, const struct ring_memory *memory)
{
	if (cq->backlog_count == 0)
		has_room(cq, memory, 1);
	return cq->limit - cq->tail;
}

static struct io_uring_cqe *entry_at(const struct ring_memory *memory, u32 position)
{
	u32 index = position & (memory->cq_entries - 1);

	return (struct io_uring_cqe *)(memory->cqes + ((size_t)index << memory->cqe_shift));
}

/* CQE_MIXED, no backlog. False: there are no two neighbouring entries free. */
static bool write_wide(struct cq *cq, struct ring_memory *memory, u64 user_data, s32 res, u32 flags,
		       const u64 *extra)
{
	bool is_last = (cq->tail & (memory->cq_entries - 1)) == memory->cq_entries - 1;
	struct io_uring_cqe *cqe;

	if (is_last) {
		if (!has_room(cq, memory, 1))
			return false;
		cq_write(cq, memory, 0, 0, IORING_CQE_F_SKIP, NULL);
	}
	if (!has_room(cq, memory, 2))
		return false;
	cqe = entry_at(memory, cq->tail);
	store_relaxed(&cqe->big_cqe[0], extra[0]);
	store_relaxed(&cqe->big_cqe[1], extra[1]);
	cq_write(cq, memory, user_data, res, flags | IORING_CQE_F_32, NULL);
	cq->tail++;
	return true;
}

static void flag_set(struct ring_memory *memory, bool is_set)
{
	if (is_set)
		or_full(&memory->header->sq_flags, IORING_SQ_CQ_OVERFLOW);
	else
		and_full(&memory->header->sq_flags, ~IORING_SQ_CQ_OVERFLOW);
}

static void backlog_append(struct cq *cq, struct ring_memory *memory, u64 user_data, s32 res,
			   u32 flags, const u64 *extra)
{
	struct cq_backlog_entry *entry;

	cq->limit = cq->tail;
	entry = slab_alloc(&cq->slab);

	if (entry == NULL) {
		cq->is_dropped = true;
		store_relaxed(&memory->header->cq_overflow,
			      load_relaxed(&memory->header->cq_overflow) + 1);
		return;
	}
	entry->user_data = user_data;
	entry->res = res;
	entry->flags = flags;
	entry->has_extra = extra != NULL;
	entry->extra[0] = extra ? extra[0] : 0;
	entry->extra[1] = extra ? extra[1] : 0;
	if (cq->backlog_count++ == 0)
		flag_set(memory, true);
	list_add_tail(&cq->backlog, &entry->node);
}

bool cq_post_slow(struct cq *cq, struct ring_memory *memory, u64 user_data, s32 res, u32 flags,
		  const u64 *extra)
{
	/* With a backlog limit == tail (C2): every CQE comes here and lines up behind it. */
	if (cq->backlog_count == 0 && has_room(cq, memory, 1)) {
		cq_write(cq, memory, user_data, res, flags, extra);
		return true;
	}
	backlog_append(cq, memory, user_data, res, flags, extra);
	return false;
}

bool cq_post_wide(struct cq *cq, struct ring_memory *memory, u64 user_data, s32 res, u32 flags,
		  const u64 *extra)
{
	if (cq->backlog_count == 0 && write_wide(cq, memory, user_data, res, flags, extra))
		return true;
	backlog_append(cq, memory, user_data, res, flags, extra);
	return false;
}

static bool write_backlogged(struct cq *cq, struct ring_memory *memory,
			     const struct cq_backlog_entry *entry)
{
	if (entry->has_extra && memory->has_mixed_cqes)
		return write_wide(cq, memory, entry->user_data, entry->res, entry->flags,
				  entry->extra);
	if (!has_room(cq, memory, 1))
		return false;
	cq_write(cq, memory, entry->user_data, entry->res, entry->flags, entry->extra);
	return true;
}

void cq_flush_backlog(struct cq *cq, struct ring_memory *memory)
{
	while (cq->backlog_count > 0) {
		struct cq_backlog_entry *entry =
			list_first(&cq->backlog, struct cq_backlog_entry, node);

		if (!write_backlogged(cq, memory, entry))
			break;
		list_del(&entry->node);
		slab_free(&cq->slab, entry);
		if (--cq->backlog_count == 0)
			flag_set(memory, false);
	}
	if (cq->backlog_count > 0)
		cq->limit = cq->tail; /* C2: whatever is posted lines up behind it */
}
