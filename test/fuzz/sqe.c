/*
 * sqe.c - an SQE of the input's bytes
 *
 * Raw, all 64 bytes are the input's. Structured, a field takes one or two bytes
 * and has mostly values with which the operation goes on: a number that is small, a pointer to
 * where something useful stands, and zero where the input says so. Either way what the
 * opcode takes for a pointer or a descriptor is then led to where it may go;
 * of an opcode that is not known here, to memory that cannot be written.
 */
#include <string.h>

#include "fuzz.h"

enum addr2 {
	ADDR2_NUMBER,
	ADDR2_POINTER,
	ADDR2_FD,
};

struct shape {
	bool is_known;
	bool has_number; /* addr is a number */
	bool has_no_fd;  /* fd is a number */
	enum area addr;
	u32 align;
	enum addr2 addr2; /* what `off` is */
	u8 number;        /* has_no_fd: what fd mostly is */
};

/* futex2's flags: a private word of 32 bits. */
#define FUTEX_PRIVATE_WORD 130

#define DATA    .is_known = true, .addr = AREA_DATA, .align = 1
#define VECTORS .is_known = true, .addr = AREA_VECTORS, .align = 16
#define MESSAGE .is_known = true, .addr = AREA_MESSAGES, .align = DATA_SLOT
#define NUMBER  .is_known = true, .has_number = true
#define TWO     .addr2 = ADDR2_POINTER

static const struct shape shapes[IORING_OP_LAST] = {
	[IORING_OP_NOP] = {NUMBER},
	[IORING_OP_NOP128] = {NUMBER},
	[IORING_OP_READV] = {VECTORS},
	[IORING_OP_WRITEV] = {VECTORS},
	[IORING_OP_READV_FIXED] = {VECTORS},
	[IORING_OP_WRITEV_FIXED] = {VECTORS},
	[IORING_OP_READ] = {DATA},
	[IORING_OP_WRITE] = {DATA},
	[IORING_OP_READ_FIXED] = {DATA},
	[IORING_OP_WRITE_FIXED] = {DATA},
	[IORING_OP_READ_MULTISHOT] = {DATA},
	[IORING_OP_FSYNC] = {NUMBER},
	[IORING_OP_SYNC_FILE_RANGE] = {NUMBER},
	[IORING_OP_FALLOCATE] = {NUMBER},
	[IORING_OP_FTRUNCATE] = {NUMBER},
	[IORING_OP_FADVISE] = {NUMBER},
	[IORING_OP_MADVISE] = {.is_known = true, .addr = AREA_DATA, .align = PAGE},
	[IORING_OP_POLL_ADD] = {NUMBER},
	[IORING_OP_POLL_REMOVE] = {NUMBER},
	[IORING_OP_SENDMSG] = {MESSAGE},
	[IORING_OP_SENDMSG_ZC] = {MESSAGE},
	[IORING_OP_RECVMSG] = {MESSAGE},
	[IORING_OP_TIMEOUT] = {DATA},
	[IORING_OP_LINK_TIMEOUT] = {DATA},
	[IORING_OP_TIMEOUT_REMOVE] = {NUMBER, TWO},
	[IORING_OP_ASYNC_CANCEL] = {NUMBER},
	[IORING_OP_ACCEPT] = {DATA, TWO},
	[IORING_OP_CONNECT] = {DATA},
	[IORING_OP_BIND] = {DATA},
	[IORING_OP_LISTEN] = {NUMBER},
	[IORING_OP_SHUTDOWN] = {NUMBER},
	[IORING_OP_SEND] = {DATA, TWO},
	[IORING_OP_SEND_ZC] = {DATA, TWO},
	[IORING_OP_RECV] = {DATA},
	[IORING_OP_OPENAT] = {DATA},
	[IORING_OP_OPENAT2] = {DATA, TWO},
	[IORING_OP_CLOSE] = {NUMBER},
	[IORING_OP_STATX] = {DATA, TWO},
	[IORING_OP_UNLINKAT] = {DATA},
	[IORING_OP_RENAMEAT] = {DATA, TWO},
	[IORING_OP_MKDIRAT] = {DATA},
	[IORING_OP_SYMLINKAT] = {DATA, TWO},
	[IORING_OP_LINKAT] = {DATA, TWO},
	[IORING_OP_FSETXATTR] = {DATA, TWO},
	[IORING_OP_SETXATTR] = {DATA, TWO},
	[IORING_OP_FGETXATTR] = {DATA, TWO},
	[IORING_OP_GETXATTR] = {DATA, TWO},
	[IORING_OP_FILES_UPDATE] = {.is_known = true, .addr = AREA_FDS, .align = 4},
	[IORING_OP_EPOLL_CTL] = {DATA, .addr2 = ADDR2_FD},
	[IORING_OP_EPOLL_WAIT] = {DATA},
	[IORING_OP_SPLICE] = {NUMBER},
	[IORING_OP_TEE] = {NUMBER},
	[IORING_OP_PROVIDE_BUFFERS] = {DATA, .has_no_fd = true, .number = 4},
	[IORING_OP_REMOVE_BUFFERS] = {NUMBER, .has_no_fd = true, .number = 4},
	[IORING_OP_MSG_RING] = {NUMBER},
	[IORING_OP_SOCKET] = {NUMBER, .has_no_fd = true, .number = 1 /* AF_UNIX */},
	[IORING_OP_URING_CMD] = {NUMBER},
	[IORING_OP_URING_CMD128] = {NUMBER},
	[IORING_OP_WAITID] = {NUMBER, TWO, .has_no_fd = true},
	[IORING_OP_FUTEX_WAIT] = {DATA, .has_no_fd = true, .number = FUTEX_PRIVATE_WORD},
	[IORING_OP_FUTEX_WAKE] = {DATA, .has_no_fd = true, .number = FUTEX_PRIVATE_WORD},
	[IORING_OP_FUTEX_WAITV] = {DATA, .has_no_fd = true},
	[IORING_OP_FIXED_FD_INSTALL] = {NUMBER},
	[IORING_OP_PIPE] = {DATA},
};

