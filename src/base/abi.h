/*
 * abi.h - names, numbers and structures of the io_uring interface
 *
 * ringside's own statement of the interface, so that it can be newer than the
 * headers of the distribution it is built on. A file that includes this does
 * not include <linux/io_uring.h> or <liburing.h>: they define the same names.
 *
 * Source: io_uring_setup(2), io_uring_enter(2), io_uring_register(2) and the
 * kernel's published interface. Sizes and offsets are asserted below.
 */
#ifndef RS_BASE_ABI_H
#define RS_BASE_ABI_H

#include "base/types.h"

/* Operations (sqe->opcode) */
#define IORING_OP_NOP              0U
#define IORING_OP_READV            1U
#define IORING_OP_WRITEV           2U
#define IORING_OP_FSYNC            3U
#define IORING_OP_READ_FIXED       4U
#define IORING_OP_WRITE_FIXED      5U
#define IORING_OP_POLL_ADD         6U
#define IORING_OP_POLL_REMOVE      7U
#define IORING_OP_SYNC_FILE_RANGE  8U
#define IORING_OP_SENDMSG          9U
#define IORING_OP_RECVMSG          10U
#define IORING_OP_TIMEOUT          11U
#define IORING_OP_TIMEOUT_REMOVE   12U
#define IORING_OP_ACCEPT           13U
#define IORING_OP_ASYNC_CANCEL     14U
#define IORING_OP_LINK_TIMEOUT     15U
#define IORING_OP_CONNECT          16U
#define IORING_OP_FALLOCATE        17U
#define IORING_OP_OPENAT           18U
#define IORING_OP_CLOSE            19U
#define IORING_OP_FILES_UPDATE     20U
#define IORING_OP_STATX            21U
#define IORING_OP_READ             22U
#define IORING_OP_WRITE            23U
#define IORING_OP_FADVISE          24U
#define IORING_OP_MADVISE          25U
#define IORING_OP_SEND             26U
#define IORING_OP_RECV             27U
#define IORING_OP_OPENAT2          28U
#define IORING_OP_EPOLL_CTL        29U
#define IORING_OP_SPLICE           30U
#define IORING_OP_PROVIDE_BUFFERS  31U
#define IORING_OP_REMOVE_BUFFERS   32U
#define IORING_OP_TEE              33U
#define IORING_OP_SHUTDOWN         34U
#define IORING_OP_RENAMEAT         35U
#define IORING_OP_UNLINKAT         36U
#define IORING_OP_MKDIRAT          37U
#define IORING_OP_SYMLINKAT        38U
#define IORING_OP_LINKAT           39U
#define IORING_OP_MSG_RING         40U
#define IORING_OP_FSETXATTR        41U
#define IORING_OP_SETXATTR         42U
#define IORING_OP_FGETXATTR        43U
#define IORING_OP_GETXATTR         44U
#define IORING_OP_SOCKET           45U
#define IORING_OP_URING_CMD        46U
#define IORING_OP_SEND_ZC          47U
#define IORING_OP_SENDMSG_ZC       48U
#define IORING_OP_READ_MULTISHOT   49U
#define IORING_OP_WAITID           50U
#define IORING_OP_FUTEX_WAIT       51U
#define IORING_OP_FUTEX_WAKE       52U
#define IORING_OP_FUTEX_WAITV      53U
#define IORING_OP_FIXED_FD_INSTALL 54U
#define IORING_OP_FTRUNCATE        55U
#define IORING_OP_BIND             56U
#define IORING_OP_LISTEN           57U
#define IORING_OP_RECV_ZC          58U
#define IORING_OP_EPOLL_WAIT       59U
#define IORING_OP_READV_FIXED      60U
#define IORING_OP_WRITEV_FIXED     61U
#define IORING_OP_PIPE             62U
#define IORING_OP_NOP128           63U
#define IORING_OP_URING_CMD128     64U
#define IORING_OP_LAST             65U

