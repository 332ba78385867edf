/*
 * generate_socket.c - making sockets, commands for them, sends that notify, provided buffers
 *
 * Nothing here moves a byte that the model knows of, or waits: receives find no buffer, sends
 * without copying are on sockets that cannot, buffers are filled from files.
 *
 * Entry:       socket_op_draw(): one op with one CQE; socket_chain_draw(): a chain
 * Invariants:  see generate.h, G2
 */
#define _GNU_SOURCE
#include "generate.h"

#include <sys/socket.h>

#define GROUPS        1000 /* each chain has a group of its own above this */
#define MULTISHOT     2
#define FIXED_BUF     4
#define BUNDLE        16
#define VECTORIZED    32
#define CMD_GETOPTION 2
#define CMD_SETOPTION 3

static uint8_t draw_socket(struct generator *g)
{
	static const uint8_t objects[] = {OBJ_UNIX_A,  OBJ_UNIX_B,     OBJ_DGRAM_A,
					  OBJ_TCP_A,   OBJ_LISTEN_TCP, OBJ_PIPE_R,
					  OBJ_FILE_RO, OBJ_CLOSED,     OBJ_EVENT};
	const uint8_t object = objects[draw_below(g, sizeof(objects))];

	/* A worker may be about to close the file. */
	return object == OBJ_FILE_RO && !claim_try(g, object, false) ? OBJ_CLOSED : object;
}

static void make_draw(struct generator *g)
{
	static const uint16_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_UNSPEC, 99, 0xffff};
	static const uint32_t types[] = {SOCK_STREAM, SOCK_DGRAM,  SOCK_SEQPACKET,
					 0,           SOCK_PACKET, 15};
	static const uint32_t flags[] = {SOCK_CLOEXEC, SOCK_NONBLOCK, 0x100, 0x80000000};
	struct op *op = op_add(g, IORING_OP_SOCKET);

	op->fd.v = families[draw_below(g, draw_percent(g, 80) ? 3 : 6)];
	op->off.v = types[draw_below(g, draw_percent(g, 80) ? 2 : 6)];
	if (draw_percent(g, 40))
		op->off.v |= flags[draw_below(g, draw_percent(g, 70) ? 2 : 4)];
	op->sqe.len = draw_percent(g, 85) ? 0 : draw_below(g, 300);
	if (draw_percent(g, 10))
		op->sqe.rw_flags = 1;
	else if (draw_percent(g, 10))
		op->sqe.buf_index = 1;
	op->result_is_fd = true;
}

static void bind_or_listen_draw(struct generator *g)
{
	const bool is_bind = draw_percent(g, 60);
	struct op *op = op_add(g, is_bind ? ORACLE_OP_BIND : ORACLE_OP_LISTEN);

	/* Connected pairs and what is no socket: neither can succeed. */
	op_set_fd(op, draw_percent(g, 50) ? OBJ_PIPE_R : OBJ_CLOSED);
	if (is_bind) {
		op->addr.kind = draw_percent(g, 80) ? REF_BUF : REF_GUARD;
		op->off.v = draw_percent(g, 70) ? 16 : draw_below(g, 300);
	} else {
		op->sqe.len = draw_below(g, 10);
	}
	if (draw_percent(g, 15))
		op->sqe.rw_flags = 1;
	else if (draw_percent(g, 15))
		op->sqe.buf_index = 1;
}

static void command_draw(struct generator *g)
{
	static const uint32_t names[] = {SO_TYPE, SO_DOMAIN, SO_ACCEPTCONN, SO_KEEPALIVE, 999};
	struct op *op = op_add(g, IORING_OP_URING_CMD);
	const bool is_get = draw_percent(g, 60);

	op_set_fd(op, draw_socket(g));
	op->off.v = is_get ? CMD_GETOPTION : draw_percent(g, 50) ? CMD_SETOPTION : 77;
	if (draw_percent(g, 5))
		op->off.v |= 1ull << 32;
	op->addr.v = (uint64_t)names[draw_below(g, 5)] << 32;
	op->addr.v |= draw_percent(g, 80) ? SOL_SOCKET : draw_below(g, 300);
	op->sqe.file_index = draw_percent(g, 80) ? 4 : draw_below(g, 16);
	/* The value: no pointer that can be used, so nothing is changed. */
	op->sqe.addr3 = 16;
	op->sqe.rw_flags = draw_percent(g, 90) ? 0 : (int)draw_below(g, 8);
}

