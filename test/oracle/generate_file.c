/*
 * generate_file.c - requests that complete in their batch, whatever comes of them
 *
 * Files, directories, names, memory, NOP, and wrong arguments. Each is drawn
 * only if its chain may have what it touches; else it becomes a NOP.
 *
 * Entry:       file_op_draw()
 * Invariants:  see generate.h, G2
 */
#define _GNU_SOURCE
#include "generate.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

static uint32_t draw_length(struct generator *g)
{
	static const uint32_t lengths[] = {0, 1, 7, 100, 512, 1000, 4096, 4097, 8000, 8192};

	return lengths[draw_below(g, sizeof(lengths) / sizeof(lengths[0]))];
}

static uint64_t draw_offset(struct generator *g)
{
	static const uint64_t offsets[] = {0,     0,     1,     512,   4000,         4096,
					   8192,  9990,  10000, 32768, UINT64_MAX,   40000,
					   65536, 12345, 3,     50000, (uint64_t)-2, 1ULL << 62};

	/* The last two are rarely worth more than their error. */
	return offsets[draw_below(g, draw_percent(g, 5) ? 18 : 16)];
}

static uint8_t draw_file(struct generator *g)
{
	return (uint8_t)draw_below(g, FILES);
}

/* Where a request reads or writes: usually its own buffer, whole. */
static void buffer_draw(struct generator *g, struct ref *ref, uint32_t len)
{
	ref->kind = REF_BUF;
	ref->v = 0;
	if (draw_percent(g, 20) && len < ARENA_DATA)
		ref->v = draw_below(g, ARENA_DATA - len + 1);
	else if (draw_percent(g, 3))
		ref->kind = REF_GUARD;
	else if (draw_percent(g, 3))
		ref->v = ARENA_DATA - len / 2;
	else if (draw_percent(g, 2))
		ref->kind = REF_RAW;
}

/*
 * What reads or writes at the file's position may not end early: on most disk file systems the
 * kernel then tells how much it did and leaves the position where it was, so that the next one
 * reads the same, or is put over this one. Ringside moves it, as read(2) and write(2) do.
 */
static void buffers_mend(struct op *op)
{
	op->addr = (struct ref){.kind = op->niov ? REF_IOV : REF_BUF};
	for (int i = 0; i < op->niov; i++) {
		op->iov[i].base = (struct ref){.kind = REF_BUF, .v = (uint64_t)i * 16};
		op->iov[i].len %= ARENA_DATA - 16 * OP_IOVECS;
	}
}

/*
 * A direct write of a length that is refused has written what comes before the extent with its odd
 * end, and who asked does not know how the file is laid out. From an odd position on it writes
 * nothing.
 */
static void direct_write_mend(struct op *op)
{
	uint64_t length = op->sqe.len;

	if (op->sqe.opcode == IORING_OP_WRITEV || op->sqe.opcode == ORACLE_OP_WRITEV_FIXED) {
		length = 0;
		for (int i = 0; i < op->niov; i++)
			length += op->iov[i].len;
	}
	if (length % 512)
		op->off.v = 1;
}

