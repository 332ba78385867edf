/*
 * sq.h - the submission queue: fetching SQEs
 *
 * The driver alone moves the head. It is private (`head`) while a batch is
 * fetched, and published when the batch is consumed, so the program does not
 * overwrite an SQE that is still being read.
 *
 * Invariants:  Q1 head - (published head) <= entries
 *              Q2 an SQE is read only below the tail that was loaded with acquire
 */
#ifndef RS_RING_SQ_H
#define RS_RING_SQ_H

#include "base/atomic.h"
#include "ring/memory.h"

struct sq {
	u32 head; /* (r) next entry to fetch */
};

/* SQEs that wait, at most the ring's size whatever the program wrote. */
static inline u32 sq_ready(const struct sq *sq, const struct ring_memory *memory)
{
	/* Pairs with the release with which the program moves the tail after filling the SQE. */
	u32 ready = load_acquire(&memory->header->sq_tail) - sq->head;

	return min_of(ready, memory->sq_entries);
}

/* The next SQE, which stays the next, or NULL if sq_fetch() would give none. The caller knows
 * that one is ready. */
static inline const struct io_uring_sqe *sq_peek(const struct sq *sq,
						 const struct ring_memory *memory)
{
	u32 index = sq->head & (memory->sq_entries - 1);

	if (memory->sq_array != NULL) {
		index = load_relaxed(&memory->sq_array[index]);
		if (unlikely(index >= memory->sq_entries))
			return NULL;
	}
	return (const struct io_uring_sqe *)(memory->sqes + ((size_t)index << memory->sqe_shift));
}

/*
 * The next SQE, or NULL: the program's index array named none, the entry is
 * dropped and counted, as the kernel does. The caller knows that one is ready.
 */
static inline const struct io_uring_sqe *sq_fetch(struct sq *sq, struct ring_memory *memory)
{
	const struct io_uring_sqe *sqe = sq_peek(sq, memory);

	sq->head++;
	if (unlikely(sqe == NULL))
		store_relaxed(&memory->header->sq_dropped,
			      load_relaxed(&memory->header->sq_dropped) + 1);
	return sqe;
}

/* The program may use the fetched entries again. */
static inline void sq_commit(const struct sq *sq, struct ring_memory *memory)
{
	store_release(&memory->header->sq_head,
		      sq->head); /* pairs with the program's load of the head */
}

#endif