/* Half of all fields are what is usual, the others small or of one bit. */
u32 small_or_bit(struct input *in)
{
	u8 byte = input_take(in, u8);

	return byte < 128 ? 0 : byte < 192 ? byte - 128u : 1u << byte % 32;
}

/* Half of all pointers are to a slot, half of all numbers are some request's user_data. */
static u64 addr_take(struct input *in, const struct shape *shape)
{
	u16 raw = input_take(in, u16);

	if (raw >= 0x8000)
		return raw;
	if (shape->has_number)
		return raw % 16;
	return raw % DATA_SLOTS ? raw % DATA_SLOTS * DATA_SLOT : ARENA_START;
}

/* Fields that most operations want to be zero. */
static void zeroes_take(struct input *in, struct io_uring_sqe *sqe)
{
	u8 zeroes = input_take(in, u8);

	if (zeroes & 1)
		sqe->flags = 0;
	if (zeroes & 2)
		sqe->addr = 0;
	if (zeroes & 4)
		sqe->off = 0;
	if (zeroes & 8)
		sqe->len = 0;
	if (zeroes & 16)
		sqe->ioprio = 0;
	if (zeroes & 32)
		sqe->buf_index = 0;
	if (zeroes & 64)
		sqe->file_index = 0;
	if (zeroes & 128)
		sqe->len = 1;
}

static void structured_take(struct input *in, struct io_uring_sqe *sqe)
{
	const struct shape *shape;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = input_take(in, u8) % (IORING_OP_LAST + 1);
	shape = &shapes[sqe->opcode % IORING_OP_LAST];
	sqe->flags = input_take(in, u8);
	sqe->fd = input_take(in, u8);
	if (shape->has_no_fd && sqe->fd < 96)
		sqe->fd = shape->number;
	sqe->addr = addr_take(in, shape);
	sqe->off = small_or_bit(in) * (shape->addr2 == ADDR2_POINTER ? 8ull : 1);
	sqe->len = input_take(in, u16);
	sqe->op_flags = small_or_bit(in);
	sqe->ioprio = (u16)small_or_bit(in);
	sqe->user_data = input_take(in, u8) % 16;
	sqe->buf_index = input_take(in, u8) % 8;
	sqe->file_index = small_or_bit(in);
	if (input_take(in, u8) & 1)
		sqe->addr3 = input_take(in, u16);
	zeroes_take(in, sqe);
	if (sqe->opcode == IORING_OP_URING_CMD || sqe->opcode == IORING_OP_URING_CMD128)
		sqe->optname = small_or_bit(in);
}

static void make_harmless(struct io_uring_sqe *sqe)
{
	const struct shape *shape = &shapes[sqe->opcode % IORING_OP_LAST];
	bool is_known = sqe->opcode < IORING_OP_LAST && shape->is_known;
	bool is_vector = (sqe->opcode == IORING_OP_SEND || sqe->opcode == IORING_OP_SEND_ZC) &&
			 sqe->ioprio & IORING_SEND_VECTORIZED;

	if (!is_known || is_vector)
		sqe->addr = arena_pointer(sqe->addr, AREA_VECTORS, 16);
	else if (!shape->has_number)
		sqe->addr = arena_pointer(sqe->addr, shape->addr, shape->align);
	if (!is_known || shape->addr2 == ADDR2_POINTER)
		sqe->off = arena_pointer(sqe->off, AREA_DATA, 1);
	else if (shape->addr2 == ADDR2_FD)
		sqe->off = (u32)files_pick((s32)sqe->off);
	if (!is_known || sqe->opcode == IORING_OP_URING_CMD ||
	    sqe->opcode == IORING_OP_URING_CMD128)
		sqe->optval = arena_pointer(sqe->optval, AREA_DATA, 1);
	if (!(is_known && shape->has_no_fd) && !(sqe->flags & IOSQE_FIXED_FILE))
		sqe->fd = files_pick(sqe->fd);
}

/* What is allowed, and yet too much for one machine. */
static void make_modest(struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_PROVIDE_BUFFERS:
		sqe->len &= 0xffffff; /* the last of 65,536 is still near the arena */
		break;
	case IORING_OP_MADVISE:
		sqe->len &= 0xfffff;
		sqe->fadvise_advice %= 26; /* none that a page of the machine's is lost by */
		break;
	case IORING_OP_SPLICE:
	case IORING_OP_TEE:
		if (!(sqe->splice_flags & SPLICE_F_FD_IN_FIXED))
			sqe->splice_fd_in = files_pick(sqe->splice_fd_in);
		break;
	case IORING_OP_RENAMEAT:
	case IORING_OP_LINKAT:
		sqe->len = (u32)files_pick((s32)sqe->len); /* the other directory */
		break;
	case IORING_OP_WAITID: /* the one child never ends */
		sqe->fd = sqe->len == 3 /* P_PIDFD */ ? files_pick(sqe->fd) : files_child();
		break;
	}
}

void sqe_take(struct input *in, struct io_uring_sqe *sqe, bool is_raw)
{
	if (is_raw)
		input_bytes(in, sqe, sizeof(*sqe));
	else
		structured_take(in, sqe);
	make_harmless(sqe);
	make_modest(sqe);
}