static bool rw_draw(struct generator *g)
{
	static const uint8_t opcodes[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV,
					  IORING_OP_WRITEV};
	const uint8_t opcode = opcodes[draw_below(g, sizeof(opcodes))];
	const bool writes = opcode == IORING_OP_WRITE || opcode == IORING_OP_WRITEV;
	const uint8_t file = draw_percent(g, 4) ? OBJ_DIR : draw_file(g);
	const uint64_t offset = draw_offset(g);
	struct op *op;

	if (file < FILES && !claim_try(g, file, writes || offset == UINT64_MAX))
		return false;
	op = op_add(g, opcode);
	op_set_file(g, op, file);
	op->off.v = offset;
	op->fills = writes;
	op->capture = writes ? CAPTURE_NONE : CAPTURE_DATA;
	if (opcode == IORING_OP_READ || opcode == IORING_OP_WRITE) {
		op->sqe.len = draw_length(g);
		buffer_draw(g, &op->addr, op->sqe.len);
	} else {
		op->niov = (uint8_t)draw_below(g, OP_IOVECS + 1);
		for (int i = 0; i < op->niov; i++) {
			op->iov[i].len = draw_length(g) / 4;
			buffer_draw(g, &op->iov[i].base, (uint32_t)op->iov[i].len);
			if (op->iov[i].base.kind == REF_BUF && op->iov[i].base.v < 6000)
				op->iov[i].base.v = (uint64_t)i * 2048;
			if (draw_percent(g, 1))
				op->iov[i].len = 1ULL << 63;
		}
		op->sqe.len = op->niov;
		op->addr.kind = REF_IOV;
		if (draw_percent(g, 2))
			op->sqe.len = 1025;
		else if (draw_percent(g, 2))
			op->addr.kind = REF_GUARD;
	}
	if (offset == UINT64_MAX)
		buffers_mend(op);
	if (writes && file == OBJ_FILE_DIRECT)
		direct_write_mend(op);
	if (draw_percent(g, 4))
		op->sqe.rw_flags = draw_percent(g, 50) ? 1U << draw_below(g, 32) : 0x2;
	/* Whether a page is there, or free of writeback, is nobody's promise. */
	op->sqe.rw_flags &= ~0x8U;
	return true;
}

/* The same by a vector of places in the buffer. */
static void fixed_vector_draw(struct generator *g, struct op *op, bool writes)
{
	op->sqe.opcode = writes ? ORACLE_OP_WRITEV_FIXED : ORACLE_OP_READV_FIXED;
	op->niov = (uint8_t)draw_below(g, OP_IOVECS + 1);
	op->sqe.len = op->niov;
	for (int i = 0; i < op->niov; i++) {
		op->iov[i].base = op->addr;
		op->iov[i].base.v = draw_below(g, FIXED_BUFFER_SIZE);
		op->iov[i].len = draw_below(g, 3000);
	}
	op->addr.kind = REF_IOV;
}

static bool rw_fixed_draw(struct generator *g)
{
	const bool writes = draw_percent(g, 50);
	const uint8_t file = draw_file(g);
	const uint32_t buffer = draw_below(g, PROGRAM_BUFFERS);
	const uint64_t offset = draw_offset(g);
	const uint8_t memory = g->buffer_slots[buffer];
	struct op *op;

	if (memory < PROGRAM_BUFFERS && !claim_try(g, CLAIM_FIXED + memory, !writes))
		return false;
	if (!claim_try(g, file, writes || offset == UINT64_MAX))
		return false;
	op = op_add(g, writes ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED);
	op_set_file(g, op, file);
	op->off.v = offset;
	op->sqe.len = draw_length(g);
	op->sqe.buf_index = (uint16_t)buffer;
	if (memory < PROGRAM_BUFFERS) {
		op->addr.kind = REF_FIXED;
		op->addr.a = memory;
		op->capture = CAPTURE_FIXED;
		if (draw_percent(g, 30))
			op->addr.v = draw_below(g, FIXED_BUFFER_SIZE);
	} else {
		op->addr.kind = REF_BUF;
		op->capture = CAPTURE_DATA;
	}
	if (draw_percent(g, 25))
		fixed_vector_draw(g, op, writes);
	if (writes && file == OBJ_FILE_DIRECT)
		direct_write_mend(op);
	if (draw_percent(g, 4))
		op->sqe.buf_index = (uint16_t)(PROGRAM_BUFFERS + draw_below(g, 100));
	return true;
}

static bool sync_draw(struct generator *g)
{
	const uint8_t file = draw_file(g);
	const bool range = draw_percent(g, 40);
	struct op *op;

	if (!claim_try(g, file, true))
		return false;
	op = op_add(g, range ? IORING_OP_SYNC_FILE_RANGE : IORING_OP_FSYNC);
	op_set_file(g, op, file);
	if (draw_percent(g, 50)) {
		op->off.v = draw_offset(g);
		op->sqe.len = draw_length(g);
	}
	if (range)
		op->sqe.sync_range_flags = draw_below(g, 9);
	else if (draw_percent(g, 50))
		op->sqe.fsync_flags =
			draw_percent(g, 90) ? IORING_FSYNC_DATASYNC : draw_below(g, 256);
	return true;
}