/* SQE flags */
#define IOSQE_FIXED_FILE       1U
#define IOSQE_IO_DRAIN         2U
#define IOSQE_IO_LINK          4U
#define IOSQE_IO_HARDLINK      8U
#define IOSQE_ASYNC            16U
#define IOSQE_BUFFER_SELECT    32U
#define IOSQE_CQE_SKIP_SUCCESS 64U

/* io_uring_setup() flags */
#define IORING_SETUP_IOPOLL             1U
#define IORING_SETUP_SQPOLL             2U
#define IORING_SETUP_SQ_AFF             4U
#define IORING_SETUP_CQSIZE             8U
#define IORING_SETUP_CLAMP              16U
#define IORING_SETUP_ATTACH_WQ          32U
#define IORING_SETUP_R_DISABLED         64U
#define IORING_SETUP_SUBMIT_ALL         128U
#define IORING_SETUP_COOP_TASKRUN       0x100U
#define IORING_SETUP_TASKRUN_FLAG       0x200U
#define IORING_SETUP_SQE128             0x400U
#define IORING_SETUP_CQE32              0x800U
#define IORING_SETUP_SINGLE_ISSUER      0x1000U
#define IORING_SETUP_DEFER_TASKRUN      0x2000U
#define IORING_SETUP_NO_MMAP            0x4000U
#define IORING_SETUP_REGISTERED_FD_ONLY 0x8000U
#define IORING_SETUP_NO_SQARRAY         0x10000U
#define IORING_SETUP_HYBRID_IOPOLL      0x20000U
#define IORING_SETUP_CQE_MIXED          0x40000U
#define IORING_SETUP_SQE_MIXED          0x80000U
#define IORING_SETUP_SQ_REWIND          0x100000U

/* io_uring_enter() flags */
#define IORING_ENTER_GETEVENTS       1U
#define IORING_ENTER_SQ_WAKEUP       2U
#define IORING_ENTER_SQ_WAIT         4U
#define IORING_ENTER_EXT_ARG         8U
#define IORING_ENTER_REGISTERED_RING 16U
#define IORING_ENTER_ABS_TIMER       32U
#define IORING_ENTER_EXT_ARG_REG     64U
#define IORING_ENTER_NO_IOWAIT       128U

/* Features (params->features) */
#define IORING_FEAT_SINGLE_MMAP     1U
#define IORING_FEAT_NODROP          2U
#define IORING_FEAT_SUBMIT_STABLE   4U
#define IORING_FEAT_RW_CUR_POS      8U
#define IORING_FEAT_CUR_PERSONALITY 16U
#define IORING_FEAT_FAST_POLL       32U
#define IORING_FEAT_POLL_32BITS     64U
#define IORING_FEAT_SQPOLL_NONFIXED 128U
#define IORING_FEAT_EXT_ARG         0x100U
#define IORING_FEAT_NATIVE_WORKERS  0x200U
#define IORING_FEAT_RSRC_TAGS       0x400U
#define IORING_FEAT_CQE_SKIP        0x800U
#define IORING_FEAT_LINKED_FILE     0x1000U
#define IORING_FEAT_REG_REG_RING    0x2000U
#define IORING_FEAT_RECVSEND_BUNDLE 0x4000U
#define IORING_FEAT_MIN_TIMEOUT     0x8000U
#define IORING_FEAT_RW_ATTR         0x10000U
#define IORING_FEAT_NO_IOWAIT       0x20000U

