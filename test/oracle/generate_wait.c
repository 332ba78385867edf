/*
 * generate_wait.c - requests that may wait, and the model that knows when they end
 *
 * The model follows how much lies in each pipe and socket, which requests are
 * armed on it, which timeouts run, and who connected. Each request drawn here
 * says in which batches its CQEs are due.
 *
 *      drawn --- completes now ---------------------------> due in this batch
 *        `------ armed (struct waiting) --- woken, ended,
 *                                           cancelled -----> due in that batch
 *
 * Entry:       wait_chain_draw(), drain_scene_draw(), model_init()
 * Invariants:  V1 a channel is touched by one chain in a batch
 *              V2 at most one reader is armed on a channel, and never beside a poll:
 *                 who is served first is nobody's promise
 *              V3 what a worker arms (IOSQE_ASYNC) is never cancelled: whether it is armed
 *                 yet is nobody's promise
 */
#include "generate.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define CHANNEL_LIMIT 8000 /* below what any of them holds */

void model_init(struct generator *g)
{
	static const struct channel channels[CHANNELS] = {
		{.kind = CHANNEL_PIPE, .reader = OBJ_PIPE_R, .writer = OBJ_PIPE_W},
		/* O_NONBLOCK changes nothing here: a READ of such a pipe waits all the same. */
		{.kind = CHANNEL_PIPE, .reader = OBJ_NBPIPE_R, .writer = OBJ_NBPIPE_W},
		{.kind = CHANNEL_STREAM, .reader = OBJ_UNIX_B, .writer = OBJ_UNIX_A},
		{.kind = CHANNEL_STREAM, .reader = OBJ_UNIX_A, .writer = OBJ_UNIX_B},
		{.kind = CHANNEL_DGRAM, .reader = OBJ_DGRAM_B, .writer = OBJ_DGRAM_A},
		{.kind = CHANNEL_DGRAM, .reader = OBJ_DGRAM_A, .writer = OBJ_DGRAM_B},
		{.kind = CHANNEL_STREAM, .reader = OBJ_TCP_B, .writer = OBJ_TCP_A, .tcp = true},
		{.kind = CHANNEL_STREAM, .reader = OBJ_TCP_A, .writer = OBJ_TCP_B, .tcp = true},
		{.kind = CHANNEL_EVENT, .reader = OBJ_EVENT, .writer = OBJ_EVENT},
		{.kind = CHANNEL_SEM, .reader = OBJ_EVENT_SEM, .writer = OBJ_EVENT_SEM},
	};

	memcpy(g->channels, channels, sizeof(channels));
	for (int i = 0; i < CHANNELS; i++)
		g->channels[i].touched = -1;
	g->listener_touched[0] = -1;
	g->listener_touched[1] = -1;
}

int waiting_count(const struct generator *g)
{
	int count = 0;

	for (int i = 0; i < WAITING_MAX; i++)
		count += g->waiting[i].live;
	return count;
}

static struct waiting *waiting_add(struct generator *g, uint8_t kind, int op)
{
	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &g->waiting[i];

		if (w->live)
			continue;
		memset(w, 0, sizeof(*w));
		w->live = true;
		w->kind = kind;
		w->op = op;
		w->channel = -1;
		w->object = OBJ_COUNT;
		w->born = g->batch;
		return w;
	}
	return NULL;
}

/* The last CQE of an armed request, and those of what is linked behind it, are due now. */
static void waiting_finish(struct generator *g, struct waiting *w)
{
	op_due(g, w->op);
	for (int i = 0; i < w->ntail; i++)
		op_due(g, w->tail[i]);
	w->live = false;
}

static bool is_socket(const struct channel *c)
{
	return c->kind == CHANNEL_STREAM || c->kind == CHANNEL_DGRAM;
}

static bool is_readable(const struct channel *c)
{
	return c->bytes > 0 || c->nmessages > 0 || c->ended;
}

struct waiting *waiting_on(struct generator *g, int channel, int kind)
{
	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &g->waiting[i];

		if (w->live && w->channel == channel && (kind < 0 || w->kind == kind))
			return w;
	}
	return NULL;
}