static bool space_draw(struct generator *g)
{
	const uint8_t file = draw_file(g);
	static const uint8_t modes[] = {0, 0, 1, 3, 2, 8, 16, 0x21, 0x40, 0x80};
	struct op *op;

	if (!claim_try(g, file, true))
		return false;
	if (draw_percent(g, 50)) {
		op = op_add(g, ORACLE_OP_FTRUNCATE);
		op->off.v = draw_percent(g, 5) ? (uint64_t)-draw_below(g, 5) : draw_below(g, 60000);
	} else {
		op = op_add(g, IORING_OP_FALLOCATE);
		op->off.v = draw_below(g, 8) * 4096 + (draw_percent(g, 20) ? 5 : 0);
		/* sqe.addr is the length, sqe.len the mode */
		op->addr.v = draw_percent(g, 5) ? (uint64_t)-1 : draw_below(g, 6) * 4096;
		op->sqe.len = modes[draw_below(g, sizeof(modes))];
	}
	op_set_file(g, op, file);
	return true;
}

/* The claim that stands for a name, or -1 for names of nothing. */
static int path_claim(uint8_t path)
{
	if (path == PATH_LINK)
		return PATH_RW;
	return path <= PATH_FULLDIR ? path : -1;
}

static bool path_claim_try(struct generator *g, uint8_t path, bool exclusive)
{
	const int claim = path_claim(path);

	/* After a renaming any name may be any file's. */
	for (int i = 0; g->renames && i < FILES; i++) {
		if (!claim_try(g, i, exclusive))
			return false;
	}
	return claim < 0 || claim_try(g, claim, exclusive);
}

static void path_set(struct generator *g, struct op *op, uint8_t path)
{
	op->addr.kind = REF_PATH;
	op->addr.a = path;
	if (draw_percent(g, 3))
		op->addr.kind = draw_percent(g, 50) ? REF_GUARD : REF_RAW;
	/* Relative to the working directory, a descriptor, or something wrong. */
	op->fd.v = (uint64_t)AT_FDCWD;
	if (!draw_percent(g, 40))
		return;
	if (draw_percent(g, 85))
		op_set_fd(op, OBJ_DIR);
	else
		op_set_fd(op, claim_try(g, OBJ_FILE_RO, false) ? OBJ_FILE_RO : OBJ_CLOSED);
}

/* Open into a fixed file slot, which the model gives to nothing else from then on. */
static void open_into_slot(struct generator *g, struct op *op)
{
	uint32_t from = draw_below(g, PROGRAM_SLOTS + 1), to = from;
	const bool any = draw_percent(g, 30);

	/* Which of several free ones is taken depends on who else takes one, or empties one. */
	if (any) {
		from = 0;
		to = PROGRAM_SLOTS - 1;
	}
	for (uint32_t i = from; i <= to && i < PROGRAM_SLOTS; i++)
		if (!claim_try(g, CLAIM_SLOT + (int)i, true))
			return;
	for (uint32_t i = from; i <= to && i < PROGRAM_SLOTS; i++)
		if (!any || g->slots[i] == OBJ_COUNT)
			g->slots[i] = OBJ_COUNT;
	op->result_is_fd = false;
	op->sqe.file_index = any ? (uint32_t)-1 : 1 + from;
}

