/*
 * generate_net.c - requests on sockets and streams that fail, each in its way
 *
 * Nothing here moves a byte or waits: wrong kinds of descriptors, wrong flags, pointers, lengths
 * and addresses, and operations of files on what is no file.
 *
 * Entry:       net_op_draw()
 * Invariants:  see generate.h, G2: nothing the model follows is changed
 */
#define _GNU_SOURCE
#include "generate.h"

#include <poll.h>
#include <sys/socket.h>

static uint8_t draw_stream_object(struct generator *g)
{
	return (uint8_t)(OBJ_PIPE_R + draw_below(g, OBJ_EVENT_SEM - OBJ_PIPE_R + 1));
}

static uint8_t draw_no_socket(struct generator *g)
{
	static const uint8_t objects[] = {OBJ_DIR,     OBJ_PIPE_R, OBJ_PIPE_W, OBJ_EVENT,
					  OBJ_FILE_WO, OBJ_EPOLL,  OBJ_CLOSED, OBJ_PATH};

	return objects[draw_below(g, sizeof(objects))];
}

/* Operations of regular files on a stream. */
static void file_op_on_stream(struct generator *g)
{
	static const uint8_t opcodes[] = {IORING_OP_FSYNC, IORING_OP_SYNC_FILE_RANGE,
					  IORING_OP_FALLOCATE, ORACLE_OP_FTRUNCATE,
					  IORING_OP_FADVISE};
	struct op *op = op_add(g, opcodes[draw_below(g, sizeof(opcodes))]);

	op_set_file(g, op, draw_stream_object(g));
	if (op->sqe.opcode == IORING_OP_FALLOCATE)
		op->addr.v = 4096;
}

/* Operations of sockets on what is no socket. */
static void socket_op_on_other(struct generator *g)
{
	static const uint8_t opcodes[] = {IORING_OP_SEND,    IORING_OP_RECV,   IORING_OP_SENDMSG,
					  IORING_OP_RECVMSG, IORING_OP_ACCEPT, IORING_OP_CONNECT,
					  IORING_OP_SHUTDOWN};
	struct op *op = op_add(g, opcodes[draw_below(g, sizeof(opcodes))]);

	op_set_fd(op, draw_no_socket(g));
	op->addr.kind = REF_BUF;
	switch (op->sqe.opcode) {
	case IORING_OP_SENDMSG:
	case IORING_OP_RECVMSG:
		op->addr.kind = REF_MSG;
		op->niov = 1;
		op->iov[0].base.kind = REF_BUF;
		op->iov[0].len = 10;
		op->sqe.len = 1;
		break;
	case IORING_OP_ACCEPT:
		op->addr.kind = REF_RAW;
		op->result_is_fd = true;
		break;
	case IORING_OP_CONNECT:
		op->addr.kind = REF_ADDR;
		op->addr.a = OBJ_LISTEN_UNIX;
		op->off.kind = REF_ADDRLEN;
		op->off.a = OBJ_LISTEN_UNIX;
		break;
	case IORING_OP_SHUTDOWN:
		op->addr.kind = REF_RAW;
		op->sqe.len = SHUT_RD;
		break;
	default:
		op->sqe.len = 10;
		break;
	}
}

/* Arguments that are refused before anything happens. */
static void refused_draw(struct generator *g)
{
	static const uint8_t opcodes[] = {IORING_OP_SEND,    IORING_OP_RECV,     IORING_OP_ACCEPT,
					  IORING_OP_ACCEPT,  IORING_OP_SHUTDOWN, IORING_OP_SENDMSG,
					  IORING_OP_RECVMSG, IORING_OP_POLL_ADD};
	struct op *op = op_add(g, opcodes[draw_below(g, sizeof(opcodes))]);

	op_set_fd(op, OBJ_UNIX_A);
	switch (op->sqe.opcode) {
	case IORING_OP_SEND:
	case IORING_OP_RECV:
		op->addr.kind = REF_BUF;
		op->sqe.len = 10;
		op->sqe.ioprio = (uint16_t)(1U << (6 + draw_below(g, 10)));
		break;
	case IORING_OP_ACCEPT: /* a connected socket does not listen, and there are no such flags */
		op->sqe.accept_flags = draw_percent(g, 50) ? 1U << draw_below(g, 8) : 0;
		op->sqe.ioprio =
			draw_percent(g, 30) ? (uint16_t)(1U << (3 + draw_below(g, 13))) : 0;
		op->result_is_fd = true;
		break;
	case IORING_OP_SHUTDOWN:
		op->sqe.len = 3 + draw_below(g, 100);
		break;
	case IORING_OP_SENDMSG:
	case IORING_OP_RECVMSG:
		op->addr.kind = draw_percent(g, 50) ? REF_GUARD : REF_RAW;
		op->sqe.len = 1;
		break;
	default:
		op->sqe.len = 1U << (4 + draw_below(g, 28));
		op->sqe.poll32_events = POLLIN;
		break;
	}
}

/* A name that nobody listens at, or no name at all. */
static void connect_nowhere(struct generator *g)
{
	struct op *op;

	if (!claim_try(g, CLAIM_UNCONNECTED, true))
		return;
	op = op_add(g, IORING_OP_CONNECT);
	op_set_fd(op, OBJ_UNCONNECTED);
	op->addr.kind = draw_percent(g, 70) ? REF_BUF : REF_GUARD;
	op->fills = true;
	/* Family 1 is AF_UNIX; the abstract name that follows is a pattern nobody binds. */
	op->value = draw_percent(g, 60) ? 0x0000000000000001ULL | 0x5a00000000000000ULL : 0x77;
	op->off.v = draw_percent(g, 70) ? 20 : draw_below(g, 200);
}

void net_op_draw(struct generator *g)
{
	static void (*const draws[])(struct generator *) = {file_op_on_stream, socket_op_on_other,
							    refused_draw,      connect_nowhere,
							    socket_op_draw,    socket_op_draw};

	draws[draw_below(g, sizeof(draws) / sizeof(draws[0]))](g);
}