/* io_uring_register() opcodes and their flags */
#define IORING_REGISTER_BUFFERS               0U
#define IORING_UNREGISTER_BUFFERS             1U
#define IORING_REGISTER_FILES                 2U
#define IORING_UNREGISTER_FILES               3U
#define IORING_REGISTER_EVENTFD               4U
#define IORING_UNREGISTER_EVENTFD             5U
#define IORING_REGISTER_FILES_UPDATE          6U
#define IORING_REGISTER_EVENTFD_ASYNC         7U
#define IORING_REGISTER_PROBE                 8U
#define IORING_REGISTER_PERSONALITY           9U
#define IORING_UNREGISTER_PERSONALITY         10U
#define IORING_REGISTER_RESTRICTIONS          11U
#define IORING_REGISTER_ENABLE_RINGS          12U
#define IORING_REGISTER_FILES2                13U
#define IORING_REGISTER_FILES_UPDATE2         14U
#define IORING_REGISTER_BUFFERS2              15U
#define IORING_REGISTER_BUFFERS_UPDATE        16U
#define IORING_REGISTER_IOWQ_AFF              17U
#define IORING_UNREGISTER_IOWQ_AFF            18U
#define IORING_REGISTER_IOWQ_MAX_WORKERS      19U
#define IORING_REGISTER_RING_FDS              20U
#define IORING_UNREGISTER_RING_FDS            21U
#define IORING_REGISTER_PBUF_RING             22U
#define IORING_UNREGISTER_PBUF_RING           23U
#define IORING_REGISTER_SYNC_CANCEL           24U
#define IORING_REGISTER_FILE_ALLOC_RANGE      25U
#define IORING_REGISTER_PBUF_STATUS           26U
#define IORING_REGISTER_NAPI                  27U
#define IORING_UNREGISTER_NAPI                28U
#define IORING_REGISTER_CLOCK                 29U
#define IORING_REGISTER_CLONE_BUFFERS         30U
#define IORING_REGISTER_SEND_MSG_RING         31U
#define IORING_REGISTER_ZCRX_IFQ              32U
#define IORING_REGISTER_RESIZE_RINGS          33U
#define IORING_REGISTER_MEM_REGION            34U
#define IORING_REGISTER_QUERY                 35U
#define IORING_REGISTER_ZCRX_CTRL             36U
#define IORING_REGISTER_BPF_FILTER            37U
#define IORING_REGISTER_LAST                  38U
#define IORING_REGISTER_USE_REGISTERED_RING   0x80000000U
#define IO_WQ_BOUND                           0U
#define IO_WQ_UNBOUND                         1U
#define IORING_MEM_REGION_TYPE_USER           1U
#define IORING_MEM_REGION_REG_WAIT_ARG        1U
#define IORING_REGISTER_SRC_REGISTERED        1U
#define IORING_REGISTER_DST_REPLACE           2U
#define IORING_RESTRICTION_REGISTER_OP        0U
#define IORING_RESTRICTION_SQE_OP             1U
#define IORING_RESTRICTION_SQE_FLAGS_ALLOWED  2U
#define IORING_RESTRICTION_SQE_FLAGS_REQUIRED 3U
#define IORING_RESTRICTION_LAST               4U
#define IORING_REG_WAIT_TS                    1U
#define IO_URING_QUERY_OPCODES                0U
#define IORING_RSRC_REGISTER_SPARSE           1U
#define IORING_REGISTER_FILES_SKIP            (-2)

/* CQE flags */
#define IORING_CQE_F_BUFFER        1U
#define IORING_CQE_F_MORE          2U
#define IORING_CQE_F_SOCK_NONEMPTY 4U
#define IORING_CQE_F_NOTIF         8U
#define IORING_CQE_F_BUF_MORE      16U
#define IORING_CQE_F_SKIP          32U
#define IORING_CQE_F_32            0x8000U
#define IORING_CQE_BUFFER_SHIFT    16U

/* Ring flags and mmap offsets */
#define IORING_OFF_SQ_RING         0U
#define IORING_OFF_CQ_RING         0x8000000U
#define IORING_OFF_SQES            0x10000000U
#define IORING_OFF_PBUF_RING       0x80000000U
#define IORING_OFF_PBUF_SHIFT      16U
#define IORING_OFF_MMAP_MASK       0xf8000000U
#define IOU_PBUF_RING_MMAP         1U
#define IOU_PBUF_RING_INC          2U
#define IORING_OFF_PARAM_REGION    0x20000000U /* where a memory region is mapped */
#define IORING_SQ_NEED_WAKEUP      1U
#define IORING_SQ_CQ_OVERFLOW      2U
#define IORING_SQ_TASKRUN          4U
#define IORING_CQ_EVENTFD_DISABLED 1U