static bool open_draw(struct generator *g)
{
	static const uint32_t flags[] = {O_RDONLY,
					 O_RDWR,
					 O_WRONLY,
					 O_RDONLY | O_CLOEXEC,
					 O_RDWR | O_CREAT,
					 O_RDWR | O_CREAT | O_EXCL,
					 O_WRONLY | O_TRUNC,
					 O_RDWR | O_APPEND | O_CLOEXEC,
					 O_RDONLY | O_DIRECTORY,
					 O_RDONLY | O_NOFOLLOW,
					 O_PATH,
					 O_RDONLY | O_NONBLOCK,
					 O_RDWR | O_TMPFILE,
					 O_RDONLY | 0x40000000};
	const bool second = draw_percent(g, 40);
	const uint32_t how = flags[draw_below(g, sizeof(flags) / sizeof(flags[0]))];
	const uint8_t path = (uint8_t)draw_below(g, PATH_COUNT);
	struct op *op;

	if (!path_claim_try(g, path, true) || !claim_try(g, CLAIM_ROOT, true))
		return false;
	op = op_add(g, second ? IORING_OP_OPENAT2 : IORING_OP_OPENAT);
	path_set(g, op, path);
	if (second) {
		op->off.kind = REF_HOW;
		op->how_flags = how;
		op->how_mode = how & (O_CREAT | __O_TMPFILE) ? 0600
			       : draw_percent(g, 10)         ? 0600
							     : 0;
		op->how_resolve = draw_percent(g, 30) ? 1U << draw_below(g, 7) : 0;
		/* Whether a lookup is cached is nobody's promise. */
		op->how_resolve &= ~0x20ULL;
		op->sqe.len = draw_percent(g, 94) ? 24 : draw_below(g, 64);
		if (op->sqe.len > 24)
			op->sqe.len = 24;
		if (draw_percent(g, 3))
			op->off.kind = REF_GUARD;
	} else {
		op->sqe.open_flags = how;
		op->sqe.len = 0600;
	}
	op->result_is_fd = true;
	if (draw_percent(g, 25))
		open_into_slot(g, op);
	return true;
}

static bool close_draw(struct generator *g)
{
	struct op *op;

	if (draw_percent(g, 50)) {
		const uint32_t slot = draw_below(g, PROGRAM_SLOTS + 2);

		if (slot < PROGRAM_SLOTS && !claim_try(g, CLAIM_SLOT + (int)slot, true))
			return false;
		op = op_add(g, IORING_OP_CLOSE);
		op->sqe.file_index = slot + 1;
		if (slot < PROGRAM_SLOTS) {
			const uint8_t object = g->slots[slot];

			/* The last reference to a stream's end is model matter: stay away. */
			if (object != OBJ_COUNT && object >= OBJ_DIR) {
				op->sqe.file_index = PROGRAM_SLOTS + 1;
				return true;
			}
			g->slots[slot] = OBJ_COUNT;
		}
		return true;
	}
	{
		static const uint8_t objects[] = {OBJ_FILE_RW, OBJ_FILE_RO, OBJ_FILE_EMPTY,
						  OBJ_PATH,    OBJ_CLOSED,  OBJ_RING};
		const uint8_t object = objects[draw_below(g, sizeof(objects))];

		if (object < FILES && !claim_try(g, object, true))
			return false;
		if (object == OBJ_PATH && !claim_try(g, CLAIM_ROOT + 8, true))
			return false;
		op = op_add(g, IORING_OP_CLOSE);
		op_set_fd(op, object);
	}
	return true;
}

static bool statx_draw(struct generator *g)
{
	const uint8_t path = (uint8_t)draw_below(g, PATH_COUNT);
	struct op *op;

	if (!path_claim_try(g, path, false) || !claim_try(g, CLAIM_ROOT, false))
		return false;
	op = op_add(g, IORING_OP_STATX);
	path_set(g, op, path);
	if (path == PATH_NULLNAME && draw_percent(g, 70)) {
		const uint8_t file = draw_file(g);

		if (claim_try(g, file, false))
			op_set_fd(op, file);
		op->sqe.statx_flags = AT_EMPTY_PATH;
	}
	if (draw_percent(g, 25))
		op->sqe.statx_flags |=
			draw_percent(g, 70) ? AT_SYMLINK_NOFOLLOW : 1U << draw_below(g, 32);
	op->sqe.len = draw_percent(g, 80) ? STATX_BASIC_STATS : (uint32_t)draw(g);
	op->off.kind = draw_percent(g, 95) ? REF_STATX : REF_GUARD;
	op->capture = CAPTURE_STATX;
	return true;
}

