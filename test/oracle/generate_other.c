/*
 * generate_other.c - operations of no family: NOP's flags, splicing, extended attributes, messages
 * to the ring itself, futexes, children, and what makes descriptors
 *
 * What could wait is drawn so that it does not: splices have SPLICE_F_NONBLOCK and pipes that
 * the model does not know, futexes have another value than is waited for, there are no children.
 * Two kinds of chain post more than one CQE: a message to oneself, and a futex wait with its
 * wake.
 *
 * Entry:       other_op_draw(), other_chain_draw()
 * Invariants:  see generate.h, G2
 */
#define _GNU_SOURCE
#include "generate.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/wait.h>

#define SLOT_OF_OTHER 0xfe /* a fixed file that is no object */

#define FUTEX2_U32     2u
#define FUTEX2_PRIVATE 128u

static bool nop_flags_draw(struct generator *g)
{
	const uint32_t wide = IORING_SETUP_CQE32 | ORACLE_SETUP_CQE_MIXED;
	const uint32_t slot = draw_below(g, PROGRAM_SLOTS + 1);
	const uint8_t file = (uint8_t)draw_below(g, FILES);
	const bool is_fixed = draw_percent(g, 40);
	struct op *op;

	if (!claim_try(g, file, false) ||
	    !claim_try(g, CLAIM_SLOT + (int)(slot % PROGRAM_SLOTS), false))
		return false;
	op = op_add(g, IORING_OP_NOP);
	op->sqe.rw_flags = (int)(draw(g) & 0x1f);
	if (g->program->setup_flags & wide ? draw_percent(g, 50) : draw_percent(g, 3))
		op->sqe.rw_flags |= ORACLE_NOP_CQE32;
	op->sqe.rw_flags &= ~ORACLE_NOP_FIXED_FILE;
	if (is_fixed)
		op->sqe.rw_flags |= ORACLE_NOP_FIXED_FILE;
	if (op->sqe.rw_flags & IORING_NOP_INJECT_RESULT)
		op->sqe.len = draw_below(g, 200) - 100;
	op->sqe.buf_index = (uint16_t)draw_below(g, PROGRAM_BUFFERS + 1);
	op->off.v = draw(g);
	op->addr.v = draw(g);
	if (is_fixed)
		op->fd.v = slot;
	else
		op_set_fd(op, draw_percent(g, 10) ? OBJ_CLOSED : file);
	return true;
}

static bool xattr_draw(struct generator *g)
{
	static const uint8_t opcodes[] = {IORING_OP_SETXATTR, IORING_OP_FSETXATTR,
					  IORING_OP_GETXATTR, IORING_OP_FGETXATTR};
	const uint8_t opcode = opcodes[draw_below(g, sizeof(opcodes))];
	const bool is_path = opcode == IORING_OP_SETXATTR || opcode == IORING_OP_GETXATTR;
	const bool is_set = opcode == IORING_OP_SETXATTR || opcode == IORING_OP_FSETXATTR;
	const uint8_t file = (uint8_t)draw_below(g, FILES);
	static const uint32_t lengths[] = {0, 1, 5, 100, 2000, 70000};
	struct op *op;

	if (!claim_try(g, CLAIM_ROOT, false) || !claim_try(g, file, is_set))
		return false;
	/* The name may be another file's by now. */
	for (int i = 0; is_path && g->renames && i < FILES; i++) {
		if (!claim_try(g, i, is_set))
			return false;
	}
	op = op_add(g, opcode);
	op->addr.kind = draw_percent(g, 96) ? REF_NAME : REF_GUARD;
	op->addr.a = (uint8_t)draw_below(g, draw_percent(g, 80) ? 2 : NAMES);
	op->off.kind = draw_percent(g, 96) ? REF_BUF : REF_GUARD;
	op->fills = is_set;
	op->capture = is_set ? CAPTURE_NONE : CAPTURE_DATA;
	op->sqe.len = lengths[draw_below(g, draw_percent(g, 5) ? 6 : 5)];
	if (draw_percent(g, 25))
		op->sqe.rw_flags = (int)draw_below(g, draw_percent(g, 10) ? 16 : 3);
	if (is_path) {
		op->third.kind = REF_PATH;
		op->third.a = (uint8_t)(draw_percent(g, 95) ? file : PATH_LONG);
	} else {
		op_set_file(g, op, file);
	}
	return true;
}

