/*
 * buffers.h - provided buffers: memory that a request takes when it can be used. All calls: driver.
 *
 * A request with IOSQE_BUFFER_SELECT names a group, and takes its next buffer each
 * time it is issued; if it must wait for its file it puts the buffer back. A
 * buffer that was used is the program's again; the CQE names it. A group is one of two things:
 *
 *   a list   buffers given one by one (PROVIDE_BUFFERS); a request that has one has unlinked it.
 *            (READ and READV do not put it back; as in the kernel.)
 *   a ring   shared memory that the program fills and advances (IORING_REGISTER_PBUF_RING). A
 *            request looks at the buffers at the head; the head moves when it is known how many
 *            were used (buffers_used()). The buffers of an incremental ring are used piece by
 *            piece: a CQE with F_BUF_MORE says that the rest is still to come. A rest of less
 *            than was said at registration (min_left) is given up.
 *
 * Invariants:  B1 a request looks at a ring's head (REQ_BUFFER_SEEN) within one issue only: so
 *                 nobody else takes what it looks at, and the group may go at any other time
 *              B2 memory that the program can unmap is only touched by fault-safe copies
 * The kernel:  io_uring/kbuf.c
 */
#ifndef RS_REQUEST_BUFFERS_H
#define RS_REQUEST_BUFFERS_H

#include <sys/uio.h>

#include "request/request.h"

#define BUFFERS_PER_GROUP 65536u
#define BUFFER_GROUPS     65536u

/* Buffers that one try can take from a ring. */
#define BUFFERS_PER_BUNDLE 256u

/* From PROVIDE_BUFFERS until it was used, or removed. */
struct provided_buffer {
	struct list_node node; /* (r) in its group, or (o) unlinked: a request has it */
	u64 addr;
	u32 len;
	u16 id;
	u16 group;
};
_Static_assert(sizeof(struct provided_buffer) == 32, "slab object");

/* Adds `count` buffers like `first`, one behind the other in memory and with ids from its own on,
 * as far as a list takes them (65535). 0, or if none was added -ENOMEM, -EOVERFLOW; -EINVAL (a
 * ring). */
int buffers_provide(struct ring *ring, const struct provided_buffer *first, u32 count);

/* Takes at most `count` buffers out of a group: how many, -ENOENT if there was never such a
 * group, or -EINVAL (a ring). */
int buffers_remove(struct ring *ring, u16 group, u32 count);

/* Whether a ring may become the group: 0, or -EEXIST (a ring, or a list that is not empty). */
int buffers_ring_check(const struct ring *ring, u16 group);

/*
 * A ring of buffers in `memory` becomes group reg->bgid. With IOU_PBUF_RING_MMAP the memory is a
 * mapping of ours that goes with the group, else it is the program's. To be checked before: `reg`,
 * whose entries are a power of two, and buffers_ring_check(). 0, or -ENOMEM and the mapping is
 * gone.
 */
int buffers_ring_add(struct ring *ring, void *memory, const struct io_uring_buf_reg *reg);

/* 0, -ENOENT (no such group), -EINVAL (a list). */
int buffers_ring_remove(struct ring *ring, u16 group);

/* How many buffers were used so far, modulo 65536; or -ENOENT, -EINVAL. */
int buffers_ring_head(const struct ring *ring, u16 group);

/* Bytes of the group's mapping of ours; 0: it has none. */
size_t buffers_ring_mapped(const struct ring *ring, u16 group);

/*
 * The next buffer of group req->buf_index is the request's, and its CQE names it. `wanted` bytes
 * of it at the most; 0: all. 0 or -ENOBUFS.
 */
int buffers_take(struct request *req, u64 wanted, struct iovec *buffer);

/*
 * The same for several: as many as there are and as hold `wanted` bytes (0: no limit), at most
 * `count`. How many, -ENOBUFS, or -ENOENT (there is no such group). A list gives one. What a first
 * buffer holds beyond what is wanted is lost (but of an incremental ring). REQ_BUFFERS_LAST: there
 * is no other buffer.
 */
int buffers_take_many(struct request *req, u64 wanted, struct iovec *vector, u32 count);

/* Whether the request has a buffer, or had one that its CQE will name. */
static inline bool buffers_has(const struct request *req)
{
	return req->cqe_flags & IORING_CQE_F_BUFFER;
}

/* The request goes on without: the buffer is the next of its group again. */
void buffers_put_back(struct request *req);

/*
 * `bytes` were transferred to or from the first `count` buffers: they are the program's. Less than
 * 0: none was used, and still the CQE names it, as the kernel's does.
 */
void buffers_used(struct request *req, s64 bytes, u32 count);

/* The request ends. NULL is fine. */
void buffers_free(struct ring *ring, struct provided_buffer *buffer);

void buffers_destroy(struct ring *ring);

#endif