static bool advise_draw(struct generator *g)
{
	const uint8_t file = draw_percent(g, 10) ? OBJ_DIR : draw_file(g);
	struct op *op;

	if (draw_percent(g, 50)) {
		static const uint8_t advices[] = {MADV_NORMAL,
						  MADV_RANDOM,
						  MADV_SEQUENTIAL,
						  MADV_WILLNEED,
						  MADV_DONTNEED,
						  MADV_FREE,
						  77,
						  MADV_DONTFORK,
						  200};

		if (!claim_try(g, CLAIM_MAP, true))
			return false;
		op = op_add(g, IORING_OP_MADVISE);
		op->addr.kind = draw_percent(g, 90) ? REF_MAP : REF_RAW;
		op->addr.v = draw_below(g, 4) * 4096 + (draw_percent(g, 10) ? 8 : 0);
		op->sqe.len = draw_below(g, 3) * 4096 + (draw_percent(g, 10) ? 100 : 0);
		op->sqe.fadvise_advice = advices[draw_below(g, sizeof(advices))];
		op->fd.v = (uint64_t)-1;
		return true;
	}
	if (file < FILES && !claim_try(g, file, true))
		return false;
	op = op_add(g, IORING_OP_FADVISE);
	op_set_file(g, op, file);
	op->off.v = draw_offset(g);
	op->sqe.len = draw_length(g);
	op->sqe.fadvise_advice = draw_below(g, draw_percent(g, 10) ? 256 : 6);
	return true;
}

static bool names_draw(struct generator *g)
{
	const uint8_t path = (uint8_t)draw_below(g, PATH_COUNT);
	const uint8_t other = (uint8_t)draw_below(g, PATH_COUNT);
	static const uint8_t two_names[] = {IORING_OP_RENAMEAT, IORING_OP_LINKAT,
					    IORING_OP_SYMLINKAT};
	const uint32_t pick = draw_below(g, 5);
	struct op *op;

	if (!claim_try(g, CLAIM_ROOT, true) || !path_claim_try(g, path, true))
		return false;
	if (pick == 0) {
		op = op_add(g, IORING_OP_UNLINKAT);
		op->sqe.unlink_flags = draw_percent(g, 40)  ? AT_REMOVEDIR
				       : draw_percent(g, 5) ? 1U << draw_below(g, 32)
							    : 0;
		path_set(g, op, path);
	} else if (pick == 1) {
		op = op_add(g, IORING_OP_MKDIRAT);
		op->sqe.len = 0750;
		path_set(g, op, path);
	} else {
		if (!path_claim_try(g, other, true))
			return false;
		op = op_add(g, two_names[pick - 2]);
		g->renames = true;
		path_set(g, op, path);
		op->off.kind = REF_PATH;
		op->off.a = other;
		if (op->sqe.opcode != IORING_OP_SYMLINKAT || draw_percent(g, 5))
			op->sqe.len = (uint32_t)AT_FDCWD;
		if (draw_percent(g, 20))
			op->sqe.rename_flags = op->sqe.opcode == IORING_OP_LINKAT
						       ? AT_SYMLINK_FOLLOW
						       : draw_below(g, 8);
	}
	return true;
}

static bool epoll_draw(struct generator *g)
{
	struct op *op;

	if (!claim_try(g, CLAIM_EPOLL, true) || !claim_try(g, OBJ_FILE_RO, false))
		return false;
	op = op_add(g, IORING_OP_EPOLL_CTL);
	op_set_fd(op, draw_percent(g, 95) ? OBJ_EPOLL : OBJ_FILE_RO);
	op->sqe.len = draw_percent(g, 95) ? 1 + draw_below(g, 3) : draw_below(g, 9);
	op->off.kind = REF_OBJ;
	op->off.a =
		draw_percent(g, 90) ? (draw_percent(g, 50) ? OBJ_PIPE_R : OBJ_UNIX_A) : OBJ_FILE_RO;
	op->addr.kind = draw_percent(g, 95) ? REF_EVENT : REF_GUARD;
	op->epoll_events = EPOLLIN | (draw_percent(g, 30) ? EPOLLONESHOT : 0);
	return true;
}