/* From a file into a pipe, on into another, and out of it. */
static bool splice_draw(struct generator *g)
{
	const uint8_t file = (uint8_t)draw_below(g, FILES);
	const uint32_t pick = draw_below(g, 10);
	uint8_t in = OBJ_SPLICE_R, out = OBJ_OTHER_W;
	struct op *op;

	if (!claim_try(g, CLAIM_SPLICE, true) || !claim_try(g, CLAIM_OTHER, true))
		return false;
	if (!claim_try(g, file, true))
		return false;
	/* A pipe has pages of the file itself, not copies: who writes it meanwhile changes them. */
	for (int i = 0; i < FILES; i++) {
		if (g->was_spliced[i] && !claim_try(g, i, true))
			return false;
	}
	if (pick < 4)
		in = file, out = OBJ_SPLICE_W;
	else if (pick < 6)
		in = pick == 4 ? OBJ_SPLICE_R : OBJ_OTHER_R, out = file;
	else if (pick == 6)
		in = file, out = file;
	g->was_spliced[file] |= in == file;
	op = op_add(g, draw_percent(g, 25) ? IORING_OP_TEE : IORING_OP_SPLICE);
	op_set_fd(op, draw_percent(g, 97) ? out : OBJ_CLOSED);
	op->second_fd.kind = REF_OBJ;
	op->second_fd.a = draw_percent(g, 97) ? in : OBJ_CLOSED;
	op->sqe.len = draw_below(g, draw_percent(g, 10) ? 9000 : 300);
	op->sqe.rw_flags = 0x2 | (int)draw_below(g, 16); /* SPLICE_F_NONBLOCK */
	if (op->sqe.opcode == IORING_OP_SPLICE || draw_percent(g, 5)) {
		op->addr.v = in == file && draw_percent(g, 60) ? draw_below(g, 12000) : UINT64_MAX;
		op->off.v = out == file && draw_percent(g, 60) ? draw_below(g, 12000) : UINT64_MAX;
	}
	if (draw_percent(g, 3))
		op->sqe.rw_flags = (int)(0x2u | 1u << draw_below(g, 31));
	return true;
}

/* A message that cannot be delivered. */
static bool message_draw(struct generator *g)
{
	static const uint8_t objects[] = {OBJ_RING, OBJ_RING, OBJ_EPOLL, OBJ_CLOSED};
	const uint32_t pick = draw_below(g, 5);
	struct op *op = op_add(g, IORING_OP_MSG_RING);

	op_set_fd(op, objects[draw_below(g, sizeof(objects))]);
	op->sqe.len = draw_below(g, 100);
	op->off.v = draw(g);
	if (pick == 0)
		op->addr.v = 2 + draw_below(g, 100); /* no such command */
	else if (pick == 1)
		op->addr.v = 1; /* a descriptor to oneself */
	else if (pick == 2)
		op->sqe.rw_flags = (int)(1u << draw_below(g, 32) & ~2u) | 1;
	else if (pick == 3)
		op->sqe.file_index = 1 + draw_below(g, 100);
	else
		op->sqe.addr3 = 1;
	return true;
}