/* Take what a read of `len` bytes would get. */
int channel_take(struct channel *c, int len)
{
	int got = c->bytes < len ? c->bytes : len;

	switch (c->kind) {
	case CHANNEL_DGRAM:
		if (!c->nmessages)
			return 0;
		got = c->messages[0];
		memmove(c->messages, c->messages + 1, sizeof(c->messages) - sizeof(c->messages[0]));
		c->nmessages--;
		return got < len ? got : len;
	case CHANNEL_EVENT:
		c->bytes = 0;
		return 8;
	case CHANNEL_SEM:
		c->bytes--;
		return 8;
	default:
		c->bytes -= got;
		return got;
	}
}

/* The channel became readable, or ended: serve who waits. */
static void channel_wake(struct generator *g, int channel)
{
	struct channel *c = &g->channels[channel];

	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &g->waiting[i];

		if (!w->live || w->channel != channel)
			continue;
		if (w->kind == WAITING_POLL_MULTI && !c->ended) {
			op_due(g, w->op);
			continue;
		}
		if (w->kind == WAITING_READ)
			channel_take(c, w->len);
		waiting_finish(g, w);
	}
}

int draw_channel(struct generator *g)
{
	for (int tries = 0; tries < 4; tries++) {
		const int channel = (int)draw_below(g, CHANNELS);

		if (g->channels[channel].touched != g->batch && !g->channels[channel].reader_gone)
			return channel;
	}
	return -1;
}

/* Data from this op's buffer into the channel, by one of the ways there are. */
static struct op *send_op(struct generator *g, const struct channel *c, int len)
{
	const bool is_event = c->kind == CHANNEL_EVENT || c->kind == CHANNEL_SEM;
	const uint32_t way = draw_below(g, is_socket(c) ? 4 : 2);
	static const uint8_t opcodes[] = {IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_SEND,
					  IORING_OP_SENDMSG};
	struct op *op = op_add(g, opcodes[way]);

	op_set_file(g, op, c->writer);
	op->fills = !is_event;
	op->sqe.len = (uint32_t)len;
	op->addr.kind = REF_BUF;
	if (is_event) {
		op->value = (uint64_t)len;
		op->sqe.len = 8;
	}
	if (way == 1 || way == 3) {
		op->addr.kind = way == 1 ? REF_IOV : REF_MSG;
		op->niov = 1;
		op->iov[0].base.kind = REF_BUF;
		op->iov[0].len = op->sqe.len;
		if (len > 1 && !is_event && draw_percent(g, 50)) {
			op->niov = 2;
			op->iov[0].len = (uint64_t)len / 2;
			op->iov[1].base.kind = REF_BUF;
			op->iov[1].base.v = 4096;
			op->iov[1].len = (uint64_t)(len - len / 2);
		}
		op->sqe.len = way == 1 ? op->niov : 1;
	}
	if (way < 2 && draw_percent(g, 50))
		op->off.v = (uint64_t)-1;
	if (way >= 2 && draw_percent(g, 30))
		op->sqe.msg_flags = draw_percent(g, 50) ? MSG_NOSIGNAL : MSG_DONTWAIT;
	if (draw_percent(g, 10))
		op->sqe.flags |= IOSQE_ASYNC;
	return op;
}

void channel_put(struct channel *c, int len)
{
	if (c->kind == CHANNEL_DGRAM)
		c->messages[c->nmessages++] = len;
	else
		c->bytes += len;
}

bool channel_has_room(const struct channel *c)
{
	return c->bytes < CHANNEL_LIMIT && c->nmessages < 6 && !c->ended;
}

static int draw_send_length(struct generator *g, const struct channel *c)
{
	if (c->kind == CHANNEL_EVENT || c->kind == CHANNEL_SEM)
		return 1 + (int)draw_below(g, 3);
	return 1 + (int)draw_below(g, draw_percent(g, 70) ? 100 : 2000);
}

/* A read of `len` bytes; whether it waits is the caller's knowledge. */
static struct op *receive_op(struct generator *g, const struct channel *c, int len)
{
	const uint32_t way = draw_below(g, is_socket(c) ? 4 : 2);
	static const uint8_t opcodes[] = {IORING_OP_READ, IORING_OP_READV, IORING_OP_RECV,
					  IORING_OP_RECVMSG};
	struct op *op = op_add(g, opcodes[way]);

