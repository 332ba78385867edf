/*
 * buffers.h - provided buffers: memory that a request takes when it can be used. All calls: driver.
 *
 * The program gives buffers to a group (PROVIDE_BUFFERS); a request with
 * IOSQE_BUFFER_SELECT takes the oldest one of its group each time it is issued, and
 * gives it back, to be the next again, if it must wait for its file. A
 * buffer that was used is the program's again; the CQE names it.
 *
 * The kernel: io_uring/kbuf.c, there called legacy buffers
 * Not here: rings of provided buffers (IORING_REGISTER_PBUF_RING)
 */
#ifndef RS_REQUEST_BUFFERS_H
#define RS_REQUEST_BUFFERS_H

#include "request/request.h"

#define BUFFERS_PER_GROUP 65536u

/* From PROVIDE_BUFFERS until it was used, or removed. */
struct provided_buffer {
	struct list_node node; /* (r) in its group, or (o) unlinked: a request has it */
	u64 addr;
	u32 len;
	u16 id;
	u16 group;
};
_Static_assert(sizeof(struct provided_buffer) == 32, "slab object");

/* Adds `count` buffers of `len` bytes each, with ids from `id` on. 0, -ENOMEM. */
int buffers_provide(struct ring *ring, const struct provided_buffer *first, u32 count);

/* Takes at most `count` buffers out of a group: how many, or -ENOENT if there was never such a
 * group. */
int buffers_remove(struct ring *ring, u16 group, u32 count);

/* The oldest buffer of the group is the request's, and its CQE names it; NULL if there is none. */
struct provided_buffer *buffers_take(struct request *req, u16 group);

/* The request waits: the buffer is the oldest of its group again. */
void buffers_put_back(struct request *req, struct provided_buffer *buffer);

/* The request ends. NULL is fine. */
void buffers_free(struct ring *ring, struct provided_buffer *buffer);

void buffers_destroy(struct ring *ring);

#endif