/* Flags of operations */
#define IORING_FILE_INDEX_ALLOC      (~0U)
#define IORING_FSYNC_DATASYNC        1U
#define IORING_TIMEOUT_ABS           1U
#define IORING_TIMEOUT_UPDATE        2U
#define IORING_TIMEOUT_BOOTTIME      4U
#define IORING_TIMEOUT_REALTIME      8U
#define IORING_LINK_TIMEOUT_UPDATE   16U
#define IORING_TIMEOUT_ETIME_SUCCESS 32U
#define IORING_TIMEOUT_MULTISHOT     64U
#define IORING_TIMEOUT_IMMEDIATE_ARG 128U
#define IORING_TIMEOUT_CLOCK_MASK    12U
#define IORING_TIMEOUT_UPDATE_MASK   18U
#define IORING_POLL_ADD_MULTI        1U
#define IORING_POLL_UPDATE_EVENTS    2U
#define IORING_POLL_UPDATE_USER_DATA 4U
#define IORING_POLL_ADD_LEVEL        8U
#define IORING_ASYNC_CANCEL_ALL      1U
#define IORING_ASYNC_CANCEL_FD       2U
#define IORING_ASYNC_CANCEL_ANY      4U
#define IORING_ASYNC_CANCEL_FD_FIXED 8U
#define IORING_ASYNC_CANCEL_USERDATA 16U
#define IORING_ASYNC_CANCEL_OP       32U
#define IORING_RECVSEND_POLL_FIRST   1U
#define IORING_RECV_MULTISHOT        2U
#define IORING_RECVSEND_FIXED_BUF    4U
#define IORING_SEND_ZC_REPORT_USAGE  8U
#define IORING_RECVSEND_BUNDLE       16U
#define IORING_SEND_VECTORIZED       32U
#define IORING_ACCEPT_MULTISHOT      1U
#define IORING_ACCEPT_DONTWAIT       2U
#define IORING_ACCEPT_POLL_FIRST     4U
#define IORING_NOP_INJECT_RESULT     1U
#define IORING_NOP_FILE              2U
#define IORING_NOP_FIXED_FILE        4U
#define IORING_NOP_FIXED_BUFFER      8U
#define IORING_NOP_TW                16U
#define IORING_NOP_CQE32             32U
#define IORING_MSG_DATA              0U
#define IORING_MSG_SEND_FD           1U
#define IORING_MSG_RING_CQE_SKIP     1U
#define IORING_MSG_RING_FLAGS_PASS   2U
#define IORING_FIXED_FD_NO_CLOEXEC   1U
#define SPLICE_F_FD_IN_FIXED         0x80000000U
#define IORING_NOTIF_USAGE_ZC_COPIED 0x80000000U
#define IORING_URING_CMD_FIXED       1U
#define IORING_URING_CMD_MULTISHOT   2U
#define IORING_URING_CMD_MASK        3U
#define SOCKET_URING_OP_SIOCINQ      0U
#define SOCKET_URING_OP_SIOCOUTQ     1U
#define SOCKET_URING_OP_GETSOCKOPT   2U
#define SOCKET_URING_OP_SETSOCKOPT   3U
#define SOCKET_URING_OP_TX_TIMESTAMP 4U
#define SOCKET_URING_OP_GETSOCKNAME  5U
#define IO_URING_OP_SUPPORTED        1U

