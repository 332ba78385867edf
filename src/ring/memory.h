/*
 * memory.h - the memory that a ring shares with the program
 *
 * One sparse memfd, which is also the ring's descriptor, so that the program's
 * mmap() works natively whoever calls it:
 *
 *     0            struct ring_header, then the CQEs, then the SQ array
 *     0x10000000   the SQEs
 *     0x20000000   a memory region, if one is registered
 *     0x100000000  rings of provided buffers whose memory the kernel would give
 *                  (IOU_PBUF_RING_MMAP), each group's at a place of its own
 *
 * With IORING_SETUP_NO_MMAP the program brings the memory of the first two instead. Two offsets
 * that programs know are not those of the file: ring_memory_offset().
 *
 * The program can write all of it at any time: nothing read from it is trusted,
 * sizes and masks are kept in `struct ring_memory`, which it cannot reach. The
 * memfd is sealed against shrinking, so that the mapping cannot vanish.
 *
 * A ring that may be resized is mapped by us for the largest sizes there are: its pages are taken
 * when they are touched, and its addresses stay. The program maps what it was told, and again
 * after a resize: then offset 0 and the SQEs' offset show the new layout, in the same memory.
 */
#ifndef RS_RING_MEMORY_H
#define RS_RING_MEMORY_H

#include "base/abi.h"
#include "base/types.h"

/* Field for field where the kernel has them: programs are told by io_uring_params, but some
 * assume it. */
struct ring_header {
	u32 sq_head, sq_tail;
	u32 cq_head, cq_tail;
	u32 sq_ring_mask, cq_ring_mask;
	u32 sq_ring_entries, cq_ring_entries;
	u32 sq_dropped;
	u32 sq_flags;
	u32 cq_flags;
	u32 cq_overflow;
	u32 unused[4];
};
_Static_assert(sizeof(struct ring_header) == 64, "the CQEs begin at the next cache line");

struct ring_memory {
	/* (c), but for ring_memory_resize(): */
	struct ring_header *header;    /* shared */
	char *cqes;                    /* shared */
	u32 *sq_array;                 /* shared; NULL with NO_SQARRAY */
	char *sqes;                    /* shared */
	u32 sq_entries, cq_entries;    /* powers of two */
	u32 sqe_shift, cqe_shift;      /* (c) log2 of an entry's bytes */
	bool has_mixed_sqes;           /* (c) SQE_MIXED: an SQE may take two entries */
	bool has_mixed_cqes;           /* (c) CQE_MIXED: a CQE may take two entries */
	bool is_rewound;               /* (c) SQ_REWIND: each batch begins at entry 0 */
	size_t header_size, sqes_size; /* bytes used */
	size_t header_room, sqes_room; /* (c) bytes mapped; with NO_MMAP as many as used */
	bool is_users; /* (c) NO_MMAP: the program's own memory, not to be unmapped */
};

#define RING_MAX_ENTRIES    32768u
#define RING_MAX_CQ_ENTRIES (2 * RING_MAX_ENTRIES)

/* Fills the sizes and offsets of `memory` and `params` from the (already checked) entries and
 * flags. */
void ring_memory_layout(struct ring_memory *memory, struct io_uring_params *params);

/* Makes and maps the memfd; returns its descriptor (close-on-exec, a program's one) or -errno. */
int ring_memory_create(struct ring_memory *memory);

/* NO_MMAP: uses the program's memory at the addresses in params. 0 or -errno. */
int ring_memory_adopt(struct ring_memory *memory, const struct io_uring_params *params);

/* NO_MMAP: a descriptor to name the ring by; there is nothing in it. Or -errno. */
int ring_memory_name(void);

/* The memory of buffer ring `group`, `size` bytes and zeroed, in the ring's file `fd`; NULL if it
 * cannot be had. Whoever unmaps it gives its pages back first (MADV_REMOVE). */
void *ring_memory_map_buffers(int fd, u16 group, size_t size);

/* Where in the ring's file is what a program maps at `offset`? Groups are the caller's to check. */
u64 ring_memory_offset(u64 offset);

/* Whether a program that maps at `offset` means a ring of provided buffers; and which. */
static inline bool ring_memory_is_buffers(u64 offset)
{
	return (offset & IORING_OFF_MMAP_MASK) == IORING_OFF_PBUF_RING;
}

static inline u16 ring_memory_group(u64 offset)
{
	return (u16)((offset & ~(u64)IORING_OFF_MMAP_MASK) >> IORING_OFF_PBUF_SHIFT);
}

/* Writes the header. The SQ array is the program's to fill. */
void ring_memory_start(struct ring_memory *memory);

/*
 * Lays the memory out anew for the (already checked) entries of `params`, and fills those like
 * ring_memory_layout(). What the program has not consumed keeps its place in the order: SQEs from
 * `sq_head` on, CQEs before `cq_tail`. 0, -EOVERFLOW (that does not fit), -ENOMEM or -EFAULT, and
 * nothing is changed.
 */
int ring_memory_resize(struct ring_memory *memory, struct io_uring_params *params, u32 sq_head,
		       u32 cq_tail);

/*
 * Memory of `size` bytes (a multiple of the page size) that the program can map at `offset` of
 * the ring's descriptor fd; NULL if there is none. ring_memory_unmap_more() ends our mapping.
 */
void *ring_memory_map_more(int fd, u64 offset, size_t size);
void ring_memory_unmap_more(void *addr, size_t size);

void ring_memory_unmap(struct ring_memory *memory);

#endif
