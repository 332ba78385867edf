/*
 * rw.h - what the files of reads and writes share
 */
#ifndef RS_OP_RW_H
#define RS_OP_RW_H

#include <sys/uio.h>

#include "request/request.h"

#define OFFSET_CURRENT ((u64)-1)
#define RW_MAX         0x7ffff000u /* bytes: what the kernel transfers at the most */
#define RWF_KNOWN      0x1ff       /* of kernel 6.18: RWF_HIPRI to RWF_NOSIGNAL */

struct rw_page;
struct rw_device;
struct rw_cached;
struct rw_change;
struct own_writer;

struct rw {
	u64 offset;
	struct iovec *iov; /* &one, or ring_alloc()ed; what is left to transfer */
	u32 iov_count;
	u32 iov_total; /* as allocated */
	s32 rw_flags;  /* RWF_* */
	u32 wanted;    /* bytes asked for */
	u32 copied;    /* bytes already transferred; `iov` and `offset` are behind them */
	u16 ioprio;    /* class and level for the device; 0: the thread's */
	struct iovec one;
	struct iovec *vector; /* the allocation, or NULL */
	struct rw_page *page;
	struct rw_device *device;
	struct rw_cached *cached; /* it was caught by a page of our cache, or NULL (rw_owned.c) */
	/* written to an exclusive file, pages are still to be dropped; or NULL (rw_change.c) */
	struct rw_change *change;
	u32 select_len; /* BUFFER_SELECT: bytes at the most; 0: all of the buffer */
};

/* rw.c */

/* The last call said `result`: what was transferred before counts too. A short transfer breaks
 * links. */
enum issue_verdict rw_done(struct request *req, long result);

/* A socket has no places, and refuses an offset that is not 0 (ESPIPE) where the system call for a
 * stream would not see it: whether this is such a one. */
bool rw_is_place_in_socket(int fd, u64 offset);

/* The request asks for what cannot be: `err`. Of two faults it tells first that the file was not
 * opened for it; the system call does not. */
enum issue_verdict rw_refuse(struct request *req, bool is_write, int err);

/* A read through the kernel's cache, from where it is. */
enum issue_verdict read_regular(struct request *req);

/* rw_owned.c */

/* A read of a file that our cache may hold. */
enum issue_verdict read_owned(struct request *req);

/* Takes a request back from the page that it waits for: true, and it is the caller's. Driver. */
bool rw_cached_unwait(struct request *req);

void rw_cached_free(struct request *req);

/* rw_change.c */

/*
 * The kernel took `written` bytes, or said -errno. True: they are of a file whose pages could
 * not be dropped at once, and rw_change_go_on() has the rest of the request's life. `writer`: as
 * own_write_begin() left it. Driver.
 */
bool rw_change_begin(struct request *req, const struct own_writer *writer, long written);
enum issue_verdict rw_change_go_on(struct request *req);
void rw_change_free(struct request *req);

bool read_hit(const struct ring *ring, const struct io_uring_sqe *sqe, struct cache_hit *hit);

#endif