	op_set_file(g, op, c->reader);
	op->capture = way == 3 ? CAPTURE_MSG : CAPTURE_DATA;
	op->sqe.len = (uint32_t)len;
	op->addr.kind = REF_BUF;
	if (way == 1 || way == 3) {
		op->addr.kind = way == 1 ? REF_IOV : REF_MSG;
		op->niov = 1;
		op->iov[0].base.kind = REF_BUF;
		op->iov[0].len = (uint64_t)len;
		if (len > 1 && draw_percent(g, 30)) {
			op->niov = 2;
			op->iov[0].len = (uint64_t)len / 2;
			op->iov[1].base.kind = REF_BUF;
			op->iov[1].base.v = 4096;
			op->iov[1].len = (uint64_t)(len - len / 2);
		}
		op->sqe.len = way == 1 ? op->niov : 1;
	}
	if (way < 2 && draw_percent(g, 50))
		op->off.v = (uint64_t)-1;
	return op;
}

static int draw_receive_length(struct generator *g, const struct channel *c)
{
	if (c->kind == CHANNEL_EVENT || c->kind == CHANNEL_SEM)
		return 8;
	return 1 + (int)draw_below(g, draw_percent(g, 50) ? 100 : 3000);
}

/* Requests linked behind an armed one: NOPs, and perhaps a timeout on it. */
static void tail_draw(struct generator *g, struct waiting *w)
{
	const uint8_t flag = draw_percent(g, 30) ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK;
	int count = draw_percent(g, 60) ? 0 : 1 + (int)draw_below(g, 2);

	if (draw_percent(g, 15) && g->room > 0) {
		struct op *op = op_add(g, IORING_OP_LINK_TIMEOUT);

		op->addr.kind = REF_TS;
		op->sqe.len = 1;
		op->due[g->batch] = 0;
		op->ts_sec = 100;
		w->tail[w->ntail++] = op_index(g, op);
		/* A short one ends it at once, if nothing but a cancel could. */
		if (!w->async && w->kind == WAITING_READ && draw_percent(g, 50)) {
			op->ts_sec = 0;
			op->ts_nsec = 1000000;
		}
	}
	while (count-- > 0 && g->room > 0 && w->ntail < TAIL_MAX) {
		struct op *op = op_add(g, IORING_OP_NOP);

		op->due[g->batch] = 0;
		w->tail[w->ntail++] = op_index(g, op);
	}
	chain_link(g, w->op, flag);
	if (w->ntail && g->program->ops[w->tail[0]].sqe.opcode == IORING_OP_LINK_TIMEOUT &&
	    !g->program->ops[w->tail[0]].ts_sec)
		waiting_finish(g, w);
}

static bool send_draw(struct generator *g)
{
	const int channel = draw_channel(g);
	const int first = g->program->nops;
	struct channel *c = channel_of(g, channel);
	int len, count = 1;

	if (channel < 0)
		return false;
	if (c->ended && c->kind == CHANNEL_STREAM && draw_percent(g, 50)) {
		c->touched = g->batch;
		send_op(g, c, 10); /* EPIPE */
		return true;
	}
	if (!channel_has_room(c))
		return false;
	c->touched = g->batch;
	/* Several in a row, unless somebody watches: how many wake-ups that makes is open. */
	if (!waiting_on(g, channel, -1) && draw_percent(g, 30))
		count = 2 + (int)draw_below(g, 2);
	for (int i = 0; i < count && g->room > 0 && channel_has_room(c); i++) {
		len = draw_send_length(g, c);
		send_op(g, c, len);
		channel_put(c, len);
	}
	if (count == 1) {
		channel_wake(g, channel);
	} else {
		/* And read back part of it, in the same chain. */
		if (g->room > 0 && draw_percent(g, 50) && is_readable(c)) {
			len = draw_receive_length(g, c);
			receive_op(g, c, len);
			channel_take(c, len);
		}
		chain_link(g, first, IOSQE_IO_LINK);
	}
	return true;
}

static bool is_receive(const struct op *op)
{
	return op->sqe.opcode == IORING_OP_RECV || op->sqe.opcode == IORING_OP_RECVMSG;
}

