/*
 * syscall.h - what io_uring_setup(), io_uring_enter() and io_uring_register() do
 *
 * These are called by entry/, whichever way a call came in, on the calling
 * thread of the program. Results are what the kernel's calls would return: a
 * value or -errno. Each may be called from a signal handler. Pointers are the
 * program's and are not trusted.
 */
#ifndef RS_SYSCALL_SYSCALL_H
#define RS_SYSCALL_SYSCALL_H

#include "base/abi.h"
#include "base/types.h"

long syscall_setup(u32 entries, struct io_uring_params *user_params);

/* May block (IORING_ENTER_GETEVENTS, SQ_WAIT); returns -EINTR when a signal handler of the
 * program ran. */
long syscall_enter(u32 fd, u32 to_submit, u32 min_complete, u32 flags, const void *user_arg,
		   size_t arg_size);

long syscall_register(u32 fd, u32 opcode, void *user_arg, u32 nr_args);

#endif