/* Nothing waits: the words are zero, and another value is waited for. */
static bool futex_draw(struct generator *g)
{
	static const uint8_t opcodes[] = {ORACLE_OP_FUTEX_WAIT, ORACLE_OP_FUTEX_WAKE,
					  ORACLE_OP_FUTEX_WAITV};
	struct op *op = op_add(g, opcodes[draw_below(g, sizeof(opcodes))]);

	op->addr.kind = draw_percent(g, 95) ? REF_BUF : REF_GUARD;
	op->addr.v = draw_below(g, 4) * 4 + (draw_percent(g, 5) ? 2 : 0);
	op->value = draw(g) | 0x4000000040000000ull;
	if (op->sqe.opcode == ORACLE_OP_FUTEX_WAITV) {
		op->niov = (uint8_t)draw_below(g, OP_IOVECS + 1);
		for (int i = 0; i < op->niov; i++) {
			op->iov[i].base.kind = draw_percent(g, 97) ? REF_BUF : REF_GUARD;
			op->iov[i].base.v = 0;
			op->iov[i].len = draw_below(g, 1000);
		}
		op->addr.kind = draw_percent(g, 95) ? REF_WAITV : REF_GUARD;
		op->sqe.len = op->niov;
		return true;
	}
	op->fd.v = FUTEX2_U32 | (draw_percent(g, 50) ? FUTEX2_PRIVATE : 0);
	/* Without NUMA (4) and its policy (8), which only the newest kernels have. */
	if (draw_percent(g, 5))
		op->fd.v ^= 1u << (draw_below(g, 2) ? draw_below(g, 2) : 4 + draw_below(g, 26));
	op->off.v = draw_below(g, 1000);
	op->sqe.addr3 = draw_percent(g, 90) ? FUTEX_BITSET_MATCH_ANY : draw(g) >> draw_below(g, 64);
	if (op->sqe.opcode == ORACLE_OP_FUTEX_WAIT && op->addr.v >= 8)
		op->addr.v -= 8; /* where `value` is */
	return true;
}

/* There are no children. */
static bool waitid_draw(struct generator *g)
{
	static const uint32_t options[] = {WEXITED, WEXITED | WNOHANG, WSTOPPED, 0,
					   WEXITED | WSTOPPED | WCONTINUED | WNOWAIT};
	struct op *op = op_add(g, ORACLE_OP_WAITID);

	op->sqe.len = draw_below(g, draw_percent(g, 10) ? 9 : 3);
	op->fd.v = draw_percent(g, 50) ? 0 : draw_percent(g, 50) ? 1 : (uint64_t)-1;
	op->sqe.file_index = options[draw_below(g, sizeof(options) / sizeof(options[0]))];
	if (draw_percent(g, 5))
		op->sqe.file_index |= 1u << draw_below(g, 32);
	op->off.kind = draw_percent(g, 80) ? REF_BUF : draw_percent(g, 50) ? REF_RAW : REF_GUARD;
	op->capture = CAPTURE_DATA;
	if (draw_percent(g, 5))
		op->sqe.rw_flags = 1;
	return true;
}

/* A stream that stays open in one place more, or less, does not end when the model says. */
static bool is_harmless(const struct generator *g, uint32_t slot)
{
	return g->slots[slot] < FILES || g->slots[slot] == OBJ_COUNT;
}

static bool install_draw(struct generator *g)
{
	const uint32_t slot = draw_below(g, PROGRAM_SLOTS);
	struct op *op;

	if (!is_harmless(g, slot) || !claim_try(g, CLAIM_SLOT + (int)slot, false))
		return false;
	op = op_add(g, ORACLE_OP_FIXED_FD_INSTALL);
	op->fd.v = slot;
	op->sqe.flags = draw_percent(g, 95) ? IOSQE_FIXED_FILE : 0;
	op->sqe.rw_flags = (int)draw_below(g, draw_percent(g, 5) ? 9 : 2);
	op->result_is_fd = true;
	return true;
}