static bool receive_draw(struct generator *g)
{
	const int channel = draw_channel(g);
	struct channel *c = channel_of(g, channel);
	struct waiting *w;
	struct op *op;
	int len;

	if (channel < 0 || waiting_on(g, channel, -1))
		return false;
	c->touched = g->batch;
	len = draw_receive_length(g, c);
	op = receive_op(g, c, len);
	/* Alone only: behind an ASYNC request a worker runs it, which cannot arm, and gives
	 * EAGAIN. */
	if (is_receive(op) && draw_percent(g, 15))
		op->sqe.ioprio = IORING_RECVSEND_POLL_FIRST;
	if (is_readable(c)) {
		if (is_receive(op) && draw_percent(g, 15))
			op->sqe.msg_flags = MSG_PEEK;
		else
			channel_take(c, len);
		if (!op->sqe.ioprio && draw_percent(g, 10))
			op->sqe.flags |= IOSQE_ASYNC;
		return true;
	}
	if (is_receive(op) && !c->tcp && draw_percent(g, 15)) {
		op->sqe.msg_flags = MSG_DONTWAIT;
		return true;
	}
	w = waiting_add(g, WAITING_READ, op_index(g, op));
	op->due[g->batch] = 0;
	w->channel = (int8_t)channel;
	w->object = c->reader;
	w->len = len;
	w->async = !g->cancels && !op->sqe.ioprio && draw_percent(g, 15);
	if (w->async) {
		/* The worker takes the file when it gets there, so not from a slot that may
		 * change. */
		op_set_fd(op, c->reader);
		op->sqe.flags = IOSQE_ASYNC;
	}
	tail_draw(g, w);
	return true;
}

static bool poll_draw(struct generator *g)
{
	const int channel = draw_channel(g);
	struct channel *c = channel_of(g, channel);
	struct waiting *w;
	struct op *op;
	bool multi;

	if (channel < 0 || waiting_on(g, channel, WAITING_READ))
		return false;
	/* Of sockets in both directions only one poll, or an end of one would wake both. */
	c->touched = g->batch;
	op = op_add(g, IORING_OP_POLL_ADD);
	if (draw_percent(g, 20) && !c->ended) {
		op_set_file(g, op, c->writer);
		op->sqe.poll32_events = POLLOUT;
		return true;
	}
	multi = !c->tcp && !c->ended && draw_percent(g, 40);
	op_set_file(g, op, c->reader);
	/* A socket wakes with more bits than are true, and the kernel passes on those asked for. */
	op->sqe.poll32_events = POLLIN | (!is_socket(c) && draw_percent(g, 20) ? POLLPRI : 0);
	op->sqe.len = multi ? IORING_POLL_ADD_MULTI : 0;
	if (!multi && is_readable(c))
		return true;
	w = waiting_add(g, multi ? WAITING_POLL_MULTI : WAITING_POLL, op_index(g, op));
	op->due[g->batch] = multi && is_readable(c);
	w->channel = (int8_t)channel;
	w->object = c->reader;
	if (!multi)
		tail_draw(g, w);
	return true;
}

/* Now or once: what was to take its place may have failed to. */
static bool is_in_a_slot(const struct generator *g, uint8_t object)
{
	return g->program->files && g->was_in_slot[object];
}

static bool is_waiting(const struct generator *g, int op)
{
	for (int i = 0; i < WAITING_MAX; i++)
		if (g->waiting[i].live && g->waiting[i].op == op)
			return true;
	return false;
}

/* Whether this batch has a request on the object that does not wait: a worker may hold it for a
 * moment, where a cancel by descriptor finds it, and look its file up after a close. */
static bool is_used_in_passing(const struct generator *g, uint8_t object)
{
	for (int i = g->program->nops - 1; i >= 0 && g->program->ops[i].batch == g->batch; i--) {
		const struct op *op = &g->program->ops[i];
		bool is_named = op->fd.kind == REF_OBJ && op->fd.a == object;

		if (op->sqe.flags & IOSQE_FIXED_FILE)
			is_named = op->fd.v < PROGRAM_SLOTS && g->slots[op->fd.v] == object;
		if (is_named && !is_waiting(g, i))
			return true;
	}
	return false;
}

/* The writing end of a pipe is closed: the end of file, and the last of that descriptor. */
static bool close_end_draw(struct generator *g)
{
	const int channel = (int)draw_below(g, 2);
	struct channel *c = &g->channels[channel];

	if (c->touched == g->batch || c->ended || is_in_a_slot(g, c->writer) ||
	    waiting_on(g, channel, WAITING_POLL_MULTI) || is_used_in_passing(g, c->writer) ||
	    draw_percent(g, 50))
		return false;
	c->touched = g->batch;
	op_set_fd(op_add(g, IORING_OP_CLOSE), c->writer);
	c->ended = true;
	channel_wake(g, channel);
	return true;
}