struct io_uring_sqe {
	u8 opcode;
	u8 flags;
	u16 ioprio;
	s32 fd;
	union {
		u64 off;
		u64 addr2;
		struct {
			u32 cmd_op;
			u32 pad1;
		};
	};
	union {
		u64 addr;
		u64 splice_off_in;
		struct {
			u32 level;
			u32 optname;
		};
	};
	u32 len;
	union {
		u32 op_flags; /* rw_flags, fsync_flags, poll32_events, msg_flags, ... by opcode */
		u32 rw_flags;
		u32 fsync_flags;
		u16 poll_events;
		u32 poll32_events;
		u32 sync_range_flags;
		u32 msg_flags;
		u32 timeout_flags;
		u32 accept_flags;
		u32 cancel_flags;
		u32 open_flags;
		u32 statx_flags;
		u32 fadvise_advice;
		u32 rename_flags;
		u32 unlink_flags;
		u32 nop_flags;
		u32 splice_flags;
		u32 xattr_flags;
		u32 msg_ring_flags;
		u32 futex_flags;
		u32 waitid_flags;
		u32 install_fd_flags;
		u32 pipe_flags;
		u32 uring_cmd_flags;
	};
	u64 user_data;
	union {
		u16 buf_index;
		u16 buf_group;
	} __attribute__((packed));
	u16 personality;
	union {
		s32 splice_fd_in;
		u32 file_index;
		u32 optlen;
		struct {
			u16 addr_len;
			u16 pad3;
		};
	};
	union {
		struct {
			u64 addr3;
			u64 pad2;
		};
		u64 optval;
		u8 cmd[0]; /* 80 bytes in a 128-byte SQE */
	};
};
_Static_assert(sizeof(struct io_uring_sqe) == 64, "SQE");
_Static_assert(offsetof(struct io_uring_sqe, user_data) == 32, "SQE user_data");
_Static_assert(offsetof(struct io_uring_sqe, buf_index) == 40, "SQE buf_index");
_Static_assert(offsetof(struct io_uring_sqe, file_index) == 44, "SQE file_index");
_Static_assert(offsetof(struct io_uring_sqe, addr3) == 48, "SQE addr3");

struct io_uring_cqe {
	u64 user_data;
	s32 res;
	u32 flags;
	u64 big_cqe[];
};
_Static_assert(sizeof(struct io_uring_cqe) == 16, "CQE");

struct io_sqring_offsets {
	u32 head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
	u64 user_addr;
};
_Static_assert(sizeof(struct io_sqring_offsets) == 40, "sqring_offsets");

struct io_cqring_offsets {
	u32 head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
	u64 user_addr;
};
_Static_assert(sizeof(struct io_cqring_offsets) == 40, "cqring_offsets");

struct io_uring_params {
	u32 sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, resv[3];
	struct io_sqring_offsets sq_off;
	struct io_cqring_offsets cq_off;
};
_Static_assert(sizeof(struct io_uring_params) == 120, "params");

struct io_uring_getevents_arg {
	u64 sigmask;
	u32 sigmask_sz;
	u32 min_wait_usec;
	u64 ts;
};
_Static_assert(sizeof(struct io_uring_getevents_arg) == 24, "getevents_arg");

struct io_uring_files_update {
	u32 offset, resv;
	u64 fds;
};
_Static_assert(sizeof(struct io_uring_files_update) == 16, "files_update");

struct io_uring_rsrc_register {
	u32 nr, flags;
	u64 resv2, data, tags;
};
_Static_assert(sizeof(struct io_uring_rsrc_register) == 32, "rsrc_register");

struct io_uring_rsrc_update2 {
	u32 offset, resv;
	u64 data, tags;
	u32 nr, resv2;
};
_Static_assert(sizeof(struct io_uring_rsrc_update2) == 32, "rsrc_update2");

struct io_uring_file_index_range {
	u32 off, len;
	u64 resv;
};
_Static_assert(sizeof(struct io_uring_file_index_range) == 16, "file_index_range");

/* Also the element of IORING_REGISTER_RING_FDS: offset is the slot, data the descriptor. */
struct io_uring_rsrc_update {
	u32 offset, resv;
	u64 data;
};
_Static_assert(sizeof(struct io_uring_rsrc_update) == 16, "rsrc_update");

struct io_uring_probe_op {
	u8 op, resv;
	u16 flags;
	u32 resv2;
};
_Static_assert(sizeof(struct io_uring_probe_op) == 8, "probe_op");

