/*
 * ops.h - the operations' functions, for the table (table.c)
 *
 * prep: driver, once; issue: driver, each try; block: punt worker. See struct op_def.
 */
#ifndef RS_OP_OPS_H
#define RS_OP_OPS_H

#include "request/request.h"

#define OP_PREP(name)     int name##_prep(struct request *req, const struct io_uring_sqe *sqe)
#define OP_ISSUE(name)    enum issue_verdict name##_issue(struct request *req)
#define OP_BLOCK(name)    void name##_block(struct request *req)
#define OP_FINISH(name)   void name##_finish(struct request *req)
#define OP_PROGRESS(name) void name##_progress(struct request *req)
#define OP_STOP(name)     bool name##_stop(struct request *req)
#define OP_CLEANUP(name)  void name##_cleanup(struct request *req)
#define OP_BARE(name)     u32 name##_bare(struct ring *ring, u32 count, bool *would_block)

/* nop.c */
OP_PREP(nop);
OP_ISSUE(nop);

/* basic.c */
OP_PREP(close);
OP_ISSUE(close);
OP_PREP(files_update);
OP_ISSUE(files_update);
OP_PREP(epoll_ctl);
OP_ISSUE(epoll_ctl);
OP_PREP(madvise);
OP_BLOCK(madvise);

/* descriptors.c */
OP_PREP(fixed_fd_install);
OP_ISSUE(fixed_fd_install);
OP_PREP(pipe);
OP_ISSUE(pipe);
OP_PREP(epoll_wait);
OP_ISSUE(epoll_wait);

/* splice.c */
OP_PREP(splice);
OP_PREP(tee);
OP_ISSUE(splice);
OP_BLOCK(splice);
OP_CLEANUP(splice);

/* xattr.c */
OP_PREP(xattr);
OP_PREP(fxattr);
OP_BLOCK(xattr);
OP_CLEANUP(xattr);

/* process.c */
OP_PREP(waitid);
OP_ISSUE(waitid);
OP_BLOCK(waitid);
OP_CLEANUP(waitid);

/* futex.c */
OP_PREP(futex_wait);
OP_ISSUE(futex_wait);
OP_PREP(futex_wake);
OP_ISSUE(futex_wake);
OP_PREP(futex_waitv);
OP_ISSUE(futex_waitv);
OP_CLEANUP(futex_waitv);

/* msg_ring.c */
OP_PREP(msg_ring);
OP_ISSUE(msg_ring);

/* buffers.c */
OP_PREP(provide_buffers);
OP_ISSUE(provide_buffers);
OP_PREP(remove_buffers);
OP_ISSUE(remove_buffers);

/* The end of user addresses on every machine that ringside runs on. */
#define USER_ADDRESS_END (1ull << 47)

/* rw.c */
OP_PREP(rw);
OP_PREP(rw_vectored);
OP_PREP(rw_fixed);
OP_PREP(rw_vectored_fixed);
OP_ISSUE(read);
OP_ISSUE(write);
OP_BLOCK(read);
OP_BLOCK(write);
OP_CLEANUP(rw);

/* rw_run.c */
OP_BARE(read);
OP_BARE(write);

/* sync.c: calls on an open file that can only block */
OP_PREP(fsync);
OP_BLOCK(fsync);
OP_PREP(sync_file_range);
OP_BLOCK(sync_file_range);
OP_PREP(fallocate);
OP_BLOCK(fallocate);
OP_PREP(ftruncate);
OP_BLOCK(ftruncate);
OP_PREP(fadvise);
OP_ISSUE(fadvise);
OP_BLOCK(fadvise);

/* fs.c: calls on paths */
OP_PREP(openat);
OP_PREP(openat2);
OP_ISSUE(openat);
OP_BLOCK(openat);
OP_FINISH(openat);
OP_PREP(statx);
OP_ISSUE(statx);
OP_BLOCK(statx);
OP_PREP(unlinkat);
OP_BLOCK(unlinkat);
OP_PREP(renameat);
OP_BLOCK(renameat);
OP_PREP(mkdirat);
OP_BLOCK(mkdirat);
OP_PREP(symlinkat);
OP_BLOCK(symlinkat);
OP_PREP(linkat);
OP_BLOCK(linkat);
OP_CLEANUP(path);

/* poll.c */
OP_PREP(poll_add);
OP_ISSUE(poll_add);
OP_PREP(poll_remove);
OP_ISSUE(poll_remove);

/* timeout.c */
OP_PREP(timeout);
OP_ISSUE(timeout);
void timeout_expire(struct request *req);
OP_PREP(timeout_remove);
OP_ISSUE(timeout_remove);
OP_PREP(link_timeout);
OP_ISSUE(link_timeout);

/* cancel.c */
OP_PREP(async_cancel);
OP_ISSUE(async_cancel);

/* net.c */
OP_PREP(accept);
OP_ISSUE(accept);
OP_BLOCK(accept);
OP_PROGRESS(accept);
OP_STOP(accept);
OP_FINISH(accept);
OP_PREP(connect);
OP_ISSUE(connect);
OP_BLOCK(connect);
OP_CLEANUP(connect);
OP_PREP(shutdown);
OP_BLOCK(shutdown);

/* transfer.c */
OP_PREP(send);
OP_PREP(send_zc);
OP_PREP(recv);
OP_ISSUE(send);
OP_ISSUE(send_zc);
OP_ISSUE(recv);
OP_BARE(send);
OP_CLEANUP(transfer);

/* message.c */
OP_PREP(sendmsg);
OP_PREP(sendmsg_zc);
OP_PREP(recvmsg);
OP_ISSUE(sendmsg);
OP_ISSUE(sendmsg_zc);
OP_ISSUE(recvmsg);
OP_CLEANUP(message);

/* socket.c */
OP_PREP(socket);
OP_ISSUE(socket);
OP_PREP(bind);
OP_ISSUE(bind);
OP_CLEANUP(bind);
OP_PREP(listen);
OP_ISSUE(listen);
OP_PREP(uring_cmd);
OP_ISSUE(uring_cmd);

/* read_multishot.c */
OP_PREP(read_multishot);
OP_ISSUE(read_multishot);

#endif