static bool end_draw(struct generator *g)
{
	const int channel = draw_channel(g);
	struct channel *c = channel_of(g, channel);
	struct op *op;

	if (channel < 0 || c->ended || c->kind != CHANNEL_STREAM || draw_percent(g, 50) ||
	    waiting_on(g, channel, WAITING_POLL_MULTI))
		return false;
	/* Its end wakes polls of the other direction too. */
	if (waiting_on(g, channel ^ 1, -1) || g->channels[channel ^ 1].touched == g->batch)
		return false;
	c->touched = g->batch;
	g->channels[channel ^ 1].touched = g->batch;
	op = op_add(g, IORING_OP_SHUTDOWN);
	op_set_file(g, op, c->writer);
	op->sqe.len = SHUT_WR;
	c->ended = true;
	channel_wake(g, channel);
	return true;
}

static bool timeout_draw(struct generator *g)
{
	struct op *op = op_add(g, IORING_OP_TIMEOUT);
	const uint32_t pick = draw_below(g, 100);
	struct waiting *w;

	op->addr.kind = REF_TS;
	op->sqe.len = 1;
	if (draw_percent(g, 15))
		op->sqe.timeout_flags |=
			draw_percent(g, 50) ? IORING_TIMEOUT_BOOTTIME : IORING_TIMEOUT_REALTIME;
	if (draw_percent(g, 20))
		op->sqe.timeout_flags |= IORING_TIMEOUT_ETIME_SUCCESS;
	if (pick < 25) { /* long: to be removed, or there at the end */
		op->ts_sec = 100;
		op->due[g->batch] = 0;
		w = waiting_add(g, WAITING_TIMEOUT, op_index(g, op));
		tail_draw(g, w);
	} else if (pick < 65) {
		op->ts_nsec = 200000 + draw_below(g, 800000);
	} else if (pick < 75) {
		op->addr.kind = REF_TS_ABS;
		op->sqe.timeout_flags |= IORING_TIMEOUT_ABS;
		op->ts_nsec = 500000;
	} else if (pick < 80) { /* absolute, long ago */
		op->sqe.timeout_flags |= IORING_TIMEOUT_ABS;
		op->ts_nsec = 1;
	} else if (pick < 92) {
		op->ts_nsec = 300000;
		/* It ends early if the CQ is full when it fires, and that would be a race. */
		if (g->batch == 0 || !g->program->batches[g->batch - 1].leave) {
			op->sqe.timeout_flags |= IORING_TIMEOUT_MULTISHOT;
			op->off.v = 1 + draw_below(g, 3);
			op->due[g->batch] = (uint8_t)op->off.v;
		}
	} else if (pick < 94) {
		op->ts_sec = -1;
	} else if (pick < 96) {
		op->addr.kind = REF_GUARD;
	} else if (pick < 98) {
		op->sqe.len = draw_below(g, 3) * 2;
	} else {
		op->sqe.timeout_flags = 1U << (8 + draw_below(g, 24));
	}
	return true;
}

static bool is_cancellable(const struct generator *g, const struct waiting *w)
{
	if (!w->live || w->async)
		return false;
	if (w->kind == WAITING_ACCEPT || w->kind == WAITING_ACCEPT_MULTI)
		return g->listener_touched[w->object - OBJ_LISTEN_TCP] != g->batch;
	return w->channel < 0 || g->channels[w->channel].touched != g->batch;
}

static struct waiting *draw_waiting(struct generator *g)
{
	const uint32_t start = draw_below(g, WAITING_MAX);

	for (uint32_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &g->waiting[(start + i) % WAITING_MAX];

		if (is_cancellable(g, w))
			return w;
	}
	return NULL;
}

static void touch(struct generator *g, const struct waiting *w)
{
	if (w->channel >= 0)
		g->channels[w->channel].touched = g->batch;
	if (w->kind == WAITING_ACCEPT || w->kind == WAITING_ACCEPT_MULTI)
		g->listener_touched[w->object - OBJ_LISTEN_TCP] = g->batch;
}

/* Every armed request that a cancel with these conditions finds, or none. */
static bool cancel_many(struct generator *g, uint8_t object, int opcode)
{
	for (int i = 0; i < WAITING_MAX; i++)
		if (g->waiting[i].live && !is_cancellable(g, &g->waiting[i]))
			return false;
	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &g->waiting[i];

		if (!w->live || (object < OBJ_COUNT && w->object != object) ||
		    (opcode >= 0 && g->program->ops[w->op].sqe.opcode != opcode))
			continue;
		touch(g, w);
		waiting_finish(g, w);
	}
	return true;
}

