/*
 * abi.h - io_uring constants newer than the distribution's header
 *
 * The oracle is compiled against <linux/io_uring.h> of the build machine and
 * must name values that header may not have yet. Each one is guarded by its
 * own #ifndef where the kernel defines a macro, and carries an ORACLE_ prefix
 * where the kernel defines an enumerator, which the preprocessor cannot see.
 */
#ifndef ORACLE_ABI_H
#define ORACLE_ABI_H

#include <linux/io_uring.h>
#include <stddef.h>

#ifndef IORING_SETUP_NO_MMAP
#define IORING_SETUP_NO_MMAP (1U << 14)
#endif
#ifndef IORING_SETUP_REGISTERED_FD_ONLY
#define IORING_SETUP_REGISTERED_FD_ONLY (1U << 15)
#endif
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#ifndef IORING_TIMEOUT_MULTISHOT
#define IORING_TIMEOUT_MULTISHOT (1U << 6)
#endif
#ifndef IORING_ASYNC_CANCEL_USERDATA
#define IORING_ASYNC_CANCEL_USERDATA (1U << 4)
#endif
#ifndef IORING_ASYNC_CANCEL_OP
#define IORING_ASYNC_CANCEL_OP (1U << 5)
#endif
#ifndef IORING_ENTER_ABS_TIMER
#define IORING_ENTER_ABS_TIMER (1U << 5)
#endif
#ifndef IORING_ENTER_EXT_ARG_REG
#define IORING_ENTER_EXT_ARG_REG (1U << 6)
#endif
#ifndef IORING_NOP_INJECT_RESULT
#define IORING_NOP_INJECT_RESULT (1U << 0)
#endif

#define ORACLE_SETUP_CQE_MIXED (1U << 18)
#define ORACLE_CQE_F_SKIP      (1U << 5)
#define ORACLE_CQE_F_32        (1U << 15)
#define ORACLE_NOP_FIXED_FILE  (1U << 2)
#define ORACLE_NOP_CQE32       (1U << 5)

#define ORACLE_OP_SENDMSG_ZC       48
#define ORACLE_OP_READ_MULTISHOT   49
#define ORACLE_OP_WAITID           50
#define ORACLE_OP_FUTEX_WAIT       51
#define ORACLE_OP_FUTEX_WAKE       52
#define ORACLE_OP_FUTEX_WAITV      53
#define ORACLE_OP_FIXED_FD_INSTALL 54
#define ORACLE_OP_FTRUNCATE        55
#define ORACLE_OP_BIND             56
#define ORACLE_OP_LISTEN           57
#define ORACLE_OP_EPOLL_WAIT       59
#define ORACLE_OP_READV_FIXED      60
#define ORACLE_OP_WRITEV_FIXED     61
#define ORACLE_OP_PIPE             62
#define ORACLE_OP_COUNT            65 /* the first opcode that no kernel of today knows */

/* Registrations newer than the header. */
#define ORACLE_REGISTER_RESTRICTIONS     11
#define ORACLE_REGISTER_SYNC_CANCEL      24
#define ORACLE_REGISTER_FILE_ALLOC_RANGE 25
#define ORACLE_REGISTER_CLOCK            29
#define ORACLE_REGISTER_CLONE_BUFFERS    30
#define ORACLE_REGISTER_RESIZE_RINGS     33
#define ORACLE_REGISTER_MEM_REGION       34
#define ORACLE_REGISTER_QUERY            35

_Static_assert(sizeof(struct io_uring_sqe) == 64, "an SQE is 64 bytes");
_Static_assert(offsetof(struct io_uring_sqe, user_data) == 32, "user_data is at 32");
_Static_assert(sizeof(struct io_uring_params) == 120, "setup's argument is 120 bytes");

#endif
