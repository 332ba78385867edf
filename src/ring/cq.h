/*
 * cq.h - the completion queue: posting CQEs, and losing none
 *
 * The driver alone writes CQEs and moves the tail: privately (`tail`) with
 * each CQE, for the program with cq_commit() after a batch. A CQE that finds
 * the queue full goes to the backlog, and so does every later one until the
 * backlog is flushed: order is kept. While there is a backlog the SQ ring's
 * flags show CQ_OVERFLOW.
 *
 * With CQE_MIXED a CQE takes one entry or, if it has a second half, two neighbours. Where
 * only the last entry before the wrap is left of two, a CQE marked SKIP fills it.
 *
 * Invariants:  C1 tail - (the program's head) <= entries
 *              C2 the backlog is empty, or CQ_OVERFLOW is set
 *              C3 a CQE is lost only when there is no memory for the backlog; then
 *                 cq_overflow counts it and is_dropped is set
 */
#ifndef RS_RING_CQ_H
#define RS_RING_CQ_H

#include "base/atomic.h"
#include "base/list.h"
#include "base/slab.h"
#include "ring/memory.h"

/* One CQE that found no room; from cq_post() to cq_flush_backlog(). */
struct cq_backlog_entry {
	struct list_node node;
	u64 user_data;
	u64 extra[2];
	s32 res;
	u32 flags;
	bool has_extra;
	u8 unused[15];
};
_Static_assert(sizeof(struct cq_backlog_entry) % 16 == 0, "slab object");

struct cq {
	u32 tail;          /* (r) where the next CQE goes */
	u32 limit;         /* (r) tail may grow to here before the program's head is looked at */
	u32 backlog_count; /* (r) */
	bool is_dropped;   /* (r) a CQE was lost since the program was last told (EBADR) */
	struct list_node backlog; /* (r) oldest first */
	struct slab slab;         /* (r) of struct cq_backlog_entry */
};

void cq_init(struct cq *cq);
void cq_destroy(struct cq *cq);

/* cq_post() of a CQE with a second half into a CQE_MIXED queue. */
bool cq_post_wide(struct cq *cq, struct ring_memory *memory, u64 user_data, s32 res, u32 flags,
		  const u64 *extra);

/* The slow half of cq_post(): looks at the head, else appends to the backlog. Returns false if
 * it went to the backlog (or was lost). */
bool cq_post_slow(struct cq *cq, struct ring_memory *memory, u64 user_data, s32 res, u32 flags,
		  const u64 *extra);

static inline void cq_write(struct cq *cq, struct ring_memory *memory, u64 user_data, s32 res,
			    u32 flags, const u64 *extra)
{
	u32 index = cq->tail++ & (memory->cq_entries - 1);
	struct io_uring_cqe *cqe =
		(struct io_uring_cqe *)(memory->cqes + ((size_t)index << memory->cqe_shift));

	store_relaxed(&cqe->user_data, user_data);
	store_relaxed(&cqe->res, res);
	store_relaxed(&cqe->flags, flags);
	if (unlikely(memory->cqe_shift == 5)) {
		store_relaxed(&cqe->big_cqe[0], extra ? extra[0] : 0);
		store_relaxed(&cqe->big_cqe[1], extra ? extra[1] : 0);
	}
}

/* Posts one CQE; the program sees it after cq_commit(). `extra`: the second half of a 32-byte
 * CQE, or NULL: zeroes with CQE32, a CQE of 16 bytes with CQE_MIXED. Returns false if it went to
 * the backlog. */
static inline bool cq_post(struct cq *cq, struct ring_memory *memory, u64 user_data, s32 res,
			   u32 flags, const u64 *extra)
{
	if (unlikely(extra != NULL && memory->has_mixed_cqes))
		return cq_post_wide(cq, memory, user_data, res, flags, extra);
	if (unlikely(cq->tail == cq->limit))
		return cq_post_slow(cq, memory, user_data, res, flags, extra);
	cq_write(cq, memory, user_data, res, flags, extra);
	return true;
}

/* How many CQEs can be posted by cq_write(): looks at the program's head if `wanted` are not known
 * to have room. */
u32 cq_look_for_room_slow(struct cq *cq, const struct ring_memory *memory);

static inline u32 cq_look_for_room(struct cq *cq, const struct ring_memory *memory, u32 wanted)
{
	if (likely(cq->limit - cq->tail >= wanted))
		return cq->limit - cq->tail;
	return cq_look_for_room_slow(cq, memory);
}

static inline void cq_commit(const struct cq *cq, struct ring_memory *memory)
{
	store_release(&memory->header->cq_tail,
		      cq->tail); /* pairs with the program's load of the tail */
}

/* CQEs that the program can see and has not taken. */
static inline u32 cq_ready(const struct cq *cq, const struct ring_memory *memory)
{
	return cq->tail - load_acquire(&memory->header->cq_head);
}

/* Moves what fits from the backlog into the queue. */
void cq_flush_backlog(struct cq *cq, struct ring_memory *memory);

#endif