static bool cancel_draw(struct generator *g)
{
	struct waiting *w = draw_waiting(g);
	const uint32_t pick = draw_below(g, 100);
	struct op *op;

	if (!w || !g->cancels)
		return false;
	if (pick < 55) {
		op = op_add(g, IORING_OP_ASYNC_CANCEL);
		op->addr.v = op_user_data(w->op);
		if (draw_percent(g, 20))
			op->sqe.cancel_flags = IORING_ASYNC_CANCEL_ALL;
		touch(g, w);
		waiting_finish(g, w);
		return true;
	}
	/* A cancel of anything finds what a worker runs at the moment: only the first does not. */
	if (pick >= 75 && g->program->nops &&
	    g->program->ops[g->program->nops - 1].batch == g->batch)
		return false;
	if (pick < 75 && w->object < OBJ_COUNT && is_used_in_passing(g, w->object))
		return false;
	op = op_add(g, IORING_OP_ASYNC_CANCEL);
	if (pick < 75 && w->object < OBJ_COUNT) {
		op_set_fd(op, w->object);
		op->sqe.cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
		if (cancel_many(g, w->object, -1))
			return true;
	} else if (pick < 75) {
		op->addr.v = op_user_data(w->op);
		touch(g, w);
		waiting_finish(g, w);
		return true;
	} else if (pick < 90) {
		op->sqe.cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
		if (cancel_many(g, OBJ_COUNT, -1))
			return true;
	} else {
		op->sqe.cancel_flags = IORING_ASYNC_CANCEL_OP | IORING_ASYNC_CANCEL_ALL;
		op->sqe.len = g->program->ops[w->op].sqe.opcode;
		if (cancel_many(g, OBJ_COUNT, (int)op->sqe.len))
			return true;
	}
	memset(op, 0, sizeof(*op));
	g->program->nops--;
	g->room++;
	return false;
}

static bool remove_draw(struct generator *g)
{
	struct waiting *w = draw_waiting(g);
	const bool update = draw_percent(g, 50);
	struct op *op;

	if (!w || !g->cancels)
		return false;
	if (w->kind == WAITING_TIMEOUT) {
		op = op_add(g, IORING_OP_TIMEOUT_REMOVE);
		op->addr.v = op_user_data(w->op);
		if (update) {
			op->sqe.timeout_flags = IORING_TIMEOUT_UPDATE;
			op->off.kind = REF_TS;
			op->ts_sec = draw_percent(g, 40) ? 200 : 0;
			op->ts_nsec = 500000;
			if (op->ts_sec)
				return true;
		}
	} else if (w->ntail && g->program->ops[w->tail[0]].sqe.opcode == IORING_OP_LINK_TIMEOUT) {
		op = op_add(g, IORING_OP_TIMEOUT_REMOVE);
		op->addr.v = op_user_data(w->tail[0]);
		op->sqe.timeout_flags = IORING_TIMEOUT_UPDATE | IORING_LINK_TIMEOUT_UPDATE;
		op->off.kind = REF_TS;
		op->ts_nsec = 500000;
	} else if (w->kind == WAITING_POLL || w->kind == WAITING_POLL_MULTI) {
		op = op_add(g, IORING_OP_POLL_REMOVE);
		op->addr.v = op_user_data(w->op);
		if (update) {
			op->sqe.len = IORING_POLL_UPDATE_EVENTS;
			/* Said or not, the poll stays what it was. */
			if ((w->kind == WAITING_POLL_MULTI) == draw_percent(g, 70))
				op->sqe.len |= IORING_POLL_ADD_MULTI;
			op->sqe.poll32_events = POLLIN | POLLHUP;
			touch(g, w);
			/* A multishot poll looks again when it is armed again. */
			if (w->kind == WAITING_POLL_MULTI && is_readable(&g->channels[w->channel]))
				op_due(g, w->op);
			return true;
		}
	} else {
		return false;
	}
	touch(g, w);
	waiting_finish(g, w);
	return true;
}

static struct waiting *waiting_accept(struct generator *g, uint8_t listener)
{
	for (int i = 0; i < WAITING_MAX; i++)
		if (g->waiting[i].live && g->waiting[i].object == listener)
			return &g->waiting[i];
	return NULL;
}

