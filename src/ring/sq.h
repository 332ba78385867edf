/*
 * sq.h - the submission queue: fetching SQEs
 *
 * The driver alone moves the head. It is private (`head`) while a batch is
 * fetched, and published when the batch is consumed, so the program does not
 * overwrite an SQE that is still being read.
 *
 * Invariants:  Q1 head - (published head) <= entries
 *              Q2 an SQE is read only below the tail that was loaded with acquire, or, with
 *                 SQ_REWIND, below what the caller of enter said
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
	if (unlikely(memory->is_rewound))
		return memory->sq_entries - sq->head;
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

/* The SQE `ahead` places behind the next, or NULL. The caller knows that it is ready. */
static inline const struct io_uring_sqe *sq_peek_ahead(const struct sq *sq,
						       const struct ring_memory *memory, u32 ahead)
{
	const struct sq there = {.head = sq->head + ahead};

	return sq_peek(&there, memory);
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

/*
 * SQE_MIXED: an operation of 128 bytes, of which `sqe` was fetched last, takes the next entry
 * too. False: that is not its neighbour in memory. The caller knows that one more is ready.
 */
static inline bool sq_fetch_second(struct sq *sq, const struct ring_memory *memory,
				   const struct io_uring_sqe *sqe)
{
	size_t index = ((size_t)sqe - (size_t)memory->sqes) >> memory->sqe_shift;

	if (!memory->has_mixed_sqes || index + 1 >= memory->sq_entries)
		return false;
	sq->head++;
	return true;
}

/* The program may use the fetched entries again. */
static inline void sq_commit(struct sq *sq, struct ring_memory *memory)
{
	if (unlikely(memory->is_rewound)) {
		sq->head = 0;
		return;
	}
	store_release(&memory->header->sq_head,
		      sq->head); /* pairs with the program's load of the head */
}

#endif
