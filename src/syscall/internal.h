/*
 * internal.h - what the files of this folder share
 */
#ifndef RS_SYSCALL_INTERNAL_H
#define RS_SYSCALL_INTERNAL_H

#include "request/ring.h"

/* Fixed buffers of a ring, at the most. */
#define FIXED_BUFFERS_MAX (1u << 14)

/* Slots of a thread's own table of registered rings (IORING_REGISTER_RING_FDS). */
#define REGISTERED_RINGS 16

/* Fills request/hooks.h, the reactor's sweep, and our process id; once. */
void descriptor_init(void);

/* The ring whose descriptor fd is, or NULL. May be dead by the time its lock is taken. */
struct ring *descriptor_ring(int fd);

/* Driver. fd names the ring, or no longer does. */
void descriptor_name(struct ring *ring, int fd);
void descriptor_unname(struct ring *ring, int fd);

/* Driver, last thing in a call: a signal handler closed the ring's last descriptor meanwhile. */
void descriptor_end_if_unnamed(struct ring *ring);

/* Driver of `ring`. Puts it into the first free of the calling thread's slots from `start` to
 * before `end`: its index, or -EBUSY. */
int descriptor_register_ring(struct ring *ring, u32 start, u32 end);

/* The calling thread's slot, emptied: what it named loses a name. No lock held. */
void descriptor_unregister_ring(u32 index);

/* Driver. The calling thread's slots no longer name the ring, whose setup failed. */
void descriptor_forget_ring(const struct ring *ring);

/*
 * Finds the ring that a call names and takes its lock: 0, or -errno with no lock held:
 * -EINVAL, -EBADF, -EOPNOTSUPP (fd is not a ring), -EOWNERDEAD (inherited by
 * fork), -EBUSY (called from a signal handler that interrupted this thread in this ring).
 */
int descriptor_lock_ring(u32 fd, bool is_registered, struct ring **ring);

/* setup.c. The sizes asked for, made what the ring will have. 0 or -EINVAL. */
int setup_check_entries(u32 entries, struct io_uring_params *params);

/* setup.c. What IORING_REGISTER_QUERY says of io_uring_setup(). */
extern const u32 setup_known_flags, setup_features;

/* enter.c. The same of io_uring_enter(). */
extern const u32 enter_known_flags;

/* register_cancel.c, _clone.c, _region.c, _resize.c, _restrict.c. Driver, which lets go of the
 * lock in the first two. */
long register_sync_cancel(struct ring *ring, const void *user_arg);
long register_clone_buffers(struct ring *ring, const void *user_arg);
long register_mem_region(struct ring *ring, const void *user_arg);
long register_resize_rings(struct ring *ring, void *user_params);
long register_restrictions(struct ring *ring, const void *user_restrictions, u32 count);

/* register_query.c. Any thread. */
long register_query(void *user_entry, u32 count);

/* register_resource.c. Driver. */
long register_files(struct ring *ring, u64 user_fds, u32 count, u64 user_tags);
long register_buffers(struct ring *ring, u64 user_vector, u32 count, u64 user_tags);
long register_rsrc(struct ring *ring, const void *user_arg, u32 size, bool is_files);
long register_file_alloc_range(struct ring *ring, const void *user_range);
long register_files_by_request(struct ring *ring, u32 offset, u64 user_fds, u32 count);
long register_files_update(struct ring *ring, const void *user_arg, u32 count);
long register_rsrc_update(struct ring *ring, const void *user_arg, u32 size, bool is_files);

/* register_pbuf.c. Driver. `fd` is the ring's descriptor, or -1. */
long register_pbuf_ring(struct ring *ring, int fd, const void *user_reg, u32 count);
long unregister_pbuf_ring(struct ring *ring, const void *user_reg, u32 count);
long register_pbuf_status(struct ring *ring, void *user_status, u32 count);

#endif