static bool accept_draw(struct generator *g)
{
	const uint32_t which = draw_below(g, 2);
	const uint8_t listener = (uint8_t)(OBJ_LISTEN_TCP + which);
	const bool multi = draw_percent(g, 30);
	struct waiting *w;
	struct op *op;

	if (g->listener_touched[which] == g->batch || waiting_accept(g, listener))
		return false;
	g->listener_touched[which] = g->batch;
	op = op_add(g, IORING_OP_ACCEPT);
	op_set_fd(op, listener);
	op->result_is_fd = true;
	op->due[g->batch] = 0;
	if (draw_percent(g, 40))
		op->sqe.accept_flags = SOCK_NONBLOCK | (draw_percent(g, 50) ? SOCK_CLOEXEC : 0);
	if (multi) {
		op->sqe.ioprio = IORING_ACCEPT_MULTISHOT;
		op->due[g->batch] = (uint8_t)g->backlog[which];
		g->backlog[which] = 0;
	} else if (draw_percent(g, 40)) {
		op->addr.kind = REF_ADDR_OUT;
		op->off.kind = REF_ADDRLEN_OUT;
		op->capture = CAPTURE_ADDR;
	}
	if (!multi && g->backlog[which]) {
		g->backlog[which]--;
		op->due[g->batch] = 1;
		return true;
	}
	w = waiting_add(g, multi ? WAITING_ACCEPT_MULTI : WAITING_ACCEPT, op_index(g, op));
	w->object = listener;
	return true;
}

static bool connect_draw(struct generator *g)
{
	const uint32_t client = draw_below(g, 4);
	const uint32_t which = client / 2;
	const uint8_t listener = (uint8_t)(OBJ_LISTEN_TCP + which);
	struct waiting *w = waiting_accept(g, listener);
	struct op *op;

	if (g->listener_touched[which] == g->batch)
		return false;
	g->listener_touched[which] = g->batch;
	op = op_add(g, IORING_OP_CONNECT);
	op_set_fd(op, (uint8_t)(OBJ_CLIENT_TCP0 + client));
	op->addr.kind = REF_ADDR;
	op->addr.a = listener;
	op->off.kind = REF_ADDRLEN;
	op->off.a = listener;
	if (g->connected[client])
		return true;
	g->connected[client] = true;
	if (!w)
		g->backlog[which]++;
	else if (w->kind == WAITING_ACCEPT_MULTI)
		op_due(g, w->op);
	else
		waiting_finish(g, w);
	return true;
}

bool wait_chain_draw(struct generator *g)
{
	static bool (*const draws[])(struct generator *) = {
		send_draw,    send_draw,    send_draw,    receive_draw, receive_draw,
		receive_draw, poll_draw,    poll_draw,    end_draw,     close_end_draw,
		timeout_draw, timeout_draw, cancel_draw,  cancel_draw,  remove_draw,
		remove_draw,  accept_draw,  connect_draw, run_draw,     run_draw,
	};

	/* An armed request with its whole tail must fit, and have a place in the model. */
	if (g->room < TAIL_MAX + 2 || waiting_count(g) > WAITING_MAX - 2)
		return false;
	return draws[draw_below(g, sizeof(draws) / sizeof(draws[0]))](g);
}

/*
 * A drain behind a read that waits: nothing of the batch moves until the host
 * writes. Drawn only when nothing else waits.
 */
bool drain_scene_draw(struct generator *g)
{
	struct action *action = &g->program->batches[g->batch + 1].before;
	struct channel *c = &g->channels[0];
	const int first = g->program->nops;
	int behind = 1 + (int)draw_below(g, 3);

	if (c->bytes || c->ended || g->room < behind + 2)
		return false;
	receive_op(g, c, 64);
	g->chain++;
	op_add(g, IORING_OP_NOP)->sqe.flags |= IOSQE_IO_DRAIN;
	for (; behind > 0; behind--) {
		g->chain++;
		op_add(g, IORING_OP_NOP);
	}
	g->chain++;
	for (int i = first; i < g->program->nops; i++) {
		g->program->ops[i].due[g->batch] = 0;
		g->program->ops[i].due[g->batch + 1] = 1;
	}
	action->kind = ACTION_WRITE;
	action->a = OBJ_PIPE_W;
	action->v = 64;
	g->drain_open = true;
	g->calm = true;
	return true;
}