/* A transfer that finds no buffer, or is not allowed as it is. */
static void nowhere_draw(struct generator *g, uint8_t opcode, uint32_t flags)
{
	struct op *op = op_add(g, opcode);

	op_set_fd(op, draw_socket(g));
	op->sqe.flags |= IOSQE_BUFFER_SELECT;
	op->sqe.buf_group = (uint16_t)draw_below(g, 4);
	if (opcode == ORACLE_OP_READ_MULTISHOT) {
		op->sqe.len = draw_percent(g, 90) ? 0 : 5;
		return;
	}
	op->sqe.len = draw_below(g, 100);
	op->sqe.ioprio = (uint16_t)(flags | (draw_percent(g, 60) ? draw(g) : 0)) &
			 (MULTISHOT | FIXED_BUF | BUNDLE | VECTORIZED);
	if (!flags)
		op->sqe.ioprio &= (uint16_t) ~(MULTISHOT | BUNDLE);
	if (draw_percent(g, 20))
		op->sqe.msg_flags = MSG_WAITALL;
	if (draw_percent(g, 20))
		op->sqe.file_index = 100;
}

static void transfer_nowhere_draw(struct generator *g)
{
	nowhere_draw(g, draw_percent(g, 50) ? IORING_OP_RECV : IORING_OP_SEND, 0);
}

/* Not behind others: a worker of the kernel waits for the file before it looks for a buffer, and
 * takes bundles for single buffers. */
static bool multishot_nowhere_draw(struct generator *g)
{
	if (draw_percent(g, 50))
		nowhere_draw(g, ORACLE_OP_READ_MULTISHOT, 0);
	else
		nowhere_draw(g, IORING_OP_RECV, draw_percent(g, 50) ? MULTISHOT : BUNDLE);
	return true;
}

void socket_op_draw(struct generator *g)
{
	static void (*const draws[])(struct generator *) = {make_draw, bind_or_listen_draw,
							    command_draw, transfer_nowhere_draw};

	draws[draw_below(g, sizeof(draws) / sizeof(draws[0]))](g);
}

/* A send on what cannot send without copying: two CQEs all the same. */
static bool notified_draw(struct generator *g)
{
	static const uint8_t objects[] = {OBJ_UNIX_A, OBJ_DGRAM_A, OBJ_PIPE_W, OBJ_CLOSED,
					  OBJ_FILE_RW};
	const uint8_t object = objects[draw_below(g, sizeof(objects))];
	struct op *op;

	if (object == OBJ_FILE_RW && !claim_try(g, OBJ_FILE_RW, false))
		return false; /* a worker may be about to close it */
	op = op_add(g, draw_percent(g, 60) ? IORING_OP_SEND_ZC : ORACLE_OP_SENDMSG_ZC);
	op_set_fd(op, object);
	op->addr.kind = op->sqe.opcode == IORING_OP_SEND_ZC ? REF_BUF : REF_MSG;
	op->sqe.len = op->sqe.opcode == IORING_OP_SEND_ZC ? 10 : 1;
	op->niov = 1;
	op->iov[0].len = 10;
	op->iov[0].base.kind = REF_BUF;
	/* Allowed or not: it is told after the notification is due. */
	op->sqe.ioprio = (uint16_t)(draw_percent(g, 70) ? 0 : 1u << draw_below(g, 6));
	op_due(g, op_index(g, op));
	return true;
}

/* Buffers for reads of a file, one after the other, until there are none. */
static bool provided_draw(struct generator *g)
{
	const int first = g->program->nops, reads = 1 + (int)draw_below(g, 4);
	const uint16_t group = (uint16_t)(GROUPS + first);
	const uint8_t file = draw_percent(g, 50) ? OBJ_FILE_RO : OBJ_FILE_RW;
	struct op *op;

	if (g->room < reads + 2 || !claim_try(g, file, false))
		return false;
	op = op_add(g, IORING_OP_PROVIDE_BUFFERS);
	op->addr.kind = REF_BUF;
	op->sqe.len = 16 + draw_below(g, 200);
	op->fd.v = 1 + draw_below(g, 4);
	op->off.v = draw_below(g, 60000);
	op->sqe.buf_group = group;
	for (int i = 0; i < reads; i++) {
		op = op_add(g, IORING_OP_READ);
		op_set_fd(op, file);
		op->sqe.flags |= IOSQE_BUFFER_SELECT;
		op->sqe.buf_group = group;
		op->sqe.len = draw_percent(g, 50) ? 0 : draw_below(g, 300);
		op->off.v = draw_below(g, 10000);
	}
	op = op_add(g, IORING_OP_REMOVE_BUFFERS);
	op->fd.v = 1 + draw_below(g, 5);
	op->sqe.buf_group = group;
	chain_link(g, first, IOSQE_IO_HARDLINK);
	return true;
}

bool socket_chain_draw(struct generator *g)
{
	switch (draw_below(g, 4)) {
	case 0:
		return notified_draw(g);
	case 1:
		return multishot_nowhere_draw(g);
	default:
		return provided_draw(g);
	}
}
