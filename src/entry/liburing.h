/*
 * liburing.h - the part of liburing's binary interface that we stand in for
 *
 * A program compiled against any liburing from 2.0 to 2.15 calls the functions
 * that enter the kernel by name; ours answer. It also reads and writes struct
 * io_uring from inline functions of the header it was compiled with, so the
 * layout below is binary interface. What is assumed of it:
 *
 *   L1 The structure is 216 bytes on a 64-bit machine, in every version; what
 *      later versions added lies where earlier ones had padding, so writing a
 *      later member never hurts an earlier program.
 *   L2 Inline functions use khead, ktail, kring_mask or ring_mask,
 *      kring_entries or ring_entries, kflags, sqes, cqes, sqe_head, sqe_tail,
 *      flags, ring_fd and features. All of them are filled here.
 *   L3 int_flags and enter_ring_fd are used by functions of the library only,
 *      and of these by none that is left to liburing itself. So their meaning
 *      is ours; it is kept compatible where liburing has one.
 *   L4 The SQ ring's index array, where there is one, names SQE n in slot n; it
 *      is written once, as in liburing from 2.4 on.
 *
 * Every function that enters the kernel is replaced (test/cli/liburing_symbols
 * looks for one that is not); those that only touch memory stay liburing's own.
 *
 * Not here: what the calls do (syscall/), raw calls by other ways (libc.c, trap.c).
 */
#ifndef RS_ENTRY_LIBURING_H
#define RS_ENTRY_LIBURING_H

#include <signal.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/abi.h"
#include "base/atomic.h"

struct io_uring_sq {
	u32 *khead, *ktail, *kring_mask, *kring_entries, *kflags, *kdropped, *array;
	struct io_uring_sqe *sqes;
	u32 sqe_head, sqe_tail; /* prepared by the program, not yet in the ring */
	size_t ring_sz;
	void *ring_ptr;
	u32 ring_mask, ring_entries; /* since 2.3 */
	u32 sqes_sz;                 /* since 2.5 */
	u32 pad;
};

struct io_uring_cq {
	u32 *khead, *ktail, *kring_mask, *kring_entries, *kflags, *koverflow;
	struct io_uring_cqe *cqes;
	size_t ring_sz;
	void *ring_ptr;
	u32 ring_mask, ring_entries; /* since 2.3 */
	u32 pad[2];
};

struct io_uring {
	struct io_uring_sq sq;
	struct io_uring_cq cq;
	u32 flags;
	s32 ring_fd;
	u32 features;
	s32 enter_ring_fd; /* since 2.2, like int_flags */
	u8 int_flags;
	u8 pad[3];
	u32 pad2;
};

_Static_assert(sizeof(struct io_uring_sq) == 104, "SQ");
_Static_assert(offsetof(struct io_uring_sq, sqes) == 56, "SQ sqes");
_Static_assert(offsetof(struct io_uring_sq, sqe_tail) == 68, "SQ sqe_tail");
_Static_assert(offsetof(struct io_uring_sq, ring_mask) == 88, "SQ ring_mask");
_Static_assert(sizeof(struct io_uring_cq) == 88, "CQ");
_Static_assert(offsetof(struct io_uring_cq, cqes) == 48, "CQ cqes");
_Static_assert(offsetof(struct io_uring_cq, ring_mask) == 72, "CQ ring_mask");
_Static_assert(sizeof(struct io_uring) == 216, "ring");
_Static_assert(offsetof(struct io_uring, flags) == 192, "ring flags");
_Static_assert(offsetof(struct io_uring, features) == 200, "ring features");
_Static_assert(offsetof(struct io_uring, int_flags) == 208, "ring int_flags");

/* int_flags */
#define RING_REGISTERED         1U /* enter_ring_fd is an index of this thread's registered rings */
#define RING_REGISTERS_BY_INDEX 2U /* ... and io_uring_register() takes it too */
#define RING_MEMORY_IS_PROGRAMS 4U /* io_uring_queue_init_mem() */
#define RING_NO_IOWAIT          8U
#define RING_IS_USER            0x80U /* made by ringside: no question to ask on the hot path */

/* A CQE of this user_data ends a wait's timeout where the kernel has no EXT_ARG. */
#define RING_TIMEOUT_USER_DATA (~0ull)

struct io_uring_buf_ring;
struct io_uring_napi;
struct io_uring_zcrx_ifq_reg;
struct io_uring_bpf;
struct zcrx_ctrl;

/*
 * Begins the definition of a function that stands in for liburing's: exported,
 * without a version, so that a reference to any LIBURING_2.x version binds to
 * it. Weak, which says nothing to the dynamic loader: a program that links both
 * libringside.a and liburing.a, and wants of the latter a function that is not
 * here, gets with it liburing's own of these, which come in by the trap.
 */
#define LIBURING(type, name, ...)                                                                  \
	RS_EXPORT __attribute__((weak)) type name(__VA_ARGS__);                                    \
	RS_EXPORT type name(__VA_ARGS__)

/* io_uring_enter() on the ring's own descriptor or index (liburing.c). */
int liburing_enter(const struct io_uring *ring, u32 to_submit, u32 min_complete, u32 flags,
		   const void *arg, size_t arg_size);

/* io_uring_register() likewise (liburing_register.c). */
int liburing_register(const struct io_uring *ring, u32 opcode, const void *arg, u32 nr_args);

/* Those that the files below call of one another. */
int io_uring_register(unsigned fd, unsigned opcode, const void *arg, unsigned nr_args);
int io_uring_unregister_ring_fd(struct io_uring *ring);
int io_uring_register_probe(struct io_uring *ring, struct io_uring_probe *probe, unsigned nr);
int io_uring_unregister_buf_ring(struct io_uring *ring, int bgid);

#endif