static bool nop_draw(struct generator *g)
{
	struct op *op = op_add(g, IORING_OP_NOP);

	if (draw_percent(g, 25)) {
		op->sqe.rw_flags = IORING_NOP_INJECT_RESULT;
		op->sqe.len = draw_percent(g, 50) ? (uint32_t)-1 - draw_below(g, 100)
						  : draw_below(g, 1000);
	} else if (draw_percent(g, 5)) {
		op->sqe.rw_flags = 1U << (6 + draw_below(g, 26));
	}
	return true;
}

/* Nothing of the kind: an opcode out of range, or a cancel of nobody. */
static bool odd_draw(struct generator *g)
{
	static const uint8_t opcodes[] = {IORING_OP_ASYNC_CANCEL, IORING_OP_TIMEOUT_REMOVE,
					  IORING_OP_POLL_REMOVE};
	struct op *op;

	if (draw_percent(g, 40)) {
		op_add(g, (uint8_t)(ORACLE_OP_COUNT + draw_below(g, 256 - ORACLE_OP_COUNT)));
		return true;
	}
	op = op_add(g, opcodes[draw_below(g, sizeof(opcodes))]);
	op->addr.v = 0x1234567;
	op->fd.v =
		op->sqe.opcode == IORING_OP_ASYNC_CANCEL && draw_percent(g, 70) ? 0 : (uint64_t)-1;
	if (op->sqe.opcode == IORING_OP_TIMEOUT_REMOVE)
		op->fd.v = 0;
	if (draw_percent(g, 10))
		op->sqe.ioprio = 1;
	return true;
}

/* One thing wrong that has nothing to do with the operation. */
static void op_spoil(struct generator *g, struct op *op)
{
	switch (draw_below(g, 9)) {
	case 0:
		op_set_fd(op, OBJ_CLOSED);
		op->sqe.flags &= (uint8_t)~IOSQE_FIXED_FILE;
		break;
	case 1:
		op->fd.kind = REF_RAW;
		op->fd.v = (uint64_t)(int64_t)(int32_t)draw(g) | 0x40000000;
		break;
	case 2:
		op->sqe.ioprio = (uint16_t)(1 + draw_below(g, 0xffff));
		break;
	case 3:
		op->sqe.personality = (uint16_t)(1 + draw_below(g, 10));
		break;
	case 4:
		op->sqe.buf_index = (uint16_t)(1 + draw_below(g, 0xffff));
		break;
	case 5:
		op->sqe.flags |= IOSQE_BUFFER_SELECT;
		break;
	case 6:
		op->sqe.flags |= 0x80;
		break;
	case 7:
		op->sqe.addr3 = draw(g);
		op->sqe.__pad2[0] = draw_percent(g, 50) ? draw(g) : 0;
		break;
	default:
		op->sqe.flags |= IOSQE_FIXED_FILE;
		op->fd.kind = REF_RAW;
		op->fd.v = PROGRAM_SLOTS + draw_below(g, 1000);
		break;
	}
}

void file_op_draw(struct generator *g)
{
	static bool (*const draws[])(struct generator *) = {
		rw_draw,    rw_draw,    rw_draw,     rw_draw,    rw_fixed_draw, rw_fixed_draw,
		sync_draw,  space_draw, space_draw,  open_draw,  open_draw,     close_draw,
		statx_draw, statx_draw, advise_draw, names_draw, names_draw,    epoll_draw,
		nop_draw,   nop_draw,   odd_draw,
	};
	const int before = g->program->nops;

	if (draw_percent(g, 8))
		net_op_draw(g);
	else if (draw_percent(g, 15))
		other_op_draw(g);
	else
		draws[draw_below(g, sizeof(draws) / sizeof(draws[0]))](g);
	if (g->program->nops == before)
		nop_draw(g);
	if (draw_percent(g, 7))
		op_spoil(g, &g->program->ops[before]);
}
