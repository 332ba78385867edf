/*
 * descriptor.h - what entry/ tells us about the program's descriptors, and asks
 *
 * The kernel holds a reference to a file for the time of a request; we only
 * have its number. So entry/ interposes everything that ends or copies a
 * number and tells us here, before the kernel acts. All of these may be
 * called in any thread and take ring locks; none may be called with one held.
 * Each begins with a test that costs one load when the descriptor is nothing
 * to us.
 */
#ifndef RS_SYSCALL_DESCRIPTOR_H
#define RS_SYSCALL_DESCRIPTOR_H

#include "base/types.h"

/* Whether fd was a ring of this process when we last heard of it. One load. */
bool descriptor_may_be_ring(int fd);

/* Whether fd is a ring of this process. One load if it never was; else the kernel is asked, and
 * a ring that was closed behind our back ends. No ring lock held but perhaps that ring's own. */
bool descriptor_is_ring(int fd);

/* Where in the file of ring `fd` is what the program maps at `offset`, or -ENOMEM (no such ring
 * of buffers), -EINVAL (it is smaller). Takes the ring's lock. */
s64 descriptor_map_offset(int fd, u64 offset, size_t size);

/* Whether anything of ours depends on fd (a ring, a request in flight, a fixed file, what we
 * know of it). */
bool descriptor_is_known(int fd);

/*
 * The program is about to close fd or to replace it (dup2). Requests in flight
 * on it and fixed-file slots move to a private duplicate; if it is the last
 * descriptor of a ring, the ring ends: its requests are cancelled and waited
 * for. A vfork() child is told apart by its process id and changes nothing.
 */
void descriptor_closing(int fd);

/* The program made `to` a duplicate of `from` (dup, dup2, dup3, F_DUPFD): a ring gets a second
 * name. */
void descriptor_duplicated(int from, int to);

/* The program changed the flags of fd (fcntl F_SETFL): what we remember of it is forgotten. */
void descriptor_changed(int fd);

/*
 * The descriptor to be polled in place of ring descriptor fd: an eventfd of
 * ours that is readable exactly while the ring's CQ is not empty. -EBADF if fd
 * is no ring, or -errno. Valid as long as the ring.
 */
int descriptor_poll_fd(int fd);

/* Makes every eventfd handed out by descriptor_poll_fd() agree with its CQ; called before the
 * program polls. Costs one load when there is none. */
void descriptor_poll_refresh(void);

/* Rings whose descriptor was closed behind our back (an inline-assembly close) are ended. */
void descriptor_sweep(void);

/* fork(): locks everything, then releases it in the parent; in the child rings of the parent become
 * inherited rings, which answer every call with -EOWNERDEAD. */
void descriptor_fork_prepare(void);
void descriptor_fork_parent(void);
void descriptor_fork_child(void);

/* The calling thread of the program is about to end. */
void descriptor_thread_exit(void);

/* Set by entry/ before the first ring, or NULL: called in a thread whose end has to be told as
 * above. */
extern void (*descriptor_thread_noted)(void);

#endif