static bool pipe_draw(struct generator *g)
{
	const uint32_t slot = draw_below(g, PROGRAM_SLOTS - 1);
	const bool is_fixed = g->program->files && draw_percent(g, 50);
	struct op *op;

	if (is_fixed && (!is_harmless(g, slot) || !is_harmless(g, slot + 1)))
		return false;
	if (is_fixed && (!claim_try(g, CLAIM_SLOT + (int)slot, true) ||
			 !claim_try(g, CLAIM_SLOT + (int)slot + 1, true)))
		return false;
	op = op_add(g, ORACLE_OP_PIPE);
	op->addr.kind = draw_percent(g, 90) ? REF_BUF : REF_GUARD;
	op->sqe.rw_flags = draw_percent(g, 20) ? O_CLOEXEC : draw_percent(g, 20) ? O_NONBLOCK : 0;
	if (draw_percent(g, 5))
		op->sqe.rw_flags |= (int)(1u << draw_below(g, 32));
	op->makes_pipe = true;
	if (!is_fixed)
		return true;
	op->sqe.file_index = slot + 1;
	g->slots[slot] = g->slots[slot + 1] = SLOT_OF_OTHER;
	return true;
}

static bool epoll_wait_draw(struct generator *g)
{
	struct op *op;

	if (!claim_try(g, CLAIM_EPOLL, false))
		return false;
	op = op_add(g, ORACLE_OP_EPOLL_WAIT);
	op_set_fd(op, draw_percent(g, 50) ? OBJ_EPOLL : OBJ_CLOSED);
	op->addr.kind = REF_EVENT;
	/* None of these can be waited for. */
	op->sqe.len = draw_percent(g, 50) ? 0 : 0x80000000u + draw_below(g, 100);
	return true;
}

void other_op_draw(struct generator *g)
{
	static bool (*const draws[])(struct generator *) = {
		nop_flags_draw, nop_flags_draw, xattr_draw,   xattr_draw, splice_draw,
		splice_draw,    splice_draw,    message_draw, futex_draw, futex_draw,
		waitid_draw,    install_draw,   pipe_draw,    pipe_draw,  epoll_wait_draw,
	};

	draws[draw_below(g, sizeof(draws) / sizeof(draws[0]))](g);
}

/* A message to the ring itself, under the user_data of its request: two CQEs, each its own. */
static bool self_message_draw(struct generator *g)
{
	struct op *op = op_add(g, IORING_OP_MSG_RING);

	op_set_fd(op, OBJ_RING);
	op->off.kind = REF_USER_DATA;
	op->sqe.len = 1 + draw_below(g, 1000);
	if (draw_percent(g, 50)) {
		op->sqe.rw_flags = 2; /* IORING_MSG_RING_FLAGS_PASS */
		op->sqe.file_index = (uint32_t)draw(g) & 0xffff0000u;
	}
	op_due(g, op_index(g, op));
	return true;
}

/* Waits on words that are zero, and the wakes that end them all. */
static bool futex_pair_draw(struct generator *g)
{
	const int waits = 1 + (int)draw_below(g, 3);
	const uint32_t flags = FUTEX2_U32 | (draw_percent(g, 50) ? FUTEX2_PRIVATE : 0);
	const uint32_t word = draw_below(g, 4) * 4;
	struct op *op;

	if (g->room < waits + 1 || !claim_try(g, CLAIM_MAP, true))
		return false;
	for (int i = 0; i < waits; i++) {
		op = op_add(g, ORACLE_OP_FUTEX_WAIT);
		op->addr.kind = REF_MAP;
		op->addr.v = word;
		op->fd.v = flags;
		op->sqe.addr3 =
			draw_percent(g, 70) ? FUTEX_BITSET_MATCH_ANY : 1 | (uint32_t)draw(g);
		g->chain++;
	}
	op = op_add(g, ORACLE_OP_FUTEX_WAKE);
	op->addr.kind = REF_MAP;
	op->addr.v = word;
	op->fd.v = flags;
	op->off.v = 100;
	op->sqe.addr3 = 1;
	return true;
}

bool other_chain_draw(struct generator *g)
{
	/* A thread that submits takes what it finds: the wake might go before the wait. */
	if (g->sqpoll || g->drain_open)
		return false;
	return draw_percent(g, 50) ? self_message_draw(g) : futex_pair_draw(g);
}