struct io_uring_probe {
	u8 last_op, ops_len;
	u16 resv;
	u32 resv2[3];
	struct io_uring_probe_op ops[];
};
_Static_assert(sizeof(struct io_uring_probe) == 16, "probe");

/* A buffer of a ring of provided buffers. The ring's tail is where entry 0 has `resv`. */
struct io_uring_buf {
	u64 addr;
	u32 len;
	u16 bid;
	u16 resv;
};
_Static_assert(sizeof(struct io_uring_buf) == 16, "buf");
_Static_assert(offsetof(struct io_uring_buf, resv) == 14, "the tail");

struct io_uring_buf_reg {
	u64 ring_addr;
	u32 ring_entries;
	u16 bgid, flags;
	u32 min_left;
	u32 resv[5];
};
_Static_assert(sizeof(struct io_uring_buf_reg) == 40, "buf_reg");

struct io_uring_buf_status {
	u32 buf_group, head;
	u32 resv[8];
};
_Static_assert(sizeof(struct io_uring_buf_status) == 40, "buf_status");

/* What a multishot RECVMSG puts before the address, the control data and the payload. */
struct io_uring_recvmsg_out {
	u32 namelen, controllen, payloadlen, flags;
};
_Static_assert(sizeof(struct io_uring_recvmsg_out) == 16, "recvmsg_out");

/* struct __kernel_timespec: 64-bit on every architecture */
struct abi_timespec {
	s64 tv_sec;
	s64 tv_nsec;
};
_Static_assert(sizeof(struct abi_timespec) == 16, "timespec");

struct io_uring_sync_cancel_reg {
	u64 addr;
	s32 fd;
	u32 flags;
	struct abi_timespec timeout;
	u8 opcode;
	u8 pad[7];
	u64 pad2[3];
};
_Static_assert(sizeof(struct io_uring_sync_cancel_reg) == 64, "sync_cancel_reg");

struct io_uring_restriction {
	u16 opcode;
	u8 value; /* register_op, sqe_op or sqe_flags, by opcode */
	u8 resv;
	u32 resv2[3];
};
_Static_assert(sizeof(struct io_uring_restriction) == 16, "restriction");

struct io_uring_clock_register {
	u32 clockid;
	u32 resv[3];
};
_Static_assert(sizeof(struct io_uring_clock_register) == 16, "clock_register");

struct io_uring_clone_buffers {
	u32 src_fd, flags, src_off, dst_off, nr;
	u32 pad[3];
};
_Static_assert(sizeof(struct io_uring_clone_buffers) == 32, "clone_buffers");

struct io_uring_region_desc {
	u64 user_addr, size;
	u32 flags, id;
	u64 mmap_offset;
	u64 resv[4];
};
_Static_assert(sizeof(struct io_uring_region_desc) == 64, "region_desc");

struct io_uring_mem_region_reg {
	u64 region_uptr; /* struct io_uring_region_desc * */
	u64 flags;
	u64 resv[2];
};
_Static_assert(sizeof(struct io_uring_mem_region_reg) == 32, "mem_region_reg");

/* What IORING_ENTER_EXT_ARG_REG finds in a region, at the offset that is the argument. */
struct io_uring_reg_wait {
	struct abi_timespec ts;
	u32 min_wait_usec;
	u32 flags;
	u64 sigmask;
	u32 sigmask_sz;
	u32 pad[3];
	u64 pad2[2];
};
_Static_assert(sizeof(struct io_uring_reg_wait) == 64, "reg_wait");

struct io_uring_query_hdr {
	u64 next_entry, query_data;
	u32 query_op, size;
	s32 result;
	u32 resv[3];
};
_Static_assert(sizeof(struct io_uring_query_hdr) == 40, "query_hdr");

struct io_uring_query_opcode {
	u32 nr_request_opcodes, nr_register_opcodes;
	u64 feature_flags, ring_setup_flags, enter_flags, sqe_flags;
	u32 nr_query_opcodes, pad;
};
_Static_assert(sizeof(struct io_uring_query_opcode) == 48, "query_opcode");

#endif
